"""What a model sees of forced closes: six numbers of each bar.

A kernel on NumPy arrays, with the promises of :mod:`engine.kernels.features`:

* **Nothing looks ahead.** A minute counts from the first bar that closes at or after its
  ``available``, when it had arrived; what was told later (that a silence is not believed) counts
  from when it was told. Windows end :data:`DELAY_NS` before their bar's close, in training as live,
  so that a minute that arrives within that time is never missed.
* **Nothing looks back further than** :data:`LIQUIDATION_LOOK_BACK` bars.
* **NaN is unknown, and 0 is not.** A window is known where :data:`LEAST_LISTENED` of its minutes
  are; 0 is known only where all of them are: listened, and nothing came. A missing bar's row is NaN
  in every column.

Amounts are whole cents, so that sums over minutes are exact in any order. The formulas
(:mod:`engine.kernels.dictionary`) are of each exchange first, by its own past: exchanges that push
a part of their liquidations alone (lower bounds) are compared with themselves. Then comes the mean
over the exchanges that are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from engine.kernels.across import mean_across
from engine.kernels.columns import Floats, Times, check_shapes, valid_prices
from engine.kernels.dictionary import LIQUIDATION_ENTRIES
from engine.kernels.windows import positive_log, ratio, rolling_max, rolling_mean

__all__ = [
    "CENTS",
    "DELAY_NS",
    "LEAST_LISTENED",
    "LIQUIDATION_FEATURES",
    "LIQUIDATION_FEATURE_SET",
    "LIQUIDATION_LOOK_BACK",
    "LIQUIDATION_WINDOWS",
    "MINUTE_NS",
    "MinuteRows",
    "liquidation_features",
]

#: Names this list of features and their formulas; a change of either needs a new name.
LIQUIDATION_FEATURE_SET = "liquidations-1"
#: Their formulas are in :data:`engine.kernels.dictionary.LIQUIDATION_ENTRIES`.
LIQUIDATION_FEATURES: tuple[str, ...] = tuple(entry.name for entry in LIQUIDATION_ENTRIES)
#: Bars of the windows.
LIQUIDATION_WINDOWS = (1, 24, 168)
#: Bars that a row depends on, its own included.
LIQUIDATION_LOOK_BACK = max(LIQUIDATION_WINDOWS) + 1
MINUTE_NS = 60_000_000_000
#: By which windows end before their bar's close.
DELAY_NS = MINUTE_NS
#: The share of a window's minutes that has to be known.
LEAST_LISTENED = 0.95
#: Parts of a dollar.
CENTS = 100.0
_DAY, _WEEK = 24, 168


@dataclass(frozen=True, repr=False)
class MinuteRows(Brief):
    """One exchange's minutes, in any order.

    Attributes:
        time_ns, available_ns: (M,) of the minute's end and of its arrival, nanoseconds since 1970
            UTC.
        long_usd, short_usd: (M,) of those who were liquidated in it. Without both, or with one that
            is not a number from 0 on, the minute is unknown from its arrival on, whatever another
            row says; of several that are known the first to arrive counts.
    """

    time_ns: Times
    available_ns: Times
    long_usd: Floats
    short_usd: Floats


def liquidation_features(
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    close_time_ns: Times,
    minutes: Sequence[MinuteRows],
) -> Floats:
    """All liquidation features of every bar.

    Args:
        open_, high, low, close: (N,) prices on the full time grid, which tell missing bars.
        volume: (N,) traded, in base units; NaN is unknown.
        close_time_ns: (N,) the bars' closes, ascending, nanoseconds since 1970 UTC.
        minutes: of each exchange, always in the same order of exchanges.

    Returns:
        (N, F) in the order of :data:`LIQUIDATION_FEATURES`; NaN is unknown.

    Raises:
        InputError: the arrays differ in length.
    """
    check_shapes(close_time_ns, open=open_, high=high, low=low, close=close, volume=volume)
    valid = valid_prices(open_, high, low, close)
    known = valid & (volume >= 0.0) & (volume < np.inf)
    traded = np.where(known, volume, np.nan) * np.where(valid, close, np.nan)
    turnover = float(_DAY) * rolling_mean(traded, _DAY)
    columns = [_Exchange(rows, close_time_ns).features(turnover) for rows in minutes]
    features = [
        mean_across([column[name] for column in columns], close_time_ns.shape)
        for name in LIQUIDATION_FEATURES
    ]
    rows_of_bars = np.column_stack(features)
    rows_of_bars[~valid] = np.nan
    return rows_of_bars


@dataclass(frozen=True)
class _Sums:
    """Of the known minutes of each bar's window, (N,) each: cents a minute, NaN where unknown."""

    rate: Floats
    side: Floats
    minutes: Floats


