from __future__ import annotations

import math
import zipfile
from dataclasses import fields, replace
from io import BytesIO
from typing import Any

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


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": None},
        {"family": 7},
        {"timeframe_ns": "3600"},
        {"timeframe_ns": 0},
        {"horizon": 6.0},
        {"look_back": True},
        {"names": (1, 2)},
        {"golden_predictions": np.array(1.0)},
        {"golden_rows": np.zeros((2, 2), dtype=np.complex128)},
        {"calendar": "XNYS"},  # which has no sessions here
    ],
)
def test_values_of_another_kind_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelIntegrityError):
        ExecutorData.from_bytes(replace(made(), **changes).to_bytes())


@pytest.mark.parametrize("closes", [[3, 2], [2, 2], [2]])
def test_sessions_that_are_none_are_refused(closes: list[int]) -> None:
    data = made()
    memory = replace(
        data.memory,
        session_anchors_ns=np.array([0, 1]),
        session_opens_ns=np.array([0, 1]),
        session_closes_ns=np.array(closes),
    )
    with pytest.raises(ModelIntegrityError, match="sessions are none"):
        ExecutorData.from_bytes(replace(data, memory=memory).to_bytes())


def test_arrays_that_unpack_to_more_than_there_is_room_for_are_refused_before_they_do() -> None:
    file = BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("head.npy", "w") as entry,
    ):
        for _ in range(33):
            entry.write(bytes(16_000_000))
    assert len(file.getvalue()) < 5_000_000
    with pytest.raises(ModelIntegrityError, match="528000000 bytes when they are unpacked"):
        ExecutorData.from_bytes(file.getvalue())
