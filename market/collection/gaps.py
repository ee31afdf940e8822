"""The record of gaps: for every range of every collection, what of it is not stored, and why.

It is written ahead: a range's holes are recorded as "not fetched yet" before anything of it is
fetched, and what is still missing is recorded when the series is done. So at every moment, after a
crash too, what should exist and is not stored lies within a recorded gap. A gap may hold rows that
were stored since; :func:`market.collection.gaps.open_gaps` leaves those out.

A row that can't be true, such as a candle of negative volume, is missing with what is wrong as its
reason. Every collection requests it again, and stores it once the exchange has mended it.

A row that the exchange does not have is requested again, once a collection: by every collection of
the first day since its absence was noted, then daily until the third day, then weekly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from brain.series.store.store import SeriesStore
from market.collection.grid import (
    FixedGrid,
    FundingGrid,
    Grid,
    Span,
    as_time,
    as_times,
    parts_outside,
)
from market.collection.results import Gap

__all__ = [
    "ENDED",
    "IMPOSSIBLE",
    "NOT_FETCHED",
    "NO_ROW",
    "TOO_OLD",
    "GapRevision",
    "SeriesKey",
    "absent",
    "due_gaps",
    "gaps_of",
    "open_gaps",
    "replace_gaps",
    "rests",
    "revise_gaps",
]

NOT_FETCHED = "not fetched yet"
NO_ROW = "the exchange has no row"
#: How the reason of a gap begins whose rows the exchange has, and which can't be true.
IMPOSSIBLE = "the exchange's row is impossible"
#: Between when an instrument was last listed and when a collection no longer found it: it ended at
#: an unknown time between.
ENDED = "no longer listed"
#: How the reason of a gap begins that can't be filled any more.
TOO_OLD = "older than the exchange keeps"

_SERIES = ["exchange", "symbol", "kind", "timeframe"]
_KEY = [*_SERIES, "start"]
# Enough settlements before and after a gap to tell the interval there.
_CONTEXT = pd.Timedelta(days=4)

# A night begins a little earlier than the one before, now and then.
_DAILY = pd.Timedelta(hours=20)
_WEEKLY = pd.Timedelta(days=6, hours=12)
_DAYS = (pd.Timedelta(days=1), pd.Timedelta(days=3, hours=12))

#: Exchange, symbol, kind and timeframe.
SeriesKey = tuple[str, str, str, str]


# --- reasons ----------------------------------------------------------------------------------


def absent(gap: Gap) -> bool:
    """Whether the exchange has answered, and has no such rows."""
    return gap.reason in (NO_ROW, ENDED)


def _impossible(gap: Gap) -> bool:
    return gap.reason.startswith(IMPOSSIBLE)


def rests(gap: Gap, now: pd.Timestamp) -> bool:
    """Whether rows that the exchange does not have need not be requested now."""
    if not absent(gap) or gap.reason_since is None or gap.checked is None:
        return False
    age = now - gap.reason_since
    if age < _DAYS[0]:
        return False
    return bool(now - gap.checked < (_DAILY if age < _DAYS[1] else _WEEKLY))


def due_gaps(gaps: Iterable[Gap], oldest: pd.Timestamp | None, now: pd.Timestamp) -> list[Gap]:
    """The gaps to request again.

    Args:
        gaps: on record.
        oldest: the earliest time that the exchange keeps; None: it keeps everything. A gap that was
            too old may be due once that is known to be earlier.
        now: the exchange's time.
    """
    due: list[Gap] = []
    for gap in gaps:
        if gap.reason.startswith(TOO_OLD):
            due += [gap] if oldest is None or gap.end > oldest else []
        elif not rests(gap, now):
            due.append(gap)
    return due


# --- the record -------------------------------------------------------------------------------


@dataclass(frozen=True)
class GapRevision:
    """What a collection records of one series' gaps.

    Attributes:
        key: exchange, symbol, kind and timeframe.
        grid: of the series, to count the rest of a gap that is split.
        scope: where the record is replaced.
        gaps: what is missing in the scope.
    """

    key: SeriesKey
    grid: Grid
    scope: tuple[Span, ...]
    gaps: tuple[Gap, ...]


def gaps_of(record: pd.DataFrame) -> dict[SeriesKey, list[Gap]]:
    """The gaps by series, of a frame of the store's kind ``gaps``."""
    by_series: dict[SeriesKey, list[Gap]] = {}
    columns = [*_KEY, "end", "count", "reason", "reason_since", "checked"]
    for *key, start, end, count, reason, since, checked in record[columns].itertuples(
        index=False, name=None
    ):
        gap = Gap(
            start, end, int(count), str(reason), checked if pd.isna(since) else since, checked
        )
        exchange, symbol, kind, timeframe = key
        by_series.setdefault((exchange, symbol, kind, timeframe), []).append(gap)
    return by_series


