"""A night's analysis: every champion explained, and every fault named while the others go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from analysis import (
    FeatureShifts,
    FeatureTrends,
    History,
    Method,
    NightlyAnalysis,
    NightlyFeatureAnalysis,
    NoteReason,
    Rankings,
    Stage,
    run_nightly_feature_analysis,
)
from analysis.explainers.lstm import LstmExplainer
from analysis.explainers.trees import TreeExplainer
from analysis.explanation import ExplanationTask
from analysis.workers import analysis_call
from brain.errors import (
    AmbiguousModelError,
    AnalysisError,
    ArtifactStoreError,
    InputError,
    LibraryError,
    ModelIntegrityError,
    NoChampionError,
    NotEnoughBarsError,
    UnknownSymbolError,
)
from brain.naming import Family, Regime
from brain.records import Version
from brain.workers import outcomes, run_units
from engine.families.boosted import FittedLightGbm
from engine.kernels.features import FEATURES
from registry.library import BrainLibrary
from registry.runs import Run
from tests.analysis.models import CAUSE, SYMBOL, crown, dataset, fitted, register, settings
from tests.engine.simulate import simulate

EXPLANATION = {
    "importance.parquet", "importance.json", "importance.png", "beeswarm.png", "features.html",
}  # fmt: skip
DRIFT = {"evidently.html", "evidently.json", "drift.json"}


@pytest.fixture
def library(sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return BrainLibrary(sqlite_dsn)


@pytest.fixture
def night(library: BrainLibrary) -> Iterator[Run]:
    with library.start("nightly", "a night", tags={}, note="") as run:
        yield run


@pytest.fixture
def service(library: BrainLibrary, monkeypatch: pytest.MonkeyPatch) -> NightlyFeatureAnalysis:
    return NightlyFeatureAnalysis(library, settings(library.dsn))


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots and report cost seconds, and most of these tests don't look at them."""
    monkeypatch.setattr("analysis.drift_report._report", lambda *_: None)
    monkeypatch.setattr("analysis.figures.write_figures", lambda *_: None)
    monkeypatch.setattr("analysis.profit._write_figure", lambda *_: None)


def analyse(service: NightlyFeatureAnalysis, **changes: object) -> NightlyAnalysis:
    data = {"datasets": {SYMBOL: dataset()}} | changes
    return service.run_nightly_analysis(**data)  # type: ignore[arg-type]


def files(client: MlflowClient, run: str, folder: str) -> set[str]:
    return {item.path.rpartition("/")[2] for item in client.list_artifacts(run, folder)}


def faults(analysis: NightlyAnalysis) -> dict[str, type]:
    return {failure.what: type(failure.error) for failure in analysis.failures}


def test_every_champions_run_has_tables_plots_and_drift(
    library: BrainLibrary, night: Run, service: NightlyFeatureAnalysis, tmp_path: Path
) -> None:
    versions = [register(library, night, name) for name in Family]
    for version, regime in zip(versions, Regime, strict=False):
        crown(library, version, regime)
    crown(library, versions[0], Regime.EXTREME)  # shares a version, which is analysed once
    analysis = analyse(service, night=night)
    assert analysis.failures == ()
    assert [profit.model_id for profit in analysis.profits] == [version.id for version in versions]
    assert [model.model_id for model in analysis.models] == [version.id for version in versions]
    for model in analysis.models:
        for ranking in model.rankings.values():
            assert ranking.features[0].feature == CAUSE, (model.model_id, ranking.method)
            assert sum(f.share for f in ranking.features) == pytest.approx(1.0)
            assert len(ranking.features) == len(FEATURES)
        assert model.additivity.holds
        assert model.notes == ()
    for version in versions:
        assert files(library.client, version.run_id, "explanation") == EXPLANATION
        assert files(library.client, version.run_id, "drift") == DRIFT
        assert "profit.png" in library.run_files(version)
        metrics = library.client.get_run(version.run_id).data.metrics
        assert metrics["shap/additivity_error"] <= 0.01
        assert metrics["drift/judged"] == len(FEATURES)
        (point,) = library.client.get_metric_history(version.run_id, "shap/additivity_error")
        assert point.step == night.number
    path = library.client.download_artifacts(versions[0].run_id, "explanation", str(tmp_path))
    table = pd.read_parquet(Path(path) / "importance.parquet")
    assert set(table["method"]) == set(Method)
    document = json.loads((Path(path) / "importance.json").read_text())
    assert document["additivity"]["holds"] is True
    assert len(document["table"]) == len(table) == 3 * len(FEATURES)
    rankings = Rankings(library).read(SYMBOL, since=analysis.date, until=analysis.date)
    pd.testing.assert_frame_equal(rankings, analysis.frame())


