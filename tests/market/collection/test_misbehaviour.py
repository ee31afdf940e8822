"""Exchanges that misbehave, at the wire: what is stored, what is on record, what fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain.errors import BrainError, ExchangeShapeError, UnknownSymbolError
from brain.naming import perpetual
from brain.series.source import bars_of
from brain.series.store import SeriesStore
from market.collection.gaps import IMPOSSIBLE, open_gaps
from market.collection.grid import FixedGrid
from market.collection.units import units
from market.exchanges.pages import strange_settlements
from tests.market.collection.mutations import rows_of
from tests.market.collectors import (
    HISTORIES,
    assert_whole,
    collect,
    collector,
    exists,
    series_result,
)
from tests.market.exchange_server import EXCHANGES, NOW, ExchangeServer

pytestmark = pytest.mark.sampled("exchange")

END = FixedGrid.of("1h").floor(NOW)
HOUR = pd.Timedelta(hours=1)
BAD = END - 5 * HOUR
BTC = "BTC/USDT:USDT"

_PATHS = {
    ("binance", "candles"): "klines",
    ("bybit", "candles"): "market/kline",
    ("okx", "candles"): "candles",
    ("binance", "funding"): "fundingRate",
    ("bybit", "funding"): "funding/history",
    ("okx", "funding"): "funding-rate-history",
    ("binance", "open_interest"): "openInterestHist",
    ("bybit", "open_interest"): "market/open-interest",
    ("okx", "open_interest"): "open-interest-history",
}
_LISTS = {"binance": "exchangeInfo", "bybit": "instruments-info", "okx": "public/instruments"}
_TIMES: Mapping[tuple[str, str], str | int] = {
    ("binance", "funding"): "fundingTime",
    ("bybit", "funding"): "fundingRateTimestamp",
    ("okx", "funding"): "fundingTime",
    ("binance", "open_interest"): "timestamp",
    ("bybit", "open_interest"): "timestamp",
}


@pytest.fixture(scope="module")
def running() -> Iterator[ExchangeServer]:
    with ExchangeServer(fillers=3, scale=60) as server:
        yield server


@pytest.fixture
def exchanges(running: ExchangeServer) -> Iterator[ExchangeServer]:
    yield running
    running.edit = None


def edit_rows(
    exchange: str,
    kind: str,
    change: Callable[[Any], None],
    *,
    at: pd.Timestamp | None = None,
    symbol: str = "BTC",
) -> Callable[..., Any]:
    """An edit of the rows of one history of a symbol, of all of them or of one time."""
    field = _TIMES.get((exchange, kind), 0)

    def edit(name: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        asked = query.get("symbol") or query.get("instId") or ""
        if name == exchange and path.endswith(_PATHS[exchange, kind]) and asked.startswith(symbol):
            for row in rows_of(exchange, body) or []:
                if at is None or int(row[field]) // 60_000 == at.value // 60_000_000_000:
                    change(row)
        return body

    return edit


def edit_list(exchange: str, change: Callable[[list[Any]], None]) -> Callable[..., Any]:
    """An edit of an exchange's list of instruments."""

    def edit(name: str, path: str, query: Mapping[str, str], body: Any) -> Any:
        if name == exchange and path.endswith(_LISTS[exchange]):
            change(rows_of(exchange, body) or [])
        return body

    return edit


def setting(field: str | int, value: Any) -> Callable[[Any], None]:
    def change(row: Any) -> None:
        row[field] = value

    return change


def exchanging(one: int, other: int) -> Callable[[Any], None]:
    def change(row: Any) -> None:
        row[one], row[other] = row[other], row[one]

    return change


# --- impossible rows ------------------------------------------------------------------------------

