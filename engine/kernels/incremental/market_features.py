"""The market features of the newest bar, to the bits of :mod:`engine.kernels.market_features`.

A row counts from the first bar that is pushed after it and closes at or after its ``available``. So
a row that comes late is as one that was published late; what it would have told of earlier bars is
not made good.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Self

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError, did_you_mean
from engine.kernels.columns import Floats
from engine.kernels.incremental.as_of import Rows, age
from engine.kernels.incremental.recent_bars import Arrays, RecentBars, array_of
from engine.kernels.incremental.rings import Means, lagged
from engine.kernels.incremental.scalars import INF, NAN, logs, mean_known, ratio
from engine.kernels.market_features import LEAST_INTERVAL, MARKET_FEATURES, MARKET_LOOK_BACK

__all__ = ["IncrementalMarketFeatures"]

_CHANGES = (1, 24, 168)
_ORDER = itemgetter(*MARKET_FEATURES)
_NS_PER_HOUR = 3_600_000_000_000.0


class _Exchange:
    """One exchange's rows, and its open interest at the bars before."""

    def __init__(self) -> None:
        self.funding, self.open_interest = Rows(), Rows()
        self.base, self.time = lagged(max(_CHANGES)), lagged(max(_CHANGES))

    def rate(self, at_ns: int) -> tuple[float, float]:
        """The rate for 8 hours, and the intervals since its settlement."""
        row = self.funding.public(at_ns)
        if row is None:
            return NAN, NAN
        rate, hours = row.first, row.second
        hours = hours if abs(rate) < 1.0 and hours >= LEAST_INTERVAL else NAN
        periods = age(row, hours * _NS_PER_HOUR, at_ns)
        return (NAN, NAN) if math.isnan(periods) else (rate * 8.0 / hours, periods)

    def interest(self, at_ns: int) -> tuple[float, float]:
        """Open interest in base units, kept for the changes to come, and in USD."""
        row = self.open_interest.public(at_ns)
        base = usd = time = NAN
        if row and not math.isnan(age(row, float(row.available_ns - row.time_ns), at_ns)):
            base, usd, time = row.first, row.second, float(row.time_ns)
        self.base.appendleft(base)
        self.time.appendleft(time)
        return base, usd

    def moved(self, bars: int) -> float:
        """Open interest over that of so many bars before; NaN where both are of one row."""
        apart = self.time[0] > self.time[bars]
        return ratio(self.base[0], self.base[bars]) if apart else NAN


