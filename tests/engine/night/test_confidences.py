"""A champion's size by a night: from its line's nights or its walk-forward, stopped and lowered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from brain.confidence import Posterior, Prior, normal_posterior
from brain.naming import Family, Regime
from brain.records import CellRecord
from engine.data.dataset import make_dataset
from engine.night.confidences import Reading, calibrated, missing_features
from engine.night.sizes import UNJUDGED, Size
from registry.promotion.cell_posteriors import CellPosteriors
from tests.engine.simulate import simulate

END = datetime(2026, 11, 1, tzinfo=UTC)
PRIOR = Prior(-0.1, 0.4, 48)
NIGHTS = Posterior(2.0, 1.5, 120, 0.25, PRIOR, 0.5, -0.4, 1.5, 0.8, 0.56, 0.66)
BARS = normal_posterior(1.2, 0.8, Prior(), 0.3)
RECORD = CellRecord(
    1, "d", Family.XGBOOST, "r", END.isoformat(), False, "prior", 340, 12, "", line="x-1",
    posterior=BARS, confidence=BARS.positive,
)  # fmt: skip
POSTERIORS = CellPosteriors(PRIOR, {("BTC/USD", "low", "x-1"): NIGHTS}, {("BTC/USD", "x-1"): 0.05})
READING = Reading("BTC/USD", END, POSTERIORS, drift=0.1, missing=0.0)
JUDGED = Size(1.0)


def test_the_lines_closed_nights_come_before_the_versions_bars() -> None:
    record = calibrated(RECORD, Regime.LOW, JUDGED, READING)
    assert (record.posterior, record.confidence) == (NIGHTS, 0.8)
    assert record.size == pytest.approx((2 * 0.66 - 1) * 0.95)
    assert record.size_reason == "lowered: missing: 5% of predictions, 0% of features (× 0.95)"
    assert [factor.name for factor in record.factors] == ["drift", "missing", "age"]


def test_where_there_are_none_the_bars_are_judged_after_all_cells() -> None:
    record = calibrated(RECORD, Regime.HIGH, Size(None), READING)
    assert record.posterior == normal_posterior(1.2, 0.8, PRIOR, 0.3)
    assert record.confidence == record.posterior.positive
    assert record.size == pytest.approx(record.posterior.size * 0.95)
    other = calibrated(replace(RECORD, line="x-2"), Regime.LOW, JUDGED, READING)
    assert other.posterior == record.posterior


def test_without_evidence_the_size_is_0_and_the_probability_unknown() -> None:
    record = calibrated(replace(RECORD, posterior=None), Regime.HIGH, Size(None), READING)
    assert (record.confidence, record.posterior, record.size) == (None, None, 0.0)
    assert record.size_reason == "no evidence to judge it by"


@pytest.mark.parametrize("stop", [UNJUDGED, Size(0.0, "look: drawdown 9 is above 8")])
def test_what_is_stopped_has_no_size_and_keeps_its_posterior(stop: Size) -> None:
    record = calibrated(RECORD, Regime.LOW, stop, READING)
    assert (record.size, record.size_reason) == (0.0, stop.reason)
    assert record.posterior == NIGHTS


def test_one_that_is_as_likely_to_lose_has_none() -> None:
    losing = replace(NIGHTS, next_year=0.45)
    posteriors = replace(POSTERIORS, cells={("BTC/USD", "low", "x-1"): losing})
    record = calibrated(RECORD, Regime.LOW, JUDGED, replace(READING, posteriors=posteriors))
    assert (record.size, record.size_reason) == (
        0.0, "as likely to lose as to gain: a year's gain has 0.45"
    )  # fmt: skip


def test_drift_and_age_lower_it_and_time_goes_on() -> None:
    reading = replace(READING, drift=0.6, close=END + timedelta(days=44))
    record = calibrated(RECORD, Regime.LOW, JUDGED, reading)
    whole = 0.32 * 0.95
    assert record.size == pytest.approx(whole * 0.5 * 0.5)
    assert record.age_factor == pytest.approx(0.5)
    assert record.size_at(END + timedelta(days=74)) == pytest.approx(whole * 0.5 * 0.25)
    assert record.size_at(END) == pytest.approx(whole * 0.5)
    assert "60% of the features drifted (× 0.50); " in record.size_reason
    again = CellRecord.from_json(record.to_json())
    assert again == record


def test_unknown_drift_lowers_nothing_and_is_told() -> None:
    record = calibrated(RECORD, Regime.LOW, JUDGED, replace(READING, drift=None, missing=None))
    reasons = [factor.reason for factor in record.factors]
    assert reasons[:2] == ["drift is unknown", "missing: 5% of predictions, features unknown"]


def test_drift_holds_until_it_is_measured_again() -> None:
    before = calibrated(RECORD, Regime.LOW, JUDGED, replace(READING, drift=0.6))
    night = calibrated(before, Regime.LOW, JUDGED, replace(READING, drift=None))
    assert night == before
    after = calibrated(night, Regime.LOW, JUDGED, READING)
    assert after.size is not None
    assert night.size is not None
    assert after.size > night.size > 0.0


def test_a_feed_that_stops_is_missing_and_one_that_never_was_is_not() -> None:
    dataset = make_dataset(simulate(700, strength=0.0, seed=1).bars, horizon=6)
    usual = missing_features(dataset)
    assert usual is not None
    assert usual < 0.02
    features = dataset.features.copy()
    features[:, :4] = np.nan  # never there
    same = missing_features(replace(dataset, features=features))
    assert same == pytest.approx(usual, abs=0.01)
    close = dataset.close_time
    days = (close - pd.Timedelta(1)).normalize()
    features[days == days[-1], 4:15] = np.nan
    gone = missing_features(replace(dataset, features=features))
    assert gone == pytest.approx(11 / (len(dataset.names) - 4), abs=0.04)
    nothing = replace(dataset, features=np.full_like(features, np.nan))
    assert missing_features(nothing) is None