_VOLUME = {"binance": 5, "bybit": 5, "okx": 6}


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("volume is negative", lambda exchange: setting(_VOLUME[exchange], "-3")),
        ("high is below low", lambda exchange: exchanging(2, 3)),
        ("a price is not positive", lambda exchange: setting(1, "0")),
        ("field 4 is NaN", lambda exchange: setting(4, "NaN")),
        ("a price is NaN or infinite", lambda exchange: setting(4, None)),
        ("field 2 is Infinity", lambda exchange: setting(2, "Infinity")),
    ],
)
def test_an_impossible_candle_is_missing_until_the_exchange_mends_it(
    store: SeriesStore, exchanges: ExchangeServer, exchange: str, fault: str, change: Any
) -> None:
    exchanges.edit = edit_rows(exchange, "candles", change(exchange), at=BAD)
    for _ in range(2):
        result = collect(exchanges, store, "BTC/USDT", 24, exchange=exchange)
        assert not result.failures
        series = series_result(result, kind="candles")
        assert (series.rows_stored, series.missing) == (23, 1)
        (gap,) = open_gaps(store, kind="candles").to_dict("records")
        assert (gap["start"], gap["end"], gap["count"]) == (BAD, BAD + HOUR, 1)
        assert gap["reason"].startswith(f"{IMPOSSIBLE}: {fault}")
        assert gap["reason_since"] == NOW
    bars = bars_of(store, exchange, "BTC/USDT", "1h").frame  # the symbol can be worked on
    assert bars.loc[BAD].isna().all()
    assert bars.drop(BAD).notna().all(axis=None)
    exchanges.edit = None
    collect(exchanges, store, "BTC/USDT", 24, exchange=exchange)
    assert_whole(store, exchanges.truth, exchange, BTC, "candles", END - 24 * HOUR, END)
    assert len(open_gaps(store, kind="candles")) == 0


@pytest.mark.parametrize(
    ("exchange", "kind", "change", "fault"),
    [
        ("binance", "funding", setting("fundingRate", "NaN"), "field 'fundingRate' is NaN"),
        ("bybit", "funding", setting("fundingRate", None), "the rate is NaN or infinite"),
        ("okx", "funding", setting("realizedRate", "-7"), "the rate is all of a position's value"),
        ("binance", "open_interest", setting("sumOpenInterest", "-1"), "open interest is negative"),
        ("bybit", "open_interest", setting("openInterest", ""), "open interest is NaN or infinite"),
        ("okx", "open_interest", setting(3, "-5"), "its value is negative"),
    ],
)
def test_impossible_funding_and_open_interest_are_missing_until_mended(
    store: SeriesStore,
    exchanges: ExchangeServer,
    exchange: str,
    kind: str,
    change: Any,
    fault: str,
) -> None:
    time = END.floor("8h")
    exchanges.edit = edit_rows(exchange, kind, change, at=time)
    result = collect(exchanges, store, "BTC/USDT", 48, exchange=exchange)
    assert not result.failures
    assert series_result(result, kind=kind).missing == 1
    (gap,) = open_gaps(store, kind=kind).to_dict("records")
    assert (gap["start"], gap["count"]) == (time, 1)
    assert gap["reason"].startswith(f"{IMPOSSIBLE}: {fault}")
    exchanges.edit = None
    collect(exchanges, store, "BTC/USDT", 48, exchange=exchange)
    assert_whole(store, exchanges.truth, exchange, BTC, kind, END - 48 * HOUR, NOW)
    assert len(open_gaps(store, kind=kind)) == 0


