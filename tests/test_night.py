"""Whole nights: from a folder of bars to champions that anybody loads by alias."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import mlproject
from analysis.nightly import NightlyFeatureAnalysis
from analysis.rankings import Rankings
from analysis.results import NightlyAnalysis
from brain.errors import TrainingError, UnknownRegimeError, UnknownSymbolError
from brain.model_keys import ModelKey
from brain.naming import (
    PRIOR,
    REGIMES,
    Family,
    Regime,
    Tag,
    cell_tag,
    challenger_alias,
    champion_alias,
    previous_alias,
    symbol_name,
)
from brain.recipes import Recipe
from brain.records import CellRecord
from brain.workers import Unit
from engine.data.frames import feature_frame
from engine.evaluation.trading import ALL
from engine.families.boosted import XgBoost
from engine.kernels.features import FEATURE_SET, FEATURES
from engine.night.champions import CellChoice, name_champions
from engine.night.symbols import SymbolResult
from registry.library import BrainLibrary
from tests.brain.series.forms import FORMS
from tests.engine.simulate import simulate
from tests.jobs import Outcome, enter, run_job, shorten
from tests.servers import MlflowServer, copy_database, sqlite_template

SYMBOLS = ("AAA/USD", "BBB/USD")
#: Forms of files that are refused at a moment which is over.
ON_TIME = ("ahead", "local-time")
KEY = ModelKey("AAA/USD", "1d", 6)


def name_of(symbol: str) -> str:
    """The registered model of a symbol's daily bars."""
    return replace(KEY, symbol=symbol).name


#: 900 daily bars from 2020 on: half of them to learn from, and all of it done in seconds.
BARS = 900
TRAINED_UNTIL = "2022-06-19T00:00:00+00:00"
PARENT = "mlflow.parentRunId"
#: Folders and files that the analysis adds to a champion's run.
EXPLAINED = {"explanation", "drift", "profit.png"}
#: Files that the night adds to the run of each of its versions.
CERTIFIED = {"certificate.json", "card.html"}
QUICK = ("--trials", "1", "--folds", "2", "--jobs", "1")
BOOSTERS = ("--families", "lightgbm,xgboost", *QUICK)


def nothing(*_: object) -> Unit[NightlyAnalysis]:
    """In the place of an analysis."""
    return NightlyAnalysis(dt.date(2020, 1, 1), (), (), ())
    yield


def frame_of(symbol: str, rows: int = BARS) -> pd.DataFrame:
    """Daily bars with a column of times."""
    seed = sum(symbol.encode())
    bars = simulate(rows, strength=0.3, seed=seed, symbol=symbol, timeframe="1d").bars
    return bars.frame.reset_index()


def write(folder: Path, symbol: str, frame: pd.DataFrame | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{symbol_name(symbol)}_1d.parquet"
    (frame_of(symbol) if frame is None else frame).to_parquet(path, index=False)
    return folder


def runs_of(client: MlflowClient) -> list[Run]:
    """Every run of the store, oldest first."""
    experiments = [e.experiment_id for e in client.search_experiments()]
    return list(client.search_runs(experiments, order_by=["attributes.start_time ASC"]))


def roles(client: MlflowClient) -> Counter[tuple[str, str]]:
    return Counter((r.data.tags[Tag.ROLE], r.info.status) for r in runs_of(client))


def files_of(client: MlflowClient, run: Run) -> set[str]:
    return {file.path for file in client.list_artifacts(run.info.run_id)}


def stored_files(folder: Path) -> list[Path]:
    """What lies in the store's artifacts."""
    root = folder / "mlruns"
    return [path for path in root.rglob("*") if path.is_file()] if root.is_dir() else []


# --- two nights of three families ---------------------------------------------------------------


@dataclass(frozen=True)
class Nights:
    """Two nights in one store, the second of one symbol only; the aliases after the first."""

    folder: Path
    dsn: str
    first: Outcome
    aliases: dict[str, dict[str, int]]
    second: Outcome

    #: The symbols of each night.
    symbols: ClassVar = {1: SYMBOLS, 2: SYMBOLS[:1]}

    @property
    def library(self) -> BrainLibrary:
        return BrainLibrary(self.dsn)

    def runs(self, role: str, night: int) -> list[Run]:
        """The runs of a role below the first or the second night, oldest first."""
        every_run = runs_of(self.library.client)
        top = [r for r in every_run if r.data.tags[Tag.ROLE] == "night"][night - 1]
        below = {top.info.run_id}
        for _ in range(2):
            below |= {r.info.run_id for r in every_run if r.data.tags.get(PARENT) in below}
        return [r for r in every_run if r.data.tags[Tag.ROLE] == role and r.info.run_id in below]


def aliases_of(dsn: str, symbol: str) -> dict[str, int]:
    aliases = BrainLibrary(dsn).client.get_registered_model(name_of(symbol)).aliases
    return {alias: int(version) for alias, version in aliases.items()}


@pytest.fixture(scope="module")
def nights(_templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nights]:
    folder = tmp_path_factory.mktemp("nights")
    (folder / "mlflow.db").write_bytes(sqlite_template(_templates).read_bytes())
    dsn = f"sqlite:///{folder / 'mlflow.db'}"
    for symbol in SYMBOLS:
        write(folder / "bars", symbol)
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, dsn, patch, pictures=True)
        first = run_job("nightly", "--bars", "bars", *QUICK)
        aliases = {symbol: aliases_of(dsn, symbol) for symbol in SYMBOLS}
        second = run_job("nightly", "--bars", "bars", "--symbols", SYMBOLS[0], *QUICK)
        yield Nights(folder, dsn, first, aliases, second)


