"""The entry points that ``MLproject`` names, one function each; they only compose the rooms.

``brain nightly --symbols BTC/USD`` where the project is installed, ``python -m mlproject`` in a
checkout; ``mlflow run . -e nightly`` otherwise.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from brain.addresses import refuse_ambiguous
from brain.artifacts import PROMOTION, SUMMARY
from brain.errors import BrainError, LeaseError
from brain.garbage import collect_seldom
from brain.logs import Logs, log_to
from brain.naming import Role
from brain.patience import PATIENCE
from brain.redact import redact, redacted_output
from brain.work import Failure
from jobs.job import PARTLY, UNUSABLE
from jobs.opening import job_log, open_job
from serving.http.settings import OPTIONS as SERVE_OPTIONS

try:
    import click
except ModuleNotFoundError:
    # The base install is the executor's, and has no commands.
    sys.exit("error: commands need click; pip install 'brain-library[platform]'")

if TYPE_CHECKING:
    from rich.console import Console

    from brain.champion_source import ChampionSource
    from brain.settings import Settings
    from serving.bars import Bar

__all__ = ["cli", "main"]

_HTTP = ("http://", "https://")
_HELD = 3  # another night is at work
_INTERRUPTED = 130
_AUTO = "auto"
_ROOMS = ("brain", "registry", "market", "engine", "analysis", "serving", "jobs")
_ALIASES = {"exchanges": ("--exchange",)}  # what people write for one

_Function = TypeVar("_Function", bound=Callable[..., Any])


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

    with open_job(Role.COLLECTION, overrides, collects=True, reads=False) as job:
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
    with job_log(settings):
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
    with job_log(settings):
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

    settings = load_settings(overrides)
    with job_log(settings):
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

    with open_job(Role.NIGHT, overrides, collects=True) as job:
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

    with open_job(Role.ANALYSIS, overrides) as job:
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

    with open_job(Role.TRAINING, overrides) as job:
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

    with open_job(Role.SEARCH, overrides) as job:
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
    with open_job(Role.REPLAY, own) as job:
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
    return PARTLY if differences else 0


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
    collect_seldom()
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
        return _print_error(str(error), _HELD if isinstance(error, LeaseError) else UNUSABLE)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _ROOMS or "--debug" in arguments:
            raise
        cure = "this command needs it; pip install 'brain-library[platform]'"
        return _print_error(f"{error.name} is not installed, and {cure}", UNUSABLE)


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
