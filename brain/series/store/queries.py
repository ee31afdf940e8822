"""Queries of a series table in SQL, with every limit pushed down to partitions and files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder

from brain.errors import InputError
from brain.naming import spot_exchange
from brain.series.store.schema import MONTH, Kind

__all__ = [
    "FileGoneError",
    "RowFilter",
    "extents",
    "partitions_of",
    "query",
    "quoted",
    "rows_near",
    "run_sql",
    "text_filter",
    "to_timestamp",
]

# Of what object stores and file systems say alike.
_GONE = re.compile(r"Object at location .* not found", re.DOTALL)

# More symbols than these are cheaper to compare than to look for.
_FEW_SYMBOLS = 20


class FileGoneError(OSError):
    """A file of the version that is read was deleted, since rows were purged; read the next one."""


@dataclass(frozen=True)
class RowFilter:
    """Which rows a query reads.

    Attributes:
        texts: values by text column; other rows are left out.
        start: the first time; None: the earliest there is.
        end: of the range, exclusive; None: without an end.
    """

    texts: Mapping[str, Sequence[str]]
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None

    def conditions(self, kind: Kind) -> list[str]:
        """The conditions in SQL, with those of the partitions.

        Raises:
            InputError: the kind has no time or no timeframe, and one is given.
        """
        for column in self.texts:
            if column not in kind.key:
                raise InputError(f"{kind.name} have no {column}; leave it out")
        if kind.time is None and (self.start is not None or self.end is not None):
            raise InputError(f"{kind.name} have no time; leave out start and end")
        conditions = [_one_of(column, values) for column, values in self.texts.items()]
        if self.start is not None:
            conditions.append(f"{kind.time} >= {_sql_time(self.start)}")
            if kind.monthly:
                conditions.append(f"{MONTH} >= {quoted(_month_of(self.start))}")
        if self.end is not None:
            conditions.append(f"{kind.time} < {_sql_time(self.end)}")
            if kind.monthly:
                conditions.append(f"{MONTH} <= {quoted(_month_of(self.end))}")
        return conditions


def text_filter(kind: Kind, /, **columns: str | Sequence[str] | None) -> dict[str, list[str]]:
    """Values by text column; None and an empty timeframe are no limit.

    ``BTC/USDT`` means the perpetual ``BTC/USDT:USDT`` where an exchange lists the symbols, and the
    pair where spot markets alone are named.
    """
    texts: dict[str, list[str]] = {}
    exchange = columns.get("exchange")
    exchanges = [exchange] if isinstance(exchange, str) else list(exchange or ())
    spot = bool(exchanges) and all(spot_exchange(name) for name in exchanges)
    for name, value in columns.items():
        if value is None or (name == "timeframe" and value == ""):
            continue
        values = [value] if isinstance(value, str) else list(value)
        perpetuals = name == "symbol" and kind.listed and not spot
        texts[name] = [_with_settle(symbol) for symbol in values] if perpetuals else values
    return texts


def _with_settle(symbol: str) -> str:
    base, _, quote = symbol.partition("/")
    return f"{symbol}:{quote}" if base and quote and ":" not in quote else symbol


def to_timestamp(value: object, name: str) -> pd.Timestamp | None:
    """A time in UTC, which one without a zone is taken to be in; None stays None.

    Args:
        value: whatever pandas takes as a time.
        name: of the argument, for the error.

    Raises:
        InputError: it is none.
    """
    if value is None:
        return None
    cure = f"{name}={value!r} is not a time; give one as 2026-11-23T06:00Z"
    try:
        time = pd.Timestamp(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(cure) from None
    if pd.isna(time):
        raise InputError(cure)
    return time.tz_localize("UTC") if time.tz is None else time.tz_convert("UTC")


def run_sql(delta: DeltaTable, sql: str) -> pa.Table:
    """The rows of a query in SQL, in which the table is called ``series``.

    Raises:
        FileGoneError: a file of the table is not there any more.
        OSError: files of the table can't be read.
    """
    reader = QueryBuilder().register("series", delta).execute(sql)
    try:
        return pa.table(reader.read_all())
    except Exception as error:
        if type(error) is not Exception:
            raise
        # Errors while rows arrive are bare Exceptions.
        gone = FileGoneError if _GONE.search(str(error)) else OSError
        raise gone(str(error)) from error


def query(
    delta: DeltaTable, kind: Kind, columns: Sequence[str], condition: str, order: str = ""
) -> pa.Table:
    """The rows for which a condition holds, in the types of the kind's schema."""
    names = ", ".join(f'"{name}"' for name in columns)
    where = f" WHERE {condition}" if condition else ""
    rows = run_sql(delta, f"SELECT {names} FROM series{where}{order}")
    # Text comes as string views, which few of pyarrow's functions take.
    return rows.cast(pa.schema([(name, kind.arrow_type(name)) for name in columns]))


