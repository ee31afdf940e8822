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
from dataclasses import dataclass, field
from typing import NamedTuple

from brain.errors import ExchangeShapeError
from market.exchanges.feed import (
    CandleRow,
    LiquidationRow,
    SnapshotPart,
    UnreadableError,
)
from market.streams.connection_state import Connection, Opening, Present
from market.streams.listening import Listening, SeriesName
from market.streams.recording import Entry

__all__ = ["Normaliser", "Rows", "SnapshotRow"]

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
            present = connection.present[part.symbol] = Present(part.time, received, {})
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
