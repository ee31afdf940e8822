"""The entry points that ``MLproject`` names, one function each; they only compose the rooms.

``brain nightly --symbols BTC/USD`` where the project is installed, ``python -m mlproject`` in a
checkout; ``mlflow run . -e nightly`` otherwise.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from brain.addresses import refuse_ambiguous
from brain.artifacts import MARKET, NIGHT_PAGE, PROMOTION, QUALITY_REPORT, SUMMARY
from brain.errors import BrainError, LeaseError
from brain.logs import FILE_ONLY, Logs, label, labelled, log_to
from brain.naming import Family, Role, Tag
from brain.patience import PATIENCE
from brain.redact import redact, redacted_output
from brain.stopwatch import Stopwatch
from brain.work import Failure, Progress
from serving.http.settings import OPTIONS as SERVE_OPTIONS

try:
    import click
except ModuleNotFoundError:
    # The base install is the executor's, and has no commands.
    sys.exit("error: commands need click; pip install 'brain-library[platform]'")

if TYPE_CHECKING:
    from rich.console import Console

    from analysis.replay.report import ReplayReport
    from brain.champion_source import ChampionSource
    from brain.series.source import BarSource
    from brain.settings import Settings
    from market.quality.bars_check import CheckedBars
    from market.quality.record import QualityRecord
    from registry.lease import Lease
    from registry.library import BrainLibrary
    from registry.nights import StoppedNight
    from registry.runs import Run
    from serving.bars import Bar

__all__ = ["cli", "main"]

logger = logging.getLogger("mlproject")

_HTTP = ("http://", "https://")
_PARTLY = 1  # some symbols or families failed, most symbols are done
_UNUSABLE = 2  # nothing could be done
_HELD = 3  # another night is at work
_MOSTLY = 4  # of more than half of the symbols nothing is done
_INTERRUPTED = 130
_AUTO = "auto"
_ROOMS = ("brain", "registry", "market", "engine", "analysis", "serving")
_ALIASES = {"exchanges": ("--exchange",)}  # what people write for one

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Result = TypeVar("_Result")


def _no_override(_context: click.Context, _option: click.Parameter, value: str) -> str | None:
    return None if value == _AUTO else value


def _setting_options(*names: str) -> Callable[[_Function], _Function]:
    """An option for each setting; ``auto`` is no override. Settings check the values."""

    def decorate(function: _Function) -> _Function:
        for name in reversed(names):
            spellings = [f"--{name}", *_ALIASES.get(name, ())]
            option = click.option(
                *spellings, default=_AUTO, metavar="VALUE", callback=_no_override, show_default=True
            )
            function = option(function)
        return function

    return decorate


def _own_options(*names: str) -> Callable[[_Function], _Function]:
    """An option for each name that is no setting; ``auto`` is none."""

    def decorate(function: _Function) -> _Function:
        for name in reversed(names):
            option = click.option(
                f"--{name}", default=_AUTO, metavar="VALUE", callback=_no_override,
                show_default=True,
            )  # fmt: skip
            function = option(function)
        return function

    return decorate


def _listed(value: str | None) -> list[str]:
    """``"a, b"`` → ``["a", "b"]``; None is none."""
    return [word.strip() for word in (value or "").split(",") if word.strip()]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show where an error came from.")
@click.option("--launcher", type=int, hidden=True, help="Process whose end is also the job's.")
def cli(debug: bool, launcher: int | None) -> None:
    """Collect market data; train, evaluate, register and explain models of it."""
    if launcher:
        from brain.folders import enter_folder
        from brain.processes import die_with_parent

        die_with_parent(launcher)
        enter_folder(launcher)


@cli.command()
@click.option("--address", is_flag=True, hidden=True, help="Print the tracking URI alone.")
def prepare(address: bool) -> None:
    """Check settings and tracking store, and create its schema; print them for a shell.

    An address with a password is not printed: the shell asks for it by itself.
    """
    from brain.settings import load_settings
    from registry.library import BrainLibrary

    settings = load_settings()
    if address:
        _print_address(settings.tracking_uri)
        return
    BrainLibrary(settings.tracking_uri).check(settings.experiment, settings.artifact_root)
    exported = shlex.quote(settings.tracking_uri)
    if redact(settings.tracking_uri) != settings.tracking_uri:
        exported = f'"$({shlex.quote(sys.executable)} -m mlproject prepare --address)"'
    print(f"export MLFLOW_TRACKING_URI={exported}")
    print(f"export BRAIN_EXPERIMENT={shlex.quote(settings.experiment)}")
    for name in PATIENCE:
        print(f"export {name}={shlex.quote(os.environ[name])}")


def _print_address(address: str) -> None:
    """Print an address with its password, for a program that reads it.

    Raises:
        SettingsError: a person would read it.
    """
    from brain.errors import SettingsError

    out = sys.__stdout__
    if out is None or out.isatty():
        raise SettingsError(
            "the tracking URI may hold a password, which no terminal shows; see MLFLOW_TRACKING_URI"
            " or brain.toml"
        )
    print(address, file=out)


@cli.command()
@click.option("--live", is_flag=True, help="Ask every exchange's endpoint, stream and publisher.")
def doctor(live: bool) -> int:
    """Check configuration, tracking server, stores, credentials, clock; change nothing."""
    from brain.checks import checks_table, run_checks, verdict
    from brain.configuration import check_configuration
    from brain.console import console
    from brain.series.store.checks import check_series
    from market.checks import check_exchanges
    from market.sentiment.checks import check_sentiment
    from market.streams.checks import check_streams
    from registry.checks.library import check_library

    settings, checks = check_configuration()
    if settings is not None:
        checks += run_checks(
            {
                "Brain Library": partial(check_library, settings),
                "series store": partial(check_series, settings.series),
                "exchanges": partial(check_exchanges, settings, live=live),
                "sentiment": partial(check_sentiment, settings, live=live),
                "streams": partial(check_streams, settings, live=live),
            }
        )
    console().print(checks_table(checks))
    return verdict(checks)


@cli.command()
@_setting_options("exchanges", "symbols", "hours", "timeframe", "renew", "kinds", "sentiment")
def collect(**overrides: str | None) -> int:
    """Collect candles, funding, open interest and sentiment; report what is missing or odd."""
    from analysis.documents import failures_document

    with _job(Role.COLLECTION, overrides, collects=True, reads=False) as job:
        document = {
            "market": job.market,
            "quality": job.quality,
            "failures": failures_document(job.failures),
        }
        job.run.document(document, SUMMARY)
        job.print_failures()
    return job.exit_code


@cli.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@_own_options("exchange")
@_setting_options("renew")
def import_files(path: Path, exchange: str | None, **overrides: str | None) -> int:
    """Store what is on disk: exchanges' published files, freqtrade's, CryptoDataDownload's.

    Nothing is fetched. The same command again goes on where it was stopped, and changes nothing
    where it was done. --exchange is of files whose names and folders tell none.
    """
    from brain.settings import load_settings
    from market.imports.job import run_import

    settings = load_settings(overrides)
    with _logged(settings):
        return run_import(settings, path, exchange)


@cli.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", default="parquet", show_default=True, help="parquet, csv or freqtrade."
)
@_own_options("exchanges", "symbols", "timeframe")
def export_files(
    folder: Path, form: str, exchanges: str | None, symbols: str | None, timeframe: str | None
) -> int:
    """Write stored series to a folder, from which `import` reads them again."""
    from brain.settings import load_settings
    from market.exports.job import run_export

    settings = load_settings()
    with _logged(settings):
        return run_export(
            settings,
            folder,
            form,
            exchanges=_listed(exchanges),
            symbols=_listed(symbols),
            timeframe=timeframe,
        )


@cli.command()
@_setting_options("exchanges", "symbols", "timeframe", "frames", "frames_hours", "commit_seconds")
def stream(**overrides: str | None) -> int:
    """Stream candles, mark prices, funding, open interest and liquidations until stopped."""
    from market.stream_command import stream_until_stopped

    _streaming(stream_until_stopped, overrides)
    return 0


@cli.command()
@_setting_options("frames")
def reread(**overrides: str | None) -> int:
    """Read a stream's recording again, and replace what a former reader made of it."""
    from market.stream_command import reread_recording

    _streaming(reread_recording, overrides)
    return 0


