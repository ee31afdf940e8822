"""Files of one series, written part by part; a file is whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from brain.scratch import FILE, owned_prefix, remove_orphans

__all__ = ["Writer", "csv_file", "feather_file", "parquet_file"]


class Writer(Protocol):
    """Writes rows at the end of a file."""

    def write_table(self, table: pa.Table) -> None:
        """Write more rows."""


#: A file of that path and schema, which is there at the end of the block.
File = AbstractContextManager[Writer]


@contextmanager
def parquet_file(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """A Parquet file."""
    with _part(path) as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        yield writer


@contextmanager
def feather_file(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """A Feather file as freqtrade writes it."""
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with _part(path) as part, pa.ipc.new_file(part, schema, options=options) as writer:
        yield writer


@contextmanager
def csv_file(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """A CSV file; unknown values are empty cells."""
    with _part(path) as part, pc.CSVWriter(part, schema) as writer:
        yield writer


@contextmanager
def _part(path: Path) -> Iterator[str]:
    """A name beside the path's, for as long as its file is not whole.

    What a process that was killed has left there is removed; nothing reads hidden files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_orphans(path.parent)
    part = path.with_name(f"{owned_prefix(FILE)}{path.name}")
    try:
        yield str(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
