"""What the clients of the three exchanges share: one HTTP client, the exchange's clock, paging."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Sized
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import ExchangeShapeError, InputError
from brain.series.bars import parse_timeframe
from market.exchanges.base import (
    FUNDING_HOURS,
    Exchange,
    Instrument,
    OddRow,
    Page,
    Probe,
    canonical,
)
from market.exchanges.pages import (
    FUNDING_CONTEXT,
    INSTANT,
    MILLISECOND,
    candle_page,
    clip,
    funding_page,
    interest_page,
    spoil,
    strange_settlements,
    window_pages,
    windows,
)
from market.exchanges.table import FAULT
from market.http.client import Client, RetryPolicy
from market.http.limits import Limit
from market.http.parser import Parser, milliseconds
from market.http.refusals import Answer, Refusal

__all__ = ["HOUR", "MINUTE", "SMALLEST_LIMIT", "RestExchange", "funding_hours"]

#: Milliseconds.
MINUTE = 60_000
HOUR = 60 * MINUTE

#: The smallest of the exchanges' page limits: a page with fewer rows is not cut off.
SMALLEST_LIMIT = 100

_CLOCK_SECONDS = 60.0  # until the exchange's clock is requested again
_HOUR = pd.Timedelta(hours=1)

logger = logging.getLogger(__name__)


class RestExchange(Exchange):
    """An exchange with a client of our own.

    Args:
        base_url: instead of the exchange's own; a user and password in it are sent, never shown.
        timeout: seconds that one attempt may last.
        parallel: requests under way at once, at most.
        retries: how often and how long failed requests are repeated.

    Raises:
        InputError: the base URL is none.
    """

    #: The exchange's own address.
    url: ClassVar[str]
    #: Its rate limits.
    limits: ClassVar[tuple[Limit, ...]]
    #: Its names of timeframes, of candles and of open interest.
    candle_timeframes: ClassVar[Mapping[str, str]]
    interest_timeframes: ClassVar[Mapping[str, str]]
    #: Rows of a page of candles and of open interest, at most.
    candle_rows: ClassVar[int]
    interest_rows: ClassVar[int]
    #: The names of its endpoints, by what is requested from them: clock, instruments, ….
    endpoints: ClassVar[Mapping[str, str]]
    #: The fields of a listed instrument that hold its id, base and quote.
    listing_fields: ClassVar[tuple[str, str, str]]
    #: The instrument of the probes.
    bitcoin: ClassVar[Instrument]

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float = 10.0,
        parallel: int = 8,
        retries: RetryPolicy | None = None,
    ) -> None:
        self.client = Client(
            base_url or self.url,
            service=self.name,
            limits=self.limits,
            refusal=self.refusal,
            pause=self.pause,
            timeout=timeout,
            parallel=parallel,
            retries=retries,
        )
        self._instruments: dict[str, Instrument] | None = None
        self._odd_rows: list[OddRow] = []
        self._instruments_lock = asyncio.Lock()
        self._clock: tuple[pd.Timestamp, float] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.client.host})"

    @abstractmethod
    def refusal(self, answer: Answer) -> Refusal | None:
        """The exchange's own error in an answer; None: the HTTP status decides."""

    def pause(self, headers: Mapping[str, str]) -> float:
        """Seconds without any request that an answer's headers ask for, or 0."""
        return 0.0

    def parser(self, endpoint: str) -> Parser:
        """A parser of that endpoint's answers."""
        return Parser(self.name, endpoint)

    def check_timeframe(self, timeframe: str) -> None:
        self._timeframe_name(timeframe, self.candle_timeframes, "candles")
        self._timeframe_name(timeframe, self.interest_timeframes, "open interest")

    async def instruments(self) -> dict[str, Instrument]:
        async with self._instruments_lock:
            if self._instruments is None:
                self._instruments = await self._fetch_instruments()
            return dict(self._instruments)

    @property
    def odd_rows(self) -> tuple[OddRow, ...]:
        return tuple(self._odd_rows)

    async def now(self) -> pd.Timestamp:
        """The exchange's clock, requested once a minute; never ahead of the exchange's own."""
        elapsed = asyncio.get_running_loop().time
        if self._clock is None or elapsed() - self._clock[1] > _CLOCK_SECONDS:
            server = await self.server_time()
            self._clock = server, elapsed()
        server, since = self._clock
        return server + pd.Timedelta(seconds=elapsed() - since)

    async def candles(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[Page]:
        name = self._timeframe_name(timeframe, self.candle_timeframes, "candles")
        step = parse_timeframe(timeframe)
        closed = await self.now() - step  # what opened by then is closed by now
        end = min(end, closed + INSTANT)
        span = (self.candle_rows - 1) * (step // MILLISECOND)

        async def page(first: int, last: int) -> Page:
            rows = await self._fetch_candles(instrument, name, step, first, last)
            parser = self.parser(self.endpoints["candles"])
            return candle_page(instrument, timeframe, step, clip(parser, rows, first, last))

        async for one in window_pages(page, windows(milliseconds(start), milliseconds(end), span)):
            yield one

    async def funding(
        self, instrument: Instrument, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[Page]:
        until = min(end + FUNDING_CONTEXT, await self.now() + INSTANT)
        first, last = milliseconds(start - FUNDING_CONTEXT), milliseconds(until)
        rows = await self._fetch_funding(instrument, first, last)
        if not len(rows):
            return
        # Exchanges settle some milliseconds late; the minute is a settlement's time. Two stamps in
        # one minute differ, whatever the rates: one of the rows may be of another settlement.
        rows = rows.assign(time=rows["time"].dt.floor("min"), stamp=rows["time"])
        parser = self.parser(self.endpoints["funding"])
        rows = clip(parser, rows, first // MINUTE * MINUTE, last).drop(columns="stamp")
        hours = await self._funding_hours(instrument)
        rows = rows.sort_values("time", ignore_index=True)
        strange = strange_settlements(pd.DatetimeIndex(rows["time"]), hours)
        page = funding_page(instrument, self._spoil_settlements(rows, strange), hours, strange)
        low, high = start, min(end, until)
        inside = (page.rows["time"] >= low) & (page.rows["time"] < high)
        impossible = {time: fault for time, fault in page.impossible.items() if low <= time < high}
        yield Page(page.rows[inside].reset_index(drop=True), impossible)
        if page.error is not None:
            raise page.error

    def _spoil_settlements(
        self, rows: pd.DataFrame, strange: npt.NDArray[np.bool_]
    ) -> pd.DataFrame:
        """The settlements, those whose time was shifted with that as their fault."""
        if not strange.any():
            return rows
        first = rows["time"][int(strange.argmax())]
        error = self.parser(self.endpoints["funding"]).shape_error(
            "the time of settlement", f"{first:%Y-%m-%d %H:%M} is at no multiple of its interval"
        )
        return spoil(rows, strange, error)

    async def open_interest(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[Page]:
        name = self._timeframe_name(timeframe, self.interest_timeframes, "open interest")
        step, now = parse_timeframe(timeframe), await self.now()
        oldest = self.oldest("open_interest", timeframe, now)
        start = start if oldest is None else max(start, oldest)
        end = min(end, now - step + INSTANT)  # the period that runs is not history yet
        span = (self.interest_rows - 1) * (step // MILLISECOND)

        async def page(first: int, last: int) -> Page:
            rows = await self._fetch_interest(instrument, name, step, first, last)
            parser = self.parser(self.endpoints["interest"])
            return interest_page(instrument, timeframe, step, clip(parser, rows, first, last))

        async for one in window_pages(page, windows(milliseconds(start), milliseconds(end), span)):
            yield one

    def probes(self) -> list[Probe]:
        return [
            self._probe(self.endpoints[name], request)
            for name, request in self._probe_requests().items()
        ]

    def _probe_requests(self) -> dict[str, Callable[[], Awaitable[Sized]]]:
        """What sends the requests of the probes, by the key of the endpoint."""
        coin = self.bitcoin

        async def clock() -> Sized:
            return [await self.server_time()]

        async def candles() -> Sized:
            name = self.candle_timeframes["1h"]
            return await self._fetch_candles(coin, name, _HOUR, *await self._last_hours(12))

        async def funding() -> Sized:
            return await self._fetch_funding(coin, *await self._last_hours(48))

        async def interest() -> Sized:
            name = self.interest_timeframes["1h"]
            return await self._fetch_interest(coin, name, _HOUR, *await self._last_hours(12))

        return {
            "clock": clock,
            "instruments": self._fetch_instruments,
            "candles": candles,
            "funding": funding,
            "interest": interest,
            "snapshot": lambda: self.snapshot(coin),
        }

    def _probe(self, endpoint: str, request: Callable[[], Awaitable[Sized]]) -> Probe:
        async def run() -> None:
            answer = await request()
            if len(answer) == 0:
                raise self.parser(endpoint).shape_error("the answer", "is empty")
            if errors := _errors(answer) + [row.error for row in self._odd_rows]:
                raise errors[0]

        return Probe(endpoint, run)

    async def _last_hours(self, hours: int) -> tuple[int, int]:
        now = await self.now()
        return milliseconds(now - hours * _HOUR), milliseconds(now)

    async def close(self) -> None:
        await self.client.close()

    # --- what differs between the exchanges -------------------------------------------------------

    @abstractmethod
    async def _fetch_instruments(self) -> dict[str, Instrument]:
        """The instruments by symbol."""

    @abstractmethod
    async def _fetch_candles(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        """At least the candles that opened in ``[first, last)``, milliseconds.

        Args:
            instrument: of the candles.
            timeframe: by the exchange's name.
            step: the timeframe's length.
            first, last: the window, of at most one page.

        Returns:
            time, open, high, low, close, volume, quote_volume and fault
            (:data:`market.exchanges.table.FAULT`).
        """

    @abstractmethod
    async def _fetch_funding(self, instrument: Instrument, first: int, last: int) -> pd.DataFrame:
        """At least the settlements in ``[first, last)``: time, rate, mark_price, fault."""

    @abstractmethod
    async def _fetch_interest(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        """At least the open interest stamped in ``[first, last)``: time, base, usd, fault.

        The arguments are those of :meth:`market.exchanges.rest.RestExchange._fetch_candles`.
        """

    async def _funding_hours(self, instrument: Instrument) -> float | None:
        """Hours between settlements, where the interval does not follow from the neighbours."""
        return instrument.funding_interval_hours

    # --- helpers ----------------------------------------------------------------------------------

    def _timeframe_name(self, timeframe: str, names: Mapping[str, str], history: str) -> str:
        parse_timeframe(timeframe)
        if timeframe not in names:
            raise InputError(
                f"{self.name} has no {history} of {timeframe!r}; it has {', '.join(names)}"
            )
        return names[timeframe]

    def _by_symbol(
        self, rows: Sequence[Any], parse: Callable[[Any], Instrument | None], live: str
    ) -> dict[str, Instrument]:
        """The instruments of a list by symbol; of several of one symbol, the first that trades.

        Args:
            rows: of the list.
            parse: makes a row's instrument; None: it is no linear perpetual.
            live: the status of one that trades.
        """
        instruments: list[Instrument] = []
        self._odd_rows = []
        for row in rows:
            try:
                instrument = parse(row)
            except ExchangeShapeError as error:
                self._odd_rows.append(self._odd_row(row, error))
            else:
                instruments += [] if instrument is None else [instrument]
        instruments = self._consistent(instruments)
        if self._odd_rows and not instruments:
            raise self._odd_rows[0].error  # the shape of all of them is another
        if self._odd_rows:
            first = self._odd_rows[0]
            name = f"{len(self._odd_rows)} of {len(rows)} instruments"
            logger.warning(
                "%s: %s can't be read, first %s: %s", self.name, name, first.id, first.error
            )
        by_symbol: dict[str, Instrument] = {}
        for instrument in sorted(instruments, key=lambda i: i.status != live):
            by_symbol.setdefault(instrument.symbol, instrument)
        return by_symbol

    def _consistent(self, instruments: Sequence[Instrument]) -> list[Instrument]:
        """The instruments without those of which two rows contradict each other."""
        by_id: dict[str, Instrument] = {}
        odd: dict[str, OddRow] = {}
        for one in instruments:
            if _contradict(by_id.setdefault(one.id, one), one):
                error = self.parser(self.endpoints["instruments"]).shape_error(
                    "two rows", f"of {one.id} contradict each other"
                )
                odd[one.id] = OddRow(one.id, one.symbol, error)
        self._odd_rows += odd.values()
        return [one for one in instruments if one.id not in odd]

    def _odd_row(self, row: Any, error: ExchangeShapeError) -> OddRow:
        """What can be said of a row that can't be read."""
        fields = row if isinstance(row, dict) else {}
        name, base, quote = (fields.get(field) for field in self.listing_fields)
        known = isinstance(base, str) and isinstance(quote, str)
        symbol = canonical(str(base), str(quote)) if known else None
        named = f"{name or symbol or 'an instrument without a name'}: {error}"
        return OddRow(name if isinstance(name, str) else None, symbol, ExchangeShapeError(named))


def _contradict(one: Instrument, other: Instrument) -> bool:
    """Whether two rows of an instrument differ in more than its moving on between requests."""
    if one.status != other.status:
        other = replace(other, status=one.status, delisted=one.delisted)
    return one != other


def funding_hours(
    parser: Parser, row: Any, field: str, *, unit: float = 1.0, optional: bool = False
) -> float | None:
    """Hours between settlements; None if the field is empty or 0.

    Args:
        parser: of the row.
        row: of an answer.
        field: of the row.
        unit: how many of the field's units make an hour.
        optional: whether the field may be missing.

    Raises:
        ExchangeShapeError: no exchange has such an interval.
    """
    value = parser.number(row, field, optional=optional)
    if np.isnan(value) or value == 0:
        return None
    if value / unit not in FUNDING_HOURS:
        raise parser.shape_error(f"field {field!r}", f"is {value:g}, no interval of settlements")
    return float(value / unit)


def _errors(answer: Sized) -> list[ExchangeShapeError]:
    """The errors of rows that can't be read."""
    if not isinstance(answer, pd.DataFrame) or FAULT not in answer:
        return []
    return [fault for fault in answer[FAULT] if isinstance(fault, ExchangeShapeError)]
