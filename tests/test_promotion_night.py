"""Nights that name champions by a trial: the store's evidence in, the registry's aliases out."""

from __future__ import annotations

import datetime as dt
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run

from analysis.night import Night
from analysis.nightly import NightlyFeatureAnalysis
from analysis.results import NightlyAnalysis
from brain.lines import Line
from brain.model_keys import ModelKey
from brain.naming import (
    REGIMES,
    Family,
    Regime,
    Tag,
    challenger_alias,
    champion_alias,
    previous_alias,
    symbol_name,
)
from brain.records import Champion
from brain.series.bars import Bars
from brain.series.store.store import SeriesStore
from brain.settings import Settings, load_settings
from brain.workers import Unit
from engine.night.champions import name_champions
from registry import ModelSelector
from registry.library import BrainLibrary
from registry.promotion.closings import close_night, day_start, read_closings
from tests.engine.simulate import simulate
from tests.jobs import Outcome, enter, run_job
from tests.registry.promotion.nights import evidence_rows, live
from tests.servers import copy_database, sqlite_template

SYMBOLS = ("AAA/USD", "BBB/USD")
NAME = "1d.6"
KEYS = [ModelKey(symbol, "1h", 6) for symbol in SYMBOLS]
OPTIONS = (
    *("--bars", "bars", "--families", "lightgbm,xgboost"),
    *("--trials", "1", "--folds", "2", "--jobs", "1"),
)


def nothing(*_: object) -> Unit[NightlyAnalysis]:
    """In the place of an analysis."""
    return NightlyAnalysis(dt.date(2020, 1, 1), (), (), ())
    yield


def run_night(*more: str) -> Outcome:
    return run_job("nightly", *OPTIONS, *more)


@pytest.fixture(scope="module")
def first(_templates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a first night of two symbols."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "mlflow.db").write_bytes(sqlite_template(_templates).read_bytes())
    (folder / "bars").mkdir()
    for symbol in SYMBOLS:
        bars = simulate(900, strength=0.3, seed=sum(symbol.encode()), symbol=symbol, timeframe="1d")
        frame = bars.bars.frame.reset_index()
        frame.to_parquet(folder / "bars" / f"{symbol_name(symbol)}_1d.parquet", index=False)
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, f"sqlite:///{folder / 'mlflow.db'}", patch)
        patch.setattr(NightlyFeatureAnalysis, "analyse_models", nothing)
        assert run_night().code == 0
    return folder


def why(night: Outcome) -> str:
    """The table's last column, without blanks: it is wrapped."""
    lines = night.out.partition("Champions")[2].splitlines()
    column = (line.split("│")[-2] for line in lines if line.count("│") > 2)
    return "".join("".join(column).split())


class House:
    """A copy of what the first night left, in the working directory."""

    def __init__(self, folder: Path) -> None:
        self.library = BrainLibrary(f"sqlite:///{folder / 'mlflow.db'}", series=folder / "series")
        self.store = SeriesStore(folder / "series")

    def champions(self) -> dict[tuple[str, Regime], Champion]:
        return {(c.symbol, c.regime): c for c in self.library.champions()}

    def lines(self) -> list[Line]:
        closing = read_closings(self.store, NAME)[-1]
        return [closing.lines[name] for name in sorted(closing.lines)]

    def add_nights(self, count: int, edge: float, *, close: bool = True) -> int:
        """Live nights after the last closed one, with an edge of XGBoost; the last day."""
        last = read_closings(self.store, NAME)[-1].day
        values = live(count, seed=count)[..., :2]
        values[..., 1] += edge
        rows = evidence_rows(last + 1, values, lines=self.lines(), bars=1)
        self.store.append("evidence", rows.assign(timeframe="1d"))
        if close:
            close_night(self.store, NAME, last + count, dict.fromkeys(SYMBOLS, self.lines()))
        return last + count

    def decided(self) -> list[dict[str, Any]]:
        rows = self.store.read("contests", where={"contest": NAME, "step": "decided"})
        return [json.loads(text) for text in rows["document"]]

    def night(self) -> Run:
        """The latest night's run."""
        runs = self.library.client.search_runs(
            [self.library.experiment("nightly")],
            filter_string=f"tags.{Tag.ROLE} = 'night'",
            order_by=["attributes.start_time DESC"],
        )
        return runs[0]

    def document(self) -> dict[str, Any]:
        """What the latest night's run says was decided."""
        return dict(mlflow.artifacts.load_dict(f"{self.night().info.artifact_uri}/promotion.json"))

    def description(self) -> str:
        """Of the latest night's run."""
        return str(self.night().data.tags["mlflow.note.content"])


