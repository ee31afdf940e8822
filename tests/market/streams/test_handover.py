"""What a stream stores, handed to an executor, decides as the training's features do."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError
from brain.naming import Family, perpetual
from brain.series.store.store import SeriesStore
from engine.data.dataset import make_dataset
from engine.data.frames import feature_frame
from engine.data.liquidation_series import read_liquidations
from engine.data.market_series import MarketSeries
from market.streams.handover import Handover
from serving import Hamilton, Limits
from tests.engine.forced import liquidations_alone
from tests.engine.simulate import simulate
from tests.market.exchange_server import EXCHANGES, ExchangeServer
from tests.market.listened import store_listened
from tests.market.streams.streaming import CALM, CALM_PACE, run, stream
from tests.serving.desk import HORIZON, Models, bars_of, fit, head

TRAINED, UNTIL = 800, 850
SYMBOL = "SIM/USDT"
BARS = replace(simulate(900, strength=0.0, seed=3, timeframe="1h").bars, symbol=SYMBOL)


def candles_of(first: int, last: int, exchange: str = "bybit") -> pd.DataFrame:
    """Bars as a stream stores them."""
    frame = BARS.frame[first:last].reset_index(names="time")
    names = {"exchange": exchange, "symbol": perpetual(SYMBOL), "timeframe": "1h"}
    return frame.assign(**names, available=frame["time"] + BARS.step)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SeriesStore:
    store = SeriesStore(tmp_path_factory.mktemp("series"))
    end = BARS.close_time[-1]
    missed = (end - pd.Timedelta(hours=50), end - pd.Timedelta(hours=40))
    stretches = {"bybit": missed, "okx": None}
    start = end - pd.Timedelta(days=25)
    store_listened(store, perpetual(SYMBOL), stretches, start, end, an_hour=30.0)
    return store


@pytest.fixture(scope="module")
def market(store: SeriesStore) -> MarketSeries:
    return liquidations_alone(SYMBOL, read_liquidations(store, SYMBOL, ("bybit", "okx")))


@pytest.fixture(scope="module")
def models(market: MarketSeries, tmp_path_factory: pytest.TempPathFactory) -> Models:
    moment = BARS.close_time[TRAINED - 1]
    dataset = make_dataset(head(BARS, TRAINED), horizon=HORIZON, market=market.at(moment))
    models = Models(tmp_path_factory.mktemp("models"))
    models.add(fit(Family.LIGHTGBM, dataset), dataset)
    return models


def test_decisions_are_those_of_the_features_of_what_is_stored(
    store: SeriesStore, market: MarketSeries, models: Models
) -> None:
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    handover = Handover(hamilton, store, [SYMBOL], "bybit", "1h", ("bybit", "okx"))
    champion = hamilton.champion(SYMBOL, "low")
    batch = feature_frame(BARS, market).to_numpy()
    compared = 0
    place = TRAINED
    while place < UNTIL:
        bars = 3 if place == TRAINED + 30 else 1  # some are stored together after a pause
        rows = candles_of(place, place + bars)
        handover("snapshots", rows)  # which are no bars
        handover("candles", pd.concat([candles_of(place, place + bars, "okx"), rows[::-1]]))
        place += bars
        decision = hamilton.last_decision(SYMBOL)
        assert decision is not None
        assert decision.time == bars_of(BARS, place - 1)[0].close_time
        if decision.version is not None:
            expected = champion.predict(batch[place - 1])
            assert decision.prediction == expected
            compared += math.isfinite(expected)
    assert compared > 40
    assert np.isfinite(batch[TRAINED:UNTIL, -6:]).mean() > 0.9


class _Broken:
    """An executor that refuses the bars of one symbol."""

    def __init__(self) -> None:
        self.taken: list[Any] = []

    def bar(self, symbol: str, *values: Any) -> None:
        if symbol == SYMBOL:
            raise InputError("it comes after a later one")
        self.taken.append((symbol, *values))

    def row(self, *values: Any) -> None:
        self.taken.append(values)


def test_what_an_executor_refuses_is_told_and_a_stream_goes_on(
    store: SeriesStore, caplog: pytest.LogCaptureFixture
) -> None:
    broken = _Broken()
    handover = Handover(broken, store, [SYMBOL, "OTHER/USDT"], "bybit", "1h")
    rows = candles_of(0, 1)
    others = rows.assign(symbol="OTHER/USDT:USDT")
    strangers = rows.assign(symbol="NOBODY/USDT:USDT")
    with caplog.at_level(logging.ERROR):
        handover("candles", pd.concat([rows, others, strangers]))
    assert "SIM/USDT: what is stored could not be handed on: it comes after" in caplog.text
    assert [taken[0] for taken in broken.taken] == ["OTHER/USDT"]


@pytest.mark.soak
def test_a_stream_hands_on_each_closed_bar_once(tmp_path: Path) -> None:
    class Taker:
        def __init__(self) -> None:
            self.bars: list[pd.Timestamp] = []
            self.minutes: list[tuple[Any, ...]] = []

        def bar(self, symbol: str, *values: Any) -> None:
            assert symbol == "BTC/USDT"
            self.bars.append(values[-1])

        def row(self, kind: str, symbol: str, *values: Any) -> None:
            assert (kind, symbol) == ("liquidations", "BTC/USDT")
            self.minutes.append(values)

    taker, store = Taker(), SeriesStore(tmp_path / "series")
    with ExchangeServer(fillers=0, live={"scale": CALM}) as server:
        handover = Handover(taker, store, ["BTC/USDT"], "bybit", "1m", EXCHANGES)
        one = stream(server, tmp_path, store=store, stored=handover, pace=CALM_PACE)
        run(one, 200.0)
    candles = store.read("candles", exchange="bybit", symbol="BTC/USDT:USDT")
    closes = candles["time"] + pd.Timedelta(minutes=1)
    assert len(closes) >= 3
    assert taker.bars == list(closes)
    assert len(taker.minutes) == len({values[:2] for values in taker.minutes}) >= 2
