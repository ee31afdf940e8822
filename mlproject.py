"""The entry points that ``MLproject`` names, one function each; they only compose the rooms.

``brain nightly --symbols BTC/USD`` where the project is installed, ``python -m mlproject`` in a
checkout; ``mlflow run . -e nightly`` otherwise.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from brain.artifacts import MARKET, SUMMARY
from brain.errors import BrainError, InputError
from brain.naming import Role, Tag
from brain.work import Failure, Progress

try:
    import click
except ModuleNotFoundError:
    # The base install is the executor's, and has no commands.
    sys.exit("error: commands need click; pip install 'brain-library[platform]'")

if TYPE_CHECKING:
    from rich.console import Console

    from brain.series.bars import Bars
    from brain.series.files import BarSet
    from brain.settings import Settings
    from registry.library import BrainLibrary
    from registry.runs import Run

__all__ = ["cli", "main"]

_PARTLY = 1  # some symbols or families failed, the others are done
_UNUSABLE = 2  # nothing could be done
_INTERRUPTED = 130
_MOST_FAULTS = 3  # in one line
_AUTO = "auto"
_ROOMS = ("brain", "registry", "market", "engine", "analysis", "serving")
_ALIASES = {"exchanges": ("--exchange",)}  # what people write for one

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Result = TypeVar("_Result")


def _setting_options(*names: str) -> Callable[[_Function], _Function]:
    """An option for each setting; ``auto`` is no override. Settings check the values."""

    def parse(_context: click.Context, _option: click.Parameter, value: str) -> str | None:
        return None if value == _AUTO else value

    def decorate(function: _Function) -> _Function:
        for name in reversed(names):
            spellings = [f"--{name}", *_ALIASES.get(name, ())]
            option = click.option(
                *spellings, default=_AUTO, metavar="VALUE", callback=parse, show_default=True
            )
            function = option(function)
        return function

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show where an error came from.")
@click.option("--launcher", type=int, hidden=True, help="Process whose end is also the job's.")
def cli(debug: bool, launcher: int | None) -> None:
    """Collect market data; train, evaluate, register and explain models of it."""
    if launcher:
        from brain.processes import die_with_parent

        die_with_parent(launcher)


@cli.command()
def prepare() -> None:
    """Check settings and tracking store, and create its schema; print both for a shell.

    The output holds the password of the store's address, if that has one.
    """
    from brain.settings import load_settings
    from registry.library import BrainLibrary

    settings = load_settings()
    BrainLibrary(settings.tracking_uri).check(settings.experiment)
    print(f"export MLFLOW_TRACKING_URI={shlex.quote(settings.tracking_uri)}")
    print(f"export BRAIN_EXPERIMENT={shlex.quote(settings.experiment)}")


@cli.command()
@click.option("--live", is_flag=True, help="Ask every endpoint of the exchanges once.")
def doctor(live: bool) -> int:
    """Check configuration, tracking server, stores, credentials, clock; change nothing."""
    from brain.checks import checks_table, run_checks, verdict
    from brain.configuration import check_configuration
    from brain.console import console
    from brain.series.store.checks import check_series
    from market.checks import check_exchanges
    from registry.checks.library import check_library

    settings, checks = check_configuration()
    if settings is not None:
        checks += run_checks(
            {
                "Brain Library": partial(check_library, settings),
                "series store": partial(check_series, settings.series),
                "exchanges": partial(check_exchanges, settings, live=live),
            }
        )
    console().print(checks_table(checks))
    return verdict(checks)


@cli.command()
@_setting_options("exchanges", "symbols", "hours", "timeframe")
def collect(**overrides: str | None) -> int:
    """Collect candles, funding and open interest, and report what is missing or odd."""
    from analysis.documents import failures_document

    with _job(Role.COLLECTION, overrides, collects=True, reads=False) as job:
        document = {"market": job.market, "failures": failures_document(job.failures)}
        job.run.document(document, SUMMARY)
        job.print_failures()
    return job.exit_code


_training = "families", "horizon", "folds", "trials", "retune", "seed", "jobs"
_source = "symbols", "bars", "exchanges", "timeframe"


@cli.command()
@_setting_options(*_source, "hours", *_training)
def nightly(**overrides: str | None) -> int:
    """Collect, train and register every symbol's families, explain the best, name the champions."""
    from analysis.documents import night_document
    from analysis.nightly import NightlyFeatureAnalysis
    from analysis.tables import champions_table, models_table
    from engine.night.champions import champion_models, choose_champions, name_champions
    from engine.night.symbols import train_symbols

    with _job(Role.NIGHT, overrides, collects=True) as job:
        with job.stage("train and register"):
            results, failures = job.run_engine(train_symbols, "Training")
            job.done = any(result.versions for result in results)
            job.add(failures)
            choices = [(r, choose_champions(job.library, r)) for r in results if r.versions]
        with job.stage("analyse"):
            analysis = NightlyFeatureAnalysis(job.library, job.settings).run_nightly_analysis(
                models={r.dataset.symbol: champion_models(r, cells) for r, cells in choices},
                datasets={r.dataset.symbol: r.dataset for r, _ in choices},
                night=job.run,
                progress=job.progress("Explaining"),
            )
            job.add(analysis.failures)
        with job.stage("name champions"):
            champions = [
                c for result, cells in choices for c in name_champions(job.library, result, cells)
            ]
        versions = [v for result in results for v in result.versions.values()]
        document = night_document(champions, versions, analysis, job.failures, job.seconds)
        job.run.document({**document, "market": job.market}, SUMMARY)
        job.out.print(models_table(analysis, ()))
        job.out.print(champions_table(champions, job.failures))
    return job.exit_code


