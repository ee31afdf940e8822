"""Making one series complete: what is missing is asked for, and asked for again.

A round asks for everything that could be missing. What an exchange has answered without a fault
counts as asked; of that, only the holes that are left are asked for again. Three rounds at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from brain.errors import (
    BrainError,
    ExchangeBlockedError,
    ExchangeUnreachableError,
    LibraryError,
    MarketError,
    NoSuchInstrumentError,
    RateLimitedError,
)
from market.collection.gaps import (
    ENDED,
    NO_ROW,
    NOT_FETCHED,
    TOO_OLD,
    GapRevision,
    absent,
    rests,
)
from market.collection.grid import FixedGrid, Span, Times, as_time, as_times, join_spans, outside
from market.collection.plan import GONE, Leg, Series
from market.collection.results import Gap
from market.exchanges.base import Exchange

__all__ = ["PAUSES", "Fetch", "Outage", "due"]

_ROUNDS = 3
# Holes nearer than this many rows are got by one request: a page holds at least a hundred.
_NEAR = 100

#: Seconds after which an exchange that went silent is tried again, before it is given up.
PAUSES = (15.0, 45.0, 120.0)

Add = Callable[[str, pd.DataFrame], Awaitable[None]]


class Outage:
    """Whether an exchange still answers: after three symbols in a row that it did not, it is down.

    It is tried again after some pauses, lest a short outage costs the whole night.
    One that wants fewer requests, after all the waiting that it asked for, is down at once, and so
    is one that serves nobody from here.
    """

    _LIMIT = 3

    def __init__(self, pauses: Sequence[float] = PAUSES) -> None:
        self.error: MarketError | None = None
        self._silent: set[str] = set()
        self._pauses = tuple(pauses)
        self._left = list(pauses)
        self._final = False
        self._waiting = asyncio.Lock()

    async def standing(self) -> MarketError | None:
        """Why not to ask; None to ask. Waits a while if it may only have been a short one."""
        if self.error is None:
            return None
        async with self._waiting:  # one waits for all
            if self.error is not None and self._left and not self._final:
                await asyncio.sleep(self._left.pop(0))
                self.error = self.error if self._final else None
        return self.error

    def note(self, symbol: str, error: BrainError | None) -> None:
        """What became of a request for a symbol."""
        if isinstance(error, RateLimitedError | ExchangeBlockedError):
            self.error, self._final = error, True
        elif isinstance(error, ExchangeUnreachableError):
            self._silent.add(symbol)
            if len(self._silent) >= self._LIMIT:
                self.error = error
        else:
            self._silent.clear()
            self._left = list(self._pauses)


class Fetch:
    """One series on its way to being complete.

    Args:
        series: what is to be collected.
        times: what is stored, with some rows around the range for context.
        recorded: gaps that are recorded already; those that are :func:`due` are asked for again
            wherever they are.
        now: the exchange's time; None: every gap is due.
        between: further windows to ask for, such as between the range and what is known.
    """

    def __init__(
        self,
        series: Series,
        times: Times,
        recorded: Sequence[Gap],
        now: pd.Timestamp | None = None,
        between: Sequence[Span] = (),
    ) -> None:
        self.series = series
        self.new = 0
        self.late = 0
        self.failure: BrainError | None = None
        self._times = times
        self._recorded = recorded
        whole = [Span(series.start, series.end, 0)] if series.start < series.end else []
        again = [Span(gap.start, gap.end, 0) for gap in due(series, recorded, now)]
        self._windows = join_spans([*whole, *again, *between], pd.Timedelta(microseconds=1))
        # What rests counts as asked; what was absent before is asked for once.
        self._resting = [gap for gap in recorded if now is not None and rests(gap, now)]
        self._asked = [Span(gap.start, gap.end, 0) for gap in self._resting]
        self._absent = [Span(gap.start, gap.end, 0) for gap in recorded if absent(gap)]
        self._untouched = self.idle

    # --- before -----------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether there is nothing to ask for."""
        return not self._asks()

    def ahead(self) -> GapRevision | None:
        """What has to be recorded before anything is fetched; None if it all is already."""
        fresh = [gap for window in self._windows for gap in self._unknown(window.start, window.end)]
        if not fresh:
            return None
        scope = tuple(Span(gap.start, gap.end, gap.count) for gap in fresh)
        return GapRevision(self.series.key, self.series.grid, scope, tuple(fresh))

    def unknown(self, start: pd.Timestamp, end: pd.Timestamp) -> bool:
        """Whether anything in the range is neither stored nor recorded."""
        return any(True for _ in self._unknown(start, end))

    def _unknown(self, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[Gap]:
        known = [Span(gap.start, gap.end, gap.count) for gap in self._recorded]
        for low, high in outside(start, end, known):
            yield from self._missing([Span(low, high, 0)])

    # --- fetching ---------------------------------------------------------------------------------

    async def run(self, exchange: Exchange, add: Add, outage: Outage) -> None:
        """Ask in rounds; rows go to ``add`` as they come, and faults to :attr:`failure`."""
        for _ in range(_ROUNDS):
            asks = self._asks()
            if not asks:
                self.failure = None  # what came before the fault was all that there is
                return
            before, self.failure, answered = len(self._times), None, False
            for leg, span in asks:
                error: BrainError | None = await outage.standing()
                if error is None:
                    error = await self._ask(exchange, leg, span, add)
                    outage.note(self.series.symbol, error)
                if error is None:
                    self._asked.append(span)
                else:
                    self.failure = error
                answered |= error is None
            came = len(self._times) > before
            if not came and not (answered and self.failure is not None):
                return  # it is not there, or cannot be had: its client has tried for long enough

    async def _ask(self, exchange: Exchange, leg: Leg, span: Span, add: Add) -> BrainError | None:
        try:
            async for page in self._pages(exchange, leg, span):
                await add(self.series.kind, self._fresh(page))
        except LibraryError:
            raise  # ours to store, not the exchange's to give
        except BrainError as error:
            # That nothing remains of an instrument that it struck off is no fault. Any other
            # refusal tells nothing about the instrument.
            absent = isinstance(error, NoSuchInstrumentError)
            return None if absent and leg.instrument.status == GONE else error
        return None

    def _pages(self, exchange: Exchange, leg: Leg, span: Span) -> AsyncIterator[pd.DataFrame]:
        kind, timeframe = self.series.kind, self.series.timeframe
        if kind == "candles":
            return exchange.candles(leg.instrument, timeframe, span.start, span.end)
        if kind == "open_interest":
            return exchange.open_interest(leg.instrument, timeframe, span.start, span.end)
        return exchange.funding(leg.instrument, span.start, span.end)

    def _fresh(self, page: pd.DataFrame) -> pd.DataFrame:
        """The rows that are not stored yet."""
        times = page["time"].astype("datetime64[us, UTC]").astype("int64").to_numpy()
        fresh = page[~np.isin(times, self._times)]
        if len(fresh):
            came = as_times(fresh["time"])
            self.new += len(came)
            start, end = as_time(self.series.start), as_time(self.series.end)
            self.late += int(((came < start) | (came >= end)).sum())
            self._times = np.union1d(self._times, came)
        return fresh

    # --- after ------------------------------------------------------------------------------------

    def revision(self) -> GapRevision | None:
        """What the record has to say now; None if that is what it says, and nothing was asked."""
        gaps = tuple(self._dated(gap) for gap in self._missing(self._windows))
        if self._untouched and gaps == tuple(sorted(self._on_record())):
            return None
        return GapRevision(self.series.key, self.series.grid, tuple(self._windows), gaps)

    def _dated(self, gap: Gap) -> Gap:
        """With when it was asked for, if that was not now."""
        for old in self._resting:
            if old.start <= gap.start and gap.end <= old.end:
                return replace(gap, found=old.found, checked=old.checked)
        return gap

    def _on_record(self) -> Iterator[Gap]:
        """What is recorded within the windows."""
        for gap in self._recorded:
            for window in self._windows:
                start, end = max(gap.start, window.start), min(gap.end, window.end)
                if start < end:
                    whole = (start, end) == (gap.start, gap.end)
                    count = gap.count if whole else self.series.grid.count(start, end)
                    yield replace(gap, start=start, end=end, count=count)

    def outcome(self) -> tuple[int, list[Gap]]:
        """Rows that are stored in the range that was asked for, and the gaps in it."""
        series = self.series
        if series.start >= series.end:
            return 0, []
        start, end = as_time(series.start), as_time(series.end)
        stored = int(((self._times >= start) & (self._times < end)).sum())
        return stored, self._missing([Span(series.start, series.end, 0)])

    # --- what is missing --------------------------------------------------------------------------

    def _asks(self) -> list[tuple[Leg, Span]]:
        """What to ask for: what could be missing and was not asked for, and the holes left."""
        asks: list[tuple[Leg, Span]] = []
        for leg, start, end in self._parts(self._windows):
            kept = start if self.series.reach is None else max(start, self.series.reach)
            spans = list(self._wanted(leg, kept, end))
            step = leg.grid.step if isinstance(leg.grid, FixedGrid) else pd.Timedelta(hours=1)
            asks += [(leg, span) for span in join_spans(spans, _NEAR * step)]
        return asks

    def _wanted(self, leg: Leg, start: pd.Timestamp, end: pd.Timestamp) -> Iterator[Span]:
        """The holes, without those that were absent before and asked for already."""
        for span, asked in self._holes(leg, start, end):
            if not asked:
                yield span
                continue
            for low, high in outside(span.start, span.end, self._absent):
                if count := leg.grid.count(low, high):
                    yield Span(low, high, count)

    def _parts(self, windows: Sequence[Span]) -> Iterator[tuple[Leg, pd.Timestamp, pd.Timestamp]]:
        """The windows by leg."""
        for window in windows:
            for leg in self.series.legs:
                start, end = max(window.start, leg.start), min(window.end, leg.end)
                if start < end:
                    yield leg, start, end

    def _holes(
        self, leg: Leg, start: pd.Timestamp, end: pd.Timestamp
    ) -> Iterator[tuple[Span, bool]]:
        """The holes, and whether they were asked for."""
        if start >= end:
            return
        first, last = as_time(leg.start), as_time(leg.end)
        times = self._times[(self._times >= first) & (self._times < last)]
        unasked = outside(start, end, self._asked)
        for low, high in unasked:
            for span in leg.grid.unasked(times, low, high):
                yield span, False
        for low, high in outside(start, end, [Span(low, high, 0) for low, high in unasked]):
            for span in leg.grid.holes(times, low, high):
                yield span, True

    def _missing(self, windows: Sequence[Span]) -> list[Gap]:
        """What is missing in the windows, and why."""
        gaps: list[Gap] = []
        reach = self.series.reach
        for leg, start, end in self._parts(windows):
            edge = start if reach is None else min(max(start, reach), end)
            gaps += [
                Gap(s.start, s.end, s.count, self._beyond) for s, _ in self._holes(leg, start, edge)
            ]
            for span, asked in self._holes(leg, edge, end):
                if asked:
                    gaps += _absence(leg, span)
                else:
                    gaps.append(Gap(span.start, span.end, span.count, self._unasked))
        return sorted(gaps)

    @property
    def _unasked(self) -> str:
        return NOT_FETCHED if self.failure is None else f"request failed: {self.failure}"

    @property
    def _beyond(self) -> str:
        return f"{TOO_OLD} ({self.series.keeps})"


def due(series: Series, recorded: Iterable[Gap], now: pd.Timestamp | None) -> list[Gap]:
    """The recorded gaps that are to be asked for again."""
    found: list[Gap] = []
    for gap in recorded:
        if gap.reason.startswith(TOO_OLD):
            # It gets no younger, but we may have learnt that more is kept.
            wanted = series.reach is None or gap.end > series.reach
        else:
            wanted = now is None or not rests(gap, now)
        found += [gap] if wanted else []
    return found


def _absence(leg: Leg, span: Span) -> list[Gap]:
    """What an exchange was asked for and does not have."""
    if leg.doubtful is None or leg.doubtful >= span.end:
        return [Gap(span.start, span.end, span.count, NO_ROW)]
    step = leg.grid if isinstance(leg.grid, FixedGrid) else FixedGrid(pd.Timedelta(hours=1))
    cut = max(span.start, min(step.ceil(leg.doubtful), span.end))
    late = span.count if cut == span.start else min(leg.grid.count(cut, span.end), span.count)
    parts = [
        Gap(span.start, cut, span.count - late, NO_ROW),
        Gap(cut, span.end, late, ENDED),
    ]
    return [part for part in parts if part.count]
