"""Analysis side by side in worker processes, one thread each."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from analysis.comparing import Compared, DriftTask, compare
from analysis.explaining import Explained, ExplainTask, explain
from analysis.results import AnalysisFailure, Stage
from registry.errors import AnalysisError, BrainError
from registry.naming import Family

__all__ = ["Task", "analyse_all"]

logger = logging.getLogger(__name__)

Task = ExplainTask | DriftTask

# The dearest start first, so that no worker idles while the last of them runs alone.
_COST = {Family.LSTM: 3, Family.XGBOOST: 1, Family.LIGHTGBM: 1}
_DRIFT_COST = 2


def analyse_all(
    tasks: Sequence[Task], *, jobs: int
) -> Iterator[Explained | Compared | AnalysisFailure]:
    """Do the tasks; results come as they are done, one for each task.

    A task's fault is a failure in the stream, and the others go on.
    """
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    if not tasks:
        return
    waiting = {_key(task): task for task in sorted(tasks, key=_cost, reverse=True)}
    parallel = Parallel(n_jobs=min(jobs, len(tasks)), return_as="generator_unordered")
    try:
        for key, outcome in parallel(delayed(_attempt)(task) for task in list(waiting.values())):
            del waiting[key]
            yield outcome
    except TerminatedWorkerError:
        for task in list(waiting.values()):
            cause = "its worker process died, for want of memory perhaps; ask for fewer jobs"
            yield _failure(task, AnalysisError(cause))


def _attempt(task: Task) -> tuple[tuple[str, str], Explained | Compared | AnalysisFailure]:
    from registry.processes import die_with_parent

    die_with_parent()
    outcome: Explained | Compared | AnalysisFailure
    try:
        outcome = explain(task) if isinstance(task, ExplainTask) else compare(task)
    except BrainError as error:
        outcome = _failure(task, error)
    except Exception as error:
        # A library's fault on one model must not cost the night of the others.
        logger.exception("analysis of %s failed", " ".join(_key(task)))
        outcome = _failure(task, AnalysisError(f"{type(error).__name__}: {error}"))
    return _key(task), outcome


def _key(task: Task) -> tuple[str, str]:
    return task.symbol, task.model_id if isinstance(task, ExplainTask) else ""


def _cost(task: Task) -> int:
    return _COST[task.family] if isinstance(task, ExplainTask) else _DRIFT_COST


def _failure(task: Task, error: BrainError) -> AnalysisFailure:
    if isinstance(task, ExplainTask):
        return AnalysisFailure(task.symbol, Stage.EXPLANATION, error, task.model_id)
    return AnalysisFailure(task.symbol, Stage.DRIFT, error)
