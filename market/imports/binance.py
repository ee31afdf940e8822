"""Binance's published files (data.binance.vision): klines, funding rates, metrics.

``data/{spot,futures/um}/{daily,monthly}/klines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip``, and likewise
``fundingRate`` and ``metrics``; each may lie unpacked as ``.csv``. Names alone don't tell spot from
futures, nor the candles of trades from those of mark prices: the folders above do.

Later futures files begin with a line of names; spot times are in microseconds since 2025.
Until 24 June 2026 the stamps of ``metrics`` were the ends of their five minutes, and since then
their beginnings (binance-public-data, issue 491). The store's are beginnings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc

from brain.errors import BarsError, SeriesFileError
from brain.series.bars import TIMEFRAMES
from brain.series.epochs import since_1970
from brain.text import count
from market.collection.gaps import SeriesKey
from market.collection.grid import Times, as_stamp, as_time
from market.exchanges.base import FUNDING_HOURS
from market.imports.archive import read_bytes, unpack
from market.imports.instruments import symbol_of_id
from market.imports.rows import Rows, check_grid, check_period, sound_rows
from market.imports.series_file import Place, SeriesFile, UnkeptError

__all__ = ["recognise"]

_NAME = re.compile(
    r"(?P<id>[^-\s]+)-(?P<what>\d+(?:mo|[smhdw])|[A-Za-z]+)"
    r"-(?P<year>20\d\d)-(?P<month>\d\d)(?:-(?P<day>\d\d))?\.(?:zip|csv)"
)
_UNKEPT = {
    "aggTrades": "single trades",
    "trades": "single trades",
    "bookTicker": "quotes",
    "bookDepth": "order books",
    "liquidationSnapshot": "liquidations",
    "EOHSummary": "options",
    "BVOLIndex": "a volatility index",
}
_OTHER_KLINES = ("markPriceKlines", "indexPriceKlines", "premiumIndexKlines")
_MARKETS = {"spot": "binance-spot", "um": "binance", "cm": "", "option": ""}
_PACES = ("daily", "monthly")

_KLINES = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume"),
    *("count", "taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
_FUNDING = ("calc_time", "funding_interval_hours", "last_funding_rate")
_METRICS = (
    *("create_time", "symbol", "sum_open_interest", "sum_open_interest_value"),
    *("count_toptrader_long_short_ratio", "sum_toptrader_long_short_ratio"),
    *("count_long_short_ratio", "sum_taker_long_short_vol_ratio"),
)
_INTEGERS, _NUMBERS, _TEXTS = pa.int64(), pa.float64(), pa.string()

_CURE = "fetch the file again"
_MICROSECONDS = 1_000
_MINUTE = 60_000_000
_HOUR = 60 * _MINUTE
_FIVE_MINUTES = 5 * _MINUTE
# Since when the stamps of metrics are beginnings, where a file's own stamps don't tell.
_BEGINNINGS = pd.Timestamp("2026-06-25", tz="UTC")


def recognise(place: Place) -> SeriesFile | None:
    """A file's series by its name and the folders above it; None if it is none of Binance's.

    Raises:
        UnkeptError: it is of something else than candles, funding or open interest.
        SeriesFileError: its symbol or its market can't be told.
    """
    match = _NAME.fullmatch(place.path.name)
    if match is None or not (match["what"][0].isdigit() or _known(match["what"])):
        return None
    what, instrument = match["what"], match["id"]
    if what in _UNKEPT:
        raise UnkeptError(f"{_UNKEPT[what]} are not kept")
    for folder in place.folders:
        if folder in _OTHER_KLINES:
            raise UnkeptError(f"{folder} are no prices that were traded")
    period = _period(match)
    exchange = _exchange(place, perpetual=not what[0].isdigit())
    symbol = _symbol(place, instrument, exchange)
    if what == "fundingRate":
        key, reader = (exchange, symbol, "funding", ""), _read_funding
    elif what == "metrics":
        key, reader = (exchange, symbol, "open_interest", "5m"), _read_metrics
    else:
        if what not in TIMEFRAMES:
            raise UnkeptError(f"candles of {what} are not kept: no bars can be made of them")
        key = (exchange, symbol, "candles", what)
        reader = partial(_read_klines, traded="klines" in place.folders)
    read = partial(_read, reader=reader, period=period, instrument=instrument)
    return SeriesFile(place.path, place.name, key, read, period)


def _known(what: str) -> bool:
    return what in ("fundingRate", "metrics") or what in _UNKEPT


def _period(match: re.Match[str]) -> tuple[pd.Timestamp, pd.Timestamp]:
    try:
        start = pd.Timestamp(
            year=int(match["year"]),
            month=int(match["month"]),
            day=int(match["day"] or 1),
            tz="UTC",
        )
    except ValueError:
        raise SeriesFileError("there is no such date as in its name; leave the file out") from None
    return start, start + (pd.Timedelta(days=1) if match["day"] else pd.offsets.MonthBegin())


def _exchange(place: Place, *, perpetual: bool) -> str:
    """By the folders, or else by the caller's word.

    Args:
        place: of the file.
        perpetual: whether only perpetuals have such files.
    """
    market = _market(place.folders)
    if market is not None and not _MARKETS[market]:
        raise UnkeptError("perpetuals that settle in coins, and options, are not kept")
    if perpetual:
        if market == "spot":
            raise SeriesFileError("there is no such file of a spot market; correct its folder")
        return "binance"
    exchange = _MARKETS[market] if market is not None else place.exchange
    if exchange not in ("binance", "binance-spot"):
        raise SeriesFileError(
            "whether it is of Binance's spot or futures market can't be told; keep the folders as "
            "they are published, or name --exchange binance or binance-spot"
        )
    return exchange


def _market(folders: Sequence[str]) -> str | None:
    """The nearest folder that tells a market; None: none does.

    Two letters may be anybody's: they count below ``futures``, or above a pace.
    """
    for place in reversed(range(len(folders))):
        above, name, below = ("", *folders, "")[place : place + 3]
        if name in ("um", "cm"):
            if above == "futures" or below in _PACES:
                return name
        elif name in _MARKETS:
            return name
    return None


def _symbol(place: Place, instrument: str, exchange: str) -> str:
    if "_" in instrument:
        raise UnkeptError(f"{instrument} is no perpetual that settles in dollars")
    return symbol_of_id(instrument, exchange, place.listed.get(exchange, {}))


# --- reading ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Text:
    """The text of a file, and what its name tells.

    Attributes:
        content: its lines.
        key: of the series.
        period: that the name says.
        instrument: that the name says.
        now: by which rows must be over.
    """

    content: bytes
    key: SeriesKey
    period: tuple[pd.Timestamp, pd.Timestamp]
    instrument: str
    now: pd.Timestamp

    def table(self, names: Sequence[str], types: dict[str, pa.DataType]) -> pa.Table:
        """The columns of these types, from lines with all of the names' columns.

        Raises:
            SeriesFileError: the lines have other columns, or a cell is of another type.
        """
        head = self.content[: self.content.find(b"\n") + 1 or None].strip()
        if not head:
            raise SeriesFileError(f"it is empty; {_CURE}")
        cells = [cell.strip().strip('"') for cell in head.decode("utf-8", "replace").split(",")]
        named = not cells[0][:1].isdigit()
        if len(cells) != len(names) or (named and cells != list(names)):
            raise SeriesFileError(
                f"its columns are {', '.join(cells)[:200]} and not {', '.join(names)}; {_CURE}"
            )
        try:
            return pc.read_csv(
                pa.BufferReader(self.content),
                pc.ReadOptions(column_names=list(names), skip_rows=int(named), use_threads=False),
                convert_options=pc.ConvertOptions(
                    column_types=types, include_columns=list(types), strings_can_be_null=True
                ),
            )
        except pa.ArrowInvalid as error:
            text = " ".join(str(error).split())
            raise SeriesFileError(f"a line can't be read ({text[:200]}); {_CURE}") from error


def _read(
    path: Path,
    key: SeriesKey,
    now: pd.Timestamp,
    *,
    reader: Callable[[_Text], Rows],
    period: tuple[pd.Timestamp, pd.Timestamp],
    instrument: str,
) -> Rows:
    content = read_bytes(path)
    if path.suffix == ".zip":
        content = unpack(content, f"{path.stem}.csv")
    return reader(_Text(content, key, period, instrument, now))


def _times(column: pa.ChunkedArray, notes: list[str]) -> Times:
    """Numbers since 1970 in milliseconds or microseconds, as microseconds.

    Raises:
        SeriesFileError: a cell is empty, or of no unit.
    """
    if column.null_count:
        raise SeriesFileError(f"{count(column.null_count, 'row')} without a time; {_CURE}")
    try:
        times, change = since_1970(column.to_pandas(), "its times", _CURE)
    except BarsError as error:
        raise SeriesFileError(str(error)) from error
    if change:
        notes.append(change)
    return times.as_unit("us").asi8


def _read_klines(text: _Text, *, traded: bool) -> Rows:
    prices = ("open", "high", "low", "close", "volume", "quote_volume")
    table = text.table(
        _KLINES,
        {
            "open_time": _INTEGERS,
            **dict.fromkeys(prices[:5], _NUMBERS),
            "close_time": _INTEGERS,
            "quote_volume": _NUMBERS,
        },
    )
    notes: list[str] = []
    times = _times(table["open_time"], notes)
    step = TIMEFRAMES[text.key[3]] // pd.Timedelta(microseconds=1)
    lengths = np.unique(_numbers(table, "close_time") - _numbers(table, "open_time") + 1)
    if len(times) and not np.isin(lengths, [step, step // _MICROSECONDS]).any():
        raise SeriesFileError(f"its candles are of another length than {text.key[3]}; {_CURE}")
    check_grid(times, step)
    check_period(times, *text.period, text.now, step)
    values = {name: _numbers(table, name) for name in prices}
    if not traded and len(times) and not values["volume"].any():
        raise SeriesFileError(
            "nothing was traded in it: it may be of mark or index prices; keep the folders as they "
            "are published, which tell"
        )
    return sound_rows("candles", times, values, available=step, notes=notes)


def _read_funding(text: _Text) -> Rows:
    table = text.table(
        _FUNDING,
        {
            "calc_time": _INTEGERS,
            "funding_interval_hours": _NUMBERS,
            "last_funding_rate": _NUMBERS,
        },
    )
    notes: list[str] = []
    # Settlements are some milliseconds late; the minute is a settlement's time.
    times = _times(table["calc_time"], notes)
    times -= times % _MINUTE
    check_grid(times, _HOUR, 0)
    check_period(times, *text.period, text.now, 0)
    hours = _numbers(table, "funding_interval_hours")
    hours = np.where(np.isin(hours, FUNDING_HOURS), hours, np.nan)
    values = {
        "rate": _numbers(table, "last_funding_rate"),
        "interval_hours": hours,
        "mark_price": np.full(len(times), np.nan),
    }
    return sound_rows("funding", times, values, available=0, notes=notes).with_hours()


def _read_metrics(text: _Text) -> Rows:
    table = text.table(
        _METRICS,
        {
            "create_time": _TEXTS,
            "symbol": _TEXTS,
            "sum_open_interest": _NUMBERS,
            "sum_open_interest_value": _NUMBERS,
        },
    )
    others = set(table["symbol"].to_pylist()) - {text.instrument}
    if others:
        raise SeriesFileError(f"it holds rows of {min(map(str, others))}; {_CURE}")
    stamps = _metric_stamps(table["create_time"])
    start, end = (as_time(time) for time in text.period)
    late = stamps % _FIVE_MINUTES
    placed = late < _MINUTE
    times = stamps - late - _shift(stamps[placed] - late[placed], start, end)
    check_period(times[placed], *text.period, text.now, _FIVE_MINUTES)
    values = {
        "base": _numbers(table, "sum_open_interest")[placed],
        "usd": _numbers(table, "sum_open_interest_value")[placed],
    }
    rows = sound_rows("open_interest", times[placed], values, available=_FIVE_MINUTES)
    if placed.all() or rows.error is not None:
        return rows
    first = as_stamp(stamps[int((~placed).argmax())])
    error = SeriesFileError(
        f"{count((~placed).sum(), 'row')} off the grid of five minutes left out, first {first}; "
        f"{_CURE}"
    )
    return replace(rows, error=error)


def _metric_stamps(column: pa.ChunkedArray) -> Times:
    try:
        times = column.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        raise SeriesFileError(f"its stamps are no times as 2024-01-01 00:05:00; {_CURE}") from None
    if times.null_count:
        raise SeriesFileError(f"{count(times.null_count, 'row')} without a time; {_CURE}")
    return times.cast(_INTEGERS).to_numpy().copy()


def _shift(stamps: Times, start: int, end: int) -> int:
    """From a stamp back to the beginning of its five minutes, by what the stamps of a day are.

    Raises:
        SeriesFileError: they are both.
    """
    ends, beginnings = bool((stamps == end).any()), bool((stamps == start).any())
    if ends and beginnings:
        raise SeriesFileError(
            "its stamps are from midnight to midnight, both counted: whether they are beginnings "
            f"or ends can't be told; {_CURE}"
        )
    if not ends and not beginnings:
        ends = start < as_time(_BEGINNINGS)
    return _FIVE_MINUTES if ends else 0


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return table[name].to_numpy()