def test_an_impossible_candle_of_an_older_store_locks_nothing_and_is_replaced(
    store: SeriesStore, exchanges: ExchangeServer, caplog: pytest.LogCaptureFixture
) -> None:
    collect(exchanges, store, "BTC/USDT", 24)
    right = exists(exchanges.truth, "binance", BTC, "candles", BAD, BAD + HOUR)
    store.upsert("candles", right.assign(volume=-3.0))
    with caplog.at_level(logging.WARNING):
        bars = bars_of(store, "binance", "BTC/USDT", "1h")
    assert bars.frame.loc[BAD].isna().all()
    assert "1 impossible candle taken as missing" in caplog.text
    assert "volume -3.0" in caplog.text
    collect(exchanges, store, "BTC/USDT", 24)
    assert_whole(store, exchanges.truth, "binance", BTC, "candles", END - 24 * HOUR, END)


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_value_of_another_shape_fails_its_row_alone(
    store: SeriesStore, exchanges: ExchangeServer, exchange: str
) -> None:
    exchanges.edit = edit_rows(exchange, "candles", setting(2, "high"), at=BAD)
    result = collect(exchanges, store, "BTC/USDT", 24, exchange=exchange)
    series = series_result(result, kind="candles")
    assert isinstance(series.failure, ExchangeShapeError)
    assert "field 2 is no number" in str(series.failure)
    assert "'high'" in str(series.failure)
    assert (series.rows_stored, series.missing) == (23, 1)
    (gap,) = open_gaps(store, kind="candles").to_dict("records")
    assert (gap["start"], gap["reason"]) == (BAD, f"request failed: {series.failure}")


