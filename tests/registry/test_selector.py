"""Hamilton's questions, on every store: SQLite, PostgreSQL, and a live MLflow server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import pytest

from brain.confidence import Confidence, Posterior, Prior, confidence, normal_posterior
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
from brain.records import (
    CellRecord,
    Estimate,
    FamilyAdvice,
    Selection,
    SwitchAdvice,
    Version,
    age_days,
)
from brain.sizing import age_factor, drift_factor, missing_factor
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
#: From a champion's record of before there were posteriors, which doesn't tell the regime's share;
#: from a run, which does.
SURE, MEASURED = (confidence(1.2, 0.8, 340, 12, share=share) for share in (None, 340 / 900))


def at(sure: Confidence, version: Version, moment: datetime | None = None) -> Confidence:
    """What is said of it at a moment, now if None: years after its training nothing is held."""
    days = age_days(version.trained_until, moment or datetime.now(UTC))
    return sure.with_factors(age_factor(days))


def fresh(version: Version) -> datetime:
    """The end of its training."""
    return datetime.fromisoformat(version.trained_until)


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
    of_cell = selector.get_model_confidence(symbol, volatility_regime)
    model_id = current_model_id
    of_model = selector.get_model_confidence(symbol, volatility_regime, model_id)
    switch = selector.should_switch_model(symbol, current_model_id, volatility_regime)

    assert of_cell == selector.get_model_confidence(
        symbol=symbol, volatility_regime=volatility_regime, model_id=selected.model_id
    )
    assert of_cell.probability == pytest.approx(0.8887, abs=1e-4)
    assert (of_model.probability, of_model.net_sharpe) == (of_cell.probability, 1.2)
    assert of_model.next_block == pytest.approx(0.5774, abs=1e-4)
    assert of_model.interval == pytest.approx((-0.2765, 1.8638), abs=1e-4)
    assert (of_model.block_days, of_model.size) == (60, 0.0)  # of years ago
    assert "trained until" in of_model.factors[0].reason
    assert confidence.probability is not None
    assert confidence.probability < 0.5
    assert switch == selector.should_switch_model(
        symbol=symbol, current_model_id=current_model_id, volatility_regime=volatility_regime
    )
    assert switch.to == selected.model_id
    assert switch.reason == (
        "champion of regime low is BTC-USD.1h.6/1 (xgboost), not BTC-USD.1h.6/3 (lightgbm): prior"
    )
    stay = selector.should_switch_model(symbol, switch.to, volatility_regime)
    assert stay == SwitchAdvice(False, switch.to, f"{switch.to} is champion of regime low")

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
        confidence=at(SURE, version),
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
    expected = at(MEASURED, cells.lstm)
    assert (selection.confidence, selection.digest) == (expected, cells.lstm.digest)
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
    expected = at(SURE, cells.lstm)
    assert (selection.digest, selection.confidence) == (cells.lstm.digest, expected)
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
    over_all = confidence(-0.4, 0.5, 900, 1, min_episodes=1, share=1.0)
    assert over_all.probability == pytest.approx(0.2326, abs=1e-4)
    over_all = at(over_all, everywhere.old_lstm)
    moment = fresh(everywhere.xgboost)
    own = at(SURE, everywhere.xgboost, moment)
    assert own.size > 0.4
    assert ask(SYMBOL, "low", moment=moment) == own  # from the cell's record
    assert ask(SYMBOL, "low", "BTC-USD.1h.6/1", moment=moment) == own
    measured = at(MEASURED, everywhere.lightgbm, moment)
    assert ask(SYMBOL, "low", "BTC-USD.1h.6/3", moment=moment) == measured  # from the run
    assert ask(SYMBOL, None, "BTC-USD.1h.6/3") == over_all
    # Versions 1 and 2 are champions of one regime each.
    leader = "BTC-USD.1h.6/2, champion of 1 of 4 regimes, over all bars"
    assert ask(SYMBOL) == replace(over_all, reason=f"{leader}: {over_all.reason}")


def test_no_evidence_is_unknown_and_no_size(cells: Cells) -> None:
    unknown = cells.selector.get_model_confidence(SYMBOL, "high")
    reason = "unknown: no net Sharpe from 0 bars"
    assert unknown == at(Confidence(None, None, None, 0, 0, reason), cells.old_lstm)
    assert (unknown.size, unknown.next_block, unknown.interval) == (0.0, None, None)


def judged(cells: Cells, size: float | None, **changes: object) -> datetime:
    """Give regime low a record with a posterior of nights; the end of its training."""
    posterior = Posterior(
        2.0, 1.5, 120, 0.25, Prior(-0.2, 0.5, 48), 0.5, -0.4, 1.5, 0.8, 0.56, 0.66
    )
    factors = (drift_factor(0.6), missing_factor(0.0, None), age_factor(0.0))
    cell = measured_record(
        cells.xgboost, posterior=posterior, size=size, factors=factors, **changes
    )
    cells.library.set_champion(SYMBOL, Regime.LOW, cell, None)
    return fresh(cells.xgboost)


def test_a_champions_confidence_is_that_of_the_frozen_nights(cells: Cells) -> None:
    moment = judged(cells, 0.16)
    sure = cells.selector.get_model_confidence(SYMBOL, "low", moment=moment)
    assert (sure.probability, sure.next_block, sure.interval) == (0.8, 0.56, (-0.4, 1.5))
    assert (sure.net_sharpe, sure.error, sure.bars, sure.episodes) == (2.0, 1.5, None, None)
    assert sure.reason == (
        "net Sharpe 0.50 (-0.40 to 1.50), P(> 0) 0.80, P(gain in 60 days) 0.56, "
        "by 2.00 ± 1.50 of 120 nights among 48 cells"
    )
    assert sure.size == 0.16
    assert sure.size_reason == "lowered: 60% of the features drifted (× 0.50)"
    assert [factor.name for factor in sure.factors] == ["drift", "missing", "age"]
    later = cells.selector.get_model_confidence(SYMBOL, "low", moment=moment + timedelta(days=44))
    assert later.size == pytest.approx(0.08)
    assert later.size_reason.endswith("trained until 44 days before (× 0.50)")
    assert later.probability == 0.8


def test_a_size_that_was_stopped_stays_0_with_its_reason(cells: Cells) -> None:
    moment = judged(cells, 0.0, size_reason="abstain: not credibly better than flat")
    sure = cells.selector.get_model_confidence(SYMBOL, "low", moment=moment)
    assert (sure.size, sure.size_reason) == (0.0, "abstain: not credibly better than flat")
    assert sure.probability == 0.8


def test_another_version_is_measured_after_what_all_cells_say(cells: Cells) -> None:
    moment = judged(cells, 0.16)
    sure = cells.selector.get_model_confidence(SYMBOL, "low", "BTC-USD.1h.6/3", moment=moment)
    assert sure.posterior == normal_posterior(1.2, 0.8, Prior(-0.2, 0.5, 48), 340 / 900)
    assert sure.probability == pytest.approx(0.6757, abs=1e-4)
    assert sure.size == sure.posterior.size > 0


def test_a_size_of_before_there_were_posteriors_is_not_judged(cells: Cells) -> None:
    old = measured_record(cells.xgboost, size=1.0).to_json()
    fields = json.loads(old)
    for name in ("posterior", "factors"):
        del fields[name]
    cell = CellRecord.from_json(json.dumps(fields))
    assert (cell.size, cell.posterior, cell.factors, cell.confidence) == (
        None, None, (), SURE.probability
    )  # fmt: skip
    stopped = CellRecord.from_json(json.dumps(fields | {"size": 0.0}))
    assert stopped.size == 0.0
    new = CellRecord.from_json(old)
    assert new == measured_record(cells.xgboost, size=1.0)


def test_a_recorded_probability_comes_first_and_a_missing_one_is_worked_out(cells: Cells) -> None:
    def with_record(probability: float | None) -> Confidence:
        cell = replace(measured_record(cells.xgboost), confidence=probability)
        cells.library.set_champion(SYMBOL, Regime.LOW, cell, None)
        moment = fresh(cells.xgboost)
        return cells.selector.get_model_confidence(SYMBOL, "low", moment=moment)

    sure = at(SURE, cells.xgboost, fresh(cells.xgboost))
    assert with_record(None) == sure
    assert with_record(SURE.probability) == sure
    old = with_record(0.61)
    assert (old.probability, old.reason) == (0.61, f"as recorded; {SURE.reason}")
    assert old.posterior is None
    assert old.size == pytest.approx(0.22)


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
