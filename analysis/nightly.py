"""The Mechanic's analysis as a service, and as one call."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from analysis.failures import Stage
from analysis.rankings import Rankings, parse_date
from analysis.results import Method, NightlyAnalysis, parse_method
from analysis.scope import DataReader, check_data, choose_data, choose_versions
from analysis.symbol_analysis import SymbolAnalysis, log_analysis
from analysis.tasks import pieces, symbol_tasks
from analysis.trends import FeatureShifts, FeatureTrends, shifts, trends
from analysis.workers import Result, analysis_call
from brain.errors import BrainError, InputError, LibraryError
from brain.model_keys import ModelKey, ModelQuery
from brain.naming import Role, Tag
from brain.scratch import scratch_folder
from brain.series.source import BarSource, open_bars
from brain.work import Failure, Progress, Tally
from brain.workers import Unit, outcomes, run_units
from engine.data.market_series import open_markets
from registry.library import BrainLibrary

if TYPE_CHECKING:
    from brain.records import Version
    from brain.series.bars import Bars
    from brain.settings import Settings
    from engine.data.dataset import Dataset
    from engine.data.market_series import MarketReader
    from registry.runs import Run

__all__ = ["NightlyFeatureAnalysis", "run_nightly_feature_analysis"]


class NightlyFeatureAnalysis:
    """Explains the champions of every symbol and compares its data, night by night.

    Guarantees: an error of one symbol or version is a failure in the result and the others go on;
    a version's run has the files and metrics of its last analysis,
    and a figure of its profit.

    Every method raises TrackingUnreachableError if the tracking server or database does not answer.

    Args:
        brain_library: where models are and results go.
        settings: see :class:`brain.settings.Settings`; used are ``experiment``, ``bars``,
            ``exchanges``, ``timeframe``, ``renamed``, ``jobs``, ``seed``, ``recent_bars``,
            ``explain_rows``, ``explain_windows`` and ``drift_columns``.
        market: reads funding and open interest; from the library's series store if None.
    """

    def __init__(
        self,
        brain_library: BrainLibrary,
        settings: Settings,
        market: MarketReader | None = None,
    ) -> None:
        self.library = brain_library
        self.settings = settings
        self._market = market or open_markets(brain_library, settings)

    def run_nightly_analysis(
        self,
        symbols: Iterable[str] | None = None,
        models: Mapping[str, Iterable[str]] | None = None,
        datasets: Mapping[str, Dataset | Bars] | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
        night: Run | None = None,
        progress: Progress | None = None,
    ) -> NightlyAnalysis:
        """Analyse versions: importances, plots and drift on their runs, rankings in the library.

        Args:
            symbols: which; if None all that have champions, or all that ``models`` names.
            models: model ids by symbol, ``{"BTC/USD": ["BTC-USD.1h.6/7"]}``; the champions of
                symbols that it does not name.
            datasets: datasets or bars by symbol, up to tonight, with the own columns that the
                versions were trained on; if None they are rebuilt from the source that the
                settings name, with these columns. Funding and open interest of the settings'
                exchanges are joined to bars.
            timeframe, horizon: of the versions, which are analysed on bars of their own timeframe
                alone. Where None, those of the symbol's only model; a symbol with champions of
                several is a failure that names them.
            night: the parent run; a new one if None.
            progress: called as each piece of work is done.

        Returns:
            The analyses and the failures; every symbol and model is among one or the other.

        Raises:
            InputError: ``symbols`` is a single text, or the folder of bars can't be used.
            NoChampionError: neither symbols nor models are named, and no symbol has a champion.
        """
        versions, failures = choose_versions(
            self.library, symbols, models, timeframe=timeframe, horizon=horizon
        )
        data, data_failures = choose_data(list(versions), datasets, self._open_bars)
        failures += data_failures
        tally = Tally(progress, sum(pieces(len(versions[key])) for key in data))
        with self._night(night) as run:
            units = (
                self._key_unit(key, versions[key], reader, run, tally)
                for key, reader in data.items()
            )
            analyses = {a.key: a for a in run_units(units, jobs=self.settings.jobs)}
            result = _night_of(run, [analyses[key] for key in data], failures)
            if result.failures and night is None:
                run.fail()
        return result

    def analyse_models(
        self, symbol: str, models: Sequence[str], data: DataReader, night: Run, tally: Tally
    ) -> Unit[NightlyAnalysis]:
        """A unit that analyses models of one symbol, see :mod:`brain.workers`.

        Args:
            symbol: of models and data.
            models: their ids; without any, nothing is done.
            data: reads the symbol's; funding and open interest are joined to bars.
            night: the parent run.
            tally: expects the models' :func:`analysis.tasks.pieces`.
        """
        if not models:
            return _night_of(night, [], [])
        versions, failures = choose_versions(self.library, None, {symbol: models})
        expected = sum(pieces(len(group)) for group in versions.values())
        tally.expect(expected - pieces(len(models)))
        analyses = []
        for key, group in versions.items():
            analyses.append((yield from self._analyse(key, group, data, night, tally)))
        return _night_of(night, analyses, failures)

    def _analyse(
        self,
        key: ModelKey,
        versions: Sequence[Version],
        data: DataReader,
        night: Run,
        tally: Tally,
    ) -> Unit[SymbolAnalysis]:
        """A unit that analyses versions of one key, at least one."""
        try:
            check_data(key, data(()))
        except InputError as error:
            return _without_data(key, versions, error, tally)
        analysis = SymbolAnalysis(key, {version.id: version for version in versions})

        def add(result: Result | Failure) -> None:
            analysis.add(result)
            tally.add(result)

        with scratch_folder() as scratch:
            tasks, failures = symbol_tasks(
                self.library, self.settings, versions, data, scratch, self._market
            )
            analysis.failures += failures
            tally.expect(len(tasks) - pieces(len(versions)))
            yield from outcomes([analysis_call(task) for task in tasks], add)
            log_analysis(self.library, night, analysis)
        return analysis

    def get_feature_importance_trends(
        self,
        symbol: str,
        days: int = 30,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
        until: dt.date | str | None = None,
    ) -> FeatureTrends:
        """The shares of a symbol's features over the last days.

        Args:
            symbol: the symbol.
            days: how many, the last included.
            timeframe, horizon: of the models; those of the only one with rankings if None.
            until: the last day; today (UTC) if None.

        Returns:
            The trends; ``history`` says if there are too few nights for one.

        Raises:
            InputError: ``days`` is not at least 1, or the symbol or the date is none.
            AmbiguousModelError: several models have rankings.
        """
        query = ModelQuery.parse(symbol, timeframe, horizon)
        since, last = _days(days, until)
        table = Rankings(self.library).read(
            symbol, timeframe=timeframe, horizon=horizon, since=since, until=last
        )
        return trends(query.symbol, table, since, last)

    def identify_feature_shifts(
        self,
        symbol: str,
        threshold: float = 0.1,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
        days: int = 30,
        method: Method | str = Method.SHAP,
        until: dt.date | str | None = None,
    ) -> FeatureShifts:
        """Features whose share tonight differs from the median of the nights before.

        Plain numbers without a test: refits alone move large shares by a fifth from night to night.

        Args:
            symbol: the symbol.
            threshold: smallest relative change that counts, 0.1 being a tenth.
            timeframe, horizon: of the models; those of the only one with rankings if None.
            days: to look back, the last included.
            method: whose shares.
            until: the last day; today (UTC) if None.

        Returns:
            The shifts by family; ``history`` says if there are too few nights to tell.

        Raises:
            InputError: ``threshold`` is not a positive number, or ``days``, symbol, date or method
                is none.
            AmbiguousModelError: several models have rankings.
        """
        query, method = ModelQuery.parse(symbol, timeframe, horizon), parse_method(method)
        if not 0 < threshold < math.inf:
            raise InputError(f"threshold={threshold} is out of range; give a positive number")
        since, last = _days(days, until)
        table = Rankings(self.library).read(
            symbol,
            timeframe=timeframe,
            horizon=horizon,
            since=since,
            until=last,
            method=method,
        )
        return shifts(
            query.symbol, table, method=method, threshold=threshold, since=since, until=last
        )

    @contextmanager
    def _night(self, night: Run | None) -> Iterator[Run]:
        """The parent run: the night's, or a new one."""
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

    def _open_bars(self, symbols: Sequence[str]) -> BarSource:
        # The own columns are those of the versions, whatever the settings name.
        return open_bars(self.settings, self.library, symbols, columns=())

    def _key_unit(
        self,
        key: ModelKey,
        versions: Sequence[Version],
        reader: DataReader,
        night: Run,
        tally: Tally,
    ) -> Unit[SymbolAnalysis]:
        """As :meth:`_analyse`, once the symbol's data can be read at all."""
        data = cache(reader)
        try:
            data(())
        except LibraryError:
            raise
        except BrainError as error:
            return _without_data(key, versions, error, tally)
        return (yield from self._analyse(key, versions, data, night, tally))


