"""Rows of a file beside those that are stored: new ones, completed ones, and contradictions.

What is known is never lost: a value that the file lacks stays as it is stored, and one that the
store lacks is taken. Where both have a value and these differ, the stored one stays unless the
caller wants the file's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import SeriesFileError
from brain.series.store.schema import KINDS
from brain.series.times import when
from brain.text import count
from market.collection.grid import Times, as_stamp, as_time, held
from market.imports.rows import Floats, Rows

__all__ = ["Merge", "StoredRows", "merge_rows"]


@dataclass(frozen=True, eq=False)
class StoredRows:
    """Stored rows of a series.

    Attributes:
        frame: (N,) as the store has them, sorted by time.
        times: (N,) microseconds since 1970.
        names: of the number columns.
        values: (N, columns) of these.
    """

    frame: pd.DataFrame
    times: Times
    names: tuple[str, ...]
    values: Floats

    @classmethod
    def of(cls, kind: str, frame: pd.DataFrame) -> StoredRows:
        """The rows of a frame of the store."""
        names = tuple(name for name, dtype in KINDS[kind].values.items() if dtype == "number")
        times = pd.DatetimeIndex(frame["time"]).asi8
        return cls(frame, times, names, frame[list(names)].to_numpy(dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Merge:
    """What is to be done with a file's rows.

    Attributes:
        new: (N,) which rows are not stored.
        changed: stored rows with what the file adds to them or has otherwise.
        filled: how many of these lacked a value.
        renewed: how many had another one.
        error: of rows that are stored otherwise and stay so; None: there are none.
    """

    new: npt.NDArray[np.bool_]
    changed: pd.DataFrame
    filled: int = 0
    renewed: int = 0
    error: SeriesFileError | None = None


def merge_rows(rows: Rows, stored: StoredRows, renew: pd.Timestamp | None) -> Merge:
    """Compare a file's rows with the stored ones.

    Args:
        rows: of the file.
        stored: the series' rows of the same times, and more.
        renew: since when the file's values replace others; None: never.
    """
    here = held(rows.times, stored.times)
    times = rows.times[here]
    place = np.searchsorted(stored.times, times)
    mine = np.column_stack([rows.values[name][here] for name in stored.names])
    others = stored.values[place]
    fills = np.isnan(others) & ~np.isnan(mine)
    differs = (mine != others) & ~np.isnan(mine) & ~np.isnan(others)
    newer = times >= (np.inf if renew is None else as_time(renew))
    take = fills | (differs & newer[:, None])
    touched = take.any(axis=1)
    changed = stored.frame.iloc[place[touched]]
    if len(changed):
        values = np.where(take, mine, others)[touched]
        changed = changed.assign(**dict(zip(stored.names, values.T, strict=True)))
    stays = differs & ~newer[:, None]
    return Merge(
        ~here,
        changed,
        int(fills.any(axis=1).sum()),
        int((differs.any(axis=1) & newer).sum()),
        _error(times, mine, others, stays, stored.names) if stays.any() else None,
    )


def _error(
    times: Times,
    mine: Floats,
    others: Floats,
    differs: npt.NDArray[np.bool_],
    names: Sequence[str],
) -> SeriesFileError:
    """The error of values that differ from the stored ones, of which all arguments have a row."""
    rows = differs.any(axis=1)
    row = int(rows.argmax())
    column = int(differs[row].argmax())
    time = as_stamp(times[row])
    return SeriesFileError(
        f"{count(int(rows.sum()), 'row')} stored with other values, which stay, first "
        f"{when(time)}: {names[column]} {float(others[row, column])!r} and not "
        f"{float(mine[row, column])!r}; import it with --renew {time:%Y-%m-%d} to replace them"
    )
