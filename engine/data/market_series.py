"""A symbol's funding and open interest: read from the series store, and handed to the kernel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.errors import InputError
from brain.naming import parse_symbol, perpetual
from engine.kernels.market_features import FundingRows, OpenInterestRows, compute

if TYPE_CHECKING:
    from brain.series.bars import Bars
    from brain.series.store.store import SeriesStore
    from brain.settings import Settings
    from engine.kernels.windows import Floats
    from registry.library import BrainLibrary

__all__ = ["MarketSeries", "market_rows", "read_all_market_series", "read_market_series"]

_TIMES = ("time", "available")
_FUNDING = ("rate", "interval_hours")
_OPEN_INTEREST = ("base", "usd")


@dataclass(frozen=True, eq=False)
class MarketSeries:
    """What was published of a symbol's perpetual, on one or several exchanges.

    Attributes:
        symbol: the symbol whose bars it is joined to, ``BTC/USDT``.
        funding: a row a settlement: exchange, time, rate (fraction per interval), interval_hours,
            available. Times are in UTC with a zone; NaN is unknown; rows in any order, other
            columns are ignored, and a row without a time or an ``available`` doesn't count.
        open_interest: a row a stamp: exchange, time, base (base units), usd, available.

    Raises:
        InputError: a column is missing, or a time has no zone.
    """

    symbol: str
    funding: pd.DataFrame
    open_interest: pd.DataFrame

    def __post_init__(self) -> None:
        for kind, frame, numbers in self._kinds():
            wanted = ("exchange", *_TIMES, *numbers)
            if missing := [name for name in wanted if name not in frame.columns]:
                raise InputError(
                    f"{self.symbol}: {kind} has no column {missing[0]!r}; give {', '.join(wanted)}"
                )
            for name in _TIMES:
                if not isinstance(frame[name].dtype, pd.DatetimeTZDtype):
                    raise InputError(
                        f"{self.symbol}: {kind}'s {name} is {frame[name].dtype}; "
                        "give moments with a zone, in UTC"
                    )

    @property
    def digest(self) -> str:
        """SHA-256 of symbol and rows, whatever their order, in hexadecimal."""
        digest = hashlib.sha256(json.dumps(self.symbol).encode())
        for kind, frame, numbers in self._kinds():
            for exchange, rows in _by_exchange(frame):
                digest.update(json.dumps([kind, exchange, len(rows)]).encode())
                for times in _times(rows):
                    digest.update(times.astype("<i8").tobytes())
                for name in numbers:
                    digest.update(_values(rows, name).astype("<f8").tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        return (
            f"MarketSeries({self.symbol}, {len(self.funding)} settlements, "
            f"{len(self.open_interest)} rows of open interest)"
        )

    def _kinds(self) -> tuple[tuple[str, pd.DataFrame, tuple[str, ...]], ...]:
        return (
            ("funding", self.funding, _FUNDING),
            ("open interest", self.open_interest, _OPEN_INTEREST),
        )


def read_market_series(
    store: SeriesStore, symbol: str, exchanges: Sequence[str], timeframe: str
) -> MarketSeries | None:
    """What the store holds of a symbol's perpetual; None if that is nothing.

    Args:
        symbol: ``BTC/USDT`` or ``BTC/USDT:USDT``; one that no perpetual is of has no series.
        exchanges: whose rows; all exchanges' if empty.
        timeframe: of open interest, which may be stored at several.

    Raises:
        InputError: the symbol is none.
        SeriesStoreError: the store can't be read.
    """
    symbol = parse_symbol(symbol)
    try:
        contract = perpetual(symbol)
    except InputError:
        return None
    whose = list(exchanges) or None
    columns = ["exchange", *_TIMES]
    funding = store.read("funding", symbol=contract, exchange=whose, columns=[*columns, *_FUNDING])
    open_interest = store.read(
        "open_interest",
        symbol=contract,
        exchange=whose,
        timeframe=timeframe,
        columns=[*columns, *_OPEN_INTEREST],
    )
    if funding.empty and open_interest.empty:
        return None
    return MarketSeries(symbol, funding, open_interest)


def read_all_market_series(
    library: BrainLibrary, settings: Settings, symbols: Iterable[str]
) -> dict[str, MarketSeries]:
    """The symbols' market series of the settings' exchanges, by symbol, where there are any.

    Raises:
        SeriesStoreError: the store can't be read.
    """
    if not settings.exchanges:
        return {}
    series = {
        symbol: read_market_series(library.series, symbol, settings.exchanges, settings.timeframe)
        for symbol in symbols
    }
    return {symbol: rows for symbol, rows in series.items() if rows is not None}


def market_rows(bars: Bars, market: MarketSeries) -> Floats:
    """The :data:`engine.kernels.market_features.MARKET_FEATURES` of every bar, (N, F); NaN is unknown.

    Raises:
        InputError: the series are another symbol's.
    """
    if _contract(bars.symbol) != _contract(market.symbol):
        raise InputError(
            f"the market series are of {market.symbol} and the bars of {bars.symbol}; "
            "give those of one symbol"
        )
    opened, high, low, close, volume = (
        bars.frame[name].to_numpy(dtype=np.float64)
        for name in ("open", "high", "low", "close", "volume")
    )
    funding = [
        FundingRows(*_times(rows), _values(rows, "rate"), _values(rows, "interval_hours"))
        for _, rows in _by_exchange(market.funding)
    ]
    open_interest = [
        OpenInterestRows(*_times(rows), _values(rows, "base"), _values(rows, "usd"))
        for _, rows in _by_exchange(market.open_interest)
    ]
    at_ns = bars.close_time.as_unit("ns").asi8
    return compute((opened, high, low, close), volume, at_ns, funding, open_interest)


def _contract(symbol: str) -> str:
    try:
        return perpetual(symbol)
    except InputError:
        return symbol


def _by_exchange(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Each exchange's rows in the order of time; the exchanges always in the same order."""
    whole = frame.dropna(subset=list(_TIMES)).sort_values(list(_TIMES), kind="stable")
    return [(str(name), rows) for name, rows in whole.groupby("exchange", sort=True)]


def _times(rows: pd.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stamps and moments of publication in nanoseconds since 1970."""
    time, available = (pd.DatetimeIndex(rows[name]).as_unit("ns").asi8 for name in _TIMES)
    return time, available


def _values(rows: pd.DataFrame, name: str) -> Floats:
    values = rows[name].to_numpy(dtype=np.float64, na_value=np.nan) + 0.0  # -0.0 is 0.0
    values[np.isnan(values)] = np.nan  # one bit pattern for all NaN
    return values
