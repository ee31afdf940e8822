"""Mutated answers: right values, what is missing on record, or one error of ours; nothing else.

What is stored is compared with what the exchanges would have said; afterwards they are mended, and
the next collection makes all whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import BrainError
from brain.naming import perpetual
from brain.series.store import SeriesStore
from brain.series.store.schema import KINDS
from market.collection.gaps import ENDED, NO_ROW, open_gaps
from market.collection.results import SeriesResult
from market.exchanges.pages import INSTANT
from tests.market.collection.fuzz_cases import BATCH, SYMBOLS, Case, Mutations, cases_from
from tests.market.collectors import HISTORIES, collector, exists, uncovered
from tests.market.exchange_server import NOW, ExchangeServer

HOURS = 30
START = (NOW - pd.Timedelta(hours=HOURS)).ceil("h")
#: Cases that showed a fault which was mended since, with their seeds.
REGRESSIONS = {
    # Two rows of one instrument that differ: the first was taken.
    21416: Case("okx", "/api/v5/public/open-interest", "DOGE/USDT"),
    21731: Case("okx", "/api/v5/public/open-interest", "DOGE/USDT"),
    # A snapshot of another year was stored.
    21587: Case("okx", "/api/v5/public/open-interest", "POL/USDT"),
    # The upcoming settlement was stored with its milliseconds.
    84139: Case("bybit", "/v5/market/tickers", "POL/USDT"),
    # A time of 400 digits was an OverflowError.
    90814: Case("binance", "/futures/data/openInterestHist", "SOL/USDT"),
    91047: Case("okx", "/api/v5/public/mark-price", "KAITO/USDT"),
    # All rows of other intervals were of no instrument, so the default was taken for everyone.
    174972: Case("binance", "/fapi/v1/fundingInfo"),
    # The settlement before one that was moved had the length of the hole for its interval.
    127281: Case("binance", "/fapi/v1/fundingRate", "LPT/USDT"),
    # So had one before two rows of one time.
    145173: Case("binance", "/fapi/v1/fundingRate", "LPT/USDT"),
    # A settlement of four hours was moved by one, and stored as one of three hours.
    114401: Case("okx", "/api/v5/public/funding-rate-history", "LPT/USDT"),
    118841: Case("okx", "/api/v5/public/funding-rate-history", "SOL/USDT"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[ExchangeServer]:
    with ExchangeServer(fillers=0, scale=1000) as running:
        yield running


Key = tuple[str, str, str]  # exchange, symbol and kind


def _stored(store: SeriesStore, results: Iterable[SeriesResult]) -> dict[Key, pd.DataFrame]:
    """The rows of the results' series."""
    kinds = {kind: store.read(kind) for kind in (*HISTORIES, "snapshots")}
    rows = {
        (str(exchange), str(symbol), kind): part
        for kind, frame in kinds.items()
        for (exchange, symbol), part in frame.groupby(["exchange", "symbol"], sort=False)
    }
    return {_key(one): rows.get(_key(one), kinds[one.kind][:0]) for one in results}


def _key(series: SeriesResult) -> Key:
    return series.exchange, perpetual(series.symbol), series.kind


@cache
def _exists(
    server: ExchangeServer, key: Key, start: pd.Timestamp, end: pd.Timestamp
) -> pd.DataFrame:
    exchange, symbol, kind = key
    if kind == "snapshots":
        return server.truth.snapshot(exchange, symbol)
    return exists(server.truth, exchange, symbol, kind, start, end)


def _right(server: ExchangeServer, key: Key, rows: pd.DataFrame) -> pd.DataFrame:
    """What exists of the hours that are collected, and wherever rows are stored."""
    if not len(rows):
        return _exists(server, key, START, NOW)
    first, last = rows["time"].min(), rows["time"].max()
    return _exists(server, key, min(START, first), NOW if last < NOW else last + INSTANT)