def test_two_rows_of_one_time_that_differ_are_none(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    exchanges.edit = edit_rows(
        "bybit", "candles", setting(0, str(BAD.value // 10**6)), at=BAD + HOUR
    )
    result = collect(exchanges, store, "BTC/USDT", 24, exchange="bybit")
    series = series_result(result, kind="candles")
    assert "two rows" in str(series.failure)
    assert (series.rows_stored, series.missing) == (22, 2)
    times = store.read("candles")["time"]
    assert not times.isin([BAD, BAD + HOUR]).any()
    assert set(open_gaps(store, kind="candles")["reason"]) == {f"request failed: {series.failure}"}


# --- renewal --------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_what_an_exchange_has_corrected_is_renewed(
    store: SeriesStore, exchanges: ExchangeServer, exchange: str
) -> None:
    exchanges.edit = edit_rows(exchange, "candles", setting(_VOLUME[exchange], "123"))
    collect(exchanges, store, "BTC/USDT", 48, exchange=exchange)
    exchanges.edit = None
    collect(exchanges, store, "BTC/USDT", 48, exchange=exchange)
    assert (store.read("candles")["volume"] == 123).all()  # what is stored is not asked for
    work = collector(store, exchanges)
    work.exchanges = (exchange,)
    result = work.collect_all_data(["BTC/USDT"], 1, renew=END - 20 * HOUR)
    assert not result.failures
    assert all(series.rows_new == 0 for series in result.series if series.kind in HISTORIES)
    rows = store.read("candles")
    assert (rows["volume"] == 123).tolist() == [True] * 28 + [False] * 20
    assert_whole(store, exchanges.truth, exchange, BTC, "candles", END - 20 * HOUR, END)
    assert len(open_gaps(store)) == 0


def test_a_renewal_that_fails_keeps_what_is_stored(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    collect(exchanges, store, "BTC/USDT", 48)
    exchanges.edit = edit_rows("binance", "candles", setting(1, {"a": 1}))
    work = collector(store, exchanges)
    work.exchanges = ("binance",)
    result = work.collect_all_data(["BTC/USDT"], 48, renew=END - 20 * HOUR)
    series = series_result(result, kind="candles")
    assert isinstance(series.failure, ExchangeShapeError)
    assert (series.rows_stored, series.missing) == (48, 0)
    assert_whole(store, exchanges.truth, "binance", BTC, "candles", END - 48 * HOUR, END)
    assert len(open_gaps(store)) == 0


# --- times ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("kind", HISTORIES)
@pytest.mark.parametrize(
    ("shown", "change"),
    [
        ("they may be microseconds", lambda time: time * 1000),
        ("they may be seconds", lambda time: time // 1000),
        ("is not among what was asked for", lambda time: time + 365 * 86_400_000),
        ("is off the grid", lambda time: time + 60_001),
        ("", lambda time: time + 3_600_000),
    ],
)
def test_times_of_another_unit_or_place_are_a_shape_error(
    store: SeriesStore,
    exchanges: ExchangeServer,
    exchange: str,
    kind: str,
    shown: str,
    change: Callable[[int], int],
) -> None:
    field = _TIMES.get((exchange, kind), 0)

    def shift(row: Any) -> None:
        row[field] = type(row[field])(change(int(row[field])))

    exchanges.edit = edit_rows(exchange, kind, shift)
    result = collect(exchanges, store, "BTC/USDT", 600, exchange=exchange)
    series = series_result(result, kind=kind)
    assert isinstance(series.failure, ExchangeShapeError)
    assert shown in str(series.failure)
    if shown:
        assert f"field {field!r} holds " in str(series.failure) or kind == "funding"
    assert series.rows_stored == 0
    assert series.missing == series.expected == (75 if kind == "funding" else 600)
    reasons = set(open_gaps(store, kind=kind)["reason"])
    assert reasons == {f"request failed: {series.failure}"}
    assert not [s for s in result.series if s.failure is not None and s.kind != kind]


def test_an_empty_list_alone_means_no_row(store: SeriesStore, exchanges: ExchangeServer) -> None:
    for value, reason in (([], "the exchange has no row"), (None, "request failed: ")):

        def edit(name: str, path: str, query: Any, body: Any, value: Any = value) -> Any:
            if path.endswith("market/kline"):
                body["result"]["list"] = value
            return body

        exchanges.edit = edit
        collect(exchanges, store, "BTC/USDT", 12, exchange="bybit")
        (gap,) = open_gaps(store, kind="candles").to_dict("records")
        assert gap["reason"].startswith(reason)
        assert gap["count"] == 12


def test_strange_settlements() -> None:
    def strange(hours: list[int], present: float | None) -> list[int]:
        start = pd.Timestamp("2026-11-02", tz="UTC")
        times = pd.DatetimeIndex([start + hour * HOUR for hour in hours])
        return np.flatnonzero(strange_settlements(times, present)).tolist()

    assert strange([0, 8, 16, 24], 8) == []
    assert strange([1, 9, 17, 25], 8) == [0, 1, 2, 3]  # all shifted
    assert strange([0, 9, 16, 24], 8) == [1]
    assert strange([0, 8, 12, 16, 20], 4) == []  # the interval changed
    assert strange([8, 16, 17, 18, 19], 1) == []
    assert strange([12, 16, 21, 24, 28], 4) == [2]  # at a multiple of three hours
    assert strange([0, 8, 19, 24, 32], 8) == [2]
    assert strange([0, 8, 16, 20, 24, 32], 8) == []  # twice at four hours
    assert strange([0, 8, 24, 32], 8) == []  # with a gap
    assert strange([8, 32], None) == []  # with a gap
    assert strange([5], None) == []


# --- lists ----------------------------------------------------------------------------------------

_BASE = {"binance": "baseAsset", "bybit": "baseCoin", "okx": "ctValCcy"}
_ID = {"binance": "symbol", "bybit": "symbol", "okx": "instId"}
_LISTED = {"binance": "onboardDate", "bybit": "launchTime", "okx": "listTime"}


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("spoilt", ["listed", "base", "id", "status", "row", "twice"])
def test_an_odd_row_of_a_list_fails_its_symbol_alone(
    store: SeriesStore, exchanges: ExchangeServer, exchange: str, spoilt: str
) -> None:
    status = "state" if exchange == "okx" else "status"
    names = {"listed": _LISTED, "base": _BASE, "id": _ID, "status": {exchange: status}}
    symbols = ["BTC/USDT", "ETH/USDT"]

    def spoil(rows: list[Any]) -> None:
        for place, row in enumerate(rows):
            if str(row[_ID[exchange]]).startswith("ETH"):
                if spoilt == "row":
                    rows[place] = None
                elif spoilt == "twice":
                    listed = row[_LISTED[exchange]]
                    later = type(listed)(int(listed) + 86_400_000)
                    rows.insert(0, {**row, _LISTED[exchange]: later})
                    return
                else:
                    row[names[spoilt][exchange]] = "soon" if spoilt == "listed" else 5

    collector(store, exchanges).collect_all_data(symbols, 12)
    exchanges.edit = edit_list(exchange, spoil)
    result = collector(store, exchanges).collect_all_data([*symbols, "NONE/USDT"], 24)
    failed = {(s.symbol, s.exchange) for s in result.failures}
    assert failed == {("ETH/USDT", exchange), *(("NONE/USDT", name) for name in EXCHANGES)}
    errors = {type(s.failure) for s in result.failures if s.symbol == "ETH/USDT"}
    assert errors == {ExchangeShapeError}
    for name in EXCHANGES:
        assert_whole(store, exchanges.truth, name, BTC, "candles", END - 24 * HOUR, END)
    # It has not ended: mended, it goes on without a hole.
    exchanges.edit = None
    result = collector(store, exchanges).collect_all_data(symbols, 24)
    assert not result.failures
    assert_whole(store, exchanges.truth, exchange, "ETH/USDT:USDT", "candles", END - 24 * HOUR, END)
    assert not store.read("instruments")["delisted"].notna().any()
    assert len(open_gaps(store)) == 0


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_list_of_another_shape_fails_its_exchange(
    store: SeriesStore, exchanges: ExchangeServer, exchange: str
) -> None:
    def spoil(rows: list[Any]) -> None:
        for row in rows:
            del row[_BASE[exchange]]

    exchanges.edit = edit_list(exchange, spoil)
    result = collector(store, exchanges).collect_all_data(["BTC/USDT"], 12)
    assert {s.exchange for s in result.failures} == {exchange}
    assert all(_BASE[exchange] in str(s.failure) for s in result.failures)


def test_an_interval_that_cannot_be_read_is_unknown(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    def edit(name: str, path: str, query: Any, body: Any) -> Any:
        if path.endswith("fundingInfo"):
            for row in body:
                row["fundingIntervalHours"] = 5 if row["symbol"] == "SOLUSDT" else 4
        return body

    exchanges.edit = edit
    result = collector(store, exchanges).collect_all_data(["SOL/USDT", "BTC/USDT"], 24)
    assert not result.failures
    rows = store.read("instruments", exchange="binance").set_index("symbol")
    hours = rows["funding_interval_hours"]
    assert np.isnan(hours["SOL/USDT:USDT"])
    assert hours[BTC] == 8


# --- clocks ---------------------------------------------------------------------------------------

_CLOCKS = {"binance": "serverTime", "bybit": "time", "okx": "ts"}


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize(
    "time",
    [-62_135_596_800_000, 9_404_640_000_000_000, float("nan"), "NaN", "noon", None, 1e400, 10**30],
)
def test_an_absurd_clock_is_one_error_of_its_exchange(
    store: SeriesStore, exchanges: ExchangeServer, exchange: str, time: Any
) -> None:
    def edit(name: str, path: str, query: Any, body: Any) -> Any:
        if name == exchange and path.endswith("/time"):
            (body["data"][0] if exchange == "okx" else body)[_CLOCKS[exchange]] = time
        return body

    exchanges.edit = edit
    result = collector(store, exchanges).collect_all_data(["BTC/USDT", "ETH/USDT"], 6)
    errors = {str(s.failure) for s in result.failures}
    assert {s.exchange for s in result.failures} == {exchange}
    assert len(result.failures) == 8
    (error,) = errors
    assert f"field '{_CLOCKS[exchange]}'" in error
    assert all(isinstance(s.failure, ExchangeShapeError) for s in result.failures)
    for name in set(EXCHANGES) - {exchange}:
        assert_whole(store, exchanges.truth, name, BTC, "candles", END - 6 * HOUR, END)


# --- units of coins -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "coin", "number"),
    [
        ("1000SHIB", "SHIB", 1000),
        ("SHIB1000", "SHIB", 1000),
        ("SHIB", "SHIB", 1),
        ("1000000MOG", "MOG", 1_000_000),
        ("1MBABYDOGE", "BABYDOGE", 1_000_000),
        ("10000SATS", "SATS", 10_000),
        ("1INCH", "1INCH", 1),
        ("1000", "1000", 1),
        ("BANANAS31", "BANANAS31", 1),
        ("USD1", "USD1", 1),
        ("LUNA2", "LUNA2", 1),
        ("0G", "0G", 1),
    ],
)
def test_units(base: str, coin: str, number: int) -> None:
    assert units(base) == (coin, number)


_NAMES = {"binance": "1000SHIB", "bybit": "SHIB1000", "okx": "SHIB"}


@pytest.mark.parametrize(
    ("asked", "factors"),
    [
        ("1000SHIB", {"binance": 1, "bybit": 1, "okx": 1000}),
        ("SHIB", {"binance": 1e-3, "bybit": 1e-3, "okx": 1}),
        ("SHIB1000", {"binance": 1, "bybit": 1, "okx": 1000}),
    ],
)
def test_a_coin_of_several_units_is_collected_from_all_in_those_asked_for(
    store: SeriesStore, exchanges: ExchangeServer, asked: str, factors: Mapping[str, float]
) -> None:
    """DOGE is listed by another name: prices are per unit asked for, amounts in such units."""

    def edit(name: str, path: str, query: Any, body: Any) -> Any:
        if path.endswith(_LISTS[name]):
            for row in rows_of(name, body) or []:
                if row[_BASE[name]] == "DOGE":
                    row[_BASE[name]] = _NAMES[name]
        return body

    exchanges.edit = edit
    result = collector(store, exchanges).collect_all_data([f"{asked}/USDT"], 48)
    assert not result.failures
    symbol, doge, start = perpetual(f"{asked}/USDT"), "DOGE/USDT:USDT", END - 48 * HOUR
    for name, factor in factors.items():
        for kind in (*HISTORIES, "snapshots"):
            rows = store.read(kind, exchange=name, symbol=symbol, end=NOW + HOUR)
            if kind == "snapshots":
                right = exchanges.truth.snapshot(name, doge)
            else:
                right = exists(exchanges.truth, name, doge, kind, start)
            assert len(rows) == len(right) > 0
            prices = ("open", "high", "low", "close", "mark_price")
            amounts = ("volume", "base", "open_interest")
            for column in rows.columns.intersection(right.columns):
                if not pd.api.types.is_float_dtype(rows[column]):
                    continue
                by = factor if column in prices else 1 / factor if column in amounts else 1.0
                np.testing.assert_allclose(rows[column], right[column] * by, rtol=1e-12)
        note = series_result(result, exchange=name, kind="candles").note
        listed = f"listed as {_NAMES[name]}/USDT:USDT"
        assert (listed in note) == (_NAMES[name] != asked)
        assert (f"prices times {factor:g}" in note) == (factor != 1)
    # One that is listed no more keeps its units.
    assert dict(store.read("instruments").set_index("exchange")["multiplier"]) == factors


def test_a_symbol_that_no_units_lead_to_is_unknown(
    store: SeriesStore, exchanges: ExchangeServer
) -> None:
    result = collector(store, exchanges).collect_all_data(["1000BTCX/USDT"], 6)
    assert {type(s.failure) for s in result.series} == {UnknownSymbolError}


# --- symbols --------------------------------------------------------------------------------------


def test_a_bad_symbol_stops_no_good_one(tmp_path: Path, exchanges: ExchangeServer) -> None:
    def edit(name: str, path: str, query: Any, body: Any) -> Any:
        asked = query.get("symbol") or query.get("instId") or ""
        return {"a": [body]} if asked.startswith("ETH") else body

    exchanges.edit = edit
    store = SeriesStore(tmp_path / "series")
    result = collector(store, exchanges).collect_all_data(["ETH/USDT", "BTC/USDT"], 24)
    assert {s.symbol for s in result.failures} == {"ETH/USDT"}
    assert len(result.failures) == 12
    assert all(isinstance(s.failure, BrainError) for s in result.failures)
    for exchange in EXCHANGES:
        for kind in HISTORIES:
            assert_whole(store, exchanges.truth, exchange, BTC, kind, END - 24 * HOUR, END)
