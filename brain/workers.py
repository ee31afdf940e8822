"""Tasks in worker processes, one thread each; a failure of one task stops no other."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from brain.errors import BrainError
from brain.processes import die_with_parent
from brain.work import Failure

__all__ = ["side_by_side"]

logger = logging.getLogger(__name__)


Task = TypeVar("Task")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    jobs: int,
    cost: Callable[[Task], float],
    failure: Callable[[Task, BrainError], Failure],
    fault: type[BrainError],
) -> Iterator[Result | Failure]:
    """Do the tasks in worker processes.

    Args:
        work: function of a task.
        tasks: the most expensive start first, so that workers end at about the same time.
        jobs: worker processes at most.
        cost: of a task, relative to the others.
        failure: makes the failure of a task from an error of ours.
        fault: class of our error for a library's error or the death of a worker.

    Returns:
        A result or a failure for each task, as they are done.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    if not tasks:
        return
    waiting = dict(enumerate(sorted(tasks, key=cost, reverse=True)))
    # A worker that imported torch looks like a leak to the pool, which replaces it; no warning.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    parallel = Parallel(n_jobs=min(jobs, len(tasks)), return_as="generator_unordered")
    calls = [
        delayed(_attempt)(work, number, task, failure, fault) for number, task in waiting.items()
    ]
    try:
        for number, result in parallel(calls):
            del waiting[number]
            yield result
    except TerminatedWorkerError:
        for task in waiting.values():
            cause = "its worker process died, for want of memory perhaps; ask for fewer jobs"
            yield failure(task, fault(cause))


def _attempt(
    work: Callable[[Task], Result],
    number: int,
    task: Task,
    failure: Callable[[Task, BrainError], Failure],
    fault: type[BrainError],
) -> tuple[int, Result | Failure]:
    die_with_parent()
    try:
        return number, work(task)
    except BrainError as error:
        return number, failure(task, error)
    except Exception as error:
        # A library's error in one task must not stop the others.
        failed = failure(task, fault(f"{type(error).__name__}: {error}"))
        logger.exception("%s failed", failed.what)
        return number, failed
