"""Checks before a night: their form, how they run, their table, and checks of folders.

A check is a row: its name, its state, a detail and the cure of a fault. Secrets of the environment
and passwords in addresses are replaced in every row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Thread

from rich.table import Table
from rich.text import Text

from brain.disk import existing_folder, free_bytes
from brain.errors import BrainError
from brain.redact import redact
from brain.scratch import FILE, owned_prefix

__all__ = [
    "CONFIGURATION",
    "Check",
    "State",
    "checks_table",
    "failed",
    "folder_check",
    "folder_fault",
    "ok",
    "run_checks",
    "skipped",
    "verdict",
]

#: Name of the checks of the configuration, whose faults have an exit code of their own.
CONFIGURATION = "configuration"

_SECONDS = 30.0
_COLOURS = {"ok": "green", "failed": "bold red", "skipped": "yellow"}


class State(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes:
        name: of the thing.
        state: of the thing.
        detail: the observation, without passwords, keys and tokens.
        cure: the remedy; empty if none is needed.
    """

    name: str
    state: State
    detail: str
    cure: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "detail", "cure"):
            object.__setattr__(self, name, redact(getattr(self, name)))


def ok(name: str, detail: str) -> Check:
    """A check without a fault."""
    return Check(name, State.OK, detail)


def skipped(name: str, reason: BrainError | str, cure: str = "") -> Check:
    """A check that can't be made, and why."""
    return Check(name, State.SKIPPED, *_detail_and_cure(reason, cure))


def failed(name: str, fault: BrainError | str, cure: str = "") -> Check:
    """A check with a fault.

    Args:
        name: of the check.
        fault: a text or one of our errors, whose message has the cure after its last semicolon.
        cure: of the fault; the error's if empty.
    """
    return Check(name, State.FAILED, *_detail_and_cure(fault, cure))


def _detail_and_cure(fault: BrainError | str, cure: str) -> tuple[str, str]:
    if cure or not isinstance(fault, BrainError):
        return str(fault), cure
    detail, _, last = str(fault).rpartition("; ")
    return (detail, last) if detail else (last, "")


def run_checks(
    parts: Mapping[str, Callable[[], Iterable[Check]]], *, seconds: float = _SECONDS
) -> list[Check]:
    """Run all parts at once.

    Args:
        parts: functions that yield checks, by name. One of our errors that a part raises is a
            failed check.
        seconds: time limit. A part that has not ended by then is abandoned; a failed check follows
            the checks that it has yielded.

    Returns:
        The checks in the order of the parts.
    """
    running = [_Part(name, part) for name, part in parts.items()]
    wait([part.ended for part in running], timeout=seconds)
    checks: list[Check] = []
    for part in running:
        checks += list(part.checks)
        if not part.ended.done():
            fault = f"no end within {seconds:g} seconds"
            cure = "look whether a network or firewall swallows requests"
            checks.append(failed(part.name, fault, cure))
        elif error := part.ended.exception():
            if not isinstance(error, BrainError):
                raise error
            checks.append(failed(part.name, error))
    return checks


class _Part:
    """A running part, in a daemon thread."""

    def __init__(self, name: str, function: Callable[[], Iterable[Check]]) -> None:
        self.name = name
        self.checks: list[Check] = []
        self.ended: Future[None] = Future()
        self._function = function
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            for check in self._function():
                self.checks.append(check)
        except BaseException as error:  # noqa: BLE001 (run_checks raises it again)
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)


def verdict(checks: Iterable[Check]) -> int:
    """The exit code: 0 if no check failed, 2 if the configuration's failed, else 1."""
    faults = [check.name for check in checks if check.state == State.FAILED]
    if not faults:
        return 0
    return 2 if CONFIGURATION in faults else 1


def checks_table(checks: Iterable[Check]) -> Table:
    """The checks, a row each."""
    table = Table("check", "state", "detail", "cure", box=None, pad_edge=False)
    for check in checks:
        state = Text(check.state, style=_COLOURS[check.state])
        table.add_row(Text(check.name), state, Text(check.detail), Text(check.cure))
    return table


def folder_check(name: str, folder: Path) -> Check:
    """Check that files can be written to a folder."""
    if fault := folder_fault(folder):
        return failed(name, fault, "make the folder writable, or name another one")
    free = free_bytes(folder)
    ability = "can be written" if folder.exists() else "can be made"
    return ok(name, f"{folder} {ability}; {free / 1e9:.1f} GB are free")


def folder_fault(folder: Path) -> str | None:
    """Why a folder can't be written to, or can't be created; None if it can.

    The folder is not created, and no file stays behind.
    """
    existing = existing_folder(folder)
    try:
        with tempfile.TemporaryDirectory(dir=existing, prefix=owned_prefix(FILE)):
            pass
    except OSError as error:
        return f"nothing can be written to {folder}: {error.strerror} ({existing})"
    return None
