"""Questions to a series table in SQL, with every limit pushed down to partitions and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder

from registry.errors import InputError
from registry.series_schema import MONTH, Kind

__all__ = ["Limits", "month_of", "query", "quoted", "stored_near"]


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _moment(moment: pd.Timestamp) -> str:
    text = moment.tz_convert("UTC").tz_localize(None).isoformat(timespec="microseconds")
    return f"arrow_cast('{text}Z', 'Timestamp(Microsecond, Some(\"UTC\"))')"


def month_of(moment: pd.Timestamp) -> str:
    """The partition of a time."""
    return moment.tz_convert("UTC").strftime("%Y-%m")


def _one_of(column: str, values: Sequence[str]) -> str:
    if len(values) == 1:
        return f"{column} = {quoted(values[0])}"
    return f"{column} IN ({', '.join(quoted(value) for value in values)})"


@dataclass(frozen=True)
class Limits:
    """Which rows: texts by column, and ``[start, end)`` of the kind's time."""

    texts: Mapping[str, Sequence[str]]
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None

    def conditions(self, kind: Kind) -> list[str]:
        """As SQL, the partitions' limits among them."""
        found = [_one_of(column, values) for column, values in self.texts.items()]
        if kind.time is None and (self.start is not None or self.end is not None):
            raise InputError(f"{kind.name} have no time; leave out start and end")
        if self.start is not None:
            found.append(f"{kind.time} >= {_moment(self.start)}")
            found += [f"{MONTH} >= {quoted(month_of(self.start))}"] if kind.monthly else []
        if self.end is not None:
            found.append(f"{kind.time} < {_moment(self.end)}")
            found += [f"{MONTH} <= {quoted(month_of(self.end))}"] if kind.monthly else []
        return found


def query(
    table: DeltaTable, kind: Kind, columns: Sequence[str], condition: str, order: str = ""
) -> pa.Table:
    """The rows that a condition holds for, in the types of the kind's schema."""
    names = ", ".join(f'"{name}"' for name in columns)
    where = f" WHERE {condition}" if condition else ""
    builder = QueryBuilder().register("series", table)
    found = pa.table(builder.execute(f"SELECT {names} FROM series{where}{order}").read_all())
    # Deltalake answers in views of text, which few of pyarrow's functions know.
    wanted = pa.schema([(name, kind.arrow_type(name)) for name in columns])
    return found.cast(wanted)


def stored_near(table: DeltaTable, kind: Kind, rows: pa.Table) -> pa.Table:
    """Key and values of the stored rows that may have the keys of these rows."""
    columns = [*kind.key, *kind.values]
    condition = " OR ".join(_near(kind, rows))
    return query(table, kind, columns, condition)


def _near(kind: Kind, rows: pa.Table) -> Iterator[str]:
    """For each partition that rows go to, the conditions that hold for all of them."""
    for part in partitions_of(kind, rows):
        exchange = part["exchange"][0].as_py()
        limits = [f"exchange = {quoted(exchange)}"]
        if kind.monthly:
            limits.append(f"{MONTH} = {quoted(part[MONTH][0].as_py())}")
        if kind.time is not None:
            extent = pc.min_max(part[kind.time]).as_py()
            limits.append(f"{kind.time} >= {_moment(pd.Timestamp(extent['min']))}")
            limits.append(f"{kind.time} <= {_moment(pd.Timestamp(extent['max']))}")
        symbols = pc.unique(part["symbol"]).to_pylist()
        if len(symbols) <= 20:
            limits.append(_one_of("symbol", symbols))
        yield f"({' AND '.join(limits)})"


def partitions_of(kind: Kind, rows: pa.Table) -> Iterator[pa.Table]:
    """The rows by partition."""
    found = rows.group_by(kind.partitions).aggregate([])
    for number in range(len(found)):
        here = None
        for name in kind.partitions:
            same = pc.equal(rows[name], found[name][number])
            here = same if here is None else pc.and_(here, same)
        yield rows.filter(here)
