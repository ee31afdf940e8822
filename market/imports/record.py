"""The gap record of a series that is imported: what of it is not stored, and why.

The same record as a collection's, by the same rules. Before rows are stored, whatever is not on
record between the first and the last of them, and from there to what is on record, is noted as "not
fetched yet"; afterwards what the files lack is noted with its reason. The next collection of the
series asks the exchange for all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from market.collection.gaps import IMPOSSIBLE, NOT_FETCHED, GapRevision, SeriesKey
from market.collection.grid import (
    FixedGrid,
    FundingGrid,
    Grid,
    Span,
    Times,
    as_stamp,
    as_time,
    parts_outside,
    union,
)
from market.collection.results import Gap

__all__ = ["NOT_IMPORTED", "NO_FILE", "Piece", "SeriesRecord", "grid_of"]

NO_FILE = "no imported file has the row"
#: How the reason of a gap begins whose file could not be imported.
NOT_IMPORTED = "its file could not be imported"

_HOUR = pd.Timedelta(hours=1)


def grid_of(key: SeriesKey, hours: float | None) -> Grid:
    """The grid of a series.

    Args:
        key: of the series.
        hours: the funding interval at present; None: unknown.
    """
    return FundingGrid(hours) if key[2] == "funding" else FixedGrid.of(key[3])


@dataclass(frozen=True)
class Piece:
    """What one file brings to a series.

    Attributes:
        start: of what it covers.
        end: of that, exclusive; not after ``start`` if it covers nothing.
        times: of its rows that can be stored.
        impossible: what is wrong with its others, by time in microseconds since 1970.
        fault: why the file could not be imported; empty if it was.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    times: Times
    impossible: Mapping[int, str] = field(default_factory=dict)
    fault: str = ""


