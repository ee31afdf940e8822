from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from brain.errors import ModelIntegrityError
from brain.naming import Fill, Regime
from engine.kernels.executor_data import ExecutorData
from engine.kernels.position import PositionRule
from tests.engine.data.test_memory import data_of
from tests.engine.markets import market_of
from tests.engine.paths import random_path


def made() -> ExecutorData:
    bars = random_path(5, 400, 0.05).bars()
    rule = PositionRule(6, math.nan, {Regime.HIGH: 0.5}, 5.0, 10.0, Fill.WORKED)
    return data_of(bars, market_of(bars), rule=rule)


def test_it_comes_back_as_it_was_and_its_bytes_are_always_the_same() -> None:
    data = made()
    content = data.to_bytes()
    assert made().to_bytes() == content
    back = ExecutorData.from_bytes(content)
    assert back.to_bytes() == content
    for field in fields(ExecutorData):
        before, after = getattr(data, field.name), getattr(back, field.name)
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(after, before)
        elif field.name == "rule":
            assert after.to_json() == before.to_json()
        elif field.name != "memory":
            assert after == before
    for kernel in ("features", "regimes", "market"):
        before, after = (getattr(each.memory, kernel) for each in (data, back))
        assert set(before) == set(after)
        for name, array in before.items():
            np.testing.assert_array_equal(after[name], array)
    assert back.definition.min_bars == 50
    assert back.regimes.close_time_ns == back.trained_until_ns


CONTENT = made().to_bytes()


@given(st.integers(0, len(CONTENT) - 1))
def test_what_is_cut_off_is_refused(end: int) -> None:
    with pytest.raises(ModelIntegrityError, match="no executor's data"):
        ExecutorData.from_bytes(CONTENT[:end])


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(place: int, change: int) -> None:
    changed = bytearray(CONTENT)
    changed[place] ^= change
    try:
        data = ExecutorData.from_bytes(bytes(changed))
    except ModelIntegrityError:
        return
    assert data.to_bytes() == CONTENT  # of the zip's own notes


@given(st.binary(max_size=300))
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(ModelIntegrityError, match="no executor's data"):
        ExecutorData.from_bytes(content)


def test_shapes_that_contradict_each_other_are_refused() -> None:
    data = made()
    for changes in (
        {"recent": np.zeros((1, 3))},
        {"golden_rows": np.zeros((2, 2))},
        {"look_back": 2},
        {"names": ("a",)},
    ):
        with pytest.raises(ModelIntegrityError, match="has shape"):
            ExecutorData.from_bytes(replace(data, **changes).to_bytes())
