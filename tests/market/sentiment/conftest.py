"""Publishers on loopback, with credentials in the environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import pytest

from brain.series.store.store import SeriesStore
from brain.settings import load_settings
from market.collection.collector import DataCollector
from market.collection.results import CollectionResult
from tests.market.collectors import Library
from tests.market.sentiment.publisher_server import SECRETS, PublisherServer

Collect = Callable[..., CollectionResult]


@pytest.fixture
def publishers(monkeypatch: pytest.MonkeyPatch) -> Iterator[PublisherServer]:
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    with PublisherServer() as server:
        yield server


@pytest.fixture
def store(tmp_path: Any) -> SeriesStore:
    return SeriesStore(tmp_path / "series")


@pytest.fixture
def collect(publishers: PublisherServer, store: SeriesStore) -> Collect:
    """Collects sentiment into the store."""

    def run(
        names: Sequence[str], symbols: Sequence[str] = ("BTC/USDT",), hours: float = 24, **more: Any
    ) -> CollectionResult:
        settings = load_settings(
            {**publishers.settings(), "sentiment": ",".join(names), "request_timeout": 5.0, **more}
        )
        collector = DataCollector(Library(store), settings=settings)
        return collector.collect_all_data(symbols, hours, kinds=["sentiment"])

    return run


@pytest.fixture
def now() -> pd.Timestamp:
    return pd.Timestamp.now("UTC").floor("s")