def _streaming(
    work: Callable[[Settings, Console], None], overrides: Mapping[str, str | None]
) -> None:
    """Do the work of a stream, which has a log and no run."""
    from brain.console import console
    from brain.settings import load_settings
    from registry.places import log_file

    settings = load_settings(overrides)
    with log_to(Logs(log_file(settings), as_json=settings.log_format == "json")):
        work(settings, console())


_costs = "cost_bps", "fee_bps", "half_spread_bps", "impact_bps", "liquidity"
_trading = "fill", "product", *_costs, "threshold"
_training = (
    "columns",
    "families",
    "horizon",
    *_trading,
    "folds",
    "trials",
    "retune",
    "seed",
    "seeds",
    "jobs",
)
_source = "symbols", "bars", "calendar", "exchanges", "timeframe"


@cli.command()
@_setting_options(*_source, "hours", *_training, "refit", "promotion")
def nightly(**overrides: str | None) -> int:
    """Collect, train and register every symbol's families, explain the best, name the champions."""
    from analysis.documents import join_documents
    from analysis.night import Night
    from analysis.tables import champions_table, models_table

    with _job(Role.NIGHT, overrides, collects=True) as job:
        # Decisions that pool over symbols are made here, before the first symbol begins.
        night = Night(job.library, job.settings, job.bars, job.run, job.stopped)
        job.run.document(night.promotion.document(), PROMOTION)
        with job.progress("Training", "Explaining") as (training, explaining):
            done = {part.symbol: part for part in night.symbols(training, explaining)}
        night.promotion.close()
        job.add(night.promotion.failures)
        parts = [done[symbol] for symbol in job.bars]
        for part in parts:
            job.add(part.failures)
            job.stopwatch.add(part.stopwatch.seconds)
        documents = [part.document for part in parts if part.document]
        job.count(p.symbol for p in parts if p.document.get("versions") or p.young)
        job.check_bars()
        document = join_documents(documents, job.failures, job.stopwatch.seconds, job.quality)
        job.run.document({**document, "market": job.market}, SUMMARY)
        job.show(document)
        champions = [champion for part in parts for champion in part.champions]
        job.out.print(models_table([line for part in parts for line in part.lines], ()))
        job.out.print(champions_table(champions, job.failures))
    return job.exit_code


