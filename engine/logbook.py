"""What a trained model leaves on the tracking server: parameters, figures, files, a version."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from mlflow.entities import Dataset as LoggedDataset

from engine.datasets import Dataset
from engine.judging import ALL, Judgement
from engine.market_features import MARKET_FEATURES
from engine.recipes import Recipe
from engine.training import Trained, Tuned
from engine.tuning import Search
from registry.descriptions import history_link, markdown_table, plus_minus, run_link
from registry.library import BrainLibrary, Version
from registry.naming import REGIMES, Tag, model_name
from registry.runs import Figure, Run

__all__ = ["log_trained", "log_tuned"]

# The run's own figures come last, so that the key without a regime shows all bars.
_ORDER = (*REGIMES, ALL)
# The first metric is the one that the UI's comparison opens with.
_HEADLINE = "net_sharpe"


def log_trained(library: BrainLibrary, symbol_run: Run, dataset: Dataset, done: Trained) -> Version:
    """Write a grandchild run for the family, and register its model as the next version.

    The version appears when its files, parameters and tables are stored. Its figures, which need
    its id, follow at once; no alias points to it before :func:`engine.champions.name_champions`.

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
        tags={**tags, Tag.KIND: "family"},
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
            params=recipe.hyperparameters,
            note=_note(dataset, done, _links(run, done.symbol)),
        )
        run.figures([*_figures(done, datasets, version), *_missing(dataset)])
        run.tag({"model_id": version.id})
        library.set_recipe(done.symbol, done.family, recipe.to_json())
    return version


def log_tuned(library: BrainLibrary, night: Run, dataset: Dataset, done: Tuned) -> None:
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
        Tag.KIND: "search",
    }
    note = f"{len(trials)} trials on bars until {recipe.tuned_until}; the best is `{recipe.id}`."
    name = f"{done.symbol} {done.family} search {night.day}"
    with night.child(name, tags=tags, note=note) as run:
        recipe = replace(recipe, tuned_in=run.id)
        run.params(_params(dataset, recipe))
        with tempfile.TemporaryDirectory() as scratch:
            _write_search(done.search, Path(scratch))
            run.artifacts(Path(scratch))
        run.figures(
            Figure(f"trial/{key}", float(value))
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
        "label": recipe.label,
        "rows": len(dataset),
        "refit": recipe.refit,
        "seed": recipe.seed,
        "tuned_until": recipe.tuned_until,
        "bars_digest": dataset.digest[:16],
        **{f"hp.{key}": value for key, value in recipe.hyperparameters.items()},
    }


def _figures(
    done: Trained, datasets: dict[str, LoggedDataset], version: Version
) -> Iterator[Figure]:
    """Each regime's figures twice: with the model and its dataset, and by name for the run.

    The UI shows metrics in the order in which their keys first come.
    """
    for key in _ORDER:
        for name, value in _values(done.judgements[key]):
            yield Figure(name, value, version.logged_model_id, datasets[key])
    for regime in REGIMES:
        for name, value in _values(done.judgements[regime]):
            yield Figure(f"{regime}/{name}", value)
    yield from (Figure(f"seconds/{stage}", took) for stage, took in done.seconds.items())


def _missing(dataset: Dataset) -> Iterator[Figure]:
    """The shares missing among the rows that were learnt from: of each market feature, of all."""
    missing = np.isnan(dataset.features[~np.isnan(dataset.label)])
    for name, share in zip(dataset.names, missing.mean(axis=0), strict=True):
        if name in MARKET_FEATURES:
            yield Figure(f"missing/{name}", float(share))
    yield Figure("missing/all", float(missing.mean()))


def _values(judgement: Judgement) -> Iterator[tuple[str, float]]:
    """What is known; an unknown figure is left out rather than logged as something else."""
    figures = judgement.figures()
    for name in sorted(figures, key=lambda name: name != _HEADLINE):
        estimate = figures[name]
        for key, value in ((name, estimate.value), (f"{name}_error", estimate.error)):
            if math.isfinite(value):
                yield key, value
    yield "bars", float(judgement.bars)
    yield "episodes", float(judgement.episodes)


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


def _attach_tables(run: Run, dataset: Dataset, done: Trained) -> None:
    import pandas as pd

    series = pd.DataFrame(
        {
            "prediction": done.prediction,
            "label": dataset.label,
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


def _note(dataset: Dataset, done: Trained, links: str = "") -> str:
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
        for key, j in ((key, done.judgements[key]) for key in _ORDER)
    ]
    judged = done.judgements[ALL].net_sharpe
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
        f"({file('explanation/beeswarm.png')}) and [drift]({file('drift/evidently.html')}) · "
        f"[{symbol} over the nights]({history_link(run.experiment_id, symbol)}) (group by the tag "
        "*family*)"
    )
