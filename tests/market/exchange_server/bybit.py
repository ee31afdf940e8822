"""Bybit v5, ``/v5/market``.

Sources: bybit-exchange.github.io/docs/v5 (Get Kline, Mark Price Kline, Funding Rate History, Open
Interest, Tickers, Instruments Info, Rate Limit), recorded answers, and for what a lone start time
does ccxt's threads 15990, 17486 and 30016, pybit's thread 186 and mirumirumi/ro-soku's thread 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

import numpy as np

from tests.market.exchange_server import values
from tests.market.exchange_server.bybit_shapes import both_sides, described, ticker
from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.exchange import Exchange, Parameters, RefusedError, Reply
from tests.market.exchange_server.faults import Faults
from tests.market.exchange_server.limits import Sliding
from tests.market.exchange_server.moments import HOUR, step_of
from tests.market.exchange_server.truth import Truth

__all__ = ["Bybit"]

_INTERVALS = {
    **{str(minutes): minutes * 60_000 for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)},
    "D": 24 * HOUR,
}
_TIMEFRAMES = {"1": "1m", "5": "5m", "15": "15m", "60": "1h", "240": "4h", "D": "1d"}
_PERIODS = {
    "5min": "5m",
    "15min": "15m",
    "30min": "30m",
    "1h": "1h",
    "4h": "4h",
    "1d": "1d",
}
_STATUSES = ("PreLaunch", "Trading", "Delivering", "Closed")
_DELIVERY = HOUR  # between trading and being closed
_END = 1 << 62


class Bybit(Exchange):
    """Serves what Bybit serves of ``category=linear``; of ``inverse`` one instrument's name."""

    name = "bybit"

    def __init__(self, truth: Truth, faults: Faults, *, scale: float, budget: float) -> None:
        super().__init__(truth, faults, scale=scale, budget=budget)
        self.calls = Sliding(600 * budget, 5, scale)
        self.banned_until = 0.0
        self.paths = {
            "/v5/market/time": self.time,
            "/v5/market/instruments-info": self.instruments,
            "/v5/market/kline": self.kline,
            "/v5/market/mark-price-kline": self.mark_kline,
            "/v5/market/funding/history": self.funding_history,
            "/v5/market/open-interest": self.open_interest,
            "/v5/market/tickers": self.tickers,
        }

    # How it answers.

    def wrong(self, parameter: str, trouble: str) -> RefusedError:
        if (parameter, trouble) == ("interval", "malformed"):
            return self._refused("Invalid period!")
        if parameter == "category":
            return self._refused("Illegal category")
        return self._refused(f"params error: {parameter} invalid")

    def answered(self, body: Any) -> Reply:
        return Reply(self._wrapped(0, "OK", body))

    def lost(self) -> Reply:
        return Reply(b"404 page not found", 404)

    def limited(self, path: str, query: Mapping[str, str]) -> Reply | None:
        now = self.calls.now()
        if now >= self.banned_until:
            if self.calls.take():
                return None
            self.banned_until = now + 600  # ten minutes
        return self._forbidden()

    def faulty(self, fault: str) -> Reply:
        if fault == "banned":
            return self._forbidden()
        reset = self.clock + 1000 * self.faults.retry_after
        headers = {"X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": str(reset)}
        return Reply(self._wrapped(10006, "Too many visits!", {}), headers=headers)

    def _forbidden(self) -> Reply:
        return Reply(b"403, access too frequent", 403)

    def _wrapped(self, code: int, message: str, result: Any) -> dict[str, Any]:
        return {
            "retCode": code,
            "retMsg": message,
            "result": result,
            "retExtInfo": {},
            "time": self.clock,
        }

    def _refused(self, message: str, code: int = 10001) -> RefusedError:
        return RefusedError(Reply(self._wrapped(code, message, {})))

    # What it knows.

    def time(self, asked: Parameters) -> Any:
        return {"timeSecond": str(self.clock // 1000), "timeNano": str(self.clock * 1_000_000)}

    def instruments(self, asked: Parameters) -> Any:
        category = asked.choice("category", ("linear", "inverse"))
        status = asked.choice("status", _STATUSES, "Trading")
        symbol, limit = asked.text("symbol", ""), asked.limit(500, 1000)
        found = [
            one
            for one in self._listings(category)
            if self._status(one) == status and symbol in ("", one.id)
        ]
        last = self._cursor(asked, "last")
        page = [one for one in found if one.id > last][:limit]
        more = bool(page) and page[-1] != found[-1]
        cursor = f"first%3D{page[0].id}%26last%3D{page[-1].id}" if more else ""
        told = [described(one, self.truth, status) for one in page]
        return {"category": category, "list": told, "nextPageCursor": cursor}

    def kline(self, asked: Parameters) -> Any:
        listing, interval, times = self._candles(asked, "candles")
        bars = values.bars(listing, _INTERVALS[interval], times, self.truth.clock)
        volume, turnover = bars.volume.text(plain=True), bars.quote_volume.text(plain=True)
        for index in np.flatnonzero(self.truth.ledger.swapped(listing, times)).tolist():
            volume[index], turnover[index] = turnover[index], volume[index]
        return self._klines(
            asked,
            listing,
            map(str, times.tolist()),
            *(side.text(plain=True) for side in (bars.open, bars.high, bars.low, bars.close)),
            volume,
            turnover,
        )

    def mark_kline(self, asked: Parameters) -> Any:
        listing, interval, times = self._candles(asked, "mark")
        step = _INTERVALS[interval]
        first = values.mark(listing, times)
        last = values.mark(listing, np.minimum(times + step, self.truth.clock))
        top = values.Amount(np.maximum(first.units, last.units), first.places)
        bottom = values.Amount(np.minimum(first.units, last.units), first.places)
        sides = (side.text(plain=True) for side in (first, top, bottom, last))
        return self._klines(asked, listing, map(str, times.tolist()), *sides)

    def funding_history(self, asked: Parameters) -> Any:
        category, listing = self._listing(asked, "params error: symbol invalid")
        low, high = asked.number("startTime", None), asked.number("endTime", None)
        limit = asked.limit(200, 200)
        if low is not None and high is None:
            raise self._refused("Time Is Invalid")
        if low is not None and high is not None and low > high:
            raise self._refused("Time Is Invalid")
        every, _ = self.truth.settlements(listing)
        times = self.rows(
            listing,
            ("funding", None),
            lambda start, end: every[(every >= start) & (every < end)],
            (low or 0, _END if high is None else high + 1),
            (limit, True, 8 * HOUR),
        )
        rows = [
            {"symbol": listing.id, "fundingRate": rate, "fundingRateTimestamp": str(time)}
            for rate, time in zip(
                values.rates(listing, times).text(plain=True), times.tolist(), strict=True
            )
        ][::-1]
        return {"category": category, "list": self._page(asked, rows)}

    def open_interest(self, asked: Parameters) -> Any:
        category, listing = self._listing(asked, "params error: symbol invalid")
        timeframe = _PERIODS[asked.choice("intervalTime", _PERIODS)]
        step = step_of(timeframe)
        low, high = asked.number("startTime", None), asked.number("endTime", None)
        limit, last = asked.limit(50, 200), self._cursor(asked, "lastid")
        if high is None:
            low, high = None, _END - 1  # a lone start time is passed over in silence
        if last:
            high = int(last) - 1
        times = self.rows(
            listing,
            ("open_interest", timeframe),
            lambda start, end: self.truth.stamps(listing, step, start, end),
            (low or 0, high + 1),
            (limit, True, step),
        )
        single = values.open_interest(listing, times)
        rows = [
            {"openInterest": both, "singleOpenInterest": one, "timestamp": str(time)}
            for both, one, time in zip(
                both_sides(single).to(8).text(),
                single.text(plain=True),
                times.tolist(),
                strict=True,
            )
        ][::-1]
        more = len(times) == limit and times[0] > max(low or 0, listing.listed)
        return {
            "symbol": listing.id,
            "category": category,
            "list": self._page(asked, rows),
            "nextPageCursor": f"lastid%3D{times[0]}" if more else "",
        }

    def tickers(self, asked: Parameters) -> Any:
        category = asked.choice("category", ("linear", "inverse"))
        symbol = asked.text("symbol", "")
        found = [
            one
            for one in self._listings(category)
            if self._status(one) == "Trading" and symbol in ("", one.id)
        ]
        if symbol and not found:
            raise self._refused("params error: symbol invalid")
        return {"category": category, "list": [ticker(one, self.truth) for one in found]}

    def _cursor(self, asked: Parameters, name: str) -> str:
        """A part of the cursor; empty where there is none.

        Cursors are given percent-encoded. Some clients send them on as they are, others encode
        them once more: both are understood.
        """
        given = asked.text("cursor", "")
        parts = dict(parse_qsl(given if "=" in given else unquote(given)))
        if given and not parts.get(name):
            raise self.wrong("cursor", "malformed")
        return parts.get(name, "")

    def _candles(self, asked: Parameters, kind: str) -> tuple[Listing, str, Any]:
        _, listing = self._listing(asked, "Not supported symbols", default="linear")
        interval = asked.choice("interval", _INTERVALS)
        step = _INTERVALS[interval]
        low, high = asked.number("start", None), asked.number("end", None)
        if low is not None and high is not None and low > high:
            raise self.wrong("start", "malformed")
        limit = asked.limit(200, 1000)
        times = self.rows(
            listing,
            (kind, _TIMEFRAMES.get(interval)),
            lambda start, end: self.truth.open_times(listing, step, start, end),
            # A start within a candle gives that candle too.
            ((low or 0) // step * step, _END if high is None else high + 1),
            # From a lone start on the oldest rows are given, else the newest.
            (limit, low is None or high is not None, step),
        )
        return listing, interval, times

    def _klines(self, asked: Parameters, listing: Listing, *columns: Any) -> Any:
        rows = [list(row) for row in zip(*columns, strict=True)][::-1]
        category = asked.text("category", "linear")
        return {"symbol": listing.id, "category": category, "list": self._page(asked, rows)}

    def _page(self, asked: Parameters, rows: list[Any]) -> list[Any]:
        return self.faults.page(self.name, str(asked), rows)

    def _listings(self, category: str) -> list[Listing]:
        found = [
            one
            for one in self.truth.listings
            if one.exchange == self.name
            and (one.sort == "inverse") == (category == "inverse")
            and one.listed <= self.truth.clock
        ]
        return sorted(found, key=lambda one: one.id)

    def _listing(
        self, asked: Parameters, trouble: str, default: str | None = None
    ) -> tuple[str, Listing]:
        category = asked.choice("category", ("linear", "inverse"), default)
        listing = self.truth.by_id(self.name, asked.text("symbol"))
        if listing is None or listing not in self._listings(category):
            raise self._refused(trouble)
        return category, listing

    def _status(self, one: Listing) -> str:
        if not one.gone(self.truth.clock):
            return "Trading"
        return "Closed" if one.gone(self.truth.clock - _DELIVERY) else "Delivering"
