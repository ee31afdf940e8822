"""The three clients against the exchange server: every row that exists, once, with its values."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pytest
from aiohttp import web

from brain.errors import (
    ExchangeBlockedError,
    ExchangeRefusedError,
    ExchangeShapeError,
    ExchangeUnreachableError,
    InputError,
    NoSuchInstrumentError,
    RateLimitedError,
)
from brain.series.store.schema import KINDS
from brain.series.store.store import SeriesStore
from market.collection.collector import DataCollector
from market.collection.gaps import open_gaps
from market.exchanges import EXCHANGES, open_exchange
from market.exchanges.base import Exchange, Instrument, Page, canonical, settles_in_dollars
from market.exchanges.binance import Binance
from market.exchanges.pages import intervals, windows
from market.exchanges.rest import RestExchange
from market.http.client import RetryPolicy
from tests.market.collectors import Library, settings_for
from tests.market.exchange_server import NOW, ExchangeServer, Faults
from tests.market.exchange_server.catalogue import DELISTED
from tests.market.loopback import Handler, serving

T = TypeVar("T")

DAYS = pd.Timedelta(days=90)
KINDS_OF_HISTORY = ("candles", "funding", "open_interest")


@pytest.fixture(scope="module")
def calm() -> Iterator[ExchangeServer]:
    with ExchangeServer(scale=60, fillers=520) as server:
        yield server


def run_client(
    server: ExchangeServer, name: str, work: Callable[[Any], Coroutine[Any, Any, T]]
) -> T:
    """The result of work with a client of one of the server's exchanges."""

    async def run() -> T:
        async with open_exchange(name, base_url=server.urls[name], timeout=5) as exchange:
            return await work(exchange)

    return asyncio.run(run())


async def join(pages: AsyncIterator[Page]) -> pd.DataFrame:
    frames = [page.rows async for page in pages]
    assert frames, "no page came"
    return pd.concat(frames, ignore_index=True).sort_values("time", ignore_index=True)


def history(
    exchange: Exchange, kind: str, instrument: Instrument, start: pd.Timestamp, end: pd.Timestamp
) -> AsyncIterator[Page]:
    if kind == "candles":
        return exchange.candles(instrument, "1h", start, end)
    if kind == "funding":
        return exchange.funding(instrument, start, end)
    return exchange.open_interest(instrument, "1h", start, end)


def truth(
    server: ExchangeServer, exchange: str, kind: str, symbol: str, *span: Any
) -> pd.DataFrame:
    """The rows that exist; settlements by their minute, as clients return them."""
    if kind == "funding":
        frame = server.truth.funding(exchange, symbol, *span)
        return frame.assign(time=frame["time"].dt.floor("min")).assign(
            available=frame["available"].dt.floor("min")
        )
    return getattr(server.truth, kind)(exchange, symbol, "1h", *span)


def assert_same(rows: pd.DataFrame, expected: pd.DataFrame, but: tuple[str, ...] = ()) -> None:
    columns = [column for column in expected.columns if column not in but]
    pd.testing.assert_frame_equal(
        rows[columns], expected[columns].reset_index(drop=True), check_dtype=False, rtol=1e-9
    )


@pytest.mark.sampled("symbol")
@pytest.mark.parametrize("kind", KINDS_OF_HISTORY)
@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "SOL/USDT:USDT", "KAITO/USDT:USDT"])
def test_ninety_days_come_whole(calm: ExchangeServer, name: str, kind: str, symbol: str) -> None:
    start, end = NOW - DAYS, NOW + pd.Timedelta(hours=3)

    async def work(exchange: Exchange) -> pd.DataFrame:
        instrument = (await exchange.instruments())[symbol]
        return await join(history(exchange, kind, instrument, start, end))

    rows = run_client(calm, name, work)
    expected = truth(calm, name, kind, symbol, start, end)
    assert len(expected) > 250
    assert_same(rows, expected, but=("usd",) if name == "bybit" else ())
    assert list(rows.columns) == list(KINDS[kind].inputs)
    assert [str(dtype) for dtype in rows.dtypes] == [
        str(KINDS[kind].empty()[column].dtype) for column in rows
    ]
    if kind == "open_interest":
        value = calm.truth.snapshot(name, symbol)["mark_price"][0] * rows["base"]
        assert ((rows["usd"] / value).between(0.2, 5)).all()


