"""The examples, run as a reader would run them, after a small night."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pytest

from brain.confidence import confidence
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
from engine.kernels.position import PositionRule
from engine.kernels.targets import target_name
from engine.night.champions import choose_champions, name_champions
from engine.night.model_folder import write_model
from engine.night.promotion import Promotion
from engine.night.symbols import SymbolResult, train_symbols
from examples import hamilton
from registry.library import BrainLibrary
from tests.engine.markets import market_of
from tests.jobs import run_job
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
    settings = load_settings({"folds": 1, "jobs": 1, "seeds": 1, "promotion": "provisional"})
    library = BrainLibrary(settings.tracking_uri)
    series = read_folder(bars).bars
    with library.start("nightly", "night", tags={Tag.ROLE: "night"}, note="") as run:
        (result,) = train_symbols(library, settings, series, run)
        assert isinstance(result, SymbolResult)
        assert not result.failures, result.failures
        promotion = Promotion(library, settings, datetime.now(UTC))
        choices = choose_champions(library, result, promotion)
        name_champions(library, result, choices, promotion)


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
    """What Hamilton says of the stored bars, in this process."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", night.uri)
    command = ["hamilton", SYMBOL, "--replay", "--last", "1", *arguments]
    monkeypatch.setattr(sys, "argv", command)
    code = hamilton.main()
    output = capsys.readouterr()
    faults = [line for line in output.err.splitlines() if line.startswith("flat")]
    return [f"exit code {code}", *output.out.splitlines(), *faults]


def direction(night: Night, version: Version, prediction: float, scratch: Path) -> float:
    """The direction that the version's own rule takes for the last bar, nothing held before."""
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

LINE = re.compile(
    r"(?P<at>\S+) (?P<regime>\w+) +(?P<version>\S+) \((?P<family>\w+), (?P<age>[0-9.]+) days old\) "
    r"(?P<prediction>[-+.0-9]+), (?P<gain>[-+.0-9]+) bp: "
    r"position (?P<position>[-+.0-9]+), hold (?P<exposure>[-+.0-9]+): (?P<reason>.+)"
)


def fields(line: str) -> dict[str, str]:
    match = LINE.fullmatch(line)
    assert match, line
    return match.groupdict()