def test_a_night_succeeds_and_shows_a_champion_for_every_cell(nights: Nights) -> None:
    for number, night in {1: nights.first, 2: nights.second}.items():
        assert (night.code, night.complaints) == (0, [])
        assert "Champions" in night.out
        assert "± one standard error" in night.out
        for symbol in nights.symbols[number]:
            table = night.out.partition("Champions")[2]
            rows = [line for line in table.splitlines() if f"│ {symbol}" in line]
            regimes = [row.split("│")[2].strip() for row in rows]
            assert regimes == [str(regime) for regime in REGIMES]


def test_runs_form_a_tree_of_night_symbol_and_family(nights: Nights) -> None:
    for number in (1, 2):
        (night,) = nights.runs("night", number)
        symbols = nights.runs("symbol", number)
        families = nights.runs("family", number)
        parents = {r.info.run_id: r.data.tags.get(PARENT) for r in symbols + families}
        assert [r.data.tags[Tag.SYMBOL] for r in symbols] == list(nights.symbols[number])
        assert {parents[r.info.run_id] for r in symbols} == {night.info.run_id}
        for symbol in symbols:
            children = [r for r in families if parents[r.info.run_id] == symbol.info.run_id]
            assert {r.data.tags[Tag.FAMILY] for r in children} == set(Family)
            assert {r.data.tags[Tag.SYMBOL] for r in children} == {symbol.data.tags[Tag.SYMBOL]}
        assert {r.info.status for r in [night, *symbols, *families]} == {"FINISHED"}


def test_a_night_says_what_was_set_and_what_came_of_it(nights: Nights) -> None:
    (night,) = nights.runs("night", 2)
    assert night.data.params["setting.folds"] == "2"
    assert night.data.params["setting.families"] == str([str(f) for f in Family])
    assert "/bars, " in night.data.tags["mlflow.note.content"]
    document = mlflow.artifacts.load_dict(f"{night.info.artifact_uri}/summary.json")
    assert document["failures"] == {}
    versions = {(c["symbol"], c["regime"]): c["version"] for c in document["champions"]}
    champions = {(c.symbol, c.regime): c.version for c in nights.library.champions()}
    assert len(champions) == 8
    assert versions == {cell: v for cell, v in champions.items() if cell[0] == SYMBOLS[0]}
    earned = {profit["model_id"]: profit["net"][-1] for profit in document["profits"]}
    assert set(earned) == {champion["model_id"] for champion in document["champions"]}
    page = mlflow.artifacts.load_text(f"{night.info.artifact_uri}/night.html")
    assert f"<h2>{SYMBOLS[0]}</h2>" in page
    assert "<p>Models on 1d bars, 6 bars ahead.</p>" in page
    assert all(f"{model_id} {net:+.1%}" in page for model_id, net in earned.items())
    assert f"{night.info.run_id}/artifacts/night.html" in night.data.tags["mlflow.note.content"]


def test_a_familys_run_has_parameters_figures_and_a_dataset_per_regime(nights: Nights) -> None:
    client = nights.library.client
    for run in nights.runs("family", 1):
        params, metrics = run.data.params, run.data.metrics
        symbol, family = run.data.tags[Tag.SYMBOL], run.data.tags[Tag.FAMILY]
        assert {
            "family": family,
            "horizon": "6",
            "seed": "7",
            "rows": str(BARS),
            "features": str(len(FEATURES)),
            "feature_set": FEATURE_SET,
        }.items() <= params.items()
        assert sum(key.startswith("hp.") for key in params) > 5

        by_regime = [metrics[f"{regime}/bars"] for regime in REGIMES]
        assert 0 < sum(by_regime) <= metrics["bars"] == BARS // 2 - 7
        signs = {"sign_net_sharpe", "sign_net_sharpe_error"}
        assert {"rank_ic", "rank_ic_error", *signs} <= metrics.keys()
        assert ("net_sharpe" in metrics) is (metrics["positions"] > 0)
        assert float(params["threshold_bps"]) == pytest.approx(2 * float(params["cost_bps"]))
        for regime, bars in zip(REGIMES, by_regime, strict=True):
            for name in ("hit_rate", "sign_net_sharpe", "max_drawdown"):
                assert (f"{regime}/{name}" in metrics) is (bars >= 3), (regime, name)
                assert (f"{regime}/{name}_error" in metrics) is (bars >= 100), (regime, name)

        assert run.inputs is not None
        inputs = run.inputs.dataset_inputs
        names = [f"{name_of(symbol)} {key}" for key in (*REGIMES, ALL)]
        assert sorted(i.dataset.name for i in inputs) == sorted(names)
        assert len({i.dataset.digest for i in inputs}) == 5
        version = nights.library.version(symbol, int(run.data.tags["model_id"].split("/")[1]))
        logged = client.get_logged_model(version.logged_model_id)
        assert {m.dataset_name for m in logged.metrics or [] if m.key == "bars"} == set(names)


def test_a_familys_run_describes_itself_and_keeps_its_series(nights: Nights) -> None:
    client = nights.library.client
    for run in nights.runs("family", 1):
        note = run.data.tags["mlflow.note.content"]
        assert f"{run.data.tags[Tag.SYMBOL]} {run.data.tags[Tag.FAMILY]}" in note
        assert all(re.search(rf"\| \W*{key}\W* \|", note) for key in (*REGIMES, ALL))
        files = {"out_of_sample.parquet", "trials.parquet", "trial_predictions.parquet"} | CERTIFIED
        assert files_of(client, run) - EXPLAINED == files
    series = pd.read_parquet(
        client.download_artifacts(run.info.run_id, "out_of_sample.parquet", str(nights.folder))
    )
    assert len(series) == BARS // 2
    assert series.attrs["fill"] == "filled at the next 1d bar's open"
    costs, positions = series["gross"].sum() - series["net"].sum(), series["position"]
    assert (costs > 0) == (positions.fillna(0) != 0).any()
    assert set(series) == {
        *("prediction", "target", "forward_return", "close", "fill", "regime"),
        *("position", "gross", "net", "delayed"),
    }


