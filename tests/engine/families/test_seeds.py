"""A model of several seeds predicts the mean of its members, and is a native model all the same."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from mlflow.models import Model

from brain.errors import InputError
from brain.naming import Family
from engine.evaluation.walk_forward import Fold, out_of_sample
from engine.families import family
from engine.families.base import FittedModel
from engine.families.boosted import FittedLightGbm, FittedXgBoost
from engine.families.seeds import SEEDS, member_seeds
from engine.kernels.columns import Floats
from tests.engine.families.test_families import HYPERPARAMETERS, NAMES, planted

SEED = 7
COUNTS = (2, 3, 5)
# Values lie around 1e-3; single precision has 7 digits, and a few hundred trees lose one.
ROUNDING = {Family.LIGHTGBM: 1e-15, Family.XGBOOST: 2e-9, Family.LSTM: 1e-9}
# Of models of one seed, before there were several.
BEFORE = {
    Family.XGBOOST: [0.0003638174384832382, -0.0008369724964722991, 0.0012762146070599556],
    Family.LIGHTGBM: [0.00042023438989091845, -0.0007117833696259712, 0.001089942826934685],
    Family.LSTM: [0.0008531081122846786, 0.0003297973933935668, 0.001462988561354918],
}

each_family = pytest.mark.parametrize("name", list(Family))
each_count = pytest.mark.parametrize("count", COUNTS)


@cache
def model(name: Family, seeds: int, seed: int = SEED) -> FittedModel:
    """A model that the tests leave as it is."""
    rows, target = planted(300)
    return family(name).fit(
        rows, target, hyperparameters=HYPERPARAMETERS[name], seed=seed, seeds=seeds
    )


def members(name: Family, count: int) -> list[FittedModel]:
    return [model(name, 1, seed) for seed in member_seeds(SEED, count)]


def mean(name: Family, count: int, rows: Floats) -> Floats:
    return np.asarray(np.mean([one.predict(rows) for one in members(name, count)], axis=0))


def test_members_have_seeds_of_their_own_and_more_begin_with_the_same() -> None:
    assert member_seeds(SEED, 1) == [SEED]
    assert member_seeds(SEED, 3) == [SEED, 2083679832 >> 1, 3939563265 >> 1]
    many = member_seeds(SEED, 50)
    assert many[:3] == member_seeds(SEED, 3)
    assert len({*many, *member_seeds(SEED + 1, 50)}) == 100
    assert max(many) < 2**31


@pytest.mark.parametrize("count", [0, -1])
def test_a_model_without_a_member_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=f"seeds={count} is no number of fits; give 1 or more"):
        model(Family.LIGHTGBM, count)


@each_family
def test_one_seed_gives_the_model_that_it_always_gave(name: Family) -> None:
    prediction = model(name, 1).predict(planted(300)[0])
    assert prediction[[10, 100, 299]] == pytest.approx(BEFORE[name], rel=1e-3)
    assert name in SEEDS


@each_family
@each_count
@pytest.mark.parametrize("rows", [0, 1, 500])
@pytest.mark.parametrize("missing", [0.0, 0.3, 1.0])
def test_a_model_predicts_the_mean_of_its_members(
    name: Family, count: int, rows: int, missing: float
) -> None:
    inputs = planted(rows, seed=1)[0]
    inputs[np.random.default_rng(2).random(inputs.shape) < missing] = np.nan
    prediction, expected = model(name, count).predict(inputs), mean(name, count, inputs)
    assert prediction.shape == (rows,)
    np.testing.assert_allclose(prediction, expected, rtol=0, atol=ROUNDING[name])
    if rows == 500 and missing < 1:  # the members differ by more than the rounding
        alone = model(name, 1).predict(inputs)
        assert np.nanmax(np.abs(prediction - alone)) > 1e4 * ROUNDING[name]


@pytest.mark.parametrize("name", [Family.LIGHTGBM, Family.XGBOOST])
def test_the_level_of_the_target_is_counted_once(name: Family) -> None:
    rows, target = planted(300)
    fitted = [
        family(name).fit(
            rows, 250 + 1000 * target, hyperparameters={"rounds": 5}, seed=SEED, seeds=seeds
        )
        for seeds in (1, 3)
    ]
    levels = [one.predict(rows).mean() for one in fitted]
    assert levels == pytest.approx([250, 250], abs=1)


@pytest.mark.parametrize("name", [Family.LIGHTGBM, Family.XGBOOST])
def test_trees_without_a_branch_have_their_share_too(name: Family) -> None:
    rows, target = planted(300)
    stumps = {"rounds": 4, "min_rows": 10_000}
    one, three = (
        family(name).fit(rows, target, hyperparameters=stumps, seed=SEED, seeds=seeds)
        for seeds in (1, 3)
    )
    assert np.ptp(three.predict(rows)) == 0
    # LightGBM starts from the mean of all rows and XGBoost corrects its start by each subsample.
    assert three.predict(rows)[0] == pytest.approx(one.predict(rows)[0], abs=1e-4)


@each_count
def test_boosters_hold_every_tree_of_their_members(count: int) -> None:
    light, extreme = model(Family.LIGHTGBM, count), model(Family.XGBOOST, count)
    assert isinstance(light, FittedLightGbm)
    assert isinstance(extreme, FittedXgBoost)
    assert light.booster.num_trees() == extreme.booster.num_boosted_rounds() == 60 * count
    parts = members(Family.LIGHTGBM, count)
    gains = sum(one.booster.feature_importance("gain") for one in parts)  # type: ignore[attr-defined]
    np.testing.assert_allclose(light.booster.feature_importance("gain"), gains, rtol=1e-4)


@each_count
def test_lightgbms_branches_hold_the_mean_of_their_leaves(count: int) -> None:
    """The values within a tree, which no prediction shows, have their share as well."""
    light = model(Family.LIGHTGBM, count)
    assert isinstance(light, FittedLightGbm)
    trees = light.booster.trees_to_dataframe()
    first = members(Family.LIGHTGBM, 1)[0].booster.trees_to_dataframe()  # type: ignore[attr-defined]
    np.testing.assert_allclose(
        trees["value"][: len(first)], first["value"] / count, rtol=1e-5, atol=1e-12
    )


@each_family
@each_count
def test_what_was_saved_is_what_is_loaded(name: Family, count: int, tmp_path: Path) -> None:
    rows = planted(50, seed=8)[0]
    fitted = model(name, count)
    fitted.save(tmp_path / "model", features=NAMES, model=Model())
    loaded = family(name).load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(rows), fitted.predict(rows))
    assert (loaded.look_back, loaded.width) == (fitted.look_back, fitted.width)


@each_count
def test_both_graphs_of_an_lstm_predict_the_mean(count: int, tmp_path: Path) -> None:
    fitted = model(Family.LSTM, count)
    fitted.save(tmp_path / "model", features=NAMES, model=Model())
    rows = planted(40, seed=3)[0]
    expected = mean(Family.LSTM, count, rows)
    graphs = [
        onnxruntime.InferenceSession(tmp_path / "model" / file, providers=["CPUExecutionProvider"])
        for file in ("model.onnx", "window.onnx")
    ]
    (values,) = graphs[0].run(["prediction"], {"rows": rows})
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-8)
    (value,) = graphs[1].run(["prediction"], {"rows": rows[10 : 10 + fitted.look_back]})
    assert value.item() == pytest.approx(expected[10 + fitted.look_back - 1], abs=1e-8)


@each_family
def test_a_walk_forward_fits_as_many_seeds_as_it_is_asked_for(name: Family) -> None:
    rows, target = planted(300)
    folds = (Fold(200, 210, 260), Fold(250, 260, 300))

    def walk(seed: int, seeds: int = 1) -> Floats:
        return out_of_sample(
            family(name),
            rows,
            target,
            folds,
            hyperparameters=HYPERPARAMETERS[name],
            seed=seed,
            seeds=seeds,
        )

    parts = [walk(seed) for seed in member_seeds(SEED, 2)]
    np.testing.assert_allclose(
        walk(SEED, seeds=2), np.mean(parts, axis=0), rtol=0, atol=ROUNDING[name]
    )
