"""The benchmark of seeds: which signs change, and a native model's costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from benchmarks.choice_bars import later_hours
from benchmarks.seeds import HORIZON, changes, costs, datasets
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


def test_recorded_hours_have_their_volume_in_base_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In many rows of the file the two volumes are swapped."""
    count = 1500
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0.0, 0.01, count)))
    base = np.random.default_rng(2).uniform(1.0, 9.0, count)
    frame = pd.DataFrame(
        {"unix": 1_525_132_800 + 3600 * np.arange(count), "open": close, "high": close,
         "low": close, "close": close, "volume": base, "Volume USD": base * close}
    )  # fmt: skip
    swapped = frame.index % 3 == 0
    frame.loc[swapped, ["volume", "Volume USD"]] = frame.loc[
        swapped, ["Volume USD", "volume"]
    ].to_numpy()
    (tmp_path / "candles").mkdir()
    frame.to_csv(tmp_path / "candles" / "BTC_USD_1h_2018-05_2021-04.csv", index=False)
    monkeypatch.setenv("BRAIN_RECORDED_DATA", str(tmp_path))
    np.testing.assert_allclose(later_hours().frame["volume"], base)
    data, notes = datasets()
    known = make_dataset(later_hours(), horizon=HORIZON)
    np.testing.assert_array_equal(data["2018-21"].features, known.features)
    assert (list(data), notes) == (["sample", "2018-21"], [])
    monkeypatch.delenv("BRAIN_RECORDED_DATA")
    assert list(datasets()[0]) == ["sample"]
