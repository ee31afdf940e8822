"""What exists on the fake exchanges: the frames that a flawless collector stores."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.naming import perpetual
from tests.market.exchange_server import values
from tests.market.exchange_server.catalogue import (
    NOW,
    Listing,
    catalogue,
    decimals_of,
)
from tests.market.exchange_server.holes import Hole, Ledger, Swap
from tests.market.exchange_server.times import (
    HOUR,
    ceiling,
    grid,
    milliseconds,
    step_of,
    times_index,
    utc,
)

__all__ = ["Truth"]

Times = NDArray[np.int64]

_DAY = 24 * HOUR
#: Milliseconds that exchanges keep, by exchange and kind; all since the listing by default.
_RETENTION = {("binance", "open_interest"): 30 * _DAY, ("okx", "funding"): 93 * _DAY}
#: Periods of open interest that OKX keeps.
_OKX_PERIODS = 1440


class Truth:
    """What exists on the exchanges at ``now``.

    Frames have the columns of the series store's kinds, without ``collected``, and are sorted by
    time; ``[start, end)``, by default from the listing until now. Left out are rows that a hole
    withholds for ever and rows beyond an exchange's retention; with ``whole`` they are there. Late
    rows are there: they do exist.
    """

    def __init__(self, now: pd.Timestamp | str = NOW, *, fillers: int = 520) -> None:
        self.now = pd.Timestamp(now)
        self.ledger = Ledger()
        self.listings = catalogue(fillers)
        self._by_symbol = {(one.exchange, one.symbol): one for one in self.listings}
        self._by_id = {(one.exchange, one.id): one for one in self.listings}

    @property
    def clock(self) -> int:
        """Now, in milliseconds."""
        return milliseconds(self.now)

    def hole(
        self,
        exchange: str,
        symbol: str,
        kind: str,
        start: pd.Timestamp | str,
        end: pd.Timestamp | str,
        *,
        timeframe: str | None = None,
        until: int | None = None,
    ) -> Hole:
        """Withhold rows of ``[start, end)``, to the ``until``-th request for them or for ever."""
        hole = Hole(exchange, perpetual(symbol), kind, utc(start), utc(end), timeframe, until)
        self.ledger.holes.append(hole)
        return hole

    def swap(
        self, exchange: str, symbol: str, start: pd.Timestamp | str, end: pd.Timestamp | str
    ) -> None:
        """Let base and quote volumes of candles in ``[start, end)`` change places in answers."""
        self.ledger.swaps.append(Swap(exchange, perpetual(symbol), utc(start), utc(end)))

    def by_id(self, exchange: str, name: str | None) -> Listing | None:
        return self._by_id.get((exchange, name or ""))

    def listing(self, exchange: str, symbol: str) -> Listing:
        return self._by_symbol[exchange, perpetual(symbol)]

    def symbols(self, exchange: str) -> list[str]:
        """The perpetuals that have or had a market on the exchange, fillers left out."""
        return [
            one.symbol
            for one in self.listings
            if (one.exchange, one.contract_type) == (exchange, "perpetual")
        ]

    def instruments(self, exchange: str) -> pd.DataFrame:
        """The linear perpetuals that the exchange lists at ``now``.

        Among them Bybit's fillers, one in USDC, and on OKX one that will be listed (at Binance it
        has no contract type yet).
        """
        types = {"perpetual", "filler", "usdc", *(("pending",) if exchange == "okx" else ())}
        listings = [
            one
            for one in self.listings
            if one.exchange == exchange
            and one.contract_type in types
            and (one.listed <= self.clock or one.contract_type == "pending")
            and not (exchange == "okx" and one.gone(self.clock))  # OKX leaves them out
        ]
        return pd.DataFrame(
            {
                "exchange": exchange,
                "symbol": [one.symbol for one in listings],
                "instrument": [one.id for one in listings],
                "contract_size": [one.contract_size for one in listings],
                "funding_interval_hours": [
                    np.nan if one.listed > self.clock else float(one.hours_at(self.clock))
                    for one in listings
                ],
                "listed": times_index(np.array([one.listed for one in listings], dtype=np.int64)),
                "delisted": pd.DatetimeIndex(
                    [
                        pd.NaT if one.delisted is None else pd.Timestamp(one.delisted, unit="ms")
                        for one in listings
                    ]
                )
                .tz_localize("UTC")
                .as_unit("us"),
                "seen": self.now.as_unit("us"),
            }
        )

    def candles(
        self,
        exchange: str,
        symbol: str,
        timeframe: str,
        start: pd.Timestamp | str | None = None,
        end: pd.Timestamp | str | None = None,
        *,
        whole: bool = False,
    ) -> pd.DataFrame:
        """Closed candles; prices in the quote currency, ``volume`` in base units."""
        listing, step = self.listing(exchange, symbol), step_of(timeframe)
        times = self.open_times(listing, step, *self._window(start, end))
        times = self._obtainable(
            listing, "candles", timeframe, times[times + step <= self.clock], whole
        )
        bars = values.bars(listing, step, times, self.clock)
        frame = _frame(listing, times, timeframe)
        for column in ("open", "high", "low", "close", "volume", "quote_volume"):
            frame[column] = getattr(bars, column).numbers
        return frame.assign(available=times_index(times + step))

    def funding(
        self,
        exchange: str,
        symbol: str,
        start: pd.Timestamp | str | None = None,
        end: pd.Timestamp | str | None = None,
        *,
        whole: bool = False,
    ) -> pd.DataFrame:
        """Settlements; ``mark_price`` where the exchange's funding history has it (Binance)."""
        listing = self.listing(exchange, symbol)
        low, high = self._window(start, end)
        times, hours = self.settlements(listing)
        inside = (times >= low) & (times < high)
        hours_by_time = dict(zip(times.tolist(), hours.tolist(), strict=True))
        times = self._obtainable(listing, "funding", None, times[inside], whole)
        frame = _frame(listing, times)
        frame["rate"] = values.rates(listing, times).numbers
        frame["interval_hours"] = np.array(
            [hours_by_time[t] for t in times.tolist()], dtype=np.float64
        )
        marks = values.mark(listing, times).numbers
        published = exchange == "binance"
        frame["mark_price"] = marks if published else np.full(len(times), np.nan)
        return frame.assign(available=times_index(times))

    def open_interest(
        self,
        exchange: str,
        symbol: str,
        timeframe: str,
        start: pd.Timestamp | str | None = None,
        end: pd.Timestamp | str | None = None,
        *,
        whole: bool = False,
    ) -> pd.DataFrame:
        """Open interest whose period is over at ``now``; ``usd`` on Bybit at the mark price."""
        listing, step = self.listing(exchange, symbol), step_of(timeframe)
        times = self.stamps(listing, step, *self._window(start, end))
        times = times[times + step <= self.clock]
        times = self._obtainable(listing, "open_interest", timeframe, times, whole)
        frame = _frame(listing, times, timeframe)
        frame["base"] = self.base(listing, times).numbers
        # Bybit's history has no value: it is the amount at that time's mark price.
        product = frame["base"] * values.mark(listing, times).numbers
        value = values.open_interest_value(listing, times).numbers
        frame["usd"] = product if exchange == "bybit" else value
        return frame.assign(available=times_index(times + step))

    def snapshot(self, exchange: str, symbol: str) -> pd.DataFrame:
        """One row: mark price, upcoming funding and open interest at ``now``."""
        listing = self.listing(exchange, symbol)
        now = np.array([self.clock])
        following = np.array([self.next_settlement(listing)])
        frame = _frame(listing, now)
        frame["mark_price"] = values.mark(listing, now).numbers
        frame["funding_rate"] = values.rates(listing, following).numbers
        frame["next_funding"] = times_index(following)
        frame["interval_hours"] = float(listing.hours_at(self.clock))
        frame["open_interest"] = self.base(listing, now).numbers
        # Nor has Binance's present open interest.
        product = frame["open_interest"] * frame["mark_price"]
        value = values.open_interest_value(listing, now).numbers
        frame["open_interest_usd"] = product if exchange == "binance" else value
        return frame.assign(available=times_index(now))

    def oldest(self, exchange: str, kind: str, timeframe: str | None = None) -> pd.Timestamp | None:
        """The earliest time of a history that the exchange keeps; None: from the listing."""
        if (exchange, kind) == ("okx", "open_interest") and timeframe:
            step = step_of(timeframe)
            earliest = (self.clock // step - _OKX_PERIODS + 1) * step
        elif (exchange, kind) in _RETENTION:
            earliest = self.clock - _RETENTION[exchange, kind]
        else:
            return None
        return pd.Timestamp(earliest, unit="ms", tz="UTC")

    # --- for the fake exchanges

    def open_times(self, listing: Listing, step: int, low: int, high: int, shift: int = 0) -> Times:
        """Opening times in ``[low, high)`` of candles that have begun, the running one included."""
        first = (listing.listed - shift) // step * step + shift  # the candle of the listing
        end = self.clock + 1 if listing.delisted is None else min(self.clock + 1, listing.delisted)
        return grid(max(low, first), min(high, end), step, shift)

    def stamps(self, listing: Listing, step: int, low: int, high: int, shift: int = 0) -> Times:
        """Stamps of open interest in ``[low, high)``, the latest included."""
        end = self.clock + 1 if listing.delisted is None else min(self.clock + 1, listing.delisted)
        return grid(max(low, listing.listed), min(high, end), step, shift)

    def settlements(self, listing: Listing) -> tuple[Times, Times]:
        """Every settlement until now, and the hours since the one before it."""
        end = self.clock + 1 if listing.delisted is None else min(self.clock, listing.delisted) + 1
        times: list[Times] = []
        hours: list[Times] = []
        for index, (since, interval) in enumerate(listing.intervals):
            later = listing.intervals[index + 1 :]
            until = min(end, later[0][0] + 1) if later else end
            settlements = grid(max(since, listing.listed) + 1, until, interval * HOUR)
            times.append(settlements)
            hours.append(np.full(len(settlements), interval, dtype=np.int64))
        return np.concatenate(times), np.concatenate(hours)

    def next_settlement(self, listing: Listing) -> int:
        interval = listing.hours_at(self.clock) * HOUR
        return (self.clock // interval + 1) * interval

    def base(self, listing: Listing, times: Times) -> values.Amount:
        """Open interest in base units."""
        amount = values.open_interest(listing, times)
        shift = decimals_of(listing.contract_size)
        return values.Amount(amount.units, amount.places + shift)

    def _window(
        self, start: pd.Timestamp | str | None, end: pd.Timestamp | str | None
    ) -> tuple[int, int]:
        low = 0 if start is None else ceiling(utc(start))
        return low, self.clock + 1 if end is None else ceiling(utc(end))

    def _obtainable(
        self, listing: Listing, kind: str, timeframe: str | None, times: Times, whole: bool
    ) -> Times:
        if whole:
            return times
        earliest = self.oldest(listing.exchange, kind, timeframe)
        if earliest is not None:
            times = times[times >= milliseconds(earliest)]
        for hole in self.ledger.of(listing, kind, timeframe):
            if hole.until is None:
                times = times[~hole.mask(times)]
        return times


def _frame(listing: Listing, times: Times, timeframe: str | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"exchange": listing.exchange, "symbol": listing.symbol}, index=times)
    if timeframe is not None:
        frame["timeframe"] = timeframe
    return frame.assign(time=times_index(times)).reset_index(drop=True)
