"""What of its time a streamed series was listened to: stretches that are proved, and the others.

Nothing that happened in a stretch can have come unseen. It begins with the first pulse after the
exchange had subscribed the connection, and ends a lag before the latest: what happened later may
still be on its way. Pulses too far apart prove nothing of the time between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["HOUR", "Listening", "ListeningRow", "SeriesName"]

#: Milliseconds.
HOUR = 3_600_000

#: Exchange, symbol and kind.
SeriesName = tuple[str, str, str]


class ListeningRow(NamedTuple):
    """A row of ``listening``; times in milliseconds of the exchange's clock.

    ``delay`` is how long after its time, by our clock, the latest pulse came that proves a part of
    it; None where it was not listened to.
    """

    series: SeriesName
    start: int
    end: int
    reason: str
    delay: int | None = None


@dataclass(slots=True)
class _Stretch:
    """The latest stretch of a series.

    Attributes:
        start: of its row, the present hour's.
        until: up to here it is proved.
        reason: why what follows is not, as far as it is known.
        broken: whether what follows has a row of its own.
        delay: of its row.
    """

    start: int
    until: int
    reason: str
    broken: bool = True
    delay: int | None = None


@dataclass
class Listening:
    """Joins what was listened to on any connection to the rows of each series."""

    _stretches: dict[SeriesName, _Stretch] = field(default_factory=dict)
    _rows: dict[tuple[SeriesName, int], ListeningRow] = field(default_factory=dict)

    def begin(self, series: SeriesName, since: int, reason: str) -> None:
        """Take a series up: nothing since a moment was listened to, for that reason."""
        stretch = self._stretches.get(series)
        if stretch is None:
            self._stretches[series] = _Stretch(since, since, reason)
        else:
            self.miss(series, reason)

    def cover(
        self, series: SeriesName, start: int, end: int, delays: Mapping[int, int] | None = None
    ) -> None:
        """Note that ``[start, end)`` was listened to; nothing is done where that is no time.

        Args:
            series: that was.
            start, end: of the stretch.
            delays: by hour since 1970, with which the pulses came that prove it.
        """
        delays = {} if delays is None else delays
        stretch = self._stretches.get(series)
        if stretch is None:
            stretch = self._stretches[series] = _Stretch(start, start, "")
        if end <= max(start, stretch.until):
            return
        if start > stretch.until:
            self._put(ListeningRow(series, stretch.until, start, stretch.reason or "unknown"))
            stretch.start, stretch.delay = start, None
        elif stretch.broken:
            # There may be a row already that says that it was not listened to from here on.
            stretch.start, stretch.delay = stretch.until, None
        stretch.broken = False
        while stretch.start // HOUR < (end - 1) // HOUR:
            hour = (stretch.start // HOUR + 1) * HOUR
            self._put_listened(series, stretch, hour, delays)
            stretch.start, stretch.delay = hour, None
        stretch.until = end
        self._put_listened(series, stretch, end, delays)

    def miss(self, series: SeriesName, reason: str) -> None:
        """Say why what follows the latest stretch is not listened to."""
        stretch = self._stretches.get(series)
        if stretch is not None:
            stretch.reason, stretch.broken = reason, True

    def lasting(self, series: SeriesName, now: int) -> None:
        """Note that a series is still not listened to now."""
        stretch = self._stretches.get(series)
        if stretch is not None and now > stretch.until:
            self._put(ListeningRow(series, stretch.until, now, stretch.reason or "unknown"))

    def until(self, series: SeriesName) -> int | None:
        """Up to when a series was listened to; None: it is not known here."""
        stretch = self._stretches.get(series)
        return None if stretch is None else stretch.until

    def take(self) -> list[ListeningRow]:
        """The rows that are new or have changed since the last call."""
        rows, self._rows = list(self._rows.values()), {}
        return rows

    def series(self) -> Iterator[SeriesName]:
        """All that were taken up."""
        return iter(self._stretches)

    def state(self) -> list[Any]:
        """For JSON."""
        return [
            [*series, one.start, one.until, one.reason, one.broken, one.delay]
            for series, one in self._stretches.items()
        ]

    def restore(self, state: Iterable[Any]) -> None:
        """Go on after a :meth:`state`."""
        for exchange, symbol, kind, *stretch in state:
            self._stretches[exchange, symbol, kind] = _Stretch(*stretch)

    def _put_listened(
        self, series: SeriesName, stretch: _Stretch, end: int, delays: Mapping[int, int]
    ) -> None:
        delay = delays.get(stretch.start // HOUR)
        if delay is not None:
            stretch.delay = delay if stretch.delay is None else max(stretch.delay, delay)
        self._put(ListeningRow(series, stretch.start, end, "", stretch.delay))

    def _put(self, row: ListeningRow) -> None:
        self._rows[row.series, row.start] = row
