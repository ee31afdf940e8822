"""The half spread of a series, estimated from its open, high, low and close.

A trade is at the ask or at the bid, half a spread from the mid; a bar's range has one of each at
its ends, so its middle is nearly free of the spread. Products of the steps from a middle to a close
or an open and on to the next middle are therefore, on average, minus the square of the half spread,
if the mid itself is a random walk. :func:`half_spread` is the estimator EDGE of Ardia, Guidotti &
Kroencke 2024, "Efficient estimation of bid-ask spreads from open, high, low, and close prices",
Journal of Financial Economics 161, which weights two pairs of such products by their variances:

* the first steps through an open, or a close, from one bar's middle to the next (for closes it is
  the product of Abdi & Ranaldo 2017, here corrected for bars with few trades);
* the second steps back and forth between a close and the next open. No time lies between these, so
  it is by far the more precise, but it needs opens that are prices of their own. Where opens repeat
  the close before it is exactly 0, of variance 0, and would get all of the weight: there the first
  pair stands alone.

What looks like a spread and is none: where opens repeat, returns that reverse within a bar or two
raise the estimate and returns that go on lower it, without bound. Where opens are their own that
matters little, but trades come in runs on one side, so that a close and the next open often share
theirs: the estimate is then too low.

A kernel on NumPy arrays. An estimate depends on the rows that it is given, so that of a fold comes
from the rows before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError
from engine.kernels.columns import Floats, valid_prices
from engine.kernels.fills import MOST_REPEATED, repeated_opens

__all__ = ["BLOCK", "MIN_BLOCKS", "Spread", "half_spread"]

#: Rows in a block; errors are taken from how much the blocks differ.
BLOCK = 20

#: With fewer blocks than this that hold anything, the error is unknown.
MIN_BLOCKS = 10

_BP = 1e4
_NORMAL = 1.96


@dataclass(frozen=True)
class Spread:
    """An estimate of a half spread: of ask less bid, over the mid and over 2.

    It is what an order at the market pays against the mid. The estimator's natural scale is the
    square: only there is it free of bias, and does ± 1.96 errors cover as often as it says.

    Attributes:
        square: of the half spread, in squared basis points of price; may be negative; NaN is
            unknown.
        square_error: standard error of the square; NaN is unknown.
        pairs: pairs of neighbouring bars that it rests on.
        own_opens: whether opens are prices of their own, and both pairs of products count.
    """

    square: float
    square_error: float
    pairs: int
    own_opens: bool

    @property
    def half_bp(self) -> float:
        """The half spread in basis points; NaN if the square is unknown or not above 0."""
        return math.sqrt(self.square) if self.square > 0.0 else math.nan

    @property
    def error_bp(self) -> float:
        """The standard error of :attr:`half_bp`, by the square's slope; rough if insignificant."""
        return self.square_error / (2.0 * self.half_bp)

    @property
    def resolution_bp(self) -> float:
        """The least half spread that these bars can tell from none; NaN is unknown."""
        return math.sqrt(_NORMAL * self.square_error)

    @property
    def significant(self) -> bool:
        """Whether the half spread is told from none: not below :attr:`resolution_bp`."""
        return self.square >= _NORMAL * self.square_error and self.square > 0.0


def half_spread(open_: Floats, high: Floats, low: Floats, close: Floats) -> Spread:
    """Estimate the half spread of consecutive bars.

    Args:
        open_, high, low, close: (N,) on the full time grid, in any unit; NaN is a missing bar. A
            pair of neighbours counts if both have four positive prices.

    Returns:
        The estimate; unknown if fewer than two pairs show a trade, or every open or close is both
        high and low. Its error is unknown with fewer than :data:`MIN_BLOCKS` blocks of
        :data:`BLOCK` rows.

    Raises:
        InputError: the arrays differ in length.
    """
    if not open_.shape == high.shape == low.shape == close.shape:
        raise InputError(
            f"{open_.shape} opens, {high.shape} highs, {low.shape} lows and {close.shape} closes "
            "don't match; give one of each a bar"
        )
    valid = valid_prices(open_, high, low, close)
    rows = np.flatnonzero(valid[1:] & valid[:-1]) + 1
    own_opens = repeated_opens(open_, close) <= MOST_REPEATED
    products = _products(open_, high, low, close, rows)
    if products is None:
        return Spread(math.nan, math.nan, len(rows), own_opens)
    first, second = products
    weight = _weight(first, second) if own_opens else 1.0
    squares = (weight * first + (1.0 - weight) * second) / 4.0 * _BP**2
    return Spread(float(squares.mean()), _error(squares, rows), len(rows), own_opens)


def _products(
    open_: Floats, high: Floats, low: Floats, close: Floats, rows: NDArray[np.int64]
) -> tuple[Floats, Floats] | None:
    """Both pairs of products at the rows, each with the squared spread as its mean.

    Returns:
        (P,) each; None if they tell nothing.
    """
    o, h, l_ = (np.log(column[rows]) for column in (open_, high, low))
    h1, l1, c1 = (np.log(column[rows - 1]) for column in (high, low, close))
    middle, middle1 = (h + l_) / 2.0, (h1 + l1) / 2.0
    # A bar that only repeats the close before had no trade.
    traded = (h != l_) | (l_ != c1)
    if np.count_nonzero(traded) < 2:
        return None
    # An open or close that is also high or low is half in the middle: how often, of 2, it is not.
    opens = float((traded & (o != h)).mean() + (traded & (o != l_)).mean())
    closes = float((traded & (c1 != h1)).mean() + (traded & (c1 != l1)).mean())
    if opens == 0.0 or closes == 0.0:
        return None

    def steps(change: Floats) -> Floats:
        """Steps without their mean, which is that of the bars with a trade."""
        return change - np.where(traded, change.mean() / traded.mean(), 0.0)

    from_open, from_close, between = steps(middle - o), steps(middle - c1), steps(o - c1)
    to_open, to_close = o - middle1, c1 - middle1
    first = -4.0 * (from_open * to_open / opens + from_close * to_close / closes)
    second = -4.0 * (from_open * (o - c1) / opens + between * to_close / closes)
    return first, second


def _weight(first: Floats, second: Floats) -> float:
    """The weight of the first products: the other's share of the variance."""
    total = first.var() + second.var()
    return float(second.var() / total) if total > 0.0 else 0.5


def _error(squares: Floats, rows: NDArray[np.int64]) -> float:
    """The standard error of the mean, from sums over blocks of the grid; NaN with few blocks."""
    block = rows // BLOCK
    counts = np.bincount(block)
    sums = np.bincount(block, weights=squares - squares.mean())
    blocks = int(np.count_nonzero(counts))
    if blocks < MIN_BLOCKS:
        return math.nan
    variance = float((sums**2).sum()) * blocks / (blocks - 1)
    # Student's quantile at few degrees of freedom over the normal one (Cornish & Fisher).
    widening = 1.0 + (_NORMAL**2 + 1.0) / (4.0 * (blocks - 1))
    return math.sqrt(variance) / len(squares) * widening
