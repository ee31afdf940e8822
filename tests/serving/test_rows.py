"""Rows of other kinds than bars: funding, open interest, a model's own columns."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError
from brain.naming import Family
from brain.series.bars import Bars
from engine.data.dataset import Dataset, make_dataset
from engine.data.frames import feature_frame
from engine.data.market_series import MarketSeries
from serving import Decision, Hamilton, Limits
from tests.engine.markets import market_of
from tests.engine.moods import sentiment_of
from tests.serving.conftest import TRAINED
from tests.serving.desk import HORIZON, Models, bars_of, fit, give, head, sample

SYMBOL = "ETH/USD"
NEW = bars_of(sample(), TRAINED)
TIME = NEW[0].close_time


@pytest.fixture(scope="module")
def market() -> MarketSeries:
    sentiment = sentiment_of(sample(), first=900)
    return replace(market_of(sample(), first=900), sentiment=sentiment)


def models_of(folder: Path, dataset: Dataset, name: Family = Family.LIGHTGBM) -> Models:
    models = Models(folder)
    models.add(fit(name, dataset), dataset)
    return models


def rows_of(market: MarketSeries) -> list[tuple[int, str, str, int, int, dict[str, float]]]:
    """All rows of a market, by the moment at which they are public."""
    rows: list[tuple[int, str, str, int, int, dict[str, float]]] = []
    assert market.sentiment is not None
    posts = market.sentiment.posts.assign(exchange=market.sentiment.posts["publisher"])
    parts: tuple[tuple[str, pd.DataFrame, tuple[str, ...]], ...] = (
        ("funding", market.funding, ("rate", "interval_hours")),
        ("open_interest", market.open_interest, ("base", "usd")),
        ("post", posts, ("score",)),
        ("index", market.sentiment.index.assign(exchange=""), ("value",)),
    )
    for kind, frame, names in parts:
        known = frame.dropna(subset=["time", "available"])
        times = [
            pd.DatetimeIndex(known[n]).as_unit("ns").asi8.tolist() for n in ("time", "available")
        ]
        numbers = known[list(names)].to_numpy(dtype=np.float64).tolist()
        for exchange, time, available, row in zip(known["exchange"], *times, numbers, strict=True):
            values = dict(zip(names, row, strict=True))
            rows.append((available, kind, str(exchange), time, available, values))
    return sorted(rows, key=lambda row: row[0])


@pytest.mark.parametrize("name", [Family.LIGHTGBM, Family.LSTM])
def test_rows_of_the_market_count_as_in_the_batch(
    name: Family, market: MarketSeries, tmp_path: Path
) -> None:
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON, market=market)
    models = models_of(tmp_path, dataset, name)
    batch = feature_frame(sample(), market).to_numpy()
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off(), journal=tmp_path / "journal")
    champion = hamilton.champion(SYMBOL, "low")
    rows = [row for row in rows_of(market) if row[0] > dataset.close_time[-1].value]
    assert {row[1] for row in rows} == {"funding", "open_interest", "post", "index"}
    decisions: list[Decision] = []
    for place, bar in enumerate(NEW):
        if place == 100:  # a restart
            hamilton.close()
            hamilton = Hamilton(models, [SYMBOL], limits=Limits.off(), journal=tmp_path / "journal")
        while rows and rows[0][0] <= bar.close_time:
            _, kind, exchange, time, available, values = rows.pop(0)
            hamilton.row(kind, SYMBOL, exchange, time, available, values)
        decisions += give(hamilton, SYMBOL, [bar])
    compared = 0
    for decision in decisions:
        if decision.version is None or "needs" in decision.reason:
            continue
        row = TRAINED + (decision.time - TIME) // (86_400 * 10**9)
        window = batch[row - champion.look_back + 1 : row + 1]
        expected = champion.predict(window if champion.look_back > 1 else window[0])
        assert decision.prediction == expected
        compared += 1
    assert compared > 200


def test_a_champion_without_its_rows_decides_nothing_and_says_which(
    market: MarketSeries, tmp_path: Path
) -> None:
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON, market=market)
    hamilton = Hamilton(models_of(tmp_path, dataset), [SYMBOL], limits=Limits.off())
    missing = "of which no row was given"
    (first,) = give(hamilton, SYMBOL, NEW[:1])
    needs = "funding, index, open_interest, post"
    assert first.reason == f"ETH-USD.1d.6/1 needs {needs}, {missing}"
    assert (first.position, first.version) == (0.0, "ETH-USD.1d.6/1")
    assert math.isnan(first.prediction)
    values = {"rate": 0.0001, "interval_hours": 8.0}
    hamilton.row("funding", SYMBOL, "binance", TIME, TIME, values)
    hamilton.row("post", SYMBOL, "x", TIME, TIME, {"score": 0.5})
    hamilton.row("index", SYMBOL, "", TIME, TIME, {"value": 40.0})
    assert give(hamilton, SYMBOL, NEW[1:2])[0].reason.endswith(f"needs open_interest, {missing}")
    hamilton.row("open_interest", SYMBOL, "binance", TIME, TIME, {"base": 10.0})
    assert math.isfinite(give(hamilton, SYMBOL, NEW[2:3])[0].prediction)


def own_bars() -> Bars:
    """The sample with two own columns, one with holes."""
    rng = np.random.default_rng(5)
    frame = sample().frame.copy()
    frame["vix"] = rng.normal(20.0, 3.0, len(frame))
    frame["mood"] = np.where(rng.random(len(frame)) < 0.2, np.nan, rng.random(len(frame)))
    return replace(sample(), frame=frame)


def test_own_columns_are_of_the_bar_that_closes_at_their_time(tmp_path: Path) -> None:
    bars = own_bars()
    dataset = make_dataset(head(bars, TRAINED), horizon=HORIZON)
    models = models_of(tmp_path, dataset)
    batch = feature_frame(bars).to_numpy()
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    champion = hamilton.champion(SYMBOL, "low")
    assert champion.names[-2:] == ("vix", "mood")
    (decision,) = give(hamilton, SYMBOL, NEW[:1])
    assert decision.reason == "ETH-USD.1d.6/1 needs mood, vix, of which no row was given"
    for place, bar in enumerate(NEW[1:], start=TRAINED + 1):
        own = dict(zip(("vix", "mood"), batch[place, -2:].tolist(), strict=True))
        known = {name: x for name, x in own.items() if not math.isnan(x)}
        hamilton.row("columns", SYMBOL, "", bar.close_time, bar.close_time, known)
        for decision in give(hamilton, SYMBOL, [bar]):
            if decision.version and "needs" not in decision.reason:
                assert decision.prediction == champion.predict(batch[place])


def test_what_is_public_after_the_close_does_not_count(tmp_path: Path) -> None:
    dataset = make_dataset(head(own_bars(), TRAINED), horizon=HORIZON)
    models = models_of(tmp_path, dataset)
    late, none = (Hamilton(models, [SYMBOL], limits=Limits.off()) for _ in range(2))
    values = {"vix": 50.0, "mood": 0.9}
    late.row("columns", SYMBOL, "", TIME, TIME + 1, values)
    none.row("columns", SYMBOL, "", TIME - 1, TIME - 1, values)
    assert give(late, SYMBOL, NEW[:1]) == give(none, SYMBOL, NEW[:1])


BAD_ROWS = {
    "kind": (("fnding", "binance", TIME, TIME, {"rate": 1.0}), "did you mean 'funding'"),
    "name": (("funding", "binance", TIME, TIME, {"rat": 1.0}), "funding has no 'rat'"),
    "missing": (("funding", "binance", TIME, TIME, {"rate": 1.0}), "needs 'interval_hours'"),
    "exchange": (("open_interest", "", TIME, TIME, {"base": 1.0}), "name it"),
    "publisher": (("post", "", TIME, TIME, {"score": 1.0}), "of a publisher; name it"),
    "infinite": (("open_interest", "okx", TIME, TIME, {"base": math.inf}), "'base' is inf"),
    "text": (("open_interest", "okx", TIME, TIME, {"base": "1"}), "no number"),
    "nothing": (("columns", "", TIME, TIME, {}), "give a mapping"),
    "time": (("columns", "", 1.5, TIME, {"vix": 1.0}), "time is 1.5"),
    "available": (("columns", "", TIME, "now", {"vix": 1.0}), "available is 'now'"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_are_none_are_refused(models: Models, case: str) -> None:
    (kind, *rest), message = BAD_ROWS[case]
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    with pytest.raises(InputError, match=message):
        hamilton.row(kind, SYMBOL, *rest)  # type: ignore[arg-type]


def test_rows_of_an_exchange_that_the_version_does_not_know_are_refused(
    market: MarketSeries, tmp_path: Path
) -> None:
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    models = models_of(tmp_path, dataset)
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    hamilton.row("open_interest", SYMBOL, "ftx", TIME, TIME, {"base": 1.0})  # nobody takes it yet
    rich = make_dataset(head(sample(), TRAINED), horizon=HORIZON, market=market)
    models.add(fit(Family.XGBOOST, rich), rich)
    hamilton.reload(SYMBOL)
    with pytest.raises(InputError, match="'ftx'"):
        hamilton.row("open_interest", SYMBOL, "ftx", TIME, TIME, {"base": 1.0})


def test_rows_that_no_champion_takes_are_left_aside(models: Models) -> None:
    both = [Hamilton(models, [SYMBOL], limits=Limits.off()) for _ in range(2)]
    both[0].row("columns", SYMBOL, "", TIME, TIME, {"vix": 1.0})
    assert give(both[0], SYMBOL, NEW[:3]) == give(both[1], SYMBOL, NEW[:3])
