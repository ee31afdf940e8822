"""Exports, and imports of them: nothing of a series is lost on the way out and in again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from brain.errors import InputError, SeriesFileError
from brain.scratch import FILE
from brain.series.files import read_folder
from brain.series.store import SeriesStore
from market.exports import export_series
from market.exports.files import parquet_file
from market.imports import import_path
from tests.market.exchange_server import NOW, Truth
from tests.market.imports.imported import assert_equal, put_in, rows
from tests.market.imports.published import Published, days

KINDS = ("candles", "funding", "open_interest")
FIRST = pd.Timestamp("2024-01-01", tz="UTC")

prices = st.floats(min_value=1e-9, max_value=1e9, allow_subnormal=False)
amounts = st.floats(min_value=0, max_value=1e15) | st.just(float("nan"))
rates = st.floats(min_value=-0.1, max_value=0.1)


@st.composite
def candles(draw: st.DrawFn) -> pd.DataFrame:
    exchange, symbol = draw(
        st.sampled_from(
            [
                ("binance", "BTC/USDT:USDT"),
                ("okx", "1000PEPE/USDT:USDT"),
                ("binance-spot", "BTC/USDT"),
                ("kraken-spot", "ETH/BTC"),
            ]
        )
    )
    hours = sorted(draw(st.sets(st.integers(0, 200), min_size=1, max_size=12)))
    frame = pd.DataFrame({"exchange": exchange, "symbol": symbol, "timeframe": "1h"}, index=hours)
    frame["time"] = FIRST + pd.to_timedelta(hours, unit="h")
    four = np.sort([[draw(prices) for _ in range(4)] for _ in hours], axis=1)
    frame["low"], frame["open"], frame["close"], frame["high"] = four.T
    frame["volume"] = [draw(amounts) for _ in hours]
    frame["quote_volume"] = [draw(amounts) for _ in hours]
    return frame.assign(available=frame["time"] + pd.Timedelta(hours=1))


@st.composite
def funding(draw: st.DrawFn) -> pd.DataFrame:
    number = draw(st.integers(1, 12))
    hours = draw(st.sampled_from([8, 4, 1]))
    times = FIRST + pd.to_timedelta(np.arange(number) * hours, unit="h")
    frame = pd.DataFrame({"exchange": "bybit", "symbol": "SOL/USDT:USDT", "time": times})
    frame["rate"] = [draw(rates) for _ in range(number)]
    frame["interval_hours"] = float(hours) if number > 1 else np.nan
    frame["mark_price"] = [draw(prices | st.just(float("nan"))) for _ in range(number)]
    return frame.assign(available=frame["time"])


@st.composite
def open_interest(draw: st.DrawFn) -> pd.DataFrame:
    minutes = sorted(draw(st.sets(st.integers(0, 300), min_size=1, max_size=12)))
    times = FIRST + pd.to_timedelta(np.array(minutes) * 5, unit="min")
    frame = pd.DataFrame({"exchange": "okx", "symbol": "BTC/USDT:USDT", "timeframe": "5m"}, times)
    frame = frame.rename_axis("time").reset_index()
    frame["base"] = [draw(st.floats(min_value=0, max_value=1e15)) for _ in minutes]
    frame["usd"] = [draw(amounts) for _ in minutes]
    return frame.assign(available=frame["time"] + pd.Timedelta(minutes=5))


def filled(folder: Path, frames: dict[str, pd.DataFrame]) -> SeriesStore:
    store = SeriesStore(folder)
    for kind, frame in frames.items():
        times = dict.fromkeys(("time", "available"), "datetime64[us, UTC]")
        store.upsert(kind, frame.astype(times))
    return store


def round_trip(store: SeriesStore, folder: Path, form: str) -> SeriesStore:
    """What a new store holds after an export and its import."""
    result = export_series(store, folder / form, form)
    assert not result.failures
    new = SeriesStore(folder / f"{form} imported")
    imported = import_path(folder / form, new)
    assert not imported.failures
    assert imported.files == len([one for one in result.series if one.files])
    return new


BRIEFLY = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@BRIEFLY
@given(
    st.fixed_dictionaries(
        {"candles": candles(), "funding": funding(), "open_interest": open_interest()}
    )
)
def test_export_and_import_are_the_identity(frames: dict[str, pd.DataFrame]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = filled(folder / "series", frames)
        for form in ("parquet", "csv"):
            new = round_trip(store, folder, form)
            for kind in KINDS:
                pd.testing.assert_frame_equal(rows(new, kind), rows(store, kind), check_exact=True)


@BRIEFLY
@given(st.fixed_dictionaries({"candles": candles(), "funding": funding()}))
def test_freqtrades_format_keeps_all_that_has_a_place_in_it(
    frames: dict[str, pd.DataFrame],
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = filled(folder / "series", frames)
        once = round_trip(store, folder, "freqtrade")
        before = rows(store, "candles").assign(quote_volume=np.nan)
        pd.testing.assert_frame_equal(rows(once, "candles"), before, check_exact=True)
        before, after = rows(store, "funding"), rows(once, "funding")
        columns = before.columns.drop("interval_hours") if len(before) < 3 else before.columns
        pd.testing.assert_frame_equal(after[columns], before[columns], check_exact=True)
        twice = round_trip(once, folder / "again", "freqtrade")
        for kind in ("candles", "funding"):
            pd.testing.assert_frame_equal(rows(twice, kind), rows(once, kind), check_exact=True)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """All kinds, with a hole."""
    published = Published(tmp_path_factory.mktemp("published"), Truth(fillers=0))
    published.klines("BTC", "1h", "2026-10")
    published.klines("BTC", "1d", "2026-10")
    published.klines("ETH", "1h", "2025-01", spot=True)
    for day in days("2026-11-01", "2026-11-06"):
        if day != "2026-11-03":
            published.klines("BTC", "1h", day)
            published.metrics("BTC", day)
    published.funding("LPT", "2026-10")
    return published


@pytest.fixture(scope="module")
def store(published: Published, tmp_path_factory: pytest.TempPathFactory) -> SeriesStore:
    store = SeriesStore(tmp_path_factory.mktemp("store") / "series")
    assert not put_in(store, published.root).failures
    return store


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_import_export_import_is_the_identity(
    form: str, store: SeriesStore, tmp_path: Path
) -> None:
    """With the gap record, which follows from the rows."""
    assert not export_series(store, tmp_path / "out", form).failures
    new = SeriesStore(tmp_path / "new")
    assert not put_in(new, tmp_path / "out").failures
    assert_equal(store, new)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    export_series(new, tmp_path / "out", form)
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.*")}
    assert before == after
    assert not list((tmp_path / "out").rglob(f"{FILE}*"))


def test_files_and_their_names(store: SeriesStore, tmp_path: Path) -> None:
    result = export_series(store, tmp_path, "parquet")
    assert {file for one in result.series for file in one.files} == {
        "binance/candles/BTC-USDT_USDT_1d.parquet",
        "binance/candles/BTC-USDT_USDT_1h.parquet",
        "binance-spot/candles/ETH-USDT_1h.parquet",
        "binance/funding/LPT-USDT_USDT.parquet",
        "binance/open_interest/BTC-USDT_USDT_5m.parquet",
    }
    result = export_series(store, tmp_path, "freqtrade")
    assert {file for one in result.series for file in one.files} == {
        "binance/futures/BTC_USDT_USDT-1d-futures.feather",
        "binance/futures/BTC_USDT_USDT-1h-futures.feather",
        "binance/ETH_USDT-1h.feather",
        "binance/futures/LPT_USDT_USDT-1h-funding_rate.feather",
        "binance/futures/LPT_USDT_USDT-1h-mark.feather",
    }
    (lacking,) = [one for one in result.series if not one.files]
    assert (lacking.key[2], lacking.lacks) == ("open_interest", "it")


def test_a_freqtrade_file_is_as_freqtrade_reads_it(store: SeriesStore, tmp_path: Path) -> None:
    export_series(store, tmp_path, "freqtrade", symbols=["BTC/USDT"], timeframe="1h")
    file = tmp_path / "binance/futures/BTC_USDT_USDT-1h-futures.feather"
    frame = pd.read_feather(file)
    assert frame.columns.tolist() == ["date", "open", "high", "low", "close", "volume"]
    dates = pd.to_datetime(frame["date"], unit="ms", utc=True)
    stored = rows(store, "candles", exchange="binance", timeframe="1h")
    assert (dates == stored["time"]).all()
    np.testing.assert_array_equal(frame["volume"], stored["volume"])
    assert pa.ipc.open_file(file).schema.field("date").type == pa.timestamp("ns", tz="UTC")


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_exported_candles_are_a_folder_of_bars(
    form: str, store: SeriesStore, tmp_path: Path
) -> None:
    export_series(store, tmp_path, form, timeframe="1h")
    found = read_folder(tmp_path / "binance/candles", None, {}, timeframe="1h")
    assert not found.failures
    (bars,) = found.bars.values()
    assert bars.symbol == "BTC/USDT:USDT"
    stored = rows(store, "candles", exchange="binance", timeframe="1h").set_index("time")
    there = bars.frame.dropna()
    np.testing.assert_array_equal(there["close"], stored["close"].reindex(there.index))
    assert len(there) == len(stored)


def test_limits(store: SeriesStore, tmp_path: Path) -> None:
    def keys(**limits: object) -> set[str]:
        result = export_series(store, tmp_path, "csv", **limits)  # type: ignore[arg-type]
        return {one.what for one in result.series}

    assert keys(exchanges=["binance-spot"]) == {"ETH/USDT binance-spot candles 1h"}
    assert keys(symbols=["LPT/USDT"]) == {"LPT/USDT:USDT binance funding"}
    assert keys(symbols=["ETH/USDT"]) == {"ETH/USDT binance-spot candles 1h"}
    assert keys(symbols=["BTC/USDT:USDT"], timeframe="5m") == {
        "BTC/USDT:USDT binance open_interest 5m"
    }
    for limits, message in (
        ({"symbols": ["BTH/USDT"]}, "no series of symbol 'BTH/USDT'"),
        ({"exchanges": ["binnance"]}, "did you mean 'binance'"),
        ({"symbols": ["BTC/USDT"], "timeframe": "15m"}, "no such series at 15m"),
        ({"timeframe": "hourly"}, "is not a timeframe"),
    ):
        with pytest.raises(InputError, match=message):
            keys(**limits)
    with pytest.raises(InputError, match="there is no format 'xlsx'; known: parquet, csv"):
        export_series(store, tmp_path, "xlsx")
    with pytest.raises(InputError, match="holds no series; collect or import some first"):
        export_series(SeriesStore(tmp_path / "nothing"), tmp_path, "csv")


def test_a_folder_that_can_not_be_written(store: SeriesStore, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    result = export_series(store, tmp_path / "out", "csv")
    assert len(result.failures) == 5
    assert "can't be written to" in str(result.failures[0])


def test_two_symbols_of_one_name_are_told(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path / "series")
    for symbol in ("A.B/USDT:USDT", "A+B/USDT:USDT"):
        times = pd.date_range(FIRST, periods=3, freq="1h", unit="us")
        frame = pd.DataFrame(
            {"exchange": "okx", "symbol": symbol, "timeframe": "1h", "time": times}
        )
        prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
        store.upsert("candles", frame.assign(**prices, available=times + pd.Timedelta(hours=1)))
    result = export_series(store, tmp_path, "freqtrade")
    (failure,) = result.failures
    assert isinstance(failure.error, SeriesFileError)
    assert "its file would be called okx/futures/A_B_USDT_USDT-1h-futures.feather" in str(failure)
    assert not export_series(store, tmp_path, "parquet").failures


def test_a_file_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.float64())])
    path = tmp_path / "one.parquet"
    with parquet_file(path, schema) as writer:
        writer.write_table(pa.table({"a": [1.0]}, schema))
    before = path.read_bytes()

    def fail() -> None:
        with parquet_file(path, schema) as writer:
            writer.write_table(pa.table({"a": [2.0]}, schema))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["one.parquet"]


def test_an_export_with_rows_of_two_series_is_refused(store: SeriesStore, tmp_path: Path) -> None:
    export_series(store, tmp_path / "out", "csv", timeframe="1h", symbols=["BTC/USDT"])
    file = tmp_path / "out/binance/candles/BTC-USDT_USDT_1h.csv"
    text = file.read_text().splitlines()
    file.write_text("\n".join([*text, text[5].replace("BTC/USDT:USDT", "ETH/USDT:USDT")]) + "\n")
    (tmp_path / "out/binance/candles/empty.csv").write_text(text[0] + "\n")
    new = SeriesStore(tmp_path / "new")
    texts = sorted(map(str, import_path(tmp_path / "out", new, now=NOW).failures))
    assert "it holds rows of symbol 'ETH/USDT:USDT' beside those of 'BTC/USDT:USDT'" in texts[0]
    assert "it is an export without rows" in texts[1]
    public = text[5].replace("2026-10-01 05", "2026-10-01 04")  # before the hour is over
    file.write_text("\n".join([*text[:5], public, *text[6:]]) + "\n")
    first, _ = sorted(map(str, import_path(tmp_path / "out", new, now=NOW).failures))
    assert "1 row public before its period is over" in first
    assert new.versions().keys() <= {"gaps"}
