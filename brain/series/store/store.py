"""The series store: market history and evidence as Delta tables, in a folder or an S3 store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from brain.errors import InputError, SeriesStoreError
from brain.naming import listed_symbol, present_name, spot_exchange
from brain.series.store.address import check_root, parse_root, store_faults
from brain.series.store.commits import (
    append_rows,
    expire,
    restore_rows,
    revise_rows,
    tidy,
    upsert_rows,
)
from brain.series.store.object_store import ConditionalPuts, is_s3, storage_options
from brain.series.store.queries import RowFilter, extents, query, text_filter, to_timestamp
from brain.series.store.rows import rows_with, to_rows
from brain.series.store.schema import KINDS, Kind, parse_kind
from brain.series.store.table import SeriesTable, read_again

__all__ = ["AppendCounts", "SeriesStore", "UpsertCounts"]


@dataclass(frozen=True)
class AppendCounts:
    """The counts of an append.

    Attributes:
        rows: of the frame; rows with the same key count once.
        inserted: rows whose key was not in the store.
        different: rows whose key was there with other values, which stay.
    """

    rows: int
    inserted: int
    different: int


@dataclass(frozen=True)
class UpsertCounts:
    """The counts of an upsert.

    Attributes:
        rows: of the frame; rows with the same key count once.
        inserted: rows whose key was not in the store.
        updated: rows whose key was there with other values.
    """

    rows: int
    inserted: int
    updated: int


class SeriesStore:
    """Series by kind. Any number of processes and threads may read and write at once.

    A symbol's rows are stored under the symbol that they are written with. Readers may name a
    renamed symbol by any of its names, and get the rows of the present one.

    Every method raises :class:`~brain.errors.InputError` if a kind or column is unknown, and
    :class:`~brain.errors.SeriesStoreError` if the store can't be reached, read or written, or
    was written by a newer version of this program.

    Args:
        root: a folder, made when something is first stored, or ``s3://bucket/prefix``.
        storage: deltalake's storage options; as boto3 resolves them at each use if None.
        kinds: the layouts of the tables.
        renamed: canonical symbols, new by old.
        clock: the moment as which what is stored counts as collected; the machine's clock if None.
            Worker processes must be able to take it along.

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
        clock: Callable[[], pd.Timestamp] | None = None,
    ) -> None:
        self.root = parse_root(root)
        self._storage = None if storage is None else dict(storage)
        self._kinds = dict(kinds)
        self._renamed = dict(renamed or {})
        self._clock = clock or _now
        self._tables = {
            name: SeriesTable(kind, f"{self.root}/{name}", self._options)
            for name, kind in kinds.items()
        }

    def __repr__(self) -> str:
        return f"SeriesStore({self.root!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Open tables can't go to another process.
        return _rebuild, (self.root, self._storage, self._kinds, self._renamed, self._clock)

    def kinds(self) -> list[str]:
        """The kinds of series, whether or not any are stored."""
        return list(self._kinds)

    def present_name(self, symbol: str) -> str:
        """The canonical symbol after all its renamings, by any of its names.

        Raises:
            InputError: the symbol is no linear perpetual.
        """
        return present_name(symbol, self._renamed)

    def listed_name(self, symbol: str, exchange: str) -> str:
        """The symbol as an exchange's series have it: the perpetual's present name, or the pair.

        Raises:
            InputError: the symbol is no linear perpetual, or no pair where that is needed.
        """
        if spot_exchange(exchange):
            return listed_symbol(symbol, exchange)
        return self.present_name(symbol)

    def by_own_names(self) -> SeriesStore:
        """The same store, where a former name means the rows that were stored under it."""
        if not self._renamed:
            return self
        return SeriesStore(self.root, storage=self._storage, kinds=self._kinds, clock=self._clock)

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
        where: Mapping[str, str | Sequence[str]] | None = None,
    ) -> pd.DataFrame:
        """Rows of one kind, sorted by key.

        Args:
            kind: one of :meth:`kinds`.
            symbol, exchange, timeframe: only of these; all if None. In market series ``BTC/USDT``
                means the perpetual ``BTC/USDT:USDT``, unless only spot markets are named
                (``binance-spot``), and a former name the present symbol.
            start, end: only rows whose time (of gaps the start, of quality when it was checked)
                is in ``[start, end)``; a time without a zone is taken as UTC.
            columns: only these, in this order.
            where: values by other text columns of the key, such as ``line``: only rows with these.

        Returns:
            A frame of the kind's columns; unknown values are NaN, NaT or NA. Without rows, but with
            the right columns and dtypes, if nothing of the kind is stored.

        Raises:
            InputError: there is no such kind or column, the kind has no such limit, or a limit is
                no time.
            SeriesStoreError: the store can't be read.
        """
        layout = parse_kind(kind, self._kinds)
        names = layout.check_columns(list(layout.columns) if columns is None else columns)
        texts = {"symbol": symbol, "exchange": exchange, "timeframe": timeframe, **(where or {})}
        condition = self._condition(layout, start=start, end=end, **texts)
        order = " ORDER BY " + ", ".join(f'"{name}"' for name in layout.key)

        def rows_now() -> pa.Table | None:
            delta = self._tables[kind].find()
            return None if delta is None else query(delta, layout, names, condition, order)

        with self._faults(layout, "read"):
            rows = read_again(rows_now)
        return layout.empty(names) if rows is None else layout.to_frame(rows)

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

        Args:
            kind: one of :meth:`kinds`.
            exchange, symbol, timeframe, start, end: as for :meth:`read`.

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

    def extents(
        self,
        kind: str,
        *,
        symbol: str | Sequence[str] | None = None,
        exchange: str | Sequence[str] | None = None,
        timeframe: str | None = None,
    ) -> pd.DataFrame:
        """The series of one kind: how many rows each has, and from when to when.

        Args:
            kind: one of :meth:`kinds`, with a time.
            symbol, exchange, timeframe: only of these, as for :meth:`read`.

        Returns:
            A row for each series, sorted: the key without the time, then first, last (times of the
            rows) and rows.

        Raises:
            InputError: the kind has no time, or as for :meth:`read`.
            SeriesStoreError: the store can't be read.
        """
        layout = parse_kind(kind, self._kinds)
        if layout.time is None:
            raise InputError(f"{kind} have no time; read them by `read`")
        condition = self._condition(layout, symbol=symbol, exchange=exchange, timeframe=timeframe)
        with self._faults(layout, "read"):
            delta = self._tables[kind].find()
            rows = None if delta is None else extents(delta, layout, condition)
        names = [name for name in layout.key if name != layout.time]
        if rows is None:
            empty = layout.empty([*names, layout.time])[[*names, *[layout.time] * 2]]
            return empty.set_axis([*names, "first", "last"], axis="columns").assign(
                rows=pd.Series(dtype="int64")
            )
        return rows.to_pandas()

    # --- writing --------------------------------------------------------------------------------

    def upsert(self, kind: str, frame: pd.DataFrame) -> UpsertCounts:
        """Store rows; a row whose key is stored already is replaced if its values differ.

        When it returns, the rows are on the disk or in the object store. A repetition changes
        nothing, so a caller that was killed just repeats it.

        Args:
            kind: one of :meth:`kinds`.
            frame: the kind's columns in any order; nullable ones may be left out, ``collected``
                is set here. Of rows with the same key the last counts. It is not changed.

        Raises:
            InputError: a column is unknown, missing or of another type, or a key is missing.
        """
        layout = parse_kind(kind, self._kinds)
        rows = to_rows(layout, frame, self._clock())
        if len(rows) == 0:
            return UpsertCounts(0, 0, 0)
        with self._faults(layout, "store"):
            inserted, updated = upsert_rows(self._tables[kind], rows)
        return UpsertCounts(len(rows), inserted, updated)

    def append(self, kind: str, frame: pd.DataFrame) -> AppendCounts:
        """Store the rows whose key is not stored yet; what is stored stays as it is, for ever.

        In one commit, and as lasting as one of :meth:`upsert`. Of several writers of a key at once
        the first wins, and the others count theirs as different.

        Args:
            kind, frame: as for :meth:`upsert`.

        Raises:
            InputError: as for :meth:`upsert`.
        """
        layout = parse_kind(kind, self._kinds)
        rows = to_rows(layout, frame, self._clock())
        if len(rows) == 0:
            return AppendCounts(0, 0, 0)
        with self._faults(layout, "store"):
            inserted, different = append_rows(self._tables[kind], rows)
        return AppendCounts(len(rows), inserted, different)

    def revise(
        self,
        kind: str,
        change: Callable[[pd.DataFrame], pd.DataFrame],
        *,
        exchange: str,
        symbols: Sequence[str],
    ) -> None:
        """Replace all rows of an exchange's symbols by what a function makes of them.

        In one commit. If another writer stores rows meanwhile, the rows are read and the function
        is called again, so that nothing is lost.

        Args:
            kind: one of :meth:`kinds`.
            change: gets the rows as of :meth:`read`, in any order, and returns those that take
                their place; the very frame that it got if nothing is to be written.
            exchange, symbols: of the rows; a former name means the rows stored under it.

        Raises:
            InputError: a new row is of another exchange or symbol, or as for :meth:`upsert`.
        """
        layout = parse_kind(kind, self._kinds)
        texts = text_filter(layout, exchange=exchange, symbol=symbols)

        def change_rows(rows: pa.Table) -> pa.Table | None:
            before = layout.to_frame(rows)
            after = change(before)
            if after is before:
                return None
            return rows_with(layout, after, texts, self._clock())

        if texts["symbol"]:
            with self._faults(layout, "revise"):
                revise_rows(self._tables[kind], change_rows, texts)

    def purge(
        self, kind: str, doomed: Callable[[pd.DataFrame], pd.Series], *, partition: str
    ) -> int:
        """Remove rows for good: no file and no earlier version of the table has them afterwards.

        Who is reading such a version just then reads the next one. Copies beyond the store, such as
        backups and old versions of objects in a bucket that keeps them, are not reached.

        Args:
            kind: one of :meth:`kinds`.
            doomed: gets rows as of :meth:`read`, in any order, and tells which of them go; it is
                called again if another writer stores rows meanwhile.
            partition: the value of the kind's partition whose rows it gets.

        Returns:
            How many rows are gone.
        """
        layout = parse_kind(kind, self._kinds)
        texts = {layout.partition: [partition]}
        gone = 0

        def change_rows(rows: pa.Table) -> pa.Table | None:
            nonlocal gone
            before = layout.to_frame(rows)
            mask = doomed(before).astype(bool)
            gone = int(mask.sum())
            return rows_with(layout, before[~mask], texts, self._clock()) if gone else None

        with self._faults(layout, "purge"):
            if self._tables[kind].find() is None:
                return 0
            revise_rows(self._tables[kind], change_rows, texts)
            # Also where nothing is left to remove: whoever removed it may have been killed.
            expire(self._tables[kind])
        return gone

    # --- upkeep ---------------------------------------------------------------------------------

    def upkeep(self, *, keep_hours: float = 24.0) -> None:
        """Join small files, and delete those that no table has held for some hours.

        Args:
            keep_hours: longer than any reading or writing takes, which may still use such files;
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

    def versions(self) -> dict[str, int]:
        """The version of each table that there is, by kind: what :meth:`restore` goes back to."""
        versions = {}
        for name, kind in self._kinds.items():
            with self._faults(kind, "read"):
                delta = self._tables[name].find()
            if delta is not None:
                versions[name] = delta.version()
        return versions

    def restore(self, versions: Mapping[str, int]) -> None:
        """Take back what was stored since; nobody else may be writing.

        Args:
            versions: of :meth:`versions`; a table that is not among them becomes empty.

        Raises:
            SeriesStoreError: a version's files were tidied away.
        """
        for name, kind in self._kinds.items():
            with self._faults(kind, "restore"):
                restore_rows(self._tables[name], versions.get(name, 0))

    def check(self) -> ConditionalPuts:
        """Whether the store can be reached and written, and keeps writers apart.

        Raises:
            SeriesStoreError: it can't be reached or written.
        """
        return check_root(self.root, self._options())

    # --- helpers --------------------------------------------------------------------------------

    def _condition(
        self,
        layout: Kind,
        *,
        start: object = None,
        end: object = None,
        **columns: str | Sequence[str] | None,
    ) -> str:
        texts = text_filter(layout, **columns)
        if "symbol" in texts and layout.listed:
            texts["symbol"] = [self._after_renaming(name) for name in texts["symbol"]]
        row_filter = RowFilter(texts, to_timestamp(start, "start"), to_timestamp(end, "end"))
        return " AND ".join(row_filter.conditions(layout))

    def _after_renaming(self, symbol: str) -> str:
        return present_name(symbol, self._renamed) if symbol in self._renamed else symbol

    def _options(self) -> dict[str, str]:
        if self._storage is not None:
            return self._storage
        return storage_options() if is_s3(self.root) else {}

    @contextmanager
    def _faults(self, layout: Kind, verb: str) -> Iterator[None]:
        try:
            with store_faults(self.root, f"{verb} the {layout.name}", self._options):
                yield
        except SeriesStoreError:
            self._tables[layout.name].forget()
            raise


def _now() -> pd.Timestamp:
    return pd.Timestamp.now("UTC")


def _rebuild(
    root: str,
    storage: Mapping[str, str] | None,
    kinds: Mapping[str, Kind],
    renamed: Mapping[str, str],
    clock: Callable[[], pd.Timestamp],
) -> SeriesStore:
    return SeriesStore(root, storage=storage, kinds=kinds, renamed=renamed, clock=clock)
