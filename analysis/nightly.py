"""The Mechanic's analysis as a service, and as one call."""

from __future__ import annotations

import datetime as dt
import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.drift_report import DriftResult, DriftTask
from analysis.explanation import Explanation
from analysis.model_files import explain_task
from analysis.rankings import Rankings, parse_date
from analysis.results import Method, NightlyAnalysis, Stage, parse_method
from analysis.scope import choose_data, choose_versions, or_failure
from analysis.storage import SymbolWork, store
from analysis.trends import FeatureShifts, FeatureTrends, shifts, trends
from analysis.workers import Task, analyse_all
from brain.errors import AnalysisError, InputError
from brain.naming import Role, Tag, model_name, parse_symbol
from brain.series.source import read_bars
from brain.work import Failure, Progress
from engine.data.dataset import Dataset
from engine.data.market_series import read_all_market_series
from registry.library import BrainLibrary

if TYPE_CHECKING:
    from brain.records import Version
    from brain.series.bars import Bars
    from brain.series.files import BarSet
    from brain.settings import Settings
    from engine.data.market_series import MarketSeries
    from registry.runs import Run

__all__ = ["NightlyFeatureAnalysis", "run_nightly_feature_analysis"]


class NightlyFeatureAnalysis:
    """Explains the trusted versions of every symbol and compares its data, night by night.

    Guarantees: one symbol's or one version's fault is a typed failure in the result and the others
    go on; a version's run has the files and figures of its last analysis.

    Every method raises TrackingUnreachableError if the tracking server or database does not answer.

    Args:
        brain_library: where models are and results go.
        settings: see :class:`brain.settings.Settings`; used are ``experiment``, ``bars``,
            ``exchanges``, ``timeframe``, ``renamed``, ``jobs``, ``seed``, ``recent_bars``,
            ``explain_rows``, ``explain_windows`` and ``drift_columns``.
    """

    def __init__(self, brain_library: BrainLibrary, settings: Settings) -> None:
        self.library = brain_library
        self.settings = settings

    def run_nightly_analysis(
        self,
        symbols: Iterable[str] | None = None,
        models: Mapping[str, Iterable[str]] | None = None,
        datasets: Mapping[str, Dataset | Bars] | None = None,
        *,
        night: Run | None = None,
        progress: Progress | None = None,
    ) -> NightlyAnalysis:
        """Analyse versions: importances, plots and drift on their runs, rankings in the library.

        Args:
            symbols: which; if None all that have champions, or all that ``models`` names.
            models: model ids by symbol, ``{"BTC/USD": ["BTC-USD/7"]}``; the champions of symbols
                that it does not name.
            datasets: datasets or bars by symbol, up to tonight; if None they are rebuilt from where
                the settings say that bars are. Funding and open interest of the settings' exchanges
                are joined to bars.
            night: the parent run; one of its own if None.
            progress: called as each piece of work is done.

        Returns:
            What was found and what failed. Nothing asked for is missing from both.

        Raises:
            InputError: ``symbols`` is a single text, or the folder of bars can't be used.
            NoChampionError: nothing was named, and no symbol has a champion.
        """
        versions, failures = choose_versions(self.library, symbols, models)
        data, missing = choose_data(list(versions), datasets, self._read_bars)
        failures += missing
        bars = [symbol for symbol, series in data.items() if not isinstance(series, Dataset)]
        markets = read_all_market_series(self.library, self.settings, bars)
        with self._night(night) as run, tempfile.TemporaryDirectory(prefix="brain-") as name:
            scratch = Path(name)
            works: dict[str, SymbolWork] = {}
            tasks: list[Task] = []
            for symbol, series in data.items():
                market = markets.get(symbol)
                work, its_tasks = self._prepare(versions[symbol], series, market, scratch)
                works[symbol] = work
                tasks += its_tasks
            self._work(run, works, tasks, scratch, progress)
            failures += [failure for work in works.values() for failure in work.failures]
            if failures and night is None:
                run.fail()
        return NightlyAnalysis(
            date=parse_date(run.day),
            models=tuple(model for work in works.values() for model in work.models),
            drifts=tuple(w.compared.analysis for w in works.values() if w.compared),
            failures=tuple(failures),
        )

    def get_feature_importance_trends(
        self, symbol: str, days: int = 30, *, until: dt.date | str | None = None
    ) -> FeatureTrends:
        """How the importances of a symbol's features went over the last days.

        Args:
            symbol: the symbol.
            days: how many, the last included.
            until: the last day; today (UTC) if None.

        Returns:
            The trends; ``history`` says if there are too few nights for one.

        Raises:
            InputError: ``days`` is not at least 1, or the symbol or the date is none.
        """
        symbol = parse_symbol(symbol)
        since, last = _days(days, until)
        table = Rankings(self.library).read(symbol, since=since, until=last)
        return trends(symbol, table, since, last)

    def identify_feature_shifts(
        self,
        symbol: str,
        threshold: float = 0.1,
        *,
        days: int = 30,
        method: Method | str = Method.SHAP,
        until: dt.date | str | None = None,
    ) -> FeatureShifts:
        """Features whose share tonight differs from the median of the nights before.

        Plain figures without a test: refits alone move large shares by a fifth from night to night.

        Args:
            symbol: the symbol.
            threshold: smallest relative change that counts, 0.1 being a tenth.
            days: to look back, the last included.
            method: whose shares.
            until: the last day; today (UTC) if None.

        Returns:
            The shifts by family; ``history`` says if there are too few nights to tell.

        Raises:
            InputError: ``threshold`` is not a positive number, or ``days``, symbol, date or method
                is none.
        """
        symbol, method = parse_symbol(symbol), parse_method(method)
        if not 0 < threshold < math.inf:
            raise InputError(f"threshold={threshold} is out of range; give a positive number")
        since, last = _days(days, until)
        table = Rankings(self.library).read(symbol, since=since, until=last, method=method)
        return shifts(symbol, table, method=method, threshold=threshold, since=since, until=last)

    @contextmanager
    def _night(self, night: Run | None) -> Iterator[Run]:
        if night is not None:
            yield night
            return
        with self.library.start(
            self.settings.experiment,
            f"analysis {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M}",
            tags={Tag.ROLE: Role.ANALYSIS},
            note="Explanations of models, and their data compared; one run per symbol below.",
        ) as run:
            yield run

    def _read_bars(self, symbols: Sequence[str]) -> BarSet:
        return read_bars(self.settings, self.library, symbols)

    def _prepare(
        self,
        versions: list[Version],
        data: Dataset | Bars,
        market: MarketSeries | None,
        scratch: Path,
    ) -> tuple[SymbolWork, list[Task]]:
        """Fetch a symbol's versions; those that can't be fetched are failures without a task."""
        symbol = versions[0].symbol
        folder = scratch / model_name(symbol)
        tasks: list[Task] = []
        failures: list[Failure] = []
        for version in versions:
            own = folder / str(version.number)
            with or_failure(failures, symbol, Stage.FETCH, version.id):
                own.mkdir(parents=True)
                task = explain_task(self.library, self.settings, version, data, own, market)
                tasks.append(task)
        oldest = min(versions, key=lambda v: dt.datetime.fromisoformat(v.trained_until))
        tasks.append(
            DriftTask(
                symbol=symbol,
                data=data,
                trained_until=oldest.trained_until,
                recent_bars=self.settings.recent_bars,
                columns=self.settings.drift_columns,
                folder=folder / "drift",
                market=market,
            )
        )
        by_id = {version.id: version for version in versions}
        return SymbolWork(symbol, by_id, len(tasks), failures=failures), tasks

    def _work(
        self,
        night: Run,
        works: Mapping[str, SymbolWork],
        tasks: list[Task],
        scratch: Path,
        progress: Progress | None,
    ) -> None:
        """Do the tasks, and store each symbol as soon as it is complete."""
        outcomes = analyse_all(tasks, jobs=self.settings.jobs)
        for done, outcome in enumerate(outcomes, start=1):
            work = works[_symbol(outcome)]
            _gather(work, outcome)
            work.open -= 1
            if work.open == 0:
                store(self.library, night, work)
                shutil.rmtree(scratch / model_name(work.symbol))
            if progress:
                progress(outcome, done, len(tasks))


