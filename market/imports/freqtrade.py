"""freqtrade's data directory: candles, mark prices and funding rates.

``<exchange>/BTC_USDT-1h.feather`` is traded spot, ``<exchange>/futures/BTC_USDT_USDT-1h-futures``
is a perpetual; ``.parquet``, ``.json`` and ``.json.gz`` likewise. A funding rate stands in ``open``
of a candle, or since 2026 in a column of its own, at its settlement, some milliseconds late; the
timeframe in its name says nothing: 8h before freqtrade 2025.12, 1h since. Mark prices are candles;
they count where they open at a settlement.

Amounts are as ccxt has them. Volumes of perpetuals are contracts on some exchanges: they are taken
from those with a client of our own, and unknown of others. Open interest is known to be of one
side, in base units, on Binance alone.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from glob import escape as glob_escape
from pathlib import Path

import numpy as np
import pandas as pd

from brain.errors import InputError, SeriesFileError
from brain.naming import parse_symbol, perpetual, spot_exchange
from brain.series.bars import TIMEFRAMES
from market.collection.gaps import SeriesKey
from market.collection.grid import Times, held
from market.exchanges.base import settles_in_dollars
from market.exchanges.catalogue import EXCHANGES, known_exchange
from market.exchanges.pages import intervals
from market.imports.archive import read_bytes
from market.imports.rows import Floats, Rows, check_grid, over, sound_rows
from market.imports.series_file import Place, SeriesFile, UnkeptError
from market.imports.tables import microseconds, numbers, read_table, table_columns

__all__ = ["freqtrade_name", "recognise"]

_NAME = re.compile(
    r"(?P<pair>[^-\s]+)-(?P<timeframe>\d+(?:Mo|[smhdwM])|trades)"
    r"(?:-(?P<kind>futures|mark|index|premiumIndex|funding_rate|open_interest))?"
    r"\.(?P<form>feather|parquet|json|json\.gz|h5|hdf5)"
)
_CANDLES = ("open", "high", "low", "close", "volume")
_RATES = ("funding_rate",)
_INTEREST = ("open_interest_amount", "open_interest_value")
_SPECIAL = re.compile(r"[/:.@$+ ]")  # which freqtrade writes as _
_LARGEST = 2**30  # bytes of unpacked JSON
_MINUTE, _HOUR = 60_000_000, 3_600_000_000
_CURE = "download it again"


def freqtrade_name(symbol: str) -> str:
    """A symbol in freqtrade's names of files: ``BTC/USDT:USDT`` → ``BTC_USDT_USDT``."""
    return _SPECIAL.sub("_", symbol)


def recognise(place: Place) -> SeriesFile | None:
    """A file's series by its name and the folders above it; None if it is none of freqtrade's.

    Raises:
        UnkeptError: it is of something else than candles, funding rates or open interest.
        SeriesFileError: its symbol or its exchange can't be told, or its form is not read.
    """
    match = _NAME.fullmatch(place.path.name)
    if match is None or "_" not in match["pair"]:
        return None
    kind, timeframe = match["kind"], match["timeframe"]
    if timeframe == "trades":
        raise UnkeptError("single trades are not kept")
    if kind in ("index", "premiumIndex"):
        raise UnkeptError(f"freqtrade's candles of type {kind} are not kept")
    if kind == "mark":
        raise UnkeptError("mark prices are read with the funding rates that they are beside")
    if match["form"] in ("h5", "hdf5"):
        raise SeriesFileError(
            "HDF5 is not read; write it as feather, by freqtrade's convert-data --format-from hdf5 "
            "--format-to feather"
        )
    exchange = _exchange(place, futures=kind is not None)
    symbol = _symbol(match["pair"], exchange, place)
    if kind == "funding_rate":
        return SeriesFile(place.path, place.name, (exchange, symbol, "funding", ""), _read_funding)
    if timeframe not in TIMEFRAMES:
        raise UnkeptError(f"candles of {timeframe} are not kept: no bars can be made of them")
    if kind == "open_interest":
        if exchange != "binance":
            raise UnkeptError(f"the units of {exchange}'s open interest can't be told")
        key = (exchange, symbol, "open_interest", timeframe)
        return SeriesFile(place.path, place.name, key, _read_interest)
    key = (exchange, symbol, "candles", timeframe)
    return SeriesFile(place.path, place.name, key, _read_candles)


def _exchange(place: Place, *, futures: bool) -> str:
    """By the folder, which is an exchange's, or else by the caller's word."""
    *_, above, folder = ("", *place.folders)
    inside = folder == "futures"
    if inside != futures:
        raise SeriesFileError(
            "futures lie in a folder `futures`, and spot does not; keep freqtrade's folders"
        )
    name = above if inside else folder
    if known_exchange(name):
        return name if futures else f"{name}-spot"
    if place.exchange is None:
        raise SeriesFileError(
            f"its exchange can't be told, for {name or 'its folder'!r} is none; keep freqtrade's "
            "folders, or name --exchange"
        )
    if futures == bool(spot_exchange(place.exchange)):
        market = "futures" if futures else "spot"
        raise SeriesFileError(f"it is of {market}, and {place.exchange} is not; name the other one")
    return place.exchange


