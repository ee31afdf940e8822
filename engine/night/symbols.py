"""The Engine's part of a night: train every symbol's families, and register them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from brain.errors import BrainError
from brain.naming import Family, Role, Tag, model_name
from brain.records import Version
from brain.series.bars import Bars
from brain.settings import Settings
from brain.work import Failure, Progress
from engine.data.dataset import Dataset, make_dataset
from engine.data.market_series import MarketSeries
from engine.evaluation.walk_forward import Plan
from engine.night.logbook import log_trained, log_tuned
from engine.night.recipe_choice import stored_recipe
from engine.night.training import (
    Done,
    SearchResult,
    Task,
    TrainingResult,
    run_all,
    train,
    tune,
)
from registry.library import BrainLibrary
from registry.runs import Run

__all__ = ["SymbolResult", "train_symbols", "tune_symbols"]


@dataclass
class SymbolResult:
    """What the night made of one symbol."""

    dataset: Dataset
    run: Run
    trained: dict[Family, TrainingResult] = field(default_factory=dict)
    versions: dict[Family, Version] = field(default_factory=dict)


def train_symbols(
    library: BrainLibrary,
    settings: Settings,
    series: Mapping[str, Bars],
    night: Run,
    progress: Progress | None = None,
    *,
    market: Mapping[str, MarketSeries] | None = None,
) -> tuple[list[SymbolResult], list[Failure]]:
    """Train and register every family of every symbol, in child runs of the night.

    Args:
        series: bars by symbol.
        night: the parent run.
        progress: called as each model is done, with how many are and how many there will be.
        market: funding and open interest by symbol; a symbol that it lacks has no such features.

    Returns:
        The symbols that have a dataset, with what was trained and registered, and the failures;
        one symbol's failure does not stop the others.

    Raises:
        LibraryError: the tracking server or the artifact store fails; then nothing can go on.
    """
    datasets, failures = _datasets(settings, series, market)
    with ExitStack() as runs, tempfile.TemporaryDirectory(prefix="brain-") as scratch:
        results = {
            symbol: SymbolResult(
                dataset, runs.enter_context(_symbol_run(night, series[symbol], dataset))
            )
            for symbol, dataset in datasets.items()
        }
        tasks = [
            _task(library, settings, dataset, family, Path(scratch))
            for dataset in datasets.values()
            for family in settings.families
        ]
        for outcome in _told(run_all(train, tasks, jobs=settings.jobs), len(tasks), progress):
            if isinstance(outcome, Failure):
                failures.append(outcome)
                results[outcome.symbol].run.fail()
            else:
                _register(library, results[outcome.symbol], outcome)
    return list(results.values()), failures


def tune_symbols(
    library: BrainLibrary,
    settings: Settings,
    series: Mapping[str, Bars],
    night: Run,
    progress: Progress | None = None,
    *,
    market: Mapping[str, MarketSeries] | None = None,
) -> tuple[list[SearchResult], list[Failure]]:
    """Search every family's hyperparameters for every symbol, and store the recipes.

    The next night refits what was found here. Arguments, failures and errors are those of
    :func:`train_symbols`.
    """
    datasets, failures = _datasets(settings, series, market)
    found: list[SearchResult] = []
    tasks = [
        Task(dataset, family, None, _plan(settings), Path())
        for dataset in datasets.values()
        for family in settings.families
    ]
    for outcome in _told(run_all(tune, tasks, jobs=settings.jobs), len(tasks), progress):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            log_tuned(library, night, datasets[outcome.symbol], outcome)
            found.append(outcome)
    return found, failures


def _told(
    outcomes: Iterator[Done | Failure], count: int, progress: Progress | None
) -> Iterator[Done | Failure]:
    """Each outcome, and what is done with it; then progress is told."""
    for done, outcome in enumerate(outcomes, start=1):
        yield outcome
        if progress:
            progress(outcome, done, count)


def _plan(settings: Settings) -> Plan:
    return Plan(
        folds=settings.folds,
        first_test=settings.first_test,
        embargo=settings.embargo,
        trials=settings.trials,
        cost=settings.cost_bps / 10_000,
        seed=settings.seed,
    )


def _datasets(
    settings: Settings, series: Mapping[str, Bars], market: Mapping[str, MarketSeries] | None
) -> tuple[dict[str, Dataset], list[Failure]]:
    """Datasets first, so that bad bars are known before a run is opened for them."""
    datasets: dict[str, Dataset] = {}
    failures: list[Failure] = []
    for symbol, bars in series.items():
        try:
            known = market.get(symbol) if market else None
            dataset = make_dataset(bars, horizon=settings.horizon, market=known)
            _plan(settings).walk(len(dataset), dataset.horizon)
        except BrainError as error:
            failures.append(Failure(symbol, error, symbol=symbol))
        else:
            datasets[symbol] = dataset
    return datasets, failures


def _symbol_run(night: Run, bars: Bars, dataset: Dataset) -> Run:
    tags: dict[str, str] = {
        Tag.ROLE: Role.SYMBOL,
        Tag.SYMBOL: dataset.symbol,
        Tag.TIMEFRAME: dataset.timeframe,
        Tag.TRAINED_UNTIL: dataset.trained_until,
    }
    repairs = "".join(f"\n- {repair}" for repair in bars.repairs) or " none"
    note = f"{len(dataset)} {bars.timeframe} bars of {bars.symbol}. Repairs:{repairs}"
    return night.child(f"{dataset.symbol} {night.day}", tags=tags, note=note)


def _task(
    library: BrainLibrary,
    settings: Settings,
    dataset: Dataset,
    family: Family,
    scratch: Path,
) -> Task:
    plan = _plan(settings)
    return Task(
        dataset=dataset,
        family=family,
        recipe=None if settings.retune else stored_recipe(library, dataset, family, plan),
        plan=plan,
        folder=scratch / model_name(dataset.symbol) / family,
    )


def _register(library: BrainLibrary, result: SymbolResult, trained: TrainingResult) -> None:
    version = log_trained(library, result.run, result.dataset, trained)
    result.versions[trained.family] = version
    # The files are stored by now and the scratch folder goes.
    result.trained[trained.family] = replace(trained, search=None)
