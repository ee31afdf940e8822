"""What every family promises, asked of each in the same words."""

from __future__ import annotations

import pickle
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from hypothesis import given, settings, strategies as st
from mlflow.models import Model
from scipy.stats import spearmanr

from brain.errors import (
    InputError,
    ModelIntegrityError,
    NotEnoughBarsError,
    TrainingError,
    UnknownFamilyError,
)
from brain.naming import Family
from engine.families import family
from engine.families.arrays import MIN_TARGETS
from engine.families.base import FittedModel, ModelFamily
from engine.kernels.columns import Floats

FEATURES = 6
NAMES = [f"feature_{i}" for i in range(FEATURES)]
#: Small enough for seconds; the defaults differ only in size.
HYPERPARAMETERS: dict[Family, dict[str, float]] = {
    Family.LIGHTGBM: {"rounds": 60, "min_rows": 20},
    Family.XGBOOST: {"rounds": 60, "min_rows": 20},
    Family.LSTM: {"window": 3, "hidden": 12, "batch": 64, "epochs": 6, "learning_rate": 0.02},
}
each_family = pytest.mark.parametrize("name", list(Family))


def planted(rows: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Rows with 5 % missing, and a target that the first two features drive; heavy-tailed noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, FEATURES))
    target = 1e-3 * (x[:, 0] - x[:, 1] + rng.standard_t(3, rows))
    x[rng.random(x.shape) < 0.05] = np.nan
    return x, target


def fit(
    name: Family, rows: Floats, target: Floats, seed: int = 7, **hyperparameters: float
) -> FittedModel:
    return family(name).fit(
        rows, target, hyperparameters=HYPERPARAMETERS[name] | hyperparameters, seed=seed
    )


@pytest.fixture(scope="module")
def fitted() -> Mapping[Family, FittedModel]:
    rows, target = planted(600)
    return {name: fit(name, rows, target) for name in Family}


def _numpy_state() -> str:
    # The legacy state is what libraries would disturb.
    return repr(np.random.get_state())  # noqa: NPY002


def rank_ic(prediction: Floats, target: Floats) -> float:
    valid = np.isfinite(prediction) & np.isfinite(target)
    return float(spearmanr(prediction[valid], target[valid]).statistic)


def test_an_unknown_family_is_refused_with_the_closest_name() -> None:
    with pytest.raises(UnknownFamilyError, match="did you mean 'lightgbm'"):
        family("lightgmb")


@each_family
def test_a_family_is_found_by_its_name(name: Family) -> None:
    assert isinstance(family(str(name)), ModelFamily)
    assert family(name).name is name


@each_family
def test_there_is_one_finite_prediction_per_row_once_the_look_back_is_full(
    name: Family, fitted: Mapping[Family, FittedModel]
) -> None:
    model = fitted[name]
    prediction = model.predict(planted(50, seed=1)[0])
    assert prediction.shape == (50,)
    assert prediction.dtype == np.float64
    assert np.isnan(prediction[: model.look_back - 1]).all()
    assert np.isfinite(prediction[model.look_back - 1 :]).all()


@each_family
@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_rows_give_as_many_predictions(
    name: Family, count: int, fitted: Mapping[Family, FittedModel]
) -> None:
    assert fitted[name].predict(planted(count)[0].reshape(count, FEATURES)).shape == (count,)


@given(seed=st.integers(0, 1000), end=st.integers(1, 59), missing=st.sampled_from([0.0, 0.3, 0.95]))
@settings(max_examples=15, deadline=None)
def test_a_prediction_does_not_depend_on_later_rows(
    fitted: Mapping[Family, FittedModel], seed: int, end: int, missing: float
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, FEATURES))
    rows[rng.random(rows.shape) < missing] = np.nan
    for model in fitted.values():
        whole, part = model.predict(rows)[:end], model.predict(rows[:end])
        np.testing.assert_allclose(part, whole, rtol=0, atol=1e-9)


@each_family
def test_a_prediction_depends_on_its_row_and_its_look_back_only(
    name: Family, fitted: Mapping[Family, FittedModel]
) -> None:
    model = fitted[name]
    rows = planted(40, seed=2)[0]
    window = rows[30 - model.look_back + 1 : 31]
    assert model.predict(window)[-1] == pytest.approx(model.predict(rows)[30], abs=1e-9)
    changed = rows.copy()
    changed[30, 0] = 3.0 if rows[30, 0] < 0 else -3.0
    assert model.predict(changed)[30] != model.predict(rows)[30]


