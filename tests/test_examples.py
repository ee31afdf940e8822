"""The examples, run as a reader would run them, after a small night."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from brain.confidence import confidence, position_size
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Family, Fill, Regime, Tag
from brain.recipes import Recipe
from brain.records import CellRecord, Champion, Version
from brain.series.bars import Bars
from brain.series.files import read_folder, sample_folder
from brain.settings import load_settings
from engine.data.dataset import make_dataset
from engine.data.frames import bar_volatility, feature_frame, regime_series
from engine.families import family
from engine.kernels.features import FEATURE_SET
from engine.kernels.market_features import MARKET_FEATURES
from engine.kernels.position import PositionRule
from engine.kernels.targets import target_name
from engine.night.champions import choose_champions, name_champions
from engine.night.model_folder import write_model
from engine.night.symbols import SymbolResult, train_symbols
from examples import hamilton
from registry.library import BrainLibrary
from tests.engine.markets import market_of
from tests.servers import sqlite_template

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TEN_LINES = EXAMPLES / "hamilton_ten_lines.py"
SYMBOL = "ETH/USD"
KEY = ModelKey(SYMBOL, "1d", 6)
#: Bars of the sample that the night has not seen. The regime has changed since.
NEW = 40
QUICK: dict[Family, dict[str, int]] = {
    Family.LIGHTGBM: {"rounds": 40},
    Family.XGBOOST: {"rounds": 40},
    Family.LSTM: {"window": 12, "hidden": 4, "epochs": 1},
}


@dataclass(frozen=True)
class Night:
    """A registry with champions, and the bars that they were trained on."""

    uri: str
    library: BrainLibrary
    folder: Path
    past: Path
    bars: Bars

    def run(self, *command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
        """A Python command, as someone would give it who knows the registry."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "HOME": str(self.folder),
        }
        return subprocess.run(
            [sys.executable, *command],
            cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip

    @property
    def champion(self) -> Champion:
        """Of the present regime."""
        return self.library.champion(SYMBOL, Regime.LOW)

    def predicted(self, version: Version, scratch: Path) -> float:
        """By the family's own code, on the whole history."""
        scratch.mkdir()
        model = family(version.family).load(self.library.fetch(version, scratch))
        return float(model.predict(feature_frame(self.bars).to_numpy())[-1])


def write(bars: Bars, folder: Path) -> Path:
    folder.mkdir()
    bars.frame.dropna(how="all").to_parquet(folder / "ETH-USD_1d.parquet")
    return folder


@pytest.fixture(scope="module")
def night(_templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("night")
    (folder / "mlflow.db").write_bytes(sqlite_template(_templates).read_bytes())
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    bars = read_folder(sample_folder(), [SYMBOL]).bars[SYMBOL]
    past = write(replace(bars, frame=bars.frame[:-NEW]), folder / "past")
    library = BrainLibrary(uri)
    for name, params in QUICK.items():
        recipe = Recipe(
            name, FEATURE_SET, 6, params, 7,
            timeframe="1d", target=target_name(24, Fill.WORKED),
            tuned_until="2017-01-01T00:00:00+00:00",
        )  # fmt: skip
        library.set_recipe(KEY, name, recipe.to_json())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        name_champions_of(past)
    return Night(uri, library, folder, past, bars)


def name_champions_of(bars: Path) -> None:
    """The Engine's part of a night."""
    settings = load_settings({"folds": 1, "jobs": 1})
    library = BrainLibrary(settings.tracking_uri)
    series = read_folder(bars).bars
    with library.start("nightly", "night", tags={Tag.ROLE: "night"}, note="") as run:
        (result,) = train_symbols(library, settings, series, run)
        assert isinstance(result, SymbolResult)
        assert not result.failures, result.failures
        name_champions(library, result, choose_champions(library, result))


@pytest.fixture
def _champions_stay(night: Night) -> Iterator[None]:
    before = night.champion.record
    yield
    night.library.set_champion(SYMBOL, Regime.LOW, before, None)


def crown(night: Night, version: Version, sharpe: float | None) -> CellRecord:
    """Make a version champion of the present regime, with that evidence."""
    error = None if sharpe is None else 0.5
    record = replace(
        night.champion.record,
        version=version.number,
        digest=version.digest,
        family=version.family,
        recipe=version.recipe,
        net_sharpe=sharpe,
        net_sharpe_error=error,
        bars=400,
        episodes=20,
        confidence=confidence(sharpe, error, 400, 20).probability,
    )
    night.library.set_champion(SYMBOL, Regime.LOW, record, None)
    return record


def decide(
    night: Night,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *arguments: str,
) -> list[str]:
    """What Hamilton says, in this process."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", night.uri)
    models = str(night.folder / "models")
    monkeypatch.setattr(sys, "argv", ["hamilton", SYMBOL, "--models", models, *arguments])
    code = hamilton.main()
    output = capsys.readouterr()
    faults = [line for line in output.err.splitlines() if line.startswith("flat")]
    return [f"exit code {code}", *output.out.splitlines(), *faults]


def direction(night: Night, version: Version, prediction: float, scratch: Path) -> float:
    """The direction that the version's own rule takes for the last bar."""
    scratch.mkdir()
    model = night.library.fetch(version, scratch)
    rule = PositionRule.from_json((model / "position.json").read_text())
    code = regime_series(night.bars)[0].to_numpy()[-1:]
    volatility = bar_volatility(night.bars)[-1:]
    return float(rule.decide(np.array([prediction]), volatility, code)[0])


# --- the night's records ------------------------------------------------------------------------


def test_the_night_has_recorded_how_sure_it_is(night: Night) -> None:
    records = [night.library.champion(SYMBOL, regime).record for regime in REGIMES]
    for cell in records:
        evidence = (cell.net_sharpe, cell.net_sharpe_error, cell.bars, cell.episodes)
        assert cell.confidence == confidence(*evidence).probability
    probabilities = [cell.confidence for cell in records if cell.confidence is not None]
    assert 0 < len(probabilities) < 4  # two regimes have no bars to evaluate on
    assert all(0 < probability < 1 for probability in probabilities)


# --- hamilton.py --------------------------------------------------------------------------------


def test_hamilton_tells_regime_champion_prediction_position_and_switch(
    night: Night, tmp_path: Path
) -> None:
    using = night.library.champion(SYMBOL, Regime.NORMAL)
    command = ("-m", "examples.hamilton", SYMBOL, "--using", using.model_id)
    done = night.run(*command)
    assert done.returncode == 0, done.stderr
    now, champion, switch, prediction, rule, position = done.stdout.splitlines()
    codes, _ = regime_series(night.bars)
    regime = REGIMES[codes.iloc[-1]]
    assert now == f"{KEY} at {night.bars.close_time[-1]}: regime {regime}"
    assert str(KEY) == "ETH/USD on 1d bars, 6 bars ahead"
    trusted = night.champion
    assert champion.startswith(f"champion {trusted.model_id} (xgboost, {trusted.uri}): ")
    assert switch.startswith(f"switch to {trusted.model_id}: champion of regime low is ")
    version = night.library.version(SYMBOL, trusted.version)
    expected = night.predicted(version, tmp_path / "model")
    assert float(prediction.split()[1]) == pytest.approx(expected, abs=1e-4)
    assert rule.endswith("worked through the next 1d bar and held for 6 bars")
    side = direction(night, version, expected, tmp_path / "rule")
    size = side * position_size(trusted.record.confidence, 0.1)
    assert position.startswith(f"position {size:+.4f}: " if size else "flat: ")


def test_a_version_is_downloaded_once_and_checked_every_time(
    night: Night,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    first = decide(night, monkeypatch, capsys, "--models", str(tmp_path))
    (folder,) = tmp_path.iterdir()
    assert folder.name == night.champion.record.digest
    monkeypatch.delattr(BrainLibrary, "fetch")
    assert decide(night, monkeypatch, capsys, "--models", str(tmp_path)) == first
    (folder / "model.ubj").write_bytes(b"forged")
    lines = decide(night, monkeypatch, capsys, "--models", str(tmp_path))
    assert lines[0] == "exit code 2"
    assert "model.ubj is not what was registered" in lines[-1]


@pytest.mark.usefixtures("_champions_stay")
@pytest.mark.parametrize("name", list(Family))
def test_every_family_predicts_from_recent_bars_as_from_the_whole_history(
    night: Night,
    name: Family,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    numbers = {night.library.version(SYMBOL, n).family: n for n in (1, 2, 3)}
    version = night.library.version(SYMBOL, numbers[name])
    cell = crown(night, version, sharpe=0.6)
    lines = decide(night, monkeypatch, capsys, "--limit", "0.5", "--using", version.id)
    expected = night.predicted(version, tmp_path / "model")
    assert lines[0] == "exit code 0"
    assert lines[3] == f"no switch: {version.id} is champion of regime low"
    prediction = float(lines[4].split()[1])
    assert prediction == pytest.approx(expected, abs=1e-4)
    side = direction(night, version, expected, tmp_path / "rule")
    size = side * 0.5 * (2 * (cell.confidence or 0) - 1)
    flat = "flat: it is not expected to be worth its cost"
    traded = f"position {size:+.4f}: confidence 0.86, net Sharpe 0.60 ± 0.50 "
    assert lines[6].startswith(traded if side else flat)


@pytest.mark.usefixtures("_champions_stay")
def test_unknown_confidence_stays_flat_and_says_so(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crown(night, night.library.version(SYMBOL, night.champion.version), sharpe=None)
    lines = decide(night, monkeypatch, capsys)
    assert lines[5] in (
        "flat: confidence unknown: no net Sharpe from 400 bars",
        "flat: it is not expected to be worth its cost",
    )


def test_the_bars_may_end_where_training_ended(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = decide(night, monkeypatch, capsys, "--bars", str(night.past))
    assert lines[0] == "exit code 0"
    assert (
        lines[1]
        == f"ETH/USD on 1d bars, 6 bars ahead at {night.bars.close_time[-NEW - 1]}: regime normal"
    )


def test_an_unknown_regime_stays_flat_and_says_so(
    night: Night,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    frame = night.bars.frame.copy()
    frame.iloc[-20:-1] = np.nan
    folder = write(replace(night.bars, frame=frame), tmp_path / "bars")
    lines = decide(night, monkeypatch, capsys, "--bars", str(folder))
    assert lines[0] == "exit code 0"
    assert lines[1].endswith("regime unknown")
    assert lines[2] == "flat: the regime is unknown"


def test_bars_that_end_before_training_did_are_an_error(
    night: Night,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    older = replace(night.bars, frame=night.bars.frame[: -NEW - 1])
    folder = write(older, tmp_path / "bars")
    lines = decide(night, monkeypatch, capsys, "--bars", str(folder))
    assert lines[0] == "exit code 2"
    assert re.match("flat, by an error: the state's last bar closes .* give newer bars", lines[1])


def test_a_registry_without_champions_is_an_error(
    night: Night,
    sqlite_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = decide(replace(night, uri=sqlite_dsn), monkeypatch, capsys)
    assert lines == [
        "exit code 2",
        "flat, by an error: no model of 'ETH/USD' is registered; known: none",
    ]


@pytest.mark.usefixtures("_champions_stay")
def test_a_champion_that_does_not_tell_its_regimes_is_passed_over(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction = decide(night, monkeypatch, capsys)
    newest = replace(night.champion.record, regimes={}, trained_until="2099-01-01T00:00:00+00:00")
    night.library.set_champion(SYMBOL, Regime.LOW, newest, None)
    assert decide(night, monkeypatch, capsys)[1] == prediction[1]

    before = {regime: night.library.champion(SYMBOL, regime).record for regime in REGIMES}
    try:
        for regime, record in before.items():
            night.library.set_champion(SYMBOL, regime, replace(record, regimes={}), None)
        assert decide(night, monkeypatch, capsys) == [
            "exit code 2",
            "flat, by an error: ETH/USD on 1d bars, 6 bars ahead has no champion that tells its "
            "regimes; run the nightly job for it",
        ]
    finally:
        for regime, record in before.items():
            night.library.set_champion(SYMBOL, regime, record, None)


@pytest.mark.usefixtures("_champions_stay")
@pytest.mark.parametrize("name", list(Family))
def test_a_model_that_knows_the_market_predicts_where_the_market_is_unknown(
    night: Night,
    name: Family,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    dataset = make_dataset(night.bars, horizon=6, market=market_of(night.bars, first=900))
    fitted = family(name).fit(dataset.features, dataset.target, hyperparameters=QUICK[name], seed=7)
    recipe = Recipe(name, dataset.feature_set, 6, QUICK[name], 7)
    rule = PositionRule(6, 1.0, {}, cost=5.0, threshold=0.0, fill=dataset.fill)
    write_model(fitted, dataset, recipe, rule, tmp_path / "model")
    tags: dict[str, str] = {
        Tag.FAMILY: str(name),
        Tag.RECIPE: recipe.id,
        Tag.TRAINED_UNTIL: dataset.trained_until,
    }
    with night.library.start("nightly", f"market {name}", tags=tags, note="") as run:
        version = night.library.add_version(
            run, KEY, name, tmp_path / "model", tags=tags, hyperparameters={}, note=""
        )
    crown(night, version, sharpe=0.6)
    lines = decide(night, monkeypatch, capsys)
    rows = feature_frame(night.bars).to_numpy()
    unknown = np.full((len(rows), len(MARKET_FEATURES)), np.nan)
    expected = fitted.predict(np.column_stack([rows, unknown]))[-1]
    assert float(lines[3].split()[1]) == pytest.approx(expected, abs=1e-4)


# --- hamilton_ten_lines.py ----------------------------------------------------------------------


def rows_in(file: Path, night: Night) -> Path:
    rows = feature_frame(night.bars).tail(60)
    rows.to_csv(file, index=False) if file.suffix == ".csv" else rows.to_parquet(file)
    return file


def assert_predicts(output: str, night: Night, regime: str, scratch: Path) -> None:
    """The champion's prediction after the rows of the file."""
    champion = night.library.champion(SYMBOL, regime)
    version = night.library.version(SYMBOL, champion.version)
    value, rest = output.split(maxsplit=1)
    assert float(value) == pytest.approx(night.predicted(version, scratch), abs=1e-6)
    assert rest == "after 60 given rows\n"


def test_ten_lines_predict_on_rows_from_a_file(night: Night, tmp_path: Path) -> None:
    file = rows_in(tmp_path / "rows.parquet", night)
    done = night.run(str(TEN_LINES), "ETH-USD.1d.6", "low", str(file), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert_predicts(done.stdout, night, "low", tmp_path / "model")


TenLines = Callable[..., str]


@pytest.fixture
def ten_lines(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> TenLines:
    """Runs them in this process, which has MLflow loaded already."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [str(TEN_LINES), *arguments])
        capsys.readouterr()
        runpy.run_path(str(TEN_LINES), run_name="__main__")
        return capsys.readouterr().out

    monkeypatch.setenv("MLFLOW_TRACKING_URI", night.uri)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    monkeypatch.chdir(night.folder)
    return run


def test_ten_lines_predict_on_rows_from_a_text_file(
    night: Night, ten_lines: TenLines, tmp_path: Path
) -> None:
    output = ten_lines("ETH-USD.1d.6", "normal", str(rows_in(tmp_path / "rows.csv", night)))
    assert_predicts(output, night, "normal", tmp_path / "model")


def test_ten_lines_predict_on_made_up_rows_too(night: Night, ten_lines: TenLines) -> None:
    # The LSTM: other than the boosters' its predictions come in a frame.
    output = ten_lines("ETH-USD.1d.6", "high")
    assert night.library.champion(SYMBOL, Regime.HIGH).record.family == Family.LSTM
    value, rest = output.split(maxsplit=1)
    assert np.isfinite(float(value))
    assert rest == "after 600 made-up rows\n"


# --- as they read -------------------------------------------------------------------------------


def code_lines(file: Path) -> list[str]:
    tree = ast.parse(file.read_text())
    first = tree.body[1].lineno  # after the docstring
    return [line for line in file.read_text().splitlines()[first - 1 :] if line.strip()]


def test_ten_lines_are_ten_and_need_mlflow_and_pandas_alone() -> None:
    assert len(code_lines(TEN_LINES)) == 10
    lines = code_lines(TEN_LINES)
    imported = [line.split()[1] for line in lines if line.startswith(("import", "from"))]
    assert imported == ["sys", "mlflow", "pandas"]


def test_hamilton_can_be_read_on_three_pages() -> None:
    assert len((EXAMPLES / "hamilton.py").read_text().splitlines()) <= 165
