"""Whether an exchange still answers, and when it is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from brain.errors import (
    BrainError,
    ExchangeBlockedError,
    ExchangeUnreachableError,
    MarketError,
    RateLimitedError,
)

__all__ = ["PAUSES", "Outage"]

#: Seconds after which an exchange that went silent is tried again, before it is given up.
PAUSES = (15.0, 45.0, 120.0)


class Outage:
    """Whether an exchange is down, as the requests of a collection show.

    After three symbols in a row without an answer it is down. It is tried again after some pauses,
    so that a short outage does not cost the whole night. An exchange that wants fewer requests,
    after all the waiting that it ordered, is down at once and for good, and so is one that serves
    nobody from here.

    Args:
        pauses: seconds before each further try.

    Attributes:
        error: of the last request, if the exchange is down; None: it is not.
    """

    _LIMIT = 3

    def __init__(self, pauses: Sequence[float] = PAUSES) -> None:
        self.error: MarketError | None = None
        self._silent: set[str] = set()
        self._pauses = tuple(pauses)
        self._pauses_ahead = list(pauses)
        self._final = False
        self._pausing = asyncio.Lock()

    async def check(self) -> MarketError | None:
        """The error if the exchange is down, else None; pauses first if it may be over by then."""
        if self.error is None:
            return None
        async with self._pausing:  # one pauses for all
            if self.error is not None and self._pauses_ahead and not self._final:
                await asyncio.sleep(self._pauses_ahead.pop(0))
                self.error = self.error if self._final else None
        return self.error

    def note(self, symbol: str, error: BrainError | None) -> None:
        """Note the error of a request for a symbol; None: it was answered."""
        if isinstance(error, RateLimitedError | ExchangeBlockedError):
            self.error, self._final = error, True
        elif isinstance(error, ExchangeUnreachableError):
            self._silent.add(symbol)
            if len(self._silent) >= self._LIMIT:
                self.error = error
        else:
            self._silent.clear()
            self._pauses_ahead = list(self._pauses)
