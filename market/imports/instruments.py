"""Symbols of files: by the instruments that collections have listed, or by the quote currency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from brain.errors import InputError, SeriesFileError
from brain.naming import parse_symbol, spot_exchange
from market.exchanges.base import canonical, settles_in_dollars

__all__ = ["symbol_of_id"]

# Quote currencies of Binance's pairs, spot and USD-M, past and present.
_DOLLARS = ("BUSD", "FDUSD", "PAX", "TUSD", "USD1", "USDC", "USDE", "USDP", "USDS", "USDT", "UST")
_COINS = ("BNB", "BTC", "DOGE", "DOT", "ETH", "SOL", "TRX", "XRP", "DAI", "VAI", "EURI")
_MONEY = (
    *("ARS", "AUD", "BIDR", "BKRW", "BRL", "BVND", "COP", "CZK", "EUR", "GBP", "IDR", "IDRT"),
    *("JPY", "MXN", "NGN", "PLN", "RON", "RUB", "TRY", "UAH", "ZAR"),
)
_QUOTES = (*_DOLLARS, *_COINS, *_MONEY)


def symbol_of_id(instrument: str, exchange: str, listed: Mapping[str, str]) -> str:
    """The symbol of an exchange's own name of an instrument, ``BTCUSDT``.

    Args:
        instrument: the name.
        exchange: of the instrument; its perpetuals are linear ones in dollars.
        listed: symbols by instrument, of earlier collections.

    Raises:
        SeriesFileError: its quote currency can't be told, or it is no linear perpetual.
    """
    if instrument in listed:
        return listed[instrument]
    spot = spot_exchange(exchange)
    pairs = list(_pairs(instrument))
    if len(pairs) != 1:
        raise SeriesFileError(
            f"which part of {instrument!r} is the quote currency can't be told; collect the symbol "
            "once, so that the exchange's own list is known"
        )
    ((base, quote),) = pairs
    if not spot and not settles_in_dollars(quote):
        raise SeriesFileError(
            f"{instrument} settles in {quote}, and perpetuals of dollars alone are kept; leave the "
            "file out"
        )
    symbol = _pair(base, quote) if spot else canonical(base, quote)
    if symbol is None:
        raise SeriesFileError(
            f"{instrument!r} can't be written as a symbol, which has letters and digits alone; "
            "leave the file out"
        )
    return symbol


def _pairs(instrument: str) -> Iterable[tuple[str, str]]:
    for quote in _QUOTES:
        base = instrument.removesuffix(quote)
        if base not in ("", instrument):
            yield base, quote


def _pair(base: str, quote: str) -> str | None:
    try:
        return parse_symbol(f"{base}/{quote}")
    except InputError:
        return None