def test_every_champions_run_is_explained_and_every_symbols_rankings_are_kept(
    nights: Nights,
) -> None:
    library = nights.library
    for champion in library.champions():
        version = library.version(champion.symbol, champion.version)
        run = library.client.get_run(version.run_id)
        assert files_of(library.client, run) >= EXPLAINED
        assert run.data.metrics["shap/additivity_holds"] == 1
    for symbol in SYMBOLS:
        model_ids = set(Rankings(library).read(symbol)["model_id"])
        assert {c.model_id for c in library.champions() if c.symbol == symbol} <= model_ids
    for number in (1, 2):
        analysed = [r.data.tags[Tag.SYMBOL] for r in nights.runs("analysis", number)]
        assert analysed == list(nights.symbols[number])


def test_a_version_carries_all_its_tags(nights: Nights) -> None:
    client = nights.library.client
    for symbol in SYMBOLS:
        versions = client.search_model_versions(f"name = '{name_of(symbol)}'")
        numbers = {int(version.version) for version in versions}
        assert numbers == set(range(1, 7 if symbol == SYMBOLS[0] else 4))
        for version in versions:
            tags = version.tags
            assert tags.keys() >= {
                Tag.SYMBOL,
                Tag.FAMILY,
                Tag.RECIPE,
                Tag.TIMEFRAME,
                Tag.TRAINED_UNTIL,
                Tag.FEATURE_SET,
                Tag.DIGEST,
            }
            assert tags[Tag.SYMBOL] == symbol
            assert tags[Tag.TIMEFRAME] == "1d"
            assert tags[Tag.TRAINED_UNTIL] == TRAINED_UNTIL
            assert tags[Tag.FEATURE_SET] == FEATURE_SET
            source = client.get_run(str(version.run_id)).data
            assert source.tags["model_id"] == f"{name_of(symbol)}/{version.version}"
            assert source.params["recipe"] == tags[Tag.RECIPE]
            assert "net Sharpe" in str(version.description)


def test_every_cell_has_a_champion_a_challenger_and_a_readable_record(nights: Nights) -> None:
    library = nights.library
    for symbol in SYMBOLS:
        model = library.client.get_registered_model(name_of(symbol))
        for regime in REGIMES:
            record = CellRecord.from_json(model.tags[cell_tag(regime)])
            champion = library.version(symbol, int(model.aliases[champion_alias(regime)]))
            challenger = library.version(symbol, int(model.aliases[challenger_alias(regime)]))
            assert challenger.family != champion.family
            assert (record.version, record.digest) == (champion.number, champion.digest)
            assert (record.family, record.recipe) == (champion.family, champion.recipe)
            assert record.trained_until == TRAINED_UNTIL
            # The second night of the first symbol decided the first one, which was closed.
            assert record.provisional is (symbol != SYMBOLS[0])
            assert record.family == PRIOR[regime]
            assert record.reason.startswith("prior")
            assert record.line == champion.line
            assert record.size is not None
            drift, missing, age = record.factors
            # The analysis of the night has told it, and the models are of its last bar.
            assert drift.reason.endswith("% of the features drifted")
            assert missing.reason.endswith("0% of features")
            assert (age.value, age.reason) == (1.0, "trained until 0 days before")
            assert record.regimes.keys() == {"calendar", "definition", "state"}
            assert library.champion(symbol, regime).record == record


def test_what_is_downloaded_is_what_was_registered(nights: Nights, tmp_path: Path) -> None:
    library = nights.library
    for number in range(1, 7):
        version = library.version(SYMBOLS[0], number)
        folder = library.fetch(version, tmp_path / version.id)
        recipe = Recipe.from_json((folder / "recipe.json").read_text())
        assert (recipe.id, recipe.family) == (version.recipe, version.family)
        assert (folder / "regimes.json").is_file()


def test_the_second_night_adds_versions_and_loses_nothing(nights: Nights) -> None:
    library, (again, once) = nights.library, SYMBOLS
    families = [library.version(again, number).family for number in range(1, 7)]
    assert set(families[:3]) == set(families[3:]) == set(Family)
    before, after = nights.aliases[again], aliases_of(nights.dsn, again)
    for regime in REGIMES:
        old, new = before[champion_alias(regime)], after[champion_alias(regime)]
        assert old <= 3 < new
        assert families[old - 1] == families[new - 1]  # on the same bars
        assert after[f"previous-{regime}"] == old
    assert aliases_of(nights.dsn, once) == nights.aliases[once]
    statuses = {m.status for m in library.client.search_logged_models(_experiments(library))}
    assert {str(s) for s in statuses} == {"READY"}


def test_the_second_night_refits_the_recipes_of_the_first(nights: Nights) -> None:
    client = nights.library.client
    by_night = [
        {(r.data.tags[Tag.SYMBOL], r.data.tags[Tag.FAMILY]): r for r in nights.runs("family", n)}
        for n in (1, 2)
    ]
    for cell, second in by_night[1].items():
        first = by_night[0][cell]
        assert first.data.params == second.data.params
        # No trials: no search.
        assert files_of(client, second) - EXPLAINED == CERTIFIED | {"out_of_sample.parquet"}
        recipe = Recipe.from_json(nights.library.recipe(cell[0], Family(cell[1])) or "")
        assert recipe.tuned_in == first.info.run_id
        # The same recipe on the same bars is judged the same.
        same = [k for k in first.data.metrics if not k.startswith("seconds/")]
        assert {k: first.data.metrics[k] for k in same} == {k: second.data.metrics[k] for k in same}


