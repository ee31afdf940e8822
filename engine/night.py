"""The Engine's part of a night: train every symbol's families, register them, name champions."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from engine.datasets import Dataset, make_dataset
from engine.features import FEATURE_SET
from engine.judging import paired_difference
from engine.logbook import log_trained, log_tuned
from engine.packaging import regime_document
from engine.recipes import Recipe
from engine.training import Failure, Task, Trained, Tuned, run_all, train, tune
from engine.validation import Plan
from registry.bars import Bars
from registry.champions import CellRecord, Choice, Difference, provisional_choice
from registry.confidence import confidence
from registry.descriptions import run_link
from registry.errors import BrainError
from registry.library import BrainLibrary, Champion, Version
from registry.naming import PRIOR, REGIMES, Family, Regime, Tag, model_id, model_name
from registry.runs import Run
from registry.settings import Settings

__all__ = [
    "Cell",
    "Progress",
    "SymbolResult",
    "choose_champions",
    "chosen_models",
    "name_champions",
    "train_symbols",
    "tune_symbols",
]

logger = logging.getLogger(__name__)

#: Called as each piece of work is done, with how many are and how many there will be.
Progress = Callable[[Trained | Tuned | Failure, int, int], None]


@dataclass
class SymbolResult:
    """What the night made of one symbol."""

    dataset: Dataset
    run: Run
    trained: dict[Family, Trained] = field(default_factory=dict)
    versions: dict[Family, Version] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """What was chosen for one regime of a symbol.

    Attributes:
        version: the champion's.
        record: what will be written of it; None if the champion of the night before stays.
        challenger: the challenger's version, None if there is none.
    """

    regime: Regime
    version: int
    record: CellRecord | None
    challenger: int | None


def chosen_models(result: SymbolResult, cells: Sequence[Cell]) -> list[str]:
    """The model ids of the chosen champions, each once."""
    name = model_name(result.dataset.symbol)
    return [model_id(name, version) for version in sorted({cell.version for cell in cells})]


def train_symbols(
    library: BrainLibrary,
    settings: Settings,
    series: Mapping[str, Bars],
    night: Run,
    progress: Progress | None = None,
) -> tuple[list[SymbolResult], list[Failure]]:
    """Train and register every family of every symbol, in child runs of the night.

    Args:
        series: bars by symbol.
        night: the parent run.
        progress: called as each model is done, with how many are and how many there will be.

    Returns:
        The symbols that have a dataset, with what was trained and registered, and the failures;
        one symbol's failure does not stop the others.

    Raises:
        LibraryError: the tracking server or the artifact store fails; then nothing can go on.
    """
    datasets, failures = _datasets(settings, series)
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
        for done, outcome in enumerate(run_all(train, tasks, jobs=settings.jobs), start=1):
            if isinstance(outcome, Failure):
                failures.append(outcome)
                results[outcome.symbol].run.fail()
            else:
                _register(library, results[outcome.symbol], outcome)
            if progress:
                progress(outcome, done, len(tasks))
    return list(results.values()), failures


def tune_symbols(
    library: BrainLibrary,
    settings: Settings,
    series: Mapping[str, Bars],
    night: Run,
    progress: Progress | None = None,
) -> tuple[list[Tuned], list[Failure]]:
    """Search every family's hyperparameters for every symbol, and store the recipes.

    The next night refits what was found here. Arguments, failures and errors are those of
    :func:`train_symbols`.
    """
    datasets, failures = _datasets(settings, series)
    found: list[Tuned] = []
    tasks = [
        Task(dataset, family, None, _plan(settings), Path())
        for dataset in datasets.values()
        for family in settings.families
    ]
    for done, outcome in enumerate(run_all(tune, tasks, jobs=settings.jobs), start=1):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            log_tuned(library, night, datasets[outcome.symbol], outcome)
            found.append(outcome)
        if progress:
            progress(outcome, done, len(tasks))
    return found, failures


def choose_champions(library: BrainLibrary, result: SymbolResult) -> list[Cell]:
    """Choose the symbol's champion and challenger of each regime, by the provisional rule.

    A cell keeps its champion if the prior's family has no new version tonight. Nothing is written.
    """
    if not result.versions:
        return []
    standing: dict[Regime, int] = {}
    # Every symbol's records are read for it, so only if a cell may keep its champion.
    if not set(PRIOR.values()) <= set(result.versions):
        symbol = result.dataset.symbol
        standing = {c.regime: c.version for c in library.champions() if c.symbol == symbol}
    cells = []
    for code, regime in enumerate(REGIMES):
        if PRIOR[regime] not in result.versions and regime in standing:
            cells.append(Cell(regime, standing[regime], None, None))
            continue
        differences = _differences(result, code, PRIOR[regime])
        choice = provisional_choice(regime, list(result.versions), differences)
        record = _record(result, regime, choice)
        challenger = result.versions[choice.challenger].number if choice.challenger else None
        cells.append(Cell(regime, record.version, record, challenger))
    return cells


def name_champions(
    library: BrainLibrary, result: SymbolResult, cells: Sequence[Cell]
) -> list[Champion]:
    """Move the symbol's aliases to what was chosen, and describe its champions."""
    symbol = result.dataset.symbol
    for cell in cells:
        if cell.record is not None:
            library.set_champion(symbol, cell.regime, cell.record, cell.challenger)
    if cells:
        library.describe(
            symbol,
            {
                v.number: run_link(result.run.experiment_id, v.run_id)
                for v in result.versions.values()
            },
        )
    return [library.champion(symbol, cell.regime) for cell in cells]


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
    settings: Settings, series: Mapping[str, Bars]
) -> tuple[dict[str, Dataset], list[Failure]]:
    """Datasets first, so that bad bars are known before a run is opened for them."""
    datasets: dict[str, Dataset] = {}
    failures: list[Failure] = []
    for symbol, bars in series.items():
        try:
            dataset = make_dataset(bars, horizon=settings.horizon)
            _plan(settings).walk(len(dataset), dataset.horizon)
        except BrainError as error:
            failures.append(Failure(symbol, None, error))
        else:
            datasets[symbol] = dataset
    return datasets, failures


