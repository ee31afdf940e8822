"""OKX v5, ``/api/v5/market``, ``/public`` and ``/rubik``.

Sources: www.okx.com/docs-v5 (Get candlesticks and their history, instruments, funding rate and its
history, open interest and its history, mark price, system time) and recorded answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.market.exchange_server import values
from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.exchange import FakeExchange, Parameters, RefusedError, Reply
from tests.market.exchange_server.faults import Faults
from tests.market.exchange_server.limits import SlidingWindow
from tests.market.exchange_server.okx_shapes import funding_row, instrument_row
from tests.market.exchange_server.times import HOUR
from tests.market.exchange_server.truth import Truth

__all__ = ["FakeOkx"]

_DAY = 24 * HOUR
_MINUTES = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30}
_HOURS = {"1H": 1, "2H": 2, "4H": 4}
_LONG = {"6H": 6, "12H": 12, "1D": 24}
#: Milliseconds of each bar, and where its grid begins. Long ones open by Hong Kong's clock.
_BARS = {
    **{name: (minutes * 60_000, 0) for name, minutes in _MINUTES.items()},
    **{name: (hours * HOUR, 0) for name, hours in _HOURS.items()},
    **{name: (hours * HOUR, 16 * HOUR % (hours * HOUR)) for name, hours in _LONG.items()},
    **{f"{name}utc": (hours * HOUR, 0) for name, hours in _LONG.items()},
}
_ENTRIES = 1440
_FUNDING_DAYS = 93
_END = 1 << 62
#: Requests per two seconds, and whether each instrument has a count of its own.
_LIMITS = {
    "/api/v5/market/candles": (40, False),
    "/api/v5/market/history-candles": (20, False),
    "/api/v5/public/instruments": (20, False),
    "/api/v5/public/funding-rate": (10, True),
    "/api/v5/public/funding-rate-history": (10, True),
    "/api/v5/public/open-interest": (20, True),
    "/api/v5/public/mark-price": (10, True),
    "/api/v5/public/time": (10, False),
    "/api/v5/rubik/stat/contracts/open-interest-history": (10, True),
}


class FakeOkx(FakeExchange):
    """The endpoints of OKX with ``instType=SWAP``; of ``FUTURES`` one instrument's name."""

    name = "okx"

    def __init__(self, truth: Truth, faults: Faults, *, scale: float, budget: float) -> None:
        super().__init__(truth, faults, scale=scale, budget=budget)
        self.meters: defaultdict[tuple[str, str], SlidingWindow] = defaultdict(
            lambda: SlidingWindow(20 * budget, 2, scale)
        )
        self.paths = {
            "/api/v5/market/candles": self.candles,
            "/api/v5/market/history-candles": self.history_candles,
            "/api/v5/public/instruments": self.instruments,
            "/api/v5/public/funding-rate": self.funding_rate,
            "/api/v5/public/funding-rate-history": self.funding_history,
            "/api/v5/public/open-interest": self.open_interest,
            "/api/v5/public/mark-price": self.mark_price,
            "/api/v5/public/time": self.time,
            "/api/v5/rubik/stat/contracts/open-interest-history": self.open_interest_history,
        }

    # --- refusals and envelopes

    def parameter_error(self, parameter: str, fault: str) -> RefusedError:
        if fault == "missing":
            return _refused("50014", f"Parameter {parameter} can not be empty.")
        return _refused("51000", f"Parameter {parameter} error.")

    def envelope(self, body: Any) -> Reply:
        if isinstance(body, Reply):
            return body
        return Reply({"code": "0", "data": body, "msg": ""})

    def not_found(self) -> Reply:
        return Reply({"msg": "Not Found", "code": "404"}, 404)

    def limited(self, path: str, query: Mapping[str, str]) -> Reply | None:
        limit, partitioned = _LIMITS.get(path, (20, False))
        meter = self.meters[path, query.get("instId", "") if partitioned else ""]
        meter.budget = max(1.0, limit * self.budget)
        return None if meter.take() else self.fault_reply("too_many")

    def fault_reply(self, fault: str) -> Reply:
        return Reply({"msg": "Too Many Requests", "code": "50011"}, 429)

    # --- endpoints

    def time(self, parameters: Parameters) -> Any:
        return [{"ts": str(self.clock)}]

    def candles(self, parameters: Parameters) -> Any:
        return self._candles(parameters, confirmed=False)

    def history_candles(self, parameters: Parameters) -> Any:
        return self._candles(parameters, confirmed=True)

    def instruments(self, parameters: Parameters) -> Any:
        instrument_type = parameters.choice("instType", ("SWAP", "FUTURES"))
        instrument_id = parameters.text("instId", "")
        listings = [
            listing
            for listing in self._listings(instrument_type)
            if instrument_id in ("", listing.id)
        ]
        if instrument_id and not listings:
            raise _absent()
        return [instrument_row(listing, self.truth, instrument_type) for listing in listings]

    def funding_rate(self, parameters: Parameters) -> Any:
        if parameters.text("instId") == "ANY":
            listings = [
                listing for listing in self._listings("SWAP") if listing.contract_type != "pending"
            ]
            return [funding_row(listing, self.truth, self.clock) for listing in listings]
        return [funding_row(self._listing(parameters), self.truth, self.clock)]

    def funding_history(self, parameters: Parameters) -> Any:
        listing = self._listing(parameters)
        low, high, newest = self._cursors(parameters, "before", "after")
        limit = parameters.limit(100, 100, clamp=True)
        earliest = self.truth.clock - _FUNDING_DAYS * _DAY
        settlements, _ = self.truth.settlements(listing)
        times = self.rows(
            listing,
            ("funding", None),
            lambda start, end: settlements[
                (settlements >= max(start, earliest)) & (settlements < end)
            ],
            (max(low, earliest), high),
            (limit, newest, 8 * HOUR),
        )
        rows = [
            {
                "formulaType": "withRate",
                "fundingRate": rate,
                "fundingTime": str(time),
                "instId": listing.id,
                "instType": "SWAP",
                "method": "current_period",
                "realizedRate": rate,
            }
            for rate, time in zip(values.rates(listing, times).text(), times.tolist(), strict=True)
        ]
        return self._page(parameters, rows)

    def open_interest(self, parameters: Parameters) -> Any:
        now = np.array([self.truth.clock])
        rows = []
        for listing in self._selection(parameters):
            (amount,) = values.open_interest(listing, now).text(plain=True)
            rows.append(
                {
                    "instId": listing.id,
                    "instType": "SWAP",
                    "oi": amount,
                    "oiCcy": self.truth.base(listing, now).text(plain=True)[0],
                    "oiUsd": values.open_interest_value(listing, now).text(plain=True)[0],
                    "ts": str(self.clock),
                }
            )
        return rows

    def mark_price(self, parameters: Parameters) -> Any:
        now = np.array([self.truth.clock])
        return [
            {
                "instId": listing.id,
                "instType": "SWAP",
                "markPx": values.mark(listing, now).text(plain=True)[0],
                "ts": str(self.clock),
            }
            for listing in self._selection(parameters)
        ]

    def open_interest_history(self, parameters: Parameters) -> Any:
        listing = self._listing(parameters)
        period = parameters.choice(
            "period", [bar for bar in _BARS if bar not in ("1m", "3m")], "5m"
        )
        step, shift = _BARS[period]
        low, high, _ = self._cursors(parameters, "begin", "end")
        limit = parameters.limit(100, 100, clamp=True)
        earliest = self._earliest(step, shift)
        times = self.rows(
            listing,
            ("open_interest", _timeframe(period)),
            lambda start, end: self.truth.stamps(
                listing, step, max(start, earliest), end, shift=shift
            ),
            (max(low, earliest), high),
            (limit, True, step),
        )
        rows = [
            list(row)
            for row in zip(
                map(str, times.tolist()),
                values.open_interest(listing, times).text(plain=True),
                self.truth.base(listing, times).text(plain=True),
                values.open_interest_value(listing, times).text(plain=True),
                strict=True,
            )
        ]
        return self._page(parameters, rows)

    def _candles(self, parameters: Parameters, *, confirmed: bool) -> Reply:
        listing = self._listing(parameters)
        bar = parameters.choice("bar", _BARS, "1m")
        step, shift = _BARS[bar]
        low, high, newest = self._cursors(parameters, "before", "after")
        limit = parameters.limit(100, 300, clamp=True)
        now = self.truth.clock
        earliest = 0 if confirmed else self._earliest(step, shift)
        latest = now - step + 1 if confirmed else _END  # the history has closed bars alone
        times = self.rows(
            listing,
            ("candles", _timeframe(bar)),
            lambda start, end: self.truth.open_times(
                listing, step, max(start, earliest), min(end, latest), shift
            ),
            (max(low, earliest), min(high, latest)),
            (limit, newest, step),
        )
        bars = values.bars(listing, step, times, now)
        base, quote = bars.volume.text(plain=True), bars.quote_volume.text(plain=True)
        for index in np.flatnonzero(self.truth.ledger.swapped(listing, times)).tolist():
            base[index], quote[index] = quote[index], base[index]
        rows = [
            list(row)
            for row in zip(
                map(str, times.tolist()),
                *(side.text(plain=True) for side in (bars.open, bars.high, bars.low, bars.close)),
                bars.contracts.text(plain=True),
                base,
                quote,
                ["1" if time + step <= now else "0" for time in times.tolist()],
                strict=True,
            )
        ]
        # Market answers have their fields in another order than public ones.
        return Reply({"code": "0", "msg": "", "data": self._page(parameters, rows)})

    def _earliest(self, step: int, shift: int) -> int:
        return ((self.truth.clock - shift) // step - _ENTRIES + 1) * step + shift

    def _cursors(self, parameters: Parameters, newer: str, older: str) -> tuple[int, int, bool]:
        """``[low, high)`` of two exclusive cursors; the page has the newest rows of it."""
        low, high = parameters.number(newer, None), parameters.number(older, None)
        return (0 if low is None else low + 1), (_END if high is None else high), True

    def _page(self, parameters: Parameters, rows: list[Any]) -> list[Any]:
        return self.faults.page(self.name, str(parameters), rows[::-1])

    def _listings(self, instrument_type: str) -> list[Listing]:
        """The listings of a type; OKX leaves out delisted ones."""
        return [
            listing
            for listing in self.truth.listings
            if listing.exchange == self.name
            and (listing.contract_type == "dated") == (instrument_type == "FUTURES")
            and not listing.gone(self.truth.clock)
            and (listing.listed <= self.truth.clock or listing.contract_type == "pending")
        ]

    def _listing(self, parameters: Parameters) -> Listing:
        listing = self.truth.by_id(self.name, parameters.text("instId"))
        listings = [*self._listings("SWAP"), *self._listings("FUTURES")]
        if listing is None or listing not in listings:
            raise _absent()
        return listing

    def _selection(self, parameters: Parameters) -> list[Listing]:
        """The listings that a request is for."""
        instrument_type = parameters.choice("instType", ("SWAP", "FUTURES"))
        instrument_id = parameters.text("instId", "")
        listings = [
            listing
            for listing in self._listings(instrument_type)
            if instrument_id in ("", listing.id) and listing.contract_type != "pending"
        ]
        if not listings:
            raise _absent()
        return listings


def _refused(code: str, message: str) -> RefusedError:
    return RefusedError(Reply({"code": code, "data": [], "msg": message}))


def _absent() -> RefusedError:
    return _refused("51001", "Instrument ID doesn't exist.")


def _timeframe(bar: str) -> str | None:
    """The unified name of a bar; None of those that open by Hong Kong's clock."""
    if bar in _LONG:
        return None
    return bar.removesuffix("utc").lower()
