"""Bybit's JSON of an instrument and of its ticker."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.market.exchange_server import values
from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.truth import Truth

__all__ = ["both_sides", "instrument_row", "ticker_row"]


def both_sides(amount: values.Amount) -> values.Amount:
    """Open interest as ``openInterest`` counts it: longs and shorts."""
    return values.Amount(2 * amount.units, amount.places)


def instrument_row(listing: Listing, truth: Truth, status: str) -> dict[str, Any]:
    dated = listing.contract_type == "dated"
    inverse = listing.contract_type == "inverse"
    settle = {"usdc": "USDC", "inverse": "BTC"}.get(listing.contract_type, "USDT")
    return {
        "symbol": listing.id,
        "contractType": "LinearFutures"
        if dated
        else "InversePerpetual"
        if inverse
        else "LinearPerpetual",
        "status": status,
        "baseCoin": listing.symbol.split("/")[0],
        "quoteCoin": "USD" if inverse else settle,
        "launchTime": str(listing.listed),
        "deliveryTime": str(listing.delisted or 0),
        "deliveryFeeRate": "0" if dated else "",
        "priceScale": str(listing.coin.places),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {
            "maxOrderQty": "1500.000",
            "minOrderQty": "0.001",
            "qtyStep": "0.001",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 0 if dated else 60 * listing.hours_at(truth.clock),
        "settleCoin": settle,
        "copyTrading": "both",
        "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "displayName": "",
        "symbolType": "",
        "forbidUplWithdrawal": False,
    }


def ticker_row(listing: Listing, truth: Truth) -> dict[str, Any]:
    now = np.array([truth.clock])
    dated = listing.contract_type == "dated"
    following = 0 if dated else truth.next_settlement(listing)
    (mark,) = values.mark(listing, now).text()
    single = values.open_interest(listing, now)
    value = values.open_interest_value(listing, now)
    (rate,) = values.rates(listing, np.array([following])).text(plain=True)
    return {
        "symbol": listing.id,
        "lastPrice": mark,
        "indexPrice": mark,
        "markPrice": mark,
        "prevPrice24h": mark,
        "price24hPcnt": "0",
        "highPrice24h": mark,
        "lowPrice24h": mark,
        "prevPrice1h": mark,
        "openInterest": both_sides(single).text(plain=True)[0],
        "openInterestValue": both_sides(value).text()[0],
        "singleOpenInterest": single.text(plain=True)[0],
        "singleOpenInterestValue": value.text()[0],
        "turnover24h": "0",
        "volume24h": "0",
        "fundingRate": "" if dated else rate,
        "nextFundingTime": str(following),
        "fundingIntervalHour": "" if dated else str(listing.hours_at(truth.clock)),
        "fundingCap": "" if dated else "0.005",
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "basis": "",
        "deliveryFeeRate": "0" if dated else "",
        "deliveryTime": str(listing.delisted if dated else 0),
        "bid1Price": mark,
        "bid1Size": "1",
        "ask1Price": mark,
        "ask1Size": "1",
    }
