"""Importances: what was planted comes first, and what can't have one has none."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.explainers import explainer
from analysis.importance import align, by_correlation, by_shuffling, rank_features
from analysis.results import FeatureNote, Method, NoteReason, Ranking
from analysis.sampling import mean_and_error, spread, stratified
from brain.naming import Family
from engine.kernels.features import FEATURES
from tests.analysis.models import CAUSE, dataset, fitted


def rank(
    names: list[str], importance: list[float], skip: list[bool] | None = None
) -> dict[str, tuple[float, int]]:
    values = np.array(importance)
    ranking = rank_features(
        Method.SHAP,
        names,
        (values, np.full(len(values), 0.1)),
        rows=10,
        unseen=0,
        skip=np.array(skip or [False] * len(values)),
    )
    return {f.feature: (f.share, f.rank) for f in ranking.features}


def test_shares_are_of_all_positive_importances_and_equals_share_a_rank() -> None:
    ranks = rank(["a", "b", "c", "d"], [1.0, 3.0, 1.0, -2.0])
    assert ranks == {"b": (0.6, 1), "a": (0.2, 2), "c": (0.2, 2), "d": (0.0, 4)}


def test_without_any_positive_importance_shares_are_unknown() -> None:
    assert np.isnan([share for share, _ in rank(["a", "b"], [-1.0, 0.0]).values()]).all()


def test_what_is_unknown_or_left_out_is_missing_and_not_zero() -> None:
    ranks = rank(["a", "b", "c"], [1.0, np.nan, 5.0], skip=[False, False, True])
    assert ranks == {"a": (1.0, 1)}


def test_the_columns_that_a_model_wants_come_in_its_order_and_flaws_are_named() -> None:
    rows = np.array([[1.0, 5.0, np.nan, 7.0], [2.0, 5.0, np.nan, 8.0]])
    aligned, notes = align(rows, ["x", "flat", "empty", "late"], ["empty", "gone", "flat", "x"])
    assert np.isnan(aligned[:, :2]).all()
    assert aligned[:, 2:].tolist() == [[5.0, 1.0], [5.0, 2.0]]
    assert set(notes) == {
        FeatureNote("empty", NoteReason.UNKNOWN),
        FeatureNote("gone", NoteReason.ABSENT),
        FeatureNote("flat", NoteReason.CONSTANT),
        FeatureNote("late", NoteReason.NEW),
    }
    assert str(notes[0]) == "empty: not known in any row of the data"


@pytest.mark.parametrize("name", list(Family))
def test_shuffling_the_cause_costs_most_and_by_more_than_its_error(name: Family) -> None:
    model = explainer(fitted(name), dataset().features)
    moments = model.moments[~np.isnan(dataset().target[model.moments])][-500:]
    cause = FEATURES.index(CAUSE)
    features = [cause, cause + 1, cause - 1]
    drop, error = by_shuffling(model, dataset().target, moments, features, seed=1)
    assert drop[cause] > 0.3
    assert drop[cause] - 2 * error[cause] > np.delete(drop[features], 0).max()
    assert np.isnan(np.delete(drop, features)).all()


def test_shuffling_is_the_drop_of_spearmans_correlation() -> None:
    from scipy.stats import spearmanr

    model = explainer(fitted(Family.LIGHTGBM), dataset().features)
    moments = model.moments[~np.isnan(dataset().target[model.moments])][-300:]
    target, cause = dataset().target[moments], FEATURES.index(CAUSE)
    drop, _ = by_shuffling(model, dataset().target, moments, [cause], seed=1)
    rng = np.random.default_rng(1)
    after = [
        spearmanr(model.shuffled(moments, rng.permutation(moments), cause), target).statistic
        for _ in range(3)
    ]
    before = spearmanr(model.prediction[moments], target).statistic
    assert drop[cause] == pytest.approx(before - np.mean(after))


def test_correlation_is_spearmans_where_both_are_known() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    rows, target = rng.normal(size=(400, 3)), rng.normal(size=400)
    rows[:, 0] -= target
    rows[:50, 0] = target[-30:] = np.nan
    importance, error = by_correlation(rows, target, [0, 1])
    expected = spearmanr(rows[50:-30, 0], target[50:-30]).statistic
    assert expected < 0
    assert importance[0] == pytest.approx(-expected)
    assert 0.01 < error[0] < 0.1
    assert np.isnan(importance[2])


def test_the_error_knows_that_neighbours_depend_on_each_other() -> None:
    rng = np.random.default_rng(0)
    shocks = rng.normal(size=(4000, 40))
    slow = np.empty_like(shocks)
    slow[0] = shocks[0]
    for t in range(1, len(shocks)):
        slow[t] = 0.9 * slow[t - 1] + shocks[t]
    for values, spread_of_means in ((shocks, 1 / np.sqrt(4000)), (slow, 10 / np.sqrt(4000))):
        means, errors = mean_and_error(values)
        assert np.median(errors) == pytest.approx(spread_of_means, rel=0.25)
        assert np.std(means) == pytest.approx(spread_of_means, rel=0.35)


def test_few_rows_have_an_unknown_error() -> None:
    mean, error = mean_and_error(np.ones((99, 1)))
    assert mean.tolist() == [1.0]
    assert np.isnan(error).all()


def test_samples_are_one_of_each_stretch_of_time_and_repeatable() -> None:
    rows = np.arange(1000, 2000)
    sample = stratified(rows, 100, seed=1)
    assert ((sample - 1000) // 10).tolist() == list(range(100))
    assert (sample == stratified(rows, 100, seed=1)).all()
    assert (sample != stratified(rows, 100, seed=2)).any()
    assert stratified(rows[:5], 100, seed=1).tolist() == rows[:5].tolist()
    assert spread(rows, 3).tolist() == [1000, 1500, 1999]
    assert spread(rows[:2], 3).tolist() == [1000, 1001]


def test_a_ranking_is_frozen() -> None:
    with pytest.raises(AttributeError, match="rows"):
        Ranking(Method.SHAP, 1, 0, ()).rows = 2  # type: ignore[misc]
