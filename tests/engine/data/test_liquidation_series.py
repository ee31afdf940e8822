"""Liquidations from the store to the features: point in time, missing where not listened to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from brain.naming import perpetual
from brain.series.bars import Bars
from brain.series.store.store import SeriesStore
from brain.settings import load_settings
from engine.data.dataset import make_dataset
from engine.data.frames import feature_frame
from engine.data.liquidation_series import LiquidationSeries, read_liquidations
from engine.data.market_series import MarketSeries, open_markets, past_markets
from engine.kernels.features import FEATURES
from engine.kernels.liquidations import LIQUIDATION_FEATURES
from tests.engine.forced import liquidations_of
from tests.engine.markets import market_of
from tests.engine.simulate import simulate
from tests.market.collectors import Library
from tests.market.listened import store_listened

BARS = replace(simulate(900, strength=0.0, seed=3, timeframe="1h").bars, symbol="SIM/USDT")


def of_liquidations(frame: pd.DataFrame) -> np.ndarray:
    return frame[list(LIQUIDATION_FEATURES)].to_numpy()


def series_of(liquidations: LiquidationSeries | None, bars: Bars = BARS) -> MarketSeries:
    return replace(market_of(bars), liquidations=liquidations)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SeriesStore:
    """Thirty days that were listened to at two exchanges, but for a day at one of them."""
    store = SeriesStore(tmp_path_factory.mktemp("series"))
    end = BARS.close_time[-1]
    days = (end - pd.Timedelta(days=3), end - pd.Timedelta(days=2))
    start = end - pd.Timedelta(days=30)
    store_listened(store, perpetual(BARS.symbol), {"bybit": None, "okx": days}, start, end)
    return store


def test_what_is_stored_is_what_the_features_are_made_of(store: SeriesStore) -> None:
    stored = read_liquidations(store, BARS.symbol, ("bybit", "okx"))
    assert stored is not None
    assert list(stored.rows()) == ["bybit", "okx"]
    frame = feature_frame(BARS, series_of(stored))
    known = np.isfinite(of_liquidations(frame))
    # Of thirty days all is known a week after their beginning, whatever okx did.
    assert known[-500:].all()
    assert not known[:150].any()
    alone = read_liquidations(store, BARS.symbol, ("okx",))
    features = feature_frame(BARS, series_of(alone))["liq_side_1"].to_numpy()
    assert np.isnan(features[-71:-48]).all()
    assert np.isfinite(features[-47:]).mean() > 0.9


def test_without_streams_or_listening_there_is_nothing_and_no_zero(
    store: SeriesStore, tmp_path: Path
) -> None:
    for settings, names in (
        ({}, FEATURES),
        ({"liquidations": "bybit,okx"}, (*FEATURES, *LIQUIDATION_FEATURES)),
        ({"liquidations": "binance"}, FEATURES),
    ):
        reader = open_markets(Library(store), load_settings(settings))  # type: ignore[arg-type]
        assert tuple(feature_frame(BARS, reader(BARS.symbol)).columns) == names
    assert read_liquidations(store, "SIM/EUR", ("bybit",)) is None
    assert read_liquidations(store, BARS.symbol, ()) is None
    assert read_liquidations(SeriesStore(tmp_path), BARS.symbol, ("bybit",)) is None


@given(place=st.integers(300, 899), seed=st.integers(0, 3))
def test_at_a_moment_nothing_later_is_there_whatever_the_order_of_arrival(
    place: int, seed: int
) -> None:
    liquidations, whole = _world(seed)
    moment = BARS.close_time[place]
    past = past_markets(lambda _: series_of(liquidations), moment)(BARS.symbol)
    assert past is not None
    known = feature_frame(replace(BARS, frame=BARS.frame[: place + 1]), past)
    np.testing.assert_array_equal(of_liquidations(known), whole[: place + 1])


_WORLDS: dict[int, tuple[LiquidationSeries, np.ndarray]] = {}


def _world(seed: int) -> tuple[LiquidationSeries, np.ndarray]:
    if seed not in _WORLDS:
        liquidations = liquidations_of(BARS, seed)
        whole = of_liquidations(feature_frame(BARS, series_of(liquidations)))
        _WORLDS[seed] = liquidations, whole
    return _WORLDS[seed]


def test_equal_rows_have_one_digest_whatever_their_order() -> None:
    one, other = liquidations_of(BARS, 1), liquidations_of(BARS, 1)
    shuffled = LiquidationSeries(one.minutes.sample(frac=1.0, random_state=2))
    assert one.digest == shuffled.digest == other.digest
    more = np.where(np.arange(len(one.minutes)) == 5, 0.01, 0.0)
    changed = one.minutes.assign(long_usd=one.minutes["long_usd"] + more)
    assert LiquidationSeries(changed).digest != one.digest
    assert series_of(one).digest != series_of(None).digest


def test_a_dataset_has_the_feature_set_and_the_champions_goes_without() -> None:
    dataset = make_dataset(BARS, horizon=6, market=series_of(liquidations_of(BARS)))
    assert dataset.feature_set == "bars-1+market-1+liquidations-1"
    assert dataset.names[-len(LIQUIDATION_FEATURES) :] == LIQUIDATION_FEATURES
    assert len(dataset.memory.liquidations["exchanges"]) == 2
    plain = dataset.of_features("bars-1+market-1")
    assert plain.memory.liquidations == {}
    assert not set(plain.names) & set(LIQUIDATION_FEATURES)
    expected = make_dataset(BARS, horizon=6, market=series_of(None))
    np.testing.assert_array_equal(plain.features, expected.features)


def test_rows_that_are_none_are_refused() -> None:
    minutes = liquidations_of(BARS).minutes
    with pytest.raises(InputError, match="no column 'short_usd'"):
        LiquidationSeries(minutes.drop(columns="short_usd"))
    with pytest.raises(InputError, match="moments with a zone"):
        LiquidationSeries(minutes.assign(time=minutes["time"].dt.tz_localize(None)))