def revise_gaps(
    store: SeriesStore, exchange: str, revisions: Sequence[GapRevision], checked: pd.Timestamp
) -> None:
    """Bring the record up to date, in one commit; what others record meanwhile stays.

    Args:
        store: holds the record.
        exchange: of the revisions.
        revisions: one for each series at most.
        checked: when the exchange was asked.

    Raises:
        SeriesStoreError: the store can't be written.
    """
    symbols = sorted({revision.key[1] for revision in revisions})
    if symbols:
        store.revise(
            "gaps",
            lambda record: _revise(record, revisions, checked),
            exchange=exchange,
            symbols=symbols,
        )


def _revise(
    record: pd.DataFrame, revisions: Iterable[GapRevision], checked: pd.Timestamp
) -> pd.DataFrame:
    """The record with the revisions in it; rows of other series stay as they are."""
    by_series = gaps_of(record)
    by_key = {revision.key: revision for revision in revisions}
    gaps: list[tuple[SeriesKey, Gap]] = []
    for key, revision in by_key.items():
        before = by_series.get(key, [])
        gaps += [(key, gap) for gap in _outside_scope(before, revision)]
        gaps += [(key, _with_reason_since(gap, before, checked)) for gap in revision.gaps]
    return replace_gaps(record, by_key.keys(), gaps, checked)


def _outside_scope(gaps: Iterable[Gap], revision: GapRevision) -> list[Gap]:
    """What is on record outside a revision's scope."""
    rest: list[Gap] = []
    for gap in gaps:
        for start, end in parts_outside(gap.start, gap.end, revision.scope):
            part = gap.part(start, end, revision.grid.count)
            rest += [part] if part.count else []
    return rest


def _with_reason_since(gap: Gap, before: Iterable[Gap], checked: pd.Timestamp) -> Gap:
    """The gap with when its reason was first noted: of the record's like it where it is.

    Of an absence or an impossible row; any other reason is of its own collection.
    """
    like = absent if absent(gap) else _impossible
    if gap.reason_since is not None or not like(gap):
        return gap
    since = [
        old.reason_since
        for old in before
        if like(old)
        and old.reason_since is not None
        and old.start < gap.end
        and old.end > gap.start
    ]
    return replace(gap, reason_since=min([checked, *since]))


def replace_gaps(
    record: pd.DataFrame,
    series: Collection[SeriesKey],
    gaps: Iterable[tuple[SeriesKey, Gap]],
    checked: pd.Timestamp,
) -> pd.DataFrame:
    """The record without the gaps of some series, and with other gaps.

    Args:
        record: a frame of the store's kind ``gaps``.
        series: whose gaps are left out.
        gaps: to add, each with its series.
        checked: when the exchange was asked for a gap that does not say when.
    """
    keys = zip(*(record[name] for name in _SERIES), strict=True)
    others = record[np.array([key not in series for key in keys], dtype=bool)]
    rows = [_row(key, gap, checked) for key, gap in gaps]
    if not rows:
        return others
    more = pd.DataFrame(rows).astype(record.dtypes.to_dict())
    return pd.concat([others, more], ignore_index=True) if len(others) else more