@pytest.mark.usefixtures("no_pictures")
def test_the_seeds_calls_as_they_stand(library: BrainLibrary, night: Run, tmp_path: Path) -> None:
    version = register(library, night, Family.LIGHTGBM)
    crown(library, version, *Regime)
    brain_library, symbol, models = library, SYMBOL, {SYMBOL: [version.id]}
    symbols, datasets = [symbol], {symbol: dataset()}
    bars = tmp_path / "bars"
    bars.mkdir()
    frame = simulate(1500, strength=0.0, seed=1, symbol=symbol).bars.frame
    frame.reset_index().to_parquet(bars / "SIM-USD_1h.parquet")
    settings_ = settings(library.dsn, bars=bars)

    mechanic = NightlyFeatureAnalysis(brain_library, settings_)
    results = mechanic.run_nightly_analysis(symbols=symbols, models=models, datasets=datasets)
    trends = mechanic.get_feature_importance_trends(symbol, days=30)
    shifts = mechanic.identify_feature_shifts(symbol, threshold=0.1)
    rebuilt = run_nightly_feature_analysis(settings_, symbols=None)

    assert isinstance(results, NightlyAnalysis)
    assert [model.model_id for model in results.models] == [version.id]
    assert isinstance(trends, FeatureTrends)
    assert (trends.history, trends.nights) == (History.INSUFFICIENT, 1)
    assert isinstance(shifts, FeatureShifts)
    assert shifts.history is History.INSUFFICIENT
    assert isinstance(rebuilt, NightlyAnalysis)
    assert [model.model_id for model in rebuilt.models] == [version.id]
    assert results.failures == rebuilt.failures == ()


@pytest.mark.usefixtures("no_pictures")
def test_an_analysis_of_its_own_has_a_run_and_one_for_each_symbol(
    library: BrainLibrary, night: Run, service: NightlyFeatureAnalysis
) -> None:
    crown(library, register(library, night, Family.LIGHTGBM), Regime.LOW)
    done: list[tuple[str, int, int]] = []
    analysis = analyse(service, progress=lambda piece, n, of: done.append((str(piece), n, of)))
    runs = library.client.search_runs([night.experiment_id], "tags.role = 'analysis'")
    (child,) = [run for run in runs if "symbol" in run.data.tags]
    (parent,) = [run for run in runs if "symbol" not in run.data.tags]
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.data.tags["date"] == analysis.date.isoformat()
    assert child.data.metrics["lightgbm/shap/additivity_error"] < 1e-6
    assert CAUSE in child.data.tags["mlflow.note.content"]
    assert {parent.info.status, child.info.status} == {"FINISHED"}
    assert sorted(done)[0][0].startswith("SIM-USD.1h.1/1 lightgbm explained in")
    assert sorted((n, of) for _, n, of in done) == [(1, 3), (2, 3), (3, 3)]


