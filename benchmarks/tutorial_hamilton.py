"""From a bar's close to a decision as tutorials do it, kept as it is: batch features and pyfunc.

The model is in memory; the features, the regime and the volatility of the last bars are computed
anew at every bar, and the model predicts on a DataFrame.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

from brain import own_columns
from brain.artifacts import POSITION, RECIPE, REGIMES
from brain.series import Bars
from engine import kernels

__all__ = ["RECENT", "Market", "TutorialHamilton"]

# Bars for the features' look-back, a model's own, and those since last night.
RECENT = kernels.LOOK_BACK + 512

Market = tuple[Sequence[kernels.FundingRows], Sequence[kernels.OpenInterestRows]]


class TutorialHamilton:
    """A version's model in memory, and the decision at the last of some bars.

    Args:
        folder: of the version's files.
        market: rows of funding and open interest, up to the present and beyond; None if the model
            knows none.
    """

    def __init__(self, folder: Path, market: Market | None = None) -> None:
        self.model = mlflow.pyfunc.load_model(str(folder))
        self.names = self.model.metadata.signature.inputs.input_names()
        self.own = list(own_columns(json.loads((folder / RECIPE).read_text())["feature_set"]))
        self.rule = kernels.PositionRule.from_json((folder / POSITION).read_text())
        regimes = json.loads((folder / REGIMES).read_text())
        self.definition = kernels.RegimeDefinition.from_json(json.dumps(regimes["definition"]))
        self.state = kernels.RegimeState.from_json(json.dumps(regimes["state"]))
        self.market = market

    def decide(self, bars: Bars) -> tuple[float, float]:
        """Prediction and direction at the last of the bars."""
        bars = replace(bars, frame=bars.frame.tail(RECENT))
        open_, high, low, close, volume, times = _columns(bars)
        # Each decision goes on from the last one's state, as a loop would.
        _, self.state = kernels.catch_up(
            open_, high, low, close, times, self.definition, self.state
        )
        code = np.array([self.state.code])
        volatility = kernels.volatility(open_, high, low, close, self.definition.window)[-1:]
        rows = pd.DataFrame(
            kernels.bar_features(open_, high, low, close, volume, times),
            bars.frame.index,
            kernels.FEATURES,
        )
        if self.market is not None:
            rows[list(kernels.MARKET_FEATURES)] = kernels.perpetual_features(
                open_, high, low, close, volume, times, *self.market
            )
        rows = rows.join(bars.frame[self.own]).reindex(columns=self.names)
        prediction = np.asarray(self.model.predict(rows), dtype=np.float64).reshape(-1)[-1:]
        side = self.rule.decide(prediction, volatility, code)
        return float(prediction[0]), float(side[0])


def _columns(bars: Bars) -> tuple[np.ndarray, ...]:
    values = bars.frame[["open", "high", "low", "close", "volume"]].to_numpy().T
    return (*values, bars.close_time.as_unit("ns").asi8)
