"""Bars from a folder of files.

The names of files are told in :mod:`brain.series.file_names`, what they may hold in
``docs/bars.md``: a time and open, high, low, close, volume in any usual form that has one meaning.
Anything else is refused, file by file. Times and values are as for
:func:`brain.series.bars.check_bars`: times without a zone are UTC.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from brain.brief import Brief
from brain.calendars import CONTINUOUS, calendar_of
from brain.errors import BrainError, InputError, UnknownSymbolError, did_you_mean
from brain.folders import absolute, start_hint
from brain.naming import parse_symbol
from brain.series.bars import Bars, check_bars, parse_timeframe
from brain.series.columns import bar_columns
from brain.series.file_content import file_table
from brain.series.file_names import is_quiet, means_bars, parse_file_name
from brain.work import Failure, errors_of

__all__ = [
    "BarSet",
    "folder_files",
    "read_files",
    "read_folder",
    "sample_folder",
    "unread_files",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class BarSet(Brief):
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
    columns: Sequence[str] = (),
    *,
    timeframe: str | None = None,
    now: pd.Timestamp | None = None,
) -> BarSet:
    """Read the bars of a folder; one broken file never stops the others.

    Args:
        folder: of the files; folders in it are ignored.
        symbols: to read, ``BTC/USD`` or ``BTC-USD``; all symbols of the folder if None. With
            symbols, files of other symbols and files with other names are ignored.
        calendars: of the markets by symbol, see :func:`brain.calendars.calendar_of`.
        columns: names of the own columns, see :mod:`brain.columns`.
        timeframe: of the files to read; others are ignored. If None, a symbol may have one file.
        now: the moment, UTC, at which the bars are read; the clock's if None.

    Returns:
        The series, and for each file or symbol that can't be read the error:
        InputError (the name is not of the form above, the file can't be opened, or two files hold
        the same symbol, and either the same timeframe or no timeframe is named),
        NotEnoughBarsError (the file is empty), BarsError (its content is broken) or
        UnknownSymbolError (one of ``symbols``, and no file holds it in that timeframe).

    Raises:
        InputError: the folder does not exist, is no folder, can't be listed, holds no file of bars
            or none of the timeframe; there is no such timeframe; or ``symbols`` is a single text,
            or empty.
    """
    files, failures = folder_files(folder, symbols, timeframe=timeframe)
    bars: dict[str, Bars] = {}
    for symbol, paths in files.items():
        try:
            calendar = calendar_of(calendars or {}, symbol)
            bars[symbol] = read_files(symbol, paths, calendar, columns, now=now)
        except BrainError as error:
            failures.append(Failure(symbol, error, symbol=symbol))
    failures.sort(key=lambda failure: failure.what)
    return BarSet(bars, tuple(failures))


def folder_files(
    folder: str | Path, symbols: Iterable[str] | None = None, *, timeframe: str | None = None
) -> tuple[dict[str, list[Path]], list[Failure]]:
    """The files of each symbol of a folder, sorted; nothing is read.

    Arguments, failures and errors are those of :func:`read_folder`, as far as names tell them.
    """
    folder = Path(folder)
    files, failures = _by_symbol(_paths(folder))
    if symbols is not None:
        files, failures = _selection(symbols, files, folder)
    if timeframe is not None:
        files, others = _of_timeframe(timeframe, files, folder)
        failures += others if symbols is not None else []
    return dict(sorted(files.items())), failures


def unread_files(folder: str | Path, files: dict[str, list[Path]]) -> list[str]:
    """The names of the files of a folder that may be bars and are not read, sorted.

    Args:
        folder: of the files.
        files: of each symbol, as :func:`folder_files` tells them: other timeframes of these symbols
            are not read. Files of other symbols are left out, and what is clearly no file of bars.
    """
    read = {path.name for paths in files.values() for path in paths}
    names = [path.name for path in _listed(Path(folder)) if path.is_file()]
    others = [name for name in names if name not in read and not is_quiet(name)]
    return [name for name in others if not means_bars(name) or _symbol(name) in files]


def _symbol(name: str) -> str | None:
    try:
        return parse_file_name(name).symbol
    except InputError:
        return None


def _listed(folder: Path) -> list[Path]:
    if not folder.exists():
        raise InputError(
            f"there is no folder {str(absolute(folder))!r}; give one that holds files of bars"
            f"{start_hint(absolute(folder))}"
        )
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is not a folder; give the folder that holds the file")
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"the folder {str(folder)!r} can't be listed ({error.strerror}); allow reading it"
        ) from error


def _paths(folder: Path) -> list[Path]:
    listed = _listed(folder)
    paths = [path for path in listed if means_bars(path.name)]
    if not paths:
        others = [path.name for path in listed if path.is_file() and not is_quiet(path.name)]
        only = f", only {', '.join(others[:10])}" if others else ""
        raise InputError(
            f"the folder {str(folder)!r} holds no Parquet or CSV file{only}; "
            "put files there that are named as BTC-USD_1h.parquet or BTC-USD_1h.csv"
        )
    return paths


def _by_symbol(paths: list[Path]) -> tuple[dict[str, list[Path]], list[Failure]]:
    """The files of each symbol, and the failures of files without a symbol in their names."""
    files: dict[str, list[Path]] = {}
    failures: list[Failure] = []
    for path in paths:
        try:
            files.setdefault(parse_file_name(path.name).symbol, []).append(path)
        except InputError as error:
            failures.append(Failure(path.name, error))
    return files, failures


def _of_timeframe(
    timeframe: str, files: dict[str, list[Path]], folder: Path
) -> tuple[dict[str, list[Path]], list[Failure]]:
    """The files of one timeframe, and the failures of symbols without any."""
    parse_timeframe(timeframe)
    selection: dict[str, list[Path]] = {}
    failures: list[Failure] = []
    for symbol, paths in files.items():
        if of_timeframe := [path for path in paths if _timeframe(path) == timeframe]:
            selection[symbol] = of_timeframe
            continue
        others = ", ".join(sorted({_timeframe(path) for path in paths}))
        error = UnknownSymbolError(
            f"no file in {str(folder)!r} holds {timeframe} bars of {symbol}; there are {others}"
        )
        failures.append(Failure(symbol, error, symbol=symbol))
    if failures and not selection:
        raise InputError(errors_of(failures))
    if failures:
        left_out = ", ".join(failure.subject for failure in failures)
        logger.warning("%s: no %s bars of %s", folder, timeframe, left_out)
    return selection, failures


def _timeframe(path: Path) -> str:
    """The timeframe in a file's name."""
    return parse_file_name(path.name).timeframe


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


def read_files(
    symbol: str,
    paths: list[Path],
    calendar: str = CONTINUOUS,
    columns: Sequence[str] = (),
    *,
    now: pd.Timestamp | None = None,
) -> Bars:
    """A symbol's bars from its only file, on the grid of a calendar, with these own columns.

    Raises:
        InputError, NotEnoughBarsError, BarsError: as in :func:`read_folder`.
    """
    if len(paths) > 1:
        names = " and ".join(repr(path.name) for path in paths)
        timeframes = sorted({_timeframe(path) for path in paths})
        cure = f"name the timeframe, as in timeframe={timeframes[0]}"
        cure = cure if len(timeframes) == len(paths) else "keep one of them"
        raise InputError(f"{symbol} is in {len(paths)} files, {names}; {cure}")
    (path,) = paths
    file = parse_file_name(path.name)
    repairs: list[str] = []
    table = file_table(path, file.ending)
    step = parse_timeframe(file.timeframe)
    frame = bar_columns(table, symbol, repr(str(path)), step, repairs, columns)
    return check_bars(
        frame,
        symbol=symbol,
        timeframe=file.timeframe,
        source=str(path),
        calendar=calendar,
        repairs=repairs,
        columns=columns,
        now=now,
    )
