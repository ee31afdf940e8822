"""Work side by side in worker processes, one thread each, where no fault of one stops another."""

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
Done = TypeVar("Done")


def side_by_side(
    work: Callable[[Task], Done],
    tasks: Sequence[Task],
    *,
    jobs: int,
    cost: Callable[[Task], float],
    failure: Callable[[Task, BrainError], Failure],
    fault: type[BrainError],
) -> Iterator[Done | Failure]:
    """Do the tasks; results come as they are done, one for each task.

    Args:
        work: what to do with a task.
        tasks: the dearest start first, so that no worker idles while the last of them runs alone.
        jobs: worker processes at most.
        cost: of a task, relative to the others.
        failure: makes a failure of a task and an error of ours; it takes the result's place.
        fault: what a library's error, or the death of a worker, is told as.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    if not tasks:
        return
    waiting = dict(enumerate(sorted(tasks, key=cost, reverse=True)))
    # A worker that imported torch looks like a leak to the pool, which replaces it: no news.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
    parallel = Parallel(n_jobs=min(jobs, len(tasks)), return_as="generator_unordered")
    calls = [
        delayed(_attempt)(work, number, task, failure, fault) for number, task in waiting.items()
    ]
    try:
        for number, outcome in parallel(calls):
            del waiting[number]
            yield outcome
    except TerminatedWorkerError:
        for task in waiting.values():
            cause = "its worker process died, for want of memory perhaps; ask for fewer jobs"
            yield failure(task, fault(cause))


def _attempt(
    work: Callable[[Task], Done],
    number: int,
    task: Task,
    failure: Callable[[Task, BrainError], Failure],
    fault: type[BrainError],
) -> tuple[int, Done | Failure]:
    die_with_parent()
    try:
        return number, work(task)
    except BrainError as error:
        return number, failure(task, error)
    except Exception as error:
        # A library's fault in one task must not cost the night of the others.
        failed = failure(task, fault(f"{type(error).__name__}: {error}"))
        logger.exception("%s failed", failed.what)
        return number, failed
