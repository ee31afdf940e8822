"""Cascades and clusters of volatility, by what is usual of the symbol itself.

Thresholds are quantiles of the symbol's own past, of bars that were listened to: no bar is judged
by itself or by what came later, and a sum that is large for one coin is small for another.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import NotEnoughBarsError

__all__ = ["LEAST_PAST", "cascades_of", "past_ranks", "volatility_clusters"]

#: Bars of the past without which nothing is usual.
LEAST_PAST = 200

_BEGIN, _END = 0.99, 0.90
_VOLATILE, _CALM = 0.90, 0.75

_Floats = npt.NDArray[np.float64]


def past_ranks(values: _Floats, least: int = LEAST_PAST) -> _Floats:
    """The share of a series' own earlier values that are below each; half of those equal count.

    Args:
        values: (N,); NaN is skipped.
        least: earlier values without which a rank is unknown.

    Returns:
        (N,) from 0 to 1; NaN where the value or the past is unknown.
    """
    ranks = np.full(len(values), np.nan)
    past = np.empty(0)
    for place, value in enumerate(values):
        if np.isnan(value):
            continue
        below, upto = np.searchsorted(past, value, "left"), np.searchsorted(past, value, "right")
        if len(past) >= least:
            ranks[place] = (below + upto) / 2 / len(past)
        past = np.insert(past, below, value)
    return ranks


def cascades_of(bars: pd.DataFrame, start: pd.Timestamp) -> pd.DataFrame:
    """The cascades that began at a time or later.

    A cascade begins with a bar whose liquidations are above 99 % of the symbol's earlier bars, and
    ends before the first that is not above 90 %, or is unknown.

    Args:
        bars: of :func:`market.liquidations.bars.joint_bars`, with the past before the start.
        start: of what is judged.

    Returns:
        A row each: ``start``, ``end`` (None while the last bar is part of it), ``usd``,
        ``long_share`` (of usd, 0 to 1), ``liquidations``, ``bars``, ``rank`` (the highest of its
        bars) and ``lower_bound``.

    Raises:
        NotEnoughBarsError: fewer than 200 bars of the past were listened to.
    """
    total = (bars["long_usd"] + bars["short_usd"]).to_numpy()
    past = int(np.isfinite(total[(bars["time"] < start).to_numpy()]).sum())
    if past < LEAST_PAST:
        raise NotEnoughBarsError(
            f"what is usual takes {LEAST_PAST} bars listened to before {start}, and there are "
            f"{past}: let `brain stream` run for longer, or take a shorter timeframe"
        )
    ranks = np.nan_to_num(past_ranks(total), nan=0.0)
    rows, place = [], int((bars["time"] < start).sum())
    while place < len(bars):
        if ranks[place] <= _BEGIN or total[place] <= 0:
            place += 1
            continue
        first = place
        while place < len(bars) and ranks[place] > _END and total[place] > 0:
            place += 1
        rows.append(_cascade(bars.iloc[first:place], ranks[first:place], place == len(bars)))
    columns = ["start", "end", "usd", "long_share", "liquidations", "bars", "rank", "lower_bound"]
    return pd.DataFrame(rows, columns=columns).astype(
        {"start": "datetime64[us, UTC]", "end": "datetime64[us, UTC]"}
    )


def _cascade(bars: pd.DataFrame, ranks: _Floats, lasting: bool) -> dict[str, object]:
    long, short = bars["long_usd"].sum(), bars["short_usd"].sum()
    times = bars["time"]
    step = times.iloc[-1] - times.iloc[-2] if len(times) > 1 else pd.Timedelta(0)
    return {
        "start": times.iloc[0],
        "end": pd.NaT if lasting else times.iloc[-1] + step,
        "usd": long + short,
        "long_share": long / (long + short),
        "liquidations": int(bars["liquidations"].sum()),
        "bars": len(bars),
        "rank": float(ranks.max()),
        "lower_bound": bool(bars["lower_bound"].any()),
    }


def volatility_clusters(bars: pd.DataFrame, closes: pd.Series) -> pd.DataFrame:
    """Clusters of volatility, and whether liquidations are part of them.

    A cluster begins with a bar whose absolute return is above 90 % of the symbol's earlier bars,
    and ends before the first of four that are not above 75 %.

    Args:
        bars: of :func:`market.liquidations.bars.joint_bars`.
        closes: of the symbol's candles, by their open time.

    Returns:
        A row a bar: ``time``, ``volatility`` (absolute log return), ``volatility_rank``, ``usd``,
        ``usd_rank``, ``cluster`` (1, 2, …; NA in none, or unknown) and ``label``: ``liquidation``
        where liquidations above 90 % of the earlier bars are in the cluster or in the bar before
        it, ``other`` where all of its bars are known and none is, else ``unknown``; ``calm`` where
        there is no cluster.
    """
    close = closes.reindex(pd.DatetimeIndex(bars["time"])).to_numpy(dtype=np.float64)
    volatility = np.abs(np.diff(np.log(close), prepend=np.nan))
    usd = (bars["long_usd"] + bars["short_usd"]).to_numpy()
    volatility_rank, usd_rank = past_ranks(volatility), past_ranks(usd)
    clusters = _clusters(volatility_rank)
    labels = np.where(np.isnan(volatility_rank), "unknown", "calm").astype(object)
    for number in range(1, clusters.max(initial=0) + 1):
        inside = np.flatnonzero(clusters == number)
        around = usd_rank[max(inside[0] - 1, 0) : inside[-1] + 1]
        liquidated = (around > _VOLATILE).any()
        other = "other" if np.isfinite(around).all() else "unknown"
        labels[inside] = "liquidation" if liquidated else other
    numbers = pd.array(np.where(clusters > 0, clusters, -1), dtype="Int64")
    numbers[clusters == 0] = pd.NA
    return pd.DataFrame(
        {
            "time": bars["time"],
            "volatility": volatility,
            "volatility_rank": volatility_rank,
            "usd": usd,
            "usd_rank": usd_rank,
            "cluster": numbers,
            "label": labels,
        }
    )


def _clusters(ranks: _Floats) -> npt.NDArray[np.int64]:
    """The number of each bar's cluster, 0 for none; the calm bars at its end are no part of it."""
    clusters = np.zeros(len(ranks), dtype=np.int64)
    number, calm, last = 0, 4, -1
    for place, rank in enumerate(ranks):
        if np.isnan(rank):
            calm = 4
            continue
        if rank > _VOLATILE or (rank > _CALM and calm < 4):
            if calm >= 4:
                number += 1
            else:
                clusters[last + 1 : place] = number
            clusters[place], calm, last = number, 0, place
        else:
            calm = min(calm + 1, 4)
    return clusters
