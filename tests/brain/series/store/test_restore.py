"""A series store at another clock, and back to what it was."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from brain.series import SeriesStore
from tests.brain.series.store.series_rows import candles, gaps, utc


@dataclass
class Clock:
    moment: pd.Timestamp

    def __call__(self) -> pd.Timestamp:
        return self.moment


def rows(first: int, count: int) -> pd.DataFrame:
    return candles(rows=first + count)[first:]


def test_rows_count_as_stored_at_the_clocks_moment(tmp_path: Path) -> None:
    clock = Clock(utc("2019-07-01"))
    store = SeriesStore(tmp_path / "series", clock=clock)
    store.append("candles", rows(0, 3))
    clock.moment = utc("2019-07-02")
    store.upsert("candles", rows(3, 2))
    elsewhere = pickle.loads(pickle.dumps(store))
    assert elsewhere._clock() == clock.moment
    collected = store.read("candles")["collected"]
    assert collected.tolist() == [utc("2019-07-01")] * 3 + [utc("2019-07-02")] * 2


@pytest.mark.parametrize("more", [1, 40])  # the files are joined meanwhile
def test_what_was_stored_since_is_taken_back(tmp_path: Path, more: int) -> None:
    store = SeriesStore(tmp_path / "series")
    store.append("candles", rows(0, 5))
    versions, before = store.versions(), store.read("candles")
    assert set(versions) == {"candles"}
    for number in range(more):
        store.append("candles", rows(5 + number, 1))
    store.append("gaps", gaps())
    later = store.read("candles")
    assert len(later) == 5 + more
    fresh = SeriesStore(tmp_path / "series")
    fresh.restore(versions)
    assert_frame_equal(fresh.read("candles"), before)
    assert fresh.read("gaps").empty
    # What was taken back can be stored again, as if it had never been.
    assert fresh.append("candles", rows(5, 1)).inserted == 1
    assert_frame_equal(store.read("candles"), fresh.read("candles"))
    fresh.restore(versions)
    fresh.restore(versions)
    assert_frame_equal(fresh.read("candles"), before)


def test_nothing_is_there_to_take_back(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path / "series")
    assert store.versions() == {}
    store.restore({})
    assert store.read("candles").empty
