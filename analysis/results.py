"""A night's analysis as frozen values, and the rankings in it as a frame."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from brain.brief import Brief
from brain.errors import InputError
from brain.naming import Family, parse_member, parse_model_id
from brain.text import finite
from brain.work import Failure

if TYPE_CHECKING:
    import pandas as pd

    from analysis.drift import DriftAnalysis
    from analysis.profit import ModelProfit, NoProfit

__all__ = [
    "COLUMNS",
    "Additivity",
    "FeatureImportance",
    "FeatureNote",
    "Method",
    "ModelAnalysis",
    "NightlyAnalysis",
    "NoteReason",
    "Ranking",
    "parse_method",
    "ranking_frame",
]

#: Columns of a frame of rankings: of the version, and, as in :class:`FeatureImportance`, of the
#: feature.
COLUMNS = (
    "date",
    "family",
    "model_id",
    "method",
    "feature",
    "importance",
    "share",
    "rank",
    "error",
)


class Method(StrEnum):
    """Ways to measure how much a feature matters; they answer different questions.

    ``shap``: how far the feature moves the predictions. ``permutation``: how much rank correlation
    with the outcome is lost without it. ``correlation``: how closely it goes with the outcome by
    itself, whatever the model does.
    """

    SHAP = "shap"
    PERMUTATION = "permutation"
    CORRELATION = "correlation"


def parse_method(value: Method | str) -> Method:
    """The method of that name.

    Raises:
        InputError: there is none.
    """
    return parse_member(Method, value, "method", InputError)


class NoteReason(StrEnum):
    """Why a feature has no importance."""

    CONSTANT = "constant in the data"
    UNKNOWN = "not known in any row of the data"
    NEW = "new since training: in the data and not in the model"
    ABSENT = "in the model and no longer in the data"


@dataclass(frozen=True)
class FeatureNote:
    """A feature that has no importance tonight, and why; that is not an importance of 0."""

    feature: str
    reason: NoteReason

    def __str__(self) -> str:
        return f"{self.feature}: {self.reason}"


@dataclass(frozen=True)
class FeatureImportance:
    """How much one feature matters by one method.

    Attributes:
        feature: its name.
        importance: in the method's unit: ``shap`` the mean absolute contribution, in the target's
            unit; ``permutation`` the drop of rank IC, negative where shuffling did no harm;
            ``correlation`` the absolute Spearman correlation.
        share: of the sum of all positive importances, 0 to 1; NaN if there is none.
        rank: 1 for the largest; equal importances have equal ranks.
        error: standard error of the importance from means of consecutive rows; NaN is unknown.
    """

    feature: str
    importance: float
    share: float
    rank: int
    error: float


@dataclass(frozen=True, repr=False)
class Ranking(Brief):
    """All features' importances by one method, largest first.

    Attributes:
        method: that measured them.
        rows: how many rows they were measured on.
        unseen: how many of these are later than the model's training; none if the model was
            refitted tonight.
        features: one entry a feature that has an importance.
    """

    method: Method
    rows: int
    unseen: int
    features: tuple[FeatureImportance, ...]


@dataclass(frozen=True)
class Additivity:
    """Whether contributions and base value add up to the predictions, over all explained rows.

    Attributes:
        error: the largest deviation; trees in the target's unit, LSTM in standard deviations of the
            prediction.
        tolerance: the largest error that is accepted, in the same unit.
    """

    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the error is within the tolerance; an unknown error is not."""
        return self.error <= self.tolerance


@dataclass(frozen=True, repr=False)
class ModelAnalysis(Brief):
    """The analysis of one version.

    Attributes:
        symbol, family, model_id: of the version.
        rankings: by method; a method that failed is missing here and among the failures.
        additivity: of the contributions.
        notes: features without an importance.
        seconds: by stage of the work.
    """

    symbol: str
    family: Family
    model_id: str
    rankings: Mapping[Method, Ranking]
    additivity: Additivity
    notes: tuple[FeatureNote, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.model_id} {self.family} explained in {sum(self.seconds.values()):.0f} s"


@dataclass(frozen=True, repr=False)
class NightlyAnalysis(Brief):
    """A night's analysis of all symbols, and what of it failed.

    Attributes:
        date: of the night, UTC.
        models: the analysed versions, each once, by symbol and version.
        drifts: by symbol.
        failures: everything that failed; the rest is done.
        profits: of the versions, in the same order.
        without_profit: versions that were stored without one.
    """

    date: dt.date
    models: tuple[ModelAnalysis, ...]
    drifts: tuple[DriftAnalysis, ...]
    failures: tuple[Failure, ...]
    profits: tuple[ModelProfit, ...] = ()
    without_profit: tuple[NoProfit, ...] = ()

    @property
    def notes(self) -> tuple[tuple[str, FeatureNote], ...]:
        """Every feature without an importance, with the model's id."""
        return tuple((model.model_id, note) for model in self.models for note in model.notes)

    def frame(self) -> pd.DataFrame:
        """All rankings, as :func:`analysis.results.ranking_frame` lays them out."""
        return ranking_frame(
            (self.date, str(model.family), model.model_id, str(method), *astuple(feature))
            for model in self.models
            for method, ranking in model.rankings.items()
            for feature in ranking.features
        )


def ranking_frame(rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    """Rankings of many nights as a tidy frame.

    Args:
        rows: one a feature, their values in the order of :data:`analysis.results.COLUMNS`; those of
            one ranking in the order of their ranks.

    Returns:
        The rows, ``date`` as midnight without a zone, ``rank`` an integer, unknown values NaN;
        ordered by date, family, version, method and rank.
    """
    import pandas as pd

    def place(row: tuple[Any, ...]) -> tuple[Any, ...]:
        date, family, model_id, method = row[:4]
        return date, family, parse_model_id(model_id), method

    entries = [tuple(map(finite, row)) for row in sorted(rows, key=place)]
    frame = pd.DataFrame(entries, columns=list(COLUMNS))
    dtypes = {"importance": "float64", "share": "float64", "rank": "int64", "error": "float64"}
    return frame.assign(date=pd.to_datetime(frame["date"])).astype(dtypes)
