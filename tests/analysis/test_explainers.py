"""Contributions add up to predictions, in every family, on missing values too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from analysis.explainers import explainer
from analysis.explainers.base import Explainer
from analysis.explainers.lstm import expected_gradients
from analysis.sampling import spread, stratified
from brain.errors import AnalysisError
from brain.naming import Family
from engine.families import family
from engine.families.seeds import member_seeds
from engine.kernels.features import FEATURES
from tests.analysis.models import CAUSE, dataset, fitted

each_family = pytest.mark.parametrize("name", list(Family))


def explainer_of(name: Family) -> Explainer:
    return explainer(fitted(name), dataset().features)


@each_family
def test_contributions_and_base_add_up_to_the_predictions(name: Family) -> None:
    model = explainer_of(name)
    moments = stratified(model.moments, 150, seed=3)
    contributions = model.contributions(moments, spread(model.moments, 20))
    tolerance, unit = model.tolerance(moments)
    prediction = fitted(name).predict(dataset().features)[moments]
    assert contributions.values.shape == (len(moments), len(FEATURES))
    assert contributions.error(model.exact(moments)) / unit <= tolerance
    assert model.exact(moments) == pytest.approx(prediction, abs=1e-5)
    if name is not Family.LSTM:
        assert contributions.error(model.exact(moments)) <= 3e-7
    assert tolerance == (pytest.approx(0.01) if name is Family.LSTM else pytest.approx(1e-6, 1))
    assert unit == (pytest.approx(prediction.std()) if name is Family.LSTM else 1.0)


@each_family
def test_they_add_up_where_the_target_is_in_other_units(name: Family) -> None:
    data = dataset()
    rows, target = data.features[:400], 250.0 + 1000.0 * data.target[:400]
    params = {"epochs": 2, "window": 3} if name is Family.LSTM else {"rounds": 20, "min_rows": 10}
    model = explainer(family(name).fit(rows, target, hyperparameters=params, seed=1), rows)
    moments = model.moments[::4]
    contributions = model.contributions(moments, spread(model.moments, 20))
    tolerance, unit = model.tolerance(moments)
    assert contributions.error(model.exact(moments)) / unit <= tolerance
    assert abs(contributions.base.mean() - 250) < 500  # neither scaled units nor 0


@each_family
def test_the_contributions_to_a_mean_are_the_mean_of_those_to_its_members(name: Family) -> None:
    data = dataset()
    rows, params = data.features[:600], {"rounds": 30, "min_rows": 20}
    params = {"epochs": 2, "window": 3} if name is Family.LSTM else params
    models = [
        explainer(
            family(name).fit(rows, data.target[:600], hyperparameters=params, seed=s, seeds=count),
            rows,
        )
        for s, count in [(1, 3), *((member, 1) for member in member_seeds(1, 3))]
    ]
    whole = models[0]
    moments, references = whole.moments[::5], spread(whole.moments, 20)
    both, *parts = (model.contributions(moments, references) for model in models)
    tolerance, unit = whole.tolerance(moments)
    assert both.error(whole.exact(moments)) / unit <= tolerance
    allowed = tolerance * unit if name is Family.LSTM else 3e-7
    assert both.error(whole.exact(moments)) <= allowed
    for of in ("values", "base"):
        mean = np.mean([getattr(part, of) for part in parts], axis=0)
        assert np.abs(getattr(both, of) - mean).max() <= allowed


@pytest.mark.parametrize("name", [Family.LIGHTGBM, Family.XGBOOST])
def test_trees_are_explained_as_shap_explains_them(name: Family) -> None:
    import shap

    model = explainer_of(name)
    moments = model.moments[:50]
    contributions = model.contributions(moments, moments)
    reference = shap.TreeExplainer(model.fitted.booster)  # type: ignore[attr-defined]
    assert (
        np.abs(contributions.values - reference.shap_values(dataset().features[moments])).max()
        < 1e-6
    )


@each_family
def test_a_shuffled_feature_changes_what_the_model_would_say_of_those_rows(name: Family) -> None:
    model = explainer_of(name)
    moments, feature = model.moments[-60:], FEATURES.index(CAUSE)
    assert np.allclose(model.shuffled(moments, moments, feature), model.prediction[moments])
    donors = moments[::-1]
    rows = dataset().features
    expected = []
    for moment, donor in zip(moments, donors, strict=True):
        past = np.arange(1 - model.fitted.look_back, 1)
        window = rows[moment + past].copy()
        window[:, feature] = rows[donor + past, feature]
        expected.append(model.fitted.predict(window)[-1])
    assert np.allclose(model.shuffled(moments, donors, feature), expected, atol=1e-6)


@each_family
def test_rows_without_any_input_are_not_explained(name: Family) -> None:
    rows = dataset().features[:200].copy()
    rows[50:90] = np.nan
    back = fitted(name).look_back
    model = explainer(fitted(name), rows)
    assert set(model.moments) == {*range(back - 1, 50 + back - 1), *range(90, 200)}


def test_a_model_that_says_the_same_everywhere_is_refused_with_what_it_says() -> None:
    data = dataset()
    flat = family("lightgbm").fit(
        data.features, data.target, hyperparameters={"min_rows": 10_000, "rounds": 1}, seed=1
    )
    with pytest.raises(AnalysisError, match=r"predicts -?0\.\d+ at all of 1500 moments"):
        explainer(flat, data.features)


def linear(inputs: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor([[1.0, -2.0, 0.0], [0.5, 3.0, 0.0]])
    return (inputs * weights).sum(dim=(1, 2))


def test_a_linear_models_gradients_are_its_weights_times_the_distance() -> None:
    torch.manual_seed(0)
    inputs, references = torch.randn(7, 2, 3), torch.randn(5, 2, 3)
    gradients = expected_gradients(linear, inputs, references, aim=1e-4)
    weights = torch.tensor([[1.0, -2.0, 0.0], [0.5, 3.0, 0.0]])
    expected = ((inputs - references.mean(dim=0)) * weights).sum(dim=1)
    assert torch.allclose(gradients, expected.double(), atol=1e-5)
    assert bool((gradients[:, 2] == 0).all())


def test_a_sharp_bend_is_walked_again_until_it_adds_up() -> None:
    def step(inputs: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(12 * inputs.sum(dim=(1, 2)))

    torch.manual_seed(0)
    inputs, references = torch.randn(20, 2, 3), torch.randn(5, 2, 3)
    expected = step(inputs) - step(references).mean()
    rough = expected_gradients(step, inputs, references, aim=100.0).sum(dim=1)
    fine = expected_gradients(step, inputs, references, aim=1e-3).sum(dim=1)
    assert float((rough - expected).abs().max()) > 0.1
    assert float((fine - expected).abs().max()) <= 1e-3


def test_a_missing_value_counts_as_its_feature() -> None:
    model = explainer_of(Family.LSTM)
    rows = dataset().features
    feature = int(np.flatnonzero(np.isnan(rows[model.moments[5:9]]).any(axis=0))[0])
    prepared = model._prepared  # type: ignore[attr-defined]
    masks = prepared[:, len(FEATURES) :]
    assert bool((masks[:, feature].numpy() == np.isnan(rows[:, feature])).all())
    moments = stratified(model.moments, 100, seed=1)
    both = model.contributions(moments, spread(model.moments, 20))
    network = model.fitted.network  # type: ignore[attr-defined]
    raw = expected_gradients(
        network.score,
        model._windows(moments),  # type: ignore[attr-defined]
        model._windows(spread(model.moments, 20)),  # type: ignore[attr-defined]
        aim=1.0,
    ).numpy() * float(network.target_scale)
    of_mask = raw[:, len(FEATURES) + feature]
    assert np.abs(of_mask).max() > 0
    assert np.allclose(both.values[:, feature], raw[:, feature] + of_mask, atol=1e-3)


def test_paths_that_are_all_a_little_off_are_integrated_again() -> None:
    # Five midpoints of 3x² leave a hundredth on every path from 0 to 1.
    inputs, references = torch.ones(4, 1, 1), torch.zeros(3, 1, 1)
    for aim in (0.02, 0.007, 0.001):
        contributions = expected_gradients(
            lambda x: x.sum(dim=(1, 2)) ** 3, inputs, references, aim=aim
        )
        assert float((contributions.sum(dim=1) - 1.0).abs().max()) <= aim
