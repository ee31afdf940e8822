"""Bybit v5, linear contracts. Pages come newest first; both ends of a window count.

Errors come inside HTTP 200, as ``retCode``. HTTP 403 is either a country that Bybit does not serve
or an address that asked too often, which it shuts out for at least ten minutes.

Open interest comes in base units, and ``openInterest`` is documented as the sum of both sides of
the market, longs and shorts, where Binance and OKX count one. One side is kept: a ticker's
``singleOpenInterest`` and ``singleOpenInterestValue``, or else half of the sum; of the history,
always half (its ``singleOpenInterest`` is the same, rounded). The history has no value in dollars:
there the amount is multiplied by the mark price at which the mark-price candle of the same moment
opened.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from brain.errors import ExchangeRefusedError
from market.exchanges.base import Instrument, canonical, settles_in_dollars
from market.exchanges.pages import snapshot_row
from market.exchanges.rest import SHORT, Query, RestExchange
from market.http.fields import stamp
from market.http.limits import Limit
from market.http.refusals import Answer, Kind, Refusal, refusal_of

__all__ = ["Bybit"]

_log = logging.getLogger(__name__)

_INFO, _CLOCK = "v5/market/instruments-info", "v5/market/time"
_KLINES, _MARKS = "v5/market/kline", "v5/market/mark-price-kline"
_TICKERS, _RATES = "v5/market/tickers", "v5/market/funding/history"
_HISTORY = "v5/market/open-interest"

_COST = {"requests": 1.0}
_FUNDING_ROWS = 200
_PAGES = 100  # of instruments; more means that the exchange's cursor goes in a circle
_BOTH_SIDES = 2.0
# In the order of an instrument's life: one that moves on while we ask comes twice, not never.
# Not every version of the documentation knows "Settling".
_STATUSES = ("PreLaunch", "Trading", "Settling", "Delivering", "Closed")
_WRONG = 10001  # whatever is wrong with a parameter; only the message tells which
_KINDS: Mapping[int, Kind] = {
    **dict.fromkeys((10006, 10018), "limited"),
    **dict.fromkeys((10000, 10016, 10019), "busy"),
    10009: "banned",
    10024: "blocked",  # compliance
}
_BAN = 600.0  # seconds, at least
_BARS = {
    **{f"{n}m": str(n) for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": str(60 * n) for n in (1, 2, 4, 6, 12)},
    "1d": "D",
    "1w": "W",
}
_PERIODS = {"5m": "5min", "15m": "15min", "30m": "30min", "1h": "1h", "4h": "4h", "1d": "1d"}


class Bybit(RestExchange):
    """Bybit's linear perpetuals."""

    name = "bybit"
    url = "https://api.bybit.com"
    limits = (Limit("requests", 600, 5),)
    bars = MappingProxyType(_BARS)
    periods = MappingProxyType(_PERIODS)
    candle_rows = 1000
    interest_rows = 200
    endpoints = MappingProxyType(
        {
            "clock": _CLOCK,
            "instruments": _INFO,
            "candles": _KLINES,
            "funding": _RATES,
            "interest": f"{_HISTORY} and mark-price-kline",
            "snapshot": _TICKERS,
        }
    )
    bitcoin = Instrument(name, "BTC/USDT:USDT", "BTCUSDT", 1.0, 8.0, None, None, "Trading")

    @property
    def look_back(self) -> Mapping[str, pd.Timedelta | None]:
        """Every history reaches to the listing."""
        return {"candles": None, "funding": None, "open_interest": None}

    def judge(self, answer: Answer) -> Refusal | None:
        status, payload = answer.status, answer.json
        code = payload.get("retCode") if isinstance(payload, dict) else None
        if status == 403:
            return _forbidden(answer)
        if not isinstance(code, int) or code == 0:
            return None
        said = str(payload.get("retMsg", ""))
        kind: Kind = "busy" if status >= 500 else "refused"
        if code == _WRONG and "symbol" in said.lower():
            kind = "absent"
        kind = "limited" if status == 429 else _KINDS.get(code, kind)
        return Refusal(str(code), said, kind, _BAN if kind == "banned" else 0.0)

    async def _ask(self, endpoint: str, query: Query | None = None) -> Any:
        return await self.client.get(endpoint, {"category": "linear"} | (query or {}), costs=_COST)

    async def server_time(self) -> pd.Timestamp:
        answer = await self.client.get(_CLOCK, costs=_COST)
        return self.reader(_CLOCK).times([answer], "time")[0]

    async def _list(self) -> dict[str, Instrument]:
        rows: list[Any] = []
        for status in _STATUSES:
            try:
                rows += await self._listed(status)
            except ExchangeRefusedError as error:  # of this question; not a ban, which all share
                if status == "Trading" or error.code != str(_WRONG):
                    raise
                _log.info("instruments that are %s stay unknown: %s", status, error)
        found = [self._instrument(row) for row in rows]
        listed = [instrument for instrument in found if instrument is not None]
        return self._by_symbol(sorted(listed, key=lambda i: i.status != "Trading"))

    async def _listed(self, status: str) -> list[Any]:
        """All instruments of a status, page by page."""
        read, rows, cursor = self.reader(_INFO), list[Any](), ""
        for _ in range(_PAGES):
            query: Query = {"status": status, "limit": 1000, "cursor": cursor or None}
            answer = await self._ask(_INFO, query)
            page = read.rows(answer, "result", "list")
            rows += page
            cursor = str(read.dig(answer, "result").get("nextPageCursor") or "")
            if not cursor or not page:
                break
        return rows

    def _instrument(self, row: Any) -> Instrument | None:
        read = self.reader(_INFO)
        base, quote = read.text(row, "baseCoin"), read.text(row, "quoteCoin")
        if read.text(row, "contractType") != "LinearPerpetual":
            return None
        if read.text(row, "settleCoin") != quote or not settles_in_dollars(quote):
            return None
        symbol = canonical(base, quote)
        if symbol is None:
            return None
        minutes = read.number(row, "fundingInterval")
        return Instrument(
            exchange=self.name,
            symbol=symbol,
            id=read.text(row, "symbol"),
            contract_size=1.0,
            funding_interval_hours=minutes / 60 if minutes > 0 else None,
            listed=read.time(row, "launchTime"),
            delisted=read.time(row, "deliveryTime"),
            status=read.text(row, "status"),
        )

    async def _candles(
        self, instrument: Instrument, bar: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"symbol": instrument.id, "interval": bar, "limit": self.candle_rows}
        query |= {"start": first, "end": last - 1}
        read = self.reader(_KLINES)
        rows = read.rows(await self._ask(_KLINES, query), "result", "list")
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 6}
        columns = {name: read.numbers(rows, place) for name, place in places.items()}
        return pd.DataFrame({"time": read.times(rows, 0), **columns})

    async def _funding(self, instrument: Instrument, first: int, last: int) -> pd.DataFrame:
        pages = [self._rates([])]
        while first < last:
            query: Query = {"symbol": instrument.id, "limit": _FUNDING_ROWS}
            query |= {"startTime": first, "endTime": last - 1}
            rows = self.reader(_RATES).rows(await self._ask(_RATES, query), "result", "list")
            page = self._rates(rows)
            pages.append(page)
            if len(page) < SHORT:
                break
            oldest = stamp(page["time"].min())
            if oldest >= last:
                raise self.reader(_RATES).differs(
                    "field 'fundingRateTimestamp'", "is after `endTime`"
                )
            last = oldest
        return pd.concat(pages, ignore_index=True)

    def _rates(self, rows: list[Any]) -> pd.DataFrame:
        read = self.reader(_RATES)
        return pd.DataFrame(
            {
                "time": read.times(rows, "fundingRateTimestamp"),
                "rate": read.numbers(rows, "fundingRate"),
                "mark_price": np.full(len(rows), np.nan),
            }
        )

    async def _interest(
        self, instrument: Instrument, period: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"symbol": instrument.id, "intervalTime": period}
        query |= {"startTime": first, "endTime": last - 1, "limit": self.interest_rows}
        read = self.reader(_HISTORY)
        rows = read.rows(await self._ask(_HISTORY, query), "result", "list")
        base = read.numbers(rows, "openInterest") / _BOTH_SIDES
        frame = pd.DataFrame({"time": read.times(rows, "timestamp"), "base": base})
        if frame.empty:
            return frame.assign(usd=frame["base"])
        marks = await self._marks(instrument, period, first, last)
        return frame.assign(usd=frame["base"] * frame["time"].map(marks))

    async def _marks(self, instrument: Instrument, period: str, first: int, last: int) -> pd.Series:
        """The mark price by the moment at which a candle opened at it."""
        bar = next(_BARS[timeframe] for timeframe, word in _PERIODS.items() if word == period)
        query: Query = {"symbol": instrument.id, "interval": bar, "limit": self.candle_rows}
        query |= {"start": first, "end": last - 1}
        read = self.reader(_MARKS)
        rows = read.rows(await self._ask(_MARKS, query), "result", "list")
        marks = pd.Series(read.numbers(rows, 1), index=read.times(rows, 0), dtype="float64")
        return marks[~marks.index.duplicated(keep="last")]

    async def snapshot(self, instrument: Instrument) -> pd.DataFrame:
        """One row, all of it from one ticker."""
        answer = await self._ask(_TICKERS, {"symbol": instrument.id})
        read = self.reader(_TICKERS)
        rows = read.rows(answer, "result", "list")
        if not rows:
            raise read.differs("field 'result.list'", "is empty")
        (moment,) = read.times([answer], "time")
        mark = read.number(rows[0], "markPrice")
        amount = self._one_side(rows[0], "Interest")
        value = self._one_side(rows[0], "InterestValue")
        hours = read.number(rows[0], "fundingIntervalHour", optional=True)
        return snapshot_row(
            instrument,
            moment,
            mark_price=mark,
            funding_rate=read.number(rows[0], "fundingRate"),
            next_funding=read.time(rows[0], "nextFundingTime"),
            interval_hours=hours if hours > 0 else instrument.funding_interval_hours,
            open_interest=amount,
            open_interest_usd=amount * mark if np.isnan(value) else value,
        )

    def _one_side(self, row: Any, what: str) -> float:
        """A ticker's open interest, or its value, of one side of the market."""
        read = self.reader(_TICKERS)
        single = read.number(row, f"singleOpen{what}", optional=True)
        return read.number(row, f"open{what}") / _BOTH_SIDES if np.isnan(single) else single


def _forbidden(answer: Answer) -> Refusal:
    """HTTP 403, as JSON or as a page."""
    refusal = refusal_of(answer)
    if b"country" in answer.body.lower():
        return refusal
    said = f"{refusal.said}: who asked too often is shut out for at least 10 minutes"
    return Refusal(refusal.code, said, "banned", _BAN)
