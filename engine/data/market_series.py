"""A symbol's funding, open interest, sentiment and liquidations, stored and for the kernels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from brain.brief import Brief
from brain.errors import InputError
from brain.naming import parse_symbol, perpetual
from brain.series.bars import Bars, parse_timeframe
from brain.series.source import bars_of
from brain.series.store.schema import KINDS
from engine.data.liquidation_series import LiquidationSeries, read_liquidations
from engine.data.open_interest import read_open_interest
from engine.data.row_columns import TIMES, times_of, values_of
from engine.data.sentiment_series import SentimentSeries, read_sentiment
from engine.kernels.market_features import FundingRows, OpenInterestRows

if TYPE_CHECKING:
    from brain.series.store.store import SeriesStore
    from brain.settings import Settings
    from registry.library import BrainLibrary

__all__ = [
    "MarketReader",
    "MarketSeries",
    "no_market",
    "open_markets",
    "past_markets",
    "read_market_series",
]

_FUNDING = ("rate", "interval_hours")
_OPEN_INTEREST = ("base", "usd")
_FINER = ("1m", "3m", "5m", "15m", "30m", "1h", "4h")


@dataclass(frozen=True, eq=False, repr=False)
class MarketSeries(Brief):
    """Funding, open interest and liquidations of a symbol's perpetual; sentiment on its coin.

    Attributes:
        symbol: whose bars they are joined to, ``BTC/USDT``.
        funding: a row a settlement: exchange, time, rate (fraction per interval), interval_hours,
            available. Times are in UTC with a zone; NaN is unknown; rows in any order, other
            columns are ignored, and a row without a time or an ``available`` doesn't count.
        open_interest: a row a stamp: exchange, time, base (base units), usd, available.
        finer: bars of a shorter timeframe, which tell the first price after a close; None if there
            are none.
        sentiment: on the symbol's coin; None if there is none.
        liquidations: by minute; None if there are none.

    Raises:
        InputError: a column is missing, or a time has no zone.
    """

    symbol: str
    funding: pd.DataFrame
    open_interest: pd.DataFrame
    finer: Bars | None = None
    sentiment: SentimentSeries | None = None
    liquidations: LiquidationSeries | None = None

    def __post_init__(self) -> None:
        for kind, frame, numbers in self._kinds():
            columns = ("exchange", *TIMES, *numbers)
            if missing := [name for name in columns if name not in frame.columns]:
                raise InputError(
                    f"{self.symbol}: {kind} has no column {missing[0]!r}; give {', '.join(columns)}"
                )
            for name in TIMES:
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
                for times in times_of(rows):
                    digest.update(times.astype("<i8").tobytes())
                for name in numbers:
                    digest.update(values_of(rows, name).astype("<f8").tobytes())
        for other in (self.finer, self.sentiment, self.liquidations):
            if other is not None:
                digest.update(other.digest.encode())
        return digest.hexdigest()

    def at(self, moment: pd.Timestamp) -> MarketSeries | None:
        """What was public at a moment; None if nothing was."""
        funding, open_interest = (
            frame[frame["available"] <= moment].reset_index(drop=True)
            for frame in (self.funding, self.open_interest)
        )
        sentiment = None if self.sentiment is None else self.sentiment.at(moment)
        liquidations = None if self.liquidations is None else self.liquidations.at(moment)
        if funding.empty and open_interest.empty and sentiment is None and liquidations is None:
            return None
        finer = None if self.finer is None else _finer_at(self.finer, moment)
        return MarketSeries(self.symbol, funding, open_interest, finer, sentiment, liquidations)

    @property
    def perpetual(self) -> bool:
        """Whether there is funding or open interest, and not something else alone."""
        alone = self.sentiment is not None or self.liquidations is not None
        return not (alone and self.funding.empty and self.open_interest.empty)

    def funding_rows(self) -> dict[str, FundingRows]:
        """The kernel's rows by exchange, in the order of time; exchanges always in one order."""
        return {
            exchange: FundingRows(
                *times_of(rows), values_of(rows, "rate"), values_of(rows, "interval_hours")
            )
            for exchange, rows in _by_exchange(self.funding)
        }

    def settlements(self, exchange: str) -> FundingRows:
        """One exchange's rows in the order of time; none if it has none."""
        rows = self.funding[self.funding["exchange"] == exchange]
        rows = rows.dropna(subset=["time"]).sort_values("time", kind="stable")
        return FundingRows(
            *times_of(rows), values_of(rows, "rate"), values_of(rows, "interval_hours")
        )

    def open_interest_rows(self) -> dict[str, OpenInterestRows]:
        """The kernel's rows by exchange, in the order of time; exchanges always in one order."""
        return {
            exchange: OpenInterestRows(
                *times_of(rows), values_of(rows, "base"), values_of(rows, "usd")
            )
            for exchange, rows in _by_exchange(self.open_interest)
        }

    def __repr__(self) -> str:
        parts = [
            self.symbol,
            f"{len(self.funding)} settlements",
            f"{len(self.open_interest)} rows of open interest",
            *(repr(one) for one in (self.sentiment, self.liquidations) if one is not None),
        ]
        return f"MarketSeries({', '.join(parts)})"

    def _kinds(self) -> tuple[tuple[str, pd.DataFrame, tuple[str, ...]], ...]:
        return (
            ("funding", self.funding, _FUNDING),
            ("open interest", self.open_interest, _OPEN_INTEREST),
        )


