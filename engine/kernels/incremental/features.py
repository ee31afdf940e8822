"""The features of the newest bar, to the bits of :mod:`engine.kernels.features`.

Every formula is that of the batch, a number in place of a column. Sums, differences, products,
quotients and roots are the same in Python's floats as in NumPy; logarithms and sines are not, so
these go through NumPy, as many at a time as there are.
"""

from __future__ import annotations

import math
from operator import itemgetter
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.kernels.columns import Floats
from engine.kernels.features import FEATURES, LOOK_BACK
from engine.kernels.incremental.recent_bars import Arrays, RecentBars
from engine.kernels.incremental.rings import Largest, Means, lagged
from engine.kernels.incremental.scalars import INF, NAN, garman_klass, logs, ratio, root

__all__ = ["IncrementalFeatures"]

_RETURNS = (1, 2, 4, 8, 24, 72, 168)
_DAYS = tuple(24 * days - 1 for days in range(1, 8))
_ROOT = {bars: math.sqrt(bars) for bars in _RETURNS}
_ORDER = itemgetter(*FEATURES)
_NS_PER_HOUR = 3_600_000_000_000
_HOURS_TO_MONDAY = 4 * 24
#: The features that are logarithms, or are made of one: all are taken in one call.
_LOGARITHMS = (
    "log_gk_24", "log_gk_168", "gk_24_168", "vol_of_vol_168", "log_cc_24", "log_abs_24",
    "log_range_24", "range_1_24", "range_4_24", "range_24_168", "abs_4_24", "abs_24_168",
    "same_hour_168", "drawdown_168", "volume_1_24", "volume_24_168", "illiquidity_24_168",
)  # fmt: skip

Row = dict[str, float]


