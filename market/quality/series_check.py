"""The rows of one series, looked at: counts, and a sentence for each thing that was found."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brain.errors import InputError, did_you_mean
from brain.series.times import when
from brain.text import count
from market.collection.grid import as_times
from market.quality.arrays import Flags
from market.quality.columns import Rows, read_rows
from market.quality.coverage import coverage, grid_of, lateness, period
from market.quality.record import OVERDUE, Coverage, QualityRecord
from market.quality.rules import RULES, Context, Findings

__all__ = ["check_series"]

# Two settlements within half of the shortest interval are one, told twice.
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
    """Look at the rows of one series.

    Args:
        frame: columns of the kind (:data:`brain.series.store.schema.KINDS`) in any order of rows,
            ``time`` in UTC. Only ``time`` and the values are read; a nullable value's column may
            be absent. NaN is unknown. The frame is not changed.
        kind: ``candles``, ``funding``, ``open_interest`` or ``snapshots``.
        exchange: the exchange's name.
        symbol: the canonical symbol.
        timeframe: ``1h``; ``""`` for funding and snapshots.
        expected, missing, gaps: grid points, those without a row, and stretches of them; None if
            not known.
        now: when to judge the last row's age, UTC: the time of asking, or the end of a range that
            lies in the past.
        price: closes by close time (UTC): without them, swapped columns of open interest are
            unknown, and a snapshot's mark price is not compared.
        history: open interest (base units) by time (UTC), for snapshots to be compared with.

    Returns:
        The record. ``stale``, ``outliers`` are None if fewer than three rows hold a value and none
        of those is wrong by itself; ``swapped`` is None if no row can tell.

    Raises:
        InputError: the kind or timeframe is unknown, or a column is missing or of the wrong type.
    """
    if kind not in RULES:
        raise InputError(f"{kind!r} is no kind that is checked; {did_you_mean(str(kind), RULES)}")
    rows = read_rows(frame, kind)
    step = period(kind, timeframe, rows)
    known = Context(rows.times, step if timeframe else None, price, history)
    found = _Found(
        rows,
        judged=RULES[kind](rows.values, known) if len(frame) else None,
        late=lateness(kind, rows.times[~rows.blank], step, now),
        twice=_told_twice(rows.times) if kind == "funding" else 0,
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
        duplicates=rows.doubled + found.twice if len(frame) else None,
        stale=found.stale,
        outliers=found.outliers,
        swapped=found.swapped,
        note=found.note(missing, expected),
        late=found.late,
        blank=int(rows.blank.sum()),
        coverage=_coverage(rows, kind, timeframe) if len(frame) else None,
    )


def _told_twice(times: pd.DatetimeIndex) -> int:
    return int((np.diff(as_times(times)) < _ONE_SETTLEMENT).sum())


def _coverage(rows: Rows, kind: str, timeframe: str) -> Coverage:
    end = rows.times[-1] + pd.Timedelta(microseconds=1)
    grid = grid_of(kind, timeframe, rows)
    return coverage(rows.times[~rows.blank], grid, rows.times[0], end)


@dataclass(frozen=True)
class _Found:
    """What was found, on its way to numbers and words."""

    rows: Rows
    judged: Findings | None
    late: float | None
    twice: int

    @property
    def few(self) -> bool:
        """Whether too few rows hold a value for a row to have neighbours."""
        return int((~self.rows.blank).sum()) < 3

    @property
    def overdue(self) -> int:
        return math.floor(self.late) if self.late is not None and self.late > OVERDUE else 0

    @property
    def stale(self) -> int | None:
        if self.judged is None or self.rows.blank.all():
            return None
        number = int(self.judged.stale.sum()) + self.overdue
        return None if self.few and not number else number

    @property
    def outliers(self) -> int | None:
        if self.judged is None or self.rows.blank.all():
            return None
        number = int(np.logical_or.reduce(list(self.judged.outliers.values())).sum())
        return None if self.few and not number else number

    @property
    def swapped(self) -> int | None:
        if self.judged is None or self.judged.swapped is None:
            return None
        return int(self.judged.swapped.sum())

    def note(self, missing: int | None, expected: int | None) -> str:
        """A sentence for each thing that was found; ``nothing found`` without any."""
        words = [f"{missing} of {_rows(expected)} missing"] if missing and expected else []
        if self.judged is None:
            return "; ".join([*words, "no rows: nothing is known"])
        if self.rows.blank.any():
            words.append(f"{_rows(self.rows.blank.sum())} without any value")
        if self.rows.doubled:
            doubled, differing = _rows(self.rows.doubled), self.rows.differing
            words.append(f"{doubled} with a time twice, {differing} of them differing")
        if self.twice:
            words.append(f"{_rows(self.twice)} less than 30 minutes after another settlement")
        if self.overdue:
            words.append(f"the last row is {self.late:.1f} periods old")
        words += self._flagged(self.judged.stale, "repeating the row before where it should move")
        for reason, rows in self.judged.outliers.items():
            words += self._flagged(rows, reason)
        if self.judged.swapped is not None:
            words += self._flagged(self.judged.swapped, "base and quote amounts swapped")
        return "; ".join(words) or ("too few rows to tell" if self.few else "nothing found")

    def _flagged(self, rows: Flags, words: str) -> list[str]:
        if not rows.any():
            return []
        first, last = (when(self.rows.times[np.flatnonzero(rows)[k]]) for k in (0, -1))
        span = f"at {first}" if first == last else f"{first} to {last}"
        return [f"{words}: {_rows(rows.sum())}, {span}"]


def _rows(number: int | np.integer | None) -> str:
    return count(int(number or 0), "row")
