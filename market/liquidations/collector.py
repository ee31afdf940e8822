"""Liquidations of symbols: what the streams have stored of them, and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from brain.errors import InputError, NotEnoughBarsError
from brain.naming import perpetual
from brain.series.bars import parse_timeframe
from brain.series.liquidation_minutes import HANDED_ON
from brain.series.listened import heard_liquidations
from brain.series.source import SeriesLibrary
from brain.series.store.queries import to_timestamp
from brain.series.suspects import Suspect, read_suspects
from brain.settings import Settings, load_settings
from market.exchanges.feeds import FEEDS
from market.liquidations.bars import AMOUNTS, exchange_bars, joint_bars, whole_bar
from market.liquidations.cascades import cascades_of, volatility_clusters

__all__ = ["LiquidationCollector", "Liquidations"]

_HOUR = pd.Timedelta(hours=1)
_PAST = pd.Timedelta(days=30)
_CASCADES = "5m"


@dataclass(frozen=True, eq=False)
class Liquidations:
    """What is stored of some symbols' liquidations in a stretch of time.

    Attributes:
        rows: of the store's kind ``liquidations``.
        listening: exchange, symbol, start and end of what was listened to.
        suspects: stretches whose silence is not believed.
        exchanges: whose liquidations these are.
        start, end: of the stretch, the end exclusive.
    """

    rows: pd.DataFrame
    listening: pd.DataFrame
    suspects: tuple[Suspect, ...]
    exchanges: tuple[str, ...]
    start: pd.Timestamp
    end: pd.Timestamp

    def bars(self, symbol: str, timeframe: str = "1h", exchange: str | None = None) -> pd.DataFrame:
        """A symbol's liquidations by bar, of one exchange or of all together.

        Args:
            symbol: ``BTC/USDT`` or ``BTC/USDT:USDT``.
            timeframe: of the bars.
            exchange: its name; None: all, and a bar is unknown where that of any is.

        Returns:
            As of :func:`market.liquidations.bars.exchange_bars`.

        Raises:
            InputError: there is no such timeframe, or no whole bar in the stretch.
        """
        names = self.exchanges if exchange is None else (exchange,)
        return joint_bars([self._bars(perpetual(symbol), name, timeframe) for name in names])

    def whole(self, symbol: str, exchange: str | None = None) -> pd.DataFrame:
        """The whole stretch as one bar; arguments and columns as of :meth:`bars`."""
        names = self.exchanges if exchange is None else (exchange,)
        parts = (self._parts(perpetual(symbol), name) for name in names)
        return joint_bars([whole_bar(*part, self.start, self.end) for part in parts])

    def summary(self) -> pd.DataFrame:
        """A row for each symbol and exchange, of the whole stretch.

        Columns: exchange, symbol, long_usd, short_usd, liquidations, largest_usd (NaN where
        unknown), listened (share of the stretch), lower_bound, suspect (whether any of it is).
        """
        doubted = {(one.exchange, one.symbol) for one in self.suspects}
        tables = [
            self.whole(symbol, exchange).assign(
                exchange=exchange, symbol=symbol, suspect=(exchange, symbol) in doubted
            )
            for symbol in sorted(set(self.listening["symbol"]) | set(self.rows["symbol"]))
            for exchange in self.exchanges
        ]
        columns = ["exchange", "symbol", *AMOUNTS, "listened", "lower_bound", "suspect"]
        if not tables:
            return pd.DataFrame(columns=columns)
        return pd.concat(tables, ignore_index=True)[columns]

    def _bars(self, symbol: str, exchange: str, timeframe: str) -> pd.DataFrame:
        return exchange_bars(*self._parts(symbol, exchange), self.start, self.end, timeframe)

    def _parts(
        self, symbol: str, exchange: str
    ) -> tuple[pd.DataFrame, pd.DataFrame, list[Suspect]]:
        rows, listening = (
            frame[(frame["symbol"] == symbol) & (frame["exchange"] == exchange)]
            for frame in (self.rows, self.listening)
        )
        named = (exchange, symbol)
        return rows, listening, [s for s in self.suspects if (s.exchange, s.symbol) == named]


class LiquidationCollector:
    """The liquidations that exchanges push, of the Brain Library's series store.

    They exist as streams alone: what nobody has listened to is gone. `brain stream` listens; this
    reads what it has stored, or listens itself for a while.

    Args:
        brain_library: a :class:`registry.library.BrainLibrary`; its ``series`` are read.
        exchanges: by name.
        settings: for addresses and the recording's folder; as
            :func:`brain.settings.load_settings` returns them if None.

    Raises:
        InputError: an exchange is not streamed from.
        SettingsError: the settings can't be read.
    """

    def __init__(
        self,
        brain_library: SeriesLibrary,
        exchanges: Sequence[str] = tuple(FEEDS),
        *,
        settings: Settings | None = None,
    ) -> None:
        unknown = [name for name in exchanges if name not in FEEDS]
        if isinstance(exchanges, str) or not exchanges or unknown:
            raise InputError(f"exchanges={exchanges!r}; give a list of some of {', '.join(FEEDS)}")
        self.exchanges = tuple(dict.fromkeys(exchanges))
        self.settings = load_settings() if settings is None else settings
        self._library = brain_library

    def __repr__(self) -> str:
        return f"LiquidationCollector({self._library!r}, exchanges={list(self.exchanges)})"

    def collect_liquidations(
        self,
        symbols: Sequence[str],
        hours: float = 24,
        *,
        until: object = None,
        seconds: float = 0.0,
    ) -> Liquidations:
        """The liquidations of the last hours, with what of them was listened to.

        Args:
            symbols: linear perpetuals, ``BTC/USDT`` or ``BTC/USDT:USDT``.
            hours: before ``until``.
            until: the end, exclusive, whatever pandas takes as a time, in UTC without a zone; now
                if None.
            seconds: for which the exchanges are listened to first, from here; 0: only what is
                stored is read, as while `brain stream` is at work.

        Raises:
            InputError: ``symbols`` is a single text or empty, ``hours`` is not positive, or another
                stream is at work while ``seconds`` are given.
            SeriesStoreError: the store can't be read.
        """
        if isinstance(symbols, str) or not symbols:
            raise InputError(f"symbols={symbols!r}; give a list, as ['BTC/USDT']")
        if not hours > 0:
            raise InputError(f"hours={hours!r} is no length of time; give a positive number")
        if seconds > 0:
            self._listen(symbols, seconds)
        end = to_timestamp(until, "until") or pd.Timestamp.now("UTC")
        return self._read([perpetual(symbol) for symbol in symbols], end - hours * _HOUR, end)

    def detect_cascades(
        self, symbol: str, hours: float = 24, *, timeframe: str = "5m", until: object = None
    ) -> pd.DataFrame:
        """The cascades of the last hours, by what is usual of the symbol in the 30 days before.

        Args:
            symbol: a linear perpetual.
            hours, until: as of :meth:`collect_liquidations`.
            timeframe: of the bars in which liquidations are summed, over all exchanges.

        Returns:
            As of :func:`market.liquidations.cascades.cascades_of`.

        Raises:
            NotEnoughBarsError: fewer than 200 bars of the past were listened to.
            InputError, SeriesStoreError: as of :meth:`collect_liquidations`.
        """
        end = to_timestamp(until, "until") or pd.Timestamp.now("UTC")
        bars = self._bars(symbol, end - hours * _HOUR - _PAST, end, timeframe)
        return cascades_of(bars, end - hours * _HOUR)

    def label_volatility_clusters(
        self, symbol: str, hours: float = 24, *, timeframe: str = "1h", until: object = None
    ) -> pd.DataFrame:
        """The clusters of volatility of the last hours, and whether liquidations are part of them.

        Args:
            symbol, hours, until: as of :meth:`detect_cascades`.
            timeframe: of the bars, whose candles the store has from the first exchange.

        Returns:
            As of :func:`market.liquidations.cascades.volatility_clusters`, of the last hours.

        Raises:
            InputError: the store has no such candles, or as of :meth:`collect_liquidations`.
            SeriesStoreError: the store can't be read.
        """
        end = to_timestamp(until, "until") or pd.Timestamp.now("UTC")
        start = end - hours * _HOUR
        bars = self._bars(symbol, start - _PAST, end, timeframe)
        candles = self._library.series.read(
            "candles",
            symbol=perpetual(symbol),
            exchange=self.exchanges[0],
            timeframe=timeframe,
            start=start - _PAST,
            end=end,
        )
        if not len(candles):
            raise InputError(
                f"the store has no {timeframe} candles of {symbol} on {self.exchanges[0]}; collect "
                "them, or name another exchange first"
            )
        clusters = volatility_clusters(bars, candles.set_index("time")["close"])
        return clusters[clusters["time"] >= start].reset_index(drop=True)

    def features(self, symbol: str, hours: float = 24, *, until: object = None) -> dict[str, float]:
        """What the last hours' liquidations say of a symbol, over all exchanges.

        Returns:
            Of the hours before the last minute that was over half a minute ago, for what came later
            may not be stored yet (or before ``until``): long_usd, short_usd, liquidations,
            largest_usd; ``imbalance`` of longs against shorts,
            -1 to 1, NaN where nothing came; ``cascades``, how many began, NaN where the past is too
            short to tell; ``listened``, the share of the hours that was, at every exchange;
            ``lower_bound``, 1 where some may be left out. Amounts are NaN where the hours were not
            listened to, as of a bar.

        Raises:
            InputError, SeriesStoreError: as of :meth:`collect_liquidations`.
        """
        end = to_timestamp(until, "until") or pd.Timestamp.now("UTC") - HANDED_ON
        end = end.floor("min")
        start = end - hours * _HOUR
        row = self._read([perpetual(symbol)], start, end).whole(symbol).iloc[0]
        sums = {name: float(row[name]) for name in (*AMOUNTS, "listened", "lower_bound")}
        total = sums["long_usd"] + sums["short_usd"]
        imbalance = (sums["long_usd"] - sums["short_usd"]) / total if total > 0 else np.nan
        known = np.isfinite(total)
        try:
            cascades = len(self.detect_cascades(symbol, hours, timeframe=_CASCADES, until=end))
            began = float(cascades) if known else np.nan
        except NotEnoughBarsError:
            began = np.nan
        return {**sums, "imbalance": imbalance, "cascades": began}

    def _bars(
        self, symbol: str, start: pd.Timestamp, end: pd.Timestamp, timeframe: str
    ) -> pd.DataFrame:
        step = parse_timeframe(timeframe)
        found = self._read([perpetual(symbol)], start.floor(step), end.floor(step))
        return found.bars(symbol, timeframe)

    def _read(self, symbols: list[str], start: pd.Timestamp, end: pd.Timestamp) -> Liquidations:
        store = self._library.series
        read = partial(store.read, symbol=symbols, exchange=self.exchanges, end=end)
        rows = read("liquidations", start=start)
        listening = read("listening", start=start - _HOUR)  # a row is an hour at most
        heard = heard_liquidations(listening)
        suspects = read_suspects(store, self.exchanges, symbols, start, end)
        columns = ["exchange", "symbol", "start", "end"]
        return Liquidations(
            rows,
            heard[columns].reset_index(drop=True),
            tuple(suspects),
            self.exchanges,
            start,
            end,
        )

    def _listen(self, symbols: Sequence[str], seconds: float) -> None:
        """Stream for some seconds."""
        from market.streams.opening import make_stream

        own = {"symbols": tuple(symbols), "exchanges": self.exchanges}
        stream = make_stream(self.settings.model_copy(update=own), self._library.series)

        async def listen() -> None:
            stop = asyncio.Event()
            asyncio.get_running_loop().call_later(seconds, stop.set)
            await stream.run(stop)

        asyncio.run(listen())
