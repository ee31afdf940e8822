"""The folders of this machine that a job writes to."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from brain.series.store.object_store import is_s3
from brain.settings import Settings
from registry.reach import check_address, database_file

__all__ = ["database_folder", "local_folders", "log_file"]


def local_folders(settings: Settings) -> list[Path]:
    """The folders on this machine's disks that a job writes to; they need not exist yet.

    Raises:
        SettingsError: the tracking URI can't be used.
    """
    check_address(settings.tracking_uri)
    folders = [Path(tempfile.gettempdir())]
    if (database := database_folder(settings.tracking_uri)) is not None:
        folders.append(database)
    if settings.artifact_root is not None:
        if is_local_uri(settings.artifact_root):
            folders.append(Path(local_file_uri_to_path(settings.artifact_root)))
    elif not settings.tracking_uri.startswith(("http://", "https://")):
        folders.append(Path("mlruns").absolute())  # MLflow's own choice
    if not is_s3(settings.series):
        folders.append(Path(settings.series))
    return list(dict.fromkeys(folders))


def log_file(settings: Settings) -> Path | None:
    """The file of a job's log: beside the database file, or else in the working folder."""
    match settings.log_file:
        case "none":
            return None
        case "auto":
            return (database_folder(settings.tracking_uri) or Path.cwd()) / "brain.log"
        case path:
            return Path(path)


def database_folder(dsn: str) -> Path | None:
    """The folder of an SQLite file; None for other addresses."""
    file = database_file(dsn)
    return None if file is None else file.absolute().parent
