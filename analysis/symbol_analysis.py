"""One symbol's analysis: put together from the results of its tasks, and logged to MLflow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analysis.drift_report import DriftResult
from analysis.explanation import Explanation
from analysis.failures import Stage, catch_failure
from analysis.profit import ModelProfit, NoProfit, ProfitResult
from analysis.rankings import Rankings
from analysis.results import ModelAnalysis
from brain.artifacts import DRIFT, EXPLANATION, FEATURES_PAGE
from brain.brief import Brief
from brain.errors import AnalysisError
from brain.model_keys import ModelKey, ahead
from brain.naming import Role, Tag
from brain.work import Failure
from registry.descriptions import run_link
from registry.runs import Metric, Run

if TYPE_CHECKING:
    from brain.records import Version
    from registry.library import BrainLibrary

__all__ = ["SymbolAnalysis", "log_analysis"]

_FIRST_FEATURES = 5


@dataclass(repr=False)
class SymbolAnalysis(Brief):
    """The results of one symbol's tasks.

    Attributes:
        key: of all of them.
        versions: by model id; their runs get the files.
        explanations: of versions.
        profits: of versions.
        without_profit: versions that were stored without one.
        drift: of the symbol's data; None if there is none yet, or if it failed.
        failures: of tasks, and of what could not be fetched or logged.
    """

    key: ModelKey
    versions: Mapping[str, Version]
    explanations: list[Explanation] = field(default_factory=list)
    profits: list[ProfitResult] = field(default_factory=list)
    without_profit: list[NoProfit] = field(default_factory=list)
    drift: DriftResult | None = None
    failures: list[Failure] = field(default_factory=list)

    @property
    def symbol(self) -> str:
        """The key's symbol."""
        return self.key.symbol

    @property
    def models(self) -> list[ModelAnalysis]:
        """The analyses of the versions, in the order of these."""
        by_id = {entry.analysis.model_id: entry.analysis for entry in self.explanations}
        return [by_id[model_id] for model_id in self.versions if model_id in by_id]

    @property
    def model_profits(self) -> list[ModelProfit]:
        """The profits of the versions, in the order of these."""
        by_id = {entry.profit.model_id: entry.profit for entry in self.profits}
        return [by_id[model_id] for model_id in self.versions if model_id in by_id]

    def add(self, result: Explanation | ProfitResult | NoProfit | DriftResult | Failure) -> None:
        """Add a task's result; an explanation that does not add up is a failure too."""
        if isinstance(result, Failure):
            self.failures.append(result)
        elif isinstance(result, DriftResult):
            self.drift = result
        elif isinstance(result, ProfitResult):
            self.profits.append(result)
        elif isinstance(result, NoProfit):
            self.without_profit.append(result)
        else:
            self.explanations.append(result)
            if not result.analysis.additivity.holds:
                self.failures.append(_additivity_failure(result.analysis))


def _additivity_failure(model: ModelAnalysis) -> Failure:
    error = AnalysisError(
        f"contributions and base value miss the predictions by {model.additivity.error:.3g}, and "
        f"{model.additivity.tolerance:.3g} is tolerated; they are not shown, so train it anew"
    )
    return Failure(model.model_id, error, Stage.ADDITIVITY, symbol=model.symbol)


def log_analysis(library: BrainLibrary, night: Run, analysis: SymbolAnalysis) -> None:
    """Log files and metrics on the versions' runs, then rankings on a child run of the night.

    What can't be logged is added to the analysis' failures.

    Args:
        library: where the versions' runs are.
        night: the parent run.
        analysis: with all its results.

    Raises:
        TrackingUnreachableError: the tracking server does not answer.
    """
    for model_id, version in analysis.versions.items():
        with catch_failure(analysis.failures, analysis.symbol, Stage.STORAGE, model_id):
            _log_version(library, night, version, analysis)
    with catch_failure(analysis.failures, analysis.symbol, Stage.STORAGE):
        tags: dict[str, str] = {Tag.ROLE: Role.ANALYSIS, **analysis.key.tags}
        note = _note(night, analysis)
        with night.child(f"{analysis.symbol} analysis", tags=tags, note=note) as run:
            run.metrics(_symbol_metrics(analysis))
            Rankings(library).write(run, analysis.key, night.day, analysis.models)
            if analysis.failures:
                run.fail()


def _log_version(
    library: BrainLibrary, night: Run, version: Version, analysis: SymbolAnalysis
) -> None:
    """The metrics have tonight's number as their step: a version of many nights has a line."""
    run = library.run_of(version, night.number)
    for explanation in analysis.explanations:
        if explanation.analysis.model_id == version.id:
            run.artifacts(explanation.folder, EXPLANATION)
            run.metrics(_model_metrics(explanation.analysis))
    for result in analysis.profits:
        if result.profit.model_id == version.id and result.folder is not None:
            run.artifacts(result.folder)
    if analysis.drift:
        run.artifacts(analysis.drift.folder, DRIFT)
        run.metrics(_drift_metrics(analysis.drift))


def _model_metrics(model: ModelAnalysis) -> Iterator[Metric]:
    if math.isfinite(model.additivity.error):
        yield Metric("shap/additivity_error", model.additivity.error)
    yield Metric("shap/additivity_holds", float(model.additivity.holds))
    for method, ranking in model.rankings.items():
        yield Metric(f"{method}/rows", float(ranking.rows))


def _drift_metrics(drift: DriftResult) -> Iterator[Metric]:
    yield Metric("drift/judged", float(drift.analysis.comparable))
    if drift.analysis.comparable:
        yield Metric("drift/drifted", float(len(drift.analysis.drifted)))


def _symbol_metrics(analysis: SymbolAnalysis) -> Iterator[Metric]:
    """By family, so that a chart over the nights compares like with like."""
    for model in analysis.models:
        for metric in _model_metrics(model):
            yield Metric(f"{model.family}/{metric.key}", metric.value)
    if analysis.drift:
        yield from _drift_metrics(analysis.drift)


def _note(night: Run, analysis: SymbolAnalysis) -> str:
    """The description of the symbol's run, in Markdown."""
    lines = [
        f"Analysis of **{analysis.symbol}**, models of {analysis.key.timeframe} bars, "
        f"{ahead(analysis.key.horizon)}, on {night.day}.",
        "",
        "| model | method | most important |",
        "|---|---|---|",
    ]
    for model in analysis.models:
        for method, ranking in model.rankings.items():
            first = ranking.features[:_FIRST_FEATURES]
            names = _enumeration([f"{f.feature} {f.share:.1%}" for f in first])
            lines.append(f"| {model.model_id} {model.family} | {method} | {names} |")
    lines.append("")
    for model in analysis.models:
        page = run_link(
            night.experiment_id,
            analysis.versions[model.model_id].run_id,
            f"{EXPLANATION}/{FEATURES_PAGE}",
        )
        lines.append(f"- [What the features of {model.model_id} are]({page})")
    for model in analysis.models:
        lines += [f"- {model.model_id}: no importance for {note}" for note in model.notes]
    lines += [f"- {version}" for version in analysis.without_profit]
    if analysis.drift:
        drift = analysis.drift.analysis
        lines.append(
            f"- {len(drift.drifted)} of {drift.comparable} comparable features have drifted in the "
            f"last {drift.recent.rows} bars: {_enumeration(drift.drifted[:_FIRST_FEATURES])}"
        )
    lines += [f"- **{failure}**" for failure in analysis.failures]
    return "\n".join(lines)


def _enumeration(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
