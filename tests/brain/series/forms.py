"""Files of bars in the forms that exchanges, vendors and spreadsheets write, each by a key.

A form is a file's name, its bytes, and the bars that it holds: those of :data:`HOURS` or
:data:`DAYS`, some of them or none; None where the file is to be refused.
"""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = [
    "DAYS",
    "FORMS",
    "HOURS",
    "NOW",
    "Form",
    "day_times",
    "encodings",
    "endings",
    "headers",
    "hour_times",
    "numbers",
    "text",
]

NOW = pd.Timestamp("2021-01-01 00:10", tz="UTC")


def _series(start: str, rows: int, step: str) -> pd.DataFrame:
    """Bars that no two columns or rows of are alike, all of them exact in three decimals."""
    k = np.arange(rows)
    columns = {
        "open": 1234.5 + k / 4,
        "high": 1240.25 + k / 4,
        "low": 1230.125 + k / 4,
        "close": 1236.75 + k / 4,
        "volume": 17.5 + k,
    }
    index = pd.date_range(start, periods=rows, freq=step, tz="UTC", name="time")
    return pd.DataFrame(columns, index=index)


HOURS = _series("2020-01-06", 40, "h")
DAYS = _series("1999-01-04", 60, "D")


@dataclass(frozen=True)
class Form:
    """A file.

    Attributes:
        name: of the file.
        content: its bytes.
        bars: that it holds; None if it is to be refused.
    """

    name: str
    content: bytes
    bars: pd.DataFrame | None


def text(
    bars: pd.DataFrame,
    times: Callable[[pd.DatetimeIndex], Any] = lambda t: t.strftime("%Y-%m-%d %H:%M"),
    *,
    names: str | None = "time,open,high,low,close,volume",
    delimiter: str = ",",
    number: Callable[[float], str] = str,
    columns: tuple[str, ...] = ("open", "high", "low", "close", "volume"),
    end: str = "\n",
    tail: str = "",
) -> str:
    """The bars as text; ``times`` may give several cells a row, parted by the delimiter."""
    cells = [list(map(str, times(pd.DatetimeIndex(bars.index))))]
    cells += [[number(float(value)) for value in bars[column]] for column in columns]
    lines = [delimiter.join(row) + tail for row in zip(*cells, strict=True)]
    head = [] if names is None else [names.replace(",", delimiter)]
    return end.join([*head, *lines]) + end


def _hours(content: str | bytes, name: str = "BTC-USD_1h.csv", bars: Any = HOURS) -> Form:
    return Form(name, content.encode() if isinstance(content, str) else content, bars)


def _days(content: str | bytes, name: str = "SPX_1d.csv", bars: Any = DAYS) -> Form:
    return Form(name, content.encode() if isinstance(content, str) else content, bars)


def _stamps(form: str) -> Callable[[pd.DatetimeIndex], Any]:
    return lambda times: times.strftime(form)


def _plain(form: str) -> Callable[[pd.DatetimeIndex], Any]:
    """Stamps whose days and months have no leading zeros."""
    return lambda times: [form.format(t.day, t.month, t.year) for t in times]


def _ms(times: pd.DatetimeIndex) -> Any:
    return times.as_unit("ms").asi8


def _seconds(times: pd.DatetimeIndex) -> Any:
    return times.as_unit("s").asi8


def _midnights(times: pd.DatetimeIndex) -> list[str]:
    """The dates at midnight in New York, with its offset."""
    return [str(time) for time in times.tz_localize(None).tz_localize("America/New_York")]


def _binance(times: pd.DatetimeIndex, unit: Callable[[pd.DatetimeIndex], Any] = _ms) -> str:
    lines = text(HOURS, unit, names=None).splitlines()
    closes = unit(times + pd.Timedelta("1h")) - 1
    rest = (f"{close},99.5,7,3.5,49.25,0" for close in closes)
    return "".join(f"{line},{more}\n" for line, more in zip(lines, rest, strict=True))


def _two_units(times: pd.DatetimeIndex) -> Any:
    return np.where(np.arange(len(times)) < 24, _ms(times), times.as_unit("us").asi8)


def _english(number: float) -> str:
    return f'"{number:,.3f}"'


def _german(number: float) -> str:
    return f"{number:,.3f}".translate(str.maketrans(",.", ".,"))


def _comma(number: float) -> str:
    return str(number).replace(".", ",")


_YAHOO = ("Close", "High", "Low", "Open", "Volume")


