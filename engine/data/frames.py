"""The kernels' pandas face: features, targets and regimes of a series of bars, by open time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from engine.data.market_series import MarketSeries, market_rows
from engine.kernels.features import FEATURES, compute
from engine.kernels.market_features import MARKET_FEATURES
from engine.kernels.regimes import RegimeDefinition, RegimeState, classify, volatility
from engine.kernels.targets import forward_return, scaled_target

if TYPE_CHECKING:
    from brain.series.bars import Bars
    from engine.kernels.windows import Floats

__all__ = ["feature_frame", "regime_series", "target_frame"]


def feature_frame(bars: Bars, market: MarketSeries | None = None) -> pd.DataFrame:
    """All features of every bar.

    Args:
        bars: the series.
        market: the symbol's funding and open interest, joined as they were known at each close.

    Returns:
        Columns :data:`engine.kernels.features.FEATURES`, with market series also
        :data:`engine.kernels.market_features.MARKET_FEATURES`, float64, on the bars' own grid; NaN is
        unknown. A row is known at its bar's close, not at the open time that the index shows.

    Raises:
        InputError: the market series are another symbol's.
    """
    rows = compute(*_prices(bars), _column(bars, "volume"), _close_time_ns(bars))
    names = list(FEATURES)
    if market is not None:
        rows = np.column_stack([rows, market_rows(bars, market)])
        names += MARKET_FEATURES
    return pd.DataFrame(rows, index=bars.frame.index, columns=names)


def target_frame(
    bars: Bars, horizon: int, definition: RegimeDefinition | None = None
) -> pd.DataFrame:
    """The return to come of every bar, as such and as a training target.

    Args:
        bars: the series.
        horizon: bars to look forward.
        definition: its window is that of the target's volatility; the standard one if None.

    Returns:
        Columns ``forward_return`` and ``target`` (see :func:`engine.kernels.targets.scaled_target`), float64,
        on the bars' own grid; NaN is unknown.

    Raises:
        InputError: the horizon is not a whole number of at least 1.
    """
    close = _column(bars, "close")
    known = volatility(*_prices(bars), (definition or RegimeDefinition()).window)
    return pd.DataFrame(
        {
            "forward_return": forward_return(close, horizon),
            "target": scaled_target(close, known, horizon),
        },
        index=bars.frame.index,
    )


def regime_series(
    bars: Bars, definition: RegimeDefinition | None = None
) -> tuple[pd.Series, RegimeState]:
    """The regime of every bar.

    Returns:
        A series ``regime`` of int8 codes on the bars' own grid (see :mod:`engine.kernels.regimes`; -1 is
        unknown), and the state with which :func:`engine.kernels.regimes.catch_up` targets the bars to come.
    """
    definition = definition or RegimeDefinition()
    known = volatility(*_prices(bars), definition.window)
    codes, state = classify(known, _close_time_ns(bars), definition)
    return pd.Series(codes, index=bars.frame.index, name="regime"), state


def _prices(bars: Bars) -> tuple[Floats, Floats, Floats, Floats]:
    return (
        _column(bars, "open"),
        _column(bars, "high"),
        _column(bars, "low"),
        _column(bars, "close"),
    )


def _column(bars: Bars, name: str) -> Floats:
    return bars.frame[name].to_numpy(dtype=np.float64)


def _close_time_ns(bars: Bars) -> NDArray[np.int64]:
    return bars.close_time.as_unit("ns").asi8
