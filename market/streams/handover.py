"""Closed bars and minutes of liquidations, handed to an executor as a stream stores them.

Before a bar come the minutes that are known by then: what the training has of them counts at the
same bar. Funding, open interest and sentiment are collected, and given by whoever collects them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from brain.errors import BrainError
from brain.naming import perpetual
from brain.series.bars import parse_timeframe
from brain.series.liquidation_minutes import read_minutes
from brain.series.store.store import SeriesStore

__all__ = ["Executor", "Handover"]

logger = logging.getLogger(__name__)

# What is told of a minute later than that is left to the next training.
_LATEST = pd.Timedelta(hours=2)
_PRICES = ("open", "high", "low", "close", "volume")

_Minute = tuple[str, pd.Timestamp, bool]


class Executor(Protocol):
    """What bars and rows are handed to, as :class:`serving.hamilton.Hamilton`."""

    def bar(
        self,
        symbol: str,
        open: float,  # noqa: A002 -- the column's name
        high: float,
        low: float,
        close: float,
        volume: float,
        close_time: Any,
    ) -> object:
        """Take the next closed bar."""

    def row(
        self,
        kind: str,
        symbol: str,
        exchange: str,
        time: Any,
        available: Any,
        values: Mapping[str, float],
    ) -> object:
        """Take a row of another kind."""


class Handover:
    """Hands on what a stream has stored, as the ``stored`` of a stream.

    Args:
        executor: that decides.
        store: into which the stream stores.
        symbols: that it decides on, as it names them.
        exchange: whose candles are the bars.
        timeframe: of the bars.
        liquidations: exchanges whose minutes are handed on; none if no model takes them.
    """

    def __init__(
        self,
        executor: Executor,
        store: SeriesStore,
        symbols: Sequence[str],
        exchange: str,
        timeframe: str,
        liquidations: Sequence[str] = (),
    ) -> None:
        self._executor, self._store = executor, store
        self._symbols = {perpetual(symbol): symbol for symbol in symbols}
        self._exchange, self._timeframe = exchange, timeframe
        self._step = parse_timeframe(timeframe)
        self._liquidations = tuple(liquidations)
        self._handed: dict[str, set[_Minute]] = {}

    def __call__(self, kind: str, rows: pd.DataFrame) -> None:
        """Hand on rows of a kind that were stored just now.

        What the executor or the store refuses is logged; a stream goes on.
        """
        if kind != "candles":
            return
        own = rows[(rows["exchange"] == self._exchange) & (rows["timeframe"] == self._timeframe)]
        for name, bars in own.groupby("symbol", sort=True):
            if (symbol := self._symbols.get(str(name))) is None:
                continue
            try:
                self._hand_minutes(str(name), symbol, bars["time"].max() + self._step)
                self._hand_bars(symbol, bars.sort_values("time"))
            except BrainError as error:
                logger.error("%s: what is stored could not be handed on: %s", symbol, error)

    def _hand_bars(self, symbol: str, bars: pd.DataFrame) -> None:
        closes = bars["time"] + self._step
        prices = zip(*(bars[column].tolist() for column in _PRICES), strict=True)
        for close_time, (o, h, lo, c, v) in zip(closes, prices, strict=True):
            self._executor.bar(symbol, o, h, lo, c, v, close_time)

    def _hand_minutes(self, name: str, symbol: str, close_time: pd.Timestamp) -> None:
        """Hand on the minutes of the last hours that were not yet, in the order of arrival."""
        if not self._liquidations:
            return
        since = close_time - max(_LATEST, 2 * self._step)
        minutes = read_minutes(self._store, name, self._liquidations, since)
        minutes = minutes.sort_values("available", kind="stable")
        handed, known = self._handed.get(name, set()), set[_Minute]()
        columns = ("exchange", "time", "available", "long_usd", "short_usd")
        for exchange, time, available, long, short in zip(
            *(minutes[column].tolist() for column in columns), strict=True
        ):
            minute = (exchange, time, math.isnan(long))
            known.add(minute)
            if minute not in handed:
                values = {"long_usd": long, "short_usd": short}
                self._executor.row("liquidations", symbol, exchange, time, available, values)
        self._handed[name] = known
