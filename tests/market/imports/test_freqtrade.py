"""freqtrade's data directory: recorded files of it in each form."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.series.store import SeriesStore
from market.imports import import_path
from tests.market.imports.imported import gaps, rows

recorded = pytest.mark.skipif(
    "BRAIN_RECORDED_DATA" not in os.environ, reason="BRAIN_RECORDED_DATA names no folder"
)
FORMS = ["feather", "parquet", "json", "json.gz"]


def candles(name: str) -> pd.DataFrame:
    file = Path(os.environ["BRAIN_RECORDED_DATA"]) / "candles" / f"freqtrade_{name}.csv"
    frame = pd.read_csv(file, float_precision="round_trip")
    return frame.assign(date=pd.to_datetime(frame["date"], utc=True, format="ISO8601"))


def funding() -> pd.DataFrame:
    name = "freqtrade_XRP_USDT_USDT_8h_funding_2021-11_2021-12.csv"
    file = Path(os.environ["BRAIN_RECORDED_DATA"]) / "funding" / name
    frame = pd.read_csv(file, float_precision="round_trip")
    return frame.assign(date=pd.to_datetime(frame["date"], utc=True, format="ISO8601"))


def as_candles(rates: pd.DataFrame) -> pd.DataFrame:
    """As versions before 2026 wrote funding rates."""
    zeros = dict.fromkeys(("high", "low", "close", "volume"), 0.0)
    return pd.DataFrame({"date": rates["date"], "open": rates["fundingRate"], **zeros})


def write(frame: pd.DataFrame, path: Path) -> None:
    """As freqtrade does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".feather":
        frame.to_feather(path, compression="lz4", compression_level=9)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        stamps = frame["date"].dt.as_unit("ms").astype("int64")
        text = frame.assign(date=stamps).to_json(orient="values", double_precision=15)
        content = text.encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@recorded
@pytest.mark.parametrize("form", FORMS)
def test_spot_candles(form: str, store: SeriesStore, tmp_path: Path) -> None:
    frame = candles("ETH_BTC-5m")
    write(frame, tmp_path / f"data/binance/ETH_BTC-5m.{form}")
    assert not import_path(tmp_path / "data", store).failures
    ours = rows(store, "candles")
    assert set(map(tuple, ours[["exchange", "symbol", "timeframe"]].to_numpy())) == {
        ("binance-spot", "ETH/BTC", "5m")
    }
    assert (ours["time"].to_numpy() == frame["date"].to_numpy()).all()
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_allclose(ours[name], frame[name], rtol=1e-14)
    assert ours["quote_volume"].isna().all()
    assert (ours["available"] - ours["time"] == pd.Timedelta(minutes=5)).all()
    expected = pd.date_range(frame["date"].iloc[0], frame["date"].iloc[-1], freq="5min")
    assert sum(gaps(store)["count"]) == len(expected) - len(frame)


@recorded
@pytest.mark.parametrize("form", FORMS)
def test_futures_and_funding_with_mark_prices(
    form: str, store: SeriesStore, tmp_path: Path
) -> None:
    folder = tmp_path / "user_data/data/okx/futures"
    future, mark, rates = candles("XRP_USDT_USDT-1h-futures"), candles("XRP_USDT_USDT-8h-mark"), (
        funding()
    )  # fmt: skip
    write(future, folder / f"XRP_USDT_USDT-1h-futures.{form}")
    write(mark, folder / f"XRP_USDT_USDT-8h-mark.{form}")
    write(as_candles(rates), folder / f"XRP_USDT_USDT-8h-funding_rate.{form}")
    result = import_path(tmp_path, store)
    assert not result.failures
    assert [one.reason for one in result.unread] == [
        "mark prices are read with the funding rates that they are beside"
    ]
    ours = rows(store, "candles", exchange="okx", symbol="XRP/USDT")
    assert len(ours) == len(future)
    settled = rows(store, "funding", exchange="okx", symbol="XRP/USDT").set_index("time")
    right = rates.assign(date=rates["date"].dt.floor("min")).set_index("date")["fundingRate"]
    assert (settled.index == right.index).all()
    np.testing.assert_allclose(settled["rate"], right, rtol=1e-14)
    assert set(settled["interval_hours"]) == {8.0}
    marks = mark.set_index("date")["open"].reindex(settled.index)
    np.testing.assert_allclose(settled["mark_price"], marks, rtol=1e-14)
    assert marks.notna().sum() == 91


