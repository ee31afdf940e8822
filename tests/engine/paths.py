"""Made-up bars with all that real ones do: changing volatility, gaps, flat and missing bars."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.series.bars import Bars, check_bars

HOUR = 3_600_000_000_000


Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Path:
    """Columns of consecutive hourly bars; NaN is missing."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    close_time_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.close)

    def __getitem__(self, rows: slice) -> Path:
        return Path(*(column[rows].copy() for column in self.columns()))

    def columns(self) -> tuple[Any, Any, Any, Any, Any, Any]:
        return (*self.prices(), self.volume, self.close_time_ns)

    def prices(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self.open, self.high, self.low, self.close

    def scaled(self, price: float, volume: float) -> Path:
        prices = {name: getattr(self, name) * price for name in _NAMES[:4]}
        return replace(self, **prices, volume=self.volume * volume)

    def without(self, rows: Any) -> Path:
        """The same path with those bars missing."""
        columns = {name: getattr(self, name).copy() for name in _NAMES}
        for column in columns.values():
            column[rows] = np.nan
        return replace(self, **columns)

    def bars(self) -> Bars:
        """The path as checked bars; the first and the last must be there."""
        frame = pd.DataFrame({name: getattr(self, name) for name in _NAMES})
        frame["time"] = pd.to_datetime(self.close_time_ns - HOUR, utc=True)
        return check_bars(frame.dropna(), symbol="BTC/USD", timeframe="1h")


_NAMES = ("open", "high", "low", "close", "volume")


def random_path(seed: int, n: int, missing: float = 0.0) -> Path:
    """``n`` bars with volatility clusters, a coarse tick and a share of missing bars."""
    rng = np.random.default_rng(seed)
    log_volatility = np.empty(n)
    level = 0.0
    for t in range(n):
        level = 0.97 * level + 0.2 * rng.standard_normal()
        log_volatility[t] = level
    sigma = 0.006 * np.exp(log_volatility)
    steps = rng.standard_t(4, (n, 5)) * sigma[:, None] / 2
    logs = np.log(5000.0) + np.cumsum(steps.ravel()).reshape(n, 5)
    ticks = np.round(np.exp(logs), 0)
    traded = np.round(rng.lognormal(3.0, 1.0, n) * (rng.random(n) > 0.02), 2)
    path = Path(
        open=ticks[:, 0],
        high=ticks.max(axis=1),
        low=ticks.min(axis=1),
        close=ticks[:, -1],
        volume=traded,
        close_time_ns=1_500_000_400_000_000_000 // HOUR * HOUR + HOUR * np.arange(n),
    )
    flat = rng.random(n) < 0.02
    path = replace(
        path,
        open=np.where(flat, path.close, path.open),
        high=np.where(flat, path.close, path.high),
        low=np.where(flat, path.close, path.low),
    )
    return path.without(rng.random(n) < missing)
