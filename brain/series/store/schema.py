"""The kinds of series: their columns, keys and partitions, and migrations of their layouts.

One table a kind. Times are UTC in microseconds; prices are in the quote currency, ``volume``,
``base`` and ``open_interest`` in base units, ``rate`` and ``funding_rate`` a fraction per interval.
Market series are of an exchange, and sentiment is of a publisher: ids, times and scores of posts,
and nothing that anybody has written. Shadows, evidence and contests are of models: rows that are
only ever appended, see :meth:`brain.series.store.store.SeriesStore.append`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from brain.errors import InputError, did_you_mean

__all__ = ["COLLECTED", "KINDS", "MONTH", "Kind", "Migration", "parse_kind"]

#: The column in which the store notes when it stored a row.
COLLECTED = "collected"
#: The partition column that readers never see: the month of a row's time, ``2026-11``.
MONTH = "month"

#: Makes the rows of one version of a layout from those of the version before.
Migration = Callable[[pa.Table], pa.Table]

# By a column's dtype: its type in the table, and in pandas.
_DTYPES: dict[str, tuple[pa.DataType, str]] = {
    "text": (pa.string(), "str"),
    "number": (pa.float64(), "float64"),
    "count": (pa.int64(), "int64"),
    "time": (pa.timestamp("us", tz="UTC"), "datetime64[us, UTC]"),
}


@dataclass(frozen=True)
class Kind:
    """The layout of one kind of series.

    Attributes:
        name: of the kind and its table.
        key: the columns that name a row, in the order in which rows are sorted.
        values: the dtype of the other columns: ``text``, ``number``, ``count`` or ``time``.
        nullable: values that may be missing, as a whole column or row by row.
        time: the key's column that holds a time, by which queries are limited; None: there is none.
        partition: the key's column that the table is partitioned by.
        monthly: whether it is partitioned by the month of the time too.
        stamped: whether the store notes in ``collected`` when it stored a row.
        private: columns whose values stand in the rows alone, and in no file about them: Delta's
            log has the least and the largest value of the others.
        version: of this layout.
        migrations: by older version, what makes its rows those of the next version.
    """

    name: str
    key: tuple[str, ...]
    values: Mapping[str, str]
    nullable: frozenset[str] = frozenset()
    time: str | None = "time"
    partition: str = "exchange"
    monthly: bool = True
    stamped: bool = True
    private: frozenset[str] = frozenset()
    version: int = 1
    migrations: Mapping[int, Migration] = field(default_factory=dict)

    @property
    def columns(self) -> dict[str, str]:
        """Dtypes of the columns that readers get: key, values, and when the row was stored."""
        keys = {name: "time" if name == self.time else "text" for name in self.key}
        return {**keys, **self.values, **({COLLECTED: "time"} if self.stamped else {})}

    @property
    def inputs(self) -> dict[str, str]:
        """Dtypes of the columns that writers give: all but what the store itself notes."""
        return {name: dtype for name, dtype in self.columns.items() if name != COLLECTED}

    @property
    def partitions(self) -> list[str]:
        """The columns that the table is partitioned by."""
        return [self.partition, MONTH] if self.monthly else [self.partition]

    @property
    def listed(self) -> bool:
        """Whether the symbols are instruments' that an exchange lists: linear perpetuals."""
        return "exchange" in self.key

    @property
    def schema(self) -> pa.Schema:
        """Of the table: the columns of readers, and the month."""
        names = [*self.columns, *([MONTH] if self.monthly else [])]
        return pa.schema([(name, self.arrow_type(name)) for name in names])

    @property
    def configuration(self) -> dict[str, str | None] | None:
        """Of the table, in Delta's words; None: as Delta does by itself."""
        if not self.private:
            return None
        public = [name for name in self.schema.names if name not in self.private]
        return {"delta.dataSkippingStatsColumns": ",".join(public)}

    def arrow_type(self, column: str) -> pa.DataType:
        """The type of a column in the table."""
        return _DTYPES[self.columns.get(column, "text")][0]

    def empty(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A frame without rows, with the right columns and dtypes."""
        names = list(self.columns) if columns is None else list(columns)
        return pd.DataFrame({name: pd.Series(dtype=self._pandas_dtype(name)) for name in names})

    def to_frame(self, rows: pa.Table) -> pd.DataFrame:
        """Rows as readers get them: unknown numbers are NaN, unknown counts ``pandas.NA``."""
        if len(rows) == 0:
            return self.empty(rows.column_names)
        dtypes = {name: self._pandas_dtype(name) for name in rows.column_names}
        counts = [name for name, dtype in dtypes.items() if dtype == "Int64"]
        frame: pd.DataFrame = rows.drop_columns(counts).to_pandas()
        for name in counts:
            frame[name] = rows[name].to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        return frame[rows.column_names]

    def _pandas_dtype(self, column: str) -> str:
        dtype = self.columns[column]
        return "Int64" if dtype == "count" and column in self.nullable else _DTYPES[dtype][1]

    def check_columns(self, columns: Sequence[str]) -> list[str]:
        """The columns as a list, if the kind has all of them.

        Raises:
            InputError: one of them is none of this kind's.
        """
        for name in columns:
            if name not in self.columns:
                raise InputError(
                    f"{name!r} is no column of {self.name}; {did_you_mean(str(name), self.columns)}"
                )
        return list(columns)


# The beginnings of reasons that layout 2 of the gaps spelled otherwise.
_REASONS_OF_LAYOUT_2 = {
    "the venue has no row": "the exchange has no row",
    "older than the venue keeps": "older than the exchange keeps",
}


def _gaps_to_layout_2(rows: pa.Table) -> pa.Table:
    """Layout 1 has no ``found``: the last check is the best guess at when a gap was first noted."""
    return rows.append_column("found", rows["checked"])


def _gaps_to_layout_3(rows: pa.Table) -> pa.Table:
    """``found`` is called ``reason_since``, and reasons speak of exchanges."""
    names = ["reason_since" if name == "found" else name for name in rows.column_names]
    reasons = rows["reason"]
    for old, new in _REASONS_OF_LAYOUT_2.items():
        reasons = pc.replace_substring_regex(reasons, pattern=f"^{old}", replacement=new)
    return rows.set_column(names.index("reason"), "reason", reasons).rename_columns(names)


def _instruments_to_layout_2(rows: pa.Table) -> pa.Table:
    """Layout 1 has no ``multiplier``: instruments were collected in their own units alone."""
    return rows.append_column("multiplier", pa.array([1.0] * len(rows), pa.float64()))


def _listening_to_layout_2(rows: pa.Table) -> pa.Table:
    """Layout 1 has no ``delay``: how late the pulses came is not known."""
    return rows.append_column("delay", pa.nulls(len(rows), pa.float64()))


def _kinds(*kinds: Kind) -> Mapping[str, Kind]:
    return MappingProxyType({kind.name: kind for kind in kinds})


_SYMBOL = ("exchange", "symbol")
# Counts of a quality record, each of which may be unknown.
_COUNTS = ("rows", "expected", "missing", "gaps", "duplicates", "stale", "outliers", "swapped")

#: Every kind of series, by name.
KINDS = _kinds(
    Kind(
        "candles",
        key=(*_SYMBOL, "timeframe", "time"),
        values={
            **dict.fromkeys(("open", "high", "low", "close"), "number"),
            "volume": "number",
            "quote_volume": "number",
            "available": "time",
        },
        nullable=frozenset({"volume", "quote_volume"}),
    ),
    Kind(
        "funding",
        key=(*_SYMBOL, "time"),
        values={
            "rate": "number",
            "interval_hours": "number",
            "mark_price": "number",
            "available": "time",
        },
        nullable=frozenset({"interval_hours", "mark_price"}),
    ),
    Kind(
        "open_interest",
        key=(*_SYMBOL, "timeframe", "time"),
        values={"base": "number", "usd": "number", "available": "time"},
        nullable=frozenset({"usd"}),
    ),
    Kind(
        "snapshots",
        key=(*_SYMBOL, "time"),
        values={
            "mark_price": "number",
            "funding_rate": "number",
            "next_funding": "time",
            "interval_hours": "number",
            "open_interest": "number",
            "open_interest_usd": "number",
            "available": "time",
        },
        nullable=frozenset(
            {
                "mark_price",
                "funding_rate",
                "next_funding",
                "interval_hours",
                "open_interest",
                "open_interest_usd",
            }
        ),
    ),
    Kind(
        "gaps",
        key=(*_SYMBOL, "kind", "timeframe", "start"),
        values={
            "end": "time",
            "count": "count",
            "reason": "text",
            "checked": "time",
            "reason_since": "time",
        },
        nullable=frozenset({"reason_since"}),
        time="start",
        monthly=False,
        stamped=False,
        version=3,
        migrations={1: _gaps_to_layout_2, 2: _gaps_to_layout_3},
    ),
    Kind(
        "instruments",
        key=(*_SYMBOL, "instrument"),
        values={
            "contract_size": "number",
            "multiplier": "number",
            "funding_interval_hours": "number",
            "listed": "time",
            "delisted": "time",
            "seen": "time",
        },
        nullable=frozenset({"multiplier", "funding_interval_hours", "listed", "delisted"}),
        time=None,
        monthly=False,
        stamped=False,
        version=2,
        migrations={1: _instruments_to_layout_2},
    ),
    Kind(
        "quality",
        key=(*_SYMBOL, "kind", "timeframe", "checked"),
        values={
            "first": "time",
            "last": "time",
            **dict.fromkeys(_COUNTS, "count"),
            "note": "text",
        },
        nullable=frozenset({"first", "last", *_COUNTS}),
        time="checked",
        stamped=False,
    ),
    # A post's score, -1 to 1, NaN where the scorer can't tell. ``time`` is its publication, and
    # ``available`` when it had arrived here too.
    Kind(
        "sentiment",
        key=("publisher", "coin", "time", "id"),
        values={
            "score": "number",
            "scorer": "text",
            "scorer_version": "text",
            "available": "time",
        },
        partition="publisher",
        stamped=False,
        private=frozenset({"id"}),
    ),
    # Posts whose deletion was asked for: SHA-256 of publisher and id, so that none comes back.
    Kind(
        "deletions",
        key=("publisher", "digest"),
        values={"asked": "time"},
        time=None,
        partition="publisher",
        monthly=False,
        stamped=False,
    ),
    # An index of the whole market's mood, ``index`` "fear_greed", 0 to 100.
    Kind(
        "indices",
        key=("index", "time"),
        values={"value": "number", "available": "time"},
        partition="index",
        monthly=False,
    ),
    # Liquidations as an exchange pushed them, each once. ``order`` is the exchange's own words of
    # it, ``side`` who was liquidated: "long" or "short". ``usd`` is base times price, and
    # ``price_kind`` what that price is: "average fill", "order" or "bankruptcy". ``coverage`` is
    # "all", or "sampled" where at most one a symbol and second is pushed: sums are lower bounds.
    # ``received`` is by this machine's clock, the first time that it came.
    Kind(
        "liquidations",
        key=(*_SYMBOL, "time", "order"),
        values={
            "side": "text",
            **dict.fromkeys(("base", "usd", "price"), "number"),
            "price_kind": "text",
            "coverage": "text",
            "received": "time",
        },
    ),
    # What of its time a streamed series was listened to, by the exchange's clock: ``[start, end)``
    # was if ``reason`` is empty, and was not for that reason otherwise. Rows end at full hours, and
    # the last one of a series grows. ``delay`` is the longest time in seconds, from the exchange's
    # clock to ours, after which a pulse came that proves a part of it.
    Kind(
        "listening",
        key=(*_SYMBOL, "kind", "start"),
        values={"end": "time", "reason": "text", "delay": "number"},
        nullable=frozenset({"delay"}),
        time="start",
        version=2,
        migrations={1: _listening_to_layout_2},
    ),
    # A line's predictions of bars that its versions had not seen; ``time`` is the bar's close.
    # ``prediction`` is in the target's units, ``position`` what the version's own rule decided
    # (-1 to 1 of the slot's capital), ``cost`` a share of each unit traded, ``version`` a model id,
    # and ``made`` when that version was made.
    Kind(
        "shadows",
        key=("timeframe", "line", "symbol", "time"),
        values={
            **dict.fromkeys(("prediction", "position", "cost"), "number"),
            "version": "text",
            "made": "time",
        },
        partition="timeframe",
    ),
    # A line's night by regime of decision; ``time`` is the day's start. ``profit`` is net, over the
    # ``volatility`` of the day that was known before it; ``turnover`` in units of the capital,
    # ``missing`` a share of the day's ``bars``. ``source`` is "live" or "backtest", ``version`` a
    # model id or, of a backtest, the recipe's; ``tried`` the recipes that were tried on the bars.
    Kind(
        "evidence",
        key=("timeframe", "line", "symbol", "regime", "time"),
        values={
            **dict.fromkeys(("profit", "volatility", "turnover", "missing"), "number"),
            "bars": "count",
            "source": "text",
            "version": "text",
            "tried": "number",
        },
        partition="timeframe",
        monthly=False,
    ),
    # The nights of a contest of lines, ``contest`` "1h.6" (timeframe and horizon). ``step`` is
    # "closed", all evidence up to that day is stored, or "decided", with state and decisions.
    Kind(
        "contests",
        key=("contest", "step", "time"),
        values={"document": "text"},
        partition="contest",
        monthly=False,
    ),
)


def parse_kind(name: str, kinds: Mapping[str, Kind] = KINDS) -> Kind:
    """The kind of a name.

    Raises:
        InputError: there is none.
    """
    try:
        return kinds[name]
    except (KeyError, TypeError):
        raise InputError(
            f"there is no kind of series {name!r}; {did_you_mean(str(name), kinds)}"
        ) from None
