"""The interface of an exchange's live side, its *feed*: where it streams, and how frames are read.

A feed has *routes*, addresses with the *channels* that it has there, and does no input or output of
its own: what is sent, and what a frame says, are functions of what came before on the connection.
So frames that were recorded read as they did when they came.

A socket may stay open, acknowledge what is subscribed to, and send nothing. So each route has a
*canary*, channels that send whatever the market does; a frame of one is a *pulse*, at the moment
that the exchange wrote on it. What was pushed up to a pulse has come before it.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from brain.errors import ExchangeShapeError
from market.exchanges.base import Instrument
from market.http.parser import shape_of

__all__ = [
    "CANDLES",
    "LIQUIDATIONS",
    "SNAPSHOTS",
    "CandleRow",
    "Channel",
    "Feed",
    "FeedReader",
    "KeepAlive",
    "LiquidationRow",
    "Market",
    "Reading",
    "Route",
    "SnapshotPart",
    "Subscription",
    "UnreadableError",
    "amount",
    "candle",
    "chunks",
    "listing",
    "moment",
    "numbered",
    "optional_amount",
]

#: The kinds of series that are streamed.
LIQUIDATIONS, CANDLES, SNAPSHOTS = "liquidations", "candles", "snapshots"

# Milliseconds of the years 2000 and 2200: other numbers are of another unit.
_FIRST, _LAST = 946_684_800_000, 7_258_118_400_000


@dataclass(frozen=True)
class Market:
    """What is streamed from an exchange.

    Attributes:
        instruments: that are streamed.
        timeframe: of the candles.
    """

    instruments: tuple[Instrument, ...]
    timeframe: str


@dataclass(frozen=True)
class Channel:
    """One stream of frames.

    Attributes:
        name: as the exchange names it, ``btcusdt@markPrice@1s``.
        series: (symbol, kind) of the series that need it.
        canary: whether it sends whatever the market does.
    """

    name: str
    series: tuple[tuple[str, str], ...]
    canary: bool = False


@dataclass(frozen=True)
class Subscription:
    """A frame that subscribes.

    Attributes:
        text: of the frame.
        channels: names of those that it subscribes to.
    """

    text: str
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Route:
    """An address at which an exchange streams, and one connection's channels there.

    Attributes:
        name: ``market``, with a number where the channels need several connections.
        path: below the feed's address.
        channels: of the connection.
        subscriptions: what is sent to get them, in this order.
        patience: seconds between pulses, at most, for the time between to count as listened: what
            is dropped in a shorter silence can't be known.
    """

    name: str
    path: str
    channels: tuple[Channel, ...]
    subscriptions: tuple[Subscription, ...]
    patience: float = 2.5

    @property
    def silence(self) -> float:
        """Seconds without a pulse after which a connection is given up."""
        return 4 * self.patience


@dataclass(frozen=True)
class KeepAlive:
    """What a client has to send so that the exchange keeps the connection open.

    Attributes:
        text: of the frame; None: pings of the protocol are answered, which is enough.
        seconds: between two.
    """

    text: str | None = None
    seconds: float = 20.0


class LiquidationRow(NamedTuple):
    """A row of ``liquidations``, but for exchange and receive time; times in milliseconds."""

    symbol: str
    time: int
    order: str
    side: str
    base: float
    price: float
    price_kind: str


class CandleRow(NamedTuple):
    """A closed candle, but for exchange and timeframe; its open time in milliseconds."""

    symbol: str
    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float


class SnapshotPart(NamedTuple):
    """What a frame says of a symbol's present; NaN and None are not said.

    Attributes:
        symbol: canonical.
        time: at which it was so, in milliseconds.
        values: by column of ``snapshots``; ``next_funding`` in milliseconds.
    """

    symbol: str
    time: int
    values: Mapping[str, float]


@dataclass(slots=True)
class Reading:
    """What a frame says.

    Attributes:
        channel: whose frame it is; empty: it is an answer, or of a channel that is not known.
        pulse: of a canary: the exchange's clock, in milliseconds.
        liquidations, candles, snapshots: rows; of candles only those that are closed.
        accepted: channels to which the exchange subscribed this connection.
        refused: channels to which it did not, and why.
        closing: why the exchange will close the connection soon; empty: it won't.
    """

    channel: str = ""
    pulse: int | None = None
    liquidations: list[LiquidationRow] = field(default_factory=list)
    candles: list[CandleRow] = field(default_factory=list)
    snapshots: list[SnapshotPart] = field(default_factory=list)
    accepted: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    closing: str = ""


class Feed(ABC):
    """An exchange's live side."""

    #: The exchange's name, ``okx``.
    name: ClassVar[str]
    #: Its own address.
    url: ClassVar[str]
    #: How a connection is kept open.
    keep_alive: ClassVar[KeepAlive]
    #: Whether it pushes "all" liquidations, or they are "sampled": at most one a symbol and second.
    coverage: ClassVar[str]
    #: Seconds by which a liquidation may be pushed after its time.
    lag: ClassVar[float]
    #: Subscribing frames that may be sent in a second.
    requests_per_second: ClassVar[float]
    #: Seconds after which the exchange closes any connection; None: it does not.
    lifetime: ClassVar[float | None] = None

    @abstractmethod
    def routes(self, market: Market) -> tuple[Route, ...]:
        """The connections that stream a market.

        Raises:
            InputError: the exchange has no candles of the timeframe.
        """

    @abstractmethod
    def reader(self, route: Route, market: Market) -> FeedReader:
        """What reads the frames of one connection, from its beginning."""