class IncrementalMarketFeatures:
    """The market features of bars that come one at a time.

    Args:
        exchanges: whose rows come, in the order in which a mean over them is taken; the batch of
            training has them by name.

    Raises:
        InputError: an exchange comes twice.
    """

    def __init__(self, exchanges: Sequence[str]) -> None:
        self._exchanges = {name: _Exchange() for name in exchanges}
        if len(self._exchanges) < len(exchanges):
            raise InputError(f"an exchange comes twice in {list(exchanges)}; name each once")
        self._rates, self._traded = Means(24, 168), Means(24)
        self._closes = lagged(24)
        self._recent = RecentBars(MARKET_LOOK_BACK - 1)

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Whose rows come."""
        return tuple(self._exchanges)

    def funding(
        self, exchange: str, time_ns: int, available_ns: int, rate: float, interval_hours: float
    ) -> None:
        """Add a settlement.

        Args:
            exchange: whose.
            time_ns, available_ns: of settlement and publication, nanoseconds since 1970 UTC.
            rate: fraction per interval; NaN is unknown.
            interval_hours: that the rate is for; NaN is unknown.

        Raises:
            InputError: the exchange is none of those that were named.
        """
        self._of(exchange).funding.add(time_ns, available_ns, rate, interval_hours)

    def open_interest(
        self, exchange: str, time_ns: int, available_ns: int, base: float, usd: float
    ) -> None:
        """Add a row of open interest.

        Args:
            exchange: whose.
            time_ns, available_ns: of the stamp and of publication, a period later.
            base, usd: in base units, and in USD; NaN is unknown.

        Raises:
            InputError: the exchange is none of those that were named.
        """
        self._of(exchange).open_interest.add(time_ns, available_ns, base, usd)

    def push(
        self,
        open: float,  # noqa: A002 -- the column's name
        high: float,
        low: float,
        close: float,
        volume: float,
        close_time_ns: int,
    ) -> Floats:
        """The market features of the next bar.

        Args:
            open, high, low, close: prices; the bar is missing without four positive ones.
            volume: traded, in base units; NaN is unknown.
            close_time_ns: the bar's close, nanoseconds since 1970 UTC.

        Returns:
            (F,) in the order of :data:`engine.kernels.market_features.MARKET_FEATURES`; NaN is
            unknown.

        Raises:
            InputError: the bar does not close after the last one.
        """
        valid = all(0.0 < price < INF for price in (open, high, low, close))
        close = close if valid else NAN
        traded = (volume if valid and 0.0 <= volume < INF else NAN) * close
        rates, ages = _columns(exchange.rate(close_time_ns) for exchange in self._all())
        bases, usds = _columns(exchange.interest(close_time_ns) for exchange in self._all())
        rate = mean_known(rates)
        self._recent.push(close_time_ns, rate, traded, close)
        rate_24, rate_168, traded_24 = self._remember(rate, traded, close)
        features = {
            "funding_8h": rate,
            "funding_mean_24": rate_24,
            "funding_mean_168": rate_168,
            "funding_spread": _spread(rates),
            "funding_elapsed": mean_known(ages),
        }
        values = [usd if usd > 0.0 else base * close for base, usd in zip(bases, usds, strict=True)]
        moved = [exchange.moved(bars) for bars in _CHANGES for exchange in self._all()]
        value, *taken = logs(24.0 * traded_24, *values, *moved)
        count = len(values)
        features["oi_turnover_24"] = mean_known(taken[:count]) - value
        for place, bars in enumerate(_CHANGES, start=1):
            features[f"oi_change_{bars}"] = mean_known(taken[place * count : (place + 1) * count])
        features["oi_flow_24"] = features["oi_change_24"] * _sign(close - self._closes[24])
        if not valid:
            return np.full(len(MARKET_FEATURES), NAN)
        row = np.array(_ORDER(features))
        row[~np.isfinite(row)] = NAN
        return row

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What :meth:`from_arrays` goes on from: the last bars, and the rows that may count yet."""
        exchanges = list(self._all())
        rows = [
            (place, kind, row)
            for place, exchange in enumerate(exchanges)
            for kind, rows in enumerate((exchange.funding, exchange.open_interest))
            for row in rows.rows()
        ]
        return {
            **self._recent.arrays(),
            "exchanges": np.array(list(self._exchanges), dtype=np.str_),
            "base": np.array([exchange.base for exchange in exchanges]),
            "time": np.array([exchange.time for exchange in exchanges]),
            "rows_of": np.array([row[:2] for row in rows], dtype=np.int64).reshape(-1, 2),
            "rows_ns": np.array([row[:2] for *_, row in rows], dtype=np.int64).reshape(-1, 2),
            "rows": np.array([row[3:] for *_, row in rows], dtype=np.float64).reshape(-1, 2),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Go on after the bars and rows of :meth:`arrays`.

        Raises:
            InputError: the arrays are of something else.
        """
        features = cls(array_of(arrays, "exchanges", np.str_, 1).tolist())
        for (rate, traded, close), close_time_ns in RecentBars.replay(arrays, 3):
            features._recent.push(close_time_ns, rate, traded, close)
            features._remember(rate, traded, close)
        exchanges = list(features._all())
        for name in ("base", "time"):
            columns = array_of(arrays, name, np.float64, 2 if exchanges else None).tolist()
            for exchange, values in zip(exchanges, columns, strict=True):
                getattr(exchange, name).extend(values)
        kinds = [(exchange.funding, exchange.open_interest) for exchange in exchanges]
        for (place, kind), times, values in zip(
            array_of(arrays, "rows_of", np.int64, 2).tolist(),
            array_of(arrays, "rows_ns", np.int64, 2).tolist(),
            array_of(arrays, "rows", np.float64, 2).tolist(),
            strict=True,
        ):
            kinds[place][kind].add(*times, *values)
        return features

    def _all(self) -> Iterable[_Exchange]:
        return self._exchanges.values()

    def _of(self, exchange: str) -> _Exchange:
        if exchange not in self._exchanges:
            raise InputError(
                f"rows of {exchange!r} don't count; {did_you_mean(exchange, self._exchanges)}"
            )
        return self._exchanges[exchange]

    def _remember(self, rate: float, traded: float, close: float) -> tuple[float, float, float]:
        """The means of the rate and of the value traded that end with this bar."""
        self._closes.appendleft(close)
        (traded_24,) = self._traded.push(traded)
        rate_24, rate_168 = self._rates.push(rate)
        return rate_24, rate_168, traded_24


def _columns(pairs: Iterable[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Pairs of every exchange as two lists."""
    pairs = list(pairs)
    return [first for first, _ in pairs], [second for _, second in pairs]


def _spread(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return max(known) - min(known) if len(known) > 1 else NAN


def _sign(x: float) -> float:
    return x if math.isnan(x) or x == 0.0 else math.copysign(1.0, x)
