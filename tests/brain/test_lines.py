"""Lines: an id for each definition, and recipes of all symbols in one line."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from brain.errors import InputError
from brain.lines import Line, line_of
from brain.naming import Family
from brain.recipes import REFIT_RULE, Recipe

LINE = Line(Family.LIGHTGBM, "bars-1", "1h", 6, "return-over-volatility", REFIT_RULE)
RECIPE = Recipe(
    Family.LIGHTGBM,
    "bars-1",
    6,
    {"num_leaves": 31},
    7,
    timeframe="1h",
    target="return-over-volatility",
)
OTHERS: dict[str, Any] = {
    "family": Family.LSTM,
    "feature_set": "bars-2",
    "timeframe": "4h",
    "horizon": 7,
    "target": "return",
    "refit": "the last year",
}


def test_an_id_names_the_definition_for_ever() -> None:
    assert LINE.id == "lightgbm-208f4ec9f0e5"
    assert Line.from_json(LINE.to_json()) == LINE
    assert set(OTHERS) == {field.name for field in fields(Line)}


@pytest.mark.parametrize("name", OTHERS)
def test_another_definition_is_another_line(name: str) -> None:
    assert replace(LINE, **{name: OTHERS[name]}).id != LINE.id


def test_recipes_of_all_symbols_share_a_line() -> None:
    assert line_of(RECIPE) == LINE
    other = replace(
        RECIPE, hyperparameters={"num_leaves": 7}, seed=8, seeds=3, calendar="XNYS", trials=9
    )
    assert other.id != RECIPE.id
    assert line_of(other) == LINE


def test_a_line_that_changed_under_its_id_is_refused() -> None:
    changed = json.loads(LINE.to_json()) | {"horizon": 12}
    with pytest.raises(InputError, match=rf"{LINE.id} changed under the same id.*own id"):
        Line.from_json(json.dumps(changed))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"id": "a", "family": "forest"}', "null"])
def test_what_is_no_line_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"not a line.*give what"):
        Line.from_json(text)