@pytest.mark.parametrize("name", EXCHANGES)
def test_intervals_that_changed_are_told_by_the_neighbours(calm: ExchangeServer, name: str) -> None:
    async def work(exchange: Exchange) -> pd.DataFrame:
        instrument = (await exchange.instruments())["LPT/USDT:USDT"]
        return await join(exchange.funding(instrument, NOW - DAYS, NOW))

    rows = run_client(calm, name, work)
    assert_same(rows, truth(calm, name, "funding", "LPT/USDT:USDT", NOW - DAYS, NOW))
    assert rows["interval_hours"].nunique() > 1


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("kind", KINDS_OF_HISTORY)
def test_parts_join_without_loss_or_doubling(calm: ExchangeServer, name: str, kind: str) -> None:
    """Windows whose borders fall on rows, between rows, and at page borders."""
    cuts = [NOW - DAYS / 4, NOW - DAYS / 5, NOW.floor("h") - pd.Timedelta(hours=99)]
    cuts += [cuts[-1] + pd.Timedelta(milliseconds=1), NOW.floor("D"), NOW]

    async def work(exchange: Exchange) -> list[pd.DataFrame]:
        instrument = (await exchange.instruments())["ETH/USDT:USDT"]
        spans = pairwise(cuts)
        return [
            page.rows
            for start, end in spans
            async for page in history(exchange, kind, instrument, start, end)
        ]

    rows = pd.concat(run_client(calm, name, work)).sort_values("time", ignore_index=True)
    assert rows["time"].is_unique
    expected = truth(calm, name, kind, "ETH/USDT:USDT", cuts[0], cuts[-1])
    assert_same(rows, expected, but=("usd",) if name == "bybit" else ())


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_hole_longer_than_pages_does_not_end_the_paging(name: str) -> None:
    symbol, start = "BTC/USDT:USDT", NOW - DAYS / 2
    with ExchangeServer(scale=60, fillers=0) as server:
        for kind in KINDS_OF_HISTORY:
            server.truth.hole(
                name, symbol, kind, NOW - pd.Timedelta(days=25), NOW - pd.Timedelta(days=12)
            )

        async def work(exchange: Exchange) -> list[pd.DataFrame]:
            instrument = (await exchange.instruments())[symbol]
            return [
                await join(history(exchange, kind, instrument, start, NOW))
                for kind in KINDS_OF_HISTORY
            ]

        for kind, rows in zip(KINDS_OF_HISTORY, run_client(server, name, work), strict=True):
            expected = truth(server, name, kind, symbol, start, NOW)
            assert_same(rows[["time"]], expected[["time"]])
            assert expected["time"].diff().max() > pd.Timedelta(days=11)


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_instruments_are_those_that_the_exchange_lists(calm: ExchangeServer, name: str) -> None:
    instruments = run_client(calm, name, lambda exchange: exchange.instruments())
    expected = calm.truth.instruments(name).set_index("symbol")
    frame = pd.DataFrame(instruments.values()).set_index("symbol").loc[expected.index]
    assert (frame["id"] == expected["instrument"]).all()
    assert np.allclose(frame["contract_size"], expected["contract_size"])
    pd.testing.assert_series_equal(
        frame["funding_interval_hours"].astype(float), expected["funding_interval_hours"]
    )
    assert (pd.to_datetime(frame["listed"]) == expected["listed"]).all()
    delisted = pd.to_datetime(frame["delisted"], utc=True)
    assert (
        (delisted == expected["delisted"]) | (delisted.isna() & expected["delisted"].isna())
    ).all()


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_snapshot_tells_the_present(calm: ExchangeServer, name: str) -> None:
    async def work(exchange: Exchange) -> pd.DataFrame:
        return await exchange.snapshot((await exchange.instruments())["MON/USDT:USDT"])

    rows, expected = run_client(calm, name, work), calm.truth.snapshot(name, "MON/USDT:USDT")
    assert list(rows.columns) == list(KINDS["snapshots"].inputs)
    moments = ["time", "available"]
    assert_same(rows, expected, but=(*moments, "open_interest_usd"))
    assert (rows["time"][0] - expected["time"][0]).total_seconds() == pytest.approx(0, abs=60)
    value = rows["open_interest"] * rows["mark_price"]
    assert rows["open_interest_usd"][0] == pytest.approx(value[0], rel=0.01)


