"""Rows that a fake exchange withholds, for ever or for some time, and rows with swapped volumes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.times import milliseconds

__all__ = ["Hole", "Ledger", "Swap"]


@dataclass
class Hole:
    """Rows that are withheld.

    Attributes:
        start: the first time of it; ``end`` is the first after it.
        timeframe: of the series; None stands for every one.
        until: the number of the request for such rows that gets them; None: they never come.
        requests: how many there were for such rows.
    """

    exchange: str
    symbol: str
    kind: str
    start: pd.Timestamp
    end: pd.Timestamp
    timeframe: str | None = None
    until: int | None = None
    requests: int = 0

    def of(self, listing: Listing, kind: str, timeframe: str | None) -> bool:
        return (self.exchange, self.symbol, self.kind) == (
            listing.exchange,
            listing.symbol,
            kind,
        ) and (self.timeframe is None or self.timeframe == timeframe)

    def mask(self, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the hole withholds each time."""
        start, end = milliseconds(self.start), milliseconds(self.end)
        mask: NDArray[np.bool_] = (times >= start) & (times < end)
        return mask

    @property
    def open(self) -> bool:
        """Whether the next request still misses these rows."""
        return self.until is None or self.requests + 1 < self.until


@dataclass(frozen=True)
class Swap:
    """Candles whose base and quote volumes change places in answers."""

    exchange: str
    symbol: str
    start: pd.Timestamp
    end: pd.Timestamp


@dataclass
class Ledger:
    """Every hole and swap."""

    holes: list[Hole] = field(default_factory=list)
    swaps: list[Swap] = field(default_factory=list)

    def of(self, listing: Listing, kind: str, timeframe: str | None) -> list[Hole]:
        return [hole for hole in self.holes if hole.of(listing, kind, timeframe)]

    def swapped(self, listing: Listing, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        mask = np.zeros(len(times), dtype=bool)
        for swap in self.swaps:
            if (swap.exchange, swap.symbol) == (listing.exchange, listing.symbol):
                mask |= (times >= milliseconds(swap.start)) & (times < milliseconds(swap.end))
        return mask
