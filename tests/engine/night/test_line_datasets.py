"""The rows of a symbol as lines of other features or another target see them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from brain.errors import InputError
from brain.naming import Family, Fill
from engine.data.dataset import Dataset, make_dataset
from engine.kernels.features import FEATURES
from engine.night.line_datasets import LineDatasets
from tests.engine.simulate import simulate

if TYPE_CHECKING:
    from brain.series.bars import Bars


@pytest.fixture(scope="module")
def bars() -> Bars:
    """Bars with two own columns."""
    bars = simulate(900, strength=0.3, seed=2, timeframe="1d").bars
    noise = np.random.default_rng(1).normal(size=(2, len(bars.frame)))
    return replace(bars, frame=bars.frame.assign(mood=noise[0], vix=noise[1]))


def make(bars: Bars, own: Sequence[str], fill: Fill = Fill.OPEN) -> Dataset:
    return make_dataset(bars.with_own(own), horizon=6, fill=fill)


def lines_of(bars: Bars, *own: str) -> LineDatasets:
    """Of a night whose settings name these columns."""
    return LineDatasets(make(bars, own), lambda names, fill: make(bars, names, fill))


def same(one: Dataset, other: Dataset) -> None:
    """Whether two datasets train the same model, of the same name."""
    assert (one.names, one.feature_set) == (other.names, other.feature_set)
    assert (one.target_name, one.fill) == (other.target_name, other.fill)
    for name in ("features", "target", "forward_return", "fill_price", "regimes"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("tonight", [(), ("mood",), ("mood", "vix"), ("vix",)])
@pytest.mark.parametrize("own", [(), ("mood",), ("mood", "vix")])
@pytest.mark.parametrize("fill", [Fill.OPEN, Fill.CLOSE])
def test_a_line_has_the_dataset_that_settings_of_its_own_would_make(
    bars: Bars, tonight: tuple[str, ...], own: tuple[str, ...], fill: Fill
) -> None:
    expected = make(bars, own, fill)
    line = expected.line(Family.LIGHTGBM)
    others = lines_of(bars, *tonight).others([line])
    if (own, fill) == (tonight, Fill.OPEN):
        assert others == {}
    else:
        same(others[line], expected)


def test_it_is_judged_by_tonights_fills(bars: Bars) -> None:
    line = make(bars, ("mood",), Fill.CLOSE).line(Family.XGBOOST)
    same(lines_of(bars, "vix").filled_tonight(line), make(bars, ("mood",)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feature_set": "bars-1+own(gold)"}, "no column 'gold'"),
        ({"feature_set": "bars-1+market-1"}, "which the feature set 'bars-1+market-1' has"),
        ({"feature_set": "bars-0"}, "no kernel computes 'bars-0'"),
        ({"target": "direction"}, "its target 'direction' is not computed any more"),
    ],
)
def test_a_line_that_the_data_have_no_features_for_is_left_out_and_told(
    bars: Bars, caplog: pytest.LogCaptureFixture, change: dict[str, Any], message: str
) -> None:
    caplog.set_level(logging.WARNING, "engine")
    own = make(bars, ("mood",)).line(Family.LSTM)
    lines = [replace(own, **change), own]
    assert list(lines_of(bars).others(lines)) == [own]
    assert f"line {lines[0].id} can't be fitted and judged tonight" in caplog.text
    assert message in caplog.text


def test_a_dataset_has_no_features_that_it_was_not_made_with(bars: Bars) -> None:
    dataset = make(bars, ("mood",))
    assert dataset.of_features(dataset.feature_set) is dataset
    assert dataset.of_features("bars-1").names == FEATURES
    with pytest.raises(InputError, match="'vix'"):
        dataset.of_features("bars-1+own(mood,vix)")
