"""The interface of an exchange client, in one vocabulary.

Times are UTC. Symbols are canonical linear perpetuals, ``BTC/USDT:USDT``. Amounts are in base
units, values in US dollars (the quote currency of a linear perpetual, a dollar stablecoin, counted
as one dollar). What an exchange doesn't publish is NaN or NaT, never 0.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import pandas as pd

from brain.errors import ExchangeShapeError, InputError
from brain.naming import perpetual
from brain.series.bars import parse_timeframe
from market.http.closing import Closing

__all__ = [
    "FUNDING_HOURS",
    "Exchange",
    "Instrument",
    "OddRow",
    "Page",
    "Probe",
    "canonical",
    "settles_in_dollars",
]

#: Hours between settlements that exchanges have.
FUNDING_HOURS = (24, 12, 8, 6, 4, 3, 2, 1)

_DOLLARS = frozenset({"BUSD", "FDUSD", "PYUSD", "RLUSD", "TUSD"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Instrument:
    """A linear perpetual as an exchange lists it.

    Attributes:
        exchange: the exchange's name, ``okx``.
        symbol: the canonical symbol, ``BTC/USDT:USDT``.
        id: the exchange's own name of it, ``BTC-USDT-SWAP``.
        contract_size: the exchange's base units of one contract; 1 where it counts in base units.
        funding_interval_hours: hours between settlements at present; None if unknown.
        listed: when trading began; None if unknown.
        delisted: when trading ended or will end; None while that is not set.
        status: as the exchange calls it, ``live``.
        multiplier: the exchange's base units in one of the symbol's: 1000 of ``1000SHIB/USDT:USDT``
            where the exchange quotes SHIB. Prices are multiplied by it, amounts divided.
    """

    exchange: str
    symbol: str
    id: str
    contract_size: float
    funding_interval_hours: float | None
    listed: pd.Timestamp | None
    delisted: pd.Timestamp | None
    status: str
    multiplier: float = 1.0


@dataclass(frozen=True)
class OddRow:
    """A row of an exchange's list of instruments that can't be read.

    Attributes:
        id: the exchange's own name of the instrument; None if that can't be read either.
        symbol: canonical; None if unknown.
        error: names the field.
    """

    id: str | None
    symbol: str | None
    error: ExchangeShapeError


@dataclass(frozen=True, eq=False)
class Page:
    """Some rows of a history.

    Attributes:
        rows: a frame with the columns of the kind in the series store, except ``collected``.
        impossible: of rows that can't be true, what is wrong with each, by time; they are not
            among ``rows``.
        error: of a row that can't be read; None: there is none. The other rows are good.
    """

    rows: pd.DataFrame
    impossible: Mapping[pd.Timestamp, str] = field(default_factory=dict)
    error: ExchangeShapeError | None = None


@dataclass(frozen=True)
class Probe:
    """One request to one endpoint, to check that its answers still have the documented shape.

    Attributes:
        name: the endpoint's path, ``fapi/v1/klines``.
        run: sends the request and parses the answer. Raises ExchangeShapeError naming exchange,
            endpoint and the field that differs, and the other errors of :class:`Exchange`.
    """

    name: str
    run: Callable[[], Awaitable[None]]


class Exchange(Closing):
    """The client of an exchange, over REST. As an async context manager it closes its connections.

    One object serves all symbols and kinds at once: requests run in parallel within the exchange's
    rate limits, and a pause that the exchange orders holds for all of them.

    Every method that sends requests raises

    - :class:`~brain.errors.ExchangeUnreachableError` if the exchange doesn't answer, naming its
      host, or does not serve this network or country
      (:class:`~brain.errors.ExchangeBlockedError`);
    - :class:`~brain.errors.RateLimitedError` if there are too many requests at every attempt;
    - :class:`~brain.errors.ExchangeRefusedError` if it answers with an error of its own
      (:class:`~brain.errors.NoSuchInstrumentError` if that says that there is no such instrument);
    - :class:`~brain.errors.ExchangeShapeError` if an answer lacks a field that is needed, or its
      times are in another unit, off the grid or not those that were asked for.

    The histories come as pages (:class:`Page`), holding rows of ``[start, end)`` in any order, no
    row twice. Rows that the exchange doesn't have are absent without an error: comparing with the
    grid is the caller's part. A row that can't be true is none of the page's rows, and is named
    there; one that can't be read is an ExchangeShapeError after the last page.
    A start before :meth:`oldest` is moved up to it, because an exchange refuses to look further
    back.
    """

    #: The exchange's name, ``okx``.
    name: ClassVar[str]

    @property
    @abstractmethod
    def retention(self) -> Mapping[str, pd.Timedelta | None]:
        """How far back from now the exchange keeps each kind of history; None: to the listing."""

    def oldest(self, kind: str, timeframe: str, now: pd.Timestamp) -> pd.Timestamp | None:
        """The earliest time of a history that the exchange still keeps; None: from the listing.

        Args:
            kind: ``candles``, ``funding`` or ``open_interest``.
            timeframe: of the history; any for funding.
            now: the exchange's time.
        """
        retention = self.retention[kind]
        return None if retention is None else now - retention

    def lacks(self, kind: str) -> str:
        """Why the exchange has no history of a kind; empty if it has one."""
        return ""

    def check_timeframe(self, timeframe: str) -> None:
        """Check that the exchange has histories of a timeframe.

        Raises:
            InputError: it has no candles or no open interest of it; the message names what it has.
        """
        parse_timeframe(timeframe)

    @abstractmethod
    async def instruments(self) -> dict[str, Instrument]:
        """The linear perpetuals by canonical symbol, with delisted ones where the exchange has any.

        Requested once; later calls return the same instruments. Rows that can't be read are left
        out; :attr:`odd_rows` has them afterwards.
        """

    @property
    @abstractmethod
    def odd_rows(self) -> tuple[OddRow, ...]:
        """The rows of the list of instruments that can't be read."""

    @abstractmethod
    async def server_time(self) -> pd.Timestamp:
        """The exchange's clock now, requested from it."""

    @abstractmethod
    def candles(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[Page]:
        """Pages of ``candles``: only closed ones, by the exchange's clock.

        ``time`` is the open time. Prices in the quote currency, ``volume`` in base units,
        ``quote_volume`` in the quote currency, NaN if unknown.

        Raises:
            InputError: the exchange has no such timeframe.
        """

    @abstractmethod
    def funding(
        self, instrument: Instrument, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[Page]:
        """Pages of ``funding``: settled rates.

        ``time`` is the settlement, floored to the minute, since exchanges are some milliseconds
        late. ``rate`` is a fraction per interval. ``interval_hours`` follows from the neighbouring
        settlements, or else is the instrument's present interval, or else NaN. ``mark_price`` is
        NaN where the exchange doesn't publish it.
        """

    @abstractmethod
    def open_interest(
        self, instrument: Instrument, timeframe: str, start: pd.Timestamp, end: pd.Timestamp
    ) -> AsyncIterator[Page]:
        """Pages of ``open_interest`` whose period is over, by the exchange's clock.

        ``time`` is the exchange's stamp, the period's beginning. ``base`` is in base units,
        of one side of the market on every exchange; ``usd`` is its value, NaN if unknown.

        Raises:
            InputError: the exchange has no such timeframe.
        """

    @abstractmethod
    async def snapshot(self, instrument: Instrument) -> pd.DataFrame:
        """One row of ``snapshots``: mark price, upcoming funding and open interest at present."""

    @abstractmethod
    def probes(self) -> list[Probe]:
        """A probe of every endpoint that is used, with a large symbol."""


def canonical(base: str, quote: str) -> str | None:
    """The symbol of a linear perpetual; None if its name can't be written as one."""
    try:
        return perpetual(f"{base}/{quote}")
    except InputError:
        logger.debug("%s/%s is left out: no symbol can be written so", base, quote)
        return None


def settles_in_dollars(quote: str) -> bool:
    """Whether a currency is the dollar or a stablecoin of it."""
    return quote.startswith("USD") or quote in _DOLLARS
