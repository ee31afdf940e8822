"""The rules that flag suspicious rows, kind by kind; those of candles are in ``brain``.

Each rule stands beside its reason. The thresholds were set on recorded series; "largest" is the
largest value there. A flagged row should be inspected; some are right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd

from brain.series.quality.arrays import (
    Flags,
    Floats,
    adjacency,
    beyond,
    bounce,
    nearest,
    repeats,
    stale_rows,
    unit_faults,
)
from brain.series.quality.candles import VALUES as CANDLE_VALUES, candle_findings
from brain.series.quality.findings import REPEATING, SWAPPED, Findings, faults

__all__ = ["RULES", "VALUES", "Context"]

#: A funding rate so many usual moves from both neighbours (a move counts at least 0.01 %, the
#: interest component of the exchanges' formula). Largest: 23.
RATE = 40.0
USUAL_RATE = 1e-4
#: The highest cap of Bybit's 800 linear instruments in August 2026 is 5 %; Binance's is 3 %.
RATE_CAP = 0.05
#: Open interest that changes by more than half in one period, and back in the next; and a next
#: open that is half as high again as the close before it, or less than two thirds of it.
JUMP = np.log(1.5)
#: How far a mark price may be from the nearest candle's close.
MARK = np.log(1.1)

_HOUR = pd.Timedelta(hours=1)
_DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Context:
    """What the rules read beside the rows' values.

    Attributes:
        times: (N,) of the rows, sorted, UTC, no time twice.
        step: from a row to the next; None where rows come as they come.
        price: closes by close time (UTC), or None.
        history: open interest in base units by time (UTC), or None; for snapshots.
    """

    times: pd.DatetimeIndex
    step: pd.Timedelta | None = None
    price: pd.Series | None = None
    history: pd.Series | None = None


Columns = Mapping[str, Floats]


def _findings(stale: Flags, outliers: Mapping[str, Flags], swapped: Flags | None) -> Findings:
    """Findings of rules that name no cure."""
    return Findings(
        (
            *faults("stale", {REPEATING: stale}),
            *faults("outlier", outliers),
            *([] if swapped is None else faults("swapped", {SWAPPED: swapped})),
        ),
        swappable=swapped is not None,
    )


def _candles(rows: Columns, context: Context) -> Findings:
    step = context.step or pd.Timedelta(1)
    place = np.asarray((context.times - context.times[0]) / step, dtype=np.float64)
    findings = candle_findings(rows, place)
    off_grid = faults("outlier", {"time off the grid": _off_grid(context)})
    return replace(findings, faults=(*findings.faults, *off_grid))


def _off_grid(context: Context) -> Flags:
    """Weeks open on Mondays, all else at multiples of its length, UTC (OKX has others as well)."""
    if context.step is None:
        return np.zeros(len(context.times), dtype=bool)
    monday = pd.Timestamp("1970-01-05", tz="UTC")
    return np.asarray((context.times - monday) % context.step != pd.Timedelta(0))


def _funding(rows: Columns, context: Context) -> Findings:
    rate, hours, mark = (rows[name] for name in VALUES["funding"])
    adjacent = adjacency(context.times, None)
    finite_rate = np.where(np.isfinite(rate), rate, np.nan)
    moves = np.diff(finite_rate, prepend=np.nan)
    outliers = {
        "rate beyond any exchange's cap (5 %)": np.abs(rate) > RATE_CAP,
        "rate far from its neighbours, and back": beyond(
            bounce(finite_rate, adjacent), moves, RATE, USUAL_RATE
        ),
        "interval that is not positive": hours <= 0,
        "mark price infinite or not positive": (mark <= 0) | np.isinf(mark),
    }
    # A rate may rest for weeks at its interest component or cap, which are round; one that is free
    # to move has more digits. A mark price always moves.
    same = (repeats(rate) & _more_than_three_digits(rate)) | (repeats(mark) & ~np.isnan(mark))
    return _findings(stale_rows(same), outliers, None)


def _more_than_three_digits(values: Floats) -> Flags:
    size = np.abs(np.where(np.isfinite(values) & (values != 0), values, 1.0))
    leading = size / 10.0 ** (np.floor(np.log10(size)) - 2)
    return np.abs(leading - np.round(leading)) > 1e-6


def _open_interest(rows: Columns, context: Context) -> Findings:
    base, usd = (rows[name] for name in VALUES["open_interest"])
    price = nearest(context.price, context.times, _DAY)
    swapped, neither = unit_faults(base, usd, price, price, slack=0.25)
    outliers = {
        **_amounts(base, adjacency(context.times, context.step)),
        "value that does not fit price and amount": neither,
    }
    return _findings(stale_rows(repeats(base, usd)), outliers, swapped)


def _amounts(base: Floats, adjacent: Flags) -> dict[str, Flags]:
    positive = (base > 0) & np.isfinite(base)
    after_positive = np.logical_or.accumulate(positive)
    before_positive = np.logical_or.accumulate(positive[::-1])[::-1]
    amount = np.log(np.where(positive, base, np.nan))
    return {
        "open interest negative or infinite": (base < 0) | np.isinf(base),
        "open interest 0 between others": (base == 0) & after_positive & before_positive,
        "open interest that jumps by half and back": bounce(amount, adjacent) > JUMP,
    }


def _snapshots(rows: Columns, context: Context) -> Findings:
    mark, rate, base, usd = (rows[name] for name in VALUES["snapshots"])
    price = nearest(context.price, context.times, _HOUR)
    history = nearest(context.history, context.times, _DAY)
    with np.errstate(divide="ignore", invalid="ignore"):
        from_close = np.abs(np.log(mark) - np.log(price))
        from_history = np.abs(np.log(base) - np.log(history))
    swapped, neither = unit_faults(base, usd, mark, mark, slack=0.02)
    outliers = {
        **_amounts(base, adjacency(context.times, None)),
        "mark price infinite or not positive": (mark <= 0) | np.isinf(mark),
        "mark price 10 % and more from the candle": from_close > MARK,
        "open interest half off its history": from_history > JUMP,
        "funding rate beyond any exchange's cap (5 %)": np.abs(rate) > RATE_CAP,
        "value that does not fit price and amount": neither,
    }
    return _findings(stale_rows(repeats(mark, base)), outliers, swapped)


#: By kind, the columns that the rules read.
VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "candles": CANDLE_VALUES,
        "funding": ("rate", "interval_hours", "mark_price"),
        "open_interest": ("base", "usd"),
        "snapshots": ("mark_price", "funding_rate", "open_interest", "open_interest_usd"),
    }
)

#: By kind, the rules: from columns of :data:`VALUES` to findings.
RULES: Mapping[str, Callable[[Columns, Context], Findings]] = MappingProxyType(
    {
        "candles": _candles,
        "funding": _funding,
        "open_interest": _open_interest,
        "snapshots": _snapshots,
    }
)
