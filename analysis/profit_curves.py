"""The curves of a version's profit, from its out-of-sample table and nothing else.

The table is that of :func:`engine.evaluation.profit_table.out_of_sample_table`. Rows that have no
value have none in the curves either, and the sums go on after them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import pandas as pd

from analysis.sampling import Array, spread
from brain.errors import AnalysisError
from brain.naming import Regime

__all__ = [
    "RegimeSpan",
    "check_table",
    "cumulated",
    "drawdown",
    "ic_window",
    "missing_parts",
    "regime_spans",
    "rolling_rank_ic",
]

_COLUMNS = ("prediction", "target", "close", "gross", "net", "delayed", "regime")
#: What a figure says of its table.
_WORDS = ("horizon", "fill")
_SHARE, _LEAST_ROWS = 10, 100
_POINTS = 400


def missing_parts(table: pd.DataFrame) -> list[str]:
    """The columns and words that a figure needs and a table lacks."""
    columns = [column for column in _COLUMNS if column not in table]
    return columns + [word for word in _WORDS if word not in table.attrs]


def check_table(table: pd.DataFrame, name: str) -> None:
    """Check that there is a profit to show.

    Args:
        table: of a version, which lacks nothing.
        name: of the table, for messages.

    Raises:
        AnalysisError: no bar has a profit.
    """
    if not table["net"].notna().any():
        raise AnalysisError(f"no bar in {name} has a profit to draw; bring a longer history")


def cumulated(table: pd.DataFrame) -> pd.DataFrame:
    """Sums up to each bar, as shares of a constant capital; NaN where a bar has none.

    Returns:
        ``net``, ``gross``, ``delayed`` as in the table, and ``hold``: the sum of simple returns
        from close to close, those over missing bars belonging to the next bar.
    """
    close = table["close"].dropna()
    hold = close.pct_change().reindex(table.index)
    return table[["net", "gross", "delayed"]].assign(hold=hold).cumsum()


def drawdown(curve: pd.Series[float]) -> pd.Series[float]:
    """What a cumulated profit lies below its maximum so far, the 0 of the start included; <= 0."""
    return curve - curve.cummax().clip(lower=0.0)


def ic_window(rows: int) -> int:
    """Rows of a rolling rank IC: a tenth of them all, at least 100."""
    return max(rows // _SHARE, _LEAST_ROWS)


def rolling_rank_ic(table: pd.DataFrame) -> pd.Series[float]:
    """Spearman correlation of prediction and target over the last :func:`ic_window` rows.

    At no more than 400 rows, spread evenly. NaN where less than half of the window's rows have
    both, or where either is constant.
    """
    window = ic_window(len(table))
    pairs = table[["prediction", "target"]].to_numpy(dtype=np.float64)
    ends = spread(np.arange(window, len(table) + 1), _POINTS)
    values = [_rank_ic(pairs[end - window : end]) for end in ends]
    return pd.Series(values, index=table.index[ends - 1], dtype=np.float64)


def _rank_ic(pairs: Array) -> float:
    known = pairs[np.isfinite(pairs).all(axis=1)]
    if 2 * len(known) < len(pairs):
        return float("nan")
    ranks = pd.DataFrame(known).rank().to_numpy()  # scipy.stats takes every job half a second
    if not (ranks.std(axis=0) > 0).all():
        return float("nan")
    return float(np.corrcoef(ranks, rowvar=False)[0, 1])


@dataclass(frozen=True)
class RegimeSpan:
    """An unbroken run of rows of one regime, from its first row to the next run's first."""

    regime: Regime
    start: pd.Timestamp
    end: pd.Timestamp


def regime_spans(regime: pd.Series[str]) -> list[RegimeSpan]:
    """The runs of known regimes, in the order of time; unknown rows belong to none.

    The last run ends at the last row.

    Args:
        regime: names of regimes by time; missing is unknown.
    """
    names = regime.astype(object).where(regime.notna(), None)
    runs = [(name, sum(1 for _ in group)) for name, group in groupby(names)]
    edges = np.cumsum([0, *(length for _, length in runs)])
    times = regime.index[np.minimum(edges, len(regime) - 1)]
    return [
        RegimeSpan(Regime(name), start, end)
        for (name, _), (start, end) in zip(runs, pairwise(times), strict=True)
        if name is not None
    ]
