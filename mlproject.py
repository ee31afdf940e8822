"""The entry points that ``MLproject`` names, one function each. They compose and decide nothing.

``python -m mlproject nightly --symbols BTC/USD`` by hand; ``mlflow run . -e nightly`` otherwise.
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

import click

from brain.artifacts import MARKET, SUMMARY
from brain.errors import BrainError, InputError
from brain.naming import Role, Tag
from brain.work import Failure, Progress

if TYPE_CHECKING:
    from rich.console import Console

    from brain.series.bars import Bars
    from brain.series.files import BarSet
    from brain.settings import Settings
    from brain.work import Failure
    from registry.library import BrainLibrary
    from registry.runs import Run

__all__ = ["cli", "main"]

_PARTLY = 1  # some symbols or families failed, the others are done
_UNUSABLE = 2  # what was asked for can't be done
_INTERRUPTED = 130
_SHOWN = 3  # faults that one line can tell
_AUTO = "auto"
_ALSO = {"exchanges": ("--exchange",)}  # what people write for one

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Done = TypeVar("_Done")


def _settings(*names: str) -> Callable[[_Function], _Function]:
    """An option for each of these settings. Settings check the values; ``auto`` leaves them be."""

    def leave_be(_context: click.Context, _option: click.Parameter, value: str) -> str | None:
        return None if value == _AUTO else value

    def decorate(function: _Function) -> _Function:
        for name in reversed(names):
            spellings = [f"--{name}", *_ALSO.get(name, ())]
            option = click.option(
                *spellings, default=_AUTO, metavar="VALUE", callback=leave_be, show_default=True
            )
            function = option(function)
        return function

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show where an error came from.")
@click.option("--launcher", type=int, hidden=True, help="Process whose end is also the job's.")
def cli(debug: bool, launcher: int | None) -> None:
    """Collect market data; train, judge, register and explain models of it."""
    if launcher:
        from brain.processes import die_with_parent

        die_with_parent(launcher)


@cli.command()
def prepare() -> None:
    """Check settings and tracking store, whose schema is made; print both for a shell.

    What is printed holds the password that the store's address may hold.
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
    from brain.checks import check_configuration, checks_table, run_checks, verdict
    from brain.console import console
    from brain.series.store.checks import check_series
    from market.checks import check_exchanges
    from registry.checks.library import check_library

    settings, found = check_configuration()
    if settings is not None:
        found += run_checks(
            {
                "Brain Library": partial(check_library, settings),
                "series store": partial(check_series, settings.series),
                "exchanges": partial(check_exchanges, settings, live=live),
            }
        )
    console().print(checks_table(found))
    return verdict(found)


@cli.command()
@_settings("exchanges", "symbols", "hours", "timeframe")
def collect(**given: str | None) -> int:
    """Collect candles, funding and open interest, and say what is missing or odd."""
    from analysis.summary import failures_document

    with _job(Role.COLLECTION, given, collects=True, reads=False) as job:
        document = {"market": job.market, "failures": failures_document(job.failures)}
        job.run.document(document, SUMMARY)
        job.tell_failures()
    return job.exit_code


_training = "families", "horizon", "folds", "trials", "retune", "seed", "jobs"
_source = "symbols", "bars", "exchanges", "timeframe"


@cli.command()
@_settings(*_source, "hours", *_training)
def nightly(**given: str | None) -> int:
    """Collect, train and register every symbol's families, explain the best, name the champions."""
    from analysis.nightly import NightlyFeatureAnalysis
    from analysis.summary import champions_table, models_table, night_document
    from engine.night.champions import champion_models, choose_champions, name_champions
    from engine.night.symbols import train_symbols

    with _job(Role.NIGHT, given, collects=True) as job:
        with job.stage("train and register"):
            results, failed = job.engine(train_symbols, "Training")
            job.add(done=any(result.versions for result in results), failed=failed)
            chosen = [(r, choose_champions(job.library, r)) for r in results if r.versions]
        with job.stage("analyse"):
            analysed = NightlyFeatureAnalysis(job.library, job.settings).run_nightly_analysis(
                models={r.dataset.symbol: champion_models(r, cells) for r, cells in chosen},
                datasets={r.dataset.symbol: r.dataset for r, _ in chosen},
                night=job.run,
                progress=job.progress("Explaining"),
            )
            job.add(done=job.done, failed=analysed.failures)
        with job.stage("name champions"):
            champions = [
                c for result, cells in chosen for c in name_champions(job.library, result, cells)
            ]
        versions = [v for result in results for v in result.versions.values()]
        document = night_document(champions, versions, analysed, job.failures, job.seconds)
        job.run.document({**document, "market": job.market}, SUMMARY)
        job.out.print(models_table(analysed, ()))
        job.out.print(champions_table(champions, job.failures))
    return job.exit_code


@cli.command()
@_settings(*_source, "seed", "jobs")
def analyze(**given: str | None) -> int:
    """Explain the champions of every symbol, and compare its recent bars with its past."""
    from analysis.nightly import NightlyFeatureAnalysis
    from analysis.summary import analysis_document, models_table

    with _job(Role.ANALYSIS, given) as job:
        with job.stage("analyse"):
            analysed = NightlyFeatureAnalysis(job.library, job.settings).run_nightly_analysis(
                symbols=job.settings.symbols or None,
                datasets=job.bars,
                night=job.run,
                progress=job.progress("Explaining"),
            )
            job.add(done=bool(analysed.models), failed=analysed.failures)
        job.run.document(analysis_document(analysed, job.failures, job.seconds), SUMMARY)
        job.out.print(models_table(analysed, job.failures))
    return job.exit_code


