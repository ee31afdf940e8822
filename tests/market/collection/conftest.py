"""What most tests of collection start from; a module may have exchanges of another kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from brain.series.store import SeriesStore
from tests.market.exchange_server import ExchangeServer


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path / "series")


@pytest.fixture
def exchanges() -> Iterator[ExchangeServer]:
    with ExchangeServer(fillers=0, scale=60) as running:
        yield running