class IncrementalFeatures:
    """The features of bars that come one at a time."""

    def __init__(self) -> None:
        self._recent = RecentBars(LOOK_BACK - 1)
        self._closes, self._sizes = lagged(max(_RETURNS)), lagged(max(_DAYS))
        self._log_close = self._return = self._day = NAN
        self._square = Means(24, 72, 168)
        self._size = Means(4, 14, 24, 72, 168)
        self._span = Means(4, 24, 168)
        self._falling, self._rising = Means(24, 168), Means(14)
        self._within, self._gap, self._change = Means(24, 168), Means(24, 168), Means(168)
        self._price = Means(12, 24, 72, 84, 168)
        self._price_12, self._price_84 = lagged(12), lagged(84)
        self._product = Means(72)
        self._highs, self._lows = ((Largest(24), Largest(168)) for _ in range(2))
        self._signed, self._volume, self._illiquidity = (
            Means(4, 24),
            Means(4, 24, 168),
            Means(24, 168),
        )

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
        features, valid = self._observe(open, high, low, close, volume, close_time_ns)
        if not valid:
            return np.full(len(FEATURES), NAN)
        _set_shape(features, open, high, low, close)
        _set_calendar(features, close_time_ns)
        row = np.array(_ORDER(features))
        row[~np.isfinite(row)] = NAN
        return row

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What :meth:`from_arrays` goes on from: the last ``LOOK_BACK - 1`` bars."""
        return self._recent.arrays()

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Go on after the bars of :meth:`arrays`, in some tens of milliseconds.

        Raises:
            InputError: the arrays are of something else.
        """
        features = cls()
        for (o, h, lo, c, v), close_time_ns in RecentBars.replay(arrays, 5):
            features._observe(o, h, lo, c, v, close_time_ns)  # nobody asks for their rows
        return features

    def _observe(
        self, o: float, h: float, lo: float, c: float, v: float, close_time_ns: int
    ) -> tuple[Row, bool]:
        """What looks back, of the next bar; and whether it is one."""
        self._recent.push(close_time_ns, o, h, lo, c, v)
        valid = all(0.0 < price < INF for price in (o, h, lo, c))
        if not valid:
            o, h, lo, c = NAN, NAN, NAN, NAN
        return self._features(o, h, lo, c, v if valid and 0.0 <= v < INF else NAN), valid

    def _features(self, o: float, h: float, lo: float, c: float, v: float) -> Row:
        """All that look back; a missing bar is pushed into every window too."""
        self._closes.appendleft(c)
        log_o, log_h, log_l, log_c, span, *returns = logs(
            o, h, lo, c, ratio(h, lo), *[ratio(c, self._closes[bars]) for bars in _RETURNS]
        )
        r = returns[0]
        square = self._square.push(r * r)
        sigma = root(square[1])
        features: Row = {}
        for bars, value in zip(_RETURNS, returns, strict=True):
            features[f"ret_{bars}"] = ratio(value, sigma * _ROOT[bars])
        gap, self._log_close = log_o - self._log_close, log_c
        self._set_levels(features, garman_klass(log_o, log_h, log_l, log_c), gap)
        sizes = self._set_sizes(features, r, square)
        self._set_spans(features, span)
        known = self._set_trend(features, log_c, sigma)
        self._set_paths(features, returns, sizes, sigma)
        self._set_range(features, (h, lo, c), known)
        self._set_volume(features, v, r, c)
        for name, value in zip(_LOGARITHMS, logs(*[features[n] for n in _LOGARITHMS]), strict=True):
            features[name] = value
        change = features["vol_of_vol_168"]
        features["vol_of_vol_168"] = root(self._change.push(change * change)[0])
        features["log_cc_24"] *= 0.5
        features["drawdown_168"] = ratio(features["drawdown_168"], sigma * _ROOT[168])
        return features

    def _set_levels(self, features: Row, within: float, gap: float) -> None:
        within_24, within_168 = self._within.push(within)
        gap_24, gap_168 = self._gap.push(gap * gap)
        day, week = root(within_24 + gap_24), root(within_168 + gap_168)
        features["log_gk_24"], features["log_gk_168"] = day, week
        features["gk_24_168"] = ratio(day, week)
        features["vol_of_vol_168"], self._day = ratio(day, self._day), day

    def _set_sizes(self, features: Row, r: float, square: list[float]) -> list[float]:
        """Those of the sizes of returns, and the means of these."""
        size, falling = abs(r), min(r, 0.0)
        self._sizes.appendleft(size)
        means = self._size.push(size)
        size_4, _, size_24, _, size_168 = means
        features["log_cc_24"], features["log_abs_24"] = square[0], size_24
        features["abs_1_24"] = ratio(size, size_24)
        features["abs_4_24"], features["abs_24_168"] = (
            ratio(size_4, size_24),
            ratio(size_24, size_168),
        )
        features["same_hour_168"] = ratio(self._same_hour(), size_168)
        falling_24, falling_168 = self._falling.push(falling * falling)
        features["down_24"] = ratio(falling_24, square[0])
        features["down_168"] = ratio(falling_168, square[2])
        return means

    def _same_hour(self) -> float:
        """The mean size of the seven bars 24, 48, … bars before the next one."""
        total, count = 0.0, 0
        for bars in _DAYS:
            size = self._sizes[bars]
            if not math.isnan(size):
                total, count = total + size, count + 1
        return total / count if 2 * count >= len(_DAYS) else NAN

    def _set_spans(self, features: Row, span: float) -> None:
        span_4, span_24, span_168 = self._span.push(span)
        features["log_range_24"] = span_24
        features["range_1_24"] = ratio(span, span_24)
        features["range_4_24"] = ratio(span_4, span_24)
        features["range_24_168"] = ratio(span_24, span_168)

    def _set_trend(self, features: Row, price: float, sigma: float) -> tuple[bool, bool]:
        """Those of the logarithm of the price, and whether half of 24 and of 168 bars are there."""
        mean_12, mean_24, mean_72, mean_84, mean_168 = self._price.push(price)
        self._price_12.appendleft(mean_12)
        self._price_84.appendleft(mean_84)
        day, three, week = sigma * _ROOT[24], sigma * _ROOT[72], sigma * _ROOT[168]
        features["above_mean_24"] = ratio(price - mean_24, day)
        features["above_mean_72"] = ratio(price - mean_72, three)
        features["above_mean_168"] = ratio(price - mean_168, week)
        features["slope_24"] = ratio(mean_12 - self._price_12[12], day)
        features["slope_168"] = ratio(mean_84 - self._price_84[84], week)
        return not math.isnan(mean_24), not math.isnan(mean_168)

    def _set_paths(
        self, features: Row, returns: list[float], sizes: list[float], sigma: float
    ) -> None:
        r, *_, change_24, change_72, _ = returns
        _, size_14, size_24, size_72, _ = sizes
        features["efficiency_24"] = ratio(abs(change_24), 24.0 * size_24)
        features["efficiency_72"] = ratio(abs(change_72), 72.0 * size_72)
        features["rising_14"] = ratio(self._rising.push(max(r, 0.0))[0], size_14)
        product, self._return = self._product.push(r * self._return)[0], r
        features["autocorrelation_72"] = ratio(product, sigma * sigma)

    def _set_range(
        self, features: Row, prices: tuple[float, float, float], known: tuple[bool, bool]
    ) -> None:
        high, low, close = prices
        top_24, top_168 = (largest.push(high) for largest in self._highs)
        bottom_24, bottom_168 = (-largest.push(-low) for largest in self._lows)
        features["position_24"] = ratio(close - bottom_24, top_24 - bottom_24) if known[0] else NAN
        features["position_168"] = features["drawdown_168"] = NAN
        if known[1]:
            features["position_168"] = ratio(close - bottom_168, top_168 - bottom_168)
            features["drawdown_168"] = ratio(close, top_168)

    def _set_volume(self, features: Row, volume: float, r: float, close: float) -> None:
        volume_4, volume_24, volume_168 = self._volume.push(volume)
        signed = volume if r > 0.0 else -volume if r < 0.0 else r * volume
        signed_4, signed_24 = self._signed.push(signed)
        illiquidity_24, illiquidity_168 = self._illiquidity.push(ratio(abs(r), volume * close))
        features["volume_1_24"] = ratio(volume, volume_24)
        features["volume_24_168"] = ratio(volume_24, volume_168)
        features["signed_volume_4"] = ratio(signed_4, volume_4)
        features["signed_volume_24"] = ratio(signed_24, volume_24)
        features["illiquidity_24_168"] = ratio(illiquidity_24, illiquidity_168)


def _set_shape(features: Row, o: float, h: float, lo: float, c: float) -> None:
    span = h - lo
    features["upper_shadow"] = ratio(h - max(o, c), span)
    features["lower_shadow"] = ratio(min(o, c) - lo, span)
    features["body"] = ratio(c - o, span)


def _set_calendar(features: Row, close_time_ns: int) -> None:
    # As NumPy divides: whole numbers become floats first.
    hours = float(close_time_ns) / float(_NS_PER_HOUR)
    since_monday = (hours - _HOURS_TO_MONDAY) % 168.0
    angles = np.array(
        [hours % 24.0 * (2.0 * math.pi / 24.0), since_monday * (2.0 * math.pi / 168.0)]
    )
    features["hour_sin"], features["weekday_sin"] = np.sin(angles).tolist()
    features["hour_cos"], features["weekday_cos"] = np.cos(angles).tolist()
    features["weekend"] = float(since_monday >= 5 * 24)
