"""Binance USD-M's WebSockets.

Sources: developers.binance.com (Websocket Market Streams, Liquidation Order Streams, Mark Price
Stream, Kline Streams, Live Subscribing), cryptofeed's thread 1128 on the routes of 2026.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from tests.market.exchange_server.live import Event, LiveProtocol, Session, dumps

__all__ = ["LiveBinance"]

_SIDES = {"long": "SELL", "short": "BUY"}


class LiveBinance(LiveProtocol):
    """Acknowledges everything, also what it never sends."""

    name = "binance"
    delay = 1.0

    #: Where forced orders, mark prices and candles are not sent.
    roots: tuple[str, ...] = ("/stream", "/ws")

    def route_of(self, path: str) -> str | None:
        if path in self.roots:
            return ""
        return path if path in ("/market/stream", "/market/ws") else None

    async def told(self, session: Session, text: str) -> None:
        try:
            request = json.loads(text)
        except ValueError:
            await session.socket.close(code=1008)
            return
        if request.get("method") == "SUBSCRIBE" and not self.live.faults[self.name].unanswered:
            session.channels |= set(request["params"])
            await session.send(dumps({"result": None, "id": request["id"]}))

    def overdue(self, session: Session) -> str:
        now, scale = time.monotonic(), self.live.scale
        if len([at for at in session.messages if now - at < scale]) > 10:
            return "binance: more than 10 messages a second"
        return "binance: a day" if now - session.opened > 86_400 * scale else ""

    def marks(self, session: Session, now: int) -> Iterable[str]:
        for coin in self.live.coins:
            listing = self.live.listing(self.name, coin)
            channel = f"{listing.id.lower()}@markPrice@1s"
            if channel in session.channels and self.knows(listing.id):
                data = {
                    "e": "markPriceUpdate",
                    "E": now,
                    "s": listing.id,
                    "p": f"{listing.coin.price:.8f}",
                    "ap": f"{listing.coin.price:.8f}",
                    "P": f"{listing.coin.price:.8f}",
                    "i": f"{listing.coin.price:.8f}",
                    "r": "0.00010000",
                    "T": now // 28_800_000 * 28_800_000 + 28_800_000,
                }
                yield self._wrapped(session, channel, data)

    def candles(self, session: Session, start: int, step: int) -> Iterable[str]:
        for coin in self.live.coins:
            listing = self.live.listing(self.name, coin)
            for channel in session.channels:
                name, _, stream = channel.partition("@")
                if name == listing.id.lower() and stream.startswith("kline_"):
                    price = str(listing.coin.price)
                    candle = {"t": start, "T": start + step - 1, "s": listing.id, "x": True}
                    candle |= {"i": stream[6:], "o": price, "c": price, "h": price, "l": price}
                    candle |= {"v": "1.5", "q": str(1.5 * listing.coin.price), "n": 3}
                    data = {"e": "kline", "E": start + step, "s": listing.id, "k": candle}
                    yield self._wrapped(session, channel, data)

    def liquidations(self, session: Session, events: list[Event], now: int) -> Iterable[str]:
        for event in events:
            listing = self.live.listing(self.name, event.symbol.partition("/")[0])
            names = {"!forceOrder@arr", f"{listing.id.lower()}@forceOrder"} & session.channels
            order = {
                "s": listing.id,
                "S": _SIDES[event.side],
                "o": "LIMIT",
                "f": "IOC",
                "q": event.size,
                "p": f"{float(event.price) * 0.99:.4f}",
                "ap": event.price,
                "X": "FILLED",
                "l": "1",
                "z": event.size,
                "T": event.time,
            }
            for channel in names:
                data = {"e": "forceOrder", "E": now, "o": order}
                yield self._wrapped(session, channel, data)

    def _wrapped(self, session: Session, channel: str, data: dict[str, object]) -> str:
        return dumps(
            {"stream": channel, "data": data} if session.route.endswith("/stream") else data
        )
