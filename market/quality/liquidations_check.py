"""The check of a symbol's liquidations at one exchange: what of its time was listened to.

They come as they come, so a day without any is no fault, and no row is known to be missing. What
is known is when it was listened to (:mod:`market.streams.listening`). A silence that is not
believed counts as not listened to, as it does in features.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.series.listened import listened_shares
from brain.series.store.store import SeriesStore
from brain.series.suspects import Suspect, read_suspects
from brain.series.times import when
from brain.text import count
from market.collection.grid import as_stamp, as_time, as_times
from market.liquidations.bars import without_suspects
from market.quality.record import Coverage, Listened, QualityRecord, RecordedGap

__all__ = ["LIQUIDATIONS", "liquidations_record", "listened_series"]

#: The kind, as it is listened to and stored.
LIQUIDATIONS = "liquidations"

# What has come may not be stored yet, and a lag is not proved.
_DELAY = pd.Timedelta(minutes=1)
_DAY = pd.Timedelta(days=1)
_NO_STREAM = "no stream was at work"
_SUSPECT = "silence that is not believed"
# Reasons that a note names, those of the most time.
_MOST_REASONS = 3

_Times = npt.NDArray[np.int64]


def listened_series(
    store: SeriesStore, exchanges: Iterable[str], symbols: Iterable[str]
) -> list[tuple[str, str]]:
    """Exchange and symbol of the liquidations that a stream has ever taken up.

    Args:
        store: the series store.
        exchanges, symbols: only of these.

    Raises:
        SeriesStoreError: the store can't be read.
    """
    series = store.extents("listening", exchange=sorted(exchanges), symbol=sorted(symbols))
    series = series[series["kind"] == LIQUIDATIONS]
    return list(series[["exchange", "symbol"]].itertuples(index=False, name=None))


def liquidations_record(
    store: SeriesStore,
    exchange: str,
    symbol: str,
    *,
    start: pd.Timestamp,
    end: pd.Timestamp,
    now: pd.Timestamp,
) -> QualityRecord:
    """The quality of a symbol's liquidations at an exchange.

    Args:
        store: is read.
        exchange: its name.
        symbol: canonical, after its renamings.
        start, end: the range, UTC, end exclusive; the minute before now may not be stored yet, and
            does not count.
        now: the time of the check, UTC.

    Raises:
        SeriesStoreError: the store can't be read.
    """
    until = min(end, now - _DELAY)
    rows = store.read(
        LIQUIDATIONS,
        exchange=exchange,
        symbol=symbol,
        start=start,
        end=end,
        columns=["time", "coverage"],
    )
    listening = store.read(
        "listening", exchange=exchange, symbol=symbol, end=until, where={"kind": LIQUIDATIONS}
    )
    since = max(start, listening["start"].min()) if len(listening) else until
    suspects = _suspects(store, exchange, symbol, since, until) if since < until else []
    heard = _clipped(without_suspects(listening[listening["reason"] == ""], suspects), start, until)
    gaps = _gaps(heard, listening[listening["reason"] != ""], suspects, since, until)
    covered = int((heard[:, 1] - heard[:, 0]).sum())
    whole = covered == as_time(until) - as_time(start)
    listened = Listened(
        share=_share(covered, start, until),
        since=since,
        share_since=_share(covered, since, until),
        suspects=len(suspects),
        lower_bound=not whole or bool((rows["coverage"] != "all").any()),
    )
    return QualityRecord(
        exchange,
        symbol,
        LIQUIDATIONS,
        "",
        checked=now.tz_convert("UTC").as_unit("us"),
        first=rows["time"].min() if len(rows) else None,
        last=rows["time"].max() if len(rows) else None,
        rows=len(rows) if len(rows) or whole else None,
        expected=None,
        missing=None,
        gaps=len(gaps),
        duplicates=None,
        stale=None,
        outliers=None,
        swapped=None,
        note=_note(listened, len(rows), rows["coverage"], gaps),
        coverage=_coverage(heard, start, until) if start < until else None,
        recorded_gaps=gaps,
        listened=listened,
    )


def _suspects(
    store: SeriesStore,
    exchange: str,
    symbol: str,
    start: pd.Timestamp,
    end: pd.Timestamp,
) -> list[Suspect]:
    """The exchange's own, held against all exchanges that are streamed from."""
    others = store.extents("listening", symbol=symbol)["exchange"].unique()
    found = read_suspects(store, tuple(sorted(others)), [symbol], start, end)
    return [one for one in found if (one.exchange, one.symbol) == (exchange, symbol)]


def _clipped(stretches: _Times, start: pd.Timestamp, end: pd.Timestamp) -> _Times:
    inside = np.clip(stretches, as_time(start), as_time(end))
    return inside[inside[:, 0] < inside[:, 1]]


