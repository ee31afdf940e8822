"""The rules that flag suspicious rows, kind by kind.

Each rule stands beside its reason. The thresholds were set on 64,520 recorded candles of twelve
series, minutes to days, 2013 to 2022, crashes included; "largest" is the largest value there. They
flag 20 rows of them: two flash crashes, a day without volume, and 17 rows of stretches without
trade. Of closes that are wrong by 10 % among real hours they flag more than 80 %, by 30 % all.
A flagged row should be inspected; some are right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd

from market.quality.arrays import (
    Flags,
    Floats,
    adjacency,
    bounce,
    nearest,
    repeats,
    spread,
    stale_rows,
    unit_faults,
)

__all__ = ["RULES", "VALUES", "Context", "Findings"]

#: A close so many usual moves from both neighbours, from which the next open differs as much.
#: Largest: 7.8.
CLOSE_ALONE = 10.0
#: A close so many usual moves from both neighbours, whatever the next open. Largest: 24.2
#: (Bitfinex, October 2013).
CLOSE_AND_OPEN = 30.0
#: A shadow of so many usual ranges. Largest: 17.6, apart from two flash crashes to some cents.
SHADOW = 25.0
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

_ROUNDING = 1e-9
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


@dataclass(frozen=True)
class Findings:
    """What the rules flag, (N,) each.

    Attributes:
        stale: rows that repeat the row before in a stretch where it should move.
        outliers: by reason, rows that can't be right or hardly can.
        swapped: rows with base and quote amounts swapped; None if that can't be decided.
    """

    stale: Flags
    outliers: Mapping[str, Flags] = field(default_factory=dict)
    swapped: Flags | None = None


Columns = Mapping[str, Floats]


def _candles(rows: Columns, context: Context) -> Findings:
    o, h, lo, c, volume = (rows[name] for name in VALUES["candles"][:5])
    prices = np.column_stack([o, h, lo, c])
    partial = np.isfinite(prices).any(axis=1) | np.isinf(prices).any(axis=1)
    valid = (np.isfinite(prices) & (prices > 0)).all(axis=1)
    o, h, lo, c = (np.where(valid, x, np.nan) for x in (o, h, lo, c))
    adjacent = adjacency(context.times, context.step)
    before = np.concatenate(([np.nan], c[:-1]))
    swapped, neither = unit_faults(volume, rows["quote_volume"], lo, h, slack=0.02)
    moved = (h > lo) | (adjacent & (c != before) & ~np.isnan(before) & valid)
    outliers = {
        "price missing, infinite or not positive": partial & ~valid,
        "open or close outside high and low": (h < np.fmax(o, c) * (1 - _ROUNDING))
        | (lo > np.fmin(o, c) * (1 + _ROUNDING)),
        "negative or infinite volume": (volume < 0) | np.isinf(volume),
        "no volume although the price moved": (volume == 0) & moved,
        "turnover that does not fit price and volume": neither,
        "time off the grid": _off_grid(context),
        **_jumps(np.log(o), np.log(h), np.log(lo), np.log(c), adjacent),
    }
    stale = stale_rows(repeats(*(rows[name] for name in VALUES["candles"])))
    return Findings(stale, outliers, swapped)


def _jumps(o: Floats, h: Floats, lo: Floats, c: Floats, adjacent: Flags) -> dict[str, Flags]:
    """Candles that leave their neighbours and come back at once; log prices."""
    move = np.full(len(c), np.nan)
    move[1:] = np.where(adjacent[1:], c[1:] - c[:-1], np.nan)
    usual = spread(move)
    open_jump = np.full(len(c), np.nan)  # from the close before to this open; 0 where trade goes on
    open_jump[1:] = np.where(adjacent[1:], np.abs(o[1:] - c[:-1]), np.nan)
    next_open_jump = np.concatenate((open_jump[1:], [np.nan]))
    size = bounce(c, adjacent) / usual
    isolated = (size > CLOSE_ALONE) & (next_open_jump / usual > CLOSE_ALONE)
    isolated |= size > CLOSE_AND_OPEN
    reversion = np.concatenate(([False], isolated[:-1]))
    shadow = np.fmax(h - np.fmax(o, c), np.fmin(o, c) - lo) / (spread(h - lo) / 1.4826)
    return {
        "close that leaves its neighbours and reverts": isolated,
        "high or low far beyond its neighbours": shadow > SHADOW,
        "open far from the close before": (open_jump > JUMP) & ~reversion,
    }


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
    usual = spread(np.diff(finite_rate, prepend=np.nan), USUAL_RATE)
    outliers = {
        "rate beyond any exchange's cap (5 %)": np.abs(rate) > RATE_CAP,
        "rate far from its neighbours, and back": bounce(finite_rate, adjacent) / usual > RATE,
        "interval that is not positive": hours <= 0,
        "mark price infinite or not positive": (mark <= 0) | np.isinf(mark),
    }
    # A rate may rest for weeks at its interest component or cap, which are round; one that is free
    # to move has more digits. A mark price always moves.
    same = (repeats(rate) & _more_than_three_digits(rate)) | (repeats(mark) & ~np.isnan(mark))
    return Findings(stale_rows(same), outliers)


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
    return Findings(stale_rows(repeats(base, usd)), outliers, swapped)


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
    return Findings(stale_rows(repeats(mark, base)), outliers, swapped)


#: By kind, the columns that the rules read.
VALUES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "candles": ("open", "high", "low", "close", "volume", "quote_volume"),
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
