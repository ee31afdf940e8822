"""Made-up minutes of liquidations: listened to in stretches, late now and then, some doubted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.series.bars import Bars
from brain.series.store.schema import KINDS
from engine.data.liquidation_series import LiquidationSeries
from engine.data.market_series import MarketSeries
from engine.kernels.liquidations import MINUTE_NS, MinuteRows, liquidation_features
from tests.engine.paths import HOUR, Path

__all__ = ["Forced", "forced_rows", "liquidations_alone", "liquidations_of", "random_forced"]


@dataclass(frozen=True)
class Forced:
    """The kernel's rows of some exchanges."""

    minutes: Sequence[MinuteRows]

    def arrived(self, until_ns: int) -> Forced:
        """What had arrived by then."""
        return Forced([_taken(rows, rows.available_ns <= until_ns) for rows in self.minutes])

    def between(self, first_ns: int, last_ns: int) -> Forced:
        """The minutes that ended between two moments, and in the three hours before."""
        first_ns -= 3 * HOUR
        return Forced(
            [
                _taken(rows, (rows.time_ns > first_ns) & (rows.time_ns <= last_ns))
                for rows in self.minutes
            ]
        )

    def shuffled(self, seed: int) -> Forced:
        """The same rows in another order."""
        draw = np.random.default_rng(seed)
        return Forced([_taken(rows, draw.permutation(len(rows.time_ns))) for rows in self.minutes])


def _taken(rows: MinuteRows, places: NDArray[np.generic]) -> MinuteRows:
    return MinuteRows(*(column[places] for column in vars(rows).values()))


def forced_rows(path: Path, forced: Forced) -> NDArray[np.float64]:
    """The kernel's features."""
    return liquidation_features(*path.columns(), forced.minutes)


def random_forced(path: Path, seed: int, *, unheard: Sequence[float] = (0.0, 0.01)) -> Forced:
    """An exchange a share of minutes that were not listened to, in stretches."""
    rng = np.random.default_rng(seed)
    first = int(path.close_time_ns[0]) - 3 * HOUR if len(path) else 0
    last = int(path.close_time_ns[-1]) + 2 * HOUR if len(path) else 0
    ends = np.arange(first // MINUTE_NS + 1, last // MINUTE_NS) * MINUTE_NS
    minutes = []
    for share in unheard:
        silent = np.zeros(len(ends), dtype=bool)
        for begin in rng.integers(0, len(ends), rng.poisson(share * len(ends) / 30)):
            silent[begin : begin + rng.geometric(1 / 30)] = True
        time = ends[~silent]
        busy = rng.random(len(time)) < rng.choice([0.002, 0.05, 0.5])
        long, short = (
            np.where(busy & (rng.random(len(time)) < 0.6), rng.lognormal(9, 2, len(time)), 0.0)
            for _ in range(2)
        )
        late = np.where(rng.random(len(time)) < 0.02, rng.exponential(3 * HOUR, len(time)), 0.0)
        delay = 30_000_000_000 + late.astype(np.int64)
        known = MinuteRows(time, time + delay, long, short)
        doubt = rng.random(len(time)) < 0.01
        told = rng.integers(-1, 40, doubt.sum()) * MINUTE_NS
        unknown = np.full(doubt.sum(), np.nan)
        doubted = MinuteRows(time[doubt], time[doubt] + told, unknown, unknown)
        columns = zip(vars(known).values(), vars(doubted).values(), strict=True)
        minutes.append(MinuteRows(*(np.concatenate(pair) for pair in columns)))
    return Forced(minutes)


def liquidations_of(
    bars: Bars, seed: int = 0, *, first: int = 0, exchanges: Sequence[str] = ("bybit", "okx")
) -> LiquidationSeries:
    """Minutes of exchanges around hourly bars from the ``first`` one on, in any order."""
    times = bars.close_time.as_unit("ns").asi8[first:]
    unheard = [0.0, *[0.002] * (len(exchanges) - 1)]
    nothing = np.full(len(times), np.nan)
    path = Path(nothing, nothing, nothing, nothing, nothing, times)
    forced = random_forced(path, seed, unheard=unheard)
    frames = [
        pd.DataFrame(
            {
                "exchange": exchange,
                "time": pd.DatetimeIndex(rows.time_ns, tz="UTC").as_unit("us"),
                "available": pd.DatetimeIndex(rows.available_ns, tz="UTC").as_unit("us"),
                "long_usd": rows.long_usd,
                "short_usd": rows.short_usd,
            }
        )
        for exchange, rows in zip(exchanges, forced.minutes, strict=True)
    ]
    frame = pd.concat(frames, ignore_index=True)
    return LiquidationSeries(frame.iloc[np.random.default_rng(seed).permutation(len(frame))])


def liquidations_alone(symbol: str, liquidations: LiquidationSeries | None) -> MarketSeries:
    """A market of which nothing else is known."""
    funding, interest = KINDS["funding"].empty(), KINDS["open_interest"].empty()
    return MarketSeries(symbol, funding, interest, liquidations=liquidations)
