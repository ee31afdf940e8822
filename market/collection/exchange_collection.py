"""Collecting from one exchange: its listings and plans, gaps on record, then all series at once."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import pandas as pd

from brain.errors import BrainError, ExchangeShapeError, LibraryError, MarketError
from brain.series.store.store import SeriesStore
from market.collection.batches import Batches
from market.collection.fetch import Fetch
from market.collection.gaps import revise_gaps
from market.collection.listing import (
    Listing,
    check_odd_rows,
    instrument_rows,
    make_listing,
    read_members,
)
from market.collection.outage import Outage
from market.collection.plan import HISTORIES, Period
from market.collection.preparation import Preparation
from market.collection.request import CollectionRequest, Tally
from market.collection.results import SeriesResult
from market.exchanges.base import Exchange, Instrument

__all__ = ["ExchangeCollection", "run_all"]

logger = logging.getLogger(__name__)

# Series that are fetched at once from one exchange: enough to keep its client busy, few enough
# that series get done one after another.
_AT_ONCE = 12
# So far a snapshot may be from the exchange's clock, which is requested once a collection.
_PRESENT = pd.Timedelta(minutes=10)


class ExchangeCollection:
    """One collection from one exchange.

    Nothing is written for an exchange whose clock and instruments can't be had.

    Args:
        exchange: the exchange.
        request: of the collection.
        batches: stores rows and gaps.
        store: the series store, by its own names; used in the thread of ``batches`` alone.
        tally: gathers the results.
    """

    def __init__(
        self,
        exchange: Exchange,
        request: CollectionRequest,
        batches: Batches,
        store: SeriesStore,
        tally: Tally,
    ) -> None:
        self.exchange = exchange
        self.request = request
        self.batches = batches
        self.store = store
        self.tally = tally
        self.outage = Outage()
        self._gate = asyncio.Semaphore(_AT_ONCE)
        # The exchange's time, and the event loop's at that moment.
        self._clock = (pd.Timestamp(0, tz="UTC"), 0.0)

    async def run(self) -> None:
        """Collect everything; faults of the exchange become results.

        Raises:
            SeriesStoreError: the store can't be read or written.
        """
        names, errors = self.request.names_by_symbol()
        for name, error in errors.items():
            self.tally.fail([name], self.exchange.name, error)
        try:
            with self.batches.producer():
                instruments, now = await run_all(
                    self.exchange.instruments(), self.exchange.server_time()
                )
        except LibraryError:
            raise
        except Exception as error:
            if not isinstance(error, BrainError):
                logger.exception("%s failed", self.exchange.name)
                error = _unexpected(error)
            every_name = [name for aliases in names.values() for name in aliases]
            self.tally.fail(every_name, self.exchange.name, error)
            return
        self._clock = now, asyncio.get_running_loop().time()
        listings, last_listed = await self._listings(names, instruments, now)
        self._note_lacks(listings, names)
        period = self.request.period(now)
        fetches = await self.batches.call(lambda: self._prepare(listings, period, last_listed))
        snapshots = (self._snapshot(listing, names[listing.symbol], now) for listing in listings)
        histories = (self._history(fetch, names[fetch.plan.symbol], now) for fetch in fetches)
        await run_all(*histories, *snapshots)

    # --- what to collect --------------------------------------------------------------------------

    async def _listings(
        self,
        names: Mapping[str, Sequence[str]],
        instruments: Mapping[str, Instrument],
        now: pd.Timestamp,
    ) -> tuple[list[Listing], dict[str, pd.Timestamp]]:
        """The listings of the symbols, and when the exchange last listed each symbol.

        Args:
            names: of the request, by symbol; those that the exchange does not list fail.
            instruments: that the exchange lists, by symbol.
            now: the exchange's time.
        """
        exchange = self.exchange.name
        rows = await self.batches.call(lambda: self.store.read("instruments", exchange=exchange))
        members, last_listed = read_members(rows)
        listings: list[Listing] = []
        for symbol, aliases in names.items():
            former = self.request.former_names.get(symbol, ())
            try:
                check_odd_rows(symbol, former, instruments, members, self.exchange.odd_rows)
                listings.append(make_listing(symbol, former, instruments, members, exchange, now))
            except BrainError as error:
                self.tally.fail(aliases, exchange, error)
        return listings, last_listed

    def _prepare(
        self,
        listings: Sequence[Listing],
        period: Period,
        last_listed: Mapping[str, pd.Timestamp],
    ) -> list[Fetch]:
        """Compare what should exist with what is stored, and record the holes ahead.

        Only then are the instruments stored: a collection that is killed has either recorded its
        whole range, or the next one begins where this one did.
        """
        preparation = Preparation(
            self.store,
            self.exchange,
            self.request.timeframe,
            period,
            last_listed,
            self.request.renew,
        )
        fetches = [f for f in preparation.fetches(listings) if not self.exchange.lacks(f.plan.kind)]
        revisions = [revision for f in fetches if (revision := f.first_revision()) is not None]
        revise_gaps(self.store, self.exchange.name, revisions, period.now)
        self.store.upsert("instruments", instrument_rows(listings, period.now))
        return fetches

    def _note_lacks(self, listings: Sequence[Listing], names: Mapping[str, Sequence[str]]) -> None:
        """Add a note as the result of each history that the exchange does not offer."""
        for kind in HISTORIES:
            if reason := self.exchange.lacks(kind):
                timeframe = "" if kind == "funding" else self.request.timeframe
                result = SeriesResult(
                    "", self.exchange.name, kind, timeframe, None, 0, None, None, note=reason
                )
                for listing in listings:
                    self.tally.add(names[listing.symbol], result)

    # --- histories --------------------------------------------------------------------------------

    async def _history(self, fetch: Fetch, names: Sequence[str], now: pd.Timestamp) -> None:
        if not fetch.idle:
            async with self._gate:
                with self.batches.producer():
                    await self._run_guarded(fetch)
        await self.batches.settle(fetch.last_revision(), now)
        self.tally.add(names, _result(fetch))

    async def _run_guarded(self, fetch: Fetch) -> None:
        """Run a fetch; an unexpected error fails its series, and not the others."""
        try:
            await fetch.run(self.exchange, self.batches.add, self.outage)
        except LibraryError:
            raise
        except Exception as error:
            fetch.failure = _unexpected(error)
            logger.exception("%s failed", " ".join(fetch.plan.key))

    # --- snapshots --------------------------------------------------------------------------------

    async def _snapshot(self, listing: Listing, names: Sequence[str], now: pd.Timestamp) -> None:
        result = SeriesResult(listing.symbol, self.exchange.name, "snapshots", "", 0, 0, 0, 0)
        instrument = listing.live(now)
        if instrument is None:
            self.tally.add(names, dataclasses.replace(result, note="it trades no more"))
            return
        result = dataclasses.replace(result, expected=1, missing=1)
        async with self._gate:
            with self.batches.producer():
                failure: BrainError | None = await self.outage.check()
                if failure is None:
                    failure = await self._fetch_snapshot(instrument)
        if failure is None:
            await self.batches.settle(None, now)
            result = dataclasses.replace(result, rows_stored=1, rows_new=1, missing=0)
        self.tally.add(names, dataclasses.replace(result, failure=failure))

    async def _fetch_snapshot(self, instrument: Instrument) -> BrainError | None:
        try:
            row = await self.exchange.snapshot(instrument)
            self._check_present(row["time"][0])
            await self.batches.add("snapshots", row)
        except LibraryError:
            raise
        except BrainError as error:
            self.outage.note(instrument.symbol, error)
            return error
        except Exception as error:
            logger.exception("%s %s snapshots failed", instrument.symbol, self.exchange.name)
            return _unexpected(error)
        return None

    def _check_present(self, time: pd.Timestamp) -> None:
        """Check that a snapshot is of the present, by the exchange's clock.

        Raises:
            ExchangeShapeError: it is not.
        """
        clock, since = self._clock
        now = clock + pd.Timedelta(seconds=asyncio.get_running_loop().time() - since)
        if abs(time - now) > _PRESENT:
            raise ExchangeShapeError(
                f"{self.exchange.name}: a snapshot is of {time}, while the exchange's clock is at "
                f"{now}; one of the two is wrong: compare with its documentation"
            )


async def run_all(*works: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run all of them at once; the first error cancels the others and is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _unexpected(error: Exception) -> MarketError:
    return MarketError(f"{type(error).__name__}: {error}; the log has the details, report it")


def _result(fetch: Fetch) -> SeriesResult:
    plan, rows, gaps = fetch.plan, fetch.rows_in_range(), fetch.gaps_in_range()
    missing = sum(gap.count for gap in gaps)
    late = f"{fetch.rows_late:,} rows filled in outside the range" if fetch.rows_late else ""
    return SeriesResult(
        plan.symbol,
        plan.exchange,
        plan.kind,
        plan.timeframe,
        rows_stored=rows,
        rows_new=fetch.rows_new,
        expected=rows + missing,
        missing=missing,
        gaps=tuple(gaps),
        failure=fetch.failure,
        note="; ".join(filter(None, (plan.note, late))),
        start=plan.start,
        end=plan.end,
    )
