"""One version explained, in a worker: its importances, their files, and whether they add up."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.documents import importance_document
from analysis.explainers import explainer
from analysis.explainers.base import Contributions, Explainer
from analysis.importance import align, by_contribution, by_correlation, by_shuffling, rank_features
from analysis.results import Additivity, FeatureNote, Method, ModelAnalysis, Ranking
from analysis.sampling import Array, Rows, spread, stratified
from brain.artifacts import FEATURES_PAGE, IMPORTANCE, IMPORTANCE_TABLE
from brain.brief import Brief
from brain.errors import NotEnoughBarsError
from brain.naming import Family, Fill
from brain.stopwatch import Stopwatch
from brain.workers import fresh_folder
from engine.data.dataset import Dataset, make_dataset

if TYPE_CHECKING:
    from brain.series.bars import Bars
    from engine.data.market_series import MarketSeries

__all__ = ["REFERENCES", "Explanation", "ExplanationTask", "explain"]

#: Windows of the training that an LSTM's are compared with.
REFERENCES = 20
# How many of the most recent moments with a target are shuffled: those later than the training if
# they are enough. Each costs three predictions for each feature, and an LSTM's are dear.
_SHUFFLED = {"rows": 1000, "windows": 500}
_ENOUGH_UNSEEN = 200
_MIN_MOMENTS = 100


@dataclass(frozen=True, repr=False)
class ExplanationTask(Brief):
    """One version to explain; holds nothing of MLflow, whose import costs a worker seconds.

    Attributes:
        symbol, model_id, family, trained_until: of the version.
        data: the symbol's dataset, or its bars to make one of.
        model: folder of the model's checked files.
        features: the names in its signature.
        horizon: bars that its target looks forward.
        samples: how many moments are explained, by
            :attr:`analysis.explainers.base.Explainer.samples`.
        seed: of the samples and of the shuffling.
        folder: where the files go; made by the task.
        market: funding and open interest to join to bars; a dataset has them.
        fill: of the decisions on bars; chosen by these if None.
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
    fill: Fill | None = None


@dataclass(frozen=True)
class Explanation:
    """The analysis of a version, and the folder whose files belong to its run."""

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
        ModelIntegrityError: a file of the model is unreadable.
    """
    from analysis.dictionary import features_page
    from analysis.figures import write_figures
    from engine import families

    stopwatch = Stopwatch()
    with stopwatch.stage("load"):
        dataset = _dataset(task)
        fitted = families.family(task.family).load(task.model)
        rows, notes = align(dataset.features, dataset.names, task.features)
        measures = _Measures(task, dataset, explainer(fitted, rows), notes)
    with stopwatch.stage("shap"):
        contributions, additivity = measures.contributions, measures.additivity
    rankings: dict[Method, Ranking] = {}
    if additivity.holds:
        rankings[Method.SHAP] = measures.shap()
    with stopwatch.stage("permutation"):
        rankings[Method.PERMUTATION] = measures.permutation()
    with stopwatch.stage("correlation"):
        rankings[Method.CORRELATION] = measures.correlation()
    analysis = ModelAnalysis(
        task.symbol,
        task.family,
        task.model_id,
        rankings,
        additivity,
        tuple(notes),
        stopwatch.seconds,
    )
    with stopwatch.stage("files"):
        fresh_folder(task.folder)
        _write_tables(analysis, task.folder)
        beeswarm = contributions if additivity.holds else None
        write_figures(analysis, beeswarm, rows[measures.explained], task.features, task.folder)
        title = f"Features of {task.model_id} {task.family}"
        page = features_page(task.features, task.data.own, title=title)
        (task.folder / FEATURES_PAGE).write_text(page)
    return Explanation(analysis, task.folder)


@dataclass(frozen=True)
class _Measures:
    """The measures of importance; which moments each looks at, and which features it leaves out."""

    task: ExplanationTask
    dataset: Dataset
    explainer: Explainer
    notes: list[FeatureNote]

    @cached_property
    def explained(self) -> Rows:
        """The moments whose predictions are split up into contributions."""
        count = self.task.samples[self.explainer.samples]
        return stratified(self.explainer.moments, count, self.task.seed)

    @cached_property
    def contributions(self) -> Contributions:
        moments = self.explainer.moments
        references = spread(moments[~self._unseen(moments)], REFERENCES)
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

    def shap(self) -> Ranking:
        importances = by_contribution(self.contributions.values)
        return self._ranking(Method.SHAP, importances, self.explained)

    def permutation(self) -> Ranking:
        moments = self.explainer.moments
        moments = moments[~np.isnan(self.dataset.target[moments])]
        if len(moments) < _MIN_MOMENTS:
            raise NotEnoughBarsError(
                f"{self.task.model_id}: {len(moments)} of its predictions have a known target, and "
                f"{_MIN_MOMENTS} are needed; bring a longer history"
            )
        unseen = moments[self._unseen(moments)]
        candidates = unseen if len(unseen) >= _ENOUGH_UNSEEN else moments
        recent = candidates[-_SHUFFLED[self.explainer.samples] :]
        importances = by_shuffling(
            self.explainer, self.dataset.target, recent, self._features, self.task.seed
        )
        return self._ranking(Method.PERMUTATION, importances, recent)

    def correlation(self) -> Ranking:
        rows = np.flatnonzero(~np.isnan(self.dataset.target))
        importances = by_correlation(self.explainer.rows, self.dataset.target, self._features)
        return self._ranking(Method.CORRELATION, importances, rows)

    def _ranking(self, method: Method, importances: tuple[Array, Array], rows: Rows) -> Ranking:
        return rank_features(
            method,
            self.task.features,
            importances,
            rows=len(rows),
            unseen=int(self._unseen(rows).sum()),
            skip=self._skip,
        )

    def _unseen(self, rows: Rows) -> NDArray[np.bool_]:
        """Which of the rows are later than the training."""
        import pandas as pd

        training_end = self.dataset.close_time.searchsorted(
            pd.Timestamp(self.task.trained_until), side="right"
        )
        return np.asarray(rows >= training_end)

    @cached_property
    def _skip(self) -> NDArray[np.bool_]:
        """Which of the features have a note instead of an importance."""
        features = {note.feature for note in self.notes}
        return np.array([name in features for name in self.task.features])

    @property
    def _features(self) -> list[int]:
        """The columns of the features that can have an importance."""
        return [int(column) for column in np.flatnonzero(~self._skip)]


def _dataset(task: ExplanationTask) -> Dataset:
    if isinstance(task.data, Dataset):
        return task.data
    return make_dataset(task.data, horizon=task.horizon, market=task.market, fill=task.fill)


def _write_tables(analysis: ModelAnalysis, folder: Path) -> None:
    """Write ``importance.parquet`` and ``importance.json``, which has the same table and more."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("feature", pa.string()),
            ("method", pa.string()),
            ("importance", pa.float64()),
            ("share", pa.float64()),
            ("rank", pa.int32()),
            ("error", pa.float64()),
            ("note", pa.string()),
        ]
    )
    document = importance_document(analysis)
    table = pa.Table.from_pylist(document["table"], schema=schema)
    pq.write_table(table, folder / IMPORTANCE_TABLE)
    (folder / IMPORTANCE).write_text(json.dumps(document, indent=1, allow_nan=False))
