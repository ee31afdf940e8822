"""Appending: what is stored stays as it is, whoever writes, and however many at once."""

from __future__ import annotations

import multiprocessing
import random
import time
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from brain.errors import InputError
from brain.series.store.store import AppendCounts, SeriesStore
from tests.brain.series.store.series_rows import evidence, utc

NIGHTS = 40


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path / "series")


def test_rows_that_are_stored_stay_for_ever(store: SeriesStore) -> None:
    assert store.append("evidence", evidence()) == AppendCounts(3, 3, 0)
    first = store.read("evidence")
    later = evidence(nights=5)
    later.loc[1, "profit"] = 9.0
    assert store.append("evidence", later) == AppendCounts(5, 2, 1)
    rows = store.read("evidence")
    assert_frame_equal(rows.head(3), first)
    assert_frame_equal(rows.tail(2)[later.columns], later.tail(2))
    assert store.append("evidence", later) == AppendCounts(5, 0, 1)


@pytest.mark.parametrize(("before", "after"), [(np.nan, 1.0), (1.0, np.nan)])
def test_unknown_is_a_value_too(store: SeriesStore, before: float, after: float) -> None:
    store.append("evidence", evidence(nights=1, profit=before))
    assert store.append("evidence", evidence(nights=1, profit=before)).different == 0
    assert store.append("evidence", evidence(nights=1, profit=after)).different == 1
    assert store.read("evidence")["profit"].tolist() == pytest.approx([before], nan_ok=True)


def test_nothing_is_no_commit(store: SeriesStore) -> None:
    assert store.append("evidence", evidence(nights=0)) == AppendCounts(0, 0, 0)
    assert not Path(store.root).exists()


def test_symbols_of_models_stand_as_they_are(store: SeriesStore) -> None:
    for symbol in ("BTC/USD", "ETH/USDT:USDT"):
        store.append("evidence", evidence(symbol=symbol))
    store.append("evidence", evidence(line="lstm-0123456789ab"))
    assert len(store.read("evidence", symbol="BTC/USD")) == 6
    assert len(store.read("evidence", symbol="ETH/USDT:USDT", timeframe="1h")) == 3
    assert len(store.read("evidence", symbol="ETH/USDT")) == 0
    lstm = store.read("evidence", where={"line": "lstm-0123456789ab"}, start="2026-11-01")
    assert list(lstm["time"]) == [utc("2026-11-01"), utc("2026-11-02")]
    with pytest.raises(InputError, match="evidence have no contest"):
        store.read("evidence", where={"contest": "1h.6"})


def test_documents_are_kept_by_contest_and_step(store: SeriesStore) -> None:
    frame = pd.DataFrame(
        {
            "contest": "1h.6",
            "step": ["decided", "closed"],
            "time": utc("2026-11-01"),
            "document": ['{"day": 1}', "{}"],
        }
    )
    assert store.append("contests", frame).inserted == 2
    assert store.append("contests", frame.assign(document="{}")).different == 1
    decided = store.read("contests", where={"contest": "1h.6", "step": "decided"})
    assert list(decided["document"]) == ['{"day": 1}']
    store.upkeep(keep_hours=1)
    assert len(store.read("contests")) == 2


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["brain.series.store.store", "tests.brain.series.store.series_rows"]
    )
    return context


def append_all(root: str, writer: int, start: float) -> None:
    """The same nights as all others, with the writer's own values, in an order of its own."""
    store = SeriesStore(root)
    nights = list(range(0, NIGHTS, 4))
    random.Random(writer).shuffle(nights)
    time.sleep(max(0.0, start - time.time()))
    for night in nights:
        day = utc("2026-01-01") + pd.Timedelta(days=night)
        store.append("evidence", evidence(str(day.date()), 4, profit=100.0 * writer))


def test_of_writers_at_once_the_first_wins_and_kills_leave_whole_commits(
    tmp_path: Path, processes: ForkServerContext
) -> None:
    root, start = str(tmp_path / "series"), time.time() + 1.5
    writers = [processes.Process(target=append_all, args=(root, n, start)) for n in range(4)]
    for writer in writers:
        writer.start()
    time.sleep(max(0.0, start - time.time()) + 0.3)
    writers[0].kill()
    early = SeriesStore(root).read("evidence")
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers[1:]] == [0] * 3
    rows = SeriesStore(root).read("evidence")
    assert len(rows) == rows["time"].nunique() == NIGHTS
    same = rows[rows["time"].isin(early["time"])].reset_index(drop=True)
    assert_frame_equal(same, early)
    batches = (rows["profit"].to_numpy().reshape(-1, 4) - np.arange(4)) / 100.0
    assert (batches == batches[:, :1]).all()
