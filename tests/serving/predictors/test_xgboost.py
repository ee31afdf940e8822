"""XGBoost's trees in NumPy: its own scores to the last bit, and no other model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xgboost as xgb

from brain.errors import ModelIntegrityError
from engine.kernels.columns import Floats
from serving.predictors import ubjson
from serving.predictors.xgboost import XgBoostModel

WIDTH = 7
Settings = dict[str, object]
SHAPES: dict[str, tuple[Settings, int]] = {
    "shallow": ({"max_depth": 1}, 30),
    "deep": ({"max_depth": 12, "min_child_weight": 1}, 30),
    "uneven": ({"grow_policy": "lossguide", "max_leaves": 23, "max_depth": 0}, 30),
    "leaves alone": ({"gamma": 1e9}, 3),
    "one tree": ({"max_depth": 3}, 1),
    "pruned": ({"tree_method": "exact", "gamma": 3.0, "max_depth": 6}, 30),
    "squared": ({"objective": "reg:squarederror", "max_depth": 4}, 30),
    "fast": ({"learning_rate": 3.0, "max_depth": 4}, 200),
}


def rows_and_target() -> tuple[Floats, Floats]:
    random = np.random.default_rng(5)
    rows = random.normal(size=(2000, WIDTH)).round(1)
    target = rows[:, 0] * (rows[:, 1] > 0.3) + 0.1 * random.standard_t(3, len(rows))
    rows[random.random(rows.shape) < 0.2] = np.nan
    rows[:, 6] = np.nan  # never known
    return rows, target


def fit(settings: Settings, rounds: int) -> xgb.Booster:
    rows, target = rows_and_target()
    whole = {"objective": "reg:pseudohubererror", "nthread": 1, "base_score": 0.123, **settings}
    return xgb.train(whole, xgb.DMatrix(rows, target), rounds)


@pytest.fixture(scope="module")
def content() -> bytes:
    return bytes(fit(*SHAPES["uneven"]).save_raw("ubj"))


@pytest.mark.parametrize(("settings", "rounds"), SHAPES.values(), ids=SHAPES)
def test_scores_are_xgboosts_own_to_the_last_bit(settings: Settings, rounds: int) -> None:
    rows, _ = rows_and_target()
    booster = fit(settings, rounds)
    model = XgBoostModel(bytes(booster.save_raw("ubj")), WIDTH)
    # On thresholds too, beside them, and far from all of them.
    thresholds = booster.trees_to_dataframe()["Split"].dropna().unique()[: len(rows)]
    if len(thresholds):
        rows[: len(thresholds)] = thresholds[:, None]
        rows[500:1000] = np.nextafter(rows[:500].astype(np.float32), np.float32(-np.inf))
    rows[1000:1003] = np.array([[3e38], [-3e38], [np.nan]])
    scores = np.array([model.score(row.tobytes()) for row in rows])
    np.testing.assert_array_equal(scores, booster.inplace_predict(rows).astype(np.float64))


def test_binary_json_reads_as_json(content: bytes) -> None:
    def plain(value: object) -> object:
        if isinstance(value, np.ndarray):
            return plain(value.tolist())
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        # JSON has a float's shortest text, and binary JSON small numbers for truths.
        return np.float32(value) if isinstance(value, (int, float)) else value

    text = xgb.Booster(model_file=bytearray(content)).save_raw("json")
    assert plain(ubjson.parse(content)) == plain(json.loads(text))


def test_a_document_that_breaks_off_or_goes_on_is_none(content: bytes) -> None:
    for end in (*range(400), *range(400, len(content), 97)):
        with pytest.raises(ValueError, match=r"it (is no binary JSON|ends at byte|has an? )"):
            ubjson.parse(content[:end])
    with pytest.raises(ValueError, match=rf"it ends at byte {len(content)} of {len(content) + 1}"):
        ubjson.parse(content + b"}")


def test_corrupt_bytes_are_refused_or_make_a_model(content: bytes) -> None:
    """Their digest is checked before; what parses them is safe all the same."""
    random, refused = np.random.default_rng(6), 0
    row = np.zeros(WIDTH).tobytes()
    for place in random.integers(len(content), size=600):
        corrupt = bytearray(content)
        corrupt[place] ^= 1 << int(random.integers(8))
        try:
            model = XgBoostModel(bytes(corrupt), WIDTH)
        except ModelIntegrityError:
            refused += 1
        else:
            with np.errstate(all="ignore"):  # a leaf may be infinite
                assert isinstance(model.score(row), float)
    assert 50 < refused < 600


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "binary:logistic", "base_score": 0.5}, "no sum of trees of numbers"),
        ({"booster": "dart"}, "no sum of trees of numbers"),
        ({"booster": "gblinear"}, "no sum of trees of numbers"),
    ],
)
def test_other_boosters_are_refused(settings: Settings, message: str) -> None:
    rows, target = rows_and_target()
    whole = {"objective": "reg:squarederror", "nthread": 1, **settings}
    booster = xgb.train(whole, xgb.DMatrix(np.nan_to_num(rows), target > 0), 2)
    with pytest.raises(ModelIntegrityError, match=message):
        XgBoostModel(bytes(booster.save_raw("ubj")), WIDTH)


def test_several_outputs_are_refused() -> None:
    rows, target = rows_and_target()
    booster = xgb.train({"nthread": 1}, xgb.DMatrix(rows, np.stack([target, -target], axis=1)), 2)
    with pytest.raises(ModelIntegrityError, match="no sum of trees of numbers, with one output"):
        XgBoostModel(bytes(booster.save_raw("ubj")), WIDTH)
