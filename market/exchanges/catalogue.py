"""Exchanges by name: clients of our own for three, ccxt for the others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from brain.errors import InputError, did_you_mean
from brain.naming import spot_exchange
from market.exchanges.base import Exchange

if TYPE_CHECKING:
    from brain.settings import Settings

__all__ = ["EXCHANGES", "check_exchange", "exchange_of", "known_exchange", "open_exchange"]

_CLIENTS = {
    "binance": ("market.exchanges.binance", "Binance"),
    "bybit": ("market.exchanges.bybit", "Bybit"),
    "okx": ("market.exchanges.okx", "Okx"),
}

#: The exchanges with a client of our own; every kind of history can be collected from them.
EXCHANGES: tuple[str, ...] = tuple(_CLIENTS)

# Nothing can be asked of these any more, and people keep files of theirs.
_CLOSED = ("abucoins", "bittrex", "cryptopia", "ftx", "itbit", "liquid", "okex", "quadrigacx")


def open_exchange(name: str, *, base_url: str | None = None, timeout: float = 10.0) -> Exchange:
    """The client of an exchange; an async context manager. No request is sent yet.

    Args:
        name: one of :data:`EXCHANGES`, or any exchange of ccxt, by ccxt's name.
        base_url: instead of the exchange's own address; a user and password in it are never shown.
        timeout: seconds that one attempt may last.

    Raises:
        InputError: there is no such exchange, or the base URL is none.
    """
    if name in _CLIENTS:
        module, class_name = _CLIENTS[name]
        exchange: Exchange = getattr(import_module(module), class_name)(base_url, timeout=timeout)
        return exchange
    # ccxt is slow to import, so only where it is needed.
    from market.exchanges.generic import GenericExchange, ccxt_exchanges

    if name not in ccxt_exchanges():
        raise _no_exchange(name)
    return GenericExchange(name, base_url, timeout=timeout)


def known_exchange(name: str) -> bool:
    """Whether an exchange has or had that name, here or in ccxt."""
    if name in _CLIENTS or name in _CLOSED:
        return True
    if not name.isalnum() or not name.islower():
        return False
    from market.exchanges.generic import ccxt_exchanges

    return name in ccxt_exchanges()


def check_exchange(name: str) -> None:
    """Check the name of an exchange, or of its spot market, ``kraken-spot``.

    Raises:
        InputError: no exchange has or had that name.
    """
    exchange = spot_exchange(name) or name
    if not known_exchange(exchange):
        raise _no_exchange(exchange)


def _no_exchange(name: str) -> InputError:
    from market.exchanges.generic import ccxt_exchanges

    names = {*EXCHANGES, *ccxt_exchanges()}
    return InputError(f"no exchange is called {name!r}; {did_you_mean(name, names)}")


def exchange_of(settings: Settings, name: str) -> Exchange:
    """The client of an exchange with the settings' address and timeout.

    Raises:
        InputError: as :func:`open_exchange`; or the exchange has no history of the settings'
            timeframe.
    """
    url = getattr(settings, f"{name}_url", None)
    exchange = open_exchange(name, base_url=url, timeout=settings.request_timeout)
    exchange.check_timeframe(settings.candle_timeframe)
    return exchange
