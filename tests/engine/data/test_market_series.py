"""Market series: read from the store, joined to bars, and missing where they are missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError
from brain.naming import Family, Fill
from brain.series.bars import Bars, check_bars
from brain.series.store.store import SeriesStore
from engine.data.dataset import Dataset, make_dataset
from engine.data.frames import feature_frame
from engine.data.market_series import MarketSeries, read_market_series
from engine.evaluation.metrics import net_returns
from engine.evaluation.trading import trading_of
from engine.families import family
from engine.kernels.features import FEATURE_SET, FEATURES
from engine.kernels.market_features import MARKET_FEATURES
from tests.engine.markets import market_of
from tests.engine.simulate import simulate

SYMBOL = "SIM/USD"
MARKET = list(MARKET_FEATURES)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return simulate(1200, strength=0.3, seed=3, symbol=SYMBOL).bars


@pytest.fixture(scope="module")
def market(bars: Bars) -> MarketSeries:
    """Known from the 400th bar on."""
    return market_of(bars, first=400)


@pytest.fixture(scope="module")
def dataset(bars: Bars, market: MarketSeries) -> Dataset:
    return make_dataset(bars, horizon=4, market=market)


# --- joined to bars -----------------------------------------------------------------------------


def test_market_features_follow_those_of_the_bars_on_their_grid(
    bars: Bars, market: MarketSeries
) -> None:
    frame = feature_frame(bars, market)
    assert list(frame.columns) == [*FEATURES, *MARKET_FEATURES]
    pd.testing.assert_index_equal(frame.index, bars.frame.index)
    pd.testing.assert_frame_equal(frame[list(FEATURES)], feature_frame(bars), check_exact=True)
    valid = frame[MARKET].notna()
    assert not valid[:399].any().any()
    assert valid[600:].mean().min() > 0.7


def test_a_row_is_joined_at_the_close_and_not_at_the_open(bars: Bars) -> None:
    moment = bars.close_time[500]
    funding = pd.DataFrame(
        {
            "exchange": "binance",
            "time": [moment],
            "rate": 1e-4,
            "interval_hours": 8.0,
            "available": [moment],
        }
    )
    series = MarketSeries(SYMBOL, funding, market_of(bars).open_interest[:0])
    valid = feature_frame(bars, series)["funding_8h"].notna()
    assert valid.to_numpy().nonzero()[0].tolist() == list(range(500, 517))


def test_the_order_of_rows_and_the_unit_of_times_do_not_matter(
    bars: Bars, market: MarketSeries
) -> None:
    times = dict.fromkeys(("time", "available"), "datetime64[s, UTC]")
    shuffled = MarketSeries(
        SYMBOL,
        market.funding.sample(frac=1.0, random_state=1),
        market.open_interest.sample(frac=1.0, random_state=1),
    )
    coarse = MarketSeries(SYMBOL, market.funding.astype(times), market.open_interest.astype(times))
    expected = feature_frame(bars, market)
    for other in (shuffled, coarse):
        assert other.digest == market.digest
        pd.testing.assert_frame_equal(feature_frame(bars, other), expected, check_exact=True)


def test_a_row_that_was_never_published_does_not_count(bars: Bars, market: MarketSeries) -> None:
    hidden = market.funding.copy()
    hidden.loc[hidden.index[::2], "available"] = pd.NaT
    with_gaps = MarketSeries(SYMBOL, hidden, market.open_interest)
    without = MarketSeries(SYMBOL, hidden.dropna(subset="available"), market.open_interest)
    pd.testing.assert_frame_equal(feature_frame(bars, with_gaps), feature_frame(bars, without))


def test_series_of_another_symbol_are_refused(bars: Bars, market: MarketSeries) -> None:
    with pytest.raises(InputError, match=r"of BTC/USDT and the bars of SIM/USD; give"):
        feature_frame(bars, replace(market, symbol="BTC/USDT"))
    feature_frame(bars, replace(market, symbol="SIM/USD:USD"))  # the same perpetual


def test_incomplete_series_are_refused(market: MarketSeries) -> None:
    with pytest.raises(InputError, match="funding has no column 'rate'; give exchange, time"):
        replace(market, funding=market.funding.drop(columns="rate"))
    naive = market.open_interest["time"].dt.tz_localize(None)
    with pytest.raises(InputError, match=r"open interest's time is datetime64\[us\]; give moments"):
        replace(market, open_interest=market.open_interest.assign(time=naive))


# --- datasets -----------------------------------------------------------------------------------


def test_a_dataset_names_its_columns_and_their_set(bars: Bars, dataset: Dataset) -> None:
    plain = make_dataset(bars, horizon=4)
    assert (plain.names, plain.feature_set) == (FEATURES, FEATURE_SET)
    assert plain.digest == bars.digest
    assert dataset.names == (*FEATURES, *MARKET_FEATURES)
    assert dataset.feature_set == "bars-1+market-1"
    assert dataset.features.shape == (len(bars.frame), len(dataset.names))
    assert np.array_equal(dataset.features[:, : len(FEATURES)], plain.features, equal_nan=True)
    assert np.array_equal(dataset.target, plain.target, equal_nan=True)


@pytest.mark.parametrize("kind", ["funding", "open_interest"])
def test_another_value_of_the_market_is_another_dataset(
    bars: Bars, market: MarketSeries, dataset: Dataset, kind: str
) -> None:
    frame = getattr(market, kind).copy()
    column = "rate" if kind == "funding" else "usd"
    frame.loc[frame.index[-1], column] = 0.5
    other = make_dataset(bars, horizon=4, market=replace(market, **{kind: frame}))
    assert len({bars.digest, dataset.digest, other.digest}) == 3
    again = replace(market, **{kind: getattr(market, kind).copy()})
    assert make_dataset(bars, horizon=4, market=again).digest == dataset.digest


@pytest.mark.parametrize("name", Family)
def test_every_family_takes_the_market_as_missing_where_it_is(
    dataset: Dataset, name: Family
) -> None:
    quick = {"window": 4, "hidden": 8, "epochs": 10, "batch": 64, "learning_rate": 0.02}
    hyperparameters = quick if name is Family.LSTM else {"rounds": 30}
    # What is foretold hangs on whether the market is known, so that a model can learn nothing else.
    silent = np.isnan(dataset.features[:, -len(MARKET) :]).all(axis=1)
    assert 0.2 < silent.mean() < 0.5
    noise = np.random.default_rng(0).standard_normal(len(dataset))
    model = family(name).fit(
        dataset.features, 3.0 * silent + 0.5 * noise, hyperparameters=hyperparameters, seed=1
    )

    present, unknown, zero = (dataset.features[700:].copy() for _ in range(3))
    unknown[:, -len(MARKET) :] = np.nan
    zero[:, -len(MARKET) :] = 0.0
    predictions = [model.predict(rows)[model.look_back - 1 :] for rows in (present, unknown, zero)]
    assert all(np.isfinite(prediction).all() for prediction in predictions)
    with_market, without, with_zeros = (float(np.median(prediction)) for prediction in predictions)
    assert without - with_market > 1.0
    assert without - with_zeros > 1.0


# --- the store ----------------------------------------------------------------------------------


def test_what_is_stored_is_read_back(tmp_path: Path, bars: Bars, market: MarketSeries) -> None:
    store = SeriesStore(str(tmp_path / "series"))
    assert read_market_series(store, SYMBOL, (), "1h") is None
    store.upsert("funding", market.funding)
    store.upsert("open_interest", market.open_interest)
    series = read_market_series(store, SYMBOL, ("binance", "bybit", "okx"), "1h")
    assert series is not None
    assert series.symbol == SYMBOL
    assert series.digest == market.digest
    expected = feature_frame(bars, market)
    pd.testing.assert_frame_equal(feature_frame(bars, series), expected, check_exact=True)

    every = read_market_series(store, "SIM/USD:USD", (), "1h")
    assert every is not None
    assert every.symbol == "SIM/USD:USD"
    one = read_market_series(store, SYMBOL, ("okx",), "1h")
    assert one is not None
    assert set(one.funding["exchange"]) == {"okx"}


def test_open_interest_of_another_timeframe_is_another_series(
    tmp_path: Path, market: MarketSeries
) -> None:
    store = SeriesStore(str(tmp_path / "series"))
    store.upsert("open_interest", market.open_interest)
    before = read_market_series(store, SYMBOL, (), "1h")
    store.upsert("open_interest", market.open_interest.assign(timeframe="4h", base=1.0))
    after = read_market_series(store, SYMBOL, (), "1h")
    assert before is not None
    assert after is not None
    assert after.digest == before.digest


def test_what_is_not_stored_is_none(tmp_path: Path, market: MarketSeries) -> None:
    store = SeriesStore(str(tmp_path / "series"))
    store.upsert("funding", market.funding)
    assert read_market_series(store, "BTC/USDT", (), "1h") is None
    assert read_market_series(store, SYMBOL, ("kraken",), "1h") is None
    assert read_market_series(store, "SPX", (), "1h") is None  # no perpetual is of that name
    with pytest.raises(InputError, match="not a symbol"):
        read_market_series(store, "no symbol", (), "1h")
    half = read_market_series(store, SYMBOL, (), "1h")
    assert half is not None
    assert half.open_interest.empty
    assert (
        repr(half)
        == f"MarketSeries(SIM/USD, {len(half.funding)} settlements, 0 rows of open interest)"
    )


# --- paid by positions --------------------------------------------------------------------------


def test_positions_pay_the_funding_of_their_exchange_where_it_is_told(
    bars: Bars, market: MarketSeries
) -> None:
    exchange = str(market.funding["exchange"].iloc[0])
    data = make_dataset(bars, horizon=4, market=market, funding_exchange=exchange)
    rows = market.settlements(exchange)
    assert (np.diff(rows.time_ns) > 0).all()
    assert data.funding is not None
    paid = data.funding.before + data.funding.after
    assert np.isnan(paid[:300]).all()  # before the first settlement
    told = np.isfinite(paid)
    assert told.any()
    assert np.count_nonzero(paid[told]) > 0
    net = net_returns(np.ones(len(data)), trading_of(data, 0.0))
    gross = net_returns(np.ones(len(data)), replace(trading_of(data, 0.0), funding=None))
    assert np.isnan(net[1:][~told[1:]]).all()
    assert np.nanmax(np.abs((net - gross)[told])) > 0


def test_without_series_what_a_perpetual_pays_is_unknown_and_spot_pays_nothing(bars: Bars) -> None:
    perpetual = make_dataset(bars, horizon=4, funding_exchange="okx")
    assert perpetual.funding is not None
    assert np.isnan(perpetual.funding.after).all()
    assert make_dataset(bars, horizon=4).funding is None


# --- fills in finer bars ------------------------------------------------------------------------


def finer_bars(bars: Bars, *, lacking: int = 0) -> Bars:
    """Half bars: the first half of each bar opens a little aside, and closes in its middle."""
    frame = bars.frame
    middle = (frame["high"] + frame["low"]) / 2
    first = frame.assign(open=frame["open"] * 1.0001, close=middle)
    first["high"] = first[["open", "high", "close"]].max(axis=1)
    second = frame.assign(open=middle * 1.00001).set_axis(frame.index + pd.Timedelta("30min"))
    halves = pd.concat([first, second]).sort_index()
    return check_bars(halves.iloc[2 * lacking :], symbol=SYMBOL, timeframe="30m")


def test_finer_bars_tell_the_first_price_after_a_close(bars: Bars, market: MarketSeries) -> None:
    finer = finer_bars(bars)
    data = make_dataset(bars, horizon=4, market=replace(market, finer=finer))
    assert data.fill is Fill.FINER
    expected = 1.0001 * bars.frame["open"].to_numpy()[1:]
    np.testing.assert_allclose(data.fill_price[:-1], expected, rtol=1e-12)
    assert np.isnan(data.fill_price[-1])
    plain = make_dataset(bars, horizon=4, market=market)
    np.testing.assert_array_equal(data.features, plain.features)
    assert data.target_name != plain.target_name
    assert data.digest != plain.digest


def test_finer_bars_of_a_part_of_the_history_do_not_count_unless_they_are_asked_for(
    bars: Bars, market: MarketSeries
) -> None:
    part = replace(market, finer=finer_bars(bars, lacking=300))
    assert make_dataset(bars, horizon=4, market=part).fill is Fill.OPEN
    forced = make_dataset(bars, horizon=4, market=part, fill=Fill.FINER)
    assert np.isnan(forced.fill_price[:299]).all()
    assert np.isfinite(forced.fill_price[299:-1]).all()
    with pytest.raises(InputError, match="has no finer bars than 1h"):
        make_dataset(bars, horizon=4, market=market, fill=Fill.FINER)


def test_finer_candles_are_read_from_the_store(tmp_path: Path, bars: Bars) -> None:
    store = SeriesStore(tmp_path / "series")
    settlements = market_of(bars, first=0).funding.assign(symbol="SIM/USD:USD")
    store.upsert("funding", settlements[settlements["exchange"] == "okx"])
    assert read_market_series(store, SYMBOL, ["okx"], "1h").finer is None  # type: ignore[union-attr]
    finer = finer_bars(bars)
    candles = finer.frame.rename_axis("time").reset_index()
    candles = candles.assign(
        exchange="okx",
        symbol="SIM/USD:USD",
        timeframe="30m",
        available=candles["time"] + pd.Timedelta("30min"),
    )
    store.upsert("candles", candles)
    series = read_market_series(store, SYMBOL, ["okx"], "1h")
    assert series is not None
    assert series.finer is not None
    pd.testing.assert_series_equal(
        series.finer.frame["close"], finer.frame["close"], check_names=False, check_freq=False
    )
