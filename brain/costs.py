"""What trading costs: published fees of exchanges, and a user's rates by exchange and symbol.

Rates are in basis points of what is traded, on each side: who opens and closes a position pays
twice. Needs the standard library alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from brain.errors import InputError
from brain.naming import Liquidity, Product, parse_symbol
from brain.text import entries

__all__ = ["FEES", "OTHER_FEE", "Costs", "Fee", "parse_rates", "rate", "symbol_costs"]


@dataclass(frozen=True)
class Fee:
    """An exchange's fee for its lowest tier, basis points."""

    maker: float
    taker: float

    def of(self, liquidity: Liquidity) -> float:
        """What an order pays that takes or makes liquidity."""
        return self.taker if liquidity is Liquidity.TAKER else self.maker


#: As published for regular users without discounts, read on 2026-11-26: binance.com/en/fee (USD-M
#: futures, spot), bybit.com/en/help-center "Trading Fee Structure", okx.com/fees.
FEES: dict[tuple[str, Product], Fee] = {
    ("binance", Product.PERPETUAL): Fee(2.0, 5.0),
    ("bybit", Product.PERPETUAL): Fee(2.0, 5.5),
    ("okx", Product.PERPETUAL): Fee(2.0, 5.0),
    ("binance", Product.SPOT): Fee(10.0, 10.0),
    ("bybit", Product.SPOT): Fee(10.0, 10.0),
    ("okx", Product.SPOT): Fee(8.0, 10.0),
}

#: The fee where no exchange is told, or another one: an assumption.
OTHER_FEE = Fee(5.0, 5.0)


@dataclass(frozen=True)
class Costs:
    """What each unit traded of one symbol costs, basis points.

    Attributes:
        fee: of the exchange.
        half_spread: between the middle and what is paid; None is to be estimated from the bars.
        impact: of one's own order on the price.
    """

    fee: float
    half_spread: float | None = None
    impact: float = 0.0

    def total(self, half_spread: float) -> float:
        """The sum with the half spread of the setting or the estimate, basis points."""
        return self.fee + half_spread + self.impact


def symbol_costs(
    symbol: str,
    exchange: str | None,
    product: Product,
    liquidity: Liquidity,
    *,
    cost: Mapping[str, float],
    fee: Mapping[str, float],
    half_spread: Mapping[str, float],
    impact: Mapping[str, float],
) -> Costs:
    """The costs of a symbol at an exchange.

    Args:
        symbol, exchange: what is traded, and where; None is no exchange that we know of.
        product, liquidity: which of the exchange's fees is paid.
        cost: rates of the whole; where there is one, the others don't count.
        fee, half_spread, impact: rates of the parts, see :func:`rate`. Without one the fee is that
            of :data:`FEES`, the half spread is to be estimated and the impact is 0.
    """
    whole = rate(cost, symbol, exchange)
    if whole is not None:
        return Costs(fee=whole, half_spread=0.0)
    own = rate(fee, symbol, exchange)
    published = FEES.get((exchange or "", product), OTHER_FEE).of(liquidity)
    return Costs(
        fee=published if own is None else own,
        half_spread=rate(half_spread, symbol, exchange),
        impact=rate(impact, symbol, exchange) or 0.0,
    )


def rate(rates: Mapping[str, float], symbol: str, exchange: str | None) -> float | None:
    """The most special rate: of ``symbol@exchange``, the symbol, the exchange, or all; or None."""
    for key in (f"{symbol}@{exchange}", symbol, exchange or "", ""):
        if key in rates:
            return rates[key]
    return None


def parse_rates(value: object) -> dict[str, float]:
    """Rates by key: ``"4, okx=5, BTC/USDT=3, BTC/USDT@okx=2"``; a number alone is for all others.

    Raises:
        InputError: an entry is none of these, comes twice, or is no number of at least 0.
    """
    pairs = entries(value) if isinstance(value, Mapping | str) else [("", value)]
    rates: dict[str, float] = {}
    for text, number in pairs:
        key = _parse_key(text)
        if key in rates:
            raise InputError(f"the rate of {text or 'all'} comes twice; write one")
        rates[key] = _parse_number(number)
    return rates


def _parse_key(text: str) -> str:
    symbol, at, exchange = text.partition("@")
    if at:
        return f"{parse_symbol(symbol)}@{_parse_exchange(exchange)}"
    return _parse_exchange(text) if text.isalnum() or not text else parse_symbol(text)


def _parse_exchange(text: str) -> str:
    if text and not text.isalnum():
        raise InputError(f"{text!r} is neither a symbol nor an exchange; write okx or BTC/USDT")
    return text.lower()


def _parse_number(value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0.0 <= number < math.inf:
        raise InputError(
            f"{value!r} is no number of basis points; write 0 or more, as in 5 or okx=5,BTC/USDT=3"
        )
    return number
