"""Hamilton's questions, on every store: SQLite, PostgreSQL, and a live MLflow server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import pytest

from brain.confidence import Confidence, confidence
from brain.errors import (
    InputError,
    LibraryError,
    NoChampionError,
    UnknownFamilyError,
    UnknownRegimeError,
    UnknownSymbolError,
)
from brain.model_keys import ModelKey
from brain.naming import PRIOR, Family, Regime, challenger_alias, champion_alias
from brain.records import CellRecord, Estimate, FamilyAdvice, Selection, SwitchAdvice, Version
from registry import ModelSelector
from registry.library import BrainLibrary
from registry.promotion.advice import advise_family
from registry.promotion.rule import provisional_choice
from registry.runs import Metric, Run
from tests.registry.models import KEY, SYMBOL, add, record, start
from tests.servers import copy_database, sqlite_template

pytestmark = pytest.mark.sampled("shared_dsn")

LOW = {"low/net_sharpe": 1.2, "low/net_sharpe_error": 0.8, "low/bars": 340, "low/episodes": 12}
ALL = {"net_sharpe": -0.4, "net_sharpe_error": 0.5, "bars": 900, "episodes": 1}
SURE = confidence(1.2, 0.8, 340, 12)


def evaluated(
    library: BrainLibrary, night: Run, folder: Path, family: Family, metrics: Mapping[str, float]
) -> Version:
    """A version whose run holds these metrics, and which is its family's second refit."""
    with night.child(f"{SYMBOL} {family}", tags={}, note="") as run:
        run.metrics(Metric(key, value) for key, value in metrics.items())
        return add(library, run, folder, KEY, family, recipe=f"recipe-of-{family}")


def measured_record(version: Version, **changes: object) -> CellRecord:
    return record(
        version,
        net_sharpe=1.2,
        net_sharpe_error=0.8,
        bars=340,
        episodes=12,
        confidence=SURE.probability,
        **changes,
    )


@dataclass(frozen=True)
class Cells:
    """A symbol with a champion and a challenger in regime low, a champion in high, none else."""

    library: BrainLibrary
    selector: ModelSelector
    xgboost: Version
    old_lstm: Version
    lightgbm: Version
    lstm: Version


def fill(dsn: str, folder: Path) -> Cells:
    library = BrainLibrary(dsn)
    with start(library) as night:
        xgboost, old_lstm, lightgbm, lstm = (
            evaluated(library, night, folder / str(i), family, {**LOW, **ALL})
            for i, family in enumerate((Family.XGBOOST, Family.LSTM, Family.LIGHTGBM, Family.LSTM))
        )
    library.set_champion(SYMBOL, Regime.LOW, measured_record(xgboost), lightgbm.number)
    library.set_champion(SYMBOL, Regime.HIGH, record(old_lstm, bars=0, episodes=0), None)
    return Cells(library, ModelSelector(library), xgboost, old_lstm, lightgbm, lstm)


@pytest.fixture(autouse=True)
def _no_run_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)


def fill_once(dsn: str, folder: Path) -> Cells:
    """As :func:`fill`, outside of a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        patch.chdir(folder)  # artifacts go below it
        return fill(dsn, folder)


@pytest.fixture(scope="module")
def filled(shared_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Cells:
    return fill_once(shared_dsn, tmp_path_factory.mktemp("filled"))


@pytest.fixture
def everywhere(filled: Cells) -> Cells:
    """The cells on each kind of store, to be read only."""
    library = BrainLibrary(filled.library.dsn)
    return replace(filled, library=library, selector=ModelSelector(library))


@pytest.fixture(scope="module")
def filled_file(_templates: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cells]:
    folder = tmp_path_factory.mktemp("filled")
    file = Path(shutil.copy(sqlite_template(_templates), folder / "mlflow.db"))
    return file, fill_once(f"sqlite:///{file}", folder)


@pytest.fixture
def cells(filled_file: tuple[Path, Cells], sqlite_dsn: str, tmp_path: Path) -> Cells:
    """The cells in a store of the test's own; their artifacts are all tests'."""
    file, filled = filled_file
    copy_database(file, tmp_path / "mlflow.db")
    library = BrainLibrary(sqlite_dsn)
    return replace(filled, library=library, selector=ModelSelector(library))


@pytest.fixture
def _mlflow_at_store(sqlite_dsn: str) -> Iterator[None]:
    mlflow.set_tracking_uri(sqlite_dsn)
    yield
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # which unsets it


class Spy:
    """An MLflow client that records the names of the methods that are called."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.client, name)
        if callable(attribute):
            self.calls.append(name)
        return attribute


def watch(library: BrainLibrary) -> list[str]:
    spy = Spy(library.client)
    library.client = spy  # type: ignore[assignment]
    return spy.calls


# --- selecting ----------------------------------------------------------------------------------


