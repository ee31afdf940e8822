"""A symbol's night as one unit of work: train, register, analyse, name its champions.

It needs nothing of the other symbols, and no decision but those made before the night began. So a
night that is stopped leaves the symbols that are done with their champions, and the start that
continues it takes these over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from analysis.certificates import log_certificates
from analysis.documents import night_document
from analysis.nightly import NightlyFeatureAnalysis
from analysis.scope import data_with
from analysis.tables import model_lines
from analysis.tasks import pieces
from brain.artifacts import SUMMARY
from brain.brief import Brief
from brain.errors import ArtifactStoreError, BrainError, LibraryError, ModelIntegrityError
from brain.logs import label
from brain.model_keys import ModelKey
from brain.standing import Standing
from brain.stopwatch import Stopwatch
from brain.work import Failure, Progress, Tally
from brain.workers import Unit, run_units
from engine.data.market_series import open_markets
from engine.night.cell_records import LineVersions
from engine.night.champions import champion_models, choose_champions, name_champions
from engine.night.evidence import append_backtests
from engine.night.promotion import Promotion
from engine.night.shadows import shadow_lines
from engine.night.symbols import SymbolData, SymbolResult, read_symbol, symbol_run, train_families

if TYPE_CHECKING:
    from analysis.drift import DriftAnalysis
    from brain.records import Version
    from brain.series.bars import Bars
    from brain.settings import Settings
    from engine.data.dataset import Dataset
    from engine.data.market_series import MarketReader
    from registry.library import BrainLibrary
    from registry.nights import CompleteSymbol, StoppedNight
    from registry.runs import Run

__all__ = ["Night", "SymbolNight"]

logger = logging.getLogger(__name__)


@dataclass(repr=False)
class SymbolNight(Brief):
    """A symbol's part of a night.

    Attributes:
        symbol: of the part.
        champions: of its cells.
        document: its part of the night's summary; empty if it has no dataset.
        lines: its lines of the table of explained models; none if an earlier start explained them.
        serving: by the id of each line, the version that its champions are.
        young: whether it has versions that are too young to be fitted anew.
        failures: of the symbol, its families and its analysis.
        stopwatch: of its stages.
    """

    symbol: str
    champions: list[Standing] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    lines: list[tuple[str, ...]] = field(default_factory=list)
    serving: dict[str, Version] = field(default_factory=dict)
    young: bool = False
    failures: list[Failure] = field(default_factory=list)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)


class Night:
    """The symbols of a night.

    Args:
        library: where models are registered and champions named.
        settings: of the night.
        bars: by symbol, each read when its unit begins.
        run: the night's.
        stopped: the night that this one continues, if any.
        moment: of the job; now if None.
        market: reads funding and open interest; from the library's series store if None.

    Attributes:
        promotion: what the night's policy says of the cells.
    """

    def __init__(
        self,
        library: BrainLibrary,
        settings: Settings,
        bars: Mapping[str, Bars],
        run: Run,
        stopped: StoppedNight | None = None,
        moment: datetime | None = None,
        market: MarketReader | None = None,
    ) -> None:
        self._library = library
        self._settings = settings
        self._bars = bars
        self._run = run
        self._moment = moment or datetime.now(UTC)
        self._complete = dict(stopped.symbols) if stopped else {}
        self._market = market or open_markets(library, settings)
        self._analysis = NightlyFeatureAnalysis(library, settings, self._market)
        self.promotion = Promotion(library, settings, self._moment, continued=stopped is not None)

    def symbols(self, training: Progress, explaining: Progress) -> Iterator[SymbolNight]:
        """Each symbol's part as it is done, see :func:`brain.workers.run_units`.

        Args:
            training: called after each family.
            explaining: called after each explanation, profit and comparison of data.

        Raises:
            LibraryError: the tracking server or the artifact store fails; then nothing can go on.
        """
        families = len(self._settings.families)
        trained = Tally(training, len(self._bars) * families)
        # As many champions as families, until a symbol's champions are chosen.
        explained = Tally(explaining, len(self._bars) * pieces(families))
        units = (self._unit(symbol, trained, explained) for symbol in self._bars)
        yield from run_units(units, jobs=self._settings.jobs)

    def _unit(self, symbol: str, trained: Tally, explained: Tally) -> Unit[SymbolNight]:
        label(symbol=symbol)
        families = len(self._settings.families)
        complete = self._complete.get(symbol)
        bars = None if complete is None else self._bars_of(complete, symbol)
        if complete is not None and bars is not None:
            trained.expect(-families)
            explained.expect(-pieces(families))
            return self._former_part(bars, complete)
        part = SymbolNight(symbol)
        with part.stopwatch.stage("train and register"):
            data = read_symbol(self._settings, symbol, self._bars, self._market, trained)
        if isinstance(data, Failure):
            explained.expect(-pieces(families))
            part.failures.append(data)
            return part
        yield from self._work(part, data, trained, explained)
        return part

    def _work(
        self, part: SymbolNight, data: SymbolData, trained: Tally, explained: Tally
    ) -> Unit[None]:
        """All that is done in the symbol's run, the last of it to note that it is complete."""
        library, settings, dataset = self._library, self._settings, data.dataset
        with symbol_run(self._run, data) as run:
            with part.stopwatch.stage("shadow"):
                others = data.lines.others(self.promotion.champion_lines(dataset.key))
                filled = {line: data.lines.filled_tonight(line) for line in others}
                part.failures += yield from shadow_lines(library, dataset, filled)
            with part.stopwatch.stage("train and register"):
                result = yield from train_families(
                    library, settings, dataset, run, trained, self._moment, others
                )
                append_backtests(library.series, dataset, result.all_trainings)
                of_lines = LineVersions(library, result)
                choices = choose_champions(library, result, self.promotion, of_lines)
            # What no fit of tonight could have changed was explained before.
            models = champion_models(choices) if result.all_versions else []
            explained.expect(pieces(len(models)) - pieces(len(settings.families)))
            with part.stopwatch.stage("analyse"):
                analysis = yield from self._analysis.analyse_models(
                    part.symbol, models, partial(self._data, dataset), self._run, explained
                )
            with part.stopwatch.stage("name champions"):
                part.failures += analysis.failures
                part.champions = name_champions(
                    library, result, choices, self.promotion,
                    damaged=_damaged(part.failures), drift=_drifted(analysis.drifts),
                )  # fmt: skip
                part.serving, part.young = self._serving(result, of_lines), bool(result.young)
            with part.stopwatch.stage("certify"):
                certificates, failures = log_certificates(
                    library, self._run, data, result, part.champions, analysis, self.promotion
                )
                part.failures += failures
            part.failures += result.failures
            part.lines = model_lines(analysis.models)
            versions = result.all_versions
            self.promotion.done(dataset.key, dataset.close_time, result.lines)
            part.document = night_document(
                part.champions,
                versions,
                analysis,
                part.failures,
                part.stopwatch.seconds,
                certificates,
            )
            if not result.failures:
                run.document(part.document, SUMMARY)
                run.complete()

    def _serving(self, result: SymbolResult, versions: LineVersions) -> dict[str, Version]:
        champions = self.promotion.champion_lines(result.dataset.key)
        named = {
            line: versions.version(line) for line in (*result.lines, *(c.id for c in champions))
        }
        return {line: version for line, version in named.items() if version is not None}

    def _data(self, dataset: Dataset, columns: Sequence[str]) -> Dataset | Bars:
        """Tonight's dataset, or for a champion of an earlier night bars with its own columns."""
        if set(columns) <= set(dataset.own):
            return dataset
        return data_with(self._bars, dataset.symbol, columns)

    def _bars_of(self, complete: CompleteSymbol, symbol: str) -> Bars | None:
        """Tonight's bars if they begin with those of the complete part."""
        import pandas as pd

        try:
            bars = self._bars[symbol].until(pd.Timestamp(complete.trained_until))
        except LibraryError:
            raise
        except BrainError:
            return None
        if bars.digest == complete.bars:
            return bars
        logger.warning("%s has other bars than when it was done, and is done again", symbol)
        return None

    def _former_part(self, bars: Bars, complete: CompleteSymbol) -> SymbolNight:
        document = self._library.document(complete.run_id, SUMMARY)
        key = ModelKey(bars.symbol, bars.timeframe, self._settings.bars_ahead)
        trained = {version["model_id"] for version in document["versions"]}
        lines = [version["line"] for version in document["versions"] if version.get("line")]
        self.promotion.done(key, bars.close_time, lines)
        champions = self._library.champions(key) if document["champions"] else []
        return SymbolNight(
            key.symbol,
            champions=[Standing(c, self._run.day, c.model_id in trained) for c in champions],
            document=document,
            failures=[
                Failure(what, BrainError(error), symbol=key.symbol)
                for what, error in document["failures"].items()
            ],
            stopwatch=Stopwatch(document["seconds"]),
        )


def _drifted(drifts: Sequence[DriftAnalysis]) -> float | None:
    """The largest share of the features that drifted; None where none can be judged."""
    shares = [len(drift.drifted) / drift.comparable for drift in drifts if drift.comparable]
    return max(shares, default=None)


def _damaged(failures: Sequence[Failure]) -> set[str]:
    """The model ids of versions whose files are missing or not as registered."""
    faults = (ArtifactStoreError, ModelIntegrityError)
    return {failure.subject for failure in failures if isinstance(failure.error, faults)}
