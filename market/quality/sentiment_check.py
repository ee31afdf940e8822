"""The check of a publisher's posts on a coin, and of an index of the whole market's mood.

Posts have no grid: nobody knows how many there should have been, and a day without any is no fault.
An index has a value a day.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from brain.series.store.store import SeriesStore
from brain.text import count
from market.collection.grid import FixedGrid, as_times
from market.collection.plan import SENTIMENT
from market.quality.coverage import coverage_of, lateness_of
from market.quality.record import OVERDUE, QualityRecord, RecordedGap

__all__ = ["INDICES", "index_record", "posts_record"]

#: The kind of indices.
INDICES = "indices"

_DAY = pd.Timedelta(days=1)
_NO_VALUE = "the publisher has none, or was not asked"


def posts_record(
    store: SeriesStore,
    publisher: str,
    coin: str,
    *,
    start: pd.Timestamp,
    end: pd.Timestamp,
    now: pd.Timestamp,
    remark: str = "",
) -> QualityRecord:
    """The quality of a publisher's posts on a coin.

    Args:
        store: is read.
        publisher, coin: of the posts.
        start, end: the range, UTC, end exclusive, by publication.
        now: the time of the check, UTC.
        remark: why posts may be missing, as far as their collection knows.

    Raises:
        SeriesStoreError: the store can't be read.
    """
    rows = store.read(
        SENTIMENT,
        where={"publisher": publisher, "coin": coin},
        start=start,
        end=end,
        columns=["time", "score", "scorer", "scorer_version"],
    )
    record = _record(publisher, coin, SENTIMENT, rows, now, remark)
    if rows.empty:
        return replace(record, note=_joined("no posts: nothing is known", remark))
    times = pd.DatetimeIndex(rows["time"])
    beyond = int((rows["score"].abs() > 1).sum())
    until = max(min(end, now).floor("D"), times[-1])  # today's may come yet
    coverage = coverage_of(times.unique(), None, times[0], until)
    return replace(
        record,
        outliers=beyond,
        coverage=coverage,
        note=_joined(
            f"{count(beyond, 'score')} beyond -1 to 1" if beyond else "",
            _scorers(rows),
            _quiet_days(coverage.shares),
            remark,
        ),
    )


def index_record(
    store: SeriesStore,
    name: str,
    _symbol: str = "",
    *,
    start: pd.Timestamp,
    end: pd.Timestamp,
    now: pd.Timestamp,
    remark: str = "",
) -> QualityRecord:
    """The quality of an index, which has a value a day from its first stored one on.

    Args:
        store: is read.
        name: of the index, which is of no symbol.
        start, end, now, remark: as for :func:`posts_record`.

    Raises:
        SeriesStoreError: the store can't be read.
    """
    rows = store.read(INDICES, where={"index": name}, start=start, end=end, columns=["time"])
    record = _record(name, "", INDICES, rows, now, remark)
    if rows.empty:
        return replace(record, note=_joined("no values: nothing is known", remark))
    times, grid = pd.DatetimeIndex(rows["time"]), FixedGrid(_DAY)
    until = max(grid.floor(min(end, now)), times[-1] + _DAY)  # today's may come yet
    holes = grid.holes(as_times(times), times[0], until)
    missing = sum(hole.count for hole in holes)
    lateness = lateness_of(INDICES, times, _DAY, min(end, now))
    late = lateness is not None and lateness > OVERDUE
    return replace(
        record,
        expected=(until - times[0]) // _DAY,
        missing=missing,
        gaps=len(holes),
        lateness=lateness,
        coverage=coverage_of(times, grid, times[0], until),
        recorded_gaps=tuple(RecordedGap(h.start, h.end, h.count, _NO_VALUE) for h in holes),
        note=_joined(
            f"{count(missing, 'day')} without a value" if missing else "",
            f"the last value is {lateness:.1f} days old" if late else "",
            remark,
        )
        or "nothing found",
    )


def _record(
    exchange: str, symbol: str, kind: str, rows: pd.DataFrame, now: pd.Timestamp, remark: str
) -> QualityRecord:
    """A record of which nothing but the rows is known."""
    return QualityRecord(
        exchange,
        symbol,
        kind,
        "",
        checked=now.tz_convert("UTC").as_unit("us"),
        first=rows["time"].min() if len(rows) else None,
        last=rows["time"].max() if len(rows) else None,
        rows=len(rows),
        expected=None,
        missing=None,
        gaps=None,
        duplicates=None,
        stale=None,
        outliers=None,
        swapped=None,
        note="",
        remark=remark,
    )


def _scorers(rows: pd.DataFrame) -> str:
    """By whom the posts were scored: scores of two scorers don't compare."""
    counts = (rows["scorer"] + " " + rows["scorer_version"]).value_counts(sort=False)
    several = len(counts) > 1
    names = [
        f"{name} ({count(number, 'post')})" if several else str(name)
        for name, number in counts.items()
    ]
    unscored = int(rows["score"].isna().sum())
    rest = f", {count(unscored, 'post')} without a score: it knows no word of them"
    return f"scored by {' and '.join(names)}{rest if unscored else ''}"


def _quiet_days(shares: tuple[float, ...]) -> str:
    quiet = sum(share == 0 for share in shares)
    if not quiet:
        return ""
    return f"none on {quiet} of {count(len(shares), 'day')}, which need be no fault"


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))