def test_the_calls_of_the_seed_as_they_stand(everywhere: Cells) -> None:
    brain_library, symbol, volatility_regime = everywhere.library, "BTC/USD", "low"
    model_type_preference, current_model_id = "lstm", "BTC-USD.1h.6/3"
    regime = "high"

    selector = ModelSelector(brain_library)
    selected = selector.select_model_for_symbol(symbol, volatility_regime)
    preferred = selector.select_model_for_symbol(
        symbol, volatility_regime, model_type_preference=model_type_preference
    )
    family = selector.recommend_family(regime)
    confidence = selector.get_model_confidence(symbol)
    switch = selector.should_switch_model(symbol, current_model_id, volatility_regime)

    assert isinstance(selected, Selection)
    assert (selected.model_id, preferred.model_id) == ("BTC-USD.1h.6/1", "BTC-USD.1h.6/4")
    assert isinstance(family, FamilyAdvice)
    assert isinstance(confidence, Confidence)
    assert isinstance(switch, SwitchAdvice)
    assert switch.switch


def test_the_champion_is_selected_by_one_question(everywhere: Cells) -> None:
    calls = watch(everywhere.library)
    selection = everywhere.selector.select_model_for_symbol("BTC-USD", Regime.LOW)
    assert calls == ["search_registered_models"]
    version = everywhere.xgboost
    assert selection == Selection(
        key=KEY,
        regime=Regime.LOW,
        model_id="BTC-USD.1h.6/1",
        uri="models:/BTC-USD.1h.6@champion-low",
        version=1,
        family=Family.XGBOOST,
        recipe="recipe-of-xgboost",
        trained_until=version.trained_until,
        digest=version.digest,
        confidence=SURE,
        is_champion=True,
        reason="prior",
    )


def test_a_preference_is_served_from_the_cell_or_by_the_newest(everywhere: Cells) -> None:
    def prefer(family: Family, regime: str = "low") -> tuple[str, str, bool, str]:
        selection = everywhere.selector.select_model_for_symbol(SYMBOL, regime, family)
        assert selection.family == family
        return selection.model_id, selection.uri, selection.is_champion, selection.reason

    not_the_champion = "not the champion of regime low (BTC-USD.1h.6/1, xgboost), but"
    assert prefer(Family.XGBOOST) == (
        "BTC-USD.1h.6/1",
        "models:/BTC-USD.1h.6@champion-low",
        True,
        "champion, of the preferred family: prior",
    )
    assert prefer(Family.LIGHTGBM) == (
        "BTC-USD.1h.6/3",
        "models:/BTC-USD.1h.6@challenger-low",
        False,
        f"lightgbm is preferred; {not_the_champion} its challenger",
    )
    assert prefer(Family.LSTM) == (
        "BTC-USD.1h.6/4",
        "models:/BTC-USD.1h.6/4",
        False,
        f"lstm is preferred; {not_the_champion} the family's newest version",
    )
    assert prefer(Family.LSTM, "high")[0] == "BTC-USD.1h.6/2"  # the champion, though not the newest
    model_id, _, is_champion, reason = prefer(Family.LSTM, "extreme")
    assert (model_id, is_champion) == ("BTC-USD.1h.6/4", False)
    assert "not the champion of regime extreme (none)" in reason


def test_a_version_without_a_record_shows_the_evidence_of_its_run(cells: Cells) -> None:
    selection = cells.selector.select_model_for_symbol(SYMBOL, "low", "lstm")
    assert (selection.confidence, selection.digest) == (SURE, cells.lstm.digest)
    unmeasured = cells.selector.select_model_for_symbol(SYMBOL, "normal", "lstm").confidence
    assert unmeasured.probability is None
    assert unmeasured.reason == "unknown: no net Sharpe from an unknown number of bars"


def test_the_challenger_comes_before_a_newer_version(cells: Cells) -> None:
    cells.library.client.set_registered_model_alias(
        "BTC-USD.1h.6", challenger_alias(Regime.LOW), "2"
    )
    selection = cells.selector.select_model_for_symbol(SYMBOL, "low", "lstm")
    assert (selection.model_id, selection.uri) == (
        "BTC-USD.1h.6/2",
        "models:/BTC-USD.1h.6@challenger-low",
    )


@pytest.mark.usefixtures("_mlflow_at_store")
def test_the_uri_loads_what_was_selected(cells: Cells) -> None:
    for preference in (None, "lightgbm", "lstm"):
        selection = cells.selector.select_model_for_symbol(SYMBOL, "low", preference)
        expected = cells.library.version(SYMBOL, selection.version).logged_model_id
        assert mlflow.models.get_model_info(selection.uri).model_id == expected


