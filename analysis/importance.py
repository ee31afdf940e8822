"""How much each feature matters: by contributions, by shuffling, by correlation.

Every function takes arrays and returns, for each of F features, an importance and its standard
error; a feature without an importance is NaN. :func:`ranked` makes a ranking of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from analysis.explainers.base import Explainer
from analysis.results import FeatureImportance, FeatureNote, Method, NoteKind, Ranking
from analysis.sampling import Array, Rows, mean_and_error

__all__ = ["align", "by_contribution", "by_correlation", "by_shuffling", "ranked"]

_REPEATS = 3


def align(
    rows: Array, names: Sequence[str], wanted: Sequence[str]
) -> tuple[Array, list[FeatureNote]]:
    """The columns that a model wants, in its order, and notes on what can't have an importance.

    Args:
        rows: (N, F) whose columns are called ``names``.
        wanted: the features in the model's signature; those that the data lack become NaN.
    """
    place = {name: column for column, name in enumerate(names)}
    aligned = np.full((len(rows), len(wanted)), np.nan)
    notes: list[FeatureNote] = []
    for column, name in enumerate(wanted):
        if name in place:
            aligned[:, column] = rows[:, place[name]]
        kind = _flaw(aligned[:, column]) if name in place else NoteKind.ABSENT
        if kind:
            notes.append(FeatureNote(name, kind))
    notes += [FeatureNote(name, NoteKind.NEW) for name in names if name not in set(wanted)]
    return aligned, notes


def _flaw(values: Array) -> NoteKind | None:
    known = values[~np.isnan(values)]
    if known.size == 0:
        return NoteKind.UNKNOWN
    return NoteKind.CONSTANT if known.min() == known.max() else None


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
        target: (N,), known at all the moments.
        features: those to shuffle; the others are NaN in the result.
    """
    width = explainer.rows.shape[1]
    outcome = _scores(target[moments])
    before = _scores(explainer.prediction[moments])
    rng = np.random.default_rng(seed)
    donors = np.concatenate([rng.permutation(moments) for _ in range(_REPEATS)])
    repeated = np.tile(moments, _REPEATS)
    # The mean of products of standardised ranks is Spearman's correlation, and each row's part of
    # the drop is known, so that its error is.
    drops = np.full((len(moments), width), np.nan)
    for feature in features:
        after = explainer.shuffled(repeated, donors, feature).reshape(_REPEATS, -1)
        lost = [(before - _scores(values)) * outcome for values in after]
        drops[:, feature] = np.mean(lost, axis=0)
    return mean_and_error(drops)


def by_correlation(rows: Array, target: Array, features: Sequence[int]) -> tuple[Array, Array]:
    """The absolute Spearman correlation of each feature with the target, where both are known.

    Args:
        rows: (N, F), NaN missing.
        target: (N,), NaN unknown.
        features: those to correlate; the others are NaN in the result.
    """
    importance, error = np.full((2, rows.shape[1]), np.nan)
    labelled = ~np.isnan(target)
    for feature in features:
        both = labelled & ~np.isnan(rows[:, feature])
        if both.sum() < 3:
            continue
        products = _scores(rows[both, feature]) * _scores(target[both])
        mean, its_error = mean_and_error(products[:, None])
        importance[feature], error[feature] = abs(mean[0]), its_error[0]
    return importance, error


def _scores(values: Array) -> Array:
    """Ranks with mean 0 and standard deviation 1; all 0 where the values are equal."""
    ranks = rankdata(values) - (len(values) + 1) / 2
    scale = ranks.std()
    return np.asarray(ranks / scale) if scale > 0 else ranks


def ranked(
    method: Method,
    names: Sequence[str],
    found: tuple[Array, Array],
    *,
    rows: int,
    unseen: int,
    skip: NDArray[np.bool_],
) -> Ranking:
    """The ranking of the features that have an importance.

    Args:
        found: importances and errors (F,), NaN unknown.
        skip: (F,) the features that have none, whatever was found.
    """
    importance, error = found
    kept = np.flatnonzero(~skip & ~np.isnan(importance))
    positive = np.maximum(importance[kept], 0.0)
    total = positive.sum()
    share = positive / total if total > 0 else np.full(len(kept), np.nan)
    rank = rankdata(-importance[kept], method="min").astype(int)
    features = [
        FeatureImportance(names[int(k)], float(importance[k]), float(s), int(r), float(error[k]))
        for k, s, r in zip(kept, share, rank, strict=True)
    ]
    features.sort(key=lambda feature: feature.rank)
    return Ranking(method, rows, unseen, tuple(features))
