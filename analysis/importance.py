"""How much each feature matters: by contributions, by shuffling, by correlation.

Every measure takes arrays and returns, for each of F features, an importance and its standard
error; a feature without an importance is NaN. :func:`analysis.importance.rank_features` makes a
ranking of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.explainers.base import Explainer
from analysis.results import FeatureImportance, FeatureNote, Method, NoteReason, Ranking
from analysis.sampling import Array, Rows, mean_and_error

__all__ = ["align", "by_contribution", "by_correlation", "by_shuffling", "rank_features"]

_REPEATS = 3


def align(
    rows: Array, names: Sequence[str], features: Sequence[str]
) -> tuple[Array, list[FeatureNote]]:
    """A model's columns in its order, and notes on the features that can't have an importance.

    Args:
        rows: (N, F) of the data.
        names: of the F columns.
        features: in the model's signature; those that the data lack become NaN.

    Returns:
        (N, features), and the notes.
    """
    columns = {name: column for column, name in enumerate(names)}
    aligned = np.full((len(rows), len(features)), np.nan)
    notes: list[FeatureNote] = []
    for column, name in enumerate(features):
        if name in columns:
            aligned[:, column] = rows[:, columns[name]]
        reason = _flaw(aligned[:, column]) if name in columns else NoteReason.ABSENT
        if reason:
            notes.append(FeatureNote(name, reason))
    notes += [FeatureNote(name, NoteReason.NEW) for name in names if name not in set(features)]
    return aligned, notes


def _flaw(column: Array) -> NoteReason | None:
    values = column[~np.isnan(column)]
    if values.size == 0:
        return NoteReason.UNKNOWN
    return NoteReason.CONSTANT if values.min() == values.max() else None


def by_contribution(values: Array) -> tuple[Array, Array]:
    """The mean absolute contribution over the rows (n, F)."""
    return mean_and_error(np.abs(values))


def by_shuffling(
    explainer: Explainer, target: Array, moments: Rows, features: Sequence[int], seed: int
) -> tuple[Array, Array]:
    """The drop of the rank correlation of prediction and target when a feature is shuffled.

    (Breiman 2001.) A feature's values, an LSTM's with their course over the look-back, are dealt
    out anew among the moments, three times.

    Args:
        explainer: of the model.
        target: (N,), without NaN at the moments.
        moments: whose predictions are compared.
        features: columns to shuffle; the others' importances are NaN.
        seed: of the shuffling.
    """
    width = explainer.rows.shape[1]
    outcome = _scores(target[moments])
    before = _scores(explainer.prediction[moments])
    rng = np.random.default_rng(seed)
    donors = np.concatenate([rng.permutation(moments) for _ in range(_REPEATS)])
    repeated = np.tile(moments, _REPEATS)
    # The mean of products of standardised ranks is Spearman's correlation, so each row has its part
    # of the drop, and the drop has a standard error.
    drops = np.full((len(moments), width), np.nan)
    for feature in features:
        after = explainer.shuffled(repeated, donors, feature).reshape(_REPEATS, -1)
        losses = [(before - _scores(values)) * outcome for values in after]
        drops[:, feature] = np.mean(losses, axis=0)
    return mean_and_error(drops)


def by_correlation(rows: Array, target: Array, features: Sequence[int]) -> tuple[Array, Array]:
    """The absolute Spearman correlation of each feature with the target, where neither is NaN.

    Args:
        rows: (N, F), NaN missing.
        target: (N,), NaN unknown.
        features: columns to correlate; the others' importances are NaN.
    """
    importance, error = np.full((2, rows.shape[1]), np.nan)
    for feature in features:
        valid = ~np.isnan(target) & ~np.isnan(rows[:, feature])
        if valid.sum() < 3:
            continue
        products = _scores(rows[valid, feature]) * _scores(target[valid])
        means, errors = mean_and_error(products[:, None])
        importance[feature], error[feature] = abs(means[0]), errors[0]
    return importance, error


def _scores(values: Array) -> Array:
    """Ranks with mean 0 and standard deviation 1; all 0 where the values are equal."""
    from scipy.stats import rankdata

    ranks = rankdata(values) - (len(values) + 1) / 2
    scale = ranks.std()
    return np.asarray(ranks / scale) if scale > 0 else ranks


def rank_features(
    method: Method,
    names: Sequence[str],
    importances: tuple[Array, Array],
    *,
    rows: int,
    unseen: int,
    skip: NDArray[np.bool_],
) -> Ranking:
    """The ranking of the features that have an importance.

    Args:
        method: that measured the importances.
        names: of the F features.
        importances: with their errors, each (F,), NaN unknown.
        rows, unseen: how many rows they were measured on, and how many of these are later than the
            model's training.
        skip: (F,) the features that are left out whatever their importances.
    """
    from scipy.stats import rankdata

    importance, error = importances
    columns = np.flatnonzero(~skip & ~np.isnan(importance))
    positive = np.maximum(importance[columns], 0.0)
    total = positive.sum()
    share = positive / total if total > 0 else np.full(len(columns), np.nan)
    rank = rankdata(-importance[columns], method="min").astype(int)
    features = [
        FeatureImportance(names[int(c)], float(importance[c]), float(s), int(r), float(error[c]))
        for c, s, r in zip(columns, share, rank, strict=True)
    ]
    features.sort(key=lambda feature: feature.rank)
    return Ranking(method, rows, unseen, tuple(features))