def _without_data(
    key: ModelKey, versions: Sequence[Version], error: BrainError, tally: Tally
) -> SymbolAnalysis:
    """The analysis of versions whose data can't be used."""
    tally.expect(-pieces(len(versions)))
    failure = Failure(key.symbol, error, Stage.BARS, symbol=key.symbol)
    return SymbolAnalysis(key, {}, failures=[failure])


def run_nightly_feature_analysis(
    settings: Settings,
    symbols: Iterable[str] | None = None,
    *,
    timeframe: str | None = None,
    horizon: int | None = None,
) -> NightlyAnalysis:
    """Analyse the champions of these symbols, or of all; loads models and rebuilds datasets itself.

    Args:
        settings: where models and bars are; its ``symbols`` are the default.
        symbols: which; all that have champions if None, and if the settings name none.
        timeframe, horizon: of the champions; those of the settings if None.

    Raises:
        NoChampionError: no symbol has a champion, and none was named.
        TrackingUnreachableError, InputError, SettingsError: nothing can be read.
    """
    library = BrainLibrary(settings.tracking_uri, series=settings.series, renamed=settings.renamed)
    service = NightlyFeatureAnalysis(library, settings)
    symbols = symbols if symbols is not None else settings.symbols or None
    return service.run_nightly_analysis(
        symbols=symbols,
        timeframe=timeframe or settings.timeframe,
        horizon=horizon or settings.horizon,
    )


def _night_of(
    night: Run, analyses: Sequence[SymbolAnalysis], failures: Sequence[Failure]
) -> NightlyAnalysis:
    """The symbols' analyses and failures, and the failures of symbols without an analysis."""
    return NightlyAnalysis(
        date=parse_date(night.day),
        models=tuple(model for analysis in analyses for model in analysis.models),
        drifts=tuple(a.drift.analysis for a in analyses if a.drift),
        profits=tuple(profit for analysis in analyses for profit in analysis.model_profits),
        without_profit=tuple(one for analysis in analyses for one in analysis.without_profit),
        failures=(*failures, *(f for analysis in analyses for f in analysis.failures)),
    )


def _days(days: int, until: dt.date | str | None) -> tuple[dt.date, dt.date]:
    """The first and the last of so many days."""
    if days < 1:
        raise InputError(f"days={days} is out of range; give at least 1")
    last = dt.datetime.now(dt.UTC).date() if until is None else parse_date(until)
    return last - dt.timedelta(days=days - 1), last
