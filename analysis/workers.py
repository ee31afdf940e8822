"""The tasks of an analysis side by side in worker processes, one thread each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from analysis.drift_report import DriftResult, DriftTask, compare
from analysis.explanation import Explanation, ExplanationTask, explain
from analysis.failures import Stage
from brain.errors import AnalysisError, BrainError
from brain.naming import Family
from brain.work import Failure
from brain.workers import side_by_side

__all__ = ["Task", "analyse_all"]

Task = ExplanationTask | DriftTask

# Relative cost of explaining a family's version, and of comparing a symbol's data.
_COST = {Family.LSTM: 3, Family.XGBOOST: 1, Family.LIGHTGBM: 1}
_DRIFT_COST = 2


def analyse_all(
    tasks: Sequence[Task], *, jobs: int
) -> Iterator[Explanation | DriftResult | Failure]:
    """The tasks' results as they are done; see :func:`brain.workers.side_by_side`."""
    return side_by_side(
        _analyse, tasks, jobs=jobs, cost=_cost, failure=_failure, fault=AnalysisError
    )


def _analyse(task: Task) -> Explanation | DriftResult:
    return explain(task) if isinstance(task, ExplanationTask) else compare(task)


def _cost(task: Task) -> int:
    return _COST[task.family] if isinstance(task, ExplanationTask) else _DRIFT_COST


def _failure(task: Task, error: BrainError) -> Failure:
    if isinstance(task, ExplanationTask):
        return Failure(task.model_id, error, Stage.EXPLANATION, symbol=task.symbol)
    return Failure(task.symbol, error, Stage.DRIFT, symbol=task.symbol)
