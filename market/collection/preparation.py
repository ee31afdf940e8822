"""What to fetch: the plans of the series compared with what is stored and on record.

Histories under former names are taken over first. A series then begins where it ends on record, if
the range of the request begins later; and what lies between the range and later rows on record is
fetched too. So no series gets a hole that is not on record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from brain.series.store.store import SeriesStore
from market.collection.fetch import Fetch
from market.collection.former_names import take_over
from market.collection.gaps import SeriesKey, due_gaps, gaps_of
from market.collection.grid import FixedGrid, Span, Times
from market.collection.listing import Listing
from market.collection.plan import HISTORIES, Period, SeriesPlan, plan_series
from market.collection.results import Gap
from market.collection.times import NO_TIMES, Neighbours, StoredTimes, TimeRange, neighbours
from market.exchanges.base import Exchange

__all__ = ["Preparation"]

# Settlements this long before a range tell the interval at its beginning.
_CONTEXT = pd.Timedelta(days=4)
_MOMENT = pd.Timedelta(microseconds=1)


@dataclass(frozen=True)
class Preparation:
    """Compares one exchange's series with the store; to be used in the store's thread.

    Attributes:
        store: the series store, by its own names.
        exchange: the exchange; no request is made.
        timeframe: of candles and open interest.
        period: that the collection covers.
        last_listed: when the exchange last listed a symbol, of those of earlier collections.
        renew: since when stored rows are requested again; None: never.
    """

    store: SeriesStore
    exchange: Exchange
    timeframe: str
    period: Period
    last_listed: Mapping[str, pd.Timestamp]
    renew: pd.Timestamp | None = None

    def fetches(self, listings: Sequence[Listing]) -> list[Fetch]:
        """What to fetch of each listing and kind of history, in the order of the listings.

        Raises:
            SeriesStoreError: the store can't be read or written.
        """
        if not listings:
            return []
        plans = {
            kind: {listing.symbol: self._plan(listing, kind) for listing in listings}
            for kind in HISTORIES
        }
        order = [(kind, listing.symbol) for listing in listings for kind in HISTORIES]
        take_over(self.store, [plans[kind][symbol] for kind, symbol in order])
        symbols = [listing.symbol for listing in listings]
        record = self.store.read("gaps", exchange=self.exchange.name, symbol=symbols)
        gaps = gaps_of(record)
        fetches = {kind: self._fetches_of_kind(listings, plans[kind], gaps) for kind in HISTORIES}
        return [fetches[kind][symbol] for kind, symbol in order]

    def _plan(self, listing: Listing, kind: str, since: pd.Timestamp | None = None) -> SeriesPlan:
        return plan_series(self.exchange, listing, kind, self.timeframe, self.period, since)

    def _fetches_of_kind(
        self,
        listings: Sequence[Listing],
        plans: Mapping[str, SeriesPlan],
        record: Mapping[SeriesKey, list[Gap]],
    ) -> dict[str, Fetch]:
        """The fetches of one kind by symbol, with as few queries of the store as possible."""
        plan = next(iter(plans.values()))
        reader = StoredTimes(self.store, plan.kind, plan.exchange, plan.timeframe)
        gaps = {symbol: record.get(plan.key, []) for symbol, plan in plans.items()}
        context = (self.period.start - _CONTEXT, self.period.end + _CONTEXT)
        times = reader.times(dict.fromkeys(plans, context))
        nearest = self._neighbours(listings, reader, times, gaps)
        extensions = {
            listing.symbol: self._extension(
                listing, plans[listing.symbol], gaps[listing.symbol], nearest[listing.symbol]
            )
            for listing in listings
        }
        wider = {symbol: extension.reach(context) for symbol, extension in extensions.items()}
        times |= reader.times(
            {symbol: reach for symbol, reach in wider.items() if reach != context}
        )
        return {
            symbol: self._fetch(extension, times[symbol], reader)
            for symbol, extension in extensions.items()
        }

    def _neighbours(
        self,
        listings: Sequence[Listing],
        reader: StoredTimes,
        times: Mapping[str, Times],
        gaps: Mapping[str, list[Gap]],
    ) -> dict[str, Neighbours]:
        """The neighbours of the period by symbol, searched farther away where there are none.

        Args:
            listings: of the symbols.
            reader: reads more times.
            times: by symbol, of the period and its context.
            gaps: on record, by symbol.
        """
        start, end = self.period.start, self.period.end
        step = FixedGrid.of(reader.timeframe).step if reader.timeframe else _MOMENT

        def of(symbol: str, far: Times) -> Neighbours:
            return neighbours(np.union1d(times[symbol], far), gaps[symbol], start, end, step)

        nearest = {listing.symbol: of(listing.symbol, NO_TIMES) for listing in listings}
        last_collections = {listing.symbol: self._last_collection(listing) for listing in listings}
        lone = [
            symbol
            for symbol in last_collections
            # One that was never collected may have been imported.
            if not nearest[symbol].inside and not len(times[symbol])
        ]
        newest = reader.newest(lone, start - _CONTEXT)
        oldest = reader.oldest(set(lone) - set(newest), end + _CONTEXT, self.period.now)
        nearest |= {symbol: of(symbol, far) for symbol, far in (newest | oldest).items()}
        for symbol, time in last_collections.items():
            if nearest[symbol].nowhere:
                # Nothing is on record, though it was collected: it did not trade yet.
                nearest[symbol] = replace(nearest[symbol], before=time)
        return nearest

    def _last_collection(self, listing: Listing) -> pd.Timestamp | None:
        """When a listing was last collected; None if it never was."""
        times = (self.last_listed[name] for name in listing.names if name in self.last_listed)
        return max(times, default=None)

    def _extension(
        self, listing: Listing, plan: SeriesPlan, gaps: list[Gap], near: Neighbours
    ) -> _Extension:
        """How far the series must be fetched: back or on to where it is on record."""
        whole, bridges = plan, []
        if not near.inside:
            if near.before is not None and near.after is None:
                whole = self._plan(listing, plan.kind, near.before)
            if near.after is not None and near.before is None and plan.end < near.after:
                bridges = [Span(plan.end, near.after, 0)]
        return _Extension(plan, whole, bridges, gaps, self.period.now, self.renew)

    def _fetch(self, extension: _Extension, times: Times, reader: StoredTimes) -> Fetch:
        """The fetch of a series; of a renamed one, what lies between its legs is part of it."""
        plan = extension.whole
        if all(leg.listed_as == plan.symbol for leg in plan.legs):
            return extension.fetch(times)
        times, seams = reader.all_times(plan.symbol), []
        for _, leg in pairwise(plan.legs):
            near = neighbours(times, extension.gaps, leg.start, leg.start, _MOMENT)
            if not near.inside and near.before is not None and near.after is not None:
                seams.append(Span(near.before, near.after, 0))
        seams = [seam for seam in seams if seam.start < seam.end]
        return replace(extension, bridges=[*extension.bridges, *seams]).fetch(times)


@dataclass(frozen=True)
class _Extension:
    """The plan of a series, and how far beyond its range it must be fetched.

    Attributes:
        plan: of the period's range.
        whole: the plan from where the series ends on record; ``plan`` itself if that is no earlier.
        bridges: spans from the range, or from a leg, to later rows on record.
        gaps: on record.
        now: the exchange's time.
        renew: since when stored rows are requested again; None: never.
    """

    plan: SeriesPlan
    whole: SeriesPlan
    bridges: list[Span]
    gaps: list[Gap]
    now: pd.Timestamp
    renew: pd.Timestamp | None

    def reach(self, context: TimeRange) -> TimeRange:
        """The times that are needed of the store, at least those of the context."""
        spans = [(gap.start, gap.end) for gap in due_gaps(self.gaps, self.whole.oldest, self.now)]
        spans += [(bridge.start, bridge.end) for bridge in self.bridges]
        if self.whole.start < self.whole.end:
            spans.append((self.whole.start, self.whole.end))
        low = min([context[0], *(start - _CONTEXT for start, _ in spans)])
        return low, max([context[1], *(end + _CONTEXT for _, end in spans)])

    def fetch(self, times: Times) -> Fetch:
        """The fetch of the whole, or of the plan alone if no hole before it is off record."""
        whole = Fetch(self.whole, times, self.gaps, self.now, self.bridges, self.renew)
        if self.whole is self.plan:
            return whole
        before = min(self.plan.start, self.plan.end)
        if self.whole.start < before and whole.has_holes_off_record(self.whole.start, before):
            return whole
        if self.plan.start >= self.plan.end and whole.has_holes_off_record(
            self.whole.start, self.whole.end
        ):
            return whole
        return Fetch(self.plan, times, self.gaps, self.now, self.bridges, self.renew)
