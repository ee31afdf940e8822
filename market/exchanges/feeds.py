"""The exchanges' feeds by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from market.exchanges.binance_feed import BinanceFeed
from market.exchanges.bybit_feed import BybitFeed
from market.exchanges.feed import Feed
from market.exchanges.okx_feed import OkxFeed

__all__ = ["FEEDS"]

#: The exchanges that are streamed from.
FEEDS: Mapping[str, type[Feed]] = MappingProxyType(
    {feed.name: feed for feed in (BinanceFeed, BybitFeed, OkxFeed)}
)
