"""The manifest of a model's files: only the registered files are loaded.

``manifest.json`` lists every file of a model folder with its SHA-256; the *digest* of the model is
the SHA-256 of that manifest, and one of the version's tags. Digest and hashes are checked before
any file is parsed: corrupt files of some model formats crash the process that reads them, or load
with other predictions.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from brain.artifacts import MANIFEST
from brain.errors import ModelIntegrityError

__all__ = ["check_folder", "write_manifest"]


def write_manifest(folder: Path) -> str:
    """Write the manifest of all files in the folder, and return the digest."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    listing = {p.relative_to(folder).as_posix(): _sha256(p.read_bytes()) for p in files}
    text = json.dumps(listing, sort_keys=True, indent=1).encode()
    (folder / MANIFEST).write_bytes(text)
    return _sha256(text)


def check_folder(folder: Path, digest: str) -> None:
    """Check a model folder against the registered digest.

    Raises:
        ModelIntegrityError: the manifest or a file that it lists is missing or differs.
    """
    cure = "download the model again, or register the version anew"
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise ModelIntegrityError(f"{folder} has no readable {MANIFEST}; {cure}") from error
    if _sha256(text) != digest:
        raise ModelIntegrityError(
            f"{folder / MANIFEST} has digest {_sha256(text)}, registered is {digest}; {cure}"
        )
    for name, expected in json.loads(text).items():
        try:
            actual = _sha256((folder / name).read_bytes())
        except OSError as error:
            raise ModelIntegrityError(f"{folder / name} can't be read; {cure}") from error
        if actual != expected:
            raise ModelIntegrityError(f"{folder / name} is not what was registered; {cure}")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
