"""What is known of one connection: how it was opened, and what the exchange has said on it since.

Live connections and recorded ones are known alike: by entries alone, without a clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from market.exchanges.base import Instrument
from market.exchanges.feed import Channel, Feed, FeedReader, Market, Route
from market.exchanges.feeds import FEEDS
from market.streams.listening import HOUR, SeriesName

__all__ = ["Connection", "Opening", "Present"]


@dataclass(frozen=True)
class Opening:
    """What an ``open`` entry says of a connection.

    Attributes:
        exchange: its name.
        route: name of the route.
        timeframe: of the candles.
        instruments: that are streamed from the exchange.
        lag: milliseconds by which a liquidation may be pushed after its time.
        patience: milliseconds between pulses, at most, for the time between to count as listened.
    """

    exchange: str
    route: str
    timeframe: str
    instruments: tuple[Instrument, ...]
    lag: int
    patience: int

    def text(self) -> str:
        """As JSON."""
        instruments = [
            [one.symbol, one.id, one.contract_size, one.multiplier, one.funding_interval_hours]
            for one in self.instruments
        ]
        return json.dumps({**asdict(self), "instruments": instruments}, ensure_ascii=False)

    @classmethod
    def parse(cls, text: str) -> Opening:
        """What :meth:`text` made."""
        values = json.loads(text)
        instruments = tuple(
            Instrument(values["exchange"], symbol, name, size, hours, None, None, "", multiplier)
            for symbol, name, size, multiplier, hours in values["instruments"]
        )
        return cls(**{**values, "instruments": instruments})

    def feed(self) -> Feed:
        """The exchange's feed."""
        return FEEDS[self.exchange]()

    def found_route(self) -> Route:
        """The route of that name."""
        routes = self.feed().routes(Market(self.instruments, self.timeframe))
        return next(route for route in routes if route.name == self.route)


@dataclass
class Present:
    """What is known of a symbol at present, on one connection."""

    time: int
    received: int
    values: dict[str, float]


class Connection:
    """What is known of one connection.

    Attributes:
        opening: how it was opened.
        waiting: channels to which the exchange has not yet said yes or no.
        refused: channels that there are not, and why.
        start: the moment from which it is listened to; None: not yet.
        last: the latest pulse.
        frames: how many came.
        closing: why the exchange will close it soon; empty: it has not said so.
    """

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        feed, route = opening.feed(), opening.found_route()
        self.coverage = feed.coverage
        self.reader: FeedReader = feed.reader(route, Market(opening.instruments, opening.timeframe))
        self.hours = {one.symbol: one.funding_interval_hours for one in opening.instruments}
        self.waiting = set(self.reader.channels)
        self.refused: dict[str, str] = {}
        self.start: int | None = None
        self.last = 0
        # How late the pulses came that prove an hour, by hour since 1970.
        self.delays: dict[int, int] = {}
        self.frames = 0
        self.closing = ""
        self.present: dict[str, Present] = {}
        # Series whose listening begins elsewhere than the connection's; None: at the next pulse.
        self.starts: dict[SeriesName, int | None] = {}
        self.covered: tuple[SeriesName, ...] = ()
        self.covered_set: frozenset[SeriesName] = frozenset()

    @property
    def all_series(self) -> list[SeriesName]:
        """All that the connection is for."""
        return self._series(self.reader.channels.values())

    def _series(self, channels: Iterable[Channel]) -> list[SeriesName]:
        exchange = self.opening.exchange
        named = (series for channel in channels for series in channel.series)
        return [(exchange, symbol, kind) for symbol, kind in dict.fromkeys(named)]

    def answer(self, accepted: Iterable[str], refused: Mapping[str, str]) -> None:
        """Note answers of the exchange."""
        self.waiting.difference_update(accepted)
        for name, reason in refused.items():
            if name in self.waiting:
                self.waiting.discard(name)
                self.refused[name] = reason
        if not self.waiting and not self.covered:
            lost = set(self.lost())
            self.covered = tuple(one for one in self.all_series if one not in lost)
            self.covered_set = frozenset(self.covered)

    def lost(self) -> dict[SeriesName, str]:
        """The series of which a channel was refused, and why."""
        return {
            one: f"refused: {reason}"
            for name, reason in self.refused.items()
            for one in self._series([self.reader.channels[name]])
        }

    def series_of(self, channel: str) -> list[SeriesName]:
        """Of the covered series those of a channel."""
        series = self._series([self.reader.channels[channel]])
        return [one for one in series if one in self.covered_set]

    def since(self, series: SeriesName) -> int | None:
        """From when a covered series is listened to; None: it is not."""
        return self.starts.get(series, self.start) if self.start is not None else None

    @property
    def until(self) -> int:
        """Up to when it is proved."""
        return self.last - self.opening.lag

    def pulse(self, moment: int, received: int) -> None:
        """Take a pulse; one that is older than the latest proves nothing more.

        Args:
            moment, received: by the exchange's clock and by ours, in milliseconds.
        """
        if self.start is None:
            self.start, self.last = moment, moment - 1
        if moment <= self.last:
            return
        first = max(self.until, self.start) // HOUR
        self.last = moment
        for hour in range(first, self.until // HOUR + 1):
            delay = received - moment
            self.delays[hour] = max(self.delays.get(hour, delay), delay)

    def forget_delays(self) -> None:
        """Leave out those of hours that are on record."""
        present = self.until // HOUR
        self.delays = {hour: delay for hour, delay in self.delays.items() if hour >= present}

    def state(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "opening": self.opening.text(),
            "waiting": sorted(self.waiting),
            "refused": self.refused,
            "start": self.start,
            "last": self.last,
            "delays": list(self.delays.items()),
            "starts": [[*series, start] for series, start in self.starts.items()],
            "reader": self.reader.state(),
            "present": {symbol: asdict(one) for symbol, one in self.present.items()},
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Connection:
        """After a :meth:`state`."""
        connection = cls(Opening.parse(state["opening"]))
        connection.waiting = set(state["waiting"])
        connection.refused = dict(state["refused"])
        connection.answer((), {})
        connection.start, connection.last = state["start"], state["last"]
        # A recording of before there were delays has none.
        connection.delays = dict(state.get("delays", ()))
        connection.starts = {
            (exchange, symbol, kind): start for exchange, symbol, kind, start in state["starts"]
        }
        connection.reader.restore(state["reader"])
        connection.present = {symbol: Present(**one) for symbol, one in state["present"].items()}
        return connection