@pytest.mark.parametrize("name", EXCHANGES)
def test_closed_is_judged_by_the_exchanges_clock(name: str) -> None:
    """What is open by our clock is closed at an exchange an hour ahead, and the reverse."""
    for skew in (3600.0, -3600.0):
        faults = Faults(skew={name: skew})
        with ExchangeServer(scale=60, fillers=0, faults=faults) as server:

            async def work(exchange: Exchange) -> tuple[pd.Timestamp, pd.DataFrame]:
                now = await exchange.server_time()
                instrument = (await exchange.instruments())["BTC/USDT:USDT"]
                start = NOW - pd.Timedelta(hours=9)
                return now, await join(exchange.candles(instrument, "1h", start, NOW + DAYS))

            now, rows = run_client(server, name, work)
            assert (rows["available"] <= now).all()
            assert rows["available"].max() > now - pd.Timedelta(hours=2, minutes=1)


@pytest.mark.parametrize("name", EXCHANGES)
def test_every_probe_passes_and_none_is_left_out(calm: ExchangeServer, name: str) -> None:
    async def work(exchange: Exchange) -> list[str]:
        for probe in exchange.probes():
            await probe.run()
        return [probe.name for probe in exchange.probes()]

    assert len(run_client(calm, name, work)) >= 6


@pytest.mark.parametrize("name", EXCHANGES)
def test_faults_are_outlasted(name: str) -> None:
    faults = Faults(seed=4, reset=0.02, too_many=0.02, error=0.02, truncated=0.02, malformed=0.02)
    faults.retry_after = 0
    with ExchangeServer(scale=60, fillers=0, faults=faults) as server:

        async def work(exchange: Exchange) -> list[pd.DataFrame]:
            instrument = (await exchange.instruments())["SOL/USDT:USDT"]
            spans = [NOW - DAYS / 2, NOW]
            return [await join(history(exchange, k, instrument, *spans)) for k in KINDS_OF_HISTORY]

        for kind, rows in zip(KINDS_OF_HISTORY, run_client(server, name, work), strict=True):
            assert_same(
                rows[["time"]],
                truth(server, name, kind, "SOL/USDT:USDT", NOW - DAYS / 2, NOW)[["time"]],
            )


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_exchange_that_is_down_is_named(name: str) -> None:
    async def run() -> None:
        client_type = type(open_exchange(name))
        assert issubclass(client_type, RestExchange)
        retries = RetryPolicy(attempts=2, first_wait=0.01)
        async with client_type("http://secret:word@127.0.0.1:9", retries=retries) as exchange:
            with pytest.raises(ExchangeUnreachableError, match=r"127\.0\.0\.1:9") as caught:
                await exchange.instruments()
            assert "word" not in f"{caught.value} {exchange!r} {caught.value.__cause__!r}"

    asyncio.run(run())


@pytest.mark.parametrize("name", EXCHANGES)
def test_what_an_exchange_has_no_word_for_is_refused(calm: ExchangeServer, name: str) -> None:
    async def work(exchange: Exchange) -> None:
        instrument = (await exchange.instruments())["BTC/USDT:USDT"]
        for timeframe in ("8h", "7m"):
            pages = exchange.open_interest(instrument, timeframe, NOW - DAYS, NOW)
            with pytest.raises(InputError, match=timeframe):
                await join(pages)

    run_client(calm, name, work)


def test_an_unknown_exchange_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'binance'"):
        open_exchange("binanc")
    with pytest.raises(InputError, match="no base URL"):
        open_exchange("okx", base_url="okx.com")


