"""Answers over HTTP from a service with rate limits: limits kept, faults retried, bans respected.

Transient faults are retried, a bounded number of times with growing waits: timeouts, connections
that break or can't be made, answers cut off or malformed, HTTP 5xx, and the service's own forms of
"busy" and "too many requests". The latter pause *all* requests of the client, for as long as the
service says; a ban is waited out at most once, and only if it is short enough. A fault that stays
is raised as one of our errors, naming the host and what to do. Addresses appear without
credentials; those of a base URL go into the Authorization header alone.
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
from yarl import URL

from brain.addresses import check_environment, refuse_ambiguous
from brain.errors import (
    ExchangeBlockedError,
    ExchangeRefusedError,
    ExchangeUnreachableError,
    InputError,
    MarketError,
    NoSuchInstrumentError,
    PublisherRefusedError,
    PublisherUnreachableError,
    RateLimitedError,
)
from brain.redact import redact
from market.http.closing import Closing
from market.http.limits import Limit, Limits
from market.http.refusals import Answer, Refusal, http_refusal, retry_after

__all__ = [
    "EXCHANGE",
    "PUBLISHER",
    "Client",
    "ClientOwner",
    "Faults",
    "Query",
    "RetryPolicy",
    "Service",
    "split_credentials",
]

#: The parameters of a request; None is left out.
Query = dict[str, str | int | None]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """How often a request is sent again, and how long is waited.

    Attributes:
        attempts: times that one request is sent at most.
        first_wait: seconds that the first wait lasts at most; later ones double.
        longest_wait: seconds that one wait lasts at most.
        longest_ban: seconds of a ban that are waited out; a longer one is an error at once.
    """

    attempts: int = 7
    first_wait: float = 0.25
    longest_wait: float = 20.0
    longest_ban: float = 150.0


@dataclass(frozen=True)
class Faults:
    """The errors that a client raises of a service.

    Attributes:
        unreachable: no whole answer came.
        blocked: the service serves nobody from this network or country.
        refused: the service refused; with its code.
        absent: it refused because it has no such thing; with its code.
        quoted: whether messages quote the body of an answer that is no JSON: of a publisher it may
            be somebody's post, which is nowhere kept.
    """

    unreachable: type[MarketError]
    blocked: type[MarketError]
    refused: Callable[[str, str], MarketError]
    absent: Callable[[str, str], MarketError]
    quoted: bool = True


EXCHANGE = Faults(
    ExchangeUnreachableError, ExchangeBlockedError, ExchangeRefusedError, NoSuchInstrumentError
)
PUBLISHER = Faults(
    PublisherUnreachableError,
    PublisherUnreachableError,
    PublisherRefusedError,
    PublisherRefusedError,
    quoted=False,
)


@dataclass(frozen=True)
class Service:
    """Who is asked, and how.

    Attributes:
        name: for messages.
        setting: of its address, for messages; ``{name}_url`` if None.
        faults: the errors that are raised of it.
        user_agent: as which the client presents itself.
        redirects: whether it goes where an answer leads, a few times; credentials stay behind.
    """

    name: str
    setting: str | None = None
    faults: Faults = EXCHANGE
    user_agent: str = "brain-library"
    redirects: bool = False


class _TransientError(Exception):
    """A transient fault; ``error`` is what to raise if it stays.

    Attributes:
        error: one of ours.
        delay: seconds until the next attempt, at least.
        limited: whether the fault is "too many requests", which pauses all requests.
    """

    def __init__(self, error: MarketError, delay: float = 0.0, *, limited: bool = False) -> None:
        super().__init__(str(error))
        self.error, self.delay, self.limited = error, delay, limited


@dataclass
class _Request:
    """A request; ``banned`` once a ban was the answer.

    One with a form is a POST; ``json`` says whether the answer has to be JSON.
    """

    path: str
    query: dict[str, str]
    costs: Mapping[str, float]
    partition: str
    headers: Mapping[str, str]
    form: Mapping[str, str] | None = None
    json: bool = True
    banned: bool = False


class Client:
    """The HTTP client of one service. Use it in one event loop, for all requests, and close it.

    Args:
        base_url: ``https://host[:port][/path]``; a user and password in it are sent, never shown.
        service: an exchange's name; or who is asked, and how.
        limits: the service's rate limits.
        refusal: the refusal that an answer is; None: the HTTP status decides.
        pause: seconds without any request that an answer's headers ask for, or 0.
        timeout: seconds that one attempt may last.
        parallel: requests under way at once, at most.
        retries: how often and how long.

    Raises:
        InputError: the base URL is none, or can be read in more than one way.
        SettingsError: so can a proxy's address in the environment.
    """

    def __init__(
        self,
        base_url: str,
        *,
        service: str | Service,
        limits: Iterable[Limit] = (),
        refusal: Callable[[Answer], Refusal | None] | None = None,
        pause: Callable[[Mapping[str, str]], float] | None = None,
        timeout: float = 10.0,
        parallel: int = 8,
        retries: RetryPolicy | None = None,
    ) -> None:
        check_environment()
        self._url, self._credentials = split_credentials(base_url)
        self._service = Service(service) if isinstance(service, str) else service
        self.service = self._service.name
        self._setting = self._service.setting or f"{self.service}_url"
        self._faults = self._service.faults
        self._limits = Limits(limits)
        self._refusal = refusal or (lambda answer: None)
        self._pause = pause or (lambda headers: 0.0)
        self._timeout = timeout
        self._slots = asyncio.Semaphore(parallel)
        self._parallel = parallel
        self._retries = retries or RetryPolicy()
        self._backoff = tenacity.wait_random_exponential(
            multiplier=self._retries.first_wait, max=self._retries.longest_wait
        )
        self._session: aiohttp.ClientSession | None = None
        self._paused_until = 0.0  # by the event loop's clock

    def __repr__(self) -> str:
        return f"Client({self.service}, {self.host})"

    @property
    def host(self) -> str:
        """The server's host, with its port unless that is the default one."""
        port = "" if self._url.is_default_port() else f":{self._url.port}"
        return f"{self._url.host}{port}"

    async def get(
        self,
        path: str,
        query: Query | None = None,
        *,
        costs: Mapping[str, float] | None = None,
        partition: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON of an answer.

        Args:
            path: below the base URL, ``fapi/v1/klines``.
            query: the parameters.
            costs: weight by the limit's name.
            partition: of the limits that are partitioned.
            headers: of this request, such as its authorization; they are never shown.

        Raises:
            MarketError: that of the service's faults: no attempt got a whole answer, the service
                does not serve this network or country, or it refused, with its code and message.
            RateLimitedError: there were too many requests at every attempt, or a ban is too long.
        """
        request = _Request(path, _texts(query), costs or {}, partition, headers or {})
        return (await self._ask(request)).json

    async def post(
        self, path: str, form: Mapping[str, str], *, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON of the answer to a form; arguments and errors are those of :meth:`get`."""
        return (await self._ask(_Request(path, {}, {}, "", headers or {}, form))).json

    async def document(self, path: str, query: Query | None = None) -> Answer:
        """An answer that need not be JSON; arguments and errors are those of :meth:`get`."""
        return await self._ask(_Request(path, _texts(query), {}, "", {"Accept": "*/*"}, json=False))

    async def _ask(self, request: _Request) -> Answer:
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(self._retries.attempts),
            wait=self._delay,
            retry=tenacity.retry_if_exception_type(_TransientError),
            reraise=True,
        )
        try:
            answer: Answer = await retrying(self._attempt, request)
            return answer
        except _TransientError as last:
            raise last.error from last.__cause__

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _attempt(self, request: _Request) -> Answer:
        await self._limits.take(request.costs, request.partition)
        async with self._slots:
            await self._wait_for_pause(request.path)
            answer = await self._send(request)
        if seconds := self._pause(answer.headers):
            self._pause_all(seconds, "by its count of our requests")
        # The service's own error is more specific than the HTTP status beside it.
        refusal = self._refusal(answer)
        whole = answer.document is not None if request.json else bool(answer.body)
        if refusal is None and whole and answer.status < 300:
            return answer
        refusal = refusal or http_refusal(answer, quoted=self._faults.quoted)
        raise self._error(request, refusal, answer)

    async def _send(self, request: _Request) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._parallel),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={
                    "Accept": "application/json",
                    "User-Agent": self._service.user_agent,
                    **self._credentials,
                },
                timeout=aiohttp.ClientTimeout(
                    total=self._timeout, sock_connect=min(self._timeout, 5.0)
                ),
                trust_env=True,  # proxies
            )
        try:
            async with self._session.request(
                "GET" if request.form is None else "POST",
                self._url / request.path if request.path else self._url,
                params=request.query,
                data=request.form,
                headers=request.headers,
                allow_redirects=self._service.redirects,
                max_redirects=5,
            ) as response:
                return Answer(response.status, response.headers, await response.read())
        except TimeoutError as error:
            reason = f"no answer within {self._timeout:g} s"
            raise self._unreachable(request.path, reason) from error
        except (aiohttp.ClientError, OSError) as error:
            reason = redact(str(error)) or type(error).__name__
            raise self._unreachable(request.path, reason) from error

    def _unreachable(self, path: str, reason: str) -> _TransientError:
        return _TransientError(
            self._faults.unreachable(
                f"{self.service}: {self.host} can't be reached for {path} ({reason}), "
                f"{self._retries.attempts} attempts; check the network, the proxy and the "
                f"base URL ({self._setting})"
            )
        )

    def _error(self, request: _Request, refusal: Refusal, answer: Answer) -> Exception:
        """The error of a refusal: transient, or for good."""
        message = f"{self.service}: {self.host} answers {request.path} with {refusal.code}"
        message = f"{message}: {refusal.message}"
        if refusal.reason == "blocked":
            return self._faults.blocked(
                f"{message}; it serves nobody from this network or country, whatever is asked: ask "
                f"from a permitted network, or through a permitted gateway ({self._setting})"
            )
        if refusal.reason in ("refused", "absent"):
            absent = refusal.reason == "absent"
            error_type = self._faults.absent if absent else self._faults.refused
            cure = refusal.cure or "correct what was asked, or the base URL"
            return error_type(f"{message}; {cure}", refusal.code)
        seconds = retry_after(answer.headers) or refusal.retry_after
        if refusal.reason == "busy":
            unreachable = self._faults.unreachable(
                f"{message}, {self._retries.attempts} attempts; try again later, and look whether "
                "a proxy or firewall answers in its place"
            )
            return _TransientError(unreachable, min(seconds, self._retries.longest_ban))
        if seconds > self._retries.longest_ban or request.banned:
            self._pause_all(seconds, f"says {refusal.code}")
            return self._banned(request.path, seconds, f": {refusal.code}, {refusal.message}")
        request.banned = refusal.reason == "banned"
        limited = RateLimitedError(
            f"{message}, {self._retries.attempts} attempts; ask for fewer symbols at a time, or "
            "see what else asks from this address"
        )
        return _TransientError(limited, seconds, limited=True)

    def _delay(self, state: tenacity.RetryCallState) -> float:
        """Seconds until the next attempt: growing, random, not less than the service asks for."""
        fault = state.outcome.exception() if state.outcome else None
        seconds = float(self._backoff(state))
        if isinstance(fault, _TransientError):
            seconds = max(seconds, fault.delay)
            if fault.limited:
                self._pause_all(seconds, "wants fewer requests")
            logger.info("%s; again in %.1f s", fault, seconds)
        return seconds

    def _pause_all(self, seconds: float, reason: str) -> None:
        """Send no request for a while."""
        until = asyncio.get_running_loop().time() + seconds
        if until > self._paused_until:
            self._paused_until = until
            logger.warning("%s %s: all requests rest for %.1f s", self.service, reason, seconds)

    async def _wait_for_pause(self, path: str) -> None:
        """Wait until a pause is over, which may be prolonged meanwhile."""
        loop = asyncio.get_running_loop()
        while (seconds := self._paused_until - loop.time()) > 0:
            if seconds > self._retries.longest_ban:
                raise self._banned(path, seconds)
            await asyncio.sleep(seconds)

    def _banned(self, path: str, seconds: float, reason: str = "") -> RateLimitedError:
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        return RateLimitedError(
            f"{self.service}: {self.host} wants no request for {seconds:.0f} s, until "
            f"{until:%Y-%m-%d %H:%M:%S} UTC ({path} was not answered{reason}); start again after "
            "that, since asking on lengthens the ban"
        )


def _texts(query: Query | None) -> dict[str, str]:
    return {name: str(value) for name, value in (query or {}).items() if value is not None}


def split_credentials(base_url: str) -> tuple[URL, dict[str, str]]:
    """A base URL without credentials, and the headers that carry them.

    Raises:
        InputError: the address is no base URL, or can be read in more than one way.
    """
    refuse_ambiguous(base_url, "base URL", InputError)
    try:
        url = URL(base_url)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host or url.query_string or url.fragment:
        raise InputError(
            f"{redact(base_url)!r} is no base URL; write https://HOST, or http://HOST:PORT/PATH"
        )
    if url.user is None:
        return url, {}
    authorization = aiohttp.encode_basic_auth(url.user, url.password or "")
    return url.with_user(None), {"Authorization": authorization}


class ClientOwner(Closing):
    """What asks one service, and closes its client in the end."""

    client: Client

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.client.host})"

    async def close(self) -> None:
        await self.client.close()