def _missing(right: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    if len(rows) == len(right):  # all of them, if their values are right
        return right[:0]
    return right[(right["time"] >= START) & ~right["time"].isin(rows["time"])]


def _check(
    store: SeriesStore,
    server: ExchangeServer,
    results: Iterable[SeriesResult],
    mutations: Mutations,
) -> Iterator[str]:
    """What is wrong with a collection of mutated answers, with the seeds that show it."""
    gaps, stored = open_gaps(store), _stored(store, results)
    for series in results:
        rows = stored[_key(series)]
        right = _right(server, _key(series), rows)
        label = mutations.label(series.exchange, series.symbol, series.kind)
        error = series.failure
        if error is not None and (not isinstance(error, BrainError) or "report it" in str(error)):
            yield f"{label}: {error!r}"
        yield from (f"{label}: {text}" for text in value_faults(rows, right, series.kind))
        if series.kind == "snapshots":
            if not len(rows) and error is None:
                yield f"{label}: no snapshot, and no failure"
        else:
            yield from (f"{label}: {text}" for text in _gap_faults(series, gaps, right, rows))


def _gap_faults(
    series: SeriesResult, gaps: pd.DataFrame, right: pd.DataFrame, rows: pd.DataFrame
) -> Iterator[str]:
    """What is wrong with the record of a history's gaps."""
    missing = _missing(right, rows)
    if not len(missing):
        return
    exchange, symbol, kind = _key(series)
    own = gaps[(gaps["exchange"] == exchange) & (gaps["symbol"] == symbol)]
    off_record = uncovered(own, missing, kind)
    if len(off_record) and series.rows_stored is not None:
        yield f"{len(off_record)} rows missing and not on record"
    untrue = own[(own["kind"] == kind) & own["reason"].isin([NO_ROW, ENDED])]
    if false := len(missing) - len(uncovered(untrue, missing, kind)):
        yield f"{false} rows that exist are called {set(untrue['reason'])}"


def _check_mended(
    store: SeriesStore,
    server: ExchangeServer,
    results: Iterable[SeriesResult],
    mutations: Mutations,
) -> Iterator[str]:
    """What is missing or wrong once the exchanges are mended."""
    stored = _stored(store, results)
    for series in results:
        label = mutations.label(series.exchange, series.symbol, series.kind)
        if series.failure is not None:
            yield f"{label}: {series.failure!r} after all was mended"
        if series.kind in HISTORIES:
            rows = stored[_key(series)]
            right = _right(server, _key(series), rows)
            yield from (
                f"{label}: {text}, mended" for text in value_faults(rows, right, series.kind)
            )
            if missing := len(_missing(right, rows)):
                yield f"{label}: {missing} rows missing after all was mended"


def value_faults(rows: pd.DataFrame, right: pd.DataFrame, kind: str) -> list[str]:
    """How the stored rows of a series differ from the right ones; the nullable may be unknown."""
    places = pd.Index(right["time"]).get_indexer(rows["time"])
    if (strange := places < 0).any():
        first = rows["time"].iloc[int(strange.argmax())]
        wrong = [f"{strange.sum()} rows that no exchange has, first {first}"]
    else:
        wrong = []
    both, right = rows[~strange], right.iloc[places[~strange]]
    for name in (name for name in KINDS[kind].inputs if name in right):
        stored, true = both[name].to_numpy(), right[name].to_numpy()
        if stored.dtype.kind == "f":
            same = np.isclose(stored, true, rtol=1e-9, equal_nan=True)
        else:
            same = (stored == true) | (pd.isna(stored) & pd.isna(true))
        same = same | (pd.isna(stored) & (name in KINDS[kind].nullable))
        if not same.all():
            place = int((~same).argmax())
            wrong.append(f"{name} {stored[place]} is {true[place]} in truth")
    return wrong


def _fuzz(
    server: ExchangeServer,
    root: Path,
    cases: Mapping[Case, int],
    symbols: Sequence[str] = SYMBOLS,
) -> Mutations:
    """One collection of mutated answers, and one after the exchanges are mended."""
    store = SeriesStore(root / "series")
    mutations = Mutations(server, cases)
    server.edit = mutations
    work = collector(store, server, request_timeout=60.0)
    try:
        result = work.collect_all_data(symbols, HOURS)
        wrong = list(_check(store, server, result.series, mutations))
    finally:
        server.edit = None
    result = work.collect_all_data(symbols, HOURS)
    wrong += _check_mended(store, server, result.series, mutations)
    assert not wrong, "\n".join(wrong)
    return mutations


@pytest.mark.parametrize("first", [0, BATCH])
def test_mutated_answers(server: ExchangeServer, tmp_path: Path, first: int) -> None:
    mutations = _fuzz(server, tmp_path, cases_from(first))
    # An exchange whose list is mutated is asked for little else.
    assert len(mutations.log) > BATCH / 4


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_cases_of_regressions(server: ExchangeServer, tmp_path: Path, seed: int) -> None:
    case = REGRESSIONS[seed]
    symbols = [case.symbol] if case.symbol else SYMBOLS
    assert case in _fuzz(server, tmp_path, {case: seed}, symbols).log


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1000 * BATCH, 1000 * BATCH + 13_000, BATCH))
def test_many_mutated_answers(server: ExchangeServer, tmp_path: Path, first: int) -> None:
    _fuzz(server, tmp_path, cases_from(first))
