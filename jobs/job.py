"""A job: its run, its failures and exit code, and what people see of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from brain.artifacts import MARKET, NIGHT_PAGE, QUALITY_REPORT
from brain.errors import SeriesStoreError
from brain.logs import FILE_ONLY, labelled
from brain.naming import Family
from brain.stopwatch import Stopwatch
from brain.work import Failure, Progress

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.replay.report import ReplayReport
    from brain.series.source import BarSource
    from brain.settings import Settings
    from market.quality.bars_check import CheckedBars
    from market.quality.record import QualityRecord
    from registry.library import BrainLibrary
    from registry.nights import StoppedNight
    from registry.runs import Run

__all__ = ["MOSTLY", "PARTLY", "UNUSABLE", "Job"]

logger = logging.getLogger(__name__)

#: Exit codes: some symbols or families failed and most symbols are done; nothing could be done; of
#: more than half of the symbols nothing is done.
PARTLY, UNUSABLE, MOSTLY = 1, 2, 4

_Result = TypeVar("_Result")


@dataclass
class Job:
    """What every job has.

    Attributes:
        run: on which the job is logged.
        out: where people look.
        note: the run's description.
        bars: by symbol, each read when it is asked for.
        stopped: the night that this one continues, if any.
        market: the collected series, for the summary; None if the job collects none.
        stopwatch: of its stages.
        done: whether anything is done, so that failures are of a part only.
        symbols: of which anything is done.
        undone: others of which nothing is, beside those that failures name.
        records: the quality of the collected series, and of the bars once they are checked.
    """

    settings: Settings
    library: BrainLibrary
    run: Run
    out: Console
    note: str = ""
    bars: CheckedBars = field(init=False)
    stopped: StoppedNight | None = None
    market: list[dict[str, Any]] | None = None
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    done: bool = False
    symbols: set[str] = field(default_factory=set)
    undone: set[str] = field(default_factory=set)
    records: list[QualityRecord] = field(default_factory=list)
    _failures: dict[str, Failure] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """One a subject and part, the last."""
        return tuple(self._failures.values())

    @property
    def exit_code(self) -> int:
        if not self.failures:
            return 0
        if not self.done:
            return UNUSABLE
        failed = {failure.symbol for failure in self.failures if failure.symbol}
        undone = (failed | self.undone) - self.symbols
        return MOSTLY if len(undone) > len(self.symbols) else PARTLY

    def count(self, symbols: Iterable[str], undone: Iterable[str] = ()) -> None:
        """Note of which symbols anything is done, and of which others nothing is."""
        self.symbols, self.undone = set(symbols), set(undone)
        self.done = bool(self.symbols)

    def add(self, failures: Iterable[Failure]) -> None:
        """Add a stage's failures."""
        for failure in failures:
            if failure != self._failures.get(failure.what):
                family = failure.part if failure.part in set(Family) else ""
                with labelled(symbol=failure.symbol, family=family):
                    logger.error("%s", failure, extra=FILE_ONLY)
            self._failures[failure.what] = failure

    def progress(self, *titles: str) -> AbstractContextManager[tuple[Progress, ...]]:
        """See :func:`brain.console.progress`."""
        from brain.console import progress

        return progress(self.out, *titles)

    def collect(self, kinds: Sequence[str], symbols: Sequence[str]) -> None:
        """Make these symbols' series of these kinds complete, as far as whoever is asked allows."""
        from market.night import collect_market
        from registry.runs import Metric

        with self.stopwatch.stage("collect"):
            with self.progress("Collecting") as (collecting,):
                night = collect_market(
                    self.library, self.settings, collecting, kinds=kinds, symbols=symbols
                )
            self.run.metrics(Metric(key, value) for key, value in night.metrics().items())
            self._report(night.report.records)
        self.market = night.document()
        series = night.collection.series
        done = {result.symbol for result in series if not result.failure}
        self.count(done, {result.symbol for result in series} - done)
        self.add(night.failures)

    def use(self, bars: BarSource) -> None:
        """Make these bars the job's, to be checked as they are read; some must be sound."""
        from market.quality.bars_check import CheckedBars

        bars.check(self.failures)
        self.bars = CheckedBars(bars)
        self.add(bars.failures)

    def check_bars(self) -> None:
        """Report on the quality of the bars, all of which have been read, and what is beside."""
        from market.night_quality import read_records

        records = self.bars.records
        try:
            records += read_records(self.library.series, self.settings, records, self.records)
        except SeriesStoreError as error:
            self.add([Failure("quality of the stored series", error)])
        self._report(records)

    @property
    def quality(self) -> list[dict[str, Any]]:
        """The quality of the series and bars, for the summary."""
        from market.quality.report import QualityReport

        return QualityReport(self.records).document()

    def _report(self, records: Sequence[QualityRecord]) -> None:
        """Show these records, and put them and the earlier ones on the run."""
        from brain.scratch import scratch_folder
        from market.quality.report import QualityReport

        self.records += records
        with scratch_folder() as scratch:
            QualityReport(self.records).write(scratch)
            self.run.artifacts(scratch, MARKET)
        if records:
            self.out.print(QualityReport(records).table())

    def show(self, document: Mapping[str, Any]) -> None:
        """Put the night of that summary on one page, to which the run's description leads."""
        from analysis.night_page import card_links, night_page
        from registry.descriptions import run_link

        page = night_page(
            document,
            list(self.bars),
            title=f"{self.run.name.capitalize()} UTC",
        )
        self.run.text(page, NIGHT_PAGE)
        pages = {
            "All symbols on one page": NIGHT_PAGE,
            "quality of the data": f"{MARKET}/{QUALITY_REPORT}",
        }
        links = [
            f"[{words}]({run_link(self.run.experiment_id, self.run.id, page)})"
            for words, page in pages.items()
        ]
        cards = card_links(self.run.experiment_id, document)
        self.run.describe(f"{self.note} {', '.join(links)}{cards}")

    def show_replay(self, report: ReplayReport) -> None:
        """Show a replay's report, and put it on the run, whose description leads to its page."""
        from brain.artifacts import REPLAY_PAGE
        from brain.scratch import scratch_folder
        from registry.descriptions import run_link
        from registry.runs import Metric

        with scratch_folder() as scratch:
            report.write(scratch)
            self.run.artifacts(scratch)
        self.run.metrics(Metric(key, value) for key, value in report.metrics().items())
        page = run_link(self.run.experiment_id, self.run.id, REPLAY_PAGE)
        self.run.describe(f"{self.note} [Strategies and decisions]({page})")
        self.print_failures()
        self.out.print(report.decisions_table())
        self.out.print(report.table())
        self.out.print(f"The nights' own library is {report.library}", markup=False)

    def each_symbol(self, work: Callable[..., Iterator[_Result]], title: str) -> Iterator[_Result]:
        """The Engine's work on the bars, with funding and open interest where there are any."""
        from engine.data.market_series import open_markets

        market = open_markets(self.library, self.settings)
        with self.progress(title) as (progress,):
            yield from work(
                self.library, self.settings, self.bars, self.run, progress, market=market
            )

    def print_failures(self) -> None:
        for failure in self.failures:
            self.out.print(str(failure), style="red", markup=False)
