"""Shadow nights: which count, of which version, and that they are frozen, whatever happens."""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from brain.artifacts import LIGHTGBM
from brain.errors import SeriesStoreError
from brain.lines import Line
from brain.naming import Family
from brain.recipes import REFIT_RULE
from brain.series.bars import Bars
from brain.series.store.store import AppendCounts, SeriesStore
from engine.evaluation.nights import DAY_NS, night_evidence
from engine.evaluation.trading import trading_of
from engine.families import family
from engine.kernels.position import PositionRule
from registry.library import BrainLibrary
from tests.engine.night.shadow_nights import SYMBOL, Nights, day, make_bars

FIRST = 90


@pytest.fixture(scope="module")
def bars() -> Bars:
    return make_bars(FIRST + 10)


@pytest.fixture
def nights(sqlite_dsn: str, tmp_path: Path, bars: Bars) -> Nights:
    library = BrainLibrary(sqlite_dsn, tmp_path / "series")
    return Nights.begin(library, bars, tmp_path)


def days(rows: pd.DataFrame) -> list[int]:
    """The days of rows, counted as the bars' days are."""
    return sorted({(time - day(0)).days for time in rows["time"]})


def test_only_a_version_that_was_there_before_a_night_counts_in_it(nights: Nights) -> None:
    assert nights.night(FIRST) == []
    backtest = nights.read("evidence")
    assert set(backtest["source"]) == {"backtest"}
    assert backtest["profit"].notna().any()
    assert days(backtest)[-1] == FIRST - 1
    nights.night(FIRST + 1)  # the night that ends now began half an hour before version 1
    assert len(nights.live()) == 0
    nights.night(FIRST + 2)
    live = nights.live()
    assert days(live) == [FIRST + 1]
    assert set(live["version"]) == {"SIM-USD.1h.6/1"}
    assert live["regime"].tolist() == ["extreme", "high", "low", "normal"]
    nights.night(FIRST + 3)
    assert days(nights.live()) == [FIRST + 1, FIRST + 2]
    assert_frame_equal(nights.live().drop_duplicates("time")[["version"]].reset_index(drop=True),
                       pd.DataFrame({"version": ["SIM-USD.1h.6/1", "SIM-USD.1h.6/2"]}))  # fmt: skip
    # The backtest stays as it was frozen.
    later = nights.read("evidence")
    assert_frame_equal(later[later["source"] == "backtest"].reset_index(drop=True), backtest)


def test_a_nights_evidence_is_what_its_version_would_have_earned(nights: Nights) -> None:
    """Slots pass from version to version as an executor hands them over."""
    for number in range(4):
        nights.night(FIRST + number)
    dataset = nights.dataset(FIRST + 3)
    prediction, position = np.full((2, len(dataset)), np.nan)
    cost = 0.0
    for number, version in ((FIRST + 1, 1), (FIRST + 2, 2)):
        folder = nights.folder / f"model-{version}"
        rule = PositionRule.from_json((folder / "position.json").read_text())
        rows = slice(24 * number, 24 * number + 24)
        prediction[rows] = family("lightgbm").load(folder).predict(dataset.features[rows])
        position[rows] = rule.decide(
            prediction[rows],
            dataset.volatility[rows],
            dataset.regimes[rows],
            position[rows.start - 6 : rows.start],
        )
        cost = rule.cost / 10_000
    shadows = nights.read("shadows")
    assert len(shadows) == 48
    assert shadows["prediction"].tolist() == prediction[24 * FIRST + 24 :].tolist()
    assert shadows["position"].tolist() == position[24 * FIRST + 24 :].tolist()
    assert np.count_nonzero(shadows["position"]) > 0
    assert set(shadows["made"]) == {day(FIRST + k) + pd.Timedelta(hours=0.5) for k in (0, 1)}
    table = night_evidence(
        prediction, position, trading_of(dataset, cost), dataset.volatility, dataset.close_ns
    )
    live = nights.live().pivot(index="time", columns="regime", values="profit")
    known = np.isin(table.days * DAY_NS, pd.DatetimeIndex(live.index).as_unit("ns").asi8)
    expected = table.profit[known]
    assert np.isfinite(expected).any()
    columns = live[["low", "normal", "high", "extreme"]].to_numpy()
    np.testing.assert_array_equal(columns, expected)


def test_an_lstm_looks_back_over_the_rows_before_the_night(
    sqlite_dsn: str, tmp_path: Path, bars: Bars
) -> None:
    library = BrainLibrary(sqlite_dsn, tmp_path / "series")
    nights = Nights.begin(library, bars, tmp_path, Family.LSTM)
    nights.train(FIRST)
    assert nights.shadow(FIRST + 2) == []
    dataset = nights.dataset(FIRST + 2)
    whole = family("lstm").load(nights.folder / "model-1").predict(dataset.features)
    shadows = nights.read("shadows")
    np.testing.assert_allclose(shadows["prediction"], whole[-24:], rtol=1e-5, atol=1e-7)


def test_nights_one_by_one_and_all_at_once_are_the_same(nights: Nights, another: Nights) -> None:
    once = another
    for number in range(6):
        nights.night(FIRST + number)
        once.train(FIRST + number)
    assert len(once.live()) == 0
    once.shadow(FIRST + 5)
    assert days(once.live()) == [FIRST + k for k in (1, 2, 3, 4)]
    for kind in ("shadows", "evidence"):
        assert_frame_equal(once.read(kind), nights.read(kind))
    once.shadow(FIRST + 5)
    assert_frame_equal(once.read("evidence"), nights.read("evidence"))


