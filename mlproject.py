"""The entry points that ``MLproject`` names, one function each. They compose and decide nothing.

``python -m mlproject nightly --symbols BTC/USD`` by hand; ``mlflow run . -e nightly`` otherwise.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from registry.errors import BrainError

__all__ = ["cli", "main"]

_UNUSABLE = 2  # what was asked for can't be done
_INTERRUPTED = 130
_AUTO = "auto"

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _settings(*names: str) -> Callable[[_Function], _Function]:
    """An option for each of these settings. Settings check the values; ``auto`` leaves them be."""

    def leave_be(_context: click.Context, _option: click.Parameter, value: str) -> str | None:
        return None if value == _AUTO else value

    def decorate(function: _Function) -> _Function:
        for name in reversed(names):
            option = click.option(
                f"--{name}", default=_AUTO, metavar="VALUE", callback=leave_be, show_default=True
            )
            function = option(function)
        return function

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show where an error came from.")
@click.option("--launcher", type=int, hidden=True, help="Process whose end is also the job's.")
def cli(debug: bool, launcher: int | None) -> None:
    """Train, judge and register models of market bars."""
    if launcher:
        from registry.processes import die_with_parent

        die_with_parent(launcher)


@cli.command()
def prepare() -> None:
    """Check the settings and the tracking store; a fresh store gets its schema."""
    from registry.library import BrainLibrary
    from registry.settings import load_settings

    settings = load_settings()
    BrainLibrary(settings.tracking_uri).check(settings.experiment)


@cli.command()
@_settings("symbols", "families", "bars", "horizon", "folds", "trials", "retune", "seed", "jobs")
def nightly(**given: str | None) -> int:
    """Train, judge and register every symbol's families; name the champions."""
    from engine.night import run_night

    return run_night(given)


@cli.command()
@_settings("symbols", "families", "bars", "horizon", "folds", "seed", "jobs")
def train(**given: str | None) -> int:
    """Refit the stored recipes without a search."""
    from engine.night import run_training

    return run_training(given)


@cli.command()
@_settings("symbols", "families", "bars", "horizon", "folds", "trials", "seed", "jobs")
def tune(**given: str | None) -> int:
    """Search for recipes and store them, without registering a model."""
    from engine.night import run_tuning

    return run_tuning(given)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every fault that we know becomes one line on stderr and an exit code.

    Returns:
        The command's exit code; 2 if it can't do what was asked, 130 if it was interrupted.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
