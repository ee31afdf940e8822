"""What Binance says of an instrument and of its premium."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.market.exchange_server import values
from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.truth import Truth

__all__ = ["described", "premium"]


_NEVER = 4_133_404_800_000  # the delivery date of what is not delivered
_CONTRACTS = {"dated": "CURRENT_QUARTER", "pending": ""}


def premium(one: Listing, truth: Truth, clock: int) -> dict[str, Any]:
    now = np.array([truth.clock])
    (mark,) = values.mark(one, now).text()
    settles = one.sort != "dated" and not one.gone(truth.clock)
    following = truth.next_settlement(one) if settles else 0
    rate = values.rates(one, np.array([following])).text()[0] if settles else ""
    return {
        "symbol": one.id,
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": rate,
        "interestRate": "0.00010000" if settles else "",
        "nextFundingTime": following,
        "time": clock,
    }


def described(one: Listing, truth: Truth) -> dict[str, Any]:
    status = "SETTLING" if one.gone(truth.clock) else "TRADING"
    if one.sort == "pending":
        status = "PENDING_TRADING"
    margin = "USDC" if one.sort == "usdc" else "USDT"
    tick = f"{10.0**-one.coin.places:.{one.coin.places}f}"
    return {
        "symbol": one.id,
        "pair": one.id.split("_")[0],
        "contractType": _CONTRACTS.get(one.sort, "PERPETUAL"),
        "deliveryDate": _NEVER if one.delisted is None else one.delisted,
        "onboardDate": one.listed,
        "status": status,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": one.symbol.split("/")[0],
        "quoteAsset": margin,
        "marginAsset": margin,
        "pricePrecision": one.coin.places,
        "quantityPrecision": one.coin.lots,
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
