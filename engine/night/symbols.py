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
from engine.evaluation.walk_forward import TrainingPlan
from engine.night.logbook import log_search, log_training
from engine.night.recipe_choice import reusable_recipe
from engine.night.training import (
    Result,
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
    """A symbol's part of a night.

    Attributes:
        dataset: the symbol's.
        run: the symbol's, a child of the night.
        trainings: the models by family, without their searches.
        versions: of the same models, as registered.
    """

    dataset: Dataset
    run: Run
    trainings: dict[Family, TrainingResult] = field(default_factory=dict)
    versions: dict[Family, Version] = field(default_factory=dict)


def train_symbols(
    library: BrainLibrary,
    settings: Settings,
    bars: Mapping[str, Bars],
    night: Run,
    progress: Progress | None = None,
    *,
    markets: Mapping[str, MarketSeries] | None = None,
) -> tuple[list[SymbolResult], list[Failure]]:
    """Train and register every family of every symbol, in child runs of the night.

    Args:
        library: where the models are registered.
        settings: of the night.
        bars: by symbol.
        night: the parent run.
        progress: called after each model.
        markets: funding and open interest by symbol; other symbols have no such features.

    Returns:
        The results of the symbols that have a dataset, and the failures; one symbol's failure does
        not stop the others.

    Raises:
        LibraryError: the tracking server or the artifact store fails; then nothing can go on.
    """
    datasets, failures = _datasets(settings, bars, markets)
    with ExitStack() as runs, tempfile.TemporaryDirectory(prefix="brain-") as scratch:
        results = {
            symbol: SymbolResult(
                dataset, runs.enter_context(_symbol_run(night, bars[symbol], dataset))
            )
            for symbol, dataset in datasets.items()
        }
        tasks = [
            _task(library, settings, dataset, family, Path(scratch))
            for dataset in datasets.values()
            for family in settings.families
        ]
        outcomes = run_all(train, tasks, jobs=settings.jobs)
        for outcome in _with_progress(outcomes, len(tasks), progress):
            if isinstance(outcome, Failure):
                failures.append(outcome)
                results[outcome.symbol].run.fail()
            else:
                _register(library, results[outcome.symbol], outcome)
    return list(results.values()), failures


def tune_symbols(
    library: BrainLibrary,
    settings: Settings,
    bars: Mapping[str, Bars],
    night: Run,
    progress: Progress | None = None,
    *,
    markets: Mapping[str, MarketSeries] | None = None,
) -> tuple[list[SearchResult], list[Failure]]:
    """Search every family's hyperparameters for every symbol, and store the recipes.

    The next night refits them. Arguments, failures and errors are those of :func:`train_symbols`.
    """
    datasets, failures = _datasets(settings, bars, markets)
    searches: list[SearchResult] = []
    tasks = [
        Task(dataset, family, None, _plan(settings), Path())
        for dataset in datasets.values()
        for family in settings.families
    ]
    outcomes = run_all(tune, tasks, jobs=settings.jobs)
    for outcome in _with_progress(outcomes, len(tasks), progress):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            log_search(library, night, datasets[outcome.symbol], outcome)
            searches.append(outcome)
    return searches, failures


def _with_progress(
    outcomes: Iterator[Result | Failure], count: int, progress: Progress | None
) -> Iterator[Result | Failure]:
    """Each outcome; progress is called after the caller's work on it."""
    for done, outcome in enumerate(outcomes, start=1):
        yield outcome
        if progress:
            progress(outcome, done, count)


def _plan(settings: Settings) -> TrainingPlan:
    return TrainingPlan(
        folds=settings.folds,
        first_test=settings.first_test,
        embargo=settings.embargo,
        trials=settings.trials,
        cost=settings.cost_bps / 10_000,
        seed=settings.seed,
    )


def _datasets(
    settings: Settings, bars: Mapping[str, Bars], markets: Mapping[str, MarketSeries] | None
) -> tuple[dict[str, Dataset], list[Failure]]:
    """The symbols' datasets, before any run, so that bad bars get none; and the failures."""
    datasets: dict[str, Dataset] = {}
    failures: list[Failure] = []
    for symbol in bars:
        try:
            market = markets.get(symbol) if markets else None
            dataset = make_dataset(bars[symbol], horizon=settings.horizon, market=market)
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
        recipe=None if settings.retune else reusable_recipe(library, dataset, family, plan),
        plan=plan,
        folder=scratch / model_name(dataset.symbol) / family,
    )


def _register(library: BrainLibrary, result: SymbolResult, training: TrainingResult) -> None:
    version = log_training(library, result.run, result.dataset, training)
    result.versions[training.family] = version
    # The trials are stored by now, and large.
    result.trainings[training.family] = replace(training, search=None)
