"""One version explained, in a worker: importances, their files, and whether they add up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.explainers import explainer
from analysis.explainers.base import Contributions, Explainer
from analysis.importance import align, by_contribution, by_correlation, by_shuffling, ranked
from analysis.results import Additivity, FeatureNote, Method, ModelAnalysis, Ranking
from analysis.sampling import Array, Rows, spread, stratified
from brain.errors import InputError, NotEnoughBarsError
from brain.naming import Family
from engine.data.dataset import Dataset, make_dataset

if TYPE_CHECKING:
    from brain.series.bars import Bars
    from engine.data.market_series import MarketSeries

__all__ = ["REFERENCES", "Explanation", "ExplanationTask", "explain"]

#: Windows of the training that an LSTM's are compared with.
REFERENCES = 20
# Of the most recent labelled moments, those later than the training if there are enough of them.
# Each costs three predictions for each feature, and an LSTM's are dear.
_SHUFFLED = {"rows": 1000, "windows": 500}
_ENOUGH_UNSEEN = 200
_MIN_LABELLED = 100


@dataclass(frozen=True)
class ExplanationTask:
    """One version to explain; holds nothing of MLflow, whose import a worker is spared.

    Attributes:
        data: the symbol's dataset, or its bars to make one of.
        model: folder of the model's checked files.
        features: the names in its signature.
        horizon: bars that its target looks forward.
        samples: how many moments are explained, by :attr:`analysis.explainers.base.Explainer.samples`.
        folder: where the files go; made by the task.
        market: funding and open interest to join to bars; a dataset has them.
    """

    symbol: str
    model_id: str
    family: Family
    trained_until: str
    data: Dataset | Bars
    model: Path
    features: tuple[str, ...]
    horizon: int
    samples: dict[str, int]
    seed: int
    folder: Path
    market: MarketSeries | None = None


@dataclass(frozen=True)
class Explanation:
    """What was found, and the folder whose files belong to the version's run."""

    analysis: ModelAnalysis
    folder: Path

    def __str__(self) -> str:
        return str(self.analysis)


def explain(task: ExplanationTask) -> Explanation:
    """Measure the importances by all methods and write the tables and plots.

    Contributions that don't add up give no ``shap`` ranking and no plot of them.

    Raises:
        AnalysisError: the model predicts the same everywhere.
        NotEnoughBarsError: too few bars have a target.
        InputError: the dataset looks another horizon ahead than the model.
        ModelIntegrityError: a file of the model is unreadable.
    """
    from analysis.figures import write_figures
    from analysis.tables import write_tables
    from engine import families

    seconds: dict[str, float] = {}
    with _lap(seconds, "load"):
        dataset = _dataset(task)
        fitted = families.family(task.family).load(task.model)
        rows, notes = align(dataset.features, dataset.names, task.features)
        work = _Work(task, dataset, explainer(fitted, rows), notes)
    with _lap(seconds, "shap"):
        contributions, additivity = work.contributions, work.additivity
    rankings: dict[Method, Ranking] = {}
    if additivity.holds:
        rankings[Method.SHAP] = work.ranked(
            Method.SHAP, by_contribution(contributions.values), work.explained
        )
    with _lap(seconds, "permutation"):
        rankings[Method.PERMUTATION] = work.permutation()
    with _lap(seconds, "correlation"):
        rankings[Method.CORRELATION] = work.correlation()
    found = ModelAnalysis(
        task.symbol, task.family, task.model_id, rankings, additivity, tuple(notes), seconds
    )
    with _lap(seconds, "files"):
        task.folder.mkdir(parents=True)
        write_tables(found, task.folder)
        beeswarm = contributions if additivity.holds else None
        write_figures(found, beeswarm, rows[work.explained], task.features, task.folder)
    return Explanation(found, task.folder)


@dataclass(frozen=True)
class _Work:
    """What the methods share: which moments they look at, and which features they leave out."""

    task: ExplanationTask
    dataset: Dataset
    explainer: Explainer
    notes: list[FeatureNote]

    @cached_property
    def explained(self) -> Rows:
        count = self.task.samples[self.explainer.samples]
        return stratified(self.explainer.moments, count, self.task.seed)

    @cached_property
    def contributions(self) -> Contributions:
        references = spread(
            self.explainer.moments[~self._unseen(self.explainer.moments)], REFERENCES
        )
        if len(references) < REFERENCES:
            raise NotEnoughBarsError(
                f"{self.task.model_id}: {len(references)} moments of the data are from its "
                f"training until {self.task.trained_until}, and {REFERENCES} are needed to "
                "compare with; bring the bars that it was trained on"
            )
        return self.explainer.contributions(self.explained, references)

    @cached_property
    def additivity(self) -> Additivity:
        tolerance, unit = self.explainer.tolerance(self.explained)
        error = self.contributions.error(self.explainer.exact(self.explained)) / unit
        return Additivity(error, tolerance)

    def permutation(self) -> Ranking:
        labelled = self.explainer.moments[~np.isnan(self.dataset.target[self.explainer.moments])]
        if len(labelled) < _MIN_LABELLED:
            raise NotEnoughBarsError(
                f"{self.task.model_id}: {len(labelled)} of its predictions have a known target, and "
                f"{_MIN_LABELLED} are needed; bring a longer history"
            )
        later = labelled[self._unseen(labelled)]
        recent = (later if len(later) >= _ENOUGH_UNSEEN else labelled)[
            -_SHUFFLED[self.explainer.samples] :
        ]
        found = by_shuffling(
            self.explainer, self.dataset.target, recent, self._features, self.task.seed
        )
        return self.ranked(Method.PERMUTATION, found, recent)

    def correlation(self) -> Ranking:
        labelled = np.flatnonzero(~np.isnan(self.dataset.target))
        found = by_correlation(self.explainer.rows, self.dataset.target, self._features)
        return self.ranked(Method.CORRELATION, found, labelled)

    def ranked(self, method: Method, found: tuple[Array, Array], rows: Rows) -> Ranking:
        return ranked(
            method,
            self.task.features,
            found,
            rows=len(rows),
            unseen=int(self._unseen(rows).sum()),
            skip=self._skip,
        )

    def _unseen(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of the rows are later than the training."""
        import pandas as pd

        trained = self.dataset.close_time.searchsorted(
            pd.Timestamp(self.task.trained_until), side="right"
        )
        return np.asarray(rows >= trained)

    @cached_property
    def _skip(self) -> NDArray[np.bool_]:
        named = {note.feature for note in self.notes}
        return np.array([name in named for name in self.task.features])

    @property
    def _features(self) -> list[int]:
        return [int(column) for column in np.flatnonzero(~self._skip)]


def _dataset(task: ExplanationTask) -> Dataset:
    if not isinstance(task.data, Dataset):
        return make_dataset(task.data, horizon=task.horizon, market=task.market)
    if task.data.horizon != task.horizon:
        raise InputError(
            f"{task.model_id} looks {task.horizon} bars ahead and the dataset of {task.symbol} "
            f"{task.data.horizon}; give its bars, or a dataset of its horizon"
        )
    return task.data


@contextmanager
def _lap(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds[name] = round(time.perf_counter() - started, 3)