def test_an_alias_that_was_moved_by_hand_is_followed_and_told(cells: Cells) -> None:
    cells.library.client.set_registered_model_alias("BTC-USD.1h.6", champion_alias(Regime.LOW), "4")
    selection = cells.selector.select_model_for_symbol(SYMBOL, "low")
    assert (selection.version, selection.family, selection.is_champion) == (4, Family.LSTM, True)
    assert (selection.digest, selection.confidence) == (cells.lstm.digest, SURE)
    assert selection.reason.startswith(
        "the alias was moved by hand to version 4, a night named version 1; "
    )
    assert (
        cells.selector.should_switch_model(SYMBOL, "BTC-USD.1h.6/1", "low").to == "BTC-USD.1h.6/4"
    )
    assert cells.selector.recommend_family("low").cells == 0  # a hand on an alias is no evidence


def test_what_is_not_there_is_told_with_the_cure(everywhere: Cells) -> None:
    select = everywhere.selector.select_model_for_symbol
    with pytest.raises(UnknownSymbolError, match=r"'BTC/USDT'.*did you mean 'BTC/USD'"):
        select("BTC/USDT", "low")
    with pytest.raises(
        NoChampionError,
        match="BTC/USD on 1h bars, 6 bars ahead has no champion for regime normal; run",
    ):
        select(SYMBOL, "normal")
    with pytest.raises(LibraryError, match=r"could not read version 9 of BTC-USD\.1h\.6"):
        everywhere.selector.get_model_confidence(SYMBOL, "low", "BTC-USD.1h.6/9")
    with pytest.raises(LibraryError, match=r"could not read version 9 of BTC-USD\.1h\.6"):
        everywhere.selector.should_switch_model(SYMBOL, "BTC-USD.1h.6/9", "low")


def test_bad_words_are_refused_before_the_registry_is_asked(cells: Cells) -> None:
    calls = watch(cells.library)
    selector = cells.selector
    with pytest.raises(InputError, match="'BTC USD' is not a symbol"):
        selector.select_model_for_symbol("BTC USD", "low")
    with pytest.raises(UnknownRegimeError, match="did you mean 'high'"):
        selector.select_model_for_symbol(SYMBOL, "hihg")
    with pytest.raises(UnknownFamilyError, match="did you mean 'lstm'"):
        selector.select_model_for_symbol(SYMBOL, "low", "ltsm")
    with pytest.raises(UnknownRegimeError, match="no regime is called 'lo'"):
        selector.recommend_family("lo")
    with pytest.raises(UnknownRegimeError, match="no regime is called 'lo'"):
        selector.get_model_confidence(SYMBOL, "lo")
    with pytest.raises(UnknownRegimeError, match="no regime is called 'lo'"):
        selector.should_switch_model(SYMBOL, "BTC-USD.1h.6/1", "lo")
    for ask in (
        lambda model: selector.get_model_confidence(SYMBOL, "low", model),
        lambda model: selector.should_switch_model(SYMBOL, model, "low"),
    ):
        with pytest.raises(
            InputError, match="'ETH-USD/1' is not one of BTC/USD; name one as BTC-USD"
        ):
            ask("ETH-USD/1")
        with pytest.raises(InputError, match="'BTC/USD/1' is not a model id"):
            ask("BTC/USD/1")
    assert calls == []


def test_a_family_without_a_version_cannot_be_preferred(sqlite_dsn: str, tmp_path: Path) -> None:
    library = BrainLibrary(sqlite_dsn)
    with start(library) as night:
        add(library, night, tmp_path / "model")
    with pytest.raises(LibraryError, match=r"ahead has no version of family lstm; prefer"):
        ModelSelector(library).select_model_for_symbol(SYMBOL, "low", "lstm")
    with pytest.raises(NoChampionError, match="ahead has no champion for any regime; run the"):
        ModelSelector(library).get_model_confidence(SYMBOL)


# --- confidence ---------------------------------------------------------------------------------


def test_confidence_is_of_the_champion_the_version_or_all_bars(everywhere: Cells) -> None:
    ask = everywhere.selector.get_model_confidence
    over_all = confidence(-0.4, 0.5, 900, 1, min_episodes=1)
    assert over_all.probability == pytest.approx(0.2371, abs=1e-4)
    assert ask(SYMBOL, "low") == SURE  # from the cell's record
    assert ask(SYMBOL, "low", "BTC-USD.1h.6/3") == SURE  # from the run
    assert ask(SYMBOL, None, "BTC-USD.1h.6/3") == over_all
    # Versions 1 and 2 are champions of one regime each.
    leader = "BTC-USD.1h.6/2, champion of 1 of 4 regimes, over all bars"
    assert ask(SYMBOL) == replace(over_all, reason=f"{leader}: {over_all.reason}")


def test_no_evidence_is_unknown_and_no_size(cells: Cells) -> None:
    unknown = cells.selector.get_model_confidence(SYMBOL, "high")
    assert unknown == Confidence(None, None, None, 0, 0, "unknown: no net Sharpe from 0 bars")