def test_an_answer_of_another_shape_names_the_field() -> None:
    exchange = open_exchange("binance")
    assert isinstance(exchange, RestExchange)
    parser = exchange.parser("fapi/v1/klines")
    with pytest.raises(ExchangeShapeError, match=r"binance fapi/v1/klines: field 7 is missing"):
        parser.numbers([[1, "2"]], 7)
    with pytest.raises(ExchangeShapeError, match="'rate' is no number"):
        parser.numbers([{"rate": "high"}], "rate")
    with pytest.raises(ExchangeShapeError, match=r"'result\.list' is missing"):
        parser.rows({"result": {"rows": []}}, "result", "list")
    with pytest.raises(ExchangeShapeError, match="milliseconds"):
        parser.times([{"ts": "today"}], "ts")
    assert np.isnan(parser.numbers([{"rate": ""}, {"rate": None}], "rate")).all()


def test_windows_cover_a_span_once() -> None:
    spans = list(windows(5, 42, 10))
    assert spans == [(5, 15), (15, 25), (25, 35), (35, 42)]
    assert list(windows(5, 5, 10)) == list(windows(6, 5, 10)) == []


@pytest.mark.parametrize(
    ("hours", "present", "expected"),
    [
        ([0, 8, 16, 24], None, [8, 8, 8, 8]),
        ([0, 8, 16, 20, 24], 4, [8, 8, 8, 4, 4]),  # it changed
        ([0, 4, 8, 16, 20, 24], 4, [4, 4, 4, 4, 4, 4]),  # a settlement is missing
        ([0, 8, 24, 32], 8, [8, 8, 8, 8]),
        ([0, 8, 16, 32], 4, [8, 8, 8, 8]),  # and what comes later doesn't change that
        ([0, 8, 16, 32, 36, 40], 4, [8, 8, 8, 8, 4, 4]),
        ([0, 16], 8, [8, 8]),
        ([0, 6, 12, 18], None, [6, 6, 6, 6]),
        ([0, 8, 16, 24, 30, 36, 42], 6, [8, 8, 8, 8, 6, 6, 6]),
        ([0], 4, [4]),
        ([0], None, [np.nan]),
        ([0, 5], None, [np.nan, np.nan]),  # no interval that any exchange has
        ([], 8, []),
    ],
)
def test_intervals(hours: list[int], present: float | None, expected: list[float]) -> None:
    times = pd.DatetimeIndex(
        [pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(hours=h) for h in hours]
    )
    np.testing.assert_array_equal(intervals(times, present), np.array(expected, dtype=float))


def test_symbols_are_canonical() -> None:
    assert canonical("1000PEPE", "USDT") == "1000PEPE/USDT:USDT"
    assert canonical("币安人生", "USDT") is None
    assert settles_in_dollars("USDC")
    assert not settles_in_dollars("BTC")


def test_rate_limits_are_kept_within_the_exchanges_budget() -> None:
    """Twenty series at once: the exchange refuses nobody."""
    with ExchangeServer(scale=1, fillers=0) as server:

        async def work(exchange: Exchange) -> None:
            instruments = list((await exchange.instruments()).values())[:6]
            start = NOW - pd.Timedelta(days=40)
            await asyncio.gather(
                *(
                    join(exchange.candles(i, "1h", start, NOW))
                    for i in instruments
                    if not i.delisted
                )
            )

        run_client(server, "okx", work)
        assert server.refused == []


def test_a_ban_that_is_too_long_to_wait_for_is_told_at_once() -> None:
    faults = Faults(banned=1.0, streak=99, retry_after=3600)
    with ExchangeServer(fillers=0, faults=faults) as server:

        async def work(exchange: Exchange) -> None:
            for _ in range(2):
                with pytest.raises(RateLimitedError, match="wants no request for 3"):
                    await exchange.server_time()

        run_client(server, "binance", work)
        assert len(server.requests) == 1


# --- refusals: of the client's network, and of an instrument --------------------------------------

COUNTRY = "The Amazon CloudFront distribution is configured to block access from your country."