def _yahoo_frame(ticker: str = "AAPL", first: str = "Price") -> pd.DataFrame:
    frame = DAYS[[name.lower() for name in _YAHOO]].tz_localize(None).rename_axis("Date")
    pairs = [(name, ticker) for name in _YAHOO]
    frame.columns = pd.MultiIndex.from_tuples(pairs, names=["Price", "Ticker"])
    return frame if first == "Price" else frame.swaplevel(axis=1)


def _parquet(frame: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.to_parquet(stream)
    return stream.getvalue()


def _feather(frame: pd.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.reset_index().rename(columns={"time": "date"}).to_feather(stream)
    return stream.getvalue()


def _zip(**members: str | bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return stream.getvalue()


def _metatrader() -> str:
    names = "<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<TICKVOL>,<VOL>,<SPREAD>"
    stamps = _stamps("%Y.%m.%d\t%H:%M:%S")
    return text(HOURS, stamps, names=names, delimiter="\t", tail="\t0\t12")


def _with_row(line: str) -> str:
    """The hours, and in place of the eighth a line."""
    lines = text(HOURS).splitlines()
    return "\n".join([*lines[:8], line, *lines[9:]]) + "\n"


_HOLE = HOURS.drop(HOURS.index[7]).asfreq("h")
_NO_VOLUME = HOURS.assign(volume=np.nan)
_YEAR_END = HOURS.set_axis(
    pd.date_range(NOW.floor("h"), periods=40, freq="-1h", name="time")[::-1], axis=0
)
_MONDAYS = _series("2020-01-06", 40, "7D")
_SUNDAYS = _series("2020-01-05", 40, "7D")
_TICKER = "Price,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\nDate,,,,,\n"
_TWO = pd.concat([_yahoo_frame("AAPL"), _yahoo_frame("MSFT") * 2], axis=1)
_NAMES = "time,open,high,low,close,volume"

#: The forms by their keys in ``docs/bars.md``.
FORMS: dict[str, Callable[[], Form]] = {
    # the text
    "comma": lambda: _hours(text(HOURS)),
    "semicolon": lambda: _hours(text(HOURS, delimiter=";")),
    "tabulator": lambda: _hours(text(HOURS, delimiter="\t"), "BTC-USD_1h.txt"),
    "sep": lambda: _hours("sep=;\r\n" + text(HOURS, delimiter=";", end="\r\n")),
    "title": lambda: _hours("https://www.CryptoDataDownload.com\n" + text(HOURS)),
    "no-names": lambda: _hours(text(HOURS, names=None)),
    "binance": lambda: _hours(_binance(pd.DatetimeIndex(HOURS.index))),
    "kraken": lambda: _hours(text(HOURS, _seconds, names=None, tail=",31")),
    "unknown-columns": lambda: _hours(text(HOURS, names=None, tail=",1,2,3"), bars=None),
    "close-before-high": lambda: _hours(
        text(HOURS, names=None, columns=("open", "close", "high", "low", "volume")), bars=None
    ),
    "price-for-volume": lambda: _hours(
        text(HOURS, names=None, columns=("open", "high", "low", "close", "close"), tail=",31"),
        bars=None,
    ),
    "bom": lambda: _hours(("\ufeff" + text(HOURS, end="\r\n")).encode()),
    "utf-16": lambda: _hours(text(HOURS).encode("utf-16")),
    "trailing": lambda: _hours(text(HOURS, tail=",,")),
    "newest-first": lambda: _hours(text(HOURS.iloc[::-1])),
    "short-line": lambda: _hours(text(HOURS) + "2020-01-07 16:00,12", bars=None),
    "unquoted-comma": lambda: _hours(text(HOURS, number=_comma), bars=None),
    # numbers
    "decimal-comma": lambda: _hours(text(HOURS, delimiter=";", number=_comma)),
    "thousands": lambda: _hours(text(HOURS, number=_english)),
    "thousands-german": lambda: _hours(text(HOURS, delimiter=";", number=_german)),
    "quoted": lambda: _hours(text(HOURS, number=lambda x: f'"{x}"')),
    "one-comma": lambda: _hours(
        text(HOURS.round(), delimiter=";", number=lambda x: f"{x:,.0f}" if x > 999 else "100"),
        bars=None,
    ),
    "short-volume": lambda: _hours(
        text(HOURS, columns=("open", "high", "low", "close"), tail=",17.5K"),
        bars=HOURS.assign(volume=17_500.0),
    ),
    # columns
    "no-volume": lambda: _hours(
        text(HOURS, names="time,open,high,low,close", columns=("open", "high", "low", "close")),
        bars=_NO_VOLUME,
    ),
    "adjusted": lambda: _days(
        text(
            DAYS,
            names="Date,Open,High,Low,Close,Adj Close,Volume",
            columns=("open", "high", "low", "close", "open", "volume"),
        )
    ),
    "yahoo": lambda: _days(
        _TICKER + text(DAYS, _stamps("%Y-%m-%d"), names=None, columns=tuple(map(str.lower, _YAHOO)))
    ),
    "yahoo-parquet": lambda: _days(_parquet(_yahoo_frame()), "AAPL_1d.parquet"),
    "yahoo-by-ticker": lambda: _days(_parquet(_yahoo_frame(first="Ticker")), "AAPL_1d.parquet"),
    "yahoo-two-tickers": lambda: _days(_parquet(_TWO), "AAPL_1d.parquet"),
    "yahoo-other-tickers": lambda: _days(_parquet(_TWO), "TSLA_1d.parquet", bars=None),
    "two-symbols": lambda: _hours(
        text(HOURS, names=f"{_NAMES},symbol", tail=",BTCUSD") + "2020-01-08,1,1,1,1,1,ETHUSD",
        bars=None,
    ),
    "metatrader": lambda: _hours(_metatrader()),
    "date-and-time": lambda: _hours(
        text(HOURS, _stamps("%d.%m.%Y,%H:%M"), names="Date,Time,Open,High,Low,Close,Volume")
    ),
    "unix-and-date": lambda: _hours(
        text(
            HOURS,
            lambda t: [f"{s.value // 10**9},{s:%Y-%m-%d %H:%M:%S}" for s in t.as_unit("ns")],
            names="unix,date,open,high,low,close,Volume BTC",
        )
    ),
    "unix-against-date": lambda: _hours(
        text(
            HOURS,
            lambda t: [f"{s.value // 10**9 + 3600},{s:%Y-%m-%d %H:%M:%S}" for s in t.as_unit("ns")],
            names="unix,date,open,high,low,close,Volume BTC",
        ),
        bars=None,
    ),
    # times
    "seconds": lambda: _hours(text(HOURS, _seconds)),
    "milliseconds": lambda: _hours(text(HOURS, _ms)),
    "two-units": lambda: _hours(text(HOURS, _two_units)),
    "rounded": lambda: _hours(text(HOURS, lambda t: [f"{x:.5G}" for x in _ms(t)]), bars=None),
    "spreadsheet-days": lambda: _hours(
        text(HOURS, lambda t: 43836 + np.arange(40) / 24), bars=None
    ),
    "zone": lambda: _hours(text(HOURS, lambda t: t.tz_convert("Asia/Tokyo").map(str))),
    "midnight": lambda: _days(text(DAYS, _midnights)),
    "digits": lambda: _days(text(DAYS, _stamps("%Y%m%d"))),
    "histdata": lambda: _hours(text(HOURS, _stamps("%Y%m%d %H%M%S"), names=None, delimiter=";")),
    "day-first": lambda: _days(text(DAYS, _plain("{0}/{1}/{2}"))),
    "month-first": lambda: _days(text(DAYS, _plain("{1}/{0}/{2}"))),
    "by-order": lambda: _days(text(DAYS.iloc[:8], _plain("{0}/{1}/{2}")), bars=DAYS.iloc[:8]),
    "day-or-month": lambda: _hours(text(HOURS.iloc[:8], _stamps("%d/%m/%Y %H:%M")), bars=None),
    "dotted": lambda: _days(text(DAYS, _stamps("%d.%m.%Y"))),
    "month-names": lambda: _days(
        text(DAYS, _stamps('"%b %d, %Y"'), names="Date,Open,High,Low,Close,Volume")
    ),
    "half-day-clock": lambda: _hours(text(HOURS, _stamps("%Y-%m-%d %I-%p"))),
    "two-forms": lambda: _days(
        text(DAYS.iloc[:9], _stamps("%Y-%m-%d"))
        + text(DAYS.iloc[9:], _stamps("%d.%m.%Y"), names=None),
        bars=None,
    ),
    "mondays": lambda: Form("SPX_1w.csv", text(_MONDAYS).encode(), _MONDAYS),
    "sundays": lambda: Form("SPX_1w.csv", text(_SUNDAYS).encode(), _SUNDAYS),
    # rows of nothing, and the clock
    "empty-row": lambda: _hours(_with_row(",,,,,"), bars=_HOLE),
    "nan-row": lambda: _hours(_with_row("2020-01-06 07:00,NaN,NaN,NaN,NaN,0"), bars=_HOLE),
    "forming": lambda: _hours(text(_YEAR_END), bars=_YEAR_END.iloc[:-1]),
    "ahead": lambda: _hours(
        text(HOURS.set_axis(_YEAR_END.index + pd.Timedelta("99h"), axis=0)), bars=None
    ),
    "local-time": lambda: _hours(
        text(HOURS.set_axis(_YEAR_END.index + pd.Timedelta("9h"), axis=0)), bars=None
    ),
    # names of files, and what is packed
    "perpetual": lambda: _hours(text(HOURS), "BTC-USDT_USDT_1h.csv"),
    "freqtrade": lambda: _hours(_feather(HOURS), "BTC_USDT-1h.feather"),
    "freqtrade-futures": lambda: _hours(_feather(HOURS), "BTC_USDT_USDT-1h-futures.feather"),
    "ten-minutes": lambda: Form(
        "BTC-USD_10m.csv",
        text(_series("2020-01-06", 40, "10min")).encode(),
        _series("2020-01-06", 40, "10min"),
    ),
    "gzip": lambda: _hours(gzip.compress(text(HOURS).encode()), "BTC-USD_1h.csv.gz"),
    "zip": lambda: _hours(_zip(bars__csv=text(HOURS)), "BTC-USD_1h.zip"),
    "zip-of-two": lambda: _hours(
        _zip(a__csv=text(HOURS), b__csv=text(HOURS)), "BTC-USD_1h.zip", bars=None
    ),
    "zip-of-none": lambda: _hours(_zip(readme__md="-"), "BTC-USD_1h.zip", bars=None),
    "bomb": lambda: _hours(gzip.compress(b"0" * (1 << 25)), "BTC-USD_1h.csv.gz", bars=None),
    "cut-off": lambda: _hours(
        gzip.compress(text(HOURS).encode())[:-20], "BTC-USD_1h.csv.gz", bars=None
    ),
    "wrong-name": lambda: _hours(text(HOURS), "BTCUSD hourly.csv", bars=None),
}

#: How the times of hours may be written, without a delimiter in them.
hour_times: tuple[Callable[[pd.DatetimeIndex], Any], ...] = (
    _seconds,
    _ms,
    _two_units,
    lambda t: t.tz_convert("Asia/Kolkata").map(str),
    *(
        _stamps(form)
        for form in (
            "%Y-%m-%d %H:%M:%S",
            "%Y-%m-%dT%H:%M:%SZ",
            "%Y.%m.%d %H:%M",
            "%Y%m%d %H%M%S",
            "%Y%m%d%H%M",
            "%d/%m/%Y %H:%M",
            "%m/%d/%Y %I:%M %p",
            "%m-%d-%y %H:%M:%S.000",
            "%d.%m.%Y %H:%M:%S",
            "%b %d %Y %H:%M",
            "%d-%b-%Y %H:%M",
            "%Y-%m-%d %I-%p",
            "%d.%m.%Y %H:%M:%S GMT+0000",
        )
    ),
)

#: How those of days may be.
day_times: tuple[Callable[[pd.DatetimeIndex], Any], ...] = (
    _seconds,
    _ms,
    _midnights,
    _plain("{0}/{1}/{2}"),
    _plain("{1}/{0}/{2}"),
    _plain("{0}.{1}.{2}"),
    *(
        _stamps(form)
        for form in (
            "%Y-%m-%d",
            "%Y%m%d",
            "%Y/%m/%d",
            "%d-%m-%y",
            "%m/%d/%y",
            "%y/%m/%d",
            "%B %d %Y",
            "%d %b %y",
            "%d-%b-%Y",
            "%Y-%m-%dT00:00:00Z",
        )
    ),
)

#: How numbers may be; decimal commas without quotes are ambiguous between commas.
numbers: tuple[Callable[[float], str], ...] = (
    str,
    lambda x: f"{x:.3f}",
    lambda x: f'"{x}"',
    lambda x: f"{x:.6E}",
    lambda x: f"${x}",
    _comma,
    _english,
    _german,
    lambda x: f'"{_comma(x)}"',
    lambda x: f"{x:,.3f}".replace(",", " "),
)

#: Lines of names, in the order of open, high, low, close, volume.
headers = (
    None,
    _NAMES,
    "Date,Open,High,Low,Close,Volume",
    "<DATETIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>",
    ",open,high,low,close,Volume BTC",
    "timestamp,o,h,l,c,v",
)

#: Endings, and how the bytes of a text are packed.
endings: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    (".csv", bytes),
    (".txt", bytes),
    (".csv.gz", gzip.compress),
    (".zip", lambda content: _zip(bars__csv=content)),
)

encodings = ("utf-8", "utf-8-sig", "utf-16")
