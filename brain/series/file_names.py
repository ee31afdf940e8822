"""Names of files of bars: symbol, timeframe and form.

Ours are the symbol's model name (:func:`brain.naming.model_name`), an underscore and the timeframe:
``BTC-USD_1h.parquet``, ``BTC-USDT_USDT_1h.csv.gz``. Those of freqtrade are read as well:
``BTC_USDT-1h.feather``, ``BTC_USDT_USDT-1h-futures.feather``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from brain.errors import InputError
from brain.naming import symbol_of
from brain.series.bars import parse_timeframe

__all__ = ["TABLES", "TEXTS", "BarFile", "is_quiet", "means_bars", "parse_file_name"]

#: Endings of tables and of texts.
TABLES = (".parquet", ".feather")
TEXTS = (".csv", ".txt", ".tsv")


# Files with these endings are meant to be bars, however they are named.
_BARS = (*TABLES, ".csv", ".tsv", ".csv.gz", ".csv.zip", ".tsv.gz", ".tsv.zip")
_ENDING = re.compile(
    rf"(?:{'|'.join(re.escape(e) for e in TABLES)}|\.zip"
    rf"|(?:{'|'.join(re.escape(e) for e in TEXTS)})(?:\.gz|\.zip)?)$",
    re.IGNORECASE,
)
_FREQTRADE = re.compile(r"(?P<pair>[^-]+)-(?P<timeframe>\d+[mhdwM])(?:-(?P<kind>[a-z_]+))?")
_TRADED = (None, "futures")  # beside freqtrade's files of mark prices and funding rates
_QUIET = re.compile(r"\..*|.*~|(?:readme|license|licence|notice|source|changes|changelog)\b.*|"
                    r".*\.(?:md|rst|html|pdf|py|ipynb|toml|yaml|yml|ini|log|sh)|"
                    r"thumbs\.db|desktop\.ini", re.IGNORECASE)  # fmt: skip


@dataclass(frozen=True)
class BarFile:
    """What the name of a file of bars tells.

    Attributes:
        symbol: ``BTC/USDT``.
        timeframe: a key of :data:`brain.series.bars.TIMEFRAMES`.
        ending: with the dot, in small letters: ``.csv.gz``.
    """

    symbol: str
    timeframe: str
    ending: str


def parse_file_name(name: str) -> BarFile:
    """Symbol, timeframe and ending of a file's name.

    Raises:
        InputError: it is no name of a file of bars, or one of an ending that is not read.
    """
    ending = _ending(name)
    stem = name[: len(name) - len(ending)] if ending else Path(name).stem
    example = f"BTC-USD_1h{ending or '.csv'}"
    if not ending:
        raise InputError(
            f"{name!r} is none of the kinds of files that are read ({', '.join(TABLES + TEXTS)}, "
            f"text also as .gz or .zip); save it as {example}"
        )
    try:
        symbol, timeframe = _freqtrade(stem) or _ours(stem)
        parse_timeframe(timeframe)
    except InputError as error:
        raise InputError(
            f"{name!r} is not named as a file of bars: {error}; rename it as {example}"
        ) from None
    return BarFile(symbol, timeframe, ending)


def means_bars(name: str) -> bool:
    """Whether a file is meant to be bars: by its ending, or by a name that can be read."""
    ending = _ending(name)
    series = _FREQTRADE.fullmatch(name[: len(name) - len(ending)])
    if ending in _BARS:
        return series is None or series["kind"] in _TRADED
    try:
        parse_file_name(name)
    except InputError:
        return False
    return True


def is_quiet(name: str) -> bool:
    """Whether a file beside bars is of no interest: hidden, a description, a program."""
    return _QUIET.fullmatch(name) is not None


def _ending(name: str) -> str:
    match = _ENDING.search(name)
    return match[0].lower() if match else ""


def _ours(stem: str) -> tuple[str, str]:
    name, _, timeframe = stem.rpartition("_")
    parse_timeframe(timeframe)
    return symbol_of(name), timeframe


def _freqtrade(stem: str) -> tuple[str, str] | None:
    """Symbol and timeframe of a name of freqtrade's; None if it is none.

    Raises:
        InputError: the file holds no traded prices.
    """
    match = _FREQTRADE.fullmatch(stem)
    if match is None or "_" not in match["pair"]:
        return None
    if match["kind"] not in _TRADED:
        raise InputError(f"it holds {match['kind']} and no traded prices")
    base, _, rest = match["pair"].partition("_")
    return symbol_of(f"{base}-{rest}"), match["timeframe"]
