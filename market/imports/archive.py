"""Bytes of a file on disk: checked against the checksum beside it, unpacked within bounds.

Nothing is ever unpacked to the disk, so a name in an archive leads nowhere.
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from brain.errors import SeriesFileError

__all__ = ["CHECKSUM", "read_bytes", "unpack"]

#: The ending of a checksum's file, after the name of the file that it is of.
CHECKSUM = ".CHECKSUM"

# A month of minutes is 6 MB of text.
_LARGEST_MEMBER = 100 * 2**20
_LARGEST_FILE = 2 * 2**30
_AGAIN = "fetch it again"
_SUM = re.compile(r"(?P<sum>[0-9a-fA-F]{64})[ \t]+\*?(?P<name>\S.*?)\s*")


def read_bytes(path: Path) -> bytes:
    """The bytes of a file, equal to those that its checksum is of where there is one beside it.

    Raises:
        SeriesFileError: the file can't be read, is too large, or the checksum is of other bytes.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST_FILE:
            raise SeriesFileError(
                f"it has {size / 1e9:.1f} GB, more than any file of series; leave it out"
            )
        content = path.read_bytes()
    except OSError as error:
        raise SeriesFileError(f"it can't be read ({error.strerror}); make it readable") from error
    _check_sum(path, content)
    return content


def _check_sum(path: Path, content: bytes) -> None:
    file = path.with_name(path.name + CHECKSUM)
    try:
        text = file.read_bytes()[:1000].decode("ascii", "replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise SeriesFileError(
            f"its checksum can't be read ({error.strerror}); make {file.name} readable"
        ) from error
    match = _SUM.fullmatch(text)
    if match is None or match["name"] != path.name:
        raise SeriesFileError(f"{file.name} holds no checksum of it; {_AGAIN} with its checksum")
    digest = hashlib.sha256(content).hexdigest()
    if digest != match["sum"].lower():
        raise SeriesFileError(
            f"its SHA-256 is {digest[:12]}… and not {match['sum'][:12].lower()}…, as "
            f"{file.name} says; {_AGAIN}"
        )


def unpack(content: bytes, member: str) -> bytes:
    """The only member of a zip.

    Args:
        content: of the zip.
        member: the name that it must have.

    Raises:
        SeriesFileError: the bytes are no whole zip, it holds anything else, or too much.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            info = _only_member(archive, member)
            with archive.open(info) as stream:
                # One byte more than announced: only at the end is the checksum compared.
                return stream.read(info.file_size + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise SeriesFileError(f"it is no whole zip ({error}); {_AGAIN}") from error
    except (RuntimeError, ValueError, OSError) as error:
        if isinstance(error, SeriesFileError):
            raise
        raise SeriesFileError(f"it can't be unpacked ({error}); {_AGAIN}") from error


def _only_member(archive: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    infos = archive.infolist()
    for info in infos:
        path = PurePosixPath(info.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in info.filename:
            raise SeriesFileError(
                f"it holds {info.filename!r}, a path that leads out of it; leave the file out"
            )
    names = [info.filename for info in infos]
    if names != [member]:
        shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise SeriesFileError(f"it holds {shown or 'nothing'} instead of {member}; {_AGAIN}")
    (info,) = infos
    if info.file_size > _LARGEST_MEMBER:
        raise SeriesFileError(
            f"unpacked it would have {info.file_size / 1e6:,.0f} MB, more than any file of this "
            "kind; leave it out"
        )
    return info
