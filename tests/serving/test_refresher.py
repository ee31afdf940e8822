"""The refresher's thread: while versions come slowly it sleeps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from brain.errors import LibraryError
from brain.records import Champion
from serving.followed import Followed
from serving.loader import Loader
from serving.refresher import Refresh, Refresher
from serving.remote.entries import ModelEntry

MODELS = 40


class Slow:
    """A registry in which every model has changed, and whose champions come when they may."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.asked = 0
        self._entries = [ModelEntry(f"COIN{n}-USD.1h.6", n, {}, {}, "new") for n in range(MODELS)]

    def newest(self, *, limit: int = 1, token: str = "") -> tuple[list[ModelEntry], str]:
        del limit, token
        return self._entries[::-1], ""

    def page(self, token: str = "", *, size: int = 25) -> tuple[list[ModelEntry], str]:
        del token, size
        return self._entries, ""

    def champions_of(self, entry: ModelEntry) -> Sequence[Champion]:
        self.asked += 1
        self.may.wait(20.0)
        raise LibraryError(f"{entry.name} has none; name one")

    def champions(self, *_: Any, **__: Any) -> Sequence[Champion]:
        return []

    def files(self, model_id: str) -> dict[str, bytes]:
        raise LibraryError(f"there is no {model_id}; name another")


def follow(
    registry: Slow, kind: type[Refresher], rest: Callable[[], None] = lambda: None
) -> Refresher:
    nobody: Any = None  # who is asked only once champions have come
    return kind(
        registry, [Followed(f"COIN{n}-USD.1h.6", nobody, 0) for n in range(MODELS)],
        Loader(registry, None, None), None,
        Refresh(seconds=60.0, sweep_seconds=60.0), rest=rest,
    )  # fmt: skip


def wait_until_asked(registry: Slow, times: int) -> None:
    end = time.monotonic() + 20.0
    while registry.asked < times:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_models_that_wait_for_others_to_be_loaded_cost_nothing() -> None:
    registry, rests = Slow(), list[float]()
    refresher = follow(registry, Refresher, lambda: rests.append(time.monotonic()))
    refresher.start()
    try:
        wait_until_asked(registry, 4)
        time.sleep(0.3)
        assert registry.asked == 4
        assert len(rests) < 20
        registry.may.set()
        wait_until_asked(registry, MODELS)
    finally:
        registry.may.set()
        refresher.close()


class Hasty(Refresher):
    """Goes on once all attempts that it has begun have ended."""

    def _begin(self) -> None:
        super()._begin()
        while len(self._outcomes) < sum(model.busy for model in self.followed):
            time.sleep(0.001)


def test_no_end_of_an_attempt_is_overheard() -> None:
    """Whenever one ends, the next ones begin at once, and not with the next look."""
    registry = Slow()
    registry.may.set()
    refresher = follow(registry, Hasty)
    refresher.start()
    try:
        wait_until_asked(registry, MODELS)
    finally:
        refresher.close()
