"""Streams from the loopback exchanges, and what they stored against what happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from brain.series.store.store import SeriesStore
from market.exchanges import open_exchange
from market.streams.pace import Pace
from market.streams.stream import Source, Stream
from market.streams.writer import Stored
from tests.market.exchange_server import EXCHANGES, Event, ExchangeServer

SCALE = 0.05
COINS = ("BTC", "ETH", "SOL")
SYMBOLS = tuple(f"{coin}/USDT" for coin in COINS)
#: A stream's times as short as the exchanges'.
QUICK = Pace(
    commit=0.5,
    flush=0.1,
    answer=10 * SCALE,
    first_wait=0.5 * SCALE,
    longest_wait=10 * SCALE,
    segment=2.0,
    scale=SCALE,
)
#: Where a stall of the test's own machine must not look like one of the exchanges.
CALM = 0.2
CALM_PACE = replace(
    QUICK,
    answer=10 * CALM,
    first_wait=0.5 * CALM,
    longest_wait=10 * CALM,
    scale=CALM,
)


def stream(
    server: ExchangeServer,
    folder: Path,
    exchanges: Sequence[str] = EXCHANGES,
    symbols: Sequence[str] = SYMBOLS,
    *,
    pace: Pace = QUICK,
    store: SeriesStore | None = None,
    timeframe: str = "1m",
    stored: Stored | None = None,
) -> Stream:
    sources = [
        Source(open_exchange(name, base_url=server.urls[name]), server.stream_urls[name])
        for name in exchanges
    ]
    store = store or SeriesStore(folder / "series")
    frames = folder / "frames"
    return Stream(store, sources, symbols, timeframe, frames, pace=pace, stored=stored)


def run(one: Stream, seconds: float, during: Callable[[], Awaitable[None]] | None = None) -> None:
    """Run a stream for some seconds, or for as long as something else takes."""

    async def work() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(one.run(stop))
        if during is not None:
            await during()
        await asyncio.wait([task], timeout=seconds)
        stop.set()
        await task

    asyncio.run(work())


def stored(folder: Path, kind: str = "liquidations") -> pd.DataFrame:
    return SeriesStore(folder / "series").read(kind)


def listened(folder: Path, exchange: str, symbol: str, kind: str = "liquidations") -> pd.DataFrame:
    """Start and end in milliseconds of what was listened to."""
    rows = SeriesStore(folder / "series").read("listening", exchange=exchange, symbol=symbol)
    rows = rows[(rows["kind"] == kind) & (rows["reason"] == "")]
    return pd.DataFrame(
        {name: rows[name].astype("int64").to_numpy() // 1000 for name in ("start", "end")}
    )


def inside(spans: pd.DataFrame, times: pd.Series) -> pd.Series:
    """Which times are in one of the spans."""
    result = pd.Series(False, index=times.index)
    for start, end in spans.itertuples(index=False, name=None):
        result |= (times >= start) & (times < end)
    return result


def event_rows(events: Sequence[Event], contract: dict[str, float]) -> pd.DataFrame:
    """What happened, in the terms of the store."""
    return pd.DataFrame(
        [
            {
                "exchange": event.exchange,
                "symbol": event.symbol,
                "time": event.time,
                "side": event.side,
                "base": float(event.size)
                * (contract[event.symbol] if event.exchange == "okx" else 1.0),
                "price": float(event.price),
            }
            for event in events
        ]
    )


def happened(server: ExchangeServer) -> pd.DataFrame:
    assert server.live is not None
    listings = [server.truth.listing("okx", symbol) for symbol in SYMBOLS]
    sizes = {one.symbol: one.contract_size for one in listings}
    return event_rows(list(server.live.events), sizes)


def unseen(folder: Path, truth: pd.DataFrame) -> pd.DataFrame:
    """What happened while it was listened to, and is not stored: false zeros are made of these."""
    rows = stored(folder)
    rows = rows.assign(time=rows["time"].astype("int64") // 1000)
    keys = ["exchange", "symbol", "time", "side", "base", "price"]
    known = set(map(tuple, rows[keys].round(8).itertuples(index=False, name=None)))
    missing = [tuple(row) not in known for row in truth[keys].round(8).itertuples(index=False)]
    lost = truth[missing]
    covered = pd.Series(False, index=lost.index)
    for (exchange, symbol), part in lost.groupby(["exchange", "symbol"]):
        covered[part.index] = inside(listened(folder, str(exchange), str(symbol)), part["time"])
    return lost[covered]


def shares(folder: Path, server: ExchangeServer) -> dict[str, float]:
    """The share of the healthy time between two pulses that counts as listened, by exchange.

    Healthy is the time between two mark prices that were sent on one connection while all was well,
    and went on to be so for as long as a liquidation may still come.
    """
    assert server.live is not None
    result = {}
    for exchange in server.live.ended:
        symbol = server.truth.listing(exchange, "BTC/USDT").symbol
        spans = listened(folder, exchange, symbol)
        lag = {"binance": 2000, "bybit": 2000, "okx": 3000}[exchange] * server.live.scale
        healthy = counted = 0.0
        for session in server.live.ended[exchange]:
            if session.route.endswith("business"):
                continue
            pulses = session.pulses
            for place, (moment, well) in enumerate(pulses):
                later = [one for one in pulses[place:] if one[0] >= moment + lag]
                until = later[0][0] if later else None
                if not well or until is None:
                    continue
                if not all(good for at, good in pulses[place:] if at <= until):
                    continue
                start = pulses[place - 1][0]
                healthy += moment - start
                counted += sum(
                    max(0, min(end, moment) - max(begin, start))
                    for begin, end in spans.itertuples(index=False, name=None)
                )
        if healthy:
            result[exchange] = counted / healthy
    return result


def interruptions(folder: Path, exchange: str, reason: str) -> list[float]:
    """Seconds of the interruptions of bitcoin's liquidations whose reason matches."""
    rows = SeriesStore(folder / "series").read(
        "listening", exchange=exchange, symbol="BTC/USDT:USDT"
    )
    rows = rows[(rows["kind"] == "liquidations") & (rows["reason"] != "")]
    rows = rows[rows["reason"].str.contains(reason)]
    return [float(one) for one in (rows["end"] - rows["start"]).dt.total_seconds()]


def assert_sound(folder: Path, truth: pd.DataFrame) -> None:
    """Nothing is stored that did not happen, or twice; no time is both; nothing came unseen."""
    rows = stored(folder)
    keys = ["exchange", "symbol", "time", "side", "base", "price"]
    own = rows.assign(time=rows["time"].astype("int64") // 1000)[keys].round(8)
    assert not own.duplicated().any()
    assert len(own.merge(truth[keys].round(8).drop_duplicates(), on=keys)) == len(own)
    assert not candles_twice(folder)
    listening = stored(folder, "listening").sort_values(["exchange", "symbol", "kind", "start"])
    assert (listening["start"] < listening["end"]).all()
    series = ["exchange", "symbol", "kind"]
    until = listening.groupby(series)["end"].shift()
    # Every moment since the first is in one row.
    assert (until.isna() | (until == listening["start"])).all()
    lost = unseen(folder, truth)
    assert len(lost) == 0, lost


def candles_twice(folder: Path) -> bool:
    candles = stored(folder, "candles")
    return bool(candles.duplicated(["exchange", "symbol", "timeframe", "time"]).any())
