"""What is to be held from a bar's close on, and why."""

from __future__ import annotations

from dataclasses import dataclass

from brain.naming import Family, Regime

__all__ = ["Decision"]


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision at a bar's close.

    Attributes:
        model: name of the model key, ``BTC-USDT.1h.6``.
        time: the bar's close, nanoseconds since 1970 UTC.
        position: of this decision, -1 to 1 of its slot's capital, after the limits.
        exposure: what to hold over all slots from now on, -1 to 1 of the symbol's capital.
        prediction: of the version; NaN is unknown.
        expected_bp: what a long position is expected to gain before costs, basis points; NaN is
            unknown.
        regime: of the bar; None is unknown.
        version: model id, ``BTC-USDT.1h.6/7``; None if no version decided.
        family: of the version.
        confidence: that the version's net Sharpe ratio in the regime is above 0; None is unknown.
        age: of the version at the bar, days since the close of the last bar of its training.
        reason: of the position, in a sentence.
        cached: whether it was decided by an earlier call for the same bar.
    """

    model: str
    time: int
    position: float
    exposure: float
    prediction: float
    expected_bp: float
    regime: Regime | None
    version: str | None
    family: Family | None
    confidence: float | None
    age: float | None
    reason: str
    cached: bool = False
