"""Any other exchange, through ccxt: candles, funding and snapshots where ccxt has them.

ccxt requests and parses public data only; the paging is ours, by explicit windows, since ccxt's own
leaves gaps. Open interest has no history here: it differs too much between exchanges.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import ccxt.async_support as ccxt
import pandas as pd
import tenacity

from brain.errors import (
    ExchangeBlockedError,
    ExchangeRefusedError,
    ExchangeShapeError,
    ExchangeUnreachableError,
    InputError,
    MarketError,
    NoSuchInstrumentError,
    RateLimitedError,
)
from brain.redact import redact
from brain.series.bars import parse_timeframe
from market.exchanges.base import Exchange, Instrument, OddRow, Page, Probe, canonical
from market.exchanges.pages import (
    FUNDING_CONTEXT,
    INSTANT,
    MILLISECOND,
    candle_page,
    clip,
    funding_page,
    snapshot_row,
    window_pages,
    windows,
)
from market.exchanges.table import Table
from market.http.client import split_credentials
from market.http.parser import Parser, milliseconds
from market.http.refusals import BLOCKED

__all__ = ["GenericExchange", "ccxt_exchanges"]

_ROWS = 100  # of a page, which every exchange allows
_ATTEMPTS = 6
# ccxt's requests have no end.
_FOREVER = milliseconds(pd.Timestamp("2200-01-01", tz="UTC"))

logger = logging.getLogger(__name__)


def ccxt_exchanges() -> list[str]:
    """The names of ccxt's exchanges."""
    return list(ccxt.exchanges)


