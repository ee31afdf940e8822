"""Evidence and its metrics, and the values that name versions and champions."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from brain.errors import LibraryError
from brain.model_keys import ModelKey
from brain.naming import Family, Regime
from brain.records import CellRecord, Champion, Estimate, Evidence, Version

EVIDENCE = Evidence(
    bars=340,
    episodes=12,
    positions=120,
    years=2.5,
    net_sharpe=Estimate(1.25, 0.5),
    rank_ic=Estimate(0.03, 0.01),
    hit_rate=Estimate(0.52, 0.02),
    max_drawdown=Estimate(0.11, 0.04),
    gross_sharpe=Estimate(2.5, 0.5),
    delayed_sharpe=Estimate(1.5, 0.5),
    gain_bp=Estimate(6.0, 2.0),
    break_even_bp=Estimate(3.0, 1.0),
    sign_gross_sharpe=Estimate(2.0, 0.5),
    sign_net_sharpe=Estimate(0.2, 0.5),
    long_sharpe=Estimate(0.8, 0.6),
    reversal_sharpe=Estimate(-0.5, 0.5),
)
KEYS = [
    "net_sharpe",
    "net_sharpe_error",
    "rank_ic",
    "rank_ic_error",
    "hit_rate",
    "hit_rate_error",
    "max_drawdown",
    "max_drawdown_error",
    "gross_sharpe",
    "gross_sharpe_error",
    "delayed_sharpe",
    "delayed_sharpe_error",
    "gain_bp",
    "gain_bp_error",
    "break_even_bp",
    "break_even_bp_error",
    "sign_gross_sharpe",
    "sign_gross_sharpe_error",
    "sign_net_sharpe",
    "sign_net_sharpe_error",
    "long_sharpe",
    "long_sharpe_error",
    "reversal_sharpe",
    "reversal_sharpe_error",
    "bars",
    "episodes",
    "positions",
    "years",
]
UNKNOWN = Estimate(math.nan, math.nan)
NOTHING = Evidence(None, None, None, math.nan, *[UNKNOWN] * 12)


def equal(first: Evidence, second: Evidence) -> bool:
    """Whether all values are equal, or unknown in both."""
    return repr(first) == repr(second)


def test_metrics_have_their_keys_in_order() -> None:
    metrics = EVIDENCE.to_metrics()
    assert list(metrics) == KEYS
    values = [1.25, 0.5, 0.03, 0.01, 0.52, 0.02, 0.11, 0.04, 2.5, 0.5, 1.5, 0.5, 6.0, 2.0, 3.0, 1.0]
    signs, others = [2.0, 0.5, 0.2, 0.5], [0.8, 0.6, -0.5, 0.5]
    assert list(metrics.values()) == [*values, *signs, *others, 340.0, 12.0, 120.0, 2.5]
    assert {type(value) for value in metrics.values()} == {float}


@pytest.mark.parametrize("regime", list(Regime))
def test_a_regime_is_the_prefix_of_its_keys(regime: Regime) -> None:
    metrics = EVIDENCE.to_metrics(regime)
    assert list(metrics) == [f"{regime}/{key}" for key in KEYS]
    assert list(metrics.values()) == list(EVIDENCE.to_metrics().values())


def test_the_keys_of_a_regime_read_as_people_know_them() -> None:
    assert "high/net_sharpe_error" in EVIDENCE.to_metrics(Regime.HIGH)


@pytest.mark.parametrize("regime", [None, *Regime])
def test_metrics_read_back_among_others(regime: Regime | None) -> None:
    other = replace(EVIDENCE, bars=7, net_sharpe=Estimate(9.0, 9.0))
    metrics: dict[str, float] = {"seconds/fit": 3.0, "missing/all": 0.1}
    for key in (None, *Regime):
        metrics |= (EVIDENCE if key == regime else other).to_metrics(key)
    assert Evidence.from_metrics(metrics, regime) == EVIDENCE


def test_unknown_values_are_left_out_and_read_back_as_unknown() -> None:
    evidence = replace(NOTHING, net_sharpe=Estimate(1.25, math.nan), hit_rate=EVIDENCE.hit_rate)
    metrics = evidence.to_metrics(Regime.LOW)
    assert list(metrics) == ["low/net_sharpe", "low/hit_rate", "low/hit_rate_error"]
    assert equal(Evidence.from_metrics(metrics, Regime.LOW), evidence)


def test_infinity_is_unknown() -> None:
    evidence = replace(EVIDENCE, net_sharpe=Estimate(math.inf, -math.inf))
    assert list(evidence.to_metrics()) == KEYS[2:]
    again = Evidence.from_metrics(evidence.to_metrics())
    assert equal(again, replace(EVIDENCE, net_sharpe=UNKNOWN))


def test_no_bars_are_not_unknown() -> None:
    evidence = replace(NOTHING, bars=0, episodes=0)
    assert evidence.to_metrics() == {"bars": 0.0, "episodes": 0.0}
    assert equal(Evidence.from_metrics({"bars": 0.0, "episodes": 0.0}), evidence)


@pytest.mark.parametrize(
    ("gross", "net", "late", "caveats"),
    [
        (2.0, 1.0, 1.0, ()),
        (2.0, -0.1, 1.0, ("costs take all of it",)),
        (2.0, 1.0, 0.0, ("one more bar of delay takes all of it",)),
        (-1.0, -2.0, -1.0, ()),
        (math.nan, math.nan, math.nan, ()),
    ],
)
def test_what_takes_the_sign_away_is_told(
    gross: float, net: float, late: float, caveats: tuple[str, ...]
) -> None:
    evidence = replace(
        EVIDENCE,
        gross_sharpe=Estimate(gross, 1.0),
        net_sharpe=Estimate(net, 1.0),
        delayed_sharpe=Estimate(late, 1.0),
    )
    assert evidence.caveats() == caveats


def test_a_model_that_took_no_position_says_so() -> None:
    assert replace(NOTHING, bars=0, positions=0).caveats() == ()
    evidence = replace(NOTHING, bars=9, positions=0)
    assert evidence.caveats() == ("nothing was expected to be worth its cost",)
    assert not evidence.beats_flat


def test_only_what_is_two_errors_above_nothing_beats_it() -> None:
    assert EVIDENCE.beats_flat
    for estimate in (Estimate(0.9, 0.5), Estimate(1.0, math.nan), UNKNOWN, Estimate(-2.0, 0.1)):
        assert not replace(EVIDENCE, net_sharpe=estimate).beats_flat


def test_without_metrics_everything_is_unknown() -> None:
    evidence = NOTHING
    assert equal(Evidence.from_metrics({}), evidence)
    assert equal(Evidence.from_metrics(EVIDENCE.to_metrics(), Regime.HIGH), evidence)
    assert evidence.to_metrics() == {}


VALUES = st.just(math.nan) | st.floats(-1e6, 1e6)
ESTIMATES = st.builds(Estimate, VALUES, VALUES)
COUNTS = st.none() | st.integers(0, 10**9)


@given(
    evidence=st.builds(Evidence, COUNTS, COUNTS, COUNTS, VALUES, *[ESTIMATES] * 12),
    regime=st.sampled_from([None, *Regime]),
)
def test_any_evidence_reads_back(evidence: Evidence, regime: Regime | None) -> None:
    metrics = evidence.to_metrics(regime)
    again = Evidence.from_metrics(metrics, regime)
    assert equal(again, evidence)
    assert again.to_metrics(regime) == metrics


def test_the_estimates_by_name_begin_with_the_net_sharpe_ratio() -> None:
    names = list(EVIDENCE.estimates())
    assert names[:4] == ["net_sharpe", "rank_ic", "hit_rate", "max_drawdown"]
    assert [f"{name}_error" for name in names] == KEYS[1:-3:2]
    assert EVIDENCE.estimates()["hit_rate"] == Estimate(0.52, 0.02)


#: Values that a field of a record can't have.
WRONG: dict[str, list[Any]] = {
    "version": ["7", None, 7.5, True],
    "digest": [None, 7, ["d"]],
    "confidence": ["abc", math.nan, 1.5, -0.1, True, [0.5]],
    "size": ["1", 2, -1, math.inf, {}],
    "bars": ["10", 1.5, False],
    "provisional": [1, "yes", None],
    "metrics": [None, [], {"bars": "10"}, {"bars": None}],
    "regimes": [None, [], "low"],
    "posterior": [7, [], {"prior": 7}, {"measured": 1.0}],
    "factors": [
        *(7, [7], [{"name": "age"}]),
        [{"name": "age", "value": "half", "reason": ""}],
        [{"name": "age", "value": math.nan, "reason": ""}],
        [{"name": 7, "value": 0.5, "reason": ""}],
    ],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG.items() for value in values]
)
def test_a_record_with_a_value_of_another_kind_is_refused(field: str, value: object) -> None:
    record = CellRecord(7, "d", Family.LSTM, "r", "2026-11-22", True, "prior", 1, 1, "")
    fields = json.loads(record.to_json())
    assert CellRecord.from_json(json.dumps(fields)) == record
    with pytest.raises(LibraryError, match="a cell's tag can't be read"):
        CellRecord.from_json(json.dumps(fields | {field: value}))


@pytest.mark.parametrize("text", ["", "7", "[]", '"a"', "null", "{}", "[" * 100_000])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(LibraryError, match="a cell's tag can't be read"):
        CellRecord.from_json(text)


def test_an_estimate_has_a_normal_interval() -> None:
    assert Estimate(1.0, 0.5).interval() == pytest.approx((0.02, 1.98))
    assert Estimate(1.0, 0.5).interval(z=1.0) == (0.5, 1.5)


def test_versions_and_champions_have_ids() -> None:
    key = ModelKey("BTC/USDT:USDT", "1h", 6)
    version = Version(key.name, key, 7, Family.LSTM, "r", "d", "2026-11-22", "run", "m")
    assert version.id == "BTC-USDT_USDT.1h.6/7"
    record = CellRecord(7, "d", Family.LSTM, "r", "2026-11-22", True, "prior", 1, 1, "")
    champion = Champion(key.name, key, Regime.HIGH, 7, record)
    assert champion.model_id == version.id
    assert champion.uri == "models:/BTC-USDT_USDT.1h.6@champion-high"
    assert not champion.pinned
