"""The HTTP client over a socket: which requests are repeated, and which errors are raised."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, strategies as st

from brain.errors import (
    ExchangeBlockedError,
    ExchangeRefusedError,
    ExchangeUnreachableError,
    InputError,
    MarketError,
    NoSuchInstrumentError,
    RateLimitedError,
)
from market.http.client import Client, RetryPolicy
from market.http.limits import Limit, Limits
from market.http.refusals import Answer, Refusal, retry_after
from tests.market.loopback import Handler, serving

QUICK = RetryPolicy(attempts=4, first_wait=0.01, longest_wait=0.05, longest_ban=5)


def run_client(
    handler: Handler, work: Callable[[Client], Awaitable[Any]], user: str = "", **overrides: Any
) -> Any:
    async def run() -> Any:
        async with serving(handler) as address:
            url = address.replace("http://", f"http://{user}")
            arguments = {"retries": QUICK, "timeout": 5.0, **overrides}
            client = Client(url, service="binance", **arguments)
            try:
                return await work(client)
            finally:
                await client.close()

    return asyncio.run(run())


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def truncated(request: web.Request) -> web.StreamResponse:
    """Fewer bytes than were announced."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'[{"a": 1}, {"a"')
    assert request.transport is not None
    request.transport.close()
    return response


async def half(request: web.Request) -> web.StreamResponse:
    return web.Response(text='[{"a": 1}, {"a"')


async def page(request: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>Just a moment</html>")


async def empty(request: web.Request) -> web.StreamResponse:
    return web.Response()


async def broken(request: web.Request) -> web.StreamResponse:
    return web.Response(status=502, text="bad gateway")


async def many(request: web.Request) -> web.StreamResponse:
    return web.json_response({"code": -1003}, status=429, headers={"Retry-After": "0"})


async def slow(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


class FaultyServer:
    """Answers with the faults first, then with the answer; counts the requests."""

    def __init__(self, *faults: Handler, answer: Any = None) -> None:
        self.faults, self.requests = list(faults), 0
        self.answer = {"fine": True} if answer is None else answer

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.faults:
            return await self.faults.pop(0)(request)
        return web.json_response(self.answer)


TRANSIENT = [reset, truncated, half, page, empty, broken, many]


@pytest.mark.parametrize("fault", TRANSIENT, ids=lambda f: f.__name__)
def test_what_may_pass_is_asked_again(fault: Handler) -> None:
    server = FaultyServer(fault, fault)
    assert run_client(server, lambda client: client.get("v1/x", {"a": 1, "b": None})) == {
        "fine": True
    }
    assert server.requests == 3


def test_a_slow_answer_is_asked_again() -> None:
    server = FaultyServer(slow)
    assert run_client(server, lambda client: client.get("x"), timeout=0.3) == {"fine": True}
    assert server.requests == 2


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (reset, ExchangeUnreachableError, "can't be reached"),
        (truncated, ExchangeUnreachableError, "can't be reached"),
        (page, ExchangeUnreachableError, "malformed JSON: it begins '<html>Just"),
        (broken, ExchangeUnreachableError, "HTTP 502: bad gateway"),
        (many, RateLimitedError, "HTTP 429"),
    ],
)
def test_what_stays_is_a_typed_error(
    fault: Handler, error: type[MarketError], message: str
) -> None:
    server = FaultyServer(*[fault] * 9)
    with pytest.raises(error, match=message) as caught:
        run_client(server, lambda client: client.get("v1/x"))
    assert "binance: 127.0.0.1:" in str(caught.value)
    assert "4 attempts" in str(caught.value)
    # aiohttp itself sends a request again, once, whose connection was torn down.
    assert QUICK.attempts <= server.requests <= 2 * QUICK.attempts


def test_nobody_there() -> None:
    async def run() -> None:
        client = Client("http://127.0.0.1:9", service="okx", retries=QUICK)
        with pytest.raises(ExchangeUnreachableError, match=r"okx: 127.0.0.1:9 can't .*okx_url"):
            await client.get("x")
        await client.close()

    asyncio.run(run())


