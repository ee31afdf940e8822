"""Short calls on the event loop, long ones on a thread; the calls of one symbol in their order.

A decision takes less time than a change of threads, so it is made at once. Those of a long gap
take seconds, and are not to hold up other symbols.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from serving.http.answers import Refusal

__all__ = ["Turns"]

_Result = TypeVar("_Result")

_WAITING = 32


class Turns:
    """A thread, and who waits for it.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._waiting: Counter[str] = Counter()

    async def in_order(
        self, owner: str, function: Callable[..., _Result], *arguments: Any, long: bool
    ) -> _Result:
        """A call's result, once the calls of the same owner before it are done.

        Args:
            owner: of calls that stay in their order.
            function: that is called.
            arguments: for it.
            long: whether it may take longer than a few milliseconds.

        Raises:
            Refusal: 429, too many are waiting.
        """
        if not long and not self._waiting[owner]:
            return function(*arguments)
        return await self.aside(function, *arguments, owner=owner)

    async def aside(
        self, function: Callable[..., _Result], *arguments: Any, owner: str = ""
    ) -> _Result:
        """A long call's result.

        Raises:
            Refusal: 429, too many are waiting.
        """
        if self._waiting.total() >= _WAITING:
            raise Refusal(
                429, "too many long calls are waiting; ask again later", (b"retry-after", b"1")
            )
        self._waiting[owner] += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._thread, function, *arguments)
        finally:
            self._waiting[owner] -= 1

    def close(self) -> None:
        """Wait for the calls that were made."""
        self._thread.shutdown()
