"""Folders as Binance publishes them, made of what exists on the fake exchanges.

Written from the exchange's descriptions and samples, independently of what reads them.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.market.exchange_server import Truth, values
from tests.market.exchange_server.catalogue import Listing
from tests.market.exchange_server.times import HOUR, milliseconds, step_of

KLINES = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore"
)
FUNDING = "calc_time,funding_interval_hours,last_funding_rate"
METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,"
    "count_toptrader_long_short_ratio,sum_toptrader_long_short_ratio,count_long_short_ratio,"
    "sum_taker_long_short_vol_ratio"
)

Lines = list[str]
Edit = Callable[[Lines], Lines]


def zipped(lines: Sequence[str], name: str) -> bytes:
    """A zip with one text file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.csv", "\n".join(lines) + "\n")
    return buffer.getvalue()


@dataclass
class Published:
    """A folder of published files.

    Attributes:
        root: the folder ``data``.
        truth: what exists.
        checksums: whether a checksum lies beside each file.
    """

    root: Path
    truth: Truth
    checksums: bool = True

    def klines(
        self,
        coin: str,
        timeframe: str,
        period: str,
        *,
        spot: bool = False,
        named: bool = True,
        edit: Edit | None = None,
    ) -> Path:
        """Candles of a month ``2026-10`` or a day ``2026-10-05``."""
        listing, low, high = self._of(coin, period)
        step = step_of(timeframe)
        times = self.truth.open_times(listing, step, low, high)
        times = times[times + step <= self.truth.clock]
        bars = values.bars(listing, step, times, self.truth.clock)
        unit = 1000 if spot and low >= milliseconds(pd.Timestamp("2025-01-01", tz="UTC")) else 1
        last = 1000 * step - 1 if unit == 1000 else step - 1
        columns: list[Sequence[Any]] = [
            (times * unit).tolist(),
            bars.open.text(),
            bars.high.text(),
            bars.low.text(),
            bars.close.text(),
            bars.volume.text(),
            (times * unit + last).tolist(),
            bars.quote_volume.text(),
            bars.trades.tolist(),
            bars.taker.text(),
            bars.taker_quote.text(),
            [0] * len(times),
        ]
        folder = "spot" if spot else "futures/um"
        lines = ([KLINES] if named and not spot else []) + _lines(columns)
        place = f"{folder}/{_pace(period)}/klines/{listing.id}/{timeframe}"
        return self.write(place, f"{listing.id}-{timeframe}-{period}", lines, edit)

    def funding(self, coin: str, period: str, *, edit: Edit | None = None) -> Path:
        """Settlements of a month."""
        listing, low, high = self._of(coin, period)
        times, hours = self.truth.settlements(listing)
        inside = (times >= low) & (times < high)
        times, hours = times[inside], hours[inside]
        stamps = times + values.jitter(listing, times)
        columns = [stamps.tolist(), hours.tolist(), values.rates(listing, times).text()]
        place = f"futures/um/monthly/fundingRate/{listing.id}"
        name = f"{listing.id}-fundingRate-{period}"
        return self.write(place, name, [FUNDING, *_lines(columns)], edit)

    def metrics(
        self, coin: str, period: str, *, ends: bool = False, edit: Edit | None = None
    ) -> Path:
        """Open interest of a day, stamped by the beginnings of its five minutes, or their ends."""
        listing, low, high = self._of(coin, period)
        step = HOUR // 12
        times = np.arange(low, high, step)
        stamps = pd.to_datetime(times + (step if ends else 0), unit="ms")
        columns = [
            stamps.strftime("%Y-%m-%d %H:%M:%S").tolist(),
            [listing.id] * len(times),
            values.open_interest(listing, times).to(8).text(),
            values.open_interest_value(listing, times).to(8).text(),
            *[["1.50000000"] * len(times)] * 4,
        ]
        place = f"futures/um/daily/metrics/{listing.id}"
        name = f"{listing.id}-metrics-{period}"
        return self.write(place, name, [METRICS, *_lines(columns)], edit)

    def write(self, place: str, name: str, lines: Lines, edit: Edit | None = None) -> Path:
        folder = self.root / place
        folder.mkdir(parents=True, exist_ok=True)
        content = zipped(lines if edit is None else edit(lines), name)
        path = folder / f"{name}.zip"
        path.write_bytes(content)
        if self.checksums:
            sign(path)
        return path

    def _of(self, coin: str, period: str) -> tuple[Listing, int, int]:
        start = pd.Timestamp(period, tz="UTC")
        end = start + (pd.Timedelta(days=1) if len(period) == 10 else pd.offsets.MonthBegin())
        listing = self.truth.listing("binance", f"{coin}/USDT")
        return listing, milliseconds(start), milliseconds(end)


def sign(path: Path) -> None:
    """Put the checksum of a file beside it."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")


def _pace(period: str) -> str:
    return "daily" if len(period) == 10 else "monthly"


def _lines(columns: Sequence[Sequence[Any]]) -> Lines:
    return [",".join(map(str, row)) for row in zip(*columns, strict=True)]


def days(first: str, last: str) -> Iterator[str]:
    """The days from one to another, both counted."""
    for day in pd.date_range(first, last):
        yield f"{day:%Y-%m-%d}"
