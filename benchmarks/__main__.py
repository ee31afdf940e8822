"""``python -m benchmarks NAME``: measure, print, write, and exit with 1 if a target is missed."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks.frame import Benchmark, Report
from benchmarks.report import as_document, as_table, beside_table, with_parts
from brain.console import console
from brain.errors import BrainError, InputError, did_you_mean

__all__ = ["BENCHMARKS", "load", "main"]

#: The benchmarks, each with a line of help. The module of the same name has its ``BENCHMARK``.
BENCHMARKS = {
    "choices": "the choices of target, loss, features and horizon, on the sample and on other bars",
    "confidence": "calibration of the confidence in cells, simulated and on the sample",
    "imports": "an import of a million rows beside the store's own upsert of the same rows",
    "memory": "the memory of a night of many symbols, beside that of a night of few",
    "market": "the series store beside PostgreSQL: upserts into and readings from a million rows",
    "nightly": "the night on the packaged sample, beside the same night as tutorials do it",
    "promotion": "error rate and power of the trial that makes champions, on simulated nights",
    "sentiment": "scorers of posts on labelled text: precision, recall and speed",
    "serving": "decisions, scores, memory and HTTP of an executor, beside tutorials and MLflow",
    "streams": "bursts of liquidations from three exchanges, beside ccxt.pro's watch_liquidations",
    "seeds": "signs that a day of new bars changes, and costs, of models of several seeds",
}

_MISSED = 1
_UNUSABLE = 2
_INTERRUPTED = 130


def load(name: str) -> Benchmark:
    """The benchmark of that name."""
    benchmark: Benchmark = importlib.import_module(f"benchmarks.{name}").BENCHMARK
    return benchmark


def main(arguments: Sequence[str] | None = None, load: Callable[[str], Benchmark] = load) -> int:
    """Run a benchmark by name.

    Returns:
        0 if all targets hold or no benchmark is named, 1 if one is missed, 2 if it can't be run.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    out = console()
    if not arguments or arguments[0] in {"-h", "--help"}:
        out.print("python -m benchmarks NAME [--runs N] [--help]", markup=False)
        for name, about in BENCHMARKS.items():
            out.print(f"  {name:<10} {about}", markup=False)
        return 0
    try:
        name = arguments.pop(0)
        if name not in BENCHMARKS:
            raise InputError(
                f"there is no benchmark {name!r}; {did_you_mean(name, list(BENCHMARKS))}"
            )
        command = _command(name, load(name), out)
        return int(
            command.main(arguments, prog_name=f"benchmarks {name}", standalone_mode=False) or 0
        )
    except click.ClickException as error:
        return _print_error(error.format_message())
    except BrainError as error:
        return _print_error(str(error))
    except (KeyboardInterrupt, click.Abort):
        _print_error("interrupted")
        return _INTERRUPTED


def _command(name: str, benchmark: Benchmark, out: Console) -> click.Command:
    def run(runs: int, json_path: Path, **options: Any) -> int:
        report = benchmark.measure(runs=runs, **options)
        out.print(as_table(name, report))
        if report.beside:
            out.print(beside_table(report))
        for note in report.notes:
            out.print(f"- {note}", markup=False)
        _write(json_path, name, report, {"runs": runs, **options}, tuple(benchmark.versions))
        out.print(f"Written to {json_path}", markup=False)
        for metric in report.missed:
            _print_error(f"{metric.name}: {metric.target} is missed")
        return _MISSED if report.missed else 0

    return click.Command(
        name,
        callback=run,
        help=BENCHMARKS[name].capitalize() + ".",
        context_settings={"help_option_names": ["-h", "--help"]},
        params=[
            click.Option(
                ["--runs"],
                type=click.IntRange(min=1),
                default=benchmark.runs,
                show_default=True,
                help="how often each side runs, in turn",
            ),
            click.Option(
                ["--json", "json_path"],
                type=click.Path(dir_okay=False, path_type=Path),
                default=Path(__file__).parent / "results" / f"{name}.json",
                help="where the metrics are written  [default: benchmarks/results/]",
            ),
            *benchmark.options,
        ],
    )


def _write(
    path: Path, name: str, report: Report, options: dict[str, Any], versions: tuple[str, ...]
) -> None:
    """Write a report; of one in parts, beside the parts that are in the file and not in it."""

    def document(each: Report) -> dict[str, Any]:
        return as_document(name, each, options, versions)

    if report.parts:
        former = None
        with suppress(OSError, ValueError):  # there is none, or it is torn
            former = json.loads(path.read_text())
        content = with_parts(name, report, former, document)
    else:
        content = document(report)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, default=str) + "\n")


def _print_error(message: str) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return _UNUSABLE


if __name__ == "__main__":
    sys.exit(main())