class _Exchange:
    """The sums of an exchange's minutes over the windows of every bar."""

    def __init__(self, rows: MinuteRows, close_time_ns: Times) -> None:
        check_shapes(
            rows.time_ns, available=rows.available_ns, long=rows.long_usd, short=rows.short_usd
        )
        self._closes = close_time_ns
        self._minutes = _Minutes(rows, close_time_ns)

    def features(self, turnover: Floats) -> dict[str, Floats]:
        bar, day, week = (self._window(window) for window in LIQUIDATION_WINDOWS)
        peak = rolling_max(bar.rate, _DAY)
        return {
            "liq_1_168": positive_log(1.0 + ratio(bar.rate, week.rate)),
            "liq_24_168": positive_log(1.0 + ratio(day.rate, week.rate)),
            "liq_peak_24": positive_log(1.0 + ratio(peak, week.rate)),
            "liq_side_1": bar.side,
            "liq_side_24": day.side,
            "liq_turnover_24": ratio(day.rate / CENTS * day.minutes, turnover),
        }

    def _window(self, window: int) -> _Sums:
        count, long, short = self._minutes.sums(window)
        minutes = np.full(self._closes.shape, np.nan)
        minutes[window:] = (self._closes[window:] - self._closes[:-window]) // MINUTE_NS
        total = long + short
        listened = np.where(total > 0.0, count >= LEAST_LISTENED * minutes, count >= minutes)
        rate = np.where(listened & (count > 0.0), total, np.nan) / np.maximum(count, 1.0)
        side = ratio(long - short, np.where(np.isnan(rate), np.nan, total))
        return _Sums(rate, side, minutes)


class _Minutes:
    """The minutes that are known at some bar, each with the bars from and up to which it is."""

    def __init__(self, rows: MinuteRows, close_time_ns: Times) -> None:
        self._bars = len(close_time_ns)
        cents = _cents(rows.long_usd), _cents(rows.short_usd)
        order = np.lexsort((cents[1], cents[0], rows.available_ns, rows.time_ns))
        time, available = rows.time_ns[order], rows.available_ns[order]
        long, short = cents[0][order], cents[1][order]
        unknown = (long < 0) | (short < 0)
        # Of each minute the first that is known, and the first that says it is not.
        minute, place = np.unique(time[~unknown], return_index=True)
        doubted, doubt = np.unique(time[unknown], return_index=True)
        self._long, self._short = long[~unknown][place], short[~unknown][place]
        self._bar = np.searchsorted(close_time_ns, minute + DELAY_NS, side="left")
        arrival = np.searchsorted(close_time_ns, available[~unknown][place], side="left")
        self._first = np.maximum(self._bar, arrival)
        self._last = np.full(len(minute), self._bars)
        at = np.searchsorted(minute, doubted)
        both = np.isin(doubted, minute)
        told = np.searchsorted(close_time_ns, available[unknown][doubt][both], side="left")
        self._last[at[both]] = told

    def sums(self, window: int) -> list[Floats]:
        """How many minutes are known in the window of every bar, and their cents, (N,) each.

        Whole numbers don't drift, so running totals are allowed here.
        """
        end = np.minimum(np.minimum(self._bar + window, self._last), self._bars)
        counts = self._first < end
        first, end = self._first[counts], end[counts]
        sums = []
        for column in (self._ones, self._long, self._short):
            steps = np.zeros(self._bars + 1, dtype=np.int64)
            np.add.at(steps, first, column[counts])
            np.subtract.at(steps, end, column[counts])
            sums.append(np.cumsum(steps[:-1]).astype(np.float64))
        return sums

    @cached_property
    def _ones(self) -> NDArray[np.int64]:
        return np.ones_like(self._bar)


def _cents(usd: Floats) -> NDArray[np.int64]:
    """Whole cents; -1 where the amount is unknown."""
    known = (usd >= 0.0) & (usd < np.inf)
    return np.where(known, np.rint(np.where(known, usd, 0.0) * CENTS), -1.0).astype(np.int64)
