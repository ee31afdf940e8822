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

from brain.errors import ExchangeRefusedError, ExchangeShapeError
from brain.series.bars import parse_timeframe
from market.exchanges.base import FUNDING_HOURS, Instrument, canonical, settles_in_dollars
from market.exchanges.pages import MILLISECOND, snapshot_row
from market.exchanges.rest import HOUR, MINUTE, SMALLEST_LIMIT, RestExchange
from market.exchanges.table import FAULT, Table
from market.http.client import Query
from market.http.limits import Limit
from market.http.parser import milliseconds
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
    listing_fields = ("instId", "ctValCcy", "settleCcy")
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
        return self.parser(endpoint).only_row(rows, "data")

    async def server_time(self) -> pd.Timestamp:
        row = await self._row(_CLOCK, {}, "")
        return self.parser(_CLOCK).times([row], "ts")[0]

    async def _fetch_instruments(self) -> dict[str, Instrument]:
        rows = await self._rows(_INFO, {"instType": "SWAP"})
        hours = await self._hours()
        return self._by_symbol(rows, lambda row: self._instrument(row, hours), "live")

    async def _hours(self) -> dict[str, float]:
        """Funding intervals by instrument id; empty if OKX refuses a request for all at once."""
        try:
            rows = await self._rows(_RATE, {"instId": "ANY"})
        except ExchangeRefusedError as error:  # of this request; not a ban, which is of all
            logger.warning("funding intervals stay unknown: %s", error)
            return {}
        hours: dict[str, float] = {}
        for row in rows:
            name = row.get("instId") if isinstance(row, dict) else None
            try:
                interval = self._interval(row)
            except ExchangeShapeError as error:
                logger.warning("the funding interval of %s stays unknown: %s", name, error)
                continue
            if isinstance(name, str) and interval is not None:
                hours[name] = interval
        return hours

    def _interval(self, row: Any) -> float | None:
        """Hours from the settlement before the upcoming one, and to the one after it.

        None if there is neither, or if the two differ.
        """
        parser = self.parser(_RATE)
        upcoming = parser.time(row, "fundingTime")
        before, after = parser.time(row, "prevFundingTime"), parser.time(row, "nextFundingTime")
        if upcoming is None:
            return None
        spacings = [upcoming - before] if before is not None else []
        spacings += [after - upcoming] if after is not None else []
        hours = {spacing.round("min") / _HOUR for spacing in spacings}
        # They differ while the interval changes, or where one of the times is wrong.
        interval = hours.pop() if len(hours) == 1 else None
        return interval if interval in FUNDING_HOURS else None

    def _instrument(self, row: Any, hours: Mapping[str, float]) -> Instrument | None:
        parser = self.parser(_INFO)
        if parser.text(row, "ctType") != "linear":
            return None
        base, quote = parser.text(row, "ctValCcy"), parser.text(row, "settleCcy")
        symbol = canonical(base, quote) if settles_in_dollars(quote) else None
        if symbol is None:
            return None
        instrument_id = parser.text(row, "instId")
        size = parser.number(row, "ctVal") * parser.number(row, "ctMult")
        if not size > 0:
            raise parser.shape_error("field 'ctVal' or 'ctMult'", "is not positive")
        return Instrument(
            exchange=self.name,
            symbol=symbol,
            id=instrument_id,
            contract_size=size,
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
        rows = self._closed(
            instrument, _CANDLES, await self._rows(_CANDLES, query), step, first, last
        )
        # The history may lag behind; the newest candles are at the other endpoint.
        length = step // MILLISECOND
        closed = milliseconds(await self.now() - step)
        due = min(last, closed)
        sound = rows["time"][rows[FAULT] == ""]
        incomplete = sound.empty or milliseconds(sound.max()) <= due - length
        if incomplete and due > closed - 5 * length:
            answer = await self._rows(_LATEST, query)
            latest = self._closed(instrument, _LATEST, answer, step, first, last)
            rows = pd.concat([rows[~rows["time"].isin(latest["time"])], latest], ignore_index=True)
        return rows

    def _closed(
        self,
        instrument: Instrument,
        endpoint: str,
        rows: list[Any],
        step: pd.Timedelta,
        first: int,
        last: int,
    ) -> pd.DataFrame:
        """The closed candles of an answer; one that is closed by our count has to be so by OKX's.

        The running one comes along now and then.
        """
        running = [row for row in rows if isinstance(row, list) and row[8:9] == ["0"]]
        if running:
            starts = self.parser(endpoint).times(running, 0).as_unit("ms").asi8
            late = [row for row, start in zip(running, starts, strict=True) if start >= last]
            rows = [row for row in rows if row not in late]
        table = Table(self.parser(endpoint), rows, 9)
        times = table.times(0, first, last, step=step // MILLISECOND)
        places = {"open": 1, "high": 2, "low": 3, "close": 4, "quote_volume": 7}
        columns = {name: table.numbers(at) for name, at in places.items()}
        volume = self._base_amounts(instrument, table.numbers(5), table.numbers(6))
        open_still = table.choices(8, ("0", "1")) == "0"
        frame = table.frame(times, **columns, volume=volume)
        frame.loc[open_still, FAULT] = "the exchange has not confirmed it"
        return frame

    def _base_amounts(
        self,
        instrument: Instrument,
        contracts: npt.NDArray[np.float64],
        base: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """Amounts in base units, or else in contracts times the contract's size.

        Args:
            instrument: for its contract's size.
            contracts, base: both amounts.
        """
        products = contracts * instrument.contract_size
        largest = np.maximum(np.abs(base), np.abs(products))
        if np.any(np.abs(base - products) > 0.01 * largest):
            logger.warning(
                "%s %s: amounts in base units and contracts of %g differ by more than 1 %%; "
                "the former are taken",
                self.name,
                instrument.symbol,
                instrument.contract_size,
            )
        return np.where(np.isnan(base), products, base)

    async def _funding_hours(self, instrument: Instrument) -> float | None:
        if instrument.funding_interval_hours is not None:
            return instrument.funding_interval_hours
        return self._interval(await self._row(_RATE, {"instId": instrument.id}, instrument.id))

    async def _fetch_funding(self, instrument: Instrument, first: int, last: int) -> pd.DataFrame:
        pages = [self._rates([], last)]
        end = last
        while first < last:  # backwards, by `after` alone: `before` would give the newest page
            query: Query = {"instId": instrument.id, "after": last, "limit": _FUNDING_ROWS}
            page = self._rates(await self._rows(_RATES, query, instrument.id), last)
            if last == end:
                self._check_newest(page, first, end)
            pages.append(page)
            if len(page) < SMALLEST_LIMIT:
                break
            last = milliseconds(page["time"].min())
        rows = pd.concat(pages, ignore_index=True)
        return rows[rows["time"] >= pd.Timestamp(first, unit="ms", tz="UTC")]

    def _check_newest(self, page: pd.DataFrame, first: int, end: int) -> None:
        """Refuse a first page whose newest row is far before what was asked for.

        A range begins a day after the last row before it at the latest.
        """
        if len(page) and (newest := page["time"].max()) < pd.Timestamp(first, unit="ms", tz="UTC"):
            span = f"from {first} to {end}"
            raise self.parser(_RATES).shape_error(
                "field 'fundingTime'", f"holds {milliseconds(newest)} as the newest {span}"
            )

    def _rates(self, rows: list[Any], last: int) -> pd.DataFrame:
        table = Table(self.parser(_RATES), rows)
        # Under the older formula `fundingRate` is the prediction, `realizedRate` what was paid.
        realized = table.numbers("realizedRate", optional=True)
        rate = table.numbers("fundingRate")
        times = table.times("fundingTime", 0, last, step=HOUR, precision=MINUTE)
        return table.frame(
            times, rate=np.where(np.isnan(realized), rate, realized), mark_price=np.nan
        )

    async def _fetch_interest(
        self, instrument: Instrument, timeframe: str, step: pd.Timedelta, first: int, last: int
    ) -> pd.DataFrame:
        query: Query = {"instId": instrument.id, "period": timeframe, "limit": self.interest_rows}
        query |= {"begin": first - 1, "end": last}
        rows = await self._rows(_HISTORY, query, instrument.id)
        table = Table(self.parser(_HISTORY), rows, 4)
        times = table.times(0, first, last, step=step // MILLISECOND)
        base = self._base_amounts(instrument, table.numbers(1), table.numbers(2))
        return table.frame(times, base=base, usd=table.numbers(3))

    async def snapshot(self, instrument: Instrument) -> pd.DataFrame:
        """One row from three answers, with the latest of their times."""
        query: Query = {"instId": instrument.id}
        swap: Query = {"instType": "SWAP", "instId": instrument.id}
        rate = await self._row(_RATE, query, instrument.id)
        interest = await self._row(_INTEREST, swap, instrument.id)
        mark = await self._row(_MARK, swap, instrument.id)
        rows = {_RATE: rate, _INTEREST: interest, _MARK: mark}
        times = [self.parser(path).times([row], "ts")[0] for path, row in rows.items()]
        parser, hours = self.parser(_INTEREST), self._interval(rate)
        amounts = self._base_amounts(
            instrument, parser.numbers([interest], "oi"), parser.numbers([interest], "oiCcy")
        )
        return snapshot_row(
            instrument,
            max(times),
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
            hours = await self._last_hours(12)
            return self._closed(self.bitcoin, _LATEST, rows, _HOUR, *hours)

        return {**super()._probe_requests(), "latest": latest}
