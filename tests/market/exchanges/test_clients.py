"""The three clients against exchanges on loopback: every row that exists, once, with right values."""

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
from market.exchanges.base import Exchange, Instrument, canonical, settles_in_dollars
from market.exchanges.binance import Binance
from market.exchanges.pages import intervals, windows
from market.exchanges.rest import RestExchange
from market.http.refusals import Patience
from tests.market.collectors import Library, settings_for
from tests.market.exchange_server import NOW, Exchanges, Faults
from tests.market.exchange_server.catalogue import DELISTED
from tests.market.loopback import Handler, serving

T = TypeVar("T")

DAYS = pd.Timedelta(days=90)
KINDS_OF_HISTORY = ("candles", "funding", "open_interest")


@pytest.fixture(scope="module")
def calm() -> Iterator[Exchanges]:
    with Exchanges(scale=60, fillers=520) as exchanges:
        yield exchanges


def asked(exchanges: Exchanges, name: str, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """What is found by asking an exchange."""

    async def run() -> T:
        async with open_exchange(name, base_url=exchanges.urls[name], timeout=5) as exchange:
            return await work(exchange)

    return asyncio.run(run())


async def whole(pages: AsyncIterator[pd.DataFrame]) -> pd.DataFrame:
    found = [page async for page in pages]
    assert found, "no page came"
    return pd.concat(found, ignore_index=True).sort_values("time", ignore_index=True)


def history(
    exchange: Exchange, kind: str, instrument: Instrument, start: pd.Timestamp, end: pd.Timestamp
) -> AsyncIterator[pd.DataFrame]:
    if kind == "candles":
        return exchange.candles(instrument, "1h", start, end)
    if kind == "funding":
        return exchange.funding(instrument, start, end)
    return exchange.open_interest(instrument, "1h", start, end)


def true(exchanges: Exchanges, exchange: str, kind: str, symbol: str, *span: Any) -> pd.DataFrame:
    if kind == "funding":
        frame = exchanges.truth.funding(exchange, symbol, *span)
        return frame.assign(time=frame["time"].dt.floor("min")).assign(
            available=frame["available"].dt.floor("min")
        )
    return getattr(exchanges.truth, kind)(exchange, symbol, "1h", *span)


def same(found: pd.DataFrame, wanted: pd.DataFrame, but: tuple[str, ...] = ()) -> None:
    columns = [column for column in wanted.columns if column not in but]
    pd.testing.assert_frame_equal(
        found[columns], wanted[columns].reset_index(drop=True), check_dtype=False, rtol=1e-9
    )


@pytest.mark.parametrize("kind", KINDS_OF_HISTORY)
@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("symbol", ["BTC/USDT:USDT", "SOL/USDT:USDT", "KAITO/USDT:USDT"])
def test_ninety_days_come_whole(calm: Exchanges, name: str, kind: str, symbol: str) -> None:
    start, end = NOW - DAYS, NOW + pd.Timedelta(hours=3)

    async def ask(exchange: Exchange) -> pd.DataFrame:
        instrument = (await exchange.instruments())[symbol]
        return await whole(history(exchange, kind, instrument, start, end))

    found = asked(calm, name, ask)
    wanted = true(calm, name, kind, symbol, start, end)
    assert len(wanted) > 250
    same(found, wanted, but=("usd",) if name == "bybit" else ())
    assert list(found.columns) == list(KINDS[kind].inputs)
    assert [str(dtype) for dtype in found.dtypes] == [
        str(KINDS[kind].empty()[column].dtype) for column in found
    ]
    if kind == "open_interest":
        value = calm.truth.snapshot(name, symbol)["mark_price"][0] * found["base"]
        assert ((found["usd"] / value).between(0.2, 5)).all()


@pytest.mark.parametrize("name", EXCHANGES)
def test_intervals_that_changed_are_told_by_the_neighbours(calm: Exchanges, name: str) -> None:
    async def ask(exchange: Exchange) -> pd.DataFrame:
        instrument = (await exchange.instruments())["LPT/USDT:USDT"]
        return await whole(exchange.funding(instrument, NOW - DAYS, NOW))

    found = asked(calm, name, ask)
    same(found, true(calm, name, "funding", "LPT/USDT:USDT", NOW - DAYS, NOW))
    assert found["interval_hours"].nunique() > 1


@pytest.mark.parametrize("name", EXCHANGES)
@pytest.mark.parametrize("kind", KINDS_OF_HISTORY)
def test_parts_join_without_loss_or_doubling(calm: Exchanges, name: str, kind: str) -> None:
    """Windows whose borders fall on rows, between rows, and at page borders."""
    cuts = [NOW - DAYS / 4, NOW - DAYS / 5, NOW.floor("h") - pd.Timedelta(hours=99)]
    cuts += [cuts[-1] + pd.Timedelta(milliseconds=1), NOW.floor("D"), NOW]

    async def ask(exchange: Exchange) -> list[pd.DataFrame]:
        instrument = (await exchange.instruments())["ETH/USDT:USDT"]
        spans = pairwise(cuts)
        return [
            page
            for start, end in spans
            async for page in history(exchange, kind, instrument, start, end)
        ]

    found = pd.concat(asked(calm, name, ask)).sort_values("time", ignore_index=True)
    assert found["time"].is_unique
    wanted = true(calm, name, kind, "ETH/USDT:USDT", cuts[0], cuts[-1])
    same(found, wanted, but=("usd",) if name == "bybit" else ())


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_hole_longer_than_pages_does_not_end_the_paging(name: str) -> None:
    symbol, start = "BTC/USDT:USDT", NOW - DAYS / 2
    with Exchanges(scale=60, fillers=0) as exchanges:
        for kind in KINDS_OF_HISTORY:
            exchanges.truth.hole(
                name, symbol, kind, NOW - pd.Timedelta(days=25), NOW - pd.Timedelta(days=12)
            )

        async def ask(exchange: Exchange) -> list[pd.DataFrame]:
            instrument = (await exchange.instruments())[symbol]
            return [
                await whole(history(exchange, kind, instrument, start, NOW))
                for kind in KINDS_OF_HISTORY
            ]

        for kind, found in zip(KINDS_OF_HISTORY, asked(exchanges, name, ask), strict=True):
            wanted = true(exchanges, name, kind, symbol, start, NOW)
            same(found[["time"]], wanted[["time"]])
            assert wanted["time"].diff().max() > pd.Timedelta(days=11)


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_instruments_are_those_that_the_exchange_lists(calm: Exchanges, name: str) -> None:
    found = asked(calm, name, lambda exchange: exchange.instruments())
    wanted = calm.truth.instruments(name).set_index("symbol")
    ours = pd.DataFrame(found.values()).set_index("symbol").loc[wanted.index]
    assert (ours["id"] == wanted["instrument"]).all()
    assert np.allclose(ours["contract_size"], wanted["contract_size"])
    pd.testing.assert_series_equal(
        ours["funding_interval_hours"].astype(float), wanted["funding_interval_hours"]
    )
    assert (pd.to_datetime(ours["listed"]) == wanted["listed"]).all()
    delisted = pd.to_datetime(ours["delisted"], utc=True)
    assert ((delisted == wanted["delisted"]) | (delisted.isna() & wanted["delisted"].isna())).all()


@pytest.mark.parametrize("name", EXCHANGES)
def test_a_snapshot_tells_the_present(calm: Exchanges, name: str) -> None:
    async def ask(exchange: Exchange) -> pd.DataFrame:
        return await exchange.snapshot((await exchange.instruments())["MON/USDT:USDT"])

    found, wanted = asked(calm, name, ask), calm.truth.snapshot(name, "MON/USDT:USDT")
    assert list(found.columns) == list(KINDS["snapshots"].inputs)
    moments = ["time", "available"]
    same(found, wanted, but=(*moments, "open_interest_usd"))
    assert (found["time"][0] - wanted["time"][0]).total_seconds() == pytest.approx(0, abs=60)
    value = found["open_interest"] * found["mark_price"]
    assert found["open_interest_usd"][0] == pytest.approx(value[0], rel=0.01)


@pytest.mark.parametrize("name", EXCHANGES)
def test_closed_is_judged_by_the_exchanges_clock(name: str) -> None:
    """An exchange whose clock is an hour ahead has closed what ours holds for open, and the reverse."""
    for skew in (3600.0, -3600.0):
        faults = Faults(skew={name: skew})
        with Exchanges(scale=60, fillers=0, faults=faults) as exchanges:

            async def ask(exchange: Exchange) -> tuple[pd.Timestamp, pd.DataFrame]:
                now = await exchange.server_time()
                instrument = (await exchange.instruments())["BTC/USDT:USDT"]
                start = NOW - pd.Timedelta(hours=9)
                return now, await whole(exchange.candles(instrument, "1h", start, NOW + DAYS))

            now, found = asked(exchanges, name, ask)
            assert (found["available"] <= now).all()
            assert found["available"].max() > now - pd.Timedelta(hours=2, minutes=1)


@pytest.mark.parametrize("name", EXCHANGES)
def test_every_probe_passes_and_none_is_left_out(calm: Exchanges, name: str) -> None:
    async def ask(exchange: Exchange) -> list[str]:
        for probe in exchange.probes():
            await probe.ask()
        return [probe.name for probe in exchange.probes()]

    assert len(asked(calm, name, ask)) >= 6


@pytest.mark.parametrize("name", EXCHANGES)
def test_faults_are_outlasted(name: str) -> None:
    faults = Faults(seed=4, reset=0.02, too_many=0.02, error=0.02, truncated=0.02, malformed=0.02)
    faults.retry_after = 0
    with Exchanges(scale=60, fillers=0, faults=faults) as exchanges:

        async def ask(exchange: Exchange) -> list[pd.DataFrame]:
            instrument = (await exchange.instruments())["SOL/USDT:USDT"]
            spans = [NOW - DAYS / 2, NOW]
            return [await whole(history(exchange, k, instrument, *spans)) for k in KINDS_OF_HISTORY]

        for kind, found in zip(KINDS_OF_HISTORY, asked(exchanges, name, ask), strict=True):
            same(
                found[["time"]],
                true(exchanges, name, kind, "SOL/USDT:USDT", NOW - DAYS / 2, NOW)[["time"]],
            )


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_exchange_that_is_down_is_named(name: str) -> None:
    async def run() -> None:
        sort = type(open_exchange(name))
        assert issubclass(sort, RestExchange)
        patience = Patience(attempts=2, first=0.01)
        async with sort("http://secret:word@127.0.0.1:9", patience=patience) as exchange:
            with pytest.raises(ExchangeUnreachableError, match=r"127\.0\.0\.1:9") as caught:
                await exchange.instruments()
            assert "word" not in f"{caught.value} {exchange!r} {caught.value.__cause__!r}"

    asyncio.run(run())


@pytest.mark.parametrize("name", EXCHANGES)
def test_what_an_exchange_has_no_word_for_is_refused(calm: Exchanges, name: str) -> None:
    async def ask(exchange: Exchange) -> None:
        instrument = (await exchange.instruments())["BTC/USDT:USDT"]
        for timeframe in ("8h", "7m"):
            pages = exchange.open_interest(instrument, timeframe, NOW - DAYS, NOW)
            with pytest.raises(InputError, match=timeframe):
                await whole(pages)

    asked(calm, name, ask)


def test_an_unknown_exchange_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'binance'"):
        open_exchange("binanc")
    with pytest.raises(InputError, match="no base URL"):
        open_exchange("okx", base_url="okx.com")


def test_an_answer_of_another_shape_names_the_field() -> None:
    exchange = open_exchange("binance")
    assert isinstance(exchange, RestExchange)
    read = exchange.reader("fapi/v1/klines")
    with pytest.raises(ExchangeShapeError, match=r"binance fapi/v1/klines: field 7 is missing"):
        read.numbers([[1, "2"]], 7)
    with pytest.raises(ExchangeShapeError, match="'rate' is no number"):
        read.numbers([{"rate": "high"}], "rate")
    with pytest.raises(ExchangeShapeError, match=r"'result\.list' is missing"):
        read.rows({"result": {"rows": []}}, "result", "list")
    with pytest.raises(ExchangeShapeError, match="milliseconds"):
        read.times([{"ts": "today"}], "ts")
    assert np.isnan(read.numbers([{"rate": ""}, {"rate": None}], "rate")).all()


def test_windows_cover_a_span_once() -> None:
    found = list(windows(5, 42, 10))
    assert found == [(5, 15), (15, 25), (25, 35), (35, 42)]
    assert list(windows(5, 5, 10)) == list(windows(6, 5, 10)) == []


@pytest.mark.parametrize(
    ("hours", "present", "told"),
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
def test_intervals(hours: list[int], present: float | None, told: list[float]) -> None:
    times = pd.DatetimeIndex(
        [pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(hours=h) for h in hours]
    )
    np.testing.assert_array_equal(intervals(times, present), np.array(told, dtype=float))


def test_symbols_are_canonical() -> None:
    assert canonical("1000PEPE", "USDT") == "1000PEPE/USDT:USDT"
    assert canonical("币安人生", "USDT") is None
    assert settles_in_dollars("USDC")
    assert not settles_in_dollars("BTC")


def test_rate_limits_are_kept_within_the_exchanges_budget() -> None:
    """Twenty series at once: the exchange refuses nobody."""
    with Exchanges(scale=1, fillers=0) as exchanges:

        async def ask(exchange: Exchange) -> None:
            instruments = list((await exchange.instruments()).values())[:6]
            start = NOW - pd.Timedelta(days=40)
            await asyncio.gather(
                *(
                    whole(exchange.candles(i, "1h", start, NOW))
                    for i in instruments
                    if not i.delisted
                )
            )

        asked(exchanges, "okx", ask)
        assert exchanges.refused == []


def test_a_ban_that_is_too_long_to_wait_for_is_told_at_once() -> None:
    faults = Faults(banned=1.0, streak=99, retry_after=3600)
    with Exchanges(fillers=0, faults=faults) as exchanges:

        async def ask(exchange: Exchange) -> None:
            for _ in range(2):
                with pytest.raises(RateLimitedError, match="wants no request for 3"):
                    await exchange.server_time()

        asked(exchanges, "binance", ask)
        assert len(exchanges.requests) == 1


# --- what an exchange says of the asker, and of an instrument -----------------------------------------

COUNTRY = "The Amazon CloudFront distribution is configured to block access from your country."


class Shut:
    """Answers everything in one way, and counts."""

    def __init__(self, status: int, body: Any = "", **headers: str) -> None:
        self.status, self.body, self.headers, self.asked = status, body, headers, 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        headers = {name.replace("_", "-"): value for name, value in self.headers.items()}
        if isinstance(self.body, str):
            return web.Response(status=self.status, text=self.body, headers=headers)
        return web.json_response(self.body, status=self.status, headers=headers)


def told(name: str, handler: Handler, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """What is found by asking an exchange that answers so."""

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
    async def ask(exchange: Any) -> None:
        for work in (
            exchange.instruments,
            exchange.server_time,
            lambda: exchange.snapshot(exchange.bitcoin),
        ):
            with pytest.raises(ExchangeBlockedError, match="permitted network") as caught:
                await work()
            assert "correct what was asked" not in str(caught.value)

    told(name, handler := Shut(status, body), ask)
    assert handler.asked == 3


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, "403, access too frequent"),
        (403, {"retCode": 10018, "retMsg": "access too frequent"}),
        (200, {"retCode": 10009, "retMsg": "IP has been banned."}),
    ],
)
def test_bybits_ban_ends_the_asking_for_ten_minutes(status: int, body: Any) -> None:
    async def ask(exchange: Any) -> None:
        for _ in range(3):
            with pytest.raises(RateLimitedError, match=r"no request for (600|599) s, until 20"):
                await exchange.instruments()

    told("bybit", handler := Shut(status, body), ask)
    assert handler.asked == 1


