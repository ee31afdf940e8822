"""The position rule: from predictions to what is held. Evaluation and executor use this one.

Each bar's decision gets 1/horizon of a constant capital for ``horizon`` bars, and takes its slot
over from the decision ``horizon`` bars before (:mod:`engine.kernels.profit`). A prediction is in
units of the volatility known at the time; times a slope it is what a long position is expected to
gain. A position is opened where that exceeds a threshold, the cost of opening and closing it. To
keep what the slot holds costs nothing, so it is kept as long as it is expected to gain at all; and
where the other direction is expected to gain too little, nothing is held.

A kernel on NumPy arrays.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.errors import InputError
from brain.naming import REGIMES, Fill, Regime, parse_fill, parse_regime
from engine.kernels.columns import Floats

__all__ = ["PositionRule", "expected_gain", "positions"]

_BASIS_POINTS = 1e4


def expected_gain(
    prediction: Floats, volatility: Floats, slope: Floats | float, horizon: int
) -> Floats:
    """What a long position of each decision is expected to gain before costs, basis points, (N,).

    Args:
        prediction: (N,) in units of the volatility, see :mod:`engine.kernels.targets`.
        volatility: (N,) of one bar's log return, known at the decision.
        slope: of the gain on the prediction, in the target's units; one, or one a row.
        horizon: bars that a position is held.

    Returns:
        NaN where any of these is unknown.
    """
    return np.asarray(slope * prediction * volatility * math.sqrt(horizon) * _BASIS_POINTS)


def positions(
    gain: Floats, threshold: Floats | float, horizon: int, *, before: Floats | None = None
) -> Floats:
    """The decisions, (N,): 1 long, -1 short, 0 nothing; NaN is no decision, where the gain is NaN.

    Args:
        gain: (N,) of :func:`expected_gain`, consecutive rows, oldest first, basis points.
        threshold: basis points that a gain must exceed, either way, to open a position; (N,) of
            each row, or of all.
        horizon: bars that a position is held.
        before: (horizon,) the decisions before the first row, oldest first; none if None.

    Raises:
        InputError: there is not one decision before for each slot.
    """
    start = np.zeros(horizon) if before is None else np.nan_to_num(before)
    if start.shape != (horizon,):
        raise InputError(
            f"{start.shape} decisions before don't fit {horizon} slots; give one for each"
        )
    # A column a slot: the decisions before it, then its own, which follow each other in time.
    rows = -(-len(gain) // horizon)
    padded = np.zeros((2, rows * horizon))
    padded[0, : len(gain)] = np.where(np.isfinite(gain), gain, 0.0)
    padded[1, : len(gain)] = threshold
    gains, thresholds = padded.reshape(2, rows, horizon)
    slots = np.vstack([start, gains])
    opens = np.vstack([start != 0.0, np.abs(gains) > thresholds])
    direction = np.sign(slots)
    turns = np.vstack([np.ones((1, horizon), dtype=np.bool_), direction[1:] != direction[:-1]])
    # What is held goes on from the last opening, unless the direction has turned since.
    decision = np.where(_last(opens) >= _last(turns), direction, 0.0)[1:].reshape(-1)[: len(gain)]
    return np.where(np.isfinite(gain), decision, np.nan)


def _last(events: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The row of the last event in each column up to each row; -1 before the first."""
    rows = np.where(events, np.arange(len(events))[:, None], -1)
    return np.maximum.accumulate(rows, axis=0)


@dataclass(frozen=True, repr=False)
class PositionRule(Brief):
    """A version's rule.

    Attributes:
        horizon: bars that a position is held.
        slope: of the gain on the prediction; NaN is unknown, and then nothing is decided.
        slopes: of the regimes that have one of their own.
        cost: of each unit traded that the threshold was made of, basis points.
        threshold: basis points that a gain must exceed to open a position.
        fill: where the rule's decisions were taken to be filled when it was evaluated.
    """

    horizon: int
    slope: float
    slopes: Mapping[Regime, float]
    cost: float
    threshold: float
    fill: Fill

    def slopes_of(self, regimes: NDArray[np.int8]) -> Floats:
        """The slope of each row, (N,).

        Args:
            regimes: (N,) codes into :data:`brain.naming.REGIMES`; -1, unknown, has the common one.
        """
        table = [self.slopes.get(regime, self.slope) for regime in REGIMES]
        return np.array([*table, self.slope])[regimes]

    def gain(self, prediction: Floats, volatility: Floats, regimes: NDArray[np.int8]) -> Floats:
        """The expected gain of each row, basis points, (N,), see :func:`expected_gain`."""
        return expected_gain(prediction, volatility, self.slopes_of(regimes), self.horizon)

    def decide(
        self,
        prediction: Floats,
        volatility: Floats,
        regimes: NDArray[np.int8],
        before: Floats | None = None,
    ) -> Floats:
        """The decisions of consecutive rows, (N,), see :func:`positions`."""
        gain = self.gain(prediction, volatility, regimes)
        return positions(gain, self.threshold, self.horizon, before=before)

    def to_json(self) -> str:
        """JSON; unknown slopes become null."""
        fields = asdict(self) | {
            "slope": self.slope if math.isfinite(self.slope) else None,
            "slopes": {str(regime): slope for regime, slope in self.slopes.items()},
        }
        return json.dumps(fields, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> PositionRule:
        """The inverse of :meth:`engine.kernels.position.PositionRule.to_json`.

        Raises:
            InputError: the text is no rule.
        """
        try:
            fields = json.loads(text)
            return cls(
                horizon=int(fields["horizon"]),
                slope=math.nan if fields["slope"] is None else float(fields["slope"]),
                slopes={parse_regime(name): float(s) for name, s in fields["slopes"].items()},
                cost=float(fields["cost"]),
                threshold=float(fields["threshold"]),
                fill=parse_fill(fields["fill"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{text[:80]!r} is no position rule ({error}); give that of a version's files"
            ) from error
