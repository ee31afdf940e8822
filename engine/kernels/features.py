"""What a model sees of a bar: some forty numbers from it and the ``LOOK_BACK - 1`` bars before.

A kernel on NumPy arrays, shared by training and by the live executor. It needs nothing but the
bars: volatilities, of which the regimes use one too, are computed here again. It promises:

* **Nothing looks ahead, and nothing looks back further than** :data:`LOOK_BACK`. The last row is
  the same to the last bit whether it is computed from the last ``LOOK_BACK`` bars, from the
  history up to that bar, or from a history that goes on (see :mod:`engine.kernels.windows`).
* **No units.** Multiplying all prices, or all volumes, by a constant changes rounding only.
* **NaN is unknown, and nothing is ever infinite.** A bar without four positive prices is missing:
  its row is NaN in every column; windows skip it as long as half of the window is there; a return
  with a missing end is missing. A bar without a volume misses the volume features only. A ratio
  whose denominator is zero (flat bar, constant price, no trade) is unknown.

What each of them is, :mod:`engine.kernels.dictionary` tells; ``docs/features.md`` is made of it.
Here too lengths are in bars, ``r`` is the log return of the close over one bar and ``sigma`` its
root mean square over the last 72. "Log ratio" compares a mean over a short window with one over a
long one.
"""

from __future__ import annotations

import math

import numpy as np

from engine.kernels.columns import Floats, Times, check_shapes, valid_prices
from engine.kernels.dictionary import BAR_ENTRIES
from engine.kernels.regimes import volatility
from engine.kernels.windows import (
    lag,
    positive_log,
    ratio,
    rolling_max,
    rolling_mean,
    rolling_min,
)

__all__ = ["FEATURES", "FEATURE_SET", "LOOK_BACK", "bar_features"]

#: Names this list of features and their formulas; a change of either needs a new name.
FEATURE_SET = "bars-1"

#: Bars that a row depends on, its own included: the volatility of volatility looks back furthest.
LOOK_BACK = 168 + 24 + 1

#: Their formulas are in :data:`engine.kernels.dictionary.BAR_ENTRIES`.
FEATURES: tuple[str, ...] = tuple(entry.name for entry in BAR_ENTRIES)

_NS_PER_HOUR = 3_600_000_000_000
_HOURS_TO_MONDAY = 4 * 24  # 1 January 1970 was a Thursday


def bar_features(
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    close_time_ns: Times,
) -> Floats:
    """All features of every bar.

    Args:
        open_, high, low, close: (N,) prices on the full time grid.
        volume: (N,) traded in each bar, in any unit; 0 is no trade.
        close_time_ns: (N,) the bars' closes, nanoseconds since 1970 UTC.

    Returns:
        (N, F) in the order of :data:`FEATURES`; NaN is unknown.

    Raises:
        InputError: the arrays differ in length.
    """
    check_shapes(close_time_ns, open=open_, high=high, low=low, close=close, volume=volume)
    valid = valid_prices(open_, high, low, close)
    o, h, lo, c = (np.where(valid, x, np.nan) for x in (open_, high, low, close))
    v = np.where(valid & (volume >= 0.0) & (volume < np.inf), volume, np.nan)
    # Absurd prices and volumes may overflow; what does is unknown.
    with np.errstate(over="ignore", invalid="ignore"):
        r = _log_return(c, 1)
        sigma = np.sqrt(rolling_mean(r**2, 72))
        features = {
            **_returns(c, sigma),
            **_levels(o, h, lo, c, r),
            **_changes(h, lo, r),
            **_trend(c, r, sigma),
            **_range(o, h, lo, c, sigma),
            **_volume(c, v, r),
            **_calendar(close_time_ns),
        }
    rows = np.column_stack([features[name] for name in FEATURES])
    rows[~valid] = np.nan
    rows[~np.isfinite(rows)] = np.nan
    return rows


def _log_ratio(x: Floats, short: int, long: int) -> Floats:
    """Logarithm of the mean over ``short`` bars over that over ``long`` ones."""
    return positive_log(ratio(rolling_mean(x, short), rolling_mean(x, long)))


def _log_return(c: Floats, bars: int) -> Floats:
    """Log return over that many bars."""
    return positive_log(ratio(c, lag(c, bars)))


def _returns(c: Floats, sigma: Floats) -> dict[str, Floats]:
    return {
        f"ret_{bars}": ratio(_log_return(c, bars), sigma * math.sqrt(bars))
        for bars in (1, 2, 4, 8, 24, 72, 168)
    }


def _levels(o: Floats, h: Floats, lo: Floats, c: Floats, r: Floats) -> dict[str, Floats]:
    day, week = volatility(o, h, lo, c, 24), volatility(o, h, lo, c, 168)
    change = positive_log(ratio(day, lag(day, 1)))
    return {
        "log_gk_24": positive_log(day),
        "log_gk_168": positive_log(week),
        "gk_24_168": positive_log(ratio(day, week)),
        "vol_of_vol_168": np.sqrt(rolling_mean(change**2, 168)),
        "log_cc_24": 0.5 * positive_log(rolling_mean(r**2, 24)),
        "log_abs_24": positive_log(rolling_mean(np.abs(r), 24)),
        "log_range_24": positive_log(rolling_mean(positive_log(ratio(h, lo)), 24)),
    }


