"""Between what is known of a series and what is asked for nothing is left out, and old absences
are asked for less and less."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.series.store.schema import KINDS
from brain.series.store.store import SeriesStore
from market.collection.gaps import open_gaps
from market.collection.grid import FixedGrid, as_times
from market.collection.times import StoredTimes
from market.night import collect_market
from registry.library import BrainLibrary
from tests.market.collectors import (
    HISTORIES,
    assert_whole,
    collect,
    exists,
    lacking,
    settings_for,
    uncovered,
)
from tests.market.exchange_server import DELISTED, NOW, ExchangeServer

END = FixedGrid.of("1h").floor(NOW)
HOUR = pd.Timedelta(hours=1)
NEVER = pd.Series([pd.NaT], dtype="datetime64[us, UTC]")
RENAMING = "MATIC/USDT=POL/USDT"


# --- from where a series is caught up -------------------------------------------------------------


def test_a_timeframe_that_was_switched_and_back_has_no_hole(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    first = exchanges.truth.now
    for day, timeframe in enumerate(("1h", "4h", "4h", "4h", "1h")):
        exchanges.truth.now = first + pd.Timedelta(days=day)
        collect(exchanges, store, "BTC/USDT", 24, timeframe=timeframe)
    times = store.times("candles", exchange="binance", symbol="BTC/USDT", timeframe="1h")
    assert len(times) == (times[-1] - times[0]) / HOUR + 1 == 120
    assert len(open_gaps(store)) == 0


def test_after_a_range_of_the_past_the_next_night_begins_there(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    collect(exchanges, store, "BTC/USDT", 24, until=NOW - pd.Timedelta(days=20))
    collect(exchanges, store, "BTC/USDT", 24)
    for kind in HISTORIES:
        start = END - pd.Timedelta(days=21)
        assert_whole(store, exchanges.truth, "binance", "BTC/USDT", kind, start, NOW)


def test_a_range_of_the_past_is_joined_to_what_is_stored(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    collect(exchanges, store, "BTC/USDT", 24)
    collect(exchanges, store, "BTC/USDT", 24, until=NOW - pd.Timedelta(days=20))
    start = END - pd.Timedelta(days=21)
    for kind in HISTORIES:
        assert_whole(store, exchanges.truth, "binance", "BTC/USDT", kind, start, NOW)
    assert set(store.read("instruments")["seen"]) == {NOW}


# --- without notice -------------------------------------------------------------------------------


def test_hours_between_the_last_listing_and_its_end_are_on_record(store: SeriesStore) -> None:
    with ExchangeServer(DELISTED - 14 * HOUR, fillers=0, scale=60) as exchanges:
        collect(exchanges, store, "FTM/USDT", 24, exchange="okx")
        # As of an exchange that does not announce it.
        store.upsert("instruments", store.read("instruments").assign(delisted=NEVER))
        for hours in (10, 60):
            exchanges.truth.now = DELISTED + hours * HOUR
            collect(exchanges, store, "FTM/USDT", 24, exchange="okx")
            for kind in HISTORIES:
                right = exists(exchanges.truth, "okx", "FTM/USDT:USDT", kind, DELISTED - 38 * HOUR)
                missing = lacking(store, right, kind)
                assert len(missing) > 0
                assert len(uncovered(open_gaps(store), missing, kind)) == 0
            gaps = open_gaps(store, kind="candles")
            assert gaps["end"].tolist() == [DELISTED + 10 * HOUR]  # it grows no more
            assert set(gaps["reason"]) == {"no longer listed"}


# --- how often the absent is asked for ------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {0: 2, 1: 1, 2: 1, 3: 1, 4: 0, 9: 0, 10: 1, 11: 0},
        pytest.param(
            dict(enumerate([2, 1, 1, 1, *6 * [0], 1, *4 * [0]])),
            marks=pytest.mark.soak,
            id="every night",
        ),
    ],
)
def test_what_is_absent_is_asked_for_once_a_night_and_then_once_a_week(
    store: SeriesStore, exchanges: ExchangeServer, asked: dict[int, int]
) -> None:
    """How often it is asked for on which day; between those days there is no night."""
    start = END - 200 * HOUR
    exchanges.truth.hole("bybit", "BTC/USDT", "candles", start, start + HOUR)
    first, requests_by_day = exchanges.truth.now, {}
    for day in asked:
        exchanges.truth.now = first + pd.Timedelta(days=day)
        before = len(exchanges.requests)
        collect(exchanges, store, "BTC/USDT", 240 if day == 0 else 24, exchange="bybit")
        requests = [r for r in exchanges.requests[before:] if r.path.endswith("market/kline")]
        starts = [int(r.query["start"]) for r in requests]
        requests_by_day[day] = sum(time <= start.value // 10**6 for time in starts)
        (gap,) = open_gaps(store, kind="candles").to_dict("records")
        assert (gap["start"], gap["reason"]) == (start, "the exchange has no row")
        assert gap["reason_since"] == first
    assert requests_by_day == asked


# --- what is stored -------------------------------------------------------------------------------


def test_times_of_many_symbols_are_read_together(store: SeriesStore) -> None:
    with ExchangeServer(fillers=30) as exchanges:
        truth = exchanges.truth
        names = [name for name in truth.symbols("bybit") if name != "FTM/USDT:USDT"]
        start = END - 60 * HOUR
        rows = [truth.candles("bybit", name, "1h", start) for name in names]
        store.upsert("candles", pd.concat(rows))
    reader = StoredTimes(store, "candles", "bybit", "1h")
    # Windows of many years beside short ones are read apart.
    ranges = {name: (END - (n + 1) ** 5 * HOUR, END - n * HOUR) for n, name in enumerate(names)}
    times = reader.times(ranges | {"NONE/USDT:USDT": (start, END)})
    assert len(times.pop("NONE/USDT:USDT")) == 0
    for name, (low, high) in ranges.items():
        right = store.times("candles", exchange="bybit", symbol=name, start=low, end=high)
        np.testing.assert_array_equal(times[name], as_times(right))
    newest = reader.newest(["BTC/USDT:USDT", "NONE/USDT:USDT"], END + 5000 * HOUR)
    oldest = reader.oldest(["BTC/USDT:USDT", "NONE/USDT:USDT"], END - 5000 * HOUR, END)
    (last,), (first,) = newest["BTC/USDT:USDT"], oldest["BTC/USDT:USDT"]
    assert pd.Timestamp(last, unit="us", tz="UTC") == END - HOUR
    assert pd.Timestamp(first, unit="us", tz="UTC") == start
    assert set(newest) == set(oldest) == {"BTC/USDT:USDT"}


# --- the end of a night ---------------------------------------------------------------------------


def test_a_store_that_cannot_be_tidied_fails_no_night(
    sqlite_dsn: str,
    tmp_path: Path,
    exchanges: ExchangeServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = replace(KINDS["quality"], name="other")
    newer = SeriesStore(tmp_path / "series", kinds={"other": replace(other, version=2)})
    newer.upsert("other", quality_row())
    store = SeriesStore(tmp_path / "series", kinds={**KINDS, "other": other})
    library = BrainLibrary(sqlite_dsn, store)
    settings = settings_for(exchanges.urls, exchanges="okx", symbols="BTC/USDT", hours=6)
    night = collect_market(library, settings)
    assert [r.failure for r in night.collection.series if r.failure] == []
    (warning,) = [record for record in caplog.records if record.name == "market.night"]
    assert warning.getMessage().startswith("the night's rows are stored, but small files were not")
    assert "have layout 2" in warning.getMessage()


def quality_row() -> pd.DataFrame:
    """A row of quality."""
    names = {"exchange": "okx", "symbol": "BTC/USDT:USDT", "kind": "funding", "timeframe": ""}
    return pd.DataFrame([{**names, "checked": NOW.as_unit("us"), "rows": 0, "note": ""}])
