"""Checks of the streams: what has been listened to lately, and whether they tick now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pandas as pd

from brain.checks import Check, failed, ok
from brain.errors import BrainError
from brain.naming import perpetual
from brain.scratch import scratch_folder
from brain.series.listened import heard_liquidations, stretches_of
from brain.series.store.store import SeriesStore
from brain.settings import Settings
from brain.text import count
from market.streams.opening import make_stream
from market.streams.status import RouteStatus, status_of
from market.streams.stream import Stream

__all__ = ["check_streams"]

_SECONDS = 20.0
_LOOK_SECONDS = 0.1
_DAY = pd.Timedelta(days=1)


def check_streams(settings: Settings, *, live: bool, seconds: float = _SECONDS) -> list[Check]:
    """Look for what was listened to of the liquidations that are features.

    Args:
        settings: exchanges whose liquidations count, symbols, addresses and the series store.
        live: also stream the first symbol, into a folder that is thrown away, until every route
            ticks.
        seconds: for that.

    Returns:
        Nothing if no liquidations are configured.
    """
    if not settings.liquidations:
        return []
    checks = [_listened_check(settings)]
    if live:
        checks += asyncio.run(_live_checks(settings, seconds))
    return checks


def _listened_check(settings: Settings) -> Check:
    """Whether anything was listened to in the last day, at each exchange."""
    now = pd.Timestamp.now("UTC")
    symbols = [perpetual(symbol) for symbol in settings.symbols] or None
    try:
        rows = SeriesStore(settings.series).read(
            "listening", symbol=symbols, exchange=list(settings.liquidations), start=now - _DAY
        )
    except BrainError as error:
        return failed("liquidations", error)
    rows = heard_liquidations(rows)
    shares = {}
    for exchange in settings.liquidations:
        own = rows[rows["exchange"] == exchange]
        heard = [stretches_of(one) for _, one in own.groupby("symbol")]
        seconds = [float((one[:, 1] - one[:, 0]).sum()) / 1e6 for one in heard]
        shares[exchange] = min(seconds, default=0.0) / _DAY.total_seconds()
    detail = "of the last day listened to: " + ", ".join(
        f"{exchange} {share:.0%}" for exchange, share in shares.items()
    )
    if all(shares.values()):
        return ok("liquidations", detail)
    return failed("liquidations", detail, "let `brain stream` run; what is missed is missed")


async def _live_checks(settings: Settings, seconds: float) -> list[Check]:
    """A check of each exchange, of one symbol."""
    symbols = settings.symbols[:1] or ("BTC/USDT",)
    with scratch_folder() as folder:
        own = {
            "exchanges": settings.liquidations,
            "symbols": symbols,
            "series": str(folder / "series"),
            "frames": folder / "frames",
        }
        try:
            stream = make_stream(settings.model_copy(update=own))
            routes = await _run(stream, settings.liquidations, seconds)
        except BrainError as error:
            return [failed("streams", error)]
    return [
        _exchange_check(stream, exchange, _of(exchange, routes), seconds)
        for exchange in settings.liquidations
    ]


async def _run(
    stream: Stream, exchanges: tuple[str, ...], seconds: float
) -> tuple[RouteStatus, ...]:
    """Stream until every route of every exchange ticks, or for so long; how they were then."""
    stop, routes = asyncio.Event(), status_of(stream).routes

    async def look() -> None:
        nonlocal routes
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not all(_ticks(_of(exchange, routes)) for exchange in exchanges):
                    await asyncio.sleep(_LOOK_SECONDS)
                    routes = status_of(stream).routes
        stop.set()

    looking = asyncio.create_task(look())
    try:
        await stream.run(stop)
    finally:
        looking.cancel()
    return routes


def _of(exchange: str, routes: Sequence[RouteStatus]) -> list[RouteStatus]:
    return [route for route in routes if route.exchange == exchange]


def _ticks(routes: Sequence[RouteStatus]) -> bool:
    return bool(routes) and all(route.state == "listened" for route in routes)


def _exchange_check(
    stream: Stream, exchange: str, routes: Sequence[RouteStatus], seconds: float
) -> Check:
    name = f"{exchange} streams"
    refusals = [why for (of, _), why in stream.failures.items() if of == exchange]
    refused = sum(route.refused for route in routes)
    if _ticks(routes) and not refusals and not refused:
        return ok(
            name, f"{count(len(routes), 'route')} tick: " + ", ".join(r.route for r in routes)
        )
    silent = [f"{r.route} {r.reason or 'sent no pulse'}" for r in routes if r.state != "listened"]
    refusals += [f"{count(refused, 'channel')} refused"] if refused else []
    why = "; ".join([*refusals, *silent]) or "no answer"
    cure = "check the network and the proxy, and the address in the settings"
    return failed(name, f"not all routes tick within {seconds:g} s: {why}", cure)
