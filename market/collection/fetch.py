"""Fetching one series: requests in rounds for whatever may be missing, and the gaps afterwards.

A round requests all spans that may be missing. A span that the exchange has answered without a
fault counts as answered: of it, only the holes are requested again. There are three rounds at most.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from brain.errors import BrainError, LibraryError, NoSuchInstrumentError
from market.collection.gaps import (
    ENDED,
    IMPOSSIBLE,
    NO_ROW,
    NOT_FETCHED,
    TOO_OLD,
    GapRevision,
    absent,
    due_gaps,
    rests,
)
from market.collection.grid import (
    FixedGrid,
    Span,
    Times,
    as_stamp,
    as_time,
    join_spans,
    parts_outside,
)
from market.collection.listing import UNLISTED
from market.collection.outage import Outage
from market.collection.plan import Leg, SeriesPlan
from market.collection.results import Gap
from market.exchanges.base import Exchange, Page

__all__ = ["AddRows", "Fetch"]

_ROUNDS = 3
# Holes nearer than this many rows share a request: a page holds at least a hundred.
_NEAR = 100
_HOUR = pd.Timedelta(hours=1)

#: Called with a kind and new rows of it; returns once they are on their way to the store.
AddRows = Callable[[str, pd.DataFrame], Awaitable[None]]


class Fetch:
    """One series on its way to being complete.

    Args:
        plan: of the series.
        times: of the stored rows, with some rows around the range for context.
        gaps: on record; those that are due are requested again wherever they are.
        now: the exchange's time.
        bridges: further spans to request, such as from the range to later rows.
        renew: since when stored rows are requested again, and replaced where they differ; None:
            never.

    Attributes:
        plan: of the series.
        rows_new: rows that came and were not stored.
        rows_late: of them, rows outside the range.
        failure: of the last round; None: there was none.
    """

    def __init__(
        self,
        plan: SeriesPlan,
        times: Times,
        gaps: Sequence[Gap],
        now: pd.Timestamp,
        bridges: Sequence[Span] = (),
        renew: pd.Timestamp | None = None,
    ) -> None:
        self.plan = plan
        self.rows_new = 0
        self.rows_late = 0
        self.failure: BrainError | None = None
        self._times = times
        # Stored rows that are requested again, until they come.
        self._stale = times[:0] if renew is None else times[times >= as_time(renew)]
        self._impossible: dict[int, str] = {}
        self._gaps = gaps
        whole = [Span(plan.start, plan.end, 0)] if plan.start < plan.end else []
        again = _spans(due_gaps(gaps, plan.oldest, now))
        self._scope = join_spans([*whole, *again, *bridges], pd.Timedelta(microseconds=1))
        # A resting gap counts as answered; a former absence is requested once.
        self._resting = [gap for gap in gaps if rests(gap, now)]
        self._answers = _spans(self._resting)
        self._absences = _spans(gap for gap in gaps if absent(gap))
        self._idle_from_start = self.idle

    # --- before -----------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether there is nothing to request."""
        return not self._requests()

    def first_revision(self) -> GapRevision | None:
        """The holes to record before anything is fetched; None if all are on record."""
        gaps = [gap for span in self._scope for gap in self._off_record(span.start, span.end)]
        if not gaps:
            return None
        scope = tuple(Span(gap.start, gap.end, gap.count) for gap in gaps)
        return GapRevision(self.plan.key, self.plan.grid, scope, tuple(gaps))

    def has_holes_off_record(self, start: pd.Timestamp, end: pd.Timestamp) -> bool:
        """Whether anything in ``[start, end)`` is neither stored nor recorded as a gap."""
        return any(True for _ in self._off_record(start, end))

    def _off_record(self, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[Gap]:
        for low, high in parts_outside(start, end, _spans(self._gaps)):
            yield from self._gaps_in([Span(low, high, 0)])

    # --- fetching ---------------------------------------------------------------------------------

    async def run(self, exchange: Exchange, add_rows: AddRows, outage: Outage) -> None:
        """Request in rounds; new rows go to ``add_rows`` as they come.

        Args:
            exchange: of the series.
            add_rows: stores rows.
            outage: of the exchange; nothing is requested while it is down.

        Raises:
            SeriesStoreError: rows can't be stored.
        """
        for _ in range(_ROUNDS):
            requests = self._requests()
            if not requests:
                self.failure = None  # the rows before the fault were all that exist
                return
            rows_before, self.failure = len(self._times), None
            answers = 0
            for leg, span in requests:
                error: BrainError | None = await outage.check()
                if error is None:
                    error = await self._request(exchange, leg, span, add_rows)
                    outage.note(self.plan.symbol, error)
                if error is None:
                    self._answers.append(span)
                    answers += 1
                else:
                    self.failure = error
            partial = answers > 0 and self.failure is not None
            if len(self._times) == rows_before and not partial:
                return  # there are no rows, or none to be had: the client has tried long enough

    async def _request(
        self, exchange: Exchange, leg: Leg, span: Span, add_rows: AddRows
    ) -> BrainError | None:
        """Request a span of a leg; returns the exchange's fault, if there is one."""
        try:
            async for page in self._pages(exchange, leg, span):
                await add_rows(self.plan.kind, self._new_rows(page))
        except LibraryError:
            raise  # a fault of the store, not of the exchange
        except BrainError as error:
            # An exchange may have nothing of an instrument that it no longer lists. Any other
            # refusal says nothing about the instrument.
            nothing = isinstance(error, NoSuchInstrumentError)
            return None if nothing and leg.instrument.status == UNLISTED else error
        return None

    def _pages(self, exchange: Exchange, leg: Leg, span: Span) -> AsyncIterator[Page]:
        kind, timeframe = self.plan.kind, self.plan.timeframe
        if kind == "candles":
            return exchange.candles(leg.instrument, timeframe, span.start, span.end)
        if kind == "open_interest":
            return exchange.open_interest(leg.instrument, timeframe, span.start, span.end)
        return exchange.funding(leg.instrument, span.start, span.end)

    def _new_rows(self, page: Page) -> pd.DataFrame:
        """The page's rows that are not stored, which are counted, and those that are renewed."""
        self._impossible |= {as_time(time): fault for time, fault in page.impossible.items()}
        times = page.rows["time"].astype("datetime64[us, UTC]").astype("int64").to_numpy()
        new = ~np.isin(times, self._times)
        rows = page.rows[new | np.isin(times, self._stale)]
        self._stale = np.setdiff1d(self._stale, times)
        if new.any():
            arrived = np.unique(times[new])
            self.rows_new += len(arrived)
            start, end = as_time(self.plan.start), as_time(self.plan.end)
            self.rows_late += int(((arrived < start) | (arrived >= end)).sum())
            self._times = np.union1d(self._times, arrived)
        return rows

    # --- after ------------------------------------------------------------------------------------

    def last_revision(self) -> GapRevision | None:
        """The gaps to record at the end; None if they are on record and nothing was requested."""
        gaps = tuple(self._with_check(gap) for gap in self._gaps_in(self._scope))
        if self._idle_from_start and gaps == tuple(sorted(self._on_record())):
            return None
        return GapRevision(self.plan.key, self.plan.grid, tuple(self._scope), gaps)

    def _with_check(self, gap: Gap) -> Gap:
        """The gap with the times of a resting gap that holds it: that was not requested now."""
        for old in self._resting:
            if old.start <= gap.start and gap.end <= old.end:
                return replace(gap, reason_since=old.reason_since, checked=old.checked)
        return gap

    def _on_record(self) -> Iterator[Gap]:
        """The recorded gaps within the scope."""
        for gap in self._gaps:
            for span in self._scope:
                start, end = max(gap.start, span.start), min(gap.end, span.end)
                if start < end:
                    yield gap.part(start, end, self.plan.grid.count)

    def rows_in_range(self) -> int:
        """How many rows of the range are stored."""
        start, end = as_time(self.plan.start), as_time(self.plan.end)
        return int(((self._times >= start) & (self._times < end)).sum())

    def gaps_in_range(self) -> list[Gap]:
        """The gaps of the range."""
        if self.plan.start >= self.plan.end:
            return []
        return self._gaps_in([Span(self.plan.start, self.plan.end, 0)])

    # --- what is missing --------------------------------------------------------------------------

    def _requests(self) -> list[tuple[Leg, Span]]:
        """What may be missing and has no answer, and the holes in what has; by leg."""
        requests: list[tuple[Leg, Span]] = []
        for leg, start, end in self._by_leg(self._scope):
            low = start if self.plan.oldest is None else max(start, self.plan.oldest)
            spans = [*self._spans_to_request(leg, low, end), *self._spans_to_renew(low, end)]
            step = leg.grid.step if isinstance(leg.grid, FixedGrid) else _HOUR
            requests += [(leg, span) for span in join_spans(spans, _NEAR * step)]
        return requests

    def _spans_to_request(self, leg: Leg, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[Span]:
        """The holes, without former absences that have an answer now."""
        for span, has_answer in self._holes(leg, start, end):
            if not has_answer:
                yield span
                continue
            for low, high in parts_outside(span.start, span.end, self._absences):
                if count := leg.grid.count(low, high):
                    yield Span(low, high, count)

    def _spans_to_renew(self, start: pd.Timestamp, end: pd.Timestamp) -> list[Span]:
        """From the first to the last stale row of each part that has no answer yet."""
        spans: list[Span] = []
        for low, high in parts_outside(start, end, self._answers):
            stale = self._stale[(self._stale >= as_time(low)) & (self._stale < as_time(high))]
            if len(stale):
                last = as_stamp(stale[-1]) + pd.Timedelta(microseconds=1)
                spans.append(Span(as_stamp(stale[0]), last, len(stale)))
        return spans

    def _by_leg(self, spans: Sequence[Span]) -> Iterator[tuple[Leg, pd.Timestamp, pd.Timestamp]]:
        """The parts of the spans that each leg has: leg, start and end."""
        for span in spans:
            for leg in self.plan.legs:
                start, end = max(span.start, leg.start), min(span.end, leg.end)
                if start < end:
                    yield leg, start, end

    def _holes(
        self, leg: Leg, start: pd.Timestamp, end: pd.Timestamp
    ) -> Iterator[tuple[Span, bool]]:
        """The leg's holes in ``[start, end)``, and whether the exchange has answered for them."""
        if start >= end:
            return
        first, last = as_time(leg.start), as_time(leg.end)
        # An impossible row is none that is absent: it has a gap of its own.
        times = np.union1d(self._times, np.fromiter(self._impossible, np.int64))
        times = times[(times >= first) & (times < last)]
        unanswered = parts_outside(start, end, self._answers)
        for low, high in unanswered:
            for span in leg.grid.possible_holes(times, low, high):
                yield span, False
        for low, high in parts_outside(start, end, [Span(*part, 0) for part in unanswered]):
            for span in leg.grid.holes(times, low, high):
                yield span, True

    def _gaps_in(self, spans: Sequence[Span]) -> list[Gap]:
        """What is missing in the spans, and why."""
        gaps: list[Gap] = []
        oldest = self.plan.oldest
        for leg, start, end in self._by_leg(spans):
            gaps += self._impossible_gaps(leg, start, end)
            edge = start if oldest is None else min(max(start, oldest), end)
            gaps += [
                Gap(span.start, span.end, span.count, f"{TOO_OLD} ({self.plan.retention})")
                for span, _ in self._holes(leg, start, edge)
            ]
            for span, has_answer in self._holes(leg, edge, end):
                if has_answer:
                    gaps += _absent_gaps(leg, span)
                else:
                    gaps.append(Gap(span.start, span.end, span.count, self._reason))
        return sorted(gaps)

    def _impossible_gaps(self, leg: Leg, start: pd.Timestamp, end: pd.Timestamp) -> list[Gap]:
        """The gaps of impossible rows in ``[start, end)``; equal ones in a row are one."""
        step = leg.grid.step if isinstance(leg.grid, FixedGrid) else _HOUR
        gaps: list[Gap] = []
        for time in sorted(set(self._impossible) - set(self._times.tolist())):
            low = as_stamp(time)
            if not start <= low < end:
                continue
            gap = Gap(low, low + step, 1, f"{IMPOSSIBLE}: {self._impossible[time]}")
            last = gaps[-1] if gaps else None
            if last is not None and (last.end, last.reason) == (gap.start, gap.reason):
                gaps[-1] = replace(last, end=gap.end, count=last.count + 1)
            else:
                gaps.append(gap)
        return gaps

    @property
    def _reason(self) -> str:
        """Why a span without an answer is missing."""
        return NOT_FETCHED if self.failure is None else f"request failed: {self.failure}"


def _spans(gaps: Iterable[Gap]) -> list[Span]:
    return [Span(gap.start, gap.end, gap.count) for gap in gaps]


def _absent_gaps(leg: Leg, span: Span) -> list[Gap]:
    """The gaps of a span that the exchange has answered for: it has no rows there.

    From when the exchange last listed the instrument, the reason is that it may have ended.
    """
    if leg.last_listed is None or leg.last_listed >= span.end:
        return [Gap(span.start, span.end, span.count, NO_ROW)]
    grid = leg.grid if isinstance(leg.grid, FixedGrid) else FixedGrid(_HOUR)
    edge = max(span.start, min(grid.ceil(leg.last_listed), span.end))
    late = span.count if edge == span.start else min(leg.grid.count(edge, span.end), span.count)
    gaps = [
        Gap(span.start, edge, span.count - late, NO_ROW),
        Gap(edge, span.end, late, ENDED),
    ]
    return [gap for gap in gaps if gap.count]
