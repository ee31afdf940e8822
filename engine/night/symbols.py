"""The Engine's part of a night: train a symbol's families, and register them.

A symbol is a unit of work, see :mod:`brain.workers`: its data is in memory while it is in flight.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from brain.brief import Brief
from brain.costs import symbol_costs
from brain.errors import BrainError, LibraryError
from brain.lines import Line
from brain.logs import label, labelled
from brain.naming import Family, Fill, Product, Role, Tag, spot_exchange
from brain.records import Evidence, Version
from brain.scratch import scratch_folder
from brain.series.bars import Bars
from brain.series.source import bars_with, reads_store
from brain.settings import Settings
from brain.work import Failure, Progress, Tally
from brain.workers import Unit, outcomes, run_units
from engine.data.dataset import Dataset, make_dataset
from engine.data.market_series import MarketReader, no_market
from engine.evaluation.trading import ALL
from engine.evaluation.walk_forward import TrainingPlan
from engine.night.line_datasets import LineDatasets
from engine.night.logbook import log_search, log_training
from engine.night.recipe_choice import reusable_recipe
from engine.night.refits import due_lines, known_predictions
from engine.night.training import SearchResult, Task, TrainingResult, training_call, tuning_call
from registry.library import BrainLibrary
from registry.runs import Run

__all__ = [
    "SymbolData",
    "SymbolResult",
    "SymbolSearches",
    "read_symbol",
    "symbol_run",
    "train_families",
    "train_symbols",
    "tune_symbols",
]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class SymbolData(Brief):
    """What a symbol's models are trained on.

    Attributes:
        bars: the symbol's.
        dataset: made of them.
        lines: the datasets of other lines.
    """

    bars: Bars
    dataset: Dataset
    lines: LineDatasets


@dataclass(repr=False)
class SymbolResult(Brief):
    """A symbol's trainings.

    Attributes:
        dataset: the symbol's.
        run: the symbol's, a child of the night.
        trainings: the models by family, without their searches.
        versions: of the same models, as registered.
        others: models of lines with other features or another target, by the dataset of each; their
            failures are in this result's.
        young: ids of the lines whose versions are too young to be fitted anew.
        failures: of families.
    """

    dataset: Dataset
    run: Run
    trainings: dict[Family, TrainingResult] = field(default_factory=dict)
    versions: dict[Family, Version] = field(default_factory=dict)
    others: list[SymbolResult] = field(default_factory=list)
    young: tuple[str, ...] = ()
    failures: list[Failure] = field(default_factory=list)

    @property
    def parts(self) -> list[SymbolResult]:
        """This result, then the others."""
        return [self, *self.others]

    @property
    def all_trainings(self) -> list[TrainingResult]:
        """The models of all parts."""
        return [training for part in self.parts for training in part.trainings.values()]

    @property
    def all_versions(self) -> list[Version]:
        """The same as registered."""
        return [version for part in self.parts for version in part.versions.values()]

    @property
    def lines(self) -> list[str]:
        """The ids of the lines that are fitted, tonight or so recently that it need not be."""
        return [*(version.line for version in self.all_versions), *self.young]

    def evidence(self) -> list[tuple[Version, Evidence]]:
        """Each version with its evidence over all regimes."""
        return [(v, self.trainings[f].evidence[ALL]) for f, v in sorted(self.versions.items())]


@dataclass(repr=False)
class SymbolSearches(Brief):
    """A symbol's searches, and the failures of its other families."""

    searches: list[SearchResult] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def train_symbols(
    library: BrainLibrary,
    settings: Settings,
    bars: Mapping[str, Bars],
    night: Run,
    progress: Progress | None = None,
    *,
    market: MarketReader = no_market,
    moment: datetime | None = None,
) -> Iterator[SymbolResult | Failure]:
    """Train and register every family of every symbol, in child runs of the night.

    Whatever the setting ``refit`` says: that is for nights.

    Args:
        library: where the models are registered.
        settings: of the night.
        bars: by symbol.
        night: the parent run.
        progress: called after each model.
        market: reads funding and open interest; without it there are no such features.
        moment: of the job; now if None.

    Yields:
        The result of each symbol that has a dataset, as it is done, and a failure of each other;
        one symbol's failure does not stop the others.

    Raises:
        LibraryError: the tracking server or the artifact store fails; then nothing can go on.
    """
    settings = settings.model_copy(update={"refit": None})
    tally = Tally(progress, len(bars) * len(settings.families))
    begun = moment or datetime.now(UTC)

    def unit(symbol: str) -> Unit[SymbolResult | Failure]:
        label(symbol=symbol)
        data = read_symbol(settings, symbol, bars, market, tally)
        if isinstance(data, Failure):
            return data
        with symbol_run(night, data) as run:
            return (yield from train_families(library, settings, data.dataset, run, tally, begun))

    yield from run_units(map(unit, bars), jobs=settings.jobs)


