"""Liquidations by bar: sums where it was listened to, and nothing where it was not.

A value is known where its bar was listened to from end to end, or for nineteen twentieths and
something came, which is a lower bound then. 0 is only ever known of the former: it means that it
was listened to, and nothing came. What is suspect counts as not listened to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import InputError
from brain.series.bars import parse_timeframe
from brain.series.listened import listened_shares, stretches_of
from brain.series.suspects import Suspect

__all__ = [
    "AMOUNTS",
    "LEAST_LISTENED",
    "exchange_bars",
    "joint_bars",
    "whole_bar",
    "without_suspects",
]

#: The share of a bar that has to be listened to for what came to be known.
LEAST_LISTENED = 0.95
#: The columns of sums and of the largest.
AMOUNTS = ("long_usd", "short_usd", "liquidations", "largest_usd")

# Rounding to microseconds leaves no more of a bar out.
_WHOLE = 1 - 1e-9

_Floats = npt.NDArray[np.float64]
_Times = npt.NDArray[np.int64]


def exchange_bars(
    rows: pd.DataFrame,
    listening: pd.DataFrame,
    suspects: Sequence[Suspect],
    start: pd.Timestamp,
    end: pd.Timestamp,
    timeframe: str,
) -> pd.DataFrame:
    """The liquidations of one symbol at one exchange by bar.

    Args:
        rows: of ``liquidations``: time, side, usd, coverage.
        listening: start and end of the stretches that were listened to.
        suspects: of the symbol at the exchange.
        start, end: the first bar's open and the last one's close.
        timeframe: of the bars.

    Returns:
        (N,) rows, by open ``time``: long_usd and short_usd (of those who were liquidated),
        liquidations (how many), largest_usd (0 where none came); NaN where unknown. ``listened`` is
        the share of the bar that was, ``lower_bound`` whether the exchange or we may have left some
        out.

    Raises:
        InputError: there is no such timeframe, or no bar between start and end.
    """
    step = parse_timeframe(timeframe)
    opens = pd.date_range(start.ceil(step), end, freq=step, inclusive="left", unit="us")
    opens = opens[opens + step <= end]
    if not len(opens):
        raise InputError(f"no bar of {timeframe} lies between {start} and {end}; take more hours")
    return _sums(rows, without_suspects(listening, suspects), opens, step)


def whole_bar(
    rows: pd.DataFrame,
    listening: pd.DataFrame,
    suspects: Sequence[Suspect],
    start: pd.Timestamp,
    end: pd.Timestamp,
) -> pd.DataFrame:
    """A stretch of time as one bar; arguments and columns as of :func:`exchange_bars`."""
    opens = pd.DatetimeIndex([start]).as_unit("us")
    return _sums(rows, without_suspects(listening, suspects), opens, end - start)


def _sums(
    rows: pd.DataFrame, stretches: _Times, opens: pd.DatetimeIndex, step: pd.Timedelta
) -> pd.DataFrame:
    place = opens.searchsorted(rows["time"], side="right") - 1
    inside = (place >= 0) & (rows["time"] < opens[-1] + step).to_numpy()
    place, usd = place[inside], rows["usd"].to_numpy()[inside]
    long = (rows["side"] == "long").to_numpy()[inside]
    largest = np.zeros(len(opens))
    np.maximum.at(largest, place, usd)

    def sums(weights: _Floats) -> _Floats:
        return np.bincount(place, weights=weights, minlength=len(opens)).astype(np.float64)

    count = sums(np.ones(len(place)))
    values = {
        "long_usd": sums(usd * long),
        "short_usd": sums(usd * ~long),
        "liquidations": count,
        "largest_usd": largest,
    }
    shares = listened_shares(stretches, opens, step)
    known = (shares >= _WHOLE) | ((shares >= LEAST_LISTENED) & (count > 0))
    sampled = bool((rows["coverage"] != "all").any())
    return pd.DataFrame(
        {
            "time": opens,
            **{name: np.where(known, value, np.nan) for name, value in values.items()},
            "listened": shares,
            "lower_bound": (shares < _WHOLE) | (sampled & (count > 0)),
        }
    )


def joint_bars(bars: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The bars of several exchanges as one; unknown where that of any exchange is.

    Args:
        bars: of :func:`exchange_bars`, at least one, of the same times.
    """
    stacked = {name: np.array([one[name] for one in bars]) for name in bars[0].columns[1:]}
    return pd.DataFrame(
        {
            "time": bars[0]["time"],
            **{name: stacked[name].sum(axis=0) for name in AMOUNTS[:3]},
            # NaN of one exchange is NaN of all.
            "largest_usd": np.max(stacked["largest_usd"], axis=0),
            "listened": stacked["listened"].min(axis=0),
            "lower_bound": stacked["lower_bound"].any(axis=0),
        }
    )


def without_suspects(listening: pd.DataFrame, suspects: Sequence[Suspect]) -> _Times:
    """The stretches that were listened to, without what is suspect.

    Args:
        listening: start and end of each stretch.
        suspects: of the same symbol and exchange.

    Returns:
        (M, 2) starts and ends in microseconds since 1970, sorted.
    """
    stretches = stretches_of(listening)
    for suspect in suspects:
        low, high = int(suspect.start.value) // 1000, int(suspect.end.value) // 1000
        before, after = stretches.copy(), stretches.copy()
        before[:, 1] = np.minimum(before[:, 1], low)
        after[:, 0] = np.maximum(after[:, 0], high)
        stretches = np.concatenate([before, after])
        stretches = stretches[stretches[:, 0] < stretches[:, 1]]
    return stretches[np.argsort(stretches[:, 0])]