def _symbol(pair: str, exchange: str, place: Place) -> str:
    spot = spot_exchange(exchange)
    listed = {s for s in place.listed.get(exchange, {}).values() if freqtrade_name(s) == pair}
    if len(listed) == 1:
        return listed.pop()
    parts = pair.split("_")
    if len(parts) != (2 if spot else 3):
        raise SeriesFileError(
            f"which parts of {pair!r} are base, quote and settlement can't be told; collect the "
            "symbol once, so that the exchange's own list is known"
        )
    base, quote, *settle = parts
    if settle and (settle != [quote] or not settles_in_dollars(quote)):
        raise UnkeptError("perpetuals that do not settle in dollars are not kept")
    try:
        return parse_symbol(f"{base}/{quote}") if spot else perpetual(f"{base}/{quote}")
    except InputError as error:
        raise SeriesFileError(str(error)) from error


# --- reading ------------------------------------------------------------------------------------


def _columns(path: Path, *forms: Sequence[str]) -> tuple[Times, dict[str, Floats]]:
    """Times in microseconds, and the values.

    Args:
        path: of the file.
        forms: columns beside the date, in one of which it is.
    """
    content = read_bytes(path)
    if path.suffix not in (".feather", ".parquet"):
        return _json_columns(path, content, forms)
    names = table_columns(path, content)
    form = next((form for form in forms if set(form) <= set(names)), forms[0])
    table = read_table(path, content, ("date", *form))
    return microseconds(table["date"]), {name: numbers(table, name) for name in form}


def _json_columns(
    path: Path, content: bytes, forms: Sequence[Sequence[str]]
) -> tuple[Times, dict[str, Floats]]:
    try:
        if path.suffix == ".gz":
            unpacker = zlib.decompressobj(wbits=31)
            content = unpacker.decompress(content, _LARGEST)
            if unpacker.unconsumed_tail or not unpacker.eof:
                raise ValueError("it is cut off, or too large")
        rows = json.loads(content)
        width = len(rows[0]) - 1 if rows else len(forms[0])
        form = next((form for form in forms if len(form) == width), forms[0])
        table = np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(form))
        times = np.array([row[0] for row in rows], dtype=np.int64)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise _no_rows(forms, error) from error
    except (OverflowError, RecursionError, zlib.error) as error:
        raise _no_rows(forms, error) from error
    if len(times) and not (10**11 < times.min() <= times.max() < 10**13):
        raise SeriesFileError(f"its times are not in milliseconds since 1970; {_CURE}")
    return times * 1000, dict(zip(form, table.T[1:], strict=True))


def _no_rows(forms: Sequence[Sequence[str]], error: Exception) -> SeriesFileError:
    names = ", ".join(("date", *forms[-1]))
    return SeriesFileError(f"it is no list of rows of {names} ({str(error)[:100]}); {_CURE}")


def _read_candles(path: Path, key: SeriesKey, now: pd.Timestamp) -> Rows:
    times, values = _columns(path, _CANDLES)
    unknown = np.full(len(times), np.nan)
    rows = _periods(key, times, {**values, "quote_volume": unknown}, now)
    if spot_exchange(key[0]) or key[0] in EXCHANGES:
        return rows
    note = f"the volume is unknown: its units on {key[0]} can't be told"
    values = {**rows.values, "volume": np.full(len(rows.times), np.nan)}
    return replace(rows, values=values, notes=(*rows.notes, note))


def _read_interest(path: Path, key: SeriesKey, now: pd.Timestamp) -> Rows:
    times, values = _columns(path, _INTEREST)
    amount, value = values.values()
    return _periods(key, times, {"base": amount, "usd": value}, now)


def _periods(key: SeriesKey, times: Times, values: dict[str, Floats], now: pd.Timestamp) -> Rows:
    step = TIMEFRAMES[key[3]] // pd.Timedelta(microseconds=1)
    check_grid(times, step)
    keep, notes = over(times, step, now)
    values = {name: column[keep] for name, column in values.items()}
    return sound_rows(key[2], times[keep], values, available=step, notes=notes)


def _read_funding(path: Path, key: SeriesKey, now: pd.Timestamp) -> Rows:
    times, columns = _columns(path, _RATES, _CANDLES)
    times -= times % _MINUTE
    check_grid(times, _HOUR, 0)
    keep, notes = over(times, 0, now)
    times, rates = times[keep], next(iter(columns.values()))[keep]  # "funding_rate" or "open"
    single, back = np.unique(times, return_inverse=True)
    hours = intervals(pd.DatetimeIndex(single.astype("datetime64[us]")), None)
    values = {"rate": rates, "interval_hours": hours[back], "mark_price": _mark_prices(path, times)}
    return sound_rows("funding", times, values, available=0, notes=notes).with_hours()


def _mark_prices(path: Path, times: Times) -> Floats:
    """The opens of the mark candles beside a file that open at these times; NaN elsewhere.

    Raises:
        SeriesFileError: a file of mark prices is broken, or two contradict each other.
    """
    prices = np.full(len(times), np.nan)
    for file in _mark_files(path):
        stamps, values = _columns(file, _CANDLES)
        order = np.argsort(stamps, kind="stable")
        stamps, opens = stamps[order], values["open"][order]
        found = held(times, stamps)
        here = opens[np.searchsorted(stamps, times[found])]
        before = prices[found]
        if (np.isfinite(before) & (before != here)).any():
            raise SeriesFileError(
                f"{file.name} has other mark prices than another file beside it; keep the right one"
            )
        prices[found] = here
    return prices


def _mark_files(path: Path) -> Iterator[Path]:
    pair = path.name.partition("-")[0]
    for file in sorted(path.parent.glob(f"{glob_escape(pair)}-*-mark.*")):
        match = _NAME.fullmatch(file.name)
        if match is not None and match["form"] not in ("h5", "hdf5"):
            yield file
