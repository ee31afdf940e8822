"""An exchange's rate limits, kept beforehand: weights are taken from buckets that refill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

__all__ = ["Limit", "Limits"]


@dataclass(frozen=True)
class Limit:
    """What an exchange allows in a window of time.

    An exchange counts in windows that begin when it likes. A bucket that holds the whole amount would
    let twice that through: a burst, and within the same window all that is refilled. So the bucket
    holds a part, ``burst``, and refills only so fast that burst and refill together stay at
    ``share`` of the amount in every window.

    Attributes:
        name: by which a request says what it costs.
        amount: of weight, or of requests, in a window.
        period: the window's length in seconds.
        each: whether every instrument has a limit of its own.
        burst: part of the amount that may go at once.
        share: part of the amount that we use; others may ask from the same address.
    """

    name: str
    amount: float
    period: float
    each: bool = False
    burst: float = 0.25
    share: float = 0.9

    @property
    def capacity(self) -> float:
        """What may go at once; one request always may."""
        return max(1.0, self.amount * self.burst)

    def bucket(self) -> AsyncLimiter:
        """A full bucket."""
        refill = max(self.amount * self.share - self.capacity, self.amount * 0.1) / self.period
        return AsyncLimiter(self.capacity, self.capacity / refill)


class Limits:
    """The limits of one exchange, shared by all that asks it. Use it in one event loop."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._limits = {limit.name: limit for limit in limits}
        self._buckets: dict[tuple[str, str], AsyncLimiter] = {}

    async def take(self, costs: Mapping[str, float], instrument: str = "") -> None:
        """Wait until a request may be sent.

        Args:
            costs: weight by the limit's name.
            instrument: whose limit is meant, where every instrument has its own.
        """
        for name, cost in costs.items():
            limit = self._limits[name]
            key = (name, instrument if limit.each else "")
            if key not in self._buckets:
                self._buckets[key] = limit.bucket()
            # A request that costs more than the bucket holds would wait for ever.
            await self._buckets[key].acquire(min(cost, limit.capacity))
