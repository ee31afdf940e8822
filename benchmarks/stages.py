"""Where a night's time and memory go: a clock that counts functions for stages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import ModuleType, TracebackType
from typing import Any, Self

import psutil

__all__ = ["OTHER", "StageClock"]

#: What no stage claims.
OTHER = "other"
_SAMPLED = 0.1


class StageClock:
    """Wall seconds and peak resident memory of each stage; a context manager that is one night.

    A stage within a stage counts for the inner one only, so the seconds add up to the whole.
    Memory is that of this process and its children, sampled ten times a second.

    Attributes:
        seconds: by stage.
        megabytes: highest during the stage, by stage.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.megabytes: dict[str, float] = {}
        self._stages: list[str] = []
        self._last = 0.0
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._stages = [OTHER]
        self._last = time.perf_counter()
        self._sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lap()
        self._done.set()
        self._sampler.join()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is done in this block for the stage."""
        self._lap()
        self._stages.append(name)
        try:
            yield
        finally:
            self._lap()
            self._stages.pop()

    def hang(
        self, stage: str, module: ModuleType | type, *names: str, within: str | None = None
    ) -> None:
        """Replace functions of a module or class by ones that count for the stage.

        Args:
            within: the only stage that they take time from; any if None.
        """
        for name in names:
            setattr(module, name, self._counted(stage, getattr(module, name), within))

    def _counted(
        self, stage: str, function: Callable[..., Any], within: str | None
    ) -> Callable[..., Any]:
        @wraps(function)
        def counted(*arguments: Any, **keywords: Any) -> Any:
            if within not in {None, self._stages[-1]}:
                return function(*arguments, **keywords)
            with self.stage(stage):
                return function(*arguments, **keywords)

        return counted

    def _lap(self) -> None:
        now = time.perf_counter()
        stage = self._stages[-1]
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now

    def _sample(self) -> None:
        process = psutil.Process()
        while not self._done.wait(_SAMPLED):
            stage = self._stages[-1]
            megabytes = _resident(process) / 1e6
            self.megabytes[stage] = max(self.megabytes.get(stage, 0.0), megabytes)


def _resident(process: psutil.Process) -> int:
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # it ended while we looked
    return total
