"""What a stream shows of itself."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from market.streams.status import RouteStatus, StreamStatus, status_of, write_status
from tests.market.exchange_server import ExchangeServer
from tests.market.streams.streaming import SCALE, run, stream

STATUS = StreamStatus(
    time=0.0,
    routes=(
        RouteStatus("binance", "market", "listened", 0.4, 12034, 2, "code 1006", 0),
        RouteStatus("okx", "public", "waiting", None, 0, 1, "silent [bold]", 1),
    ),
    rows={"liquidations": 1203, "candles": 44},
    repeated={"liquidations": 3},
    unreadable={"okx": 2},
    stored_age=4.0,
    trouble="the disk is full",
    failures=("bybit does not trade NOPE/USDT:USDT",),
    suspects=("binance BTC/USDT:USDT: no liquidation …",),
)


def test_the_table_and_the_line_say_what_is_heard_and_what_is_wrong() -> None:
    out = Console(width=150)
    with out.capture() as capture:
        out.print(STATUS.table())
    table = capture.get()
    for words in ("1,203 liquidations, 44 candles", "waiting, 1 refusal", "0.4 s ago", "[bold]"):
        assert words in table
    for text in (table, STATUS.line()):
        for words in ("the disk is full", "NOPE", "no liquidation", "okx: 2 frames could not"):
            assert words in text
    assert STATUS.line().startswith("1 of 2 routes are listened to; stored: 1,203 liquidations")


def test_a_full_disk_does_not_stop_a_status(tmp_path: Path) -> None:
    write_status(STATUS, tmp_path / "status.json")
    document = json.loads((tmp_path / "status.json").read_text())
    assert document["routes"][0]["state"] == "listened"
    write_status(replace(STATUS, time=1.0), tmp_path / "nowhere" / "status.json")


def test_the_status_of_a_stream_is_that_of_its_connections(tmp_path: Path) -> None:
    with ExchangeServer(fillers=0, live={"scale": SCALE, "rate": 20.0}) as server:
        assert server.live is not None
        server.live.faults["bybit"].silent = True
        one = stream(server, tmp_path, ["bybit", "okx"])
        seen = []

        async def during() -> None:
            await asyncio.sleep(2.5)
            seen.append(status_of(one))

        run(one, 0.1, during)
    (status,) = seen
    states = {(route.exchange, route.route): route.state for route in status.routes}
    assert states["bybit", "linear"] in ("waiting", "down")
    assert states["okx", "public"] == states["okx", "business"] == "listened"
    assert status.rows["liquidations"] > 0
    assert status.stored_age < 2.0
    (bybit,) = [route for route in status.routes if route.exchange == "bybit"]
    assert bybit.ended >= 1
    assert "silent" in bybit.reason
