"""Representations that fit a shell."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from typing import Any

import numpy as np
import pandas as pd

from brain.brief import Brief

ROOMS = ("registry", "engine", "analysis")
LARGE = (
    "tuple", "list", "dict", "Mapping", "Floats", "Array", "Codes", "NDArray", "DataFrame",
    "Series", "Index", "Dataset", "Search", "Evidence", "CellRecord",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Result(Brief):
    symbol: str
    shares: tuple[float, ...] = ()
    table: Any = None
    by_family: dict[str, Any] = field(default_factory=dict)
    secret: str = field(default="hush", repr=False)


def test_short_values_are_whole() -> None:
    text = repr(Result("BTC/USD", (0.5, 0.25), None, {"lstm": 1}))
    expected = "symbol='BTC/USD', shares=(0.5, 0.25), table=None, by_family={'lstm': 1}"
    assert text == f"Result({expected})"


def test_long_values_are_counted_and_never_made_into_text() -> None:
    class Slow:
        def __repr__(self) -> str:
            raise AssertionError("too slow")

    table = pd.DataFrame(np.zeros((70_000, 9)))
    text = repr(Result("x" * 90, (1 / 3,) * 700, table, {"lstm": 1 / 3, "xgboost": [0.1] * 90}))
    expected = f"symbol='{'x' * 58}…, shares=<700>, table=<70000 x 9>, by_family=<2: lstm, xgboost>"
    assert text == f"Result({expected})"
    assert "table=<100>" in repr(Result("x", table=np.zeros(100)))
    assert repr(Result("x", (Slow(),) * 61)).startswith("Result(symbol='x', shares=<61>")  # type: ignore[arg-type]


def test_the_whole_is_short_however_many_values_there_are() -> None:
    names = [(f"value_{number}", str) for number in range(99)]
    many = make_dataclass("Many", names, bases=(Brief,), repr=False)
    text = repr(many(*("v" * 50 for _ in names)))
    assert text.startswith("Many(value_0='vvv")
    assert len(text) < 350


def test_every_result_that_holds_much_is_brief() -> None:
    classes = [
        kind
        for room in ROOMS
        for module in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}.")
        for name, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass)
        if kind.__module__ == module.name and is_dataclass(kind) and not name.startswith("_")
    ]
    large = [kind for kind in classes if any(w in str(f.type) for f in fields(kind) for w in LARGE)]
    assert len(large) > 30
    assert [kind for kind in large if not issubclass(kind, Brief)] == []
