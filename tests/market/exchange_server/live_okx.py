"""OKX v5's WebSockets.

Sources: okx.com/docs-v5 (WebSocket overview, Liquidation orders channel, Mark price channel, Open
interest channel, Funding rate channel, Candlesticks channel), recorded frames.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable

from tests.market.exchange_server.live import Event, LiveProtocol, Session, dumps

__all__ = ["LiveOkx"]

_SIDES = {"long": "sell", "short": "buy"}
_PUBLIC = ("mark-price", "funding-rate", "open-interest", "liquidation-orders")


class LiveOkx(LiveProtocol):
    """Answers each channel by itself, and hangs up on who says nothing for half a minute."""

    name = "okx"
    delay = 1.0

    def route_of(self, path: str) -> str | None:
        return path if path in ("/ws/v5/public", "/ws/v5/business") else None

    async def told(self, session: Session, text: str) -> None:
        if text == "ping":
            await session.send("pong")
            return
        request = json.loads(text)
        if self.live.faults[self.name].unanswered:
            return
        for argument in request["args"]:
            name = self._channel(session, argument)
            same = {"id": request["id"]} if "id" in request else {}
            if name is None:
                message = ",".join(f"{key}:{value}" for key, value in argument.items())
                answer = {
                    "event": "error",
                    "code": "60018",
                    "msg": f"Wrong URL or {message} doesn't exist. Please use the correct URL, "
                    "channel and parameters referring to API document.",
                }
                await session.send(dumps({**same, **answer, "connId": "c"}))
                continue
            session.channels.add(name)
            answer = {**same, "event": "subscribe", "arg": argument, "connId": "c"}
            await session.send(dumps(answer))

    def _channel(self, session: Session, argument: dict[str, str]) -> str | None:
        name, instrument = argument["channel"], argument.get("instId", "")
        business = session.route.endswith("business")
        if name == "liquidation-orders":
            return name if argument.get("instType") == "SWAP" and not business else None
        right = name.startswith("candle") if business else name in _PUBLIC
        return f"{name} {instrument}" if self.knows(instrument) and right else None

    async def notice(self) -> None:
        """Say that connections will be closed."""
        for session in self.live.sessions[self.name]:
            message = "The connection will soon be closed for a service upgrade. Please reconnect."
            await session.send(
                dumps({"event": "notice", "code": "64008", "msg": message, "connId": "c"})
            )

    def overdue(self, session: Session) -> str:
        quiet = time.monotonic() - session.heard
        return "okx: nothing for 30 s" if quiet > 30 * self.live.scale else ""

    def marks(self, session: Session, now: int) -> Iterable[str]:
        for channel in sorted(session.channels):
            name, _, instrument = channel.partition(" ")
            listing = self.live.truth.by_id(self.name, instrument)
            if listing is None:
                continue
            price, argument = listing.coin.price, {"channel": name, "instId": instrument}
            row: dict[str, str] = {}
            if name == "mark-price":
                row = {"markPx": f"{price:.2f}"}
            elif name == "funding-rate":
                upcoming = now // 28_800_000 * 28_800_000 + 28_800_000
                row = {"fundingRate": "0.0001", "fundingTime": str(upcoming)}
            elif name == "open-interest":
                row = {"oi": "5000", "oiCcy": str(5000 * listing.contract_size), "oiUsd": "777"}
            if name.startswith("candle"):
                start = str(now // self.live.candle * self.live.candle)
                yield dumps({"arg": argument, "data": [[start, *["1"] * 7, "0"]]})
            elif row:
                full = {"instType": "SWAP", "instId": instrument, **row, "ts": str(now)}
                yield dumps({"arg": argument, "data": [full]})

    def candles(self, session: Session, start: int, step: int) -> Iterable[str]:
        for channel in sorted(session.channels):
            name, _, instrument = channel.partition(" ")
            listing = self.live.truth.by_id(self.name, instrument)
            if listing is None or not name.startswith("candle"):
                continue
            price, base = str(listing.coin.price), 150 * listing.contract_size
            row = [str(start), price, price, price, price, "150", str(base)]
            row += [str(base * listing.coin.price), "1"]
            yield dumps({"arg": {"channel": name, "instId": instrument}, "data": [row]})

    def liquidations(self, session: Session, events: list[Event], now: int) -> Iterable[str]:
        if "liquidation-orders" not in session.channels:
            return
        by_symbol: dict[str, list[Event]] = {}
        for event in events:
            by_symbol.setdefault(event.symbol, []).append(event)
        data = []
        for symbol, own in by_symbol.items():
            listing = self.live.listing(self.name, symbol.partition("/")[0])
            details = [
                {
                    "bkLoss": "0",
                    "bkPx": event.price,
                    "ccy": "",
                    "posSide": event.side,
                    "side": _SIDES[event.side],
                    "sz": event.size,
                    "ts": str(event.time),
                }
                for event in own
            ]
            family = listing.id.removesuffix("-SWAP")
            one = {"details": details, "instFamily": family, "instId": listing.id}
            data.append({**one, "instType": "SWAP", "uly": family})
        if data:
            argument = {"channel": "liquidation-orders", "instType": "SWAP"}
            yield dumps({"arg": argument, "data": data})
