"""Collectors for tests, also in processes that may be killed, and comparisons with the truth."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pandas as pd

from brain.naming import perpetual
from brain.series.store.store import SeriesStore, UpsertCounts
from brain.settings import Settings, load_settings
from market.collection.collector import DataCollector
from market.collection.results import CollectionResult, SeriesResult
from tests.market.exchange_server import ExchangeServer, Truth

HISTORIES = ("candles", "funding", "open_interest")
KEY = {
    "candles": ["exchange", "symbol", "timeframe", "time"],
    "funding": ["exchange", "symbol", "time"],
    "open_interest": ["exchange", "symbol", "timeframe", "time"],
}


@dataclass
class Library:
    """The part of a Brain Library that a collector needs."""

    series: SeriesStore


def settings_for(urls: Mapping[str, str], **overrides: Any) -> Settings:
    return load_settings({f"{exchange}_url": url for exchange, url in urls.items()} | overrides)


def collector(store: SeriesStore, exchanges: ExchangeServer, **overrides: Any) -> DataCollector:
    return DataCollector(Library(store), settings=settings_for(exchanges.urls, **overrides))


def collector_of(
    exchange: str, store: SeriesStore, exchanges: ExchangeServer, **overrides: Any
) -> DataCollector:
    settings = settings_for(exchanges.urls, **overrides)
    return DataCollector(Library(store), exchanges=[exchange], settings=settings)


def collect(
    exchanges: ExchangeServer,
    store: SeriesStore,
    symbol: str,
    hours: float,
    *,
    exchange: str = "binance",
    until: object = None,
    **overrides: Any,
) -> CollectionResult:
    work = collector_of(exchange, store, exchanges, **overrides)
    return work.collect_all_data([symbol], hours, until=until)


def series_result(result: CollectionResult, **fields: str) -> SeriesResult:
    """The one result whose fields have these values."""
    (one,) = [
        series
        for series in result.series
        if all(getattr(series, name) == value for name, value in fields.items())
    ]
    return one


# --- against the truth ----------------------------------------------------------------------------


def exists(
    truth: Truth, exchange: str, symbol: str, kind: str, start: object = None, end: object = None
) -> pd.DataFrame:
    """The rows that a flawless collector ends up with, hourly where there is a timeframe."""
    rows: Callable[..., pd.DataFrame] = getattr(truth, kind)
    timeframe = () if kind == "funding" else ("1h",)
    return rows(exchange, symbol, *timeframe, start, end)


def stored(
    store: SeriesStore,
    exchange: str,
    symbol: str,
    kind: str,
    start: object = None,
    end: object = None,
) -> pd.DataFrame:
    rows = store.read(kind, exchange=exchange, symbol=symbol, start=start, end=end)
    return rows.drop(columns="collected")


def assert_whole(
    store: SeriesStore,
    truth: Truth,
    exchange: str,
    symbol: str,
    kind: str,
    start: object,
    end: object,
) -> int:
    """Every row that exists is stored, once, with its very values; returns how many there are."""
    right = exists(truth, exchange, symbol, kind, start, end)
    rows = stored(store, exchange, symbol, kind, start, end)
    assert len(rows) / max(len(right), 1) == (1.0 if len(right) else 0.0), (exchange, symbol, kind)
    pd.testing.assert_frame_equal(rows, right[rows.columns.tolist()], check_dtype=False)
    return len(right)


def uncovered(gaps: pd.DataFrame, missing: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The missing rows that no gap on record covers."""
    ranges: dict[tuple[str, str], list[tuple[pd.Timestamp, pd.Timestamp]]] = {}
    for gap in gaps[gaps["kind"] == kind].to_dict("records"):
        series = (gap["exchange"], gap["symbol"])
        ranges.setdefault(series, []).append((gap["start"], gap["end"]))
    rows = zip(missing["exchange"], missing["symbol"], missing["time"], strict=True)
    covered = [
        any(start <= time < end for start, end in ranges.get((exchange, symbol), ()))
        for exchange, symbol, time in rows
    ]
    return missing[[not inside for inside in covered]] if covered else missing


def lacking(store: SeriesStore, right: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The rows that exist and are not stored."""
    keys = KEY[kind]
    have = pd.MultiIndex.from_frame(store.read(kind, columns=keys))
    return right[~pd.MultiIndex.from_frame(right[keys]).isin(have)]


# --- in other processes ---------------------------------------------------------------------------


class Acknowledging(SeriesStore):
    """Logs what it has acknowledged to a file, at once and without a buffer."""

    def __init__(self, root: str | Path, path: str, hours: int) -> None:
        super().__init__(root)
        self._hours = hours
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def upsert(self, kind: str, frame: pd.DataFrame) -> UpsertCounts:
        counts = super().upsert(kind, frame)
        if kind in KEY:
            keys = frame[KEY[kind]].assign(time=frame["time"].astype("int64"))
            self._log({"kind": kind, "keys": keys.to_numpy(dtype=object).tolist()})
        return counts

    def revise(self, kind: str, change: Any, *, exchange: str, symbols: Sequence[str]) -> None:
        super().revise(kind, change, exchange=exchange, symbols=symbols)
        self._log({"kind": kind, "exchange": exchange, "hours": self._hours})

    def _log(self, entry: Mapping[str, Any]) -> None:
        os.write(self._file, json.dumps(entry).encode() + b"\n")


@dataclass
class Acknowledged:
    """What the store had acknowledged to a killed collector."""

    keys: dict[str, set[tuple[Any, ...]]] = field(
        default_factory=lambda: {kind: set() for kind in KEY}
    )
    #: Hours whose holes are on record, by exchange.
    hours: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Acknowledged:
        acknowledged = cls()
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        for line in lines:  # the last, if torn, has no end of line
            entry = json.loads(line)
            if entry["kind"] == "gaps":
                exchange, hours = entry["exchange"], entry["hours"]
                acknowledged.hours[exchange] = max(hours, acknowledged.hours.get(exchange, 0))
            else:
                acknowledged.keys[entry["kind"]] |= {tuple(key) for key in entry["keys"]}
        return acknowledged


@dataclass(frozen=True)
class Job:
    """A collection, to be done in another process."""

    root: str
    acknowledged: str
    urls: Mapping[str, str]
    symbols: tuple[str, ...]
    hours: int

    def run(self) -> None:
        store = Acknowledging(self.root, self.acknowledged, self.hours)
        # Often, so that a kill finds a collection in every state.
        work = DataCollector(Library(store), settings=settings_for(self.urls), commit_after=0.1)
        work.collect_all_data(self.symbols, self.hours)

    def start(self) -> ForkServerProcess:
        """In a process that has everything imported already, and nothing else done."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "market.exchanges.catalogue"])
        process = context.Process(target=self.run, daemon=True)
        process.start()
        return process


def truths(
    truth: Truth, exchange: str, symbols: Sequence[str], kind: str, start: pd.Timestamp
) -> pd.DataFrame:
    """The rows of several symbols that exist."""
    return pd.concat([exists(truth, exchange, perpetual(s), kind, start) for s in symbols])