@each_family
def test_the_same_seed_gives_the_same_model_and_another_seed_another(name: Family) -> None:
    rows, target = planted(300)
    first, again, other = (fit(name, rows, target, seed).predict(rows) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other, equal_nan=True)


@each_family
def test_nothing_given_is_changed_and_read_only_arrays_will_do(name: Family) -> None:
    rows, target = planted(200)
    rows.flags.writeable = target.flags.writeable = False
    hyperparameters = dict(HYPERPARAMETERS[name])
    family(name).fit(rows, target, hyperparameters=hyperparameters, seed=1).predict(rows)
    assert hyperparameters == HYPERPARAMETERS[name]


@each_family
def test_global_random_state_and_thread_count_stay_as_they_were(name: Family) -> None:
    rows, target = planted(200)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        before = random.getstate(), _numpy_state(), torch.get_rng_state()
        fit(name, rows, target).predict(rows)
        assert random.getstate() == before[0]
        assert _numpy_state() == before[1]
        assert torch.equal(torch.get_rng_state(), before[2])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@each_family
def test_a_frame_is_as_good_as_an_array(name: Family, fitted: Mapping[Family, FittedModel]) -> None:
    rows = planted(20)[0]
    frame = pd.DataFrame(rows, columns=NAMES)
    np.testing.assert_array_equal(fitted[name].predict(frame), fitted[name].predict(rows))


@each_family
def test_a_planted_signal_is_learnt(name: Family) -> None:
    rows, target = planted(3000)
    prediction = fit(name, rows[:2000], target[:2000]).predict(rows)[2000:]
    assert rank_ic(prediction, target[2000:]) > 0.4


@each_family
def test_predictions_are_in_the_targets_units(name: Family) -> None:
    rows, target = planted(2000)
    prediction = fit(name, rows, target + 5.0).predict(rows)[20:]
    signal = np.sqrt(2) * 1e-3
    assert np.median(prediction) == pytest.approx(5.0, abs=0.3 * signal)
    assert 0.5 * signal < np.std(prediction) < 1.5 * signal


@each_family
def test_nothing_is_learnt_from_shuffled_targets(name: Family) -> None:
    rows, target = planted(3000)
    shuffled = np.random.default_rng(3).permutation(target)
    prediction = fit(name, rows[:2000], shuffled[:2000]).predict(rows)[2000:]
    # Four standard errors of a rank correlation over 1000 independent rows.
    assert abs(rank_ic(prediction, shuffled[2000:])) < 4 / np.sqrt(1000)


@each_family
def test_wild_targets_do_not_drown_the_signal(name: Family) -> None:
    rows, target = planted(3000)
    wild = target.copy()
    wild[np.random.default_rng(4).choice(2000, 20, replace=False)] *= 1000
    prediction = fit(name, rows[:2000], wild[:2000]).predict(rows)[2000:]
    assert rank_ic(prediction, target[2000:]) > 0.35


@each_family
def test_rows_without_target_are_context_only(name: Family) -> None:
    rows, target = planted(600)
    held_out = np.arange(600) >= 400
    targets = np.where(held_out, np.nan, target)
    model = fit(name, rows, targets)
    other = rows.copy()
    other[held_out] *= 50
    np.testing.assert_array_equal(model.predict(rows), fit(name, other, targets).predict(rows))


@each_family
def test_the_context_before_the_first_target_is_looked_back_on(name: Family) -> None:
    rows, target = planted(MIN_TARGETS + 5)
    target[:5] = np.nan
    assert np.isfinite(fit(name, rows, target).predict(rows)[-1])


@each_family
def test_constant_and_never_known_features_are_no_obstacle(name: Family) -> None:
    rows, target = planted(2000)
    rows[:, 2], rows[:, 3], rows[:, 4] = 4.0, np.nan, 0.0
    rows[::100, 4] = 1.0
    model = fit(name, rows[:1500], target[:1500])
    prediction = model.predict(rows)[1500:]
    assert rank_ic(prediction, target[1500:]) > 0.4
    # What never was known in training, or never moved, says nothing when it does.
    surprised = rows.copy()
    surprised[:, 2:4] = 17.0
    np.testing.assert_array_equal(model.predict(surprised)[1500:], prediction)


