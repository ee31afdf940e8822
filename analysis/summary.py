"""The night in a table, for the eyes, and in a document, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from analysis.results import Method, ModelAnalysis, NightlyAnalysis
from analysis.tables import drift_document
from brain.records import Champion, Version
from brain.text import finite, plus_minus
from brain.work import Failure
from engine.evaluation.evaluation import ALL
from engine.night.symbols import SymbolResult
from engine.night.training import SearchResult

__all__ = [
    "analysis_document",
    "champions_table",
    "failures_document",
    "models_table",
    "night_document",
    "recipes_table",
    "versions_table",
]

_CAPTION = "net Sharpe: annualised, out of sample, after costs, ± one standard error"


def champions_table(champions: Sequence[Champion], failures: Sequence[Failure]) -> Table:
    """Symbol × regime → champion, with its error bar and sample size; failures below.

    Args:
        champions: in the order in which they are to be shown.
        failures: what could not be done, and why.
    """
    table = Table(title="Champions", caption=_CAPTION)
    for column in ("symbol", "regime", "champion"):
        table.add_column(column)
    for column in ("version", "net Sharpe", "bars", "episodes"):
        table.add_column(column, justify="right")
    table.add_column("why", overflow="fold")
    for champion in champions:
        record = champion.record
        table.add_row(
            champion.symbol,
            champion.regime,
            record.family,
            str(champion.version),
            plus_minus(record.net_sharpe, record.net_sharpe_error, "+"),
            str(record.bars),
            str(record.episodes),
            record.reason,
        )
    return _with_failures(table, failures)


def versions_table(results: Sequence[SymbolResult], failures: Sequence[Failure]) -> Table:
    """What was trained and registered, over all regimes; failures below."""
    table = Table(title="Versions", caption=_CAPTION)
    for column in ("symbol", "family", "recipe"):
        table.add_column(column)
    for column in ("version", "net Sharpe", "bars"):
        table.add_column(column, justify="right")
    for result in results:
        for family, version in sorted(result.versions.items()):
            judged = result.trainings[family].evidence[ALL]
            table.add_row(
                version.symbol,
                family,
                version.recipe,
                str(version.number),
                plus_minus(judged.net_sharpe.value, judged.net_sharpe.error, "+"),
                str(judged.bars),
            )
    return _with_failures(table, failures)


def recipes_table(found: Sequence[SearchResult], failures: Sequence[Failure]) -> Table:
    """What the searches found; failures below."""
    table = Table(title="Recipes", caption="rank IC: best trial, inside the first training fold")
    for column in ("symbol", "family", "recipe", "hyperparameters"):
        table.add_column(column, overflow="fold")
    for column in ("trials", "rank IC"):
        table.add_column(column, justify="right")
    for tuned in found:
        recipe, trials = tuned.search.recipe, tuned.search.trials
        chosen = ", ".join(f"{k}={v:.4g}" for k, v in recipe.hyperparameters.items())
        best = f"{trials['rank_ic'].max():+.3f}"
        table.add_row(tuned.symbol, tuned.family, recipe.id, chosen, str(len(trials)), best)
    return _with_failures(table, failures)


def models_table(analysed: NightlyAnalysis, failures: Sequence[Failure]) -> Table:
    """The explained versions with their three most important features; failures below."""
    table = Table(title="Explained", caption="by SHAP; off: largest miss of contributions + base")
    for column in ("symbol", "model", "family", "first", "second", "third"):
        table.add_column(column)
    for column in ("off", "rows", "without importance"):
        table.add_column(column, justify="right")
    for model in analysed.models:
        ranking = model.rankings.get(Method.SHAP)
        best = [f"{f.feature} {f.share:.0%}" for f in ranking.features[:3]] if ranking else []
        table.add_row(
            model.symbol,
            model.model_id,
            model.family,
            *[*best, "", "", ""][:3],
            f"{model.additivity.error:.1e}",
            str(ranking.rows) if ranking else "unknown",
            str(len(model.notes)),
        )
    return _with_failures(table, failures)


def night_document(
    champions: Sequence[Champion],
    versions: Sequence[Version],
    analysed: NightlyAnalysis,
    failures: Sequence[Failure],
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """The night as JSON-ready data; an unknown figure is null.

    Args:
        champions: of every cell that has one.
        versions: registered tonight.
        analysed: what was explained and compared.
        failures: what failed, and why.
        seconds: by stage.
    """
    return {
        "champions": [_champion(champion) for champion in champions],
        "versions": [{**asdict(version), "model_id": version.id} for version in versions],
        **analysis_document(analysed, failures, seconds),
    }


def analysis_document(
    analysed: NightlyAnalysis, failures: Sequence[Failure], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """An analysis as JSON-ready data; an unknown figure is null."""
    return {
        "analyses": [_analysis(model) for model in analysed.models],
        "drift": [drift_document(drift) for drift in analysed.drifts],
        "failures": failures_document(failures),
        "seconds": dict(seconds),
    }


def failures_document(failures: Sequence[Failure]) -> dict[str, str]:
    """Why each thing failed, by what it is."""
    return {failure.what: str(failure.error) for failure in failures}


def _champion(champion: Champion) -> dict[str, Any]:
    record = json.loads(champion.record.to_json())
    del record["regimes"]  # kilobytes for programs, and stored with the model
    return {
        "symbol": champion.symbol,
        "regime": str(champion.regime),
        "model_id": champion.model_id,
        "uri": champion.uri,
        **record,
    }


def _analysis(model: ModelAnalysis) -> dict[str, Any]:
    return {
        "symbol": model.symbol,
        "model_id": model.model_id,
        "additivity_error": finite(model.additivity.error),
        "additivity_holds": model.additivity.holds,
        "first_features": {
            str(method): [f.feature for f in ranking.features[:10]]
            for method, ranking in model.rankings.items()
        },
        "notes": [str(note) for note in model.notes],
    }


def _with_failures(table: Table, failures: Sequence[Failure]) -> Table:
    blank = [""] * (len(table.columns) - 2)
    for failure in failures:
        table.add_row(escape(failure.what), *blank, f"[red]failed: {escape(str(failure.error))}[/]")
    return table
