"""The profit of a version as a figure: what it earned, how far it fell, and how well it ranked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis.profit_curves import (
    RegimeSpan,
    cumulated,
    drawdown,
    ic_window,
    regime_spans,
    rolling_rank_ic,
)
from analysis.sampling import Array
from brain.naming import REGIMES, Regime

__all__ = ["profit_figure"]

_SIZE, _DPI = (7.8, 7.0), 130
_FONT: dict[Any, Any] = {
    "font.size": 10.5,
    "axes.titlesize": 12.5,
    "axes.labelsize": 10.5,
    "legend.fontsize": 9.5,
}
#: By Okabe and Ito, who chose them for every kind of colour vision; the style tells them apart too.
_LINES: dict[str, tuple[str, dict[str, Any]]] = {
    "net": ("net", {"color": "#0072b2", "linewidth": 2.0, "zorder": 5}),
    "gross": ("gross", {"color": "#009e73", "linewidth": 1.3, "zorder": 4}),
    "delayed": (
        "one bar later",
        {"color": "#d55e00", "linewidth": 1.3, "linestyle": (0, (4, 1.5))},
    ),
    "hold": ("buy and hold", {"color": "#555555", "linewidth": 1.1, "linestyle": (0, (1, 1))}),
}
#: The more volatile, the darker.
_SHADES = {
    Regime.LOW: "#dcedfa",
    Regime.NORMAL: "#ece9dc",
    Regime.HIGH: "#fbdf9d",
    Regime.EXTREME: "#e8a6b8",
}


def profit_figure(table: pd.DataFrame, title: str, subtitle: str) -> Figure:
    """Draw a version's profit over all bars, in percent of the capital, by time in UTC.

    Net and gross profit, gross with every decision filled one bar later, and buy and hold, each the
    sum over a constant capital; below them the drawdown of the net profit and the rolling rank IC.
    The background has the regimes; where it has none they are unknown.

    Args:
        table: of :func:`engine.evaluation.profit_table.out_of_sample_table`.
        title, subtitle: above the panels.
    """
    curves = cumulated(table)
    spans = regime_spans(table["regime"])
    with rc_context(_FONT):
        figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
        panels = figure.subplots(3, 1, sharex=True, height_ratios=[3.2, 1, 1])
        for axes in panels:
            _shade(axes, spans)
        lines = _profit(panels[0], curves)
        _drawdown(panels[1], drawdown(curves["net"]))
        _rank_ic(panels[2], rolling_rank_ic(table), ic_window(len(table)))
        _time_axis(panels[2], table.index)
        _titles(panels[0], title, subtitle)
        figure.align_ylabels(panels)
        _legend(figure, lines)
    return figure


def _titles(axes: Axes, title: str, subtitle: str) -> None:
    axes.set_title(title, fontweight="bold", pad=22)
    axes.annotate(
        subtitle,
        xy=(0.5, 1.0),
        xycoords="axes fraction",
        xytext=(0, 7),
        textcoords="offset points",
        ha="center",
        fontsize=10,
        color="#444444",
    )


def _shade(axes: Axes, spans: Sequence[RegimeSpan]) -> None:
    for regime, shade in _SHADES.items():
        mine = [span for span in spans if span.regime is regime]
        starts = _numbers(pd.DatetimeIndex([span.start for span in mine], tz="UTC"))
        ends = _numbers(pd.DatetimeIndex([span.end for span in mine], tz="UTC"))
        axes.broken_barh(
            list(zip(starts, ends - starts, strict=True)),
            (0.0, 1.0),
            transform=axes.get_xaxis_transform(),
            facecolor=shade,
            edgecolor="none",
            zorder=0,
            label=str(regime),
        )


def _profit(axes: Axes, curves: pd.DataFrame) -> list[Artist]:
    lines: list[Artist] = []
    for name, (words, style) in _LINES.items():
        curve = 100.0 * curves[name].dropna()
        end = f"{curve.iloc[-1]:+.1f} %" if len(curve) else "unknown"
        label = f"{words} {end}".replace("-", "\N{MINUS SIGN}")
        lines += axes.plot(_numbers(curve.index), curve.to_numpy(), label=label, **style)
    axes.axhline(0.0, color="#333333", linewidth=0.8, zorder=1)
    axes.set_ylabel("sum of returns,\n% of the capital")
    _plain(axes)
    return lines


def _drawdown(axes: Axes, fall: pd.Series[float]) -> None:
    known = 100.0 * fall.dropna()
    times = _numbers(known.index)
    axes.fill_between(times, known.to_numpy(), 0.0, color="#0072b2", alpha=0.55, linewidth=0.0)
    axes.set_ylabel("drawdown\nof net, %")
    axes.set_ylim(top=0.0)
    _plain(axes)


def _rank_ic(axes: Axes, values: pd.Series[float], window: int) -> None:
    axes.plot(_numbers(values.index), values.to_numpy(), color="#0072b2", linewidth=1.4)
    axes.axhline(0.0, color="#333333", linewidth=0.8, zorder=1)
    axes.set_ylabel(f"rank IC of\n{window:,} rows")
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#888888", alpha=0.25, linewidth=0.6)


def _time_axis(axes: Axes, times: pd.Index) -> None:
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlim(*_numbers(times[[0, -1]]))
    axes.set_xlabel(f"time in UTC, from {times[0]:%Y-%m-%d} until {times[-1]:%Y-%m-%d}")


def _legend(figure: Figure, lines: Sequence[Artist]) -> None:
    """One row of curves and one of regimes; a legend is filled by columns."""
    shades = [
        Patch(
            facecolor=_SHADES[regime],
            edgecolor="#aaaaaa",
            linewidth=0.6,
            label=f"{regime} volatility",
        )
        for regime in REGIMES
    ]
    handles = [handle for pair in zip(lines, shades, strict=True) for handle in pair]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(lines),
        frameon=False,
        columnspacing=1.4,
        handlelength=2.2,
    )


def _numbers(times: pd.Index) -> Array:
    """Matplotlib's days."""
    moments = pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None)
    return np.asarray(date2num(moments))  # type: ignore[no-untyped-call]