@cli.command()
@_setting_options(*_source, "horizon", "seed", "jobs")
def analyze(**overrides: str | None) -> int:
    """Explain the champions of every symbol, and compare its recent bars with its past."""
    from analysis.documents import analysis_document
    from analysis.nightly import NightlyFeatureAnalysis
    from analysis.tables import model_lines, models_table

    with _job(Role.ANALYSIS, overrides) as job:
        with job.stopwatch.stage("analyse"), job.progress("Explaining") as (explaining,):
            analysis = NightlyFeatureAnalysis(job.library, job.settings).run_nightly_analysis(
                symbols=job.settings.symbols or None,
                datasets=job.bars,
                timeframe=job.settings.timeframe,
                horizon=job.settings.horizon,
                night=job.run,
                progress=explaining,
            )
        job.count(model.symbol for model in analysis.models)
        job.add(analysis.failures)
        job.check_bars()
        document = analysis_document(analysis, job.failures, job.stopwatch.seconds)
        job.run.document({**document, "quality": job.quality}, SUMMARY)
        job.out.print(models_table(model_lines(analysis.models), job.failures))
    return job.exit_code


@cli.command()
@_setting_options(*_source, *_training)
def train(**overrides: str | None) -> int:
    """Train, evaluate and register every symbol's families; champions stay as they are."""
    from analysis.tables import versions_table
    from engine.night.symbols import train_symbols

    with _job(Role.TRAINING, overrides) as job:
        versions = []
        for result in job.each_symbol(train_symbols, "Training"):
            if isinstance(result, Failure):
                job.add([result])
            else:
                job.add(result.failures)
                versions += result.evidence()
        versions.sort(key=lambda entry: (entry[0].key, entry[0].family))
        job.count(version.key.symbol for version, _ in versions)
        job.check_bars()
        job.out.print(versions_table(versions, job.failures))
    return job.exit_code


@cli.command()
@_setting_options(*_source, *_training)
def tune(**overrides: str | None) -> int:
    """Search for hyperparameters and store the recipes; nothing is registered."""
    from analysis.tables import recipes_table
    from engine.night.symbols import tune_symbols

    with _job(Role.SEARCH, overrides) as job:
        searches = []
        for result in job.each_symbol(tune_symbols, "Searching"):
            job.add(result.failures)
            searches += result.searches
        searches.sort(key=lambda search: search.symbol)
        job.count(search.symbol for search in searches)
        job.check_bars()
        job.out.print(recipes_table(searches, job.failures))
    return job.exit_code


