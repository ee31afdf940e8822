"""Design choices: what stands, and what could stand instead."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from brain.series.bars import Bars
from engine.kernels.columns import Floats
from engine.kernels.targets import LIMIT
from engine.kernels.windows import lag, positive_log, ratio, rolling_mean

__all__ = ["ALTERNATIVES", "GROUPS", "STANDING", "Choice", "price_volume_correlations"]

#: The groups of :data:`engine.kernels.features.FEATURES`, by how their names begin.
GROUPS: dict[str, tuple[str, ...]] = {
    "returns": ("ret_",),
    "levels": ("log_", "gk_", "vol_of_vol_"),
    "changes": ("range_", "abs_", "same_hour_", "down_"),
    "trend": ("above_mean_", "slope_", "efficiency_", "rising_", "autocorrelation_"),
    "range": ("position_", "drawdown_", "upper_shadow", "lower_shadow", "body"),
    "volume": ("volume_", "signed_volume_", "illiquidity_"),
    "calendar": ("hour_", "week"),
}

_SQUARED = 1000.0


@dataclass(frozen=True)
class Choice:
    """One way to make target, features and loss; the defaults are what stands.

    Attributes:
        name: for the tables.
        limit: of the target, in standard deviations.
        scaled: whether the target is divided by the volatility; else it is the plain return.
        elbow: of the Huber loss, in robust standard deviations of the target.
        horizon: bars.
        without: the group of :data:`GROUPS` that is left out; none if empty.
        correlations: whether :func:`price_volume_correlations` are added.
        seed: of every fit.
    """

    name: str = "what stands"
    limit: float = LIMIT
    scaled: bool = True
    elbow: float = 1.0
    horizon: int = 6
    without: str = ""
    correlations: bool = False
    seed: int = 7


#: The choices of the product.
STANDING = Choice()

#: Each differs from :data:`STANDING` in one thing. Another seed is a control: it changes nothing.
ALTERNATIVES: tuple[Choice, ...] = (
    *(replace(STANDING, name=f"limit {x:g}", limit=x) for x in (1.0, 1.5, 3.0)),
    replace(STANDING, name="no limit", limit=math.inf),
    *(replace(STANDING, name=f"elbow {x:g}", elbow=x) for x in (0.5, 2.0)),
    replace(STANDING, name="squared loss", elbow=_SQUARED),
    replace(STANDING, name="unscaled target", scaled=False, limit=math.inf),
    *(replace(STANDING, name=f"without {group}", without=group) for group in GROUPS),
    replace(STANDING, name="with price-volume correlations", correlations=True),
    *(replace(STANDING, name=f"horizon {x}", horizon=x) for x in (1, 3, 12, 24)),
    replace(STANDING, name="another seed (control)", seed=8),
)


def price_volume_correlations(bars: Bars) -> Floats:
    """Correlations of returns and volume changes over the last 24 and 72 bars, (N, 2).

    Both are log ratios to the bar before. NaN where half of the window is missing (a bar without
    volume counts as missing) or nothing varies.
    """
    close, volume = (bars.frame[name].to_numpy(dtype=np.float64) for name in ("close", "volume"))
    r, v = (positive_log(ratio(x, lag(x, 1))) for x in (close, volume))
    r, v = np.where(np.isnan(v), np.nan, r), np.where(np.isnan(r), np.nan, v)
    return np.column_stack([_correlation(r, v, window) for window in (24, 72)])


def _correlation(x: Floats, y: Floats, window: int) -> Floats:
    mean_x, mean_y = rolling_mean(x, window), rolling_mean(y, window)
    spread_x = rolling_mean(x * x, window) - mean_x**2
    spread_y = rolling_mean(y * y, window) - mean_y**2
    return ratio(
        rolling_mean(x * y, window) - mean_x * mean_y,
        np.sqrt(np.maximum(spread_x, 0.0) * np.maximum(spread_y, 0.0)),
    )
