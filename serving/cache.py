"""The last known good champions on a disk: what an executor starts from without its registry.

::

    versions/<digest>/           a version's files, whole or not there, and what it was proven by
    models/<model key>.json      the cells of a model, behind the SHA-256 of the text
    confirmed.json               when the registry last confirmed each, behind its SHA-256

Files are written aside, synchronised with the disk, and then renamed; so a process that is killed,
or a machine that loses its power, leaves the former ones. What is read is checked: a version by its
digest, as one from the registry is, and the rest by the SHA-256 before it. What fails the check
counts as absent, so that it is fetched again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brain.disk import is_full
from brain.errors import BrainError, LibraryError, ModelIntegrityError, StorageFullError
from brain.field_kinds import check_kinds
from brain.manifest import check_contents
from brain.model_keys import ModelKey
from brain.naming import parse_regime
from brain.redact import redact
from serving.champions import Cell, as_json
from serving.remote.entries import NONSENSE

__all__ = ["ChampionCache", "KeptModel"]

logger = logging.getLogger(__name__)

_VERSIONS, _MODELS, _CONFIRMED = "versions", "models", "confirmed.json"
_PROOF = "proof.json"
_DRAFT = "draft-"
_LARGEST_TEXT = 10_000_000
_STRAY_SECONDS = 3600.0


@dataclass(frozen=True)
class KeptModel:
    """A model as it was last known to be good.

    Attributes:
        key: of the model.
        name: of the registered model.
        cells: of its champions.
        confirmed: when the registry last confirmed them, nanoseconds since 1970 UTC.
    """

    key: ModelKey
    name: str
    cells: tuple[Cell, ...]
    confirmed: int


class ChampionCache:
    """Champions on a disk, which one process writes.

    Args:
        folder: of the cache; made if it is missing.

    Raises:
        LibraryError: the folder can't be made or read.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._swept = 0.0
        try:
            for part in (_VERSIONS, _MODELS):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            self._sweep()
        except OSError as error:
            raise self._unwritable(error) from error

    # --- versions -------------------------------------------------------------------------------

    def files(self, digest: str) -> dict[str, bytes] | None:
        """A version's files, checked against the digest; None if they aren't there, or differ."""
        folder = self._version(digest)
        try:
            paths = [path for path in folder.iterdir() if path.name != _PROOF]
            files = {path.name: path.read_bytes() for path in paths}
            check_contents(files, digest)
        except FileNotFoundError:
            return None
        except (OSError, ModelIntegrityError) as error:
            logger.warning("%s is fetched again: %s", folder, error)
            shutil.rmtree(folder, ignore_errors=True)
            return None
        return files

    def proof(self, digest: str) -> str:
        """The libraries by which a version was proven; empty if it is unknown."""
        entry = self._read(self._version(digest) / _PROOF) or {}
        return str(entry.get("libraries", ""))

    def keep_version(self, digest: str, files: Mapping[str, bytes], proof: str = "") -> None:
        """Keep a version's files, which were checked, and what it was proven by.

        Raises:
            StorageFullError: the disk is full; the cache is as it was.
            LibraryError: it can't be written; the same.
        """
        folder = self._version(digest)
        draft: str | None = None
        try:
            draft = tempfile.mkdtemp(prefix=_DRAFT, dir=folder.parent)
            for name, content in files.items():
                _write(Path(draft) / name, content)
            _write(Path(draft) / _PROOF, _sealed({"libraries": proof}))
            _sync(Path(draft))
            shutil.rmtree(folder, ignore_errors=True)  # what is there failed its check
            Path(draft).rename(folder)
            _sync(folder.parent)
        except OSError as error:
            if draft is not None:
                shutil.rmtree(draft, ignore_errors=True)
            raise self._unwritable(error) from error

    # --- models ---------------------------------------------------------------------------------

    def models(self) -> list[KeptModel]:
        """The models that are kept, by their keys; what can't be read is left out and logged."""
        confirmed = self._read(self.folder / _CONFIRMED) or {}
        kept = []
        for path in sorted((self.folder / _MODELS).glob("*.json")):
            entry = None if path.name.startswith(_DRAFT) else self._read(path)
            try:
                if entry is not None:
                    kept.append(_model(entry, confirmed))
            except (BrainError, *NONSENSE) as error:
                logger.warning("left out %s, which is no model of a cache: %s", path, error)
        return kept

    def keep_model(self, key: ModelKey, name: str, cells: Sequence[Cell], moment: int) -> None:
        """Keep a model's cells, whose versions are kept already; others' files go.

        Args:
            key: of the model.
            name: of the registered model.
            cells: of its champions.
            moment: when the registry named them, nanoseconds since 1970 UTC.

        Raises:
            StorageFullError: the disk is full; the cache is as it was.
            LibraryError: it can't be written; the same.
        """
        entry = {
            "key": key.name,
            "name": name,
            "moment": moment,
            "cells": {str(cell.regime): as_json(cell) for cell in cells},
        }
        self._store(self.folder / _MODELS / f"{key.name}.json", entry)
        if time.time() > self._swept + _STRAY_SECONDS:
            with suppress(OSError):
                self._sweep()

    def confirm(self, moments: Mapping[str, int]) -> None:
        """Keep when the registry last confirmed each model, by the names of their keys.

        Raises:
            StorageFullError: the disk is full; the cache is as it was.
            LibraryError: it can't be written; the same.
        """
        self._store(self.folder / _CONFIRMED, dict(moments))

    # --- helpers --------------------------------------------------------------------------------

    def _version(self, digest: str) -> Path:
        if not digest.isalnum():
            raise ModelIntegrityError(f"{digest!r} is no digest of a version; run the night again")
        return self.folder / _VERSIONS / digest

    def _sweep(self) -> None:
        """Remove versions that no model refers to, and drafts of processes that were killed."""
        self._swept = time.time()
        used = {cell.digest for model in self.models() for cell in model.cells}
        oldest = time.time() - _STRAY_SECONDS
        for path in (self.folder / _VERSIONS).iterdir():
            # A version is kept before its model is, by another thread at this very moment.
            if path.name not in used and path.stat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)

    def _store(self, path: Path, entry: Mapping[str, Any]) -> None:
        draft = path.with_name(f"{_DRAFT}{path.name}")
        try:
            _write(draft, _sealed(entry))
            draft.replace(path)
            _sync(path.parent)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise self._unwritable(error) from error

    def _read(self, path: Path) -> dict[str, Any] | None:
        """The entry of a file; None if there is none, or it is not what was written."""
        try:
            with path.open("rb") as file:
                digest, _, text = file.read(_LARGEST_TEXT).partition(b"\n")
            if hashlib.sha256(text).hexdigest().encode() != digest:
                raise ValueError("it is not what was written")
            entry = json.loads(text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            logger.warning("left out %s: %s", path, error)
            return None
        return entry if isinstance(entry, dict) else None

    def _unwritable(self, error: OSError) -> LibraryError:
        kind = StorageFullError if is_full(error) else LibraryError
        cure = "make room on its disk" if is_full(error) else "name a folder that can be written"
        return kind(
            f"the cache of champions in {redact(str(self.folder))} can't be written "
            f"({error.strerror}); {cure}"
        )


def _model(entry: Mapping[str, Any], confirmed: Mapping[str, Any]) -> KeptModel:
    key = ModelKey.of_name(entry["key"])
    cells = tuple(_cell(regime, fields) for regime, fields in entry["cells"].items())
    moment = max(int(entry["moment"]), int(confirmed.get(key.name, 0)))
    return KeptModel(key, str(entry["name"]), cells, moment)


def _cell(regime: str, fields: Mapping[str, Any]) -> Cell:
    cell = Cell(parse_regime(regime), **fields)
    check_kinds(cell)
    return cell


def _sealed(entry: Mapping[str, Any]) -> bytes:
    text = json.dumps(entry)
    return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}".encode()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Synchronise a folder's names with the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
