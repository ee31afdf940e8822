"""How long a stream waits for what, and how often it stores."""

from __future__ import annotations

from dataclasses import dataclass

from market.exchanges.feed import Feed, Route

__all__ = ["Pace"]


@dataclass(frozen=True)
class Pace:
    """The times of a stream, in seconds.

    Attributes:
        commit: between two commits to the series store.
        flush: between two blocks of the recording, which is what a kill can lose.
        answer: that the exchange has to acknowledge what is subscribed to, and then for the first
            pulse.
        first_wait: before a connection is opened again, at most; later waits double.
        longest_wait: of these waits.
        segment: of the recording's segments, from which a killed stream goes on.
        segment_bytes: of a segment, after which the next begins too.
        keep: that the recording is kept.
        scale: of the exchanges' own times: keep-alives, patience and lags.
    """

    commit: float = 10.0
    flush: float = 0.5
    answer: float = 10.0
    first_wait: float = 0.5
    longest_wait: float = 60.0
    segment: float = 300.0
    segment_bytes: int = 32 * 2**20
    keep: float = 72 * 3600.0
    scale: float = 1.0

    def patience(self, route: Route) -> float:
        """Between pulses, at most, for the time between to count as listened."""
        return route.patience * self.scale

    def silence(self, route: Route) -> float:
        """Without a pulse, after which a connection is given up."""
        return route.silence * self.scale

    def lag(self, feed: Feed) -> float:
        """By which a liquidation may be pushed after its time."""
        return feed.lag * self.scale

    def lifetime(self, feed: Feed) -> float | None:
        """After which a connection is handed over, before the exchange closes it."""
        return None if feed.lifetime is None else 0.97 * feed.lifetime * self.scale
