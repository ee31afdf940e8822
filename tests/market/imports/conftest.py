"""A store, and a folder of files as Binance publishes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain.series.store import SeriesStore
from tests.market.exchange_server import Truth
from tests.market.imports.published import Published


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path / "series")


@pytest.fixture
def published(tmp_path: Path) -> Published:
    return Published(tmp_path / "data", Truth(fillers=0))
