"""What the quality rules flag: rows with a reason, and their summaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from brain.series.quality.arrays import Flags
from brain.series.times import when
from brain.text import count

__all__ = ["REPEATING", "SWAPPED", "Fault", "Finding", "Findings", "Kind", "faults"]

#: What a finding counts as: rows that stand still, rows that can't be right or hardly can, steps
#: that splits leave, rows with base and quote amounts swapped, or something of the whole series.
Kind = Literal["split", "stale", "outlier", "swapped", "series"]

#: The reasons of stale rows and of swapped rows.
REPEATING = "repeating the row before where it should move"
SWAPPED = "base and quote amounts swapped"


@dataclass(frozen=True)
class Fault:
    """Rows that a rule flags.

    Attributes:
        kind: what they count as.
        reason: in words.
        flags: (N,) of the rows; where the whole series is at fault, those that show it.
        cure: what to do at the source; empty where a row is only to be looked at.
    """

    kind: Kind
    reason: str
    flags: Flags
    cure: str = ""

    def among(self, rows: Flags) -> Fault:
        """The same fault of a series of which the flagged ones are these rows (N,)."""
        flags = np.zeros(len(rows), dtype=bool)
        flags[rows] = self.flags
        return replace(self, flags=flags)


@dataclass(frozen=True)
class Finding:
    """A fault in a few words and numbers.

    Attributes:
        kind, reason, cure: as of :class:`Fault`.
        rows: how many are flagged.
        first, last: times of the first and the last of them, UTC.
    """

    kind: Kind
    reason: str
    rows: int
    first: pd.Timestamp
    last: pd.Timestamp
    cure: str = ""

    def __str__(self) -> str:
        first, last = when(self.first), when(self.last)
        span = f"at {first}" if first == last else f"{first} to {last}"
        cure = f" ({self.cure})" if self.cure else ""
        return f"{self.reason}: {count(self.rows, 'row')}, {span}{cure}"


@dataclass(frozen=True)
class Findings:
    """What the rules flag in N rows.

    Attributes:
        faults: by rule, those with a row.
        swappable: whether it can be told of any row if base and quote amounts are swapped.
    """

    faults: tuple[Fault, ...]
    swappable: bool = False

    def rows(self, *kinds: Kind) -> int:
        """How many rows are flagged as any of these kinds."""
        flags = [fault.flags for fault in self.faults if fault.kind in kinds]
        return int(np.logical_or.reduce(flags).sum()) if flags else 0

    def listed(self, times: pd.DatetimeIndex) -> tuple[Finding, ...]:
        """The faults in a few words and numbers.

        Args:
            times: (N,) of the rows, UTC.
        """
        return tuple(_finding(fault, times) for fault in self.faults)


def _finding(fault: Fault, times: pd.DatetimeIndex) -> Finding:
    rows = np.flatnonzero(fault.flags)
    first, last = times[rows[0]], times[rows[-1]]
    return Finding(fault.kind, fault.reason, len(rows), first, last, fault.cure)


def faults(kind: Kind, flags: Mapping[str, Flags], cure: str = "") -> list[Fault]:
    """Faults of one kind, from flags (N,) by reason; without those that flag no row."""
    return [Fault(kind, reason, rows, cure) for reason, rows in flags.items() if rows.any()]
