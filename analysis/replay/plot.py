"""What strategies came to as a figure: their summed profits, each with its error at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from analysis.replay.strategies import BEST, CHAMPIONS, FLAT, FULL, LONG, PRIOR_TABLE, REVERSAL

if TYPE_CHECKING:
    from analysis.replay.figures import Comparison

__all__ = ["replay_figure"]

_SIZE, _DPI = (9.6, 6.4), 130
_FONT: dict[Any, Any] = {"font.size": 10.5, "axes.titlesize": 12.5, "legend.fontsize": 9.5}
#: By Okabe and Ito, who chose them for every kind of colour vision; the style tells them apart too.
_STYLES: dict[str, dict[str, Any]] = {
    CHAMPIONS: {"color": "#000000", "linewidth": 2.4, "zorder": 6},
    FULL: {"color": "#000000", "linewidth": 1.3, "linestyle": (0, (4, 1.5)), "zorder": 5},
    PRIOR_TABLE: {"color": "#009e73", "linewidth": 1.5},
    BEST: {"color": "#cc79a7", "linewidth": 1.5},
    FLAT: {"color": "#999999", "linewidth": 1.0},
    LONG: {"color": "#555555", "linewidth": 1.1, "linestyle": (0, (1, 1))},
    REVERSAL: {"color": "#d55e00", "linewidth": 1.1, "linestyle": (0, (1, 1))},
}
_LINES = ("#0072b2", "#56b4e9", "#e69f00", "#f0e442")
# Distance of the error bars at the end, as a share of the nights.
_APART = 0.012


def replay_figure(comparison: Comparison, title: str, subtitle: str) -> Figure:
    """Draw the summed net profits, in percent of the capital, by night.

    At the end of each curve is its total ± one standard error; errors that are unknown are left
    out.

    Args:
        comparison: of the strategies.
        title, subtitle: above the panel.
    """
    with rc_context(_FONT):
        figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
        axes = figure.subplots()
        _curves(axes, comparison)
        axes.axhline(0.0, color="#333333", linewidth=0.8, zorder=1)
        axes.set_ylabel("sum of net profits, % of the capital")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#888888", alpha=0.25, linewidth=0.6)
        # A title of the axes would take its width from them, beside the legend.
        figure.suptitle(f"{title}\n{subtitle}", x=0.01, ha="left", fontsize=10.5)
        figure.legend(loc="outside right center", frameon=False)
    return figure


def _curves(axes: Axes, comparison: Comparison) -> None:
    nights = comparison.nights
    times = _numbers(pd.DatetimeIndex(nights.index))
    others = iter(_LINES * len(nights.columns))
    apart = _APART * max(times[-1] - times[0], 1.0)
    for place, figures in enumerate(comparison.figures):
        style = _STYLES.get(figures.name) or {"color": next(others), "linewidth": 1.5}
        curve = 100.0 * np.cumsum(nights[figures.name].to_numpy())
        total, error = 100.0 * figures.total.value, 100.0 * figures.total.error
        words = f"{total:+.1f} ± {'?' if np.isnan(error) else f'{error:.1f}'} %"
        label = f"{figures.name}\n{words}".replace("-", "\N{MINUS SIGN}", words.startswith("-"))
        axes.plot(times, curve, label=label, **style)
        if np.isfinite(error):
            axes.errorbar(
                times[-1] + (place + 1) * apart,
                total,
                yerr=error,
                fmt="o",
                markersize=3.5,
                capsize=3,
                color=style["color"],
                zorder=style.get("zorder", 2),
            )
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlabel(
        f"nights, UTC, from {nights.index[0]:%Y-%m-%d} until {nights.index[-1]:%Y-%m-%d}"
    )


def _numbers(times: pd.DatetimeIndex) -> Any:
    """Matplotlib's days."""
    moments = times.tz_convert("UTC").tz_localize(None)
    return np.asarray(date2num(moments))  # type: ignore[no-untyped-call]
