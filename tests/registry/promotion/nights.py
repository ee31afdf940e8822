"""Nights of a contest in a series store, for the tests of its course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from brain.lines import Line
from brain.naming import REGIMES, Family
from brain.series.store.store import SeriesStore
from registry.promotion.closings import close_night, day_start
from tests.registry.promotion.evidence import Array

NAME = "1h.6"
FIRST = 20_000
LINES = tuple(Line(f, "bars-1", "1h", 6, "scaled return", "all rows") for f in sorted(Family))
LIGHTGBM, LSTM, XGBOOST = (line.id for line in LINES)
SYMBOLS = ("AAA/USD", "BBB/USD")


def evidence_rows(
    day: int,
    values: Array,
    *,
    symbols: Sequence[str] = SYMBOLS,
    lines: Sequence[Line] = LINES,
    source: str = "live",
    tried: float = 1.0,
    bars: int = 24,
) -> pd.DataFrame:
    """Rows of (nights, symbols, regimes, lines) from a day on."""
    n, s, r, k = (axis.ravel() for axis in np.indices(values.shape))
    return pd.DataFrame(
        {
            "timeframe": "1h",
            "line": np.array([line.id for line in lines])[k],
            "symbol": np.array(symbols)[s],
            "regime": np.array([str(regime) for regime in REGIMES])[r],
            "time": pd.to_datetime([day_start(day + int(i)) for i in n], utc=True).as_unit("us"),
            "profit": values.ravel(),
            "volatility": 0.02,
            "turnover": 0.5,
            "missing": 0.0,
            "bars": bars,
            "source": source,
            "version": "AAA-USD.1h.6/1",
            "tried": tried,
        }
    )


def close(
    store: SeriesStore,
    day: int,
    symbols: Sequence[str] = SYMBOLS,
    lines: Sequence[Line] | Mapping[str, Sequence[Line]] = LINES,
) -> bool:
    of = lines if isinstance(lines, Mapping) else dict.fromkeys(symbols, lines)
    return close_night(store, NAME, day, of)


def live(nights: int = 100, *, edge: float = 0.0, seed: int = 0, symbols: int = 2) -> Array:
    """(nights, symbols, regimes, lines); xgboost, the last line, has an edge in every cell."""
    rng = np.random.default_rng(seed)
    values = rng.standard_t(4, (nights, symbols, len(REGIMES), len(LINES)))
    values[..., 2] += edge
    values[rng.random(values.shape) < 0.2] = np.nan
    return values
