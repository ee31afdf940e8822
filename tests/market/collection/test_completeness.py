"""Ninety days of each kind on each exchange, limits enforced: all that exists, once, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from brain.series.store.store import SeriesStore
from market.collection.gaps import open_gaps
from market.collection.grid import FixedGrid
from market.collection.results import CollectionResult
from tests.market.collectors import HISTORIES, assert_whole, collector, exists, stored
from tests.market.exchange_server import DELISTED, EXCHANGES, LISTED, NOW, ExchangeServer

HOURS = 90 * 24
START = FixedGrid.of("1h").floor(NOW) - pd.Timedelta(hours=HOURS)
END = FixedGrid.of("1h").floor(NOW)
#: 8 h, 4 h, 1 h, changed from 8 to 4 h, newly listed, delisted.
SYMBOLS = ("BTC/USDT", "SOL/USDT", "KAITO/USDT", "LPT/USDT", "MON/USDT", "FTM/USDT")
_CASES = [
    (exchange, symbol)
    for exchange in EXCHANGES
    for symbol in SYMBOLS
    if (exchange, symbol) != ("okx", "FTM/USDT")  # OKX strikes delisted ones off its list
]


@dataclass
class Night:
    exchanges: ExchangeServer
    store: SeriesStore
    result: CollectionResult
    again: CollectionResult
    paths_again: list[str]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    with ExchangeServer(fillers=20) as exchanges:
        store = SeriesStore(tmp_path_factory.mktemp("series"))
        work = collector(store, exchanges)
        result = work.collect_all_data(SYMBOLS, HOURS)
        before = len(exchanges.requests)
        again = work.collect_all_data(SYMBOLS, HOURS)
        later = [request.path for request in exchanges.requests[before:]]
        yield Night(exchanges, store, result, again, later)


@pytest.mark.parametrize("kind", HISTORIES)
@pytest.mark.parametrize(("exchange", "symbol"), _CASES)
def test_ninety_days_are_whole(night: Night, exchange: str, symbol: str, kind: str) -> None:
    end = NOW if kind == "funding" else END
    rows = assert_whole(night.store, night.exchanges.truth, exchange, symbol, kind, START, end)
    assert rows > 100
    (result,) = [
        r for r in night.result.by_symbol()[symbol] if (r.exchange, r.kind) == (exchange, kind)
    ]
    assert result.failure is None
    assert result.rows_stored == result.rows_new == rows
    assert result.expected == rows + (result.missing or 0)


def test_what_is_missing_is_what_an_exchange_no_longer_keeps(night: Night) -> None:
    gaps = open_gaps(night.store)
    assert set(zip(gaps["exchange"], gaps["kind"], strict=True)) == {
        ("binance", "open_interest"),
        ("okx", "open_interest"),
    }
    assert set(gaps["reason"]) == {
        "older than the exchange keeps (30 days)",
        "older than the exchange keeps (60 days)",
    }
    truth = night.exchanges.truth
    for gap in gaps.to_dict("records"):
        reach = truth.oldest(gap["exchange"], "open_interest", "1h")
        assert reach is not None
        assert gap["start"] == START
        assert gap["end"] == FixedGrid.of("1h").ceil(reach)
        assert gap["count"] == (gap["end"] - gap["start"]) / pd.Timedelta(hours=1)
    missing = {(r.exchange, r.kind) for r in night.result.series if r.missing}
    assert missing == {("binance", "open_interest"), ("okx", "open_interest")}


def test_limits_were_kept(night: Night) -> None:
    assert night.exchanges.refused == []


def test_asking_again_asks_for_no_history(night: Night) -> None:
    history = ("klines", "/kline", "history-candles", "fundingRate", "funding/history")
    more = ("funding-rate-history", "openInterestHist", "open-interest-history")
    assert [path for path in night.paths_again if path.endswith((*history, *more))] == []
    assert {r.rows_new for r in night.again.series if r.kind in HISTORIES} == {0}
    assert [r.rows_stored for r in night.again.series] == [
        r.rows_stored for r in night.result.series
    ]


def test_snapshots_are_of_the_present(night: Night) -> None:
    for exchange, symbol in _CASES:
        rows = stored(night.store, exchange, symbol, "snapshots")
        if symbol == "FTM/USDT":
            assert len(rows) == 0
            continue
        assert len(rows) == 1  # the exchanges' clock stands still: asked twice, stored once
        right = night.exchanges.truth.snapshot(exchange, symbol)
        names = ["mark_price", "funding_rate", "next_funding", "interval_hours", "open_interest"]
        pd.testing.assert_frame_equal(rows[names], right[names], check_dtype=False, rtol=1e-12)


def test_instruments_are_remembered(night: Night) -> None:
    instruments = night.store.read("instruments").set_index(["exchange", "symbol"])
    assert len(instruments) == len(_CASES)
    truth = pd.concat([night.exchanges.truth.instruments(exchange) for exchange in EXCHANGES])
    right = truth.set_index(["exchange", "symbol"]).loc[instruments.index]
    pd.testing.assert_frame_equal(
        instruments[["instrument"]], right[["instrument"]], check_dtype=False
    )
    assert (instruments["contract_size"] == right["contract_size"]).all()
    assert (instruments["listed"] == right["listed"]).all()
    assert instruments["delisted"].notna().sum() == 2  # FTM, where it is still listed


def test_series_begin_and_end_with_their_instruments(night: Night) -> None:
    for result in night.result.series:
        if result.failure is not None or result.kind == "snapshots":
            continue
        if result.symbol == "MON/USDT":
            assert result.start is not None
            assert LISTED <= result.start <= LISTED + pd.Timedelta(hours=1)
        if result.symbol == "FTM/USDT":
            assert result.end is not None
            assert DELISTED <= result.end <= DELISTED + pd.Timedelta(hours=1)
            assert "delisted 2026-11-10 09:00" in result.note


# --- what exchanges withhold ----------------------------------------------------------------------


@pytest.mark.sampled("exchange")
@pytest.mark.parametrize("exchange", EXCHANGES)
def test_holes_are_recorded_and_late_rows_filled(exchange: str, tmp_path: Path) -> None:
    """Some rows never come, some at the second asking, some not on the first night."""
    hour = pd.Timedelta(hours=1)
    with ExchangeServer(fillers=20) as exchanges:
        truth, store = exchanges.truth, SeriesStore(tmp_path / "series")
        for kind, coin in (
            ("candles", "BTC/USDT"),
            ("funding", "KAITO/USDT"),
            ("open_interest", "BTC/USDT"),
        ):
            truth.hole(exchange, coin, kind, END - 50 * hour, END - 48 * hour)
            truth.hole(exchange, coin, kind, END - 40 * hour, END - 36 * hour, until=2)
            truth.hole(exchange, coin, kind, END - 20 * hour, END - 19 * hour, until=5)
        work = collector(store, exchanges)
        work.exchanges = (exchange,)
        for night in range(4):
            hours = 72 if night == 0 else 12  # later nights ask for the holes of the first
            result = work.collect_all_data(["BTC/USDT", "KAITO/USDT"], hours)
            assert result.failures == ()
            assert exists(truth, exchange, "BTC/USDT", "candles", END - 72 * hour).shape[0] == 70
            gaps = open_gaps(store)
            absent = gaps[gaps["start"] == END - 50 * hour]
            assert sorted(absent["kind"]) == ["candles", "funding", "open_interest"]
            assert set(absent["end"]) == {END - 48 * hour}
            assert set(absent["count"]) == {2}
            assert set(absent["reason"]) == {"the exchange has no row"}
            assert not (gaps["start"] == END - 40 * hour).any()
            late = gaps[gaps["start"] == END - 20 * hour]
            if night == 0:
                assert sorted(late["kind"]) == ["candles", "funding", "open_interest"]
        assert len(late) == 0
        assert len(gaps) == 3
        for kind, coin in (("candles", "BTC/USDT"), ("funding", "KAITO/USDT")):
            assert_whole(store, truth, exchange, coin, kind, END - 72 * hour, END)
