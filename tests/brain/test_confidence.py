"""How sure, and how much: against a plain twin, and by their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from brain.confidence import (
    MIN_EPISODES,
    PRIOR_SPREAD,
    Confidence,
    Prior,
    confidence,
    normal_posterior,
    position_size,
)
from brain.errors import InputError
from brain.sizing import age_factor, drift_factor

SHARPES = st.floats(-6, 6)
ERRORS = st.floats(0.05, 20)


def probability(sharpe: float, error: float) -> float:
    p = confidence(sharpe, error, 500, 12).probability
    assert p is not None
    return p


def twin(sharpe: float, error: float) -> float:
    """Bayes' rule as it stands: prior times likelihood, integrated."""

    def weight(ratio: float) -> float:
        return float(norm.pdf(ratio, 0, PRIOR_SPREAD) * norm.pdf(sharpe, ratio, error))

    centre = sharpe * PRIOR_SPREAD**2 / (PRIOR_SPREAD**2 + error**2)
    spread = PRIOR_SPREAD * error / math.hypot(PRIOR_SPREAD, error)
    low, high = min(centre, 0) - 10 * spread, max(centre, 0) + 10 * spread
    above = quad(weight, 0, high, points=[max(centre, 0)], epsabs=0)[0]
    below = quad(weight, low, 0, points=[min(centre, 0)], epsabs=0)[0]
    return above / (above + below)


@pytest.mark.parametrize("sharpe", [-3.0, -0.78, 0.0, 0.4, 1.0, 2.5])
@pytest.mark.parametrize("error", [0.2, 0.94, 2.4, 4.4])
def test_it_is_the_posterior_by_bayes_rule(sharpe: float, error: float) -> None:
    assert probability(sharpe, error) == pytest.approx(twin(sharpe, error), abs=1e-8)


def test_it_is_calibrated_where_its_assumptions_hold() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, PRIOR_SPREAD, 20_000)
    error = rng.uniform(0.3, 3.0, truth.size)
    estimate = rng.normal(truth, error)
    probabilities = np.array([probability(s, e) for s, e in zip(estimate, error, strict=True)])
    for low in np.arange(0.0, 1.0, 0.1):
        among = (probabilities >= low) & (probabilities < low + 0.1)
        off = float((truth[among] > 0).mean() - probabilities[among].mean())
        assert abs(off) < 4 * 0.5 / math.sqrt(among.sum())


@given(SHARPES, SHARPES, ERRORS)
def test_a_larger_sharpe_is_never_less_likely_to_be_positive(
    one: float, other: float, error: float
) -> None:
    low, high = sorted((one, other))
    assert probability(low, error) <= probability(high, error)


@given(SHARPES, ERRORS, ERRORS)
def test_a_larger_error_draws_towards_a_half(sharpe: float, one: float, other: float) -> None:
    small, large = sorted((one, other))
    near, far = abs(probability(sharpe, large) - 0.5), abs(probability(sharpe, small) - 0.5)
    assert near <= far + 1e-15


@given(SHARPES, ERRORS)
def test_the_prior_is_sceptical_and_takes_no_side(sharpe: float, error: float) -> None:
    p = probability(sharpe, error)
    assert abs(p - 0.5) <= abs(norm.cdf(sharpe / error) - 0.5) + 1e-12
    assert p + probability(-sharpe, error) == pytest.approx(1, abs=1e-12)


def test_the_extremes_stay_within_bounds() -> None:
    assert probability(1e308, 1e-308) == 1.0
    assert probability(-1e308, 1e-308) == 0.0
    assert probability(5.0, 1e308) == 0.5


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ((None, None, 0, 0), "unknown: no net Sharpe from 0 bars"),
        ((math.nan, 0.5, 2, 1), "unknown: no net Sharpe from 2 bars"),
        ((math.inf, 0.5, 200, 9), "unknown: no net Sharpe from 200 bars"),
        ((1.5, math.nan, 80, 9), "unknown: net Sharpe 1.50 from 80 bars has no error"),
        ((1.5, None, 80, 9), "unknown: net Sharpe 1.50 from 80 bars has no error"),
        ((1.5, 0.0, 80, 9), "unknown: net Sharpe 1.50 from 80 bars has no error"),
        (
            (1.5, 0.5, 300, MIN_EPISODES - 1),
            "unknown: net Sharpe 1.50 ± 0.50 from 300 bars in 4 episodes; 5 are needed",
        ),
        (
            (1.5, 0.5, None, None),
            "unknown: net Sharpe 1.50 ± 0.50 from an unknown number of bars "
            "in an unknown number of episodes; 5 are needed",
        ),
    ],
)
def test_unknown_stays_unknown_and_says_why(
    evidence: tuple[float | None, float | None, int | None, int | None], reason: str
) -> None:
    answer = confidence(*evidence)
    assert (answer.probability, answer.reason) == (None, reason)
    assert (answer.bars, answer.episodes) == evidence[2:]
    assert position_size(answer, 1.0) == 0.0