@pytest.fixture
def another(tmp_path: Path, bars: Bars) -> Nights:
    """Another library."""
    folder = tmp_path / "other"
    folder.mkdir()
    library = BrainLibrary(f"sqlite:///{folder / 'mlflow.db'}", folder / "series")
    return Nights.begin(library, bars, folder)


class FragileStore(SeriesStore):
    """A store that fails before or after one of its appends."""

    appends = 0
    fatal = -1
    after = False

    def append(self, kind: str, frame: pd.DataFrame) -> AppendCounts:
        self.appends += 1
        fails = self.appends == self.fatal
        if fails and not self.after:
            raise SeriesStoreError("the disk is gone; bring it back")
        counts = super().append(kind, frame)
        if fails:
            raise SeriesStoreError("the disk is gone; bring it back")
        return counts


def test_a_night_that_is_killed_anywhere_goes_on_to_the_same_evidence(
    sqlite_dsn: str, tmp_path: Path, bars: Bars
) -> None:
    chance = random.Random(5)
    whole = SeriesStore(tmp_path / "whole")
    nights = Nights.begin(BrainLibrary(sqlite_dsn, whole), bars, tmp_path, Family.XGBOOST,
                          Family.LIGHTGBM)  # fmt: skip
    for number in range(5):
        nights.train(FIRST + number)
    nights.shadow(FIRST + 4)
    stores = [FragileStore(tmp_path / f"{fatal}-{after}") for fatal in (1, 2, 3, 4)
              for after in (False, True)]  # fmt: skip
    for place, store in enumerate(stores):
        store.fatal, store.after = place // 2 + 1, bool(place % 2)
        killed = Nights(BrainLibrary(sqlite_dsn, store), bars, nights.run, tmp_path)
        until = FIRST + chance.randint(2, 4)
        with pytest.raises(SeriesStoreError):
            killed.shadow(until)
        killed.shadow(until)
        killed.shadow(FIRST + 4)
        assert_frame_equal(killed.read("shadows"), nights.read("shadows"))
        assert_frame_equal(killed.live(), nights.live())


def test_a_version_that_cant_be_loaded_is_unknown_and_the_other_line_goes_on(
    sqlite_dsn: str, tmp_path: Path, bars: Bars
) -> None:
    library = BrainLibrary(sqlite_dsn, tmp_path / "series")
    nights = Nights.begin(library, bars, tmp_path, Family.LIGHTGBM, Family.XGBOOST)
    version, _ = nights.train(FIRST)
    nights.train(FIRST + 1)
    for path in tmp_path.rglob(LIGHTGBM):
        if version.logged_model_id in path.parts:
            path.write_bytes(path.read_bytes()[:-1] + b"x")
    (failure,) = nights.shadow(FIRST + 2)
    assert failure.what == f"{version.id} shadow"
    assert "is not what was registered" in str(failure.error)
    rows = nights.live().groupby("line")["profit"].apply(lambda p: p.notna().any())
    assert {str(name).split("-")[0]: bool(some) for name, some in rows.items()} == {
        "lightgbm": False, "xgboost": True,
    }  # fmt: skip
    # Unknown as it was told, for ever; the next night has another version, which can't be compared.
    (again,) = nights.shadow(FIRST + 3)
    assert again.what == failure.what
    lightgbm = nights.live()[lambda rows: rows["line"].str.startswith("lightgbm")]
    known = lightgbm.groupby("time")["profit"].apply(lambda p: bool(p.notna().any()))
    assert known.tolist() == [False, True]


@pytest.mark.parametrize(
    "foreign",
    [
        {"shuffled": True},
        {"hyperparameters": {"rounds": 5, "leaves": 2, "learning_rate": 0.01}},
    ],
)
def test_a_foreign_recipe_does_not_inherit_the_record(
    nights: Nights, foreign: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "engine")
    nights.night(FIRST)
    nights.night(FIRST + 1, **foreign)
    for number in (2, 3, 4):
        nights.night(FIRST + number)
    live = nights.live()
    line = live["line"].iloc[0]
    dataset = nights.dataset(FIRST)
    refits = {v.number: v for v in nights.library.line_versions(dataset.key, line)}
    # The version before it goes on, as it does for an executor.
    assert live.groupby("time")["version"].unique().tolist() == [
        [refits[1].id], [refits[1].id], [refits[3].id],
    ]  # fmt: skip
    assert live.groupby("time")["profit"].apply(lambda p: bool(p.notna().any())).all()
    assert refits[2].foreign
    assert refits[2].refit.endswith("after SIM-USD.1h.6/1")
    # The next refit is compared with the last one that was none.
    assert refits[3].refit.startswith("passes")
    assert refits[3].refit.endswith("after SIM-USD.1h.6/1")
    assert caplog.text.count("is no refit of") == 1


def test_a_line_is_what_its_models_say_and_not_their_tag(nights: Nights) -> None:
    (version,) = nights.train(FIRST)
    dataset = nights.dataset(FIRST)
    xgboost = Line(
        Family.XGBOOST, dataset.feature_set, "1h", 6, dataset.target_name, REFIT_RULE
    )  # fmt: skip
    client = nights.library.client
    client.set_model_version_tag(version.model, str(version.number), "line", xgboost.id)
    (failure,) = nights.shadow(FIRST + 2)
    assert f"is of line {version.line}" in str(failure.error)
    live = nights.live()
    assert live["profit"].isna().all()
    assert set(live["line"]) == {xgboost.id}
    assert len(nights.read("shadows", symbol=SYMBOL)) == 0


def test_old_bars_have_no_live_nights(nights: Nights) -> None:
    nights.train(FIRST, hours=24 * 365 * 6)
    assert nights.shadow(FIRST + 5) == []
    assert len(nights.live()) == 0
