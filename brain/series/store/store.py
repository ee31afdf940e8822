"""The series store: market history as Delta tables, in a folder or in an S3 store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from brain.errors import InputError, SeriesStoreError
from brain.naming import present_name
from brain.series.store.address import check_place, parse_root, store_faults
from brain.series.store.commits import revise_rows, tidy, upsert_rows
from brain.series.store.object_store import ConditionalPuts, is_s3, storage_options
from brain.series.store.queries import Limits, query, to_moment, to_texts
from brain.series.store.rows import rows_with, to_rows
from brain.series.store.schema import KINDS, Kind, parse_kind
from brain.series.store.table import SeriesTable

__all__ = ["SeriesStore", "UpsertCounts"]


@dataclass(frozen=True)
class UpsertCounts:
    """What an upsert did.

    Attributes:
        rows: given; keys that were given twice are counted once.
        inserted: rows whose key was not stored before.
        updated: rows whose key was stored with other values.
    """

    rows: int
    inserted: int
    updated: int


class SeriesStore:
    """Market series by kind. Any number of processes and threads may read and write at once.

    Every method raises :class:`~brain.errors.InputError` if a kind or column is unknown, and
    :class:`~brain.errors.SeriesStoreError` if the store can't be reached, read or written, or
    was written by a newer version of this program.

    Args:
        root: a folder, made when something is first stored, or ``s3://bucket/prefix``.
        storage: deltalake's storage options; as boto3 resolves them at each use if None.
        kinds: the layout of the tables.
        renamed: canonical symbols, new by old: a symbol's rows are stored under its present name,
            and readers may ask by any.

    Raises:
        InputError: the root is neither a folder's path nor an S3 address.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        storage: Mapping[str, str] | None = None,
        kinds: Mapping[str, Kind] = KINDS,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        self.root = parse_root(root)
        self._storage = None if storage is None else dict(storage)
        self._kinds = dict(kinds)
        self._renamed = dict(renamed or {})
        self._tables = {
            name: SeriesTable(kind, f"{self.root}/{name}", self._options)
            for name, kind in kinds.items()
        }

    def __repr__(self) -> str:
        return f"SeriesStore({self.root!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Open tables stay behind when the store is handed to another process.
        return _remake, (self.root, self._storage, self._kinds, self._renamed)

    def kinds(self) -> list[str]:
        """The kinds of series, whether or not any are stored."""
        return list(self._kinds)

    def present_name(self, symbol: str) -> str:
        """The canonical name under which a symbol's rows are stored, whatever name it is given by.

        Raises:
            InputError: the symbol is no linear perpetual.
        """
        return present_name(symbol, self._renamed)

    def by_own_names(self) -> SeriesStore:
        """The same store, where a former name means the rows that were stored under it."""
        return SeriesStore(self.root, storage=self._storage, kinds=self._kinds)

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
                perpetual ``BTC/USDT:USDT``, and a former name the present one.
            start, end: only rows whose time (of gaps the start, of quality when it was checked)
                is in ``[start, end)``; a time without a zone is taken as UTC.
            columns: only these, in this order.

        Returns:
            A frame of the kind's columns; what is unknown is NaN, NaT or NA. Without rows, but with
            the right columns and dtypes, if nothing of the kind is stored.

        Raises:
            InputError: there is no such kind or column, the kind has no such limit, or a limit is
                no time.
            SeriesStoreError: the store can't be read.
        """
        found = parse_kind(kind, self._kinds)
        names = found.check_columns(list(found.columns) if columns is None else columns)
        texts = to_texts(symbol=symbol, exchange=exchange, timeframe=timeframe)
        if "symbol" in texts:
            texts["symbol"] = [self._stored_as(name) for name in texts["symbol"]]
        limits = Limits(texts, to_moment(start, "start"), to_moment(end, "end"))
        condition = " AND ".join(limits.conditions(found))
        order = " ORDER BY " + ", ".join(f'"{name}"' for name in found.key)
        with self._faults(found, "read"):
            table = self._tables[kind].find()
            if table is None:
                return found.empty(names)
            rows = query(table, found, names, condition, order)
        return found.to_frame(rows)

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
        """The times of one series in ``[start, end)``, sorted and unique.

        Raises:
            InputError: the kind has no time, or as for :meth:`read`.
            SeriesStoreError: the store can't be read.
        """
        column = parse_kind(kind, self._kinds).time
        if column is None:
            raise InputError(f"{kind} have no time; read them by `read`")
        frame = self.read(
            kind,
            exchange=exchange,
            symbol=symbol,
            timeframe=timeframe,
            start=start,
            end=end,
            columns=[column],
        )
        return pd.DatetimeIndex(frame[column].drop_duplicates(), name=column).sort_values()

    # --- writing --------------------------------------------------------------------------------

    def upsert(self, kind: str, frame: pd.DataFrame) -> UpsertCounts:
        """Store rows; a row whose key is stored already is replaced if its values differ.

        When it returns, the rows are on the disk or in the object store. Doing it again changes
        nothing, so a caller that was killed just does it again.

        Args:
            kind: one of :meth:`kinds`.
            frame: the kind's columns in any order; nullable ones may be left out, ``collected``
                is set here. Of rows with the same key the last counts. Not changed.

        Raises:
            InputError: a column is unknown, missing or of another type, or a key is missing.
        """
        found = parse_kind(kind, self._kinds)
        rows = to_rows(found, frame, pd.Timestamp.now("UTC"))
        if len(rows) == 0:
            return UpsertCounts(0, 0, 0)
        with self._faults(found, "store"):
            inserted, updated = upsert_rows(self._tables[kind], rows)
        return UpsertCounts(len(rows), inserted, updated)

    def revise(
        self,
        kind: str,
        change: Callable[[pd.DataFrame], pd.DataFrame],
        *,
        exchange: str,
        symbols: Sequence[str],
    ) -> None:
        """Replace all rows of an exchange's symbols by what a function makes of them.

        In one commit, and nothing that another writer stores meanwhile is lost: the rows are then
        read again, and the function is called again.

        Args:
            kind: one of :meth:`kinds`.
            change: gets the rows as of :meth:`read`, in any order, and returns those that take
                their place; the very frame that it got if nothing is to be written.
            exchange, symbols: whose rows are replaced.

        Raises:
            InputError: the rows are of others, or as for :meth:`upsert`.
        """
        found = parse_kind(kind, self._kinds)
        texts = to_texts(exchange=exchange, symbol=symbols)

        def changed(stored: pa.Table) -> pa.Table | None:
            before = found.to_frame(stored)
            after = change(before)
            return None if after is before else rows_with(found, after, texts)

        if texts["symbol"]:
            with self._faults(found, "revise"):
                revise_rows(self._tables[kind], changed, texts)

    # --- upkeep ---------------------------------------------------------------------------------

    def upkeep(self, *, keep_hours: float = 24.0) -> None:
        """Join small files, and delete those that no table has held for some hours.

        Args:
            keep_hours: longer than any reading or writing takes, for it may still use such files;
                at least one hour.

        Raises:
            InputError: ``keep_hours`` is less than that.
            SeriesStoreError: files can't be joined or deleted.
        """
        if not keep_hours >= 1:
            raise InputError(f"keep_hours={keep_hours} may harm what is running; give 1 or more")
        for name, kind in self._kinds.items():
            with self._faults(kind, "tidy"):
                tidy(self._tables[name], int(keep_hours))

    def check(self) -> ConditionalPuts:
        """Whether the store can be reached and written, and keeps writers apart.

        Raises:
            SeriesStoreError: it can't be reached or written.
        """
        return check_place(self.root, self._options())

    # --- helpers --------------------------------------------------------------------------------

    def _stored_as(self, symbol: str) -> str:
        return present_name(symbol, self._renamed) if symbol in self._renamed else symbol

    def _options(self) -> dict[str, str]:
        if self._storage is not None:
            return self._storage
        return storage_options() if is_s3(self.root) else {}

    @contextmanager
    def _faults(self, kind: Kind, doing: str) -> Iterator[None]:
        try:
            with store_faults(self.root, f"{doing} the {kind.name}", self._options):
                yield
        except SeriesStoreError:
            self._tables[kind.name].forget()
            raise


def _remake(
    root: str,
    storage: Mapping[str, str] | None,
    kinds: Mapping[str, Kind],
    renamed: Mapping[str, str],
) -> SeriesStore:
    return SeriesStore(root, storage=storage, kinds=kinds, renamed=renamed)
