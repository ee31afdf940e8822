"""Jobs run in the tests' own process, and what they said."""

from __future__ import annotations

import io
import re
import signal
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import mlproject

LOGGED = re.compile(r"\S+ \S+ (INFO|WARNING) mlflow\.")


@dataclass(frozen=True)
class Outcome:
    """What a job said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """The lines on stderr, what MLflow logs left aside."""
        return [line for line in self.err.splitlines() if not LOGGED.match(line)]

    @property
    def error(self) -> str:
        """The one line on stderr that says what is wrong."""
        (line,) = self.complaints
        assert line.startswith("error: ")
        return line


def run_job(*arguments: str) -> Outcome:
    """A job in this process."""
    out, err = io.StringIO(), io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = mlproject.main(arguments)
    finally:
        signal.signal(signal.SIGTERM, handler)
    return Outcome(code, out.getvalue(), err.getvalue())
