"""The record of gaps: for every range ever asked for, what of it is not stored, and why.

It is written ahead: a range's holes are recorded as "not fetched yet" before anything of it is
fetched, and what is still missing is recorded when the series is done. So at every moment, after a
crash too, what should exist and is not stored lies within a recorded gap. A gap may hold rows that
were stored since; :func:`open_gaps` leaves those out.

What an exchange was asked for and does not have is asked for again, once a collection, by every
collection of the first day since that was found, then daily until the third day, then weekly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from brain.series.store.store import SeriesStore
from market.collection.grid import FixedGrid, FundingGrid, Grid, Span, as_time, as_times, outside
from market.collection.results import Gap

__all__ = [
    "ENDED",
    "NOT_FETCHED",
    "NO_ROW",
    "TOO_OLD",
    "GapMove",
    "GapRevision",
    "Key",
    "absent",
    "apply",
    "carry_gaps",
    "gaps_of",
    "open_gaps",
    "rests",
    "revise_gaps",
]

NOT_FETCHED = "not fetched yet"
NO_ROW = "the exchange has no row"
#: Between when an instrument was last listed and when it was first found gone: nobody says when
#: it ended.
ENDED = "no longer listed"
#: How the reason of a gap begins that nobody can fill any more.
TOO_OLD = "older than the exchange keeps"
#: What names a series in the gap record.
_SERIES = ["exchange", "symbol", "kind", "timeframe"]
_KEY = [*_SERIES, "start"]
# Enough settlements before and after a gap to tell the interval there.
_CONTEXT = pd.Timedelta(days=4)

# A night begins a little earlier than the one before, now and then.
_DAILY = pd.Timedelta(hours=20)
_WEEKLY = pd.Timedelta(days=6, hours=12)
_DAYS = (pd.Timedelta(days=1), pd.Timedelta(days=3, hours=12))

Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class GapRevision:
    """What a collection has found out about the gaps of one series.

    Attributes:
        key: exchange, symbol, kind, timeframe.
        grid: of the series, to count what is left of a gap that is cut.
        scope: where it knows; what is recorded there is replaced.
        gaps: what is missing in the scope.
    """

    key: Key
    grid: Grid
    scope: tuple[Span, ...]
    gaps: tuple[Gap, ...]


def gaps_of(frame: pd.DataFrame) -> dict[Key, list[Gap]]:
    """The gaps by series of a frame of the store's kind ``gaps``."""
    found: dict[Key, list[Gap]] = {}
    columns = [*_KEY, "end", "count", "reason", "reason_since", "checked"]
    for *key, start, end, count, reason, since, checked in frame[columns].itertuples(
        index=False, name=None
    ):
        noted = checked if pd.isna(since) else since
        gap = Gap(start, end, int(count), str(reason), noted, checked)
        exchange, symbol, kind, timeframe = key
        found.setdefault((exchange, symbol, kind, timeframe), []).append(gap)
    return found


def absent(gap: Gap) -> bool:
    """Whether the exchange was asked, and has no such rows."""
    return gap.reason in (NO_ROW, ENDED)


def rests(gap: Gap, now: pd.Timestamp) -> bool:
    """Whether a gap that was asked for in vain need not be asked for now."""
    if not absent(gap) or gap.reason_since is None or gap.checked is None:
        return False
    age = now - gap.reason_since
    if age < _DAYS[0]:
        return False
    return bool(now - gap.checked < (_DAILY if age < _DAYS[1] else _WEEKLY))


def revise_gaps(
    store: SeriesStore, exchange: str, revisions: Sequence[GapRevision], checked: pd.Timestamp
) -> None:
    """Bring the record up to date, in one commit; what others record meanwhile stays.

    Args:
        exchange: whose series they are.
        revisions: one for each series at most.
        checked: when the exchange was asked.

    Raises:
        SeriesStoreError: the store can't be written.
    """
    symbols = sorted({revision.key[1] for revision in revisions})
    if symbols:
        store.revise(
            "gaps",
            lambda recorded: apply(recorded, revisions, checked),
            exchange=exchange,
            symbols=symbols,
        )


