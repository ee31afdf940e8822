"""The drawdown that a history allows."""

from __future__ import annotations

import math

import numpy as np

from engine.evaluation.allowance import drawdown_allowance


def deepest(paths: np.ndarray) -> np.ndarray:
    wealth = np.cumsum(paths, axis=1)
    return (np.maximum(np.maximum.accumulate(wealth, axis=1), 0.0) - wealth).max(axis=1)


def test_of_independent_nights_one_path_in_a_hundred_falls_further() -> None:
    rng = np.random.default_rng(1)
    fresh = deepest(rng.standard_normal((4000, 180)))
    levels = [np.mean(fresh > drawdown_allowance(rng.standard_normal(2000), 180)) for _ in range(5)]
    assert 0.002 < np.mean(levels) < 0.04


def test_more_nights_allow_more_and_unknown_ones_are_left_out() -> None:
    profits = np.random.default_rng(2).standard_normal(400)
    some = np.insert(profits, [5, 90], math.nan)
    assert drawdown_allowance(profits, 60) < drawdown_allowance(profits, 200)
    assert drawdown_allowance(some, 60) == drawdown_allowance(profits, 60)


def test_a_short_history_allows_nobody_knows_how_much() -> None:
    profits = np.random.default_rng(2).standard_normal(400)
    assert math.isnan(drawdown_allowance(profits[:99], 60))
    assert math.isnan(drawdown_allowance(profits, 401))
