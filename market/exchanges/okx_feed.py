"""OKX v5 live, linear swaps.

Candles are on the route ``business``, all else on ``public``. Of a contract's liquidations at most
one a second is pushed: sums are lower bounds. Sizes are in contracts, the price is the bankruptcy
price, and ``posSide`` says whose position it was.

A mark price that stands still comes every ten seconds, else five times a second. Bitcoin's is
always among the channels, for it never rests.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from brain.errors import ExchangeShapeError, InputError
from market.exchanges.base import Instrument
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
    listing,
    moment,
    numbered,
    optional_amount,
)
from market.exchanges.okx import Okx

__all__ = ["OkxFeed"]

_FORCED = "liquidation-orders"
_MARK, _RATE, _INTEREST = "mark-price", "funding-rate", "open-interest"
_CHANNELS = 100  # of one subscription; an hour may have 480 of them
_CANDLE = ("ts", "open", "high", "low", "close", "contracts", "base", "quote", "confirm")
# Who sells is closing a long; for positions that are neither long nor short by name.
_SIDES = {"sell": "long", "buy": "short"}


class OkxFeed(Feed):
    """OKX's linear perpetual swaps."""

    name = "okx"
    url = "wss://ws.okx.com:8443"
    keep_alive = KeepAlive("ping", 20.0)
    coverage = "sampled"
    lag = 3.0
    requests_per_second = 2.0

    def routes(self, market: Market) -> tuple[Route, ...]:
        bar = Okx.candle_timeframes.get(market.timeframe)
        if bar is None:
            names = ", ".join(Okx.candle_timeframes)
            raise InputError(f"{self.name} streams no candles of {market.timeframe!r}; but {names}")
        if not market.instruments:
            return ()
        everything = tuple((one.symbol, LIQUIDATIONS) for one in market.instruments)
        public, business = [Channel(_FORCED, everything)], []
        for one in market.instruments:
            present = ((one.symbol, SNAPSHOTS),)
            public.append(Channel(f"{_MARK} {one.id}", present, canary=True))
            public += [Channel(f"{name} {one.id}", present) for name in (_RATE, _INTEREST)]
            candles = ((one.symbol, CANDLES),)
            business.append(Channel(f"candle{bar} {one.id}", candles, canary=True))
        bitcoin = Okx.bitcoin.id
        if bitcoin not in {one.id for one in market.instruments}:
            public.append(Channel(f"{_MARK} {bitcoin}", (), canary=True))
            business.append(Channel(f"candle{bar} {bitcoin}", (), canary=True))
        # Candles come as trades do: their silence says less than that of mark prices.
        return (_route("public", public), _route("business", business, patience=15.0))

    def reader(self, route: Route, market: Market) -> FeedReader:
        return _OkxReader(route, market)


def _route(name: str, channels: Sequence[Channel], patience: float = 2.5) -> Route:
    subscriptions = []
    for number, part in enumerate(chunks(channels, _CHANNELS), start=1):
        request = {
            "id": str(number),
            "op": "subscribe",
            "args": [_argument(channel.name) for channel in part],
        }
        names = tuple(channel.name for channel in part)
        subscriptions.append(Subscription(json.dumps(request, ensure_ascii=False), names))
    return Route(name, f"ws/v5/{name}", tuple(channels), tuple(subscriptions), patience)


def _argument(channel: str) -> dict[str, str]:
    name, _, instrument = channel.partition(" ")
    if not instrument:
        return {"channel": name, "instType": "SWAP"}
    return {"channel": name, "instId": instrument}