def apply(
    recorded: pd.DataFrame, revisions: Iterable[GapRevision], checked: pd.Timestamp
) -> pd.DataFrame:
    """The record with the revisions in it; rows of other series stay as they are."""
    revised = {revision.key: revision for revision in revisions}
    keys = list(zip(*(recorded[name] for name in _SERIES), strict=True))
    known = gaps_of(recorded)
    rows: list[Mapping[str, object]] = []
    for key, revision in revised.items():
        before = known.get(key, ())
        rows += [_row(key, gap, checked) for gap in _left(before, revision)]
        rows += [_row(key, _dated(gap, before, checked), checked) for gap in revision.gaps]
    others = recorded[np.array([key not in revised for key in keys], dtype=bool)]
    return _joined(others, rows)


def _row(key: Key, gap: Gap, checked: pd.Timestamp) -> dict[str, object]:
    return {
        **dict(zip(_SERIES, key, strict=True)),
        "start": gap.start,
        "end": gap.end,
        "count": gap.count,
        "reason": gap.reason,
        "checked": checked if gap.checked is None else gap.checked,
        "reason_since": checked if gap.reason_since is None else gap.reason_since,
    }


def _dated(gap: Gap, before: Iterable[Gap], checked: pd.Timestamp) -> Gap:
    """The gap with when its absence was first found: what is on record already knows."""
    if gap.reason_since is not None or not absent(gap):
        return gap
    known = [
        old.reason_since
        for old in before
        if absent(old)
        and old.reason_since is not None
        and old.start < gap.end
        and old.end > gap.start
    ]
    return replace(gap, reason_since=min([checked, *known]))


