"""Bybit v5's WebSockets, linear contracts.

Sources: bybit-exchange.github.io/docs/v5 (Connect, All Liquidation, Ticker, Kline), and
recorded frames.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from tests.market.exchange_server.live import Event, LiveProtocol, Session, dumps

__all__ = ["LiveBybit"]

_SIDES = {"long": "Buy", "short": "Sell"}


class LiveBybit(LiveProtocol):
    """An unknown topic spoils its whole request."""

    name = "bybit"
    delay = 0.5

    def route_of(self, path: str) -> str | None:
        return path if path == "/v5/public/linear" else None

    async def told(self, session: Session, text: str) -> None:
        request = json.loads(text)
        answer = {"success": True, "ret_msg": "", "conn_id": "c", "req_id": "", "op": "ping"}
        if request["op"] == "ping":
            await session.send(dumps({**answer, "ret_msg": "pong"}))
            return
        if self.live.faults[self.name].unanswered:
            return
        answer |= {"req_id": request.get("req_id", ""), "op": "subscribe"}
        unknown = [topic for topic in request["args"] if not self.knows(topic.rpartition(".")[2])]
        if unknown:
            message = f"error:handler not found,topic:{unknown[0]}"
            await session.send(dumps({**answer, "success": False, "ret_msg": message}))
            return
        session.channels |= set(request["args"])
        await session.send(dumps(answer))
        if self.live.faults[self.name].silent:
            return
        for topic in request["args"]:
            if topic.startswith("tickers."):
                await session.send(self._ticker(topic, "snapshot", self.live.clock))

    def overdue(self, session: Session) -> str:
        quiet = time.monotonic() - session.heard
        return "bybit: no ping for long" if quiet > 60 * self.live.scale else ""

    def _ticker(self, topic: str, kind: str, now: int) -> str:
        listing = self.live.truth.by_id(self.name, topic.rpartition(".")[2])
        assert listing is not None
        price = listing.coin.price
        data: dict[str, object] = {"symbol": listing.id, "markPrice": f"{price:.2f}"}
        if kind == "snapshot":
            data |= {
                "fundingRate": "0.0001",
                "nextFundingTime": str(now // 28_800_000 * 28_800_000 + 28_800_000),
                "fundingIntervalHour": "8",
                "openInterest": "2000",
                "openInterestValue": f"{2000 * price:.2f}",
                "singleOpenInterest": "1000",
                "singleOpenInterestValue": f"{1000 * price:.2f}",
            }
        return dumps({"topic": topic, "type": kind, "data": data, "cs": now, "ts": now})

    def marks(self, session: Session, now: int) -> Iterable[str]:
        for topic in sorted(session.channels):
            if topic.startswith("tickers."):
                yield self._ticker(topic, "delta", now)

    def candles(self, session: Session, start: int, step: int) -> Iterable[str]:
        for topic in sorted(session.channels):
            if topic.startswith("kline."):
                _, interval, name = topic.split(".")
                listing = self.live.truth.by_id(self.name, name)
                assert listing is not None
                price = str(listing.coin.price)
                row = {"start": start, "end": start + step - 1, "interval": interval}
                row |= dict.fromkeys(("open", "close", "high", "low"), price)
                row |= {"volume": "1.5", "turnover": str(1.5 * listing.coin.price)}
                row |= {"confirm": True, "timestamp": start + step}
                message = {"topic": topic, "type": "snapshot", "ts": start + step, "data": [row]}
                yield dumps(message)

    def liquidations(self, session: Session, events: list[Event], now: int) -> Iterable[str]:
        by_symbol: dict[str, list[Event]] = {}
        for event in events:
            by_symbol.setdefault(event.symbol, []).append(event)
        for symbol, own in by_symbol.items():
            listing = self.live.listing(self.name, symbol.partition("/")[0])
            topic = f"allLiquidation.{listing.id}"
            if topic in session.channels:
                rows = [
                    {
                        "T": event.time,
                        "s": listing.id,
                        "S": _SIDES[event.side],
                        "v": event.size,
                        "p": event.price,
                    }
                    for event in own
                ]
                yield dumps({"topic": topic, "type": "snapshot", "ts": now, "data": rows})
