"""Trends and shifts over the nights, and too few nights for either."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from analysis.nightly import NightlyFeatureAnalysis
from analysis.results import Method
from analysis.trends import MIN_NIGHTS_BEFORE, FamilyShifts, History
from brain.errors import InputError
from brain.naming import Family
from registry.library import BrainLibrary
from tests.analysis.models import settings
from tests.analysis.test_rankings import SYMBOL, analysis, write

TODAY = dt.datetime.now(dt.UTC).date()


def ago(days: int) -> dt.date:
    return TODAY - dt.timedelta(days=days)


@pytest.fixture
def library(sqlite_dsn: str) -> BrainLibrary:
    return BrainLibrary(sqlite_dsn)


@pytest.fixture
def service(library: BrainLibrary) -> NightlyFeatureAnalysis:
    return NightlyFeatureAnalysis(library, settings(library.dsn))


def only(families: tuple[FamilyShifts, ...]) -> FamilyShifts:
    (family,) = families
    return family


def test_a_shift_is_the_relative_change_against_the_median_of_the_nights_before(
    library: BrainLibrary, service: NightlyFeatureAnalysis
) -> None:
    # Shares of a before: .5, .5, .5, .4, .6; of b the rest; tonight .8 and .2.
    for days, share in zip((5, 4, 3, 2, 1), (0.5, 0.5, 0.5, 0.4, 0.6), strict=True):
        write(library, ago(days), analysis(10 - days, [share, 1 - share]))
    write(library, TODAY, analysis(11, [0.8, 0.2]))
    shifts = service.identify_feature_shifts(SYMBOL, threshold=0.1)
    assert (shifts.history, shifts.needed) == (History.SUFFICIENT, MIN_NIGHTS_BEFORE)
    family = only(shifts.families)
    assert (family.family, family.model_id) == (Family.LIGHTGBM, "SIM-USD.1h.1/11")
    assert (family.tonight, family.nights_before) == (TODAY, 5)
    up, down = sorted(family.shifts, key=lambda s: s.feature)
    assert (up.feature, up.share, up.median, up.nights_before) == ("a", 0.8, 0.5, 5)
    assert [up.change, down.change] == pytest.approx([0.6, -0.6])
    assert (up.rank, up.median_rank) == (1, 1.0)
    assert only(service.identify_feature_shifts(SYMBOL, threshold=0.61).families).shifts == ()


def test_too_few_nights_are_said_and_are_no_empty_success(
    library: BrainLibrary, service: NightlyFeatureAnalysis
) -> None:
    nothing = service.identify_feature_shifts(SYMBOL)
    assert (nothing.history, nothing.families) == (History.INSUFFICIENT, ())
    for days in range(MIN_NIGHTS_BEFORE):  # tonight is one of them
        write(library, ago(days), analysis(10 - days, [1.0, 1.0 + days]))
    shifts = service.identify_feature_shifts(SYMBOL)
    family = only(shifts.families)
    assert shifts.history is family.history is History.INSUFFICIENT
    assert str(shifts.history) == "insufficient history"
    assert family.nights_before == MIN_NIGHTS_BEFORE - 1
    assert family.shifts == ()
    assert set(family.without_history) == {"a", "b"}
    write(library, ago(MIN_NIGHTS_BEFORE), analysis(1, [1.0, 9.0]))
    assert service.identify_feature_shifts(SYMBOL).history is History.SUFFICIENT


def test_each_family_has_its_own_history(
    library: BrainLibrary, service: NightlyFeatureAnalysis
) -> None:
    for days in range(MIN_NIGHTS_BEFORE + 1):
        models = [analysis(10 - days, [1.0, 1.0])]
        if days < 2:
            models.append(analysis(20 - days, [1.0, 1.0], family=Family.LSTM))
        write(library, ago(days), *models)
    history = {f.family: f.history for f in service.identify_feature_shifts(SYMBOL).families}
    assert history == {
        Family.LIGHTGBM: History.SUFFICIENT,
        Family.LSTM: History.INSUFFICIENT,
    }


def test_new_and_vanished_features_are_named_and_not_compared(
    library: BrainLibrary, service: NightlyFeatureAnalysis
) -> None:
    for days in range(1, MIN_NIGHTS_BEFORE + 2):
        write(library, ago(days), analysis(20 - days, [1.0, 1.0, 1.0]))
    write(library, TODAY, analysis(20, [2.0, 1.0]))  # c has vanished
    family = only(service.identify_feature_shifts(SYMBOL, threshold=0.01).families)
    assert family.vanished == ("c",)
    write(library, TODAY, analysis(21, [1.0, 1.0, 1.0, 1.0]))  # d is new
    family = only(service.identify_feature_shifts(SYMBOL, threshold=0.01).families)
    assert (family.vanished, family.without_history) == ((), ("d",))
    assert {shift.feature for shift in family.shifts} == {"a", "b", "c"}


def test_a_rise_from_nothing_is_infinite_and_staying_there_is_no_shift(
    library: BrainLibrary, service: NightlyFeatureAnalysis
) -> None:
    for days in range(1, MIN_NIGHTS_BEFORE + 1):
        write(library, ago(days), analysis(20 - days, [1.0, 0.0, 0.0]))
    write(library, TODAY, analysis(20, [1.0, 1.0, 0.0]))
    family = only(service.identify_feature_shifts(SYMBOL).families)
    assert [(s.feature, s.change) for s in family.shifts] == [("b", math.inf), ("a", -0.5)]


def test_only_the_nights_within_the_days_count(
    library: BrainLibrary, service: NightlyFeatureAnalysis
) -> None:
    for days in (30, 29, 1, 0):
        write(library, ago(days), analysis(40 - days, [1.0, 1.0]))
    assert service.get_feature_importance_trends(SYMBOL, days=30).nights == 3
    assert service.get_feature_importance_trends(SYMBOL, days=31).nights == 4
    assert service.get_feature_importance_trends(SYMBOL, days=1).nights == 1
    back = service.get_feature_importance_trends(SYMBOL, days=2, until=ago(29))
    assert (back.nights, back.since, back.until) == (2, ago(30), ago(29))


def test_a_trend_holds_the_shares_of_the_nights_in_their_order(
    library: BrainLibrary, service: NightlyFeatureAnalysis
) -> None:
    for days, share in ((0, 0.6), (2, 0.2), (1, 0.5)):
        write(library, ago(days), analysis(10 - days, [share, 1 - share]))
    trends = service.get_feature_importance_trends(SYMBOL)
    assert trends.history is History.SUFFICIENT
    (trend,) = [t for t in trends.trends if (t.method, t.feature) == (Method.SHAP, "a")]
    assert trend.dates == (ago(2), ago(1), ago(0))
    assert trend.shares == (0.2, 0.5, 0.6)
    assert [trend.median, trend.change] == pytest.approx([0.5, 2.0])
    assert len(trends.trends) == 2 * len(Method)
    assert len(trends.table) == 3 * 2 * len(Method)


def test_one_night_or_none_is_no_trend(
    library: BrainLibrary, service: NightlyFeatureAnalysis
) -> None:
    nothing = service.get_feature_importance_trends(SYMBOL)
    assert (nothing.history, nothing.nights, nothing.trends) == (History.INSUFFICIENT, 0, ())
    write(library, TODAY, analysis(1, [1.0, 1.0]))
    trends = service.get_feature_importance_trends(SYMBOL)
    assert (trends.history, trends.nights) == (History.INSUFFICIENT, 1)
    assert math.isnan(trends.trends[0].change)


def test_of_two_versions_of_a_family_in_one_night_the_later_counts(
    library: BrainLibrary, service: NightlyFeatureAnalysis
) -> None:
    write(library, ago(1), analysis(9, [1.0, 1.0]), analysis(10, [3.0, 1.0]))
    write(library, TODAY, analysis(10, [3.0, 1.0]), analysis(9, [1.0, 1.0]))
    (trend,) = [
        t
        for t in service.get_feature_importance_trends(SYMBOL).trends
        if (t.method, t.feature) == (Method.SHAP, "a")
    ]
    assert trend.shares == (0.75, 0.75)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0.0}, r"threshold=0\.0 is out of range"),
        ({"threshold": math.nan}, "threshold=nan is out of range"),
        ({"days": 0}, "days=0 is out of range; give at least 1"),
        ({"method": "gain"}, "no method is called 'gain'"),
        ({"until": "soon"}, "'soon' is not a date"),
    ],
)
def test_what_makes_no_sense_is_refused(
    service: NightlyFeatureAnalysis, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        service.identify_feature_shifts(SYMBOL, **arguments)  # type: ignore[arg-type]
