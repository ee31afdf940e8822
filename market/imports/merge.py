"""Rows of a file beside those that are stored: new ones, completed ones, and contradictions.

What is known is never lost: a value that the file lacks stays as it is stored, and one that the
store lacks is taken. Where both have a value and these differ, the stored one stays unless the
caller wants the file's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from brain.errors import SeriesFileError
from brain.series.store.schema import KINDS
from brain.series.store.store import SeriesStore
from brain.series.times import when
from brain.text import count
from market.collection.gaps import SeriesKey

__all__ = ["Merge", "merge_rows"]


@dataclass(frozen=True, eq=False)
class Merge:
    """What is to be done with a file's rows.

    Attributes:
        new: rows that are not stored.
        changed: stored rows with what the file adds to them or has otherwise.
        filled: how many of these lacked a value.
        renewed: how many had another one.
        error: of rows that are stored otherwise and stay so; None: there are none.
    """

    new: pd.DataFrame
    changed: pd.DataFrame
    filled: int = 0
    renewed: int = 0
    error: SeriesFileError | None = None


def merge_rows(
    store: SeriesStore, key: SeriesKey, frame: pd.DataFrame, renew: pd.Timestamp | None
) -> Merge:
    """Compare a file's rows with the stored ones.

    Args:
        store: the series store, by its own names.
        key: of the series.
        frame: its rows, sorted by time, each time once.
        renew: since when the file's values replace others; None: never.

    Raises:
        SeriesStoreError: the store can't be read.
    """
    exchange, symbol, kind, timeframe = key
    stored = store.read(
        kind,
        exchange=exchange,
        symbol=symbol,
        timeframe=timeframe or None,
        start=frame["time"].iloc[0],
        end=frame["time"].iloc[-1] + pd.Timedelta(microseconds=1),
    ).drop(columns="collected")
    here = frame["time"].isin(stored["time"]).to_numpy()
    new = frame[~here].reset_index(drop=True)
    ours = frame[here].reset_index(drop=True)
    theirs = stored[stored["time"].isin(ours["time"])].reset_index(drop=True)
    names = [name for name, dtype in KINDS[kind].values.items() if dtype == "number"]
    mine, others = (side[names].to_numpy(dtype=np.float64) for side in (ours, theirs))
    fills = np.isnan(others) & ~np.isnan(mine)
    differs = (mine != others) & ~np.isnan(mine) & ~np.isnan(others)
    newer = np.zeros(len(ours), dtype=bool) if renew is None else (ours["time"] >= renew).to_numpy()
    take = fills | (differs & newer[:, None])
    rows = take.any(axis=1)
    changed = theirs.copy()
    changed[names] = np.where(take, mine, others)
    return Merge(
        new,
        changed[rows].reset_index(drop=True),
        int(fills.any(axis=1).sum()),
        int((differs.any(axis=1) & newer).sum()),
        _error(ours, theirs, names, differs & ~newer[:, None]),
    )


def _error(
    ours: pd.DataFrame, theirs: pd.DataFrame, names: list[str], differs: np.ndarray
) -> SeriesFileError | None:
    rows = differs.any(axis=1)
    if not rows.any():
        return None
    row = int(rows.argmax())
    name = names[int(differs[row].argmax())]
    time: pd.Timestamp = ours["time"].iloc[row]
    return SeriesFileError(
        f"{count(int(rows.sum()), 'row')} stored with other values, which stay, first "
        f"{when(time)}: {name} {theirs[name].iloc[row]!r} and not {ours[name].iloc[row]!r}; import "
        f"it with --renew {time:%Y-%m-%d} to replace them"
    )
