"""The tasks of an analysis as calls for worker processes."""

from __future__ import annotations

from analysis.drift_report import DriftResult, DriftTask, compare
from analysis.explanation import Explanation, ExplanationTask, explain
from analysis.failures import Stage
from brain.errors import AnalysisError, BrainError
from brain.naming import Family
from brain.work import Failure
from brain.workers import Call

__all__ = ["Task", "analysis_call"]

Task = ExplanationTask | DriftTask

# Relative cost of explaining a family's version, and of comparing a symbol's data.
_COST = {Family.LSTM: 3, Family.XGBOOST: 1, Family.LIGHTGBM: 1}
_DRIFT_COST = 2


def analysis_call(task: Task) -> Call:
    """A task for a worker; see :class:`brain.workers.Call`."""
    return Call(_analyse, task, _failure, AnalysisError, _cost(task))


def _analyse(task: Task) -> Explanation | DriftResult:
    return explain(task) if isinstance(task, ExplanationTask) else compare(task)


def _cost(task: Task) -> int:
    return _COST[task.family] if isinstance(task, ExplanationTask) else _DRIFT_COST


def _failure(task: Task, error: BrainError) -> Failure:
    if isinstance(task, ExplanationTask):
        return Failure(task.model_id, error, Stage.EXPLANATION, symbol=task.symbol)
    return Failure(task.symbol, error, Stage.DRIFT, symbol=task.symbol)
