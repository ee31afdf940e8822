"""The records of a night's models on the tracking server: parameters, metrics, files, a version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from brain.artifacts import OUT_OF_SAMPLE, TRIAL_PREDICTIONS, TRIALS
from brain.calendars import CONTINUOUS
from brain.lines import line_of
from brain.model_keys import ModelKey, ahead
from brain.naming import REGIMES, Role, Tag
from brain.recipes import Recipe
from brain.records import Evidence, Version
from brain.scratch import scratch_folder
from brain.text import plus_minus
from engine.data.dataset import Dataset
from engine.evaluation.profit_table import out_of_sample_table
from engine.evaluation.rules import Decisions
from engine.evaluation.trading import ALL
from engine.kernels.features import FEATURES
from engine.night.refits import write_walk_forward
from engine.night.search import Search
from engine.night.training import SearchResult, TrainingResult
from registry.descriptions import (
    card_link,
    explanation_links,
    history_link,
    markdown_table,
    run_link,
)
from registry.library import BrainLibrary
from registry.runs import EvaluationDataset, Metric, Run

__all__ = ["log_search", "log_training"]

# The run's own metrics come last, so that the key without a regime shows all bars.
_ORDER = (*REGIMES, ALL)

_COLUMNS = ("regime", "rank IC", "hit rate", "net Sharpe", "max drawdown", "bars", "episodes")
_COMPARISON = (
    *("regime", "positions", "gross Sharpe", "one bar later", "break-even", "gain"),
    *("by sign, gross", "by sign, net", "always long", "reversal", "but"),
)


def log_training(
    library: BrainLibrary,
    symbol_run: Run,
    dataset: Dataset,
    result: TrainingResult,
    moment: datetime,
    *,
    current: bool = True,
    goes_on: bool = False,
) -> Version:
    """Write a child run of the symbol's for the family; register its model as the next version.

    The version appears when its files, parameters and tables are stored. Its metrics, which need
    its id, follow at once; no alias points to it before
    :func:`engine.night.champions.name_champions`.

    Args:
        library: where the model is registered.
        symbol_run: the parent.
        dataset: of the training.
        result: of the training.
        moment: of the night job, from which on the version counts as made.
        current: whether its recipe is the family's current one from now on.
        goes_on: whether the line's next refits go on from its walk-forward.

    Raises:
        LibraryError: the tracking server or the artifact store fails.
    """
    recipe = result.recipe
    name = f"{result.symbol} {result.family} {symbol_run.day}"
    tags = {**_tags(dataset, recipe), Tag.TRAINED_UNTIL: dataset.trained_until}
    with symbol_run.child(
        name,
        tags={**tags, Tag.ROLE: Role.FAMILY},
        note=_note(dataset, result),
        seconds=sum(result.seconds.values()),
    ) as run:
        if result.search is not None:
            recipe = replace(recipe, tuned_in=run.id)
        run.params(_params(dataset, recipe) | _trading_params(result))
        datasets = {key: _dataset(dataset, key) for key in _ORDER}
        run.datasets(datasets.values(), context="evaluation")
        _attach_tables(run, dataset, result, goes_on)
        version = library.add_version(
            run,
            dataset.key,
            result.family,
            result.folder,
            tags={
                **tags,
                Tag.LINE: line_of(recipe).id,
                Tag.MADE: moment.astimezone(UTC).isoformat(),
            },
            hyperparameters=recipe.hyperparameters,
            note=_note(dataset, result, _links(run, dataset.key)),
        )
        run.metrics([*_metrics(result, datasets, version), *_missing(dataset)])
        run.tag({"model_id": version.id})
        if current:
            library.set_recipe(dataset.key, result.family, recipe.to_json())
    return version


def log_search(library: BrainLibrary, night: Run, dataset: Dataset, result: SearchResult) -> None:
    """Write a child run of the night for the search; store the recipe that the next night refits.

    Args:
        library: where the recipe is stored.
        night: the parent.
        dataset: of the search.
        result: of the search.

    Raises:
        LibraryError: the tracking server or the artifact store fails.
    """
    recipe, trials = result.search.recipe, result.search.trials
    note = f"{len(trials)} trials on bars until {recipe.tuned_until}; the best is `{recipe.id}`."
    name = f"{result.symbol} {result.family} search {night.day}"
    tags = {**_tags(dataset, recipe), Tag.ROLE: Role.SEARCH}
    with night.child(name, tags=tags, note=note) as run:
        recipe = replace(recipe, tuned_in=run.id)
        run.params(_params(dataset, recipe))
        with scratch_folder() as scratch:
            _write_search(result.search, scratch)
            run.artifacts(scratch)
        run.metrics(
            Metric(f"trial/{key}", float(value))
            for key, value in (
                ("rank_ic", trials["rank_ic"].max()),
                ("trials", len(trials)),
            )
        )
        library.set_recipe(dataset.key, result.family, recipe.to_json())


def _write_search(search: Search, folder: Path) -> None:
    search.trials.to_parquet(folder / TRIALS)
    search.predictions.to_parquet(folder / TRIAL_PREDICTIONS)


def _tags(dataset: Dataset, recipe: Recipe) -> dict[str, str]:
    return {
        **dataset.key.tags,
        Tag.FAMILY: str(recipe.family),
        Tag.RECIPE: recipe.id,
        Tag.CALENDAR: dataset.calendar,
        Tag.FEATURE_SET: recipe.feature_set,
    }


def _params(dataset: Dataset, recipe: Recipe) -> dict[str, object]:
    return {
        "family": recipe.family,
        "recipe": recipe.id,
        "horizon": recipe.horizon,
        "features": len(dataset.names),
        "feature_set": dataset.feature_set,
        "target": recipe.target,
        "rows": len(dataset),
        "fill": dataset.fill,
        "refit": recipe.refit,
        "seed": recipe.seed,
        "seeds": recipe.seeds,
        "tuned_until": recipe.tuned_until,
        "bars_digest": dataset.digest[:16],
        **{f"hp.{key}": value for key, value in recipe.hyperparameters.items()},
    }


def _trading_params(result: TrainingResult) -> dict[str, object]:
    decisions = result.decisions
    rule, costs = decisions.rule, decisions.costs
    return {
        "cost_bps": round(rule.cost, 3),
        "fee_bps": costs.fee,
        "half_spread": decisions.half_spread,
        "impact_bps": costs.impact,
        "threshold_bps": round(rule.threshold, 3),
        "slope": round(rule.slope, 4),
        **{f"slope.{regime}": round(slope, 4) for regime, slope in rule.slopes.items()},
    }


def _metrics(
    result: TrainingResult, datasets: dict[str, EvaluationDataset], version: Version
) -> Iterator[Metric]:
    """Each regime's metrics twice: with the model and its dataset, and by name for the run.

    The UI shows metrics in the order of their keys' first appearance.
    """
    for key in _ORDER:
        for name, value in result.evidence[key].to_metrics().items():
            yield Metric(name, value, version.logged_model_id, datasets[key])
    for regime in REGIMES:
        for name, value in result.evidence[regime].to_metrics(regime).items():
            yield Metric(name, value)
    yield from (Metric(f"seconds/{stage}", value) for stage, value in result.seconds.items())


def _missing(dataset: Dataset) -> Iterator[Metric]:
    """The missing shares among the rows with a target, of each feature that isn't of bars alone."""
    missing = np.isnan(dataset.features[~np.isnan(dataset.target)])
    for name, share in zip(dataset.names, missing.mean(axis=0), strict=True):
        if name not in FEATURES:
            yield Metric(f"missing/{name}", float(share))
    yield Metric("missing/all", float(missing.mean()))


