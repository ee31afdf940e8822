"""Descriptions and links in MLflow's UI."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from brain.confidence import Prior, normal_posterior
from brain.model_keys import ModelKey
from brain.naming import Family, Regime
from brain.records import CellRecord, Champion
from brain.standing import Standing
from brain.text import plus_minus
from registry.descriptions import describe_model, history_link, markdown_table, run_link
from registry.library import BrainLibrary
from registry.runs import Metric
from tests.registry.models import EXPERIMENT, KEY, SYMBOL, add, record, start

RECORD = CellRecord(
    version=7,
    digest="d",
    family=Family.LSTM,
    recipe="r",
    trained_until="2026-11-22T00:00:00+00:00",
    provisional=True,
    reason="prior: no family is clearly better",
    bars=120,
    episodes=9,
    decided="2026-11-23T01:00:00+00:00",
    night="2026-11-22",
    net_sharpe=0.514,
    net_sharpe_error=0.98,
    metrics={"long_sharpe": 0.8, "long_sharpe_error": 0.6, "reversal_sharpe": -0.2},
)
CHAMPION = Champion("BTC-USD.1h.6", KEY, Regime.HIGH, 7, RECORD)


def tonight(*champions: Champion) -> list[Standing]:
    return [Standing(champion, RECORD.night, trained=True) for champion in champions]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.514, 0.98, "0.51 ± 0.98"),
        (-1, None, "-1.00 ± ?"),
        (1.0, float("nan"), "1.00 ± ?"),
        (None, None, "unknown"),
        (float("nan"), 0.1, "unknown"),
    ],
)
def test_a_metric_is_shown_with_its_error(
    value: float | None, error: float | None, text: str
) -> None:
    assert plus_minus(value, error) == text


def test_the_description_says_who_is_champion_and_why_and_leads_there() -> None:
    text = describe_model(None, KEY, tonight(CHAMPION), {7: "#/experiments/1/runs/abc"})
    (row,) = [line for line in text.splitlines() if line.startswith("| **high**")]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "**high**",
        "lstm",
        "[7](#/models/BTC-USD.1h.6/versions/7)",
        "unknown",
        "0.51 ± 0.98",
        "0.80, -0.20",
        "120",
        "9",
        "2026-11-22",
        "[card](#/experiments/1/runs/abc/artifacts/card.html), "
        "[profit](#/experiments/1/runs/abc/artifacts/profit.png), "
        "[importances](#/experiments/1/runs/abc/artifacts/explanation/beeswarm.png), "
        "[features](#/experiments/1/runs/abc/artifacts/explanation/features.html), "
        "[drift](#/experiments/1/runs/abc/artifacts/drift/evidently.html)",
    ]
    assert text.endswith("|\n\n- **high**: prior: no family is clearly better\n")


def test_what_is_to_be_expected_stands_before_what_was_measured() -> None:
    posterior = normal_posterior(6.65, 3.39, Prior(0.1, 0.4, cells=12), None)
    champion = replace(CHAMPION, record=replace(RECORD, net_sharpe=6.65, posterior=posterior))
    text = describe_model(None, KEY, tonight(champion), {})
    (row,) = [line for line in text.splitlines() if line.startswith("| **high**")]
    expected, measured = (cell.strip() for cell in row.split("|")[4:6])
    # The precision-weighted mean of 6.65 ± 3.39 and .1 ± .4.
    mean = (6.65 / 3.39**2 + 0.1 / 0.4**2) / (1 / 3.39**2 + 1 / 0.4**2)
    assert expected.startswith(f"{mean:.2f} (")
    assert measured == "6.65 ± 0.98"


def test_the_description_says_what_was_not_trained_and_what_is_pinned() -> None:
    old = Standing(CHAMPION, "2026-11-25", trained=False)
    pinned = Standing(replace(CHAMPION, regime=Regime.LOW, pinned=True), "2026-11-22", trained=True)
    text = describe_model(None, KEY, [old, pinned], {})
    reason = "prior: no family is clearly better"
    assert text.endswith(
        f"|\n\n- **high**: not trained tonight, 3 days old; {reason}\n"
        f"- **low**: pinned by hand; {reason}\n"
    )


def test_what_is_not_known_is_not_linked() -> None:
    unknown = replace(CHAMPION, record=replace(RECORD, net_sharpe=None, net_sharpe_error=None))
    text = describe_model(None, KEY, tonight(unknown), {})
    assert "| unknown |" in text
    assert "artifacts" not in text


def test_what_people_wrote_stays_and_what_the_night_wrote_is_replaced() -> None:
    first = describe_model("Ask Ann before a change.", KEY, tonight(CHAMPION), {})
    later = replace(CHAMPION, version=8, record=replace(RECORD, version=8))
    second = describe_model(first, KEY, tonight(later), {})
    assert second.startswith("Ask Ann before a change.\n")
    assert second.count("| **high**") == 1
    assert "[8](" in second
    assert describe_model(second, KEY, tonight(later), {}) == second


def test_the_description_fits_mlflows_column() -> None:
    long = replace(RECORD, reason="earned 0.00012 ± 0.00005 more per position than lightgbm")
    champions = [replace(CHAMPION, regime=regime, record=long) for regime in Regime]
    links = {7: run_link("123456", "0" * 32)}
    assert (
        len(
            describe_model(
                None, ModelKey("1000SHIB/USDT:USDT", "15m", 12), tonight(*champions), links
            )
        )
        < 4000
    )


def test_links_say_what_is_wanted() -> None:
    assert run_link("1", "abc") == "#/experiments/1/runs/abc"
    assert run_link("1", "abc", "drift") == "#/experiments/1/runs/abc/artifacts/drift"
    link = history_link("1", KEY)
    assert link.isascii()
    assert not set(" \"'()") & set(link)  # would end the link in Markdown
    assert 'tags.symbol = "BTC/USD" AND tags.timeframe = "1h"' in unquote(link)
    assert 'params.horizon = "6"' in unquote(link)


def test_a_table_has_as_many_cells_in_every_line() -> None:
    lines = markdown_table(("a", "b"), [(1, 2), (3, 4)]).splitlines()
    assert {line.count("|") for line in lines} == {3}
    assert len(lines) == 4


def test_the_description_reaches_the_registry(sqlite_dsn: str, tmp_path: Path) -> None:
    library = BrainLibrary(sqlite_dsn)
    with start(library) as run:
        version = add(library, run, tmp_path / "model")
    assert "No champion yet" in (
        library.client.get_registered_model("BTC-USD.1h.6").description or ""
    )
    library.set_champion(SYMBOL, Regime.HIGH, record(version), None)
    (standing,) = library.describe(SYMBOL, {1: run_link(run.experiment_id, run.id)}, "2026-11-22")
    assert (standing.trained, standing.champion) == (True, library.champion(SYMBOL, "high"))
    description = library.client.get_registered_model("BTC-USD.1h.6").description or ""
    assert "**high**" in description
    assert run.id in description
    # Without a model there is nothing to describe.
    assert library.describe("ETH/USD", {}, "2026-11-22") == []


def test_the_list_of_models_shows_the_version(sqlite_dsn: str, tmp_path: Path) -> None:
    library = BrainLibrary(sqlite_dsn)
    with start(library) as run:
        version = add(library, run, tmp_path / "model")
    tags = library.client.get_logged_model(version.logged_model_id).tags
    assert json.loads(tags["mlflow.modelVersions"]) == [{"name": "BTC-USD.1h.6", "version": 1}]


def test_nights_are_numbered_and_their_metrics_lie_at_their_number(sqlite_dsn: str) -> None:
    library = BrainLibrary(sqlite_dsn)
    for number in (1, 2):
        with start(library) as night, night.child("family", tags={}, note="") as run:
            run.metrics([Metric("rank_ic", 0.1)])
        assert (night.number, run.number) == (number, number)
        (point,) = library.client.get_metric_history(run.id, "rank_ic")
        assert point.step == number
        assert library.client.get_run(run.id).data.tags["night"] == str(number)


def test_a_run_that_mlflow_made_is_numbered_in_its_own_experiment(
    sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = BrainLibrary(sqlite_dsn)
    start(library)
    elsewhere = library.client.create_experiment("elsewhere")
    run_id = library.client.create_run(elsewhere).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert start(library).number == 1
    run_id = library.client.create_run(library.experiment(EXPERIMENT)).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert start(library).number == 2


def test_a_run_lasts_as_long_as_its_work(sqlite_dsn: str) -> None:
    library = BrainLibrary(sqlite_dsn)
    with start(library) as night, night.child("family", tags={}, note="", seconds=60) as run:
        pass
    info = library.client.get_run(run.id).info
    assert 60 <= (info.end_time - info.start_time) / 1000 < 120
