from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import (
    BarsError,
    BrainError,
    InputError,
    NotEnoughBarsError,
    UnknownSymbolError,
)
from brain.series.bars import COLUMNS, check_bars
from brain.series.files import (
    BarSet,
    folder_files,
    read_folder,
    sample_folder,
    unread_files,
)


def bars_frame(n: int = 30, timeframe: str = "1h") -> pd.DataFrame:
    close = 100 + np.arange(n) / 8
    columns = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 2.5}
    index = pd.date_range("2020-01-06", periods=n, freq=timeframe, tz="UTC", name="time")
    return pd.DataFrame(columns, index=index)


def times_as(form: str) -> pd.Index:
    """The times of :func:`tests.brain.series.test_files.bars_frame` as text."""
    return pd.DatetimeIndex(bars_frame().index).strftime(form)


def digest(symbol: str = "BTC/USD") -> str:
    return check_bars(bars_frame(), symbol=symbol, timeframe="1h").digest


def write(path: Path, frame: pd.DataFrame | None = None) -> Path:
    frame = bars_frame() if frame is None else frame
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path)
    return path


def errors(bar_set: BarSet) -> dict[str, BrainError]:
    """The errors by subject, in the order of the failures."""
    return {failure.subject: failure.error for failure in bar_set.failures}


def only_error(folder: Path) -> BrainError:
    bar_set = read_folder(folder)
    assert not bar_set.bars
    (error,) = errors(bar_set).values()
    return error


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("BTC-USD_1h.parquet", "BTC/USD"),
        ("BTC-USD_1h.csv", "BTC/USD"),
        ("BTC-USD_1h.CSV", "BTC/USD"),
        ("BTC-USDT_USDT_1h.csv", "BTC/USDT:USDT"),
        ("BTC_1h.parquet", "BTC"),
    ],
)
def test_a_file_is_read_by_its_name(tmp_path: Path, name: str, symbol: str) -> None:
    path = write(tmp_path / name)
    bar_set = read_folder(tmp_path)
    assert not bar_set.failures
    (bars,) = bar_set.bars.values()
    assert (bars.symbol, bars.timeframe, bars.source) == (symbol, "1h", str(path))
    assert bars.digest == digest(symbol)
    assert bar_set.bars == {symbol: bars}


def test_good_files_are_read_beside_bad_ones(tmp_path: Path) -> None:
    write(tmp_path / "ETH-USD_1h.parquet")
    write(tmp_path / "BTC-USD_1h.csv")
    (tmp_path / "ADA-USD_1h.parquet").write_bytes(b"PAR1 and then nothing of use PAR1")
    write(tmp_path / "LTC-USD_1h.csv", bars_frame().assign(low=-1.0))
    write(tmp_path / "XRP-USD_1h.csv", bars_frame(0))
    write(tmp_path / "SOL-USD_1h.csv")
    write(tmp_path / "SOL-USD_1h.parquet")
    write(tmp_path / "bitcoin.csv")
    write(tmp_path / "notes.txt")
    (tmp_path / "folder").mkdir()
    bar_set = read_folder(tmp_path)
    assert list(bar_set.bars) == ["BTC/USD", "ETH/USD"]
    assert {key: type(error) for key, error in errors(bar_set).items()} == {
        "ADA/USD": BarsError,
        "LTC/USD": BarsError,
        "SOL/USD": InputError,
        "XRP/USD": NotEnoughBarsError,
        "bitcoin.csv": InputError,
    }
    assert list(errors(bar_set)) == sorted(errors(bar_set))


def test_a_folder_of_bad_files_gives_failures_and_does_not_raise(tmp_path: Path) -> None:
    (tmp_path / "BTC-USD_1h.csv").touch()
    assert isinstance(only_error(tmp_path), NotEnoughBarsError)


