"""Checks of the exchanges: clocks that agree, answers of the shape that we parse."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from brain.checks import Check, failed, ok, skipped
from brain.errors import BrainError, ExchangeUnreachableError, InputError, MarketError
from brain.settings import Settings
from market.exchanges import EXCHANGES, Exchange, Probe, exchange_of

__all__ = ["check_exchanges"]

_CLOCK = "clock"
_SECONDS = 25.0
_TIMES = 3
_MOST_OFF = 1.0  # seconds; when rows were stored, and how old they are, is told by this clock


@dataclass
class _Seen:
    """What one exchange told.

    Attributes:
        offset: seconds that this machine's clock is ahead of the exchange's, median of a few.
        trip: seconds of the answer that it is from; it may be off by half of that.
        fault: why the clock could not be asked.
        checks: of its endpoints.
    """

    exchange: str
    offset: float | None = None
    trip: float = 0.0
    fault: MarketError | None = None
    checks: list[Check] = field(default_factory=list)


def check_exchanges(settings: Settings, *, live: bool, seconds: float = _SECONDS) -> list[Check]:
    """Compare this machine's clock with the exchanges', and their answers with what we parse.

    Args:
        settings: whose exchanges are asked, where, and how long an answer is waited for.
        live: ask every endpoint once, of all exchanges that we know if none is configured.
            Otherwise clocks alone are asked, and a network that is away is no fault.
        seconds: for all that one exchange is asked.

    Returns:
        The clock's check and those of the endpoints, or that of the configuration if an exchange
        is not known or its base URL is none.
    """
    names = settings.exchanges or (EXCHANGES if live else ())
    if not names:
        cure = "name some in `exchanges`, or run with --live"
        return [skipped(_CLOCK, "no exchange is configured whose clock could be asked", cure)]
    try:
        exchanges = [exchange_of(settings, name) for name in names]
    except InputError as error:
        return [failed("configuration", error)]
    seen = asyncio.run(_ask(exchanges, live, seconds))
    return [_clock(seen), *(check for one in seen for check in one.checks)]


async def _ask(exchanges: Sequence[Exchange], live: bool, seconds: float) -> list[_Seen]:
    return list(
        await asyncio.gather(*(_ask_one(exchange, live, seconds) for exchange in exchanges))
    )


async def _ask_one(exchange: Exchange, live: bool, seconds: float) -> _Seen:
    seen = _Seen(exchange.name)
    async with exchange:
        try:
            async with asyncio.timeout(seconds):
                if exchange.name in EXCHANGES:  # ccxt does not tell every exchange's
                    await _compare_clocks(exchange, seen)
                if live:
                    seen.checks = await _ask_endpoints(exchange)
        except TimeoutError:
            seen.fault = ExchangeUnreachableError(
                f"{exchange!r} gave no answer within {seconds:g} s; check the network and the proxy"
            )
        except MarketError as error:
            seen.fault = error
    if seen.fault:
        passed_over = not live and isinstance(seen.fault, ExchangeUnreachableError)
        seen.checks.append((skipped if passed_over else failed)(exchange.name, seen.fault))
    return seen


# --- clocks -------------------------------------------------------------------------------------


async def _compare_clocks(exchange: Exchange, seen: _Seen) -> None:
    await exchange.server_time()  # connects, which would count as half an answer's time
    offsets = []
    for _ in range(_TIMES):
        before = time.perf_counter()
        theirs = await exchange.server_time()
        trip = time.perf_counter() - before
        ours = pd.Timestamp.now("UTC") - pd.Timedelta(seconds=trip / 2)
        offsets.append(((ours - theirs).total_seconds(), trip))
    seen.offset, seen.trip = sorted(offsets)[_TIMES // 2]


def _clock(seen: Sequence[_Seen]) -> Check:
    offsets = [(one.offset, one) for one in seen if one.offset is not None]
    if not offsets:
        names = ", ".join(one.exchange for one in seen)
        return skipped(_CLOCK, f"no clock could be asked of {names}")
    median = statistics.median(offset for offset, _ in offsets)
    each = ", ".join(f"{one.exchange} {o:+.3f} ± {one.trip / 2:.3f} s" for o, one in offsets)
    detail = f"this machine is ahead by {median:+.3f} s ({each})"
    if abs(median) <= _MOST_OFF:
        return ok(_CLOCK, detail)
    return failed(_CLOCK, detail, "set the clock by NTP, for example `timedatectl set-ntp true`")


# --- endpoints ----------------------------------------------------------------------------------


async def _ask_endpoints(exchange: Exchange) -> list[Check]:
    probes = exchange.probes()
    faults = await asyncio.gather(*(_fault_of(exchange, probe) for probe in probes))
    found = [
        failed(f"{exchange.name} {probe.name}", fault)
        for probe, fault in zip(probes, faults, strict=True)
        if fault
    ]
    sound = [probe.name for probe, fault in zip(probes, faults, strict=True) if not fault]
    if sound:
        detail = f"{len(sound)} of {len(probes)} answered as expected: {', '.join(sound)}"
        found.insert(0, ok(f"{exchange.name} endpoints", detail))
    return found


async def _fault_of(exchange: Exchange, probe: Probe) -> BrainError | None:
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
