"""Trends and shifts of importance over the nights, in their plain form.

A shift is the relative change of a feature's share tonight against the median of the nights before.
Refits alone move the largest shares by about a fifth from night to night, so at the threshold of a
tenth many of these are no news: they are numbers to look at, not alarms.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from analysis.results import Method
from brain.brief import Brief
from brain.naming import Family, parse_family, parse_model_id

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MIN_NIGHTS_BEFORE",
    "FamilyShifts",
    "FeatureShift",
    "FeatureShifts",
    "FeatureTrend",
    "FeatureTrends",
    "History",
    "shifts",
    "trends",
]

#: Nights before tonight that a median is taken of at least.
MIN_NIGHTS_BEFORE = 5


class History(StrEnum):
    """Whether there are enough nights."""

    SUFFICIENT = "sufficient"
    INSUFFICIENT = "insufficient history"


@dataclass(frozen=True, repr=False)
class FeatureTrend(Brief):
    """One feature's shares over the nights, for one family and method.

    Attributes:
        family, method, feature: whose shares.
        dates: the nights on which the family's latest version gave the feature an importance.
        shares: on these nights; NaN where no feature had a positive importance.
        median: of the shares that are not NaN; NaN if all are.
        change: last share relative to the first, -1 to infinity; NaN if there are not two.
    """

    family: Family
    method: Method
    feature: str
    dates: tuple[dt.date, ...]
    shares: tuple[float, ...]
    median: float
    change: float


@dataclass(frozen=True, repr=False)
class FeatureTrends(Brief):
    """The shares of a symbol's features over the nights.

    Attributes:
        symbol: whose features.
        since, until: the first and the last day.
        nights: how many have rankings.
        history: insufficient with fewer than two nights, for there is no trend in one.
        trends: by family, method and falling median.
        table: the rankings, columns as :data:`analysis.results.COLUMNS`; of each family and night
            the latest version only.
    """

    symbol: str
    since: dt.date
    until: dt.date
    nights: int
    history: History
    trends: tuple[FeatureTrend, ...]
    table: pd.DataFrame


@dataclass(frozen=True)
class FeatureShift:
    """A feature whose share differs from its median before.

    Attributes:
        feature: its name.
        share: tonight.
        median: of the nights before.
        change: tonight's share relative to the median, minus 1; infinite where the median is 0.
        rank, median_rank: tonight, and the median of the nights before.
        nights_before: how many the median is of.
    """

    feature: str
    share: float
    median: float
    change: float
    rank: int
    median_rank: float
    nights_before: int


@dataclass(frozen=True, repr=False)
class FamilyShifts(Brief):
    """The shifts of one family's features.

    Attributes:
        family: of the versions.
        tonight: the last night on which the family was analysed.
        model_id: the version of that night.
        nights_before: how many nights before have rankings, from the first day on.
        history: insufficient with fewer than :data:`analysis.trends.MIN_NIGHTS_BEFORE` of them;
            then there are no shifts, which does not mean that nothing has shifted.
        shifts: features whose share changed by the threshold or more, largest change first.
        without_history: features with fewer nights before than needed, as new ones have.
        vanished: features with an importance on enough nights before and none tonight.
    """

    family: Family
    tonight: dt.date
    model_id: str
    nights_before: int
    history: History
    shifts: tuple[FeatureShift, ...]
    without_history: tuple[str, ...]
    vanished: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class FeatureShifts(Brief):
    """A symbol's shifts of importance.

    Attributes:
        symbol, method: whose shares.
        threshold: smallest relative change that counts.
        since, until: the first and the last day.
        needed: nights before that are needed.
        families: each with its history; empty if there are no rankings.
    """

    symbol: str
    method: Method
    threshold: float
    since: dt.date
    until: dt.date
    needed: int
    families: tuple[FamilyShifts, ...]

    @property
    def history(self) -> History:
        """Sufficient if it is for any family."""
        enough = any(family.history is History.SUFFICIENT for family in self.families)
        return History.SUFFICIENT if enough else History.INSUFFICIENT


def trends(symbol: str, table: pd.DataFrame, since: dt.date, until: dt.date) -> FeatureTrends:
    """The trends in a frame of rankings, see :func:`analysis.results.ranking_frame`."""
    table = _latest(table)
    nights = table["date"].nunique()
    history = History.SUFFICIENT if nights >= 2 else History.INSUFFICIENT
    ordered = sorted(_trends(table), key=lambda t: (t.family, t.method, -_or_zero(t.median)))
    return FeatureTrends(symbol, since, until, nights, history, tuple(ordered), table)


def _trends(table: pd.DataFrame) -> Iterator[FeatureTrend]:
    for key, rows in table.groupby(["family", "method", "feature"]):
        family, method, feature = (str(part) for part in key)
        shares = rows["share"]
        valid = shares[shares.notna()]
        change = _relative(valid.iloc[-1], valid.iloc[0]) if len(valid) > 1 else math.nan
        yield FeatureTrend(
            family=parse_family(family),
            method=Method(method),
            feature=feature,
            dates=tuple(rows["date"].dt.date),
            shares=tuple(float(share) for share in shares),
            median=float(valid.median()),
            change=change,
        )


def shifts(
    symbol: str,
    table: pd.DataFrame,
    *,
    method: Method,
    threshold: float,
    since: dt.date,
    until: dt.date,
) -> FeatureShifts:
    """The shifts in a frame of rankings, see :func:`analysis.results.ranking_frame`."""
    table = _latest(table[table["method"] == method])
    families = [_family(rows, threshold) for _, rows in table.groupby("family")]
    return FeatureShifts(
        symbol, method, threshold, since, until, MIN_NIGHTS_BEFORE, tuple(families)
    )


def _family(rows: pd.DataFrame, threshold: float) -> FamilyShifts:
    last = rows["date"].max()
    tonight, before = rows[rows["date"] == last], rows[rows["date"] < last]
    nights = before["date"].nunique()
    enough = nights >= MIN_NIGHTS_BEFORE
    changes = list(_compare(tonight, before)) if enough else []
    with_history = {shift.feature for shift in changes}
    large = [shift for shift in changes if abs(shift.change) >= threshold]
    counts = before.groupby("feature")["share"].count()
    usual = set(counts.index[counts >= MIN_NIGHTS_BEFORE])
    return FamilyShifts(
        family=parse_family(tonight["family"].iloc[0]),
        tonight=last.date(),
        model_id=tonight["model_id"].iloc[0],
        nights_before=nights,
        history=History.SUFFICIENT if enough else History.INSUFFICIENT,
        shifts=tuple(sorted(large, key=lambda shift: -abs(shift.change))),
        without_history=tuple(f for f in tonight["feature"] if f not in with_history),
        vanished=tuple(sorted(usual - set(tonight["feature"]))),
    )


def _compare(tonight: pd.DataFrame, before: pd.DataFrame) -> Iterator[FeatureShift]:
    valid = tonight[tonight["share"].notna()]
    now = dict(zip(valid["feature"], zip(valid["share"], valid["rank"], strict=True), strict=True))
    for feature, rows in before[before["share"].notna()].groupby("feature"):
        if feature not in now or len(rows) < MIN_NIGHTS_BEFORE:
            continue
        share, rank = now[feature]
        median = float(rows["share"].median())
        yield FeatureShift(
            feature=str(feature),
            share=float(share),
            median=median,
            change=_relative(float(share), median),
            rank=int(rank),
            median_rank=float(rows["rank"].median()),
            nights_before=len(rows),
        )


def _latest(table: pd.DataFrame) -> pd.DataFrame:
    """Of each family and night the rows of the version with the largest number."""
    numbers = table["model_id"].map(lambda model_id: parse_model_id(model_id)[1])
    newest = numbers.groupby([table["date"], table["family"]]).transform("max")
    return table[numbers == newest]


def _relative(now: float, then: float) -> float:
    if then == 0:
        return 0.0 if now == 0 else math.inf
    return now / then - 1


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
