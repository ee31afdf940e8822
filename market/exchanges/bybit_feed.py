"""Bybit v5 live, linear contracts.

``allLiquidation`` has every liquidation, in batches of half a second, at the bankruptcy price of
the position. Its side is the position's: ``Buy`` is a long that was liquidated.

The ticker of bitcoin is always among the channels, for it never rests.

A ticker comes whole at first, and then as what has changed. Open interest is of both sides of the
market there; one is returned, as of the history.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from brain.errors import ExchangeShapeError, InputError
from market.exchanges.base import Instrument
from market.exchanges.bybit import Bybit
from market.exchanges.feed import (
    CANDLES,
    LIQUIDATIONS,
    SNAPSHOTS,
    Channel,
    Feed,
    FeedReader,
    KeepAlive,
    LiquidationRow,
    Market,
    Reading,
    Route,
    SnapshotPart,
    Subscription,
    amount,
    candle,
    listing,
    moment,
    numbered,
    optional_amount,
)

__all__ = ["BybitFeed"]

_SYMBOLS = 200  # of one connection, whose names may be 21,000 characters together
_SIDES = {"Buy": "long", "Sell": "short"}
_CANDLE = ("start", "open", "high", "low", "close", "turnover")
_TICKERS, _LIQUIDATIONS = "tickers.", "allLiquidation."
# What of a ticker is kept, to be merged with what changes.
_FIELDS = (
    "markPrice",
    "fundingRate",
    "nextFundingTime",
    "fundingIntervalHour",
    "openInterest",
    "openInterestValue",
    "singleOpenInterest",
    "singleOpenInterestValue",
)


class BybitFeed(Feed):
    """Bybit's linear perpetuals."""

    name = "bybit"
    url = "wss://stream.bybit.com"
    keep_alive = KeepAlive('{"op":"ping"}', 20.0)
    coverage = "all"
    lag = 2.0
    requests_per_second = 20.0

    def routes(self, market: Market) -> tuple[Route, ...]:
        interval = Bybit.candle_timeframes.get(market.timeframe)
        if interval is None:
            names = ", ".join(Bybit.candle_timeframes)
            raise InputError(f"{self.name} streams no candles of {market.timeframe!r}; but {names}")
        routes = []
        for first in range(0, len(market.instruments), _SYMBOLS):
            channels, subscriptions = list[Channel](), []
            part = market.instruments[first : first + _SYMBOLS]
            # One subscription an instrument: an unknown channel spoils all of its subscription.
            for number, one in enumerate(part, start=1):
                own = (
                    Channel(f"{_TICKERS}{one.id}", ((one.symbol, SNAPSHOTS),), canary=True),
                    Channel(f"{_LIQUIDATIONS}{one.id}", ((one.symbol, LIQUIDATIONS),)),
                    Channel(f"kline.{interval}.{one.id}", ((one.symbol, CANDLES),)),
                )
                channels += own
                subscriptions.append(_subscription(number, own))
            if Bybit.bitcoin.id not in {one.id for one in part}:
                canary = Channel(f"{_TICKERS}{Bybit.bitcoin.id}", (), canary=True)
                channels.append(canary)
                subscriptions.append(_subscription(len(subscriptions) + 1, (canary,)))
            number_text = f" {first // _SYMBOLS + 1}" if first else ""
            routes.append(
                Route(
                    f"linear{number_text}",
                    "v5/public/linear",
                    tuple(channels),
                    tuple(subscriptions),
                )
            )
        return tuple(routes)

    def reader(self, route: Route, market: Market) -> FeedReader:
        return _BybitReader(route, market)


def _subscription(number: int, channels: tuple[Channel, ...]) -> Subscription:
    names = tuple(channel.name for channel in channels)
    return Subscription(
        json.dumps({"req_id": str(number), "op": "subscribe", "args": names}), names
    )


