"""Many writers of one series store, some of whom die."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pandas as pd
import pytest

from brain.series.store.store import SeriesStore
from tests.brain.series.store.series_rows import BTC, candles, gaps

KILLS = 20
KEYS = ["exchange", "symbol", "timeframe", "time"]


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """New processes that have the slow imports behind them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["brain.series.store.store", "tests.brain.series.store.series_rows"]
    )
    return context


def batch(number: int) -> pd.DataFrame:
    """Twenty new hours, and eighty that the batches before have stored at other prices."""
    return candles("2026-10-28", 100 + 20 * number, price=number).tail(100)


def write_for_ever(root: str, acknowledged: str, first: int) -> None:
    store = SeriesStore(root)
    log = os.open(acknowledged, os.O_WRONLY | os.O_APPEND)
    for number in range(first, first + 10_000):
        store.upsert("candles", batch(number))
        os.write(log, f"{number}\n".encode())


def test_what_was_acknowledged_survives_kills(tmp_path: Path, processes: ForkServerContext) -> None:
    root, log = tmp_path / "series", tmp_path / "acknowledged"
    log.touch()
    chance = random.Random(7)
    acknowledged = pd.Series(dtype="float64")
    done = 0
    for _kill in range(KILLS):
        writer = processes.Process(target=write_for_ever, args=(str(root), str(log), done))
        writer.start()
        patience = time.monotonic() + 60
        while not log.read_text().count("\n") > done and time.monotonic() < patience:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.08))
        writer.kill()
        writer.join()
        for number in map(int, log.read_text().split()[done:]):
            acknowledged = batch(number).set_index("time")["open"].combine_first(acknowledged)
            done = number + 1
        rows = SeriesStore(root).read("candles")
        assert not rows.duplicated(KEYS).any()
        prices = rows.set_index("time")["open"]
        assert set(acknowledged.index) <= set(prices.index)
        # The batch that was under way is there as a whole or not at all.
        both = batch(done).set_index("time")["open"].combine_first(acknowledged)
        assert prices.equals(acknowledged) or prices.equals(both.rename("open"))
    assert done >= KILLS
    store = SeriesStore(root)
    store.upkeep()
    assert len(store.read("candles")) >= 100


def write_share(root: str, share: int, start: float) -> None:
    """Own rows and shared ones, into partitions that all the others write to as well."""
    store = SeriesStore(root)
    time.sleep(max(0.0, start - time.time()))
    for step in range(6):
        own = candles("2026-10-31 12:00", 24, symbol=f"C{share}/USDT:USDT", price=step)
        shared = candles("2026-10-31 12:00", 24, price=100 * share + step)
        store.upsert("candles", pd.concat([own, shared, candles("2026-10-31", 10 * step)]))
        new = gaps(BTC, exchange=f"e{share % 2}", count=step)
        store.revise("gaps", partial(_instead, new), exchange=f"e{share % 2}", symbols=[BTC])


def _instead(new: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    return new


def test_writers_in_several_processes_neither_lose_nor_double_rows(
    tmp_path: Path, processes: ForkServerContext
) -> None:
    root, start = str(tmp_path / "series"), time.time() + 1.5
    writers = [processes.Process(target=write_share, args=(root, n, start)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 4
    rows = SeriesStore(root).read("candles")
    assert not rows.duplicated(KEYS).any()
    for share in range(4):
        own = rows[rows["symbol"] == f"C{share}/USDT:USDT"]
        assert list(own["open"]) == [5.0 + n for n in range(24)]
    assert len(rows[rows["symbol"] == BTC]) == 50
    assert sorted(SeriesStore(root).read("gaps")["exchange"]) == ["e0", "e1"]


@pytest.mark.parametrize("writes", [10, pytest.param(20, marks=pytest.mark.soak)])
def test_one_store_serves_several_threads(tmp_path: Path, writes: int) -> None:
    store = SeriesStore(tmp_path)

    def work(number: int) -> None:
        own = candles("2026-10-31 12:00", 24, symbol=f"C{number % 5}/USDT:USDT", price=number)
        store.upsert("candles", pd.concat([own, candles("2026-10-31", 30)]))
        assert len(store.read("candles", symbol=f"C{number % 5}/USDT")) == 24

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(writes)))
    rows = store.read("candles")
    assert not rows.duplicated(KEYS).any()
    assert len(rows) == 5 * 24 + 30