class OneAnswer:
    """The same answer to every request; counts the requests."""

    def __init__(self, status: int, body: Any = "", **headers: str) -> None:
        self.status, self.body, self.headers, self.requests = status, body, headers, 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        headers = {name.replace("_", "-"): value for name, value in self.headers.items()}
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, headers=headers)
        return web.json_response(self.body, status=self.status, headers=headers)


def run_against(name: str, handler: Handler, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """The result of work with the client of an exchange whose answers are the handler's."""

    async def run() -> T:
        async with serving(handler) as url, open_exchange(name, base_url=url) as exchange:
            return await work(exchange)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("binance", 403, "<html><title>403 Forbidden</title></html>"),
        ("binance", 451, {"code": 0, "msg": "Service unavailable from a restricted location"}),
        ("bybit", 403, f"<html><h1>403 ERROR</h1>{COUNTRY}</html>"),
        ("bybit", 403, {"error": COUNTRY}),
        ("bybit", 200, {"retCode": 10024, "retMsg": "Compliance rules triggered"}),
        ("okx", 403, "<html>Forbidden</html>"),
        ("okx", 451, {"code": "51001", "msg": "whatever"}),
    ],
)
def test_who_is_blocked_learns_of_the_network(name: str, status: int, body: Any) -> None:
    async def work(exchange: Any) -> None:
        for work in (
            exchange.instruments,
            exchange.server_time,
            lambda: exchange.snapshot(exchange.bitcoin),
        ):
            with pytest.raises(ExchangeBlockedError, match="permitted network") as caught:
                await work()
            assert "correct what was asked" not in str(caught.value)

    run_against(name, handler := OneAnswer(status, body), work)
    assert handler.requests == 3


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, "403, access too frequent"),
        (403, {"retCode": 10018, "retMsg": "access too frequent"}),
        (200, {"retCode": 10009, "retMsg": "IP has been banned."}),
    ],
)
def test_bybits_ban_ends_the_asking_for_ten_minutes(status: int, body: Any) -> None:
    async def work(exchange: Any) -> None:
        for _ in range(3):
            with pytest.raises(RateLimitedError, match=r"no request for (600|599) s, until 20"):
                await exchange.instruments()

    run_against("bybit", handler := OneAnswer(status, body), work)
    assert handler.requests == 1


def ban(seconds: float) -> dict[str, Any]:
    until = round(1000 * (time.time() + seconds))
    message = f"Way too many requests; IP(10.0.0.1) banned until {until}. Please use the websocket."
    return {"code": -1003, "msg": message}


@pytest.mark.parametrize("status", [418, 429, 400])
def test_the_end_of_binances_ban_stands_in_its_message(status: int) -> None:
    async def work(exchange: Any) -> None:
        for _ in range(3):
            with pytest.raises(RateLimitedError, match=r"no request for [78]\d\d s, until 20") as e:
                await exchange.server_time()
            (left,) = re.findall(r"request for (\d+) s", str(e.value))
            assert 700 < int(left) <= 802

    run_against("binance", handler := OneAnswer(status, ban(800)), work)
    assert handler.requests == 1


@pytest.mark.parametrize("body", [{"code": -1003, "msg": "banned"}, "I'm a teapot", ban(-9)])
def test_binances_ban_without_an_end_lasts_two_minutes(body: Any) -> None:
    async def run() -> int:
        handler, retries = OneAnswer(418, body), RetryPolicy(longest_ban=119)
        async with serving(handler) as url, Binance(url, retries=retries) as exchange:
            for _ in range(2):
                with pytest.raises(RateLimitedError, match=r"no request for 1(20|19) s"):
                    await exchange.server_time()
        return handler.requests

    assert asyncio.run(run()) == 1


def test_a_retry_after_goes_before_the_message() -> None:
    async def work(exchange: Any) -> None:
        with pytest.raises(RateLimitedError, match=r"no request for 7200 s"):
            await exchange.server_time()

    run_against("binance", OneAnswer(418, ban(800), Retry_After="7200"), work)


