"""Failed requests, killed processes, exchanges that are down: nothing is lost or doubled."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from brain.errors import ExchangeUnreachableError
from brain.series.store.store import SeriesStore
from market.collection.collector import DataCollector
from market.collection.gaps import open_gaps
from market.collection.grid import FixedGrid
from market.collection.results import CollectionResult
from tests.market.collectors import (
    HISTORIES,
    KEY,
    Acknowledged,
    Job,
    Library,
    assert_whole,
    collector,
    lacking,
    settings_for,
    truths,
    uncovered,
)
from tests.market.exchange_server import EXCHANGES, NOW, ExchangeServer, Faults

END = FixedGrid.of("1h").floor(NOW)
SYMBOLS = ("BTC/USDT", "SOL/USDT", "KAITO/USDT")
#: Of the collectors that are killed: the one with most settlements.
KILLED = ("KAITO/USDT",)


def since(hours: int) -> pd.Timestamp:
    return END - pd.Timedelta(hours=hours)


def test_ten_percent_of_requests_fail_and_nothing_is_missing(tmp_path: Path) -> None:
    rate = 0.1 / 7
    faults = Faults(
        seed=3,
        timeout=rate,
        reset=rate,
        too_many=rate,
        error=rate,
        truncated=rate,
        malformed=rate,
        empty=rate,
        duplicated=0.1,
        unsorted=0.1,
    )
    with ExchangeServer(fillers=20, faults=faults) as exchanges:
        store = SeriesStore(tmp_path / "series")
        work = collector(store, exchanges, request_timeout=0.5)
        result = work.collect_all_data(SYMBOLS, 45 * 24)
        assert result.failures == ()
        share = sum(faults.counts[name] for name in faults.rates) / len(exchanges.requests)
        assert 0.05 < share < 0.2
        assert all(faults.counts[name] for name in faults.rates if name != "banned")
        rows = sum(
            assert_whole(store, exchanges.truth, exchange, symbol, kind, since(45 * 24), NOW)
            for exchange in EXCHANGES
            for symbol in SYMBOLS
            for kind in HISTORIES
        )
        assert rows == sum(r.rows_new for r in result.series if r.kind in HISTORIES)
        assert set(open_gaps(store)["kind"]) == {"open_interest"}  # beyond the look-back alone


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.soak)])
def test_kills_lose_and_double_nothing(tmp_path: Path, kills: int) -> None:
    """After each SIGKILL: what was acknowledged is there, once; every hole is on record."""
    draw = random.Random(11)
    log = tmp_path / "acknowledged"
    killed = turn = 0
    # Who is killed forgets what it has asked; the exchanges forget as soon here.
    with ExchangeServer(fillers=0, scale=60) as exchanges:
        store = SeriesStore(tmp_path / "series")
        while killed < kills:
            turn += 1
            assert turn <= 2 * kills
            hours = 24 + 24 * turn  # so that every one has something to do
            job = Job(store.root, str(log), dict(exchanges.urls), KILLED, hours)
            killed += _killed(job, log, draw.randrange(8), draw.uniform(0, 0.15))
            _nothing_lost(store, exchanges, Acknowledged.read(log))
        assert len(Acknowledged.read(log).keys["candles"]) > 10 * kills
        result = collector(store, exchanges).collect_all_data(KILLED, hours + 48)
        assert result.failures == ()
        for exchange in EXCHANGES:
            for symbol in KILLED:
                for kind in HISTORIES:
                    start = since(hours + 48)
                    assert_whole(store, exchanges.truth, exchange, symbol, kind, start, NOW)
        assert set(open_gaps(store)["reason"]) <= {"older than the exchange keeps (30 days)"}


def _killed(job: Job, log: Path, acknowledgements: int, seconds: float) -> bool:
    """Kill it some time after so many of its acknowledgements; false if it was done before."""
    before = log.stat().st_size if log.exists() else 0
    process = job.start()
    deadline = time.monotonic() + 60
    lines = b""
    while process.is_alive() and lines.count(b"\n") < acknowledgements:
        assert time.monotonic() < deadline
        time.sleep(0.01)
        lines = log.read_bytes()[before:] if log.exists() else b""
    time.sleep(seconds)
    killed = process.is_alive()
    process.kill()
    process.join()
    process.close()
    return killed


def _nothing_lost(
    store: SeriesStore, exchanges: ExchangeServer, acknowledged: Acknowledged
) -> None:
    gaps = open_gaps(store)
    for kind, names in KEY.items():
        keys = store.read(kind, columns=names)
        assert not keys.duplicated().any()
        stored = set(
            keys.assign(time=keys["time"].astype("int64")).itertuples(index=False, name=None)
        )
        assert acknowledged.keys[kind] <= stored
        for exchange, hours in acknowledged.hours.items():
            right = truths(exchanges.truth, exchange, KILLED, kind, since(hours))
            assert len(uncovered(gaps, lacking(store, right, kind), kind)) == 0


def test_two_collectors_at_once(tmp_path: Path) -> None:
    with ExchangeServer(fillers=0) as exchanges:
        store = SeriesStore(tmp_path / "series")
        jobs = [
            Job(store.root, str(tmp_path / f"told{n}"), dict(exchanges.urls), SYMBOLS[n:], 24 * 20)
            for n in range(2)
        ]
        processes = [job.start() for job in jobs]
        for process in processes:
            process.join(60)
            assert process.exitcode == 0
        for kind, names in KEY.items():
            assert not store.read(kind, columns=names).duplicated().any()
        for exchange in EXCHANGES:
            for symbol in SYMBOLS:
                for kind in HISTORIES:
                    assert_whole(store, exchanges.truth, exchange, symbol, kind, since(480), NOW)
        assert len(open_gaps(store)) == 0


def test_a_night_that_was_missed_is_made_good(tmp_path: Path) -> None:
    with ExchangeServer(fillers=0) as exchanges:
        store, truth = SeriesStore(tmp_path / "series"), exchanges.truth
        work = DataCollector(
            Library(store), exchanges=["okx"], settings=settings_for(exchanges.urls)
        )
        truth.now = NOW - pd.Timedelta(days=9)
        work.collect_all_data(["BTC/USDT"], 24)
        truth.now = NOW  # eight nights without a collection
        result = work.collect_all_data(["BTC/USDT"], 24)
        starts = {r.kind: r.start for r in result.series if r.kind != "snapshots"}
        last = since(9 * 24 + 4)  # settlement; no later one was due
        assert starts == dict.fromkeys(HISTORIES, since(9 * 24)) | {"funding": last}
        for kind in HISTORIES:
            assert_whole(store, truth, "okx", "BTC/USDT", kind, since(10 * 24), NOW)
        assert len(open_gaps(store)) == 0


@dataclass
class Trouble:
    """A collection that an exchange's faults marked, and what can be done afterwards."""

    exchanges: ExchangeServer
    store: SeriesStore
    root: Path
    result: CollectionResult