def _joined(others: pd.DataFrame, rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    if not rows:
        return others
    fresh = pd.DataFrame(rows).astype(others.dtypes.to_dict())
    return pd.concat([others, fresh], ignore_index=True) if len(others) else fresh


def _left(gaps: Iterable[Gap], revision: GapRevision) -> list[Gap]:
    """What is recorded outside the scope."""
    left: list[Gap] = []
    for gap in gaps:
        for start, end in outside(gap.start, gap.end, revision.scope):
            whole = (start, end) == (gap.start, gap.end)
            count = gap.count if whole else revision.grid.count(start, end)
            if count:
                left.append(replace(gap, start=start, end=end, count=count))
    return left


@dataclass(frozen=True)
class GapMove:
    """Gaps that were recorded under a former name and belong to the present one's series.

    Attributes:
        old: exchange, symbol, kind and timeframe under which they are recorded.
        new: under which they are to be.
        grid: of the series.
        start, end: of the part of the history that is the old one's, the end exclusive.
    """

    old: Key
    new: Key
    grid: Grid
    start: pd.Timestamp
    end: pd.Timestamp


def carry_gaps(store: SeriesStore, exchange: str, moves: Sequence[GapMove]) -> None:
    """Record gaps under another name, and no longer under the old one, in one commit.

    Raises:
        SeriesStoreError: the store can't be written.
    """
    if moves:
        store.revise(
            "gaps",
            lambda recorded: _carried(recorded, moves),
            exchange=exchange,
            symbols=sorted({key[1] for move in moves for key in (move.old, move.new)}),
        )


def _carried(recorded: pd.DataFrame, moves: Sequence[GapMove]) -> pd.DataFrame:
    known, gone = gaps_of(recorded), {move.old for move in moves}
    keys = zip(*(recorded[name] for name in _SERIES), strict=True)
    others = recorded[np.array([key not in gone for key in keys], dtype=bool)]
    rows: list[dict[str, object]] = []
    for move in moves:
        own = [Span(gap.start, gap.end, gap.count) for gap in known.get(move.new, ())]
        for gap in known.get(move.old, ()):
            low, high = max(gap.start, move.start), min(gap.end, move.end)
            for start, end in outside(low, high, own) if low < high else ():
                whole = (start, end) == (gap.start, gap.end)
                count = gap.count if whole else move.grid.count(start, end)
                part = replace(gap, start=start, end=end, count=count)
                rows += [_row(move.new, part, recorded["checked"].max())] if count else []
    return _joined(others, rows)


def open_gaps(
    store: SeriesStore,
    *,
    exchange: str | Sequence[str] | None = None,
    symbol: str | Sequence[str] | None = None,
    kind: str | None = None,
    timeframe: str | None = None,
) -> pd.DataFrame:
    """The holes: what was asked for, should exist and is not stored.

    Args:
        store: The series store.
        exchange, symbol: Only of these; all if None.
        kind: ``candles``, ``funding`` or ``open_interest``; all if None.
        timeframe: Of candles and open interest; all if None.

    Returns:
        The columns of the store's kind ``gaps``, sorted by its key, a row for each stretch:
        exchange, symbol, kind, timeframe (empty for funding), start, end (exclusive), count (rows
        missing), reason, checked (when that was last asked for), reason_since (when the reason was first
        noted).

    Raises:
        SeriesStoreError: the store can't be read.
    """
    recorded = store.read("gaps", exchange=exchange, symbol=symbol)
    recorded["reason_since"] = recorded["reason_since"].fillna(recorded["checked"])
    if kind is not None:
        recorded = recorded[recorded["kind"] == kind]
    if timeframe is not None:
        recorded = recorded[recorded["timeframe"] == timeframe]
    hours = _funding_hours(store, recorded)
    parts: list[pd.DataFrame] = []
    for (name, instrument, *_), gaps in recorded.groupby(_SERIES, sort=False):
        parts.append(_still_open(store, gaps, hours.get((str(name), str(instrument)))))
    parts = [part for part in parts if len(part)]
    found = pd.concat(parts, ignore_index=True) if parts else recorded.iloc[:0]
    return found.sort_values(_KEY, ignore_index=True)


def _funding_hours(store: SeriesStore, recorded: pd.DataFrame) -> dict[tuple[str, str], float]:
    """The present funding intervals of the instruments that the record names."""
    if not (recorded["kind"] == "funding").any():
        return {}
    symbols = sorted(set(recorded["symbol"]))
    known = store.read("instruments", symbol=symbols).sort_values("seen")
    known = known.dropna(subset=["funding_interval_hours"])
    names = zip(known["exchange"], known["symbol"], strict=True)
    return dict(zip(names, known["funding_interval_hours"], strict=True))


def _still_open(store: SeriesStore, gaps: pd.DataFrame, hours: float | None) -> pd.DataFrame:
    """What rows stored since leave of one series' gaps."""
    exchange, symbol, kind, timeframe = (str(gaps[name].iloc[0]) for name in _SERIES)
    grid: Grid = FundingGrid(hours) if kind == "funding" else FixedGrid.of(timeframe)
    times = as_times(
        store.times(
            kind,
            exchange=exchange,
            symbol=symbol,
            timeframe=timeframe or None,
            start=gaps["start"].min() - _CONTEXT,
            end=gaps["end"].max() + _CONTEXT,
        )
    )
    rows: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = gaps.to_dict("records")  # type: ignore[assignment]
    for gap in records:
        first, last = np.searchsorted(times, [as_time(gap["start"]), as_time(gap["end"])])
        if first == last:
            rows.append(gap)  # nothing came since
            continue
        spans = grid.unasked(times, gap["start"], gap["end"])
        rows += [{**gap, "start": s.start, "end": s.end, "count": s.count} for s in spans]
    return pd.DataFrame(rows, columns=gaps.columns).astype(gaps.dtypes.to_dict())
