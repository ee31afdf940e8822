"""What stores hold after imports, to be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from brain.series.store import SeriesStore
from market.imports import ImportResult, import_path
from tests.market.exchange_server import NOW

__all__ = ["assert_equal", "gaps", "put_in", "rows"]

KINDS = ("candles", "funding", "open_interest")


def put_in(store: SeriesStore, path: Path, **options: Any) -> ImportResult:
    """Import at the moment at which the fake exchanges stand."""
    return import_path(path, store, **{"now": NOW, **options})


def rows(store: SeriesStore, kind: str, **limits: Any) -> pd.DataFrame:
    return store.read(kind, **limits).drop(columns="collected")


def gaps(store: SeriesStore) -> pd.DataFrame:
    return store.read("gaps").drop(columns=["checked", "reason_since"])


def assert_equal(one: SeriesStore, other: SeriesStore) -> None:
    """Both hold the same rows and the same record of gaps."""
    for kind in KINDS:
        pd.testing.assert_frame_equal(rows(one, kind), rows(other, kind))
    pd.testing.assert_frame_equal(gaps(one), gaps(other))
