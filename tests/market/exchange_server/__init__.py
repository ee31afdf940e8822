"""Three exchanges on loopback: Binance USD-M, Bybit v5 and OKX v5 as their REST interfaces speak.

:class:`Exchanges` serves a synthetic history that :class:`Truth` knows to the last bit, with the
page limits, orders, look-backs, error codes and rate limits of the real exchanges, and with the
:class:`Faults` that a test asks for. Written from the exchanges' documentation and recorded answers,
not from our clients: it is their judge.
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
from tests.market.exchange_server.server import Exchanges, Request
from tests.market.exchange_server.truth import Truth

__all__ = [
    "CHANGED",
    "DELISTED",
    "EXCHANGES",
    "LISTED",
    "NOW",
    "RENAMED",
    "Exchanges",
    "Faults",
    "Hole",
    "Request",
    "Swap",
    "Truth",
]
