"""CryptoDataDownload's candles: CSV with a line of its address, the newest row first as a rule.

``Bitstamp_BTCUSD_1h.csv``, ``Binance_BTCUSDT_2021_minute.csv``: columns unix (seconds or
milliseconds), date, symbol, the prices, and the volume in both currencies, such as ``Volume BTC``
and ``Volume USD``. They are of pairs traded spot. In some of its files both volumes stand in each
other's column for months; a row whose prices prove that is put right.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from brain.errors import BrainError, InputError, SeriesFileError
from brain.naming import listed_symbol, spot_exchange
from brain.series.bars import TIMEFRAMES
from brain.series.quality.arrays import unit_faults
from brain.series.text_tables import text_table
from brain.series.times import agreed_times
from brain.text import count
from market.collection.gaps import SeriesKey
from market.exchanges.catalogue import known_exchange
from market.imports.archive import read_bytes
from market.imports.instruments import symbol_of_id
from market.imports.rows import Floats, Rows, check_grid, over, sound_rows
from market.imports.series_file import Place, SeriesFile

__all__ = ["recognise"]

_ADDRESS = re.compile(rb"(?:\xef\xbb\xbf)?\"?(?:https?://)?(?:www\.)?CryptoDataDownload\.com", re.I)
_NAME = re.compile(r"(?P<exchange>[A-Za-z]+)_(?P<pair>[A-Z0-9]+)_.+")
_TIMES = ("unix", "unix timestamp", "date")
_PRICES = ("open", "high", "low", "close")
_SPANS = {
    "1m": re.compile(r"(?:^|_)(?:minute|1min|1m)$"),
    "1h": re.compile(r"(?:^|_)(?:hour|1hr|1h)$"),
    "1d": re.compile(r"(?:^|_)(?:day|daily|1d|d)$"),
}
_CURE = "fetch it again"
_HEAD = 2000
# As the quality rule has it: by how much a mean price may lie outside of the bar's range.
_SLACK = 0.02


def recognise(place: Place) -> SeriesFile | None:
    """A file's series by its head and its name; None if it is none of CryptoDataDownload's.

    Raises:
        SeriesFileError: its exchange, symbol or timeframe can't be told.
    """
    if place.path.suffix.lower() != ".csv":
        return None
    try:
        with place.path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise SeriesFileError(f"it can't be read ({error.strerror}); make it readable") from error
    lines = [line.decode("utf-8", "replace") for line in head.splitlines()[:3]]
    titled = _ADDRESS.match(head) is not None
    names = [_cells(line) for line in lines[int(titled) :]]
    if len(names) < 2 or not _is_header(names[0]):
        return None
    exchange = _exchange(place)
    symbol = _symbol(
        dict(zip(names[0], _raw_cells(lines[int(titled) + 1]), strict=False)), exchange
    )
    timeframe = _timeframe(place.path.stem)
    return SeriesFile(place.path, place.name, (exchange, symbol, "candles", timeframe), _read)


def _is_header(names: list[str]) -> bool:
    times = any(name in names for name in _TIMES)
    return times and {"symbol", *_PRICES} <= set(names) and any("volume" in n for n in names)


def _raw_cells(line: str) -> list[str]:
    return [cell.strip().strip('"') for cell in line.split(",")]


def _cells(line: str) -> list[str]:
    return [cell.lower() for cell in _raw_cells(line)]


def _exchange(place: Place) -> str:
    """By the caller's word, or else by the file's name, which begins with an exchange's."""
    if place.exchange is not None:
        if not spot_exchange(place.exchange):
            raise SeriesFileError(
                f"it is of a pair traded spot; name --exchange {place.exchange}-spot"
            )
        return place.exchange
    match = _NAME.fullmatch(place.path.stem)
    name = match["exchange"].lower() if match else ""
    if match is None or not known_exchange(name):
        raise SeriesFileError(
            "its name begins with no exchange's, as Bitstamp_BTCUSD_1h.csv does; keep the names as "
            "they were published, or name --exchange, as bitstamp-spot"
        )
    if re.search(r"future|perp|swap|_um_|_cm_", place.path.stem, re.I):
        raise SeriesFileError(
            "its name is of futures, and what these are can't be told; leave it out"
        )
    return f"{name}-spot"


