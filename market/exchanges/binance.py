"""Binance USD-M futures. Pages come oldest first; both ends of a window count.

Too many requests are answered with HTTP 429 at first, and then with 418, a ban of two minutes up to
three days. HTTP 403 is its firewall's, 451 is for countries that it does not serve.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd

from brain.errors import ExchangeRefusedError, ExchangeShapeError
from market.exchanges.base import Instrument, canonical, settles_in_dollars
from market.exchanges.pages import MILLISECOND, snapshot_row
from market.exchanges.rest import HOUR, MINUTE, SMALLEST_LIMIT, RestExchange, funding_hours
from market.exchanges.table import Table
from market.http.client import Query
from market.http.limits import Limit
from market.http.parser import milliseconds
from market.http.refusals import BLOCKED, Answer, Refusal

__all__ = ["Binance"]

logger = logging.getLogger(__name__)

_INFO, _CLOCK = "fapi/v1/exchangeInfo", "fapi/v1/time"
_KLINES, _PREMIUM = "fapi/v1/klines", "fapi/v1/premiumIndex"
_RATES, _INTERVALS = "fapi/v1/fundingRate", "fapi/v1/fundingInfo"
_INTEREST, _HISTORY = "fapi/v1/openInterest", "futures/data/openInterestHist"

_NEVER = 4133404800000  # delivery dates from here on mean that there is none
_DEFAULT_HOURS = 8.0  # fundingInfo lists only intervals that differ or once did
_FUNDING_ROWS = 1000
_WEIGHT = 2400
_PERPETUAL = ("PERPETUAL", "TRADIFI_PERPETUAL")
_LIMITED = (-1003, -1015)
_ABSENT = -1121
_TOO_OLD = "-1130"
_SHORTEST_BAN = 120.0
_MARGIN = pd.Timedelta(minutes=5)  # a request may wait that long for the rate limits
_MONTH = pd.Timedelta(days=30)
_MOVES = 3  # periods beyond it by which a window's start may be moved
_BUSY = (-1000, -1001, -1007, -1008)
_CANDLE_TIMEFRAMES = (
    *(f"{n}m" for n in (1, 3, 5, 15, 30)),
    *(f"{n}h" for n in (1, 2, 4, 6, 8, 12)),
    *("1d", "1w"),
)
_INTEREST_TIMEFRAMES = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")


class Binance(RestExchange):
    """Binance USD-M futures."""

    name = "binance"
    url = "https://fapi.binance.com"
    limits = (
        Limit("weight", _WEIGHT, 60),
        Limit("funding", 500, 300),  # fundingRate and fundingInfo share it
        Limit("statistics", 1000, 300),  # futures/data
    )
    candle_timeframes = MappingProxyType({name: name for name in _CANDLE_TIMEFRAMES})
    interest_timeframes = MappingProxyType({name: name for name in _INTEREST_TIMEFRAMES})
    candle_rows = 1500
    interest_rows = 500
    endpoints = MappingProxyType(
        {
            "clock": _CLOCK,
            "instruments": f"{_INFO} and fundingInfo",
            "candles": _KLINES,
            "funding": _RATES,
            "interest": _HISTORY,
            "snapshot": f"{_PREMIUM} and openInterest",
        }
    )
    listing_fields = ("symbol", "baseAsset", "quoteAsset")
    bitcoin = Instrument(name, "BTC/USDT:USDT", "BTCUSDT", 1.0, 8.0, None, None, "TRADING")

    @property
    def retention(self) -> Mapping[str, pd.Timedelta | None]:
        """Open interest of 30 days, less some minutes in which a request may wait."""
        return {"candles": None, "funding": None, "open_interest": _MONTH - _MARGIN}

    def refusal(self, answer: Answer) -> Refusal | None:
        status = answer.status
        error = answer.json if isinstance(answer.json, dict) else {}
        code, message = error.get("code"), str(error.get("msg", ""))
        if status in BLOCKED:
            return None
        if status in (418, 429) or code in _LIMITED:
            return self._limited(answer, f"HTTP {status}" if code is None else str(code), message)
        if not isinstance(code, int) or (status < 300 and code >= 0):
            return None
        if code == _ABSENT:
            return Refusal(str(code), message, "absent")
        busy = status >= 500 or status == 408 or code in _BUSY
        return Refusal(str(code), message, "busy" if busy else "refused")

    def _limited(self, answer: Answer, code: str, message: str) -> Refusal:
        """Too many requests; a ban's end may be in the message alone, in milliseconds."""
        ban_end = re.search(r"banned until (\d{13})", message)
        seconds = int(ban_end[1]) / 1000 - answer.timestamp + 1 if ban_end else 0.0
        if answer.status == 418 and seconds <= 0:
            seconds = _SHORTEST_BAN
        banned = answer.status == 418 or ban_end is not None
        return Refusal(code, message, "banned" if banned else "limited", max(seconds, 0.0))

    def pause(self, headers: Mapping[str, str]) -> float:
        """Until the minute is over, where all requests of the address have used its weight."""
        used = headers.get("X-MBX-USED-WEIGHT-1M", "")
        if not used.isdigit() or int(used) < 0.95 * _WEIGHT:
            return 0.0
        return 60.5 - time.time() % 60

    async def server_time(self) -> pd.Timestamp:
        answer = await self.client.get(_CLOCK, costs={"weight": 1})
        return self.parser(_CLOCK).times([answer], "serverTime")[0]

    async def _fetch_instruments(self) -> dict[str, Instrument]:
        answer = await self.client.get(_INFO, costs={"weight": 1})
        rows = self.parser(_INFO).rows(answer, "symbols")
        quotes = {row.get("quoteAsset") for row in rows if isinstance(row, dict)}
        hours, default = await self._hours(tuple(q for q in quotes if q and isinstance(q, str)))
        return self._by_symbol(rows, lambda row: self._instrument(row, hours, default), "TRADING")

    async def _hours(self, quotes: tuple[str, ...]) -> tuple[dict[str, float | None], float | None]:
        """Funding intervals by instrument id, where they differ from the default or once did.

        And the default, unknown if a row could be any instrument's: one whose name ends with none
        of the exchange's quote assets, so that it is no instrument's, a delisted one's neither.
        """
        parser = self.parser(_INTERVALS)
        rows = parser.rows(await self.client.get(_INTERVALS, costs={"funding": 1}))
        hours: dict[str, float | None] = {}
        default: float | None = _DEFAULT_HOURS
        for row in rows:
            name = row.get("symbol") if isinstance(row, dict) else None
            try:
                interval: float | None = funding_hours(parser, row, "fundingIntervalHours")
            except ExchangeShapeError as error:
                logger.warning("a funding interval stays unknown: %s", error)
                interval = None
            if isinstance(name, str) and name.partition("_")[0].endswith(quotes):
                hours[name] = interval
            else:
                default = None
        return hours, default

    def _instrument(
        self, row: Any, hours: Mapping[str, float | None], default: float | None
    ) -> Instrument | None:
        parser = self.parser(_INFO)
        base, quote = parser.text(row, "baseAsset"), parser.text(row, "quoteAsset")
        if parser.text(row, "contractType") not in _PERPETUAL:
            return None
        if parser.text(row, "marginAsset") != quote or not settles_in_dollars(quote):
            return None
        symbol = canonical(base, quote)
        instrument_id = parser.text(row, "symbol")
        if symbol is None:
            return None
        delivery = parser.time(row, "deliveryDate")
        status = parser.text(row, "status")
        return Instrument(
            exchange=self.name,
            symbol=symbol,
            id=instrument_id,
            contract_size=1.0,
            funding_interval_hours=hours.get(instrument_id, default),
            listed=parser.time(row, "onboardDate"),
            delisted=None if delivery is None or milliseconds(delivery) >= _NEVER else delivery,
            status=status,
        )

    async def _fetch_candles(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        # A small limit weighs little: as many as the window can hold, and one more.
        limit = min(self.candle_rows, (last - first) // (step // MILLISECOND) + 2)
        query: Query = {"symbol": instrument.id, "interval": timeframe, "limit": limit}
        query |= {"startTime": first, "endTime": last - 1}
        answer = await self.client.get(_KLINES, query, costs={"weight": _weight(limit)})
        table = Table(self.parser(_KLINES), self.parser(_KLINES).rows(answer), 12)
        times = table.times(0, first, last, step=step // MILLISECOND)
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7}
        return table.frame(times, **{name: table.numbers(at) for name, at in places.items()})

    async def _fetch_funding(self, instrument: Instrument, first: int, last: int) -> pd.DataFrame:
        pages = [self._rates([], first, last)]
        while first < last:
            query: Query = {"symbol": instrument.id, "limit": _FUNDING_ROWS}
            query |= {"startTime": first, "endTime": last - 1}
            answer = await self.client.get(_RATES, query, costs={"funding": 1})
            page = self._rates(self.parser(_RATES).rows(answer), first, last)
            pages.append(page)
            if len(page) < SMALLEST_LIMIT:
                break
            first = milliseconds(page["time"].max()) + 1
        return pd.concat(pages, ignore_index=True)

    def _rates(self, rows: list[Any], first: int, last: int) -> pd.DataFrame:
        table = Table(self.parser(_RATES), rows)
        times = table.times("fundingTime", first, last, step=HOUR, precision=MINUTE)
        mark = table.numbers("markPrice", optional=True)
        return table.frame(times, rate=table.numbers("fundingRate"), mark_price=mark)

    async def _fetch_interest(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"symbol": instrument.id, "period": timeframe, "limit": self.interest_rows}
        rows = await self._young_rows(query, step, first, last)
        table = Table(self.parser(_HISTORY), rows)
        return table.frame(
            table.times("timestamp", first, last, step=step // MILLISECOND),
            base=table.numbers("sumOpenInterest"),
            usd=table.numbers("sumOpenInterestValue"),
        )

    async def _young_rows(
        self, query: Query, step: pd.Timedelta, first: int, last: int
    ) -> list[Any]:
        """The rows of a window, whose start may become too old while requests wait."""
        while first < last:
            window: Query = {"startTime": first, "endTime": last - 1}
            try:
                answer = await self.client.get(_HISTORY, query | window, costs={"statistics": 1})
            except ExchangeRefusedError as error:
                oldest = await self.now() - _MONTH + _MARGIN
                too_old = error.code == _TOO_OLD and "Time" in str(error)
                if not too_old or first > milliseconds(oldest + _MOVES * step):
                    raise
                first = max(milliseconds(oldest), first + step // MILLISECOND)
            else:
                return self.parser(_HISTORY).rows(answer)
        return []

    async def snapshot(self, instrument: Instrument) -> pd.DataFrame:
        """One row; the value of open interest is its amount times the mark price."""
        query: Query = {"symbol": instrument.id}
        premium = await self.client.get(_PREMIUM, query, costs={"weight": 1})
        interest = await self.client.get(_INTEREST, query, costs={"weight": 1})
        parser = self.parser(_PREMIUM)
        mark = parser.number(premium, "markPrice")
        amount = self.parser(_INTEREST).number(interest, "openInterest")
        (snapshot_time,) = parser.times([premium], "time")
        return snapshot_row(
            instrument,
            snapshot_time,
            mark_price=mark,
            funding_rate=parser.number(premium, "lastFundingRate"),
            next_funding=parser.time(premium, "nextFundingTime"),
            interval_hours=instrument.funding_interval_hours,
            open_interest=amount,
            open_interest_usd=amount * mark,
        )


def _weight(limit: int) -> int:
    """The weight of a request for klines."""
    weights = ((100, 1), (500, 2), (1001, 5), (1 << 30, 10))
    return next(weight for bound, weight in weights if limit < bound)
