"""Tasks in worker processes, one thread each; a failure of one task stops no other.

Every worker process has a pool of its own, so that one that dies ends its own task alone, which is
then tried once more in another process.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Future,
    ThreadPoolExecutor,
    as_completed,
)
from typing import Any, TypeVar

from brain.errors import BrainError
from brain.processes import die_with_parent
from brain.work import Failure

__all__ = ["side_by_side"]

logger = logging.getLogger(__name__)


Task = TypeVar("Task")
Result = TypeVar("Result")

_ATTEMPTS = 2
_IDLE_SECONDS = 300
_UPTAKE_SECONDS = 5.0
# More than one thread a library in each of several processes makes all of them crawl.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


def side_by_side(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    cost: Callable[[Task], float],
    failure: Callable[[Task, BrainError], Failure],
    fault: type[BrainError],
) -> Iterator[Result | Failure]:
    """Do the tasks in worker processes; in this one if there would be one worker.

    Args:
        work: function of a task.
        tasks: the most expensive start first, so that workers end at about the same time.
        jobs: worker processes at most.
        cost: of a task, relative to the others.
        failure: makes the failure of a task from an error of ours.
        fault: class of our error for a library's error or the deaths of two workers.

    Returns:
        A result or a failure for each task, as they are done.
    """
    queue = sorted(tasks, key=cost, reverse=True)
    workers = min(jobs, len(queue))
    if workers <= 1:
        yield from (_attempt(work, task, failure, fault) for task in queue)
        return
    crew = _Crew()
    with ThreadPoolExecutor(workers, thread_name_prefix="worker") as threads:
        futures = [threads.submit(crew.do, work, task, failure, fault) for task in queue]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()
            crew.end()


class _Crew:
    """The workers of one call. Each thread that calls :meth:`do` has one at a time."""

    def __init__(self) -> None:
        self._busy: dict[Any, Future[Any]] = {}
        self._ending = False
        self._start = threading.Lock()

    def do(
        self,
        work: Callable[[Task], Result],
        task: Task,
        failure: Callable[[Task, BrainError], Failure],
        fault: type[BrainError],
    ) -> Result | Failure:
        """A task's result or failure, by a worker; by a second one if the first dies of it."""
        for attempt in range(1, _ATTEMPTS + 1):
            # An idle worker may be dead without anybody's notice: the second try is a new one's.
            pool = _idle_pool() if attempt == 1 else _new_pool()
            try:
                with self._start:
                    if self._ending:
                        raise CancelledError
                    future = pool.submit(_attempt, work, task, failure, fault)
                    self._busy[pool] = future
                outcome: Result | Failure = future.result()
            except BrokenExecutor as error:
                if self._ending:
                    raise
                logger.warning("a worker process died, attempt %d of %d", attempt, _ATTEMPTS)
                logger.debug("%s", error)
            else:
                with _lock:
                    _pools.append(pool)
                return outcome
            finally:
                self._busy.pop(pool, None)
        cause = (
            "its worker process died, and another one that tried it again, for want of memory "
            "perhaps; ask for fewer jobs"
        )
        return failure(task, fault(cause))

    def end(self) -> None:
        """Kill the workers that are still at work: nobody waits for their results."""
        with self._start:
            self._ending = True
        for pool, future in list(self._busy.items()):
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

    # A worker that imported torch looks like a leak to the pool, which replaces it; no warning.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    return ProcessPoolExecutor(max_workers=1, timeout=_IDLE_SECONDS, env=_ONE_THREAD)


def _attempt(
    work: Callable[[Task], Result],
    task: Task,
    failure: Callable[[Task, BrainError], Failure],
    fault: type[BrainError],
) -> Result | Failure:
    die_with_parent()
    try:
        return work(task)
    except BrainError as error:
        return failure(task, error)
    except Exception as error:
        # A library's error in one task must not stop the others.
        outcome = failure(task, fault(f"{type(error).__name__}: {error}"))
        logger.exception("%s failed", outcome.what)
        return outcome
