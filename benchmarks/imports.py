"""Importing a million candles from an exchange's zips, beside the store's upsert of the same rows.

Each run is a process of its own, whose peak is its memory; what it has with all libraries imported,
before it reads anything, is taken off. The import unzips, checks and parses the files, and keeps
the gap record; the upsert begins with the rows as one DataFrame in memory.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import resource
import tempfile
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.csv as pc

from benchmarks.frame import Benchmark, Metric, Report, Target, interleave
from brain.console import console
from brain.errors import BrainError
from brain.series.store.store import SeriesStore
from market.imports.importer import import_path

__all__ = ["BENCHMARK", "Readings", "candles", "import_files", "measure", "publish", "upsert"]

STEP = pd.Timedelta(minutes=1)
FIRST = pd.Timestamp("2024-01-01", tz="UTC")
MONTHS = 12
_TWICE = 0.5  # the import's time is at most twice the upsert's
_MILLISECOND = 1_000_000


@dataclass(frozen=True)
class Readings:
    """What one side took in one run.

    Attributes:
        first: seconds for the rows into an empty store.
        again: seconds for the same once more.
        megabytes: peak memory above an idle process.
        rows: that the store holds.
    """

    first: float
    again: float
    megabytes: float
    rows: int


def candles(symbol: int, month: pd.Timestamp) -> pd.DataFrame:
    """A month of minutes of one symbol, in the store's columns; the same for the same arguments."""
    times = pd.date_range(month, month + pd.offsets.MonthBegin(), freq=STEP, unit="us")[:-1]
    chance = np.random.default_rng([symbol, month.year, month.month])
    first = np.round(100 * np.exp(np.cumsum(chance.normal(0, 1e-3, len(times)))), 2)
    last = np.round(first * np.exp(chance.normal(0, 1e-3, len(times))), 2)
    top = np.round(np.maximum(first, last) + chance.exponential(0.1, len(times)), 2)
    bottom = np.round(np.minimum(first, last) * (1 - chance.exponential(1e-3, len(times))), 2)
    volume = np.round(chance.exponential(100, len(times)), 3)
    frame = pd.DataFrame({"exchange": "binance", "symbol": f"C{symbol}/USDT:USDT"}, times)
    frame = frame.assign(timeframe="1m").rename_axis("time").reset_index()
    prices = {"open": first, "high": top, "low": bottom, "close": last, "volume": volume}
    return frame.assign(
        **prices, quote_volume=np.round(volume * first, 5), available=frame["time"] + STEP
    )


def publish(folder: Path, rows: int) -> pd.DataFrame:
    """Write at least so many rows as an exchange publishes them, and return them."""
    frames: list[pd.DataFrame] = []
    symbol = 0
    while sum(len(frame) for frame in frames) < rows:
        for month in pd.date_range(FIRST, periods=MONTHS, freq="MS"):
            frames.append(candles(symbol, month))
            _write(folder, frames[-1], f"C{symbol}USDT", f"{month:%Y-%m}")
        symbol += 1
    return pd.concat(frames, ignore_index=True)


def _write(folder: Path, frame: pd.DataFrame, instrument: str, month: str) -> None:
    opened = pd.DatetimeIndex(frame["time"]).as_unit("ns").asi8 // _MILLISECOND
    table = pa.table(
        {
            "open_time": opened,
            **{name: frame[name] for name in ("open", "high", "low", "close", "volume")},
            "close_time": opened + STEP // pd.Timedelta(milliseconds=1) - 1,
            "quote_volume": frame["quote_volume"],
            "count": np.full(len(frame), 100),
            "taker_buy_volume": frame["volume"] / 2,
            "taker_buy_quote_volume": frame["quote_volume"] / 2,
            "ignore": np.zeros(len(frame), dtype=np.int64),
        }
    )
    text = io.BytesIO()
    pc.write_csv(table, text, pc.WriteOptions(quoting_style="none"))
    place = folder / f"futures/um/monthly/klines/{instrument}/1m"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{instrument}-1m-{month}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{path.stem}.csv", text.getvalue())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")


def import_files(files: Path, root: Path) -> Readings:
    """Import the folder twice into an empty store.

    Raises:
        BrainError: a file failed.
    """
    idle, seconds = _resident(), []
    for _ in range(2):
        store = SeriesStore(root)
        started = time.perf_counter()
        result = import_path(files, store)
        seconds.append(time.perf_counter() - started)
        if result.failures:
            raise BrainError(f"{result.failures[0]}; mend the benchmark")
    return Readings(seconds[0], seconds[1], _peak() - idle, _rows(root))


def upsert(file: Path, root: Path) -> Readings:
    """Upsert the rows of a Parquet file twice into an empty store, from one DataFrame."""
    idle, seconds = _resident(), []
    frame = pd.read_parquet(file)
    for _ in range(2):
        store = SeriesStore(root)
        started = time.perf_counter()
        store.upsert("candles", frame)
        seconds.append(time.perf_counter() - started)
    return Readings(seconds[0], seconds[1], _peak() - idle, _rows(root))


def _resident() -> float:
    return psutil.Process().memory_info().rss / 1e6


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def _rows(root: Path) -> int:
    return int(SeriesStore(root).extents("candles")["rows"].sum())


def measure(runs: int, rows: int) -> Report:
    """Run both sides in turn.

    Raises:
        BrainError: a file failed, or the sides end with other rows.
    """
    out = console()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        frame = publish(folder / "files", rows)
        frame.to_parquet(folder / "rows.parquet", index=False)
        count = len(frame)
        del frame

        def side(work: object, source: Path) -> Readings:
            context = multiprocessing.get_context("spawn")
            with (
                tempfile.TemporaryDirectory(dir=folder) as root,
                ProcessPoolExecutor(1, mp_context=context) as process,
            ):
                return process.submit(work, source, Path(root)).result()  # type: ignore[arg-type]

        ours, theirs = interleave(
            lambda: side(import_files, folder / "files"),
            lambda: side(upsert, folder / "rows.parquet"),
            runs,
            lambda line: out.print(f"  {line}", markup=False),
        )
    if {one.rows for one in (*ours, *theirs)} != {count}:
        raise BrainError(f"the sides hold other rows than the {count} of the files; mend them")
    return report(ours, theirs, count)


def report(ours: list[Readings], theirs: list[Readings], rows: int) -> Report:
    """Both sides' readings as metrics."""

    def metric(name: str, unit: str, of: str, target: Target | None = None) -> Metric:
        mine, others = ([getattr(one, of) for one in side] for side in (ours, theirs))
        return Metric(name, unit, mine, others, target=target)

    return Report(
        metrics=[
            metric(f"{rows:,} candles into an empty store", "s", "first", Target(_TWICE)),
            metric("the same again, which changes nothing", "s", "again"),
            metric("peak memory above an idle process", "MB", "megabytes"),
        ],
        runs=len(ours),
        ours=f"import of {rows // (30 * 1440 * MONTHS) * MONTHS} zips with checksums",
        theirs="the store's own upsert of the same rows from a DataFrame",
        notes=[
            f"Candles of a minute, a zip a month and symbol, {MONTHS} months of each symbol.",
            "The import unzips, compares SHA-256, parses and checks the rows, and keeps the gap "
            "record. The upsert is given the rows, all at once.",
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
            help="how many rows at least",
        )
    ],
    versions=("deltalake", "pyarrow", "pandas"),
)