@pytest.mark.parametrize(
    "name", ["BTCUSD.csv", "BTC-USD.csv", "BTC-USD_hour.csv", "BTC-USD_1H.csv", "BTC USD_1h.csv"]
)
def test_a_misnamed_file_fails_under_its_own_name(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    bar_set = read_folder(tmp_path)
    assert list(errors(bar_set)) == [name]
    assert isinstance(errors(bar_set)[name], InputError)
    assert "is not named as a file of bars: " in str(errors(bar_set)[name])


@pytest.mark.parametrize("second", ["BTC-USD_1h.parquet", "BTC-USD_1d.csv"])
def test_two_files_of_one_symbol_fail_naming_both(tmp_path: Path, second: str) -> None:
    write(tmp_path / "BTC-USD_1h.csv")
    write(tmp_path / second)
    error = only_error(tmp_path)
    assert isinstance(error, InputError)
    assert "BTC-USD_1h.csv" in str(error)
    assert second in str(error)


def test_a_named_timeframe_chooses_among_the_files_of_a_symbol(tmp_path: Path) -> None:
    write(tmp_path / "BTC-USD_1h.csv")
    write(tmp_path / "ETH-USD_1h.csv")
    write(tmp_path / "^GSPC.A_1d.csv", bars_frame(timeframe="D"))
    write(tmp_path / "BTC-USD_1d.csv", bars_frame(timeframe="D"))
    (error,) = errors(read_folder(tmp_path)).values()
    assert "name the timeframe, as in timeframe=1d" in str(error)
    for timeframe, symbols in {"1h": ["BTC/USD", "ETH/USD"], "1d": ["BTC/USD", "^GSPC.A"]}.items():
        bar_set = read_folder(tmp_path, timeframe=timeframe)
        assert list(bar_set.bars) == symbols
        assert {bars.timeframe for bars in bar_set.bars.values()} == {timeframe}
        assert not bar_set.failures
    named = read_folder(tmp_path, ["BTC/USD", "ETH/USD"], timeframe="1d")
    assert list(named.bars) == ["BTC/USD"]
    (failure,) = named.failures
    assert "holds 1d bars of ETH/USD; there are 1h" in str(failure.error)
    with pytest.raises(InputError, match="holds 4h bars of BTC/USD; there are 1d, 1h"):
        read_folder(tmp_path, timeframe="4h")
    with pytest.raises(InputError, match="'4hours' is not a timeframe"):
        read_folder(tmp_path, timeframe="4hours")


# Asking for symbols.


def test_symbols_are_asked_for_in_either_spelling(tmp_path: Path) -> None:
    for name in ("BTC-USD", "ETH-USD", "LTC-USD"):
        write(tmp_path / f"{name}_1h.csv")
    write(tmp_path / "bitcoin.csv")
    bar_set = read_folder(tmp_path, ["LTC-USD", "BTC/USD", "LTC/USD"])
    assert list(bar_set.bars) == ["BTC/USD", "LTC/USD"]
    assert not bar_set.failures


def test_an_unknown_symbol_fails_with_the_closest_known_one(tmp_path: Path) -> None:
    write(tmp_path / "BTC-USD_1h.csv")
    bar_set = read_folder(tmp_path, ["BTC/USD", "BTC-USDT", "not one"])
    assert list(bar_set.bars) == ["BTC/USD"]
    assert {key: type(error) for key, error in errors(bar_set).items()} == {
        "BTC/USDT": UnknownSymbolError,
        "not one": InputError,
    }
    assert "did you mean 'BTC/USD'?" in str(errors(bar_set)["BTC/USDT"])


def test_a_failure_of_a_symbol_not_asked_for_is_not_told(tmp_path: Path) -> None:
    write(tmp_path / "BTC-USD_1h.csv")
    (tmp_path / "ETH-USD_1h.csv").touch()
    assert not read_folder(tmp_path, ["BTC/USD"]).failures
    assert list(errors(read_folder(tmp_path, ["ETH/USD"]))) == ["ETH/USD"]


@pytest.mark.parametrize(("symbols", "message"), [("BTC/USD", "give a list"), ([], "is empty")])
def test_a_misunderstanding_about_symbols_is_refused(
    tmp_path: Path, symbols: str | list[str], message: str
) -> None:
    write(tmp_path / "BTC-USD_1h.csv")
    with pytest.raises(InputError, match=message):
        read_folder(tmp_path, symbols)


# The folder.


def test_a_folder_that_cannot_serve_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no folder .*absent"):
        read_folder(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no Parquet or CSV file"):
        read_folder(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        read_folder(write(tmp_path / "BTC-USD_1h.csv"))


def test_a_folder_that_may_not_be_listed_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"can't be listed \(Permission denied\)"):
        read_folder(tmp_path)


# Files beside bars.


def test_files_beside_bars_are_named_unless_they_are_clearly_none(tmp_path: Path) -> None:
    write(tmp_path / "BTC-USD_1h.csv")
    write(tmp_path / "ETH-USD_1h.csv")
    frame = bars_frame(timeframe="4h").reset_index()
    frame.to_feather(tmp_path / "BTC_USD-4h.feather")
    beside = ["BTC-USD_1h.xlsx", "BTC_USD_USD-1h-funding_rate.feather", "notes.txt", "other.zip"]
    quiet = ["README", "SOURCE.md", ".DS_Store", "Thumbs.db", "make.py", "bars.csv~"]
    for name in beside + quiet:
        (tmp_path / name).write_text("-")
    (tmp_path / "older").mkdir()
    files, failures = folder_files(tmp_path, timeframe="1h")
    assert {s: [p.name for p in paths] for s, paths in files.items()} == {
        "BTC/USD": ["BTC-USD_1h.csv"],
        "ETH/USD": ["ETH-USD_1h.csv"],
    }
    assert not failures
    assert unread_files(tmp_path, files) == sorted([*beside, "BTC_USD-4h.feather"])
    files, _ = folder_files(tmp_path, ["ETH/USD"], timeframe="1h")
    assert unread_files(tmp_path, files) == sorted(beside)
    files, _ = folder_files(tmp_path, timeframe="4h")
    assert [path.name for path in files["BTC/USD"]] == ["BTC_USD-4h.feather"]
    assert list(files) == ["BTC/USD"]


def test_a_folder_of_other_files_names_them(tmp_path: Path) -> None:
    (tmp_path / "BTC-USD_1h.xlsx").write_text("-")
    with pytest.raises(InputError, match=r"holds no Parquet or CSV file, only BTC-USD_1h.xlsx;"):
        read_folder(tmp_path)


# Files that can't be read.


def test_a_file_that_may_not_be_read_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "BTC-USD_1h.csv")
    locked = write(tmp_path / "ETH-USD_1h.csv")
    read_bytes = Path.read_bytes

    def refuse(self: Path) -> bytes:  # what the mode 000 does, except to root
        if self == locked:
            raise PermissionError(13, "Permission denied")
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    bar_set = read_folder(tmp_path)
    assert list(bar_set.bars) == ["BTC/USD"]
    assert "can't be read (Permission denied)" in str(errors(bar_set)["ETH/USD"])


def test_a_folder_or_a_dangling_link_in_place_of_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "BTC-USD_1h.parquet").mkdir()
    (tmp_path / "ETH-USD_1h.csv").symlink_to(tmp_path / "gone")
    bar_set = read_folder(tmp_path)
    assert {type(error) for error in errors(bar_set).values()} == {InputError}
    assert list(errors(bar_set)) == ["BTC/USD", "ETH/USD"]


