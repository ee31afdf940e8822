"""Nights of two timeframes and horizons in one store: models, champions and analyses don't mix."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from brain.errors import AmbiguousModelError, NoChampionError
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Family, Regime
from registry.library import BrainLibrary
from registry.selector import ModelSelector
from serving import Hamilton
from tests.engine.simulate import simulate
from tests.jobs import Outcome, enter, run_job
from tests.servers import sqlite_template

SYMBOL = "^SIM.A"
HOUR = ModelKey(SYMBOL, "1h", 6)
FOUR = ModelKey(SYMBOL, "4h", 6)
NEAR = ModelKey(SYMBOL, "4h", 2)
QUICK = ("--families", "lightgbm", "--trials", "1", "--folds", "1", "--jobs", "1")


@dataclass(frozen=True)
class Nights:
    """A night of each key, one after the other, on one folder of bars and one store."""

    folder: Path
    library: BrainLibrary
    outcomes: dict[ModelKey, Outcome]

    def summary(self, key: ModelKey) -> dict[str, Any]:
        """The summary of the key's night."""
        experiment = self.library.experiment("nightly")
        runs = self.library.client.search_runs(
            [experiment], "tags.role = 'night'", order_by=["attributes.start_time ASC"]
        )
        run = runs[list(self.outcomes).index(key)]
        file = self.library.client.download_artifacts(run.info.run_id, "summary.json")
        return dict(json.loads(Path(file).read_text()))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((HOUR, FOUR, NEAR), id="1h"),
        pytest.param((NEAR, FOUR, HOUR), id="4h", marks=pytest.mark.soak),
    ],
)
def nights(
    request: pytest.FixtureRequest, _templates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Nights:
    folder = tmp_path_factory.mktemp("timeframes")
    (folder / "mlflow.db").write_bytes(sqlite_template(_templates).read_bytes())
    (folder / "bars").mkdir()
    for seed, timeframe in enumerate(("1h", "4h")):
        bars = simulate(900, strength=0.3, seed=seed, symbol=SYMBOL, timeframe=timeframe).bars
        bars.frame.to_parquet(folder / "bars" / f"{SYMBOL}_{timeframe}.parquet")
    dsn = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, dsn, patch)
        outcomes = {
            key: run_job(
                "nightly", "--bars", "bars", "--timeframe", key.timeframe,
                "--horizon", str(key.horizon), *QUICK,
            )
            for key in request.param
        }  # fmt: skip
    return Nights(folder, BrainLibrary(dsn), outcomes)


@pytest.fixture
def _there(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(nights.folder, nights.library.dsn, monkeypatch)


def test_each_night_has_models_of_its_own_and_champions_never_mix(nights: Nights) -> None:
    library = nights.library
    names = sorted(m.name for m in library.client.search_registered_models())
    assert names == ["^SIM.A.1h.6", "^SIM.A.4h.2", "^SIM.A.4h.6"]
    for key, outcome in nights.outcomes.items():
        assert outcome.code == 0, outcome.out + outcome.err
        champions = library.champions(key)
        assert [c.model_id for c in champions] == [f"{key.name}/1"] * len(REGIMES)
        version = library.version_of(f"{key.name}/1")
        run = library.client.get_run(version.run_id)
        assert {name: run.data.tags[name] for name in key.tags} == key.tags
        assert run.data.params["horizon"] == str(key.horizon)
        assert f"on {key.timeframe} bars" in library.model(key).description


def test_a_call_without_a_timeframe_names_all_of_them(nights: Nights) -> None:
    selector = ModelSelector(nights.library)
    with pytest.raises(AmbiguousModelError) as refusal:
        selector.select_model_for_symbol(SYMBOL, "low")
    for key in nights.outcomes:
        assert key.name in str(refusal.value)
        chosen = selector.select_model_for_symbol(
            SYMBOL, "low", timeframe=key.timeframe, horizon=key.horizon
        )
        assert chosen.key == key


def test_table_summary_and_page_say_timeframe_horizon_and_night(nights: Nights) -> None:
    for key, outcome in nights.outcomes.items():
        record = nights.library.champion(key, "low").record
        day = record.decided[:10]
        assert record.night == day
        table = outcome.out.partition("Champions")[2].splitlines()
        row = next(i for i, line in enumerate(table) if " low " in line)
        assert SYMBOL in table[row]
        assert f"{key.timeframe}, {key.horizon} " in table[row + 1]
        assert day in table[row + 1]
        document = nights.summary(key)
        for entry in document["champions"]:
            told = (entry["symbol"], entry["timeframe"], entry["horizon"], entry["night"])
            assert told == (key.symbol, key.timeframe, key.horizon, day)
        (version,) = document["versions"]
        assert (version["timeframe"], version["horizon"]) == (key.timeframe, key.horizon)


@pytest.mark.usefixtures("_there")
def test_a_folder_with_two_timeframes_asks_for_one(nights: Nights) -> None:
    night = run_job("nightly", "--bars", "bars", *QUICK)
    assert night.code == 2
    assert "is in 2 files" in night.error
    assert "name the timeframe, as in timeframe=1h" in night.error
    missing = run_job("nightly", "--bars", "bars", "--timeframe", "1d", *QUICK)
    assert missing.code == 2
    assert "holds 1d bars of ^SIM.A; there are 1h, 4h" in missing.error
    assert len(nights.library.client.search_registered_models()) == 3


@pytest.mark.usefixtures("_there")
def test_an_analysis_takes_the_models_of_its_bars_and_asks_where_there_are_several(
    nights: Nights,
) -> None:
    hour = run_job("analyze", "--bars", "bars", "--timeframe", "1h", "--jobs", "1")
    assert hour.code == 0, hour.out + hour.err
    assert "^SIM.A.1h.6/1" in hour.out
    assert "^SIM.A.4h" not in hour.out
    four = run_job("analyze", "--bars", "bars", "--timeframe", "4h", "--jobs", "1")
    assert four.code == 2
    words = " ".join(four.out.split())
    assert "^SIM.A.4h.2, ^SIM.A.4h.6" in words
    near = run_job(
        "analyze", "--bars", "bars", "--timeframe", "4h", "--horizon", "2", "--jobs", "1"
    )
    assert near.code == 0, near.out + near.err


def test_hamilton_takes_the_model_that_is_named_and_refuses_what_could_be_any(
    nights: Nights,
) -> None:
    for name in ("^SIM.A.1h.6", "^SIM.A.4h.2"):
        with Hamilton(nights.library, [name]) as hamilton:
            assert hamilton.champion(name, Regime.NORMAL).version.id.startswith(f"{name}/")
    with pytest.raises(AmbiguousModelError, match=r"\^SIM\.A\.1h\.6.*\^SIM\.A\.4h\.6"):
        Hamilton(nights.library, [SYMBOL])
    with pytest.raises(NoChampionError, match=r"\^SIM\.A\.1d\.6 has no champion"):
        Hamilton(nights.library, ["^SIM.A.1d.6"])
    assert nights.library.newest(NEAR, Family.LIGHTGBM) is not None
