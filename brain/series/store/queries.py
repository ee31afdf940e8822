"""Questions to a series table in SQL, with every limit pushed down to partitions and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder

from brain.errors import InputError
from brain.series.store.schema import MONTH, Kind

__all__ = [
    "Limits",
    "ask",
    "partitions_of",
    "query",
    "quoted",
    "stored_near",
    "to_moment",
    "to_texts",
]

# More symbols than these are cheaper to compare than to look for.
_FEW_SYMBOLS = 20


@dataclass(frozen=True)
class Limits:
    """Which rows: texts by column, and ``[start, end)`` of the kind's time."""

    texts: Mapping[str, Sequence[str]]
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None

    def conditions(self, kind: Kind) -> list[str]:
        """As SQL, the partitions' limits among them.

        Raises:
            InputError: the kind has no time or no timeframe, and one is given.
        """
        for column in self.texts:
            if column not in kind.key:
                raise InputError(f"{kind.name} have no {column}; leave it out")
        if kind.time is None and (self.start is not None or self.end is not None):
            raise InputError(f"{kind.name} have no time; leave out start and end")
        found = [_one_of(column, values) for column, values in self.texts.items()]
        if self.start is not None:
            found.append(f"{kind.time} >= {_moment(self.start)}")
            found += [f"{MONTH} >= {quoted(_month_of(self.start))}"] if kind.monthly else []
        if self.end is not None:
            found.append(f"{kind.time} < {_moment(self.end)}")
            found += [f"{MONTH} <= {quoted(_month_of(self.end))}"] if kind.monthly else []
        return found


def to_texts(**given: str | Sequence[str] | None) -> dict[str, list[str]]:
    """What is asked for, by column; what is None, or a timeframe that is empty, is not.

    ``BTC/USDT`` means the perpetual ``BTC/USDT:USDT``.
    """
    found: dict[str, list[str]] = {}
    for name, value in given.items():
        if value is None or (name == "timeframe" and value == ""):
            continue
        values = [value] if isinstance(value, str) else list(value)
        found[name] = [_meant(text) for text in values] if name == "symbol" else values
    return found


def _meant(symbol: str) -> str:
    base, _, quote = symbol.partition("/")
    return f"{symbol}:{quote}" if base and quote and ":" not in quote else symbol


def to_moment(value: object, name: str) -> pd.Timestamp | None:
    """A time in UTC, which it is taken to be in if it has no zone.

    Raises:
        InputError: it is none.
    """
    if value is None:
        return None
    cure = f"{name}={value!r} is not a time; give one as 2026-11-23T06:00Z"
    try:
        moment = pd.Timestamp(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(cure) from None
    if pd.isna(moment):
        raise InputError(cure)
    return moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")


def ask(table: DeltaTable, question: str) -> pa.Table:
    """The answer to a question in SQL to the table ``series``.

    Raises:
        OSError: files of the table can't be read.
    """
    answer = QueryBuilder().register("series", table).execute(question)
    try:
        return pa.table(answer.read_all())
    except Exception as error:
        if type(error) is not Exception:
            raise
        # What goes wrong while rows arrive has no class of its own.
        raise OSError(str(error)) from error


def query(
    table: DeltaTable, kind: Kind, columns: Sequence[str], condition: str, order: str = ""
) -> pa.Table:
    """The rows that a condition holds for, in the types of the kind's schema."""
    names = ", ".join(f'"{name}"' for name in columns)
    where = f" WHERE {condition}" if condition else ""
    found = ask(table, f"SELECT {names} FROM series{where}{order}")
    # Answers come in views of text, which few of pyarrow's functions know.
    return found.cast(pa.schema([(name, kind.arrow_type(name)) for name in columns]))


def stored_near(table: DeltaTable, kind: Kind, rows: pa.Table) -> pa.Table:
    """Key and values of the stored rows that may have the keys of these rows."""
    condition = " OR ".join(_near(kind, part) for part in partitions_of(kind, rows))
    return query(table, kind, [*kind.key, *kind.values], condition)


def _near(kind: Kind, part: pa.Table) -> str:
    """A condition that holds for everything with the keys of one partition's rows."""
    limits = [_one_of(column, [part[column][0].as_py()]) for column in kind.partitions]
    if kind.time is not None:
        extent = pc.min_max(part[kind.time]).as_py()
        limits.append(f"{kind.time} >= {_moment(pd.Timestamp(extent['min']))}")
        limits.append(f"{kind.time} <= {_moment(pd.Timestamp(extent['max']))}")
    symbols = pc.unique(part["symbol"]).to_pylist()
    if len(symbols) <= _FEW_SYMBOLS:
        limits.append(_one_of("symbol", symbols))
    return f"({' AND '.join(limits)})"


def partitions_of(kind: Kind, rows: pa.Table) -> Iterator[pa.Table]:
    """The rows by partition; nothing for no rows."""
    found = rows.select(kind.partitions).group_by(kind.partitions).aggregate([]).to_pylist()
    for values in found:
        same = (pc.equal(rows[name], value) for name, value in values.items())
        yield rows.filter(reduce(pc.and_, same))


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def _one_of(column: str, values: Sequence[str]) -> str:
    if not values:
        return "false"
    if len(values) == 1:
        return f"{column} = {quoted(values[0])}"
    return f"{column} IN ({', '.join(quoted(value) for value in values)})"


def _moment(moment: pd.Timestamp) -> str:
    text = moment.tz_convert("UTC").tz_localize(None).isoformat(timespec="microseconds")
    return f"arrow_cast('{text}Z', 'Timestamp(Microsecond, Some(\"UTC\"))')"


def _month_of(moment: pd.Timestamp) -> str:
    return moment.strftime("%Y-%m")
