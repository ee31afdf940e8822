"""Rate limits, kept on our side: weights are taken from buckets that refill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

__all__ = ["Limit", "Limits"]


@dataclass(frozen=True)
class Limit:
    """What a service allows in a window of time.

    A service's windows begin at moments that are unknown here. A bucket that holds the whole amount
    would let twice that through: a burst, and within the same window all that is refilled. So the
    bucket holds a part, ``burst``, and refills only so fast that burst and refill together stay at
    ``share`` of the amount in every window.

    Attributes:
        name: by which a request states its cost.
        amount: of weight, or of requests, in a window.
        period: the window's length in seconds.
        partitioned: whether each partition (an instrument, say) has a limit of its own.
        burst: part of the amount that may go at once.
        share: part of the amount that is used; others may send requests from the same address.
    """

    name: str
    amount: float
    period: float
    partitioned: bool = False
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
    """The limits of one service, shared by all requests to it. Use it in one event loop."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._limits = {limit.name: limit for limit in limits}
        self._buckets: dict[tuple[str, str], AsyncLimiter] = {}

    async def take(self, costs: Mapping[str, float], partition: str = "") -> None:
        """Wait until a request may be sent.

        Args:
            costs: weight by the limit's name.
            partition: of the limits that are partitioned.
        """
        for name, cost in costs.items():
            limit = self._limits[name]
            key = (name, partition if limit.partitioned else "")
            if key not in self._buckets:
                self._buckets[key] = limit.bucket()
            # A request that costs more than the bucket holds would wait for ever.
            await self._buckets[key].acquire(min(cost, limit.capacity))
