"""What the incremental kernels go on from after a symbol's last bar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.calendars import BARS
from brain.series.calendars import Stretches, sessions_ahead
from engine.data.frames import open_time_ns
from engine.kernels.executor_data import Memory
from engine.kernels.features import LOOK_BACK
from engine.kernels.incremental.liquidations import IncrementalLiquidations
from engine.kernels.incremental.market_features import IncrementalMarketFeatures
from engine.kernels.incremental.recent_bars import Arrays, RecentBars
from engine.kernels.incremental.regimes import IncrementalRegimes
from engine.kernels.incremental.sentiment import IncrementalSentiment
from engine.kernels.incremental.settlements import IncrementalSettlements
from engine.kernels.liquidations import DELAY_NS, LIQUIDATION_LOOK_BACK
from engine.kernels.market_features import MARKET_LOOK_BACK, FundingRows, OpenInterestRows
from engine.kernels.sentiment import SENTIMENT_LOOK_BACK, IndexRows

if TYPE_CHECKING:
    from brain.series.bars import Bars
    from engine.data.liquidation_series import LiquidationSeries
    from engine.data.market_series import MarketSeries
    from engine.data.sentiment_series import SentimentSeries
    from engine.kernels.regime_state import RegimeDefinition, RegimeState

__all__ = ["kernel_memory"]

_COLUMNS = ("open", "high", "low", "close", "volume")


def kernel_memory(
    bars: Bars,
    definition: RegimeDefinition,
    state: RegimeState,
    market: MarketSeries | None = None,
    funding_exchange: str | None = None,
) -> Memory:
    """The kernels' memory after the last bar, and the sessions from there on.

    Args:
        bars: the symbol's, on their grid.
        definition, state: of the regimes at the last bar.
        market: the symbol's funding, open interest, sentiment and liquidations; None if there are
            none.
        funding_exchange: whose funding positions pay; None if they pay none.
    """
    looks = LOOK_BACK, MARKET_LOOK_BACK, SENTIMENT_LOOK_BACK, LIQUIDATION_LOOK_BACK
    rows = max(*looks, definition.window + 1) - 1
    values = bars.frame[list(_COLUMNS)].to_numpy(dtype=np.float64)[-rows:].tolist()
    closes = bars.close_time.as_unit("ns").asi8
    recent = list(zip(values, closes[-rows:].tolist(), strict=True))
    features = RecentBars(LOOK_BACK - 1)
    regimes = IncrementalRegimes(definition, state)
    for (o, h, lo, c, v), close_time_ns in recent:
        features.push(close_time_ns, o, h, lo, c, v)
        regimes.push(o, h, lo, c, close_time_ns)
    stretches = _stretches(bars)
    return Memory(
        features=features.arrays(),
        regimes=regimes.arrays(),
        market=_market(recent[1 - MARKET_LOOK_BACK :], market)
        if market and market.perpetual
        else {},
        sentiment=_sentiment(recent[1 - SENTIMENT_LOOK_BACK :], market.sentiment)
        if market and market.sentiment
        else {},
        liquidations=_liquidations(recent[1 - LIQUIDATION_LOOK_BACK :], market.liquidations)
        if market and market.liquidations
        else {},
        settlements=_settlements(funding_exchange, market, int(closes[-1])),
        session_anchors_ns=stretches.anchors,
        session_opens_ns=stretches.opens,
        session_closes_ns=stretches.closes,
    )


def _market(recent: list[tuple[list[float], int]], market: MarketSeries) -> Arrays:
    """The memory of the market features after the recent bars."""
    funding, open_interest = market.funding_rows(), market.open_interest_rows()
    features = IncrementalMarketFeatures(sorted({*funding, *open_interest}))
    first_ns = recent[0][1]
    for add, exchanges in ((features.funding, funding), (features.open_interest, open_interest)):
        for exchange, rows in exchanges.items():
            needed = _needed(rows, first_ns)
            for row in _each(rows, needed):
                add(exchange, *row)
    for (o, h, lo, c, v), close_time_ns in recent:
        features.push(o, h, lo, c, v, close_time_ns)
    return features.arrays()


def _sentiment(recent: list[tuple[list[float], int]], sentiment: SentimentSeries) -> Arrays:
    """The memory of the sentiment features after the recent bars.

    With the posts that had arrived by the last one: those that arrive later are given to an
    executor, and a post that is given twice would count twice.
    """
    posts, index = sentiment.post_rows(), sentiment.index_rows()
    features = IncrementalSentiment(sorted(posts))
    first_ns, last_ns = recent[0][1], recent[-1][1]
    for publisher, rows in posts.items():
        needed = (rows.time_ns > first_ns) & (rows.available_ns <= last_ns)
        for row in _each(rows, needed):
            features.post(publisher, *row)
    if index is not None:
        needed = _needed(index, first_ns)
        for day in _each(index, needed):
            features.index(*day)
    for (o, h, lo, c, _), close_time_ns in recent:
        features.push(o, h, lo, c, close_time_ns)
    return features.arrays()


def _liquidations(recent: list[tuple[list[float], int]], series: LiquidationSeries) -> Arrays:
    """The memory of the liquidation features after the recent bars.

    With what had arrived by the last one: an executor is given what arrives later.
    """
    minutes = series.rows()
    features = IncrementalLiquidations(sorted(minutes))
    first_ns, last_ns = recent[0][1], recent[-1][1]
    for exchange, rows in minutes.items():
        needed = (rows.time_ns + DELAY_NS > first_ns) & (rows.available_ns <= last_ns)
        for row in _each(rows, needed):
            features.minute(exchange, *row)
    for (o, h, lo, c, v), close_time_ns in recent:
        features.push(o, h, lo, c, v, close_time_ns)
    return features.arrays()


def _settlements(exchange: str | None, market: MarketSeries | None, at_ns: int) -> Arrays:
    """The exchange whose funding is paid, its last settlement until a moment, and all later ones.

    Nothing if there is no such exchange.
    """
    if exchange is None:
        return {}
    settlements = IncrementalSettlements(exchange)
    if market is not None:
        rows = market.settlements(exchange)
        first = max(int(np.searchsorted(rows.time_ns, at_ns, side="right")) - 1, 0)
        columns = (rows.time_ns, rows.rate, rows.interval_hours)
        for row in zip(*[column[first:].tolist() for column in columns], strict=True):
            settlements.add(*row)
    return settlements.arrays()


def _each(rows: Brief, needed: NDArray[np.bool_]) -> Iterator[tuple[Any, ...]]:
    """A kernel's rows that are needed, (M,), one at a time."""
    return zip(*[column[needed].tolist() for column in vars(rows).values()], strict=True)


def _needed(rows: FundingRows | OpenInterestRows | IndexRows, at_ns: int) -> NDArray[np.bool_]:
    """Of the rows that are public at a moment the newest, and all that are published later, (M,).

    Args:
        rows: in the order of time, and of publication where the time is one.
        at_ns: the moment.
    """
    later = rows.available_ns > at_ns
    public = np.flatnonzero(~later)
    later[public[-1:]] = True
    return later


def _stretches(bars: Bars) -> Stretches:
    if bars.sessions is None or bars.calendar == BARS:
        nothing = np.empty(0, dtype=np.int64)
        return Stretches(nothing, nothing, nothing)
    closes = bars.close_time.as_unit("ns").asi8
    step = bars.step.value
    return sessions_ahead(bars.calendar, open_time_ns(bars), closes, step, LOOK_BACK)