class _BybitReader(FeedReader):
    exchange = "bybit"

    def __init__(self, route: Route, market: Market) -> None:
        super().__init__(route, market)
        self._tickers: dict[str, dict[str, Any]] = {}

    def state(self) -> Any:
        return self._tickers

    def restore(self, state: Any) -> None:
        self._tickers = state

    def answer(self, message: Mapping[str, Any]) -> Reading | None:
        if "topic" in message or "op" not in message:
            return None
        number = message.get("req_id")
        if message["op"] != "subscribe" or not isinstance(number, str) or not number.isdigit():
            return Reading()
        if not 1 <= int(number) <= len(self.route.subscriptions):
            return Reading()
        names = self.route.subscriptions[int(number) - 1].channels
        if message.get("success") is True:
            return Reading(accepted=names)
        return Reading(refused=dict.fromkeys(names, str(message.get("ret_msg"))[:200]))

    def channel_of(self, message: Mapping[str, Any]) -> str:
        return str(message.get("topic", ""))

    def data(self, channel: Channel, message: Mapping[str, Any]) -> Reading:
        if channel.canary and not channel.series:
            return Reading(pulse=moment(message, "ts"))
        instrument = self.instruments[channel.name.rpartition(".")[2]]
        if channel.canary:
            return self._ticker(instrument, message)
        if channel.name.startswith(_LIQUIDATIONS):
            return Reading(liquidations=_liquidations(instrument, listing(message, "data")))
        rows = [row for row in listing(message, "data") if row.get("confirm") is True]
        return Reading(
            candles=[candle(instrument, row, _CANDLE, amount(row, "volume")) for row in rows]
        )

    def _ticker(self, instrument: Instrument, message: Mapping[str, Any]) -> Reading:
        """The ticker, merged with what came before; a change without a whole says nothing."""
        data, time = message.get("data"), moment(message, "ts")
        if not isinstance(data, dict):
            raise ExchangeShapeError("field 'data' is no object")
        news = {name: data[name] for name in _FIELDS if name in data}
        if message.get("type") == "snapshot":
            self._tickers[instrument.id] = news
        elif instrument.id in self._tickers:
            self._tickers[instrument.id].update(news)
        else:
            return Reading(pulse=time)
        if not news:
            return Reading(pulse=time)
        values = _present(instrument, self._tickers[instrument.id])
        return Reading(pulse=time, snapshots=[SnapshotPart(instrument.symbol, time, values)])


def _present(instrument: Instrument, ticker: Mapping[str, Any]) -> dict[str, float]:
    mark = amount(ticker, "markPrice")
    one_side = _one_side(ticker, "Interest")
    value = _one_side(ticker, "InterestValue")
    values = {
        "mark_price": mark * instrument.multiplier,
        "funding_rate": optional_amount(ticker, "fundingRate"),
        "next_funding": float(ticker.get("nextFundingTime") or 0),
        "open_interest": one_side / instrument.multiplier,
        "open_interest_usd": one_side * mark if math.isnan(value) else value,
    }
    hours = optional_amount(ticker, "fundingIntervalHour")
    return values if math.isnan(hours) else {**values, "interval_hours": hours}


def _one_side(ticker: Mapping[str, Any], name: str) -> float:
    single = optional_amount(ticker, f"singleOpen{name}")
    return optional_amount(ticker, f"open{name}") / 2 if math.isnan(single) else single


def _liquidations(instrument: Instrument, rows: list[dict[str, Any]]) -> list[LiquidationRow]:
    orders = numbered(f"{row.get('S')} {row.get('v')} {row.get('p')}" for row in rows)
    liquidations = []
    for order, row in zip(orders, rows, strict=True):
        side = _SIDES.get(str(row.get("S")))
        size, price = amount(row, "v"), amount(row, "p")
        if side is None or row.get("s") != instrument.id or size < 0 or price <= 0:
            raise ExchangeShapeError(f"a liquidation is impossible: {row}")
        liquidations.append(
            LiquidationRow(
                instrument.symbol,
                moment(row, "T"),
                order,
                side,
                size / instrument.multiplier,
                price * instrument.multiplier,
                "bankruptcy",
            )
        )
    return liquidations