def ban(seconds: float) -> dict[str, Any]:
    until = round(1000 * (time.time() + seconds))
    said = f"Way too many requests; IP(10.0.0.1) banned until {until}. Please use the websocket."
    return {"code": -1003, "msg": said}


@pytest.mark.parametrize("status", [418, 429, 400])
def test_the_end_of_binances_ban_stands_in_its_message(status: int) -> None:
    async def ask(exchange: Any) -> None:
        for _ in range(3):
            with pytest.raises(RateLimitedError, match=r"no request for [78]\d\d s, until 20") as e:
                await exchange.server_time()
            (left,) = re.findall(r"request for (\d+) s", str(e.value))
            assert 700 < int(left) <= 802

    told("binance", handler := Shut(status, ban(800)), ask)
    assert handler.asked == 1


@pytest.mark.parametrize("body", [{"code": -1003, "msg": "banned"}, "I'm a teapot", ban(-9)])
def test_binances_ban_without_an_end_lasts_two_minutes(body: Any) -> None:
    async def run() -> int:
        handler, patience = Shut(418, body), Patience(ban=119)
        async with serving(handler) as url, Binance(url, patience=patience) as exchange:
            for _ in range(2):
                with pytest.raises(RateLimitedError, match=r"no request for 1(20|19) s"):
                    await exchange.server_time()
        return handler.asked

    assert asyncio.run(run()) == 1


