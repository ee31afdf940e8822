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
from market.exchanges.pages import candle_page, funding_page, interest_page, windows
from market.http.client import Client
from market.http.fields import Reader, stamp
from market.http.limits import Limit
from market.http.refusals import Answer, Patience, Refusal

__all__ = ["CONTEXT", "SHORT", "Query", "RestExchange", "within"]

#: What stands in a query.
Query = dict[str, str | int | None]

#: How far around the asked time settlements are looked at, to tell their intervals.
CONTEXT = pd.Timedelta(hours=24)

#: A page of a history that is shorter than this cannot have been cut off, on any exchange.
SHORT = 100

_CLOCK_HOLDS = 60.0  # seconds that the exchange's clock is reckoned on before it is asked again
_INSTANT = pd.Timedelta(microseconds=1)
_HOUR = pd.Timedelta(hours=1)


class RestExchange(Exchange):
    """An exchange that we ask by ourselves.

    Args:
        base_url: instead of the exchange's own; a user and password in it are sent, never shown.
        timeout: seconds that one attempt may last.
        parallel: requests under way at once, at most.
        patience: how long to go on when requests fail.

    Raises:
        InputError: the base URL is none.
    """

    #: The exchange's own address.
    url: ClassVar[str]
    #: Its rate limits.
    limits: ClassVar[tuple[Limit, ...]]
    #: Its words for timeframes of candles and of open interest.
    bars: ClassVar[Mapping[str, str]]
    periods: ClassVar[Mapping[str, str]]
    #: Rows of a page of candles and of open interest, at most.
    candle_rows: ClassVar[int]
    interest_rows: ClassVar[int]
    #: What its endpoints are called that are asked for the clock, the instruments and so on.
    endpoints: ClassVar[Mapping[str, str]]
    #: What probes ask for.
    bitcoin: ClassVar[Instrument]

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float = 10.0,
        parallel: int = 8,
        patience: Patience | None = None,
    ) -> None:
        self.client = Client(
            base_url or self.url,
            exchange=self.name,
            limits=self.limits,
            judge=self.judge,
            heed=self.heed,
            timeout=timeout,
            parallel=parallel,
            patience=patience,
        )
        self._known: dict[str, Instrument] | None = None
        self._listing = asyncio.Lock()
        self._clock: tuple[pd.Timestamp, float] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.client.host})"

    @abstractmethod
    def judge(self, answer: Answer) -> Refusal | None:
        """Whether an answer is an error of the exchange's; None: the HTTP status tells."""

    def heed(self, headers: Mapping[str, str]) -> float:
        """Seconds that all requests should rest, as the answer's headers tell."""
        return 0.0

    def reader(self, endpoint: str) -> Reader:
        """A reader of that endpoint's answers."""
        return Reader(self.name, endpoint)

    def check_timeframe(self, timeframe: str) -> None:
        self._word(timeframe, self.bars, "candles")
        self._word(timeframe, self.periods, "open interest")

    async def instruments(self) -> dict[str, Instrument]:
        async with self._listing:
            if self._known is None:
                self._known = await self._list()
            return dict(self._known)

    async def now(self) -> pd.Timestamp:
        """The exchange's clock, asked about once a minute; never ahead of the exchange's own."""
        elapsed = asyncio.get_running_loop().time
        if self._clock is None or elapsed() - self._clock[1] > _CLOCK_HOLDS:
            server = await self.server_time()
            self._clock = server, elapsed()
        server, since = self._clock
        return server + pd.Timedelta(seconds=elapsed() - since)

    async def candles(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[pd.DataFrame]:
        bar, step = self._word(timeframe, self.bars, "candles"), parse_timeframe(timeframe)
        closed = await self.now() - step  # what opened by then is closed by now
        span = (self.candle_rows - 1) * _ms(step)
        for first, last in windows(stamp(start), stamp(min(end, closed + _INSTANT)), span):
            rows = within(await self._candles(instrument, bar, step, first, last), first, last)
            if len(rows):
                yield candle_page(instrument, timeframe, step, rows)

    async def funding(
        self, instrument: Instrument, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[pd.DataFrame]:
        until = min(end + CONTEXT, await self.now() + _INSTANT)
        rows = await self._funding(instrument, stamp(start - CONTEXT), stamp(until))
        if len(rows):
            hours = await self._present_interval(instrument)
            page = funding_page(instrument, rows, hours)
            page = page[(page["time"] >= start) & (page["time"] < min(end, until))]
            if len(page):
                yield page.reset_index(drop=True)

    async def open_interest(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[pd.DataFrame]:
        period = self._word(timeframe, self.periods, "open interest")
        step, now = parse_timeframe(timeframe), await self.now()
        oldest = self.oldest("open_interest", timeframe, now)
        start = start if oldest is None else max(start, oldest)
        end = min(end, now - step + _INSTANT)  # the period that runs is not history yet
        span = (self.interest_rows - 1) * _ms(step)
        for first, last in windows(stamp(start), stamp(end), span):
            rows = within(await self._interest(instrument, period, step, first, last), first, last)
            if len(rows):
                yield interest_page(instrument, timeframe, step, rows)

    def probes(self) -> list[Probe]:
        return [self._probe(self.endpoints[what], ask) for what, ask in self._asks().items()]

    def _asks(self) -> dict[str, Callable[[], Awaitable[Sized]]]:
        """What probes ask, by the key of its endpoint."""
        coin = self.bitcoin

        async def clock() -> Sized:
            return [await self.server_time()]

        async def candles() -> Sized:
            return await self._candles(coin, self.bars["1h"], _HOUR, *await self._last(12))

        async def funding() -> Sized:
            return await self._funding(coin, *await self._last(48))

        async def interest() -> Sized:
            return await self._interest(coin, self.periods["1h"], _HOUR, *await self._last(12))

        return {
            "clock": clock,
            "instruments": self._list,
            "candles": candles,
            "funding": funding,
            "interest": interest,
            "snapshot": lambda: self.snapshot(coin),
        }

    def _probe(self, endpoint: str, ask: Callable[[], Awaitable[Sized]]) -> Probe:
        async def once() -> None:
            if len(await ask()) == 0:
                raise self.reader(endpoint).differs("the answer", "is empty")

        return Probe(endpoint, once)

    async def _last(self, hours: int) -> tuple[int, int]:
        until = await self.now()
        return stamp(until - hours * _HOUR), stamp(until)

    async def close(self) -> None:
        await self.client.close()

    # --- what each exchange does in its own way ----------------------------------------------------

    @abstractmethod
    async def _list(self) -> dict[str, Instrument]:
        """The instruments, asked."""

    @abstractmethod
    async def _candles(
        self, instrument: Instrument, bar: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        """At least the candles that opened in ``[first, last)``, milliseconds."""

    @abstractmethod
    async def _funding(self, instrument: Instrument, first: int, last: int) -> pd.DataFrame:
        """At least the settlements in ``[first, last)``: time, rate, mark_price."""

    @abstractmethod
    async def _interest(
        self, instrument: Instrument, period: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        """At least the open interest stamped in ``[first, last)``: time, base, usd."""

    async def _present_interval(self, instrument: Instrument) -> float | None:
        """Hours between settlements, for settlements whose neighbours don't tell."""
        return instrument.funding_interval_hours

    # --- small help -----------------------------------------------------------------------------

    def _word(self, timeframe: str, words: Mapping[str, str], what: str) -> str:
        parse_timeframe(timeframe)
        if timeframe not in words:
            raise InputError(
                f"{self.name} has no {what} of {timeframe!r}; it has {', '.join(words)}"
            )
        return words[timeframe]

    def _by_symbol(self, found: Iterable[Instrument]) -> dict[str, Instrument]:
        """The instruments by symbol; of several of one symbol, the first."""
        known: dict[str, Instrument] = {}
        for instrument in found:
            known.setdefault(instrument.symbol, instrument)
        return known


def within(rows: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    """The rows of ``[first, last)``, milliseconds, each time once; the last one given stands."""
    since, until = pd.Timestamp(first, unit="ms", tz="UTC"), pd.Timestamp(last, unit="ms", tz="UTC")
    rows = rows[(rows["time"] >= since) & (rows["time"] < until)]
    return rows.drop_duplicates("time", keep="last").reset_index(drop=True)


def _ms(step: pd.Timedelta) -> int:
    return step // pd.Timedelta(milliseconds=1)
