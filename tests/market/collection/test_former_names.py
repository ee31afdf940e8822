"""A renamed symbol is one series: what was stored under its former names is taken over."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from brain.errors import InputError
from brain.series.store import SeriesStore
from market.collection.former_names import former_names
from market.collection.gaps import NOT_FETCHED, GapRevision, open_gaps, revise_gaps
from market.collection.grid import FixedGrid, Span
from market.collection.results import Gap
from market.quality.store_check import check_store
from tests.market.collectors import (
    HISTORIES,
    assert_whole,
    collect,
    collector_of,
    exists,
    lacking,
    series_result,
    uncovered,
)
from tests.market.exchange_server import NOW, RENAMED, ExchangeServer

END = FixedGrid.of("1h").floor(NOW)
HOUR = pd.Timedelta(hours=1)
OLD, NEW = "MATIC/USDT:USDT", "POL/USDT:USDT"
RENAMING = "MATIC/USDT=POL/USDT"


def renamed_rows(
    exchanges: ExchangeServer, exchange: str, kind: str, start: pd.Timestamp
) -> pd.DataFrame:
    """The one history of both instruments."""
    truth = exchanges.truth
    names = ("MATIC/USDT:USDT", "POL/USDT:USDT")
    now, truth.now = truth.now, NOW
    both = pd.concat([exists(truth, exchange, name, kind, start, now) for name in names])
    truth.now = now
    both = both[both["available"] <= now].drop_duplicates("time")
    return both.assign(symbol=names[1]).reset_index(drop=True)


@pytest.mark.sampled("exchange")
@pytest.mark.parametrize("exchange", ["binance", "bybit"])
@pytest.mark.parametrize("symbol", ["MATIC/USDT", "POL/USDT"])
def test_a_renamed_one_is_one_series(
    exchange: str, symbol: str, store: SeriesStore, exchanges: ExchangeServer
) -> None:
    work = collector_of(exchange, store, exchanges, renamed=RENAMING)
    hours = 24 * 20
    result = work.collect_all_data([symbol], hours)
    assert result.failures == ()
    assert {r.symbol for r in result.series} == {symbol}
    start = END - hours * HOUR
    truth = exchanges.truth
    for kind in HISTORIES:
        frame = () if kind == "funding" else ("1h",)
        old = getattr(truth, kind)(exchange, "MATIC/USDT", *frame, start)
        new = getattr(truth, kind)(exchange, "POL/USDT", *frame, start)
        assert len(old) > 10
        assert len(new) > 10
        right = pd.concat([old.assign(symbol="POL/USDT:USDT"), new], ignore_index=True)
        right = right.drop_duplicates("time", keep="first")
        rows = store.read(kind).drop(columns="collected")
        pd.testing.assert_frame_equal(
            rows, right[rows.columns.tolist()].reset_index(drop=True), check_dtype=False
        )
        one = series_result(result, kind=kind)
        assert (one.rows_stored, one.missing) == (len(right), 0)
        assert "was MATIC/USDT:USDT" in one.note
    assert set(store.read("instruments")["instrument"]) == {"MATICUSDT", "POLUSDT"}
    assert RENAMED < NOW


def test_what_was_stored_under_a_former_name_is_kept_under_the_present_one(
    store: SeriesStore,
) -> None:
    """OKX strikes the old one off: what was not stored in time would be lost."""
    with ExchangeServer(RENAMED - 2 * HOUR, fillers=0) as exchanges:
        work = collector_of("okx", store, exchanges)
        assert work.collect_all_data(["MATIC/USDT"], 48).failures == ()
        exchanges.truth.now = RENAMED + 30 * HOUR
        work = collector_of("okx", store, exchanges, renamed=RENAMING)
        result = work.collect_all_data(["MATIC/USDT"], 12)
        assert result.failures == ()
        rows = store.read("candles", symbol="POL/USDT")
        old = exchanges.truth.candles("okx", "MATIC/USDT", "1h", RENAMED - 50 * HOUR)
        assert (rows["time"] < RENAMED - 2 * HOUR).sum() == 48
        assert rows["close"].tolist()[:48] == old["close"].tolist()[:48]
        candles = series_result(result, kind="candles")  # from where the old one was last collected
        assert (candles.start, candles.rows_stored) == (RENAMED - 2 * HOUR, 30)
        assert candles.missing == 2  # struck off before they were asked for
        versions = len(list(Path(store.root, "candles", "_delta_log").glob("*.json")))
        work.collect_all_data(["POL/USDT"], 12)  # nothing is copied twice
        assert len(list(Path(store.root, "candles", "_delta_log").glob("*.json"))) == versions


def test_former_names() -> None:
    a, b, c = (f"{coin}/USDT:USDT" for coin in "ABC")
    x, y = "X/USDT:USDT", "Y/USDT:USDT"
    assert former_names({b: c, a: b, x: y}) == {c: [a, b], y: [x]}
    with pytest.raises(InputError, match="circle"):
        former_names({a: b, b: a})


@pytest.mark.sampled("exchange")
@pytest.mark.parametrize("exchange", ["binance", "okx"])
def test_a_renamed_one_is_caught_up_from_its_former_name(exchange: str, store: SeriesStore) -> None:
    with ExchangeServer(RENAMED - 2 * HOUR, fillers=0, scale=60) as exchanges:
        collect(exchanges, store, "MATIC/USDT", 48, exchange=exchange)
        exchanges.truth.now = RENAMED + 30 * HOUR
        collect(exchanges, store, "MATIC/USDT", 12, exchange=exchange, renamed=RENAMING)
        for kind in HISTORIES:
            right = renamed_rows(exchanges, exchange, kind, RENAMED - 50 * HOUR)
            missing = lacking(store, right, kind)
            assert len(uncovered(open_gaps(store), missing, kind)) == 0
            assert (missing["time"] <= RENAMED).all()  # struck off the list of one of them
            assert exchange == "okx" or len(missing) == 0


def test_what_lies_between_two_names_is_asked_for(store: SeriesStore) -> None:
    """The new one was collected for some nights before anybody told of the renaming."""
    with ExchangeServer(RENAMED - 2 * HOUR, fillers=0, scale=60) as exchanges:
        collect(exchanges, store, "MATIC/USDT", 48)
        exchanges.truth.now = RENAMED + 100 * HOUR
        collect(exchanges, store, "POL/USDT", 12)
        collect(exchanges, store, "POL/USDT", 12, renamed=RENAMING)
        for kind in HISTORIES:
            right = renamed_rows(exchanges, "binance", kind, RENAMED - 48 * HOUR)
            assert len(lacking(store, right, kind)) == 0


def test_gaps_are_carried_over_to_the_present_name(store: SeriesStore) -> None:
    with ExchangeServer(RENAMED - 2 * HOUR, fillers=0, scale=60) as exchanges:
        hole = RENAMED - 20 * HOUR, RENAMED - 15 * HOUR
        exchanges.truth.hole("binance", "MATIC/USDT", "candles", *hole)
        collect(exchanges, store, "MATIC/USDT", 48)
        since = open_gaps(store)["reason_since"].tolist()
        exchanges.truth.now = RENAMED + 5 * HOUR
        collect(exchanges, store, "POL/USDT", 6, renamed=RENAMING)
        (gap,) = store.read("gaps").to_dict("records")
        assert (gap["symbol"], gap["start"], gap["end"], gap["count"]) == (
            "POL/USDT:USDT",
            *hole,
            5,
        )
        assert [gap["reason_since"]] == since
        exchanges.truth.ledger.holes.clear()
        collect(exchanges, store, "POL/USDT", 6, renamed=RENAMING)
        assert len(store.read("gaps")) == 0
        right = renamed_rows(exchanges, "binance", "candles", RENAMED - 48 * HOUR)
        assert len(lacking(store, right, "candles")) == 0


def test_a_former_name_gives_no_rows_of_the_present_ones_time(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    """Both trade: said to be renamed or not, each has its own prices."""
    collect(exchanges, store, "ETH/USDT", 24)
    collect(exchanges, store, "SOL/USDT", 24, renamed="ETH/USDT=SOL/USDT")
    for kind in HISTORIES:
        start = END - 24 * HOUR
        assert_whole(store, exchanges.truth, "binance", "SOL/USDT", kind, start, NOW)


# --- readers --------------------------------------------------------------------------------------


def test_a_library_that_knows_the_renaming_reads_the_whole_history_by_any_name(
    tmp_path: Path,
) -> None:
    store = SeriesStore(tmp_path / "series", renamed={OLD: NEW})
    with ExchangeServer(RENAMED - 2 * HOUR, fillers=0, scale=60) as exchanges:
        collect(exchanges, store, "MATIC/USDT", 48)
        assert set(store.read("candles")["symbol"]) == {OLD}
        assert len(store.read("candles", symbol="MATIC/USDT")) == 0  # it is under the former name
        exchanges.truth.now = RENAMED + 30 * HOUR
        collect(exchanges, store, "POL/USDT", 12, renamed=RENAMING)
        for kind in HISTORIES:
            right = renamed_rows(exchanges, "binance", kind, RENAMED - 50 * HOUR)
            for name in ("MATIC/USDT", OLD, "POL/USDT", NEW):
                rows = store.read(kind, symbol=name)
                assert list(rows["time"]) == sorted(right["time"])
                assert set(rows["symbol"]) == {NEW}
                assert list(store.times(kind, exchange="binance", symbol=name)) == list(
                    rows["time"]
                )


def test_gaps_under_a_former_name_are_of_the_rows_under_it(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    """As after a crash before the renaming: half of what the record calls missing is stored."""
    start = RENAMED - 20 * HOUR
    store.upsert("candles", exchanges.truth.candles("okx", "MATIC/USDT", "1h", start)[:10])
    gap = Gap(start, RENAMED, 20, NOT_FETCHED)
    key, scope = ("okx", OLD, "candles", "1h"), (Span(start, RENAMED, 20),)
    revise_gaps(store, "okx", [GapRevision(key, FixedGrid.of("1h"), scope, (gap,))], NOW)
    for reader in (store, SeriesStore(store.root, renamed={OLD: NEW})):
        (row,) = open_gaps(reader).to_dict("records")
        assert (row["symbol"], row["start"], row["count"]) == (OLD, start + 10 * HOUR, 10)
    assert len(open_gaps(reader, symbol="MATIC/USDT")) == 0  # the present symbol has none


def test_the_quality_of_a_renamed_symbol_is_that_of_its_present_series(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    collect(exchanges, store, "POL/USDT", 24 * 20, renamed=RENAMING)
    reader = SeriesStore(store.root, renamed={OLD: NEW})
    series = [("binance", name, "candles", "1h") for name in ("MATIC/USDT", OLD, "POL/USDT")]
    records = check_store(reader, series, start=END - 24 * 20 * HOUR, end=END, now=NOW)
    assert {record.symbol for record in records} == {NEW}
    assert {(record.rows, record.missing) for record in records} == {(24 * 20, 0)}
    assert set(reader.read("quality")["symbol"]) == {NEW}
    assert len(reader.read("quality", symbol="MATIC/USDT")) == 1
