"""Checks of the exchanges: settings that name some, clocks that agree, answers of their shape."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from brain.checks import CONFIGURATION, Check, failed, ok, skipped
from brain.errors import BrainError, ExchangeUnreachableError, InputError, MarketError
from brain.naming import spot_exchange
from brain.settings import Settings
from market.exchanges import EXCHANGES, Exchange, Probe, exchange_of

__all__ = ["check_exchanges"]

_CLOCK = "clock"
_SECONDS = 25.0
_CLOCK_REQUESTS = 3
_LARGEST_OFFSET = 1.0  # seconds; rows' ages and the times of their storage are by this clock


@dataclass
class _ExchangeReport:
    """What was measured of one exchange.

    Attributes:
        exchange: its name.
        offset: seconds that this machine's clock is ahead of the exchange's, the median of a few.
        round_trip: seconds of the request that it is from; it may be off by half of that.
        failure: what kept the clock or the endpoints from being checked.
        checks: of its endpoints.
    """

    exchange: str
    offset: float | None = None
    round_trip: float = 0.0
    failure: MarketError | None = None
    checks: list[Check] = field(default_factory=list)


def check_exchanges(settings: Settings, *, live: bool, seconds: float = _SECONDS) -> list[Check]:
    """Compare this machine's clock with the exchanges', and their answers with the documentation.

    Args:
        settings: the exchanges, their addresses, and how long to wait for an answer.
        live: send a request to every endpoint, of all :data:`market.exchanges.catalogue.EXCHANGES`
            if none is configured. Otherwise only clocks are requested, and a network that is down
            is no failure.
        seconds: for all requests to one exchange.

    Returns:
        The clock's check and those of the endpoints, or that of the configuration if an exchange
        is unknown or its base URL is none.
    """
    named = [name for name in settings.exchanges if not spot_exchange(name)]
    names = named or (EXCHANGES if live else ())
    if not names:
        cure = "name some in `exchanges`, or run with --live"
        return [skipped(_CLOCK, "no exchange is configured whose clock could be asked", cure)]
    try:
        exchanges = [exchange_of(settings, name) for name in names]
    except InputError as error:
        return [failed(CONFIGURATION, error)]
    reports = asyncio.run(_reports(exchanges, live, seconds))
    return [_clock_check(reports), *(check for report in reports for check in report.checks)]


async def _reports(
    exchanges: Sequence[Exchange], live: bool, seconds: float
) -> list[_ExchangeReport]:
    return list(await asyncio.gather(*(_report(e, live, seconds) for e in exchanges)))


async def _report(exchange: Exchange, live: bool, seconds: float) -> _ExchangeReport:
    report = _ExchangeReport(exchange.name)
    async with exchange:
        try:
            async with asyncio.timeout(seconds):
                if exchange.name in EXCHANGES:  # ccxt does not have every exchange's clock
                    report.offset, report.round_trip = await _clock_offset(exchange)
                if live:
                    report.checks = await _endpoint_checks(exchange)
        except TimeoutError:
            report.failure = ExchangeUnreachableError(
                f"{exchange!r} gave no answer within {seconds:g} s; check the network and the proxy"
            )
        except MarketError as error:
            report.failure = error
    if report.failure:
        unreachable = not live and isinstance(report.failure, ExchangeUnreachableError)
        report.checks.append((skipped if unreachable else failed)(exchange.name, report.failure))
    return report


# --- clocks -------------------------------------------------------------------------------------


async def _clock_offset(exchange: Exchange) -> tuple[float, float]:
    """Seconds that this machine's clock is ahead, and seconds of the request's round trip."""
    await exchange.server_time()  # connects, which would count as half an answer's time
    offsets = []
    for _ in range(_CLOCK_REQUESTS):
        before = time.perf_counter()
        server_time = await exchange.server_time()
        round_trip = time.perf_counter() - before
        local_time = pd.Timestamp.now("UTC") - pd.Timedelta(seconds=round_trip / 2)
        offsets.append(((local_time - server_time).total_seconds(), round_trip))
    return sorted(offsets)[_CLOCK_REQUESTS // 2]


def _clock_check(reports: Sequence[_ExchangeReport]) -> Check:
    offsets = [(report.offset, report) for report in reports if report.offset is not None]
    if not offsets:
        names = ", ".join(report.exchange for report in reports)
        return skipped(_CLOCK, f"no clock could be asked of {names}")
    median = statistics.median(offset for offset, _ in offsets)
    by_exchange = ", ".join(
        f"{report.exchange} {offset:+.3f} ± {report.round_trip / 2:.3f} s"
        for offset, report in offsets
    )
    detail = f"this machine is ahead by {median:+.3f} s ({by_exchange})"
    if abs(median) <= _LARGEST_OFFSET:
        return ok(_CLOCK, detail)
    return failed(_CLOCK, detail, "set the clock by NTP, for example `timedatectl set-ntp true`")


# --- endpoints ----------------------------------------------------------------------------------


async def _endpoint_checks(exchange: Exchange) -> list[Check]:
    probes = exchange.probes()
    errors = await asyncio.gather(*(_probe_error(exchange, probe) for probe in probes))
    checks = [
        failed(f"{exchange.name} {probe.name}", error)
        for probe, error in zip(probes, errors, strict=True)
        if error
    ]
    sound = [probe.name for probe, error in zip(probes, errors, strict=True) if not error]
    if sound:
        detail = f"{len(sound)} of {len(probes)} answered as expected: {', '.join(sound)}"
        checks.insert(0, ok(f"{exchange.name} endpoints", detail))
    return checks


async def _probe_error(exchange: Exchange, probe: Probe) -> BrainError | None:
    try:
        await probe.run()
    except BrainError as error:
        return error
    except Exception as error:  # noqa: BLE001 (the first live answer may break a parser anywhere)
        return MarketError(
            f"{exchange.name} {probe.name}: the answer broke its parser "
            f"({type(error).__name__}: {error}); report this, for it is our fault"
        )
    return None