def _row(key: SeriesKey, gap: Gap, checked: pd.Timestamp) -> dict[str, object]:
    return {
        **dict(zip(_SERIES, key, strict=True)),
        "start": gap.start,
        "end": gap.end,
        "count": gap.count,
        "reason": gap.reason,
        "checked": checked if gap.checked is None else gap.checked,
        "reason_since": checked if gap.reason_since is None else gap.reason_since,
    }


# --- open gaps --------------------------------------------------------------------------------


def open_gaps(
    store: SeriesStore,
    *,
    exchange: str | Sequence[str] | None = None,
    symbol: str | Sequence[str] | None = None,
    kind: str | None = None,
    timeframe: str | None = None,
) -> pd.DataFrame:
    """The recorded gaps without the rows that were stored since.

    Args:
        store: the series store.
        exchange, symbol: only of these; all if None.
        kind: ``candles``, ``funding`` or ``open_interest``; all if None.
        timeframe: of candles and open interest; all if None.

    Returns:
        The columns of the store's kind ``gaps``, sorted by its key, a row for each stretch:
        exchange, symbol, kind, timeframe (empty for funding), start, end (exclusive), count (rows
        missing), reason, checked (when the exchange was last asked for them), reason_since (when
        the reason was first noted).

    Raises:
        SeriesStoreError: the store can't be read.
    """
    record = store.read("gaps", exchange=exchange, symbol=symbol)
    record["reason_since"] = record["reason_since"].fillna(record["checked"])
    if kind is not None:
        record = record[record["kind"] == kind]
    if timeframe is not None:
        record = record[record["timeframe"] == timeframe]
    store = store.by_own_names()  # gaps under a former name are of the rows under that name
    hours = _funding_hours(store, record)
    parts: list[pd.DataFrame] = []
    for (name, contract, *_), rows in record.groupby(_SERIES, sort=False):
        parts.append(_open_rows(store, rows, hours.get((str(name), str(contract)))))
    parts = [part for part in parts if len(part)]
    gaps = pd.concat(parts, ignore_index=True) if parts else record.iloc[:0]
    return gaps.sort_values(_KEY, ignore_index=True)


def _funding_hours(store: SeriesStore, record: pd.DataFrame) -> dict[tuple[str, str], float]:
    """The present funding intervals by exchange and symbol, of the record's instruments."""
    if not (record["kind"] == "funding").any():
        return {}
    symbols = sorted(set(record["symbol"]))
    instruments = store.read("instruments", symbol=symbols).sort_values("seen")
    instruments = instruments.dropna(subset=["funding_interval_hours"])
    names = zip(instruments["exchange"], instruments["symbol"], strict=True)
    return dict(zip(names, instruments["funding_interval_hours"], strict=True))


def _open_rows(store: SeriesStore, record: pd.DataFrame, hours: float | None) -> pd.DataFrame:
    """One series' rows of the record without what was stored since.

    Args:
        store: by its own names.
        record: the series' rows.
        hours: the instrument's funding interval; None if unknown.
    """
    exchange, symbol, kind, timeframe = (str(record[name].iloc[0]) for name in _SERIES)
    grid: Grid = FundingGrid(hours) if kind == "funding" else FixedGrid.of(timeframe)
    times = as_times(
        store.times(
            kind,
            exchange=exchange,
            symbol=symbol,
            timeframe=timeframe or None,
            start=record["start"].min() - _CONTEXT,
            end=record["end"].max() + _CONTEXT,
        )
    )
    rows: list[dict[str, Any]] = []
    gaps: list[dict[str, Any]] = record.to_dict("records")  # type: ignore[assignment]
    for gap in gaps:
        first, last = np.searchsorted(times, [as_time(gap["start"]), as_time(gap["end"])])
        if first == last:
            rows.append(gap)  # nothing was stored since
            continue
        spans = grid.possible_holes(times, gap["start"], gap["end"])
        rows += [{**gap, "start": s.start, "end": s.end, "count": s.count} for s in spans]
    return pd.DataFrame(rows, columns=record.columns).astype(record.dtypes.to_dict())
