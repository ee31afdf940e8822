"""OKX's JSON of an instrument and of its funding."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.market.exchange_server import values
from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.times import HOUR
from tests.market.exchange_server.truth import Truth

__all__ = ["funding_row", "instrument_row"]


def funding_row(listing: Listing, truth: Truth, clock: int) -> dict[str, Any]:
    following = truth.next_settlement(listing)
    interval = listing.hours_at(truth.clock) * HOUR
    now, last = values.rates(listing, np.array([following, following - interval])).text()
    return {
        "formulaType": "withRate",
        "fundingRate": now,
        "fundingTime": str(following),
        "impactValue": "20000.0000000000000000",
        "instId": listing.id,
        "instType": "SWAP",
        "interestRate": "0.0001000000000000",
        "maxFundingRate": "0.00375",
        "method": "current_period",
        "minFundingRate": "-0.00375",
        "nextFundingRate": "",
        "nextFundingTime": str(following + interval),
        "premium": "-0.0004195044127414",
        "prevFundingTime": str(following - interval),
        "settFundingRate": last,
        "settState": "settled",
        "ts": str(clock),
    }


def instrument_row(listing: Listing, truth: Truth, instrument_type: str) -> dict[str, Any]:
    base = listing.symbol.split("/")[0]
    inverse = listing.contract_type == "inverse"
    family = "-".join(listing.id.split("-")[:2])
    settle = {"usdc": "USDC", "inverse": "BTC"}.get(listing.contract_type, "USDT")
    return {
        "alias": "quarter" if instrument_type == "FUTURES" else "",
        "auctionEndTime": "",
        "baseCcy": "",
        "category": "1",
        "contTdSwTime": "",
        "ctMult": "1",
        "ctType": "inverse" if inverse else "linear",
        "ctVal": "100" if inverse else f"{listing.coin.contract:g}",
        "ctValCcy": "USD" if inverse else base,
        "expTime": "" if listing.delisted is None else str(listing.delisted),
        "instFamily": family,
        "instId": listing.id,
        "instType": instrument_type,
        "lever": "100",
        "listTime": str(listing.listed),
        "lotSz": "0.01",
        "maxLmtSz": "100000000",
        "maxMktSz": "35000",
        "minSz": "0.01",
        "optType": "",
        "quoteCcy": "",
        "ruleType": "normal",
        "settleCcy": settle,
        "state": "preopen" if listing.listed > truth.clock else "live",
        "stk": "",
        "tickSz": f"{10.0**-listing.coin.places:.{listing.coin.places}f}",
        "uly": family,
    }
