"""Rates by exchange and symbol, and what is paid where none is set."""

from __future__ import annotations

import pytest

from brain.costs import Costs, parse_rates, rate, symbol_costs
from brain.errors import InputError
from brain.naming import Liquidity, Product


def test_the_most_special_rate_counts() -> None:
    rates = parse_rates("4, okx=5, BTC-USDT=3, BTC/USDT@okx=2")
    assert rate(rates, "BTC/USDT", "okx") == 2.0
    assert rate(rates, "BTC/USDT", "bybit") == 3.0
    assert rate(rates, "ETH/USDT", "okx") == 5.0
    assert rate(rates, "ETH/USDT", None) == 4.0
    assert rate(parse_rates("okx=5"), "ETH/USDT", "bybit") is None


@pytest.mark.parametrize("value", [5, 5.0, "5", {"": 5}])
def test_a_number_is_for_all(value: object) -> None:
    assert parse_rates(value) == {"": 5.0}


@pytest.mark.parametrize(
    "value", ["-1", "x", "okx=", "okx=nan", "okx=inf", "BTC//USDT=1", "o k=1", "1,2", True, [1]]
)
def test_what_is_no_rate_is_refused(value: object) -> None:
    with pytest.raises(InputError):
        parse_rates(value)


def costs(exchange: str | None, **rates: str) -> Costs:
    names = ("cost", "fee", "half_spread", "impact")
    parsed = {name: parse_rates(rates.get(name, "")) for name in names}
    return symbol_costs("BTC/USDT", exchange, Product.PERPETUAL, Liquidity.TAKER, **parsed)


def test_without_settings_the_published_fee_is_paid_and_the_spread_estimated() -> None:
    assert costs("bybit") == Costs(fee=5.5, half_spread=None, impact=0.0)
    assert costs(None) == costs("kraken") == Costs(fee=5.0)
    maker = symbol_costs(
        "BTC/USDT", "okx", Product.SPOT, Liquidity.MAKER, cost={}, fee={}, half_spread={}, impact={}
    )
    assert maker.fee == 8.0


def test_settings_come_before_what_is_published_or_estimated() -> None:
    assert costs("okx", fee="okx=1", half_spread="2", impact="3") == Costs(1.0, 2.0, 3.0)
    assert costs("okx", fee="1", cost="7", impact="3") == Costs(7.0, 0.0, 0.0)
    assert Costs(1.0, 2.0, 3.0).total(2.0) == 6.0
