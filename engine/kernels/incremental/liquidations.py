"""The liquidation features of the newest bar, to the bits of :mod:`engine.kernels.liquidations`.

A minute counts from the first bar that is pushed after it and closes at or after its ``available``.
So a minute that comes late is as one that arrived late. One that comes twice counts once.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Self

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError, did_you_mean
from engine.kernels.columns import Floats
from engine.kernels.incremental.recent_bars import Arrays, RecentBars, array_of
from engine.kernels.incremental.rings import Means
from engine.kernels.incremental.scalars import INF, NAN, logs, mean_known, ratio
from engine.kernels.liquidations import (
    CENTS,
    DELAY_NS,
    LEAST_LISTENED,
    LIQUIDATION_FEATURES,
    LIQUIDATION_LOOK_BACK,
    LIQUIDATION_WINDOWS,
    MINUTE_NS,
)

__all__ = ["IncrementalLiquidations"]

_DAY = LIQUIDATION_WINDOWS[1]
_BITS = ("known", "doubted")
# Two years, more than any bar has.
_MOST_MINUTES = 1 << 20


@dataclass(slots=True)
class _Cell:
    """The minutes of one bar, a bit each: bit k ends k minutes before the last one.

    Attributes:
        known, doubted: which are known, and which are told to be unknown.
        long, short: cents of the known ones together.
        amounts: cents of each in which something came, by bit.
    """

    known: int = 0
    doubted: int = 0
    long: int = 0
    short: int = 0
    amounts: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def sums(self) -> tuple[int, int, int]:
        return self.known.bit_count(), self.long, self.short

    def put(self, bit: int, long: int, short: int) -> None:
        """Know a minute; what was known or doubted before stays."""
        if (self.known | self.doubted) >> bit & 1:
            return
        self.known |= 1 << bit
        if long or short:
            self.amounts[bit] = long, short
            self.long += long
            self.short += short

    def doubt(self, bit: int) -> None:
        """Know a minute no more."""
        self.doubted |= 1 << bit
        self.known &= ~(1 << bit)
        long, short = self.amounts.pop(bit, (0, 0))
        self.long -= long
        self.short -= short


def _runs(bits: int) -> Iterator[tuple[int, int]]:
    """The stretches of set bits: the first of each, and how many."""
    place = 0
    while bits:
        skipped = (bits & -bits).bit_length() - 1
        bits >>= skipped
        count = (~bits & (bits + 1)).bit_length() - 1
        yield place + skipped, count
        bits >>= count
        place += skipped + count


class _Total:
    """The sums of the bars of a window."""

    def __init__(self, bars: int) -> None:
        self.bars = bars
        self.count = self.long = self.short = 0

    def change(self, old: tuple[int, int, int], new: tuple[int, int, int]) -> None:
        """Replace a bar's count and cents."""
        self.count += new[0] - old[0]
        self.long += new[1] - old[1]
        self.short += new[2] - old[2]

    def rate(self, minutes: float) -> tuple[float, float]:
        """Cents a minute, and the side of it; NaN where unknown."""
        count, total = float(self.count), float(self.long + self.short)
        listened = count >= (LEAST_LISTENED * minutes if total > 0.0 else minutes)
        if not listened or count == 0.0:
            return NAN, NAN
        side = float(self.long) - float(self.short)
        return total / count, ratio(side, total)


