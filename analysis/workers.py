"""The tasks of an analysis as calls for worker processes."""

from __future__ import annotations

from analysis.drift_report import DriftResult, DriftTask, compare
from analysis.explanation import Explanation, ExplanationTask, explain
from analysis.failures import Stage
from analysis.profit import NoProfit, ProfitResult, ProfitTask, measure_profit
from brain.errors import AnalysisError, BrainError
from brain.naming import Family
from brain.work import Failure
from brain.workers import Call

__all__ = ["Result", "Task", "analysis_call"]

Task = ExplanationTask | DriftTask | ProfitTask
Result = Explanation | DriftResult | ProfitResult | NoProfit

# Relative cost of explaining a family's version, of comparing a symbol's data, and of a profit.
_COST = {Family.LSTM: 3, Family.XGBOOST: 1, Family.LIGHTGBM: 1}
_DRIFT_COST = 2
_PROFIT_COST = 0.2


def analysis_call(task: Task) -> Call:
    """A task for a worker; see :class:`brain.workers.Call`."""
    return Call(_analyse, task, _failure, AnalysisError, _cost(task))


def _analyse(task: Task) -> Result:
    match task:
        case ExplanationTask():
            return explain(task)
        case DriftTask():
            return compare(task)
        case ProfitTask():
            return measure_profit(task)


def _cost(task: Task) -> float:
    match task:
        case ExplanationTask():
            return _COST[task.family]
        case DriftTask():
            return _DRIFT_COST
        case ProfitTask():
            return _PROFIT_COST


def _failure(task: Task, error: BrainError) -> Failure:
    match task:
        case ExplanationTask():
            return Failure(task.model_id, error, Stage.EXPLANATION, symbol=task.symbol)
        case DriftTask():
            return Failure(task.symbol, error, Stage.DRIFT, symbol=task.symbol)
        case ProfitTask():
            return Failure(task.model_id, error, Stage.PROFIT, symbol=task.symbol)
