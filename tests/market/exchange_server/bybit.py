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
from tests.market.exchange_server.bybit_shapes import both_sides, instrument_row, ticker_row
from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.exchange import FakeExchange, Parameters, RefusedError, Reply
from tests.market.exchange_server.faults import Faults
from tests.market.exchange_server.limits import SlidingWindow
from tests.market.exchange_server.times import HOUR, step_of
from tests.market.exchange_server.truth import Truth

__all__ = ["FakeBybit"]

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


class FakeBybit(FakeExchange):
    """The endpoints of Bybit with ``category=linear``; of ``inverse`` one instrument's name."""

    name = "bybit"

    def __init__(self, truth: Truth, faults: Faults, *, scale: float, budget: float) -> None:
        super().__init__(truth, faults, scale=scale, budget=budget)
        self.calls = SlidingWindow(600 * budget, 5, scale)
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

    # --- refusals and envelopes

    def parameter_error(self, parameter: str, fault: str) -> RefusedError:
        if (parameter, fault) == ("interval", "malformed"):
            return self._refused("Invalid period!")
        if parameter == "category":
            return self._refused("Illegal category")
        return self._refused(f"params error: {parameter} invalid")

    def envelope(self, body: Any) -> Reply:
        return Reply(self._wrapped(0, "OK", body))

    def not_found(self) -> Reply:
        return Reply(b"404 page not found", 404)

    def limited(self, path: str, query: Mapping[str, str]) -> Reply | None:
        now = self.calls.now()
        if now >= self.banned_until:
            if self.calls.take():
                return None
            self.banned_until = now + 600  # ten minutes
        return self._forbidden()

    def fault_reply(self, fault: str) -> Reply:
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

    # --- endpoints

    def time(self, parameters: Parameters) -> Any:
        return {"timeSecond": str(self.clock // 1000), "timeNano": str(self.clock * 1_000_000)}

    def instruments(self, parameters: Parameters) -> Any:
        category = parameters.choice("category", ("linear", "inverse"))
        status = parameters.choice("status", _STATUSES, "Trading")
        symbol, limit = parameters.text("symbol", ""), parameters.limit(500, 1000)
        listings = [
            listing
            for listing in self._listings(category)
            if self._status(listing) == status and symbol in ("", listing.id)
        ]
        last = self._cursor(parameters, "last")
        page = [listing for listing in listings if listing.id > last][:limit]
        more = bool(page) and page[-1] != listings[-1]
        cursor = f"first%3D{page[0].id}%26last%3D{page[-1].id}" if more else ""
        rows = [instrument_row(listing, self.truth, status) for listing in page]
        return {"category": category, "list": rows, "nextPageCursor": cursor}

    def kline(self, parameters: Parameters) -> Any:
        listing, interval, times = self._candles(parameters, "candles")
        bars = values.bars(listing, _INTERVALS[interval], times, self.truth.clock)
        volume, turnover = bars.volume.text(plain=True), bars.quote_volume.text(plain=True)
        for index in np.flatnonzero(self.truth.ledger.swapped(listing, times)).tolist():
            volume[index], turnover[index] = turnover[index], volume[index]
        return self._klines(
            parameters,
            listing,
            map(str, times.tolist()),
            *(side.text(plain=True) for side in (bars.open, bars.high, bars.low, bars.close)),
            volume,
            turnover,
        )

    def mark_kline(self, parameters: Parameters) -> Any:
        listing, interval, times = self._candles(parameters, "mark")
        step = _INTERVALS[interval]
        first = values.mark(listing, times)
        last = values.mark(listing, np.minimum(times + step, self.truth.clock))
        top = values.Amount(np.maximum(first.units, last.units), first.places)
        bottom = values.Amount(np.minimum(first.units, last.units), first.places)
        sides = (side.text(plain=True) for side in (first, top, bottom, last))
        return self._klines(parameters, listing, map(str, times.tolist()), *sides)

    def funding_history(self, parameters: Parameters) -> Any:
        category, listing = self._listing(parameters, "params error: symbol invalid")
        low, high = parameters.number("startTime", None), parameters.number("endTime", None)
        limit = parameters.limit(200, 200)
        if low is not None and high is None:
            raise self._refused("Time Is Invalid")
        if low is not None and high is not None and low > high:
            raise self._refused("Time Is Invalid")
        settlements, _ = self.truth.settlements(listing)
        times = self.rows(
            listing,
            ("funding", None),
            lambda start, end: settlements[(settlements >= start) & (settlements < end)],
            (low or 0, _END if high is None else high + 1),
            (limit, True, 8 * HOUR),
        )
        rows = [
            {"symbol": listing.id, "fundingRate": rate, "fundingRateTimestamp": str(time)}
            for rate, time in zip(
                values.rates(listing, times).text(plain=True), times.tolist(), strict=True
            )
        ][::-1]
        return {"category": category, "list": self._page(parameters, rows)}

    def open_interest(self, parameters: Parameters) -> Any:
        category, listing = self._listing(parameters, "params error: symbol invalid")
        timeframe = _PERIODS[parameters.choice("intervalTime", _PERIODS)]
        step = step_of(timeframe)
        low, high = parameters.number("startTime", None), parameters.number("endTime", None)
        limit, last = parameters.limit(50, 200), self._cursor(parameters, "lastid")
        if high is None:
            low, high = None, _END - 1  # a lone start time is ignored
        if last:
            high = int(last) - 1
        times = self.rows(
            listing,
            ("open_interest", timeframe),
            lambda start, end: self.truth.stamps(listing, step, start, end),
            (low or 0, high + 1),
            (limit, True, step),
        )
        amounts = values.open_interest(listing, times)
        rows = [
            {"openInterest": both, "singleOpenInterest": single, "timestamp": str(time)}
            for both, single, time in zip(
                both_sides(amounts).to(8).text(),
                amounts.text(plain=True),
                times.tolist(),
                strict=True,
            )
        ][::-1]
        more = len(times) == limit and times[0] > max(low or 0, listing.listed)
        return {
            "symbol": listing.id,
            "category": category,
            "list": self._page(parameters, rows),
            "nextPageCursor": f"lastid%3D{times[0]}" if more else "",
        }

    def tickers(self, parameters: Parameters) -> Any:
        category = parameters.choice("category", ("linear", "inverse"))
        symbol = parameters.text("symbol", "")
        listings = [
            listing
            for listing in self._listings(category)
            if self._status(listing) == "Trading" and symbol in ("", listing.id)
        ]
        if symbol and not listings:
            raise self._refused("params error: symbol invalid")
        return {
            "category": category,
            "list": [ticker_row(listing, self.truth) for listing in listings],
        }

    def _cursor(self, parameters: Parameters, name: str) -> str:
        """A part of the cursor; empty where there is none.

        Cursors in answers are percent-encoded. Some clients send them as they are, others encode
        them once more: both are understood.
        """
        cursor = parameters.text("cursor", "")
        parts = dict(parse_qsl(cursor if "=" in cursor else unquote(cursor)))
        if cursor and not parts.get(name):
            raise self.parameter_error("cursor", "malformed")
        return parts.get(name, "")

    def _candles(self, parameters: Parameters, kind: str) -> tuple[Listing, str, Any]:
        _, listing = self._listing(parameters, "Not supported symbols", default="linear")
        interval = parameters.choice("interval", _INTERVALS)
        step = _INTERVALS[interval]
        low, high = parameters.number("start", None), parameters.number("end", None)
        if low is not None and high is not None and low > high:
            raise self.parameter_error("start", "malformed")
        limit = parameters.limit(200, 1000)
        times = self.rows(
            listing,
            (kind, _TIMEFRAMES.get(interval)),
            lambda start, end: self.truth.open_times(listing, step, start, end),
            # A start within a candle includes that candle.
            ((low or 0) // step * step, _END if high is None else high + 1),
            # From a lone start on the oldest rows, else the newest.
            (limit, low is None or high is not None, step),
        )
        return listing, interval, times

    def _klines(self, parameters: Parameters, listing: Listing, *columns: Any) -> Any:
        rows = [list(row) for row in zip(*columns, strict=True)][::-1]
        category = parameters.text("category", "linear")
        return {"symbol": listing.id, "category": category, "list": self._page(parameters, rows)}

    def _page(self, parameters: Parameters, rows: list[Any]) -> list[Any]:
        return self.faults.page(self.name, str(parameters), rows)

    def _listings(self, category: str) -> list[Listing]:
        listings = [
            listing
            for listing in self.truth.listings
            if listing.exchange == self.name
            and (listing.contract_type == "inverse") == (category == "inverse")
            and listing.listed <= self.truth.clock
        ]
        return sorted(listings, key=lambda listing: listing.id)

    def _listing(
        self, parameters: Parameters, message: str, default: str | None = None
    ) -> tuple[str, Listing]:
        category = parameters.choice("category", ("linear", "inverse"), default)
        listing = self.truth.by_id(self.name, parameters.text("symbol"))
        if listing is None or listing not in self._listings(category):
            raise self._refused(message)
        return category, listing

    def _status(self, listing: Listing) -> str:
        if not listing.gone(self.truth.clock):
            return "Trading"
        return "Closed" if listing.gone(self.truth.clock - _DELIVERY) else "Delivering"
