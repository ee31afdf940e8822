"""What a long position of one unit pays for funding in each bar.

A position pays at a settlement if it was opened before it and not closed before it; with a positive
rate longs pay shorts. The payment is the rate times the last close at the settlement.

A kernel on NumPy arrays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from engine.kernels.columns import Floats, Times
from engine.kernels.windows import last_known

__all__ = ["Funding", "funding_payments"]

_HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True, repr=False)
class Funding(Brief):
    """The payments of each bar, in the quote currency.

    Attributes:
        before, after: (N,) until the bar's fills, and from then to its close; NaN is unknown.
    """

    before: Floats
    after: Floats


def funding_payments(
    close: Floats,
    open_time_ns: Times,
    close_time_ns: Times,
    settlement_ns: Times,
    rate: Floats,
    interval_hours: Floats,
    *,
    filled_after: float,
) -> Funding:
    """The payments of a series of settlements.

    Args:
        close: (N,) NaN is a missing bar.
        open_time_ns, close_time_ns: (N,) of the bars, on the full grid. What is settled while the
            market is closed is settled before the next bar's fills.
        settlement_ns: (M,) in the order of time.
        rate: (M,) fraction per interval; NaN is unknown.
        interval_hours: (M,) since the settlement before.
        filled_after: moment of the fills, as a share of the bar: 0 at its open, 0.5 worked through.

    Returns:
        Zero in bars without a settlement; NaN in those of which it is unknown, since a settlement
        is missing: before the first, after the last, or where two are further apart than the later
        one's interval.
    """
    rows = len(close)
    inside = (settlement_ns > open_time_ns[0]) & (settlement_ns <= close_time_ns[-1])
    times, rates = settlement_ns[inside], rate[inside]
    bar = np.searchsorted(close_time_ns, times, side="left")
    last = last_known(close)
    price = np.where(times == close_time_ns[bar], last[bar], last[np.maximum(bar - 1, 0)])
    length = close_time_ns - open_time_ns
    early = times <= (close_time_ns - np.rint(length * (1.0 - filled_after)).astype(np.int64))[bar]
    begin_ns = np.concatenate([open_time_ns[:1], close_time_ns[:-1]])
    unknown = _unknown(begin_ns, close_time_ns, settlement_ns, interval_hours)
    parts = []
    for chosen in (early, ~early):
        amount = np.zeros(rows)
        np.add.at(amount, bar[chosen], price[chosen] * rates[chosen])
        parts.append(np.where(unknown, np.nan, amount))
    return Funding(*parts)


def _unknown(
    begin_ns: Times, close_time_ns: Times, settlement_ns: Times, interval_hours: Floats
) -> NDArray[np.bool_]:
    """The bars in which a settlement may be missing, (N,); each begins where the last one ended."""
    if not len(settlement_ns):
        return np.ones(len(close_time_ns), dtype=np.bool_)
    # An unknown interval tells nothing of what came before.
    interval = np.round(np.nan_to_num(interval_hours) * _HOUR_NS).astype(np.int64)
    # From each settlement's end of what its predecessor tells, to where its own interval begins.
    ends = settlement_ns - interval
    starts = np.concatenate([[np.iinfo(np.int64).min], settlement_ns[:-1]])
    holes = ends > starts
    starts, ends = starts[holes], ends[holes]
    begun = np.searchsorted(starts, close_time_ns, side="left")
    over = np.searchsorted(ends, begin_ns, side="right")
    return (begun > over) | (close_time_ns >= settlement_ns[-1] + interval[-1])
