"""The features of the newest bar, to the bits of :mod:`engine.kernels.features`.

Every formula is that of the batch, a number in place of a column. Sums, differences, products,
quotients and roots are the same in Python's floats as in NumPy; logarithms and sines are not, so
these go through NumPy, as many at a time as there are.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.kernels.columns import Floats
from engine.kernels.features import FEATURES, LOOK_BACK
from engine.kernels.incremental.recent_bars import Arrays, RecentBars
from engine.kernels.incremental.rings import Maxima, Means, lagged
from engine.kernels.incremental.scalars import INF, NAN, garman_klass, logs, ratio, root

__all__ = ["IncrementalFeatures"]

_WINDOWS = (4, 12, 14, 24, 72, 84, 168)
_RETURNS = (1, 2, 4, 8, 24, 72, 168)
_DAYS = tuple(24 * days - 1 for days in range(1, 8))
_ROOT = {bars: math.sqrt(bars) for bars in (*_RETURNS, 24)}
_NS_PER_HOUR = 3_600_000_000_000
_HOURS_TO_MONDAY = 4 * 24


class _Series(NamedTuple):
    """What means are taken of, of one bar, or the means over one window."""

    square: float
    size: float
    span: float
    falling: float
    within: float
    gap: float
    price: float
    rising: float
    product: float
    signed: float
    volume: float
    illiquidity: float


class IncrementalFeatures:
    """The features of bars that come one at a time."""

    def __init__(self) -> None:
        self._recent = RecentBars(LOOK_BACK - 1)
        self._means = Means(len(_Series._fields), _WINDOWS)
        self._changes = Means(1, (168,))
        self._extremes = Maxima(2, (24, 168))
        self._close = lagged(max(_RETURNS))
        self._size = lagged(max(_DAYS))
        self._mean_12, self._mean_84 = lagged(12), lagged(84)
        self._log_close = self._return = self._day = NAN

    def push(
        self,
        open: float,  # noqa: A002 -- the column's name
        high: float,
        low: float,
        close: float,
        volume: float,
        close_time_ns: int,
    ) -> Floats:
        """The features of the next bar.

        Args:
            open, high, low, close: prices; the bar is missing without four positive ones.
            volume: traded, in any unit; NaN is unknown.
            close_time_ns: the bar's close, nanoseconds since 1970 UTC.

        Returns:
            (F,) in the order of :data:`engine.kernels.features.FEATURES`; NaN is unknown.

        Raises:
            InputError: the bar does not close after the last one.
        """
        self._recent.push(close_time_ns, open, high, low, close, volume)
        valid = all(0.0 < price < INF for price in (open, high, low, close))
        o, h, lo, c = (open, high, low, close) if valid else (NAN, NAN, NAN, NAN)
        v = volume if valid and 0.0 <= volume < INF else NAN
        # Absurd prices and volumes may overflow; what does is unknown.
        with np.errstate(over="ignore", invalid="ignore"):
            features = self._features(o, h, lo, c, v)
        if not valid:
            return np.full(len(FEATURES), NAN)
        features |= _shape(o, h, lo, c) | _calendar(close_time_ns)
        row = np.array([features[name] for name in FEATURES])
        row[~np.isfinite(row)] = NAN
        return row

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What :meth:`from_arrays` goes on from: the last ``LOOK_BACK - 1`` bars."""
        return self._recent.arrays()

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Go on after the bars of :meth:`arrays`, in some 20 ms.

        Raises:
            InputError: the arrays are of something else.
        """
        features = cls()
        for columns, close_time_ns in RecentBars.replay(arrays, 5):
            features.push(*columns, close_time_ns)  # type: ignore[misc]
        return features

    def _features(self, o: float, h: float, lo: float, c: float, v: float) -> dict[str, float]:
        """All that depend on bars before, and the memory of this one."""
        self._close.appendleft(c)
        before = self._close
        log_o, log_h, log_l, price, span, *returns = logs(
            o, h, lo, c, ratio(h, lo), *[ratio(c, before[bars]) for bars in _RETURNS]
        )
        r = returns[0]
        size = abs(r)
        bar = _Series(
            square=r * r,
            size=size,
            span=span,
            falling=min(r, 0.0) * min(r, 0.0),
            within=garman_klass(log_o, log_h, log_l, price),
            gap=(log_o - self._log_close) * (log_o - self._log_close),
            price=price,
            rising=max(r, 0.0),
            product=r * self._return,
            signed=v if r > 0.0 else -v if r < 0.0 else r * v,
            volume=v,
            illiquidity=ratio(size, v * c),
        )
        self._log_close, self._return = price, r
        self._size.appendleft(size)
        four, twelve, fourteen, day, three, half, week = map(_Series._make, self._means.push(bar))
        sigma = root(three.square)
        (top_24, below_24), (top_168, below_168) = self._extremes.push((h, -lo))
        # Prices are known where extremes are.
        if math.isnan(day.price):
            top_24 = below_24 = NAN
        if math.isnan(week.price):
            top_168 = below_168 = NAN
        self._mean_12.appendleft(twelve.price)
        self._mean_84.appendleft(half.price)
        scale = {bars: sigma * _ROOT[bars] for bars in (24, 72, 168)}
        return {
            **{
                f"ret_{bars}": ratio(value, sigma * _ROOT[bars])
                for bars, value in zip(_RETURNS, returns, strict=True)
            },
            **self._logarithms(bar, four, day, week, ratio(c, top_168), scale[168]),
            "abs_1_24": ratio(size, day.size),
            "down_24": ratio(day.falling, day.square),
            "down_168": ratio(week.falling, week.square),
            "above_mean_24": ratio(price - day.price, scale[24]),
            "above_mean_72": ratio(price - three.price, scale[72]),
            "above_mean_168": ratio(price - week.price, scale[168]),
            "slope_24": ratio(twelve.price - self._mean_12[12], scale[24]),
            "slope_168": ratio(half.price - self._mean_84[84], scale[168]),
            "efficiency_24": ratio(abs(returns[4]), 24.0 * day.size),
            "efficiency_72": ratio(abs(returns[5]), 72.0 * three.size),
            "rising_14": ratio(fourteen.rising, fourteen.size),
            "autocorrelation_72": ratio(three.product, sigma * sigma),
            "position_24": ratio(c + below_24, top_24 + below_24),
            "position_168": ratio(c + below_168, top_168 + below_168),
            "signed_volume_4": ratio(four.signed, four.volume),
            "signed_volume_24": ratio(day.signed, day.volume),
        }

    def _logarithms(
        self, bar: _Series, four: _Series, day: _Series, week: _Series, top: float, scale: float
    ) -> dict[str, float]:
        """The features that are logarithms, and what is made of two of them."""
        gk_24, gk_168 = root(day.within + day.gap), root(week.within + week.gap)
        values = {
            "log_gk_24": gk_24,
            "log_gk_168": gk_168,
            "gk_24_168": ratio(gk_24, gk_168),
            "log_cc_24": day.square,
            "log_abs_24": day.size,
            "log_range_24": day.span,
            "range_1_24": ratio(bar.span, day.span),
            "range_4_24": ratio(four.span, day.span),
            "range_24_168": ratio(day.span, week.span),
            "abs_4_24": ratio(four.size, day.size),
            "abs_24_168": ratio(day.size, week.size),
            "same_hour_168": ratio(self._same_hour(), week.size),
            "volume_1_24": ratio(bar.volume, day.volume),
            "volume_24_168": ratio(day.volume, week.volume),
            "illiquidity_24_168": ratio(day.illiquidity, week.illiquidity),
            "drawdown_168": top,
            "vol_of_vol_168": ratio(gk_24, self._day),
        }
        self._day = gk_24
        features = dict(zip(values, logs(*values.values()), strict=True))
        change = features["vol_of_vol_168"]
        return features | {
            "log_cc_24": 0.5 * features["log_cc_24"],
            "drawdown_168": ratio(features["drawdown_168"], scale),
            "vol_of_vol_168": root(self._changes.push((change * change,))[0][0]),
        }

    def _same_hour(self) -> float:
        """The mean size of the seven bars 24, 48, … bars before the next one."""
        total, count = 0.0, 0
        for bars in _DAYS:  # by hand: Python's own sum rounds in another way
            size = self._size[bars]
            if not math.isnan(size):
                total, count = total + size, count + 1
        return total / count if 2 * count >= len(_DAYS) else NAN


def _shape(o: float, h: float, lo: float, c: float) -> dict[str, float]:
    span = h - lo
    return {
        "upper_shadow": ratio(h - max(o, c), span),
        "lower_shadow": ratio(min(o, c) - lo, span),
        "body": ratio(c - o, span),
    }


def _calendar(close_time_ns: int) -> dict[str, float]:
    # As NumPy divides: whole numbers become floats first.
    hours = float(close_time_ns) / float(_NS_PER_HOUR)
    since_monday = (hours - _HOURS_TO_MONDAY) % 168.0
    angles = np.array(
        [hours % 24.0 * (2.0 * math.pi / 24.0), since_monday * (2.0 * math.pi / 168.0)]
    )
    (hour_sin, weekday_sin), (hour_cos, weekday_cos) = np.sin(angles), np.cos(angles)
    return {
        "hour_sin": hour_sin,
        "hour_cos": hour_cos,
        "weekday_sin": weekday_sin,
        "weekday_cos": weekday_cos,
        "weekend": float(since_monday >= 5 * 24),
    }
