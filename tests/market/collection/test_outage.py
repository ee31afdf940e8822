"""An exchange that goes silent is tried again after pauses, and given up in the end."""

from __future__ import annotations

import asyncio

from brain.errors import ExchangeUnreachableError, RateLimitedError
from market.collection.outage import Outage


def test_an_exchange_that_was_silent_for_a_short_time_is_asked_again() -> None:
    async def work() -> None:
        outage, silent = Outage(pauses=(0.0, 0.0)), ExchangeUnreachableError("silent")
        for symbol in "ABC":
            assert await outage.check() is None
            outage.note(symbol, silent)
        assert outage.error is silent
        assert await outage.check() is None  # the first pause is over
        outage.note("D", silent)
        assert outage.error is silent  # once is enough now
        assert await outage.check() is None
        outage.note("D", None)  # it is back, and may be silent twice again
        for _ in range(2):
            for symbol in "ABC":
                outage.note(symbol, silent)
            assert await outage.check() is None
        outage.note("A", silent)
        assert await outage.check() is silent
        assert await outage.check() is silent

    asyncio.run(work())


def test_an_exchange_that_wants_fewer_requests_is_left_alone() -> None:
    async def work() -> None:
        outage, error = Outage(pauses=(0.0,)), RateLimitedError("fewer")
        outage.note("A", error)
        assert await outage.check() is error

    asyncio.run(work())