@pytest.mark.parametrize("name", EXCHANGES)
def test_only_no_such_instrument_is_told_as_such(calm: ExchangeServer, name: str) -> None:
    async def work(exchange: Any) -> None:
        gone = Instrument(name, "X/USDT:USDT", "X-Y", 1.0, 8.0, None, None, "")
        for kind in ("candles", "funding"):
            with pytest.raises(NoSuchInstrumentError):
                await join(history(exchange, kind, gone, NOW - DAYS / 90, NOW))
        named = {"symbol": exchange.bitcoin.id, "instId": exchange.bitcoin.id}
        with pytest.raises(ExchangeRefusedError) as caught:
            await exchange.client.get(exchange.endpoints["candles"], named | {"interval": "x"})
        assert not isinstance(caught.value, NoSuchInstrumentError)

    run_client(calm, name, work)


def test_being_blocked_does_not_tell_that_nothing_remains_of_one_that_is_gone(
    tmp_path: Path,
) -> None:
    with ExchangeServer(fillers=0) as server:
        store = SeriesStore(tmp_path / "series")
        row = server.truth.instruments("bybit").query("instrument == 'BTCUSDT'")
        seen = (NOW.floor("h") - pd.Timedelta(hours=30)).as_unit("us")
        store.upsert("instruments", row.assign(symbol="X/USDT:USDT", instrument="X", seen=seen))
        server.faults.blocked = {"bybit"}
        work = DataCollector(Library(store), ["bybit"], settings=settings_for(server.urls))
        result = work.collect_all_data(["X/USDT"], 48)
        gaps = open_gaps(store)
        assert len(server.requests_to("bybit")) < 20
    assert {type(one.failure) for one in result.failures} == {ExchangeBlockedError}
    assert {one.kind for one in result.failures} == set(KINDS_OF_HISTORY)
    assert gaps["reason"].str.contains("request failed: .*permitted network").all()
    assert set(gaps["kind"]) == set(KINDS_OF_HISTORY)


@pytest.mark.parametrize(
    ("code", "message", "absent"),
    [
        (10001, "params error: symbol invalid", True),
        (10001, "Not supported symbols", True),
        (10001, "Invalid period!", False),
        (10017, "Route not found.", False),
    ],
)
def test_bybit_tells_of_a_wrong_symbol_in_words_alone(
    code: int, message: str, absent: bool
) -> None:
    async def work(exchange: Any) -> None:
        with pytest.raises(ExchangeRefusedError) as caught:
            await exchange.snapshot(exchange.bitcoin)
        assert isinstance(caught.value, NoSuchInstrumentError) == absent
        assert caught.value.code == str(code)

    run_against("bybit", OneAnswer(200, {"retCode": code, "retMsg": message}), work)


