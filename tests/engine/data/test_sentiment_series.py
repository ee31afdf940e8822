"""Sentiment from the store to the features: point in time, by one scorer, missing where unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from brain.series.bars import Bars
from brain.series.store.store import SeriesStore
from brain.settings import load_settings
from engine.data.dataset import make_dataset
from engine.data.frames import feature_frame
from engine.data.market_series import MarketSeries, open_markets, past_markets, read_market_series
from engine.data.sentiment_series import SentimentSeries, read_sentiment
from engine.kernels.features import FEATURES
from engine.kernels.market_features import MARKET_FEATURES
from engine.kernels.sentiment import SENTIMENT_FEATURES
from tests.engine.markets import market_of
from tests.engine.moods import sentiment_of
from tests.engine.simulate import simulate
from tests.market.collectors import Library

PUBLISHERS = ("feeds", "x", "fear_greed")


@pytest.fixture(scope="module")
def bars() -> Bars:
    return simulate(900, strength=0.0, seed=3, timeframe="1h").bars


@pytest.fixture(scope="module")
def sentiment(bars: Bars) -> SentimentSeries:
    return sentiment_of(bars)


@pytest.fixture
def store(tmp_path: Path, sentiment: SentimentSeries) -> SeriesStore:
    store = SeriesStore(tmp_path / "series")
    store.append("sentiment", sentiment.posts)
    store.append("indices", sentiment.index)
    return store


def of_sentiment(frame: pd.DataFrame) -> np.ndarray:
    return frame[list(SENTIMENT_FEATURES)].to_numpy()


def series_of(bars: Bars, sentiment: SentimentSeries | None) -> MarketSeries:
    return replace(market_of(bars), sentiment=sentiment)


def test_what_is_stored_is_what_the_features_are_made_of(
    store: SeriesStore, bars: Bars, sentiment: SentimentSeries
) -> None:
    stored = read_sentiment(store, bars.symbol, PUBLISHERS)
    assert stored is not None
    assert stored.digest == sentiment.digest
    assert list(stored.post_rows()) == ["feeds", "x"]
    direct = feature_frame(bars, series_of(bars, sentiment))
    np.testing.assert_array_equal(
        of_sentiment(feature_frame(bars, series_of(bars, stored))), of_sentiment(direct)
    )
    assert np.isfinite(of_sentiment(direct)[200:]).mean() > 0.95
    assert "id" not in stored.posts  # which nobody beyond the store needs


def test_without_publishers_or_rows_there_is_nothing_and_no_zero(
    store: SeriesStore, bars: Bars, tmp_path: Path
) -> None:
    for settings, names in (
        ({}, FEATURES),
        ({"sentiment": "x"}, (*FEATURES, *SENTIMENT_FEATURES)),
        ({"sentiment": "reddit"}, FEATURES),
    ):
        reader = open_markets(Library(store), load_settings(settings))  # type: ignore[arg-type]
        frame = feature_frame(bars, reader(bars.symbol))
        assert tuple(frame.columns) == tuple(names)
    # Of publishers that have no rows yet on a coin, beside the index, the posts are missing.
    only = read_sentiment(store, bars.symbol, ("fear_greed", "reddit"))
    rows = feature_frame(bars, series_of(bars, only))
    assert rows[[n for n in SENTIMENT_FEATURES if n != "fear_greed"]].isna().all().all()
    assert rows["fear_greed"].notna().mean() > 0.95
    assert read_sentiment(store, "NOBODY/USDT", ("x",)) is None
    assert read_sentiment(SeriesStore(tmp_path / "none"), bars.symbol, PUBLISHERS) is None


@given(place=st.integers(300, 899), seed=st.integers(0, 1000))
def test_at_a_moment_nothing_later_is_there_whatever_the_order_of_arrival(
    place: int, seed: int
) -> None:
    bars = _BARS
    sentiment = sentiment_of(bars, seed % 7)
    order = np.random.default_rng(seed).permutation(len(sentiment.posts))
    shuffled = SentimentSeries(sentiment.posts.iloc[order], sentiment.index)
    moment = bars.close_time[place]
    past = past_markets(lambda _: series_of(bars, shuffled), moment)(bars.symbol)
    assert past is not None
    assert past.sentiment is not None
    assert (past.sentiment.posts["available"] <= moment).all()
    whole = of_sentiment(feature_frame(bars, series_of(bars, sentiment)))
    known = of_sentiment(feature_frame(replace(bars, frame=bars.frame[: place + 1]), past))
    np.testing.assert_array_equal(known, whole[: place + 1])


_BARS = simulate(900, strength=0.0, seed=4, timeframe="1h").bars


def test_scores_of_two_scorers_are_never_mixed(bars: Bars, sentiment: SentimentSeries) -> None:
    cut = bars.close_time[600]
    later = sentiment.posts["available"] > cut
    posts = sentiment.posts.assign(
        scorer_version=np.where(later, "2", "1"), score=np.where(later, 0.25, -0.75)
    )
    mixed = SentimentSeries(posts, sentiment.index)
    rows = feature_frame(bars, series_of(bars, mixed))
    assert rows["mood_24"][:600].isna().all()
    assert set(rows["mood_24"][640:].dropna()) == {0.25}
    before = mixed.at(cut)
    assert before is not None
    past = feature_frame(bars, series_of(bars, before))
    assert set(past["mood_24"][200:600].dropna()) == {-0.75}


def test_a_line_with_sentiment_is_another_one_and_the_others_keep_their_features(
    bars: Bars, sentiment: SentimentSeries
) -> None:
    whole = make_dataset(bars, horizon=1, market=series_of(bars, sentiment))
    assert whole.feature_set == "bars-1+market-1+sentiment-1"
    assert whole.names == (*FEATURES, *MARKET_FEATURES, *SENTIMENT_FEATURES)
    plain = make_dataset(bars, horizon=1, market=series_of(bars, None))
    of_old = whole.of_features("bars-1+market-1")
    np.testing.assert_array_equal(of_old.features, plain.features)
    assert of_old.feature_set == plain.feature_set == "bars-1+market-1"
    assert not of_old.memory.sentiment
    assert whole.memory.sentiment
    alone = whole.of_features("bars-1+sentiment-1")
    assert alone.names == (*FEATURES, *SENTIMENT_FEATURES)
    with pytest.raises(InputError, match="mood_4"):
        plain.of_features("bars-1+sentiment-1")
    assert whole.digest != plain.digest


def test_a_symbol_without_a_perpetual_has_sentiment_alone(store: SeriesStore, bars: Bars) -> None:
    settings = load_settings({"sentiment": "x"})
    reader = open_markets(Library(store), settings)  # type: ignore[arg-type]
    market = reader(bars.symbol)
    assert market is not None
    assert not market.perpetual
    dataset = make_dataset(bars, horizon=1, market=market)
    assert dataset.feature_set == "bars-1+sentiment-1"
    assert not dataset.memory.market
    assert read_market_series(store, "SIM", ("okx",), "1h", ("x",)) is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [({"score": None}, "no column 'score'"), ({"time": "naive"}, "moments with a zone")],
)
def test_rows_of_another_form_are_refused(
    sentiment: SentimentSeries, change: dict[str, Any], message: str
) -> None:
    posts = sentiment.posts
    for name, value in change.items():
        posts = posts.drop(columns=name) if value is None else posts.assign(
            **{name: posts[name].dt.tz_localize(None)}
        )  # fmt: skip
    with pytest.raises(InputError, match=message):
        SentimentSeries(posts, sentiment.index)
