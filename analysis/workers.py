"""Analysis side by side in worker processes, one thread each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.comparing import Compared, DriftTask, compare
from analysis.explaining import Explained, ExplainTask, explain
from analysis.results import AnalysisFailure, Stage
from engine.workers import side_by_side
from registry.errors import AnalysisError, BrainError
from registry.naming import Family

__all__ = ["Task", "analyse_all"]

Task = ExplainTask | DriftTask

# Relative cost of explaining a family's version, and of comparing a symbol's data.
_COST = {Family.LSTM: 3, Family.XGBOOST: 1, Family.LIGHTGBM: 1}
_DRIFT_COST = 2


def analyse_all(
    tasks: Sequence[Task], *, jobs: int
) -> Iterator[Explained | Compared | AnalysisFailure]:
    """Do the tasks side by side; see :func:`engine.workers.side_by_side`."""
    return side_by_side(
        _analyse, tasks, jobs=jobs, cost=_cost, failure=_failure, fault=AnalysisError
    )


def _analyse(task: Task) -> Explained | Compared:
    return explain(task) if isinstance(task, ExplainTask) else compare(task)


def _cost(task: Task) -> int:
    return _COST[task.family] if isinstance(task, ExplainTask) else _DRIFT_COST


def _failure(task: Task, error: BrainError) -> AnalysisFailure:
    if isinstance(task, ExplainTask):
        return AnalysisFailure(task.symbol, Stage.EXPLANATION, error, task.model_id)
    return AnalysisFailure(task.symbol, Stage.DRIFT, error)
