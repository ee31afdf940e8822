"""A renamed symbol is read by any of its names; its rows are stored under the present one."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from brain.errors import InputError
from brain.series.store import SeriesStore
from tests.brain.series.store.series_rows import BTC, candles, gaps

OLD, MIDDLE, NEW = "MATIC/USDT:USDT", "POLY/USDT:USDT", "POL/USDT:USDT"
RENAMED = {OLD: MIDDLE, MIDDLE: NEW}


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    """What was stored before the renaming is still there, under the former name."""
    store = SeriesStore(tmp_path / "series", renamed=RENAMED)
    rows = [candles(symbol=OLD, price=1), candles(symbol=NEW, price=2), candles(price=3)]
    store.upsert("candles", pd.concat(rows))
    return store


def again(store: SeriesStore) -> SeriesStore:
    reopened: SeriesStore = pickle.loads(pickle.dumps(store))
    return reopened


@pytest.mark.parametrize("reopen", [lambda store: store, again])
@pytest.mark.parametrize("name", [OLD, "MATIC/USDT", MIDDLE, "POLY/USDT", NEW, "POL/USDT"])
def test_any_name_reads_the_rows_of_the_present_one(
    name: str, reopen: Callable[[SeriesStore], SeriesStore], store: SeriesStore
) -> None:
    reader = reopen(store)
    rows = reader.read("candles", symbol=name)
    assert_frame_equal(rows[candles().columns], candles(symbol=NEW, price=2))
    assert reader.present_name(name) == NEW
    times = reader.times("candles", exchange="binance", symbol=name, timeframe="1h")
    assert list(times) == list(rows["time"])


def test_times_by_a_former_name_are_those_of_the_present_one(store: SeriesStore) -> None:
    store.upsert("candles", candles(symbol=NEW, rows=50))
    for name in ("MATIC/USDT", OLD, MIDDLE, NEW):
        assert len(store.times("candles", exchange="binance", symbol=name)) == 50
    own = store.by_own_names()
    assert len(own.times("candles", exchange="binance", symbol="MATIC/USDT")) == 48
    assert len(own.times("candles", exchange="binance", symbol=MIDDLE)) == 0


def test_several_names_are_read_together(store: SeriesStore) -> None:
    rows = store.read("candles", symbol=["MATIC/USDT", "POL/USDT", "BTC/USDT"])
    assert rows.groupby("symbol").size().to_dict() == {BTC: 48, NEW: 48}
    # Without a symbol rows are read as they are stored.
    assert set(store.read("candles")["symbol"]) == {OLD, NEW, BTC}


def test_by_its_own_names_a_former_name_means_its_own_rows(store: SeriesStore) -> None:
    own = store.by_own_names()
    for reader in (own, again(own)):
        for name in (OLD, "MATIC/USDT"):
            rows = reader.read("candles", symbol=name)
            assert_frame_equal(rows[candles().columns], candles(symbol=OLD, price=1))
        assert len(reader.read("candles", symbol=MIDDLE)) == 0
        assert reader.present_name("MATIC/USDT") == OLD
    assert own.by_own_names() is own


def test_writes_rename_nothing(store: SeriesStore) -> None:
    assert store.upsert("candles", candles("2026-12-01", 3, symbol=OLD)).inserted == 3
    assert set(store.read("candles", start="2026-12-01")["symbol"]) == {OLD}
    store.upsert("gaps", gaps(OLD, NEW))
    store.revise("gaps", lambda rows: rows.assign(count=1), exchange="okx", symbols=["MATIC/USDT"])
    counts = store.read("gaps").set_index("symbol")["count"].to_dict()
    assert counts == {OLD: 1, NEW: 24}
    with pytest.raises(InputError, match="hold symbol 'POL/USDT:USDT', whose rows are not"):
        store.revise("gaps", lambda _: gaps(NEW), exchange="okx", symbols=[OLD])


def test_names_in_a_circle_are_refused(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path, renamed={OLD: NEW, NEW: OLD})
    with pytest.raises(InputError, match="renamed goes in a circle"):
        store.read("candles", symbol=OLD)
    assert len(store.read("candles", symbol=BTC)) == 0


def test_a_text_that_is_no_symbol_has_no_rows(store: SeriesStore) -> None:
    assert len(store.read("candles", symbol="nothing")) == 0
    with pytest.raises(InputError, match="not a linear perpetual"):
        store.present_name("BTC/USD:BTC")