@cli.command()
@click.argument("symbol")
@click.argument("regime")
@_setting_options("timeframe", "horizon")
def release(symbol: str, regime: str, **overrides: str | None) -> int:
    """Let the nights name a cell's champion again, whose alias was moved by hand.

    The alias stays where it is until the next night.
    """
    from brain.settings import load_settings
    from registry.library import BrainLibrary

    settings = load_settings(overrides)
    champion = BrainLibrary(settings.tracking_uri).release(
        symbol, regime, timeframe=settings.timeframe, horizon=settings.horizon
    )
    print(
        f"{champion.model_id} is no longer pinned for regime {champion.regime} and stays its "
        "champion until the next night names one."
    )
    return 0


@cli.command()
@click.option("--since", metavar="TIME", help="Moment of the first night, UTC: 2019-07-01.")
@click.option("--until", default=_AUTO, metavar="TIME", show_default=True, callback=_no_override)
@click.option("--every", default="1d", metavar="SPAN", show_default=True, help="Night to night.")
@click.option("--name", default="replay", show_default=True, help="Of the replay and its folder.")
@_setting_options("refit", *_source, *_training, "promotion", "replays")
def replay(
    since: str | None, until: str | None, every: str, name: str, **overrides: str | None
) -> int:
    """Do nights at past moments, and compare what following them came to.

    Into a library of the replay's own, which the user's champions are no part of. A replay that
    was stopped goes on where it was, by the same command.
    """
    from analysis.replay.job import check_replay, replay as play
    from analysis.replay.plan import ReplayPlan
    from brain.errors import InputError
    from brain.settings import load_settings

    if since is None:
        raise InputError("--since is missing; give the first night's moment, as 2019-07-01")
    plan = ReplayPlan.parse(name, since, until, every)
    # Nights of a past that is long over have no time to fit and to walk forward anew.
    refit = load_settings(overrides).refit or "7d"
    own = {**overrides, "refit": refit, "experiment": f"{Role.REPLAY} {name}"}
    check_replay(plan, load_settings(own))
    with _job(Role.REPLAY, own) as job:
        with job.stopwatch.stage("replay"), job.progress("Nights") as (nights,):
            report = play(plan, job.settings, job.library, job.bars, nights)
        job.add(report.failures)
        job.count(report.comparison.symbols)
        job.check_bars()
        job.show_replay(report)
    return job.exit_code


@cli.command()
@_setting_options(*SERVE_OPTIONS)
def serve(**overrides: str | None) -> int:
    """Decide over HTTP, by the champions of the registry, until SIGTERM.

    Tokens are in the environment alone: BRAIN_SERVE_TOKENS.
    """
    from serving.http.command import serve

    with log_to(Logs()):
        return serve(overrides, _champion_source, partial(print, flush=True))


def _champion_source() -> ChampionSource:
    """Where champions are from. An executor's environment alone reads a registry over HTTP."""
    dsn = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not dsn.startswith(_HTTP):
        from brain.settings import load_settings

        dsn = load_settings().tracking_uri
    if dsn.startswith(_HTTP):
        from serving.remote.registry import RemoteRegistry

        return RemoteRegistry(dsn)
    from registry.library import BrainLibrary

    return BrainLibrary(dsn)


@cli.command()
@click.argument("publisher")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def forget(publisher: str, ids: tuple[str, ...]) -> int:
    """Remove all that is kept of a publisher's posts, by their ids, and never take them up again.

    An ID of - reads ids from standard input, a line each. Of news and feeds it is the address.
    """
    from brain.series.store.store import SeriesStore
    from brain.settings import load_settings
    from market.sentiment.deletions import forget as forget_posts

    settings = load_settings()
    named = [one for one in ids if one != "-"]
    if len(named) < len(ids):
        named += sys.stdin.read().split()
    deletion = forget_posts(SeriesStore(settings.series), publisher, named)
    print(
        f"{deletion.rows} rows of {deletion.ids} posts of {publisher} are gone, from earlier "
        "versions of the store too; these posts are not taken up again."
    )
    return 0


@cli.group()
def journal() -> None:
    """What executors have decided."""