def test_a_recorded_probability_comes_first_and_a_missing_one_is_worked_out(cells: Cells) -> None:
    def with_record(probability: float | None) -> Confidence:
        cell = replace(measured_record(cells.xgboost), confidence=probability)
        cells.library.set_champion(SYMBOL, Regime.LOW, cell, None)
        return cells.selector.get_model_confidence(SYMBOL, "low")

    assert with_record(None) == SURE
    assert with_record(SURE.probability) == SURE
    as_recorded = replace(SURE, probability=0.61, reason=f"as recorded; {SURE.reason}")
    assert with_record(0.61) == as_recorded


# --- switching ----------------------------------------------------------------------------------


def test_a_switch_is_advised_when_the_champion_is_another_version(everywhere: Cells) -> None:
    advise = everywhere.selector.should_switch_model
    same = advise(SYMBOL, "BTC-USD.1h.6/1", "low")
    assert same == SwitchAdvice(False, "BTC-USD.1h.6/1", "BTC-USD.1h.6/1 is champion of regime low")
    other = advise(SYMBOL, "BTC-USD.1h.6/3", "low")
    assert (other.switch, other.to) == (True, "BTC-USD.1h.6/1")
    assert other.reason == (
        "champion of regime low is BTC-USD.1h.6/1 (xgboost), not BTC-USD.1h.6/3 (lightgbm): prior"
    )
    refit = advise(SYMBOL, "BTC-USD.1h.6/4", "high")
    assert (refit.switch, refit.to) == (True, "BTC-USD.1h.6/2")
    assert "(lstm, a refit of the same recipe)" in refit.reason
    with pytest.raises(NoChampionError, match="no champion for regime extreme"):
        advise(SYMBOL, "BTC-USD.1h.6/1", "extreme")


# --- families -----------------------------------------------------------------------------------


def cell(regime: Regime, better: Family | None, without: Family | None = None) -> CellRecord:
    """The record that the provisional rule leads to."""
    available = [family for family in Family if family != without]
    differences = {better: Estimate(0.4, 0.1)} if better else {}
    choice = provisional_choice(regime, available, differences)
    version = Version(
        "BTC-USD.1h.6", KEY, 1, choice.champion, "abc", "d", "2020-01-01T00:00:00+00:00", "", ""
    )
    return record(version, reason=choice.reason, by_evidence=choice.by_evidence)


@pytest.mark.parametrize("regime", list(Regime))
def test_without_champions_the_prior_is_advised(regime: Regime) -> None:
    advice = advise_family(regime, [])
    assert (advice.family, advice.cells) == (PRIOR[regime], 0)
    assert advice.reason.startswith("prior: ")


@pytest.mark.parametrize(
    ("better", "family"),
    [
        (["lightgbm"], "xgboost"),  # a majority of one
        (["lightgbm", "lightgbm"], "lightgbm"),
        (["lightgbm", "lightgbm", None], "lightgbm"),
        (["lightgbm", "lightgbm", None, None], "xgboost"),  # a half
        (["lightgbm", "lightgbm", "lstm", "lstm"], "xgboost"),
        (["lightgbm", "lightgbm", "lightgbm", "lstm", None], "lightgbm"),
        ([None, None, None], "xgboost"),
    ],
)
def test_evidence_overrides_the_prior_by_a_clear_majority(
    better: list[str | None], family: str
) -> None:
    records = [cell(Regime.LOW, Family(name) if name else None) for name in better]
    advice = advise_family(Regime.LOW, records)
    assert (advice.family, advice.cells) == (family, len(records))
    assert advice.reason.startswith("prior") == (family == "xgboost")


def test_a_stand_in_for_a_prior_that_was_not_trained_is_no_evidence() -> None:
    records = [cell(Regime.HIGH, None, without=Family.LSTM)] * 5
    assert {r.family for r in records} == {Family.LIGHTGBM}
    assert advise_family(Regime.HIGH, records).family == Family.LSTM


def test_a_family_is_advised_from_the_champions_of_that_regime_alone(
    sqlite_dsn: str, tmp_path: Path
) -> None:
    library = BrainLibrary(sqlite_dsn)
    with start(library) as night:
        for i, symbol in enumerate(("BTC/USD", "ETH/USD", "LTC/USD")):
            version = add(library, night, tmp_path / str(i), ModelKey(symbol, "1h", 6))
            library.set_champion(symbol, Regime.LOW, record(version, by_evidence=True), None)
    selector = ModelSelector(library)
    reason = "of 3 champions of regime low 3 displaced xgboost by evidence and are lightgbm"
    assert selector.recommend_family("low") == FamilyAdvice(Family.LIGHTGBM, reason, 3)
    assert selector.recommend_family(Regime.HIGH).cells == 0
