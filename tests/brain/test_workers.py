"""Tasks in worker processes: deaths, failures, order; every worker is a real process."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from brain.errors import BrainError, InputError, LibraryError, TrainingError
from brain.work import Failure
from brain.workers import Call, Unit, outcomes as unit_outcomes, run_units


@dataclass(frozen=True)
class Task:
    number: int
    folder: Path
    deaths: int = 0  # attempts that kill their worker

    @property
    def attempts(self) -> int:
        return len(list(self.folder.glob(f"{self.number}-*")))


def square(task: Task) -> int:
    (task.folder / f"{task.number}-{os.getpid()}-{time.monotonic_ns()}").touch()
    if task.attempts <= task.deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    if task.number == 7:
        raise InputError("seven can't be squared; give another number")
    if task.number == 8:
        raise ZeroDivisionError("eight")
    return task.number**2


def nap(task: Task) -> int:
    (task.folder / f"{task.number}-{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(0.4)
    return task.number**2


def failure(task: Task, error: BrainError) -> Failure:
    return Failure(str(task.number), error)


def calls_of(tasks: list[Task], work: Callable[[Task], object] = square) -> list[Call]:
    return [Call(work, task, failure, TrainingError, cost=task.number) for task in tasks]


def outcomes(
    tasks: list[Task], jobs: int = 2, work: Callable[[Task], object] = square
) -> list[object]:
    """The outcomes of one unit's calls, as they are done."""
    done: list[object] = []
    assert list(run_units([unit_outcomes(calls_of(tasks, work), done.append)], jobs=jobs)) == [None]
    return done


def test_a_worker_that_dies_costs_nothing_where_another_does_its_task(tmp_path: Path) -> None:
    tasks = [Task(number, tmp_path, deaths=int(number == 3)) for number in range(6)]
    assert sorted(outcomes(tasks)) == [0, 1, 4, 9, 16, 25]  # type: ignore[type-var]
    assert [task.attempts for task in tasks] == [1, 1, 1, 2, 1, 1]


def test_a_task_that_two_workers_die_of_fails_alone(tmp_path: Path) -> None:
    tasks = [Task(number, tmp_path, deaths=9 * (number == 3)) for number in range(6)]
    *results, fault = sorted(outcomes(tasks), key=lambda outcome: isinstance(outcome, Failure))
    assert sorted(results) == [0, 1, 4, 16, 25]  # type: ignore[type-var]
    assert isinstance(fault, Failure)
    assert isinstance(fault.error, TrainingError)
    assert "its worker process died, and another one" in str(fault)
    assert tasks[3].attempts == 2


def test_a_worker_that_is_killed_from_outside_costs_its_own_task_alone(tmp_path: Path) -> None:
    tasks = [Task(number, tmp_path) for number in range(8)]

    def kill_one() -> None:
        while not (marks := list(tmp_path.iterdir())):
            time.sleep(0.01)
        psutil.Process(int(marks[0].name.split("-")[1])).kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    results = sorted(outcomes(tasks, work=nap))  # type: ignore[type-var]
    killer.join()
    assert results == [number**2 for number in range(8)]
    assert sum(task.attempts for task in tasks) == 9


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_become_failures_of_their_tasks(jobs: int, tmp_path: Path) -> None:
    tasks = [Task(number, tmp_path) for number in (1, 7, 8)]
    failures = [each for each in outcomes(tasks, jobs) if isinstance(each, Failure)]
    assert sorted((f.subject, type(f.error).__name__) for f in failures) == [
        ("7", "InputError"),
        ("8", "TrainingError"),
    ]
    assert "ZeroDivisionError: eight" in str(failures)


def test_the_most_expensive_tasks_start_first(tmp_path: Path) -> None:
    assert list(outcomes([Task(n, tmp_path) for n in (1, 3, 2)], jobs=1)) == [9, 4, 1]


def thresholds(_: Task) -> tuple[int, ...]:
    return gc.get_threshold()


def test_a_worker_looks_for_garbage_seldom(tmp_path: Path) -> None:
    tasks = [Task(0, tmp_path), Task(1, tmp_path)]
    assert outcomes(tasks, work=thresholds) == [(10_000, 10, 10)] * 2


def test_without_tasks_no_worker_starts() -> None:
    assert list(outcomes([])) == []


def test_workers_of_abandoned_units_are_killed(tmp_path: Path) -> None:
    def unit(number: int) -> Unit[int]:
        yield from unit_outcomes(calls_of([Task(number, tmp_path)], nap), lambda _: None)
        return number

    results = run_units(map(unit, range(6)), jobs=2)
    next(results)
    start = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 5  # nothing is waited for
    assert len(list(tmp_path.iterdir())) <= 4


# --- units --------------------------------------------------------------------------------------


