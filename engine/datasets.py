"""What a model learns from: features, label, outcome and regime of every bar of one symbol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.frames import feature_frame, label_frame, regime_series
from engine.regimes import RegimeDefinition, RegimeState
from registry.bars import Bars
from registry.errors import NotEnoughBarsError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MIN_ROWS", "Dataset", "make_dataset"]

Array = NDArray[np.float64]

#: Rows with a known label below which no model is fitted: half of them are needed to train on,
#: and the regimes are unknown for the first 252.
MIN_ROWS = 600


@dataclass(frozen=True)
class Dataset:
    """Consecutive rows of one symbol, oldest first, missing bars included as missing rows.

    Attributes:
        close_time: (N,) the moments at which the rows are known.
        features: (N, F) float64, NaN missing; columns as in :data:`engine.features.FEATURES`.
        label: (N,) forward log return in units of the volatility known at the time, NaN unknown.
        forward_return: (N,) log return over the next ``horizon`` bars, NaN unknown.
        regimes: (N,) codes into :data:`registry.naming.REGIMES`, -1 unknown.
        definition, state: what labels the bars to come in the same way.
        digest: of the bars that all this was made from.
    """

    symbol: str
    timeframe: str
    bars_per_year: float
    horizon: int
    close_time: pd.DatetimeIndex
    features: Array
    label: Array
    forward_return: Array
    regimes: NDArray[np.int8]
    definition: RegimeDefinition
    state: RegimeState
    digest: str
    source: str

    def __len__(self) -> int:
        return len(self.label)

    @property
    def trained_until(self) -> str:
        """Close time of the last bar, ISO 8601 in UTC."""
        return str(self.close_time[-1].isoformat())


def make_dataset(
    bars: Bars, *, horizon: int, definition: RegimeDefinition | None = None
) -> Dataset:
    """Make a symbol's dataset.

    Args:
        bars: the symbol's bars on their grid.
        horizon: bars that the label looks forward.
        definition: of the regimes; the standard one if none.

    Raises:
        NotEnoughBarsError: fewer than :data:`MIN_ROWS` rows have a known label.
    """
    definition = definition or RegimeDefinition()
    labels = label_frame(bars, horizon, definition)
    known = int(labels["label"].notna().sum())
    if known < MIN_ROWS:
        raise NotEnoughBarsError(
            f"{bars.symbol}: {known} bars have a known label at horizon {horizon}, at least "
            f"{MIN_ROWS} are needed; bring a longer history or finer bars"
        )
    regimes, state = regime_series(bars, definition)
    return Dataset(
        symbol=bars.symbol,
        timeframe=bars.timeframe,
        bars_per_year=bars.bars_per_year,
        horizon=horizon,
        close_time=bars.close_time,
        features=feature_frame(bars).to_numpy(),
        label=labels["label"].to_numpy(),
        forward_return=labels["forward_return"].to_numpy(),
        regimes=regimes.to_numpy(),
        definition=definition,
        state=state,
        digest=bars.digest,
        source=bars.source,
    )
