"""Minutes of liquidations, given to an executor, count as they do in the training."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError
from brain.naming import Family
from brain.series.bars import Bars
from engine.data.dataset import make_dataset
from engine.data.frames import feature_frame
from engine.data.liquidation_series import LiquidationSeries
from serving import Decision, Hamilton, Limits
from tests.engine.forced import liquidations_alone, liquidations_of
from tests.engine.simulate import simulate
from tests.serving.desk import HORIZON, Models, bars_of, fit, give, head

TRAINED = 800
MINUTES = 60
Row = tuple[str, int, int, float, float]


@pytest.fixture(scope="module")
def bars() -> Bars:
    return simulate(900, strength=0.0, seed=3, timeframe="1h").bars


@pytest.fixture(scope="module")
def liquidations(bars: Bars) -> LiquidationSeries:
    return liquidations_of(bars, first=450)


@pytest.fixture(scope="module")
def models(
    bars: Bars, liquidations: LiquidationSeries, tmp_path_factory: pytest.TempPathFactory
) -> Models:
    market = liquidations_alone(bars.symbol, liquidations)
    dataset = make_dataset(head(bars, TRAINED), horizon=HORIZON, market=market)
    assert dataset.feature_set == "bars-1+liquidations-1"
    models = Models(tmp_path_factory.mktemp("models"))
    models.add(fit(Family.LIGHTGBM, dataset), dataset)
    return models


def rows_of(liquidations: LiquidationSeries) -> list[Row]:
    """All minutes, by arrival."""
    minutes = liquidations.minutes.sort_values("available", kind="stable")
    times = (pd.DatetimeIndex(minutes[n]).as_unit("ns").asi8 for n in ("time", "available"))
    names = "exchange", "long_usd", "short_usd"
    exchange, long, short = (minutes[name].tolist() for name in names)
    return list(zip(exchange, *(t.tolist() for t in times), long, short, strict=True))


def push(hamilton: Hamilton, symbol: str, row: Row) -> None:
    exchange, time, available, long, short = row
    values = {"long_usd": long, "short_usd": short}
    hamilton.row("liquidations", symbol, exchange, time, available, values)


def test_minutes_count_as_in_the_batch(
    bars: Bars, liquidations: LiquidationSeries, models: Models, tmp_path: Path
) -> None:
    batch = feature_frame(bars, liquidations_alone(bars.symbol, liquidations)).to_numpy()

    def opened() -> Hamilton:
        return Hamilton(models, [bars.symbol], limits=Limits.off(), journal=tmp_path / "journal")

    hamilton = opened()
    champion = hamilton.champion(bars.symbol, "low")
    new = bars_of(bars, TRAINED)
    # What the training had of its last hours is given once more, as after a crash.
    since = new[0].close_time - 3 * MINUTES * 60 * 10**9
    rows = [row for row in rows_of(liquidations) if row[2] > since]
    decisions: list[Decision] = []
    for place, bar in enumerate(new):
        if place == 40:
            hamilton.close()
            hamilton = opened()
        while rows and rows[0][2] <= bar.close_time:
            push(hamilton, bars.symbol, rows.pop(0))
        decisions += give(hamilton, bars.symbol, [bar])
    assert len(decisions) == len(new)
    compared = 0
    for place, decision in enumerate(decisions, start=TRAINED):
        if decision.version is not None:
            expected = champion.predict(batch[place])
            assert decision.prediction == expected
            compared += math.isfinite(expected)
    assert compared > 80
    # The last features are known, so they did count.
    assert np.isfinite(batch[TRAINED:, -6:]).mean() > 0.9


def test_a_champion_without_its_minutes_decides_nothing_and_says_so(
    bars: Bars, models: Models
) -> None:
    hamilton = Hamilton(models, [bars.symbol], limits=Limits.off())
    first, second = bars_of(bars, TRAINED, TRAINED + 2)
    (decision,) = give(hamilton, bars.symbol, [first])
    assert decision.reason.endswith("needs liquidations, of which no row was given")
    time = first.close_time
    push(hamilton, bars.symbol, ("okx", time, time, 0.0, math.nan))
    assert math.isfinite(give(hamilton, bars.symbol, [second])[0].prediction)


def test_minutes_that_are_none_are_refused(bars: Bars, models: Models) -> None:
    hamilton = Hamilton(models, [bars.symbol], limits=Limits.off())
    time = bars_of(bars, TRAINED)[0].close_time
    with pytest.raises(InputError, match="kraken"):
        push(hamilton, bars.symbol, ("kraken", time, time, 0.0, 0.0))
    with pytest.raises(InputError, match="needs 'short_usd'"):
        hamilton.row("liquidations", bars.symbol, "okx", time, time, {"long_usd": 1.0})
    with pytest.raises(InputError, match="of an exchange; name it"):
        push(hamilton, bars.symbol, ("", time, time, 0.0, 0.0))


def test_memory_in_the_executors_data_is_small(models: Models, bars: Bars) -> None:
    """A week of minutes of two exchanges, most of which are zero, is stretches."""
    hamilton = Hamilton(models, [bars.symbol], limits=Limits.off())
    arrays = hamilton.champion(bars.symbol, "low").version.data.memory.liquidations
    assert sum(array.nbytes for array in arrays.values()) < 700_000
