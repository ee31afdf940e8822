"""Steps in the price: splits that are not adjusted, and prices with the decimal point moved.

Arrays are (N,), rows with prices alone, in the order of time; prices are logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from brain.series.quality.arrays import Flags, Floats, spread, windows
from brain.series.quality.findings import Fault, faults

__all__ = ["Candles", "open_jumps", "splits", "ticks"]

#: Splits as they are made. From 3:2 on: shares move by less overnight, and 4:3 or 5:4 can't be told
#: from that. Hundreds and thousands are currencies with zeros cut off, and units.
_RATIOS = tuple(
    Fraction(*pair)
    for pair in (
        *((3, 2), (5, 2)),
        *((n, 1) for n in (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100, 1000)),
    )
)
_FACTORS = tuple(sorted((*_RATIOS, *(1 / ratio for ratio in _RATIOS))))
_LOGS = np.log(np.array([float(factor) for factor in _FACTORS]))
#: How far from a ratio a step may be: three usual moves, but no less than three times the 1 % that
#: a share moves overnight, and so little that 40 % up or down is never near one.
_LEAST_NEAR, _MOST_NEAR = 0.03, 0.06
#: Of a series whose moves have Student's tails of three degrees of freedom, so many steps are
#: expected to be flagged.
_FALSE_STEPS = 0.01
#: Of two-sided tails beyond x of that distribution: 4 √3 / π x**-3 is an upper bound.
_TAIL = 4 * np.sqrt(3) / np.pi
#: The scale of that distribution in standard deviations of a normal one with the same median move.
_SCALE = 1 / (1.4826 * 0.7649)
#: The share of the logarithms from 3/2 to 10 that is near a ratio.
_NEAR_SHARE = 0.3
#: A step is so many times the largest range around it. After a crash ranges are wide.
_QUIET = 3.0
#: Bars before and after a step that are looked at; before it there must be three.
_AROUND, _LEAST_BEFORE = 5, 3
#: A price is compared with the median of so many closes at each side.
_BESIDE = 5
#: How far a price may be from ten times its neighbours: three usual ranges, within these bounds.
_LEAST_TENFOLD, _MOST_TENFOLD = 0.1, 0.35
_TEN = np.log(10.0)
_JUMP = np.log(1.5)


@dataclass(frozen=True)
class Candles:
    """Candles with prices.

    Attributes:
        o, h, lo, c: (N,) logarithms of the prices.
        place: (N,) steps of the grid since the first row, increasing.
    """

    o: Floats
    h: Floats
    lo: Floats
    c: Floats
    place: Floats

    @classmethod
    def of(cls, prices: Floats, place: Floats) -> Candles:
        """Candles of prices (N, 4): open, high, low, close."""
        o, h, lo, c = np.log(prices).T
        return cls(o, h, lo, c, place)

    @property
    def elapsed(self) -> Floats:
        """(N,) steps of the grid since the row before; 1 in the first row."""
        return np.diff(self.place, prepend=self.place[:1] - 1)

    @property
    def move(self) -> Floats:
        """(N,) from close to close; NaN in the first row."""
        return np.diff(self.c, prepend=np.nan)

    @property
    def gap(self) -> Floats:
        """(N,) from the close before to the open; NaN in the first row."""
        return self.o - np.concatenate(([np.nan], self.c))[: len(self.c)]


def splits(candles: Candles) -> list[Fault]:
    """The first rows after steps as splits leave them, by a reason that has the factor.

    Such a step is between two bars: from a close to the next open, or, where a source repeats the
    close as the next open, to the next close. It is

    - near a ratio of splits or its inverse;
    - too large for fat tails: of N moves with Student's tails of three degrees of freedom and the
      usual size of the moves around, fewer than 0.01 are expected to be as large and near a ratio.
      Over missing bars the usual size grows with the square root of time;
    - three times the ranges of the five bars before and the five after: in a crash the ranges are
      as wide as the fall;
    - where the price stays: the closes after it, up to five, are nearer to the new price than to
      the old one, those before it to the old one.
    """
    gap, move = candles.gap, candles.move
    carried = gap == 0
    step = np.where(carried, move, gap)
    nearest = _nearest(step)
    off = np.abs(step - _LOGS[nearest])
    rows = np.flatnonzero(off <= _MOST_NEAR)
    if not len(rows):
        return []
    size, usual = np.abs(step[rows]), _usual(candles, rows)
    sound = off[rows] <= np.clip(3 * usual, _LEAST_NEAR, _MOST_NEAR)
    sound &= _NEAR_SHARE * _expected(size, usual, len(step)) < _FALSE_STEPS
    sound &= _quiet(candles, rows, carried[rows]) * _QUIET <= size
    sound &= _stays(candles.c, rows, step[rows])
    flags = _by_factor(
        len(step),
        rows[sound],
        [_FACTORS[k] for k in nearest[rows[sound]]],
        "price that steps by a factor near {} and stays there, as at a split",
    )
    return faults("split", flags, "adjust prices for splits at the source")


def open_jumps(candles: Candles) -> Flags:
    """Rows that open half as high again as the close before, or below two thirds of it.

    The rows are adjacent, and the jump is too large for fat tails, as in :func:`splits`.
    """
    size = np.abs(candles.gap)
    rows = np.flatnonzero((size > _JUMP) & (candles.elapsed == 1))
    flags = np.zeros(len(size), dtype=bool)
    flags[rows] = _expected(size[rows], _usual(candles, rows), len(size)) < _FALSE_STEPS
    return flags


def _usual(candles: Candles, rows: NDArray[np.intp]) -> Floats:
    """The usual size of a step into these rows."""
    usual, gap = spread(candles.move, rows), candles.gap
    # From a close to the next open prices move less, or not at all where trade goes on.
    usual = np.where(gap[rows] == 0, usual, np.fmin(usual, spread(gap, rows)))
    return usual * np.sqrt(candles.elapsed[rows])


def _expected(size: Floats, usual: Floats, moves: int) -> Floats:
    """How many of so many moves are expected to be so large, with tails of three degrees."""
    return moves * _TAIL * (usual * _SCALE / size) ** 3


def _nearest(step: Floats) -> NDArray[np.intp]:
    """The place of the nearest ratio's logarithm."""
    middles = (_LOGS[1:] + _LOGS[:-1]) / 2
    return np.searchsorted(middles, np.nan_to_num(step))


