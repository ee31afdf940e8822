"""Units of work side by side, their calls in worker processes; a call's failure stops no other.

A unit is a generator: it yields calls for the workers and gets their outcomes back, and does all
else, reading and storing, in the process that runs it. So memory is that of the units in flight,
however many there are.

Every worker process has a pool of its own, so that one that dies ends its own call alone, which is
then tried once more in another process. Workers have one thread each.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from brain.disk import is_full
from brain.errors import BrainError, StorageFullError
from brain.garbage import collect_seldom
from brain.logs import Logs, active_logs, label, labels, start_logs
from brain.processes import die_with_parent
from brain.work import Failure

__all__ = ["Call", "Unit", "fresh_folder", "outcomes", "run_units"]

logger = logging.getLogger(__name__)


Result = TypeVar("Result")

_ATTEMPTS = 2
_IDLE_SECONDS = 300
_UPTAKE_SECONDS = 5.0
_LOOK_SECONDS = 5.0
# More than one thread a library in each of several processes makes all of them crawl.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


@dataclass(frozen=True)
class Call:
    """A function of a task, for a worker process.

    Attributes:
        work: function of the task; a second try comes after a first that was cut off anywhere.
        task: for the function.
        failure: makes the task's failure from an error of ours.
        fault: class of our error for a library's error or the deaths of two workers.
        cost: relative to the unit's other calls; the most expensive one starts first.
        labels: of the log's lines, beside the unit's.
    """

    work: Callable[[Any], Any]
    task: Any
    failure: Callable[[Any, BrainError], Failure]
    fault: type[BrainError]
    cost: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)


def fresh_folder(folder: Path) -> None:
    """Make a folder for a task's files, without what a worker that died of the task left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


#: Yields calls, is sent the outcome of one of them each time, and returns the unit's result.
Unit = Generator[Sequence[Call], Any, Result]


def outcomes(calls: Sequence[Call], handle: Callable[[Any], None]) -> Unit[None]:
    """Part of a unit, for ``yield from``: do the calls, and handle each outcome once it is there.

    Args:
        calls: side by side.
        handle: called with each call's result or failure, in the process that runs the unit.
    """
    new = calls
    for _ in calls:
        handle((yield new))
        new = ()


def run_units(units: Iterable[Unit[Result]], *, jobs: int) -> Iterator[Result]:
    """Run units, as many side by side as there are workers.

    A unit begins once there is a place for it. If one raises an error, or the caller gives up, the
    workers are killed and the error is raised in the other units too.

    Args:
        units: taken one by one; the earliest one's calls are done first.
        jobs: units in flight and worker processes at most; with one, all is done in this process.

    Returns:
        The units' results, in the order in which they are done.
    """
    source, flights = iter(units), list[_Flight[Result]]()
    with _Crew(jobs) if jobs > 1 else _ThisProcess() as workers:
        try:
            while True:
                for flight in flights:
                    flight.start_calls(workers, jobs - _at_work(flights))
                if len(flights) < jobs and (unit := next(source, None)) is not None:
                    flights.append(flight := _Flight(unit))
                    flight.resume(None)
                elif flights:
                    flight, outcome = _next_outcome(flights)
                    flight.resume(outcome)
                else:
                    return
                if flight.ended:
                    flights.remove(flight)
                    yield flight.result
        except BaseException as error:
            workers.end()
            for flight in flights:
                flight.abort(error)
            raise


@dataclass(eq=False)
class _Flight(Generic[Result]):
    """A unit that has begun.

    Attributes:
        waiting: calls that no worker has yet, the most expensive one first.
        at_work: the workers' futures.
        context: of the unit, which labels its log's lines and those of its calls.
    """

    unit: Unit[Result]
    waiting: list[Call] = field(default_factory=list)
    at_work: set[Future[Any]] = field(default_factory=set)
    ended: bool = False
    context: Context = field(default_factory=copy_context)
    _result: Result | None = None

    @property
    def result(self) -> Result:
        return self._result  # type: ignore[return-value]  # the unit's own, which may be None

    def resume(self, outcome: Any) -> None:
        """Run the unit until it waits for its next outcome, or ends."""
        try:
            calls = self.context.run(self.unit.send, outcome)
        except StopIteration as stop:
            self.ended, self._result = True, stop.value
        else:
            self.waiting = sorted([*self.waiting, *calls], key=lambda call: call.cost, reverse=True)

    def start_calls(self, workers: _Crew | _ThisProcess, places: int) -> None:
        """Give idle workers their calls."""
        for call in self.waiting[:places]:
            self.at_work.add(self.context.run(workers.submit, call))
        del self.waiting[:places]

    def abort(self, error: BaseException) -> None:
        """End the unit, which may still tidy up after itself; its own errors don't matter now."""
        with suppress(BaseException):
            self.context.run(self.unit.throw, error)


def _at_work(flights: Sequence[_Flight[Any]]) -> int:
    return sum(len(flight.at_work) for flight in flights)