@each_family
def test_only_constant_features_give_a_constant_prediction(name: Family) -> None:
    target = planted(200)[1]
    model = fit(name, np.ones((200, FEATURES)), target)
    prediction = model.predict(np.ones((10, FEATURES)))[model.look_back - 1 :]
    assert np.ptp(prediction) < 1e-9
    assert abs(prediction[0]) < np.std(target)


@each_family
def test_a_missing_feature_is_not_a_zero(name: Family) -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(2000, FEATURES))
    missing = rng.random(2000) < 0.3
    rows[missing, 0] = np.nan
    target = missing * 2.0 + rng.normal(size=2000)
    prediction = fit(name, rows, target).predict(rows)
    gap = np.nanmean(prediction[missing]) - np.nanmean(prediction[~missing])
    assert gap > 1.0


@each_family
@pytest.mark.parametrize(
    ("rows", "target", "message"),
    [
        (np.zeros(9), np.zeros(9), r"\(9,\); give \(rows, features\)"),
        (np.zeros((9, 0)), np.zeros(9), r"\(9, 0\)"),
        (np.zeros((9, 2)), np.zeros(8), "beside 9 rows; give one per row"),
        (np.zeros((9, 2)), np.zeros((9, 1)), "one per row"),
        (np.full((9, 2), "x"), np.zeros(9), "no number"),
        (np.array([[0.0, np.inf]] * 9), np.zeros(9), r"feature 1 is inf in row 0; give NaN"),
        (np.array([[0.0, -1e39]] * 9), np.zeros(9), r"feature 1 is -1e\+39 in row 0"),
        (
            pd.DataFrame({"calm": [0.0], "wild": [np.inf]}),
            np.zeros(1),
            r"feature 1 \(wild\) is inf",
        ),
        (np.zeros((2, 2)), np.array([0.0, -np.inf]), "target of row 1 is -inf; give NaN"),
    ],
)
def test_unusable_input_is_refused_with_its_place(
    name: Family, rows: Floats, target: Floats, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        family(name).fit(rows, target, hyperparameters={}, seed=1)


@each_family
def test_prediction_refuses_other_widths_and_infinities(
    name: Family, fitted: Mapping[Family, FittedModel]
) -> None:
    with pytest.raises(InputError, match="5 features, and the model was fitted on 6"):
        fitted[name].predict(np.zeros((3, 5)))
    with pytest.raises(InputError, match="feature 2 is inf in row 1"):
        fitted[name].predict(np.where(np.arange(18).reshape(3, 6) == 8, np.inf, 0.0))


@each_family
@pytest.mark.parametrize("count", [0, MIN_TARGETS - 1])
def test_too_few_targets_are_refused(name: Family, count: int) -> None:
    rows, target = planted(400)
    target[: 400 - count] = np.nan
    with pytest.raises(NotEnoughBarsError, match=f"{count} of 400 rows .* give a longer history"):
        fit(name, rows, target)


@each_family
def test_rows_that_hold_nothing_are_not_learnt_from(name: Family) -> None:
    target = planted(400)[1]
    with pytest.raises(NotEnoughBarsError, match="0 of 400"):
        fit(name, np.full((400, FEATURES), np.nan), target)


@each_family
def test_targets_that_do_not_vary_are_refused(name: Family) -> None:
    rows = planted(400)[0]
    with pytest.raises(TrainingError, match=r"all \d+ targets are 2\.5"):
        fit(name, rows, np.full(400, 2.5))


@each_family
@pytest.mark.parametrize(
    ("hyperparameters", "message"),
    [
        ({"learning_rat": 0.1}, "did you mean 'learning_rate'"),
        ({"learning_rate": float("nan")}, "learning_rate=nan is not valid"),
        ({"learning_rate": "fast"}, "learning_rate='fast' is not valid; give a number from"),
        ({"elbow": -1}, r"elbow=-1 is not valid; give a number from 0\.01"),
    ],
)
def test_wrong_hyperparameters_are_refused(
    name: Family, hyperparameters: dict[str, float], message: str
) -> None:
    rows, target = planted(100)
    with pytest.raises(InputError, match=message):
        family(name).fit(rows, target, hyperparameters=hyperparameters, seed=1)


@each_family
def test_whole_numbers_must_be_whole(name: Family) -> None:
    hyperparameter = "epochs" if name is Family.LSTM else "rounds"
    with pytest.raises(
        InputError, match=rf"{hyperparameter}=2\.5 is not valid; give a whole number from 1"
    ):
        family(name).fit(*planted(100), hyperparameters={hyperparameter: 2.5}, seed=1)


@each_family
@pytest.mark.parametrize("seed", [-1, 2**31])
def test_seeds_that_a_library_would_refuse_are_refused(name: Family, seed: int) -> None:
    with pytest.raises(InputError, match=f"seed={seed} is out of range"):
        fit(name, *planted(100), seed)


@each_family
def test_suggestions_are_complete_valid_and_include_the_defaults(name: Family) -> None:
    model = family(name)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.enqueue_trial(model.defaults())
    suggestions = [model.suggest(study.ask()) for _ in range(20)]
    assert suggestions[0] == model.defaults()
    for hyperparameters in suggestions:
        assert hyperparameters.keys() == model.space.keys()
        for hyperparameter, value in hyperparameters.items():
            assert model.space[hyperparameter].check(hyperparameter, value) == value
    searched = {
        hyperparameter
        for hyperparameter in model.space
        if len({p[hyperparameter] for p in suggestions}) > 1
    }
    assert 4 <= len(searched) <= 6


@each_family
def test_a_fitted_model_can_be_sent_to_another_process(
    name: Family, fitted: Mapping[Family, FittedModel]
) -> None:
    rows = planted(20)[0]
    copy = pickle.loads(pickle.dumps(fitted[name]))
    np.testing.assert_array_equal(copy.predict(rows), fitted[name].predict(rows))


@each_family
def test_what_was_saved_is_what_is_loaded(
    name: Family, fitted: Mapping[Family, FittedModel], tmp_path: Path
) -> None:
    rows = planted(50, seed=8)[0]
    fitted[name].save(tmp_path / "model", features=NAMES, model=Model())
    loaded = family(name).load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(rows), fitted[name].predict(rows))
    assert (loaded.family, loaded.look_back, loaded.width) == (
        name,
        fitted[name].look_back,
        FEATURES,
    )


