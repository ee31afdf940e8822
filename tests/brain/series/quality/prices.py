"""Simulated bars with fat tails and clustered volatility, without any fault."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["KINDS", "prices"]

#: Where opens come from: trade goes on; the close before is repeated; a quarter of the variance is
#: between the bars; or there are closes alone, which stand for all four prices.
KINDS = ("continuous", "carried", "sessions", "closes")
_PATH = 8  # moves within a bar


def prices(
    rows: int, kind: str = "continuous", *, seed: int = 0, size: float = 0.005
) -> pd.DataFrame:
    """Hourly bars from 2024 on.

    Moves are GARCH(1, 1) with Student's innovations of three degrees of freedom.

    Args:
        rows: number of bars.
        kind: of :data:`KINDS`.
        seed: of everything.
        size: standard deviation of a bar's move, near enough.
    """
    rng = np.random.default_rng(seed)
    volatility, noise = np.ones(rows), rng.standard_t(3, (2, rows)) / np.sqrt(3)
    for row in range(1, rows):
        shock = min(noise[0, row - 1] ** 2, 50.0)  # its fourth moment is infinite
        volatility[row] = 0.05 + volatility[row - 1] * (0.08 * shock + 0.87)
    move, between = size * np.sqrt(volatility) * noise
    gap = np.zeros(rows)
    if kind == "sessions":
        move, gap = np.sqrt(0.75) * move, 0.5 * between
    close = np.cumsum(move + gap)
    first = np.concatenate(([0.0], close[:-1])) + gap
    if kind == "continuous":
        first += 0.01 * size * rng.standard_normal(rows)
    # A bridge from the open to the close.
    walk = np.cumsum(rng.standard_normal((rows, _PATH)) * size / np.sqrt(_PATH), axis=1)
    time = np.arange(1, _PATH + 1) / _PATH
    path = first[:, None] + walk + time * (close - first - walk[:, -1])[:, None]
    high, low = np.maximum(first, path.max(axis=1)), np.minimum(first, path.min(axis=1))
    if kind == "closes":
        first = high = low = close
    columns = {"open": first, "high": high, "low": low, "close": close}
    return pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC"),
            **{name: 100 * np.exp(values) for name, values in columns.items()},
            "volume": rng.lognormal(3.0, 1.0, rows),
        }
    )
