"""Keeps a route connected: opens again what ended, and hands over before the exchange hangs up."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from market.streams.connection import LiveConnection
from market.streams.pace import Pace

__all__ = ["RouteKeeper"]

logger = logging.getLogger(__name__)


@dataclass
class _Running:
    connection: LiveConnection
    task: asyncio.Task[str]


class RouteKeeper:
    """Keeps one route connected until it is cancelled.

    Args:
        connect: makes a connection that is not yet run.
        pace: how long is waited between two.

    Attributes:
        reason: why the latest connection ended; empty: none has.
        ended: how many have.
    """

    def __init__(self, connect: Callable[[], LiveConnection], pace: Pace) -> None:
        self._connect, self._pace = connect, pace
        self._failures = 0
        self.reason = ""
        self.ended = 0

    async def run(self) -> None:
        """Keep it connected; ends by being cancelled."""
        current = self._start()
        successor: _Running | None = None
        try:
            while True:
                if successor is None:
                    await _any(current.task, current.connection.retiring)
                else:
                    await _any(current.task, successor.task, successor.connection.proved)
                if current.task.done():
                    self._note(current)
                    if successor is None:
                        await asyncio.sleep(self._wait())
                    current, successor = successor or self._start(), None
                elif successor is None:
                    logger.info("%s is handed over", self._name(current))
                    successor = self._start()
                elif successor.task.done():
                    self._note(successor)
                    await asyncio.sleep(self._wait())
                    successor = self._start()
                else:
                    await _stop(current)
                    current, successor = successor, None
        finally:
            await _stop(current)
            if successor is not None:
                await _stop(successor)

    def _start(self) -> _Running:
        connection = self._connect()
        return _Running(connection, asyncio.create_task(connection.run()))

    def _note(self, ended: _Running) -> None:
        self.reason = ended.task.result()
        self.ended += 1
        self._failures = 0 if ended.connection.listened.is_set() else self._failures + 1
        logger.warning("%s: %s", self._name(ended), self.reason)

    def _wait(self) -> float:
        """Seconds before the next try: random, and longer after each that came to nothing."""
        longest = min(self._pace.first_wait * 2.0**self._failures, self._pace.longest_wait)
        return longest * random.uniform(0.5, 1.0)

    @staticmethod
    def _name(one: _Running) -> str:
        return f"{one.connection.opening.exchange} {one.connection.route.name}"


async def _any(*waited: asyncio.Task[str] | asyncio.Event) -> None:
    """Wait until a task is done or an event is set."""
    own = [asyncio.create_task(one.wait()) for one in waited if isinstance(one, asyncio.Event)]
    try:
        tasks = [one for one in waited if isinstance(one, asyncio.Task)]
        await asyncio.wait([*tasks, *own], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in own:
            task.cancel()


async def _stop(one: _Running) -> None:
    one.task.cancel()
    await asyncio.gather(one.task, return_exceptions=True)
