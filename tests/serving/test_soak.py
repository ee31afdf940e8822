"""A million bars: the memory stays flat, and the decisions go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

from brain.naming import Family
from engine.data.dataset import make_dataset
from serving import Hamilton, Limits
from tests.serving.conftest import TRAINED
from tests.serving.desk import HORIZON, Models, bars_of, fit, head, rule_of, sample


def resident_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def soak(hamilton: Hamilton, symbol: str, folder: Path, bars: int, settled: int) -> float:
    """Give made-up bars after the training, and return the growth of the memory, in MB.

    It counts from a bar on at which the bars in memory are as many as they get.
    """
    rng = np.random.default_rng(7)
    (executor,) = hamilton._all
    step = int(executor.loaded.newest.data.timeframe_ns)
    mean = close = bars_of(sample(symbol))[0].close
    close_time, before, decided = hamilton.last_close(symbol), 0.0, 0
    for place in range(bars):
        close_time += step
        if place == settled:
            before = resident_mb()
        if place % 997 == 500:  # the calendar tells the gap
            continue
        open_ = close
        close = mean + 0.99 * (open_ - mean) + 0.01 * mean * float(rng.normal())
        high, low = max(open_, close) * 1.002, min(open_, close) * 0.998
        decision = hamilton.bar(symbol, open_, high, low, close, 1000.0, close_time)
        decided += np.isfinite(decision.prediction)
        if place % 20_000 == 0:
            for file in sorted(folder.rglob("*.jsonl"))[:-1]:
                file.unlink()
    assert decided > bars / 2
    return resident_mb() - before


def test_the_memory_of_some_bars_is_small(models: Models, tmp_path: Path) -> None:
    with Hamilton(models, ["ETH/USD"], limits=Limits.off(), journal=tmp_path) as hamilton:
        assert soak(hamilton, "ETH/USD", tmp_path, 4_000, 2_000) < 4.0


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_the_memory_of_a_million_bars_is_flat(tmp_path: Path) -> None:
    """Of hours, as the calendar of nanoseconds ends before a million days."""
    dataset = make_dataset(head(sample("BTC/USD"), 4 * TRAINED), horizon=HORIZON)
    models = Models(tmp_path / "models")
    fitted = fit(Family.LIGHTGBM, dataset)
    models.add(fitted, dataset, rule_of(dataset, threshold=1.0))
    journal = tmp_path / "journal"
    with Hamilton(models, ["BTC/USD"], limits=Limits.off(), journal=journal) as hamilton:
        assert soak(hamilton, "BTC/USD", journal, 1_000_000, 100_000) < 8.0
