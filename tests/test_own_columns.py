"""Nights with own columns: found, explained, and never mixed with nights without them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run

from brain.errors import InputError
from brain.naming import Family, Regime, Tag
from brain.recipes import Recipe
from brain.records import Champion
from brain.series.files import read_folder
from engine.data.frames import feature_frame
from registry.library import BrainLibrary
from serving import Hamilton
from tests.engine.simulate import simulate
from tests.jobs import Outcome, enter, run_job, shorten
from tests.servers import sqlite_template

SYMBOL = "AAA/USD"
ROWS = 900
QUICK = ("--bars", "bars", "--horizon", "1", "--trials", "1", "--folds", "2", "--jobs", "1")


def frame_of(seed: int = 5) -> pd.DataFrame:
    """A random walk whose next return the column mood knows a good part of, where it is known."""
    frame = simulate(ROWS, strength=0.0, seed=seed, timeframe="1d").bars.frame.reset_index()
    rng = np.random.default_rng(seed)
    coming = np.log(frame["close"]).diff().shift(-1).fillna(0.0) / 0.01
    mood = 50 + 10 * (coming + 0.5 * rng.standard_normal(ROWS))
    frame["mood"] = mood.where(rng.random(ROWS) > 0.1)
    return frame.assign(news="calm", trades=7)


def write(folder: Path, frame: pd.DataFrame, symbol: str = "AAA") -> None:
    folder.mkdir(exist_ok=True)
    frame.to_csv(folder / f"{symbol}-USD_1d.csv", index=False)


@dataclass(frozen=True)
class Nights:
    """A night with the column, and one without it and without XGBoost."""

    folder: Path
    library: BrainLibrary
    own: Outcome
    plain: Outcome

    def runs(self, role: str) -> list[Run]:
        """The runs of a role, oldest first."""
        experiments = [e.experiment_id for e in self.library.client.search_experiments()]
        return list(
            self.library.client.search_runs(
                experiments, f"tags.role = '{role}'", order_by=["attributes.start_time ASC"]
            )
        )

    def champion(self, regime: Regime) -> Champion:
        return self.library.champion(SYMBOL, regime)


@pytest.fixture(scope="module")
def nights(_templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "mlflow.db").write_bytes(sqlite_template(_templates).read_bytes())
    dsn = f"sqlite:///{folder / 'mlflow.db'}"
    write(folder / "bars", frame_of())
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, dsn, patch)
        # By trial the champion's line would stay, and the one without the column challenge it.
        boosters, rule = ("--families", "lightgbm,xgboost"), ("--promotion", "provisional")
        own = run_job("nightly", "--columns", "mood", *boosters, *rule, *QUICK)
        plain = run_job("nightly", "--families", "lightgbm", *rule, *QUICK)
        yield Nights(folder, BrainLibrary(dsn), own, plain)


def test_the_nights_succeed(nights: Nights) -> None:
    for outcome in (nights.own, nights.plain):
        assert (outcome.code, outcome.complaints) == (0, [])


def test_the_runs_tell_the_columns(nights: Nights) -> None:
    own, plain = nights.runs("symbol")
    note = own.data.tags["mlflow.note.content"]
    assert "Own columns: mood. Columns left out: news, trades." in note
    assert "Columns left out: mood, news, trades." in plain.data.tags["mlflow.note.content"]
    night, _ = nights.runs("night")
    assert night.data.params["setting.columns"] == "['mood']"
    families = nights.runs("family")
    sets = [run.data.tags[Tag.FEATURE_SET] for run in families]
    assert sets == ["bars-1+own(mood)"] * 2 + ["bars-1"]
    assert [run.data.params["features"] for run in families] == ["49"] * 2 + ["48"]
    for run in families[:2]:
        assert 0.08 < run.data.metrics["missing/mood"] < 0.12
    assert not [run for run in families[2:] if "missing/mood" in run.data.metrics]


def test_a_planted_column_comes_first_by_every_method(nights: Nights) -> None:
    own, _ = nights.runs("night")
    document = mlflow.artifacts.load_dict(f"{own.info.artifact_uri}/summary.json")
    assert document["analyses"]
    for analysis in document["analyses"]:
        first = {method: names[0] for method, names in analysis["first_features"].items()}
        assert first == dict.fromkeys(("shap", "permutation", "correlation"), "mood")
    (drift,) = document["drift"]
    assert "mood" in [column["feature"] for column in drift["columns"]]


def test_nights_with_and_without_the_column_share_no_recipe(nights: Nights) -> None:
    recipes = [run.data.tags[Tag.RECIPE] for run in nights.runs("family")]
    assert len(set(recipes)) == 3
    for family, feature_set in {
        Family.XGBOOST: "bars-1+own(mood)",
        Family.LIGHTGBM: "bars-1",
    }.items():
        recipe = Recipe.from_json(nights.library.recipe(SYMBOL, family) or "")
        assert recipe.feature_set == feature_set


def test_yesterdays_champion_is_explained_on_its_own_columns(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without XGBoost the second night leaves a cell to a version of the first."""
    kept, new = nights.champion(Regime.LOW), nights.champion(Regime.NORMAL)
    assert kept.version <= 2 < new.version
    enter(nights.folder, nights.library.dsn, monkeypatch)
    monkeypatch.setenv("BRAIN_COLUMNS", "fear")  # no version has it, and no file
    outcome = run_job("analyze", "--bars", "bars")
    assert (outcome.code, outcome.complaints) == (0, [])
    analysis = nights.runs("analysis")
    night = next(r for r in analysis if r.info.run_name.startswith("analysis "))
    for run in (nights.runs("night")[1], night):
        document = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/summary.json")
        assert document["failures"] == {}
        by_id = {entry["model_id"]: entry for entry in document["analyses"]}
        assert by_id[kept.model_id]["first_features"]["shap"][0] == "mood"
        assert "mood" not in by_id[new.model_id]["first_features"]["shap"]
        assert not [note for entry in by_id.values() for note in entry["notes"] if "mood" in note]
    run_id = nights.library.version(SYMBOL, kept.version).run_id
    page = mlflow.artifacts.load_text(f"runs:/{run_id}/explanation/features.html")
    assert '<tr id="mood">' in page
    assert "known at that bar&#39;s CLOSE" in page


