"""The content of a file of bars as a table: Parquet, Feather and text, packed or not."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq

from brain.errors import BarsError, BrainError, InputError, NotEnoughBarsError
from brain.series.file_names import TEXTS
from brain.series.text_tables import text_table

__all__ = ["file_table"]

# What the libraries raise for broken archives.
_BROKEN = (
    *(OSError, EOFError, ValueError, RuntimeError, OverflowError),
    *(zlib.error, lzma.LZMAError, struct.error, zipfile.BadZipFile),
)

# A packed file may not grow beyond its size times the first, or else the second, bytes; nor beyond
# the third. Texts of bars grow tenfold.
_GROWTH, _FREE, _MOST = 200, 1 << 24, 1 << 31


def file_table(path: Path, ending: str) -> pd.DataFrame:
    """A file's table, as :func:`brain.series.columns.bar_columns` takes it.

    Args:
        path: of the file.
        ending: of its name, in small letters.

    Raises:
        InputError: the file can't be opened.
        NotEnoughBarsError: it is empty.
        BarsError: it is broken.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{str(path)!r} can't be read ({error.strerror}); it must be a file that may be read"
        ) from error
    name = repr(str(path))
    if ending.endswith((".gz", ".zip")) and content:
        content = _unpacked(content, ending, name)
    if not content:
        raise NotEnoughBarsError(f"{name} is empty; write bars into it or remove it")
    if ending == ".parquet":
        return _table(content, name, "Parquet", _parquet)
    if ending == ".feather":
        return _table(content, name, "Feather", _feather)
    return text_table(content, name)


# --- tables -------------------------------------------------------------------------------------


def _table(
    content: bytes, name: str, kind: str, reader: Callable[[pa.BufferReader], Any]
) -> pd.DataFrame:
    try:
        # One thread: the files are small, and many workers may be reading.
        frame: pd.DataFrame = reader(pa.BufferReader(content)).to_pandas(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise BarsError(f"{name} is not a readable {kind} file ({error}); write it anew") from error
    regular = isinstance(frame.index, pd.RangeIndex | pd.DatetimeIndex)
    return frame if regular else frame.reset_index()


def _parquet(source: pa.BufferReader) -> Any:
    return pq.read_table(source, use_threads=False, page_checksum_verification=True)


def _feather(source: pa.BufferReader) -> Any:
    return pf.read_table(source, use_threads=False)


# --- packed files -------------------------------------------------------------------------------


def _unpacked(content: bytes, ending: str, name: str) -> bytes:
    try:
        if ending.endswith(".zip"):
            return _unzipped(content, name)
        with gzip.open(io.BytesIO(content)) as stream:
            return _bounded(stream, len(content), name)
    except BrainError:
        raise
    except _BROKEN as error:
        raise BarsError(
            f"{name} can't be unpacked ({error}); pack it anew, or unpack it here"
        ) from error


def _unzipped(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [m for m in archive.infolist() if not m.is_dir() and not _is_hidden(m.filename)]
        texts = [m for m in members if m.filename.lower().endswith(TEXTS)]
        if len(texts) != 1:
            names = ", ".join(repr(m.filename) for m in (texts or members)[:5]) or "nothing"
            raise BarsError(
                f"{name} holds {len(texts)} text files of bars ({names}); pack one file of "
                f"{', '.join(TEXTS)} in it"
            )
        (text,) = texts
        if text.flag_bits & 1:
            raise BarsError(f"{name} is locked by a password; unpack it here")
        with archive.open(text) as stream:
            return _bounded(stream, text.compress_size, name)


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


def _bounded(stream: IO[bytes] | gzip.GzipFile, size: int, name: str) -> bytes:
    """All that a stream unpacks.

    Raises:
        BarsError: it is far too much for a file of bars of that packed size.
    """
    most = min(_MOST, max(_FREE, _GROWTH * size))
    content = stream.read(most + 1)
    if len(content) > most:
        raise BarsError(
            f"{name} unpacks to more than {most >> 20} MB, {most // max(size, 1)} times its size, "
            "which no file of bars does; unpack it here if it is one"
        )
    return content