#: A symbol's market series; None if it has none.
MarketReader = Callable[[str], MarketSeries | None]


def no_market(_symbol: str) -> MarketSeries | None:
    """A reader of symbols that have neither funding nor open interest nor sentiment."""
    return None


def past_markets(reader: MarketReader, moment: pd.Timestamp) -> MarketReader:
    """Reads what another reader gives as it was public at a moment."""

    def at(symbol: str) -> MarketSeries | None:
        market = reader(symbol)
        return None if market is None else market.at(moment)

    return at


def read_market_series(
    store: SeriesStore,
    symbol: str,
    exchanges: Sequence[str],
    timeframe: str,
    publishers: Sequence[str] = (),
    streams: Sequence[str] = (),
) -> MarketSeries | None:
    """The store's rows of a symbol's perpetual, and on its coin; None without any.

    Args:
        store: the series store.
        symbol: ``BTC/USDT`` or ``BTC/USDT:USDT``; a symbol without a perpetual has neither funding
            nor open interest.
        exchanges: the rows' exchanges; all if empty.
        timeframe: of the bars, and of open interest, whose finer rows stand for those that are
            missing; the finest candles that are finer, of the first exchange, come with the rows.
        publishers: of sentiment, see :func:`engine.data.sentiment_series.read_sentiment`.
        streams: exchanges whose liquidations are read, see
            :func:`engine.data.liquidation_series.read_liquidations`.

    Raises:
        InputError: the symbol is none.
        SeriesStoreError: the store can't be read.
    """
    symbol = parse_symbol(symbol)
    others = read_sentiment(store, symbol, publishers), read_liquidations(store, symbol, streams)
    funding, open_interest = _of_perpetual(store, symbol, list(exchanges) or None, timeframe)
    if funding.empty and open_interest.empty and others == (None, None):
        return None
    finer = _finer_bars(store, symbol, exchanges[0], timeframe) if exchanges else None
    return MarketSeries(symbol, funding, open_interest, finer, *others)


def _of_perpetual(
    store: SeriesStore, symbol: str, selection: list[str] | None, timeframe: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Funding and open interest; no rows if the symbol has no perpetual, or none are stored."""
    try:
        contract = perpetual(symbol)
    except InputError:
        selection, contract = [], symbol
    columns = ["exchange", *TIMES]
    funding = store.read(
        "funding", symbol=contract, exchange=selection, columns=[*columns, *_FUNDING]
    )
    return funding, read_open_interest(store, contract, selection, timeframe)


def _finer_at(finer: Bars, moment: pd.Timestamp) -> Bars | None:
    try:
        return finer.at(moment)
    except InputError:  # none were complete, or these are of no use
        return None


def _finer_bars(store: SeriesStore, symbol: str, exchange: str, timeframe: str) -> Bars | None:
    """The finest stored candles of a symbol that are finer than a timeframe."""
    step = parse_timeframe(timeframe)
    for name in _FINER:
        if parse_timeframe(name) >= step:
            return None
        try:
            return bars_of(store, exchange, symbol, name)
        except InputError:  # none are stored, or these are of no use
            continue
    return None


def open_markets(library: BrainLibrary, settings: Settings) -> MarketReader:
    """Reads a symbol's market series of the settings; None where there are none.

    Args:
        library: whose series store is read.
        settings: exchanges, publishers, whose liquidations, and the timeframe of open interest.

    Returns:
        A function of the symbol; it raises SeriesStoreError if the store can't be read.
    """

    def reader(symbol: str) -> MarketSeries | None:
        if settings.exchanges:
            return read_market_series(
                library.series,
                symbol,
                settings.exchanges,
                settings.candle_timeframe,
                settings.sentiment,
                settings.liquidations,
            )
        sentiment = read_sentiment(library.series, symbol, settings.sentiment)
        liquidations = read_liquidations(library.series, symbol, settings.liquidations)
        if sentiment is None and liquidations is None:
            return None
        return MarketSeries(symbol, *_nothing(), None, sentiment, liquidations)

    return reader


def _nothing() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Funding and open interest without rows."""
    return KINDS["funding"].empty(), KINDS["open_interest"].empty()


def _by_exchange(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Each exchange's rows in the order of time; the exchanges always in the same order."""
    ordered = frame.dropna(subset=list(TIMES)).sort_values(list(TIMES), kind="stable")
    return [(str(name), rows) for name, rows in ordered.groupby("exchange", sort=True)]
