"""Simulated bars in which the next return is known to depend on what a bar shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.series.bars import Bars, check_bars, parse_timeframe

__all__ = ["Simulation", "simulate"]

_VOLATILITY = 0.01


@dataclass(frozen=True)
class Simulation:
    """Bars, and the signal that was planted in them.

    Attributes:
        bars: without any fault.
        signal: (N,) standardised; known at each bar's close, and the best predictor of the next
            return that there is.
    """

    bars: Bars
    signal: NDArray[np.float64]


def simulate(
    rows: int,
    *,
    strength: float,
    seed: int,
    symbol: str = "SIM/USD",
    timeframe: str = "1h",
    start: str = "2020-01-01",
) -> Simulation:
    """Bars whose next log return correlates with where the shadow of this bar lies.

    Opens are prices of their own, a hundredth of a bar's move from the close before.

    Returns are ``0.01 * (strength * signal[t - 1] + sqrt(1 - strength²) * noise[t])``. The signal
    is drawn anew for each bar and shows as the share of the bar's shadows that lies below its body;
    nothing else in the bars, volume included, says anything of what comes.

    Args:
        rows: number of bars.
        strength: correlation of signal and next return, in [0, 1); 0 is a random walk.
        seed: of everything.
        symbol, timeframe: of the bars.
        start: the first bar's open time.
    """
    rng = np.random.default_rng(seed)
    below = rng.random(rows)
    signal = (below - 0.5) * np.sqrt(12)
    drift = strength * np.concatenate([[0.0], signal[:-1]])
    returns = _VOLATILITY * (drift + np.sqrt(1 - strength**2) * rng.standard_normal(rows))
    close = 100 * np.exp(np.cumsum(returns))
    aside = 0.01 * _VOLATILITY * np.random.default_rng([seed, 1]).standard_normal(rows)
    open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(aside)
    shadows = _VOLATILITY * rng.lognormal(0.0, 0.5, rows)
    frame = pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(open_, close) * np.exp(shadows * (1 - below)),
            "low": np.minimum(open_, close) * np.exp(-shadows * below),
            "close": close,
            "volume": rng.lognormal(3.0, 0.5, rows),
        },
        index=pd.date_range(start, periods=rows, freq=parse_timeframe(timeframe), tz="UTC"),
    )
    return Simulation(check_bars(frame, symbol=symbol, timeframe=timeframe), signal)