def test_a_model_takes_an_unknown_value_as_unknown(nights: Nights) -> None:
    bars = read_folder(nights.folder / "bars", columns=["mood"]).bars[SYMBOL]
    rows = feature_frame(bars).reset_index(drop=True)
    families = set()
    for number in (1, 2):
        version = nights.library.version(SYMBOL, number)
        model = mlflow.pyfunc.load_model(f"models:/{version.id}")
        known, unknown, zero = (
            np.asarray(model.predict(rows.assign(mood=mood))).reshape(-1)[-200:]
            for mood in (rows["mood"], np.nan, 0.0)
        )
        assert np.isfinite(unknown).all()
        assert not np.allclose(unknown, zero)
        assert not np.allclose(unknown, known)
        assert abs(unknown.mean()) < abs(zero.mean())  # 0 is five deviations below all moods
        families.add(version.family)
    assert families == {Family.LIGHTGBM, Family.XGBOOST}


def test_the_executor_gives_its_champion_the_own_columns_that_it_is_given(
    nights: Nights, tmp_path: Path
) -> None:
    champion = nights.champion(Regime.LOW)
    version = nights.library.version(SYMBOL, champion.version)
    folder = nights.library.fetch(version, tmp_path)
    bars = read_folder(nights.folder / "bars", columns=["mood"]).bars[SYMBOL]
    rows = feature_frame(bars).reset_index(drop=True)
    expected = np.asarray(mlflow.pyfunc.load_model(str(folder)).predict(rows)).reshape(-1)[-1]
    with Hamilton(nights.library, [SYMBOL]) as hamilton:
        loaded = hamilton.champion(SYMBOL, Regime.LOW)
        last = {str(name): float(value) for name, value in rows.iloc[-1].items()}
        assert loaded.predict(last) == expected
        del last["mood"]
        with pytest.raises(InputError, match="'mood' is missing"):
            loaded.predict(last)


