"""Tasks in worker processes: deaths, failures, order; every worker is a real process."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from brain.errors import BrainError, InputError, TrainingError
from brain.work import Failure
from brain.workers import side_by_side


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


def outcomes(tasks: list[Task], jobs: int = 2, work: object = square) -> Iterator[object]:
    return side_by_side(
        work,  # type: ignore[arg-type]
        tasks,
        jobs=jobs,
        cost=lambda task: task.number,
        failure=failure,
        fault=TrainingError,
    )


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


def test_without_tasks_no_worker_starts() -> None:
    assert list(outcomes([])) == []


def test_workers_of_an_abandoned_call_are_killed(tmp_path: Path) -> None:
    calls = outcomes([Task(number, tmp_path) for number in range(6)], work=nap)
    next(calls)
    start = time.monotonic()
    calls.close()  # type: ignore[attr-defined]
    assert time.monotonic() - start < 5  # nothing is waited for
    assert len(list(tmp_path.iterdir())) <= 4