@pytest.mark.parametrize(
    ("limited", "error"),
    [
        (OneAnswer(403, "403, access too frequent"), RateLimitedError),
        (OneAnswer(403, COUNTRY), ExchangeBlockedError),
    ],
)
@pytest.mark.parametrize("status", ["PreLaunch", "Delivering", "Closed"])
def test_a_ban_is_no_answer_about_delisted_ones(
    limited: OneAnswer, error: type[Exception], status: str
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.query["status"] == status:
            return await limited(request)
        return web.json_response({"retCode": 0, "result": {"list": []}})

    async def work(exchange: Any) -> None:
        with pytest.raises(error):
            await exchange.instruments()

    run_against("bybit", handler, work)


@pytest.mark.parametrize(
    ("limited", "error"),
    [
        (OneAnswer(429, {"code": "50011", "msg": ""}, Retry_After="999"), RateLimitedError),
        (OneAnswer(403), ExchangeBlockedError),
    ],
)
def test_a_ban_is_no_answer_about_intervals(limited: OneAnswer, error: type[Exception]) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/funding-rate"):
            return await limited(request)
        return web.json_response({"code": "0", "data": []})

    async def work(exchange: Any) -> None:
        with pytest.raises(error):
            await exchange.instruments()

    run_against("okx", handler, work)


def test_one_that_is_being_delivered_is_still_listed() -> None:
    """And a status that the exchange does not know does not break the listing."""
    with ExchangeServer(DELISTED + pd.Timedelta(minutes=5), fillers=0) as server:
        instruments = run_client(server, "bybit", lambda exchange: exchange.instruments())
        statuses = [r.query["status"] for r in server.requests_to("bybit", "/instruments-info")]
    assert statuses == ["PreLaunch", "Trading", "Settling", "Delivering", "Closed"]
    gone = instruments["FTM/USDT:USDT"]
    assert (gone.status, gone.delisted) == ("Delivering", DELISTED)
    assert instruments["MATIC/USDT:USDT"].status == "Closed"
    assert instruments["BTC/USDT:USDT"].status == "Trading"


@pytest.mark.parametrize("hours", [0.5, 2.5])
def test_what_grows_too_old_while_requests_wait_does_not_cost_the_rest(hours: float) -> None:
    """Binance's clock is ahead of what it tells: its oldest row is younger than we reckon."""
    faults = Faults(skew={"binance": -3600 * hours})
    with ExchangeServer(scale=60, fillers=0, faults=faults) as server:

        async def work(exchange: Exchange) -> pd.DataFrame:
            instrument = (await exchange.instruments())["BTC/USDT:USDT"]
            return await join(exchange.open_interest(instrument, "1h", NOW - DAYS, NOW))

        rows = run_client(server, "binance", work)
        refused = [r for r in server.requests_to("binance", "Hist") if r.status == 400]
        expected = server.truth.open_interest("binance", "BTC/USDT:USDT", "1h")
    assert 1 <= len(refused) <= 3
    expected = expected[expected["available"] <= NOW - pd.Timedelta(hours=hours)]
    assert len(rows) in (len(expected), len(expected) - 1)  # at most one period for the moving
    assert_same(rows, expected.tail(len(rows)))


def test_a_refusal_of_times_that_are_young_is_told() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/time"):
            return web.json_response({"serverTime": NOW.value // 1_000_000})
        refusal = {"code": -1130, "msg": "parameter 'startTime' is invalid."}
        return web.json_response(refusal, status=400)

    async def work(exchange: Any) -> None:
        start = NOW - pd.Timedelta(days=2)
        with pytest.raises(ExchangeRefusedError, match="-1130"):
            await join(exchange.open_interest(exchange.bitcoin, "1h", start, NOW))

    run_against("binance", handler, work)


def test_open_interest_is_of_one_side_on_bybit(calm: ExchangeServer) -> None:
    async def work(exchange: Any) -> tuple[pd.DataFrame, pd.DataFrame, Any]:
        bitcoin, start = exchange.bitcoin, NOW - DAYS / 90
        query = {"category": "linear", "symbol": bitcoin.id}
        ticker = await exchange.client.get("v5/market/tickers", query)
        pages = exchange.open_interest(bitcoin, "1h", start, NOW)
        return await exchange.snapshot(bitcoin), await join(pages), ticker

    row, rows, ticker = run_client(calm, "bybit", work)
    (raw,) = ticker["result"]["list"]
    assert row["open_interest"][0] == float(raw["singleOpenInterest"])
    assert row["open_interest"][0] == float(raw["openInterest"]) / 2
    assert row["open_interest_usd"][0] == float(raw["singleOpenInterestValue"])
    expected = calm.truth.open_interest("bybit", "BTC/USDT:USDT", "1h", NOW - DAYS / 90)
    assert_same(rows, expected, but=("usd",))


@pytest.mark.parametrize("date", [0, 4133404800000, 4133404800001, 4133941200000])
def test_a_delivery_a_lifetime_away_is_none(date: int) -> None:
    row = {
        "symbol": "BTCUSDT",
        "contractType": "PERPETUAL",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "status": "TRADING",
        "deliveryDate": date,
    }

    async def handler(request: web.Request) -> web.StreamResponse:
        info = request.path.endswith("/exchangeInfo")
        return web.json_response({"symbols": [row]} if info else [])

    instruments = run_against("binance", handler, lambda exchange: exchange.instruments())
    assert instruments["BTC/USDT:USDT"].delisted is None