def test_what_is_known_is_shown_with_what_it_rests_on() -> None:
    answer = confidence(1.0, 1.0, 300, MIN_EPISODES)
    reason = "net Sharpe 1.00 ± 1.00 from 300 bars in 5 episodes"
    assert answer.probability == pytest.approx(
        norm.cdf(PRIOR_SPREAD / math.hypot(PRIOR_SPREAD, 1)), abs=1e-15
    )
    posterior = answer.posterior
    assert posterior is not None
    assert answer == Confidence(
        posterior.positive, 1.0, 1.0, 300, 5, reason, posterior, posterior.size
    )
    assert (answer.next_block, answer.block_days) == (None, 60)  # the regime's share is unknown
    assert str(posterior) == (
        "net Sharpe 0.56 (-0.67 to 1.78), P(> 0) 0.77, by 1.00 ± 1.00 of bars"
    )


# --- what follows -------------------------------------------------------------------------------


@pytest.mark.parametrize("sharpe", [-2.0, 0.4, 3.0])
@pytest.mark.parametrize("error", [0.3, 2.0])
@pytest.mark.parametrize("prior", [Prior(), Prior(-0.4, 0.3, 48)])
def test_the_next_profit_and_the_interval_are_the_posteriors(
    sharpe: float, error: float, prior: Prior
) -> None:
    """Against draws: a ratio, the estimate of it, and a profit of the time to come."""
    p = normal_posterior(sharpe, error, prior, 0.25)
    rng = np.random.default_rng(1)
    ratios = rng.normal(prior.mean, prior.spread, 200_000)
    weights = norm.pdf(sharpe, ratios, error)
    weights /= weights.sum()
    draws = 4.0 / math.sqrt(1.0 / (weights**2).sum())  # errors of a share
    years = 60 / 365.25 * 0.25
    for time, chance in ((years, p.next_block), (1.0, p.next_year)):
        assert weights @ norm.cdf(ratios * math.sqrt(time)) == pytest.approx(chance, abs=draws)
    assert weights @ (ratios > 0) == pytest.approx(p.positive, abs=draws)
    assert weights @ (ratios < p.low) == pytest.approx(0.05, abs=draws)
    assert weights @ (ratios > p.high) == pytest.approx(0.05, abs=draws)
    assert weights @ ratios == pytest.approx(p.mean, abs=4 * draws)
    assert p.size == pytest.approx(max(0.0, 2 * p.next_year - 1))
    assert (p.prior.cells, p.nights, p.share) == (prior.cells, None, 0.25)


def test_what_all_cells_say_draws_a_cell_towards_it() -> None:
    alone, among = (
        confidence(1.0, 1.0, 300, 9, prior=prior, share=0.5) for prior in (None, Prior(-1, 0.2, 9))
    )
    assert among.probability is not None
    assert alone.probability is not None
    assert among.probability < 0.01 < 0.7 < alone.probability
    assert (alone.size > 0.3, among.size) == (True, 0.0)
    assert "of bars among 9 cells" in str(among.posterior)


def test_factors_lower_the_size_and_stay_with_it() -> None:
    sure = confidence(2.0, 0.5, 300, 9)
    drift, age = drift_factor(0.6), age_factor(44.0)
    less = sure.with_factors(drift).with_factors(age)
    assert less.size == pytest.approx(sure.size * 0.5 * 0.5)
    assert less.factors == (drift, age)
    assert less.probability == sure.probability


def test_all_bars_are_one_stretch() -> None:
    assert confidence(1.0, 1.0, 300, 1).probability is None
    answer = confidence(1.0, 1.0, 300, 1, min_episodes=1)
    assert answer.probability == probability(1.0, 1.0)
    assert answer.reason == "net Sharpe 1.00 ± 1.00 from 300 bars in 1 episode"


# --- size ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sure", "size"), [(None, 0), (0.0, 0), (0.3, 0), (0.5, 0), (0.75, 0.1), (1.0, 0.2)]
)
def test_the_size_is_nought_up_to_a_half_and_then_grows_to_the_limit(
    sure: float | None, size: float
) -> None:
    assert position_size(sure, 0.2) == pytest.approx(size, abs=1e-15)
    own = Confidence(sure, None, None, 0, 0, "", size=0.3)  # a confidence has a size of its own
    assert position_size(own, 0.2) == pytest.approx(0.06)


@given(st.none() | st.floats(0, 1), st.floats(0, 1e9))
def test_the_size_keeps_its_limit(sure: float | None, limit: float) -> None:
    assert 0.0 <= position_size(sure, limit) <= limit


@pytest.mark.parametrize(
    ("sure", "limit", "message"),
    [
        (1.01, 1.0, r"probability 1\.01 lies outside 0 to 1; give None where it is unknown"),
        (math.nan, 1.0, "probability nan lies outside"),
        (None, -0.1, r"limit -0\.1 is no largest position"),
        (0.5, math.nan, "limit nan is no largest position"),
        (0.5, math.inf, "limit inf is no largest position"),
    ],
)
def test_what_is_no_probability_or_limit_is_refused(
    sure: float | None, limit: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        position_size(sure, limit)