def test_a_retry_after_goes_before_the_message() -> None:
    async def ask(exchange: Any) -> None:
        with pytest.raises(RateLimitedError, match=r"no request for 7200 s"):
            await exchange.server_time()

    told("binance", Shut(418, ban(800), Retry_After="7200"), ask)


@pytest.mark.parametrize("name", EXCHANGES)
def test_only_no_such_instrument_is_told_as_such(calm: Exchanges, name: str) -> None:
    async def ask(exchange: Any) -> None:
        gone = Instrument(name, "X/USDT:USDT", "X-Y", 1.0, 8.0, None, None, "")
        for kind in ("candles", "funding"):
            with pytest.raises(NoSuchInstrumentError):
                await whole(history(exchange, kind, gone, NOW - DAYS / 90, NOW))
        named = {"symbol": exchange.bitcoin.id, "instId": exchange.bitcoin.id}
        with pytest.raises(ExchangeRefusedError) as caught:
            await exchange.client.get(exchange.endpoints["candles"], named | {"interval": "x"})
        assert not isinstance(caught.value, NoSuchInstrumentError)

    asked(calm, name, ask)


def test_being_blocked_does_not_tell_that_nothing_remains_of_one_that_is_gone(
    tmp_path: Path,
) -> None:
    with Exchanges(fillers=0) as exchanges:
        store = SeriesStore(tmp_path / "series")
        row = exchanges.truth.instruments("bybit").query("instrument == 'BTCUSDT'")
        seen = (NOW.floor("h") - pd.Timedelta(hours=30)).as_unit("us")
        store.upsert("instruments", row.assign(symbol="X/USDT:USDT", instrument="X", seen=seen))
        exchanges.faults.blocked = {"bybit"}
        work = DataCollector(Library(store), ["bybit"], settings=settings_for(exchanges.urls))
        result = work.collect_all_data(["X/USDT"], 48)
        gaps = open_gaps(store)
        assert len(exchanges.asked("bybit")) < 20
    assert {type(each.failure) for each in result.failures} == {ExchangeBlockedError}
    assert {each.kind for each in result.failures} == set(KINDS_OF_HISTORY)
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
    async def ask(exchange: Any) -> None:
        with pytest.raises(ExchangeRefusedError) as caught:
            await exchange.snapshot(exchange.bitcoin)
        assert isinstance(caught.value, NoSuchInstrumentError) == absent
        assert caught.value.code == str(code)

    told("bybit", Shut(200, {"retCode": code, "retMsg": message}), ask)


