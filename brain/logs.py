"""Log lines for operators: time, level, night, run, symbol and family on each, as text or JSON.

Warnings and errors go to standard error in one line each; a file beside the store holds these, the
progress of a job, its failures and every traceback. All processes of a job append to the same file.
It is rotated when a job starts, so no job's lines are cut in two. No line holds a secret.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from brain.redact import redact

__all__ = [
    "FILE_ONLY",
    "Logs",
    "active_logs",
    "label",
    "labelled",
    "labels",
    "log_to",
    "start_logs",
]

#: What a line says beside time, level, logger and message, in this order.
LABELS = ("night", "run", "symbol", "family")

_ROTATE_BYTES = 10_000_000
_KEEP = 5
# Other libraries' progress is of no use to an operator.
_OURS = (
    *("brain", "registry", "market", "engine", "analysis", "serving", "jobs"),
    *("mlproject", "__main__"),
)

_labels: ContextVar[Mapping[str, str]] = ContextVar("log_labels", default={})  # noqa: B039


@dataclass(frozen=True)
class Logs:
    """Where the lines go, and their form.

    Attributes:
        file: to which all processes of the job append; None for none.
        as_json: an object a line rather than text.
    """

    file: Path | None = None
    as_json: bool = False


def labels() -> Mapping[str, str]:
    """The labels of lines that are logged here."""
    return _labels.get()


def label(**more: object) -> None:
    """Label the lines that are logged in this context from now on; empty values take labels off."""
    _labels.set({**_labels.get(), **{name: str(value) for name, value in more.items()}})


@contextmanager
def labelled(**more: object) -> Iterator[None]:
    """Label the lines that are logged in the block."""
    before = _labels.get()
    label(**more)
    try:
        yield
    finally:
        _labels.set(before)


_active: list[Logs] = []


def active_logs() -> Logs | None:
    """The logs of this process, for its workers; None if no job is at work."""
    return _active[-1] if _active else None


@contextmanager
def log_to(logs: Logs) -> Iterator[None]:
    """Log to these for as long as the block lasts; its error is the last line of the file."""
    if logs.file is not None:
        _rotate(logs.file)
    root, before = logging.getLogger(), logging.getLogger().level
    of_caller = _labels.get()
    handlers = _install(logs)
    try:
        yield
    except BaseException as error:
        text = redact(str(error)) or type(error).__name__
        logging.getLogger(__name__).error(
            "ended by %s: %s", type(error).__name__, text, exc_info=error, extra=FILE_ONLY
        )
        raise
    finally:
        _active.remove(logs)
        _labels.set(of_caller)
        root.setLevel(before)
        for handler in handlers:
            _remove(handler)


def start_logs(logs: Logs | None, of_caller: Mapping[str, str]) -> None:
    """Log to these in a worker process from now on, with the labels of its present call."""
    _labels.set(of_caller)
    if logs is None or logs in _active:
        return
    for handler in [h for h in logging.getLogger().handlers if isinstance(h, _Handler)]:
        _remove(handler)
    _active.clear()
    _install(logs)


#: Of a call of a logger: the line is for the file alone, as people see it elsewhere.
FILE_ONLY: Mapping[str, Any] = {"file_only": True}


def _install(logs: Logs) -> list[logging.Handler]:
    root = logging.getLogger()
    handlers: list[logging.Handler] = [_ErrorOutput()]
    fault = None
    if logs.file is not None:
        try:
            handlers.append(_File(logs.file))
        except OSError as error:
            fault = error.strerror
    for handler in handlers:
        form = _Json if logs.as_json else _Text
        handler.setFormatter(form(traces=isinstance(handler, _File)))
        root.addHandler(handler)
    root.setLevel(min(root.level, logging.INFO) or logging.INFO)
    _active.append(logs)
    if fault is not None:
        root.warning("no log is kept in %s: %s", logs.file, fault)
    return handlers


def _remove(handler: logging.Handler) -> None:
    logging.getLogger().removeHandler(handler)
    with suppress(OSError):  # its last line, on a full disk
        handler.close()


class _Handler(logging.Handler):
    """A handler of ours."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """A line that can't be written, on a full disk perhaps, is lost; the job goes on."""


class _ErrorOutput(_Handler):
    """Whatever standard error is when a line is written."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(record, "file_only", False)

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{self.format(record)}\n")
            sys.stderr.flush()


class _File(_Handler, WatchedFileHandler):
    """A file that another process may rotate."""

    def __init__(self, file: Path) -> None:
        WatchedFileHandler.__init__(self, file, encoding="utf-8", errors="backslashreplace")
        self.setLevel(logging.INFO)

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or record.name.partition(".")[0] in _OURS


class _Formatter(logging.Formatter):
    """The parts of a line.

    Args:
        traces: whether tracebacks are shown.
    """

    def __init__(self, *, traces: bool) -> None:
        super().__init__()
        self._traces = traces

    def parts(self, record: logging.LogRecord) -> dict[str, str]:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        of_record = {**labels(), **getattr(record, "labels", {})}
        return {
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            **{name: of_record.get(name, "") for name in LABELS},
            "logger": record.name,
            "message": redact(record.getMessage()),
        }

    def trace(self, record: logging.LogRecord) -> str:
        shown = self._traces and record.exc_info and record.exc_info[0]
        return redact(self.formatException(record.exc_info)) if shown and record.exc_info else ""


class _Text(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        parts = self.parts(record)
        labels = " ".join(f"{name}={parts[name] or '-'}" for name in LABELS)
        message = " ".join(parts["message"].split())
        line = f"{parts['time']} {parts['level']} {labels} {parts['logger']}: {message}"
        trace = self.trace(record)
        return f"{line}\n{trace}" if trace else line


class _Json(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        trace = self.trace(record)
        return json.dumps({**self.parts(record), **({"traceback": trace} if trace else {})})


def _rotate(file: Path) -> None:
    """Rename a file that has grown too large to ``.1``, and that to ``.2``, of which five stay."""
    with suppress(OSError):
        if file.stat().st_size < _ROTATE_BYTES:
            return
        names = [file, *(file.with_name(f"{file.name}.{n}") for n in range(1, _KEEP + 1))]
        for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            with suppress(FileNotFoundError):
                newer.replace(older)
