"""OKX v5, linear swaps. Pages come newest first; neither end of a window counts.

Errors come inside HTTP 200, as ``code``. Amounts come in contracts and, beside that, in the base
currency: the latter is taken, and contracts times the contract's size where it is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sized
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import ExchangeRefusedError
from brain.series.bars import parse_timeframe
from market.exchanges.base import Instrument, canonical, settles_in_dollars
from market.exchanges.pages import snapshot_row
from market.exchanges.rest import SHORT, Query, RestExchange
from market.http.fields import Reader, stamp
from market.http.limits import Limit
from market.http.refusals import BLOCKED, Answer, Refusal

__all__ = ["Okx"]

_log = logging.getLogger(__name__)

_INFO, _CLOCK = "api/v5/public/instruments", "api/v5/public/time"
_CANDLES, _LATEST = "api/v5/market/history-candles", "api/v5/market/candles"
_RATE, _RATES = "api/v5/public/funding-rate", "api/v5/public/funding-rate-history"
_INTEREST, _MARK = "api/v5/public/open-interest", "api/v5/public/mark-price"
_HISTORY = "api/v5/rubik/stat/contracts/open-interest-history"

_FUNDING_ROWS = 100
# Entries of open interest that are kept, as documented, whatever the period. Fewer have been seen:
# what is lacking then just does not come, and is not there to be had.
_ENTRIES = 1440
_ABSENT = "51001"
_LIMITED = ("50011", "50061")
_BUSY = ("50001", "50004", "50013", "50026")
_HOUR = pd.Timedelta(hours=1)
# From six hours on, the plain words mean days of Hong Kong.
_BARS = {
    **{f"{n}m": f"{n}m" for n in (1, 3, 5, 15, 30)},
    **{f"{n}h": f"{n}H" for n in (1, 2, 4)},
    "6h": "6Hutc",
    "12h": "12Hutc",
    "1d": "1Dutc",
    "1w": "1Wutc",
}


class Okx(RestExchange):
    """OKX's linear perpetual swaps."""

    name = "okx"
    url = "https://www.okx.com"
    limits = (
        Limit(_INFO, 20, 2),
        Limit(_CLOCK, 10, 2),
        Limit(_CANDLES, 20, 2),
        Limit(_LATEST, 40, 2),
        Limit(_RATE, 10, 2, each=True),
        Limit(_RATES, 10, 2, each=True),
        Limit(_INTEREST, 20, 2, each=True),
        Limit(_MARK, 10, 2, each=True),
        Limit(_HISTORY, 10, 2, each=True),
    )
    bars = MappingProxyType(_BARS)
    periods = MappingProxyType({t: word for t, word in _BARS.items() if t not in ("1m", "3m")})
    candle_rows = 300
    interest_rows = 100
    endpoints = MappingProxyType(
        {
            "clock": _CLOCK,
            "instruments": f"{_INFO} and funding-rate",
            "candles": _CANDLES,
            "latest": _LATEST,
            "funding": _RATES,
            "interest": _HISTORY,
            "snapshot": f"{_RATE}, open-interest and mark-price",
        }
    )
    bitcoin = Instrument(name, "BTC/USDT:USDT", "BTC-USDT-SWAP", 0.01, 8.0, None, None, "live")

    @property
    def look_back(self) -> Mapping[str, pd.Timedelta | None]:
        """Funding reaches back about 93 days; open interest 1,440 periods, 60 days of hours."""
        return {
            "candles": None,
            "funding": pd.Timedelta(days=93),
            "open_interest": _ENTRIES * _HOUR,
        }

    def oldest(self, kind: str, timeframe: str, now: pd.Timestamp) -> pd.Timestamp | None:
        if kind == "open_interest":
            return now - _ENTRIES * parse_timeframe(timeframe)
        return super().oldest(kind, timeframe, now)

    def judge(self, answer: Answer) -> Refusal | None:
        status, payload = answer.status, answer.json
        code = payload.get("code") if isinstance(payload, dict) else None
        if not isinstance(code, str) or code == "0" or status in BLOCKED:
            return None
        said = str(payload.get("msg", ""))
        if code in _LIMITED or status == 429:
            return Refusal(code, said, "limited")
        if code == _ABSENT:
            return Refusal(code, said, "absent")
        return Refusal(code, said, "busy" if code in _BUSY or status >= 500 else "refused")

    async def _ask(self, endpoint: str, query: Query | None = None, instrument: str = "") -> Any:
        """The rows of an answer."""
        answer = await self.client.get(endpoint, query, costs={endpoint: 1}, instrument=instrument)
        return self.reader(endpoint).rows(answer, "data")

    async def _one(self, endpoint: str, query: Query, instrument: str) -> Any:
        """The only row of an answer."""
        rows = await self._ask(endpoint, query, instrument)
        if not rows:
            raise self.reader(endpoint).differs("field 'data'", f"is empty for {instrument}")
        return rows[0]

    async def server_time(self) -> pd.Timestamp:
        row = await self._one(_CLOCK, {}, "")
        return self.reader(_CLOCK).times([row], "ts")[0]

    async def _list(self) -> dict[str, Instrument]:
        rows = await self._ask(_INFO, {"instType": "SWAP"})
        hours = await self._hours()
        found = [self._instrument(row, hours) for row in rows]
        listed = [instrument for instrument in found if instrument is not None]
        return self._by_symbol(sorted(listed, key=lambda i: i.status != "live"))

    async def _hours(self) -> dict[str, float]:
        """The funding interval of every swap; unknown where the exchange won't tell all at once."""
        try:
            rows = await self._ask(_RATE, {"instId": "ANY"})
        except ExchangeRefusedError as error:  # of this question; not a ban, which all share
            _log.warning("funding intervals stay unknown: %s", error)
            return {}
        told = {row.get("instId"): self._interval(row) for row in rows if isinstance(row, dict)}
        return {str(name): hours for name, hours in told.items() if hours is not None}

    def _interval(self, row: Any) -> float | None:
        """Hours from the settlement before the upcoming one, or else to the one after it."""
        read = self.reader(_RATE)
        upcoming = read.time(row, "fundingTime")
        before, after = read.time(row, "prevFundingTime"), read.time(row, "nextFundingTime")
        edges = [time for time in (before, upcoming, after) if time is not None]
        if upcoming is None or len(edges) < 2:
            return None
        hours = (edges[1] - edges[0]).round("min") / _HOUR
        return hours if hours > 0 else None

    def _instrument(self, row: Any, hours: Mapping[str, float]) -> Instrument | None:
        read = self.reader(_INFO)
        if read.text(row, "ctType") != "linear":
            return None
        base, quote = read.text(row, "ctValCcy"), read.text(row, "settleCcy")
        symbol = canonical(base, quote) if settles_in_dollars(quote) else None
        if symbol is None:
            return None
        name = read.text(row, "instId")
        return Instrument(
            exchange=self.name,
            symbol=symbol,
            id=name,
            contract_size=read.number(row, "ctVal") * read.number(row, "ctMult"),
            funding_interval_hours=hours.get(name),
            listed=read.time(row, "listTime"),
            delisted=read.time(row, "expTime"),
            status=read.text(row, "state"),
        )

    async def _candles(
        self, instrument: Instrument, bar: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"instId": instrument.id, "bar": bar, "limit": self.candle_rows}
        query |= {"before": first - 1, "after": last}
        rows = self._closed(instrument, _CANDLES, await self._ask(_CANDLES, query))
        # The history may lag behind; what closed just now the other endpoint has.
        length = step // pd.Timedelta(milliseconds=1)
        closed = stamp(await self.now() - step)
        due = min(last, closed)
        lacking = rows.empty or stamp(rows["time"].max()) <= due - length
        if lacking and due > closed - 5 * length:
            latest = self._closed(instrument, _LATEST, await self._ask(_LATEST, query))
            rows = pd.concat([rows, latest], ignore_index=True)
        return rows

    def _closed(self, instrument: Instrument, endpoint: str, rows: list[Any]) -> pd.DataFrame:
        read = self.reader(endpoint)
        rows = [row for row, done in zip(rows, read.column(rows, 8), strict=True) if done == "1"]
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "quote_volume": 7}
        columns = {name: read.numbers(rows, place) for name, place in places.items()}
        volume = self._in_base(instrument, read, rows, 5, 6)
        return pd.DataFrame({"time": read.times(rows, 0), **columns, "volume": volume})

    def _in_base(
        self, instrument: Instrument, read: Reader, rows: list[Any], contracts: Any, base: Any
    ) -> npt.NDArray[np.float64]:
        """Amounts in base units: as the exchange says, or else contracts times the contract's size."""
        said = read.numbers(rows, base)
        reckoned = read.numbers(rows, contracts) * instrument.contract_size
        if np.any(np.abs(said - reckoned) > 0.01 * np.maximum(np.abs(said), np.abs(reckoned))):
            _log.warning(
                "%s %s: amounts in base units and contracts of %g differ by more than 1 %%; "
                "the former are taken",
                self.name,
                instrument.symbol,
                instrument.contract_size,
            )
        return np.where(np.isnan(said), reckoned, said)

    async def _present_interval(self, instrument: Instrument) -> float | None:
        if instrument.funding_interval_hours is not None:
            return instrument.funding_interval_hours
        return self._interval(await self._one(_RATE, {"instId": instrument.id}, instrument.id))

    async def _funding(self, instrument: Instrument, first: int, last: int) -> pd.DataFrame:
        pages = [self._rates([])]
        while first < last:  # backwards, by `after` alone: `before` would give the newest page
            query: Query = {"instId": instrument.id, "after": last, "limit": _FUNDING_ROWS}
            page = self._rates(await self._ask(_RATES, query, instrument.id))
            pages.append(page)
            if len(page) < SHORT:
                break
            oldest = stamp(page["time"].min())
            if oldest >= last:
                raise self.reader(_RATES).differs("field 'fundingTime'", "is after `after`")
            last = oldest
        rows = pd.concat(pages, ignore_index=True)
        return rows[rows["time"] >= pd.Timestamp(first, unit="ms", tz="UTC")]

    def _rates(self, rows: list[Any]) -> pd.DataFrame:
        read = self.reader(_RATES)
        # Under the older formula `fundingRate` is what was predicted, `realizedRate` what was paid.
        paid = read.numbers(rows, "realizedRate", optional=True)
        told = read.numbers(rows, "fundingRate")
        return pd.DataFrame(
            {
                "time": read.times(rows, "fundingTime"),
                "rate": np.where(np.isnan(paid), told, paid),
                "mark_price": np.full(len(rows), np.nan),
            }
        )

    async def _interest(
        self, instrument: Instrument, period: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"instId": instrument.id, "period": period, "limit": self.interest_rows}
        query |= {"begin": first - 1, "end": last}
        rows = await self._ask(_HISTORY, query, instrument.id)
        read = self.reader(_HISTORY)
        base = self._in_base(instrument, read, rows, 1, 2)
        return pd.DataFrame(
            {"time": read.times(rows, 0), "base": base, "usd": read.numbers(rows, 3)}
        )

    async def snapshot(self, instrument: Instrument) -> pd.DataFrame:
        """One row, stamped by the latest of the three answers that it is made of."""
        query: Query = {"instId": instrument.id}
        swap: Query = {"instType": "SWAP", "instId": instrument.id}
        rate = await self._one(_RATE, query, instrument.id)
        interest = await self._one(_INTEREST, swap, instrument.id)
        mark = await self._one(_MARK, swap, instrument.id)
        asked = {_RATE: rate, _INTEREST: interest, _MARK: mark}
        moment = max(self.reader(path).times([row], "ts")[0] for path, row in asked.items())
        read, hours = self.reader(_INTEREST), self._interval(rate)
        return snapshot_row(
            instrument,
            moment,
            mark_price=self.reader(_MARK).number(mark, "markPx"),
            funding_rate=self.reader(_RATE).number(rate, "fundingRate"),
            next_funding=self.reader(_RATE).time(rate, "fundingTime"),
            interval_hours=instrument.funding_interval_hours if hours is None else hours,
            open_interest=float(self._in_base(instrument, read, [interest], "oi", "oiCcy")[0]),
            open_interest_usd=read.number(interest, "oiUsd"),
        )

    def _asks(self) -> dict[str, Callable[[], Awaitable[Sized]]]:
        async def latest() -> Sized:
            rows = await self._ask(_LATEST, {"instId": self.bitcoin.id, "bar": "1H", "limit": 3})
            return self._closed(self.bitcoin, _LATEST, rows)

        return {**super()._asks(), "latest": latest}
