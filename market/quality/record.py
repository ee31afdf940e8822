"""What is known of the quality of one series, in numbers and in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from brain.series.store.schema import KINDS
from market.collection.gaps import TOO_OLD

__all__ = [
    "COUNTS",
    "OVERDUE",
    "TOLERABLE",
    "Coverage",
    "Hole",
    "QualityRecord",
    "Severity",
    "records_frame",
]

Severity = Literal["good", "look", "poor", "unknown"]

#: The counts of a record; each may be unknown, except ``rows``.
COUNTS = ("rows", "expected", "missing", "gaps", "duplicates", "stale", "outliers", "swapped")

#: Up to this share of faulty or missing rows a series is to be looked at, beyond it poor.
TOLERABLE = 0.01
#: Later than this many periods, a last row is overdue: one to be published, one for the exchange.
OVERDUE = 2


@dataclass(frozen=True)
class Hole:
    """A stretch without rows, as the collector recorded it.

    Attributes:
        start: its first missing time, UTC.
        end: the first time after it, exclusive.
        count: missing rows.
        reason: why they are missing.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    count: int
    reason: str


@dataclass(frozen=True)
class Coverage:
    """How much of each UTC day there is.

    Attributes:
        first: midnight of the first day.
        shares: for each day from then on, rows there are of rows that belong there, 0 to 1; above
            0 where it is not known how many belong there (rows came as they came).
    """

    first: pd.Timestamp
    shares: tuple[float, ...]


@dataclass(frozen=True)
class QualityRecord:
    """The quality of one series. A count that is not known is None, never 0.

    Attributes:
        exchange, symbol, kind, timeframe: the series; ``timeframe`` is ``""`` where there is none.
        checked: when, UTC.
        first, last: times of the first and the last row; None without rows.
        rows: as they came, repeated ones included.
        expected: grid points that belong to the series.
        missing: of them, those without a row.
        gaps: stretches of missing rows.
        duplicates: rows with the time of another row.
        stale: rows that repeat the row before in a stretch where it should move, and periods
            without a row at the end, if there are more than two: who carries the last row forward
            sees just such a repetition.
        outliers: rows that can't be, or hardly can be, right.
        swapped: rows in which base and quote amounts are swapped.
        note: all of it in words.
        late: periods since the last row was known; None if not known.
        blank: rows that hold no value.
        coverage: by day; None without rows.
        holes: the recorded gaps.
    """

    exchange: str
    symbol: str
    kind: str
    timeframe: str
    checked: pd.Timestamp
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    rows: int
    expected: int | None
    missing: int | None
    gaps: int | None
    duplicates: int | None
    stale: int | None
    outliers: int | None
    swapped: int | None
    note: str
    late: float | None = field(default=None, repr=False)
    blank: int = field(default=0, repr=False)
    coverage: Coverage | None = field(default=None, repr=False)
    holes: tuple[Hole, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The series for people: ``okx BTC/USDT:USDT candles 1h``."""
        return f"{self.exchange} {self.symbol} {self.kind} {self.timeframe}".rstrip()

    @property
    def severity(self) -> Severity:
        """How bad it is.

        - ``unknown``: there is no row with a value.
        - ``poor``: rows are doubled or swapped, the last row is late, or more than 1 % of the rows
          are missing, blank, stale or outliers.
        - ``look``: less of that, or rows are missing that the exchange no longer keeps.
        - ``good``: nothing of it was found.
        """
        if self.rows <= self.blank:
            return "unknown"
        wrong = self.blank + (self.stale or 0) + (self.outliers or 0)
        faults = (self.duplicates or 0) + (self.swapped or 0)
        missing = self.missing or 0
        if (
            faults
            or (self.late is not None and self.late > OVERDUE)
            or wrong > TOLERABLE * self.rows
            or missing - self._lost > TOLERABLE * (self.expected or self.rows + missing)
        ):
            return "poor"
        return "look" if wrong or missing or self.gaps else "good"

    @property
    def _lost(self) -> int:
        """Missing rows that nobody can get any more."""
        return sum(hole.count for hole in self.holes if hole.reason.startswith(TOO_OLD))


def records_frame(records: Iterable[QualityRecord]) -> pd.DataFrame:
    """The records as rows of the kind ``quality``; counts are nullable integers."""
    columns = KINDS["quality"].inputs
    rows = [{name: getattr(record, name) for name in columns} for record in records]
    frame = pd.DataFrame(rows, columns=list(columns))
    types = {"count": "Int64", "text": "str", "time": "datetime64[us, UTC]"}
    return frame.astype({name: types[sort] for name, sort in columns.items()})
