"""A server of three fake exchanges on loopback: Binance USD-M, Bybit v5 and OKX v5, over REST.

:class:`ExchangeServer` serves a synthetic history whose exact values are those of :class:`Truth`,
with the page limits, orders, retention, error codes and rate limits of the real exchanges, and with
the :class:`Faults` that a test sets. Written from the exchanges' documentation and recorded
answers, independently of our clients, which are tested against it.
"""

from tests.market.exchange_server.catalogue import (
    CHANGED,
    DELISTED,
    EXCHANGES,
    LISTED,
    NOW,
    RENAMED,
)
from tests.market.exchange_server.faults import Faults
from tests.market.exchange_server.holes import Hole, Swap
from tests.market.exchange_server.live import Event, Live
from tests.market.exchange_server.server import ExchangeServer, Request
from tests.market.exchange_server.truth import Truth

__all__ = [
    "CHANGED",
    "DELISTED",
    "EXCHANGES",
    "LISTED",
    "NOW",
    "RENAMED",
    "Event",
    "ExchangeServer",
    "Faults",
    "Hole",
    "Live",
    "Request",
    "Swap",
    "Truth",
]
