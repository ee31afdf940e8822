"""Jobs in the tests' process, with their output."""

from __future__ import annotations

import io
import re
import signal
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

import mlproject

#: Settings of nights that are about other things than models and their analysis: what costs little.
BRIEF = {
    "BRAIN_JOBS": "1",  # a worker process imports for seconds
    "BRAIN_SEEDS": "1",
    "BRAIN_EXPLAIN_ROWS": "100",
    "BRAIN_EXPLAIN_WINDOWS": "100",
    "BRAIN_DRIFT_COLUMNS": "2",
}
LOGGED = re.compile(r"\S+ \S+ (INFO|WARNING) mlflow\.|\S+Z WARNING night=")


@dataclass(frozen=True)
class Outcome:
    """A job's exit code and output."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """The lines on stderr without MLflow's and the warnings of ours."""
        return [line for line in self.err.splitlines() if not LOGGED.match(line)]

    @property
    def error(self) -> str:
        """The only line on stderr, which is an error message."""
        (line,) = self.complaints
        assert line.startswith("error: ")
        return line


def shorten(patch: pytest.MonkeyPatch, *, pictures: bool = False) -> None:
    """Let nights take little time: with brief settings, and without plots, which are half of it."""
    for name, value in BRIEF.items():
        patch.setenv(name, value)
    if not pictures:
        for place in (
            "analysis.drift_report._report",
            "analysis.figures.write_figures",
            "analysis.profit._write_figure",
        ):
            patch.setattr(place, lambda *_: None)


def enter(folder: Path, dsn: str, patch: pytest.MonkeyPatch, *, pictures: bool = False) -> None:
    """Run jobs in a folder, on a store, with little analysis."""
    patch.chdir(folder)
    patch.delenv("MLFLOW_RUN_ID", raising=False)
    patch.setenv("MLFLOW_TRACKING_URI", dsn)
    shorten(patch, pictures=pictures)


def run_job(*arguments: str) -> Outcome:
    """Run a job in this process."""
    out, err = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = mlproject.main(arguments)
    finally:
        signal.signal(signal.SIGTERM, handler)
    return Outcome(code, out.getvalue(), err.getvalue())