BROKEN: dict[str, tuple[str, Callable[[Path], object], type[BrainError], str]] = {
    "no byte, Parquet": ("parquet", Path.touch, NotEnoughBarsError, "is empty"),
    "no byte, CSV": ("csv", Path.touch, NotEnoughBarsError, "is empty"),
    "blank lines": ("csv", lambda p: p.write_text("\n\n"), BarsError, "not a readable CSV"),
    "names alone": ("csv", lambda p: write(p, bars_frame(0)), NotEnoughBarsError, "no bars"),
    "no row": ("parquet", lambda p: write(p, bars_frame(0)), NotEnoughBarsError, "no bars"),
    "cut off": (
        "parquet",
        lambda p: p.write_bytes(write(p).read_bytes()[:-20]),
        BarsError,
        "not a readable Parquet",
    ),
    "text for Parquet": (
        "parquet",
        lambda p: p.write_text(bars_frame().to_csv()),
        BarsError,
        "not a readable Parquet",
    ),
    "Parquet for text": (
        "csv",
        lambda p: p.write_bytes((sample_folder() / "LTC-USD_1d.parquet").read_bytes()),
        BarsError,
        "CSV|no column",
    ),
    "a value too many": (
        "csv",
        lambda p: p.write_text("time,open,high,low,close,volume\n2020-01-06,1,1,1,1,1,1\n"),
        BarsError,
        "more values than",
    ),
    "a word for a number": (
        "csv",
        lambda p: p.write_text(bars_frame().to_csv().replace("100.125", "n.v.", 1)),
        BarsError,
        "1 value in column 'open'.*'n.v.' at 2020-01-06 01:00",
    ),
    "no time": (
        "parquet",
        lambda p: write(p, bars_frame().reset_index(drop=True)),
        BarsError,
        "no column for the time",
    ),
    "another timeframe": (
        "csv",
        lambda p: write(p, bars_frame(timeframe="D")),
        BarsError,
        r"are 1d apart, not 1h",
    ),
}


