"""The gap record: revised without loss, migrated from older layouts, without what came since."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from brain.series.store import SeriesStore
from brain.series.store.schema import KINDS
from market.collection.gaps import (
    ENDED,
    NO_ROW,
    NOT_FETCHED,
    TOO_OLD,
    GapRevision,
    absent,
    due_gaps,
    gaps_of,
    open_gaps,
    rests,
    revise_gaps,
)
from market.collection.grid import FixedGrid, FundingGrid, Span
from market.collection.results import Gap
from tests.brain.series.store.test_layouts import older_gaps
from tests.market.collectors import collect
from tests.market.exchange_server import NOW, ExchangeServer

END = FixedGrid.of("1h").floor(NOW)
HOUR = pd.Timedelta(hours=1)
DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def exchanges() -> Iterator[ExchangeServer]:
    with ExchangeServer(fillers=0, scale=10) as running:
        yield running


# --- revisions ------------------------------------------------------------------------------------


KEY = ("okx", "BTC/USDT:USDT", "candles", "1h")


def revision(
    scope: tuple[int, int], *gaps: tuple[int, int], key: tuple[str, str, str, str] = KEY
) -> GapRevision:
    start = END.normalize()
    return GapRevision(
        key,
        FixedGrid.of("1h") if key[3] else FundingGrid(8),
        (Span(start + scope[0] * HOUR, start + scope[1] * HOUR, 0),),
        tuple(
            Gap(start + low * HOUR, start + high * HOUR, high - low, NOT_FETCHED)
            for low, high in gaps
        ),
    )


def recorded(store: SeriesStore) -> list[tuple[int, int, int]]:
    start = END.normalize()
    (gaps,) = gaps_of(store.read("gaps")).values()
    return [((g.start - start) // HOUR, (g.end - start) // HOUR, g.count) for g in gaps]


def test_a_revision_leaves_what_is_beyond_its_scope(store: SeriesStore) -> None:
    revise_gaps(store, "okx", [revision((0, 20), (0, 20))], NOW)
    revise_gaps(store, "okx", [revision((5, 15), (7, 8))], NOW)
    assert recorded(store) == [(0, 5, 5), (7, 8, 1), (15, 20, 5)]
    other = ("okx", "BTC/USDT:USDT", "funding", "")
    revise_gaps(store, "okx", [revision((0, 16), (0, 16), key=other)], NOW)
    revise_gaps(store, "okx", [revision((0, 20))], NOW)
    assert set(store.read("gaps")["kind"]) == {"funding"}
    revise_gaps(store, "okx", [revision((0, 20), key=other)], NOW)
    assert len(store.read("gaps")) == 0


def test_revisions_at_once_lose_nothing(store: SeriesStore) -> None:
    def revise(place: int) -> None:
        mine = SeriesStore(store.root)
        revise_gaps(mine, "okx", [revision((place, place + 1), (place, place + 1))], NOW)

    threads = [threading.Thread(target=revise, args=(2 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorded(store) == [(2 * n, 2 * n + 1, 1) for n in range(8)]


def test_rows_that_are_stored_are_no_gap(store: SeriesStore, exchanges: ExchangeServer) -> None:
    """As after a crash: all of it is on record as not fetched, and some of it is there."""
    truth = exchanges.truth
    start = END - 48 * HOUR
    for kind, frame in (("candles", ("1h",)), ("funding", ())):
        rows = getattr(truth, kind)("okx", "KAITO/USDT", *frame, start)
        store.upsert(kind, rows[10:30])
        key = ("okx", "KAITO/USDT:USDT", kind, "1h" if frame else "")
        whole = (Span(start, END, 48),)
        gap = Gap(start, END, 48, NOT_FETCHED)
        grid = FixedGrid.of("1h")
        revise_gaps(store, "okx", [GapRevision(key, grid, whole, (gap,))], NOW)
    gaps = open_gaps(store)
    for kind in ("candles", "funding"):
        rows_of_kind = gaps[gaps["kind"] == kind]
        assert rows_of_kind["start"].tolist() == [start, start + 30 * HOUR]
        assert rows_of_kind["end"].tolist() == [start + 10 * HOUR, END]
        assert set(rows_of_kind["reason"]) == {NOT_FETCHED}
    assert gaps[gaps["kind"] == "candles"]["count"].tolist() == [10, 18]
    assert len(open_gaps(store, kind="candles", timeframe="1h", symbol="KAITO/USDT")) == 2
    assert len(open_gaps(store, exchange="bybit")) == 0


def test_no_record_is_no_gap(store: SeriesStore) -> None:
    gaps = open_gaps(store)
    assert len(gaps) == 0
    assert gaps.dtypes.equals(store.read("gaps").dtypes)


# --- older layouts --------------------------------------------------------------------------------


def test_gaps_of_the_first_layout_are_migrated(tmp_path: Path) -> None:
    gaps = KINDS["gaps"]
    values = {name: sort for name, sort in gaps.values.items() if name != "reason_since"}
    old = replace(gaps, values=values, nullable=frozenset(), version=1, migrations={})
    row = {
        "exchange": "okx",
        "symbol": "BTC/USDT:USDT",
        "kind": "candles",
        "timeframe": "1h",
        "start": END - HOUR,
        "end": END,
        "count": 1,
        "reason": "the exchange has no row",
        "checked": NOW,
    }
    frame = pd.DataFrame([row]).astype(dict.fromkeys(("start", "end"), "datetime64[us, UTC]"))
    SeriesStore(tmp_path, kinds={**KINDS, "gaps": old}).upsert("gaps", frame)
    (migrated,) = SeriesStore(tmp_path).read("gaps").to_dict("records")
    assert migrated == {**row, "reason_since": NOW}


# The reasons of older layouts, by the present ones.
OLDER = {"the exchange has no row": "the venue has no row", TOO_OLD: "older than the venue keeps"}


def make_older(store: SeriesStore, version: int) -> None:
    """Store the gaps anew, in an older layout and with the reasons of that time."""
    gaps = SeriesStore(store.root).read("gaps")
    shutil.rmtree(Path(store.root, "gaps"))
    for present, older in OLDER.items():
        gaps["reason"] = gaps["reason"].str.replace(present, older)
    if version == 2:
        gaps = gaps.rename(columns={"reason_since": "found"})
    else:
        gaps = gaps.drop(columns="reason_since")
    SeriesStore(store.root, kinds=older_gaps(version)).upsert("gaps", gaps)


@pytest.mark.parametrize("version", [1, 2])
def test_migrated_gaps_rest_and_are_due_as_before(store: SeriesStore, version: int) -> None:
    old, since = END - 40 * DAY, NOW - 5 * DAY
    gaps = (
        Gap(old, old + DAY, 24, f"{TOO_OLD} (30 days)", since, since),
        Gap(END - 9 * HOUR, END - 7 * HOUR, 2, NO_ROW, since, since),
        Gap(END - 5 * HOUR, END - 4 * HOUR, 1, ENDED, since, since),
        Gap(END - 2 * HOUR, END, 2, NOT_FETCHED, since, since),
    )
    scope = (Span(old, END, 0),)
    revise_gaps(store, "okx", [GapRevision(KEY, FixedGrid.of("1h"), scope, gaps)], since)
    before = store.read("gaps")
    make_older(store, version)
    pd.testing.assert_frame_equal(SeriesStore(store.root).read("gaps"), before)
    too_old, no_row, ended, not_fetched = gaps_of(SeriesStore(store.root).read("gaps"))[KEY]
    assert [absent(gap) for gap in (too_old, no_row, ended, not_fetched)] == [0, 1, 1, 0]
    migrated = [too_old, no_row, ended, not_fetched]
    # Weekly from the third day on; six hours ago of seven days count as a week.
    assert [rests(gap, NOW) for gap in migrated] == [False, True, True, False]
    assert not any(rests(gap, NOW + 2 * DAY) for gap in migrated)
    # What is too old becomes due once more is known to be kept.
    assert due_gaps(migrated, NOW - 30 * DAY, NOW) == [not_fetched]
    assert due_gaps(migrated, NOW - 45 * DAY, NOW) == [too_old, not_fetched]
    assert due_gaps(migrated, None, NOW + 2 * DAY) == migrated


@pytest.mark.parametrize("version", [1, 2])
def test_a_collection_goes_on_from_migrated_gaps_as_from_present_ones(
    store: SeriesStore, tmp_path: Path, version: int
) -> None:
    with ExchangeServer(NOW - 5 * DAY, fillers=0, scale=60) as exchanges:
        hole = END - 8 * DAY, END - 8 * DAY + 3 * HOUR
        exchanges.truth.hole("binance", "BTC/USDT", "candles", *hole)
        collect(exchanges, store, "BTC/USDT", 32 * 24)
        assert set(store.read("gaps")["reason"]) == {NO_ROW, f"{TOO_OLD} (30 days)"}
        older = SeriesStore(shutil.copytree(store.root, tmp_path / "older"))
        make_older(older, version)
        for days in (0, 3):  # the absence rests, and is requested again after a week
            exchanges.truth.now = NOW + days * DAY
            requests = []
            for one in (store, older):
                before = len(exchanges.requests)
                collect(exchanges, one, "BTC/USDT", 24)
                starts = [
                    (request.path, int(request.query.get("startTime", 0)) // 60_000)
                    for request in exchanges.requests[before:]
                ]
                requests.append(sorted(starts))
            assert requests[0] == requests[1]
            again = any(
                path.endswith("klines") and start <= hole[0].timestamp() / 60
                for path, start in requests[0]
            )
            assert again == (days == 3)
            pd.testing.assert_frame_equal(open_gaps(older), open_gaps(store))
        assert open_gaps(store, kind="candles")["count"].tolist() == [3]
