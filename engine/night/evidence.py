"""Evidence of lines in the series store: backtests once, live nights as they are shadowed."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from brain.lines import Line, line_of
from brain.naming import REGIMES
from engine.evaluation.nights import DAY_NS, NightTable

if TYPE_CHECKING:
    from brain.series.store.store import SeriesStore
    from engine.data.dataset import Dataset
    from engine.night.training import TrainingResult

__all__ = ["BACKTEST", "LIVE", "append", "append_backtests", "evidence_frame", "known_nights"]

logger = logging.getLogger(__name__)

#: The sources of evidence.
LIVE, BACKTEST = "live", "backtest"


def evidence_frame(
    line: Line, symbol: str, nights: NightTable, *, source: str, version: str, tried: float = 1.0
) -> pd.DataFrame:
    """Rows of the store's kind ``evidence``: a night and regime each.

    Args:
        line, symbol: of the evidence.
        nights: of the line on the symbol.
        source: :data:`LIVE` or :data:`BACKTEST`.
        version: model id or, of a backtest, the recipe's id.
        tried: recipes that were tried on these nights.
    """
    rows, regimes = nights.profit.shape
    return pd.DataFrame(
        {
            "timeframe": line.timeframe,
            "line": line.id,
            "symbol": symbol,
            "regime": [str(regime) for regime in REGIMES] * rows,
            "time": pd.to_datetime(np.repeat(nights.days, regimes) * DAY_NS, utc=True),
            "profit": nights.profit.reshape(-1),
            "volatility": np.repeat(nights.volatility, regimes),
            "turnover": nights.turnover.reshape(-1),
            "missing": np.repeat(nights.missing, regimes),
            "bars": np.repeat(nights.bars, regimes),
            "source": source,
            "version": version,
            "tried": tried,
        }
    )


def known_nights(store: SeriesStore, dataset: Dataset) -> pd.DataFrame:
    """The nights of a symbol that have evidence: ``line``, ``time``, ``source`` and ``version``."""
    columns = ("line", "time", "source", "version")
    return store.read(
        "evidence", timeframe=dataset.timeframe, symbol=dataset.symbol, columns=columns
    )


def append_backtests(
    store: SeriesStore, dataset: Dataset, trainings: Collection[TrainingResult]
) -> None:
    """Freeze the walk-forward of each line that is judged on the symbol for the first time.

    It ends before the line's first live night. What was tried on its nights are the trials of its
    search, by their effective number, and the recipes whose backtests are stored already.

    Args:
        store: of the evidence.
        dataset: of the symbol.
        trainings: of the symbol, one a line.
    """
    known = known_nights(store, dataset)
    backtests = known[known["source"] == BACKTEST]
    frames = []
    for training in trainings:
        line = line_of(training.recipe)
        if (backtests["line"] == line.id).any():
            continue
        live = known.loc[known["line"] == line.id, "time"]
        first = live.min().value // DAY_NS if len(live) else np.iinfo(np.int64).max
        frames.append(
            evidence_frame(
                line,
                dataset.symbol,
                training.nights.nights(training.nights.days < first),
                source=BACKTEST,
                version=training.recipe.id,
                tried=training.tried + backtests["version"].nunique(),
            )
        )
    if frames:
        append(store, "evidence", pd.concat(frames))


def append(store: SeriesStore, kind: str, rows: pd.DataFrame) -> None:
    """Append rows; the log says how many would be other ones today than those that are stored."""
    counts = store.append(kind, rows)
    if counts.different:
        logger.warning(
            "%d of %d rows of %s are stored with other values, which stay",
            counts.different, counts.rows, kind,
        )  # fmt: skip
