"""The target of a model: the return to come, in units of the volatility known at the bar's close.

A kernel on NumPy arrays. The return is that of a long position from the fill of the bar's decision
to the fill ``horizon`` bars later (:mod:`engine.kernels.fills`), before costs. A fill lies in the
next bar, so a target at bar t needs bar t + horizon + 1: the last horizon + 1 rows are NaN, and
every split must purge as many rows between training and test (:func:`reach`).

Two things make a target learnable. Divided by the volatility known at the time, it looks alike in
calm and in wild years, while trees can't predict beyond the values that they were trained on. And
clipped at a limit, it isn't ruled by its few largest values. Measurements of both are in
``docs/decisions/0003-features.md``.
"""

from __future__ import annotations

import math

import numpy as np

from brain.errors import InputError
from brain.naming import Fill
from engine.kernels.columns import Floats
from engine.kernels.windows import positive_log, ratio

__all__ = [
    "LIMIT",
    "TARGET",
    "forward_return",
    "in_volatility_units",
    "next_absolute_return",
    "reach",
    "scaled_target",
    "target_name",
]

#: Names the target's formula; a change of it needs a new name.
TARGET = "scaled-return-2"

#: Targets are clipped here, in standard deviations either way.
LIMIT = 2.0

# A volatility of a ten-thousandth of a basis point is a price that stood still.
_LEAST_VOLATILITY = 1e-8


def reach(horizon: int) -> int:
    """Rows after its own that a target needs: the horizon, and the bar of the last fill."""
    return horizon + 1


def target_name(window: int, fill: Fill, limit: float = LIMIT) -> str:
    """The target in a recipe: formula, fill, limit and its volatility's window in bars."""
    return f"{TARGET} fill={fill} limit={limit:g} window={window}"


def forward_return(price: Floats, horizon: int) -> Floats:
    """Log return over the next ``horizon`` rows, ``ln(P[t + horizon] / P[t])``, (N,).

    NaN in the last ``horizon`` rows, and where either of the two prices is missing (not a
    positive, finite number).

    Args:
        price: (N,) fills or closes on the full time grid.
        horizon: rows.

    Raises:
        InputError: the horizon is not a whole number of at least 1.
    """
    if not isinstance(horizon, int) or isinstance(horizon, bool) or horizon < 1:
        raise InputError(f"horizon {horizon!r} is not a number of bars; write 1 or more")
    later = np.full(price.shape, np.nan)
    later[:-horizon] = price[horizon:]
    return positive_log(ratio(later, price))


def scaled_target(price: Floats, volatility: Floats, horizon: int, limit: float = LIMIT) -> Floats:
    """The forward return in units of the volatility known at the time, (N,).

    :func:`forward_return` over ``volatility * sqrt(horizon)``, clipped at ``limit`` either way.

    Args:
        price: (N,) fills on the full time grid.
        volatility: (N,) of one bar's log return, known at the bar's close, such as
            :func:`engine.kernels.regimes.volatility` gives.
        horizon: bars.
        limit: ``math.inf`` keeps the tails.

    Returns:
        (N,), NaN where the forward return or the volatility is unknown or the price stood still.

    Raises:
        InputError: the horizon is not a whole number of at least 1, the limit isn't positive, or
            the arrays differ in length.
    """
    return in_volatility_units(forward_return(price, horizon), volatility, horizon, limit)


def next_absolute_return(close: Floats) -> Floats:
    """``|ln(C[t + 1] / C[t])|``, (N,): predictable, and so the pipeline's positive control.

    As a training target, take it :func:`in_volatility_units` and multiply the predictions by the
    volatility again.
    """
    return np.abs(forward_return(close, 1))


def in_volatility_units(
    value: Floats, volatility: Floats, horizon: int, limit: float = LIMIT
) -> Floats:
    """A return over ``horizon`` bars in standard deviations, clipped at ``limit`` either way.

    Shapes, NaN policy and errors as in :func:`scaled_target`.
    """
    if not limit > 0.0:
        raise InputError(f"limit {limit!r} is not positive; write for example {LIMIT}")
    if value.shape != volatility.shape:
        raise InputError(
            f"{value.shape} returns and {volatility.shape} volatilities don't match; "
            "give one of each a bar"
        )
    scale = np.where(volatility > _LEAST_VOLATILITY, volatility, np.nan) * math.sqrt(horizon)
    return np.clip(ratio(value, scale), -limit, limit)
