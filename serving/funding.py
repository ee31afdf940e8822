"""What a symbol's positions receive for funding, booked as soon as it is known."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.kernels.incremental.recent_bars import array_of
from engine.kernels.incremental.settlements import IncrementalSettlements, PaidBar

__all__ = ["FundingLedger"]


class _Held(NamedTuple):
    """Units that were held in a bar, until its fills and from then to its close."""

    bar: PaidBar
    before: float
    after: float


class FundingLedger:
    """The funding of one exchange, a bar at a time.

    A settlement at a bar's close is published after it, so a bar's payments may become known by a
    later row. Those of the day's bars are waited for.

    Args:
        settlements: that are known.

    Attributes:
        received: in the last bar, and the missing ones before it, in units of the symbol's capital;
            negative where it was paid. NaN is unknown yet; 0 where the bar is missing.
    """

    def __init__(self, settlements: IncrementalSettlements) -> None:
        self._settlements = settlements
        self.received = 0.0
        # Of missing bars, for the next one; and those of the day's bars that are unknown yet.
        self._carried: list[_Held] = []
        self._unknown: list[list[_Held]] = []

    @property
    def exchange(self) -> str:
        """Whose funding it is."""
        return self._settlements.exchange

    @property
    def complete(self) -> bool:
        """Whether all payments of the day are known."""
        return not self._unknown

    def new_day(self) -> None:
        """Wait no longer for what is unknown."""
        self._unknown.clear()

    def settle(self, bar: PaidBar, before: float, after: float, *, missing: bool) -> float:
        """What is received in the next bar, with the missing ones before it; see ``received``.

        Args:
            bar: in which it is paid.
            before, after: units that are held until its fills, and from then on.
            missing: whether the bar is, so that what is paid belongs to the next one.
        """
        self._settlements.forget(bar.begin_ns)
        if before or after:
            self._carried.append(_Held(bar, before, after))
        self.received = 0.0
        if not missing:
            held, self._carried = self._carried, []
            self.received = self._received(held)
            if isnan(self.received):
                self._unknown.append(held)
        return self.received

    def add(self, time_ns: int, rate: float, interval_hours: float) -> float:
        """Add a settlement; what is known by it of the day's bars so far, the last one included."""
        self._settlements.add(time_ns, rate, interval_hours)
        return self._late()

    def learn(self, settlements: IncrementalSettlements) -> float:
        """Add the settlements of a version that are later than all here; as :meth:`add`."""
        self._settlements.extend(settlements)
        return self._late()

    def _late(self) -> float:
        total, unknown = 0.0, []
        last = self._unknown[-1] if isnan(self.received) else None
        for held in self._unknown:
            received = self._received(held)
            if isnan(received):
                unknown.append(held)
                continue
            total += received
            if held is last:
                self.received = received
        self._unknown = unknown
        return total

    def _received(self, held: list[_Held]) -> float:
        total = 0.0
        for bar, before, after in held:
            rate = self._settlements.payments(bar)
            # Nothing held is nothing paid, whatever is unknown.
            total -= before * rate[0] if before else 0.0
            total -= after * rate[1] if after else 0.0
        return total

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What :meth:`from_arrays` goes on from."""
        groups = [*self._unknown, self._carried]
        held = [each for group in groups for each in group]
        times = [(h.bar.begin_ns, h.bar.fill_ns, h.bar.close_ns) for h in held]
        values = [(h.bar.mark, h.bar.close, h.before, h.after) for h in held]
        return {
            **self._settlements.arrays(),
            "received": np.array(self.received),
            "groups": np.array([len(group) for group in groups], dtype=np.int64),
            "times": np.array(times, dtype=np.int64).reshape(-1, 3),
            "values": np.array(values, dtype=np.float64).reshape(-1, 4),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The inverse of :meth:`arrays`.

        Raises:
            InputError: the arrays are of something else.
        """
        ledger = cls(IncrementalSettlements.from_arrays(arrays))
        ledger.received = float(array_of(arrays, "received", np.float64, 0))
        times = array_of(arrays, "times", np.int64, 2).tolist()
        values = array_of(arrays, "values", np.float64, 2).tolist()
        held = [
            _Held(PaidBar(begin, fill, end, mark, close), before, after)
            for (begin, fill, end), (mark, close, before, after) in zip(times, values, strict=True)
        ]
        ends = np.cumsum(array_of(arrays, "groups", np.int64, 1)).tolist()
        groups = [held[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        *ledger._unknown, ledger._carried = groups
        return ledger
