"""Datasets: features, target, forward return and regime of every bar of one symbol."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.errors import InputError, NotEnoughBarsError
from brain.lines import Line
from brain.model_keys import ModelKey
from brain.naming import Family, Fill
from brain.recipes import REFIT_RULE, feature_kernels, feature_set_name, own_columns
from brain.series.bars import Bars
from engine.data.frames import (
    bar_fill,
    bar_volatility,
    feature_frame,
    open_time_ns,
    regime_series,
    target_frame,
)
from engine.data.memory import kernel_memory
from engine.kernels.columns import Floats, Times
from engine.kernels.executor_data import Memory
from engine.kernels.features import FEATURE_SET, FEATURES
from engine.kernels.fills import fill_time
from engine.kernels.liquidations import LIQUIDATION_FEATURE_SET, LIQUIDATION_FEATURES
from engine.kernels.market_features import MARKET_FEATURE_SET, MARKET_FEATURES
from engine.kernels.payments import Funding, funding_payments
from engine.kernels.regime_state import RegimeDefinition, RegimeState
from engine.kernels.sentiment import SENTIMENT_FEATURE_SET, SENTIMENT_FEATURES
from engine.kernels.spread import Spread, half_spread
from engine.kernels.targets import reach, target_name

if TYPE_CHECKING:
    import pandas as pd

    from engine.data.market_series import MarketSeries

__all__ = ["MIN_ROWS", "Dataset", "make_dataset"]

#: Rows with a known target below which no model is fitted: half of them are needed to train on,
#: and the regimes are unknown for the first 252.
MIN_ROWS = 600

_KERNELS = {
    FEATURE_SET: FEATURES,
    MARKET_FEATURE_SET: MARKET_FEATURES,
    SENTIMENT_FEATURE_SET: SENTIMENT_FEATURES,
    LIQUIDATION_FEATURE_SET: LIQUIDATION_FEATURES,
}
# What the memory has of each beside bars.
_MEMORIES = {
    "market": MARKET_FEATURE_SET,
    "sentiment": SENTIMENT_FEATURE_SET,
    "liquidations": LIQUIDATION_FEATURE_SET,
}
_PRICES = ("open", "high", "low", "close")
# What has a value a row, beside funding.
_COLUMNS = (
    *("close_time", "features", "target", "forward_return", "volatility", "fill_price"),
    *(*_PRICES, "regimes"),
)


@dataclass(frozen=True, repr=False)
class Dataset(Brief):
    """Consecutive rows of one symbol, oldest first, missing bars included as missing rows.

    Attributes:
        calendar: of the market, see :mod:`brain.calendars`.
        close_time: (N,) the moments at which the rows are known.
        names: the F features' names, the columns of ``features``.
        feature_set: name of these features and their formulas.
        features: (N, F) float64, NaN missing.
        target: (N,) forward log return in units of the volatility known at the time, NaN unknown.
        forward_return: (N,) log return of a long position from the decision's fill to the fill
            ``horizon`` bars later, NaN unknown.
        volatility: (N,) of one bar's log return, known at each row's time; NaN unknown.
        fill: where decisions are filled.
        fill_price: (N,) of each bar's decision; NaN unknown.
        open, high, low, close: (N,) of the bars; NaN missing.
        regimes: (N,) codes into :data:`brain.naming.REGIMES`, -1 unknown.
        definition, state: of the regimes, to classify the bars to come in the same way.
        digest: of the bars and the market series behind the rows.
        source: of the bars.
        memory: of the kernels after the last row, for the bars to come.
        funding: what a long position pays in each bar; None if it pays none.
    """

    symbol: str
    timeframe: str
    calendar: str
    bars_per_year: float
    horizon: int
    close_time: pd.DatetimeIndex
    names: tuple[str, ...]
    feature_set: str
    features: Floats
    target: Floats
    forward_return: Floats
    volatility: Floats
    fill: Fill
    fill_price: Floats
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    regimes: NDArray[np.int8]
    definition: RegimeDefinition
    state: RegimeState
    digest: str
    source: str
    memory: Memory
    funding: Funding | None = None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def own(self) -> tuple[str, ...]:
        """The features that are own columns of the bars."""
        return own_columns(self.feature_set)

    @property
    def key(self) -> ModelKey:
        """What models of these rows are of."""
        return ModelKey(self.symbol, self.timeframe, self.horizon)

    @property
    def target_name(self) -> str:
        """The target without its horizon, as recipes name it."""
        return target_name(self.definition.window, self.fill)

    def line(self, family: Family) -> Line:
        """The line of a family on these features and this target."""
        features, target = self.feature_set, self.target_name
        return Line(family, features, self.timeframe, self.horizon, target, REFIT_RULE)

    @property
    def reach(self) -> int:
        """Rows after its own that a row's target needs."""
        return reach(self.horizon)

    def spread(self, bars: int) -> Spread:
        """The half spread, estimated from the first bars alone."""
        prices = (self.open, self.high, self.low, self.close)
        return half_spread(*(column[:bars] for column in prices))

    def of_features(self, feature_set: str) -> Dataset:
        """The same rows with another feature set, all of whose features are among these.

        Raises:
            InputError: a feature is not among these, or is of a list that no kernel computes.
        """
        if feature_set == self.feature_set:
            return self
        kernels = feature_kernels(feature_set)
        if unknown := [name for name in kernels if name not in _KERNELS]:
            raise InputError(
                f"no kernel computes {unknown[0]!r} of the feature set {feature_set!r}; there are "
                f"{', '.join(_KERNELS)}"
            )
        lists = [_KERNELS[name] for name in kernels]
        names = *(name for names in lists for name in names), *own_columns(feature_set)
        if missing := [name for name in names if name not in self.names]:
            raise InputError(
                f"the data of {self.symbol} have no {missing[0]!r}, which the feature set "
                f"{feature_set!r} has; bring it back"
            )
        columns = [self.names.index(name) for name in names]
        left_out: dict[str, Any] = {
            part: {} for part, name in _MEMORIES.items() if name not in kernels
        }
        return replace(
            self,
            names=names,
            feature_set=feature_set,
            features=self.features[:, columns],
            memory=replace(self.memory, **left_out),
        )

    def tail(self, first: int) -> Dataset:
        """The rows from one on; memory and state stay those after the last row."""
        return self._rows(slice(first, None))

    def head(self, count: int) -> Dataset:
        """The first rows, for what has no use for memory and state: they are of all rows."""
        return self._rows(slice(count))

    def _rows(self, rows: slice) -> Dataset:
        funding = self.funding and Funding(self.funding.before[rows], self.funding.after[rows])
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return replace(self, **columns, funding=funding)

    @property
    def close_ns(self) -> Times:
        """(N,) the closes, nanoseconds since 1970 UTC."""
        return np.asarray(self.close_time.as_unit("ns").asi8)

    @property
    def trained_until(self) -> str:
        """Close time of the last bar, ISO 8601 in UTC."""
        return str(self.close_time[-1].isoformat())


