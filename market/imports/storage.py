"""Storing what files hold, in batches: gaps ahead, then the rows, then the gaps that are left.

So an import may be killed at any moment: whatever is not stored between what is on record is on
record itself, and no file is stored in part without its rest being so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from brain.errors import BrainError
from brain.series.store.store import SeriesStore
from market.collection.gaps import GapRevision, SeriesKey, gaps_of, revise_gaps
from market.collection.grid import FixedGrid, Span, Times, as_stamp, as_times, held
from market.imports.merge import StoredRows, merge_rows
from market.imports.record import Piece, SeriesRecord, grid_of
from market.imports.results import SeriesImport
from market.imports.rows import Rows
from market.imports.series_file import SeriesFile

__all__ = ["Part", "Storage"]

logger = logging.getLogger(__name__)

_NO_TIMES: Times = np.empty(0, dtype=np.int64)

#: Called with a file and what is wrong with it.
Fail = Callable[[SeriesFile, BrainError], None]


@dataclass(frozen=True, eq=False)
class Part:
    """What one file brings.

    Attributes:
        file: the file.
        rows: of it; None if it could not be imported.
        piece: what it covers.
    """

    file: SeriesFile
    rows: Rows | None
    piece: Piece

    @classmethod
    def of(cls, file: SeriesFile, rows: Rows) -> Part:
        """The part of a file that was read."""
        if file.period is not None:
            return cls(file, rows, Piece(*file.period, rows.times, rows.impossible))
        marks = [*rows.times[:1], *rows.times[-1:], *rows.impossible]
        if not marks:
            never = pd.Timestamp(0, tz="UTC")
            return cls(file, rows, Piece(never, never, rows.times))
        grid = grid_of(file.key, None)
        step = grid.step if isinstance(grid, FixedGrid) else pd.Timedelta(microseconds=1)
        start, end = as_stamp(min(marks)), as_stamp(max(marks)) + step
        return cls(file, rows, Piece(start, end, rows.times, rows.impossible))

    @classmethod
    def failed(cls, file: SeriesFile, error: BrainError) -> Part | None:
        """The part of a file that could not be imported; None if it is unknown what it covers."""
        if file.period is None:
            return None
        return cls(file, None, Piece(*file.period, _NO_TIMES, fault=str(error)))

    def meets(self, other: Part) -> bool:
        """Whether both have rows of one time."""
        one, two = self.piece.times, other.piece.times
        apart = not len(one) or not len(two) or one[0] > two[-1] or two[0] > one[-1]
        return not apart and bool(held(one, two).any())


@dataclass
class _Batch:
    """What is stored next: the parts by series, and how many rows they have."""

    parts: dict[SeriesKey, list[Part]] = field(default_factory=dict)
    latest: dict[SeriesKey, int] = field(default_factory=dict)
    rows: int = 0


class Storage:
    """Stores parts of series.

    Args:
        store: by its own names.
        now: the moment of the import.
        renew: since when stored rows are replaced; None: never.
        batch_rows: so many rows are stored together.
        fail: called for a file whose rows are stored otherwise.
    """

    def __init__(
        self,
        store: SeriesStore,
        *,
        now: pd.Timestamp,
        renew: pd.Timestamp | None,
        batch_rows: int,
        fail: Fail,
    ) -> None:
        self._store = store
        self._now = now
        self._renew = renew
        self._batch_rows = batch_rows
        self._fail = fail
        self._results: dict[SeriesKey, SeriesImport] = {}
        self._records: dict[SeriesKey, SeriesRecord] = {}
        self._batch = _Batch()

    def begin(self, result: SeriesImport) -> None:
        """Begin with a series, whose parts come in the order of their times as a rule."""
        self._results[result.key] = result

    def add(self, part: Part) -> bool:
        """Take a part; returns whether a batch was stored."""
        key, times = part.file.key, part.piece.times
        parts = self._batch.parts.setdefault(key, [])
        stored = False
        early = len(times) and times[0] <= self._batch.latest.get(key, -1)
        if early and any(part.meets(other) for other in parts):
            self.flush()  # so that the rows of both files are compared
            stored, parts = True, self._batch.parts.setdefault(key, [])
        parts.append(part)
        if len(times):
            last = int(times[-1])
            self._batch.latest[key] = max(last, self._batch.latest.get(key, last))
            self._batch.rows += len(times)
        if self._batch.rows >= self._batch_rows:
            self.flush()
            stored = True
        return stored

    def finish(self, result: SeriesImport) -> None:
        """Forget a series all of whose parts are stored, once its gaps are in the result."""
        record = self._records.pop(result.key, None)
        if record is not None and result.start is not None and result.end is not None:
            result.gaps = tuple(record.gaps_in(Span(result.start, result.end, 0)))

    def flush(self) -> None:
        """Store what was taken.

        Raises:
            SeriesStoreError: the store can't be read or written.
        """
        batch, self._batch = self._batch, _Batch()
        records = {key: self._record(key) for key in batch.parts}
        scopes: dict[SeriesKey, Span] = {}
        for key, parts in batch.parts.items():
            hours = [part.rows.hours for part in parts if part.rows and part.rows.hours]
            records[key].hours = hours[-1] if hours else records[key].hours
            scope = records[key].scope([part.piece for part in parts])
            if scope is not None:
                scopes[key] = scope
        self._revise(records[key].ahead(scope) for key, scope in scopes.items())
        self._append(batch, records)
        for key, parts in batch.parts.items():
            records[key].add([part.piece for part in parts])
            self._results[key].extend(part.piece for part in parts)
        self._revise(records[key].after(scope) for key, scope in scopes.items())

    def _append(self, batch: _Batch, records: dict[SeriesKey, SeriesRecord]) -> None:
        """Store the rows that are new, each kind in one commit, and what the others add."""
        frames: dict[str, list[pd.DataFrame]] = {}
        for key, parts in batch.parts.items():
            times = records[key].times
            again = [part for part in parts if held(part.piece.times, times).any()]
            stored = self._stored(key, again)
            rows = [self._new(part, stored if part in again else None) for part in parts]
            frame = _frame(key, [one for one in rows if one is not None and len(one.times)])
            if frame is not None:
                frames.setdefault(key[2], []).append(frame)
        for kind, some in frames.items():
            counts = self._store.append(kind, pd.concat(some) if len(some) > 1 else some[0])
            if counts.different:
                logger.warning(
                    "%d rows of %s were stored with other values by another program meanwhile; "
                    "these stay", counts.different, kind,
                )  # fmt: skip

    def _new(self, part: Part, stored: StoredRows | None) -> Rows | None:
        """The rows of a part that are not stored; what the others add is stored."""
        rows, result = part.rows, self._results[part.file.key]
        if rows is None:
            return None
        if stored is not None:
            merge = merge_rows(rows, stored, self._renew)
            result.rows_filled += merge.filled
            result.rows_renewed += merge.renewed
            if len(merge.changed):
                self._store.upsert(part.file.key[2], merge.changed)
            if merge.error is not None:
                self._fail(part.file, merge.error)
            rows = rows.part(merge.new)
        result.rows_new += len(rows.times)
        return rows

    def _stored(self, key: SeriesKey, parts: list[Part]) -> StoredRows | None:
        """The stored rows of the times of these parts; None if there are none."""
        if not parts:
            return None
        exchange, symbol, kind, timeframe = key
        rows = self._store.read(
            kind,
            exchange=exchange,
            symbol=symbol,
            timeframe=timeframe or None,
            start=as_stamp(min(part.piece.times[0] for part in parts)),
            end=as_stamp(max(part.piece.times[-1] for part in parts) + 1),
        )
        return StoredRows.of(kind, rows.drop(columns="collected"))

    def _revise(self, revisions: Iterable[GapRevision | None]) -> None:
        by_exchange: dict[str, list[GapRevision]] = {}
        for revision in revisions:
            if revision is not None:
                by_exchange.setdefault(revision.key[0], []).append(revision)
        for exchange, some in by_exchange.items():
            revise_gaps(self._store, exchange, some, self._now)

    def _record(self, key: SeriesKey) -> SeriesRecord:
        """The record of a series, as it was when the series was first asked for."""
        if key not in self._records:
            exchange, symbol, kind, timeframe = key
            times = self._store.times(
                kind, exchange=exchange, symbol=symbol, timeframe=timeframe or None
            )
            gaps = gaps_of(self._store.read("gaps", exchange=exchange, symbol=symbol))
            hours = _listed_hours(self._store, exchange, symbol) if kind == "funding" else None
            self._records[key] = SeriesRecord(key, as_times(times), gaps.get(key, []), hours)
        return self._records[key]


def _frame(key: SeriesKey, rows: list[Rows]) -> pd.DataFrame | None:
    """Rows of a series as the store takes them; None without any."""
    if not rows:
        return None
    exchange, symbol, _, timeframe = key
    texts = {"exchange": exchange, "symbol": symbol}
    texts |= {"timeframe": timeframe} if timeframe else {}
    times = np.concatenate([one.times for one in rows])
    columns = {name: pd.Series([text], dtype="str").repeat(len(times)).array
               for name, text in texts.items()}  # fmt: skip
    values = {name: np.concatenate([one.values[name] for one in rows]) for name in rows[0].values}
    available = np.concatenate([one.available for one in rows])
    stamps = {"time": _stamps(times), **values, "available": _stamps(available)}
    return pd.DataFrame({**columns, **stamps}, copy=False)


def _stamps(times: Times) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times.astype("datetime64[us]")).tz_localize("UTC")


def _listed_hours(store: SeriesStore, exchange: str, symbol: str) -> float | None:
    rows = store.read("instruments", exchange=exchange, symbol=symbol)
    hours = rows.sort_values("seen")["funding_interval_hours"].dropna()
    return float(hours.iloc[-1]) if len(hours) else None
