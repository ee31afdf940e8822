"""What the incremental kernels go on from after a symbol's last bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from brain.calendars import BARS
from brain.series.calendars import Stretches, sessions_ahead
from engine.data.frames import open_time_ns
from engine.kernels.executor_data import Memory
from engine.kernels.features import LOOK_BACK
from engine.kernels.incremental.recent_bars import RecentBars
from engine.kernels.incremental.regimes import IncrementalRegimes

if TYPE_CHECKING:
    from brain.series.bars import Bars
    from engine.kernels.regime_state import RegimeDefinition, RegimeState

__all__ = ["kernel_memory"]

_COLUMNS = ("open", "high", "low", "close", "volume")


def kernel_memory(bars: Bars, definition: RegimeDefinition, state: RegimeState) -> Memory:
    """The kernels' memory after the last bar, and the sessions from there on.

    Args:
        bars: the symbol's, on their grid.
        definition, state: of the regimes at the last bar.
    """
    rows = max(LOOK_BACK - 1, definition.window)
    values = bars.frame[list(_COLUMNS)].to_numpy(dtype=np.float64)[-rows:].tolist()
    closes = bars.close_time.as_unit("ns").asi8
    recent = list(zip(values, closes[-rows:].tolist(), strict=True))
    features = RecentBars(LOOK_BACK - 1)
    regimes = IncrementalRegimes(definition, state)
    for columns, close_time_ns in recent:
        features.push(close_time_ns, *columns)
        regimes.push(*columns[:4], close_time_ns)
    stretches = _stretches(bars)
    return Memory(
        features=features.arrays(),
        regimes=regimes.arrays(),
        market={},
        session_anchors_ns=stretches.anchors,
        session_opens_ns=stretches.opens,
        session_closes_ns=stretches.closes,
    )


def _stretches(bars: Bars) -> Stretches:
    if bars.sessions is None or bars.calendar == BARS:
        nothing = np.empty(0, dtype=np.int64)
        return Stretches(nothing, nothing, nothing)
    closes = bars.close_time.as_unit("ns").asi8
    step = bars.step.value
    return sessions_ahead(bars.calendar, open_time_ns(bars), closes, step, LOOK_BACK)
