"""Hamilton on a real registry whose champions change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from brain.naming import Regime
from brain.records import Version
from engine.data.dataset import Dataset
from serving import Hamilton, Limits, Refresh, RemoteRegistry
from tests.serving.desk import bars_of, sample
from tests.serving.registry_desk import RegistryDesk

__all__ = ["NEW", "NOWHERE", "QUICK", "SYMBOL", "TRAINED", "Scene", "opened", "served", "until"]

#: Bars that champions are trained on; those after them are given.
TRAINED = 1100
SYMBOL, NOWHERE = "ETH/USD", "http://127.0.0.1:9"
NEW = [bar for bar in bars_of(sample(), TRAINED) if bar.close == bar.close]
QUICK = Refresh(seconds=0.1, sweep_seconds=3600.0)


def until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something holds; fail if it doesn't."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.02)


@dataclass
class Scene:
    """A registry whose symbol has two versions of each family; the first ones are champions."""

    uri: str
    desk: RegistryDesk
    dataset: Dataset
    first: list[Version]
    second: list[Version]

    @contextmanager
    def hamilton(self, refresh: Refresh | None = QUICK, **options: Any) -> Iterator[Hamilton]:
        with opened(self.uri, refresh=refresh, **options) as hamilton:
            yield hamilton


@contextmanager
def opened(uri: str, **options: Any) -> Iterator[Hamilton]:
    """Hamilton on a registry, closed with its connections."""
    registry = RemoteRegistry(uri)
    try:
        with Hamilton(registry, [SYMBOL], **{"limits": Limits.off(), **options}) as hamilton:
            yield hamilton
    finally:
        registry.close()


def served(hamilton: Hamilton, regime: Regime = Regime.LOW) -> str:
    return hamilton.champion(SYMBOL, regime).version.id
