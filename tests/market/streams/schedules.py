"""Random schedules of faults of the exchanges' live sides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.market.exchange_server import ExchangeServer

__all__ = ["FAULTS", "Step", "play", "schedule"]

#: What may go wrong, and for how many of the exchanges' seconds; 0: for a moment.
FAULTS = {
    "cut": (0.0, 0.0),
    "close": (0.0, 0.0),
    "down": (1.0, 20.0),
    "silent": (3.0, 60.0),
    "unanswered": (5.0, 40.0),
    "duplicated": (10.0, 60.0),
    "unsorted": (10.0, 60.0),
    "malformed": (2.0, 20.0),
}
_SHARES = {"duplicated": 0.3, "unsorted": 0.5, "malformed": 0.05}


@dataclass(frozen=True)
class Step:
    """A fault of one exchange, in the exchanges' seconds since the start."""

    start: float
    seconds: float
    exchange: str
    fault: str


def schedule(
    seed: int, seconds: float, exchanges: Sequence[str], *, between: float = 60.0
) -> list[Step]:
    """Faults one after another on each exchange, so many seconds between them on average."""
    rng = random.Random(seed)
    steps = []
    for exchange in exchanges:
        at = rng.uniform(0.3, 1.0) * between
        while at < seconds:
            fault = rng.choice(sorted(FAULTS))
            length = rng.uniform(*FAULTS[fault])
            steps.append(Step(at, length, exchange, fault))
            at += length + rng.expovariate(1 / between)
    return sorted(steps, key=lambda step: step.start)


async def play(server: ExchangeServer, steps: Sequence[Step], seconds: float) -> None:
    """Let the faults of a schedule happen; returns when it is over, with all well again."""
    live = server.live
    assert live is not None
    loop, scale = asyncio.get_running_loop(), live.scale
    begin = loop.time()

    async def one(step: Step) -> None:
        await asyncio.sleep(max(0.0, begin + step.start * scale - loop.time()))
        if step.fault == "cut":
            server.call_soon(lambda: live.cut(step.exchange))
        elif step.fault == "close":
            server.call_soon(lambda: live.close(step.exchange))
        else:
            faults = live.faults[step.exchange]
            setattr(faults, step.fault, _SHARES.get(step.fault, True))
            await asyncio.sleep(step.seconds * scale)
            setattr(faults, step.fault, type(getattr(faults, step.fault))())

    await asyncio.gather(*map(one, steps))
    await asyncio.sleep(max(0.0, begin + seconds * scale - loop.time()))