class FeedReader(ABC):
    """Reads the frames of one connection, in the order in which they came.

    Args:
        route: of the connection.
        market: that is streamed there.
    """

    #: The exchange's name, for messages.
    exchange: ClassVar[str]

    def __init__(self, route: Route, market: Market) -> None:
        self.route, self.market = route, market
        self.channels = {channel.name: channel for channel in route.channels}
        self.instruments = {instrument.id: instrument for instrument in market.instruments}

    def read(self, text: str) -> Reading:
        """What a frame says.

        Raises:
            UnreadableError: it is of a channel, and not of the documented shape.
            ExchangeShapeError: it is of an unknown channel, and no answer.
        """
        if text == "pong":
            return Reading()
        message = document(text)
        reading = self.answer(message)
        if reading is not None:
            return reading
        name = self.channel_of(message)
        channel = self.channels.get(name)
        if channel is None:
            raise ExchangeShapeError(f"{self.exchange}: a frame is of no channel: {text[:80]!r}")
        try:
            reading = self.data(channel, message)
        except ExchangeShapeError as error:
            raise UnreadableError(f"{self.exchange} {name}: {error}", name) from error
        reading.channel = name
        return reading

    @abstractmethod
    def answer(self, message: Mapping[str, Any]) -> Reading | None:
        """What an answer to us says; None: the message is of a channel."""

    @abstractmethod
    def channel_of(self, message: Mapping[str, Any]) -> str:
        """The name of the channel that a message is of; empty if it names none."""

    @abstractmethod
    def data(self, channel: Channel, message: Mapping[str, Any]) -> Reading:
        """What a channel's message says.

        Raises:
            ExchangeShapeError: it is not of the documented shape.
        """

    def state(self) -> Any:
        """What was read so far, as far as later frames depend on it; for JSON."""
        return None

    def restore(self, state: Any) -> None:  # noqa: B027 (most have none)
        """Go on after a :meth:`state`."""


class UnreadableError(ExchangeShapeError):
    """A frame of a known channel that is not of the documented shape.

    Attributes:
        channel: its name.
    """

    def __init__(self, message: str, channel: str) -> None:
        super().__init__(message)
        self.channel = channel


def document(text: str) -> dict[str, Any]:
    """A frame's JSON object.

    Raises:
        ExchangeShapeError: it is none.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ExchangeShapeError(f"a frame is no JSON: {text[:80]!r}") from None
    if not isinstance(value, dict):
        raise ExchangeShapeError(f"a frame is no object: {shape_of(value)}")
    return value


def amount(row: Mapping[str, Any], name: str) -> float:
    """A field that is a finite number, or text that is one.

    Raises:
        ExchangeShapeError: it is none, or missing.
    """
    value = row.get(name)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise ExchangeShapeError(f"field {name!r} is no number, {shape_of(value)} came")


def optional_amount(row: Mapping[str, Any], name: str) -> float:
    """As :func:`market.exchanges.feed.amount`; NaN where the field is missing or empty."""
    return math.nan if row.get(name) in (None, "") else amount(row, name)


def moment(row: Mapping[str, Any], name: str) -> int:
    """A field that is milliseconds since 1970.

    Raises:
        ExchangeShapeError: it is not, or missing.
    """
    value = row.get(name)
    try:
        time = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else 0
    except ValueError:
        time = 0
    if not _FIRST <= time < _LAST:
        raise ExchangeShapeError(
            f"field {name!r} is no milliseconds of our time, {shape_of(value)} came"
        )
    return time


def candle(
    instrument: Instrument, row: Mapping[str, Any], names: Sequence[str], volume: float
) -> CandleRow:
    """The row of a closed candle, in the units of the symbol.

    Args:
        instrument: of the candle.
        row: of the frame.
        names: its fields of open time, open, high, low, close and volume in the quote currency.
        volume: in the exchange's base units.

    Raises:
        ExchangeShapeError: a field is no number or no time.
    """
    times = instrument.multiplier
    return CandleRow(
        instrument.symbol,
        moment(row, names[0]),
        amount(row, names[1]) * times,
        amount(row, names[2]) * times,
        amount(row, names[3]) * times,
        amount(row, names[4]) * times,
        volume / times,
        amount(row, names[5]),
    )


def listing(row: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A field that is a list of objects.

    Raises:
        ExchangeShapeError: it is not, or missing.
    """
    rows = row.get(name)
    if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
        raise ExchangeShapeError(f"field {name!r} is no list of objects, {shape_of(rows)} came")
    return rows


def numbered(orders: Iterable[str]) -> list[str]:
    """Names of a frame's orders: equal ones of one frame are different orders."""
    seen: dict[str, int] = {}
    names = []
    for order in orders:
        seen[order] = seen.get(order, 0) + 1
        names.append(order if seen[order] == 1 else f"{order} #{seen[order]}")
    return names


def chunks(channels: Sequence[Channel], size: int) -> list[tuple[Channel, ...]]:
    """The channels in groups of at most so many."""
    return [tuple(channels[at : at + size]) for at in range(0, len(channels), size)]
