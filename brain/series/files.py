"""Bars from a folder of Parquet and CSV files.

A file is named by symbol and timeframe: ``BTC-USD_1h.parquet``, ``BTC-USDT_USDT_1h.csv``, that is
the symbol's model name (:func:`brain.naming.model_name`), an underscore and the timeframe.
Files with other endings are left alone.

The columns are a time and open, high, low, close, volume. Their usual other spellings are
understood in any case (``Date``, ``timestamp``, ``Open``, ``Volume BTC`` for a symbol of BTC);
where two columns could be meant, the file is refused. What the times and values may be,
:func:`brain.series.bars.check_bars` says: without a zone, times are UTC.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from brain.errors import (
    BarsError,
    BrainError,
    InputError,
    NotEnoughBarsError,
    UnknownSymbolError,
    did_you_mean,
)
from brain.naming import parse_symbol, symbol_of
from brain.series.bars import COLUMNS, Bars, check_bars, parse_timeframe
from brain.work import Failure

__all__ = ["BarSet", "read_folder", "sample_folder"]

_ENDINGS = (".parquet", ".csv")

_SPELLINGS: dict[str, frozenset[str]] = {
    "time": frozenset(
        {"time", "t", "ts", "timestamp", "unix", "unix_timestamp", "date", "datetime", "date_time"}
        | {"open_time", "opentime"}
    ),
    "open": frozenset({"open", "o", "open_price"}),
    "high": frozenset({"high", "h", "high_price"}),
    "low": frozenset({"low", "l", "low_price"}),
    "close": frozenset({"close", "c", "close_price"}),
    "volume": frozenset({"volume", "vol", "v"}),
}


@dataclass(frozen=True)
class BarSet:
    """Bars of several symbols, and why others can't be had.

    Attributes:
        bars: the sound series by symbol, sorted.
        failures: what could not be read, sorted: of a symbol, or of a file whose name tells none.
    """

    bars: dict[str, Bars] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


def sample_folder() -> Path:
    """The packaged sample of real bars; ``SOURCE.md`` in it tells where they are from."""
    return Path(__file__).parent / "sample"


def read_folder(folder: str | Path, symbols: Iterable[str] | None = None) -> BarSet:
    """Read the bars of a folder; one broken file never stops the others.

    Args:
        folder: The folder; folders in it are not looked into.
        symbols: The symbols to read, ``BTC/USD`` or ``BTC-USD``; all that there are if left out.
            Files of other symbols, and files whose names tell no symbol, are then passed over.

    Returns:
        The series, and for each file or symbol that could not be read the error:
        InputError (the name is not of the form above, the file can't be opened, or two files hold
        the same symbol), NotEnoughBarsError (the file is empty), BarsError (its content is broken)
        or UnknownSymbolError (asked for, and no file holds it).

    Raises:
        InputError: the folder does not exist, is no folder, can't be listed or holds no Parquet or
            CSV file; or ``symbols`` is a single text, or empty.
    """
    folder = Path(folder)
    bars: dict[str, Bars] = {}
    files, failures = _by_symbol(_paths(folder))
    if symbols is not None:
        files, failures = _some(symbols, files, folder)
    for symbol, paths in files.items():
        try:
            bars[symbol] = _read(symbol, paths)
        except BrainError as error:
            failures.append(Failure(symbol, error, symbol=symbol))
    failures.sort(key=lambda failure: failure.what)
    return BarSet(dict(sorted(bars.items())), tuple(failures))


def _paths(folder: Path) -> list[Path]:
    if not folder.exists():
        raise InputError(f"there is no folder {str(folder)!r}; give one that holds files of bars")
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is not a folder; give the folder that holds the file")
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS)
    except OSError as error:
        raise InputError(
            f"the folder {str(folder)!r} can't be listed ({error.strerror}); allow reading it"
        ) from error
    if not paths:
        raise InputError(
            f"the folder {str(folder)!r} holds no Parquet or CSV file; "
            "put files there that are named as BTC-USD_1h.parquet or BTC-USD_1h.csv"
        )
    return paths


def _by_symbol(paths: list[Path]) -> tuple[dict[str, list[Path]], list[Failure]]:
    """The files of each symbol, and the failures of those whose names tell none."""
    files: dict[str, list[Path]] = {}
    failures: list[Failure] = []
    for path in paths:
        name, _, timeframe = path.stem.rpartition("_")
        try:
            parse_timeframe(timeframe)
            files.setdefault(symbol_of(name), []).append(path)
        except InputError as error:
            misnomer = InputError(
                f"{path.name!r} is not named as a file of bars: {error}; "
                f"rename it as BTC-USD_1h{path.suffix}"
            )
            failures.append(Failure(path.name, misnomer))
    return files, failures


def _some(
    symbols: Iterable[str], files: dict[str, list[Path]], folder: Path
) -> tuple[dict[str, list[Path]], list[Failure]]:
    """The files of these symbols, and the failures of those that have none."""
    if isinstance(symbols, str):
        raise InputError(f"symbols is the text {symbols!r}; give a list, as [{symbols!r}]")
    names = list(symbols)
    if not names:
        raise InputError("symbols is empty; name at least one, or leave it out to read all")
    selection: dict[str, list[Path]] = {}
    failures: dict[str, BrainError] = {}
    for name in names:
        try:
            symbol = parse_symbol(name)
        except InputError as error:
            failures[str(name)] = error
            continue
        if symbol in files:
            selection[symbol] = files[symbol]
        else:
            failures[symbol] = UnknownSymbolError(
                f"no file in {str(folder)!r} holds {symbol}; {did_you_mean(symbol, files)}"
            )
    return selection, [Failure(name, error, symbol=name) for name, error in failures.items()]


def _read(symbol: str, paths: list[Path]) -> Bars:
    if len(paths) > 1:
        names = " and ".join(repr(path.name) for path in paths)
        raise InputError(f"{symbol} is in {len(paths)} files, {names}; keep one of them")
    (path,) = paths
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{str(path)!r} can't be read ({error.strerror}); it must be a file that may be read"
        ) from error
    if not content:
        raise NotEnoughBarsError(f"{str(path)!r} is empty; write bars into it or remove it")
    if path.suffix.lower() == ".parquet":
        frame = _with_our_names(_parquet(content, path), symbol, path)
    else:
        frame = _numbers(_with_our_names(_csv(content, path), symbol, path))
    timeframe = path.stem.rpartition("_")[2]
    return check_bars(frame, symbol=symbol, timeframe=timeframe, source=str(path))


def _parquet(content: bytes, path: Path) -> pd.DataFrame:
    try:
        # One thread: the files are small, and many workers may be reading.
        table = pq.read_table(
            pa.BufferReader(content), use_threads=False, page_checksum_verification=True
        )
        frame: pd.DataFrame = table.to_pandas(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BarsError(
            f"{str(path)!r} is not a readable Parquet file ({error}); write it anew"
        ) from error
    plain = isinstance(frame.index, pd.RangeIndex | pd.DatetimeIndex)
    return frame if plain else frame.reset_index()


def _csv(content: bytes, path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(io.BytesIO(content), float_precision="round_trip", low_memory=False)
    except ValueError as error:  # pandas' parser errors, and bytes that are not UTF-8
        raise BarsError(
            f"{str(path)!r} is not a readable CSV file ({error}); write it as UTF-8 text, "
            "a line of column names and then one line of comma-separated values for each bar"
        ) from error
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas takes surplus fields at the front as an index, which shifts the columns' names.
        raise BarsError(
            f"{str(path)!r}: the lines have more values than the first line has column names; "
            "the first line must name every column"
        )
    return frame


def _numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """One word among numbers makes a whole column text: leave as text what is no number only."""
    numbers: dict[str, pd.Series] = {}
    for column in COLUMNS:
        cells = frame[column]
        if not pd.api.types.is_numeric_dtype(cells):
            read = pd.to_numeric(cells, errors="coerce").astype(object)
            numbers[column] = read.where(read.notna(), cells.astype(object))
    return frame.assign(**numbers)


def _with_our_names(frame: pd.DataFrame, symbol: str, path: Path) -> pd.DataFrame:
    """The frame with its columns called as ours are; the columns that we don't use are left out."""
    base = re.split("[/:]", symbol)[0].lower()
    chosen: dict[str, str] = {}
    for ours, spellings in _SPELLINGS.items():
        understood = spellings | ({f"volume_{base}", f"vol_{base}"} if ours == "volume" else set())
        found = [column for column in frame.columns if _plain(column) in understood]
        if len(found) > 1:
            raise BarsError(
                f"{str(path)!r}: the columns {', '.join(map(repr, found))} could all be {ours!r}; "
                "keep or rename so that one is left"
            )
        chosen.update(dict.fromkeys(found, ours))
    indexed = isinstance(frame.index, pd.DatetimeIndex)
    if "time" not in chosen.values() and not indexed and _plain(frame.columns[0]) == "unnamed:_0":
        chosen[frame.columns[0]] = "time"  # an index that was saved without a name
    kept = frame[list(chosen)].rename(columns=chosen)
    if missing := [ours for ours in COLUMNS if ours not in kept]:
        raise BarsError(
            f"{str(path)!r}: there is no column for {', '.join(missing)} among "
            f"{', '.join(map(repr, frame.columns))}; name the columns time, {', '.join(COLUMNS)}"
        )
    return kept


def _plain(column: object) -> str:
    # pandas calls the second of two columns "close" of a CSV file "close.1".
    name = re.sub(r"\.\d+$", "", str(column).strip().lower())
    return re.sub(r"[\s\-]+", "_", name)
