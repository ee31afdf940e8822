"""Bars from the series store: what training reads where candles have been collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.bars import Bars, check_bars, parse_timeframe
from registry.errors import UnknownSymbolError
from registry.naming import perpetual

if TYPE_CHECKING:
    from registry.series.store import SeriesStore

__all__ = ["bars_of"]


def bars_of(store: SeriesStore, exchange: str, symbol: str, timeframe: str) -> Bars:
    """One exchange's candles of a symbol's perpetual as checked bars.

    Args:
        store: the series store.
        exchange: the venue's name, ``binance``.
        symbol: ``BTC/USDT`` or ``BTC/USDT:USDT``; the bars are called as asked.
        timeframe: of the candles.

    Returns:
        The series on its grid; candles that were not to be had are rows of NaN, and ``repairs``
        counts them.

    Raises:
        InputError: the symbol has no perpetual, or the timeframe is none.
        UnknownSymbolError: the store holds no such candles.
        BarsError: the candles are broken, or more than half of them are missing.
        SeriesStoreError: the store can't be read.
    """
    parse_timeframe(timeframe)
    contract = perpetual(symbol)
    candles = store.read("candles", symbol=contract, exchange=exchange, timeframe=timeframe)
    if candles.empty:
        raise UnknownSymbolError(
            f"the store holds no {timeframe} candles of {contract} on {exchange}; collect them "
            "first, or correct symbol, exchange or timeframe"
        )
    return check_bars(
        candles, symbol=symbol, timeframe=timeframe, source=f"{contract} on {exchange}"
    )
