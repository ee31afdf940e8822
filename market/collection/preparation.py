"""What is to be fetched: what should exist held against what is stored and recorded.

Histories of former names are taken over first. Then every series begins where it is known to end,
if the range that is asked for begins later, and what lies between the range and what is known is
asked for too: so no series has a hole that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from brain.series.store.store import SeriesStore
from market.collection.fetch import Fetch, due
from market.collection.gaps import GapMove, Key, carry_gaps, gaps_of
from market.collection.grid import FixedGrid, Span, Times, as_times
from market.collection.plan import HISTORIES, Leg, Range, Series, Symbol, plan_series
from market.collection.results import Gap
from market.collection.times import Around, StoredTimes, Window, around
from market.exchanges.base import Exchange

__all__ = ["Preparation"]

# Settlements this long before a range tell the interval at its beginning.
_CONTEXT = pd.Timedelta(days=4)


@dataclass(frozen=True)
class Preparation:
    """Compares one exchange's series with the store; the store is read, and in its thread.

    Attributes:
        store: The series store.
        exchange: The exchange, asked for nothing here.
        timeframe: Of candles and open interest.
        span: Which times are asked for.
        seen: When the exchange last listed a symbol that was collected before.
    """

    store: SeriesStore
    exchange: Exchange
    timeframe: str
    span: Range
    seen: Mapping[str, pd.Timestamp]

    def fetches(self, symbols: Sequence[Symbol]) -> list[Fetch]:
        """What to fetch of the symbols, in their order.

        Raises:
            SeriesStoreError: the store can't be read or written.
        """
        if not symbols:
            return []
        renamed = [symbol for symbol in symbols if _former(symbol)]
        plans = {kind: {s.name: self._plan(s, kind) for s in symbols} for kind in HISTORIES}
        self._take_over([plans[kind][s.name] for s in renamed for kind in HISTORIES])
        recorded = self._recorded([symbol.name for symbol in symbols])
        found: dict[tuple[str, str], Fetch] = {}
        for kind in HISTORIES:
            for fetch in self._of_kind(symbols, plans[kind], recorded):
                found[fetch.series.symbol, kind] = fetch
        return [found[symbol.name, kind] for symbol in symbols for kind in HISTORIES]

    def _plan(self, symbol: Symbol, kind: str, since: pd.Timestamp | None = None) -> Series:
        return plan_series(self.exchange, symbol, kind, self.timeframe, self.span, since)

    def _recorded(self, names: Sequence[str]) -> dict[Key, list[Gap]]:
        return gaps_of(self.store.read("gaps", exchange=self.exchange.name, symbol=names))

    # --- under former names -----------------------------------------------------------------------

    def _take_over(self, plans: Sequence[Series]) -> None:
        """One history under the present name: rows are copied, then gaps are carried over."""
        old = [(series, leg) for series in plans for leg in series.legs]
        old = [(series, leg) for series, leg in old if leg.known_as != series.symbol]
        if not old:
            return
        for series, leg in old:
            self._copy_rows(series, leg)
        recorded = self._recorded(sorted({leg.known_as for _, leg in old}))
        moves = [
            GapMove(key, series.key, leg.grid, leg.start, leg.end)
            for series, leg in old
            if (key := (series.exchange, leg.known_as, series.kind, series.timeframe)) in recorded
        ]
        carry_gaps(self.store, self.exchange.name, moves)

    def _copy_rows(self, series: Series, leg: Leg) -> None:
        """Only those of the former instrument's own time: the rest is the present one's."""
        own, theirs = (
            as_times(
                self.store.times(
                    series.kind,
                    exchange=series.exchange,
                    symbol=name,
                    timeframe=series.timeframe or None,
                    start=leg.start,
                    end=leg.end,
                )
            )
            for name in (series.symbol, leg.known_as)
        )
        missing = np.setdiff1d(theirs, own, assume_unique=True)
        if not len(missing):
            return
        rows = self.store.read(
            series.kind,
            exchange=series.exchange,
            symbol=leg.known_as,
            timeframe=series.timeframe or None,
            start=leg.start,
            end=leg.end,
        )
        fresh = rows[rows["time"].astype("int64").isin(missing)]
        self.store.upsert(series.kind, fresh.assign(symbol=series.symbol))

    # --- what is known ----------------------------------------------------------------------------

    def _of_kind(
        self,
        symbols: Sequence[Symbol],
        plans: Mapping[str, Series],
        recorded: Mapping[Key, list[Gap]],
    ) -> list[Fetch]:
        """All series of one kind, with as few questions to the store as can be."""
        series = next(iter(plans.values()))
        stored = StoredTimes(self.store, series.kind, series.exchange, series.timeframe)
        gaps = {name: recorded.get(plan.key, []) for name, plan in plans.items()}
        near = (self._first - _CONTEXT, self.span.until + _CONTEXT)
        times = stored.times(dict.fromkeys(plans, near))
        ends = self._ends(symbols, stored, times, gaps)
        drafts = [
            _Draft(
                self._caught_up(symbol, plans[symbol.name], ends[symbol.name]),
                plans[symbol.name],
                gaps[symbol.name],
                self._between(plans[symbol.name], ends[symbol.name]),
                self.span.now,
            )
            for symbol in symbols
        ]
        wider = {
            draft.series.symbol: window
            for draft in drafts
            if (window := draft.window(near)) != near
        }
        times |= stored.times(wider)
        return [self._with_seams(draft, times[draft.series.symbol], stored) for draft in drafts]

    @property
    def _first(self) -> pd.Timestamp:
        return self.span.until - pd.Timedelta(hours=self.span.hours)

    def _ends(
        self,
        symbols: Sequence[Symbol],
        stored: StoredTimes,
        times: Mapping[str, Times],
        gaps: Mapping[str, list[Gap]],
    ) -> dict[str, Around]:
        """What is known next to the range; looked for farther away where nothing is near."""
        start, end = self._first, self.span.until
        step = pd.Timedelta(microseconds=1)
        if stored.timeframe:
            step = FixedGrid.of(stored.timeframe).step

        def ends_of(name: str, more: Times) -> Around:
            return around(np.union1d(times[name], more), gaps[name], start, end, step)

        none = np.empty(0, dtype=np.int64)
        found = {symbol.name: ends_of(symbol.name, none) for symbol in symbols}
        lone = [
            s.name
            for s in symbols
            if not found[s.name].inside and not len(times[s.name]) and self._known(s) is not None
        ]
        newest = stored.newest(lone, start - _CONTEXT)
        oldest = stored.oldest(set(lone) - set(newest), end + _CONTEXT, self.span.now)
        found |= {name: ends_of(name, more) for name, more in (newest | oldest).items()}
        for symbol in symbols:
            here = found[symbol.name]
            if not here.inside and here.before is None and here.after is None:
                # Nothing is known of it, though it may have been asked for: before it traded.
                found[symbol.name] = replace(here, before=self._known(symbol))
        return found

    def _known(self, symbol: Symbol) -> pd.Timestamp | None:
        names = {symbol.name, *(member.known_as for member in symbol.members)}
        return max((self.seen[name] for name in names if name in self.seen), default=None)

    def _caught_up(self, symbol: Symbol, plan: Series, ends: Around) -> Series:
        """The series from where it is known to end."""
        if ends.inside or ends.before is None or ends.after is not None:
            return plan
        return self._plan(symbol, plan.kind, ends.before)

    def _between(self, plan: Series, ends: Around) -> list[Span]:
        """What lies between the range and what is known after it."""
        if ends.inside or ends.after is None or ends.before is not None or plan.end >= ends.after:
            return []
        return [Span(plan.end, ends.after, 0)]

    def _with_seams(self, draft: _Draft, times: Times, stored: StoredTimes) -> Fetch:
        """Where one instrument's history is joined to another's, the join is part of it too."""
        series = draft.series
        if not any(leg.known_as != series.symbol for leg in series.legs):
            return draft.fetch(times)
        times, seams = stored.all_times(series.symbol), []
        for _, leg in pairwise(series.legs):
            step = pd.Timedelta(microseconds=1)
            ends = around(times, draft.gaps, leg.start, leg.start, step)
            if not ends.inside and ends.before is not None and ends.after is not None:
                seams.append(Span(ends.before, ends.after, 0))
        seams = [seam for seam in seams if seam.start < seam.end]
        return replace(draft, between=[*draft.between, *seams]).fetch(times)


@dataclass(frozen=True)
class _Draft:
    """One series: from where it is known to end, as it was asked for, and what else to look at."""

    series: Series
    asked: Series
    gaps: list[Gap]
    between: list[Span]
    now: pd.Timestamp

    def window(self, near: Window) -> Window:
        """The times that are needed of the store."""
        again = due(self.series, self.gaps, self.now)
        starts = [*(gap.start for gap in again), *(span.start for span in self.between)]
        ends = [*(gap.end for gap in again), *(span.end for span in self.between)]
        if self.series.start < self.series.end:
            starts.append(self.series.start)
            ends.append(self.series.end)
        low = min((start - _CONTEXT for start in starts), default=near[0])
        high = max((end + _CONTEXT for end in ends), default=near[1])
        return min(low, near[0]), max(high, near[1])

    def fetch(self, times: Times) -> Fetch:
        """What to fetch; from where it was asked for, if nothing before is unknown."""
        whole = Fetch(self.series, times, self.gaps, self.now, self.between)
        if self.series is self.asked:
            return whole
        before = min(self.asked.start, self.asked.end)
        if self.series.start < before and whole.unknown(self.series.start, before):
            return whole
        if self.asked.start >= self.asked.end and whole.unknown(self.series.start, self.series.end):
            return whole
        return Fetch(self.asked, times, self.gaps, self.now, self.between)


def _former(symbol: Symbol) -> bool:
    return any(member.known_as != symbol.name for member in symbol.members)
