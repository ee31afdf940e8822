"""From what came to rows: the one function of a recording that live streams and replays share.

It takes entries one by one (:class:`market.streams.recording.Entry`), live as they come, and gives
rows of ``liquidations``, ``candles`` and ``snapshots`` and what of its time was listened to. It
reads no clock: the same entries give the same rows.
"""

from __future__ import annotations

import json
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from brain.errors import ExchangeShapeError
from market.exchanges.base import Instrument
from market.exchanges.feed import (
    CandleRow,
    Channel,
    Feed,
    FeedReader,
    LiquidationRow,
    Market,
    Route,
    SnapshotPart,
    UnreadableError,
)
from market.exchanges.feeds import FEEDS
from market.streams.listening import HOUR, Listening, SeriesName
from market.streams.recording import Entry

__all__ = ["Connection", "Normaliser", "Opening", "Rows", "SnapshotRow"]

logger = logging.getLogger(__name__)

#: Milliseconds.
_MINUTE = 60_000


class SnapshotRow(NamedTuple):
    """A row of ``snapshots``, but for the exchange; times in milliseconds, received in micro."""

    symbol: str
    time: int
    received: int
    values: Mapping[str, float]


@dataclass
class Rows:
    """Rows by kind, each with its exchange; of liquidations with the receive time in microseconds.

    Attributes:
        liquidations: (exchange, coverage, received, row).
        candles: (exchange, timeframe, row).
        snapshots: (exchange, row).
    """

    liquidations: list[tuple[str, str, int, LiquidationRow]] = field(default_factory=list)
    candles: list[tuple[str, str, CandleRow]] = field(default_factory=list)
    snapshots: list[tuple[str, SnapshotRow]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.liquidations) + len(self.candles) + len(self.snapshots)


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
class _Present:
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
        self.present: dict[str, _Present] = {}
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
        connection.present = {symbol: _Present(**one) for symbol, one in state["present"].items()}
        return connection