def _symbol(row: dict[str, str], exchange: str) -> str:
    text = row.get("symbol", "")
    if "/" not in text:
        return symbol_of_id(text, exchange, {})
    try:
        return listed_symbol(text, exchange)
    except InputError as error:
        raise SeriesFileError(f"{error}; {_CURE}") from error


def _timeframe(stem: str) -> str:
    for timeframe, span in _SPANS.items():
        if span.search(stem.lower()):
            return timeframe
    match = re.search(r"(?:^|_)(?P<span>[1-9]\d*[mhdw])(?:_|$)", stem)
    if match is not None and match["span"] in TIMEFRAMES:
        return match["span"]
    raise SeriesFileError(
        "its name tells no timeframe, as Bitstamp_BTCUSD_1h.csv does; rename it as that"
    )


# --- reading ------------------------------------------------------------------------------------


def _read(path: Path, key: SeriesKey, now: pd.Timestamp) -> Rows:
    exchange, symbol, _, timeframe = key
    length = TIMEFRAMES[timeframe]
    notes: list[str] = []
    try:
        table = text_table(read_bytes(path), "it")
        table.columns = [str(name).strip().lower() for name in table.columns]
        if not _is_header(list(table.columns)) or not table.columns.is_unique:
            raise SeriesFileError(
                f"its columns are {', '.join(table.columns)[:200]}, which can't be told; {_CURE}"
            )
        columns = [table[name] for name in _TIMES if name in table]
        stamps = agreed_times(columns, "it", length, notes)
    except SeriesFileError:
        raise
    except BrainError as error:
        raise SeriesFileError(str(error)) from error
    _check_symbols(table, symbol, exchange)
    times = stamps.as_unit("us").asi8
    values = _values(table, symbol)
    if len(times) > 1 and (np.diff(times) < 0).all():  # as it is published
        times, values = times[::-1], {name: column[::-1] for name, column in values.items()}
    step = length // pd.Timedelta(microseconds=1)
    _check_length(times, step, timeframe)
    keep, more = over(times, step, now)
    values, swapped = _put_right({name: column[keep] for name, column in values.items()})
    if swapped:
        notes.append(f"{count(swapped, 'row')} with both volumes in each other's column, put right")
    return sound_rows("candles", times[keep], values, available=step, notes=(*notes, *more))


def _check_symbols(table: pd.DataFrame, symbol: str, exchange: str) -> None:
    for text in table["symbol"].unique():
        if _symbol({"symbol": str(text)}, exchange) != symbol:
            raise SeriesFileError(f"it holds rows of {text} beside those of {symbol}; {_CURE}")


def _check_length(times: npt.NDArray[np.int64], step: int, timeframe: str) -> None:
    check_grid(times, step)
    spacings = np.abs(np.diff(times))
    spacings = spacings[spacings > 0]  # a repeated row tells nothing
    if len(spacings) and int(spacings.min()) > step:
        raise SeriesFileError(
            f"its rows are further apart than {timeframe}, which its name says; rename it"
        )


def _values(table: pd.DataFrame, symbol: str) -> dict[str, Floats]:
    base, _, quote = (word.lower() for word in symbol.partition("/"))
    columns = {name: name for name in _PRICES}
    columns["volume"] = f"volume {base}" if f"volume {base}" in table else "volume"
    columns["quote_volume"] = f"volume {quote}"
    if columns["volume"] not in table and columns["quote_volume"] not in table:
        raise SeriesFileError(
            f"it has no volume of {symbol} among {', '.join(map(str, table.columns))}; {_CURE}"
        )
    values = {}
    for name, column in columns.items():
        if column not in table:
            values[name] = np.full(len(table), np.nan)
            continue
        try:
            values[name] = pd.to_numeric(table[column]).to_numpy(dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise SeriesFileError(
                f"its column {column!r} holds no numbers ({error}); {_CURE}"
            ) from error
    return values


def _put_right(values: dict[str, Floats]) -> tuple[dict[str, Floats], int]:
    """The values with each volume in its own column, and how many rows had them otherwise."""
    base, quote = values["volume"], values["quote_volume"]
    swapped, _ = unit_faults(base, quote, values["low"], values["high"], slack=_SLACK)
    if swapped is None or not swapped.any():
        return values, 0
    volumes = {
        "volume": np.where(swapped, quote, base),
        "quote_volume": np.where(swapped, base, quote),
    }
    return {**values, **volumes}, int(swapped.sum())
