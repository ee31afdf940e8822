"""What an analysis leaves in MLflow: files and figures on the versions' runs, and rankings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from analysis.drift_report import DriftResult
from analysis.explanation import Explanation
from analysis.rankings import Rankings
from analysis.results import ModelAnalysis, Stage
from analysis.scope import or_failure
from brain.artifacts import DRIFT, EXPLANATION
from brain.naming import Role, Tag
from brain.work import Failure
from registry.runs import Metric, Run

if TYPE_CHECKING:
    from brain.records import Version
    from registry.library import BrainLibrary

__all__ = ["SymbolWork", "store"]

_NAMED = 5


@dataclass
class SymbolWork:
    """One symbol's analysis, gathered as its pieces are done.

    Attributes:
        versions: whose runs get the files, by model id.
        open: pieces that are not done yet.
    """

    symbol: str
    versions: Mapping[str, Version]
    open: int
    explained: list[Explanation] = field(default_factory=list)
    compared: DriftResult | None = None
    failures: list[Failure] = field(default_factory=list)

    @property
    def models(self) -> list[ModelAnalysis]:
        """What was found of the versions, in their order."""
        by_id = {done.analysis.model_id: done.analysis for done in self.explained}
        return [by_id[model_id] for model_id in self.versions if model_id in by_id]


def store(library: BrainLibrary, night: Run, work: SymbolWork) -> None:
    """Attach everything to the versions' runs, then the rankings to a child run of the night.

    What can't be stored is added to the work's failures.

    Raises:
        TrackingUnreachableError: the tracking server does not answer.
    """
    for model_id, version in work.versions.items():
        with or_failure(work.failures, work.symbol, Stage.STORAGE, model_id):
            _attach(library, night, version, work)
    with or_failure(work.failures, work.symbol, Stage.STORAGE):
        tags: dict[str, str] = {Tag.ROLE: Role.ANALYSIS, Tag.SYMBOL: work.symbol}
        with night.child(f"{work.symbol} analysis", tags=tags, note=_note(night, work)) as run:
            run.metrics(_night_figures(work))
            Rankings(library).write(run, work.symbol, night.day, work.models)
            if work.failures:
                run.fail()


def _attach(library: BrainLibrary, night: Run, version: Version, work: SymbolWork) -> None:
    """The figures get tonight's number as their step: a version that is kept has a line of them."""
    run = library.run_of(version, night.number)
    for done in work.explained:
        if done.analysis.model_id == version.id:
            run.artifacts(done.folder, EXPLANATION)
            run.metrics(_model_figures(done.analysis))
    if work.compared:
        run.artifacts(work.compared.folder, DRIFT)
        run.metrics(_drift_figures(work.compared))


def _model_figures(model: ModelAnalysis) -> Iterator[Metric]:
    if math.isfinite(model.additivity.error):
        yield Metric("shap/additivity_error", model.additivity.error)
    yield Metric("shap/additivity_holds", float(model.additivity.holds))
    for method, ranking in model.rankings.items():
        yield Metric(f"{method}/rows", float(ranking.rows))


def _drift_figures(compared: DriftResult) -> Iterator[Metric]:
    yield Metric("drift/judged", float(compared.analysis.judged))
    if compared.analysis.judged:
        yield Metric("drift/drifted", float(len(compared.analysis.drifted)))


def _night_figures(work: SymbolWork) -> Iterator[Metric]:
    """By family, so that a chart over the nights compares like with like."""
    for model in work.models:
        for figure in _model_figures(model):
            yield Metric(f"{model.family}/{figure.key}", figure.value)
    if work.compared:
        yield from _drift_figures(work.compared)


def _note(night: Run, work: SymbolWork) -> str:
    lines = [
        f"Analysis of **{work.symbol}** on {night.day}.",
        "",
        "| model | method | most important |",
    ]
    lines.append("|---|---|---|")
    for model in work.models:
        for method, ranking in model.rankings.items():
            top = _listed([f"{f.feature} {f.share:.1%}" for f in ranking.features[:_NAMED]])
            lines.append(f"| {model.model_id} {model.family} | {method} | {top} |")
    lines += ["", *(f"- {note}" for model in work.models for note in _notes(model))]
    if work.compared:
        drift = work.compared.analysis
        lines.append(
            f"- {len(drift.drifted)} of {drift.judged} features judged have drifted in the last "
            f"{drift.recent.rows} bars: {_listed(drift.drifted[:_NAMED])}"
        )
    lines += [f"- **{failure}**" for failure in work.failures]
    return "\n".join(lines)


def _notes(model: ModelAnalysis) -> Iterator[str]:
    yield from (f"{model.model_id}: no importance for {note}" for note in model.notes)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