def tune_symbols(
    library: BrainLibrary,
    settings: Settings,
    bars: Mapping[str, Bars],
    night: Run,
    progress: Progress | None = None,
    *,
    market: MarketReader = no_market,
) -> Iterator[SymbolSearches]:
    """Search every family's hyperparameters for every symbol, and store the recipes.

    The next night refits them. Arguments and errors are those of :func:`train_symbols`; failures
    are among the searches.
    """
    tally = Tally(progress, len(bars) * len(settings.families))

    def unit(symbol: str) -> Unit[SymbolSearches]:
        label(symbol=symbol)
        data = read_symbol(settings, symbol, bars, market, tally)
        if isinstance(data, Failure):
            return SymbolSearches(failures=[data])
        return (yield from _tune_families(library, settings, data.dataset, night, tally))

    yield from run_units(map(unit, bars), jobs=settings.jobs)


def read_symbol(
    settings: Settings, symbol: str, bars: Mapping[str, Bars], market: MarketReader, tally: Tally
) -> SymbolData | Failure:
    """Read a symbol's bars and make its dataset, before any run, so that bad bars get none.

    Args:
        settings: of the training.
        symbol: whose.
        bars: by symbol.
        market: reads funding and open interest.
        tally: of the families, which a symbol without a dataset hasn't got.

    Raises:
        LibraryError: the series store can't be read.
    """

    def make(of: Bars, fill: Fill | None) -> Dataset:
        return make_dataset(
            of,
            horizon=settings.bars_ahead,
            market=market(symbol),
            fill=fill,
            funding_exchange=_funding_exchange(settings),
        )

    def make_other(own: Sequence[str], fill: Fill) -> Dataset:
        return make(bars_with(bars, symbol, own), fill)

    try:
        symbol_bars = bars[symbol]
        dataset = make(symbol_bars, settings.fill)
        _plan(settings, symbol).walk(len(dataset), dataset.reach)
    except LibraryError:
        raise
    except BrainError as error:
        tally.expect(-len(settings.families))
        return Failure(symbol, error, symbol=symbol)
    if symbol_bars.unused:
        logger.warning(
            "%s: columns left out: %s; the setting columns makes features of those it names",
            symbol, ", ".join(symbol_bars.unused),
        )  # fmt: skip
    return SymbolData(symbol_bars, dataset, LineDatasets(dataset, make_other))


def symbol_run(night: Run, data: SymbolData) -> Run:
    """A new child of the night's run, for the symbol's families."""
    bars, dataset = data.bars, data.dataset
    tags: dict[str, str] = {
        Tag.ROLE: Role.SYMBOL,
        **dataset.key.tags,
        Tag.CALENDAR: dataset.calendar,
        Tag.TRAINED_UNTIL: dataset.trained_until,
        Tag.BARS: bars.digest,
    }
    repairs = "".join(f"\n- {repair}" for repair in bars.repairs) or " none"
    own = f" Own columns: {', '.join(bars.own)}." if bars.own else ""
    unused = f" Columns left out: {', '.join(bars.unused)}." if bars.unused else ""
    listed = bars.findings.listed(pd.DatetimeIndex(bars.frame.index))
    findings = "".join(f"\n- {finding}" for finding in listed) or " nothing"
    note = (
        f"{len(dataset)} {bars.timeframe} bars of {bars.symbol}, {bars.calendar}.{own}{unused} "
        f"Repairs:{repairs}\n\nTo mistrust:{findings}"
    )
    return night.child(f"{dataset.symbol} {night.day}", tags=tags, note=note)


