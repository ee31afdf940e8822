"""The Fear & Greed index of alternative.me: a number a day for the whole market, 0 to 100."""

from __future__ import annotations

import pandas as pd

from brain.errors import PublisherRefusedError
from market.http.client import PUBLISHER, Client, ClientOwner, RetryPolicy, Service
from market.sentiment.publishers.fields import number, records, shape_error, time, value

__all__ = ["FearGreed"]

_PATH = "fng/"
_DAY = pd.Timedelta(days=1)
# A day's value is stamped with the day's beginning; it is not known how long after it appears.
_DELAY = pd.Timedelta(hours=1)


class FearGreed(ClientOwner):
    """The index, day by day; an async context manager. It needs no key.

    Args: see :class:`market.sentiment.publishers.base.Publisher`.
    """

    name = "fear_greed"
    url = "https://api.alternative.me"
    credentials: tuple[str, ...] = ()

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout: float = 10.0,
        retries: RetryPolicy | None = None,
    ) -> None:
        self.client = Client(
            base_url or self.url,
            service=Service(self.name, faults=PUBLISHER),
            timeout=timeout,
            retries=retries,
        )

    async def days(self, since: pd.Timestamp, now: pd.Timestamp) -> pd.DataFrame:
        """The index of the days since one.

        Args:
            since: a moment of the first day.
            now: the present.

        Returns:
            Rows of the kind ``indices``, a day each. A value counts as available an hour after the
            beginning of its day.

        Raises:
            PublisherError: the publisher does not answer, refuses, or answers in another shape.
        """
        count = max(2, (now - since) // _DAY + 2)
        answer = await self.client.get(_PATH, {"limit": int(count), "format": "json"})
        if error := value(self.name, answer, "metadata", "error", optional=True):
            raise PublisherRefusedError(f"fear_greed: {str(error)[:200]}; try again later")
        rows = records(self.name, answer, "data")
        values = [number(self.name, row, "value") for row in rows]
        if not all(0 <= v <= 100 for v in values):
            raise shape_error(self.name, "value", "is outside 0 to 100")
        times = pd.DatetimeIndex([time(self.name, row, "timestamp") for row in rows], tz="UTC")
        frame = pd.DataFrame({"time": times.as_unit("us"), "value": values})
        frame = frame[(frame["time"] >= since.floor("D")) & (frame["time"] <= now)]
        return frame.assign(index=self.name, available=frame["time"] + _DELAY)

    async def probe(self) -> str:
        """Ask for the latest values; what came, in words."""
        now = pd.Timestamp.now("UTC")
        rows = await self.days(now - 2 * _DAY, now)
        if rows.empty:
            raise shape_error(self.name, "data", "holds nothing of the last days")
        return f"{rows['value'].iloc[rows['time'].argmax()]:.0f} of 100"
