"""Simulated bars of the promotion's benchmark: what is planted is there, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import promotion_bars
from benchmarks.promotion_bars import BarCase, bar_cases, measure_bars

CASE = BarCase("two symbols", 0.0, symbols=2)


def test_an_edge_shows_in_line_1_alone() -> None:
    nothing, edge = measure_bars(CASE, 2), measure_bars(replace(CASE, skill=0.2), 2)
    assert edge.edge > nothing.edge + 4.0
    assert edge.power == 1.0
    assert edge.wrong == 0.0
    assert 0.6 < nothing.lines < 0.95
    assert 0.1 < nothing.symbols < 0.6


def test_a_paths_nights_are_complete_and_the_seeds_own() -> None:
    days, values = promotion_bars._evidence(CASE, np.random.default_rng(1))
    assert values.shape == (len(days), 2, 4, 3)
    assert np.isfinite(values).any(axis=2).all()
    again = promotion_bars._evidence(CASE, np.random.default_rng(1))[1]
    np.testing.assert_array_equal(values, again)


@pytest.mark.parametrize("case", list(bar_cases()))
def test_cases_have_a_seed_of_their_own(case: BarCase) -> None:
    assert sum(other.name == case.name for other in bar_cases()) == 1