def _next_outcome(flights: Sequence[_Flight[Any]]) -> tuple[_Flight[Any], Any]:
    """Wait for a call to be done: its unit, and its result or failure."""
    futures = {future: flight for flight in flights for future in flight.at_work}
    done, _ = wait(futures, return_when=FIRST_COMPLETED)
    future = done.pop()
    flight = futures[future]
    flight.at_work.remove(future)
    return flight, future.result()


class _ThisProcess:
    """No workers: a call is done when it is submitted."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, call: Call) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(copy_context().run(_attempt, call))
        return future

    def end(self) -> None: ...


class _Crew:
    """Worker processes; a context manager. A thread of this process waits for each one's call."""

    def __init__(self, jobs: int) -> None:
        # Not in the threads: of two that import it at once one may find what is half done.
        import joblib.externals.loky  # noqa: F401

        self._threads = ThreadPoolExecutor(jobs, thread_name_prefix="worker")
        self._busy: dict[Any, Future[Any]] = {}
        self._ending = False
        self._start = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def submit(self, call: Call) -> Future[Any]:
        return self._threads.submit(copy_context().run, self._do, call)

    def _do(self, call: Call) -> Any:
        """A call's result or failure, by a worker; by a second one if the first dies of it."""
        for attempt in range(1, _ATTEMPTS + 1):
            # An idle worker may be dead without anybody's notice: the second try is a new one's.
            pool = _idle_pool() if attempt == 1 else _new_pool()
            try:
                with self._start:
                    if self._ending:
                        raise CancelledError
                    future = _submit(pool, call)
                    self._busy[pool] = future
                outcome = _outcome(pool, future)
            except BrokenExecutor as error:
                if self._ending:
                    raise
                logger.warning("a worker process died, attempt %d of %d", attempt, _ATTEMPTS)
                logger.debug("%s", error)
            else:
                self._release(pool)
                return outcome
            finally:
                self._busy.pop(pool, None)
        cause = (
            "its worker process died, and another one that tried it again, for want of memory "
            "perhaps; ask for fewer jobs"
        )
        return call.failure(call.task, call.fault(cause))

    def _release(self, pool: Any) -> None:
        """Let the pool's worker do other calls, unless :meth:`end` kills it."""
        with self._start:
            if not self._ending:
                del self._busy[pool]
                with _lock:
                    _pools.append(pool)

    def end(self) -> None:
        """Kill the workers that are still at work: nobody waits for their results."""
        with self._start:
            self._ending = True
            busy = list(self._busy.items())
        for pool, future in busy:
            # The pool's own thread breaks if a task is gone that it has not taken up yet.
            deadline = time.monotonic() + _UPTAKE_SECONDS
            while not (future.running() or future.done()) and time.monotonic() < deadline:
                time.sleep(0.01)
            pool.shutdown(wait=False, kill_workers=True)


# Workers that have imported what they need wait here for the next call.
_pools: list[Any] = []
_lock = threading.Lock()


def _idle_pool() -> Any:
    """A pool of one process, which may have been at work before."""
    with _lock:
        if _pools:
            return _pools.pop()
    return _new_pool()


def _new_pool() -> Any:
    from joblib.externals.loky import ProcessPoolExecutor

    return ProcessPoolExecutor(
        max_workers=1, timeout=_IDLE_SECONDS, initializer=_begin, env=_ONE_THREAD
    )


def _begin() -> None:
    """What a worker does first; it follows its parent, as the first call may never reach it."""
    collect_seldom()
    die_with_parent()


def _submit(pool: Any, call: Call) -> Future[Any]:
    """Give a pool's worker a call."""
    # A worker that imported torch looks like a leak to the pool, which replaces it; no warning. As
    # an error it would end the pool's own thread, and filters may have changed since the last call.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    future: Future[Any] = pool.submit(_work, call, active_logs(), dict(labels()))
    return future


def _outcome(pool: Any, future: Future[Any]) -> Any:
    """The result of a call.

    Raises:
        BrokenExecutor: the worker died, or the pool's own thread, which no result would come
            without.
    """
    thread = pool._executor_manager_thread
    while thread is not None and thread.is_alive():
        with suppress(TimeoutError):
            return future.result(_LOOK_SECONDS)
    if not future.done():
        for process in list(pool._processes.values()):
            process.terminate()  # it may be at work yet, where the second try begins
        raise BrokenExecutor("the pool's own thread has ended")
    return future.result()


def _work(call: Call, logs: Logs | None, of_caller: Mapping[str, str]) -> Any:
    """A call in a worker process."""
    start_logs(logs, of_caller)
    return _attempt(call)


def _attempt(call: Call) -> Any:
    label(**call.labels)
    try:
        return call.work(call.task)
    except BrainError as error:
        return call.failure(call.task, error)
    except Exception as error:
        # A library's error in one task must not stop the others.
        fault = StorageFullError if is_full(error) else call.fault
        failure = call.failure(call.task, fault(f"{type(error).__name__}: {error}"))
        logger.exception("%s failed", failure.what)
        return failure