class _Exchange:
    """One exchange's minutes: those to come, and those that are known, by bar."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int, int, int, int]] = []
        self.cells: deque[_Cell] = deque(maxlen=LIQUIDATION_LOOK_BACK)
        self.totals = [_Total(bars) for bars in LIQUIDATION_WINDOWS]
        self.rates: deque[float] = deque([NAN] * _DAY, maxlen=_DAY)

    def add(self, time_ns: int, available_ns: int, long: int, short: int) -> None:
        due = max(available_ns, time_ns + DELAY_NS)
        heapq.heappush(self.waiting, (due, available_ns, time_ns, long, short))

    def move(self, closes: Sequence[int]) -> None:
        """Begin the bar of the first of the closes, and let what has arrived by it count."""
        self.cells.appendleft(_Cell())
        for total in self.totals:
            if total.bars < len(self.cells):
                total.change(self.cells[total.bars].sums, (0, 0, 0))
        while self.waiting and self.waiting[0][0] <= closes[0]:
            _, _, time_ns, long, short = heapq.heappop(self.waiting)
            self._take(time_ns + DELAY_NS, long, short, closes)

    def _take(self, at_ns: int, long: int, short: int, closes: Sequence[int]) -> None:
        """Count a minute in the bar that it is of, or nowhere if it is of before the windows."""
        age = 0
        while age + 1 < len(closes) and closes[age + 1] >= at_ns:
            age += 1
        if age + 1 == len(closes):
            return
        bit, cell = (closes[age] - at_ns) // MINUTE_NS, self.cells[age]
        before = cell.sums
        if long < 0 or short < 0:
            cell.doubt(bit)
        else:
            cell.put(bit, long, short)
        for total in self.totals:
            if age < total.bars:
                total.change(before, cell.sums)

    def restore(self) -> None:
        """Sum up what is in the cells."""
        for total in self.totals:
            for cell in islice(self.cells, total.bars):
                total.change((0, 0, 0), cell.sums)


class IncrementalLiquidations:
    """The liquidation features of bars that come one at a time.

    Args:
        exchanges: whose minutes come, in the order in which a mean over them is taken; the batch of
            training has them by name.

    Raises:
        InputError: an exchange comes twice.
    """

    def __init__(self, exchanges: Sequence[str]) -> None:
        self._exchanges = {name: _Exchange() for name in exchanges}
        if len(self._exchanges) < len(exchanges):
            raise InputError(f"an exchange comes twice in {list(exchanges)}; name each once")
        self._traded = Means(_DAY)
        self._recent = RecentBars(LIQUIDATION_LOOK_BACK - 1)
        self._closes: deque[int] = deque(maxlen=LIQUIDATION_LOOK_BACK)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Whose minutes come."""
        return tuple(self._exchanges)

    def minute(
        self, exchange: str, time_ns: int, available_ns: int, long_usd: float, short_usd: float
    ) -> None:
        """Add a minute.

        Args:
            exchange: whose.
            time_ns, available_ns: of its end and its arrival, nanoseconds since 1970 UTC.
            long_usd, short_usd: of those who were liquidated in it; NaN: it is not known any more.

        Raises:
            InputError: the exchange is none of those that were named.
        """
        if exchange not in self._exchanges:
            raise InputError(
                f"liquidations of {exchange!r} don't count; "
                f"{did_you_mean(exchange, self._exchanges)}"
            )
        cents = _cents(long_usd), _cents(short_usd)
        self._exchanges[exchange].add(int(time_ns), int(available_ns), *cents)

    def push(
        self,
        open: float,  # noqa: A002 -- the column's name
        high: float,
        low: float,
        close: float,
        volume: float,
        close_time_ns: int,
    ) -> Floats:
        """The liquidation features of the next bar.

        Args:
            open, high, low, close: prices; the bar is missing without four positive ones.
            volume: traded, in base units; NaN is unknown.
            close_time_ns: the bar's close, nanoseconds since 1970 UTC.

        Returns:
            (F,) in the order of :data:`engine.kernels.liquidations.LIQUIDATION_FEATURES`; NaN is
            unknown.

        Raises:
            InputError: the bar does not close after the last one.
        """
        valid = all(0.0 < price < INF for price in (open, high, low, close))
        close = close if valid else NAN
        traded = (volume if valid and 0.0 <= volume < INF else NAN) * close
        self._recent.push(int(close_time_ns), traded)
        self._closes.appendleft(int(close_time_ns))
        (mean,) = self._traded.push(traded)
        minutes = [self._minutes(bars) for bars in LIQUIDATION_WINDOWS]
        columns = [self._features(one, minutes, 24.0 * mean) for one in self._exchanges.values()]
        if not valid:
            return np.full(len(LIQUIDATION_FEATURES), NAN)
        taken = logs(*[value for ratios, _ in columns for value in ratios])
        features = [mean_known(taken[place::3]) for place in range(3)]
        features += [mean_known([shares[place] for _, shares in columns]) for place in range(3)]
        return np.array(features)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What :meth:`from_arrays` goes on from: the last bars, and the minutes that may count."""
        cells = [
            ((place, age), cell)
            for place, one in enumerate(self._exchanges.values())
            for age, cell in enumerate(islice(one.cells, LIQUIDATION_LOOK_BACK - 1))
        ]
        known, doubted = (
            [(*at, *run) for at, cell in cells for run in _runs(getattr(cell, name))]
            for name in _BITS
        )
        amounts = [(*at, bit, *pair) for at, cell in cells for bit, pair in cell.amounts.items()]
        waiting = [
            (place, *row[1:])
            for place, one in enumerate(self._exchanges.values())
            for row in sorted(one.waiting)
        ]
        rates = [one.rates for one in self._exchanges.values()]
        return {
            **self._recent.arrays(),
            "exchanges": np.array(list(self._exchanges), dtype=np.str_),
            "rates": np.array(rates, dtype=np.float64).reshape(-1, _DAY),
            "known": np.array(known, dtype=np.int64).reshape(-1, 4),
            "doubted": np.array(doubted, dtype=np.int64).reshape(-1, 4),
            "amounts": np.array(amounts, dtype=np.int64).reshape(-1, 5),
            "waiting": np.array(waiting, dtype=np.int64).reshape(-1, 5),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Go on after the bars and minutes of :meth:`arrays`.

        Raises:
            InputError: the arrays are of something else.
        """
        features = cls(array_of(arrays, "exchanges", np.str_, 1).tolist())
        exchanges = list(features._exchanges.values())
        for (traded,), close_time_ns in RecentBars.replay(arrays, 1):
            features._recent.push(close_time_ns, traded)
            features._closes.appendleft(close_time_ns)
            features._traded.push(traded)
            for one in exchanges:
                one.cells.appendleft(_Cell())
        rates = array_of(arrays, "rates", np.float64, 2).tolist()
        for one, values in zip(exchanges, rates, strict=True):
            one.rates.extend(values)
        for name in _BITS:
            for place, age, bit, count in array_of(arrays, name, np.int64, 2).tolist():
                cell = exchanges[place].cells[age]
                setattr(cell, name, getattr(cell, name) | _mask(bit, count))
        for place, age, bit, long, short in array_of(arrays, "amounts", np.int64, 2).tolist():
            cell = exchanges[place].cells[age]
            cell.amounts[bit] = long, short
            cell.long += long
            cell.short += short
        for place, available_ns, *row in array_of(arrays, "waiting", np.int64, 2).tolist():
            time_ns, long, short = row
            exchanges[place].add(time_ns, available_ns, long, short)
        for one in exchanges:
            one.restore()
        return features

    def _features(
        self, one: _Exchange, minutes: Sequence[float], turnover: float
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """An exchange's ratios, of which the logarithm is to be taken, and its shares."""
        one.move(self._closes)
        (bar, side), (day, day_side), (week, _) = (
            total.rate(length) for total, length in zip(one.totals, minutes, strict=True)
        )
        one.rates.appendleft(bar)
        known = [rate for rate in one.rates if not math.isnan(rate)]
        peak = max(known) if 2 * len(known) >= _DAY else NAN
        ratios = tuple(1.0 + ratio(rate, week) for rate in (bar, day, peak))
        return ratios, (side, day_side, ratio(day / CENTS * minutes[1], turnover))

    def _minutes(self, bars: int) -> float:
        """Of a window of so many bars; NaN: there is none yet."""
        if bars >= len(self._closes):
            return NAN
        return float((self._closes[0] - self._closes[bars]) // MINUTE_NS)


def _mask(bit: int, count: int) -> int:
    """So many set bits from a bit on.

    Raises:
        InputError: no bar has as many minutes.
    """
    if not (0 <= bit < _MOST_MINUTES and 0 < count <= _MOST_MINUTES):
        raise InputError(f"the state has {count} minutes from the {bit}th of a bar on; give others")
    return (1 << count) - 1 << bit


def _cents(usd: float) -> int:
    """Whole cents; -1 where the amount is unknown."""
    return int(np.rint(usd * CENTS)) if 0.0 <= usd < INF else -1