@pytest.mark.parametrize(
    ("limited", "error"),
    [
        (Shut(403, "403, access too frequent"), RateLimitedError),
        (Shut(403, COUNTRY), ExchangeBlockedError),
    ],
)
@pytest.mark.parametrize("status", ["PreLaunch", "Delivering", "Closed"])
def test_a_ban_is_no_answer_about_delisted_ones(
    limited: Shut, error: type[Exception], status: str
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.query["status"] == status:
            return await limited(request)
        return web.json_response({"retCode": 0, "result": {"list": []}})

    async def ask(exchange: Any) -> None:
        with pytest.raises(error):
            await exchange.instruments()

    told("bybit", handler, ask)


@pytest.mark.parametrize(
    ("limited", "error"),
    [
        (Shut(429, {"code": "50011", "msg": ""}, Retry_After="999"), RateLimitedError),
        (Shut(403), ExchangeBlockedError),
    ],
)
def test_a_ban_is_no_answer_about_intervals(limited: Shut, error: type[Exception]) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/funding-rate"):
            return await limited(request)
        return web.json_response({"code": "0", "data": []})

    async def ask(exchange: Any) -> None:
        with pytest.raises(error):
            await exchange.instruments()

    told("okx", handler, ask)


def test_one_that_is_being_delivered_is_still_listed() -> None:
    """And a status that the exchange does not know does not break the listing."""
    with Exchanges(DELISTED + pd.Timedelta(minutes=5), fillers=0) as exchanges:
        found = asked(exchanges, "bybit", lambda exchange: exchange.instruments())
        asks = [r.query["status"] for r in exchanges.asked("bybit", "/instruments-info")]
    assert asks == ["PreLaunch", "Trading", "Settling", "Delivering", "Closed"]
    gone = found["FTM/USDT:USDT"]
    assert (gone.status, gone.delisted) == ("Delivering", DELISTED)
    assert found["MATIC/USDT:USDT"].status == "Closed"
    assert found["BTC/USDT:USDT"].status == "Trading"


@pytest.mark.parametrize("hours", [0.5, 2.5])
def test_what_grows_too_old_while_requests_wait_does_not_cost_the_rest(hours: float) -> None:
    """Binance's clock is ahead of what it tells: its oldest row is younger than we reckon."""
    faults = Faults(skew={"binance": -3600 * hours})
    with Exchanges(scale=60, fillers=0, faults=faults) as exchanges:

        async def ask(exchange: Exchange) -> pd.DataFrame:
            instrument = (await exchange.instruments())["BTC/USDT:USDT"]
            return await whole(exchange.open_interest(instrument, "1h", NOW - DAYS, NOW))

        found = asked(exchanges, "binance", ask)
        refused = [r for r in exchanges.asked("binance", "Hist") if r.status == 400]
        wanted = exchanges.truth.open_interest("binance", "BTC/USDT:USDT", "1h")
    assert 1 <= len(refused) <= 3
    wanted = wanted[wanted["available"] <= NOW - pd.Timedelta(hours=hours)]
    assert len(found) in (len(wanted), len(wanted) - 1)  # at most one period for the moving
    same(found, wanted.tail(len(found)))


def test_a_refusal_of_times_that_are_young_is_told() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/time"):
            return web.json_response({"serverTime": NOW.value // 1_000_000})
        said = {"code": -1130, "msg": "parameter 'startTime' is invalid."}
        return web.json_response(said, status=400)

    async def ask(exchange: Any) -> None:
        start = NOW - pd.Timedelta(days=2)
        with pytest.raises(ExchangeRefusedError, match="-1130"):
            await whole(exchange.open_interest(exchange.bitcoin, "1h", start, NOW))

    told("binance", handler, ask)


def test_open_interest_is_of_one_side_on_bybit(calm: Exchanges) -> None:
    async def ask(exchange: Any) -> tuple[pd.DataFrame, pd.DataFrame, Any]:
        bitcoin, start = exchange.bitcoin, NOW - DAYS / 90
        query = {"category": "linear", "symbol": bitcoin.id}
        ticker = await exchange.client.get("v5/market/tickers", query)
        pages = exchange.open_interest(bitcoin, "1h", start, NOW)
        return await exchange.snapshot(bitcoin), await whole(pages), ticker

    row, found, ticker = asked(calm, "bybit", ask)
    (raw,) = ticker["result"]["list"]
    assert row["open_interest"][0] == float(raw["singleOpenInterest"])
    assert row["open_interest"][0] == float(raw["openInterest"]) / 2
    assert row["open_interest_usd"][0] == float(raw["singleOpenInterestValue"])
    wanted = calm.truth.open_interest("bybit", "BTC/USDT:USDT", "1h", NOW - DAYS / 90)
    same(found, wanted, but=("usd",))


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

    found = told("binance", handler, lambda exchange: exchange.instruments())
    assert found["BTC/USDT:USDT"].delisted is None