@journal.command("replay")
@click.argument("folder", type=click.Path(path_type=Path))
@_setting_options("bars", "calendar")
def replay_journal(folder: Path, **overrides: str | None) -> int:
    """Make every decision of a journal again, and show what comes out otherwise.

    By the versions of its moments, on the journal's own bars, or on those of the folder --bars.
    """
    from brain.console import console
    from brain.settings import load_settings
    from registry.library import BrainLibrary
    from serving.replay import differences_table, journals, replay as play

    settings, out = load_settings(overrides), console()
    found, library = journals(folder), BrainLibrary(settings.tracking_uri)
    differences = 0
    for journal in found:
        stored = _stored_bars(settings, journal.model) if overrides["bars"] else None
        result = play(journal, library, stored=stored)
        differences += len(result.differences)
        for row in differences_table(result):
            out.print(row, markup=False)
    return _PARTLY if differences else 0


def _stored_bars(settings: Settings, model: str) -> Callable[[int], Bar | None]:
    """The bars of the folder of the settings, by their closes."""
    from brain.model_keys import ModelKey
    from brain.series.files import read_folder
    from serving.bars import Bar

    key = ModelKey.of_name(model)
    found = read_folder(
        Path(settings.bars or ""), [key.symbol], settings.calendar, timeframe=key.timeframe
    )
    for failure in found.failures:
        raise failure.error
    (bars,) = found.bars.values()
    columns = bars.frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist()
    closes = bars.close_time.as_unit("ns").asi8.tolist()
    return {t: Bar(t, *row) for t, row in zip(closes, columns, strict=True)}.get


@dataclass
class _Job:
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
            return _UNUSABLE
        failed = {failure.symbol for failure in self.failures if failure.symbol}
        undone = (failed | self.undone) - self.symbols
        return _MOSTLY if len(undone) > len(self.symbols) else _PARTLY

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
        """Report on the quality of the bars, all of which have been read."""
        self._report(self.bars.records)

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


@contextmanager
def _job(
    role: Role, overrides: Mapping[str, str | None], *, collects: bool = False, reads: bool = True
) -> Iterator[_Job]:
    """A job with its run, which starts once settings, library and bars are checked.

    Args:
        role, overrides: of the run, and of its settings.
        collects: whether series are collected first, if bars are to come from these.
        reads: whether bars are worked on.
    """
    from brain.settings import load_settings
    from registry.reach import check_address

    settings = load_settings(overrides)
    check_address(settings.tracking_uri)
    with _logged(settings):
        yield from _job_of(role, settings, collects=collects, reads=reads)


def _logged(settings: Settings) -> AbstractContextManager[None]:
    """The log of a job: standard error, and the file of the settings."""
    from registry.places import log_file

    return log_to(Logs(log_file(settings), as_json=settings.log_format == "json"))


def _job_of(role: Role, settings: Settings, *, collects: bool, reads: bool) -> Iterator[_Job]:
    from brain.console import console
    from brain.disk import reserve
    from brain.scratch import job_folder
    from brain.series.source import describe_source, open_bars
    from registry.places import database_folder

    # What can't be used is refused before the library makes tables and folders.
    bars = _folder_bars(role, settings) if reads else None
    collection = _collection_of(settings, bars) if collects else None
    library = _open_library(settings)
    if bars is None and not collects:
        bars = open_bars(settings, library, columns=())  # candles have none of their own
        bars.check()
    unread = "" if bars is None else bars.note
    out = console()
    with (
        job_folder(),
        reserve(database_folder(settings.tracking_uri)),
        _lease(role, library, settings, out) as lease,
    ):
        library.reap(after_hours=settings.reap_after_hours)
        night = lease is not None
        stopped = library.stopped_night(settings.experiment, settings.digest()) if night else None
        start = datetime.now(UTC)
        number = len(settings.symbols if bars is None else bars)
        source = describe_source(settings) if reads else " and ".join(_asked(settings))
        note = f"{role.capitalize()} of {number} symbols from {source}, {start:%c} UTC."
        for more in filter(None, (unread, stopped)):
            note += f" {more}"
            out.print(str(more), markup=False)
        with library.start(
            settings.experiment,
            f"{role} {start:%Y-%m-%d %H:%M}",
            tags={Tag.ROLE: role, Tag.SETTINGS: settings.digest()},
            note=note,
            continues=stopped,
            lease=lease,
        ) as run:
            label(night=run.number, run=run.id)
            logger.info("%s", note)
            run.params({f"setting.{k}": v for k, v in settings.run_parameters().items()})
            job = _Job(settings, library, run, out, note, stopped=stopped)
            if collection is not None:
                job.collect(*collection)
            if reads:
                job.use(bars or open_bars(settings, library))
            yield job
            if job.failures:
                run.fail()
            run.complete()
            logger.info("%s ended with exit code %d", role, job.exit_code)


