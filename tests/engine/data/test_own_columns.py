"""Own columns as features."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError, SettingsError
from brain.series.bars import Bars, check_bars
from brain.settings import load_settings
from engine.data.dataset import make_dataset
from engine.data.frames import feature_frame
from engine.data.own_columns import check_columns
from engine.kernels.features import FEATURES
from engine.kernels.market_features import MARKET_FEATURES
from tests.engine.markets import market_of
from tests.engine.simulate import simulate

ROWS = 900
GAP = range(700, 712)


def bars_of(*columns: str, rows: int = ROWS) -> Bars:
    frame = simulate(ROWS, strength=0.0, seed=3).bars.frame.reset_index()
    rng = np.random.default_rng(4)
    vix = np.where(rng.random(ROWS) < 0.2, np.nan, 15 + rng.standard_normal(ROWS))
    frame = frame.assign(vix=vix, mood=rng.random(ROWS), ret_1x=1.0).drop(index=GAP)[:rows]
    return check_bars(frame, symbol="SIM/USD", timeframe="1h", columns=columns)


def test_the_feature_is_the_column_bar_by_bar() -> None:
    bars = bars_of("vix", "mood")
    frame = feature_frame(bars)
    assert list(frame.columns) == [*FEATURES, "mood", "vix"]
    for name in bars.own:
        np.testing.assert_array_equal(frame[name], bars.frame[name])
    assert frame.iloc[GAP.start : GAP.stop].isna().all().all()
    assert 0.1 < frame["vix"].isna().mean() < 0.3
    pd.testing.assert_frame_equal(frame[list(FEATURES)], feature_frame(bars_of()))


def test_what_comes_later_changes_nothing_before() -> None:
    whole, part = feature_frame(bars_of("vix")), feature_frame(bars_of("vix", rows=800))
    pd.testing.assert_frame_equal(whole[: len(part)], part, check_freq=False)


def test_the_feature_set_names_them_after_those_of_bars_and_market() -> None:
    plain, own = make_dataset(bars_of(), horizon=1), make_dataset(bars_of("vix"), horizon=1)
    assert (plain.feature_set, plain.own) == ("bars-1", ())
    assert (own.feature_set, own.own) == ("bars-1+own(vix)", ("vix",))
    assert own.names == (*FEATURES, "vix")
    assert own.digest != plain.digest
    np.testing.assert_array_equal(own.target, plain.target)
    joined = make_dataset(bars_of("vix"), horizon=1, market=market_of(bars_of()))
    assert joined.feature_set == "bars-1+market-1+own(vix)"
    assert joined.names == (*FEATURES, *MARKET_FEATURES, "vix")


@pytest.mark.parametrize("name", ["ret_1", "RET_1", "Funding_8h"])
def test_a_column_with_the_name_of_a_feature_is_refused(name: str) -> None:
    frame = bars_of().frame.reset_index().dropna().assign(**{name: 1.0})
    bars = check_bars(frame, symbol="SIM/USD", timeframe="1h", columns=[name])
    message = f"the column '{name}' has the name of our feature '{name.lower()}'; rename it"
    with pytest.raises(InputError, match=message):
        feature_frame(bars)
    with pytest.raises(InputError, match=message):
        check_columns(load_settings({"columns": name}))


def test_candles_of_exchanges_have_none() -> None:
    settings = load_settings({"columns": "vix", "exchanges": "okx", "symbols": "BTC/USDT"})
    with pytest.raises(
        SettingsError, match=r"columns='vix': candles of okx have no columns of your"
    ):
        check_columns(settings)
    check_columns(settings.model_copy(update={"columns": ()}))
