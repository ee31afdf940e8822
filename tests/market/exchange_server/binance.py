"""Binance USD-M futures, ``/fapi`` and ``/futures/data``.

Sources: developers.binance.com, "USDⓈ-M Futures" (General Info; Kline Data; Get Funding Rate
History and Info; Open Interest and its Statistics; Mark Price; Error Codes), and recorded answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.market.exchange_server import values
from tests.market.exchange_server.binance_shapes import instrument_row, premium_row
from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.exchange import FakeExchange, Parameters, RefusedError, Reply
from tests.market.exchange_server.faults import Faults
from tests.market.exchange_server.limits import FixedWindow
from tests.market.exchange_server.times import HOUR, step_of
from tests.market.exchange_server.truth import Truth

__all__ = ["FakeBinance"]

_DAY = 24 * HOUR
_INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")
_PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
_MARKED_SINCE = 1_698_796_800_000  # earlier funding rows have no mark price


class FakeBinance(FakeExchange):
    """The endpoints of Binance."""

    name = "binance"

    def __init__(self, truth: Truth, faults: Faults, *, scale: float, budget: float) -> None:
        super().__init__(truth, faults, scale=scale, budget=budget)
        self.weight = FixedWindow(2400 * budget, 60, scale)
        self.funding_calls = FixedWindow(500 * budget, 300, scale)
        self.data_calls = FixedWindow(1000 * budget, 300, scale)
        self.banned_until = 0.0
        self.paths = {
            "/fapi/v1/time": self.time,
            "/fapi/v1/exchangeInfo": self.exchange_info,
            "/fapi/v1/klines": self.klines,
            "/fapi/v1/fundingRate": self.funding_rate,
            "/fapi/v1/fundingInfo": self.funding_info,
            "/fapi/v1/premiumIndex": self.premium_index,
            "/fapi/v1/openInterest": self.open_interest,
            "/futures/data/openInterestHist": self.open_interest_history,
        }

    # --- refusals and envelopes

    def parameter_error(self, parameter: str, fault: str) -> RefusedError:
        if fault == "missing":
            message = (
                f"Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed."
            )
            return _refused(-1102, message)
        if fault == "unknown":
            return _refused(-1104, f"Not all sent parameters were read; '{parameter}' was not.")
        if parameter in ("interval", "period"):
            return _refused(-1120, "Invalid interval.")
        if parameter == "limit":
            return _refused(-1130, "Data sent for parameter 'limit' is not valid.")
        return _refused(
            -1100,
            f"Illegal characters found in parameter '{parameter}'; "
            "legal range is '^[0-9]{1,20}$'.",
        )

    def envelope(self, body: Any) -> Reply:
        return Reply(body, headers=self._used())

    def not_found(self) -> Reply:
        return Reply(b"<html><title>404 Not Found</title></html>", 404)

    def limited(self, path: str, query: Mapping[str, str]) -> Reply | None:
        now = self.weight.now()
        if now < self.banned_until:
            return self._ban(self.banned_until - now)
        meter, weight = self.weight, _weight(path, query)
        if path in ("/fapi/v1/fundingRate", "/fapi/v1/fundingInfo"):
            meter, weight = self.funding_calls, 1
        elif path.startswith("/futures/data/"):
            meter, weight = self.data_calls, 1
        if meter.take(weight):
            return None
        if meter.refused > 10:  # a ban, of two minutes at first
            self.banned_until = now + 120
            return self._ban(120)
        return self._too_many(meter.wait())

    def fault_reply(self, fault: str) -> Reply:
        wait = self.faults.retry_after
        return self._ban(wait * self.scale) if fault == "banned" else self._too_many(wait)

    def _used(self) -> dict[str, str]:
        return {"X-MBX-USED-WEIGHT-1M": f"{self.weight.used:.0f}"}

    def _too_many(self, wait: int) -> Reply:
        message = (
            "Too many requests; current limit of IP(127.0.0.1) is 2400 requests per minute. Please "
            "use the websocket for live updates to avoid polling the API."
        )
        headers = {**self._used(), "Retry-After": str(wait)}
        return Reply({"code": -1003, "msg": message}, 429, headers)

    def _ban(self, seconds: float) -> Reply:
        wait = max(1, round(seconds / self.scale))
        message = (
            f"Way too many requests; IP(127.0.0.1) banned until {self.clock + 1000 * wait}. Please "
            "use the websocket for live updates to avoid bans."
        )
        return Reply({"code": -1003, "msg": message}, 418, {"Retry-After": str(wait)})

    # --- endpoints

    def time(self, parameters: Parameters) -> Any:
        return {"serverTime": self.clock}

    def exchange_info(self, parameters: Parameters) -> Any:
        limits = [("REQUEST_WEIGHT", "MINUTE", 1, 2400), ("ORDERS", "MINUTE", 1, 1200)]
        return {
            "timezone": "UTC",
            "serverTime": self.clock,
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {"rateLimitType": name, "interval": unit, "intervalNum": number, "limit": limit}
                for name, unit, number, limit in limits
            ],
            "exchangeFilters": [],
            "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
            "symbols": [instrument_row(listing, self.truth) for listing in self._listings()],
        }

    def klines(self, parameters: Parameters) -> Any:
        listing = self._listing(parameters)
        interval = parameters.choice("interval", _INTERVALS)
        step = step_of(interval)
        span, newest = _span(parameters)
        limit = parameters.limit(500, 1500)
        times = self.rows(
            listing,
            ("candles", interval),
            lambda low, high: self.truth.open_times(listing, step, low, high),
            span,
            (limit, newest, step),
        )
        bars = values.bars(listing, step, times, self.truth.clock)
        volume, quote = bars.volume.text(), bars.quote_volume.text()
        swapped = self.truth.ledger.swapped(listing, times).tolist()
        rows = [
            [time, *prices, *_pair(v, time + step - 1, q, swap), trades, taker, taker_quote, "0"]
            for time, *prices, v, q, swap, trades, taker, taker_quote in zip(
                times.tolist(),
                bars.open.text(),
                bars.high.text(),
                bars.low.text(),
                bars.close.text(),
                volume,
                quote,
                swapped,
                bars.trades.tolist(),
                bars.taker.text(),
                bars.taker_quote.text(),
                strict=True,
            )
        ]
        return self._page(f"klines {listing.id} {interval} {span} {limit}", rows)

    def funding_rate(self, parameters: Parameters) -> Any:
        listing = self._listing(parameters)
        (low, high), newest = _span(parameters)
        limit = parameters.limit(100, 1000)
        if listing.contract_type == "dated":
            return []
        settlements, _ = self.truth.settlements(listing)
        stamps = settlements + values.jitter(listing, settlements)

        def source(start: int, end: int) -> Any:
            return settlements[(stamps >= start) & (stamps < end)]

        times = self.rows(
            listing, ("funding", None), source, (low, high), (limit, newest, 8 * HOUR)
        )
        marks = values.mark(listing, times).text()
        rows = [
            {"symbol": listing.id, "fundingTime": time, "fundingRate": rate, "markPrice": mark}
            for time, rate, mark in zip(
                (times + values.jitter(listing, times)).tolist(),
                values.rates(listing, times).text(),
                [m if t >= _MARKED_SINCE else "" for t, m in zip(times, marks, strict=True)],
                strict=True,
            )
        ]
        return self._page(f"fundingRate {listing.id} {low} {high} {limit}", rows)

    def funding_info(self, parameters: Parameters) -> Any:
        """Symbols with another interval than eight hours, or with adjusted bounds."""
        return [
            {
                "symbol": listing.id,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": listing.hours_at(self.truth.clock),
                "disclaimer": False,
                "updateTime": 1_752_854_309_429,
            }
            for listing in self._listings()
            if listing.contract_type == "perpetual"
            and not listing.gone(self.truth.clock)
            and (listing.hours_at(self.truth.clock) != 8 or listing.coin.name == "DOGE")
        ]

    def premium_index(self, parameters: Parameters) -> Any:
        if parameters.text("symbol", ""):
            return premium_row(self._listing(parameters), self.truth, self.clock)
        return [
            premium_row(listing, self.truth, self.clock)
            for listing in self._listings()
            if listing.contract_type != "pending"
        ]

    def open_interest(self, parameters: Parameters) -> Any:
        listing = self._listing(parameters)
        if listing.gone(self.truth.clock):
            raise _refused(
                -4108,
                "This symbol is on delivering or delivered or settling or closed or pre-trading.",
            )
        (amount,) = values.open_interest(listing, np.array([self.truth.clock])).text()
        return {"openInterest": amount, "symbol": listing.id, "time": self.clock}

    def open_interest_history(self, parameters: Parameters) -> Any:
        listing = self._listing(parameters)
        period = parameters.choice("period", _PERIODS)
        step = step_of(period)
        (low, high), newest = _span(parameters)
        limit = parameters.limit(30, 500)
        earliest = self.truth.clock - 30 * _DAY
        if 0 < low < earliest:
            raise _refused(-1130, "parameter 'startTime' is invalid.")
        if high <= earliest:
            raise _refused(-1130, "parameter 'endTime' is invalid.")
        times = self.rows(
            listing,
            ("open_interest", period),
            lambda start, end: self.truth.stamps(listing, step, max(start, earliest), end),
            (max(low, earliest), high),
            (limit, newest, step),
        )
        rows = [
            {
                "symbol": listing.id,
                "sumOpenInterest": amount,
                "sumOpenInterestValue": value,
                "CMCCirculatingSupply": "0.00000000",
                "timestamp": time,
            }
            for amount, value, time in zip(
                values.open_interest(listing, times).to(8).text(),
                values.open_interest_value(listing, times).to(8).text(),
                times.tolist(),
                strict=True,
            )
        ]
        return self._page(f"openInterestHist {listing.id} {period} {low} {high} {limit}", rows)

    def _page(self, target: str, rows: list[Any]) -> list[Any]:
        return self.faults.page(self.name, target, rows)

    def _listings(self) -> list[Listing]:
        return [
            listing
            for listing in self.truth.listings
            if listing.exchange == self.name
            and (listing.listed <= self.truth.clock or listing.contract_type == "pending")
        ]

    def _listing(self, parameters: Parameters) -> Listing:
        listing = self.truth.by_id(self.name, parameters.text("symbol"))
        if listing is None or listing.listed > self.truth.clock:
            raise _refused(-1121, "Invalid symbol.")
        return listing


def _refused(code: int, message: str) -> RefusedError:
    return RefusedError(Reply({"code": code, "msg": message}, 400))


def _span(parameters: Parameters) -> tuple[tuple[int, int], bool]:
    """``[low, high)``, both ends of the request being inclusive; and whether the newest rows."""
    low, high = parameters.number("startTime", None), parameters.number("endTime", None)
    if low is not None and high is not None and low > high:
        raise _refused(-1023, "Start time is greater than end time.")
    return (low or 0, (1 << 62) if high is None else high + 1), low is None


def _pair(volume: str, close_time: int, quote: str, swapped: bool) -> tuple[str, int, str]:
    return (quote, close_time, volume) if swapped else (volume, close_time, quote)


def _weight(path: str, query: Mapping[str, str]) -> int:
    if path == "/fapi/v1/premiumIndex":
        return 1 if query.get("symbol") else 10
    if path == "/fapi/v1/klines":
        limit = int(query.get("limit", "500")) if query.get("limit", "500").isdigit() else 500
        return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
    return 1