@pytest.mark.parametrize(("ending", "make", "expected", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_fails_telling_its_path_and_what_is_wrong(
    tmp_path: Path,
    ending: str,
    make: Callable[[Path], object],
    expected: type[BrainError],
    message: str,
) -> None:
    path = tmp_path / f"BTC-USD_1h.{ending}"
    make(path)
    error = only_error(tmp_path)
    assert type(error) is expected
    assert str(path) in str(error)
    with pytest.raises(expected, match=message):
        raise error


def test_no_damage_to_a_sample_file_goes_unnoticed(tmp_path: Path) -> None:
    content = (sample_folder() / "LTC-USD_1d.parquet").read_bytes()
    whole = read_folder(sample_folder(), ["LTC/USD"]).bars["LTC/USD"].digest
    rng = random.Random(7)
    failed = 0
    for _ in range(60):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (tmp_path / "LTC-USD_1d.parquet").write_bytes(damaged)
        bar_set = read_folder(tmp_path)
        failed += len(bar_set.failures)
        assert all(bars.digest == whole for bars in bar_set.bars.values())
    assert failed > 50


# Spellings.


@pytest.mark.parametrize(
    "names",
    [
        "Date,Open,High,Low,Close,Volume",
        "timestamp,open,high,low,close,volume",
        "DateTime,OPEN,HIGH,LOW,CLOSE,VOL",
        "Open Time,Open Price,High Price,Low Price,Close Price,Volume BTC",
        " open_time , o , h , l , c , v ",
        ",open,high,low,close,volume_btc",
        "\ufeffunix,open,high,low,close,volume",
    ],
)
def test_usual_spellings_of_the_columns_are_understood(tmp_path: Path, names: str) -> None:
    lines = bars_frame().to_csv().splitlines()
    (tmp_path / "BTC-USD_1h.csv").write_text("\n".join([names, *lines[1:]]), encoding="utf-8")
    bar_set = read_folder(tmp_path)
    assert not bar_set.failures
    assert bar_set.bars["BTC/USD"].digest == digest()


@pytest.mark.parametrize(
    ("names", "both"),
    [
        ("time,open,high,low,close,Volume BTC,volume", "'Volume BTC', 'volume'"),
        ("time,open,high,low,close,close,volume", "'close', 'close'"),
    ],
)
def test_two_columns_that_could_be_meant_are_refused(tmp_path: Path, names: str, both: str) -> None:
    (tmp_path / "BTC-USD_1h.csv").write_text(f"{names}\n" + ",".join("1" * 7))
    assert f"the columns {both} could all be" in str(only_error(tmp_path))


def test_columns_that_are_not_ours_are_left_out(tmp_path: Path) -> None:
    frame = bars_frame().assign(symbol="BTCUSD", close_time="x", n=7)
    frame["Volume USD"] = 1.0
    write(tmp_path / "BTC-USD_1h.csv", frame)
    bars = read_folder(tmp_path).bars["BTC/USD"]
    assert (tuple(bars.frame.columns), bars.digest) == (COLUMNS, digest())


@pytest.mark.parametrize("unit", ["s", "ms", "text", "naive text"])
def test_csv_times_are_seconds_milliseconds_or_text(tmp_path: Path, unit: str) -> None:
    frame = bars_frame()
    seconds = 1578268800 + 3600 * np.arange(len(frame))
    frame.index = {
        "s": pd.Index(seconds),
        "ms": pd.Index(seconds * 1000),
        "text": times_as("%Y-%m-%dT%H:%M:%SZ"),
        "naive text": times_as("%Y-%m-%d %H:%M"),
    }[unit]
    write(tmp_path / "BTC-USD_1h.csv", frame.rename_axis("time"))
    assert read_folder(tmp_path).bars["BTC/USD"].digest == digest()


@pytest.mark.parametrize(
    "frame",
    [
        bars_frame(),
        bars_frame().reset_index(),
        bars_frame().rename_axis(None),
        bars_frame().rename_axis("Date"),
        bars_frame().tz_localize(None),
        bars_frame().set_axis(times_as("%Y-%m-%d %H:%M"), axis=0),
        bars_frame().reset_index().rename(columns=str.title),
        bars_frame().reset_index().convert_dtypes(dtype_backend="pyarrow"),
    ],
    ids=["index", "column", "no name", "Date", "naive", "text index", "capitals", "arrow"],
)
def test_parquet_times_are_an_index_or_a_column(tmp_path: Path, frame: pd.DataFrame) -> None:
    write(tmp_path / "BTC-USD_1h.parquet", frame)
    bar_set = read_folder(tmp_path)
    assert not bar_set.failures
    assert bar_set.bars["BTC/USD"].digest == digest()


def test_csv_numbers_come_back_exactly(tmp_path: Path) -> None:
    # Numbers that pandas' fast way of reading misses by a last digit.
    frame = bars_frame(2)
    frame["close"] = [1652.7635528529095, 91275.55772777217]
    frame["low"], frame["high"] = 1.0, 1e5
    write(tmp_path / "BTC-USD_1h.csv", frame)
    bars = read_folder(os.fspath(tmp_path)).bars["BTC/USD"]
    assert (bars.frame.to_numpy() == frame.to_numpy()).all()