@each_family
def test_a_folder_without_a_model_is_refused(name: Family, tmp_path: Path) -> None:
    with pytest.raises(ModelIntegrityError, match="is missing"):
        family(name).load(tmp_path)


@each_family
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (NAMES[:-1], "5 feature names for 6 features"),
        ([*NAMES[:-1], NAMES[0]], "'feature_0' comes twice"),
        ([*NAMES[:-1], "a b"], "'a b' is not a feature name"),
        ([*NAMES[:-1], "a[b]"], "is not a feature name"),
    ],
)
def test_names_that_a_library_would_refuse_are_refused(
    name: Family,
    names: list[str],
    message: str,
    fitted: Mapping[Family, FittedModel],
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=message):
        fitted[name].save(tmp_path / "model", features=names, model=Model())
    assert not (tmp_path / "model").exists()


@each_family
def test_a_folder_that_holds_something_is_not_written_to(
    name: Family, fitted: Mapping[Family, FittedModel], tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="is not an empty folder"):
        fitted[name].save(tmp_path, features=NAMES, model=Model())


def test_lightgbm_takes_missing_as_missing_where_training_always_knew_it() -> None:
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(600, 3))
    fitted = family(Family.LIGHTGBM).fit(
        rows,
        rows[:, 0] + 0.1 * rng.normal(size=600),
        hyperparameters={"rounds": 20, "min_rows": 20},
        seed=1,
    )
    nodes = fitted.booster.trees_to_dataframe()["missing_type"].dropna()  # type: ignore[attr-defined]
    assert set(nodes) == {"NaN"}  # "None" is read as 0
    unknown, zero = np.array([[np.nan, 0.0, 0.0]]), np.zeros((1, 3))
    assert fitted.predict(unknown) != fitted.predict(zero)
