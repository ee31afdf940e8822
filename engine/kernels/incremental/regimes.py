"""The regime and the volatility of the newest bar, to the bits of :mod:`engine.kernels.regimes`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError, NotEnoughBarsError
from brain.text import duration, moment
from engine.kernels.incremental.recent_bars import Arrays, RecentBars, array_of
from engine.kernels.incremental.rings import Means
from engine.kernels.incremental.scalars import INF, NAN, garman_klass, logs, root
from engine.kernels.regime_state import SESSIONS, UNKNOWN, RegimeDefinition, RegimeState
from engine.kernels.regimes import OCTAVES, following

__all__ = ["IncrementalRegimes"]


class IncrementalRegimes:
    """The regimes of bars that come one at a time, from a state on.

    Of a state that has seen bars, the last ``definition.window`` of these are to be pushed first:
    they fill the volatility's window and are classified no more. The bars after them are.

    Args:
        definition: what the regimes are.
        state: as the batch or :attr:`state` gave it.

    Attributes:
        volatility: of the last bar; NaN is unknown.

    Raises:
        InputError: the state was made by another definition.
    """

    def __init__(self, definition: RegimeDefinition, state: RegimeState) -> None:
        if state.definition_id != definition.id:
            raise InputError(
                f"the state was made by definition {state.definition_id}, not by {definition.id}; "
                "give the definition that was stored with it"
            )
        self._definition, self._start = definition, state
        self._recent = RecentBars(definition.window)
        self._within, self._gap = (Means(definition.window) for _ in range(2))
        self._log_close = NAN
        self._seen = 0
        self.volatility = NAN
        self._lowest = min(state.bins, default=0)
        self._counts = np.zeros(max(state.bins, default=0) - self._lowest + 1, dtype=np.int64)
        self._counts[np.array(state.bins, dtype=np.int64) - self._lowest] = state.counts
        self._n, self._regime, self._stay = state.n, state.regime, state.bars_in_regime
        self._code, self._step_ns = state.code, state.step_ns
        self._close_time_ns = state.close_time_ns

    def push(
        self,
        open: float,  # noqa: A002 -- the column's name
        high: float,
        low: float,
        close: float,
        close_time_ns: int,
    ) -> int:
        """The code of the next bar, -1 unknown.

        Args:
            open, high, low, close: prices; the bar is missing without four positive ones.
            close_time_ns: the bar's close, nanoseconds since 1970 UTC.

        Returns:
            Of the state's own last bar its code, and of the bars before that one -1.

        Raises:
            InputError: the bar does not follow the last one on the grid.
            NotEnoughBarsError: the state's last bar, or one of its window's, was not pushed before.
        """
        last = self._close_time_ns
        new = last is None or close_time_ns > last
        if new:
            self._check_step(close_time_ns)
        self._recent.push(close_time_ns, open, high, low, close)
        self._seen += 1
        self.volatility = self._volatility(open, high, low, close)
        if not new:
            return self._code if close_time_ns == last else UNKNOWN
        self._close_time_ns = close_time_ns
        self._code = self._classify(self.volatility)
        return self._code

    @property
    def state(self) -> RegimeState:
        """After the last bar."""
        filled = np.flatnonzero(self._counts)
        return RegimeState(
            definition_id=self._start.definition_id,
            bins=tuple((filled + self._lowest).tolist()),
            counts=tuple(self._counts[filled].tolist()),
            regime=self._regime,
            bars_in_regime=self._stay,
            code=self._code,
            close_time_ns=self._close_time_ns,
            step_ns=self._step_ns,
        )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What :meth:`from_arrays` goes on from."""
        return {
            **self._recent.arrays(),
            "definition": np.array(self._definition.to_json()),
            "state": np.array(self.state.to_json()),
            "start_ns": np.array(self._start.close_time_ns or 0, dtype=np.int64),
            "seen": np.array(self._seen, dtype=np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        """Go on after the bars of :meth:`arrays`.

        Raises:
            InputError: the arrays are of something else.
        """
        definition, state = (
            str(array_of(arrays, name, np.str_, 0)) for name in ("definition", "state")
        )
        start_ns, seen = (int(array_of(arrays, name, np.int64, 0)) for name in ("start_ns", "seen"))
        regimes = cls(RegimeDefinition.from_json(definition), RegimeState.from_json(state))
        for (o, h, lo, c), close_time_ns in RecentBars.replay(arrays, 4):
            regimes.push(o, h, lo, c, close_time_ns)
        regimes._start = replace(regimes._start, close_time_ns=start_ns or None)
        regimes._seen = seen
        return regimes

    def _check_step(self, close_time_ns: int) -> None:
        """Whether a bar may follow the state's last one."""
        last, step = self._close_time_ns, self._step_ns
        if last is None:
            return
        if last == self._start.close_time_ns and (
            self._recent.close_time_ns != last or self._seen < self._definition.window
        ):
            raise NotEnoughBarsError(
                f"{self._seen} bars were pushed before the one that closes at "
                f"{moment(close_time_ns)}; push the {self._definition.window} bars up to the "
                f"state's last one, which closes at {moment(last)}, first"
            )
        length = close_time_ns - last
        if step is None:
            self._step_ns = length
        elif step not in (SESSIONS, length):
            raise InputError(
                f"the bar closes {duration(length)} after the last one, expected {duration(step)}; "
                "push consecutive bars on the full time grid, with NaN where one is missing"
            )

    def _volatility(self, open_: float, high: float, low: float, close: float) -> float:
        valid = all(0.0 < price < INF for price in (open_, high, low, close))
        o, h, lo, c = logs(open_, high, low, close) if valid else (NAN,) * 4
        gap, self._log_close = o - self._log_close, c
        (within,) = self._within.push(garman_klass(o, h, lo, c))
        (mean_gap,) = self._gap.push(gap * gap)
        return root(within + mean_gap)

    def _classify(self, volatility: float) -> int:
        """The bar's code; then it is counted."""
        if math.isnan(volatility):
            return UNKNOWN
        code, definition = UNKNOWN, self._definition
        octave = float(np.log2(volatility)) if volatility > 0.0 else -OCTAVES
        position = min(max(octave, -OCTAVES), OCTAVES) * definition.bins_per_octave
        lower = math.floor(position)
        at, share = self._place(lower), position - lower
        if self._n >= definition.min_bars:
            below = int(self._counts[:at].sum()) + share * int(self._counts[at])
            code = following(self._regime, self._stay, below / self._n, definition)
            self._stay = self._stay + 1 if code == self._regime else 1
            self._regime = code
        self._counts[at] += 1
        self._n += 1
        return code

    def _place(self, position: int) -> int:
        """A bin's place among the counts, which grow to it."""
        at = position - self._lowest
        if at < 0 or at >= len(self._counts):
            before, after = max(-at, 0), max(at + 1 - len(self._counts), 0)
            self._counts = np.pad(self._counts, (before, after))
            self._lowest -= before
        return position - self._lowest