class _OkxReader(FeedReader):
    exchange = "okx"

    def answer(self, message: Mapping[str, Any]) -> Reading | None:
        event = message.get("event")
        if event is None:
            return None
        if event == "subscribe":
            return Reading(accepted=(self.channel_of(message),))
        if event == "notice":
            return Reading(closing=f"{message.get('code')}: {message.get('msg')}"[:200])
        if event == "error":
            return Reading(refused=self._refused(message))
        return Reading()

    def _refused(self, message: Mapping[str, Any]) -> dict[str, str]:
        """The channels that an error is about: those that its text names, or its subscription's."""
        text, number = str(message.get("msg", "")), str(message.get("id", ""))
        reason = f"{message.get('code')}: {text}"[:200]
        if not number.isdigit() or not 1 <= int(number) <= len(self.route.subscriptions):
            return {}
        names = self.route.subscriptions[int(number) - 1].channels
        named = [name for name in names if all(word in text for word in name.split())]
        return dict.fromkeys(named or names, reason)

    def channel_of(self, message: Mapping[str, Any]) -> str:
        argument = message.get("arg")
        if not isinstance(argument, dict):
            return ""
        name, instrument = argument.get("channel"), argument.get("instId")
        return str(name) if name == _FORCED or instrument is None else f"{name} {instrument}"

    def data(self, channel: Channel, message: Mapping[str, Any]) -> Reading:
        if channel.name == _FORCED:
            return Reading(liquidations=self._liquidations(listing(message, "data")))
        name, _, instrument_id = channel.name.partition(" ")
        if not channel.series:
            rows = listing(message, "data") if name == _MARK else []
            return Reading(pulse=max((moment(row, "ts") for row in rows), default=0))
        instrument = self.instruments[instrument_id]
        if channel.canary and name != _MARK:
            return _candles(instrument, message)
        reading = Reading()
        for row in listing(message, "data"):
            time = moment(row, "ts")
            values = _present(instrument, name, row)
            reading.snapshots.append(SnapshotPart(instrument.symbol, time, values))
            reading.pulse = time if name == _MARK else None
        return reading

    def _liquidations(self, data: list[dict[str, Any]]) -> list[LiquidationRow]:
        """Every row of the details of the instruments that are streamed."""
        rows = []
        for one in data:
            instrument = self.instruments.get(str(one.get("instId")))
            details = listing(one, "details")
            if instrument is not None:
                rows += _orders(instrument, details)
        return rows


def _orders(instrument: Instrument, details: list[dict[str, Any]]) -> list[LiquidationRow]:
    orders = numbered(
        f"{row.get('posSide')} {row.get('side')} {row.get('sz')} {row.get('bkPx')}"
        for row in details
    )
    rows = []
    for order, row in zip(orders, details, strict=True):
        position = row.get("posSide")
        side = position if position in ("long", "short") else _SIDES.get(str(row.get("side")))
        contracts, price = amount(row, "sz"), amount(row, "bkPx")
        if side is None or contracts < 0 or price <= 0:
            raise ExchangeShapeError(f"a liquidation is impossible: {row}")
        base = contracts * instrument.contract_size / instrument.multiplier
        rows.append(
            LiquidationRow(
                instrument.symbol,
                moment(row, "ts"),
                order,
                str(side),
                base,
                price * instrument.multiplier,
                "bankruptcy",
            )
        )
    return rows


def _present(instrument: Instrument, name: str, row: Mapping[str, Any]) -> dict[str, float]:
    if name == _MARK:
        return {"mark_price": amount(row, "markPx") * instrument.multiplier}
    if name == _RATE:
        return {
            "funding_rate": optional_amount(row, "fundingRate"),
            "next_funding": float(row.get("fundingTime") or 0),
        }
    base = optional_amount(row, "oiCcy")
    if math.isnan(base):
        base = amount(row, "oi") * instrument.contract_size
    return {
        "open_interest": base / instrument.multiplier,
        "open_interest_usd": optional_amount(row, "oiUsd"),
    }


def _candles(instrument: Instrument, message: Mapping[str, Any]) -> Reading:
    """The closed candles; that any came is a pulse, without a moment of the exchange's clock."""
    data, reading = message.get("data"), Reading(pulse=0)
    if not isinstance(data, list) or not all(isinstance(row, list) for row in data):
        raise ExchangeShapeError("field 'data' is no list of rows")
    for values in data:
        row = dict(zip(_CANDLE, values, strict=False))
        if row.get("confirm") not in ("0", "1"):
            raise ExchangeShapeError("field 8 is neither 0 nor 1")
        if row["confirm"] == "1":
            base = optional_amount(row, "base")
            if math.isnan(base):
                base = amount(row, "contracts") * instrument.contract_size
            reading.candles.append(candle(instrument, row, (*_CANDLE[:5], "quote"), base))
    return reading
