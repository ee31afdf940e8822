"""Checks that tell in a minute what a night would trip over: their form, and the configuration's.

A check is a row: what was looked at, how it is, what was seen and what to do about it. No row shows
a secret, whoever has written it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Thread

from rich.table import Table
from rich.text import Text

from brain.errors import BrainError, SettingsError
from brain.redact import redact
from brain.series.bars import parse_timeframe
from brain.settings import Settings, load_settings

__all__ = [
    "Check",
    "State",
    "check_configuration",
    "checks_table",
    "failed",
    "folder_check",
    "folder_fault",
    "ok",
    "run_checks",
    "skipped",
    "verdict",
]

_CONFIGURATION = "configuration"
_SECONDS = 30.0
_SECRET_NAMES = re.compile(r"SECRET|TOKEN|PASSWORD|PASSPHRASE|CREDENTIAL|(ACCESS|API|PRIVATE)_?KEY")
_LEAST_SECRET = 4  # shorter values are words that may stand anywhere
_COLOURS = {"ok": "green", "failed": "bold red", "skipped": "yellow"}


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: how it is.
        detail: what was seen, without passwords, keys and tokens.
        cure: what to do; empty if nothing.
    """

    name: str
    state: State
    detail: str
    cure: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "detail", "cure"):
            object.__setattr__(self, name, _without_secrets(getattr(self, name)))


def ok(name: str, detail: str) -> Check:
    """A check that found everything as it should be."""
    return Check(name, State.OK, detail)


def skipped(name: str, why: BrainError | str, cure: str = "") -> Check:
    """A check that had nothing to look at."""
    return Check(name, State.SKIPPED, *_split(why, cure))


def failed(name: str, fault: BrainError | str, cure: str = "") -> Check:
    """A check that found a fault.

    Args:
        name: of the check.
        fault: what is wrong. Our errors tell the cure themselves, behind their last semicolon.
        cure: instead of the one that the error tells.
    """
    return Check(name, State.FAILED, *_split(fault, cure))


def _split(fault: BrainError | str, cure: str) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    if cure or not isinstance(fault, BrainError):
        return str(fault), cure
    said, _, told = str(fault).rpartition("; ")
    return (said, told) if said else (told, "")


def check_configuration() -> tuple[Settings | None, list[Check]]:
    """The settings, None if they can't be read, and what was found.

    That exchanges are known is looked at by :func:`market.checks.check_exchanges`.
    """
    name = _CONFIGURATION
    try:
        settings = load_settings()
    except SettingsError as error:
        cure = "correct it on the command line, in the environment or in brain.toml"
        return None, [failed(name, str(error), cure)]
    try:
        parse_timeframe(settings.timeframe)
    except BrainError as error:
        return settings, [failed(name, f"timeframe: {error}", "set timeframe to one of these")]
    if settings.bars is not None and not settings.bars.is_dir():
        fault = f"bars={str(settings.bars)!r} is no folder"
        return settings, [failed(name, fault, "name a folder of bars, or none for the sample")]
    given = sorted(settings.model_fields_set)
    return settings, [ok(name, f"set: {', '.join(given)}" if given else "all settings as usual")]


def run_checks(
    parts: Mapping[str, Callable[[], Iterable[Check]]], *, seconds: float = _SECONDS
) -> list[Check]:
    """Everything at once, in the order of the parts.

    Args:
        parts: what to call, by name. One of our errors that it raises is a failed check.
        seconds: how long to wait. What has not ended by then is a failed check beside those that
            the part has given, and abandoned.
    """
    running = [_Part(name, part) for name, part in parts.items()]
    wait([part.ended for part in running], timeout=seconds)
    found: list[Check] = []
    for part in running:
        found += list(part.found)
        if not part.ended.done():
            fault = f"no end within {seconds:g} seconds"
            cure = "look whether a network or firewall swallows requests"
            found.append(failed(part.name, fault, cure))
        elif error := part.ended.exception():
            if not isinstance(error, BrainError):
                raise error
            found.append(failed(part.name, error))
    return found


class _Part:
    """A part under way, in a thread that the end of the process does not wait for."""

    def __init__(self, name: str, checks: Callable[[], Iterable[Check]]) -> None:
        self.name = name
        self.found: list[Check] = []
        self.ended: Future[None] = Future()
        self._checks = checks
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            for check in self._checks():
                self.found.append(check)
        except BaseException as error:  # noqa: BLE001 (raised again where it is waited for)
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)


def verdict(checks: Iterable[Check]) -> int:
    """The exit code: 0 if nothing failed, 2 if the configuration did, else 1."""
    faults = [check.name for check in checks if check.state == State.FAILED]
    if not faults:
        return 0
    return 2 if _CONFIGURATION in faults else 1


def checks_table(checks: Iterable[Check]) -> Table:
    """The checks, a row each."""
    table = Table("check", "state", "detail", "cure", box=None, pad_edge=False)
    for check in checks:
        state = Text(check.state, style=_COLOURS[check.state])
        table.add_row(Text(check.name), state, Text(check.detail), Text(check.cure))
    return table


def folder_check(name: str, folder: Path, least_free: int = 0) -> Check:
    """Whether files can be written to a folder, and enough bytes are free there."""
    if fault := folder_fault(folder):
        return failed(name, fault, "make the folder writable, or name another one")
    free = _free_bytes(folder)
    if free < least_free:
        fault = f"only {free / 1e6:.0f} MB are free at {folder}"
        return failed(name, fault, "free some space, or name another folder")
    made = "can be written" if folder.exists() else "can be made"
    return ok(name, f"{folder} {made}; {free / 1e9:.1f} GB are free")


def folder_fault(folder: Path) -> str | None:
    """Why nothing can be written to a folder, or could be if it were made; None if it can.

    Nothing is left behind, a folder that does not exist neither.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryDirectory(dir=there, prefix=".check-"):
            pass
    except OSError as error:
        return f"nothing can be written to {folder}: {error.strerror} ({there})"
    return None


def _free_bytes(folder: Path) -> int:
    """Bytes that are free where a folder is or would be."""
    there = folder
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def _without_secrets(text: str) -> str:
    for name, value in os.environ.items():
        if len(value) >= _LEAST_SECRET and _SECRET_NAMES.search(name.upper()):
            text = text.replace(value, "***")
    return redact(text)
