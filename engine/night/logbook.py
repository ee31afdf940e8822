"""What a trained model leaves on the tracking server: parameters, metrics, files, a version."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from mlflow.entities import Dataset as LoggedDataset

from brain.artifacts import BEESWARM, DRIFT_REPORT
from brain.naming import REGIMES, Role, Tag, model_name
from brain.recipes import Recipe
from brain.records import Version
from brain.text import plus_minus
from engine.data.dataset import Dataset
from engine.evaluation.evaluation import ALL
from engine.kernels.market_features import MARKET_FEATURES
from engine.night.search import Search
from engine.night.training import SearchResult, TrainingResult
from registry.descriptions import history_link, markdown_table, run_link
from registry.library import BrainLibrary
from registry.runs import Metric, Run

__all__ = ["log_trained", "log_tuned"]

# The run's own metrics come last, so that the key without a regime shows all bars.
_ORDER = (*REGIMES, ALL)


def log_trained(
    library: BrainLibrary, symbol_run: Run, dataset: Dataset, done: TrainingResult
) -> Version:
    """Write a grandchild run for the family, and register its model as the next version.

    The version appears when its files, parameters and tables are stored. Its metrics, which need
    its id, follow at once; no alias points to it before :func:`engine.night.champions.name_champions`.

    Raises:
        LibraryError: the tracking server or the artifact store does not do what was asked.
    """
    recipe = done.recipe
    name = f"{done.symbol} {done.family} {symbol_run.day}"
    tags: dict[str, str] = {
        Tag.SYMBOL: done.symbol,
        Tag.FAMILY: str(done.family),
        Tag.RECIPE: recipe.id,
        Tag.TIMEFRAME: dataset.timeframe,
        Tag.TRAINED_UNTIL: dataset.trained_until,
        Tag.FEATURE_SET: recipe.feature_set,
    }
    with symbol_run.child(
        name,
        tags={**tags, Tag.ROLE: Role.FAMILY},
        note=_note(dataset, done),
        seconds=sum(done.seconds.values()),
    ) as run:
        if done.search is not None:
            recipe = replace(recipe, tuned_in=run.id)
        run.params(_params(dataset, recipe))
        datasets = {key: _dataset(dataset, key) for key in _ORDER}
        run.datasets(datasets.values(), context="evaluation")
        _attach_tables(run, dataset, done)
        version = library.add_version(
            run,
            done.symbol,
            done.family,
            done.folder,
            tags=tags,
            hyperparameters=recipe.hyperparameters,
            note=_note(dataset, done, _links(run, done.symbol)),
        )
        run.metrics([*_metrics(done, datasets, version), *_missing(dataset)])
        run.tag({"model_id": version.id})
        library.set_recipe(done.symbol, done.family, recipe.to_json())
    return version


def log_tuned(library: BrainLibrary, night: Run, dataset: Dataset, done: SearchResult) -> None:
    """Write a child run for the search, and store the recipe that the next night refits.

    Raises:
        LibraryError: the tracking server or the artifact store does not do what was asked.
    """
    recipe, trials = done.search.recipe, done.search.trials
    tags: dict[str, str] = {
        Tag.SYMBOL: done.symbol,
        Tag.FAMILY: str(done.family),
        Tag.RECIPE: recipe.id,
        Tag.TIMEFRAME: dataset.timeframe,
        Tag.FEATURE_SET: recipe.feature_set,
        Tag.ROLE: Role.SEARCH,
    }
    note = f"{len(trials)} trials on bars until {recipe.tuned_until}; the best is `{recipe.id}`."
    name = f"{done.symbol} {done.family} search {night.day}"
    with night.child(name, tags=tags, note=note) as run:
        recipe = replace(recipe, tuned_in=run.id)
        run.params(_params(dataset, recipe))
        with tempfile.TemporaryDirectory() as scratch:
            _write_search(done.search, Path(scratch))
            run.artifacts(Path(scratch))
        run.metrics(
            Metric(f"trial/{key}", float(value))
            for key, value in (
                ("rank_ic", trials["rank_ic"].max()),
                ("trials", len(trials)),
            )
        )
        library.set_recipe(done.symbol, done.family, recipe.to_json())


def _write_search(search: Search, folder: Path) -> None:
    search.trials.to_parquet(folder / "trials.parquet")
    search.series.to_parquet(folder / "trial_series.parquet")


def _params(dataset: Dataset, recipe: Recipe) -> dict[str, object]:
    return {
        "family": recipe.family,
        "recipe": recipe.id,
        "horizon": recipe.horizon,
        "features": len(dataset.names),
        "feature_set": dataset.feature_set,
        "target": recipe.target,
        "rows": len(dataset),
        "refit": recipe.refit,
        "seed": recipe.seed,
        "tuned_until": recipe.tuned_until,
        "bars_digest": dataset.digest[:16],
        **{f"hp.{key}": value for key, value in recipe.hyperparameters.items()},
    }


def _metrics(
    result: TrainingResult, datasets: dict[str, LoggedDataset], version: Version
) -> Iterator[Metric]:
    """Each regime's metrics twice: with the model and its dataset, and by name for the run.

    The UI shows metrics in the order in which their keys first come.
    """
    for key in _ORDER:
        for name, value in result.evidence[key].to_metrics().items():
            yield Metric(name, value, version.logged_model_id, datasets[key])
    for regime in REGIMES:
        for name, value in result.evidence[regime].to_metrics(regime).items():
            yield Metric(name, value)
    yield from (Metric(f"seconds/{stage}", took) for stage, took in result.seconds.items())


def _missing(dataset: Dataset) -> Iterator[Metric]:
    """The shares missing among the rows that were learnt from: of each market feature, of all."""
    missing = np.isnan(dataset.features[~np.isnan(dataset.target)])
    for name, share in zip(dataset.names, missing.mean(axis=0), strict=True):
        if name in MARKET_FEATURES:
            yield Metric(f"missing/{name}", float(share))
    yield Metric("missing/all", float(missing.mean()))


def _dataset(dataset: Dataset, key: str) -> LoggedDataset:
    """One regime's out-of-sample bars, which grow from night to night, as a dataset of their own.

    The UI's list of models has a group of columns for each digest, so it must be the same every
    night. Which bars there were tonight is told by the metric ``bars`` and the parameter
    ``bars_digest``.
    """
    made_by = {
        "timeframe": dataset.timeframe,
        "horizon": dataset.horizon,
        "regimes": json.loads(dataset.definition.to_json()),
    }
    identity = json.dumps([dataset.symbol, key, made_by], sort_keys=True)
    return LoggedDataset(
        name=f"{model_name(dataset.symbol)} {key}",
        digest=hashlib.sha256(identity.encode()).hexdigest()[:8],
        source_type="local",
        source=json.dumps({"uri": dataset.source}),
        profile=json.dumps(made_by),
    )


def _attach_tables(run: Run, dataset: Dataset, done: TrainingResult) -> None:
    import pandas as pd

    series = pd.DataFrame(
        {
            "prediction": done.prediction,
            "target": dataset.target,
            "forward_return": dataset.forward_return,
            "net": done.net,
            "regime": [REGIMES[code].value if code >= 0 else None for code in dataset.regimes],
        },
        index=dataset.close_time.rename("close_time"),
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        series.dropna(subset="prediction").to_parquet(folder / "out_of_sample.parquet")
        if done.search is not None:
            _write_search(done.search, folder)
        run.artifacts(folder)


def _note(dataset: Dataset, done: TrainingResult, links: str = "") -> str:
    columns = ("regime", "rank IC", "hit rate", "net Sharpe", "max drawdown", "bars", "episodes")
    rows = [
        (
            f"**{key}**",
            *(
                plus_minus(estimate.value, estimate.error)
                for estimate in (j.rank_ic, j.hit_rate, j.net_sharpe, j.max_drawdown)
            ),
            j.bars,
            j.episodes,
        )
        for key, j in ((key, done.evidence[key]) for key in _ORDER)
    ]
    judged = done.evidence[ALL].net_sharpe
    # The UI's lists cut a description off after its first words.
    return (
        f"Net Sharpe {plus_minus(judged.value, judged.error)} of {done.symbol} {done.family}, "
        f"recipe `{done.recipe.id}`, {dataset.horizon} bars ahead on {dataset.timeframe} bars "
        f"until {dataset.close_time[-1]:%Y-%m-%d %H:%M} UTC. {links}\n\n"
        "Out of sample, after costs, ± one standard error:\n\n"
        f"{markdown_table(columns, rows)}"
    )


def _links(run: Run, symbol: str) -> str:
    """Where to go from a version; a champion has its explanation among its run's files."""
    file = partial(run_link, run.experiment_id, run.id)
    return (
        f"[Files]({file('')}), for a champion with its [importances]"
        f"({file(BEESWARM)}) and [drift]({file(DRIFT_REPORT)}) · "
        f"[{symbol} over the nights]({history_link(run.experiment_id, symbol)}) (group by the tag "
        "*family*)"
    )
