"""What OKX says of an instrument and of its funding."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.market.exchange_server import values
from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.moments import HOUR
from tests.market.exchange_server.truth import Truth

__all__ = ["described", "funding"]


def funding(one: Listing, truth: Truth, clock: int) -> dict[str, Any]:
    following = truth.next_settlement(one)
    interval = one.hours_at(truth.clock) * HOUR
    now, last = values.rates(one, np.array([following, following - interval])).text()
    return {
        "formulaType": "withRate",
        "fundingRate": now,
        "fundingTime": str(following),
        "impactValue": "20000.0000000000000000",
        "instId": one.id,
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


def described(one: Listing, truth: Truth, sort: str) -> dict[str, Any]:
    base = one.symbol.split("/")[0]
    inverse = one.sort == "inverse"
    family = "-".join(one.id.split("-")[:2])
    settle = {"usdc": "USDC", "inverse": "BTC"}.get(one.sort, "USDT")
    return {
        "alias": "quarter" if sort == "FUTURES" else "",
        "auctionEndTime": "",
        "baseCcy": "",
        "category": "1",
        "contTdSwTime": "",
        "ctMult": "1",
        "ctType": "inverse" if inverse else "linear",
        "ctVal": "100" if inverse else f"{one.coin.contract:g}",
        "ctValCcy": "USD" if inverse else base,
        "expTime": "" if one.delisted is None else str(one.delisted),
        "instFamily": family,
        "instId": one.id,
        "instType": sort,
        "lever": "100",
        "listTime": str(one.listed),
        "lotSz": "0.01",
        "maxLmtSz": "100000000",
        "maxMktSz": "35000",
        "minSz": "0.01",
        "optType": "",
        "quoteCcy": "",
        "ruleType": "normal",
        "settleCcy": settle,
        "state": "preopen" if one.listed > truth.clock else "live",
        "stk": "",
        "tickSz": f"{10.0**-one.coin.places:.{one.coin.places}f}",
        "uly": family,
    }
