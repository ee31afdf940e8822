"""How often an interval of a net Sharpe ratio covers the truth, over many simulated markets."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter

from engine.evaluation.metrics import net_returns, sharpe_ratio
from engine.evaluation.trading import Trading

Array = NDArray[np.float64]


def garch(rows: int, rng: np.random.Generator) -> Array:
    """Returns with clustered volatility and Student's tails of five degrees of freedom."""
    shocks = rng.standard_t(5, rows) / np.sqrt(5 / 3)
    returns, variance = np.empty(rows), 1.0
    for row, shock in enumerate(shocks):
        returns[row] = np.sqrt(variance) * shock
        variance = 0.05 + 0.1 * returns[row] ** 2 + 0.85 * variance
    return 0.01 * returns


def covers(rows: int, horizon: int, seed: int) -> bool:
    """Whether the interval covers 0, the ratio of predictions that know nothing of the returns."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(garch(rows + 1, rng)))
    prediction = lfilter([1.0], [1.0, -0.9], rng.standard_normal(rows + 1))
    fill = np.append(close[:-1], np.nan)
    regimes = np.full(rows + 1, -1, dtype=np.int8)
    trading = Trading(close, fill, regimes, horizon, cost=0.0, bars_per_year=8760.0)
    low, high = sharpe_ratio(net_returns(np.sign(prediction), trading), trading).interval()
    return low < 0.0 < high


@pytest.mark.parametrize("horizon", [1, 6])
@pytest.mark.parametrize(
    ("rows", "paths", "least"),
    [
        (150, 200, 0.88),
        pytest.param(150, 2000, 0.91, marks=pytest.mark.soak),
        pytest.param(500, 2000, 0.93, marks=pytest.mark.soak),
        pytest.param(5000, 2000, 0.93, marks=pytest.mark.soak),
    ],
)
@pytest.mark.timeout(3600)
def test_intervals_cover_the_truth(rows: int, paths: int, least: float, horizon: int) -> None:
    share = np.mean([covers(rows, horizon, seed) for seed in range(paths)])
    assert share >= least