def extents(delta: DeltaTable, kind: Kind, condition: str) -> pa.Table:
    """The series for which a condition holds: key without the time, then first, last and rows."""
    names = ", ".join(f'"{name}"' for name in kind.key if name != kind.time)
    where = f" WHERE {condition}" if condition else ""
    rows = run_sql(
        delta,
        f'SELECT {names}, min("{kind.time}") AS first, max("{kind.time}") AS last, '
        f"count(*) AS rows FROM series{where} GROUP BY {names} ORDER BY {names}",
    )
    types = {**dict.fromkeys(("first", "last"), pa.timestamp("us", tz="UTC")), "rows": pa.int64()}
    return rows.cast(
        pa.schema([(name, types.get(name, pa.string())) for name in rows.column_names])
    )


def rows_near(delta: DeltaTable, kind: Kind, rows: pa.Table) -> pa.Table:
    """Key and values of the table's rows that may have the keys of other rows."""
    condition = " OR ".join(_near(kind, part) for part in partitions_of(kind, rows))
    return query(delta, kind, [*kind.key, *kind.values], condition)


def _near(kind: Kind, part: pa.Table) -> str:
    """A condition that holds for every row with the key of one of a partition's rows."""
    limits = [_one_of(column, [part[column][0].as_py()]) for column in kind.partitions]
    if kind.time is not None:
        extent = pc.min_max(part[kind.time]).as_py()
        limits.append(f"{kind.time} >= {_sql_time(pd.Timestamp(extent['min']))}")
        limits.append(f"{kind.time} <= {_sql_time(pd.Timestamp(extent['max']))}")
    symbols = pc.unique(part["symbol"]).to_pylist() if "symbol" in kind.key else []
    if 0 < len(symbols) <= _FEW_SYMBOLS:
        limits.append(_one_of("symbol", symbols))
    return f"({' AND '.join(limits)})"


def partitions_of(kind: Kind, rows: pa.Table) -> Iterator[pa.Table]:
    """The rows by partition; nothing for no rows."""
    partitions = rows.select(kind.partitions).group_by(kind.partitions).aggregate([])
    for values in partitions.to_pylist():
        masks = (pc.equal(rows[name], value) for name, value in values.items())
        yield rows.filter(reduce(pc.and_, masks))


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _one_of(column: str, values: Sequence[str]) -> str:
    if not values:
        return "false"
    if len(values) == 1:
        return f"{column} = {quoted(values[0])}"
    return f"{column} IN ({', '.join(quoted(value) for value in values)})"


def _sql_time(time: pd.Timestamp) -> str:
    text = time.tz_convert("UTC").tz_localize(None).isoformat(timespec="microseconds")
    return f"arrow_cast('{text}Z', 'Timestamp(Microsecond, Some(\"UTC\"))')"


def _month_of(time: pd.Timestamp) -> str:
    return time.strftime("%Y-%m")
