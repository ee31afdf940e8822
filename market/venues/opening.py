"""Venues by name: our own clients for three, ccxt for the others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from market.venues.base import Venue
from registry.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from registry.settings import Settings

__all__ = ["VENUES", "open_venue", "venue_of"]

_OWN = {
    "binance": ("market.venues.binance", "Binance"),
    "bybit": ("market.venues.bybit", "Bybit"),
    "okx": ("market.venues.okx", "Okx"),
}

#: The venues that we ask by ourselves; every kind of history is had from them.
VENUES: tuple[str, ...] = tuple(_OWN)


def open_venue(name: str, *, base_url: str | None = None, timeout: float = 10.0) -> Venue:
    """The client of a venue; an async context manager. Nothing is asked yet.

    Args:
        name: one of :data:`VENUES`, or any exchange that ccxt knows, by ccxt's name.
        base_url: instead of the venue's own address; a user and password in it are never shown.
        timeout: seconds that one attempt may last.

    Raises:
        InputError: there is no such venue, or the base URL is none.
    """
    if name in _OWN:
        module, kind = _OWN[name]
        venue: Venue = getattr(import_module(module), kind)(base_url, timeout=timeout)
        return venue
    # ccxt is slow to import, so not before somebody wants it.
    from market.venues.generic import GenericVenue, known_to_ccxt

    known = known_to_ccxt()
    if name not in known:
        raise InputError(f"no exchange is called {name!r}; {did_you_mean(name, [*VENUES, *known])}")
    return GenericVenue(name, base_url, timeout=timeout)


def venue_of(settings: Settings, name: str) -> Venue:
    """The client of a venue at the address and with the patience that the settings say.

    Raises:
        InputError: as :func:`open_venue`; or the venue has no history of the settings' timeframe.
    """
    url = getattr(settings, f"{name}_url", None)
    venue = open_venue(name, base_url=url, timeout=settings.request_timeout)
    venue.check_timeframe(settings.timeframe)
    return venue
