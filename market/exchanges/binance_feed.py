"""Binance USD-M futures live.

Since April 2026 forced orders, mark prices and candles are on the route ``market``. On the old root
a socket opens, acknowledges and answers pings, and none of them comes.

Of a symbol's forced orders at most one a second is pushed, the latest: sums are lower bounds. Open
interest is not streamed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from brain.errors import ExchangeShapeError, InputError
from market.exchanges.base import Instrument
from market.exchanges.binance import Binance
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
    chunks,
    moment,
    optional_amount,
)

__all__ = ["BinanceFeed"]

_FORCED = "!forceOrder@arr"
_SYMBOLS = 400  # of one connection, which may have 1024 channels
_CHANNELS = 150  # of one subscription
# Who sells is closing a long.
_SIDES = {"SELL": "long", "BUY": "short"}


class BinanceFeed(Feed):
    """Binance USD-M futures."""

    name = "binance"
    url = "wss://fstream.binance.com"
    keep_alive = KeepAlive()  # the exchange pings
    coverage = "sampled"
    lag = 2.0
    requests_per_second = 5.0  # it hangs up on who sends more than ten
    lifetime = 24 * 3600.0

    def routes(self, market: Market) -> tuple[Route, ...]:
        interval = Binance.candle_timeframes.get(market.timeframe)
        if interval is None:
            names = ", ".join(Binance.candle_timeframes)
            raise InputError(f"{self.name} streams no candles of {market.timeframe!r}; but {names}")
        everything = tuple((one.symbol, LIQUIDATIONS) for one in market.instruments)
        routes = []
        for first in range(0, len(market.instruments), _SYMBOLS):
            channels = [] if first else [Channel(_FORCED, everything)]
            for one in market.instruments[first : first + _SYMBOLS]:
                name = one.id.lower()
                channels.append(Channel(f"{name}@kline_{interval}", ((one.symbol, CANDLES),)))
                mark = Channel(f"{name}@markPrice@1s", ((one.symbol, SNAPSHOTS),), canary=True)
                channels.append(mark)
            subscriptions = tuple(
                _subscription(number, part)
                for number, part in enumerate(chunks(channels, _CHANNELS), start=1)
            )
            number = f" {first // _SYMBOLS + 1}" if first else ""
            routes.append(Route(f"market{number}", "market/stream", tuple(channels), subscriptions))
        return tuple(routes)

    def reader(self, route: Route, market: Market) -> FeedReader:
        return _BinanceReader(route, market)


def _subscription(number: int, channels: tuple[Channel, ...]) -> Subscription:
    names = tuple(channel.name for channel in channels)
    request = {"method": "SUBSCRIBE", "params": names, "id": number}
    return Subscription(json.dumps(request, ensure_ascii=False), names)


class _BinanceReader(FeedReader):
    exchange = "binance"

    def answer(self, message: Mapping[str, Any]) -> Reading | None:
        number = message.get("id")
        if "stream" in message or "e" in message or not isinstance(number, int):
            return None
        if not 1 <= number <= len(self.route.subscriptions):
            return Reading()
        names = self.route.subscriptions[number - 1].channels
        error = message.get("error")
        if message.get("result", "") is None and error is None:
            return Reading(accepted=names)
        return Reading(refused=dict.fromkeys(names, str(error or message)[:200]))

    def channel_of(self, message: Mapping[str, Any]) -> str:
        data = message.get("data", message)
        if not isinstance(data, dict):
            return ""
        event, symbol = data.get("e"), str(data.get("s", "")).lower()
        if event == "forceOrder":
            return _FORCED
        if event == "markPriceUpdate":
            return f"{symbol}@markPrice@1s"
        if event == "kline" and isinstance(data.get("k"), dict):
            return f"{symbol}@kline_{data['k'].get('i')}"
        return ""

    def data(self, channel: Channel, message: Mapping[str, Any]) -> Reading:
        data = message.get("data", message)
        if channel.name == _FORCED:
            return Reading(liquidations=self._liquidations(data))
        instrument = self._named(data)
        if channel.canary:
            values = {
                "mark_price": amount(data, "p") * instrument.multiplier,
                "funding_rate": optional_amount(data, "r"),
                "next_funding": float(data.get("T") or 0),
            }
            time = moment(data, "E")
            return Reading(pulse=time, snapshots=[SnapshotPart(instrument.symbol, time, values)])
        row = data["k"]
        if row.get("x") is not True:
            return Reading()
        return Reading(candles=[candle(instrument, row, "tohlcq", amount(row, "v"))])

    def _named(self, data: Mapping[str, Any]) -> Instrument:
        instrument = self.instruments.get(str(data.get("s")))
        if instrument is None:
            raise ExchangeShapeError("field 's' names no instrument that is streamed")
        return instrument

    def _liquidations(self, data: Mapping[str, Any]) -> list[LiquidationRow]:
        """The forced order, if it is of an instrument that is streamed.

        Its size is what was filled in all; where that is nothing, its price is the order's limit.
        """
        order = data.get("o")
        if not isinstance(order, dict) or not isinstance(order.get("s"), str):
            raise ExchangeShapeError("field 'o' is no order")
        instrument = self.instruments.get(order["s"])
        if instrument is None:
            return []
        side = _SIDES.get(str(order.get("S")))
        if side is None:
            raise ExchangeShapeError(f"field 'S' is {order.get('S')!r}, no side")
        filled, average = amount(order, "z"), amount(order, "ap")
        price, kind = (average, "average fill") if average > 0 else (amount(order, "p"), "order")
        if filled < 0 or price <= 0:
            raise ExchangeShapeError("field 'z' or 'ap' is impossible")
        return [
            LiquidationRow(
                instrument.symbol,
                moment(order, "T"),
                f"{order['S']} {order['z']} {order['ap']}",
                side,
                filled / instrument.multiplier,
                price * instrument.multiplier,
                kind,
            )
        ]
