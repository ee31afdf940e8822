"""Other ways to name a champion, on the same evidence as the trial.

Each says of every path whether a challenger takes the champion's place within the nights. Profits
are means over all symbols, (lines, paths, nights), the champion first; differences are challengers
less the champion, (challengers, paths, nights).
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
from scipy.stats import kurtosis, norm, skew

from registry.promotion.groups import Booleans, Floats
from registry.promotion.policies import composite_champion, composite_score, provisional_champion

__all__ = [
    "ONE_LOOK",
    "SEQUENTIAL",
    "best_sharpe",
    "betting",
    "composite",
    "deflated_sharpe",
    "mixture",
    "naive",
    "overfitting",
    "provisional",
    "step_m",
]

_FIRST = 30  # night that any of them decides at
_LEVEL = 0.05
_LIMIT = 3.0
_TAU = 0.15  # of the mixture, in standard deviations of a night
_BLOCKS = 16
_GAMMA = 0.5772156649015329


def naive(profits: Floats) -> Booleans:
    """A paired z above 2 at any night."""
    difference = profits[1:] - profits[:1]
    count = np.arange(1, difference.shape[-1] + 1)
    mean = np.cumsum(difference, axis=-1) / count
    variance = np.cumsum(difference**2, axis=-1) / count - mean**2
    z = mean / np.sqrt(np.maximum(variance, 1e-30) / count)
    return np.asarray((z[..., _FIRST:] > 2.0).any(axis=(0, -1)))


def best_sharpe(profits: Floats) -> Booleans:
    """A better Sharpe ratio to date at any night."""
    count = np.arange(1, profits.shape[-1] + 1)
    mean = np.cumsum(profits, axis=-1) / count
    deviation = np.sqrt(np.maximum(np.cumsum(profits**2, axis=-1) / count - mean**2, 1e-30))
    ratio = mean / deviation
    return np.asarray((ratio[1:, :, _FIRST:] > ratio[:1, :, _FIRST:]).any(axis=(0, -1)))


def composite(profits: Floats) -> Booleans:
    """The composite score to date names another champion at any night."""
    change = np.zeros(profits.shape[1], dtype=bool)
    for night in range(_FIRST, profits.shape[-1]):
        scores = np.moveaxis(composite_score(profits[..., :night]), 0, -1)
        champion = np.zeros(len(scores), dtype=np.int64)
        change |= composite_champion(scores, champion, champion - 1, scores[:, 0]) > 0
    return change


def provisional(profits: Floats) -> Booleans:
    """The provisional rule names another champion at any night."""
    by_path = np.moveaxis(profits, 0, 1)
    nights = range(_FIRST, profits.shape[-1])
    return np.any([provisional_champion(by_path[..., :n], 0) > 0 for n in nights], axis=0)


def standardised(profits: Floats) -> Floats:
    """Differences over the root mean square of their earlier nights, cut at 3: the trial's X."""
    difference = profits[1:] - profits[:1]
    squares = np.cumsum(difference**2, axis=-1)[..., 4:-1]
    scale = np.sqrt(squares / np.arange(5, difference.shape[-1]))
    return np.clip(difference[..., 5:] / scale, -_LIMIT, _LIMIT)


def mixture(profits: Floats) -> Booleans:
    """A mixture sequential probability ratio test at any night (Robbins 1970; Johari et al. 2022).

    The normal mixture of both sides reaches 1/(2a) with probability 2a, a share of 5 % each.
    """
    x = standardised(profits)
    total, clock = np.cumsum(x, axis=-1), np.cumsum(np.maximum(x**2, 1.0), axis=-1)
    wide = 1.0 + clock * _TAU**2
    ratio = -0.5 * np.log(wide) + _TAU**2 * total**2 / (2.0 * wide)
    return ((ratio >= np.log(len(x) / (2.0 * _LEVEL))) & (total > 0)).any(axis=(0, -1))


def betting(profits: Floats) -> Booleans:
    """An e-process of bets at any night (Waudby-Smith & Ramdas 2024): means of ten fixed stakes."""
    x = standardised(profits) / _LIMIT
    stakes = np.linspace(0.05, 0.95, 10)[:, None, None, None]
    wealth = np.exp(np.cumsum(np.log1p(stakes * x), axis=-1)).mean(axis=0)
    return (wealth >= len(x) / _LEVEL).any(axis=(0, -1))


