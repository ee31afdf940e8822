"""Exchanges and their clients, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from market.exchanges.base import (
        Exchange as Exchange,
        Instrument as Instrument,
        Probe as Probe,
    )
    from market.exchanges.catalogue import (
        EXCHANGES as EXCHANGES,
        exchange_of as exchange_of,
        open_exchange as open_exchange,
    )

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.exchanges.base": "Instrument Probe Exchange",
        "market.exchanges.catalogue": "EXCHANGES open_exchange exchange_of",
    },
)