def _dataset(dataset: Dataset, key: str) -> EvaluationDataset:
    """One regime's out-of-sample bars, which grow from night to night, as a dataset.

    The UI's list of models has a group of columns for each digest, so it must be the same every
    night. Tonight's bars are in the metric ``bars`` and the parameter ``bars_digest``.
    """
    profile = {
        "timeframe": dataset.timeframe,
        **({} if dataset.calendar == CONTINUOUS else {"calendar": dataset.calendar}),
        "horizon": dataset.horizon,
        "regimes": json.loads(dataset.definition.to_json()),
    }
    identity = json.dumps([dataset.symbol, key, profile], sort_keys=True)
    return EvaluationDataset(
        name=f"{dataset.key.name} {key}",
        digest=hashlib.sha256(identity.encode()).hexdigest()[:8],
        source=json.dumps({"uri": dataset.source}),
        profile=json.dumps(profile),
    )


def _attach_tables(run: Run, dataset: Dataset, result: TrainingResult, goes_on: bool) -> None:
    with scratch_folder() as folder:
        if goes_on:
            write_walk_forward(dataset, result, folder)
        table = out_of_sample_table(dataset, result.prediction, result.profit)
        table.to_parquet(folder / OUT_OF_SAMPLE)
        if result.search is not None:
            _write_search(result.search, folder)
        run.artifacts(folder)