class GenericExchange(Exchange):
    """An exchange through ccxt.

    Args:
        name: ccxt's name of it.
        base_url: its scheme and host replace those of the exchange's addresses.
        timeout: seconds that one attempt may last.

    Raises:
        InputError: the base URL is none.
    """

    def __init__(self, name: str, base_url: str | None = None, *, timeout: float = 10.0) -> None:
        self.name = name  # type: ignore[misc]  # a ClassVar elsewhere
        self._client = getattr(ccxt, name)(
            {
                "timeout": int(timeout * 1000),
                "enableRateLimit": True,
                "options": {"defaultType": "swap"},
                "aiohttp_trust_env": True,
            }
        )
        if base_url is not None:
            url, self._client.headers = split_credentials(base_url)
            self._client.urls["api"] = _with_host(self._client.urls["api"], str(url).rstrip("/"))
        self._instruments: dict[str, Instrument] | None = None
        self._odd_rows: list[OddRow] = []
        self._instruments_lock = asyncio.Lock()

    def __repr__(self) -> str:
        return f"GenericExchange({self.name})"

    @property
    def retention(self) -> Mapping[str, pd.Timedelta | None]:
        """Unknown; histories are requested from any start."""
        return {"candles": None, "funding": None, "open_interest": None}

    async def instruments(self) -> dict[str, Instrument]:
        async with self._instruments_lock:
            if self._instruments is None:
                ccxt_markets = await self._request("the markets", self._client.load_markets)
                self._instruments = {}
                for name, ccxt_market in ccxt_markets.items():
                    try:
                        instrument = self._instrument(ccxt_market)
                    except ExchangeShapeError as error:
                        self._odd_rows.append(OddRow(str(name), str(name), error))
                        logger.warning("%s", error)
                    else:
                        if instrument is not None:
                            self._instruments[instrument.symbol] = instrument
            return dict(self._instruments)

    @property
    def odd_rows(self) -> tuple[OddRow, ...]:
        return tuple(self._odd_rows)

    def _instrument(self, ccxt_market: Mapping[str, Any]) -> Instrument | None:
        if not ccxt_market.get("swap") or not ccxt_market.get("linear"):
            return None
        symbol = canonical(str(ccxt_market.get("base")), str(ccxt_market.get("quote")))
        if symbol is None or symbol != ccxt_market.get("symbol"):
            return None
        active = ccxt_market.get("active")
        parser = Parser(self.name, f"load_markets of {symbol}")
        return Instrument(
            exchange=self.name,
            symbol=symbol,
            id=str(ccxt_market["symbol"]),  # ccxt's methods take its own unified name
            contract_size=parser.number(ccxt_market, "contractSize", optional=True),
            funding_interval_hours=None,
            listed=parser.time(ccxt_market, "created"),
            delisted=None,
            status="unknown" if active is None else "active" if active else "inactive",
        )

    async def server_time(self) -> pd.Timestamp:
        """The exchange's clock; ours where ccxt has no such request."""
        if not self._client.has.get("fetchTime"):
            return pd.Timestamp.now(tz="UTC")
        answer = {"time": await self._request("the time", self._client.fetch_time)}
        return Parser(self.name, "fetchTime").times([answer], "time")[0]

    async def candles(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[Page]:
        timeframes, step = self._client.timeframes or {}, parse_timeframe(timeframe)
        if timeframe not in timeframes:
            names = ", ".join(map(str, timeframes))
            raise InputError(f"{self.name} has no candles of {timeframe!r}; it has {names}")
        self._require("fetchOHLCV")
        end = min(end, await self.server_time() - step + INSTANT)
        span = (_ROWS - 1) * (step // MILLISECOND)
        parser = Parser(self.name, "fetchOHLCV")
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}

        async def page(first: int, last: int) -> Page:
            rows = await self._request(
                "candles", self._client.fetch_ohlcv, instrument.id, timeframe, first, _ROWS
            )
            table = Table(parser, rows, 6)
            times = table.times(0, first, _FOREVER, step=step // MILLISECOND)
            frame = table.frame(times, **{name: table.numbers(at) for name, at in places.items()})
            frame["volume"] *= self._base_units(instrument)
            frame = clip(parser, frame.assign(quote_volume=float("nan")), first, last)
            return candle_page(instrument, timeframe, step, frame)

        async for one in window_pages(page, windows(milliseconds(start), milliseconds(end), span)):
            yield one

    def _base_units(self, instrument: Instrument) -> float:
        """Base units of ccxt's unit of amounts, NaN if unknown.

        ccxt passes on contracts where the exchange counts in contracts, and does not say so: where
        a contract is not one base unit, amounts are unknown.
        """
        return 1.0 if instrument.contract_size == 1 else float("nan")

    async def funding(
        self, instrument: Instrument, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[Page]:
        self._require("fetchFundingRateHistory")
        until = min(end + FUNDING_CONTEXT, await self.server_time() + INSTANT)
        since = start - FUNDING_CONTEXT
        span = (_ROWS - 1) * 3_600_000  # hours, the shortest interval
        parser = Parser(self.name, "fetchFundingRateHistory")
        pages = []
        for first, last in windows(milliseconds(since), milliseconds(until), span):
            rows = await self._request(
                "funding",
                self._client.fetch_funding_rate_history,
                instrument.id,
                first,
                _ROWS,
            )
            table = Table(parser, rows)
            times = parser.times(rows, "timestamp")
            frame = table.frame(times, rate=table.numbers("fundingRate"), mark_price=float("nan"))
            # Exchanges settle some milliseconds late; the minute is a settlement's time.
            pages.append(clip(parser, frame.assign(time=times.floor("min")), first, last))
        rows = pd.concat(pages, ignore_index=True) if pages else pd.DataFrame()
        if not len(rows):
            return
        rows = rows.sort_values("time", ignore_index=True)
        page = funding_page(instrument, rows, instrument.funding_interval_hours)
        inside = (page.rows["time"] >= start) & (page.rows["time"] < min(end, until))
        yield Page(
            page.rows[inside].reset_index(drop=True),
            {t: fault for t, fault in page.impossible.items() if start <= t < min(end, until)},
        )
        if page.error is not None:
            raise page.error

    def lacks(self, kind: str) -> str:
        """Why there is no history of a kind; there is none of open interest."""
        method = {"candles": "fetchOHLCV", "funding": "fetchFundingRateHistory"}.get(kind)
        if method is None or not self._client.has.get(method):
            return f"ccxt has no {kind.replace('_', ' ')} of {self.name} to rely on"
        return ""

    async def open_interest(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[Page]:
        """Raises ExchangeRefusedError: ccxt has no history of open interest to rely on."""
        raise ExchangeRefusedError(
            f"{self.name}: no history of open interest is collected through ccxt; "
            "collect its snapshots, or take one of binance, bybit, okx"
        )
        yield  # which makes it an async generator, as the other histories are

    async def snapshot(self, instrument: Instrument) -> pd.DataFrame:
        """One row of what ccxt has; the rest is NaN."""
        client, rate, interest = self._client, {}, {}
        if client.has.get("fetchFundingRate"):
            rate = await self._request("the funding rate", client.fetch_funding_rate, instrument.id)
        if client.has.get("fetchOpenInterest"):
            interest = await self._request(
                "the open interest", client.fetch_open_interest, instrument.id
            )
        # The unit of an amount may be unknown, as of volume; a value is in the quote currency.
        parser = Parser(self.name, "the snapshot")
        amount = parser.number(interest, "openInterestAmount", optional=True)
        amount *= self._base_units(instrument)
        mark = parser.number(rate, "markPrice", optional=True)
        value = parser.number(interest, "openInterestValue", optional=True)
        time = parser.time(rate, "timestamp") or parser.time(interest, "timestamp")
        return snapshot_row(
            instrument,
            time if time is not None else await self.server_time(),
            mark_price=mark,
            funding_rate=parser.number(rate, "fundingRate", optional=True),
            next_funding=parser.time(rate, "fundingTimestamp"),
            interval_hours=_hours(rate.get("interval")),
            open_interest=amount,
            open_interest_usd=amount * mark if math.isnan(value) else value,
        )

    def probes(self) -> list[Probe]:
        async def run() -> None:
            if not await self.instruments():
                parser = Parser(self.name, "load_markets")
                raise parser.shape_error("the list", "has no linear swap")

        return [Probe("ccxt's load_markets", run)]

    async def close(self) -> None:
        await self._client.close()

    def _require(self, method: str) -> None:
        if not self._client.has.get(method):
            raise ExchangeRefusedError(
                f"{self.name} has no {method} through ccxt; take one of binance, bybit, okx"
            )

    async def _request(
        self, subject: str, method: Callable[..., Awaitable[Any]], *arguments: Any
    ) -> Any:
        """Call a method of ccxt's, with retries of transient faults and our errors for its errors.

        Args:
            subject: of the request, for messages.
            method: of ccxt's client.
            *arguments: of the method.
        """
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=20),
            retry=tenacity.retry_if_exception(_is_transient),
            reraise=True,
        )
        try:
            return await retrying(method, *arguments)
        except ccxt.BaseError as error:
            raise self._market_error(subject, error) from error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # ccxt parses without checks of its own.
            difference = f"can't be read by ccxt ({type(error).__name__}: {error})"
            raise Parser(self.name, subject).shape_error("the answer", difference) from error

    def _market_error(self, subject: str, error: Exception) -> MarketError:
        """Our error for one of ccxt's."""
        message = redact(str(error))[:200]
        if _is_blocked(error):
            return ExchangeBlockedError(
                f"{self.name} serves nobody from this network or country ({message}), asked for "
                f"{subject}; ask from a permitted network, or through a permitted gateway"
            )
        if isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded):
            return RateLimitedError(
                f"{self.name} wants fewer requests for {subject} ({message}); ask for fewer "
                "symbols at a time, or see what else asks from this address"
            )
        if isinstance(error, ccxt.NetworkError):
            return ExchangeUnreachableError(
                f"{self.name} can't be reached for {subject} ({message}), {_ATTEMPTS} attempts; "
                "check the network and the proxy"
            )
        absent = isinstance(error, ccxt.BadSymbol)
        error_type = NoSuchInstrumentError if absent else ExchangeRefusedError
        return error_type(
            f"{self.name} answers {subject} with: {message}; correct what was asked",
            type(error).__name__,
        )


def _is_blocked(error: BaseException) -> bool:
    """Whether the HTTP status in ccxt's message is about the client's network or country."""
    status = re.search(r"https?://\S+ (\d{3}) ", str(error))
    return status is not None and int(status[1]) in BLOCKED


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, ccxt.NetworkError) and not _is_blocked(error)


def _with_host(urls: Any, base: str) -> Any:
    """The addresses with another scheme and host, at any depth."""
    if isinstance(urls, Mapping):
        return {name: _with_host(url, base) for name, url in urls.items()}
    return re.sub(r"^https?://[^/]+", base, urls) if isinstance(urls, str) else urls


def _hours(interval: Any) -> float | None:
    """``8h`` → 8.0."""
    match = re.fullmatch(r"(\d+)h", str(interval))
    return float(match[1]) if match else None