def test_unknown_symbols_and_regimes_are_told_with_the_cure(nights: Nights) -> None:
    with pytest.raises(UnknownRegimeError, match=r"'hihg'; did you mean 'high'"):
        nights.library.champion("AAA/USD", "hihg")
    with pytest.raises(UnknownSymbolError, match=r"'AAA/USDT'.*did you mean 'AAA/USD'"):
        nights.library.champion("AAA/USDT", "high")


def _experiments(library: BrainLibrary) -> list[str]:
    return [e.experiment_id for e in library.client.search_experiments()]


# Anyone's program. Nothing of ours is to be found.
STRANGER = """
import importlib.util, json, sys
# Where this checkout is installed in place, it is found by this.
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder).lower()]
assert not any(importlib.util.find_spec(room) for room in ("registry", "engine", "mlproject"))
import mlflow, pandas
frames = [pandas.read_parquet(file) for file in ("whole.parquet", "holed.parquet")]
for place, uri in enumerate(sys.argv[1:]):
    model = mlflow.pyfunc.load_model(uri)
    for frame in frames:
        result = model.predict(frame)
        values = result.to_numpy().reshape(-1) if hasattr(result, "to_numpy") else result
        print(json.dumps([uri, [v == v and abs(v) < 1e9 for v in values.tolist()]]))
"""


def test_a_fresh_process_loads_every_champion_by_its_alias(nights: Nights, tmp_path: Path) -> None:
    whole = feature_frame(simulate(400, strength=0.3, seed=5, timeframe="1d").bars)
    whole = whole.reset_index(drop=True)
    missing = np.random.default_rng(0).random(whole.shape) < 0.4
    whole.to_parquet(tmp_path / "whole.parquet")
    whole.mask(missing).assign(**{FEATURES[0]: np.nan}).to_parquet(tmp_path / "holed.parquet")
    name = name_of(SYMBOLS[0])
    families = {n: nights.library.version(SYMBOLS[0], n).family for n in (4, 5, 6)}
    uris = [f"models:/{name}@{champion_alias(regime)}" for regime in REGIMES]
    uris += [f"models:/{name}/{number}" for number in families]

    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "MLFLOW_TRACKING_URI": nights.dsn,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, *uris],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )

    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [uri for uri, _ in answers] == [uri for uri in uris for _ in range(2)]
    for uri, finite in answers:
        assert len(finite) == len(whole), uri
        assert all(finite[23:]), uri  # the LSTM looks back over 24 rows
    firsts = {uri: finite[0] for uri, finite in answers}
    for number, family in families.items():
        assert firsts[f"models:/{name}/{number}"] is (family is not Family.LSTM)


# --- what a night does with what it finds -------------------------------------------------------


@pytest.fixture
def library(sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    """An empty store, which the jobs of this test use."""
    enter(tmp_path, sqlite_dsn, monkeypatch)
    return BrainLibrary(sqlite_dsn)


@pytest.fixture
def without_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nights that explain nothing, where it is not what the test is about."""
    monkeypatch.setattr(NightlyFeatureAnalysis, "analyse_models", nothing)


def test_a_search_leaves_recipes_and_no_model_and_the_next_night_refits_them(
    library: BrainLibrary, tmp_path: Path
) -> None:
    bars = write(tmp_path / "bars", "AAA/USD")
    options = ("--bars", str(bars), "--families", "lightgbm", "--folds", "2", "--jobs", "1")
    tuned = run_job("tune", *options, "--trials", "3")
    assert (tuned.code, tuned.complaints) == (0, [])
    assert "Recipes" in tuned.out
    assert library.client.search_model_versions() == []
    recipe = Recipe.from_json(library.recipe("AAA/USD", Family.LIGHTGBM) or "")
    (search,) = [r for r in runs_of(library.client) if r.data.tags[Tag.ROLE] == "search"][-1:]
    assert recipe.id in tuned.out

    trained = run_job("train", *options)
    assert trained.code == 0
    assert "Versions" in trained.out
    assert library.version("AAA/USD", 1).recipe == recipe.id
    assert library.champions() == []  # training names none
    assert search.info.status == "FINISHED"


def test_a_recipe_that_saw_what_will_be_judged_is_searched_anew(
    library: BrainLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bars = write(tmp_path / "bars", "AAA/USD")
    options = ("--bars", str(bars), "--families", "lightgbm", *QUICK)
    run_job("tune", *options)
    recipe = Recipe.from_json(library.recipe("AAA/USD", Family.LIGHTGBM) or "")
    # One more bar, and its target is the first that the training of the first fold must not know.
    later = pd.Timestamp(recipe.tuned_until) + pd.Timedelta(days=1)
    library.set_recipe(
        KEY, Family.LIGHTGBM, replace(recipe, tuned_until=later.isoformat()).to_json()
    )
    assert run_job("train", *options).code == 0
    assert "does not fit tonight's settings; searching again" in caplog.text
    again = Recipe.from_json(library.recipe("AAA/USD", Family.LIGHTGBM) or "")
    assert again.tuned_until == recipe.tuned_until


def test_a_broken_recipe_is_told_and_searched_anew(
    library: BrainLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bars = write(tmp_path / "bars", "AAA/USD")
    library.set_recipe(KEY, Family.LIGHTGBM, '{"family": "lightgbm"')
    done = run_job("train", "--bars", str(bars), "--families", "lightgbm", *QUICK)
    assert done.code == 0
    assert "not a recipe" in caplog.text
    Recipe.from_json(library.recipe("AAA/USD", Family.LIGHTGBM) or "")


@pytest.fixture(scope="module")
def night_of_boosters(_templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the bars and the store of a night that explained nothing."""
    folder = tmp_path_factory.mktemp("boosters")
    (folder / "mlflow.db").write_bytes(sqlite_template(_templates).read_bytes())
    write(folder / "bars", "AAA/USD")
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, f"sqlite:///{folder / 'mlflow.db'}", patch)
        patch.setattr(NightlyFeatureAnalysis, "analyse_models", nothing)
        assert run_job("nightly", "--bars", "bars", *BOOSTERS).code == 0
    return folder


