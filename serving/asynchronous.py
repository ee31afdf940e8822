"""Hamilton for asyncio: the same surface, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ParamSpec, Self, TypeVar

from brain.model_keys import ModelKey
from brain.naming import Regime
from serving.champions import LoadedChampion
from serving.decision import Decision
from serving.hamilton import Hamilton

__all__ = ["AsyncHamilton"]

_P = ParamSpec("_P")
_Result = TypeVar("_Result")


class AsyncHamilton:
    """Hamilton on a thread of its own, so that an event loop never waits for it.

    Calls are done one after the other, in the order in which they were made. Use
    :meth:`open`, as loading champions takes long, and ``async with``.

    Args:
        hamilton: that decides. It is closed with this.
    """

    def __init__(self, hamilton: Hamilton) -> None:
        self.hamilton = hamilton
        self._thread = ThreadPoolExecutor(1, "hamilton")

    @classmethod
    async def open(cls, *arguments: Any, **options: Any) -> Self:
        """As :class:`serving.hamilton.Hamilton` with these arguments."""
        return cls(await asyncio.to_thread(Hamilton, *arguments, **options))

    async def bar(
        self,
        symbol: str | ModelKey,
        open: float,  # noqa: A002 -- the column's name
        high: float,
        low: float,
        close: float,
        volume: float,
        close_time: Any,
    ) -> Decision:
        """As :meth:`serving.hamilton.Hamilton.bar`."""
        return await self._call(
            self.hamilton.bar, symbol, open, high, low, close, volume, close_time
        )

    async def row(
        self,
        kind: str,
        symbol: str | ModelKey,
        exchange: str,
        time: Any,
        available: Any,
        values: Mapping[str, float],
    ) -> None:
        """As :meth:`serving.hamilton.Hamilton.row`."""
        await self._call(self.hamilton.row, kind, symbol, exchange, time, available, values)

    async def warm_up(self, symbol: str | ModelKey, arrays: Mapping[str, Any]) -> int:
        """As :meth:`serving.hamilton.Hamilton.warm_up`."""
        return await self._call(self.hamilton.warm_up, symbol, arrays)

    async def reload(self, symbol: str | ModelKey) -> None:
        """As :meth:`serving.hamilton.Hamilton.reload`; bars are decided meanwhile."""
        await asyncio.to_thread(self.hamilton.reload, symbol)

    def champion(self, symbol: str | ModelKey, regime: Regime | str) -> LoadedChampion:
        """As :meth:`serving.hamilton.Hamilton.champion`."""
        return self.hamilton.champion(symbol, regime)

    def last_close(self, symbol: str | ModelKey) -> int:
        """As :meth:`serving.hamilton.Hamilton.last_close`."""
        return self.hamilton.last_close(symbol)

    def last_decision(self, symbol: str | ModelKey) -> Decision | None:
        """As :meth:`serving.hamilton.Hamilton.last_decision`."""
        return self.hamilton.last_decision(symbol)

    async def kill(self, reason: str = "by a call") -> None:
        """As :meth:`serving.hamilton.Hamilton.kill`."""
        await asyncio.to_thread(self.hamilton.kill, reason)

    async def revive(self) -> None:
        """As :meth:`serving.hamilton.Hamilton.revive`."""
        await asyncio.to_thread(self.hamilton.revive)

    async def close(self) -> None:
        """Do what was called before, then close."""
        await self._call(self.hamilton.close)
        self._thread.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _call(
        self, function: Callable[_P, _Result], *arguments: _P.args, **options: _P.kwargs
    ) -> _Result:
        del options
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *arguments)