# --- what is refused ----------------------------------------------------------------------------


@pytest.fixture
def store(sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    """An empty store, and a folder of two symbols of which one has no mood."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    shorten(monkeypatch)
    frame = frame_of()
    write(tmp_path / "bars", frame.assign(ret_1=1.0))
    write(tmp_path / "bars", frame.drop(columns="mood").assign(Weekend=1.0), "BBB")
    return BrainLibrary(sqlite_dsn)


def runs_of(library: BrainLibrary) -> list[Run]:
    experiments = [e.experiment_id for e in library.client.search_experiments()]
    return list(library.client.search_runs(experiments))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("fear", r"there is no column 'fear', which the setting columns names"),
        ("mood,ret_1", "the column 'ret_1' has the name of our feature 'ret_1'; rename it"),
        ("Weekend", "the column 'Weekend' has the name of our feature 'weekend'"),
        ("mood,mood", "'mood' and 'mood' are the same or differ by case alone; name one of them"),
        ("Volume", "'Volume' is one that all bars have"),
        ("news", "900 values in column 'news' can't be taken as numbers, first 'calm'"),
    ],
)
def test_a_column_that_cannot_be_is_refused_before_anything_is_written(
    store: BrainLibrary, tmp_path: Path, columns: str, message: str
) -> None:
    outcome = run_job("nightly", "--columns", columns, *QUICK)
    assert outcome.code == 2
    assert message in outcome.err
    assert runs_of(store) == []
    assert not [path for path in (tmp_path / "mlruns").rglob("*") if path.is_file()]


def test_candles_of_exchanges_have_no_own_columns(store: BrainLibrary) -> None:
    arguments = ("--columns", "mood", "--exchanges", "okx", "--symbols", "BTC/USDT")
    outcome = run_job("nightly", *arguments)
    assert outcome.code == 2
    assert (
        "columns='mood': candles of okx have no columns of your own; name a folder" in outcome.error
    )
    assert not [e for e in store.client.search_experiments() if e.name == "nightly"]


def test_a_symbol_without_the_column_fails_alone(
    store: BrainLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = run_job("nightly", "--columns", "mood", "--families", "lightgbm", *QUICK)
    assert outcome.code == 1
    unused = "AAA/USD: columns left out: news, trades, ret_1; the setting columns makes features"
    assert unused in caplog.text
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    (night,) = store.client.search_runs(experiments, "tags.role = 'night'")
    document = mlflow.artifacts.load_dict(f"{night.info.artifact_uri}/summary.json")
    assert list(document["failures"]) == ["BBB/USD"]
    assert "there is no column 'mood'" in document["failures"]["BBB/USD"]
    assert {champion["symbol"] for champion in document["champions"]} == {SYMBOL}

    # And its version can't be explained once the column is gone.
    write(tmp_path / "bars", frame_of().drop(columns="mood"))
    caplog.clear()
    outcome = run_job("analyze", "--bars", "bars")
    assert outcome.code == 2
    assert "columns left out" not in caplog.text
    (analysis,) = store.client.search_runs(
        experiments, "tags.role = 'analysis' and attributes.run_name LIKE 'analysis %'"
    )
    failures = mlflow.artifacts.load_dict(f"{analysis.info.artifact_uri}/summary.json")["failures"]
    (error,) = failures.values()
    assert "there is no column 'mood'" in error
    assert json.dumps(failures).count("AAA-USD.1d.1/1") == 1
