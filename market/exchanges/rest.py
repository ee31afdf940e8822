"""What the clients of the three exchanges share: one HTTP client, the exchange's clock, paging."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sized
from typing import ClassVar

import pandas as pd

from brain.errors import InputError
from brain.series.bars import parse_timeframe
from market.exchanges.base import Exchange, Instrument, Probe
from market.exchanges.pages import (
    FUNDING_CONTEXT,
    INSTANT,
    MILLISECOND,
    candle_page,
    clip,
    funding_page,
    interest_page,
    windows,
)
from market.http.client import Client, RetryPolicy
from market.http.limits import Limit
from market.http.parser import Parser, milliseconds
from market.http.refusals import Answer, Refusal

__all__ = ["SMALLEST_LIMIT", "RestExchange"]

#: The smallest of the exchanges' page limits: a page with fewer rows is not cut off.
SMALLEST_LIMIT = 100

_CLOCK_SECONDS = 60.0  # until the exchange's clock is requested again
_HOUR = pd.Timedelta(hours=1)


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
    ) -> AsyncIterator[pd.DataFrame]:
        name = self._timeframe_name(timeframe, self.candle_timeframes, "candles")
        step = parse_timeframe(timeframe)
        closed = await self.now() - step  # what opened by then is closed by now
        end = min(end, closed + INSTANT)
        span = (self.candle_rows - 1) * (step // MILLISECOND)
        for first, last in windows(milliseconds(start), milliseconds(end), span):
            rows = clip(await self._fetch_candles(instrument, name, step, first, last), first, last)
            if len(rows):
                yield candle_page(instrument, timeframe, step, rows)

    async def funding(
        self, instrument: Instrument, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[pd.DataFrame]:
        until = min(end + FUNDING_CONTEXT, await self.now() + INSTANT)
        first, last = milliseconds(start - FUNDING_CONTEXT), milliseconds(until)
        rows = await self._fetch_funding(instrument, first, last)
        if len(rows):
            hours = await self._funding_hours(instrument)
            page = funding_page(instrument, rows, hours)
            page = page[(page["time"] >= start) & (page["time"] < min(end, until))]
            if len(page):
                yield page.reset_index(drop=True)

    async def open_interest(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[pd.DataFrame]:
        name = self._timeframe_name(timeframe, self.interest_timeframes, "open interest")
        step, now = parse_timeframe(timeframe), await self.now()
        oldest = self.oldest("open_interest", timeframe, now)
        start = start if oldest is None else max(start, oldest)
        end = min(end, now - step + INSTANT)  # the period that runs is not history yet
        span = (self.interest_rows - 1) * (step // MILLISECOND)
        for first, last in windows(milliseconds(start), milliseconds(end), span):
            rows = await self._fetch_interest(instrument, name, step, first, last)
            rows = clip(rows, first, last)
            if len(rows):
                yield interest_page(instrument, timeframe, step, rows)

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
            if len(await request()) == 0:
                raise self.parser(endpoint).shape_error("the answer", "is empty")

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
            time, open, high, low, close, volume, quote_volume.
        """

    @abstractmethod
    async def _fetch_funding(self, instrument: Instrument, first: int, last: int) -> pd.DataFrame:
        """At least the settlements in ``[first, last)``: time, rate, mark_price."""

    @abstractmethod
    async def _fetch_interest(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        """At least the open interest stamped in ``[first, last)``: time, base, usd.

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

    def _by_symbol(self, instruments: Iterable[Instrument]) -> dict[str, Instrument]:
        """The instruments by symbol; of several of one symbol, the first."""
        by_symbol: dict[str, Instrument] = {}
        for instrument in instruments:
            by_symbol.setdefault(instrument.symbol, instrument)
        return by_symbol
