"""The folder that relative paths start from: where a job was started, not where its code lies."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from brain.errors import InputError, SettingsError

__all__ = [
    "FOLDER",
    "SETTINGS_FILE",
    "absolute",
    "artifact_address",
    "bars_folder",
    "enter_folder",
    "frames_folder",
    "log_address",
    "series_address",
    "start_hint",
    "tracking_address",
]

#: Names that folder in the environment, where the one that a job was started in can't be used.
FOLDER = "BRAIN_FOLDER"

#: The settings file in that folder.
SETTINGS_FILE = "brain.toml"

_CURE = f"name the folder that they start from as {FOLDER}=/ABSOLUTE/PATH"
# An SQLite file by a relative path; other addresses are absolute, or have no path.
_RELATIVE_FILE = re.compile(r"(?P<scheme>sqlite(?:\+\w+)?:///)(?!/|:memory:|file:)(?P<path>[^?]+)")

logger = logging.getLogger(__name__)


def enter_folder(launcher: int) -> None:
    """Work in the folder in which ``mlflow run`` was started, or in that of the environment.

    MLflow starts an entry point in the project's folder, which is a temporary checkout if the
    project is a git repository, and the shell between overwrites ``PWD``: the launcher's own
    working folder alone tells where people are. Settings file, bars, series and tracking store are
    looked for there; code is imported from the project.

    Args:
        launcher: process id of ``mlflow run``.

    Raises:
        SettingsError: the folder is unknown or can't be entered.
    """
    project, folder = Path.cwd(), os.environ.get(FOLDER) or _folder_of(launcher)
    if not Path(folder).is_absolute():
        raise SettingsError(f"{FOLDER}={folder!r} is a relative path; {_CURE}")
    try:
        os.chdir(folder)
    except OSError as error:
        fault = f"relative paths start from {folder}, which can't be entered ({error.strerror})"
        raise SettingsError(f"{fault}; {_CURE}") from error
    unread = project / SETTINGS_FILE
    if unread.is_file() and not project.samefile(folder):
        logger.warning(
            "%s is not read, as the job was started in %s; to use it, set BRAIN_SETTINGS=%s",
            unread, folder, unread,
        )  # fmt: skip


def _folder_of(launcher: int) -> str:
    import psutil

    try:
        return psutil.Process(launcher).cwd()
    except (psutil.Error, OSError) as error:
        raise SettingsError(
            f"the folder that `mlflow run` was started in is unknown ({error}), and relative paths "
            f"start from it; {_CURE}"
        ) from error


def absolute(path: str | Path) -> Path:
    """The path from the root on; ``~`` is the home folder, ``..`` stays so that people know it.

    Raises:
        InputError: it is of the home of a user that there is none of.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise InputError(f"{str(path)!r}: {error}; write the path from the root on") from error


def start_hint(path: Path) -> str:
    """Where relative paths start from, if the path may have been one; empty otherwise."""
    folder = Path.cwd()
    return f" (relative paths start from {folder})" if path.is_relative_to(folder) else ""


def bars_folder(value: object) -> object:
    """The absolute path of a folder of bars; other values than texts and paths as they are.

    Raises:
        InputError: the text is empty, or an address.
    """
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    if not text.strip():
        raise InputError("this names no folder; name one, or leave it out for the packaged sample")
    if "://" in text:
        raise InputError("bars are read from a folder of this machine; copy them to one")
    return absolute(text)


def series_address(value: object) -> object:
    """The absolute path of a folder of series, or an S3 store's address as it is.

    Raises:
        InputError: it is neither.
    """
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    if text.startswith(("s3://", "s3a://")):
        return text
    if "://" in text:
        raise InputError(
            f"series can't be kept at an address of {text.partition('://')[0]!r}; give a folder "
            "or s3://bucket/prefix"
        )
    if not text.strip():
        raise InputError(f"{text!r} names no series store; give a folder or s3://bucket/prefix")
    return str(absolute(text))


def replays_folder(value: object) -> object:
    """The absolute path of the folder of replays; other values than texts and paths as they are.

    Raises:
        InputError: the text is empty, or an address.
    """
    return _local_folder(
        value,
        "replays are kept on this machine: name a folder, or leave it out for the one beside "
        "the store",
    )


def frames_folder(value: object) -> object:
    """As :func:`brain.folders.replays_folder`, of a stream's recording."""
    return _local_folder(
        value, "a stream records on this machine: name a folder, or leave it out for ./frames"
    )


def _local_folder(value: object, cure: str) -> object:
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    if not text.strip() or "://" in text:
        raise InputError(f"{text!r} is no folder; {cure}")
    return absolute(text)


def artifact_address(value: object) -> object:
    """An artifact root as MLflow stores it: a folder by its absolute ``file://`` address.

    Raises:
        InputError: it is empty.
    """
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    if not text.strip():
        raise InputError("this names no place; give a folder or s3://bucket/prefix")
    return text.rstrip("/") if "://" in text else absolute(text).as_uri()


def log_address(value: object) -> object:
    """The absolute path of a log's file; ``auto`` and ``none`` as they are.

    Raises:
        InputError: it is an address.
    """
    if not isinstance(value, str | Path) or str(value) in {"auto", "none"}:
        return value
    if "://" in str(value) or not str(value).strip():
        raise InputError("a log is a file of this machine; give its path, auto or none")
    return str(absolute(value))


def tracking_address(value: object) -> object:
    """A tracking URI; that of an SQLite file with its absolute path."""
    if not isinstance(value, str):
        return value
    match = _RELATIVE_FILE.match(value)
    return f"{match['scheme']}{absolute(match['path'])}{value[match.end() :]}" if match else value
