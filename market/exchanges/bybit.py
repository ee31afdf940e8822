"""Bybit v5, linear contracts. Pages come newest first; both ends of a window count.

Errors come inside HTTP 200, as ``retCode``. HTTP 403 is either for a country that Bybit does not
serve or, after too many requests, a ban of at least ten minutes.

Open interest comes in base units, and ``openInterest`` is documented as the sum of both sides of
the market, longs and shorts, where Binance and OKX count one. One side is returned: a ticker's
``singleOpenInterest`` and ``singleOpenInterestValue``, or else half of the sum; of the history,
always half (its ``singleOpenInterest`` is the same, rounded). The history has no value in dollars:
there the amount is multiplied by the mark price at which the mark-price candle of the same time
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
from market.exchanges.pages import MILLISECOND, clip, snapshot_row
from market.exchanges.rest import HOUR, MINUTE, SMALLEST_LIMIT, RestExchange, funding_hours
from market.exchanges.table import FAULT, Table
from market.http.client import Query
from market.http.limits import Limit
from market.http.parser import milliseconds
from market.http.refusals import Answer, Reason, Refusal, http_refusal

__all__ = ["Bybit"]

logger = logging.getLogger(__name__)

_INFO, _CLOCK = "v5/market/instruments-info", "v5/market/time"
_KLINES, _MARKS = "v5/market/kline", "v5/market/mark-price-kline"
_TICKERS, _RATES = "v5/market/tickers", "v5/market/funding/history"
_HISTORY = "v5/market/open-interest"

_COST = {"requests": 1.0}
_FUNDING_ROWS = 200
_LISTED_ROWS = 1000
_PAGES = 100  # of instruments; more mean that the exchange's cursor goes in a circle
_BOTH_SIDES = 2.0
# In the order of an instrument's life: one that moves on between the requests comes twice, not
# never. "Settling" is not in every version of the documentation.
_STATUSES = ("PreLaunch", "Trading", "Settling", "Delivering", "Closed")
_WRONG_PARAMETER = 10001  # whatever is wrong with it; only the message says what
_REASONS: Mapping[int, Reason] = {
    **dict.fromkeys((10006, 10018), "limited"),
    **dict.fromkeys((10000, 10016, 10019), "busy"),
    10009: "banned",
    10024: "blocked",  # compliance
}
_SHORTEST_BAN = 600.0  # seconds
_CANDLE_TIMEFRAMES = {
    **{f"{n}m": str(n) for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": str(60 * n) for n in (1, 2, 4, 6, 12)},
    "1d": "D",
    "1w": "W",
}
_INTEREST_TIMEFRAMES = {
    "5m": "5min",
    "15m": "15min",
    "30m": "30min",
    "1h": "1h",
    "4h": "4h",
    "1d": "1d",
}


class Bybit(RestExchange):
    """Bybit's linear perpetuals."""

    name = "bybit"
    url = "https://api.bybit.com"
    limits = (Limit("requests", 600, 5),)
    candle_timeframes = MappingProxyType(_CANDLE_TIMEFRAMES)
    interest_timeframes = MappingProxyType(_INTEREST_TIMEFRAMES)
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
    listing_fields = ("symbol", "baseCoin", "quoteCoin")
    bitcoin = Instrument(name, "BTC/USDT:USDT", "BTCUSDT", 1.0, 8.0, None, None, "Trading")

    @property
    def retention(self) -> Mapping[str, pd.Timedelta | None]:
        """Every history reaches to the listing."""
        return {"candles": None, "funding": None, "open_interest": None}

    def refusal(self, answer: Answer) -> Refusal | None:
        status, envelope = answer.status, answer.json
        code = envelope.get("retCode") if isinstance(envelope, dict) else None
        if status == 403:
            return _forbidden(answer)
        if not isinstance(code, int) or code == 0:
            return None
        message = str(envelope.get("retMsg", ""))
        reason: Reason = "busy" if status >= 500 else "refused"
        if code == _WRONG_PARAMETER and "symbol" in message.lower():
            reason = "absent"
        reason = "limited" if status == 429 else _REASONS.get(code, reason)
        seconds = _SHORTEST_BAN if reason == "banned" else 0.0
        return Refusal(str(code), message, reason, seconds)

    async def _get(self, endpoint: str, query: Query) -> Any:
        return await self.client.get(endpoint, {"category": "linear", **query}, costs=_COST)

    async def server_time(self) -> pd.Timestamp:
        answer = await self.client.get(_CLOCK, costs=_COST)
        return self.parser(_CLOCK).times([answer], "time")[0]

    async def _fetch_instruments(self) -> dict[str, Instrument]:
        rows: list[Any] = []
        for status in _STATUSES:
            try:
                rows += await self._instrument_rows(status)
            except ExchangeRefusedError as error:  # of this request; not a ban, which is of all
                if status == "Trading" or error.code != str(_WRONG_PARAMETER):
                    raise
                logger.info("instruments that are %s stay unknown: %s", status, error)
        return self._by_symbol(rows, self._instrument, "Trading")

    async def _instrument_rows(self, status: str) -> list[Any]:
        """The rows of all instruments of a status, page by page."""
        parser, rows, cursor = self.parser(_INFO), list[Any](), ""
        for _ in range(_PAGES):
            query: Query = {"status": status, "limit": _LISTED_ROWS, "cursor": cursor or None}
            answer = await self._get(_INFO, query)
            page = parser.rows(answer, "result", "list")
            rows += page
            if len(page) < _LISTED_ROWS:
                break
            cursor = parser.text(parser.value(answer, "result"), "nextPageCursor")
            if not cursor or not page:
                break
        return rows

    def _instrument(self, row: Any) -> Instrument | None:
        parser = self.parser(_INFO)
        base, quote = parser.text(row, "baseCoin"), parser.text(row, "quoteCoin")
        if parser.text(row, "contractType") != "LinearPerpetual":
            return None
        if parser.text(row, "settleCoin") != quote or not settles_in_dollars(quote):
            return None
        symbol = canonical(base, quote)
        if symbol is None:
            return None
        hours = funding_hours(parser, row, "fundingInterval", unit=60.0)
        return Instrument(
            exchange=self.name,
            symbol=symbol,
            id=parser.text(row, "symbol"),
            contract_size=1.0,
            funding_interval_hours=hours,
            listed=parser.time(row, "launchTime"),
            delisted=parser.time(row, "deliveryTime"),
            status=parser.text(row, "status"),
        )

    async def _fetch_candles(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"symbol": instrument.id, "interval": timeframe, "limit": self.candle_rows}
        query |= {"start": first, "end": last - 1}
        parser = self.parser(_KLINES)
        table = Table(parser, parser.rows(await self._get(_KLINES, query), "result", "list"), 7)
        times = table.times(0, first, last, step=step // MILLISECOND)
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "quote_volume": 6}
        return table.frame(times, **{name: table.numbers(at) for name, at in places.items()})

    async def _fetch_funding(self, instrument: Instrument, first: int, last: int) -> pd.DataFrame:
        pages = [self._rates([], first, last)]
        while first < last:
            query: Query = {"symbol": instrument.id, "limit": _FUNDING_ROWS}
            query |= {"startTime": first, "endTime": last - 1}
            rows = self.parser(_RATES).rows(await self._get(_RATES, query), "result", "list")
            page = self._rates(rows, first, last)
            pages.append(page)
            if len(page) < SMALLEST_LIMIT:
                break
            last = milliseconds(page["time"].min())
        return pd.concat(pages, ignore_index=True)

    def _rates(self, rows: list[Any], first: int, last: int) -> pd.DataFrame:
        table = Table(self.parser(_RATES), rows)
        times = table.times("fundingRateTimestamp", first, last, step=HOUR, precision=MINUTE)
        return table.frame(times, rate=table.numbers("fundingRate"), mark_price=np.nan)

    async def _fetch_interest(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"symbol": instrument.id, "intervalTime": timeframe}
        query |= {"startTime": first, "endTime": last - 1, "limit": self.interest_rows}
        parser = self.parser(_HISTORY)
        rows = parser.rows(await self._get(_HISTORY, query), "result", "list")
        table = Table(parser, rows)
        times = table.times("timestamp", first, last, step=step // MILLISECOND)
        frame = table.frame(times, base=table.numbers("openInterest") / _BOTH_SIDES)
        if frame.empty:
            return frame.assign(usd=frame["base"])
        marks = await self._marks(instrument, timeframe, step, first, last)
        return frame.assign(usd=frame["base"] * frame["time"].map(marks))

    async def _marks(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.Series:
        """The open prices of mark-price candles by open time; the timeframe by Bybit's name.

        A price that is impossible, or that can't be read, is left out.
        """
        interval = next(
            _CANDLE_TIMEFRAMES[key]
            for key, name in _INTEREST_TIMEFRAMES.items()
            if name == timeframe
        )
        query: Query = {"symbol": instrument.id, "interval": interval, "limit": self.candle_rows}
        query |= {"start": first, "end": last - 1}
        parser = self.parser(_MARKS)
        table = Table(parser, parser.rows(await self._get(_MARKS, query), "result", "list"), 5)
        times = table.times(0, first, last, step=step // MILLISECOND)
        rows = clip(parser, table.frame(times, mark=table.numbers(1)), first, last)
        marks = rows[(rows[FAULT] == "") & (rows["mark"] > 0)]
        return marks.set_index("time")["mark"]

    async def snapshot(self, instrument: Instrument) -> pd.DataFrame:
        """One row, all of it from one ticker."""
        answer = await self._get(_TICKERS, {"symbol": instrument.id})
        parser = self.parser(_TICKERS)
        rows = parser.rows(answer, "result", "list")
        row = parser.only_row(rows, "result.list", field="symbol", value=instrument.id)
        (time,) = parser.times([answer], "time")
        mark = parser.number(row, "markPrice")
        amount = self._one_side(row, "Interest")
        value = self._one_side(row, "InterestValue")
        hours = funding_hours(parser, row, "fundingIntervalHour", optional=True)
        return snapshot_row(
            instrument,
            time,
            mark_price=mark,
            funding_rate=parser.number(row, "fundingRate"),
            next_funding=parser.time(row, "nextFundingTime"),
            interval_hours=instrument.funding_interval_hours if hours is None else hours,
            open_interest=amount,
            open_interest_usd=amount * mark if np.isnan(value) else value,
        )

    def _one_side(self, row: Any, field: str) -> float:
        """A ticker's ``openInterest`` or ``openInterestValue``, of one side of the market."""
        parser = self.parser(_TICKERS)
        single = parser.number(row, f"singleOpen{field}", optional=True)
        return parser.number(row, f"open{field}") / _BOTH_SIDES if np.isnan(single) else single


def _forbidden(answer: Answer) -> Refusal:
    """HTTP 403, as JSON or as a page."""
    refusal = http_refusal(answer)
    if b"country" in answer.body.lower():
        return refusal
    message = f"{refusal.message}: who asked too often is shut out for at least 10 minutes"
    return Refusal(refusal.code, message, "banned", _SHORTEST_BAN)
