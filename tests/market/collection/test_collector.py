from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from brain.errors import (
    InputError,
    SeriesStoreError,
    UnknownSymbolError,
)
from brain.series.store.store import SeriesStore
from market.collection.batches import Batches
from market.collection.collector import DataCollector
from market.collection.gaps import open_gaps
from market.collection.grid import FixedGrid
from market.collection.results import CollectionResult
from registry.library import BrainLibrary
from tests.market.collectors import (
    HISTORIES,
    Library,
    assert_whole,
    collector,
    collector_of,
    series_result,
    settings_for,
)
from tests.market.exchange_server import DELISTED, EXCHANGES, NOW, ExchangeServer

END = FixedGrid.of("1h").floor(NOW)
HOUR = pd.Timedelta(hours=1)


@pytest.fixture(scope="module")
def exchanges() -> Iterator[ExchangeServer]:
    with ExchangeServer(fillers=0, scale=10) as running:
        yield running


# --- what is asked for ----------------------------------------------------------------------------


def test_nothing_asked_for_is_absent_and_names_are_kept(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    calls: list[tuple[str, int, int]] = []
    names = ["BTC/USDT", "BTC/USDT:USDT", "ETH-USDT", "KATIO/USDT", "BTC", "BTC/USD:BTC"]
    result = collector(store, exchanges).collect_all_data(
        names, 12, progress=lambda piece, done, total: calls.append((str(piece), done, total))
    )
    kinds = [*HISTORIES, "snapshots"]
    assert [(r.symbol, r.exchange, r.kind) for r in result.series] == [
        (name, exchange, kind) for name in names for exchange in EXCHANGES for kind in kinds
    ]
    assert list(result.by_symbol()) == names
    assert [done for _, done, _ in calls] == list(range(1, len(result.series) + 1))
    assert {total for _, _, total in calls} == {len(result.series)}
    assert "BTC/USDT binance candles 1h: 12 rows, 0 missing" in [line for line, _, _ in calls]
    assert {str(r) for r in result.series} == {line for line, _, _ in calls}
    for name in names[:3]:
        assert all(r.failure is None for r in result.by_symbol()[name])
    for exchange in EXCHANGES:
        unknown = series_result(
            result, symbol="KATIO/USDT", exchange=exchange, kind="candles"
        ).failure
        assert isinstance(unknown, UnknownSymbolError)
        assert str(unknown) == (
            f"{exchange} lists no perpetual KATIO/USDT:USDT; did you mean 'KAITO/USDT:USDT'?"
        )
    for name in names[4:]:
        assert all(isinstance(r.failure, InputError) for r in result.by_symbol()[name])
        assert all(r.expected is None for r in result.by_symbol()[name])
    # In the request by two names, fetched and stored once.
    assert len(store.read("candles", symbol="BTC/USDT", exchange="okx")) == 12
    assert set(store.read("candles")["symbol"]) == {"BTC/USDT:USDT", "ETH/USDT:USDT"}


def test_results_are_frozen_and_make_a_table(store: SeriesStore, exchanges: ExchangeServer) -> None:
    result = collector_of("okx", store, exchanges).collect_all_data(["BTC/USDT", "NOPE/USDT"], 6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.series = ()  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.series[0].note = ""  # type: ignore[misc]
    table = result.frame()
    assert table["rows_stored"].tolist()[:4] == [6, 1, 6, 1]
    assert table["expected"].isna().tolist() == [False] * 4 + [True] * 4
    assert (table["failure"] != "").tolist() == [False] * 4 + [True] * 4
    assert table["start"].dt.tz is not None
    assert str(result) == "8 series: 14 new rows, 0 missing, 4 failed"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbols": "BTC/USDT"}, "the text 'BTC/USDT'"),
        ({"symbols": []}, "symbols is empty"),
        ({"symbols": ["BTC/USDT"], "hours": 0}, "hours=0"),
        ({"symbols": ["BTC/USDT"], "hours": float("nan")}, "hours=nan"),
        ({"symbols": ["BTC/USDT"], "hours": True}, "hours=True"),
        ({"symbols": ["BTC/USDT"], "until": "soon"}, "until='soon'"),
        ({"symbols": ["BTC/USDT"], "until": pd.NaT}, "until=NaT"),
    ],
)
def test_what_cannot_be_used_is_refused(
    arguments: dict[str, object], message: str, store: SeriesStore, exchanges: ExchangeServer
) -> None:
    before = len(exchanges.requests)
    with pytest.raises(InputError) as caught:
        collector(store, exchanges).collect_all_data(**arguments)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert len(exchanges.requests) == before


