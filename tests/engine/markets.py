"""Made-up funding and open interest, with holes, late rows and other intervals as in real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.series.bars import Bars
from engine.data.market_series import MarketSeries
from engine.kernels.market_features import FundingRows, OpenInterestRows, perpetual_features
from tests.engine.paths import HOUR, Path

__all__ = ["Market", "market_of", "random_market", "rows_of"]

Rows = FundingRows | OpenInterestRows
R = TypeVar("R", FundingRows, OpenInterestRows)

EXCHANGES = ("binance", "bybit", "okx")


@dataclass(frozen=True)
class Market:
    """The kernel's rows of some exchanges."""

    funding: Sequence[FundingRows]
    open_interest: Sequence[OpenInterestRows]

    def published(self, until_ns: int) -> Market:
        """What was published by then."""
        return self._where(lambda rows: rows.available_ns <= until_ns)

    def stamped(self, from_ns: int, periods: float = 2.0) -> Market:
        """What is at most that many of its own periods older than a moment."""

        def young(rows: Rows) -> NDArray[np.bool_]:
            if isinstance(rows, FundingRows):
                period = np.where(rows.interval_hours > 0, rows.interval_hours, 8.0) * HOUR
            else:
                period = (rows.available_ns - rows.time_ns).astype(float)
            return np.asarray(rows.time_ns >= from_ns - periods * period)

        return self._where(young)

    def _where(self, mask: Callable[[Rows], NDArray[np.bool_]]) -> Market:
        return Market(
            [_masked(rows, mask(rows)) for rows in self.funding],
            [_masked(rows, mask(rows)) for rows in self.open_interest],
        )


def _masked(rows: R, mask: NDArray[np.bool_]) -> R:
    columns: dict[str, Any] = {name: column[mask] for name, column in vars(rows).items()}
    return replace(rows, **columns)


def rows_of(path: Path, market: Market) -> NDArray[np.float64]:
    """The kernel's features."""
    return perpetual_features(*path.columns(), market.funding, market.open_interest)


def random_market(
    path: Path, seed: int, *, missing: float = 0.1, intervals: Sequence[float] = (8.0, 4.0, 1.0)
) -> Market:
    """One exchange an interval, a share of their rows missing or without a value, in no order."""
    rng = np.random.default_rng(seed)
    end = path.close_time_ns[-1] + 30 * HOUR if len(path) else 0
    start = path.close_time_ns[0] - 30 * HOUR if len(path) else 0
    funding, open_interest = [], []
    for hours in intervals:
        time = _grid(rng, start, end, int(hours) * HOUR, missing)
        rate = 1e-4 * rng.standard_normal(len(time))
        rate[rng.random(len(time)) < missing / 5] = np.nan
        late = time + HOUR * rng.integers(0, 12, len(time)) * (rng.random(len(time)) < missing)
        funding.append(FundingRows(time, late, rate, np.full(len(time), hours)))
        time = _grid(rng, start, end, HOUR, missing)
        base = 1e4 * np.exp(np.cumsum(0.02 * rng.standard_normal(len(time))))
        usd = np.where(rng.random(len(time)) < 0.3, np.nan, base * 4000.0)
        open_interest.append(OpenInterestRows(time, time + HOUR, base, usd))
    return Market(funding, open_interest)


def _grid(
    rng: np.random.Generator, start: int, end: int, step: int, missing: float
) -> NDArray[np.int64]:
    time = np.arange(start // step * step, end, step, dtype=np.int64)
    return rng.permutation(time[rng.random(len(time)) >= missing])


def market_of(bars: Bars, seed: int = 0, *, missing: float = 0.1, first: int = 0) -> MarketSeries:
    """Three exchanges' series for bars of an hour or more, from the ``first`` bar on."""
    rng = np.random.default_rng(seed)
    start, end = bars.frame.index[first], bars.close_time[-1]
    funding, open_interest = [], []
    for exchange, hours in zip(EXCHANGES, (8, 4, 1), strict=True):
        time = _sample(rng, pd.date_range(start, end, freq=f"{hours}h"), missing)
        funding.append(
            pd.DataFrame(
                {
                    "exchange": exchange,
                    "symbol": "SIM/USD:USD",
                    "time": time,
                    "rate": 1e-4 * rng.standard_normal(len(time)),
                    "interval_hours": float(hours),
                    "mark_price": np.nan,
                    "available": time,
                }
            )
        )
        period = max(bars.step, pd.Timedelta(hours=1))
        time = _sample(rng, pd.date_range(start, end, freq=period), missing)
        base = 1e4 * np.exp(np.cumsum(0.02 * rng.standard_normal(len(time))))
        open_interest.append(
            pd.DataFrame(
                {
                    "exchange": exchange,
                    "symbol": "SIM/USD:USD",
                    "timeframe": bars.timeframe,
                    "time": time,
                    "base": base,
                    "usd": base * 100.0 if exchange == "okx" else np.nan,
                    "available": time + period,
                }
            )
        )
    return MarketSeries(
        bars.symbol, _as_stored(pd.concat(funding)), _as_stored(pd.concat(open_interest))
    )


def _sample(rng: np.random.Generator, times: pd.DatetimeIndex, missing: float) -> pd.DatetimeIndex:
    return times[rng.random(len(times)) >= missing]


def _as_stored(frame: pd.DataFrame) -> pd.DataFrame:
    """As the series store gives it back."""
    times = dict.fromkeys(("time", "available"), "datetime64[us, UTC]")
    return frame.astype(times).reset_index(drop=True)
