"""Bars against the clock: what is not over yet is no bar, and what lies ahead is a wrong time."""

from __future__ import annotations

import pandas as pd

from brain.errors import BarsError, NotEnoughBarsError
from brain.series.times import when
from brain.text import count

__all__ = ["finished"]

# The bar that is being formed, and the next one where a market's date is ahead of UTC's.
_MOST_AHEAD = 2  # bars

_ZONES = pd.Timedelta(hours=14)  # from UTC to the easternmost zone


def finished(
    frame: pd.DataFrame,
    close_time: pd.DatetimeIndex,
    step: pd.Timedelta,
    now: pd.Timestamp | None,
    name: str,
    repairs: list[str],
) -> pd.DataFrame:
    """The bars that are over.

    Args:
        frame: bars in the order of time; the first one has prices.
        close_time: of each bar, UTC.
        step: of the series.
        now: the moment, UTC; the clock's if None.
        name: of the series, for messages.
        repairs: a sentence is appended if bars are left out.

    Raises:
        BarsError: bars lie further ahead than one that is being formed.
        NotEnoughBarsError: no bar is over.
    """
    now = pd.Timestamp.now("UTC") if now is None else now
    ahead = frame[close_time > now].dropna(subset=["close"])
    if ahead.empty:
        return frame
    last = close_time[-1] - now
    if len(ahead) > _MOST_AHEAD or last > _MOST_AHEAD * step:
        raise BarsError(
            f"{name}: {count(len(ahead), 'bar')} of {len(frame)} end after now ({when(now)}), the "
            f"last one {_length(last)} ahead, at {when(close_time[-1])}; {_cure(last, step)}"
        )
    over = frame[close_time <= now].dropna(subset=["close"]).index
    if over.empty:
        raise NotEnoughBarsError(
            f"{name}: no bar is over yet, the first one ends at {when(close_time[0])}; give bars "
            "that are complete"
        )
    opening = (ahead.index > now).sum()
    early = f"; {opening} of them opens after now: are these times in UTC?" if opening else ""
    repairs.append(
        f"{count(len(ahead), 'bar')} not over yet at {when(now.floor('min'))} left out, the last "
        f"one ends at {when(close_time[-1])}{early}"
    )
    return frame[: over[-1]]


def _cure(last: pd.Timedelta, step: pd.Timedelta) -> str:
    """What makes times lie that far ahead, and what to do."""
    if last <= _ZONES + step:
        return (
            "the times are of a zone ahead of UTC, or this machine's clock is behind; write the "
            "bars' open times in UTC, and set the clock"
        )
    return (
        "times that far ahead are of a wrong unit or date, or the bars are not real; correct the "
        "times, or leave these bars out"
    )


def _length(length: pd.Timedelta) -> str:
    hours = length / pd.Timedelta(hours=1)
    if hours < 1:
        return f"{length / pd.Timedelta(minutes=1):.0f} min"
    return f"{hours:.0f} h" if hours < 1000 else f"{hours / 24:.0f} days"
