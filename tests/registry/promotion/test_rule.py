"""The provisional rule, and the record of a cell."""

from __future__ import annotations

import json
import math
from itertools import combinations, permutations

import pytest

from brain.errors import LibraryError
from brain.naming import PRIOR, Family, Regime
from brain.records import CellRecord, Estimate
from registry.promotion.rule import Choice, provisional_choice

ALL = list(Family)


@pytest.mark.parametrize("regime", list(Regime))
def test_without_evidence_the_prior_is_champion(regime: Regime) -> None:
    choice = provisional_choice(regime, ALL, {})
    assert choice.champion == PRIOR[regime]
    assert choice.challenger in set(ALL) - {PRIOR[regime]}
    assert choice.reason == "prior: there is no evidence to compare by"


@pytest.mark.parametrize(
    ("difference", "champion"),
    [
        (Estimate(0.0021, 0.001), Family.LSTM),
        (Estimate(0.0019, 0.001), Family.XGBOOST),
        (Estimate(-0.0021, 0.001), Family.XGBOOST),
        (Estimate(0.5, math.nan), Family.XGBOOST),
        (Estimate(math.nan, math.nan), Family.XGBOOST),
    ],
)
def test_only_more_than_two_standard_errors_beat_the_prior(
    difference: Estimate, champion: Family
) -> None:
    choice = provisional_choice(Regime.LOW, ALL, {Family.LSTM: difference})
    assert choice.champion == champion
    assert ("no family is clearly better" in choice.reason) == (
        champion == Family.XGBOOST and math.isfinite(difference.error)
    )


def test_of_several_better_ones_the_best_is_champion_and_the_prior_its_challenger() -> None:
    differences = {Family.LSTM: Estimate(0.3, 0.1), Family.LIGHTGBM: Estimate(0.4, 0.1)}
    choice = provisional_choice(Regime.LOW, ALL, differences)
    assert (choice.champion, choice.challenger) == (Family.LIGHTGBM, Family.XGBOOST)
    assert "0.4 ± 0.1" in choice.reason
    assert choice.by_evidence


def test_a_larger_but_uncertain_difference_does_not_hide_a_certain_one() -> None:
    differences = {Family.LSTM: Estimate(0.3, 0.2), Family.LIGHTGBM: Estimate(0.1, 0.01)}
    assert provisional_choice(Regime.LOW, ALL, differences).champion == Family.LIGHTGBM


def test_if_the_prior_was_not_trained_another_stands_in_and_says_so() -> None:
    choice = provisional_choice(Regime.LOW, [Family.LSTM], {})
    assert choice == Choice(Family.LSTM, None, "the prior, xgboost, was not trained")


@pytest.mark.parametrize("regime", list(Regime))
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("differences", [{}, dict.fromkeys(ALL, Estimate(0.1, math.nan))])
def test_which_family_was_trained_first_does_not_matter(
    regime: Regime, count: int, differences: dict[Family, Estimate]
) -> None:
    for families in combinations(ALL, count):
        choices = {
            provisional_choice(regime, order, differences) for order in permutations(families)
        }
        assert len(choices) == 1


def test_no_family_at_all_is_an_error() -> None:
    with pytest.raises(LibraryError, match="no family was trained for regime low"):
        provisional_choice(Regime.LOW, [], {})


def test_a_record_reads_back_and_writes_unknown_as_null() -> None:
    record = CellRecord(
        version=3,
        digest="d" * 64,
        family=Family.LSTM,
        recipe="abc",
        trained_until="2020-01-01T00:00:00+00:00",
        provisional=True,
        reason="prior",
        bars=10,
        episodes=1,
        decided="2020-01-01T00:00:00+00:00",
        net_sharpe=1.5,
        net_sharpe_error=math.nan,
    )
    assert json.loads(record.to_json())["net_sharpe_error"] is None
    assert CellRecord.from_json(record.to_json()) == CellRecord(
        **{**vars(record), "net_sharpe_error": None}
    )


@pytest.mark.parametrize("text", ["", "{}", '{"family": "lstm"}', "[1]"])
def test_a_record_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LibraryError, match="can't be read"):
        CellRecord.from_json(text)
