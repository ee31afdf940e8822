"""JSON over HTTP as exchanges serve it: limits kept, faults retried, bans heeded.

What may pass is asked again, a bounded number of times and ever later: timeouts, connections
that break or can't be made, answers cut off or malformed, HTTP 5xx, and the exchange's own ways of
saying "busy" and "too many requests". The latter pause *all* requests of the client, for as long
as the exchange says; a ban is waited out at most once, and only if it is short enough. What stays is
one of our errors, naming the host and what to do. Addresses appear without credentials; those of
a base URL go into the Authorization header alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import tenacity

from brain.errors import (
    ExchangeBlockedError,
    ExchangeRefusedError,
    ExchangeUnreachableError,
    MarketError,
    NoSuchInstrumentError,
    RateLimitedError,
)
from brain.redact import redact
from market.http.limits import Limit, Limits
from market.http.refusals import (
    Answer,
    Patience,
    Refusal,
    refusal_of,
    retry_after,
    split_credentials,
)

__all__ = ["Client", "Params"]

#: What stands in a query; None is left out.
Params = Mapping[str, str | int | None]

_log = logging.getLogger(__name__)


class _PassingError(Exception):
    """A fault that may pass; ``error`` is what to raise if it does not."""

    def __init__(self, error: MarketError, after: float = 0.0, *, limited: bool = False) -> None:
        super().__init__(str(error))
        self.error, self.after, self.limited = error, after, limited


@dataclass
class _Request:
    """What is asked; ``banned`` once a ban was the answer."""

    path: str
    query: dict[str, str]
    costs: Mapping[str, float]
    instrument: str
    banned: bool = False


class Client:
    """Asks one exchange. Shared by all symbols; use it in one event loop, and close it.

    Args:
        base_url: ``https://host[:port][/path]``; a user and password in it are sent, never shown.
        exchange: the exchange's name, for messages.
        limits: the exchange's rate limits.
        judge: tells from an answer whether the exchange refused; None: by the HTTP status alone.
        heed: tells from an answer's headers how many seconds all requests should rest, or 0.
        timeout: seconds that one attempt may last.
        parallel: requests under way at once, at most.
        patience: how long to go on.

    Raises:
        InputError: the base URL is none.
    """

    def __init__(
        self,
        base_url: str,
        *,
        exchange: str,
        limits: Iterable[Limit] = (),
        judge: Callable[[Answer], Refusal | None] | None = None,
        heed: Callable[[Mapping[str, str]], float] | None = None,
        timeout: float = 10.0,
        parallel: int = 8,
        patience: Patience | None = None,
    ) -> None:
        self._url, self._credentials = split_credentials(base_url)
        self.exchange = exchange
        self._limits = Limits(limits)
        self._judge = judge or (lambda answer: None)
        self._heed = heed or (lambda headers: 0.0)
        self._timeout = timeout
        self._gate = asyncio.Semaphore(parallel)
        self._parallel = parallel
        self._patience = patience or Patience()
        self._backoff = tenacity.wait_random_exponential(
            multiplier=self._patience.first, max=self._patience.most
        )
        self._session: aiohttp.ClientSession | None = None
        self._resume = 0.0  # by the event loop's clock

    def __repr__(self) -> str:
        return f"Client({self.exchange}, {self.host})"

    @property
    def host(self) -> str:
        """The host that is asked, with its port unless that is the usual one."""
        port = "" if self._url.is_default_port() else f":{self._url.port}"
        return f"{self._url.host}{port}"

    async def get(
        self,
        path: str,
        params: Params | None = None,
        *,
        costs: Mapping[str, float] | None = None,
        instrument: str = "",
    ) -> Any:
        """The JSON of an answer.

        Args:
            path: below the base URL, ``fapi/v1/klines``.
            params: the query.
            costs: weight by the limit's name.
            instrument: whose limit is meant, where every instrument has its own.

        Raises:
            ExchangeUnreachableError: no whole answer came, at any attempt.
            ExchangeBlockedError: the exchange does not serve this network or country.
            ExchangeRefusedError: the exchange refused, with its code and words.
            NoSuchInstrumentError: it did so because it has no such instrument.
            RateLimitedError: it goes on wanting fewer requests, or for longer than we wait.
        """
        query = {k: str(v) for k, v in (params or {}).items() if v is not None}
        request = _Request(path, query, costs or {}, instrument)
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._patience.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type(_PassingError),
            reraise=True,
        )
        try:
            return await retrying(self._once, request)
        except _PassingError as last:
            raise last.error from last.__cause__

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _once(self, request: _Request) -> Any:
        await self._limits.take(request.costs, request.instrument)
        async with self._gate:
            await self._rest(request.path)
            answer = await self._send(request.path, request.query)
        if pause := self._heed(answer.headers):
            self._pause(pause, "by its count of our requests")
        # An exchange's own error tells more than the HTTP status that it comes with.
        refusal = self._judge(answer)
        if refusal is None and answer.parsed is not None and answer.status < 300:
            return answer.json
        raise self._refused(request, refusal or refusal_of(answer), answer)

    async def _send(self, path: str, query: dict[str, str]) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._parallel),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "Accept": "application/json",
                    "User-Agent": "brain-library",
                    **self._credentials,
                },
                timeout=aiohttp.ClientTimeout(
                    total=self._timeout, sock_connect=min(self._timeout, 5.0)
                ),
                trust_env=True,  # proxies
            )
        try:
            url = self._url / path
            async with self._session.get(url, params=query, allow_redirects=False) as response:
                return Answer(response.status, response.headers, await response.read())
        except TimeoutError as error:
            raise self._unreachable(path, f"no answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            said = redact(str(error)) or type(error).__name__
            raise self._unreachable(path, said) from error

    def _unreachable(self, path: str, said: str) -> _PassingError:
        return _PassingError(
            ExchangeUnreachableError(
                f"{self.exchange}: {self.host} can't be reached for {path} ({said}), "
                f"{self._patience.attempts} attempts; check the network, the proxy and the "
                f"base URL ({self.exchange}_url)"
            )
        )

    def _refused(self, request: _Request, refusal: Refusal, answer: Answer) -> Exception:
        told = f"{self.exchange}: {self.host} answers {request.path} with {refusal.code}"
        told = f"{told}: {refusal.said}"
        if refusal.kind == "blocked":
            return ExchangeBlockedError(
                f"{told}; it serves nobody from this network or country, whatever is asked: ask "
                f"from a permitted network, or through a permitted gateway ({self.exchange}_url)"
            )
        if refusal.kind in ("refused", "absent"):
            kind = NoSuchInstrumentError if refusal.kind == "absent" else ExchangeRefusedError
            return kind(f"{told}; correct what was asked, or the base URL", refusal.code)
        after = retry_after(answer.headers) or refusal.after
        if refusal.kind == "busy":
            said = (
                f"{told}, {self._patience.attempts} attempts; try again later, and look whether a "
                "proxy or firewall answers in its place"
            )
            return _PassingError(ExchangeUnreachableError(said), min(after, self._patience.ban))
        if after > self._patience.ban or request.banned:
            self._pause(after, f"says {refusal.code}")
            return self._banned(request.path, after, f": {refusal.code}, {refusal.said}")
        request.banned = refusal.kind == "banned"
        error = RateLimitedError(
            f"{told}, {self._patience.attempts} attempts; ask for fewer symbols at a time, or see "
            "what else asks from this address"
        )
        return _PassingError(error, after, limited=True)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next attempt: growing, random, and no sooner than the exchange says."""
        fault = state.outcome.exception() if state.outcome else None
        seconds = float(self._backoff(state))
        if isinstance(fault, _PassingError):
            seconds = max(seconds, fault.after)
            if fault.limited:
                self._pause(seconds, "wants fewer requests")
            _log.info("%s; again in %.1f s", fault, seconds)
        return seconds

    def _pause(self, seconds: float, why: str) -> None:
        """Send nothing for a while."""
        until = asyncio.get_running_loop().time() + seconds
        if until > self._resume:
            self._resume = until
            _log.warning("%s %s: all requests rest for %.1f s", self.exchange, why, seconds)

    async def _rest(self, path: str) -> None:
        """Wait until a pause is over, which may be prolonged meanwhile."""
        loop = asyncio.get_running_loop()
        while (left := self._resume - loop.time()) > 0:
            if left > self._patience.ban:
                raise self._banned(path, left)
            await asyncio.sleep(left)

    def _banned(self, path: str, seconds: float, said: str = "") -> RateLimitedError:
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        return RateLimitedError(
            f"{self.exchange}: {self.host} wants no request for {seconds:.0f} s, until "
            f"{until:%Y-%m-%d %H:%M:%S} UTC ({path} was not answered{said}); start again after "
            "that, since asking on lengthens the ban"
        )
