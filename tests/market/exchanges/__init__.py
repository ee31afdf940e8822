"""Three venues on loopback: Binance USD-M, Bybit v5 and OKX v5 as their REST interfaces speak.

:class:`Exchanges` serves a synthetic history that :class:`Truth` knows to the last bit, with the
page limits, orders, look-backs, error codes and rate limits of the real venues, and with the
:class:`Faults` that a test asks for. Written from the venues' documentation and recorded answers,
not from our clients: it is their judge.
"""

from tests.market.exchanges.catalogue import CHANGED, DELISTED, LISTED, NOW, RENAMED, VENUES
from tests.market.exchanges.faults import Faults
from tests.market.exchanges.holes import Hole, Swap
from tests.market.exchanges.server import Exchanges, Request
from tests.market.exchanges.truth import Truth

__all__ = [
    "CHANGED",
    "DELISTED",
    "LISTED",
    "NOW",
    "RENAMED",
    "VENUES",
    "Exchanges",
    "Faults",
    "Hole",
    "Request",
    "Swap",
    "Truth",
]
