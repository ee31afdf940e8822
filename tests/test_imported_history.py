"""Imported history in the Engine's hands: bars, funding and open interest as collected ones."""

from __future__ import annotations

import numpy as np
import pytest

from brain.naming import Product
from brain.series.source import bars_of
from brain.series.store import SeriesStore
from brain.settings import load_settings
from engine.data.frames import feature_frame
from engine.data.market_series import read_market_series
from engine.night.symbols import _funding_exchange, _plan, _product
from tests.market.exchange_server import NOW, Truth
from tests.market.imports.imported import put_in
from tests.market.imports.published import Published, days


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SeriesStore:
    """Two months of hours, spot and futures; open interest of five minutes of the second."""
    folder = tmp_path_factory.mktemp("imported")
    published = Published(folder / "data", Truth(fillers=0))
    for month in ("2025-02", "2025-03"):
        published.klines("BTC", "1h", month)
        published.klines("BTC", "1h", month, spot=True)
        published.funding("BTC", month)
    for day in days("2025-03-01", "2025-03-31"):
        published.metrics("BTC", day)
    store = SeriesStore(folder / "series")
    assert not put_in(store, published.root).failures
    return store


def test_features_know_what_was_imported(store: SeriesStore) -> None:
    bars = bars_of(store, "binance", "BTC/USDT", "1h", now=NOW)
    assert len(bars.frame) == (28 + 31) * 24
    market = read_market_series(store, "BTC/USDT", ["binance"], "1h")
    assert market is not None
    known = feature_frame(bars, market)[["funding_8h", "oi_change_24"]].notna()
    assert known["funding_8h"][8:].all()
    march = known.index >= "2025-03-02 01:00"
    assert known["oi_change_24"][march].all()
    assert not known["oi_change_24"][:"2025-02-28"].any()  # missing, and never 0


def test_spot_bars_are_spot_and_take_the_perpetuals_funding(store: SeriesStore) -> None:
    spot = bars_of(store, "binance-spot", "BTC/USDT", "1h", now=NOW)
    perpetual = bars_of(store, "binance", "BTC/USDT", "1h", now=NOW)
    np.testing.assert_array_equal(spot.frame["close"], perpetual.frame["close"])  # as published
    alone = load_settings({"exchanges": "binance-spot", "symbols": "BTC/USDT"})
    assert (_product(alone), _funding_exchange(alone)) == (Product.SPOT, None)
    assert _plan(alone, "BTC/USDT").costs.fee == 10.0  # of Binance's spot market
    assert read_market_series(store, "BTC/USDT", alone.exchanges, "1h") is None
    both = load_settings({"exchanges": "binance-spot,binance", "symbols": "BTC/USDT"})
    market = read_market_series(store, "BTC/USDT", both.exchanges, "1h")
    assert market is not None
    assert set(market.funding["exchange"]) == {"binance"}


def test_the_perpetual_stays_a_perpetual() -> None:
    futures = load_settings({"exchanges": "binance", "symbols": "BTC/USDT"})
    assert (_product(futures), _funding_exchange(futures)) == (Product.PERPETUAL, "binance")
    assert _plan(futures, "BTC/USDT").costs.fee == 5.0
