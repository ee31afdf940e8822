"""Silence that is not believed: no liquidation at one exchange while there should be some.

A canary proves that its route is alive, but not that every channel of it is. So the silence of an
exchange's liquidations is held against what it usually has:

- others cascade: by its usual share of all liquidations, twelve or more would have come in the last
  ten minutes. A past of less than two hundred liquidations tells no share: then fifty of the others
  must have come;
- or its open interest of a symbol falls in ten minutes as it did in less than a thousandth of all
  stretches, and by two percent or more: positions were closed.

What is suspect is missing, not 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.series.listened import heard_liquidations, listened_shares, stretches_of
from brain.series.store.store import SeriesStore

__all__ = [
    "HISTORY",
    "WINDOW",
    "Suspect",
    "find_suspects",
    "read_suspects",
    "silent_minutes",
    "told_minutes",
]

#: In which nothing came, and of what the usual is known from before it.
WINDOW, HISTORY = pd.Timedelta(minutes=10), pd.Timedelta(days=2)

_MINUTE, _DAY = pd.Timedelta(minutes=1), pd.Timedelta(days=1)
_HOUR = pd.Timedelta(hours=1)
_MINUTES, _MINUTES_A_DAY = WINDOW // _MINUTE, _DAY // _MINUTE
_EXPECTED = 12.0
_YOUNG, _MANY = 200, 50
# Where so large a share of equally loud stretches was silent too, silence says nothing.
_USUAL_SILENCE = 0.05
_FALL, _RARE = 0.02, 0.001
_SHORTEST_PAST = 600  # minutes

_Counts = npt.NDArray[np.float64]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Suspect:
    """A stretch in which a silence is not believed.

    Attributes:
        exchange: its name.
        symbol: canonical.
        start, end: of the stretch, in UTC.
        reason: in words.
    """

    exchange: str
    symbol: str
    start: pd.Timestamp
    end: pd.Timestamp
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.exchange} {self.symbol}: no liquidation since {self.start:%H:%M} is not "
            f"believed, {self.reason}"
        )


def silent_minutes(own: _Counts, others: _Counts) -> _Mask:
    """Which minutes end a window in which nothing came, though others cascaded.

    Args:
        own: (N,) liquidations of each minute at one exchange.
        others: (N,) at all others together.

    Returns:
        (N,), each from the minutes up to and with it alone.
    """
    window_own, window_others = _window_sums(own), _window_sums(others)
    # What came before the window.
    past_own = np.cumsum(own) - window_own
    past_others = np.cumsum(others) - window_others
    expected = window_others * past_own / np.maximum(past_others, 1.0)
    known = past_others >= _YOUNG
    loud = np.where(known, expected >= _EXPECTED, window_others >= _MANY)
    silent = (window_own == 0) & loud
    for place in np.flatnonzero(silent & known):
        like = window_others[: place - _MINUTES] >= window_others[place] / 2
        if like.any() and (window_own[: place - _MINUTES][like] == 0).mean() > _USUAL_SILENCE:
            silent[place] = False
    return silent


def falling_minutes(own: _Counts, interest: _Counts) -> _Mask:
    """Which minutes end a window in which nothing came, though open interest fell rarely so far.

    Args:
        own: (N,) liquidations of each minute.
        interest: (N,) open interest at the end of each; NaN where unknown.
    """
    falling = np.zeros(len(own), dtype=bool)
    if len(own) <= _MINUTES:
        return falling
    change = np.full(len(own), np.nan)
    change[_MINUTES:] = interest[_MINUTES:] / interest[:-_MINUTES] - 1
    silent = _window_sums(own) == 0
    for place in np.flatnonzero(silent & (change <= -_FALL)):
        past = change[: place - _MINUTES]
        past = past[np.isfinite(past)]
        rare = len(past) >= _SHORTEST_PAST and (past <= change[place]).mean() < _RARE
        falling[place] = rare
    return falling


def find_suspects(
    liquidations: pd.DataFrame,
    snapshots: pd.DataFrame,
    listening: pd.DataFrame,
    exchanges: tuple[str, ...],
    start: pd.Timestamp,
    end: pd.Timestamp,
) -> list[Suspect]:
    """The stretches of ``[start, end)`` whose silence is not believed.

    Args:
        liquidations: exchange, symbol and time, from :data:`HISTORY` before the start's day on.
        snapshots: exchange, symbol, time and open interest, likewise.
        listening: exchange, symbol, start and end of what was listened to; other silence is no
            silence.
        exchanges: that are streamed.
        start, end: of what is judged.
    """
    suspects: list[Suspect] = []
    told = told_minutes(liquidations, snapshots, listening, exchanges, start, end)
    for named, minutes in told.items():
        suspects += _stretches(minutes, named)
    return suspects


def told_minutes(
    liquidations: pd.DataFrame,
    snapshots: pd.DataFrame,
    listening: pd.DataFrame,
    exchanges: tuple[str, ...],
    start: pd.Timestamp,
    end: pd.Timestamp,
) -> dict[tuple[str, str, str], pd.DatetimeIndex]:
    """The minutes of ``[start, end)`` that end a :data:`WINDOW` whose silence is not believed.

    What is told of a minute depends on its UTC day up to it and on the :data:`HISTORY` before that
    day: whoever asks, at the time or later, is told the same.

    Args:
        liquidations, snapshots, listening, exchanges, start, end: as of :func:`find_suspects`.

    Returns:
        Of each exchange, symbol and reason the beginnings of the minutes, ascending; without those
        of which nothing is told.
    """
    first = start.floor("D") - HISTORY
    grid = pd.date_range(first, end.ceil("min"), freq="min", inclusive="left")
    days = [
        slice(place * _MINUTES_A_DAY, place * _MINUTES_A_DAY + (HISTORY + _DAY) // _MINUTE)
        for place in range(-(-max(len(grid) - HISTORY // _MINUTE, 0) // _MINUTES_A_DAY))
    ]
    asked = np.asarray(grid >= start.floor("min"))
    told: dict[tuple[str, str, str], pd.DatetimeIndex] = {}
    for symbol in sorted(set(liquidations["symbol"]) | set(snapshots["symbol"])):
        counts = _counts(liquidations[liquidations["symbol"] == symbol], exchanges, grid)
        total = np.sum(list(counts.values()), axis=0)
        for exchange, own in counts.items():
            interest = _interest(snapshots, exchange, symbol, grid)
            masks = {
                "while others cascade": _by_day(silent_minutes, days, own, total - own),
                "while open interest falls": _by_day(falling_minutes, days, own, interest),
            }
            for reason, mask in masks.items():
                if not (mask & asked).any():
                    continue
                heard = mask & asked & _heard(listening, exchange, symbol, grid)
                if heard.any():
                    told[exchange, symbol, reason] = grid[heard]
    return told


def _by_day(
    judge: Callable[[_Counts, _Counts], _Mask], days: Sequence[slice], own: _Counts, other: _Counts
) -> _Mask:
    """Which minutes of the days are told, each day by itself and the history before it.

    Args:
        judge: of the minutes of a day with its history.
        days: where these are.
        own, other: what is judged, of all minutes.
    """
    mask = np.zeros(len(own), dtype=bool)
    for day in days:
        mask[day][HISTORY // _MINUTE :] = judge(own[day], other[day])[HISTORY // _MINUTE :]
    return mask


def read_suspects(
    store: SeriesStore,
    exchanges: tuple[str, ...],
    symbols: list[str],
    start: pd.Timestamp,
    end: pd.Timestamp,
) -> list[Suspect]:
    """As :func:`find_suspects`, of what is stored.

    Raises:
        SeriesStoreError: the store can't be read.
    """
    since = start.floor("D") - HISTORY
    columns = ["exchange", "symbol", "time"]
    liquidations = store.read("liquidations", symbol=symbols, start=since, end=end, columns=columns)
    snapshots = store.read(
        "snapshots", symbol=symbols, start=since, end=end, columns=[*columns, "open_interest"]
    )
    listening = store.read("listening", symbol=symbols, start=start - 2 * _HOUR, end=end)
    heard = heard_liquidations(listening)
    return find_suspects(liquidations, snapshots, heard, exchanges, start, end)


def _window_sums(counts: _Counts) -> _Counts:
    sums = np.cumsum(counts)
    return sums - np.concatenate([np.zeros(min(_MINUTES, len(sums))), sums[:-_MINUTES]])


def _counts(
    rows: pd.DataFrame, exchanges: tuple[str, ...], grid: pd.DatetimeIndex
) -> dict[str, _Counts]:
    """Liquidations of each minute, by exchange."""
    place = grid.searchsorted(rows["time"], side="right") - 1
    inside = (place >= 0) & (rows["time"] < grid[-1] + _MINUTE).to_numpy()
    return {
        exchange: np.bincount(
            place[inside & (rows["exchange"] == exchange).to_numpy()], minlength=len(grid)
        ).astype(np.float64)
        for exchange in exchanges
    }


def _interest(
    snapshots: pd.DataFrame, exchange: str, symbol: str, grid: pd.DatetimeIndex
) -> _Counts:
    own = snapshots[(snapshots["exchange"] == exchange) & (snapshots["symbol"] == symbol)]
    values = np.full(len(grid), np.nan)
    place = grid.searchsorted(own["time"], side="right") - 1
    inside = (place >= 0) & (own["time"] < grid[-1] + _MINUTE).to_numpy()
    values[place[inside]] = own["open_interest"].to_numpy()[inside]
    return values


def _heard(listening: pd.DataFrame, exchange: str, symbol: str, grid: pd.DatetimeIndex) -> _Mask:
    """Which minutes end a window of which at least half was listened to."""
    own = listening[(listening["exchange"] == exchange) & (listening["symbol"] == symbol)]
    heard = listened_shares(stretches_of(own), grid, _MINUTE)
    return np.asarray(_window_sums(heard) >= _MINUTES / 2)


def _stretches(minutes: pd.DatetimeIndex, named: tuple[str, str, str]) -> list[Suspect]:
    """Windows that end in the minutes, joined where they touch."""
    exchange, symbol, reason = named
    suspects: list[Suspect] = []
    for minute in minutes:
        end = minute + _MINUTE
        begin = end - WINDOW
        if suspects and suspects[-1].end >= begin:
            begin = suspects.pop().start
        suspects.append(Suspect(exchange, symbol, begin, end, reason))
    return suspects
