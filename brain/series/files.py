"""Bars from a folder of Parquet and CSV files.

The name of a file is the symbol's model name (:func:`brain.naming.model_name`), an underscore and
the timeframe: ``BTC-USD_1h.parquet``, ``BTC-USDT_USDT_1h.csv``. Files with other endings are
ignored.

The columns are a time and open, high, low, close, volume. Their usual other spellings are
understood in any case (``Date``, ``timestamp``, ``Open``, ``Volume BTC`` for a symbol of BTC); a
file with two spellings of one column is refused. Times and values are as for
:func:`brain.series.bars.check_bars`: times without a zone are UTC.
"""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from brain.calendars import CONTINUOUS, calendar_of
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

__all__ = ["BarSet", "folder_files", "read_files", "read_folder", "sample_folder"]

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


# What pandas raises for a Parquet file whose metadata is not what it says.
_FORGED = (ValueError, TypeError, LookupError, AttributeError)


@dataclass(frozen=True)
class BarSet:
    """Bars of several symbols, and the failures of others.

    Attributes:
        bars: the sound series by symbol, sorted.
        failures: of symbols, or of files without a symbol in their names, sorted.
    """

    bars: dict[str, Bars] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


def sample_folder() -> Path:
    """The folder of the packaged sample of real bars; ``SOURCE.md`` in it is about their source."""
    return Path(__file__).parent / "sample"


def read_folder(
    folder: str | Path,
    symbols: Iterable[str] | None = None,
    calendars: Mapping[str, str] | None = None,
) -> BarSet:
    """Read the bars of a folder; one broken file never stops the others.

    Args:
        folder: of the files; folders in it are ignored.
        symbols: to read, ``BTC/USD`` or ``BTC-USD``; all symbols of the folder if None. With
            symbols, files of other symbols and files with other names are ignored.
        calendars: of the markets by symbol, see :func:`brain.calendars.calendar_of`.

    Returns:
        The series, and for each file or symbol that can't be read the error:
        InputError (the name is not of the form above, the file can't be opened, or two files hold
        the same symbol), NotEnoughBarsError (the file is empty), BarsError (its content is broken)
        or UnknownSymbolError (one of ``symbols``, and no file holds it).

    Raises:
        InputError: the folder does not exist, is no folder, can't be listed or holds no Parquet or
            CSV file; or ``symbols`` is a single text, or empty.
    """
    files, failures = folder_files(folder, symbols)
    bars: dict[str, Bars] = {}
    for symbol, paths in files.items():
        try:
            bars[symbol] = read_files(symbol, paths, calendar_of(calendars or {}, symbol))
        except BrainError as error:
            failures.append(Failure(symbol, error, symbol=symbol))
    failures.sort(key=lambda failure: failure.what)
    return BarSet(bars, tuple(failures))


def folder_files(
    folder: str | Path, symbols: Iterable[str] | None = None
) -> tuple[dict[str, list[Path]], list[Failure]]:
    """The files of each symbol of a folder, sorted; nothing is read.

    Arguments, failures and errors are those of :func:`read_folder`, as far as names tell them.
    """
    folder = Path(folder)
    files, failures = _by_symbol(_paths(folder))
    if symbols is not None:
        files, failures = _selection(symbols, files, folder)
    return dict(sorted(files.items())), failures


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
    """The files of each symbol, and the failures of files without a symbol in their names."""
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


def _selection(
    symbols: Iterable[str], files: dict[str, list[Path]], folder: Path
) -> tuple[dict[str, list[Path]], list[Failure]]:
    """The files of the symbols, and the failures of symbols without a file."""
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


def read_files(symbol: str, paths: list[Path], calendar: str = CONTINUOUS) -> Bars:
    """A symbol's bars from its only file, on the grid of a calendar.

    Raises:
        InputError, NotEnoughBarsError, BarsError: as in :func:`read_folder`.
    """
    if len(paths) > 1:
        names = " and ".join(repr(path.name) for path in paths)
        raise InputError(f"{symbol} is in {len(paths)} files, {names}; keep one of them")
    (path,) = paths
    content = _content(path)
    if not content:
        raise NotEnoughBarsError(f"{str(path)!r} is empty; write bars into it or remove it")
    if path.suffix.lower() == ".parquet":
        frame = _with_bar_columns(_parquet(content, path), symbol, path)
    else:
        frame = _numbers(_with_bar_columns(_csv(content, path), symbol, path))
    timeframe = path.stem.rpartition("_")[2]
    return check_bars(
        frame, symbol=symbol, timeframe=timeframe, source=str(path), calendar=calendar
    )


def _content(path: Path) -> bytes:
    """The bytes of a regular file, or of one that a link leads to; a device or pipe never ends."""
    cure = "it must be a file that may be read"
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
            raise InputError(f"{str(path)!r} is {kind}; {cure}")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{str(path)!r} can't be read ({error.strerror}); {cure}") from error


def _parquet(content: bytes, path: Path) -> pd.DataFrame:
    try:
        # One thread: the files are small, and many workers may be reading.
        table = pq.read_table(
            pa.BufferReader(content), use_threads=False, page_checksum_verification=True
        )
        frame: pd.DataFrame = table.to_pandas(use_threads=False)
    except (pa.ArrowException, OSError, *_FORGED) as error:
        raise BarsError(
            f"{str(path)!r} is not a readable Parquet file ({error}); write it anew"
        ) from error
    regular = isinstance(frame.index, pd.RangeIndex | pd.DatetimeIndex)
    return frame if regular else frame.reset_index()


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
    """Columns of text as numbers; cells that are no numbers stay text.

    One word among the numbers makes a whole column text.
    """
    numbers: dict[str, pd.Series] = {}
    for column in COLUMNS:
        cells = frame[column]
        if not pd.api.types.is_numeric_dtype(cells):
            values = pd.to_numeric(cells, errors="coerce").astype(object)
            numbers[column] = values.where(values.notna(), cells.astype(object))
    return frame.assign(**numbers)


def _with_bar_columns(frame: pd.DataFrame, symbol: str, path: Path) -> pd.DataFrame:
    """The frame with the columns of bars, under their names; other columns are left out."""
    base = re.split("[/:]", symbol)[0].lower()
    names: dict[str, str] = {}
    for name, usual in _SPELLINGS.items():
        spellings = usual | ({f"volume_{base}", f"vol_{base}"} if name == "volume" else set())
        matches = [column for column in frame.columns if _normalised(column) in spellings]
        if len(matches) > 1:
            raise BarsError(
                f"{str(path)!r}: the columns {', '.join(map(repr, matches))} could all be "
                f"{name!r}; keep or rename so that one is left"
            )
        names.update(dict.fromkeys(matches, name))
    indexed = isinstance(frame.index, pd.DatetimeIndex)
    first = frame.columns[0]
    if "time" not in names.values() and not indexed and _normalised(first) == "unnamed:_0":
        names[first] = "time"  # an index that was saved without a name
    columns = frame[list(names)].rename(columns=names)
    if missing := [column for column in COLUMNS if column not in columns]:
        raise BarsError(
            f"{str(path)!r}: there is no column for {', '.join(missing)} among "
            f"{', '.join(map(repr, frame.columns))}; name the columns time, {', '.join(COLUMNS)}"
        )
    return columns


def _normalised(column: object) -> str:
    # pandas calls the second of two columns "close" of a CSV file "close.1".
    name = re.sub(r"\.\d+$", "", str(column).strip().lower())
    return re.sub(r"[\s\-]+", "_", name)