def test_flawed_and_new_features_are_named_and_have_no_importance(
    library: BrainLibrary, night: Run, service: NightlyFeatureAnalysis, tmp_path: Path
) -> None:
    signature = (*FEATURES[1:], "discontinued")
    version = register(library, night, Family.LIGHTGBM, features=signature)
    crown(library, version, Regime.LOW)
    features = dataset().features.copy()
    features[:, FEATURES.index("hour_sin")] = 1.5
    features[:, FEATURES.index("weekend")] = np.nan
    features[:-1, FEATURES.index("body")] = np.nan  # known once, and not where it is explained
    features[-1, FEATURES.index("body")] = 1.0
    features[-2, FEATURES.index("body")] = 2.0
    analysis = analyse(service, datasets={SYMBOL: replace(dataset(), features=features)})
    assert analysis.failures == ()
    notes = {note.feature: note.reason for _, note in analysis.notes}
    assert notes == {
        "hour_sin": NoteReason.CONSTANT,
        "weekend": NoteReason.UNKNOWN,
        FEATURES[0]: NoteReason.NEW,
        "discontinued": NoteReason.ABSENT,
    }
    (model,) = analysis.models
    for ranking in model.rankings.values():
        assert not {f.feature for f in ranking.features} & set(notes)
        assert ranking.features[0].feature == CAUSE
    fetched = library.client.download_artifacts(version.run_id, "explanation", str(tmp_path))
    table = pd.read_parquet(Path(fetched) / "importance.parquet").set_index("feature")
    assert table.loc["weekend", "note"] == "not known in any row of the data"
    assert table.loc[list(notes), ["importance", "share", "rank"]].isna().all(axis=None)


def stored_model(version: Version, tmp_path: Path) -> Path:
    (path,) = tmp_path.rglob(f"{version.logged_model_id}/artifacts/model.lgb")
    return path


@pytest.mark.usefixtures("no_pictures")
def test_models_that_are_gone_or_changed_fail_by_name_and_the_others_go_on(
    library: BrainLibrary, night: Run, service: NightlyFeatureAnalysis, tmp_path: Path
) -> None:
    missing, changed, sound = (register(library, night, Family.LIGHTGBM) for _ in range(3))
    for version, regime in zip((missing, changed, sound), Regime, strict=False):
        crown(library, version, regime)
    shutil.rmtree(stored_model(missing, tmp_path).parent)
    text = stored_model(changed, tmp_path)
    text.write_text(text.read_text().replace("leaf_value=", "leaf_value=9", 1))
    analysis = analyse(service, night=night)
    assert faults(analysis) == {
        "SIM-USD.1h.1/1 fetch": ArtifactStoreError,
        "SIM-USD.1h.1/2 fetch": ModelIntegrityError,
    }
    assert [model.model_id for model in analysis.models] == [sound.id]
    assert files(library.client, missing.run_id, "drift") == {"drift.json"}
    (child,) = library.client.search_runs([night.experiment_id], "tags.role = 'analysis'")
    assert child.info.status == "FAILED"
    assert set(Rankings(library).read(SYMBOL)["model_id"]) == {sound.id}


@pytest.mark.usefixtures("no_pictures")
def test_an_empty_recent_window_fails_by_name_and_the_model_is_explained(
    library: BrainLibrary, night: Run, service: NightlyFeatureAnalysis
) -> None:
    crown(library, register(library, night, Family.LIGHTGBM), Regime.LOW)
    features = dataset().features.copy()
    features[-100:] = np.nan
    analysis = analyse(service, datasets={SYMBOL: replace(dataset(), features=features)})
    assert faults(analysis) == {"SIM-USD drift".replace("-", "/"): NotEnoughBarsError}
    assert "0 known bars among its last 100" in str(analysis.failures[0])
    assert len(analysis.models) == 1
    later = register(library, night, Family.LIGHTGBM, trained_until="2031-01-01T00:00:00+00:00")
    analysis = analyse(service, models={SYMBOL: [later.id]})
    assert faults(analysis) == {"SIM/USD drift": NotEnoughBarsError}
    assert "the recent window is empty" in str(analysis.failures[0])


@pytest.mark.usefixtures("no_pictures")
def test_rows_later_than_the_training_are_counted_and_preferred(
    library: BrainLibrary, night: Run, service: NightlyFeatureAnalysis
) -> None:
    until = dataset().close_time[1099].isoformat()
    version = register(library, night, Family.LIGHTGBM, trained_until=until)
    analysis = analyse(service, models={SYMBOL: [version.id]})
    ranking = analysis.models[0].rankings[Method.PERMUTATION]
    assert (ranking.rows, ranking.unseen) == (398, 398)  # the last two targets are not known yet
    assert analysis.models[0].rankings[Method.CORRELATION].unseen == 398
    assert analysis.drifts[0].training.end == until