def deflated_sharpe(profits: Floats) -> Booleans:
    """A deflated Sharpe ratio of the difference ≥ .95, at the last night."""
    difference = profits[1:] - profits[:1]
    return np.array(
        [max(_deflated(path)) >= 1.0 - _LEVEL for path in np.moveaxis(difference, 1, 0)]
    )


def _deflated(trials: Floats) -> Floats:
    """Bailey & López de Prado 2014, of each of the trials (trials, nights)."""
    ratios = trials.mean(axis=1) / trials.std(axis=1, ddof=1)
    n, count = trials.shape[1], len(trials)
    best = (1.0 - _GAMMA) * norm.ppf(1.0 - 1.0 / count) + _GAMMA * norm.ppf(
        1.0 - 1.0 / (count * np.e)
    )
    threshold = np.sqrt(ratios.var(ddof=1)) * best
    return deflate(ratios, threshold, n, skew(trials, axis=1), kurtosis(trials, axis=1) + 3.0)


def deflate(
    ratio: Floats, threshold: float, nights: int, skewness: Floats, kurtoses: Floats
) -> Floats:
    """The probability that a Sharpe ratio (of a night) is above a threshold."""
    width = 1.0 - skewness * ratio + (kurtoses - 1.0) / 4.0 * ratio**2
    return np.asarray(norm.cdf((ratio - threshold) * np.sqrt((nights - 1) / width)))


def overfitting(profits: Floats) -> Booleans:
    """A challenger of the best Sharpe ratio, and a probability of overfitting ≤ .05."""
    ratios = profits.mean(axis=-1) / profits.std(axis=-1)
    best = ratios.argmax(axis=0)
    chances = np.array([overfit_probability(path) for path in np.moveaxis(profits, 1, 0)])
    return (best > 0) & (chances <= _LEVEL)


def overfit_probability(profits: Floats, blocks: int = _BLOCKS) -> float:
    """PBO of (lines, nights) by combinatorially symmetric cross-validation (Bailey et al. 2017)."""
    length = profits.shape[1] // blocks
    parts = profits[:, : length * blocks].reshape(len(profits), blocks, length)
    sums, squares = parts.sum(axis=2).T, (parts**2).sum(axis=2).T
    chosen = _halves(blocks)
    nights = length * blocks // 2

    def ratios(weights: Floats) -> Floats:
        mean = weights @ sums / nights
        return mean / np.sqrt(weights @ squares / nights - mean**2)

    inside, outside = ratios(chosen), ratios(1.0 - chosen)
    best = inside.argmax(axis=1)
    rank = (outside <= outside[np.arange(len(best)), best][:, None]).sum(axis=1)
    return float(np.mean(rank / (len(profits) + 1) <= 0.5))


@cache
def _halves(blocks: int) -> Floats:
    """Every choice of half of the blocks: (choices, blocks) of 1 and 0."""
    halves = list(itertools.combinations(range(blocks), blocks // 2))
    chosen = np.zeros((len(halves), blocks))
    chosen[np.arange(len(halves))[:, None], np.array(halves)] = 1.0
    return chosen


def step_m(profits: Floats) -> Booleans:
    """Romano & Wolf's StepM at 5 % names any better line, at the last night.

    Whether there is any is its first step, the test for superior predictive ability (library
    ``arch``, whose later steps fail where every line is better).
    """
    from arch.bootstrap import SPA

    answers = []
    for path in np.moveaxis(profits, 1, 0):
        test = SPA(-path[0], -path[1:].T, block_size=5, reps=500, seed=7)
        test.compute()
        answers.append(len(test.better_models(_LEVEL)) > 0)
    return np.array(answers)


#: On all paths, looking every night.
SEQUENTIAL = {
    "naive z > 2": naive,
    "best Sharpe": best_sharpe,
    "composite score": composite,
    "provisional rule": provisional,
    "mSPRT": mixture,
    "betting e-process": betting,
}
#: On a part of the paths, looking once, at the last night.
ONE_LOOK = {
    "deflated Sharpe ≥ .95": deflated_sharpe,
    "PBO ≤ .05": overfitting,
    "StepM": step_m,
}
