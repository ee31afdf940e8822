"""CryptoDataDownload's CSV: a recorded file, and its forms."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.series.store import SeriesStore
from market.imports import import_path
from tests.market.imports.imported import gaps, rows

ADDRESS = "https://www.CryptoDataDownload.com"
STAMP = 1_577_836_800  # 2020-01-01


@pytest.mark.skipif(
    "BRAIN_RECORDED_DATA" not in os.environ, reason="BRAIN_RECORDED_DATA names no folder"
)
def test_a_recorded_file_with_volumes_in_each_others_column(
    store: SeriesStore, tmp_path: Path
) -> None:
    file = Path(os.environ["BRAIN_RECORDED_DATA"]) / "candles/BTC_USD_1h_2018-05_2021-04.csv"
    (failure,) = import_path(file, store).failures
    assert "its name begins with no exchange's" in str(failure)
    result = import_path(file, store, exchange="bitstamp-spot")
    assert not result.failures
    ours = rows(store, "candles")
    right = pd.read_csv(file, float_precision="round_trip")
    assert len(ours) == len(right) == 25_962
    assert (ours["time"].astype("int64") == right["unix"] * 1_000_000).all()
    for name in ("open", "high", "low", "close"):
        np.testing.assert_array_equal(ours[name], right[name])
    # Whichever column it was in, the volume in dollars is the price times that in coins.
    mean = ours["quote_volume"] / ours["volume"]
    traded = (ours["volume"] > 0) & (ours["quote_volume"] > 0)
    inside = (mean >= ours["low"] * 0.98) & (mean <= ours["high"] * 1.02)
    assert inside[traded].mean() > 0.999
    (note,) = result.series[0].notes
    swapped = int(note.split(": ")[1].split(" ")[0])
    assert "rows with both volumes in each other's column, put right" in note
    assert swapped == (right["volume"] != ours["volume"]).sum() > 10_000
    assert gaps(store).empty


def lines(hours: int = 30, *, unit: int = 1, step: int = 3600) -> list[str]:
    """The newest row first, as it is published."""
    rows = []
    for n in reversed(range(hours)):
        time = pd.Timestamp(STAMP + n * step, unit="s")
        price = 7000 + n
        rows.append(
            f"{(STAMP + n * step) * unit},{time:%Y-%m-%d %H:%M:%S},BTC/USD,"
            f"{price},{price + 10},{price - 10},{price + 1},{2.5 + n},{(2.5 + n) * price}"
        )
    return rows


HEAD = "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD"


def write(tmp_path: Path, text: list[str], name: str = "Bitstamp_BTCUSD_1h.csv") -> Path:
    folder = tmp_path / "files"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(text) + "\n")
    return folder


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000])
@pytest.mark.parametrize("title", [[ADDRESS], []])
def test_units_and_title(unit: int, title: list[str], store: SeriesStore, tmp_path: Path) -> None:
    result = import_path(write(tmp_path, [*title, HEAD, *lines(unit=unit)]), store)
    assert not result.failures
    assert not result.series[0].notes
    ours = rows(store, "candles")
    assert set(map(tuple, ours[["exchange", "symbol", "timeframe"]].to_numpy())) == {
        ("bitstamp-spot", "BTC/USD", "1h")
    }
    hours = pd.date_range("2020-01-01", periods=30, freq="1h", tz="UTC")
    assert (ours["time"] == hours).all()
    assert ours["open"].tolist() == list(range(7000, 7030))
    assert ours["volume"].tolist() == [2.5 + n for n in range(30)]
    assert ours["quote_volume"].tolist() == [(2.5 + n) * (7000 + n) for n in range(30)]


def test_columns_of_binance_and_a_symbol_without_a_slash(
    store: SeriesStore, tmp_path: Path
) -> None:
    text = [line.replace("BTC/USD", "BTCUSDT") + ",17" for line in lines(unit=1000)]
    head = "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount"
    folder = write(tmp_path, [ADDRESS, head, *text], "Binance_BTCUSDT_1h.csv")
    assert not import_path(folder, store).failures
    ours = rows(store, "candles", exchange="binance-spot", symbol="BTC/USDT")
    assert len(ours) == 30


def test_dates_alone_by_the_half_day_clock(store: SeriesStore, tmp_path: Path) -> None:
    text = []
    for line in lines(30):
        unix, _, rest = line.split(",", 2)
        text.append(f"{pd.Timestamp(int(unix), unit='s'):%Y-%m-%d %I-%p},{rest}")
    folder = write(tmp_path, [ADDRESS, HEAD.removeprefix("unix,"), *text])
    assert not import_path(folder, store).failures
    assert rows(store, "candles")["time"][13] == pd.Timestamp("2020-01-01 13:00", tz="UTC")


@pytest.mark.parametrize(
    ("name", "step", "timeframe"),
    [
        ("Gemini_BTCUSD_2020_1min.csv", 60, "1m"),
        ("Bitstamp_BTCUSD_2020_minute.csv", 60, "1m"),
        ("Bitstamp_BTCUSD_d.csv", 86_400, "1d"),
        ("Kraken_BTCUSD_1hr.csv", 3600, "1h"),
        ("FTX_BTCUSD_1h.csv", 3600, "1h"),
    ],
)
def test_timeframes_by_name(
    name: str, step: int, timeframe: str, store: SeriesStore, tmp_path: Path
) -> None:
    folder = write(tmp_path, [ADDRESS, HEAD, *lines(step=step)], name)
    assert not import_path(folder, store).failures
    assert set(rows(store, "candles")["timeframe"]) == {timeframe}


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("Bitstamp_BTCUSD_d.csv", lines(), "off the grid of 1440 minutes"),
        ("Bitstamp_BTCUSD_1h.csv", lines(step=86_400), "further apart than 1h"),
        ("Bitstamp_BTCUSD_all.csv", lines(), "tells no timeframe"),
        ("Nowhere_BTCUSD_1h.csv", lines(), "begins with no exchange's"),
        ("Binance_BTCUSDT_futures_1h.csv", lines(), "its name is of futures"),
        ("Bitstamp_BTCUSD_1h.csv", [*lines(), lines()[0].replace("BTC/USD", "ETH/USD")], "ETH"),
        ("Bitstamp_BTCUSD_1h.csv", [*lines(), "1577836800,2020-01-02 00:00:00" + lines()[0][30:]],
         "different times"),
        ("Bitstamp_BTCUSD_1h.csv", [ln.replace("7010", "many") for ln in lines()], "no numbers"),
    ],
)  # fmt: skip
def test_what_can_not_be_told_is_a_failure(
    name: str, text: list[str], reason: str, store: SeriesStore, tmp_path: Path
) -> None:
    (failure,) = import_path(write(tmp_path, [ADDRESS, HEAD, *text], name), store).failures
    assert reason in str(failure)
    assert store.read("candles").empty


def test_a_pair_is_no_perpetual(store: SeriesStore, tmp_path: Path) -> None:
    folder = write(tmp_path, [ADDRESS, HEAD, *lines()])
    (failure,) = import_path(folder, store, exchange="bitstamp").failures
    assert "name --exchange bitstamp-spot" in str(failure)


def test_other_tables_are_not_recognised(store: SeriesStore, tmp_path: Path) -> None:
    folder = write(tmp_path, ["a,b,c", "1,2,3"], "notes.csv")
    (failure,) = import_path(folder, store).failures
    assert "it is not recognised" in str(failure)