@pytest.mark.sampled("name")
@pytest.mark.parametrize("name", [Family.XGBOOST, Family.LSTM])
def test_contributions_that_do_not_add_up_fail_and_are_not_shown(
    name: Family,
    library: BrainLibrary,
    night: Run,
    service: NightlyFeatureAnalysis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = register(library, night, name)
    crown(library, version, Regime.LOW)
    monkeypatch.setattr("analysis.drift_report._report", lambda *_: None)
    for explainer in (TreeExplainer, LstmExplainer):
        monkeypatch.setattr(explainer, "tolerance", lambda *_: (1e-12, 1.0))
    analysis = analyse(service)
    assert faults(analysis) == {"SIM-USD.1h.1/1 additivity": AnalysisError}
    assert "miss the predictions by" in str(analysis.failures[0])
    assert set(analysis.models[0].rankings) == {Method.PERMUTATION, Method.CORRELATION}
    assert files(library.client, version.run_id, "explanation") == EXPLANATION - {"beeswarm.png"}
    metrics = library.client.get_run(version.run_id).data.metrics
    assert metrics["shap/additivity_holds"] == 0
    assert metrics["shap/additivity_error"] > 0


@pytest.mark.usefixtures("no_pictures")
def test_what_was_asked_for_and_is_not_there_fails_by_name(
    library: BrainLibrary, night: Run, service: NightlyFeatureAnalysis
) -> None:
    version = register(library, night, Family.LIGHTGBM)
    other = register(library, night, Family.LIGHTGBM, symbol="ETH/USD")
    crown(library, version, Regime.LOW)
    analysis = analyse(
        service,
        symbols=["SIM-USD", "NEW/USD", "no symbol", "ETH/USD"],
        models={
            SYMBOL: [version.id, "SIM-USD.1h.1/9", "ETH-USD.1h.1/1", "nonsense"],
            "ETH/USD": [other.id],
        },
    )
    assert faults(analysis) == {
        "SIM-USD.1h.1/9 choice": LibraryError,
        "ETH-USD.1h.1/1 choice": InputError,
        "nonsense choice": InputError,
        "NEW/USD choice": NoChampionError,
        "no symbol choice": InputError,
        "ETH/USD bars": UnknownSymbolError,
    }
    assert {failure.part for failure in analysis.failures} == {Stage.CHOICE, Stage.BARS}
    assert [model.model_id for model in analysis.models] == [version.id]


def test_without_any_champion_there_is_nothing_to_analyse(
    service: NightlyFeatureAnalysis, library: BrainLibrary
) -> None:
    with pytest.raises(NoChampionError, match="no symbol has a champion to analyse; run the"):
        service.run_nightly_analysis()
    with pytest.raises(NoChampionError, match="no symbol has a champion"):
        run_nightly_feature_analysis(settings(library.dsn))


def test_texts_in_place_of_lists_are_refused(service: NightlyFeatureAnalysis) -> None:
    with pytest.raises(InputError, match=r"symbols is the text 'SIM/USD'; give a list"):
        service.run_nightly_analysis(symbols=SYMBOL, models={}, datasets={})
    with pytest.raises(InputError, match=r"models of SIM/USD are the text 'SIM-USD.1h.1/1'"):
        service.run_nightly_analysis(models={SYMBOL: "SIM-USD.1h.1/1"}, datasets={})


@pytest.mark.usefixtures("no_pictures")
def test_a_dataset_of_another_horizon_is_told(
    library: BrainLibrary, night: Run, service: NightlyFeatureAnalysis
) -> None:
    crown(library, register(library, night, Family.LIGHTGBM), Regime.LOW)
    analysis = analyse(service, datasets={SYMBOL: replace(dataset(), horizon=6)})
    assert faults(analysis) == {"SIM/USD bars": InputError}
    assert (
        "SIM/USD on 1h bars, 1 bar ahead can't be explained by a dataset that looks 6 bars ahead"
        in str(analysis.failures[0])
    )


@pytest.mark.usefixtures("no_pictures")
def test_bars_of_another_timeframe_are_refused_in_words(
    library: BrainLibrary, night: Run, service: NightlyFeatureAnalysis
) -> None:
    version = register(library, night, Family.LIGHTGBM)
    crown(library, version, Regime.LOW)
    bars = simulate(1500, strength=0.0, seed=1, symbol=SYMBOL, timeframe="4h").bars
    for data in (bars, replace(dataset(), timeframe="4h")):
        analysis = analyse(service, datasets={SYMBOL: data})
        assert faults(analysis) == {"SIM/USD bars": InputError}
        words = "versions of SIM/USD on 1h bars, 1 bar ahead can't be explained on 4h bars; give 1h"
        assert words in str(analysis.failures[0])
        assert (analysis.models, analysis.drifts, analysis.profits) == ((), (), ())
    assert not library.run_files(version) & {"explanation", "drift", "profit.png"}


@pytest.mark.usefixtures("no_pictures")
def test_champions_of_two_timeframes_are_analysed_where_one_is_named(
    library: BrainLibrary, night: Run, service: NightlyFeatureAnalysis
) -> None:
    versions = {
        timeframe: register(library, night, Family.LIGHTGBM, timeframe=timeframe)
        for timeframe in ("1h", "4h")
    }
    for version in versions.values():
        crown(library, version, Regime.LOW)
    several = analyse(service)
    assert faults(several) == {"SIM/USD choice": AmbiguousModelError}
    assert "SIM-USD.1h.1, SIM-USD.4h.1; name the timeframe" in str(several.failures[0])
    for timeframe, version in versions.items():
        data = replace(dataset(), timeframe=timeframe)
        analysis = analyse(service, datasets={SYMBOL: data}, timeframe=timeframe)
        assert [model.model_id for model in analysis.models] == [version.id]
        assert analysis.failures == ()
    with pytest.raises(AmbiguousModelError, match=r"SIM-USD\.1h\.1, SIM-USD\.4h\.1"):
        service.get_feature_importance_trends(SYMBOL)
    trends = service.get_feature_importance_trends(SYMBOL, timeframe="4h")
    assert set(trends.table["model_id"]) == {"SIM-USD.4h.1/1"}
    shifts = service.identify_feature_shifts(SYMBOL, horizon=1, timeframe="1h")
    assert [family.model_id for family in shifts.families] == ["SIM-USD.1h.1/1"]
    named = analyse(service, symbols=None, models={SYMBOL: [v.id for v in versions.values()]})
    assert [model.model_id for model in named.models] == ["SIM-USD.1h.1/1"]
    assert faults(named) == {"SIM/USD bars": InputError}  # those of 4h


def test_a_model_whose_worker_dies_is_a_failure_too(tmp_path: Path) -> None:
    whole = fitted(Family.LIGHTGBM)
    assert isinstance(whole, FittedLightGbm)
    text = whole.booster.model_to_string()
    (tmp_path / "model.lgb").write_text(text[: len(text) // 2])  # kills whoever reads it
    task = ExplanationTask(
        symbol=SYMBOL,
        model_id="SIM-USD.1h.1/1",
        family=Family.LIGHTGBM,
        trained_until=dataset().trained_until,
        data=dataset(),
        model=tmp_path,
        features=FEATURES,
        horizon=1,
        samples={"rows": 100, "windows": 100},
        seed=1,
        folder=tmp_path / "1",
    )
    failures: list[object] = []
    list(run_units([outcomes([analysis_call(task)], failures.append)], jobs=2))
    assert [str(failure).partition(",")[0] for failure in failures] == [
        "SIM-USD.1h.1/1 explanation failed: its worker process died"
    ]


def test_the_global_random_state_and_the_backend_are_left_alone(
    library: BrainLibrary,
    night: Run,
    service: NightlyFeatureAnalysis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import matplotlib
    import matplotlib.pyplot as plt

    crown(library, register(library, night, Family.LIGHTGBM), Regime.LOW)
    monkeypatch.setattr("analysis.drift_report._report", lambda *_: None)
    matplotlib.use("pdf")
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.RandomState(5).random()
    assert analyse(service).failures == ()
    assert np.random.random() == expected  # noqa: NPY002
    assert matplotlib.get_backend() == "pdf"
    assert plt.get_fignums() == []