def train_families(
    library: BrainLibrary,
    settings: Settings,
    dataset: Dataset,
    run: Run,
    tally: Tally,
    moment: datetime,
    others: Mapping[Line, Dataset] | None = None,
) -> Unit[SymbolResult]:
    """A unit that trains and registers a symbol's families in child runs of the symbol's.

    Arguments are those of :func:`train_symbols`; the versions are made at the job's moment.

    Args:
        others: lines of other features or another target that are to be refitted too, if their
            families are trained tonight, each with its dataset.
    """
    result = SymbolResult(dataset, run)
    plan, refits = _plan(settings, dataset.symbol), settings.refit is not None
    lines = {dataset.line(family): dataset for family in settings.families}
    lines |= {k: data for k, data in (others or {}).items() if k.family in settings.families}
    models = due_lines(library, lines, moment, settings.refit_age)
    parts = {(dataset.feature_set, dataset.target_name): result}
    for line, data in models.items():
        parts.setdefault((line.feature_set, line.target), SymbolResult(data, run))
    result.others = list(parts.values())[1:]
    result.young = tuple(line.id for line in lines if line not in models)
    tally.expect(len(models) - len(settings.families))

    def register(outcome: TrainingResult | Failure) -> None:
        if isinstance(outcome, Failure):
            result.failures.append(outcome)
            run.fail()
        else:
            part = parts[outcome.recipe.feature_set, outcome.recipe.target]
            with labelled(family=outcome.family):
                version = log_training(
                    library, run, part.dataset, outcome, moment,
                    current=part is result, goes_on=refits,
                )  # fmt: skip
                logger.info("registered %s", version.id)
            part.versions[outcome.family] = version
            # The trials are stored by now, and large.
            part.trainings[outcome.family] = replace(outcome, search=None)
        tally.add(outcome)

    with scratch_folder() as scratch:
        tasks = []
        for number, (line, data) in enumerate(models.items()):
            retune = settings.retune and data is dataset
            recipe = None if retune else reusable_recipe(library, data, line.family, plan)
            known = known_predictions(library, data, recipe) if recipe and refits else None
            tasks.append(Task(data, line.family, recipe, plan, scratch / str(number), known))
        yield from outcomes([training_call(task) for task in tasks], register)
    return result


def _tune_families(
    library: BrainLibrary, settings: Settings, dataset: Dataset, night: Run, tally: Tally
) -> Unit[SymbolSearches]:
    result = SymbolSearches()

    def store(outcome: SearchResult | Failure) -> None:
        if isinstance(outcome, Failure):
            result.failures.append(outcome)
        else:
            log_search(library, night, dataset, outcome)
            result.searches.append(outcome.without_predictions())
        tally.add(outcome)

    plan = _plan(settings, dataset.symbol)
    tasks = [Task(dataset, family, None, plan, Path()) for family in settings.families]
    yield from outcomes([tuning_call(task) for task in tasks], store)
    return result


def _product(settings: Settings) -> Product:
    """The setting; without one, stored candles are of their market, and files are spot."""
    if settings.product is not None:
        return settings.product
    perpetual = reads_store(settings) and not spot_exchange(settings.exchanges[0])
    return Product.PERPETUAL if perpetual else Product.SPOT


def _funding_exchange(settings: Settings) -> str | None:
    """The exchange whose funding positions pay; None if they pay none."""
    if _product(settings) is Product.SPOT:
        return None
    return settings.exchanges[0] if settings.exchanges else "unknown"


def _plan(settings: Settings, symbol: str) -> TrainingPlan:
    exchange = settings.exchanges[0] if settings.exchanges else ""
    exchange = spot_exchange(exchange) or exchange  # whose fees are paid
    return TrainingPlan(
        folds=settings.folds,
        first_test=settings.first_test,
        embargo=settings.embargo,
        trials=settings.trials,
        costs=symbol_costs(
            symbol,
            exchange or None,
            _product(settings),
            settings.liquidity,
            cost=settings.cost_bps,
            fee=settings.fee_bps,
            half_spread=settings.half_spread_bps,
            impact=settings.impact_bps,
        ),
        threshold=settings.threshold,
        seed=settings.seed,
        seeds=settings.seeds,
    )
