"""The block bootstrap against that of arch, on data in which neighbours are alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.evaluation.bootstrap import BlockBootstrap

Array = NDArray[np.float64]

ROWS, BLOCK, REPETITIONS = 600, 20, 2000


@pytest.fixture(scope="module")
def values() -> Array:
    """An autoregression around 1, whose neighbours correlate .8."""
    noise = np.random.default_rng(3).standard_normal(ROWS)
    values = np.empty(ROWS)
    level = 0.0
    for row in range(ROWS):
        level = 0.8 * level + noise[row]
        values[row] = 1.0 + level
    return values


def mean(values: Array) -> Array:
    return np.array([values.mean()])


def sharpe(values: Array) -> Array:
    return np.array([values.mean() / values.std()])


def drawdown(values: Array) -> Array:
    wealth = np.cumsum(values - 1.0)
    return np.array([(np.maximum(np.maximum.accumulate(wealth), 0.0) - wealth).max()])


def means(values: Array) -> Array:
    """Our draws of the mean."""
    return bootstrap(seed=1).means(values[:, None])[:, 0]


def sharpes(values: Array) -> Array:
    """Our draws of a ratio of moments."""
    first, second = bootstrap(seed=1).means(np.column_stack([values, values**2])).T
    return np.asarray(first / np.sqrt(second - first**2))


def drawdowns(values: Array) -> Array:
    """Our draws of a statistic of the whole path."""
    return np.concatenate([drawdown(path) for path in bootstrap(seed=1).paths(values)])


def bootstrap(seed: int) -> BlockBootstrap:
    return BlockBootstrap(ROWS, BLOCK, seed=seed, repetitions=REPETITIONS)


def distance(draws: Array, others: Array) -> float:
    """The difference of the logarithms of two standard errors, in its own standard errors.

    The variance of a sample variance of n draws is ``sigma⁴ (kurtosis - 1) / n``, so that of the
    logarithm of a standard deviation is ``(kurtosis - 1) / (4 n)``.
    """

    def log_error(sample: Array) -> tuple[float, float]:
        centred = sample - sample.mean()
        kurtosis = np.mean(centred**4) / np.mean(centred**2) ** 2
        return float(np.log(sample.std(ddof=1))), float((kurtosis - 1) / (4 * sample.size))

    (one, one_variance), (other, other_variance) = log_error(draws), log_error(others)
    return float(abs(one - other) / np.sqrt(one_variance + other_variance))


STATISTICS = pytest.mark.parametrize(
    ("statistic", "draws"),
    [(mean, means), (sharpe, sharpes), (drawdown, drawdowns)],
    ids=["mean", "ratio", "path"],
)


@STATISTICS
def test_standard_errors_are_those_of_arch_but_for_the_chance_of_the_draws(
    values: Array, statistic: Callable[[Array], Array], draws: Callable[[Array], Array]
) -> None:
    from arch.bootstrap import CircularBlockBootstrap

    arch = CircularBlockBootstrap(BLOCK, values, seed=2).apply(statistic, REPETITIONS)[:, 0]
    assert distance(draws(values), arch) < 3.0


@STATISTICS
def test_a_bootstrap_of_single_rows_has_other_standard_errors(
    values: Array, statistic: Callable[[Array], Array], draws: Callable[[Array], Array]
) -> None:
    """The test above can fail."""
    from arch.bootstrap import IIDBootstrap

    arch = IIDBootstrap(values, seed=2).apply(statistic, REPETITIONS)[:, 0]
    assert distance(draws(values), arch) > 10.0


def test_draws_are_whole_blocks_that_wrap() -> None:
    values = np.arange(200.0)
    paths = BlockBootstrap(200, 20).paths(values)
    steps = np.diff(paths, axis=1)
    inside = np.delete(steps, np.arange(19, 199, 20), axis=1)
    assert set(np.unique(inside)) <= {1.0, -199.0}
    np.testing.assert_allclose(
        BlockBootstrap(200, 20).means(values[:, None])[:, 0], paths.mean(axis=1)
    )
