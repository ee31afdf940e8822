"""The record of one series' quality: counts, and a note in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from brain.series.quality.findings import Finding
from brain.series.store.schema import KINDS
from market.collection.gaps import TOO_OLD
from market.collection.results import Gap

__all__ = [
    "COUNTS",
    "OVERDUE",
    "TOLERABLE",
    "Coverage",
    "Listened",
    "Measure",
    "QualityRecord",
    "RecordedGap",
    "Severity",
    "records_frame",
]

Severity = Literal["good", "look", "poor", "unknown"]
#: What a day's share is of: the rows of a grid; whether any row came, where rows come as they come;
#: the time that was listened to.
Measure = Literal["grid", "rows", "time"]

#: The counts of a record; any may be unknown.
COUNTS = ("rows", "expected", "missing", "gaps", "duplicates", "stale", "outliers", "swapped")

#: Up to this share of faulty or missing rows a series is to look at, beyond it poor.
TOLERABLE = 0.01
#: A last row is overdue after this many periods: one until it is published, one for the exchange.
OVERDUE = 2


@dataclass(frozen=True)
class Coverage:
    """The share of each UTC day's rows, or of its time, that there is.

    Attributes:
        first: midnight of the first day.
        shares: of each day from then on, 0 to 1, rows there are over rows of the grid, or time that
            was listened to over the day's; 1 with any row where there is no grid.
        measure: which of these.
    """

    first: pd.Timestamp
    shares: tuple[float, ...]
    measure: Measure = "grid"


@dataclass(frozen=True)
class RecordedGap:
    """A stretch in which something is missing, with its reason.

    Attributes:
        start: of it, UTC.
        end: of it, exclusive.
        count: how many rows are missing; None where nobody can know.
        reason: why.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    count: int | None
    reason: str

    @classmethod
    def of(cls, gap: Gap) -> RecordedGap:
        """A gap of the collector's record."""
        return cls(gap.start, gap.end, gap.count, gap.reason)


@dataclass(frozen=True)
class Listened:
    """What of its time a streamed series was listened to.

    Attributes:
        share: of the whole range, 0 to 1.
        since: when a stream first took the series up.
        share_since: of the range from then on.
        suspects: stretches whose silence is not believed.
        lower_bound: whether sums are lower bounds: the exchange, or we, may have left some out.
    """

    share: float
    since: pd.Timestamp
    share_since: float
    suspects: int
    lower_bound: bool

    @property
    def severity(self) -> Severity:
        """See :attr:`QualityRecord.severity`."""
        if not self.share:
            return "unknown"
        if self.suspects or 1 - self.share_since > TOLERABLE:
            return "poor"
        return "look" if self.share < 1 else "good"


@dataclass(frozen=True)
class QualityRecord:
    """The quality of one series. An unknown count is None, never 0.

    Attributes:
        exchange, symbol, kind, timeframe: the series, ``""`` where there is none; of posts the
            publisher and the coin, of an index its name.
        checked: when, UTC.
        first, last: times of the first and the last row; None without rows.
        rows: duplicates included; of liquidations, unknown where none came in what was listened to
            and not all was.
        expected: grid points of the series.
        missing: grid points without a row.
        gaps: stretches of missing rows.
        duplicates: rows with the time of another row.
        stale: rows that repeat the row before in a stretch where it should move, and periods
            without a row at the end, if there are more than two: carrying the last row forward
            repeats it just as well.
        outliers: rows that can't be right, or hardly can, and steps as splits leave them.
        swapped: rows in which base and quote amounts are swapped.
        note: all of it in words.
        lateness: periods since the last row was published; None if unknown.
        blank_rows: rows that hold no value.
        coverage: by day; None without rows.
        recorded_gaps: of the collector's record, with their reasons; of liquidations what was not
            listened to, longest first.
        findings: of the rules.
        listened: of liquidations; None of all else.
        remark: why rows may be missing though nobody can know how many; empty if none should be.
    """

    exchange: str
    symbol: str
    kind: str
    timeframe: str
    checked: pd.Timestamp
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    rows: int | None
    expected: int | None
    missing: int | None
    gaps: int | None
    duplicates: int | None
    stale: int | None
    outliers: int | None
    swapped: int | None
    note: str
    lateness: float | None = field(default=None, repr=False)
    blank_rows: int = field(default=0, repr=False)
    coverage: Coverage | None = field(default=None, repr=False)
    recorded_gaps: tuple[RecordedGap, ...] = field(default=(), repr=False)
    findings: tuple[Finding, ...] = field(default=(), repr=False)
    listened: Listened | None = field(default=None, repr=False)
    remark: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The series in a few words, ``okx BTC/USDT:USDT candles 1h``."""
        return " ".join(filter(None, (self.exchange, self.symbol, self.kind, self.timeframe)))

    @property
    def severity(self) -> Severity:
        """How bad it is.

        - ``unknown``: there is no row with a value, or nothing was listened to.
        - ``poor``: there are duplicates, swapped rows or steps as splits leave them, the last row
          is overdue, or more than 1 % of the rows are missing, blank, stale or outliers; of
          liquidations, more than 1 % of the time since a stream took them up was not listened to,
          or a silence is not believed.
        - ``look``: less of that, something of the whole series, or rows are missing that the
          exchange no longer keeps, or may be; of liquidations, the time before the first stream.
        - ``good``: none of it.
        """
        if self.listened is not None:
            return self.listened.severity
        if self.rows is None or self.rows <= self.blank_rows:
            return "unknown"
        wrong = self.blank_rows + (self.stale or 0) + (self.outliers or 0)
        kinds = {finding.kind for finding in self.findings}
        faults = (self.duplicates or 0) + (self.swapped or 0) + ("split" in kinds)
        missing = self.missing or 0
        if (
            faults
            or (self.lateness is not None and self.lateness > OVERDUE)
            or wrong > TOLERABLE * self.rows
            or missing - self._lost > TOLERABLE * (self.expected or self.rows + missing)
        ):
            return "poor"
        look = wrong or missing or self.gaps or self.remark or "series" in kinds
        return "look" if look else "good"

    @property
    def _lost(self) -> int:
        """Missing rows that the exchange no longer keeps."""
        return sum(g.count or 0 for g in self.recorded_gaps if g.reason.startswith(TOO_OLD))


def records_frame(records: Iterable[QualityRecord]) -> pd.DataFrame:
    """The records as rows of the kind ``quality``; counts are nullable integers."""
    columns = KINDS["quality"].inputs
    rows = [{name: getattr(record, name) for name in columns} for record in records]
    frame = pd.DataFrame(rows, columns=list(columns))
    types = {"count": "Int64", "text": "str", "time": "datetime64[us, UTC]"}
    return frame.astype({name: types[column_type] for name, column_type in columns.items()})