@pytest.fixture(scope="module")
def troubles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Trouble]]:
    """All at once: a client goes on for some ten seconds before it gives up."""

    def collect(name: str) -> Trouble:
        exchanges = stack.enter_context(ExchangeServer(fillers=0))
        if name == "series":
            exchanges.faults.failing = {("binance", "SOL/USDT:USDT")}
        else:
            exchanges.faults.down = frozenset({"bybit"} if name == "one" else EXCHANGES)
        root = tmp_path_factory.mktemp(name) / "series"
        store = SeriesStore(root)
        result = collector(store, exchanges).collect_all_data(["BTC/USDT", "SOL/USDT"], 48)
        return Trouble(exchanges, store, root, result)

    with ExitStack() as stack, ThreadPoolExecutor(3) as threads:
        names = ("one", "all", "series")
        yield dict(zip(names, threads.map(collect, names), strict=True))


@pytest.mark.parametrize(("name", "down"), [("one", {"bybit"}), ("all", set(EXCHANGES))])
def test_an_exchange_that_is_down_is_named(
    troubles: dict[str, Trouble], name: str, down: set[str]
) -> None:
    trouble = troubles[name]
    failures = trouble.result.failures
    assert {failed.exchange for failed in failures} == down
    assert len(failures) == 8 * len(down)
    assert len(trouble.result.series) == 24
    for failed in failures:
        assert isinstance(failed.failure, ExchangeUnreachableError)
        host = trouble.exchanges.urls[failed.exchange].removeprefix("http://")
        assert host in str(failed.failure)
        assert failed.rows_stored is failed.expected is failed.missing is None