def test_an_unknown_exchange_is_refused_before_anything_is_asked(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    before = len(exchanges.requests)
    work = DataCollector(Library(store), ["okx", "binanse"], settings=settings_for(exchanges.urls))
    with pytest.raises(InputError, match="binanse"):
        work.collect_all_data(["BTC/USDT"])
    assert len(exchanges.requests) == before
    with pytest.raises(InputError, match=r"exchanges is the text 'okx'"):
        DataCollector(Library(store), "okx")


def test_it_works_within_a_running_event_loop(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    async def notebook() -> CollectionResult:
        return collector_of("okx", store, exchanges).collect_all_data(["BTC/USDT"], 6)

    assert asyncio.run(notebook()).failures == ()


def test_a_brain_library_is_what_it_writes_to(
    sqlite_dsn: str, tmp_path: Path, exchanges: ExchangeServer
) -> None:
    library = BrainLibrary(sqlite_dsn, series=str(tmp_path / "series"))
    work = DataCollector(library, exchanges=["bybit"], settings=settings_for(exchanges.urls))
    assert work.collect_all_data(["BTC/USDT"], 6).failures == ()
    assert len(library.series.read("candles")) == 6


def test_a_range_of_the_past(store: SeriesStore, exchanges: ExchangeServer) -> None:
    until = END - 100 * HOUR
    work = collector_of("okx", store, exchanges)
    result = work.collect_all_data(["BTC/USDT"], 24, until=until.tz_localize(None))
    candles = series_result(result, kind="candles")
    assert (candles.start, candles.end, candles.rows_stored) == (until - 24 * HOUR, until, 24)
    assert len(store.read("candles")) == 24
    # Later than the exchange's present is the present.
    later = work.collect_all_data(["BTC/USDT"], 24, until=NOW + 50 * HOUR)
    assert series_result(later, kind="candles").end == END


def test_another_timeframe_is_another_series(store: SeriesStore, exchanges: ExchangeServer) -> None:
    for timeframe in ("1h", "5m"):
        result = collector_of("binance", store, exchanges, timeframe=timeframe).collect_all_data(
            ["BTC/USDT"], 4
        )
        assert result.failures == ()
        assert series_result(result, kind="candles").timeframe == timeframe
    assert store.read("candles").groupby("timeframe").size().to_dict() == {"1h": 4, "5m": 48}
    assert store.read("open_interest").groupby("timeframe").size().to_dict() == {"1h": 4, "5m": 48}


# --- instruments that come and go -----------------------------------------------------------------


def test_one_that_is_listed_no_more_ends_when_it_is_found_gone(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    (listed,) = exchanges.truth.instruments("okx").query("instrument == 'BTC-USDT-SWAP'").index
    row = exchanges.truth.instruments("okx").loc[[listed]]
    last_listed = (END - 30 * HOUR).as_unit("us")
    row = row.assign(symbol="GONE/USDT:USDT", instrument="GONE-USDT-SWAP", seen=last_listed)
    store.upsert("instruments", row)
    result = collector_of("okx", store, exchanges).collect_all_data(["GONE/USDT"], 24)
    assert result.failures == ()  # that it answers "no such instrument" is no news
    for series in result.series:
        if series.kind != "snapshots":
            assert "GONE-USDT-SWAP is no longer listed, and was last on 2026-11-19" in series.note
    candles = series_result(result, kind="candles")
    # Nobody says when it ended: it may have traded until now.
    assert (candles.start, candles.end, candles.missing) == (last_listed, END, 30)
    assert set(open_gaps(store)["reason"]) == {"no longer listed"}
    again = collector_of("okx", store, exchanges).collect_all_data(["GONE/USDT"], 48)
    candles = series_result(again, kind="candles")
    assert (candles.end, candles.expected, candles.missing) == (END, 48, 48)
    reasons = open_gaps(store, kind="candles").set_index("start")["reason"].to_dict()
    assert reasons == {
        last_listed - 18 * HOUR: "the exchange has no row",
        last_listed: "no longer listed",
    }
    (instrument,) = store.read("instruments").to_dict("records")
    assert (instrument["seen"], instrument["delisted"]) == (last_listed, NOW)


def test_late_rows_of_one_that_is_gone_are_still_asked_for(store: SeriesStore) -> None:
    with ExchangeServer(DELISTED + 20 * HOUR, fillers=0) as exchanges:
        truth, work = exchanges.truth, collector_of("bybit", store, exchanges)
        hole = DELISTED - 10 * HOUR, DELISTED - 8 * HOUR
        truth.hole("bybit", "FTM/USDT", "candles", *hole, until=3)
        assert series_result(work.collect_all_data(["FTM/USDT"], 48), kind="candles").missing == 2
        truth.now = DELISTED + 50 * HOUR
        result = series_result(work.collect_all_data(["FTM/USDT"], 24), kind="candles")
        assert (result.rows_stored, result.rows_new, result.expected) == (0, 2, 0)
        assert result.note == (
            "delisted 2026-11-10 09:00; it did not trade in the range; "
            "2 rows filled in outside the range"
        )
        assert len(open_gaps(store)) == 0


# --- batches --------------------------------------------------------------------------------------


def test_many_series_share_a_commit(store: SeriesStore, exchanges: ExchangeServer) -> None:
    symbols = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "DOGE/USDT", "KAITO/USDT", "LPT/USDT"]
    collector(store, exchanges).collect_all_data(symbols, 24)
    for kind in ("candles", "funding", "open_interest", "snapshots"):
        commits = list(Path(store.root, kind, "_delta_log").glob("*.json"))
        assert len(commits) <= 4  # for eighteen series, the making of the table included
    for exchange in EXCHANGES:
        for symbol in symbols:
            assert_whole(store, exchanges.truth, exchange, symbol, "candles", END - 24 * HOUR, END)


def test_a_store_that_cannot_be_written_ends_it(tmp_path: Path, exchanges: ExchangeServer) -> None:
    (tmp_path / "file").write_text("no folder")
    store = SeriesStore(tmp_path / "file" / "series")
    with pytest.raises(SeriesStoreError):
        collector(store, exchanges).collect_all_data(["BTC/USDT"], 6)


def test_who_waits_for_a_batch_that_failed_is_told(
    tmp_path: Path, exchanges: ExchangeServer
) -> None:
    rows = exchanges.truth.candles("okx", "BTC/USDT", "1h", END - 5 * HOUR)
    (tmp_path / "file").write_text("no folder")

    async def work() -> None:
        async with Batches(SeriesStore(tmp_path / "file" / "series"), seconds=0.01) as batches:
            await batches.add("candles", rows)
            with pytest.raises(SeriesStoreError):
                await batches.settle(None, NOW)
            with pytest.raises(SeriesStoreError):
                await batches.add("candles", rows)

    with pytest.raises(SeriesStoreError):
        asyncio.run(work())


def test_much_is_stored_while_more_comes(store: SeriesStore, exchanges: ExchangeServer) -> None:
    rows = exchanges.truth.candles("okx", "BTC/USDT", "1h", END - 100 * HOUR)

    async def work() -> None:
        async with Batches(store, rows=10, seconds=60) as batches:
            with batches.producer():
                for place in range(0, 100, 5):
                    await batches.add("candles", rows[place : place + 5])
                assert len(await batches.call(lambda: store.read("candles"))) >= 70

    asyncio.run(work())
    assert len(store.read("candles")) == 100
