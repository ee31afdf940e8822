"""Posteriors of many cells, against integration by draws and against normal distributions."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import multivariate_normal, norm

from registry.promotion.posterior import MEAN_SPREAD, SPREAD_SCALE, Mixtures, Pool
from tests.registry.promotion.evidence import Array

SHARPE = np.array([1.5, -0.4, 2.5, 0.3, -1.0])
ERROR = np.array([0.8, 1.2, 1.0, 2.0, 0.6])
LOADS = np.array([[0.5, 0.4], [0.5, 0.4], [0.5, 0.0], [0.5, 0.0], [0.5, 0.0]])


def slow(loads: Array) -> tuple[Array, Array]:
    """Posterior means and P(> 0) by a grid over m and τ and the whole covariance, cell by cell."""
    own = np.diag((1 - (loads**2).sum(axis=1)) * ERROR**2)
    common = (loads @ loads.T) * np.outer(ERROR, ERROR)
    weights, means, above = [], [], []
    for m, spread in itertools.product(np.linspace(-2.5, 2.5, 61), np.linspace(0.01, 5.0, 100)):
        covariance = own + common + spread**2 * np.eye(5)
        prior = norm.pdf(m, 0, MEAN_SPREAD) * norm.pdf(spread, 0, SPREAD_SCALE)
        weights.append(prior * multivariate_normal.pdf(SHARPE, np.full(5, m), covariance))
        gain = spread**2 * np.linalg.inv(covariance)
        mean = m + gain @ (SHARPE - m)
        variance = np.diag(spread**2 * (np.eye(5) - gain))
        means.append(mean)
        above.append(ndtr(mean / np.sqrt(variance)))
    share = np.array(weights) / np.sum(weights)
    return share @ np.array(means), share @ np.array(above)


@pytest.mark.parametrize("loads", [LOADS, np.zeros((5, 1))], ids=["alike", "independent"])
def test_it_is_bayes_rule_on_all_cells_at_once(loads: Array) -> None:
    posteriors = Pool(SHARPE, ERROR, loads).posteriors()
    mean, above = slow(loads)
    np.testing.assert_allclose(posteriors.mean, mean, atol=0.004)
    np.testing.assert_allclose(posteriors.positive(), above, atol=0.002)


def test_what_errors_have_in_common_is_not_taken_for_what_cells_are() -> None:
    """All of 60 cells measure +2 ± 2: by chance at once, or because they are good."""
    sharpe, error = np.full(60, 2.0), np.full(60, 2.0)
    alone = Pool(sharpe, error).posteriors().mean[0]
    alike = Pool(sharpe, error, np.full((60, 1), 0.7)).posteriors().mean[0]
    assert alone > 1.2 > 0.5 > alike


def test_repeated_estimates_with_half_the_weight_say_what_they_said_once() -> None:
    twice = (np.repeat(each, 2, axis=0) for each in (SHARPE, ERROR, LOADS))
    repeated = Pool(*twice, weights=np.full(10, 0.5))  # type: ignore[misc]
    once = Pool(SHARPE, ERROR, LOADS)
    np.testing.assert_allclose(repeated.posteriors().mean[::2], once.posteriors().mean)
    assert repeated.prior() == pytest.approx(once.prior())


def test_without_cells_the_prior_is_what_it_is() -> None:
    pool = Pool(np.empty(0), np.empty(0))
    mean, spread = pool.prior()
    assert (mean, pool.cells) == (0.0, 0)
    assert spread == pytest.approx(np.sqrt(MEAN_SPREAD**2 + SPREAD_SCALE**2), abs=1e-3)
    assert pool.posteriors().quantile(0.5).shape == (0,)


def test_many_cells_tell_their_mean_and_spread() -> None:
    rng = np.random.default_rng(2)
    error = rng.uniform(0.3, 1.0, 4000)
    truth = rng.normal(-0.6, 0.4, 4000)
    pool = Pool(rng.normal(truth, error), error)
    assert pool.prior() == pytest.approx((-0.6, 0.4), abs=0.05)
    covered = np.abs(pool.posteriors().mean - truth) < 1.645 * pool.posteriors().deviation
    assert covered.mean() == pytest.approx(0.9, abs=0.02)


def test_mixtures_are_those_of_their_components() -> None:
    weights = np.array([0.3, 0.7])
    means, variances = np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([[1.0, 0.5], [0.25, 2.0]])
    both = Mixtures(weights, means, variances)
    rng = np.random.default_rng(3)
    which = (rng.random(400_000) < 0.7).astype(int)
    for c in range(2):
        draws = rng.normal(means[which, c], np.sqrt(variances[which, c]))
        assert both.mean[c] == pytest.approx(draws.mean(), abs=0.01)
        assert both.deviation[c] == pytest.approx(draws.std(), abs=0.01)
        assert both.positive()[c] == pytest.approx((draws > 0).mean(), abs=0.005)
        profits = draws * np.sqrt(0.5) + rng.standard_normal(len(draws))
        assert both.gain(0.5)[c] == pytest.approx((profits > 0).mean(), abs=0.005)
        for share in (0.05, 0.5, 0.95):
            assert (draws < both.quantile(share)[c]).mean() == pytest.approx(share, abs=0.005)