def _share(covered: int, start: pd.Timestamp, end: pd.Timestamp) -> float:
    return covered / (as_time(end) - as_time(start)) if start < end else 0.0


def _coverage(heard: _Times, start: pd.Timestamp, end: pd.Timestamp) -> Coverage:
    """By day, of its part in the range."""
    opens = pd.date_range(start.floor("D"), end, freq="D", inclusive="left")
    days = listened_shares(heard, opens, _DAY)
    lows, day = as_times(opens), _DAY // pd.Timedelta(microseconds=1)
    parts = np.minimum(lows + day, as_time(end)) - np.maximum(lows, as_time(start))
    shares = np.minimum(days * day / parts, 1.0)
    shares[shares > 1 - 1e-9] = 1.0  # rounding to microseconds leaves nothing out
    return Coverage(opens[0], tuple(shares.tolist()), "time")


# --- what was not listened to ---------------------------------------------------------------------


def _gaps(
    heard: _Times,
    missed: pd.DataFrame,
    suspects: Iterable[Suspect],
    start: pd.Timestamp,
    end: pd.Timestamp,
) -> tuple[RecordedGap, ...]:
    """The stretches of ``[start, end)`` that were not listened to, longest first.

    Args:
        heard: (M, 2) what was, sorted and apart.
        missed: start, end and reason of what is on record as missed; rows of two streams may
            overlap what the other one has listened to.
        suspects: silences that are not believed.
        start, end: from when a stream had taken the series up.
    """
    if not start < end:
        return ()
    labels = [(as_time(s.start), as_time(s.end), f"{_SUSPECT}, {s.reason}") for s in suspects]
    columns = (missed[name] for name in ("start", "end", "reason"))
    labels += [(as_time(low), as_time(high), why) for low, high, why in zip(*columns, strict=True)]
    bounds = np.array([as_time(start), as_time(end)])
    edges = np.unique([*bounds, *heard.ravel(), *(edge for label in labels for edge in label[:2])])
    edges = edges[(edges >= bounds[0]) & (edges <= bounds[1])]
    reasons = np.full(len(edges) - 1, _NO_STREAM, dtype=object)
    for low, high, reason in reversed(labels):  # the first of several counts
        reasons[slice(*np.searchsorted(edges, [low, high]))] = reason
    for low, high in heard.tolist():
        reasons[slice(*np.searchsorted(edges, [low, high]))] = ""
    begins = np.flatnonzero(reasons != np.concatenate([[None], reasons[:-1]]))
    ends = np.append(begins[1:], len(reasons))
    gaps = [
        RecordedGap(as_stamp(edges[begin]), as_stamp(edges[until]), None, reasons[begin])
        for begin, until in zip(begins, ends, strict=True)
        if reasons[begin]
    ]
    return tuple(sorted(gaps, key=lambda gap: (gap.start - gap.end, gap.start)))


# --- words ----------------------------------------------------------------------------------------


def _note(
    listened: Listened, number: int, coverage: pd.Series, gaps: tuple[RecordedGap, ...]
) -> str:
    if not listened.share:
        parts = ["not listened to: nothing is known"]
        parts += [f"{number:,} came all the same"] if number else []
    else:
        since = f", {_percent(listened.share_since)} since {when(listened.since)}"
        first = since if listened.share_since > listened.share else ""
        parts = [f"listened to {_percent(listened.share)} of the time{first}"]
        parts += [_amount(listened, number, coverage)]
    if listened.suspects:
        parts.append(f"{count(listened.suspects, 'silence')} not believed")
    times: dict[str, pd.Timedelta] = {}
    for gap in gaps:
        times[gap.reason] = times.get(gap.reason, pd.Timedelta(0)) + (gap.end - gap.start)
    longest = sorted(times.items(), key=lambda item: -item[1])
    parts += [f"{reason}: {_length(time)}" for reason, time in longest[:_MOST_REASONS]]
    more = len(longest) - _MOST_REASONS
    return "; ".join([*parts, *([f"and for {count(more, 'other reason')}"] if more > 0 else [])])


def _amount(listened: Listened, number: int, coverage: pd.Series) -> str:
    """How many came, and whether that is all."""
    if not number:
        return "none came" + ("" if listened.share == 1 else " while it was")
    why = []
    if (coverage != "all").any():
        why.append("the exchange pushes a sample")
    if listened.share < 1:
        why.append("not all was listened to")
    bound = f" at least: {', and '.join(why)}" if why else ""
    return f"{number:,} came{bound}"


def _percent(share: float) -> str:
    """Rounded down: 100% is all of it, and 0 none."""
    tenths = math.floor(share * 1000)
    return f"{tenths / 10:g}%" if tenths or not share else "less than 0.1%"


def _length(time: pd.Timedelta) -> str:
    seconds = time.total_seconds()
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
