"""Slopes: right where there is one, shrunk by their error, and a regime's own only where told."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from brain.naming import Regime
from engine.evaluation.calibration import Slopes, slopes

ROWS = 6000


def fit(slope: float | NDArray[np.float64], seed: int = 0, rows: int = ROWS) -> Slopes:
    draw = np.random.default_rng(seed)
    prediction = 0.2 * draw.standard_normal(rows)
    regimes = draw.integers(0, 4, rows // 20 + 1).repeat(20)[:rows].astype(np.int8)
    line = slope if isinstance(slope, float) else slope[regimes]
    target = line * prediction + draw.standard_normal(rows)
    prediction[::7] = np.nan
    target[::11] = np.nan
    return slopes(prediction, target, regimes, horizon=1)


def test_a_planted_slope_is_found() -> None:
    fitted = fit(0.8)
    assert fitted.common == pytest.approx(0.8, abs=0.2)
    assert fitted.regimes == {} or all(abs(v - 0.8) < 0.5 for v in fitted.regimes.values())


def test_noise_is_mostly_shrunk_away() -> None:
    fitted = [fit(0.0, seed).common for seed in range(40)]
    assert min(fitted) == 0.0
    assert sum(value == 0.0 for value in fitted) >= 28  # a normal value lies below 1 in 84 %
    assert np.mean(fitted) < 0.03


def test_what_was_wrong_is_not_traded_the_other_way_round() -> None:
    assert fit(-0.8).common == 0.0


def test_a_regime_has_its_own_slope_where_it_is_told_from_the_others() -> None:
    fitted = fit(np.array([0.0, 0.3, 0.3, 2.0]), seed=1, rows=20_000)
    assert fitted.regimes[Regime.EXTREME] == pytest.approx(2.0, abs=0.3)
    assert fitted.regimes[Regime.LOW] == pytest.approx(0.0, abs=0.2)


def test_too_few_rows_are_unknown() -> None:
    fitted = fit(0.8, rows=60)
    assert np.isnan(fitted.common)
    assert fitted.regimes == {}
    assert np.isnan(fit(0.0, rows=0).common)
