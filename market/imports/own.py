"""Our own exports: Parquet and CSV with the columns of the series store, a series a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from brain.errors import InputError, SeriesFileError
from brain.naming import listed_symbol
from brain.series.bars import TIMEFRAMES
from brain.series.store.schema import KINDS, Kind
from brain.series.times import when
from brain.text import count
from market.collection.gaps import SeriesKey
from market.collection.grid import Times, as_stamp
from market.collection.plan import HISTORIES
from market.exchanges.catalogue import check_exchange
from market.imports.archive import read_bytes
from market.imports.rows import Rows, check_grid, over, sound_rows
from market.imports.series_file import Place, SeriesFile
from market.imports.tables import microseconds, numbers, read_table, schema_of

__all__ = ["recognise"]

_CURE = "export it again"
_HEAD = 10_000
_TYPES = {"text": pa.string(), "number": pa.float64(), "time": pa.timestamp("us", tz="UTC")}


def recognise(place: Place) -> SeriesFile | None:
    """A file's series by its columns and its first row; None if it is no export of ours.

    Raises:
        SeriesFileError: it is one, and its series can't be told.
    """
    if place.path.suffix == ".parquet":
        kind = _kind(schema_of(place.path))
        first = None if kind is None else _first_of_parquet(place.path, kind)
    elif place.path.suffix == ".csv":
        kind, first = _head_of_csv(place.path)
    else:
        return None
    if kind is None:
        return None
    if first is None:
        raise SeriesFileError("it is an export without rows; leave it out")
    exchange, symbol, timeframe = (
        str(first.get(name, "")) for name in ("exchange", "symbol", "timeframe")
    )
    try:
        check_exchange(exchange)
        listed = listed_symbol(symbol, exchange)
    except InputError as error:
        raise SeriesFileError(f"{error}; {_CURE}") from error
    if listed != symbol or ("timeframe" in kind.key and timeframe not in TIMEFRAMES):
        raise SeriesFileError(
            f"its first row is of {exchange!r}, {symbol!r}, {timeframe!r}, which is no series; "
            f"{_CURE}"
        )
    return SeriesFile(place.path, place.name, (exchange, symbol, kind.name, timeframe), _read)


def _kind(names: list[str]) -> Kind | None:
    """The kind whose columns these are, in any order."""
    for name in HISTORIES:
        if set(names) - {"collected"} == set(KINDS[name].inputs):
            return KINDS[name]
    return None


def _first_of_parquet(path: Path, kind: Kind) -> Mapping[str, object] | None:
    texts = [name for name, dtype in kind.inputs.items() if dtype == "text"]
    try:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(1, columns=texts), None)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SeriesFileError(f"it can't be read ({error}); {_CURE}") from error
    return None if batch is None or not len(batch) else dict(batch.to_pylist()[0])


def _head_of_csv(path: Path) -> tuple[Kind | None, Mapping[str, object] | None]:
    try:
        with path.open("rb") as file:
            lines = file.read(_HEAD).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise SeriesFileError(f"it can't be read ({error.strerror}); make it readable") from error
    rows = [[cell.strip('"') for cell in line.split(",")] for line in lines[:2]]
    kind = _kind(rows[0]) if rows else None
    first = dict(zip(rows[0], rows[1], strict=False)) if kind and len(rows) > 1 else None
    return kind, first


def _read(path: Path, key: SeriesKey, now: pd.Timestamp) -> Rows:
    kind = KINDS[key[2]]
    content = read_bytes(path)
    if path.suffix == ".parquet":
        table = read_table(path, content, list(kind.inputs))
    else:
        table = _read_csv(content, kind)
    texts = dict(zip(("exchange", "symbol", "kind", "timeframe"), key, strict=True))
    for name in (name for name, dtype in kind.inputs.items() if dtype == "text"):
        others = set(table[name].unique().to_pylist()) - {texts[name]}
        if others:
            raise SeriesFileError(
                f"it holds rows of {name} {min(map(str, others))!r} beside those of "
                f"{texts[name]!r}; {_CURE}"
            )
    times = microseconds(table["time"])
    names = [name for name, dtype in kind.values.items() if dtype == "number"]
    values = {name: numbers(table, name) for name in names}
    step = 0
    if key[3]:
        step = TIMEFRAMES[key[3]] // pd.Timedelta(microseconds=1)
        check_grid(times, step)
    keep, notes = over(times, step, now)
    values = {name: column[keep] for name, column in values.items()}
    public = microseconds(table["available"])[keep]
    _check_public(public, times[keep] + step, now)
    rows = sound_rows(kind.name, times[keep], values, available=public, notes=notes)
    return rows.with_hours() if kind.name == "funding" else rows


def _check_public(public: Times, ends: Times, now: pd.Timestamp) -> None:
    """Check that no row was public before its period was over, or is not so yet.

    Raises:
        SeriesFileError: one was.
    """
    wrong = (public < ends) | (public > now.value // 1000)
    if wrong.any():
        raise SeriesFileError(
            f"{count(wrong.sum(), 'row')} public before its period is over, or after now, first of "
            f"the period that ends at {when(as_stamp(ends[int(wrong.argmax())]))}; {_CURE}"
        )


def _read_csv(content: bytes, kind: Kind) -> pa.Table:
    types = {name: _TYPES[dtype] for name, dtype in kind.inputs.items()}
    try:
        return pc.read_csv(
            pa.BufferReader(content),
            convert_options=pc.ConvertOptions(column_types=types, include_columns=list(types)),
        )
    except (pa.ArrowException, ValueError) as error:
        text = " ".join(str(error).split())
        raise SeriesFileError(f"a line can't be read ({text[:200]}); {_CURE}") from error