def test_a_refusal_is_not_asked_again() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)

    server = FaultyServer(refuse, refuse)
    with pytest.raises(ExchangeRefusedError, match="HTTP 400"):
        run_client(server, lambda client: client.get("x"))
    with pytest.raises(ExchangeRefusedError, match="-1121: Invalid symbol"):
        run_client(
            server,
            lambda client: client.get("x"),
            refusal=lambda answer: Refusal(str(answer.json["code"]), answer.json["msg"]),
        )
    assert server.requests == 2


def test_a_redirection_is_not_followed() -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("http://127.0.0.1:9/x")

    with pytest.raises(ExchangeRefusedError, match="HTTP 302"):
        run_client(elsewhere, lambda client: client.get("x"))


def test_a_ban_rests_all_requests_and_is_waited_out() -> None:
    times: list[float] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            return web.Response(status=418, headers={"Retry-After": "1"})
        return web.json_response([])

    async def work(client: Client) -> None:
        first = asyncio.create_task(client.get("first"))
        while not times:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # the answer is on its way
        await asyncio.gather(first, *(client.get("other") for _ in range(5)))

    run_client(handler, work)
    assert len(times) == 7
    assert min(times[1:]) - times[0] >= 0.9


def test_a_long_ban_is_told_at_once_and_nothing_more_is_sent() -> None:
    async def banned(request: web.Request) -> web.StreamResponse:
        return web.Response(status=418, headers={"Retry-After": "7200"})

    server = FaultyServer(banned)

    async def work(client: Client) -> None:
        for _ in range(3):
            with pytest.raises(RateLimitedError, match=r"no request for 7(200|199) s"):
                await client.get("x")

    run_client(server, work)
    assert server.requests == 1


@pytest.mark.parametrize("status", [403, 451])
def test_who_is_blocked_is_told_so_and_not_asked_again(status: int) -> None:
    async def shut(request: web.Request) -> web.StreamResponse:
        text = "<html><h1>403 ERROR</h1>configured to block access from your country.</html>"
        return web.Response(status=status, text=text, content_type="text/html")

    server = FaultyServer(shut)
    with pytest.raises(
        ExchangeBlockedError, match=f"HTTP {status}: 403 ERROR configured to"
    ) as caught:
        run_client(server, lambda client: client.get("x"))
    assert server.requests == 1
    assert "permitted network" in str(caught.value)
    assert "correct what was asked" not in str(caught.value)
    assert not isinstance(caught.value, ExchangeRefusedError)


def test_no_such_instrument_is_told_from_other_refusals() -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"code": int(request.query["code"])}, status=400)

    def refusal(answer: Answer) -> Refusal:
        code = str(answer.json["code"])
        return Refusal(code, "", "absent" if code == "-1121" else "refused")

    with pytest.raises(NoSuchInstrumentError) as absent:
        run_client(refuse, lambda client: client.get("x", {"code": -1121}), refusal=refusal)
    with pytest.raises(ExchangeRefusedError) as other:
        run_client(refuse, lambda client: client.get("x", {"code": -1102}), refusal=refusal)
    assert not isinstance(other.value, NoSuchInstrumentError)
    assert (absent.value.code, other.value.code) == ("-1121", "-1102")


def test_a_ban_is_waited_out_once_at_most() -> None:
    async def shut(request: web.Request) -> web.StreamResponse:
        return web.Response(status=418)

    def refusal(answer: Answer) -> Refusal | None:
        return Refusal("418", "banned", "banned", 0.05) if answer.status == 418 else None

    server = FaultyServer(shut)
    assert run_client(server, lambda client: client.get("x"), refusal=refusal) == {"fine": True}
    assert server.requests == 2
    server = FaultyServer(*[shut] * 9)
    with pytest.raises(RateLimitedError, match=r"until 20\d\d-.* UTC .*418, banned"):
        run_client(server, lambda client: client.get("x"), refusal=refusal)
    assert server.requests == 2