@recorded
@pytest.mark.parametrize("form", FORMS)
def test_funding_rates_of_later_versions_have_a_column_of_their_own(
    form: str, store: SeriesStore, tmp_path: Path
) -> None:
    folder, rates = tmp_path / "binance/futures", funding()
    later = rates.rename(columns={"fundingRate": "funding_rate"})
    write(later, folder / f"XRP_USDT_USDT-1h-funding_rate.{form}")
    assert not import_path(tmp_path, store).failures
    settled = rows(store, "funding")
    np.testing.assert_allclose(settled["rate"], rates["fundingRate"], rtol=1e-14)
    assert settled["mark_price"].isna().all()


def test_volumes_of_perpetuals_whose_units_are_unknown(store: SeriesStore, tmp_path: Path) -> None:
    for exchange in ("gate", "bybit"):
        write(plain(), tmp_path / f"{exchange}/futures/BTC_USDT_USDT-1h-futures.feather")
    write(plain(), tmp_path / "gate/BTC_USDT-1h.feather")
    result = import_path(tmp_path, store)
    assert not result.failures
    (note,) = [note for one in result.series for note in one.notes]
    assert note.endswith("the volume is unknown: its units on gate can't be told")
    known = rows(store, "candles").groupby("exchange")["volume"].apply(lambda v: v.notna().all())
    assert known.to_dict() == {"bybit": True, "gate": False, "gate-spot": True}


def test_open_interest_is_read_where_its_units_are_known(
    store: SeriesStore, tmp_path: Path
) -> None:
    times = pd.date_range("2024-01-01", periods=3, freq="5min", tz="UTC")
    frame = pd.DataFrame(
        {
            "date": times,
            "open_interest_amount": [1.0, 2.0, 3.0],
            "open_interest_value": [np.nan] * 3,
        }
    )
    for exchange in ("binance", "bybit"):
        write(frame, tmp_path / f"{exchange}/futures/BTC_USDT_USDT-5m-open_interest.feather")
    result = import_path(tmp_path, store)
    assert "the units of bybit's open interest can't be told" in result.unread[0].reason
    ours = rows(store, "open_interest")
    assert ours["base"].tolist() == [1.0, 2.0, 3.0]
    assert ours["usd"].isna().all()


def plain(days: int = 3) -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=24 * days, freq="1h", tz="UTC")
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    return pd.DataFrame({"date": times, **prices})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("binance/BTC_USDT_USDT-1h.feather", "which parts of 'BTC_USDT_USDT' are base"),
        ("binance/futures/BTC_USDT-1h-futures.feather", "which parts of 'BTC_USDT' are base"),
        ("binance/BTC_USDT_USDT-1h-futures.feather", "futures lie in a folder `futures`"),
        ("binance/futures/BTC_USDT-1h.feather", "futures lie in a folder `futures`"),
        ("my_files/BTC_USDT-1h.feather", "its exchange can't be told, for 'my_files' is none"),
        ("binance/BTC_USDT-1h.h5", "HDF5 is not read"),
    ],
)
def test_what_can_not_be_told_is_a_failure(
    name: str, reason: str, store: SeriesStore, tmp_path: Path
) -> None:
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    plain().to_feather(path)
    (failure,) = import_path(tmp_path / "data", store).failures
    assert reason in str(failure)
    assert store.versions() == {}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("binance/BTC_USDT-1Mo.feather", "candles of 1Mo"),
        ("binance/BTC_USDT-trades.feather", "single trades"),
        ("binance/futures/BTC_USD_BTC-1h-futures.feather", "do not settle in dollars"),
        ("binance/futures/BTC_USDT_USDT-1h-index.feather", "type index"),
    ],
)
def test_what_is_not_kept(name: str, reason: str, store: SeriesStore, tmp_path: Path) -> None:
    path = tmp_path / "data" / name
    path.parent.mkdir(parents=True)
    plain().to_feather(path)
    result = import_path(tmp_path / "data", store)
    assert not result.failures
    assert reason in result.unread[0].reason