class Normaliser:
    """Makes rows of entries.

    Attributes:
        rows: made since :meth:`take_rows`.
        listening: what of its time each series was listened to.
        connections: those that are open, by number.
        unreadable: how many frames could not be read, by exchange.
        impossible: how many snapshots can't be true, by exchange.
        trouble: the latest frame that could not be read, in words.
    """

    def __init__(self) -> None:
        self.rows = Rows()
        self.listening = Listening()
        self.connections: dict[int, Connection] = {}
        self.unreadable: Counter[str] = Counter()
        self.impossible: Counter[str] = Counter()
        self.trouble = ""
        self._now = 0

    def take(self, entry: Entry) -> None:
        """Take the next entry."""
        self._now = entry.received
        if entry.event == "frame":
            connection = self.connections.get(entry.connection)
            if connection is not None:
                self._frame(connection, entry)
        else:
            self._events[entry.event](self, entry)

    def take_rows(self) -> Rows:
        """The rows that were made since the last call."""
        rows, self.rows = self.rows, Rows()
        return rows

    def note_listening(self) -> None:
        """Bring the record of listening up to now."""
        heard = set()
        for connection in self.connections.values():
            for series in connection.covered:
                since = connection.since(series)
                if since is not None:
                    heard.add(series)
                    self.listening.cover(series, since, connection.until, connection.delays)
            connection.forget_delays()
        for series in self.listening.series():
            if series not in heard:
                self.listening.lasting(series, self._now // 1000)

    def state(self) -> str:
        """All that later entries depend on, as JSON."""
        return json.dumps(
            {
                "listening": self.listening.state(),
                "connections": {n: one.state() for n, one in self.connections.items()},
            },
            ensure_ascii=False,
        )

    # --- events -----------------------------------------------------------------------------------

    def _state(self, entry: Entry) -> None:
        """Begin here; where the reading began before, this says what is known already."""
        if self.connections or any(True for _ in self.listening.series()):
            return
        state = json.loads(entry.text)
        self.listening.restore(state["listening"])
        self.connections = {
            int(number): Connection.restored(one) for number, one in state["connections"].items()
        }

    def _begin(self, entry: Entry) -> None:
        for exchange, symbol, kind, since, reason in json.loads(entry.text)["series"]:
            self.listening.begin((exchange, symbol, kind), since, reason)

    def _open(self, entry: Entry) -> None:
        self.connections[entry.connection] = Connection(Opening.parse(entry.text))

    def _lack(self, entry: Entry) -> None:
        connection = self.connections.get(entry.connection)
        if connection is not None:
            self._answer(connection, (), json.loads(entry.text)["refused"])

    def _close(self, entry: Entry) -> None:
        connection = self.connections.pop(entry.connection, None)
        if connection is not None:
            reason = json.loads(entry.text)["reason"]
            self._stop_listening(connection, connection.all_series, reason)
            for symbol in connection.present:
                self._put_snapshot(connection, symbol)

    def _end(self, entry: Entry) -> None:
        for series in self.listening.series():
            self.listening.miss(series, json.loads(entry.text)["reason"])

    _events = {  # noqa: RUF012 (of the class)
        "state": _state,
        "begin": _begin,
        "open": _open,
        "lack": _lack,
        "close": _close,
        "end": _end,
    }

    # --- frames -----------------------------------------------------------------------------------

    def _frame(self, connection: Connection, entry: Entry) -> None:
        connection.frames += 1
        exchange = connection.opening.exchange
        try:
            reading = connection.reader.read(entry.text)
        except ExchangeShapeError as error:
            self._note_unreadable(connection, error)
            return
        except Exception as error:
            # A frame that breaks its reader would do so again after every start.
            logger.exception("%s: a frame broke its reader, which is our fault", exchange)
            self._note_unreadable(
                connection, ExchangeShapeError(f"{type(error).__name__}: {error}")
            )
            return
        if reading.accepted or reading.refused:
            self._answer(connection, reading.accepted, reading.refused)
        connection.closing = connection.closing or reading.closing
        for liquidation in reading.liquidations:
            self.rows.liquidations.append(
                (exchange, connection.coverage, entry.received, liquidation)
            )
        for candle in reading.candles:
            self.rows.candles.append((exchange, connection.opening.timeframe, candle))
        for part in reading.snapshots:
            self._merge(connection, part, entry.received)
        if reading.pulse is not None:
            received = entry.received // 1000
            self._pulse(connection, reading.pulse or received, received)

    def _answer(
        self, connection: Connection, accepted: Iterable[str], refused: Mapping[str, str]
    ) -> None:
        connection.answer(accepted, refused)
        if refused and not connection.waiting:
            for series, reason in connection.lost().items():
                self.listening.miss(series, reason)

    def _pulse(self, connection: Connection, moment: int, received: int) -> None:
        if connection.waiting:
            return
        if connection.start is not None and moment - connection.last > connection.opening.patience:
            seconds = (moment - connection.last) / 1000
            reason = f"nothing came for {seconds:.1f} s"
            self._stop_listening(connection, connection.covered, reason)
            connection.start = None
            connection.starts.clear()
        connection.pulse(moment, received)
        for series, since in connection.starts.items():
            if since is None:
                connection.starts[series] = connection.last

    def _note_unreadable(self, connection: Connection, error: ExchangeShapeError) -> None:
        """What a frame held that can't be read is not known: its series were not listened to."""
        self.unreadable[connection.opening.exchange] += 1
        self.trouble = str(error)
        if isinstance(error, UnreadableError):
            series: Iterable[SeriesName] = connection.series_of(error.channel)
        else:
            series = connection.covered
        if connection.start is not None:
            self._stop_listening(connection, series, f"unreadable: {str(error)[:120]}")
            connection.starts.update(dict.fromkeys(series))

    def _stop_listening(
        self, connection: Connection, stopped: Iterable[SeriesName], reason: str
    ) -> None:
        """Bring the record of some series up to the latest pulse; it ends there."""
        for series in stopped:
            since = connection.since(series)
            if since is not None and series in connection.covered_set:
                self.listening.cover(series, since, connection.until, connection.delays)
            if not self._heard_elsewhere(series, connection):
                self.listening.miss(series, reason)

    def _heard_elsewhere(self, series: SeriesName, connection: Connection) -> bool:
        return any(
            other is not connection
            and series in other.covered_set
            and other.since(series) is not None
            for other in self.connections.values()
        )

    # --- snapshots --------------------------------------------------------------------------------

    def _merge(self, connection: Connection, part: SnapshotPart, received: int) -> None:
        """Keep what is known at present; its last of every minute is a row."""
        present = connection.present.get(part.symbol)
        if present is None:
            present = connection.present[part.symbol] = _Present(part.time, received, {})
        elif part.time // _MINUTE > present.time // _MINUTE:
            self._put_snapshot(connection, part.symbol)
        present.values.update({k: v for k, v in part.values.items() if not math.isnan(v)})
        present.time = max(present.time, part.time)
        present.received = received

    def _put_snapshot(self, connection: Connection, symbol: str) -> None:
        present = connection.present[symbol]
        values, exchange = dict(present.values), connection.opening.exchange
        if not _possible(values):
            self.impossible[exchange] += 1
            return
        hours = connection.hours.get(symbol)
        if hours is not None:
            values.setdefault("interval_hours", hours)
        row = SnapshotRow(symbol, present.time, present.received, values)
        self.rows.snapshots.append((exchange, row))


def _possible(values: Mapping[str, float]) -> bool:
    """Whether what is known of a symbol's present can be true."""
    mark, rate = values.get("mark_price", 1.0), values.get("funding_rate", 0.0)
    interest = values.get("open_interest", 0.0), values.get("open_interest_usd", 0.0)
    return mark > 0 and abs(rate) < 1 and min(interest) >= 0