class Log:
    """Units that note when they begin and end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[tuple[str, int]] = []

    def unit(self, number: int, calls: int = 2) -> Unit[list[object]]:
        self.events.append(("begin", number))
        done: list[object] = []
        try:
            for _ in range(calls):
                yield from unit_outcomes(calls_of([Task(number, self.folder)]), done.append)
        except BaseException as error:
            self.events.append((type(error).__name__, number))
            raise
        self.events.append(("end", number))
        return done

    def in_flight(self) -> int:
        """The most units that had begun and not ended."""
        counts = itertools.accumulate(1 if event == "begin" else -1 for event, _ in self.events)
        return max(counts)


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_as_many_units_are_in_flight_as_there_are_jobs(jobs: int, tmp_path: Path) -> None:
    log = Log(tmp_path)
    results = list(run_units(map(log.unit, range(6)), jobs=jobs))
    assert sorted(results) == [[n**2, n**2] for n in range(6)]
    assert log.in_flight() == jobs
    begun = [number for event, number in log.events if event == "begin"]
    assert begun == list(range(6))


def test_a_result_is_there_before_the_next_unit_begins(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for result in run_units(map(log.unit, range(3)), jobs=1):
        number = len(log.events) // 2 - 1
        assert result == [number**2] * 2
        assert log.events[-1] == ("end", number)


def test_a_unit_without_calls_has_a_result_too(tmp_path: Path) -> None:
    log = Log(tmp_path)
    units = [log.unit(0, calls=0), log.unit(1), log.unit(2, calls=0)]
    assert sorted(run_units(units, jobs=2)) == [[], [], [1, 1]]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_one_unit_ends_the_others_with_it(jobs: int, tmp_path: Path) -> None:
    log = Log(tmp_path)

    def faulty() -> Unit[list[object]]:
        yield from unit_outcomes(calls_of([Task(2, tmp_path)]), lambda _: None)
        raise LibraryError("the server is gone")

    units = [log.unit(1, calls=99), faulty(), log.unit(3)]
    if jobs == 1:
        units.pop(0)
    with pytest.raises(LibraryError, match="the server is gone"):
        list(run_units(units, jobs=jobs))
    assert log.events == ([("begin", 1), ("LibraryError", 1)] if jobs == 2 else [])


def test_the_earlier_units_calls_come_first(tmp_path: Path) -> None:
    order: list[object] = []

    def unit(number: int) -> Unit[None]:
        tasks = [Task(number, tmp_path), Task(number + 1, tmp_path)]
        yield from unit_outcomes(calls_of(tasks), order.append)

    list(run_units(map(unit, (1, 3, 5)), jobs=1))
    assert order == [4, 1, 16, 9, 36, 25]


#: Workers that grow so much that their pools replace them while the next call is waiting.
GROWN = """
import os, sys, warnings
from brain.workers import Call, run_units

def grow(task):
    import sys, time
    sys.kept = [*getattr(sys, "kept", []), b"x" * 4 * 10**8]
    time.sleep(1.1)  # the pool looks at a worker's memory once a second
    return task

def unit(tasks):
    total = 0
    for task in tasks:
        total += yield [Call(grow, task, lambda task, error: -100, ValueError)]
    return total

def totals(tasks):
    return list(run_units([unit(tasks), unit(tasks)], jobs=2))

if sys.argv[1:]:
    from joblib.externals.loky import process_executor
    class Broken(process_executor._ExecutorManagerThread):
        def process_result_item(self, result_item):
            if isinstance(result_item, int):
                raise RuntimeError("a fault of the pool's own")
            super().process_result_item(result_item)
    process_executor._ExecutorManagerThread = Broken
with warnings.catch_warnings():
    first = totals([1])
print(first, totals([1, 2, 3]), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("fault", [[], ["fault"]], ids=["", "fault"])
def test_a_worker_that_its_pool_replaces_stalls_nothing(fault: list[str]) -> None:
    """Not where warnings are errors, nor where the pool's own thread dies of another fault."""
    answer = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", GROWN, *fault],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert answer.stdout == "[1, 1] [6, 6]\n", answer.stderr


IMPORTS = """
import os, sys, threading
from brain.workers import Call, run_units

class Threads:
    def find_spec(self, name, path=None, target=None):
        if name in ("joblib", "joblib.externals.loky"):
            seen.add(threading.current_thread() is threading.main_thread())

def unit():
    return (yield [Call(abs, -1, lambda task, error: error, ValueError)])

seen = set()
sys.meta_path.insert(0, Threads())
print(list(run_units([unit(), unit()], jobs=2)), seen, flush=True)
os._exit(0)
"""


def test_threads_import_no_pool_at_the_same_time() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=False, timeout=100
    )
    assert answer.stdout == "[1, 1] {True}\n", answer.stderr