@cli.command()
@_setting_options(*_source, "seed", "jobs")
def analyze(**overrides: str | None) -> int:
    """Explain the champions of every symbol, and compare its recent bars with its past."""
    from analysis.documents import analysis_document
    from analysis.nightly import NightlyFeatureAnalysis
    from analysis.tables import models_table

    with _job(Role.ANALYSIS, overrides) as job:
        with job.stage("analyse"):
            analysis = NightlyFeatureAnalysis(job.library, job.settings).run_nightly_analysis(
                symbols=job.settings.symbols or None,
                datasets=job.bars,
                night=job.run,
                progress=job.progress("Explaining"),
            )
            job.done = bool(analysis.models)
            job.add(analysis.failures)
        job.run.document(analysis_document(analysis, job.failures, job.seconds), SUMMARY)
        job.out.print(models_table(analysis, job.failures))
    return job.exit_code


@cli.command()
@_setting_options(*_source, *_training)
def train(**overrides: str | None) -> int:
    """Train, evaluate and register every symbol's families; champions stay as they are."""
    from analysis.tables import versions_table
    from engine.night.symbols import train_symbols

    with _job(Role.TRAINING, overrides) as job:
        results, failures = job.run_engine(train_symbols, "Training")
        job.done = any(result.versions for result in results)
        job.add(failures)
        job.out.print(versions_table(results, job.failures))
    return job.exit_code


@cli.command()
@_setting_options(*_source, *_training)
def tune(**overrides: str | None) -> int:
    """Search for hyperparameters and store the recipes; nothing is registered."""
    from analysis.tables import recipes_table
    from engine.night.symbols import tune_symbols

    with _job(Role.SEARCH, overrides) as job:
        results, failures = job.run_engine(tune_symbols, "Searching")
        job.done = bool(results)
        job.add(failures)
        job.out.print(recipes_table(results, job.failures))
    return job.exit_code