def _changes(h: Floats, lo: Floats, r: Floats) -> dict[str, Floats]:
    size, span = np.abs(r), positive_log(ratio(h, lo))
    falling = np.minimum(r, 0.0) ** 2
    # The next bar is the one that the seven bars 24, 48, … bars before it resemble.
    same = np.stack([lag(size, 24 * days - 1) for days in range(1, 8)], axis=1)
    return {
        "range_1_24": _log_ratio(span, 1, 24),
        "range_4_24": _log_ratio(span, 4, 24),
        "range_24_168": _log_ratio(span, 24, 168),
        "abs_1_24": ratio(size, rolling_mean(size, 24)),
        "abs_4_24": _log_ratio(size, 4, 24),
        "abs_24_168": _log_ratio(size, 24, 168),
        "same_hour_168": positive_log(ratio(_row_mean(same), rolling_mean(size, 168))),
        "down_24": ratio(rolling_mean(falling, 24), rolling_mean(r**2, 24)),
        "down_168": ratio(rolling_mean(falling, 168), rolling_mean(r**2, 168)),
    }


def _row_mean(x: Floats) -> Floats:
    """Mean of every row without the NaN, (N,); NaN unless half of its values are there."""
    count = (~np.isnan(x)).sum(axis=1)
    total = np.zeros(len(x))
    for column in np.nan_to_num(x, nan=0.0).T:  # by hand: NumPy's order depends on the layout
        total = total + column
    return np.where(2 * count >= x.shape[1], total / np.maximum(count, 1), np.nan)


def _trend(c: Floats, r: Floats, sigma: Floats) -> dict[str, Floats]:
    price = positive_log(c)
    mean = {w: rolling_mean(price, w) for w in (12, 24, 72, 84, 168)}
    path = {w: w * rolling_mean(np.abs(r), w) for w in (24, 72)}
    rising = rolling_mean(np.maximum(r, 0.0), 14)
    return {
        **{f"above_mean_{w}": ratio(price - mean[w], sigma * math.sqrt(w)) for w in (24, 72, 168)},
        **{
            f"slope_{w}": ratio(mean[w // 2] - lag(mean[w // 2], w // 2), sigma * math.sqrt(w))
            for w in (24, 168)
        },
        # Kaufman (1995), the efficiency ratio.
        **{f"efficiency_{w}": ratio(np.abs(_log_return(c, w)), path[w]) for w in (24, 72)},
        "rising_14": ratio(rising, rolling_mean(np.abs(r), 14)),
        "autocorrelation_72": ratio(rolling_mean(r * lag(r, 1), 72), sigma**2),
    }


def _range(o: Floats, h: Floats, lo: Floats, c: Floats, sigma: Floats) -> dict[str, Floats]:
    top = {w: rolling_max(h, w) for w in (24, 168)}
    bottom = {w: rolling_min(lo, w) for w in (24, 168)}
    span = h - lo
    return {
        "position_24": ratio(c - bottom[24], top[24] - bottom[24]),
        "position_168": ratio(c - bottom[168], top[168] - bottom[168]),
        "drawdown_168": ratio(positive_log(ratio(c, top[168])), sigma * math.sqrt(168)),
        "upper_shadow": ratio(h - np.maximum(o, c), span),
        "lower_shadow": ratio(np.minimum(o, c) - lo, span),
        "body": ratio(c - o, span),
    }


def _volume(c: Floats, v: Floats, r: Floats) -> dict[str, Floats]:
    signed = np.sign(r) * v
    return {
        "volume_1_24": _log_ratio(v, 1, 24),
        "volume_24_168": _log_ratio(v, 24, 168),
        "signed_volume_4": ratio(rolling_mean(signed, 4), rolling_mean(v, 4)),
        "signed_volume_24": ratio(rolling_mean(signed, 24), rolling_mean(v, 24)),
        # Amihud (2002): |r| over the value traded.
        "illiquidity_24_168": _log_ratio(ratio(np.abs(r), v * c), 24, 168),
    }


def _calendar(close_time_ns: Times) -> dict[str, Floats]:
    hours = close_time_ns / _NS_PER_HOUR
    day = hours % 24.0 * (2.0 * math.pi / 24.0)
    since_monday = (hours - _HOURS_TO_MONDAY) % 168.0
    week = since_monday * (2.0 * math.pi / 168.0)
    return {
        "hour_sin": np.sin(day),
        "hour_cos": np.cos(day),
        "weekday_sin": np.sin(week),
        "weekday_cos": np.cos(week),
        "weekend": (since_monday >= 5 * 24).astype(np.float64),
    }
