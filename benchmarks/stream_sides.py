"""Two sides that take in a burst, each in a process of its own: ours, and ccxt.pro's."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil

from benchmarks.stream_bursts import COINS, BurstServer, Sent

__all__ = ["Taken", "ccxt_side", "our_side", "take_in"]

_SETTLE_SECONDS = 3.0
_REST_SECONDS = 15.0


@dataclass
class Taken:
    """What one side took in of a burst.

    Attributes:
        events: liquidations that it kept, each once, by exchange.
        latencies: seconds from receiving a row to its being durable; empty if nothing is stored.
        cores: CPU seconds a second, from the burst's start to its end.
        megabytes: resident memory at each second of the burst.
        listened: share of the burst that counts as listened, the least of all exchanges.
        sent: what was sent.
    """

    events: dict[str, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    cores: float = 0.0
    megabytes: list[float] = field(default_factory=list)
    listened: float = 0.0
    sent: Sent = field(default_factory=lambda: Sent(0, {}))


def take_in(side: Callable[..., None], frames: float, seconds: float, scratch: Path) -> Taken:
    """Let a side take in a burst, from exchanges of its own."""
    context = multiprocessing.get_context("spawn")
    with BurstServer() as server:
        pipe, theirs = context.Pipe()
        process = context.Process(target=side, args=(theirs, server.urls, scratch), daemon=True)
        process.start()
        pipe.recv()  # it is connected
        time.sleep(_SETTLE_SECONDS)
        server.start(frames)
        own = psutil.Process(process.pid)
        begin, used, megabytes = time.monotonic(), _cpu(own), list[float]()
        while time.monotonic() - begin < seconds:
            time.sleep(1.0)
            megabytes.append(own.memory_info().rss / 1e6)
        sent = server.stop()
        cores = (_cpu(own) - used) / (time.monotonic() - begin)
        time.sleep(_REST_SECONDS)  # until a slow one has read all, and stored it
        pipe.send((begin, begin + seconds))
        taken: Taken = pipe.recv()
        process.join(30)
    taken.cores, taken.megabytes, taken.sent = cores, megabytes, sent
    return taken


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def our_side(pipe: Connection, urls: Mapping[str, str], scratch: Path) -> None:
    """A stream with its defaults: rows to the store, frames to the recording."""
    from brain.series.store.store import SeriesStore
    from market.exchanges import open_exchange
    from market.streams import Source, Stream

    latencies: list[Any] = []

    def stored(kind: str, frame: pd.DataFrame) -> None:
        if kind == "liquidations":
            received = frame["received"].astype("int64").to_numpy() / 1e6
            latencies.append(time.time() - received)

    async def run(folder: Path) -> Taken:
        store = SeriesStore(folder / "series")
        sources = [
            Source(open_exchange(name, base_url=url), url.replace("http", "ws", 1))
            for name, url in urls.items()
        ]
        symbols = [f"{coin}/USDT" for coin in COINS]
        stream = Stream(store, sources, symbols, "1m", folder / "frames", stored=stored)
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        task = asyncio.create_task(stream.run(stop))
        while sum(c.start is not None for c in stream.normaliser.connections.values()) < 3:
            await asyncio.sleep(0.05)
        pipe.send("connected")
        begin, end = await loop.run_in_executor(None, pipe.recv)
        stop.set()
        await task
        rows = store.read("liquidations", columns=["exchange"])
        counts = rows["exchange"].value_counts()
        taken = Taken({str(name): int(number) for name, number in counts.items()})
        taken.latencies = np.concatenate(latencies).tolist()
        first, last = (time.time() - time.monotonic() + at for at in (begin, end))
        taken.listened = _listened(store.read("listening"), first, last)
        return taken

    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        pipe.send(asyncio.run(run(Path(folder))))


def _listened(rows: pd.DataFrame, first: float, last: float) -> float:
    """The least share of a stretch that the liquidations of any series were listened to."""
    rows = rows[(rows["kind"] == "liquidations") & (rows["reason"] == "")]
    start, end = (rows[name].astype("int64") / 1e6 for name in ("start", "end"))
    seconds = (end.clip(upper=last) - start.clip(lower=first)).clip(lower=0.0)
    return float(seconds.groupby([rows["exchange"], rows["symbol"]]).sum().min() / (last - first))


def ccxt_side(pipe: Connection, urls: Mapping[str, str], scratch: Path) -> None:
    """What ccxt.pro's manual shows: a loop around ``watch_liquidations`` for each exchange."""
    kept: dict[str, set[tuple[Any, ...]]] = {name: set() for name in urls}

    async def run() -> Taken:
        exchanges = [_ccxt_exchange(name, url) for name, url in urls.items()]
        symbols = [f"{coin}/USDT:USDT" for coin in COINS]
        tasks = [
            asyncio.create_task(_watch(exchange, symbol, kept[exchange.id]))
            for exchange in exchanges
            for symbol in symbols
        ]
        await asyncio.sleep(5.0)
        pipe.send("connected")
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for exchange in exchanges:
            await exchange.close()
        return Taken({name: len(events) for name, events in kept.items()})

    pipe.send(asyncio.run(run()))


async def _watch(exchange: Any, symbol: str, kept: set[tuple[Any, ...]]) -> None:
    while True:
        for one in await exchange.watch_liquidations(symbol):
            # Binance's size is of the last fill there: the price tells liquidations apart.
            kept.add((one["symbol"], one["timestamp"], one["side"], one["price"]))


def _ccxt_exchange(name: str, url: str) -> Any:
    """An exchange of ccxt.pro that asks the loopback one, and has the symbols' markets."""
    import ccxt.pro

    exchange = getattr(ccxt.pro, name)({"options": {"defaultType": "swap"}})
    exchange.urls["api"] = _rewritten(exchange.urls["api"], url)
    ids = {"binance": "{}USDT", "bybit": "{}USDT", "okx": "{}-USDT-SWAP"}[name]
    markets = []
    for coin in COINS:
        market = exchange.safe_market_structure(
            {
                "id": ids.format(coin),
                "lowercaseId": ids.format(coin).lower(),
                "symbol": f"{coin}/USDT:USDT",
                "base": coin,
                "quote": "USDT",
                "settle": "USDT",
                "type": "swap",
                "swap": True,
                "spot": False,
                "contract": True,
                "linear": True,
                "inverse": False,
                "active": True,
                "contractSize": 1.0,
            }
        )
        markets.append(market)
    exchange.set_markets(markets)
    return exchange


def _rewritten(value: Any, url: str) -> Any:
    """Addresses of the loopback exchange in place of the exchange's own, with their paths."""
    if isinstance(value, dict):
        return {key: _rewritten(one, url) for key, one in value.items()}
    scheme, _, rest = str(value).partition("://")
    path = rest.partition("/")[2]
    base = url if scheme.startswith("http") else url.replace("http", "ws", 1)
    return f"{base}/{path}" if path else base