@pytest.fixture
def house(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    copy_database(first / "mlflow.db", tmp_path / "mlflow.db")
    for name in ("series", "bars"):
        shutil.copytree(first / name, tmp_path / name)
    enter(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}", monkeypatch)
    monkeypatch.setattr(NightlyFeatureAnalysis, "analyse_models", nothing)
    return House(tmp_path)


def families(house: House) -> set[tuple[str, str]]:
    return {(str(r), str(c.record.family)) for (_, r), c in house.champions().items()}


PRIORS = {
    ("low", "xgboost"), ("normal", "lightgbm"), ("high", "lightgbm"), ("extreme", "lightgbm")
}  # fmt: skip


def test_the_first_night_names_the_prior_without_size_and_is_closed(house: House) -> None:
    assert families(house) == PRIORS
    for champion in house.champions().values():
        record = champion.record
        version = house.library.version_of(champion.model_id)
        assert record.line == version.line
        assert (record.size, record.size_reason[:8]) == (0.0, "abstain:")
        assert record.provisional
    (closing,) = read_closings(house.store, NAME)
    assert f"{day_start(closing.day):%F}" == "2022-06-18"
    assert {line.family for line in closing.lines.values()} == {Family.LIGHTGBM, Family.XGBOOST}
    assert closing.symbols == dict.fromkeys(SYMBOLS, tuple(sorted(closing.lines)))
    assert house.document() == {"policy": "trial", "contests": []}


def test_a_night_fits_nothing_that_is_too_young_and_decides_and_names_all_the_same(
    house: House,
) -> None:
    before = house.champions()
    last = house.add_nights(100, 1.5)
    night = run_night("--refit", "7d")
    assert (night.code, night.complaints) == (0, [])
    assert len(house.library.client.search_model_versions()) == 4
    after = house.champions()
    assert {(str(r), str(c.record.family)) for (_, r), c in after.items()} == {
        (str(regime), "xgboost") for regime in REGIMES
    }
    assert {c.version for c in after.values()} <= {c.version for c in before.values()}
    assert all(c.record.size for c in after.values())
    assert [closing.day for closing in read_closings(house.store, NAME)][-1] >= last
    # A symbol that failed is not done, whatever stands elsewhere.
    (Path("bars") / "BBB-USD_1d.parquet").write_bytes(b"nothing")
    assert run_night("--refit", "7d").code == 1


def test_the_second_night_says_who_is_on_trial(house: House) -> None:
    night = run_night()
    assert (night.code, night.complaints) == (0, [])
    assert families(house) == PRIORS
    (contest,) = house.document()["contests"]
    assert (contest["contest"], contest["night"]) == (NAME, "2022-06-18")
    assert set(contest["champions"]) == set(SYMBOLS)
    for champion in house.champions().values():
        record = champion.record
        assert record.reason.startswith("prior; ")
        assert "on trial, night 0 of 180, nearest in " in record.reason
        assert not record.provisional
    assert "ontrial,night0of180,nearestin" in why(night)
    assert len(read_closings(house.store, NAME)) == 1


def test_every_version_has_a_certificate_to_which_the_pages_lead(house: House) -> None:
    house.add_nights(100, 1.5)
    assert run_night().code == 0
    client = house.library.client
    (contest,) = house.document()["contests"]
    decided = {entry["line"]: entry for entry in contest["decisions"]}
    versions = {f"{v.name}/{v.version}": v for v in client.search_model_versions()}
    champions = {champion.model_id: champion for champion in house.champions().values()}
    for number in (3, 4):
        for symbol in SYMBOLS:
            version = house.library.version(symbol, number)
            uri = client.get_run(version.run_id).info.artifact_uri
            document = mlflow.artifacts.load_dict(f"{uri}/certificate.json")
            page = mlflow.artifacts.load_text(f"{uri}/card.html")
            assert document["version"]["digest"] == version.digest
            assert document["data"]["digest"] in page
            certified = document["contest"]
            (entry, *_) = certified["decisions"] + certified["appointments"]
            decision = decided[entry["line"]]
            assert (entry["outcome"], entry["reason"]) == (decision["outcome"], decision["reason"])
            figures = {f["group"]: f for f in decision["figures"]}
            for group in entry["groups"]:
                assert group["boundary"] == figures[group["group"]]["boundary"]
            if version.id in champions:
                regimes = {c["regime"] for c in document["champions"]}
                assert regimes == {str(regime) for regime in REGIMES}
                model = client.get_registered_model(versions[version.id].name)
                assert f"runs/{version.run_id}/artifacts/card.html" in model.description
                assert f"runs/{version.run_id}/artifacts/card.html" in house.description()


def test_a_line_that_wins_is_named_by_alias_with_its_reason_and_size(house: House) -> None:
    before = house.champions()
    last = house.add_nights(100, 1.5)
    night = run_night()
    assert (night.code, night.complaints) == (0, [])
    assert families(house) == {(str(regime), "xgboost") for regime in REGIMES}
    for (symbol, regime), champion in house.champions().items():
        record = champion.record
        aliases = house.library.model(ModelKey(symbol, "1d", 6)).aliases
        assert aliases[champion_alias(regime)] == champion.version > 2
        assert aliases[previous_alias(regime)] == before[symbol, regime].version
        challenger = house.library.version(symbol, aliases[challenger_alias(regime)])
        assert challenger.family == Family.LIGHTGBM
        assert record.by_evidence is (regime is not Regime.LOW)
        if regime is not Regime.LOW:
            assert record.reason.startswith("takes all: its score ")
        assert record.size == pytest.approx(1.0, abs=1e-4)
        posterior = record.posterior
        assert posterior is not None
        assert posterior.nights is not None
        assert posterior.nights > 70
        assert posterior.prior.cells == 16  # two symbols, four regimes, two lines
        assert (record.confidence, posterior.size) == (posterior.positive, record.size)
        assert [factor.value for factor in record.factors] == [1.0, 1.0, 1.0]
        assert record.size_reason == ""
        sure = ModelSelector(house.library).get_model_confidence(
            ModelKey(symbol, "1d", 6), regime, moment=dt.datetime(2022, 6, 19, tzinfo=dt.UTC)
        )
        assert (sure.posterior, sure.size) == (posterior, record.size)
    (contest,) = house.document()["contests"]
    promoted = [d for d in contest["decisions"] if d["outcome"] == "promoted"]
    assert [(d["line"].partition("-")[0], d["group"]) for d in promoted] == [("xgboost", "all")]
    assert promoted[0]["day"] <= last
    assert "takesall:itsscore" in why(night)


def test_a_guardrail_sets_the_size_to_0_tonight_and_leaves_the_alias(house: House) -> None:
    house.add_nights(100, 1.5)
    house.add_nights(1, -90.0, close=False)  # not looked at by the contest yet
    assert run_night().code == 0
    assert families(house) == {(str(regime), "xgboost") for regime in REGIMES}
    for champion in house.champions().values():
        assert champion.record.size == 0.0
        assert champion.record.size_reason.startswith("look: drawdown ")


def test_a_champion_that_loses_its_edge_is_rolled_back(house: House) -> None:
    house.add_nights(100, 1.5)
    assert run_night().code == 0
    won = {cell: c.version for cell, c in house.champions().items()}
    house.add_nights(80, -1.5)
    assert run_night().code == 0
    assert families(house) == PRIORS
    champion = house.champions()["AAA/USD", Regime.HIGH]
    assert "was rolled back in all: its fall against " in champion.record.reason
    aliases = house.library.model(ModelKey("AAA/USD", "1d", 6)).aliases
    assert aliases[previous_alias(Regime.HIGH)] == won["AAA/USD", Regime.HIGH]


def test_a_pin_stays_and_its_cell_has_the_winner_for_challenger(house: House) -> None:
    model = ModelKey("AAA/USD", "1d", 6).name
    house.library.client.set_registered_model_alias(model, champion_alias(Regime.HIGH), "2")
    pinned = house.library.version("AAA/USD", 2)
    house.add_nights(100, 1.5)
    assert run_night().code == 0
    champion = house.champions()["AAA/USD", Regime.HIGH]
    assert (champion.version, champion.pinned, champion.record.size) == (pinned.number, True, None)
    other = house.champions()["AAA/USD", Regime.NORMAL]
    aliases = house.library.model(ModelKey("AAA/USD", "1d", 6)).aliases
    assert aliases[challenger_alias(Regime.HIGH)] == other.version


def test_a_version_that_failed_its_refit_check_is_passed_over(house: House) -> None:
    before = house.champions()
    assert run_night().code == 0
    after = house.champions()
    latest = house.library.version_of(after["AAA/USD", Regime.HIGH].model_id)
    house.library.set_refit(latest, "fails: .5 is below .9")
    assert run_night().code == 0
    now = house.champions()
    champion = now["AAA/USD", Regime.HIGH]
    assert champion.version == before["AAA/USD", Regime.HIGH].version
    words = f"{latest.id} is passed over, its refit check fails: .5 is below .9"
    assert words in champion.record.reason
    assert champion.record.family == Family.LIGHTGBM
    assert champion.record.bars == before["AAA/USD", Regime.HIGH].record.bars
    assert now["BBB/USD", Regime.HIGH].version > after["BBB/USD", Regime.HIGH].version
    assert now["AAA/USD", Regime.LOW].version > after["AAA/USD", Regime.LOW].version


def break_closing(house: House) -> str:
    (closing,) = read_closings(house.store, NAME)
    text = closing.to_json().replace('\\"horizon\\":6', '\\"horizon\\":5')
    time = pd.to_datetime([day_start(closing.day + 1)], utc=True).as_unit("us")
    row = {"contest": [NAME], "step": "closed", "time": time, "document": text}
    house.store.append("contests", pd.DataFrame(row))
    return "changed under the same id"


def break_evidence(house: House) -> str:
    last = house.add_nights(1, np.inf)
    return f"on {day_start(last):%F} is inf"


@pytest.mark.parametrize("fault", [break_closing, break_evidence])
def test_a_contest_that_can_not_be_read_is_a_failure_and_champions_stay(
    house: House, fault: Callable[[House], str]
) -> None:
    before = house.champions()
    words = fault(house)
    night = run_night()
    assert night.code == 1
    out = " ".join(night.out.replace("│", " ").split())
    assert f"contest {NAME}" in out
    assert words in out
    assert {c: v.version for c, v in house.champions().items()} == {
        c: v.version for c, v in before.items()
    }
    assert house.decided() == []
    assert len(house.library.client.search_model_versions()) == 8


@pytest.mark.parametrize("policy", ["provisional", "composite"])
def test_another_policy_sizes_by_the_same_nights_and_decides_no_trial(
    house: House, policy: str
) -> None:
    house.add_nights(100, 1.5)
    assert run_night("--promotion", policy).code == 0
    assert house.decided() == []
    records = [champion.record for champion in house.champions().values()]
    for record in records:
        posterior = record.posterior
        assert posterior is not None
        assert posterior.nights is not None
        assert record.size == pytest.approx(posterior.size)
    assert max(record.size or 0.0 for record in records) > 0.9
    assert all(record.provisional for record in records)
    assert house.document() == {"policy": policy, "contests": []}
    if policy == "composite":
        assert families(house) == {(str(regime), "xgboost") for regime in REGIMES}
        assert all(record.reason.startswith("composite score ") for record in records)


def test_a_night_that_was_stopped_goes_on_with_what_its_first_start_decided(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.add_nights(100, 1.5)

    def interrupt(library: Any, result: Any, *more: Any, **by: Any) -> object:
        if result.dataset.symbol == "BBB/USD":
            raise KeyboardInterrupt
        return name_champions(library, result, *more, **by)

    with monkeypatch.context() as patch:
        patch.setattr("analysis.night.name_champions", interrupt)
        assert run_night().code == 130
    decided = house.decided()
    house.add_nights(80, -1.5)  # would roll back, and is not looked at before the next night
    done = run_night()
    assert done.code == 0
    assert "which was stopped" in " ".join(done.out.split())
    assert house.decided() == decided
    assert families(house) == {(str(regime), "xgboost") for regime in REGIMES}
    assert run_night().code == 0
    assert families(house) == PRIORS


def test_a_new_feature_set_is_a_new_line_and_the_champions_line_stays(house: House) -> None:
    before = house.champions()
    old = {line.id for line in house.lines()}
    for path in Path("bars").iterdir():
        frame = pd.read_parquet(path)
        frame.assign(mood=np.random.default_rng(1).normal(size=len(frame))).to_parquet(path)
    assert run_night("--columns", "mood").code == 0
    for cell, champion in house.champions().items():
        assert champion.record.line == before[cell].record.line
        assert champion.version > before[cell].version  # refitted, on its own features
        assert champion.record.reason.startswith("prior; ")
    close_night(
        house.store, NAME, read_closings(house.store, NAME)[-1].day + 1,
        {key.symbol: lines for key, lines in house.library.lines().items()},
    )  # fmt: skip
    night = run_night("--columns", "mood")
    assert night.code == 0
    (contest,) = house.document()["contests"]
    on_trial = {decision["line"] for decision in contest["decisions"]}
    assert on_trial == old  # the new ones begin with the next night
    document = house.decided()[-1]["state"]
    new = {line.id for _, lines in house.library.lines().items() for line in lines}
    assert new.isdisjoint(old)
    assert {start["line"] for start in document["starts"]} == old | new
    levels = {start["line"]: start["level"] for start in document["starts"]}
    assert sum(levels.values()) < 0.05
    assert max(levels[line] for line in new) < min(levels[line] for line in old)


# --- nights at moments of the bars' own time ----------------------------------------------------


def hourly(day: int) -> dict[str, Bars]:
    """Bars of both symbols up to the start of a day."""
    series = [simulate(24 * 60, strength=0.5, seed=k, symbol=s).bars for k, s in enumerate(SYMBOLS)]
    until = series[0].close_time[0].floor("D") + pd.Timedelta(days=day)
    return {bars.symbol: bars.until(until) for bars in series}


def with_mood(bars: Bars) -> Bars:
    """The bars with an own column that knows a good part of the next return."""
    close = bars.frame["close"]
    noise = np.random.default_rng(4).normal(scale=0.01, size=len(close))
    return replace(bars, frame=bars.frame.assign(mood=np.log(close).diff().shift(-1) + noise))


def night_at(
    library: BrainLibrary, day: int, settings: Settings, bars: Mapping[str, Bars] | None = None
) -> Night:
    """A night half an hour after a day's start."""
    bars = bars or hourly(day)
    last = next(iter(bars.values())).close_time[-1]
    with library.start("nightly", f"night {day}", tags={Tag.ROLE: "night"}, note="") as run:
        moment = (last + pd.Timedelta(minutes=30)).to_pydatetime()
        night = Night(library, settings, bars, run, moment=moment)
        parts = list(night.symbols(lambda *_: None, lambda *_: None))
        night.promotion.close()
        assert [f for part in parts for f in part.failures] == night.promotion.failures == []
        run.complete()
    return night


def test_nights_a_day_apart_judge_what_versions_predicted_that_were_there_before(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NightlyFeatureAnalysis, "analyse_models", nothing)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    library = BrainLibrary(sqlite_dsn, series=tmp_path / "series")
    settings = load_settings(
        {"families": "lightgbm,xgboost", "trials": 1, "folds": 1, "jobs": 1, "seeds": 1}
    )
    for day in (45, 46, 48):
        night_at(library, day, settings)
    closings = read_closings(library.series, "1h.6")
    first = closings[0].day
    assert [closing.day - first for closing in closings] == [0, 1, 3]
    last = night_at(library, 49, settings)
    live = library.series.read("evidence")
    live = live[live["source"] == "live"]
    days = sorted({int(t.timestamp()) // 86_400 - first for t in live["time"]})
    # The first versions were made after the first of these days had begun, and of the third no
    # night ran at its end: it was made up.
    assert days == [2, 3, 4]
    versions = live.groupby(["symbol", "line", "time"])["version"].nunique()
    assert set(versions) == {1}
    (contest,) = last.promotion.document()["contests"]
    assert contest["late"] == 0
    assert [(d["outcome"], d["night"]) for d in contest["decisions"]] == [("on trial", 3)] * 2
    # A night counts in which the line and a champion are both known in some cell.
    decided = live[live["time"] < day_start(first + 4)].dropna(subset=["profit"])
    by_cell = decided.groupby(["time", "symbol", "regime"])["line"].nunique()
    known = by_cell[by_cell == 2].reset_index()
    for decision in contest["decisions"]:
        rivals = known[[
            contest["champions"][s][r] != decision["line"]
            for s, r in zip(known["symbol"], known["regime"], strict=True)
        ]]  # fmt: skip
        assert decision["figures"][0]["nights"] == rivals["time"].nunique()
    assert known["time"].nunique() == 2
    for champion in library.champions():
        assert champion.record.decided.startswith(f"{day_start(first + 5):%F}T00:30")
        assert "on trial, night 3 of 180" in champion.record.reason


def test_a_new_feature_set_is_judged_beside_the_champions_line_that_stays(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NightlyFeatureAnalysis, "analyse_models", nothing)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    library = BrainLibrary(sqlite_dsn, series=tmp_path / "series")
    settings = load_settings({"families": "lightgbm", "trials": 1, "folds": 1, "seeds": 1})
    night_at(library, 45, settings)
    (old,) = library.lines()[KEYS[0]]
    for day in (46, 47, 48, 49):
        bars = {symbol: with_mood(bars) for symbol, bars in hourly(day).items()}
        last = night_at(library, day, settings, bars)
    (new,) = library.lines()[KEYS[0]]
    assert (old.feature_set, new.feature_set) == ("bars-1", "bars-1+own(mood)")
    live = library.series.read("evidence")
    live = live[live["source"] == "live"]
    days = live.groupby("line")["time"].unique()
    assert len(days[old.id]) == 3
    assert list(days[new.id]) == list(days[old.id])[1:]
    assert live.groupby(["line", "time"])["profit"].apply(lambda p: p.notna().any()).all()
    for key in KEYS:
        versions = {line: len(list(library.line_versions(key, line.id))) for line in (old, new)}
        assert versions == {old: 5, new: 4}
    (contest,) = last.promotion.document()["contests"]
    (decision,) = contest["decisions"]
    assert (decision["line"], decision["outcome"]) == (new.id, "on trial")
    assert decision["figures"][0]["nights"] == 1
    champions = library.champions()
    assert {champion.record.line for champion in champions} == {old.id}
    # A refit of tonight, with the features that it had from the first.
    newest = {key.symbol: next(library.line_versions(key, old.id)) for key in KEYS}
    assert all(champion.model_id == newest[champion.symbol].id for champion in champions)
    folder = library.fetch(newest[SYMBOLS[0]], tmp_path / "champion")
    assert "mood" not in (library.input_names(folder) or ())


def test_a_line_whose_column_is_gone_keeps_its_version_and_the_log_says_so(
    sqlite_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(NightlyFeatureAnalysis, "analyse_models", nothing)
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    library = BrainLibrary(sqlite_dsn, series=tmp_path / "series")
    settings = load_settings({"families": "lightgbm", "trials": 1, "folds": 1, "seeds": 1})
    bars = {symbol: with_mood(bars) for symbol, bars in hourly(45).items()}
    night_at(library, 45, settings, bars)
    before = {champion.model_id for champion in library.champions()}
    caplog.set_level(logging.WARNING, "engine")
    night_at(library, 46, settings)
    assert {champion.model_id for champion in library.champions()} == before
    assert caplog.text.count("can't be fitted and judged tonight") == len(SYMBOLS)
    assert "'mood'" in caplog.text
