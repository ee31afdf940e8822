"""Tables of files: Parquet, Feather, and what they are checked for."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq

from brain.errors import SeriesFileError
from brain.text import count
from market.collection.grid import Times

__all__ = ["microseconds", "numbers", "read_table", "schema_of", "table_columns"]

_MICROSECONDS = pa.timestamp("us")
_CURE = "fetch or write the file again"


def read_table(path: Path, content: bytes, columns: Sequence[str]) -> pa.Table:
    """The columns of a Parquet or Feather file.

    Args:
        path: of the file, whose ending tells which.
        content: its bytes.
        columns: which it must have.

    Raises:
        SeriesFileError: it is broken, or lacks one of them.
    """
    with _faults():
        if path.suffix == ".parquet":
            table = pq.ParquetFile(io.BytesIO(content)).read()
        else:
            table = pf.read_table(pa.BufferReader(content), memory_map=False)
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise SeriesFileError(
            f"it has no column {missing[0]!r} among {', '.join(table.column_names)[:200]}; {_CURE}"
        )
    return table.select(list(columns))


def table_columns(path: Path, content: bytes) -> list[str]:
    """The names of the columns; arguments and errors as of :func:`read_table`."""
    with _faults():
        if path.suffix == ".parquet":
            return list(pq.read_schema(io.BytesIO(content)).names)
        return list(pa.ipc.open_file(pa.BufferReader(content)).schema.names)


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        text = " ".join(str(error).split())
        raise SeriesFileError(f"it can't be read ({text[:200]}); {_CURE}") from error


def schema_of(path: Path) -> list[str]:
    """The names of a Parquet file's columns.

    Raises:
        SeriesFileError: it is broken.
    """
    with _faults():
        return list(pq.read_schema(path).names)


def microseconds(column: pa.ChunkedArray) -> Times:
    """Times of a table as microseconds since 1970, UTC.

    Raises:
        SeriesFileError: they are none, one is missing, or is finer than a microsecond.
    """
    if not pa.types.is_timestamp(column.type):
        raise SeriesFileError(f"its times are {column.type} and no times; {_CURE}")
    if column.null_count:
        raise SeriesFileError(f"{count(column.null_count, 'row')} without a time; {_CURE}")
    try:
        times = column.cast(pa.timestamp(column.type.unit)).cast(_MICROSECONDS)
    except pa.ArrowInvalid as error:
        raise SeriesFileError(f"its times are finer than a microsecond; {_CURE}") from error
    return times.cast(pa.int64()).to_numpy().copy()


def numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A column of numbers as float64; missing ones are NaN.

    Raises:
        SeriesFileError: they are none.
    """
    kind = table[name].type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise SeriesFileError(f"its column {name!r} is {kind} and no numbers; {_CURE}")
    return table[name].cast(pa.float64()).to_numpy()
