"""A version's profit, in a worker: its figure, and a curve small enough for a night's page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.profit_curves import check_table, cumulated, missing_parts
from analysis.sampling import spread
from brain.artifacts import OUT_OF_SAMPLE, PROFIT_FIGURE
from brain.brief import Brief
from brain.errors import AnalysisError
from brain.naming import Family
from brain.records import Estimate
from brain.text import count, plus_minus
from brain.workers import fresh_folder

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "POINTS",
    "ModelProfit",
    "NoProfit",
    "ProfitResult",
    "ProfitTask",
    "measure_profit",
    "model_profit",
]

#: Points of a night's curve: as many as a small picture shows.
POINTS = 120


@dataclass(frozen=True)
class ProfitTask:
    """A version whose profit is to be drawn; holds nothing of MLflow.

    Attributes:
        symbol, model_id, family: of the version.
        sharpe: net, over all bars.
        table: file of the version's out-of-sample table.
        folder: where the figure goes, made by the task; None if the version has its figure.
    """

    symbol: str
    model_id: str
    family: Family
    sharpe: Estimate
    table: Path
    folder: Path | None


@dataclass(frozen=True, repr=False)
class ModelProfit(Brief):
    """What a version earned over all bars, whatever their regime.

    Attributes:
        symbol, model_id, family: of the version.
        sharpe: net.
        first, last: close times of the first and the last row, ISO 8601 in UTC.
        net: the sum of net returns up to rows that are spread evenly from the first to the last, as
            shares of the capital, both ends included.
    """

    symbol: str
    model_id: str
    family: Family
    sharpe: Estimate
    first: str
    last: str
    net: tuple[float, ...]


@dataclass(frozen=True)
class ProfitResult:
    """The profit of a version, and the folder whose figure belongs to its run, if it has none."""

    profit: ModelProfit
    folder: Path | None

    def __str__(self) -> str:
        return f"{self.profit.model_id} {self.profit.family} profit {self.profit.net[-1]:+.1%}"


@dataclass(frozen=True)
class NoProfit:
    """A version without a profit to show, which is no failure, and why."""

    symbol: str
    model_id: str
    reason: str

    def __str__(self) -> str:
        return f"{self.model_id} no profit plot: {self.reason}"


def measure_profit(task: ProfitTask) -> ProfitResult | NoProfit:
    """Read a version's table, and draw its figure if it has none.

    Raises:
        AnalysisError: the table can't be read, is none of a version, or has no profit.
    """
    import pandas as pd

    name = f"{task.model_id}'s {OUT_OF_SAMPLE}"
    try:
        table = pd.read_parquet(task.table)
    except (OSError, ValueError) as error:
        raise AnalysisError(f"{name} can't be read ({error}); train it anew") from error
    if missing := missing_parts(table):
        if "prediction" in missing:
            raise AnalysisError(f"{name} has no predictions, so it is none; train it anew")
        reason = f"stored before its table had {', '.join(missing)}; a version trained anew has one"
        return NoProfit(task.symbol, task.model_id, reason)
    check_table(table, name)
    if task.folder is not None:
        fresh_folder(task.folder)
        _write_figure(task, table, task.folder / PROFIT_FIGURE)
    return ProfitResult(model_profit(task, table), task.folder)


def _write_figure(task: ProfitTask, table: pd.DataFrame, file: Path) -> None:
    from analysis.png import write_png
    from analysis.profit_figure import profit_figure

    sharpe = plus_minus(task.sharpe.value, task.sharpe.error)
    title = f"{task.symbol} {task.family}, {task.model_id}: net Sharpe {sharpe}"
    horizon, fill = table.attrs["horizon"], table.attrs["fill"]
    subtitle = f"out of sample; decisions look {count(horizon, 'bar')} ahead and are {fill}"
    write_png(profit_figure(table, title, subtitle), file)


def model_profit(task: ProfitTask, table: pd.DataFrame) -> ModelProfit:
    """The profit in a version's table; where a row has none, the sum is that of the row before."""
    net = cumulated(table)["net"].ffill().fillna(0.0).to_numpy()
    return ModelProfit(
        symbol=task.symbol,
        model_id=task.model_id,
        family=task.family,
        sharpe=task.sharpe,
        first=table.index[0].isoformat(),
        last=table.index[-1].isoformat(),
        net=tuple(float(value) for value in net[spread(np.arange(len(net)), POINTS)]),
    )
