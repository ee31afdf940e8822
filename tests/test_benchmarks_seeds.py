"""The benchmark of seeds: which signs change, and a native model's costs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.seeds import changes, costs
from brain.naming import Family
from engine.data.dataset import make_dataset
from tests.engine.simulate import simulate

NAN = np.nan


def test_a_sign_changes_where_the_means_of_both_walks_differ_in_theirs() -> None:
    early = np.array([[NAN, 1.0, -1.0, 2.0, 1.0], [NAN, 1.0, 3.0, 2.0, 1.0]])
    late = np.array([[1.0, 1.0, 1.0, -1.0, 1.0], [1.0, 1.0, -2.0, 2.0, NAN]])
    target = np.array([NAN, 1.0, 2.0, 0.0, NAN])
    one, ranks = changes(early, late, target, 1)  # on the three bars that all of them predict
    assert one == pytest.approx([200 / 3, 100 / 3])
    assert ranks[0] == pytest.approx(spearmanr([1.0, 1.0, -1.0], [1.0, 2.0, 0.0]).statistic)
    both, _ = changes(early, late, target, 2)  # means 1, 1, 2 and 1, -0.5, 0.5
    assert both == pytest.approx([100 / 3, 100 / 3])


@pytest.mark.parametrize("name", list(Family))
def test_three_seeds_are_a_larger_file_and_their_score_takes_some_time(name: Family) -> None:
    data = make_dataset(simulate(800, strength=0.3, seed=1).bars, horizon=1)
    one, three = (costs(name, data, seeds) for seeds in (1, 3))
    assert 2 < three[2] / one[2] < 9
    assert min(*one, *three) > 0
