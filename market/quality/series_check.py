"""The check of one series' rows: counts, and a note of every finding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brain.errors import InputError, did_you_mean
from brain.series.quality.findings import Finding, Findings
from brain.text import count
from market.collection.grid import as_times
from market.quality.columns import Rows, rows_of
from market.quality.coverage import coverage_of, grid_of, lateness_of, period_of
from market.quality.record import OVERDUE, Coverage, QualityRecord
from market.quality.rules import RULES, Context

__all__ = ["check_series"]

# Two settlements within half of the shortest interval are one, published twice.
_ONE_SETTLEMENT = 30 * 60 * 1_000_000  # microseconds


def check_series(  # noqa: PLR0913 (a series has four names, and its counts come from elsewhere)
    frame: pd.DataFrame,
    kind: str,
    *,
    exchange: str,
    symbol: str,
    timeframe: str,
    expected: int | None,
    missing: int | None,
    gaps: int | None,
    now: pd.Timestamp,
    price: pd.Series | None = None,
    history: pd.Series | None = None,
) -> QualityRecord:
    """Check the rows of one series.

    Args:
        frame: columns of the kind (:data:`brain.series.store.schema.KINDS`) in any order of rows,
            ``time`` in UTC. Only ``time`` and the values are read; a nullable value's column may
            be absent. NaN is unknown. The frame is not changed.
        kind: ``candles``, ``funding``, ``open_interest`` or ``snapshots``.
        exchange: the exchange's name.
        symbol: the canonical symbol.
        timeframe: ``1h``; ``""`` for funding and snapshots.
        expected, missing, gaps: grid points, those without a row, and stretches of them; None if
            unknown.
        now: for the last row's age, UTC: the present, or the end of a range in the past.
        price: closes by close time (UTC): without them, swapped columns of open interest are
            unknown, and a snapshot's mark price is not compared.
        history: open interest (base units) by time (UTC), for snapshots to be compared with.

    Returns:
        The record. ``stale``, ``outliers`` are None if fewer than three rows hold a value and none
        of those is wrong by itself; ``swapped`` is None if it can't be decided for any row.

    Raises:
        InputError: the kind or timeframe is unknown, or a column is missing or of the wrong type.
    """
    if kind not in RULES:
        raise InputError(f"{kind!r} is no kind that is checked; {did_you_mean(str(kind), RULES)}")
    rows = rows_of(frame, kind)
    step = period_of(kind, timeframe, rows)
    context = Context(rows.times, step if timeframe else None, price, history)
    summary = _Summary(
        rows,
        findings=RULES[kind](rows.values, context) if len(frame) else None,
        lateness=lateness_of(kind, rows.times[rows.valid], step, now),
        double_settlements=_double_settlements(rows.times) if kind == "funding" else 0,
    )
    return QualityRecord(
        exchange,
        symbol,
        kind,
        timeframe,
        checked=now.as_unit("us"),
        first=rows.times[0] if len(frame) else None,
        last=rows.times[-1] if len(frame) else None,
        rows=len(frame),
        expected=expected,
        missing=missing,
        gaps=gaps,
        duplicates=rows.duplicates + summary.double_settlements if len(frame) else None,
        stale=summary.stale,
        outliers=summary.outliers,
        swapped=summary.swapped,
        note=summary.note(missing, expected),
        lateness=summary.lateness,
        blank_rows=int((~rows.valid).sum()),
        findings=summary.listed,
        coverage=_coverage(rows, kind, timeframe) if len(frame) else None,
    )


def _double_settlements(times: pd.DatetimeIndex) -> int:
    return int((np.diff(as_times(times)) < _ONE_SETTLEMENT).sum())


def _coverage(rows: Rows, kind: str, timeframe: str) -> Coverage:
    end = rows.times[-1] + pd.Timedelta(microseconds=1)
    grid = grid_of(kind, timeframe, rows)
    return coverage_of(rows.times[rows.valid], grid, rows.times[0], end)


@dataclass(frozen=True)
class _Summary:
    """The findings as counts and sentences.

    Attributes:
        rows: of the series.
        findings: of the rules; None without rows.
        lateness: periods since the last row was published; None if unknown.
        double_settlements: settlements that were published twice.
    """

    rows: Rows
    findings: Findings | None
    lateness: float | None
    double_settlements: int

    @property
    def few(self) -> bool:
        """Whether too few rows hold a value for a row to have neighbours."""
        return int(self.rows.valid.sum()) < 3

    @property
    def overdue(self) -> int:
        """Periods without a row at the end; 0 where the last row may be published yet."""
        if self.lateness is None or self.lateness <= OVERDUE:
            return 0
        return math.floor(self.lateness)

    @property
    def stale(self) -> int | None:
        if self.findings is None or not self.rows.valid.any():
            return None
        number = self.findings.rows("stale") + self.overdue
        return None if self.few and not number else number

    @property
    def outliers(self) -> int | None:
        if self.findings is None or not self.rows.valid.any():
            return None
        number = self.findings.rows("outlier", "split")
        return None if self.few and not number else number

    @property
    def swapped(self) -> int | None:
        if self.findings is None or not self.findings.swappable:
            return None
        return self.findings.rows("swapped")

    @property
    def listed(self) -> tuple[Finding, ...]:
        return () if self.findings is None else self.findings.listed(self.rows.times)

    def note(self, missing: int | None, expected: int | None) -> str:
        """A sentence of each finding; ``nothing found`` without any."""
        sentences = [f"{missing} of {_rows(expected)} missing"] if missing and expected else []
        if self.findings is None:
            return "; ".join([*sentences, "no rows: nothing is known"])
        if not self.rows.valid.all():
            sentences.append(f"{_rows((~self.rows.valid).sum())} without any value")
        if self.rows.duplicates:
            duplicates, conflicts = _rows(self.rows.duplicates), self.rows.conflicts
            sentences.append(f"{duplicates} with a time twice, {conflicts} of them differing")
        if self.double_settlements:
            number = _rows(self.double_settlements)
            sentences.append(f"{number} less than 30 minutes after another settlement")
        if self.overdue:
            sentences.append(f"the last row is {self.lateness:.1f} periods old")
        sentences += map(str, self.listed)
        return "; ".join(sentences) or ("too few rows to tell" if self.few else "nothing found")


def _rows(number: int | np.integer | None) -> str:
    return count(int(number or 0), "row")
