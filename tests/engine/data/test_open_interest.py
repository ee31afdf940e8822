"""Open interest at the bars' timeframe, with finer rows where it has none of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.series.bars import parse_timeframe
from brain.series.store import SeriesStore
from engine.data.open_interest import read_open_interest

CONTRACT = "BTC/USDT:USDT"
FIRST = pd.Timestamp("2024-01-01", tz="UTC")


def rows(timeframe: str, first: str, number: int, exchange: str = "binance") -> pd.DataFrame:
    """Rows whose value is the minute of the end of their period."""
    step = pd.Timedelta(timeframe)
    times = pd.date_range(pd.Timestamp(first, tz="UTC"), periods=number, freq=step, unit="us")
    frame = pd.DataFrame({"exchange": exchange, "symbol": CONTRACT, "timeframe": timeframe}, times)
    frame = frame.rename_axis("time").reset_index().assign(available=times + step)
    minutes = (frame["available"] - FIRST) / pd.Timedelta(minutes=1)
    return frame.assign(base=minutes, usd=np.nan)


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    """Five minutes of three days, and hours of the third and the fourth."""
    store = SeriesStore(tmp_path / "series")
    store.upsert("open_interest", rows("5min", "2024-01-01", 3 * 288).assign(timeframe="5m"))
    store.upsert("open_interest", rows("1h", "2024-01-03", 48).assign(base=-1.0))
    return store


def test_the_last_finer_row_of_a_period_stands_for_its_own(store: SeriesStore) -> None:
    found = read_open_interest(store, CONTRACT, None, "1h")
    assert (found["time"] == pd.date_range(FIRST, periods=96, freq="1h")).all()
    assert (found["available"] - found["time"] == pd.Timedelta(hours=1)).all()
    assert found["base"][:48].tolist() == [60.0 * (n + 1) for n in range(48)]
    assert (found["base"][48:] == -1).all()  # of the timeframe itself


@pytest.mark.parametrize(("timeframe", "number"), [("15m", 288), ("4h", 24), ("1d", 4)])
def test_other_timeframes(timeframe: str, number: int, store: SeriesStore) -> None:
    found = read_open_interest(store, CONTRACT, ["binance"], timeframe)
    assert len(found) == number
    step = parse_timeframe(timeframe)
    ends = (found["available"] - FIRST) / pd.Timedelta(minutes=1)
    fine = found["available"] <= FIRST + pd.Timedelta(days=3)
    assert (found["base"][fine] == ends[fine]).all()  # the five minutes, not the hour
    assert (found["available"] - found["time"] == step).all()


def test_without_the_row_at_the_end_a_period_has_none(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path / "series")
    finer = rows("5min", "2024-01-01", 288).assign(timeframe="5m")
    store.upsert("open_interest", finer[finer["available"] != FIRST + pd.Timedelta(hours=5)])
    found = read_open_interest(store, CONTRACT, None, "1h")
    assert len(found) == 23
    assert FIRST + pd.Timedelta(hours=4) not in set(found["time"])


def test_exchanges_are_apart_and_longer_periods_are_left_out(store: SeriesStore) -> None:
    store.upsert("open_interest", rows("4h", "2024-01-01", 12, "okx"))
    found = read_open_interest(store, CONTRACT, None, "1h")
    assert set(found["exchange"]) == {"binance"}
    assert read_open_interest(store, CONTRACT, ["okx"], "1h").empty
    assert read_open_interest(store, "ETH/USDT:USDT", None, "1h").columns.tolist() == [
        *("exchange", "time", "available", "base", "usd"),
    ]
