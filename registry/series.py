"""The series store: market history as Delta tables, in a folder or in an S3 store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake
from deltalake.exceptions import DeltaError

from registry.errors import BrainError, InputError, SeriesStoreError
from registry.object_store import (
    ConditionalPuts,
    check_conditional_puts,
    is_s3,
    split,
    storage_options,
)
from registry.series_read import Limits, partitions_of, query, quoted, stored_near
from registry.series_rows import compare, to_rows
from registry.series_schema import KINDS, MONTH, Kind, parse_kind
from registry.series_sync import sync_commit
from registry.series_table import WRITER, SeriesTable, locks, until_committed

__all__ = ["SeriesStore", "Upserted"]


@dataclass(frozen=True)
class Upserted:
    """What an upsert did.

    Attributes:
        rows: given, keys that were given twice counted once.
        inserted: whose key was not stored before.
        updated: whose key was stored with other values.
    """

    rows: int
    inserted: int
    updated: int


class SeriesStore:
    """Market series by kind; many processes may read and write at once.

    Every method raises :class:`~registry.errors.InputError` if a kind or column is unknown, and
    :class:`~registry.errors.SeriesStoreError` if the store can't be reached, read or written.

    Args:
        root: a folder, made when something is first stored, or ``s3://bucket/prefix``.
        storage: deltalake's storage options; as boto3 resolves them at each use if None.
        kinds: the layout of the tables.

    Raises:
        InputError: the root is neither a folder's path nor an S3 address.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        storage: Mapping[str, str] | None = None,
        kinds: Mapping[str, Kind] = KINDS,
    ) -> None:
        self.root = _parse_root(root)
        self._storage = None if storage is None else dict(storage)
        self._kinds = kinds
        self._tables = {
            name: SeriesTable(kind, f"{self.root}/{name}", self._options)
            for name, kind in kinds.items()
        }

    @classmethod
    def open(cls, root: str | Path) -> SeriesStore:
        """The store at a root, with credentials as boto3 resolves them."""
        return cls(root)

    def __repr__(self) -> str:
        return f"SeriesStore({self.root!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "storage": self._storage, "kinds": dict(self._kinds)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        SeriesStore.__init__(self, **state)

    def kinds(self) -> list[str]:
        """The kinds of series, whether or not there are any."""
        return list(self._kinds)

    # --- reading --------------------------------------------------------------------------------

    def read(
        self,
        kind: str,
        *,
        symbol: str | Sequence[str] | None = None,
        exchange: str | Sequence[str] | None = None,
        timeframe: str | None = None,
        start: object = None,
        end: object = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Rows of one kind, sorted by key.

        Args:
            kind: one of :meth:`kinds`.
            symbol, exchange, timeframe: only of these; all if None. ``BTC/USDT`` means the
                perpetual ``BTC/USDT:USDT``.
            start, end: only rows whose time is in ``[start, end)``; without a zone it is UTC.
            columns: only these, in this order.

        Returns:
            A frame of the kind's columns; what is unknown is NaN or NaT. Without rows, but with
            the right columns and dtypes, if nothing of the kind is stored.
        """
        return self._read(
            parse_kind(kind, self._kinds),
            _texts(symbol=symbol, exchange=exchange, timeframe=timeframe),
            _moment(start, "start"),
            _moment(end, "end"),
            columns,
        )

    def times(
        self,
        kind: str,
        *,
        exchange: str,
        symbol: str,
        timeframe: str | None = None,
        start: object = None,
        end: object = None,
    ) -> pd.DatetimeIndex:
        """The times of one series in ``[start, end)``, sorted and unique."""
        found = parse_kind(kind, self._kinds)
        if found.time is None:
            raise InputError(f"{kind} have no time; read them by `read`")
        frame = self._read(
            found,
            _texts(symbol=symbol, exchange=exchange, timeframe=timeframe),
            _moment(start, "start"),
            _moment(end, "end"),
            [found.time],
        )
        return pd.DatetimeIndex(frame[found.time].unique(), name=found.time)

    def _read(
        self,
        kind: Kind,
        texts: dict[str, list[str]],
        start: pd.Timestamp | None,
        end: pd.Timestamp | None,
        columns: Sequence[str] | None,
    ) -> pd.DataFrame:
        names = kind.check_columns(list(kind.columns) if columns is None else columns)
        if "timeframe" in texts and "timeframe" not in kind.key:
            raise InputError(f"{kind.name} have no timeframe; leave it out")
        conditions = Limits(texts, start, end).conditions(kind)
        order = " ORDER BY " + ", ".join(f'"{name}"' for name in kind.key)
        with self._faults(kind, "read"):
            table = self._tables[kind.name].find()
            if table is None:
                return kind.empty(names)
            rows = query(table, kind, names, " AND ".join(conditions), order)
        return kind.empty(names) if len(rows) == 0 else rows.to_pandas()

    # --- writing --------------------------------------------------------------------------------

    def upsert(self, kind: str, frame: pd.DataFrame) -> Upserted:
        """Store rows; a row whose key is stored already is replaced if its values differ.

        When it returns, the rows are on the disk or in the object store. Doing it again changes
        nothing, so a caller that was killed just does it again.

        Args:
            kind: one of :meth:`kinds`.
            frame: the kind's columns except ``collected``, in any order; nullable ones may be
                left out. Of rows with the same key the last counts.

        Raises:
            InputError: a column is unknown, missing or of another type, or a key is missing.
        """
        found = parse_kind(kind, self._kinds)
        rows = to_rows(found, frame, pd.Timestamp.now("UTC"))
        if len(rows) == 0:
            return Upserted(0, 0, 0)
        with self._faults(found, "store"):
            inserted, updated = until_committed(lambda: self._upsert(found, rows))
        return Upserted(len(rows), inserted, updated)

    def _upsert(self, kind: Kind, rows: pa.Table) -> tuple[int, int]:
        table = self._tables[kind.name].make()
        found = compare(kind, rows, stored_near(table, kind, rows))
        changes = found.rows
        if len(changes) == 0:
            return 0, 0
        names = [_name(kind, part) for part in partitions_of(kind, changes)]
        if len(found.changed) == 0:
            write_deltalake(
                table,
                changes,
                mode="append",
                writer_properties=WRITER,
                commit_properties=locks(names),
            )
        else:
            _merge(table, kind, changes, names)
        sync_commit(self._tables[kind.name].address, table.version())
        return len(found.new), len(found.changed)

    def replace(
        self,
        kind: str,
        frame: pd.DataFrame,
        *,
        exchange: str,
        symbols: Sequence[str],
        of_kind: str | None = None,
    ) -> None:
        """Replace all rows of an exchange's symbols by others, in one commit.

        Args:
            kind: one of :meth:`kinds`.
            frame: what takes their place; may be empty.
            exchange, symbols: whose rows are replaced; ``frame`` holds rows of these only.
            of_kind: only rows whose column ``kind`` is this.

        Raises:
            InputError: ``frame`` holds other rows, or as for :meth:`upsert`.
        """
        found = parse_kind(kind, self._kinds)
        if of_kind is not None and "kind" not in found.key:
            raise InputError(f"{kind} have no column 'kind'; leave out of_kind")
        texts = _texts(symbol=symbols, exchange=exchange)
        if of_kind is not None:
            texts["kind"] = [of_kind]
        if not texts["symbol"]:
            raise InputError("no symbol is named whose rows are replaced; name at least one")
        rows = to_rows(found, frame, pd.Timestamp.now("UTC"))
        for column, values in texts.items():
            others = set(rows[column].to_pylist()) - set(values)
            if others:
                raise InputError(
                    f"the new rows of {kind} hold {column} {min(others)!r}, whose rows are not "
                    "replaced; name it or leave its rows out"
                )
        condition = " AND ".join(Limits(texts).conditions(found))
        with self._faults(found, "replace"):
            until_committed(lambda: self._replace(found, rows, exchange, condition))

    def _replace(self, kind: Kind, rows: pa.Table, exchange: str, condition: str) -> None:
        table = self._tables[kind.name].make()
        months = query(table, kind, [MONTH], condition) if kind.monthly else None
        named = set(months[MONTH].to_pylist()) if months is not None else set()
        named |= set(rows[MONTH].to_pylist()) if kind.monthly else set()
        names = [f"{exchange}/{month}" for month in sorted(named)] if kind.monthly else [exchange]
        write_deltalake(
            table,
            rows,
            mode="overwrite",
            predicate=condition,
            writer_properties=WRITER,
            commit_properties=locks(names),
        )
        sync_commit(self._tables[kind.name].address, table.version())

    # --- upkeep ---------------------------------------------------------------------------------

    def upkeep(self, *, keep_hours: float = 24.0) -> None:
        """Join small files, and delete files that no version of the last hours holds.

        Args:
            keep_hours: how long what a reading or a writing process may still use is kept; at
                least one hour.
        """
        if keep_hours < 1:
            raise InputError(f"keep_hours={keep_hours} is less than 1; running readers need that")
        for name, kind in self._kinds.items():
            with self._faults(kind, "tidy"):
                _tidy(self._tables[name], int(keep_hours))

    def check(self) -> ConditionalPuts:
        """Whether the store can be reached and written, and keeps writers apart.

        Raises:
            SeriesStoreError: it can't be reached or written.
        """
        if is_s3(self.root):
            return check_conditional_puts(self.root, self._options())
        return _check_folder(Path(self.root))

    # --- helpers --------------------------------------------------------------------------------

    def _options(self) -> dict[str, str]:
        if self._storage is not None:
            return self._storage
        return storage_options() if is_s3(self.root) else {}

    @contextmanager
    def _faults(self, kind: Kind, doing: str) -> Iterator[None]:
        try:
            yield
        except BrainError:
            raise
        except (DeltaError, OSError, ValueError, RuntimeError) as error:
            self._tables[kind.name].forget()
            raise SeriesStoreError(
                f"could not {doing} the {kind.name} at {self.root}: {self._clean(error)}; check "
                "its address, credentials, permissions and free space"
            ) from error

    def _clean(self, error: Exception) -> str:
        """What was said, on one line, without secrets."""
        text = " ".join(str(error).split())[:500]
        try:
            options = self._options()
        except BrainError:
            options = {}
        for name, value in options.items():
            if value and any(word in name for word in ("secret", "token", "access_key")):
                text = text.replace(value, "***")
        return text


def _tidy(own: SeriesTable, keep_hours: int) -> None:
    if own.find() is None:
        return
    until_committed(lambda: own.make().optimize.compact(writer_properties=WRITER))
    own.make().vacuum(
        retention_hours=keep_hours, dry_run=False, enforce_retention_duration=False, full=True
    )


def _merge(table: Any, kind: Kind, rows: pa.Table, names: list[str]) -> None:
    same = " AND ".join(f't."{name}" = s."{name}"' for name in (*kind.key, *kind.partitions[1:]))
    within = " OR ".join(
        "("
        + " AND ".join(
            f"t.{column} = {quoted(part[column][0].as_py())}" for column in kind.partitions
        )
        + ")"
        for part in partitions_of(kind, rows)
    )
    merger = table.merge(
        rows,
        f"({within}) AND {same}",
        source_alias="s",
        target_alias="t",
        writer_properties=WRITER,
        commit_properties=locks(names),
    )
    merger.when_matched_update_all().when_not_matched_insert_all().execute()


def _name(kind: Kind, rows: pa.Table) -> str:
    return "/".join(rows[column][0].as_py() for column in kind.partitions)


def _check_folder(folder: Path) -> ConditionalPuts:
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".check-"):
            pass
    except OSError as error:
        raise SeriesStoreError(
            f"series can't be written to {folder}: {error.strerror}; make the folder writable or "
            "name another one"
        ) from error
    return ConditionalPuts(str(folder), True, "a folder: files are made exclusively")


def _parse_root(root: str | Path) -> str:
    text = str(root)
    if is_s3(text):
        bucket, prefix = split(text)
        return f"s3://{bucket}/{prefix}".rstrip("/")
    if "://" in text:
        raise InputError(
            "a series store is a folder or s3://bucket/prefix, not an address of "
            f"{text.partition('://')[0]!r}"
        )
    if not text.strip():
        raise InputError("no series store is named; give a folder or s3://bucket/prefix")
    return str(Path(text).expanduser().absolute())


def _texts(**given: str | Sequence[str] | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in given.items():
        if value is None or (name == "timeframe" and value == ""):
            continue
        values = [value] if isinstance(value, str) else list(value)
        found[name] = [_meant(text) for text in values] if name == "symbol" else values
    return found


def _meant(symbol: str) -> str:
    """``BTC/USDT`` means the perpetual; whatever else is taken as it is."""
    base, _, quote = symbol.partition("/")
    return f"{symbol}:{quote}" if base and quote and ":" not in quote else symbol


def _moment(value: object, name: str) -> pd.Timestamp | None:
    if value is None:
        return None
    try:
        moment = pd.Timestamp(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}={value!r} is not a time; give a pandas Timestamp") from error
    if pd.isna(moment):
        raise InputError(f"{name}={value!r} is not a time; give a pandas Timestamp")
    return moment.tz_localize("UTC") if moment.tz is None else moment.tz_convert("UTC")
