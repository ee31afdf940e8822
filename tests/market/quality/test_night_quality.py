"""What models read beside bars stands on a night's quality page, whoever brought it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from brain.series.store.store import SeriesStore
from brain.settings import load_settings
from market.night_quality import read_records
from market.quality.bars_check import bars_record
from market.quality.record import QualityRecord
from tests.engine.simulate import simulate
from tests.market.listened import store_listened

HOUR, CONTRACT = pd.Timedelta(hours=1), "BTC/USDT:USDT"


@pytest.fixture
def bars() -> QualityRecord:
    """Of 50 days of hours."""
    series = simulate(1200, strength=0.0, seed=1, symbol="BTC/USDT", timeframe="1h").bars
    return bars_record(series, checked=pd.Timestamp.now(tz="UTC"))


@pytest.fixture
def end(bars: QualityRecord) -> pd.Timestamp:
    assert bars.last is not None
    return bars.last + HOUR


def test_liquidations_of_named_exchanges_are_reported_listened_to_or_not(
    tmp_path: Path, bars: QualityRecord, end: pd.Timestamp
) -> None:
    store = SeriesStore(tmp_path / "series")
    store_listened(store, CONTRACT, {"bybit": None, "binance": None}, end - 72 * HOUR, end)
    settings = load_settings({"liquidations": "bybit,okx"})
    bybit, okx = read_records(store, settings, [bars], [])
    assert bybit.name == f"bybit {CONTRACT} liquidations"
    assert bybit.note.startswith("listened to 6% of the time, 100% since")
    assert (okx.rows, okx.note) == (None, "not listened to: nothing is known")
    (other,) = read_records(store, settings, [bars], [bybit])
    assert other.name == okx.name
    assert set(store.read("quality")["exchange"]) == {"bybit", "okx"}


def test_what_is_stored_of_named_exchanges_is_reported_beside_bars_of_files(
    tmp_path: Path, bars: QualityRecord, end: pd.Timestamp
) -> None:
    store = SeriesStore(tmp_path / "series")
    times = pd.date_range(end=end, periods=30, freq="8h", unit="us")
    key = {"exchange": "bybit", "symbol": CONTRACT}
    rates = {"rate": 1e-4, "interval_hours": 8.0, "mark_price": 1.0}
    store.upsert("funding", pd.DataFrame({"time": times, "available": times, **key, **rates}))
    amounts = {"base": 1.0, "usd": 1.0}
    for timeframe, step in (("5m", "5min"), ("1h", "1h"), ("4h", "4h")):
        times = pd.date_range(end=end, periods=30, freq=step, unit="us")
        names = {**key, "timeframe": timeframe}
        rows = pd.DataFrame({"time": times, "available": times + HOUR, **names, **amounts})
        store.upsert("open_interest", rows)
    settings = load_settings({"exchanges": "bybit", "symbols": "BTC/USDT", "bars": "files"})
    records = read_records(store, settings, [bars], [])
    assert {(r.kind, r.timeframe) for r in records} == {
        ("funding", ""),
        ("open_interest", "5m"),
        ("open_interest", "1h"),
    }
    assert {(r.rows, r.missing) for r in records if r.kind == "open_interest"} == {(30, 0)}
    assert read_records(store, load_settings({}), [bars], []) == ()


def test_a_symbol_without_a_perpetual_has_none(tmp_path: Path, bars: QualityRecord) -> None:
    store = SeriesStore(tmp_path / "series")
    gold = simulate(300, strength=0.0, seed=1, symbol="GOLD", timeframe="1d").bars
    record = bars_record(gold, checked=pd.Timestamp.now(tz="UTC"))
    assert read_records(store, load_settings({"liquidations": "bybit"}), [record], []) == ()