@cli.command()
@_settings(*_source, *_training)
def train(**given: str | None) -> int:
    """Train, judge and register every symbol's families; champions stay as they are."""
    from analysis.summary import versions_table
    from engine.night.symbols import train_symbols

    with _job(Role.TRAINING, given) as job:
        results, failed = job.engine(train_symbols, "Training")
        job.add(done=any(result.versions for result in results), failed=failed)
        job.out.print(versions_table(results, job.failures))
    return job.exit_code


@cli.command()
@_settings(*_source, *_training)
def tune(**given: str | None) -> int:
    """Search for hyperparameters and store the recipes; nothing is registered."""
    from analysis.summary import recipes_table
    from engine.night.symbols import tune_symbols

    with _job(Role.SEARCH, given) as job:
        found, failed = job.engine(tune_symbols, "Searching")
        job.add(done=bool(found), failed=failed)
        job.out.print(recipes_table(found, job.failures))
    return job.exit_code


@dataclass
class _Job:
    """What every job has: settings, library, bars and run; what went wrong, if not everything.

    Attributes:
        market: the collected series, for the summary; None if nothing was to be collected.
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
        """What failed; of what failed twice, the last."""
        return tuple(self._failures.values())

    @property
    def exit_code(self) -> int:
        if not self.failures:
            return 0
        return _PARTLY if self.done else _UNUSABLE

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note how long a stage took."""
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 2)

    def add(self, *, done: bool, failed: Iterable[Failure]) -> None:
        self.done = done
        self._failures |= {failure.what: failure for failure in failed}

    def progress(self, title: str) -> Progress:
        from brain.console import progress

        return progress(title, self.out)

    def collect(self) -> None:
        """Make the series complete, as far as the exchanges let us."""
        from market.night import collect_market
        from registry.runs import Metric

        with self.stage("collect"):
            night = collect_market(self.library, self.settings, self.progress("Collecting"))
            self.run.metrics(Metric(key, value) for key, value in night.metrics().items())
            with tempfile.TemporaryDirectory(prefix="brain-") as scratch:
                night.report.write(scratch)
                self.run.artifacts(Path(scratch), MARKET)
        self.market = night.document()
        self.add(done=night.done, failed=night.failures)
        if night.report.records:
            self.out.print(night.report.table())

    def take(self, read: BarSet) -> None:
        """Work on these bars."""
        _refuse_none(read, self.failures)
        self.bars = read.bars
        self.add(done=self.done, failed=read.failures)

    def engine(self, work: Callable[..., _Done], title: str) -> _Done:
        """A work of the Engine on the bars, with funding and open interest where there are any."""
        from engine.data.market_series import read_all_market_series

        market = read_all_market_series(self.library, self.settings, self.bars)
        progress = self.progress(title)
        return work(self.library, self.settings, self.bars, self.run, progress, markets=market)

    def tell_failures(self) -> None:
        for failure in self.failures:
            self.out.print(str(failure), style="red", markup=False)


@contextmanager
def _job(
    role: Role, given: Mapping[str, str | None], *, collects: bool = False, reads: bool = True
) -> Iterator[_Job]:
    """Everything that can be refused is refused before the run is started.

    Args:
        collects: whether series are collected first, if bars are to come from these.
        reads: whether bars are worked on.
    """
    from brain.console import console
    from brain.series.source import describe_source, is_collected, read_bars
    from brain.settings import load_settings
    from market.night import check_askable
    from registry.library import BrainLibrary

    settings = load_settings(given)
    library = BrainLibrary(settings.tracking_uri, series=settings.series, renamed=settings.renamed)
    library.check(settings.experiment)
    library.reap(after_hours=settings.reap_after_hours)
    bars = None
    if collects and (is_collected(settings) or not reads):
        check_askable(settings)
    elif reads:
        bars = read_bars(settings, library)
        _refuse_none(bars, ())
    started = datetime.now(UTC)
    number = len(settings.symbols if bars is None else bars.bars)
    source = describe_source(settings) if reads else " and ".join(settings.exchanges)
    with library.start(
        settings.experiment,
        f"{role} {started:%Y-%m-%d %H:%M}",
        tags={Tag.ROLE: role},
        note=f"{role.capitalize()} of {number} symbols from {source}, {started:%c} UTC.",
    ) as run:
        run.params({f"setting.{k}": v for k, v in settings.shown().items()})
        job = _Job(settings, library, run, console())
        if bars is None:
            job.collect()
        if reads:
            job.take(bars or read_bars(settings, library))
        yield job
        if job.failures:
            run.fail()


def _refuse_none(read: BarSet, failures: Sequence[Failure]) -> None:
    """Without any bars, say why."""
    if read.bars:
        return
    faults = [str(failure.error) for failure in (*read.failures, *failures)]
    more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
    raise InputError(" | ".join(faults[:_SHOWN] + more))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every fault that we know becomes one line on stderr and an exit code.

    Returns:
        The command's exit code; 2 if it can't do what was asked, 130 if it was interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A bar for each of a dozen small files would drown our own.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # MLflow would print two links for each run, with the password that the server's address holds.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        return int(cli.main(arguments, prog_name="mlproject", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _tell(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _tell("interrupted", _INTERRUPTED)
    except BrainError as error:
        if "--debug" in arguments:
            raise
        return _tell(str(error), _UNUSABLE)


def _tell(message: str, code: int) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