def _collection_of(
    settings: Settings, bars: BarSource | None
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The kinds and symbols that a job collects; None: it collects nothing.

    Beside bars from files only sentiment is collected, of their symbols.
    """
    from market.collection.kinds import kinds_of
    from market.collection.plan import SENTIMENT
    from market.configuration import check_collection

    kinds, symbols = kinds_of(settings), settings.symbols
    if bars is not None:
        if not settings.sentiment or SENTIMENT not in kinds:
            return None
        kinds, symbols = (SENTIMENT,), tuple(bars)
    check_collection(settings, kinds=kinds, symbols=symbols)
    return kinds, symbols


def _asked(settings: Settings) -> tuple[str, ...]:
    """Whom a collection asks."""
    from market.collection.kinds import MARKET, kinds_of, publishers_of

    kinds = kinds_of(settings)
    return (*(settings.exchanges if MARKET in kinds else ()), *publishers_of(settings, kinds))


def _open_library(settings: Settings) -> BrainLibrary:
    """The library, where runs and artifacts can be written and disks have space for a job."""
    from brain.disk import check_space
    from registry.library import BrainLibrary
    from registry.places import local_folders

    check_space(local_folders(settings), settings.free_mb)
    library = BrainLibrary(settings.tracking_uri, series=settings.series, renamed=settings.renamed)
    library.check(settings.experiment, settings.artifact_root)
    return library


def _lease(
    role: Role, library: BrainLibrary, settings: Settings, out: Console
) -> AbstractContextManager[Lease | None]:
    """The lease of the job's experiment; None for a job that needs none.

    Champions move by nights alone. What other jobs store stands beside what is there, whole, and
    whichever of two is the last to store a recipe or an explanation, it is one of theirs.
    """
    if role is not Role.NIGHT:
        return nullcontext()
    return library.lease(
        settings.experiment,
        f"{role} {datetime.now(UTC):%Y-%m-%d %H:%M}",
        wait_seconds=60 * settings.wait_minutes,
        announce=partial(out.print, markup=False),
    )


def _folder_bars(role: Role, settings: Settings) -> BarSource | None:
    """The bars of the folder, looked at; None if they are the series store's.

    An analysis takes the own columns of the versions that it is about, whatever the settings name.
    """
    from brain.series.source import open_folder, reads_store
    from engine.data.own_columns import check_columns

    if role is not Role.ANALYSIS:
        check_columns(settings)
    if reads_store(settings):
        return None
    bars = open_folder(settings, columns=() if role is Role.ANALYSIS else None)
    bars.check()
    return bars


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every expected error becomes one line on stderr and an exit code.

    Returns:
        The command's exit code; 2 if it can't do anything, 3 if another night is at work, 4 if
        most symbols failed, 130 if it was interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    with redacted_output():
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A progress bar for each of a dozen small files would hide the job's.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # Its lines are logged as ours are.
    os.environ.setdefault("MLFLOW_CONFIGURE_LOGGING", "false")
    # MLflow would print two links for each run, with the password that the server's address holds.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        _check_arguments(arguments)
        return int(cli.main(arguments, prog_name="brain", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _print_error(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _print_error("interrupted", _INTERRUPTED)
    except BrainError as error:
        if "--debug" in arguments:
            raise
        return _print_error(str(error), _HELD if isinstance(error, LeaseError) else _UNUSABLE)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _ROOMS or "--debug" in arguments:
            raise
        cure = "this command needs it; pip install 'brain-library[platform]'"
        return _print_error(f"{error.name} is not installed, and {cure}", _UNUSABLE)


def _check_arguments(arguments: Sequence[str]) -> None:
    """Refuse an address of two readings before any message shows a part of it."""
    for word in arguments:
        option = re.match(r"(--\w+)=", word)
        if option:
            refuse_ambiguous(word[option.end() :], option[1])
        else:
            refuse_ambiguous(word, "argument")


def _print_error(message: str, code: int) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