def _note(dataset: Dataset, result: TrainingResult, links: str = "") -> str:
    rows = [_row(key, result.evidence[key]) for key in _ORDER]
    comparison = [_comparison(key, result.evidence[key]) for key in _ORDER]
    overall = result.evidence[ALL]
    sharpe = overall.net_sharpe
    # The UI's lists show a description's first words only.
    return (
        f"Net Sharpe {plus_minus(sharpe.value, sharpe.error)} of {result.symbol} {result.family}, "
        f"recipe `{result.recipe.id}`, {ahead(dataset.horizon)} on {dataset.timeframe} bars "
        f"until {dataset.close_time[-1]:%Y-%m-%d %H:%M} UTC. {links}\n\n"
        f"Out of sample, after costs, ± one standard error, over {overall.years:.1f} years; each "
        f"decision is {dataset.fill.describe(dataset.timeframe)}:\n\n"
        f"{markdown_table(_COLUMNS, rows)}\n"
        f"A position is opened where it is expected to gain more than "
        f"{result.decisions.rule.threshold:.1f} bp, {_costs(result.decisions)}. Before costs, one "
        "more bar late, and what it is compared with on the same bars and at the same costs: the "
        "sign of every prediction, always long, the last return reversed; the break-even cost of "
        "each unit traded, and the gain of a position, in basis points:\n\n"
        f"{markdown_table(_COMPARISON, comparison)}"
    )


def _costs(decisions: Decisions) -> str:
    costs = decisions.costs
    return (
        f"and each unit traded costs {decisions.rule.cost:.1f} bp: fee {costs.fee:g} bp, half "
        f"spread {decisions.half_spread}, impact {costs.impact:g} bp"
    )


def _row(key: str, evidence: Evidence) -> tuple[object, ...]:
    estimates = (
        evidence.rank_ic,
        evidence.hit_rate,
        evidence.net_sharpe,
        evidence.max_drawdown,
    )
    return (
        f"**{key}**",
        *(plus_minus(estimate.value, estimate.error) for estimate in estimates),
        evidence.bars,
        evidence.episodes,
    )


def _comparison(key: str, evidence: Evidence) -> tuple[object, ...]:
    estimates = (
        evidence.gross_sharpe,
        evidence.delayed_sharpe,
        evidence.break_even_bp,
        evidence.gain_bp,
        evidence.sign_gross_sharpe,
        evidence.sign_net_sharpe,
        evidence.long_sharpe,
        evidence.reversal_sharpe,
    )
    return (
        f"**{key}**",
        evidence.positions,
        *(plus_minus(estimate.value, estimate.error) for estimate in estimates),
        "; ".join(evidence.caveats()),
    )


def _links(run: Run, key: ModelKey) -> str:
    """Links from a version; a champion has its explanation among its run's files."""
    page = run_link(run.experiment_id, run.id)
    files = run_link(run.experiment_id, run.id, "")
    return (
        f"{card_link(page)} and [files]({files}), for a champion with its "
        f"{explanation_links(page)} · "
        f"[{key.symbol} over the nights]({history_link(run.experiment_id, key)}) (group by the tag "
        "*family*)"
    )
