"""The tables of a night for people: champions, versions, recipes, explained models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.markup import escape
from rich.table import Table

from analysis.results import Method, ModelAnalysis
from brain.records import CellRecord, Evidence, Version
from brain.standing import Standing
from brain.text import break_even, plus_minus
from brain.work import Failure
from engine.night.training import SearchResult

__all__ = ["champions_table", "model_lines", "models_table", "recipes_table", "versions_table"]

_KEY = "timeframe,\nhorizon"
_CAPTION = "net Sharpe: annualised, out of sample, after costs, ± one standard error"
#: Beside it: before costs and each decision filled one more bar late; always long and the last
#: return reversed; the cost that would leave nothing.
_BESIDE = ("gross, late", "long, reversal", "even at")


def champions_table(standings: Sequence[Standing], failures: Sequence[Failure]) -> Table:
    """Symbol × regime → champion, with its error bar, sample size and night; failures below.

    Args:
        standings: of champions, one a row, in their order.
        failures: one a row.
    """
    fills = dict.fromkeys(r.fill for s in standings if (r := s.champion.record).fill)
    caption = "\n".join(
        [
            f"{_CAPTION}; decisions are {', or '.join(fills)}" if fills else _CAPTION,
            "gross: before costs; late: gross, one more bar late; long, reversal: net, always "
            "long and the last return reversed; even at: the cost that would leave nothing; "
            "night: of the figures",
        ]
    )
    table = Table(title="Champions", caption=caption)
    table.add_column("symbol\ntimeframe, horizon", no_wrap=True)
    for column in ("regime", "champion"):
        table.add_column(column)
    for column in ("version\nnight", "net Sharpe", *_BESIDE, "bars, episodes"):
        table.add_column(column, justify="right")
    table.add_column("why", overflow="fold")
    for standing in standings:
        champion, record = standing.champion, standing.champion.record
        table.add_row(
            f"{champion.symbol}\n{champion.key.timeframe}, {champion.key.horizon}",
            champion.regime,
            _champion(record),
            f"{champion.version}\n{record.night or 'unknown'}",
            plus_minus(record.net_sharpe, record.net_sharpe_error, "+"),
            *_beside(record.evidence),
            f"{record.bars}, {record.episodes}",
            standing.why,
        )
    return _with_failures(table, failures)


def _champion(record: CellRecord) -> str:
    """Family, the digits of the line, and the size, where these are known."""
    digits = record.line.removeprefix(f"{record.family}-")
    size = "" if record.size is None else f"size {record.size:.2g}"
    return "\n".join(filter(None, (record.family, digits, size)))


def _beside(evidence: Evidence) -> list[str]:
    """What stands beside a net Sharpe ratio; errors are on the run."""
    estimates = (
        evidence.gross_sharpe,
        evidence.delayed_sharpe,
        evidence.long_sharpe,
        evidence.reversal_sharpe,
    )
    gross, late, long, reversal = (
        "?" if math.isnan(e.value) else f"{e.value:+.1f}" for e in estimates
    )
    even = break_even(evidence.break_even_bp.value)
    return [f"{gross}, {late}", f"{long}, {reversal}", even]


def versions_table(
    versions: Sequence[tuple[Version, Evidence]], failures: Sequence[Failure]
) -> Table:
    """The registered versions with their evidence over all regimes; failures below."""
    table = Table(title="Versions", caption=_CAPTION)
    for column in ("symbol", _KEY, "family", "recipe"):
        table.add_column(column)
    for column in ("version", "net Sharpe", "bars"):
        table.add_column(column, justify="right")
    for version, evidence in versions:
        table.add_row(
            version.symbol,
            f"{version.key.timeframe}, {version.key.horizon}",
            version.family,
            version.recipe,
            str(version.number),
            plus_minus(evidence.net_sharpe.value, evidence.net_sharpe.error, "+"),
            str(evidence.bars),
        )
    return _with_failures(table, failures)


def recipes_table(results: Sequence[SearchResult], failures: Sequence[Failure]) -> Table:
    """The recipes of the searches; failures below."""
    table = Table(title="Recipes", caption="rank IC: best trial, inside the first training fold")
    for column in ("symbol", _KEY, "family", "recipe", "hyperparameters"):
        table.add_column(column, overflow="fold")
    for column in ("trials", "rank IC"):
        table.add_column(column, justify="right")
    for result in results:
        recipe, trials = result.search.recipe, result.search.trials
        hyperparameters = ", ".join(f"{k}={v:.4g}" for k, v in recipe.hyperparameters.items())
        table.add_row(
            result.symbol,
            f"{recipe.timeframe}, {recipe.horizon}",
            result.family,
            recipe.id,
            hyperparameters,
            str(len(trials)),
            f"{trials['rank_ic'].max():+.3f}",
        )
    return _with_failures(table, failures)


def models_table(lines: Sequence[tuple[str, ...]], failures: Sequence[Failure]) -> Table:
    """The lines of the explained versions; failures below."""
    table = Table(title="Explained", caption="by SHAP; off: largest miss of contributions + base")
    for column in ("symbol", "model", "family", "first", "second", "third"):
        table.add_column(column)
    for column in ("off", "rows", "without importance"):
        table.add_column(column, justify="right")
    for line in lines:
        table.add_row(*line)
    return _with_failures(table, failures)


def model_lines(models: Iterable[ModelAnalysis]) -> list[tuple[str, ...]]:
    """A line of :func:`models_table` a version, with its three most important features."""
    lines = []
    for model in models:
        ranking = model.rankings.get(Method.SHAP)
        best = [f"{f.feature} {f.share:.0%}" for f in ranking.features[:3]] if ranking else []
        line = (
            model.symbol,
            model.model_id,
            model.family,
            *[*best, "", "", ""][:3],
            f"{model.additivity.error:.1e}",
            str(ranking.rows) if ranking else "unknown",
            str(len(model.notes)),
        )
        lines.append(line)
    return lines


def _with_failures(table: Table, failures: Sequence[Failure]) -> Table:
    blank = [""] * (len(table.columns) - 2)
    for failure in failures:
        table.add_row(escape(failure.what), *blank, f"[red]failed: {escape(str(failure.error))}[/]")
    return table
