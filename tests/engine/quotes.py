"""Simulated bars of trades at the bid and the ask, around a mid of known behaviour."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from brain.series.bars import Bars, check_bars, parse_timeframe

__all__ = ["HALF_LIFE", "simulate_quotes"]

Floats = NDArray[np.float64]

#: Bars in which what a signal says of the drift falls to half.
HALF_LIFE = 6


def simulate_quotes(
    rows: int,
    *,
    half_spread_bp: float,
    volatility: float,
    seed: int,
    repeated_opens: bool = False,
    signal: float = 0.0,
    autocorrelation: float = 0.0,
    clustered: bool = False,
    runs: float = 0.0,
    trades: int = 100,
    tick: float = 0.0,
    symbol: str = "SIM/USD",
    timeframe: str = "1h",
    start: str = "2020-01-01",
) -> Bars:
    """Bars of trades at bid or ask; with the defaults there is nothing to predict but the bounce.

    A bar's last trade is at its close, its first a ``trades``-th of the bar after the close before.

    Args:
        rows: number of bars.
        half_spread_bp: from mid to bid and to ask, in basis points of the mid.
        volatility: standard deviation of the mid's log return over a bar, 0.006.
        seed: of everything. The mid and the sides of trades are the same for every half spread.
        repeated_opens: whether a bar's open is the close before, and not its own first trade.
        signal: correlation, in (-1, 1), of a state with the mid's next log return. The state is an
            AR(1) whose half-life is :data:`HALF_LIFE` bars; it is known at the bar's close, as the
            logarithm of its volume and as nothing else.
        autocorrelation: of the mid's log returns from bar to bar, in (-1, 1): a momentum, or a
            reversal that is no spread.
        clustered: whether volatility is that of a GARCH(1, 1), with Student's tails (5 degrees).
        runs: correlation of the sides of trades with those before, in [0, 1).
        trades: in a bar.
        tick: the grid of prices, which start at 100; 0 is none.
        symbol, timeframe: of the bars.
        start: the first bar's open time.
    """
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((rows, trades), dtype=np.float32).astype(np.float64)
    turns = rng.random((rows, trades), dtype=np.float32) < (1.0 - runs) / 2.0
    draw = np.random.default_rng([seed, 1])
    state = _ar1(draw.standard_normal(rows), 0.5 ** (1 / HALF_LIFE))
    scale = _scales(rows, draw) if clustered else np.ones(rows)

    steps = noise * (scale * np.sqrt((1.0 - signal**2) / trades))[:, None]
    unexpected = steps.sum(axis=1) + signal * np.concatenate([[0.0], state[:-1]])
    returns = _ar1(unexpected, autocorrelation)
    steps += ((returns - steps.sum(axis=1)) / trades)[:, None]
    sides = 1.0 - 2.0 * (np.cumsum(turns).reshape(rows, trades) % 2)
    mid = 100.0 * np.exp(volatility * np.cumsum(steps).reshape(rows, trades))
    price = mid * (1.0 + 1e-4 * half_spread_bp * sides)
    if tick:
        price = np.round(price / tick) * tick
    frame = _bars(price, repeated_opens)
    frame["volume"] = np.exp(3.0 + 0.5 * state)
    frame.index = pd.date_range(start, periods=rows, freq=parse_timeframe(timeframe), tz="UTC")
    return check_bars(frame, symbol=symbol, timeframe=timeframe)


def _bars(price: Floats, repeated_opens: bool) -> pd.DataFrame:
    """Open, high, low and close of trades, (rows, trades)."""
    open_, close = price[:, 0].copy(), price[:, -1]
    if repeated_opens:
        open_[1:] = close[:-1]
    return pd.DataFrame(
        {
            "open": open_,
            "high": np.maximum(price.max(axis=1), open_),
            "low": np.minimum(price.min(axis=1), open_),
            "close": close,
        }
    )


def _ar1(noise: Floats, coefficient: float) -> Floats:
    """An AR(1) of the noise's variance, (N,), from its first value on."""
    if not coefficient:
        return noise
    inputs = noise * np.sqrt(1.0 - coefficient**2)
    inputs[0] = noise[0]
    return np.asarray(lfilter([1.0], [1.0, -coefficient], inputs))


def _scales(rows: int, draw: np.random.Generator) -> Floats:
    """Each bar's volatility over its mean square root: GARCH times the scale of Student's t."""
    tails = np.sqrt(3.0 / draw.chisquare(5, rows))
    shocks = (tails * draw.standard_normal(rows)) ** 2
    variance, now = np.empty(rows), 1.0
    for row, shock in enumerate(shocks.tolist()):
        variance[row] = now
        now = 0.03 + now * (0.07 * shock + 0.90)
    return np.sqrt(variance) * tails