def test_the_clock_of_who_answers_is_read() -> None:
    dated = Answer(200, {"Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"null")
    assert dated.timestamp == datetime(2015, 10, 21, 7, 28, tzinfo=UTC).timestamp()
    assert dated.document == (None,)
    malformed = Answer(200, {"Date": "soon"}, b"{")
    assert abs(malformed.timestamp - datetime.now(UTC).timestamp()) < 60
    assert malformed.document is malformed.json is None


def test_the_services_count_of_our_requests_pauses_them() -> None:
    times: list[float] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        times.append(asyncio.get_running_loop().time())
        return web.json_response([], headers={"X-Used": "99" if len(times) == 1 else "1"})

    async def work(client: Client) -> None:
        await client.get("x")
        await client.get("x")

    run_client(handler, work, pause=lambda headers: 0.5 if headers["x-used"] == "99" else 0.0)
    assert times[1] - times[0] >= 0.45


def test_no_more_requests_run_at_once_than_allowed() -> None:
    running, peak = 0, 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.02)
        running -= 1
        return web.json_response([])

    async def work(client: Client) -> None:
        await asyncio.gather(*(client.get("x") for _ in range(20)))

    run_client(handler, work, parallel=3)
    assert peak == 3


def test_credentials_are_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    authorizations: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        authorizations.append(request.headers.get("Authorization"))
        return await many(request)

    async def work(client: Client) -> str:
        with pytest.raises(RateLimitedError) as caught:
            await client.get("x")
        return f"{client!r} {caught.value} {caught.value.__cause__!r} {caught.value.__context__!r}"

    with caplog.at_level(logging.DEBUG, logger="market"):
        text = run_client(handler, work, user="me:geheim@")
    assert authorizations[0] == "Basic " + base64.b64encode(b"me:geheim").decode()
    assert "geheim" not in text + caplog.text
    assert "rest for" in caplog.text


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []

    async def proxy(request: web.Request) -> web.StreamResponse:
        urls.append(str(request.url))
        return web.json_response([1])

    async def run() -> Any:
        async with serving(proxy) as url:
            monkeypatch.setenv("HTTP_PROXY", url.replace("http://", "http://me:geheim@"))
            monkeypatch.setenv("http_proxy", url.replace("http://", "http://me:geheim@"))
            client = Client("http://exchange.invalid/api", service="binance", retries=QUICK)
            try:
                return await client.get("v1/x")
            finally:
                await client.close()

    assert asyncio.run(run()) == [1]
    assert urls == ["http://exchange.invalid/api/v1/x"]


@pytest.mark.parametrize(
    "url", ["okx.com", "ftp://x", "https://", "https://x?token=geheim", "https://me:geheim@:x", ""]
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="no base URL") as caught:
        Client(url, service="okx")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(("text", "seconds"), [("7", 7), ("-3", 0), ("soon", 0), ("", 0)])
def test_retry_after_in_seconds(text: str, seconds: float) -> None:
    assert retry_after({"Retry-After": text}) == seconds


def test_retry_after_as_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=60)
    assert 50 < retry_after({"Retry-After": format_datetime(later, usegmt=True)}) <= 60
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


@given(
    amount=st.floats(2, 10_000), period=st.floats(0.5, 300), burst=st.sampled_from([0.1, 0.25, 0.5])
)
def test_no_window_lets_more_through_than_the_exchange_allows(
    amount: float, period: float, burst: float
) -> None:
    limit = Limit("weight", amount, period, burst=burst)

    async def run() -> None:
        bucket = limit.bucket()
        through = bucket.max_rate + period * bucket.max_rate / bucket.time_period
        assert through <= amount

    asyncio.run(run())


def test_a_cost_beyond_the_bucket_takes_all_of_it() -> None:
    async def run() -> None:
        limits = Limits([Limit("weight", 10, 0.2), Limit("own", 4, 60, partitioned=True)])
        await limits.take({"weight": 99})
        for partition in "abc":  # with a bucket for each
            await limits.take({"own": 1}, partition)

    asyncio.run(run())