def test_a_pair_with_other_characters_is_read_by_the_exchanges_list(
    store: SeriesStore, tmp_path: Path
) -> None:
    write(plain(), tmp_path / "data/okx/futures/A_B_USDT_USDT-1h-futures.feather")
    (failure,) = import_path(tmp_path / "data", store).failures
    assert "collect the symbol once" in str(failure)
    now = pd.Timestamp("2024-01-01", tz="UTC")
    row = {
        "exchange": "okx", "symbol": "A.B/USDT:USDT", "instrument": "A.B-USDT-SWAP",
        "contract_size": 1.0, "seen": now,
    }  # fmt: skip
    store.upsert("instruments", pd.DataFrame([row]).astype({"seen": "datetime64[us, UTC]"}))
    assert not import_path(tmp_path / "data", store).failures
    assert set(rows(store, "candles")["symbol"]) == {"A.B/USDT:USDT"}


def test_the_exchange_that_is_named(store: SeriesStore, tmp_path: Path) -> None:
    write(plain(), tmp_path / "mine/BTC_USDT-1h.feather")
    (failure,) = import_path(tmp_path / "mine", store, exchange="kraken").failures
    assert "it is of spot, and kraken is not" in str(failure)
    assert not import_path(tmp_path / "mine", store, exchange="kraken-spot").failures
    assert set(rows(store, "candles")["exchange"]) == {"kraken-spot"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is no list of rows"),
        (b"[[1704067200000, 1, 1, 1, 1]]", "it is no list of rows"),
        (b"[[1704067200, 1, 1, 1, 1, 1]]", "not in milliseconds"),
        (b'[[1704067200000, 1, 1, "x", 1, 1]]', "it is no list of rows"),
        (b'{"a": 1}', "it is no list of rows"),
        (b"[" * 100_000, "it is no list of rows"),
        (b"[[1704067200001, 1, 1, 1, 1, 1]]", "1 row off the grid"),
        (b"[[1e300, 1, 1, 1, 1, 1]]", "it is no list of rows"),
    ],
)
def test_json_that_is_broken(
    content: bytes, reason: str, store: SeriesStore, tmp_path: Path
) -> None:
    path = tmp_path / "binance/BTC_USDT-1h.json"
    path.parent.mkdir()
    path.write_bytes(content)
    packed = tmp_path / "binance/ETH_USDT-1h.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(_plain_rows()).encode())[:-9])
    first, second = import_path(tmp_path, store).failures
    assert reason in str(first)
    assert "it is cut off, or too large" in str(second)
    assert store.read("candles").empty


def _plain_rows() -> list[list[float]]:
    return [[1704067200000 + 3_600_000 * n, 1, 1, 1, 1, 1] for n in range(100)]


@pytest.mark.parametrize("form", ["feather", "parquet"])
def test_tables_that_are_broken(form: str, store: SeriesStore, tmp_path: Path) -> None:
    folder = tmp_path / "binance"
    write(plain(), folder / f"BTC_USDT-1h.{form}")
    content = (folder / f"BTC_USDT-1h.{form}").read_bytes()
    (folder / f"BTC_USDT-1h.{form}").write_bytes(content[: len(content) // 2])
    write(plain().drop(columns="volume"), folder / f"ETH_USDT-1h.{form}")
    write(plain().assign(date="today"), folder / f"SOL_USDT-1h.{form}")
    write(plain().assign(close="many"), folder / f"XRP_USDT-1h.{form}")
    texts = [str(failure) for failure in import_path(tmp_path, store).failures]
    reasons = ["it can't be read", "no column 'volume'", "no times", "'close' is"]
    assert all(reason in text for reason, text in zip(reasons, texts, strict=True)), texts
    assert store.read("candles").empty


def test_the_row_that_runs_is_left_out_and_later_ones_refuse_the_file(
    store: SeriesStore, tmp_path: Path
) -> None:
    write(plain(), tmp_path / "binance/BTC_USDT-1h.feather")
    now = pd.Timestamp("2024-01-03 23:30", tz="UTC")
    result = import_path(tmp_path, store, now=now)
    assert (
        "the row of 2024-01-03 23:00 UTC, which is not over, left out" in result.series[0].notes[0]
    )
    assert len(rows(store, "candles")) == 71
    later = SeriesStore(tmp_path / "later")
    (failure,) = import_path(tmp_path / "binance", later, now=now - pd.Timedelta(hours=3)).failures
    assert "after now" in str(failure)