def test_without_a_network_nothing_is_written(troubles: dict[str, Trouble]) -> None:
    assert not troubles["all"].root.exists()


def test_one_that_is_down_holds_nobody_up(troubles: dict[str, Trouble]) -> None:
    store = troubles["one"].store
    for kind in (*HISTORIES, "instruments", "snapshots"):
        assert set(store.read(kind)["exchange"]) == {"binance", "okx"}
    assert len(store.read("gaps")) == 0


def test_a_series_that_fails_is_recorded_and_fetched_the_next_night(
    troubles: dict[str, Trouble],
) -> None:
    exchanges, store = troubles["series"].exchanges, troubles["series"].store
    failures = troubles["series"].result.failures
    assert {(r.exchange, r.symbol) for r in failures} == {("binance", "SOL/USDT")}
    assert {r.kind for r in failures} == {*HISTORIES, "snapshots"}
    gaps = open_gaps(store)
    assert set(gaps["symbol"]) == {"SOL/USDT:USDT"}
    assert sorted(gaps["kind"]) == sorted(HISTORIES)
    assert gaps["reason"].str.startswith("request failed: binance: 127.0.0.1:").all()
    exchanges.faults.failing = set()
    # A shorter range: the holes of the night before are asked for wherever they are.
    settings = settings_for(exchanges.urls)
    again = DataCollector(Library(store), exchanges=["binance"], settings=settings)
    result = again.collect_all_data(["SOL/USDT"], 3)
    assert result.failures == ()
    assert len(open_gaps(store)) == 0
    for kind in HISTORIES:
        assert_whole(store, exchanges.truth, "binance", "SOL/USDT", kind, since(48), NOW)
    (candles,) = [r for r in result.series if r.kind == "candles"]
    assert (candles.rows_stored, candles.rows_new) == (3, 48)
    assert candles.note == "45 rows filled in outside the range"


@pytest.mark.parametrize("ahead", [90.0, -90.0])
def test_an_exchanges_clock_decides_what_is_closed(tmp_path: Path, ahead: float) -> None:
    """At half a minute to or past the hour, an exchange with a wrong clock closes other candles."""
    with ExchangeServer(
        END + pd.Timedelta(seconds=-30 if ahead > 0 else 30), fillers=0
    ) as exchanges:
        exchanges.faults.skew = dict.fromkeys(EXCHANGES, ahead)
        store = SeriesStore(tmp_path / "series")
        result = collector(store, exchanges).collect_all_data(["KAITO/USDT"], 24)
        assert result.failures == ()
        clock = exchanges.truth.now + pd.Timedelta(seconds=ahead)
        for candles in (r for r in result.series if r.kind == "candles"):
            assert candles.end == FixedGrid.of("1h").floor(clock)
            rows = store.read("candles", exchange=candles.exchange)
            assert rows["available"].max() <= clock
            assert len(rows) + (candles.missing or 0) == 24


def test_swapped_columns_are_passed_on(tmp_path: Path) -> None:
    """They are the quality report's to notice, not the collector's to guess."""
    with ExchangeServer(fillers=0) as exchanges:
        truth, store = exchanges.truth, SeriesStore(tmp_path / "series")
        for exchange in EXCHANGES:
            truth.swap(exchange, "BTC/USDT", since(10), since(5))
        collector(store, exchanges).collect_all_data(["BTC/USDT"], 24)
        for exchange in EXCHANGES:
            right = truth.candles(exchange, "BTC/USDT", "1h", since(10), since(5))
            rows = store.read("candles", exchange=exchange, start=since(10), end=since(5))
            assert (rows["volume"] > 1000 * right["volume"]).all()
            assert (rows["close"] == right["close"]).all()
