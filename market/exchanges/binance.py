"""Binance USD-M futures. Pages come oldest first; both ends of a window count.

Who asks too often is first answered with HTTP 429, and who asks on with 418, a ban of two minutes
up to three days. HTTP 403 is its firewall's, 451 is for countries that it does not serve.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd

from brain.errors import ExchangeRefusedError
from brain.series.bars import TIMEFRAMES
from market.exchanges.base import Instrument, canonical, settles_in_dollars
from market.exchanges.pages import snapshot_row
from market.exchanges.rest import SHORT, Query, RestExchange
from market.http.fields import stamp
from market.http.limits import Limit
from market.http.refusals import BLOCKED, Answer, Refusal

__all__ = ["Binance"]

_INFO, _CLOCK = "fapi/v1/exchangeInfo", "fapi/v1/time"
_KLINES, _PREMIUM = "fapi/v1/klines", "fapi/v1/premiumIndex"
_RATES, _INTERVALS = "fapi/v1/fundingRate", "fapi/v1/fundingInfo"
_INTEREST, _HISTORY = "fapi/v1/openInterest", "futures/data/openInterestHist"

_NEVER = 4133404800000  # from here on, delivery dates stand for none
_USUAL_HOURS = 8.0  # fundingInfo lists only what differs or once did
_FUNDING_ROWS = 1000
_WEIGHT = 2400
_PERPETUAL = ("PERPETUAL", "TRADIFI_PERPETUAL")
_LIMITED = (-1003, -1015)
_ABSENT = -1121
_TOO_OLD = "-1130"
_SHORTEST_BAN = 120.0
_MARGIN = pd.Timedelta(minutes=5)  # a request may wait that long for the limits
_MONTH = pd.Timedelta(days=30)
_MOVES = 3  # periods beyond that
_BUSY = (-1000, -1001, -1007, -1008)
_PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")


class Binance(RestExchange):
    """Binance USD-M futures."""

    name = "binance"
    url = "https://fapi.binance.com"
    limits = (
        Limit("weight", _WEIGHT, 60),
        Limit("funding", 500, 300),  # fundingRate and fundingInfo share it
        Limit("statistics", 1000, 300),  # futures/data
    )
    bars = MappingProxyType({timeframe: timeframe for timeframe in TIMEFRAMES})
    periods = MappingProxyType({period: period for period in _PERIODS})
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
    bitcoin = Instrument(name, "BTC/USDT:USDT", "BTCUSDT", 1.0, 8.0, None, None, "TRADING")

    @property
    def look_back(self) -> Mapping[str, pd.Timedelta | None]:
        """Open interest older than 30 days is refused; some minutes are left for the asking."""
        return {"candles": None, "funding": None, "open_interest": _MONTH - _MARGIN}

    def judge(self, answer: Answer) -> Refusal | None:
        status, payload = answer.status, answer.json
        told = payload if isinstance(payload, dict) else {}
        code, said = told.get("code"), str(told.get("msg", ""))
        if status in BLOCKED:
            return None
        if status in (418, 429) or code in _LIMITED:
            return self._limited(answer, f"HTTP {status}" if code is None else str(code), said)
        if not isinstance(code, int) or (status < 300 and code >= 0):
            return None
        if code == _ABSENT:
            return Refusal(str(code), said, "absent")
        busy = status >= 500 or status == 408 or code in _BUSY
        return Refusal(str(code), said, "busy" if busy else "refused")

    def _limited(self, answer: Answer, code: str, said: str) -> Refusal:
        """Too many requests; a ban's end may stand in its message alone, in milliseconds."""
        found = re.search(r"banned until (\d{13})", said)
        left = int(found[1]) / 1000 - answer.now + 1 if found else 0.0
        if answer.status == 418 and left <= 0:
            left = _SHORTEST_BAN
        banned = answer.status == 418 or found is not None
        return Refusal(code, said, "banned" if banned else "limited", max(left, 0.0))

    def heed(self, headers: Mapping[str, str]) -> float:
        """Rest till the minute is over where the address has used its weight, by whomever."""
        used = headers.get("X-MBX-USED-WEIGHT-1M", "")
        if not used.isdigit() or int(used) < 0.95 * _WEIGHT:
            return 0.0
        return 60.5 - time.time() % 60

    async def server_time(self) -> pd.Timestamp:
        answer = await self.client.get(_CLOCK, costs={"weight": 1})
        return self.reader(_CLOCK).times([answer], "serverTime")[0]

    async def _list(self) -> dict[str, Instrument]:
        answer = await self.client.get(_INFO, costs={"weight": 1})
        hours = await self._hours()
        rows = self.reader(_INFO).rows(answer, "symbols")
        found = [self._instrument(row, hours) for row in rows]
        listed = [instrument for instrument in found if instrument is not None]
        return self._by_symbol(sorted(listed, key=lambda i: i.status != "TRADING"))

    async def _hours(self) -> dict[str, float]:
        """The funding interval by the exchange's own name, where it differs or once did."""
        read = self.reader(_INTERVALS)
        rows = read.rows(await self.client.get(_INTERVALS, costs={"funding": 1}))
        return {read.text(row, "symbol"): read.number(row, "fundingIntervalHours") for row in rows}

    def _instrument(self, row: Any, hours: Mapping[str, float]) -> Instrument | None:
        read = self.reader(_INFO)
        base, quote = read.text(row, "baseAsset"), read.text(row, "quoteAsset")
        if read.text(row, "contractType") not in _PERPETUAL:
            return None
        if read.text(row, "marginAsset") != quote or not settles_in_dollars(quote):
            return None
        symbol = canonical(base, quote)
        name = read.text(row, "symbol")
        if symbol is None:
            return None
        delivered = read.time(row, "deliveryDate")
        return Instrument(
            exchange=self.name,
            symbol=symbol,
            id=name,
            contract_size=1.0,
            funding_interval_hours=hours.get(name, _USUAL_HOURS),
            listed=read.time(row, "onboardDate"),
            delisted=None if delivered is None or stamp(delivered) >= _NEVER else delivered,
            status=read.text(row, "status"),
        )

    async def _candles(
        self, instrument: Instrument, bar: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        # A small limit weighs little: what the window can hold, and one to spare.
        limit = min(self.candle_rows, (last - first) // (step // pd.Timedelta(milliseconds=1)) + 2)
        query: Query = {"symbol": instrument.id, "interval": bar, "limit": limit}
        query |= {"startTime": first, "endTime": last - 1}
        answer = await self.client.get(_KLINES, query, costs={"weight": _weight(limit)})
        read, rows = self.reader(_KLINES), self.reader(_KLINES).rows(answer)
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 7}
        columns = {name: read.numbers(rows, place) for name, place in places.items()}
        return pd.DataFrame({"time": read.times(rows, 0), **columns})

    async def _funding(self, instrument: Instrument, first: int, last: int) -> pd.DataFrame:
        pages = [self._rates([])]
        while first < last:
            query: Query = {"symbol": instrument.id, "limit": _FUNDING_ROWS}
            query |= {"startTime": first, "endTime": last - 1}
            answer = await self.client.get(_RATES, query, costs={"funding": 1})
            page = self._rates(self.reader(_RATES).rows(answer))
            pages.append(page)
            if len(page) < SHORT:
                break
            newest = stamp(page["time"].max())
            if newest < first:
                raise self.reader(_RATES).differs("field 'fundingTime'", "is before startTime")
            first = newest + 1
        return pd.concat(pages, ignore_index=True)

    def _rates(self, rows: list[Any]) -> pd.DataFrame:
        read = self.reader(_RATES)
        return pd.DataFrame(
            {
                "time": read.times(rows, "fundingTime"),
                "rate": read.numbers(rows, "fundingRate"),
                "mark_price": read.numbers(rows, "markPrice", optional=True),
            }
        )

    async def _interest(
        self, instrument: Instrument, period: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"symbol": instrument.id, "period": period, "limit": self.interest_rows}
        rows = await self._not_too_old(query, step, first, last)
        read = self.reader(_HISTORY)
        return pd.DataFrame(
            {
                "time": read.times(rows, "timestamp"),
                "base": read.numbers(rows, "sumOpenInterest"),
                "usd": read.numbers(rows, "sumOpenInterestValue"),
            }
        )

    async def _not_too_old(
        self, query: Query, step: pd.Timedelta, first: int, last: int
    ) -> list[Any]:
        """What is kept of a window: its beginning may grow too old while requests wait."""
        while first < last:
            window: Query = {"startTime": first, "endTime": last - 1}
            try:
                answer = await self.client.get(_HISTORY, query | window, costs={"statistics": 1})
            except ExchangeRefusedError as error:
                oldest = await self.now() - _MONTH + _MARGIN
                old = error.code == _TOO_OLD and "Time" in str(error)
                if not old or first > stamp(oldest + _MOVES * step):
                    raise
                first = max(stamp(oldest), first + step // pd.Timedelta(milliseconds=1))
            else:
                return self.reader(_HISTORY).rows(answer)
        return []

    async def snapshot(self, instrument: Instrument) -> pd.DataFrame:
        """One row; the value of open interest is its amount times the mark price."""
        query = {"symbol": instrument.id}
        premium = await self.client.get(_PREMIUM, query, costs={"weight": 1})
        interest = await self.client.get(_INTEREST, query, costs={"weight": 1})
        read = self.reader(_PREMIUM)
        mark = read.number(premium, "markPrice")
        amount = self.reader(_INTEREST).number(interest, "openInterest")
        (moment,) = read.times([premium], "time")
        return snapshot_row(
            instrument,
            moment,
            mark_price=mark,
            funding_rate=read.number(premium, "lastFundingRate"),
            next_funding=read.time(premium, "nextFundingTime"),
            interval_hours=instrument.funding_interval_hours,
            open_interest=amount,
            open_interest_usd=amount * mark,
        )


def _weight(limit: int) -> int:
    """What klines of that limit cost."""
    return next(
        cost for below, cost in ((100, 1), (500, 2), (1001, 5), (1 << 30, 10)) if limit < below
    )
