"""Rows for the store: checked, cast to the table's types, and compared with the stored ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from brain.errors import InputError, did_you_mean
from brain.naming import spot_exchange
from brain.series.store.schema import COLLECTED, MONTH, Kind

__all__ = ["Difference", "compare", "rows_with", "to_rows"]

_MICROSECONDS = pa.timestamp("us", tz="UTC")
_CURES = {
    "text": "give text",
    "number": "give numbers",
    "count": "give whole numbers",
    "time": "give times with a zone, as pandas' datetime64[us, UTC]",
}


def to_rows(kind: Kind, frame: pd.DataFrame, now: pd.Timestamp) -> pa.Table:
    """A frame in the table's columns and types, without repeated keys, sorted by key.

    Args:
        frame: the kind's columns in any order; of several rows with one key the last counts.
        now: when the rows are stored.

    Raises:
        InputError: a column is unknown, missing or of another type, or a key or any value that
            must be known is missing.
    """
    _check_names(kind, frame)
    arrays = {name: _column(kind, frame, name) for name in kind.inputs}
    table = pa.table(arrays)
    if kind.listed:
        _check_symbols(table)
    table = _last_of_each_key(kind, table)
    if kind.stamped:
        stamp = pa.scalar(now.to_pydatetime(), _MICROSECONDS)
        table = table.append_column(COLLECTED, pa.repeat(stamp, len(table)))
    if kind.monthly:
        month = pc.strftime(table[kind.time], format="%Y-%m").cast(pa.string())
        table = table.append_column(MONTH, month)
    return table


def rows_with(
    kind: Kind, frame: pd.DataFrame, texts: Mapping[str, Sequence[str]], now: pd.Timestamp
) -> pa.Table:
    """A frame in the table's columns and types, if all its rows have these texts.

    Args:
        kind, frame, now: as for :func:`brain.series.store.rows.to_rows`.
        texts: values by text column.

    Raises:
        InputError: a row has others, or as for :func:`brain.series.store.rows.to_rows`.
    """
    rows = to_rows(kind, frame, now)
    for column, values in texts.items():
        others = set(rows[column].to_pylist()) - set(values)
        if others:
            raise InputError(
                f"the new {kind.name} hold {column} {min(others)!r}, whose rows are not to be "
                "replaced; name it too or leave its rows out"
            )
    return rows


def _check_names(kind: Kind, frame: pd.DataFrame) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"{kind.name} come as a pandas DataFrame, not as {type(frame).__name__}")
    if not frame.columns.is_unique:
        raise InputError(f"a column of {kind.name} is given twice; give each once")
    for name in frame.columns:
        if name not in kind.columns:  # `collected` may come along, and is set anew
            raise InputError(
                f"{name!r} is no column of {kind.name}; {did_you_mean(str(name), kind.inputs)}"
            )
    for name in kind.inputs:
        if name not in frame.columns and name not in kind.nullable:
            raise InputError(f"{kind.name} lack the column {name!r}; give it")


def _column(kind: Kind, frame: pd.DataFrame, name: str) -> pa.Array:
    arrow_type, dtype = kind.arrow_type(name), kind.inputs[name]
    if name not in frame.columns:
        return pa.nulls(len(frame), arrow_type)
    column = frame[name]
    if not (_fits(column, dtype) or (column.isna().all() and name in kind.nullable)):
        raise InputError(
            f"the column {name!r} of {kind.name} is of type {column.dtype}; {_CURES[dtype]}"
        )
    if column.isna().all():
        array = pa.nulls(len(frame), arrow_type)
    else:
        if dtype == "time":
            column = column.dt.tz_convert("UTC").dt.as_unit("us")
        array = pa.Array.from_pandas(column, type=arrow_type)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    incomplete = array.null_count and name not in kind.nullable
    if incomplete and (name in kind.key or dtype != "number"):
        row = pc.index(array.is_null(), True).as_py()
        raise InputError(
            f"row {row} of {kind.name} has no {name!r}; leave the row out or find its value"
        )
    return array


def _fits(column: pd.Series, dtype: str) -> bool:
    types = pd.api.types
    if len(column) == 0:
        return True
    if dtype == "time":
        return isinstance(column.dtype, pd.DatetimeTZDtype)
    if dtype == "text":
        values = column.dropna() if column.dtype == object else column
        return types.is_string_dtype(values)
    if types.is_bool_dtype(column) or not types.is_numeric_dtype(column):
        return False
    return dtype == "number" or types.is_integer_dtype(column)


def _check_symbols(table: pa.Table) -> None:
    names = table.select(["exchange", "symbol"]).group_by(["exchange", "symbol"]).aggregate([])
    for row in names.to_pylist():
        symbol, spot = row["symbol"], spot_exchange(row["exchange"])
        if spot and ":" in symbol:
            raise InputError(
                f"{symbol!r} settles, and {row['exchange']} is a spot market; write {spot} as the "
                "perpetual's exchange"
            )
        if not spot and ":" not in symbol:
            raise InputError(
                f"{symbol!r} does not say in what it settles; write a perpetual's symbol as "
                "BASE/QUOTE:QUOTE, for example BTC/USDT:USDT"
            )


def _last_of_each_key(kind: Kind, table: pa.Table) -> pa.Table:
    """Sorted by key; the last of rows with the same key."""
    order = pa.array(range(len(table)), pa.int64())
    numbered = table.select(list(kind.key)).append_column("row", order)
    last = numbered.group_by(list(kind.key)).aggregate([("row", "max")])
    last = last.sort_by([(name, "ascending") for name in kind.key])
    return table.take(last["row_max"]).combine_chunks()


@dataclass(frozen=True)
class Difference:
    """How rows differ from those in the store.

    Attributes:
        new: rows whose key is not in the store.
        changed: rows whose key is there with other values.
    """

    new: pa.Table
    changed: pa.Table

    @property
    def rows(self) -> pa.Table:
        """The rows that a commit has to write."""
        return pa.concat_tables([self.new, self.changed])


def compare(kind: Kind, rows: pa.Table, existing: pa.Table) -> Difference:
    """The rows that are new and those that changed; the others are in the store already.

    Args:
        kind: of the rows.
        rows: as of :func:`brain.series.store.rows.to_rows`.
        existing: key and values of the store's rows that may have the same keys.
    """
    if len(existing) == 0:
        return Difference(rows, rows.slice(0, 0))
    position = pa.array(range(len(rows)), pa.int64())
    numbered = rows.select([*kind.key, *kind.values]).append_column("row", position)
    marked = existing.append_column("exists", pa.repeat(pa.scalar(True), len(existing)))
    joined = numbered.join(
        marked, keys=list(kind.key), join_type="left outer", right_suffix=" existing"
    )
    exists = joined["exists"].is_valid()
    same = exists
    for name in kind.values:
        same = pc.and_(same, _equal(joined[name], joined[f"{name} existing"]))
    new = joined["row"].filter(pc.invert(exists))
    changed = joined["row"].filter(pc.and_not(exists, same))
    return Difference(_take(rows, new), _take(rows, changed))


def _take(rows: pa.Table, positions: pa.ChunkedArray) -> pa.Table:
    return rows.take(positions.take(pc.sort_indices(positions)))


def _equal(left: pa.ChunkedArray, right: pa.ChunkedArray) -> pa.ChunkedArray:
    both_null = pc.and_(left.is_null(), right.is_null())
    return pc.or_(both_null, pc.fill_null(pc.equal(left, right), False))