class SeriesRecord:
    """The times and gaps of one series, as its files are imported.

    Args:
        key: of the series.
        times: of the rows that are stored.
        gaps: on record.
        hours: the funding interval that the exchange listed last; None: unknown.
    """

    def __init__(
        self, key: SeriesKey, times: Times, gaps: Sequence[Gap], hours: float | None = None
    ) -> None:
        self.key = key
        self.times = times
        self.gaps = sorted(gaps)
        self.hours = hours
        self._impossible: dict[int, str] = {}
        self._faults: list[tuple[Span, str]] = []
        self._covered: Span | None = None  # from the first file to the last

    @property
    def grid(self) -> Grid:
        """Of the series, by its present interval."""
        return grid_of(self.key, self.hours)

    def scope(self, pieces: Sequence[Piece]) -> Span | None:
        """What the pieces cover, and whatever lies between that and what is on record.

        Without anything on record before them, they begin with their first row: an instrument has
        none before it was listed.
        """
        pieces = [piece for piece in pieces if piece.start < piece.end]
        if not pieces:
            return None
        low = min(piece.start for piece in pieces)
        high = max(piece.end for piece in pieces)
        known_low, known_high = self._on_record()
        if known_low is None or known_low > low:
            low = self._first(pieces, low)
        if low >= high:
            return None
        if self._covered is not None:  # no file is of what lies between two of them
            low, high = min(low, self._covered.end), max(high, self._covered.start)
        self._cover(low, high)
        if known_high is not None and known_high < low:
            low = known_high
        if known_low is not None and known_low > high:
            high = known_low
        return Span(low, high, 0)

    def _cover(self, low: pd.Timestamp, high: pd.Timestamp) -> None:
        if self._covered is not None:
            low, high = min(low, self._covered.start), max(high, self._covered.end)
        self._covered = Span(low, high, 0)

    def _first(self, pieces: Sequence[Piece], low: pd.Timestamp) -> pd.Timestamp:
        """The first row, or the start of a file that could not be read."""
        firsts = [as_stamp(min([*piece.times[:1], *piece.impossible])) for piece in pieces
                  if len(piece.times) or piece.impossible]  # fmt: skip
        firsts += [piece.start for piece in pieces if piece.fault]
        return max(low, min(firsts)) if firsts else max(piece.end for piece in pieces)

    def _on_record(self) -> tuple[pd.Timestamp | None, pd.Timestamp | None]:
        """Where the series begins and ends on record; None, None: nothing is."""
        starts, ends = [gap.start for gap in self.gaps], [gap.end for gap in self.gaps]
        if len(self.times):
            starts.append(as_stamp(self.times[0]))
            ends.append(as_stamp(self.times[-1]) + self._step)
        return min(starts, default=None), max(ends, default=None)

    @property
    def _step(self) -> pd.Timedelta:
        grid = self.grid
        return grid.step if isinstance(grid, FixedGrid) else pd.Timedelta(microseconds=1)

    # --- before ---------------------------------------------------------------------------------

    def ahead(self, scope: Span) -> GapRevision | None:
        """What to record before rows of the scope are stored; None: it is all on record."""
        spans = [Span(gap.start, gap.end, gap.count) for gap in self.gaps]
        parts = parts_outside(scope.start, scope.end, spans)
        holes = [hole for part in parts for hole in self._holes(self.times, *part)]
        if not holes:
            return None
        gaps = tuple(Gap(hole.start, hole.end, hole.count, NOT_FETCHED) for hole in holes)
        self.gaps = sorted([*self.gaps, *gaps])
        return GapRevision(self.key, self.grid, tuple(holes), gaps)

    def _holes(self, times: Times, start: pd.Timestamp, end: pd.Timestamp) -> list[Span]:
        if isinstance(self.grid, FixedGrid):  # only the times between count
            low, high = np.searchsorted(times, [as_time(start), as_time(end)])
            times = times[low:high]
        return self.grid.holes(times, start, end)

    # --- after ----------------------------------------------------------------------------------

    def add(self, pieces: Sequence[Piece]) -> None:
        """Take note that the rows of these pieces are stored."""
        self.times = union(self.times, *(piece.times for piece in pieces))
        for piece in pieces:
            self._impossible |= piece.impossible
            if piece.fault:
                span = Span(piece.start, piece.end, 0)
                self._faults.append((span, f"{NOT_IMPORTED}: {piece.fault}"))

    def after(self, scope: Span) -> GapRevision | None:
        """What is missing in the scope now; None: that is on record already."""
        gaps = tuple(sorted(self._missing(scope)))
        before = tuple(self.gaps_in(scope))
        self.gaps = sorted([*gaps, *self._outside(scope)])
        if gaps == before:
            return None
        return GapRevision(self.key, self.grid, (scope,), gaps)

    def gaps_in(self, scope: Span) -> list[Gap]:
        """The gaps on record, as far as they are in the scope."""
        parts = [(max(g.start, scope.start), min(g.end, scope.end), g) for g in self.gaps]
        return sorted(g.part(low, high, self.grid.count) for low, high, g in parts if low < high)

    def _outside(self, scope: Span) -> Iterator[Gap]:
        for gap in self.gaps:
            for start, end in parts_outside(gap.start, gap.end, [scope]):
                part = gap.part(start, end, self.grid.count)
                if part.count:
                    yield part

    def _missing(self, scope: Span) -> list[Gap]:
        low, high = as_time(scope.start), as_time(scope.end)
        impossible = {
            time: fault
            for time, fault in self._impossible.items()
            if low <= time < high and not self._stored(time)
        }
        known = union(self.times, np.array(sorted(impossible), dtype=np.int64))
        gaps = list(self._impossible_gaps(impossible))
        for hole in self._holes(known, scope.start, scope.end):
            gaps += self._reasons(hole)
        return gaps

    def _stored(self, time: int) -> bool:
        place = int(np.searchsorted(self.times, time))
        return place < len(self.times) and self.times[place] == time

    def _impossible_gaps(self, impossible: Mapping[int, str]) -> Iterator[Gap]:
        """The gaps of impossible rows; equal ones in a row are one."""
        grid = self.grid
        step = grid.step if isinstance(grid, FixedGrid) else _HOUR
        last: Gap | None = None
        for time in sorted(impossible):
            start, reason = as_stamp(time), f"{IMPOSSIBLE}: {impossible[time]}"
            if last is not None and (last.end, last.reason) == (start, reason):
                last = replace(last, end=start + step, count=last.count + 1)
                continue
            if last is not None:
                yield last
            last = Gap(start, start + step, 1, reason)
        if last is not None:
            yield last

    def _reasons(self, hole: Span) -> Iterator[Gap]:
        """A hole, cut where the reason changes.

        A file that could not be imported comes first, then what was on record, then that no file is
        of it. What lies beyond all files is not fetched yet.
        """
        labels = [*self._faults]
        labels += [
            (Span(gap.start, gap.end, gap.count), gap.reason)
            for gap in self.gaps
            if gap.reason != NOT_FETCHED and not gap.reason.startswith((NO_FILE, NOT_IMPORTED))
        ]
        labels += [] if self._covered is None else [(self._covered, NO_FILE)]
        rest = [(hole.start, hole.end)]
        for span, reason in labels:
            for start, end in rest:
                low, high = max(start, span.start), min(end, span.end)
                if low < high:
                    yield from self._gap(hole, low, high, reason)
            rest = [part for start, end in rest for part in parts_outside(start, end, [span])]
        for start, end in rest:
            yield from self._gap(hole, start, end, NOT_FETCHED)

    def _gap(
        self, hole: Span, start: pd.Timestamp, end: pd.Timestamp, reason: str
    ) -> Iterator[Gap]:
        whole = (start, end) == (hole.start, hole.end)
        count = hole.count if whole else self.grid.count(start, end)
        if not count:
            return
        old = next((g for g in self.gaps if g.reason == reason and g.start <= start < g.end), None)
        since, checked = (None, None) if old is None else (old.reason_since, old.checked)
        yield Gap(start, end, count, reason, since, checked)