def run_nightly_feature_analysis(
    settings: Settings, symbols: Iterable[str] | None = None
) -> NightlyAnalysis:
    """Analyse the champions of these symbols, or of all; loads models and rebuilds datasets itself.

    Args:
        settings: where models and bars are; with ``settings.symbols``, only these if none are named
            here.
        symbols: which; all active models if None.

    Raises:
        NoChampionError: no symbol has a champion, and none was named.
        TrackingUnreachableError, InputError, SettingsError: nothing can be read.
    """
    wanted = symbols if symbols is not None else settings.symbols or None
    library = BrainLibrary(settings.tracking_uri, series=settings.series, renamed=settings.renamed)
    service = NightlyFeatureAnalysis(library, settings)
    return service.run_nightly_analysis(symbols=wanted)


def _gather(work: SymbolWork, outcome: Explanation | DriftResult | Failure) -> None:
    if isinstance(outcome, Failure):
        work.failures.append(outcome)
    elif isinstance(outcome, DriftResult):
        work.compared = outcome
    else:
        work.explained.append(outcome)
        found = outcome.analysis.additivity
        if not found.holds:
            error = AnalysisError(
                f"contributions and base value miss the predictions by {found.error:.3g}, and "
                f"{found.tolerance:.3g} is tolerated; they are not shown, so train it anew"
            )
            model = outcome.analysis
            work.failures.append(
                Failure(model.model_id, error, Stage.ADDITIVITY, symbol=model.symbol)
            )


def _symbol(outcome: Explanation | DriftResult | Failure) -> str:
    return outcome.symbol if isinstance(outcome, Failure) else outcome.analysis.symbol


def _days(days: int, until: dt.date | str | None) -> tuple[dt.date, dt.date]:
    if days < 1:
        raise InputError(f"days={days} is out of range; give at least 1")
    last = dt.datetime.now(dt.UTC).date() if until is None else parse_date(until)
    return last - dt.timedelta(days=days - 1), last
