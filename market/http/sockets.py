"""WebSockets of one service: opened with the same care for addresses as its requests."""

from __future__ import annotations

import asyncio

import aiohttp
from yarl import URL

from brain.addresses import check_environment
from brain.errors import (
    ExchangeBlockedError,
    ExchangeRefusedError,
    ExchangeUnreachableError,
    InputError,
    RateLimitedError,
)
from brain.redact import redact
from market.http.client import split_credentials
from market.http.refusals import BLOCKED

__all__ = ["Sockets"]

# A frame larger than this is no market data.
_FRAME_BYTES = 16 * 2**20
# A server that is silent is not waited for.
_CLOSE_SECONDS = 1.0
_HTTP = {"wss": "https", "ws": "http"}


class Sockets:
    """Opens WebSockets. Use it in one event loop, and close it.

    Args:
        base_url: ``wss://host[:port][/path]``; a user and password in it are sent, never shown.
        service: its name, for messages; they call the setting of its address
            ``{service}_stream_url``.
        timeout: seconds that opening may last.

    Raises:
        InputError: the base URL is none, or can be read in more than one way.
        SettingsError: so can a proxy's address in the environment.
    """

    def __init__(self, base_url: str, *, service: str, timeout: float = 10.0) -> None:
        check_environment()
        scheme, colon, rest = base_url.partition(":")
        if scheme not in (*_HTTP, *_HTTP.values()):
            raise InputError(f"{redact(base_url)!r} is no address of a WebSocket; write wss://HOST")
        self._url, self._credentials = split_credentials(
            f"{_HTTP.get(scheme, scheme)}{colon}{rest}"
        )
        self.service = service
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"Sockets({self.service}, {self._url.host})"

    async def open(self, path: str) -> aiohttp.ClientWebSocketResponse:
        """A new WebSocket, which answers pings by itself.

        Args:
            path: below the base URL.

        Raises:
            ExchangeUnreachableError: it can't be opened.
            ExchangeBlockedError: the service does not serve this network or country.
            RateLimitedError: it was asked for too many.
            ExchangeRefusedError: it has no such path.
        """
        url = self._url / path
        try:
            async with asyncio.timeout(self._timeout):
                return await self._client().ws_connect(
                    url,
                    autoping=True,
                    max_msg_size=_FRAME_BYTES,
                    compress=0,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
                )
        except aiohttp.WSServerHandshakeError as error:
            raise self._refusal(url, error.status) from error
        except TimeoutError as error:
            raise self._unreachable(url, f"no answer within {self._timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._unreachable(url, redact(str(error)) or type(error).__name__) from error

    async def close(self) -> None:
        """Close all of them."""
        if self._session is not None:
            await self._session.close()

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "brain-library", **self._credentials},
                trust_env=True,  # proxies
            )
        return self._session

    def _unreachable(self, url: URL, reason: str) -> ExchangeUnreachableError:
        return ExchangeUnreachableError(
            f"{self.service}: no WebSocket of {url.host} can be opened ({reason}); check the "
            f"network, the proxy and the address ({self.service}_stream_url)"
        )

    def _refusal(
        self, url: URL, status: int
    ) -> ExchangeUnreachableError | RateLimitedError | ExchangeRefusedError:
        message = (
            f"{self.service}: {url.host} answers the opening of a WebSocket with HTTP {status}"
        )
        if status in BLOCKED:
            return ExchangeBlockedError(
                f"{message}; it serves nobody from this network or country, or asks for a pause"
            )
        if status in (418, 429):
            return RateLimitedError(f"{message}; others may open some from this address too")
        if status >= 500:
            return ExchangeUnreachableError(f"{message}; it may be over soon")
        return ExchangeRefusedError(
            f"{message}; correct its address ({self.service}_stream_url)", str(status)
        )
