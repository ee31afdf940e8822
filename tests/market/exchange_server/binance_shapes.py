"""Binance's JSON of an instrument and of its premium."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.market.exchange_server import values
from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.truth import Truth

__all__ = ["instrument_row", "premium_row"]


_NEVER = 4_133_404_800_000  # the delivery date of perpetuals
_CONTRACTS = {"dated": "CURRENT_QUARTER", "pending": ""}


def premium_row(listing: Listing, truth: Truth, clock: int) -> dict[str, Any]:
    now = np.array([truth.clock])
    (mark,) = values.mark(listing, now).text()
    settles = listing.contract_type != "dated" and not listing.gone(truth.clock)
    following = truth.next_settlement(listing) if settles else 0
    rate = values.rates(listing, np.array([following])).text()[0] if settles else ""
    return {
        "symbol": listing.id,
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": rate,
        "interestRate": "0.00010000" if settles else "",
        "nextFundingTime": following,
        "time": clock,
    }


def instrument_row(listing: Listing, truth: Truth) -> dict[str, Any]:
    status = "SETTLING" if listing.gone(truth.clock) else "TRADING"
    if listing.contract_type == "pending":
        status = "PENDING_TRADING"
    margin = "USDC" if listing.contract_type == "usdc" else "USDT"
    tick = f"{10.0**-listing.coin.places:.{listing.coin.places}f}"
    return {
        "symbol": listing.id,
        "pair": listing.id.split("_")[0],
        "contractType": _CONTRACTS.get(listing.contract_type, "PERPETUAL"),
        "deliveryDate": _NEVER if listing.delisted is None else listing.delisted,
        "onboardDate": listing.listed,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": listing.symbol.split("/")[0],
        "quoteAsset": margin,
        "marginAsset": margin,
        "pricePrecision": listing.coin.places,
        "quantityPrecision": listing.coin.lots,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012000",
        "marketTakeBound": "0.30",
        "maxMoveOrderLimit": 10000,
        "filters": [
            {
                "minPrice": tick,
                "maxPrice": "1000000",
                "filterType": "PRICE_FILTER",
                "tickSize": tick,
            }
        ],
        "orderTypes": ["LIMIT", "MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }
