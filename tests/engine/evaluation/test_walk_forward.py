"""Walk-forward splits: no training row overlaps a row of the evaluation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError, NotEnoughBarsError
from engine.evaluation.walk_forward import walk_forward

PLANS = st.fixed_dictionaries(
    {
        "rows": st.integers(300, 5000),
        "folds": st.integers(1, 8),
        "first_test": st.floats(0.3, 0.8),
        "reach": st.integers(1, 49),
        "embargo": st.integers(0, 40),
    }
)


@given(PLANS)
def test_no_training_target_reaches_into_the_test_block(plan: dict[str, Any]) -> None:
    for fold in walk_forward(**plan):
        target_end = fold.train_end - 1 + plan["reach"]
        assert target_end + plan["embargo"] < fold.test_start


@given(PLANS)
def test_test_blocks_cover_every_row_after_the_first_exactly_once(plan: dict[str, Any]) -> None:
    folds = walk_forward(**plan)
    covered = [row for fold in folds for row in range(fold.test_start, fold.test_end)]
    assert covered == list(range(round(plan["rows"] * plan["first_test"]), plan["rows"]))
    assert len(folds) == plan["folds"]


def test_too_few_rows_are_refused_with_the_numbers() -> None:
    with pytest.raises(NotEnoughBarsError, match="40 rows are too few for 5 folds"):
        walk_forward(40, folds=5, first_test=0.5, reach=12, embargo=24)


@pytest.mark.parametrize("change", [{"folds": 0}, {"first_test": 1.0}, {"reach": 0}])
def test_senseless_plans_are_refused(change: dict[str, Any]) -> None:
    plan: dict[str, Any] = {"folds": 3, "first_test": 0.5, "reach": 1, "embargo": 0} | change
    with pytest.raises(InputError, match="folds and reach start at 1"):
        walk_forward(1000, **plan)