def make_dataset(
    bars: Bars,
    *,
    horizon: int,
    definition: RegimeDefinition | None = None,
    market: MarketSeries | None = None,
    fill: Fill | None = None,
    funding_exchange: str | None = None,
) -> Dataset:
    """A symbol's dataset from its bars.

    Args:
        bars: the symbol's, on their grid.
        horizon: bars that the target looks forward.
        definition: of the regimes; the standard one if None.
        market: the symbol's funding, open interest, sentiment and liquidations; there are no
            features of what there is none of.
        fill: where decisions are filled; chosen by the bars if None.
        funding_exchange: whose funding positions pay, as the market series tell it; unknown where
            these tell nothing. None if positions pay none.

    Raises:
        InputError: the market series are another symbol's, an own column of the bars has the name
            of a feature, or the fill needs finer bars than there are.
        NotEnoughBarsError: fewer than :data:`MIN_ROWS` rows have a known target.
    """
    definition = definition or RegimeDefinition()
    volatility = bar_volatility(bars, definition)
    finer = market.finer if market else None
    fill = fill or bar_fill(bars, finer)
    targets = target_frame(bars, horizon, definition, volatility=volatility, fill=fill, finer=finer)
    count = int(targets["target"].notna().sum())
    if count < MIN_ROWS:
        raise NotEnoughBarsError(
            f"{bars.symbol}: {count} bars have a known target at horizon {horizon}, at least "
            f"{MIN_ROWS} are needed; bring a longer history or finer bars"
        )
    regimes, state = regime_series(bars, definition, volatility=volatility)
    features = feature_frame(bars, market)
    return Dataset(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        calendar=bars.calendar,
        bars_per_year=bars.bars_per_year,
        horizon=horizon,
        close_time=bars.close_time,
        names=tuple(features.columns),
        feature_set=feature_set_name(_kernels(market), bars.own),
        features=features.to_numpy(),
        target=targets["target"].to_numpy(),
        forward_return=targets["forward_return"].to_numpy(),
        volatility=volatility,
        fill=fill,
        fill_price=targets["fill"].to_numpy(),
        **{name: bars.frame[name].to_numpy(dtype=np.float64) for name in _PRICES},
        regimes=regimes.to_numpy(),
        definition=definition,
        state=state,
        digest=_digest(bars, market),
        source=bars.source,
        memory=kernel_memory(bars, definition, state, market, funding_exchange),
        funding=_funding(bars, market, funding_exchange, fill) if funding_exchange else None,
    )


def _kernels(market: MarketSeries | None) -> list[str]:
    """The names of the lists of features that :func:`engine.data.frames.feature_frame` gives."""
    kernels = [FEATURE_SET]
    if market is not None and market.perpetual:
        kernels.append(MARKET_FEATURE_SET)
    if market is not None and market.sentiment is not None:
        kernels.append(SENTIMENT_FEATURE_SET)
    if market is not None and market.liquidations is not None:
        kernels.append(LIQUIDATION_FEATURE_SET)
    return kernels


def _funding(bars: Bars, market: MarketSeries | None, exchange: str, fill: Fill) -> Funding:
    close = bars.frame["close"].to_numpy(dtype=np.float64)
    if market is None:
        unknown = np.full(len(close), np.nan)
        return Funding(unknown, unknown)
    rows = market.settlements(exchange)
    return funding_payments(
        close,
        open_time_ns(bars),
        bars.close_time.as_unit("ns").asi8,
        rows.time_ns,
        rows.rate,
        rows.interval_hours,
        filled_after=fill_time(fill),
    )


def _digest(bars: Bars, market: MarketSeries | None) -> str:
    if market is None:
        return bars.digest
    return hashlib.sha256(f"{bars.digest} {market.digest}".encode()).hexdigest()
