"""One call a bar: what it answers, refuses and tells."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import (
    AmbiguousModelError,
    InputError,
    ModelIntegrityError,
    NoChampionError,
    NotEnoughBarsError,
    UnknownRegimeError,
    UnknownSymbolError,
)
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Family, Regime
from engine.data.dataset import make_dataset
from engine.data.frames import bar_volatility, feature_frame, regime_series
from serving import Hamilton, Limits
from serving.bars import Bar
from tests.serving.conftest import TRAINED
from tests.serving.desk import HORIZON, Models, arrays_of, bars_of, fit, give, head, rule_of, sample

SYMBOL = "ETH/USD"
KEY = ModelKey(SYMBOL, "1d", HORIZON)
DAY = 86_400 * 10**9
NEW = bars_of(sample(), TRAINED)
NAN = math.nan


@pytest.fixture
def hamilton(models: Models) -> Hamilton:
    return Hamilton(models, [SYMBOL], limits=Limits.off())


def bar(hamilton: Hamilton, bar: Bar, symbol: str | ModelKey = SYMBOL) -> object:
    return hamilton.bar(symbol, *bar[1:], bar.close_time)


# --- what a decision says -----------------------------------------------------------------------


def test_a_decision_is_the_rule_on_the_champions_prediction(
    hamilton: Hamilton, models: Models
) -> None:
    bars = sample()
    rows, codes = feature_frame(bars).to_numpy(), regime_series(bars)[0].to_numpy()
    volatility = bar_volatility(bars)
    rule = rule_of(make_dataset(bars, horizon=HORIZON))
    decisions = give(hamilton, SYMBOL, NEW)
    slots = [0.0] * HORIZON
    for place, decision in enumerate(decisions):
        row = TRAINED + place
        champion = hamilton.champion(SYMBOL, REGIMES[codes[row]])
        window = rows[row - champion.look_back + 1 : row + 1]
        prediction = champion.predict(window if champion.look_back > 1 else window[0])
        gain = rule.gain(np.array([prediction]), volatility[row : row + 1], codes[row : row + 1])
        (side,) = rule.decide(
            np.array([prediction]), volatility[row : row + 1], codes[row : row + 1],
            before=np.array([slots[place % HORIZON], *[0.0] * (HORIZON - 1)]),
        )  # fmt: skip
        slots[place % HORIZON] = side
        assert (decision.model, decision.time) == ("ETH-USD.1d.6", NEW[place].close_time)
        assert (decision.prediction, decision.expected_bp) == (prediction, gain[0])
        assert (decision.regime, decision.position) == (REGIMES[codes[row]], side)
        assert decision.exposure == pytest.approx(sum(slots) / HORIZON, abs=1e-15)
        assert decision.version == champion.cell.version
        assert decision.family == champion.version.family
        assert (decision.confidence, decision.age) == (0.8, place + 1.0)
        assert not decision.cached
    assert {decision.position for decision in decisions} == {-1.0, 0.0, 1.0}
    assert {d.family for d in decisions} >= {Family.LIGHTGBM, Family.LSTM}
    assert hamilton.profit(SYMBOL)[0] != 0.0


def test_the_same_bar_again_is_the_same_decision(hamilton: Hamilton, models: Models) -> None:
    first, *_ = give(hamilton, SYMBOL, NEW[:1])
    again = bar(hamilton, NEW[0])
    assert again == replace(first, cached=True)
    following = bar(hamilton, NEW[1])
    assert following == give(Hamilton(models, [SYMBOL], limits=Limits.off()), SYMBOL, NEW[:2])[1]


def test_a_missing_bar_that_is_given_is_one_that_the_calendar_tells(models: Models) -> None:
    both = [Hamilton(models, [SYMBOL], limits=Limits.off()) for _ in range(2)]
    bars = [each if place not in (7, 8, 20) else Bar(each.close_time, *[NAN] * 5)
            for place, each in enumerate(NEW[:60])]  # fmt: skip
    told = give(both[0], SYMBOL, bars)
    given = [bar(both[1], each) for each in bars]
    assert told == [d for d, each in zip(given, bars, strict=True) if each.close == each.close]
    assert both[0].profit(SYMBOL) == both[1].profit(SYMBOL)


@pytest.mark.parametrize("spelling", [SYMBOL, "ETH-USD", "ETH-USD.1d.6", KEY])
def test_a_symbol_has_many_spellings(models: Models, spelling: str | ModelKey) -> None:
    hamilton = Hamilton(models, [spelling], limits=Limits.off())
    decisions = [bar(hamilton, NEW[0], each) for each in (SYMBOL, "ETH-USD", "ETH-USD.1d.6", KEY)]
    assert len({repr(replace(d, cached=True)) for d in decisions}) == 1  # type: ignore[type-var]


def test_a_close_time_is_nanoseconds_or_a_moment_with_a_time_zone(models: Models) -> None:
    ns = NEW[0].close_time
    moment = pd.Timestamp(ns, tz="UTC")
    same = [ns, np.int64(ns), moment, moment.to_pydatetime(), moment.tz_convert("Asia/Tokyo")]
    for time in same:
        hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
        assert hamilton.bar(SYMBOL, *NEW[0][1:], time).time == ns


# --- what it refuses ----------------------------------------------------------------------------

BAD_BARS = {
    "text": (("7", 8.0, 6.0, 7.5, 1.0), "open is '7', no number"),
    "none": ((7.0, 8.0, 6.0, None, 1.0), "close is None, no number"),
    "truth": ((True, 8.0, 6.0, 7.5, 1.0), "open is True, no number"),
    "infinity": ((7.0, math.inf, 6.0, 7.5, 1.0), "high inf"),
    "negative": ((-7.0, 8.0, 6.0, 7.5, 1.0), "open -7.0"),
    "zero": ((7.0, 8.0, 0.0, 7.5, 1.0), "low 0.0"),
    "half missing": ((7.0, NAN, 6.0, 7.5, 1.0), "high nan"),
    "outside": ((7.0, 8.0, 6.0, 9.0, 1.0), "close 9.0"),
    "upside down": ((7.0, 6.0, 8.0, 7.5, 1.0), "high 6.0"),
    "volume": ((7.0, 8.0, 6.0, 7.5, -1.0), "volume -1.0"),
    "infinite volume": ((7.0, 8.0, 6.0, 7.5, math.inf), "volume inf"),
}


@pytest.mark.parametrize("case", BAD_BARS)
def test_what_no_bar_has_is_refused_and_changes_nothing(
    hamilton: Hamilton, models: Models, case: str
) -> None:
    values, message = BAD_BARS[case]
    with pytest.raises(InputError, match=message):
        hamilton.bar(SYMBOL, *values, NEW[0].close_time)  # type: ignore[arg-type]
    fresh = Hamilton(models, [SYMBOL], limits=Limits.off())
    assert give(hamilton, SYMBOL, NEW[:3]) == give(fresh, SYMBOL, NEW[:3])


BAD_TIMES = {
    "seconds": (NEW[0].close_time // 10**9, "give nanoseconds"),
    "float": (float(NEW[0].close_time), "whole number"),
    "naive": (dt.datetime(2019, 6, 2), "no time zone"),
    "text": ("2019-06-02", "whole number"),
    "off the grid": (NEW[0].close_time + 1, r"no bar closes at .* the next close is 2019-06-03"),
    "far ahead": (NEW[0].close_time + 50_000 * DAY, "50000 bars are missing"),
    "training": (NEW[0].close_time - DAY, "comes after the one of 2019-06-01"),
}


@pytest.mark.parametrize("case", BAD_TIMES)
def test_a_close_that_the_calendar_does_not_expect_is_refused(
    hamilton: Hamilton, case: str
) -> None:
    time, message = BAD_TIMES[case]
    with pytest.raises(InputError, match=message):
        hamilton.bar(SYMBOL, *NEW[0][1:], time)


def test_time_does_not_go_back_and_a_bar_counts_once(hamilton: Hamilton) -> None:
    give(hamilton, SYMBOL, NEW[:5])
    with pytest.raises(InputError, match="give bars in the order of time"):
        bar(hamilton, NEW[3])
    with pytest.raises(InputError, match="was decided with other values"):
        bar(hamilton, NEW[4]._replace(volume=1.0))
    assert bar(hamilton, NEW[5])


def test_unknown_symbols_regimes_and_cells_are_named(hamilton: Hamilton, models: Models) -> None:
    with pytest.raises(UnknownSymbolError, match=r"did you mean 'eth-usd.1d.6'|ETH-USD.1d.6"):
        bar(hamilton, NEW[0], "ETH/USDT")
    with pytest.raises(InputError, match="is not a symbol"):
        bar(hamilton, NEW[0], "ETH USD")
    with pytest.raises(UnknownRegimeError):
        hamilton.champion(SYMBOL, "calm")
    with pytest.raises(NoChampionError, match="BTC/USD has no champion"):
        Hamilton(models, ["BTC/USD"])
    with pytest.raises(InputError, match="comes twice"):
        Hamilton(models, [SYMBOL, "ETH-USD.1d.6"])
    with pytest.raises(InputError, match="no symbol is named"):
        Hamilton(models, [])


# --- champions by themselves --------------------------------------------------------------------


def test_a_champion_predicts_on_mappings_and_arrays(hamilton: Hamilton) -> None:
    row = feature_frame(sample()).to_numpy()[1200]
    trees = hamilton.champion(SYMBOL, Regime.LOW)
    assert trees.predict(dict(zip(trees.names, row.tolist(), strict=True))) == trees.predict(row)
    with pytest.raises(InputError, match="missing"):
        trees.predict({"ret_1": 0.5})
    with pytest.raises(InputError, match="shape"):
        trees.predict(row[1:])
    with pytest.raises(InputError, match="float32"):
        trees.predict(row.astype(np.float32))
    with pytest.raises(InputError, match="inf"):
        trees.predict(np.where(np.arange(48) == 3, math.inf, row))
    lstm = hamilton.champion(SYMBOL, "normal")
    assert lstm.look_back == 8
    with pytest.raises(InputError, match="looks back over 8"):
        lstm.predict(dict(zip(lstm.names, row.tolist(), strict=True)))


def test_a_cell_without_champion_decides_nothing_and_says_so(tmp_path: Path) -> None:
    models = Models(tmp_path)
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    models.add(fit(Family.LIGHTGBM, dataset), dataset, regimes=[Regime.EXTREME])
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    (decision, *_) = give(hamilton, SYMBOL, NEW[:1])
    assert (decision.position, decision.version) == (0.0, None)
    assert decision.reason == f"regime {decision.regime} has no champion"
    with pytest.raises(NoChampionError, match="no champion for regime low"):
        hamilton.champion(SYMBOL, Regime.LOW)


def test_a_version_that_was_changed_is_left_out_and_the_others_decide(tmp_path: Path) -> None:
    models = Models(tmp_path)
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    sound = models.add(fit(Family.LIGHTGBM, dataset), dataset, regimes=[Regime.LOW])
    forged = models.add(fit(Family.XGBOOST, dataset), dataset, regimes=REGIMES[1:])
    (models.folders[forged] / "model.ubj").write_bytes(b"forged")
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    assert hamilton.champion(SYMBOL, "low").cell.version == sound
    decisions = give(hamilton, SYMBOL, NEW)
    reasons = {d.reason for d in decisions if d.regime is not Regime.LOW and d.regime}
    assert len(reasons) == 1
    assert f"{forged} can't be used: model.ubj is not what was registered" in reasons.pop()
    assert {d.version for d in decisions if d.regime is Regime.LOW} == {sound}
    (models.folders[sound] / "executor.npz").write_bytes(b"forged")
    with pytest.raises(ModelIntegrityError, match=r"executor\.npz is not what was registered"):
        Hamilton(models, [SYMBOL])


def test_several_models_of_a_symbol_are_to_be_named(models: Models, tmp_path: Path) -> None:
    both = Models(tmp_path, dict(models.cells), dict(models.folders))
    dataset = make_dataset(head(sample(), TRAINED), horizon=3)
    both.add(fit(Family.LIGHTGBM, dataset), dataset)
    hamilton = Hamilton(both, ["ETH-USD.1d.6", "ETH-USD.1d.3"], limits=Limits.off())
    with pytest.raises(AmbiguousModelError, match=r"ETH-USD\.1d\.3"):
        bar(hamilton, NEW[0])
    assert bar(hamilton, NEW[0], "ETH-USD.1d.3") != bar(hamilton, NEW[0], "ETH-USD.1d.6")


# --- champions change ---------------------------------------------------------------------------


def test_a_reload_takes_the_champions_of_now_and_keeps_slots_and_profit(tmp_path: Path) -> None:
    models = Models(tmp_path)
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    old = models.add(fit(Family.LIGHTGBM, dataset), dataset)
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    before = give(hamilton, SYMBOL, NEW[:30])[-1]
    later = make_dataset(head(sample(), TRAINED + 20), horizon=HORIZON)
    new = models.add(fit(Family.LSTM, later), later)
    profit = hamilton.profit(SYMBOL)
    hamilton.reload(SYMBOL)
    assert hamilton.profit(SYMBOL) == profit
    after = bar(hamilton, NEW[30])
    assert (before.version, after.version) == (old, new)  # type: ignore[attr-defined]
    assert after.age == 11.0  # type: ignore[attr-defined]
    assert abs(after.exposure - before.exposure) <= 2 / HORIZON  # type: ignore[attr-defined]

    newest = make_dataset(head(sample(), TRAINED + 60), horizon=HORIZON)
    models.add(fit(Family.XGBOOST, newest), newest)
    with pytest.raises(NotEnoughBarsError, match="give the bars until then first"):
        hamilton.reload(SYMBOL)
    assert bar(hamilton, NEW[31]).version == new  # type: ignore[attr-defined]


def test_an_older_lstm_beside_newer_trees_has_its_look_back(tmp_path: Path) -> None:
    models = Models(tmp_path)
    old = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    pinned = models.add(fit(Family.LSTM, old), old)
    hamilton = Hamilton(models, [SYMBOL], limits=Limits.off())
    give(hamilton, SYMBOL, NEW[:30])
    newer = make_dataset(head(sample(), TRAINED + 30), horizon=HORIZON)
    models.add(fit(Family.LIGHTGBM, newer), newer, regimes=[Regime.EXTREME])
    hamilton.reload(SYMBOL)
    kept = bar(hamilton, NEW[30])
    assert kept.version == pinned  # type: ignore[attr-defined]
    assert math.isfinite(kept.prediction)  # type: ignore[attr-defined]

    fresh = Hamilton(models, [SYMBOL], limits=Limits.off())
    unknown = bar(fresh, NEW[30])
    assert "1 of 8 rows" in unknown.reason or "2 of 8 rows" in unknown.reason  # type: ignore[attr-defined]
    warm = Hamilton(models, [SYMBOL], limits=Limits.off())
    assert warm.warm_up(SYMBOL, arrays_of(NEW[:30])) == 30
    assert bar(warm, NEW[30]).prediction == kept.prediction  # type: ignore[attr-defined]


# --- warm-up ------------------------------------------------------------------------------------


def test_a_warm_up_leads_to_the_same_predictions_without_decisions(
    hamilton: Hamilton, models: Models
) -> None:
    decided = give(hamilton, SYMBOL, NEW[:50])
    warm = Hamilton(models, [SYMBOL], limits=Limits.off())
    history = bars_of(sample(), TRAINED - 100, TRAINED + 40)
    assert warm.warm_up(SYMBOL, arrays_of(history)) == 40
    assert warm.warm_up(SYMBOL, arrays_of(history)) == 0
    later = give(warm, SYMBOL, NEW[40:50])
    assert [d.prediction for d in later] == [d.prediction for d in decided[40:]]
    assert later[0].exposure == later[0].position / HORIZON  # nothing was decided before


def test_a_warm_up_in_between_settles_what_is_held(hamilton: Hamilton, models: Models) -> None:
    give(hamilton, SYMBOL, NEW[:10])
    hamilton.warm_up(SYMBOL, arrays_of(NEW[10:20]))
    after = bar(hamilton, NEW[20])
    assert after.exposure == after.position / HORIZON  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="no bar closes"):
        hamilton.warm_up(SYMBOL, arrays_of([NEW[21]._replace(close_time=NEW[21].close_time + 5)]))


def test_arrays_of_a_warm_up_are_checked(hamilton: Hamilton) -> None:
    arrays = arrays_of(NEW[:5])
    for change, message in (
        ({"open": arrays["open"][:4]}, "differ in length"),
        ({"close": None}, "shape"),
        ({"close_time": arrays["close_time"][::-1]}, "order of time"),
        ({"mood": arrays["open"]}, "mood"),
        ({"volume": -arrays["volume"]}, "volume"),
        ({"close_time": arrays["close_time"] // 10**6}, "nanoseconds"),
    ):
        with pytest.raises(InputError, match=message):
            hamilton.warm_up(SYMBOL, arrays | change)
    with pytest.raises(NotEnoughBarsError):
        hamilton.warm_up(SYMBOL, {name: column[:0] for name, column in arrays.items()})
    times = pd.DatetimeIndex(arrays["close_time"]).to_numpy()
    assert hamilton.warm_up(SYMBOL, arrays | {"close_time": times}) == 5