def _symbol_run(night: Run, bars: Bars, dataset: Dataset) -> Run:
    tags: dict[str, str] = {
        Tag.KIND: "symbol",
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
    return Task(
        dataset=dataset,
        family=family,
        recipe=None if settings.retune else _stored_recipe(library, settings, dataset, family),
        plan=_plan(settings),
        folder=scratch / model_name(dataset.symbol) / family,
    )


def _stored_recipe(
    library: BrainLibrary, settings: Settings, dataset: Dataset, family: Family
) -> Recipe | None:
    """The family's recipe, if it fits what is asked and saw nothing that will be judged.

    Its search saw labels too, which look ahead: so nothing beyond the first training fold, whose
    end is purged and embargoed.
    """
    text = library.recipe(dataset.symbol, family)
    if text is None:
        return None
    first_fold = _plan(settings).walk(len(dataset), dataset.horizon)[0]
    last_seen = dataset.close_time[first_fold.train_end - 1]
    try:
        recipe = Recipe.from_json(text)
        fits = (
            recipe.feature_set == FEATURE_SET
            and recipe.horizon == dataset.horizon
            and recipe.seed == settings.seed
            and datetime.fromisoformat(recipe.tuned_until) <= last_seen
        )
        why = f"recipe {recipe.id} does not fit tonight's settings"
    except (ValueError, TypeError) as error:  # InputError is a ValueError
        fits, why = False, str(error)
    if not fits:
        logger.warning("%s %s: %s; searching again", dataset.symbol, family, why)
    return recipe if fits else None


def _register(library: BrainLibrary, result: SymbolResult, trained: Trained) -> None:
    version = log_trained(library, result.run, result.dataset, trained)
    result.versions[trained.family] = version
    # The files are stored by now and the scratch folder goes.
    result.trained[trained.family] = replace(trained, search=None)


def _differences(result: SymbolResult, code: int, prior: Family) -> dict[Family, Difference]:
    if prior not in result.trained:
        return {}
    rows = result.dataset.regimes == code
    differences = {}
    for family, trained in result.trained.items():
        if family != prior:
            found = paired_difference(
                trained.net, result.trained[prior].net, rows, result.dataset.horizon
            )
            differences[family] = Difference(found.value, found.error)
    return differences


def _record(result: SymbolResult, regime: Regime, choice: Choice) -> CellRecord:
    family = choice.champion
    version, trained = result.versions[family], result.trained[family]
    judgement = trained.judgements[regime]
    sharpe = judgement.net_sharpe
    believed = confidence(sharpe.value, sharpe.error, judgement.bars, judgement.episodes)
    return CellRecord(
        version=version.number,
        digest=version.digest,
        family=family,
        recipe=version.recipe,
        trained_until=version.trained_until,
        provisional=True,
        reason=choice.reason,
        by_evidence=choice.by_evidence,
        bars=judgement.bars,
        episodes=judgement.episodes,
        net_sharpe=sharpe.value,
        net_sharpe_error=sharpe.error,
        confidence=believed.probability,
        decided=datetime.now(UTC).isoformat(timespec="seconds"),
        regimes=regime_document(result.dataset),
    )