def test_hamilton_decides_on_stored_bars_and_goes_on_by_its_journal(
    night: Night,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    using = night.library.champion(SYMBOL, Regime.NORMAL)
    journal = tmp_path / "journal"
    command = ("-m", "examples.hamilton", SYMBOL, "--replay", "--journal", str(journal))
    first = night.run(*command, "--last", "10", "--using", using.model_id)
    assert first.returncode == 0, first.stderr
    *lines, advice = first.stdout.splitlines()
    assert len(lines) == 10
    for line, close in zip(lines, night.bars.close_time[-10:], strict=True):
        assert fields(line)["at"] == f"{close:%Y-%m-%dT%H:%M}"
    now = fields(lines[-1])
    codes, _ = regime_series(night.bars)
    assert now["regime"] == REGIMES[codes.iloc[-1]]
    trusted = night.champion
    assert (now["version"], now["family"]) == (trusted.model_id, "xgboost")
    assert now["age"] == f"{NEW:.1f}"
    version = night.library.version(SYMBOL, trusted.version)
    expected = night.predicted(version, tmp_path / "model")
    assert float(now["prediction"]) == pytest.approx(expected, abs=1e-4)
    assert advice.startswith(f"switch to {trusted.model_id}: champion of regime low is ")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", night.uri)
    monkeypatch.setattr(sys, "argv", list(command[1:]))
    assert hamilton.main() == 0
    assert capsys.readouterr().out.startswith(f"no bar came that closes after {now['at']}")

    replayed = night.run("-m", "mlproject", "journal", "replay", str(journal))
    assert (replayed.returncode, replayed.stderr) == (0, "")
    assert replayed.stdout == "ETH-USD.1d.6: 10 decisions, 0 differences\n"
    (file,) = (journal / "ETH-USD.1d.6").iterdir()
    file.write_text(file.read_text().replace('"reason":"', '"reason":"not ', 1))
    planted = run_job("journal", "replay", str(journal))
    assert planted.code == 1
    numbers, difference = planted.out.splitlines()
    assert numbers == "ETH-USD.1d.6: 10 decisions, 1 difference"
    assert "reason: 'not " in difference


def test_hamilton_decides_on_bars_that_come(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them are of years ago, so they are decided on and nothing is held."""
    bars = night.bars.frame.iloc[-NEW:]
    closes = night.bars.close_time[-NEW:].as_unit("ns").asi8.tolist()
    rows = [[t, *row] for t, row in zip(closes, bars.to_numpy().tolist(), strict=True)]
    stdin = io.StringIO("".join(f"{json.dumps(row)}\n" for row in rows))
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", night.uri)
    monkeypatch.setattr(sys, "argv", ["hamilton", SYMBOL, "--bars", str(night.past)])
    assert hamilton.main() == 0
    for line, close in zip(
        capsys.readouterr().out.splitlines(), night.bars.close_time[-NEW:], strict=True
    ):
        assert fields(line)["at"] == f"{close:%Y-%m-%dT%H:%M}"
        assert re.match(r"the bar closed \d+[a-z] ago", fields(line)["reason"])
        assert float(fields(line)["position"]) == 0.0


@pytest.mark.usefixtures("_champions_stay")
@pytest.mark.parametrize("name", list(Family))
def test_every_family_predicts_as_its_own_code_does_on_the_whole_history(
    night: Night,
    name: Family,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    numbers = {night.library.version(SYMBOL, n).family: n for n in (1, 2, 3)}
    version = night.library.version(SYMBOL, numbers[name])
    cell = crown(night, version, sharpe=0.6)
    code, line, advice = decide(night, monkeypatch, capsys, "--limit", "0.5", "--using", version.id)
    assert code == "exit code 0"
    expected = night.predicted(version, tmp_path / "model")
    now = fields(line)
    assert (now["family"], now["version"]) == (name, version.id)
    assert float(now["prediction"]) == pytest.approx(expected, abs=1e-4)
    side = direction(night, version, expected, tmp_path / "rule")
    size = side * 0.5 * (2 * (cell.confidence or 0) - 1)
    assert float(now["position"]) == pytest.approx(size, abs=1e-4)
    if not side:
        assert now["reason"] == "it is not expected to be worth its cost"
    assert advice == f"no switch: {version.id} is champion of regime low"


@pytest.mark.usefixtures("_champions_stay")
def test_unknown_confidence_stays_flat_and_says_so(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crown(night, night.library.version(SYMBOL, night.champion.version), sharpe=None)
    _, line = decide(night, monkeypatch, capsys)
    assert fields(line)["reason"] in (
        "the confidence in the version is unknown",
        "it is not expected to be worth its cost",
    )


def test_bars_that_end_where_training_ended_leave_nothing_to_decide(
    night: Night, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last = night.bars.close_time[-NEW - 1]
    assert decide(night, monkeypatch, capsys, "--bars", str(night.past)) == [
        "exit code 0",
        f"no bar came that closes after {last:%Y-%m-%dT%H:%M}, where the champions' training ended",
    ]


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
def test_a_model_that_knows_the_market_decides_nothing_without_it(
    night: Night,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    past = replace(night.bars, frame=night.bars.frame[:-NEW])
    dataset = make_dataset(past, horizon=6, market=market_of(past, first=900))
    name = Family.LIGHTGBM
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
    _, line = decide(night, monkeypatch, capsys)
    assert line.endswith(f"{version.id} needs funding, open_interest, of which no row was given")


# --- docs/http.md -------------------------------------------------------------------------------


def bars_since(night: Night) -> dict[str, Any]:
    """The bars since the training, as columns."""
    closes = night.bars.close_time[-NEW:].as_unit("ns").asi8.tolist()
    columns = {str(name): list(column) for name, column in night.bars.frame.iloc[-NEW:].items()}
    return {**columns, "close_time": closes}


def test_what_the_docs_ask_over_http_is_answered(night: Night, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "http.md").read_text()
    (block,) = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    asked = re.findall(r"^curl .*?(?=^curl|\Z)", block, re.DOTALL | re.MULTILINE)
    command = [sys.executable, "-m", "mlproject", "serve", "--port", "0", "--symbols", SYMBOL]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": night.uri, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, "--journal", str(tmp_path / "journal")],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            match = re.match(r"Serving ETH-USD.1d.6 at http://127.0.0.1:(\d+); no token", line)
            assert match, line
            address = f"http://127.0.0.1:{match[1]}/bars/ETH-USD/warm-up"
            kind = {"Content-Type": "application/json"}
            since = json.dumps(bars_since(night)).encode()
            with urlopen(Request(address, since, kind)) as answer:
                assert json.load(answer) == {"bars": NEW}
            answers = [
                json.loads(
                    subprocess.run(
                        ["bash", "-c", curl.replace(":8000", f":{match[1]}")],
                        capture_output=True, check=True,
                    ).stdout
                )
                for curl in asked
            ]  # fmt: skip
        finally:
            server.terminate()
    assert server.returncode == 0
    champion, decision = answers
    assert champion["version"] == night.champion.model_id
    assert champion["digest"] == night.champion.record.digest
    assert decision["time"] == int(datetime(2020, 1, 18, tzinfo=UTC).timestamp()) * 10**9
    assert decision["position"] == 0.0
    assert re.match(r"the bar closed \d+[a-z] ago", decision["reason"])
    replayed = night.run("-m", "mlproject", "journal", "replay", str(tmp_path / "journal"))
    assert replayed.returncode == 0
    assert "0 differences" in replayed.stdout


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
