"""What a model sees of a perpetual's funding and open interest: ten numbers of each bar.

A kernel on NumPy arrays, with the promises of :mod:`engine.kernels.features`:

* **Nothing looks ahead.** A row of the market counts from the first bar that closes at or after
  its ``available``; of the rows that count, the one with the latest time stamp.
* **Nothing looks back further than** :data:`MARKET_LOOK_BACK` bars, and in the market's rows no
  further than two of their periods before the first of these bars. So the last row is the same to
  the last bit from the recent rows, from the history up to that bar, or from a history that goes
  on.
* **No units.** A rate is a share of the position's value; open interest enters as ratios.
* **NaN is unknown, and nothing is ever infinite.** A missing bar's row is NaN in every column. A
  rate is stale, and so unknown, two of its intervals after its settlement, and open interest two
  of its periods after its time stamp: one late row is bridged, two are not. The period is the time
  from an open interest's stamp to its ``available``. A rate of 100 % or more, an interval under a
  minute and an open interest that isn't positive are unknown.

The formulas (:mod:`engine.kernels.dictionary`) are of each exchange first; then comes the mean over
the exchanges that are known. Where one is missing, the mean is over the others.

A change is an exchange's own, so one that falls out does not look like a change; and between two
bars at which the same row is public, the change is unknown, not 0. The value of open interest is
the exchange's in USD, or ``base`` × close where it gives none; the value traded is 24 × the mean of
volume × close over the bars, half of which must be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brain.brief import Brief
from engine.kernels.across import mean_across, spread_across
from engine.kernels.as_of import AsOf
from engine.kernels.columns import Floats, Times, check_shapes, valid_prices
from engine.kernels.dictionary import MARKET_ENTRIES
from engine.kernels.windows import lag, positive_log, ratio, rolling_mean

__all__ = [
    "LEAST_INTERVAL",
    "MARKET_FEATURES",
    "MARKET_FEATURE_SET",
    "MARKET_LOOK_BACK",
    "FundingRows",
    "OpenInterestRows",
    "perpetual_features",
]

#: Names this list of features and their formulas; a change of either needs a new name.
MARKET_FEATURE_SET = "market-1"

#: Bars that a row depends on, its own included.
MARKET_LOOK_BACK = 168 + 1

#: Their formulas are in :data:`engine.kernels.dictionary.MARKET_ENTRIES`.
MARKET_FEATURES: tuple[str, ...] = tuple(entry.name for entry in MARKET_ENTRIES)

_NS_PER_HOUR = 3_600_000_000_000.0
#: Hours; settlements are stamped to the minute.
LEAST_INTERVAL = 1.0 / 60.0


@dataclass(frozen=True, repr=False)
class FundingRows(Brief):
    """One exchange's settlements, in any order.

    Attributes:
        time_ns, available_ns: (M,) of settlement and publication, nanoseconds since 1970 UTC.
        rate: (M,) fraction per interval; NaN is unknown.
        interval_hours: (M,) that the rate is for; NaN is unknown.
    """

    time_ns: Times
    available_ns: Times
    rate: Floats
    interval_hours: Floats


@dataclass(frozen=True, repr=False)
class OpenInterestRows(Brief):
    """One exchange's open interest, in any order.

    Attributes:
        time_ns, available_ns: (M,) of the stamp and of publication, a period later.
        base: (M,) in base units; NaN is unknown.
        usd: (M,) in USD; NaN where the exchange gives none.
    """

    time_ns: Times
    available_ns: Times
    base: Floats
    usd: Floats


def perpetual_features(
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    close_time_ns: Times,
    funding: Sequence[FundingRows],
    open_interest: Sequence[OpenInterestRows],
) -> Floats:
    """All market features of every bar.

    Args:
        open_, high, low, close: (N,) prices on the full time grid.
        volume: (N,) traded in each bar, in base units.
        close_time_ns: (N,) the bars' closes, nanoseconds since 1970 UTC.
        funding, open_interest: of each exchange, always in the same order of exchanges.

    Returns:
        (N, F) in the order of :data:`MARKET_FEATURES`; NaN is unknown.

    Raises:
        InputError: the arrays differ in length.
    """
    check_shapes(close_time_ns, open=open_, high=high, low=low, close=close, volume=volume)
    valid = valid_prices(open_, high, low, close)
    close = np.where(valid, close, np.nan)
    traded = np.where(valid & (volume >= 0.0) & (volume < np.inf), volume, np.nan) * close
    # Absurd values may overflow; what does is unknown.
    with np.errstate(over="ignore", invalid="ignore"):
        features = {
            **_funding(funding, close_time_ns),
            **_open_interest(open_interest, close_time_ns, close, traded),
        }
    rows = np.column_stack([features[name] for name in MARKET_FEATURES])
    rows[~valid] = np.nan
    rows[~np.isfinite(rows)] = np.nan
    return rows


def _funding(exchanges: Sequence[FundingRows], at_ns: Times) -> dict[str, Floats]:
    rates, elapsed = [], []
    for rows in exchanges:
        _check_rows("funding", rows)
        valid = (np.abs(rows.rate) < 1.0) & (rows.interval_hours >= LEAST_INTERVAL)
        hours = np.where(valid, rows.interval_hours, np.nan)
        at = AsOf(rows.time_ns, rows.available_ns, hours * _NS_PER_HOUR, at_ns)
        rates.append(at.take(rows.rate) * 8.0 / at.take(hours))
        elapsed.append(at.age)
    mean = mean_across(rates, at_ns.shape)
    return {
        "funding_8h": mean,
        "funding_mean_24": rolling_mean(mean, 24),
        "funding_mean_168": rolling_mean(mean, 168),
        "funding_spread": spread_across(rates, at_ns.shape),
        "funding_elapsed": mean_across(elapsed, at_ns.shape),
    }


def _open_interest(
    exchanges: Sequence[OpenInterestRows], at_ns: Times, close: Floats, traded: Floats
) -> dict[str, Floats]:
    changes: dict[int, list[Floats]] = {1: [], 24: [], 168: []}
    values = []
    for rows in exchanges:
        _check_rows("open interest", rows)
        period = (rows.available_ns - rows.time_ns).astype(np.float64)
        at = AsOf(rows.time_ns, rows.available_ns, period, at_ns)
        base, usd = at.take(rows.base), at.take(rows.usd)
        for bars, columns in changes.items():
            columns.append(_change(base, at.time, bars))
        values.append(positive_log(np.where(usd > 0.0, usd, base * close)))
    change = {bars: mean_across(columns, at_ns.shape) for bars, columns in changes.items()}
    return {
        **{f"oi_change_{bars}": column for bars, column in change.items()},
        "oi_turnover_24": mean_across(values, at_ns.shape)
        - positive_log(24.0 * rolling_mean(traded, 24)),
        "oi_flow_24": change[24] * np.sign(close - lag(close, 24)),
    }


def _check_rows(kind: str, rows: FundingRows | OpenInterestRows) -> None:
    columns = {f"{kind}'s {name}": column for name, column in vars(rows).items()}
    check_shapes(rows.time_ns, **columns)


def _change(base: Floats, time: Floats, bars: int) -> Floats:
    """Log change over that many bars, (N,); NaN where both ends are of one row."""
    moved = positive_log(ratio(base, lag(base, bars)))
    return np.where(time > lag(time, bars), moved, np.nan)