@pytest.mark.usefixtures("without_analysis")
@pytest.mark.sampled("error")
@pytest.mark.parametrize("error", [TrainingError, ZeroDivisionError])
def test_a_family_that_fails_is_in_the_table_and_its_cells_keep_their_champions(
    library: BrainLibrary,
    night_of_boosters: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    copy_database(night_of_boosters / "mlflow.db", tmp_path / "mlflow.db")
    options = ("--bars", str(night_of_boosters / "bars"), *BOOSTERS)
    before = {c.regime: c for c in library.champions()}

    def fail(*_: object, **__: object) -> None:
        raise error("the planted fault; take it out")

    monkeypatch.setattr(XgBoost, "fit", fail)
    night = run_job("nightly", *options)

    assert night.code == 1
    assert "AAA/USD xgboost" in night.out
    assert "the planted fault" in night.out
    after = {c.regime: c for c in library.champions()}
    assert after[Regime.LOW] == before[Regime.LOW]  # xgboost is the prior of low
    assert after[Regime.NORMAL].version == 3
    assert [library.version("AAA/USD", n).number for n in (1, 2, 3)] == [1, 2, 3]
    statuses = roles(library.client)
    assert (statuses["night", "FAILED"], statuses["symbol", "FAILED"]) == (1, 1)
    assert (statuses["family", "FINISHED"], statuses["family", "FAILED"]) == (3, 0)


def test_a_night_on_a_server_is_the_same(
    mlflow_server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.uri)
    shorten(monkeypatch, pictures=True)
    bars = write(tmp_path / "bars", "AAA/USD")
    night = run_job("nightly", "--bars", str(bars), "--families", "lightgbm", *QUICK)
    assert (night.code, night.complaints) == (0, [])
    library = BrainLibrary(mlflow_server.uri)
    assert [c.version for c in library.champions()] == [1, 1, 1, 1]
    library.fetch(library.version("AAA/USD", 1), tmp_path / "fetched")
    assert set(roles(library.client)) == {
        (role, "FINISHED") for role in ("night", "symbol", "family", "analysis")
    }


# --- bad input ----------------------------------------------------------------------------------


def test_files_of_which_none_has_one_meaning_are_all_named_before_anything_is_written(
    library: BrainLibrary, tmp_path: Path
) -> None:
    (tmp_path / "bars").mkdir()
    names = []
    for number, form in enumerate(make() for key, make in FORMS.items() if key not in ON_TIME):
        if form.bars is None:
            name = re.sub(r"^[A-Z]+(-USD)?(?=_)", f"S{number}-USD", form.name)
            (tmp_path / "bars" / name).write_bytes(form.content)
            names.append(f"S{number}/USD" if name != form.name else name)
    ahead = frame_of("AAA/USD").assign(
        time=lambda f: f["time"] - f["time"].iloc[-1] + pd.Timestamp.now("UTC").ceil("D")
        + pd.Timedelta(days=9)
    )  # fmt: skip
    write(tmp_path / "bars", "AAA/USD", ahead)
    done = run_job("nightly", "--bars", "bars", *QUICK)
    assert done.code == 2
    assert len(names) > 15
    for name in names:
        assert name.replace("/", "-") in done.error or name in done.error
    assert "AAA/USD 1d" in done.error
    assert "bars of 900 end after now" in done.error
    assert_untouched(library, tmp_path)


def with_value(column: str, value: float, symbol: str) -> pd.DataFrame:
    frame = frame_of(symbol)
    frame.loc[500, column] = value
    return frame


def with_conflict(symbol: str) -> pd.DataFrame:
    frame = frame_of(symbol)
    return pd.concat([frame, frame.iloc[[500]].assign(close=lambda f: f["close"] * 1.0001)])


def with_low_high(symbol: str) -> pd.DataFrame:
    frame = frame_of(symbol)
    frame["high"] = frame["high"].where(frame.index != 500, frame["low"] / 2)
    return frame


Broken = tuple[Callable[[str], pd.DataFrame], str, str]
#: How to break the bars of each symbol, the fault and the value that are told.
BROKEN: dict[str, Broken] = {
    "NAN/USD": (partial(with_value, "close", np.nan), "a price is NaN or infinite", "close nan"),
    "INF/USD": (partial(with_value, "high", np.inf), "a price is NaN or infinite", "high inf"),
    "NEG/USD": (partial(with_value, "low", -3.0), "a price is not positive", "low -3.0"),
    "UPS/USD": (with_low_high, "high is below low", "2021-05-15"),
    "TWO/USD": (with_conflict, "differ", "2021-05-15"),
}


@pytest.mark.parametrize("symbol", list(BROKEN))
def test_broken_bars_alone_are_refused_before_anything_is_written(
    library: BrainLibrary, tmp_path: Path, symbol: str
) -> None:
    make, fault, value = BROKEN[symbol]
    bars = write(tmp_path / "bars", symbol, make(symbol))
    done = run_job("nightly", "--bars", str(bars), *QUICK)
    assert done.code == 2
    for words in (symbol, fault, value, "; "):
        assert words in done.error
    assert_untouched(library, tmp_path)


def assert_untouched(library: BrainLibrary, folder: Path) -> None:
    assert runs_of(library.client) == []
    assert library.client.search_registered_models() == []
    assert library.client.search_logged_models(_experiments(library)) == []
    assert stored_files(folder) == []


@pytest.mark.usefixtures("without_analysis")
def test_bad_symbols_do_not_stop_the_good_ones(
    library: BrainLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "bars"
    for symbol, (make, _, _) in BROKEN.items():
        write(folder, symbol, make(symbol))
    write(folder, "AAA/USD")
    write(folder, "FEW/USD", frame_of("FEW/USD", 500))
    write(folder, "MIX/USD", frame_of("MIX/USD").sample(frac=1, random_state=1))
    write(folder, "GAP/USD", frame_of("GAP/USD").drop(range(600, 613)))
    good = {"AAA/USD", "GAP/USD", "MIX/USD"}
    bad = {*BROKEN, "FEW/USD", "DOGE/USD"}

    symbols = ",".join(sorted(good | bad))
    night = run_job(
        "nightly", "--bars", str(folder), "--symbols", symbols, "--families", "lightgbm", *QUICK
    )

    assert (night.code, night.complaints) == (4, [])  # of most symbols nothing is done
    for symbol in good | bad:
        assert f"│ {symbol}" in night.out
    assert set(library.symbols()) == good
    assert {c.symbol for c in library.champions()} == good
    assert roles(library.client) == {
        ("night", "FAILED"): 1,
        ("symbol", "FINISHED"): 3,
        ("family", "FINISHED"): 3,
    }
    (summary,) = [r for r in runs_of(library.client) if r.data.tags[Tag.ROLE] == "night"]
    failures = mlflow.artifacts.load_dict(f"{summary.info.artifact_uri}/summary.json")["failures"]
    assert failures.keys() == bad
    for symbol, (_, fault, _) in BROKEN.items():
        assert fault in failures[symbol]
    assert "at least 600 are needed; bring a longer history" in failures["FEW/USD"]
    assert "no file in" in failures["DOGE/USD"]
    # A repair is told where people look: in the log and in the symbol's run.
    notes = {
        r.data.tags[Tag.SYMBOL]: r.data.tags["mlflow.note.content"]
        for r in runs_of(library.client)
        if r.data.tags[Tag.ROLE] == "symbol"
    }
    assert "Repairs: none\n" in notes["AAA/USD"]
    assert "rows out of the order of time, sorted" in notes["MIX/USD"]
    assert "13 bars missing in 1 gap" in notes["GAP/USD"]
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert sum("sorted" in text or "13 bars missing" in text for text in warned) == 2


def test_a_night_in_which_nothing_could_be_trained_fails_whole(
    library: BrainLibrary, tmp_path: Path
) -> None:
    bars = write(tmp_path / "bars", "FEW/USD", frame_of("FEW/USD", 500))
    night = run_job("nightly", "--bars", str(bars), *QUICK)
    assert night.code == 2
    assert "FEW/USD" in night.out
    assert roles(library.client) == {("night", "FAILED"): 1}
    assert library.client.search_registered_models() == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--symbols", "DOGE/USD"), r"holds DOGE/USD; known: AAA/USD"),
        (("--symbols", "AAA/USDT"), r"holds AAA/USDT; did you mean 'AAA/USD'\?"),
        (("--symbols", "a b"), r"'a b' is not a symbol; write it as"),
        (("--families", "lightgmb"), r"'lightgmb'; did you mean 'lightgbm'\?"),
        (("--symbls", "AAA/USD"), r"--symbls.*--symbols"),
        (("--folds", "0"), r"folds='0'.*greater than or equal to 1"),
        (("--horizon", "soon"), r"horizon='soon'.*integer"),
        (("--bars", "nowhere"), r"no folder '/\S+/nowhere'; .*relative paths start from /"),
        (("--bars", "empty"), r"/empty' holds no Parquet or CSV file; put files"),
        (("--bars", "flat"), r"every close of 800 bars is 7\.0, so there is nothing to predict"),
        (("--bars", "hours"), r"'AAA-USD_7h\.csv' .*: '7h' is not .*; resample them to 1w"),
        (("--bars", "other"), r"bars are 1d apart, not 4h; name the timeframe .* 1d"),
        (("--timeframe", "60min"), r"timeframe='60min': '60min' is not a timeframe; write '1h'"),
    ],
)
def test_what_cannot_be_meant_is_told_with_the_cure_before_anything_is_written(
    library: BrainLibrary, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    write(tmp_path / "bars", "AAA/USD")
    (tmp_path / "empty").mkdir()
    still = frame_of("AAA/USD", 800)
    write(tmp_path / "flat", "AAA/USD", still.assign(open=7.0, high=7.0, low=7.0, close=7.0))
    for folder, timeframe in (("hours", "7h"), ("other", "4h")):
        (tmp_path / folder).mkdir()
        still.to_csv(tmp_path / folder / f"AAA-USD_{timeframe}.csv", index=False)
    done = run_job("nightly", "--bars", "bars", *arguments)
    assert done.code == 2
    assert re.search(message, done.error), done.error
    assert_untouched(library, tmp_path)


def test_misspelt_settings_are_told_wherever_they_stand(
    library: BrainLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "bars", "AAA/USD")
    (tmp_path / "brain.toml").write_text("trails = 3\n")
    assert "'trails' is no setting; did you mean 'trials'" in run_job("tune").error
    (tmp_path / "brain.toml").unlink()
    monkeypatch.setenv("BRAIN_TRAILS", "3")
    done = run_job("tune")
    assert done.code == 2
    assert "BRAIN_TRAILS is no setting; did you mean 'BRAIN_TRIALS'" in done.error
    assert_untouched(library, tmp_path)


def test_a_server_that_does_not_answer_is_told_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    write(tmp_path / "bars", "AAA/USD")
    started = time.monotonic()
    done = run_job("nightly", "--bars", "bars")
    assert done.code == 2
    assert re.search(r"no answer from http://127\.0\.0\.1:9 .*; start the server or", done.error)
    assert time.monotonic() - started < 30
    assert {path.name for path in tmp_path.iterdir()} == {"bars", "brain.log"}
    assert "no answer from http://127.0.0.1:9" in (tmp_path / "brain.log").read_text()


def test_artifacts_that_cannot_be_written_are_told_before_the_run_is_started(
    library: BrainLibrary, tmp_path: Path
) -> None:
    (tmp_path / "mlruns").write_text("a file where the folder should be")  # root writes anywhere
    write(tmp_path / "bars", "AAA/USD")
    done = run_job("nightly", "--bars", "bars")
    assert done.code == 2
    assert re.search(r"artifacts can't be written to .*mlruns.*; make the folder", done.error)
    assert_untouched(library, tmp_path)


@pytest.mark.usefixtures("without_analysis")
def test_artifacts_that_fail_in_mid_night_leave_no_version_and_old_champions(
    library: BrainLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = write(tmp_path / "bars", "AAA/USD")
    options = ("--bars", str(bars), "--families", "lightgbm", *QUICK)
    assert run_job("nightly", *options).code == 0
    before = library.champions()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", full)
    done = run_job("nightly", *options)

    assert done.code == 2
    assert re.search(
        r"register lightgbm for AAA/USD.*disk is full.*No space left.*; free", done.error
    )
    assert library.champions() == before
    versions = library.client.search_model_versions()
    assert [int(v.version) for v in versions] == [1]
    logged = library.client.search_logged_models(_experiments(library))
    assert [str(m.status) for m in logged] == ["READY"]
    assert roles(library.client) == {
        (role, status): 1
        for role in ("night", "symbol", "family")
        for status in ("FINISHED", "FAILED")
    }


def test_a_pin_and_a_champion_of_long_ago_are_told_by_every_night_until_the_pin_is_released(
    library: BrainLibrary, tmp_path: Path, without_analysis: None, caplog: pytest.LogCaptureFixture
) -> None:
    """XGBoost alone would be champion of the low regime, and LightGBM of the normal one."""
    folder, client = write(tmp_path / "bars", "AAA/USD"), library.client
    assert run_job("nightly", "--bars", str(folder), *BOOSTERS).code == 0
    xgboost, lightgbm = (library.champion(KEY, regime).version for regime in ("low", "normal"))
    long_ago = replace(library.champion(KEY, "low").record, night="2020-01-01")
    client.set_registered_model_tag(KEY.name, cell_tag(Regime.LOW), long_ago.to_json())
    client.set_registered_model_alias(KEY.name, champion_alias(Regime.NORMAL), str(xgboost))

    command = ("nightly", "--bars", str(folder), "--families", "lightgbm", *QUICK)
    for _ in range(2):
        caplog.clear()
        done = run_job(*command)
        assert done.code == 0
        newest = max(int(v.version) for v in client.search_model_versions())
        cells = {c.regime: c.version for c in library.champions(KEY)}
        assert cells == {"low": xgboost, "normal": xgboost, "high": newest, "extreme": newest}
        challenger = client.get_model_version_by_alias(KEY.name, challenger_alias(Regime.NORMAL))
        assert int(challenger.version) == newest
        night = [r for r in runs_of(client) if r.data.tags[Tag.ROLE] == "night"][-1]
        summary = mlflow.artifacts.load_dict(f"{night.info.artifact_uri}/summary.json")
        entries = {entry["regime"]: entry for entry in summary["champions"]}
        days = (dt.datetime.now(dt.UTC).date() - dt.date(2020, 1, 1)).days
        age = entries["low"]["age_days"]
        assert age in {days, days - 1}
        old = f"not trained tonight, {age} days old; "
        pin = (
            f"the alias was moved by hand to version {xgboost}, a night named version {lightgbm}; "
            "`brain release AAA/USD normal`"
        )
        assert [entries[r]["trained_tonight"] for r in REGIMES] == [False, False, True, True]
        assert [entries[r]["pinned"] for r in REGIMES] == [False, True, False, False]
        page = mlflow.artifacts.load_text(f"{night.info.artifact_uri}/night.html")
        description = client.get_registered_model(KEY.name).description or ""
        assert f"- **low**: {old}" in description
        for text in (page, description):
            assert old in text
            assert "pinned by hand, not trained tonight, 0 days old; the alias was moved" in text
        assert pin in description
        lines = done.out.partition("Champions")[2].splitlines()
        why = "".join(line.split("│")[-2].strip() for line in lines if line.count("│") > 2)
        assert old.strip().replace(" ", "") in why.replace(" ", "")
        assert "pinnedbyhand" in why.replace(" ", "")
        (told,) = [r.getMessage() for r in caplog.records if "pinned" in r.getMessage()]
        assert told.startswith(f"{KEY.name}/{xgboost} in normal: pinned by hand")

    released = run_job("release", "AAA/USD", "normal")
    assert released.code == 0
    assert f"{KEY.name}/{xgboost} is no longer pinned for regime normal" in released.out
    again = run_job("release", "AAA/USD", "normal")
    assert (again.code, "is not pinned in regime normal" in again.error) == (2, True)
    assert run_job(*command).code == 0
    assert library.champion(KEY, "normal").version == newest + 1
    previous = client.get_model_version_by_alias(KEY.name, previous_alias(Regime.NORMAL))
    assert int(previous.version) == xgboost


def test_an_alias_at_another_programs_version_stays_and_fails_its_cell_alone(
    library: BrainLibrary, tmp_path: Path, without_analysis: None
) -> None:
    folder, client = write(tmp_path / "bars", "AAA/USD"), library.client
    command = ("nightly", "--bars", str(folder), "--families", "lightgbm", *QUICK)
    assert run_job(*command).code == 0
    (run, *_) = runs_of(client)
    foreign = client.create_model_version(KEY.name, source=run.info.artifact_uri)
    client.set_registered_model_alias(KEY.name, champion_alias(Regime.HIGH), foreign.version)
    done = run_job(*command)
    assert done.code == 1
    assert "AAA/USD champion-high" in done.out
    assert [c.regime for c in library.champions(KEY)] == ["low", "normal", "extreme"]
    aliases = client.get_registered_model(KEY.name).aliases
    assert int(aliases[champion_alias(Regime.HIGH)]) == int(foreign.version)
    assert int(aliases[champion_alias(Regime.NORMAL)]) == int(foreign.version) + 1


@pytest.fixture
def interrupted(
    library: BrainLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_analysis: None
) -> tuple[str, ...]:
    """A night of three symbols that is interrupted at the second; its command."""
    for symbol in ("AAA/USD", "BBB/USD", "CCC/USD"):
        write(tmp_path / "bars", symbol)
    command = ("nightly", "--bars", "bars", "--families", "lightgbm", *QUICK)

    def interrupt(
        library: BrainLibrary,
        result: SymbolResult,
        choices: list[CellChoice],
        *more: Any,
        **by: Any,
    ) -> object:
        if result.dataset.symbol == "BBB/USD":
            raise KeyboardInterrupt
        return name_champions(library, result, choices, *more, **by)

    with monkeypatch.context() as patch:
        patch.setattr("analysis.night.name_champions", interrupt)
        assert run_job(*command).code == 130
    assert {c.symbol for c in library.champions()} == {"AAA/USD"}
    return command


def versions(library: BrainLibrary) -> Counter[str]:
    return Counter(version.name for version in library.client.search_model_versions())


def test_the_next_start_of_a_night_does_what_is_missing_and_says_so(
    library: BrainLibrary, interrupted: tuple[str, ...]
) -> None:
    done = run_job(*interrupted)
    assert (done.code, done.complaints) == (0, [])
    assert "which was stopped: complete there, AAA/USD." in " ".join(done.out.split())
    assert "1/2 BBB/USD lightgbm trained in" in done.out
    assert "2/2 CCC/USD lightgbm trained in" in done.out
    assert versions(library) == {"AAA-USD.1d.6": 1, "BBB-USD.1d.6": 2, "CCC-USD.1d.6": 1}
    nights = [r for r in runs_of(library.client) if r.data.tags[Tag.ROLE] == "night"]
    assert [r.info.status for r in nights] == ["KILLED", "FINISHED"]
    assert len({r.data.tags[Tag.NIGHT] for r in nights}) == 1
    assert "Continues the night" in nights[1].data.tags["mlflow.note.content"]
    summary = mlflow.artifacts.load_dict(f"{nights[1].info.artifact_uri}/summary.json")
    symbols = ["AAA/USD", "BBB/USD", "CCC/USD"]
    assert [c["symbol"] for c in summary["champions"]] == [s for s in symbols for _ in REGIMES]
    assert [v["symbol"] for v in summary["versions"]] == symbols
    assert all(symbol in done.out.partition("Champions")[2] for symbol in symbols)
    page = mlflow.artifacts.load_text(f"{nights[1].info.artifact_uri}/night.html")
    assert re.findall("<h2>(.*?)</h2>", page) == [*symbols, "Failures"]
    assert page.count("was not trained") == 2 * len(symbols)  # of low and high
    # The night is complete now, and the next start is the next night's.
    again = run_job(*interrupted)
    assert "Continues" not in again.out
    assert versions(library) == {"AAA-USD.1d.6": 2, "BBB-USD.1d.6": 3, "CCC-USD.1d.6": 2}


def test_a_symbol_with_corrected_bars_is_done_again_and_new_bars_are_no_correction(
    library: BrainLibrary,
    interrupted: tuple[str, ...],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame = frame_of("AAA/USD")
    later = frame[-5:].assign(time=frame["time"][-5:] + pd.Timedelta(days=5))
    write(tmp_path / "bars", "AAA/USD", pd.concat([frame, later]))
    with monkeypatch.context() as patch:
        patch.setattr("analysis.night.name_champions", None)  # stops the night at BBB/USD again
        with pytest.raises(TypeError):
            run_job(*interrupted)
    assert versions(library)["AAA-USD.1d.6"] == 1
    write(tmp_path / "bars", "AAA/USD", frame.assign(volume=frame["volume"] * 2))
    done = run_job(*interrupted)
    assert done.code == 0
    assert "AAA/USD has other bars than when it was done, and is done again" in caplog.text
    assert versions(library)["AAA-USD.1d.6"] == 2


def test_failures_of_complete_symbols_are_told_by_the_start_that_continues(
    library: BrainLibrary, interrupted: tuple[str, ...]
) -> None:
    (part,) = [r for r in runs_of(library.client) if r.data.tags.get(Tag.COMPLETE)]
    document = mlflow.artifacts.load_dict(f"{part.info.artifact_uri}/summary.json")
    failures = {"AAA/USD drift": "too few bars"}
    library.client.log_dict(part.info.run_id, document | {"failures": failures}, "summary.json")
    done = run_job(*interrupted)
    assert done.code == 1
    assert "AAA/USD drift" in done.out
    assert "too few bars" in done.out


def test_a_process_of_its_own_says_one_line_too(library: BrainLibrary, tmp_path: Path) -> None:
    write(tmp_path / "bars", "AAA/USD")
    done = subprocess.run(
        [sys.executable, "-m", "mlproject", "nightly", "--bars", "bars", "--symbols", "AAA/USDT"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(mlproject.__file__).parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "holds AAA/USDT; did you mean 'AAA/USD'" in Outcome(2, "", done.stderr).error
    assert_untouched(library, tmp_path)
