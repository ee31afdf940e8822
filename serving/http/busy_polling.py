"""Busy polling: after a request the next one is looked for before the processor may sleep.

A processor that sleeps takes longer to wake than a decision takes to make, and who trades sends one
request after the other's answer. Kernels do the same for network devices (SO_BUSY_POLL).
"""

from __future__ import annotations

import asyncio
import time

__all__ = ["BusyPolling"]


class BusyPolling:
    """Keeps an event loop from waiting for a moment.

    Args:
        seconds: after the latest answer in which the loop doesn't wait; 0: it always does.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._until, self._polls = seconds, 0.0, False

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin anew: an answer was given. To be called in the loop."""
        if self._seconds:
            self._until = time.perf_counter() + self._seconds
            if not self._polls:
                self._polls = True
                loop.call_soon(self._poll, loop)

    def _poll(self, loop: asyncio.AbstractEventLoop) -> None:
        self._polls = time.perf_counter() < self._until
        if self._polls:
            loop.call_soon(self._poll, loop)  # and so it looks for requests without waiting