@dataclass
class _Job:
    """What every job has.

    Attributes:
        run: on which the job is logged.
        out: where people look.
        market: the collected series, for the summary; None if the job collects none.
        seconds: by stage.
        done: whether anything is done, so that failures are of a part only.
    """

    settings: Settings
    library: BrainLibrary
    run: Run
    out: Console
    bars: Mapping[str, Bars] = field(default_factory=dict)
    market: list[dict[str, Any]] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    done: bool = False
    _failures: dict[str, Failure] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """One a subject and part, the last."""
        return tuple(self._failures.values())

    @property
    def exit_code(self) -> int:
        if not self.failures:
            return 0
        return _PARTLY if self.done else _UNUSABLE

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note how long a stage took."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 2)

    def add(self, failures: Iterable[Failure]) -> None:
        """Add a stage's failures."""
        self._failures |= {failure.what: failure for failure in failures}

    def progress(self, title: str) -> Progress:
        from brain.console import progress

        return progress(title, self.out)

    def collect(self) -> None:
        """Make the series complete, as far as the exchanges allow."""
        from market.night import collect_market
        from registry.runs import Metric

        with self.stage("collect"):
            night = collect_market(self.library, self.settings, self.progress("Collecting"))
            self.run.metrics(Metric(key, value) for key, value in night.metrics().items())
            with tempfile.TemporaryDirectory(prefix="brain-") as scratch:
                night.report.write(scratch)
                self.run.artifacts(Path(scratch), MARKET)
        self.market = night.document()
        self.done = night.done
        self.add(night.failures)
        if night.report.records:
            self.out.print(night.report.table())

    def use(self, bars: BarSet) -> None:
        """Make these bars the job's; there must be some."""
        _require_bars(bars, self.failures)
        self.bars = bars.bars
        self.add(bars.failures)

    def run_engine(self, work: Callable[..., _Result], title: str) -> _Result:
        """The Engine's work on the bars, with funding and open interest where there are any."""
        from engine.data.market_series import read_all_market_series

        market = read_all_market_series(self.library, self.settings, self.bars)
        progress = self.progress(title)
        return work(self.library, self.settings, self.bars, self.run, progress, markets=market)

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
    from brain.console import console
    from brain.series.source import describe_source, read_bars, reads_store
    from brain.settings import load_settings
    from market.night import check_collection
    from registry.library import BrainLibrary

    settings = load_settings(overrides)
    library = BrainLibrary(settings.tracking_uri, series=settings.series, renamed=settings.renamed)
    library.check(settings.experiment)
    library.reap(after_hours=settings.reap_after_hours)
    bars = None
    if collects and (reads_store(settings) or not reads):
        check_collection(settings)
    elif reads:
        bars = read_bars(settings, library)
        _require_bars(bars, ())
    start = datetime.now(UTC)
    number = len(settings.symbols if bars is None else bars.bars)
    source = describe_source(settings) if reads else " and ".join(settings.exchanges)
    with library.start(
        settings.experiment,
        f"{role} {start:%Y-%m-%d %H:%M}",
        tags={Tag.ROLE: role},
        note=f"{role.capitalize()} of {number} symbols from {source}, {start:%c} UTC.",
    ) as run:
        run.params({f"setting.{k}": v for k, v in settings.run_parameters().items()})
        job = _Job(settings, library, run, console())
        if bars is None:
            job.collect()
        if reads:
            job.use(bars or read_bars(settings, library))
        yield job
        if job.failures:
            run.fail()


def _require_bars(bars: BarSet, failures: Sequence[Failure]) -> None:
    """Without any bars, raise an error that tells the failures."""
    if bars.bars:
        return
    faults = [str(failure.error) for failure in (*bars.failures, *failures)]
    more = [f"and {len(faults) - _MOST_FAULTS} more"] if len(faults) > _MOST_FAULTS else []
    raise InputError(" | ".join(faults[:_MOST_FAULTS] + more))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every expected error becomes one line on stderr and an exit code.

    Returns:
        The command's exit code; 2 if it can't do anything, 130 if it was interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A progress bar for each of a dozen small files would hide the job's.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # MLflow would print two links for each run, with the password that the server's address holds.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
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
        return _print_error(str(error), _UNUSABLE)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _ROOMS or "--debug" in arguments:
            raise
        cure = "this command needs it; pip install 'brain-library[platform]'"
        return _print_error(f"{error.name} is not installed, and {cure}", _UNUSABLE)


def _print_error(message: str, code: int) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
