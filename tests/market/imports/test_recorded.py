"""Recorded answers of Binance as its published files: the same rows as its client makes of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from brain.series.store import SeriesStore
from market.imports import import_path
from tests.market.exchange_server import Truth
from tests.market.imports.imported import rows
from tests.market.imports.published import FUNDING, KLINES, METRICS, Published
from tests.market.test_recorded import at, clock, gct, history, perpetual, run_client

pytestmark = pytest.mark.skipif(
    "BRAIN_RECORDED_DATA" not in os.environ, reason="BRAIN_RECORDED_DATA names no folder"
)
BITCOIN = perpetual("binance", "BTCUSDT")


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path / "data", Truth(fillers=0))


def time_of(value: Any) -> pd.Timestamp:
    return pd.Timestamp(int(value), unit="ms", tz="UTC")


def test_klines(published: Published, store: SeriesStore) -> None:
    recorded = gct("/fapi/v1/klines", "interval=1d&limit=5&symbol=BTCUSDT")
    work = history("candles", BITCOIN, "1d", at("2020-10-01"), at("2020-11-01"))
    answers = {"/klines": recorded, **clock("binance", "2020-12-01")}
    theirs = run_client("binance", answers, work)
    lines = [KLINES, *(",".join(map(str, row)) for row in recorded)]
    published.write("futures/um/monthly/klines/BTCUSDT/1d", "BTCUSDT-1d-2020-10", lines)
    assert not import_path(published.root, store).failures
    ours = rows(store, "candles")
    assert len(ours) == len(recorded) == 5
    pd.testing.assert_frame_equal(ours, theirs[ours.columns.tolist()])


def test_funding(published: Published, store: SeriesStore) -> None:
    recorded = gct("/fapi/v1/fundingRate", "symbol=BTCUSDT")

    def answer(query: Any) -> Any:
        low, high = int(query["startTime"]), int(query["endTime"])
        return [row for row in recorded if low <= row["fundingTime"] <= high]

    work = history("funding", BITCOIN, at("2020-09-01"), at("2020-11-01"))
    answers = {"/fundingRate": answer, **clock("binance", "2020-11-01")}
    theirs = run_client("binance", answers, work)
    for month in ("2020-09", "2020-10"):
        some = [r for r in recorded if f"{time_of(r['fundingTime']):%Y-%m}" == month]
        lines = [FUNDING, *(f"{r['fundingTime']},8,{r['fundingRate']}" for r in some)]
        published.write("futures/um/monthly/fundingRate/BTCUSDT", f"BTCUSDT-fundingRate-{month}",
                        lines)  # fmt: skip
    assert not import_path(published.root, store).failures
    ours = rows(store, "funding")
    assert len(ours) == len(recorded) == 100
    pd.testing.assert_frame_equal(ours, theirs[ours.columns.tolist()])  # no mark prices in 2020


def test_open_interest(published: Published, store: SeriesStore) -> None:
    """By the stamps that both have had since June 2026."""
    (recorded,) = gct("/futures/data/openInterestHist", "limit=1&period=5m&symbol=BTCUSDT")
    day = time_of(recorded["timestamp"]).floor("D")
    # A stamp at midnight tells that stamps are beginnings.
    table = [(day, "1.0", "1.0"), (time_of(recorded["timestamp"]), recorded["sumOpenInterest"],
                                   recorded["sumOpenInterestValue"])]  # fmt: skip
    lines = [
        METRICS,
        *(f"{time:%Y-%m-%d %H:%M:%S},BTCUSDT,{base},{usd},1,1,1,1" for time, base, usd in table),
    ]
    published.write("futures/um/daily/metrics/BTCUSDT", f"BTCUSDT-metrics-{day:%Y-%m-%d}", lines)
    assert not import_path(published.root, store).failures
    ours = rows(store, "open_interest").tail(1).reset_index(drop=True)
    now = f"{day + pd.Timedelta(days=1):%Y-%m-%d}"
    start = time_of(recorded["timestamp"])
    work = history("open_interest", BITCOIN, "5m", start, start + pd.Timedelta(minutes=5))
    answers = {"/openInterestHist": [recorded], **clock("binance", now)}
    theirs = run_client("binance", answers, work)
    pd.testing.assert_frame_equal(ours, theirs[ours.columns.tolist()])
