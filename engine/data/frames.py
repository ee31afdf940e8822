"""Features, targets and regimes of a symbol's bars as pandas, by open time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from brain.errors import InputError
from brain.naming import Fill, perpetual
from engine.data.own_columns import check_names
from engine.kernels.features import FEATURES, bar_features
from engine.kernels.fills import choose_fill, fill_prices, finer_prices
from engine.kernels.liquidations import LIQUIDATION_FEATURES, liquidation_features
from engine.kernels.market_features import MARKET_FEATURES, perpetual_features
from engine.kernels.regime_state import RegimeDefinition, RegimeState
from engine.kernels.regimes import classify, volatility
from engine.kernels.sentiment import SENTIMENT_FEATURES, sentiment_features
from engine.kernels.targets import forward_return, scaled_target

if TYPE_CHECKING:
    from brain.series.bars import Bars
    from engine.data.market_series import MarketSeries
    from engine.kernels.columns import Floats, Times

__all__ = [
    "bar_fill",
    "bar_volatility",
    "feature_frame",
    "open_time_ns",
    "regime_series",
    "target_frame",
]

# With fewer than this share of its fills known, a series is filled in its own bars.
_MOST_FILLED = 0.97


def feature_frame(bars: Bars, market: MarketSeries | None = None) -> pd.DataFrame:
    """All features of every bar.

    Args:
        bars: the symbol's, on their grid.
        market: the symbol's funding, open interest, sentiment and liquidations, joined as they
            were known at each close.

    Returns:
        Columns :data:`engine.kernels.features.FEATURES`, with funding or open interest also
        :data:`engine.kernels.market_features.MARKET_FEATURES`, with sentiment also
        :data:`engine.kernels.sentiment.SENTIMENT_FEATURES`, with liquidations also
        :data:`engine.kernels.liquidations.LIQUIDATION_FEATURES`, then the bars' own columns as they
        are, float64, on the bars' own grid; NaN is unknown. A row is known at its bar's close, not
        at the open time in the index.

    Raises:
        InputError: the market series are another symbol's, or an own column has the name of a
            feature.
    """
    check_names(bars.own)
    prices, volume, times = _prices(bars), _column(bars, "volume"), _close_time_ns(bars)
    columns, names = [bar_features(*prices, volume, times)], [*FEATURES]
    if market is not None:
        _check_symbols(bars, market)
    if market is not None and market.perpetual:
        funding, open_interest = market.funding_rows(), market.open_interest_rows()
        by_exchange = list(funding.values()), list(open_interest.values())
        columns.append(perpetual_features(*prices, volume, times, *by_exchange))
        names += MARKET_FEATURES
    if market is not None and market.sentiment is not None:
        posts, index = market.sentiment.post_rows(), market.sentiment.index_rows()
        columns.append(sentiment_features(*prices, times, list(posts.values()), index))
        names += SENTIMENT_FEATURES
    if market is not None and market.liquidations is not None:
        minutes = list(market.liquidations.rows().values())
        columns.append(liquidation_features(*prices, volume, times, minutes))
        names += LIQUIDATION_FEATURES
    columns.append(bars.frame[list(bars.own)].to_numpy(dtype=np.float64))
    rows = np.column_stack(columns)
    return pd.DataFrame(rows, index=bars.frame.index, columns=[*names, *bars.own])


def bar_volatility(bars: Bars, definition: RegimeDefinition | None = None) -> Floats:
    """The volatility of every bar, (N,), from which its target and its regime are computed.

    Args:
        bars: the symbol's, on their grid.
        definition: its window is the volatility's; the standard one if None.

    Returns:
        Of one bar's log return; NaN is unknown (see :func:`engine.kernels.regimes.volatility`).
    """
    return volatility(*_prices(bars), (definition or RegimeDefinition()).window)


def bar_fill(bars: Bars, finer: Bars | None = None) -> Fill:
    """Where decisions on these bars are filled, see :mod:`engine.kernels.fills`.

    Args:
        bars: the symbol's, on their grid.
        finer: bars of a shorter timeframe; they count where nearly all of the decisions have one.
    """
    if finer is not None:
        filled = np.isfinite(_finer_fills(bars, finer))[:-1]
        exists = np.isfinite(_column(bars, "close"))[1:]
        if exists.any() and filled[exists].mean() >= _MOST_FILLED:
            return Fill.FINER
    return choose_fill(_column(bars, "open"), _column(bars, "close"))


def _finer_fills(bars: Bars, finer: Bars) -> Floats:
    # The market may be closed until the next bar.
    at = np.concatenate([open_time_ns(bars)[1:], _close_time_ns(bars)[-1:]])
    return finer_prices(*_prices(finer), open_time_ns(finer), at)


def target_frame(
    bars: Bars,
    horizon: int,
    definition: RegimeDefinition | None = None,
    *,
    volatility: Floats | None = None,
    fill: Fill | None = None,
    finer: Bars | None = None,
) -> pd.DataFrame:
    """The return to come of every bar, as such and as a training target.

    Args:
        bars: the symbol's, on their grid.
        horizon: bars to look forward.
        definition: its window is that of the target's volatility; the standard one if None.
        volatility: (N,) of :func:`bar_volatility` by that definition; computed if None.
        fill: of each bar's decision; that of :func:`bar_fill` if None.
        finer: bars of a shorter timeframe, for a fill in them.

    Returns:
        Columns ``fill`` (price, :func:`engine.kernels.fills.fill_prices`), ``forward_return`` and
        ``target`` (:func:`engine.kernels.targets.scaled_target`), float64, on the bars' own grid;
        NaN is unknown.

    Raises:
        InputError: the horizon is not a whole number of at least 1, or the fill needs finer bars
            and there are none.
    """
    if volatility is None:
        volatility = bar_volatility(bars, definition)
    fill = fill or bar_fill(bars, finer)
    if fill is not Fill.FINER:
        price = fill_prices(*_prices(bars), fill)
    elif finer is not None:
        price = _finer_fills(bars, finer)
    else:
        raise InputError(
            f"{bars.symbol} has no finer bars than {bars.timeframe} to be filled in; collect "
            "candles of a shorter timeframe too, or leave the fill to the bars"
        )
    return pd.DataFrame(
        {
            "fill": price,
            "forward_return": forward_return(price, horizon),
            "target": scaled_target(price, volatility, horizon),
        },
        index=bars.frame.index,
    )


def regime_series(
    bars: Bars, definition: RegimeDefinition | None = None, *, volatility: Floats | None = None
) -> tuple[pd.Series, RegimeState]:
    """The regime of every bar.

    Args:
        bars: the symbol's, on their grid.
        definition: of the regimes; the standard one if None.
        volatility: (N,) of :func:`bar_volatility` by that definition; computed if None.

    Returns:
        A pandas Series ``regime`` of int8 codes on the bars' own grid (-1 is unknown, see
        :mod:`engine.kernels.regimes`), and the state from which
        :func:`engine.kernels.regimes.catch_up` classifies the bars to come.
    """
    definition = definition or RegimeDefinition()
    if volatility is None:
        volatility = bar_volatility(bars, definition)
    sessions = bars.sessions is not None
    codes, state = classify(volatility, _close_time_ns(bars), definition, sessions=sessions)
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


def open_time_ns(bars: Bars) -> Times:
    """(N,) when the bars open, nanoseconds since 1970 UTC."""
    return pd.DatetimeIndex(bars.frame.index).as_unit("ns").asi8


def _close_time_ns(bars: Bars) -> Times:
    return bars.close_time.as_unit("ns").asi8


def _check_symbols(bars: Bars, market: MarketSeries) -> None:
    if _contract(bars.symbol) != _contract(market.symbol):
        raise InputError(
            f"the market series are of {market.symbol} and the bars of {bars.symbol}; "
            "give those of one symbol"
        )


def _contract(symbol: str) -> str:
    try:
        return perpetual(symbol)
    except InputError:
        return symbol
