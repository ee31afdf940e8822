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
from market.exchanges.pages import MILLISECOND, snapshot_row
from market.exchanges.rest import SMALLEST_LIMIT, RestExchange
from market.http.client import Query
from market.http.limits import Limit
from market.http.parser import Parser, milliseconds
from market.http.refusals import BLOCKED, Answer, Refusal

__all__ = ["Okx"]

logger = logging.getLogger(__name__)

_INFO, _CLOCK = "api/v5/public/instruments", "api/v5/public/time"
_CANDLES, _LATEST = "api/v5/market/history-candles", "api/v5/market/candles"
_RATE, _RATES = "api/v5/public/funding-rate", "api/v5/public/funding-rate-history"
_INTEREST, _MARK = "api/v5/public/open-interest", "api/v5/public/mark-price"
_HISTORY = "api/v5/rubik/stat/contracts/open-interest-history"

_FUNDING_ROWS = 100
# Periods of open interest that OKX keeps, as documented, whatever their length. In practice there
# are sometimes fewer; then the page is just shorter.
_INTEREST_PERIODS = 1440
_ABSENT = "51001"
_LIMITED = ("50011", "50061")
_BUSY = ("50001", "50004", "50013", "50026")
_HOUR = pd.Timedelta(hours=1)
# From six hours on, the names without `utc` mean days of Hong Kong.
_TIMEFRAMES = {
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
        Limit(_RATE, 10, 2, partitioned=True),
        Limit(_RATES, 10, 2, partitioned=True),
        Limit(_INTEREST, 20, 2, partitioned=True),
        Limit(_MARK, 10, 2, partitioned=True),
        Limit(_HISTORY, 10, 2, partitioned=True),
    )
    candle_timeframes = MappingProxyType(_TIMEFRAMES)
    interest_timeframes = MappingProxyType(
        {key: name for key, name in _TIMEFRAMES.items() if key not in ("1m", "3m")}
    )
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
    def retention(self) -> Mapping[str, pd.Timedelta | None]:
        """Funding of about 93 days; open interest of 1,440 periods, 60 days of hours."""
        return {
            "candles": None,
            "funding": pd.Timedelta(days=93),
            "open_interest": _INTEREST_PERIODS * _HOUR,
        }

    def oldest(self, kind: str, timeframe: str, now: pd.Timestamp) -> pd.Timestamp | None:
        if kind == "open_interest":
            return now - _INTEREST_PERIODS * parse_timeframe(timeframe)
        return super().oldest(kind, timeframe, now)

    def refusal(self, answer: Answer) -> Refusal | None:
        status, envelope = answer.status, answer.json
        code = envelope.get("code") if isinstance(envelope, dict) else None
        if not isinstance(code, str) or code == "0" or status in BLOCKED:
            return None
        message = str(envelope.get("msg", ""))
        if code in _LIMITED or status == 429:
            return Refusal(code, message, "limited")
        if code == _ABSENT:
            return Refusal(code, message, "absent")
        return Refusal(code, message, "busy" if code in _BUSY or status >= 500 else "refused")

    async def _rows(
        self, endpoint: str, query: Query | None = None, instrument_id: str = ""
    ) -> list[Any]:
        """The rows of an answer."""
        costs = {endpoint: 1}
        answer = await self.client.get(endpoint, query, costs=costs, partition=instrument_id)
        return self.parser(endpoint).rows(answer, "data")

    async def _row(self, endpoint: str, query: Query, instrument_id: str) -> Any:
        """The only row of an answer."""
        rows = await self._rows(endpoint, query, instrument_id)
        if not rows:
            raise self.parser(endpoint).shape_error("field 'data'", f"is empty for {instrument_id}")
        return rows[0]

    async def server_time(self) -> pd.Timestamp:
        row = await self._row(_CLOCK, {}, "")
        return self.parser(_CLOCK).times([row], "ts")[0]

    async def _fetch_instruments(self) -> dict[str, Instrument]:
        rows = await self._rows(_INFO, {"instType": "SWAP"})
        hours = await self._hours()
        instruments = [i for row in rows if (i := self._instrument(row, hours)) is not None]
        return self._by_symbol(sorted(instruments, key=lambda i: i.status != "live"))

    async def _hours(self) -> dict[str, float]:
        """Funding intervals by instrument id; empty if OKX refuses a request for all at once."""
        try:
            rows = await self._rows(_RATE, {"instId": "ANY"})
        except ExchangeRefusedError as error:  # of this request; not a ban, which is of all
            logger.warning("funding intervals stay unknown: %s", error)
            return {}
        hours = {row.get("instId"): self._interval(row) for row in rows if isinstance(row, dict)}
        return {str(key): interval for key, interval in hours.items() if interval is not None}

    def _interval(self, row: Any) -> float | None:
        """Hours from the settlement before the upcoming one, or else to the one after it."""
        parser = self.parser(_RATE)
        upcoming = parser.time(row, "fundingTime")
        before, after = parser.time(row, "prevFundingTime"), parser.time(row, "nextFundingTime")
        edges = [time for time in (before, upcoming, after) if time is not None]
        if upcoming is None or len(edges) < 2:
            return None
        hours = (edges[1] - edges[0]).round("min") / _HOUR
        return hours if hours > 0 else None

    def _instrument(self, row: Any, hours: Mapping[str, float]) -> Instrument | None:
        parser = self.parser(_INFO)
        if parser.text(row, "ctType") != "linear":
            return None
        base, quote = parser.text(row, "ctValCcy"), parser.text(row, "settleCcy")
        symbol = canonical(base, quote) if settles_in_dollars(quote) else None
        if symbol is None:
            return None
        instrument_id = parser.text(row, "instId")
        return Instrument(
            exchange=self.name,
            symbol=symbol,
            id=instrument_id,
            contract_size=parser.number(row, "ctVal") * parser.number(row, "ctMult"),
            funding_interval_hours=hours.get(instrument_id),
            listed=parser.time(row, "listTime"),
            delisted=parser.time(row, "expTime"),
            status=parser.text(row, "state"),
        )

    async def _fetch_candles(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"instId": instrument.id, "bar": timeframe, "limit": self.candle_rows}
        query |= {"before": first - 1, "after": last}
        rows = self._closed(instrument, _CANDLES, await self._rows(_CANDLES, query))
        # The history may lag behind; the newest candles are at the other endpoint.
        length = step // MILLISECOND
        closed = milliseconds(await self.now() - step)
        due = min(last, closed)
        incomplete = rows.empty or milliseconds(rows["time"].max()) <= due - length
        if incomplete and due > closed - 5 * length:
            latest = self._closed(instrument, _LATEST, await self._rows(_LATEST, query))
            rows = pd.concat([rows, latest], ignore_index=True)
        return rows

    def _closed(self, instrument: Instrument, endpoint: str, rows: list[Any]) -> pd.DataFrame:
        parser = self.parser(endpoint)
        states = parser.column(rows, 8)
        rows = [row for row, state in zip(rows, states, strict=True) if state == "1"]
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "quote_volume": 7}
        columns = {name: parser.numbers(rows, place) for name, place in places.items()}
        volume = self._base_amounts(instrument, parser, rows, 5, 6)
        return pd.DataFrame({"time": parser.times(rows, 0), **columns, "volume": volume})

    def _base_amounts(
        self, instrument: Instrument, parser: Parser, rows: list[Any], contracts: Any, base: Any
    ) -> npt.NDArray[np.float64]:
        """Amounts in base units, or else in contracts times the contract's size.

        Args:
            instrument: for its contract's size.
            parser: of the rows.
            rows: of an answer.
            contracts, base: the fields of both amounts.
        """
        amounts = parser.numbers(rows, base)
        products = parser.numbers(rows, contracts) * instrument.contract_size
        largest = np.maximum(np.abs(amounts), np.abs(products))
        if np.any(np.abs(amounts - products) > 0.01 * largest):
            logger.warning(
                "%s %s: amounts in base units and contracts of %g differ by more than 1 %%; "
                "the former are taken",
                self.name,
                instrument.symbol,
                instrument.contract_size,
            )
        return np.where(np.isnan(amounts), products, amounts)

    async def _funding_hours(self, instrument: Instrument) -> float | None:
        if instrument.funding_interval_hours is not None:
            return instrument.funding_interval_hours
        return self._interval(await self._row(_RATE, {"instId": instrument.id}, instrument.id))

    async def _fetch_funding(self, instrument: Instrument, first: int, last: int) -> pd.DataFrame:
        pages = [self._rates([])]
        while first < last:  # backwards, by `after` alone: `before` would give the newest page
            query: Query = {"instId": instrument.id, "after": last, "limit": _FUNDING_ROWS}
            page = self._rates(await self._rows(_RATES, query, instrument.id))
            pages.append(page)
            if len(page) < SMALLEST_LIMIT:
                break
            oldest = milliseconds(page["time"].min())
            if oldest >= last:
                raise self.parser(_RATES).shape_error("field 'fundingTime'", "is after `after`")
            last = oldest
        rows = pd.concat(pages, ignore_index=True)
        return rows[rows["time"] >= pd.Timestamp(first, unit="ms", tz="UTC")]

    def _rates(self, rows: list[Any]) -> pd.DataFrame:
        parser = self.parser(_RATES)
        # Under the older formula `fundingRate` is the prediction, `realizedRate` what was paid.
        realized = parser.numbers(rows, "realizedRate", optional=True)
        rate = parser.numbers(rows, "fundingRate")
        return pd.DataFrame(
            {
                "time": parser.times(rows, "fundingTime"),
                "rate": np.where(np.isnan(realized), rate, realized),
                "mark_price": np.full(len(rows), np.nan),
            }
        )

    async def _fetch_interest(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"instId": instrument.id, "period": timeframe, "limit": self.interest_rows}
        query |= {"begin": first - 1, "end": last}
        rows = await self._rows(_HISTORY, query, instrument.id)
        parser = self.parser(_HISTORY)
        base = self._base_amounts(instrument, parser, rows, 1, 2)
        return pd.DataFrame(
            {"time": parser.times(rows, 0), "base": base, "usd": parser.numbers(rows, 3)}
        )

    async def snapshot(self, instrument: Instrument) -> pd.DataFrame:
        """One row from three answers, with the latest of their times."""
        query: Query = {"instId": instrument.id}
        swap: Query = {"instType": "SWAP", "instId": instrument.id}
        rate = await self._row(_RATE, query, instrument.id)
        interest = await self._row(_INTEREST, swap, instrument.id)
        mark = await self._row(_MARK, swap, instrument.id)
        rows = {_RATE: rate, _INTEREST: interest, _MARK: mark}
        time = max(self.parser(path).times([row], "ts")[0] for path, row in rows.items())
        parser, hours = self.parser(_INTEREST), self._interval(rate)
        amounts = self._base_amounts(instrument, parser, [interest], "oi", "oiCcy")
        return snapshot_row(
            instrument,
            time,
            mark_price=self.parser(_MARK).number(mark, "markPx"),
            funding_rate=self.parser(_RATE).number(rate, "fundingRate"),
            next_funding=self.parser(_RATE).time(rate, "fundingTime"),
            interval_hours=instrument.funding_interval_hours if hours is None else hours,
            open_interest=float(amounts[0]),
            open_interest_usd=parser.number(interest, "oiUsd"),
        )

    def _probe_requests(self) -> dict[str, Callable[[], Awaitable[Sized]]]:
        async def latest() -> Sized:
            rows = await self._rows(_LATEST, {"instId": self.bitcoin.id, "bar": "1H", "limit": 3})
            return self._closed(self.bitcoin, _LATEST, rows)

        return {**super()._probe_requests(), "latest": latest}
