"""Any other exchange, through ccxt: candles, funding and open interest where ccxt has them.

ccxt parses and signs nothing here but public data; the paging is ours, by explicit windows, since
ccxt's own leaves holes. Open interest has no history here: it differs too much between exchanges.
"""

from __future__ import annotations

import asyncio
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
    ExchangeUnreachableError,
    InputError,
    MarketError,
    NoSuchInstrumentError,
    RateLimitedError,
)
from brain.redact import redact
from brain.series.bars import parse_timeframe
from market.exchanges.base import Exchange, Instrument, Probe, canonical
from market.exchanges.pages import candle_page, funding_page, snapshot_row, windows
from market.exchanges.rest import CONTEXT, within
from market.http.fields import Reader, millis, stamp
from market.http.refusals import BLOCKED, split_credentials

__all__ = ["GenericExchange", "known_to_ccxt"]

_ROWS = 100  # that every exchange gives in one page
_ATTEMPTS = 6
_INSTANT = pd.Timedelta(microseconds=1)


def known_to_ccxt() -> list[str]:
    """The names of the exchanges that ccxt knows."""
    return list(ccxt.exchanges)


class GenericExchange(Exchange):
    """An exchange through ccxt.

    Args:
        name: ccxt's name of it.
        base_url: instead of the exchange's own; scheme and host are put in place of its own ones.
        timeout: seconds that one attempt may last.

    Raises:
        InputError: the base URL is none.
    """

    def __init__(self, name: str, base_url: str | None = None, *, timeout: float = 10.0) -> None:
        self.name = name  # type: ignore[misc]  # known only now
        self._exchange = getattr(ccxt, name)(
            {
                "timeout": int(timeout * 1000),
                "enableRateLimit": True,
                "options": {"defaultType": "swap"},
                "aiohttp_trust_env": True,
            }
        )
        if base_url is not None:
            url, self._exchange.headers = split_credentials(base_url)
            self._exchange.urls["api"] = _moved(self._exchange.urls["api"], str(url).rstrip("/"))
        self._known: dict[str, Instrument] | None = None
        self._listing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"GenericExchange({self.name})"

    @property
    def look_back(self) -> Mapping[str, pd.Timedelta | None]:
        """Not known; the histories are asked as far back as wanted."""
        return {"candles": None, "funding": None, "open_interest": None}

    async def instruments(self) -> dict[str, Instrument]:
        async with self._listing:
            if self._known is None:
                markets = await self._ask("the markets", self._exchange.load_markets)
                found = (self._instrument(market) for market in markets.values())
                self._known = {each.symbol: each for each in found if each is not None}
            return dict(self._known)

    def _instrument(self, market: Mapping[str, Any]) -> Instrument | None:
        if not market.get("swap") or not market.get("linear"):
            return None
        symbol = canonical(str(market.get("base")), str(market.get("quote")))
        if symbol is None or symbol != market.get("symbol"):
            return None
        active = market.get("active")
        return Instrument(
            exchange=self.name,
            symbol=symbol,
            id=str(market["symbol"]),  # ccxt is asked by its own unified name
            contract_size=_number(market.get("contractSize")),
            funding_interval_hours=None,
            listed=_time(market.get("created")),
            delisted=None,
            status="unknown" if active is None else "active" if active else "inactive",
        )

    async def server_time(self) -> pd.Timestamp:
        """The exchange's clock; ours where ccxt can't ask for it."""
        if not self._exchange.has.get("fetchTime"):
            return pd.Timestamp.now(tz="UTC")
        said = _time(await self._ask("the time", self._exchange.fetch_time))
        if said is None:
            raise Reader(self.name, "fetchTime").differs("the time", "is missing")
        return said

    async def candles(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[pd.DataFrame]:
        known, step = self._exchange.timeframes or {}, parse_timeframe(timeframe)
        if timeframe not in known:
            raise InputError(f"{self.name} has no candles of {timeframe!r}; it has {_list(known)}")
        self._must_have("fetchOHLCV")
        end = min(end, await self.server_time() - step + _INSTANT)
        span = (_ROWS - 1) * (step // pd.Timedelta(milliseconds=1))
        read = Reader(self.name, "fetchOHLCV")
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}
        for first, last in windows(stamp(start), stamp(end), span):
            rows = await self._ask(
                "candles", self._exchange.fetch_ohlcv, instrument.id, timeframe, first, _ROWS
            )
            columns = {name: read.numbers(rows, place) for name, place in places.items()}
            frame = pd.DataFrame({"time": read.times(rows, 0), **columns})
            frame["volume"] *= self._contracts(instrument)
            frame = within(frame.assign(quote_volume=float("nan")), first, last)
            if len(frame):
                yield candle_page(instrument, timeframe, step, frame)

    def _contracts(self, instrument: Instrument) -> float:
        """Base units of what ccxt counts: it passes on contracts where the exchange counts so.

        Which it is, ccxt does not say; where a contract is not one base unit, volume is unknown.
        """
        return 1.0 if instrument.contract_size == 1 else float("nan")

    async def funding(
        self, instrument: Instrument, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[pd.DataFrame]:
        self._must_have("fetchFundingRateHistory")
        until = min(end + CONTEXT, await self.server_time() + _INSTANT)
        span = (_ROWS - 1) * 3_600_000  # hours, the shortest interval
        read = Reader(self.name, "fetchFundingRateHistory")
        pages = []
        for first, last in windows(stamp(start - CONTEXT), stamp(until), span):
            rows = await self._ask(
                "funding",
                self._exchange.fetch_funding_rate_history,
                instrument.id,
                first,
                _ROWS,
            )
            frame = pd.DataFrame(
                {"time": read.times(rows, "timestamp"), "rate": read.numbers(rows, "fundingRate")}
            )
            pages.append(within(frame.assign(mark_price=float("nan")), first, last))
        rows = pd.concat(pages, ignore_index=True) if pages else pd.DataFrame()
        if len(rows):
            page = funding_page(instrument, rows, instrument.funding_interval_hours)
            page = page[(page["time"] >= start) & (page["time"] < min(end, until))]
            if len(page):
                yield page.reset_index(drop=True)

    def lacks(self, kind: str) -> str:
        """Open interest has no history through ccxt that can be trusted."""
        needed = {"candles": "fetchOHLCV", "funding": "fetchFundingRateHistory"}.get(kind)
        if needed is None or not self._exchange.has.get(needed):
            return f"ccxt has no {kind.replace('_', ' ')} of {self.name} to rely on"
        return ""

    async def open_interest(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[pd.DataFrame]:
        """Refused: through ccxt, open interest has no history that can be trusted."""
        raise ExchangeRefusedError(
            f"{self.name}: no history of open interest is collected through ccxt; "
            "collect its snapshots, or take one of binance, bybit, okx"
        )
        yield  # an async generator, as the others

    async def snapshot(self, instrument: Instrument) -> pd.DataFrame:
        """One row, of what ccxt has of it; the rest is NaN."""
        exchange, rate, interest = self._exchange, {}, {}
        if exchange.has.get("fetchFundingRate"):
            rate = await self._ask("the funding rate", exchange.fetch_funding_rate, instrument.id)
        if exchange.has.get("fetchOpenInterest"):
            interest = await self._ask(
                "the open interest", exchange.fetch_open_interest, instrument.id
            )
        # Its own units are unknown, as with volume; a value in the quote currency is not.
        amount = _number(interest.get("openInterestAmount")) * self._contracts(instrument)
        mark, value = _number(rate.get("markPrice")), _number(interest.get("openInterestValue"))
        told = _time(rate.get("timestamp")) or _time(interest.get("timestamp"))
        return snapshot_row(
            instrument,
            told if told is not None else await self.server_time(),
            mark_price=mark,
            funding_rate=_number(rate.get("fundingRate")),
            next_funding=_time(rate.get("fundingTimestamp")),
            interval_hours=_hours(rate.get("interval")),
            open_interest=amount,
            open_interest_usd=amount * mark if math.isnan(value) else value,
        )

    def probes(self) -> list[Probe]:
        async def ask() -> None:
            if not await self.instruments():
                raise Reader(self.name, "load_markets").differs("the list", "has no linear swap")

        return [Probe("ccxt's load_markets", ask)]

    async def close(self) -> None:
        await self._exchange.close()

    def _must_have(self, what: str) -> None:
        if not self._exchange.has.get(what):
            raise ExchangeRefusedError(
                f"{self.name} has no {what} through ccxt; take one of binance, bybit, okx"
            )

    async def _ask(self, what: str, ask: Callable[..., Awaitable[Any]], *given: Any) -> Any:
        """Ask through ccxt, again where a fault may pass, with its errors turned into ours."""
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=20),
            retry=tenacity.retry_if_exception(_may_pass),
            reraise=True,
        )
        try:
            return await retrying(ask, *given)
        except ccxt.BaseError as error:
            raise self._ours(what, error) from error

    def _ours(self, what: str, error: Exception) -> MarketError:
        said = redact(str(error))[:200]
        if _blocked(error):
            return ExchangeBlockedError(
                f"{self.name} serves nobody from this network or country ({said}), asked for "
                f"{what}; ask from a permitted network, or through a permitted gateway"
            )
        if isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded):
            return RateLimitedError(
                f"{self.name} wants fewer requests for {what} ({said}); ask for fewer symbols at a "
                "time, or see what else asks from this address"
            )
        if isinstance(error, ccxt.NetworkError):
            return ExchangeUnreachableError(
                f"{self.name} can't be reached for {what} ({said}), {_ATTEMPTS} attempts; "
                "check the network and the proxy"
            )
        kind = NoSuchInstrumentError if isinstance(error, ccxt.BadSymbol) else ExchangeRefusedError
        return kind(
            f"{self.name} answers {what} with: {said}; correct what was asked",
            type(error).__name__,
        )


def _blocked(error: BaseException) -> bool:
    """Whether ccxt tells of an HTTP status that is for the asker, not for what was asked."""
    found = re.search(r"https?://\S+ (\d{3}) ", str(error))
    return found is not None and int(found[1]) in BLOCKED


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, ccxt.NetworkError) and not _blocked(error)


def _moved(urls: Any, base: str) -> Any:
    """The addresses with another scheme and host, at any depth."""
    if isinstance(urls, Mapping):
        return {name: _moved(url, base) for name, url in urls.items()}
    return re.sub(r"^https?://[^/]+", base, urls) if isinstance(urls, str) else urls


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _time(value: Any) -> pd.Timestamp | None:
    return None if value is None else millis([int(value)])[0]


def _hours(interval: Any) -> float | None:
    """``8h`` → 8.0."""
    found = re.fullmatch(r"(\d+)h", str(interval))
    return float(found[1]) if found else None


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(map(str, names))
