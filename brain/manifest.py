"""The manifest of a model's files: only the registered files are loaded.

``manifest.json`` lists every file of a model folder with its SHA-256; the *digest* of the model is
the SHA-256 of that manifest, and one of the version's tags. Digest and hashes are checked before
any file is parsed: corrupt files of some model formats crash the process that reads them, or load
with other predictions. What the manifest does not list is not there to be loaded either.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from brain.artifacts import MANIFEST
from brain.errors import ModelIntegrityError

__all__ = [
    "check_bytes",
    "check_contents",
    "check_files",
    "check_folder",
    "listing",
    "write_manifest",
]

# The latter is written by MLflow into a folder that it downloads by a registered model's name.
_UNLISTED = {MANIFEST, "registered_model_meta"}
_MANIFEST_BYTES = 1_000_000
_CURE = "download the model again, or register the version anew"


def write_manifest(folder: Path) -> str:
    """Write the manifest of all files in the folder, and return the digest."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    listing = {p.relative_to(folder).as_posix(): _sha256(p.read_bytes()) for p in files}
    text = json.dumps(listing, sort_keys=True, indent=1).encode()
    (folder / MANIFEST).write_bytes(text)
    return _sha256(text)


def check_files(folder: Path) -> None:
    """Check that a model folder holds folders and regular files alone, without reading any.

    A link could lead out of the folder, and a device or a pipe never ends.

    Raises:
        ModelIntegrityError: it holds something else, or can't be listed.
    """
    _files(folder)


def check_folder(folder: Path, digest: str) -> None:
    """Check a model folder against the registered digest.

    Raises:
        ModelIntegrityError: the manifest or a file that it lists is missing or differs, it is no
            manifest, or the folder holds anything that it does not list.
    """
    files = _files(folder)
    path = folder / MANIFEST
    listing = _listing(_manifest(path), digest, path)
    if unlisted := sorted(set(files) - set(listing) - _UNLISTED):
        raise ModelIntegrityError(
            f"{folder / unlisted[0]} is not among the files that were registered; {_CURE}"
        )
    for name, expected in listing.items():
        path = folder / name
        if name not in files:
            raise ModelIntegrityError(f"{path} can't be read, there is no such file; {_CURE}")
        try:
            actual = _sha256_of(path)
        except OSError as error:
            raise ModelIntegrityError(
                f"{path} can't be read ({error.strerror}); {_CURE}"
            ) from error
        if actual != expected:
            raise ModelIntegrityError(f"{path} is not what was registered; {_CURE}")


def check_bytes(manifest: bytes, digest: str, files: Mapping[str, bytes]) -> None:
    """Check files in memory, some or all of a model's, against the registered digest.

    Args:
        manifest: the bytes of ``manifest.json``.
        digest: registered.
        files: their bytes by their names in the manifest.

    Raises:
        ModelIntegrityError: the manifest or a file differs, or it does not list one of them.
    """
    listing = _listing(manifest, digest, Path(MANIFEST))
    for name, data in files.items():
        if name not in listing:
            raise ModelIntegrityError(
                f"{name} is not among the files that were registered; {_CURE}"
            )
        if _sha256(data) != listing[name]:
            raise ModelIntegrityError(f"{name} is not what was registered; {_CURE}")


def check_contents(files: Mapping[str, bytes], digest: str) -> None:
    """Check files in memory, the manifest among them, against the registered digest.

    Raises:
        ModelIntegrityError: there is no manifest among them, or as of :func:`check_bytes`.
    """
    if MANIFEST not in files:
        raise ModelIntegrityError(f"there is no {MANIFEST} among the files; {_CURE}")
    others = {name: content for name, content in files.items() if name != MANIFEST}
    check_bytes(files[MANIFEST], digest, others)


def listing(manifest: bytes) -> dict[str, str]:
    """The hashes by the names of the files that a manifest lists, before anything is checked.

    Raises:
        ModelIntegrityError: it is no manifest.
    """
    return _parse(manifest, Path(MANIFEST))


def _files(folder: Path) -> dict[str, Path]:
    """The regular files of a folder by their names in it, as a manifest writes them."""
    files: dict[str, Path] = {}
    waiting = [folder]
    try:
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                        continue
                    path = _regular(entry)
                    files[path.relative_to(folder).as_posix()] = path
    except OSError as error:
        raise ModelIntegrityError(
            f"the model folder {folder} can't be listed ({error.strerror}); {_CURE}"
        ) from error
    return files


def _regular(entry: os.DirEntry[str]) -> Path:
    """The path of a regular file that is no link."""
    if entry.is_file(follow_symlinks=False):
        return Path(entry.path)
    kind = "a link" if entry.is_symlink() else "no regular file"
    raise ModelIntegrityError(
        f"{entry.path} is {kind}; a model is made of regular files alone; {_CURE}"
    )


def _manifest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(_MANIFEST_BYTES + 1)
    except OSError as error:
        raise ModelIntegrityError(f"{path.parent} has no readable {MANIFEST}; {_CURE}") from error
    if len(text) > _MANIFEST_BYTES:
        raise ModelIntegrityError(
            f"{path} has more than {_MANIFEST_BYTES} bytes, which no manifest has; {_CURE}"
        )
    return text


def _listing(text: bytes, digest: str, path: Path) -> dict[str, str]:
    """The hashes of a manifest, read only if it is the registered one."""
    if _sha256(text) != digest:
        raise ModelIntegrityError(
            f"{path} has digest {_sha256(text)}, registered is {digest}; {_CURE}"
        )
    return _parse(text, path)


def _parse(text: bytes, path: Path) -> dict[str, str]:
    """The hashes by the names of the files, all of which are below the folder."""
    try:
        listing = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelIntegrityError(f"{path} is no JSON; {_CURE}") from error
    if not isinstance(listing, dict):
        raise ModelIntegrityError(
            f"{path} is a JSON {type(listing).__name__} and no object of hashes by file; {_CURE}"
        )
    for name, expected in listing.items():
        parts = name.split("/")
        if "\\" in name or ":" in name or "\0" in name or set(parts) & {"", ".", ".."}:
            raise ModelIntegrityError(
                f"{path} lists {name!r}, which is no file below its folder; {_CURE}"
            )
        if not isinstance(expected, str):
            raise ModelIntegrityError(f"{path} has no hash of {name!r}; {_CURE}")
    return listing


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