def _quiet(candles: Candles, rows: NDArray[np.intp], carried: Flags) -> Floats:
    """The widest range around rows; a row's own counts where its open is not the close before."""
    true_range = np.fmax(candles.h - candles.lo, np.abs(candles.move))
    around = windows(true_range, rows, _AROUND, _AROUND - 1)
    own = (candles.h - candles.lo)[rows]
    around[:, _AROUND] = np.where(carried, 0.0, own)
    return np.nanmax(around, axis=1)


def _stays(c: Floats, rows: NDArray[np.intp], step: Floats) -> Flags:
    """Whether closes before a row are near the one before it, and those after near the new one."""
    before = windows(c, rows, _AROUND, -1)
    after = windows(c, rows, 0, _AROUND - 1)
    enough = np.isfinite(before).sum(axis=1) >= _LEAST_BEFORE
    stays = np.zeros(len(rows), dtype=bool)
    old = before[enough, -1]
    room = np.abs(step[enough]) / 2
    stays[enough] = np.abs(np.nanmedian(before[enough], axis=1) - old) < room
    stays[enough] &= np.abs(np.nanmedian(after[enough], axis=1) - (old + step[enough])) < room
    return stays


def ticks(candles: Candles) -> list[Fault]:
    """Rows with a price near ten times (a hundred times, a tenth ...) that of their neighbours.

    Neighbours are the median of up to five closes before and that of five after; the price must be
    off from both, so it comes back, and at most three such rows are on end. At an end of the series
    the row's own close stands for what is missing: there a high or low may be alone. Near is three
    usual ranges or moves, and at most 40 %: where they are wide, ten times can't be told.
    """
    o, h, lo, c = candles.o, candles.h, candles.lo, candles.c
    far = np.fmax(h - lo, np.fmax(np.abs(candles.move), np.abs(candles.gap))) > _TEN / 2
    rows = _with_neighbours(far, _BESIDE)
    if not len(rows):
        return []
    before, after = _median(c, rows, _BESIDE, -1), _median(c, rows, -1, _BESIDE)
    usual = np.fmax(spread(h - lo, rows) / 1.4826, spread(candles.move, rows))
    near = np.clip(3 * np.nan_to_num(usual), _LEAST_TENFOLD, _MOST_TENFOLD)
    power = np.zeros(len(rows), dtype=np.intp)
    for price in (o, h, lo, c):  # the close last, which says most
        tens = np.rint((price[rows] - before) / _TEN).astype(np.intp)
        tenfold = price[rows] - tens * _TEN
        off = np.fmax(np.abs(tenfold - before), np.abs(tenfold - after))
        power = np.where((tens != 0) & (off <= near), tens, power)
    flags = _by_factor(
        len(c),
        rows[power != 0],
        [Fraction(10) ** int(k) for k in power[power != 0]],
        "price off by a factor near {} that comes back",
    )
    return faults("outlier", flags, "correct the bar at the source, or leave it out")


def _median(c: Floats, rows: NDArray[np.intp], before: int, after: int) -> Floats:
    """The median close beside rows; their own where there is none."""
    beside = windows(c, rows, before, after)
    alone = np.isnan(beside).all(axis=1)
    beside[alone] = c[rows[alone], None]
    return np.nanmedian(beside, axis=1)


def _with_neighbours(flags: Flags, reach: int) -> NDArray[np.intp]:
    places = np.flatnonzero(flags)[:, None] + np.arange(-reach, reach + 1)
    return np.unique(places[(places >= 0) & (places < len(flags))])


def _by_factor(
    size: int, rows: NDArray[np.intp], factors: list[Fraction], reason: str
) -> dict[str, Flags]:
    """Flags (size,) of rows by the reason with their factor, in the order of the first rows."""
    found: dict[str, Flags] = {}
    for row, factor in zip(rows, factors, strict=True):
        flags = found.setdefault(reason.format(factor), np.zeros(size, dtype=bool))
        flags[row] = True
    return found
