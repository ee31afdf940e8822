"""The columns of bars among those of a file's table."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import pandas as pd

from brain.columns import OF_BARS, own_name, parse_columns
from brain.errors import BarsError, NotEnoughBarsError, did_you_mean
from brain.naming import symbol_name
from brain.series.bars import COLUMNS
from brain.series.decimals import parse_numbers
from brain.series.spellings import SPELLINGS, bar_names, normalised
from brain.series.times import agreed_times
from brain.text import count

__all__ = ["bar_columns"]

_PRICES = COLUMNS[:4]
_TUPLE = re.compile(r"\(\s*['\"](.*?)['\"]\s*,\s*['\"](.*?)['\"]\s*\)")
_TIME_OF_DAY = (
    r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s?[AaPp][Mm])?|\d{1,2}[- ]?[AaPp][Mm]|\d{1,6}"
)

# Columns of tables without names: time and prices; volume; number of trades (Kraken) or turnover;
# Binance's, the seventh of which is the close time.
_WIDTHS = (5, 6, 7, 12)


def bar_columns(
    table: pd.DataFrame,
    symbol: str,
    name: str,
    step: pd.Timedelta,
    repairs: list[str],
    own: Sequence[str] = (),
) -> pd.DataFrame:
    """The columns of bars of a table, under their names, and all others.

    Args:
        table: of :func:`brain.series.file_content.file_table`.
        symbol: whose columns are chosen where the table has several symbols'.
        name: of the file, for messages.
        step: of the bars.
        repairs: a sentence for each repair is appended.
        own: names of the own columns, which are numbers as well, see :mod:`brain.columns`.

    Returns:
        Columns open, high, low, close, volume if there is one, and ``time`` or else a DatetimeIndex
        as :func:`brain.series.bars.check_bars` takes them; then the table's other columns.

    Raises:
        BarsError: columns are missing, or several could be meant.
    """
    table = _one_level(table, symbol, name)
    nothing = _nothing(table)
    if nothing.all():
        raise NotEnoughBarsError(f"{name} holds no bars; give at least one")
    if nothing.any():
        repairs.append(f"{count(int(nothing.sum()), 'row')} without a time or value left out")
    table = table[~nothing]
    if all(isinstance(column, int) for column in table.columns):
        table = _with_names(table, name)
    _check_one_symbol(table, name)
    names = _bar_names(table, symbol, name, repairs)
    times = _time_columns(table, name)
    others = [c for c in table.columns if c not in names and c not in _time_names(table)]
    others = [c for c in others if str(c) not in OF_BARS]
    values = table[[*names, *dict.fromkeys(others)]].rename(columns=names)
    if missing := [column for column in _PRICES if column not in values]:
        raise BarsError(
            f"{name}: there is no column for {', '.join(missing)} among "
            f"{', '.join(map(repr, table.columns))}; name the columns time, {', '.join(COLUMNS)}"
        )
    numbers = {*names.values(), *parse_columns(own)}
    once = values.columns[~values.columns.duplicated(keep=False)]
    values = parse_numbers(values, [c for c in once if own_name(c) in numbers], name)
    return _with_times(values, times, name, step, repairs)


def _nothing(table: pd.DataFrame) -> pd.Series:
    """Rows without any cell, time included."""
    rows = table.isna().all(axis=1)
    return rows & False if isinstance(table.index, pd.DatetimeIndex) else rows


# --- several symbols ----------------------------------------------------------------------------


def _one_level(table: pd.DataFrame, symbol: str, name: str) -> pd.DataFrame:
    """The table with one name a column: of two levels, as yfinance's, the symbol's own columns."""
    columns = [_parts(column) for column in table.columns]
    if not any(isinstance(column, tuple) for column in columns):
        return table
    pairs = [column if isinstance(column, tuple) else (column, "") for column in columns]
    levels = list(zip(*pairs, strict=True))
    names = max(levels, key=lambda level: bar_names([str(cell) for cell in level]))
    tickers = [str(t) for t in levels[1 if names is levels[0] else 0]]
    prices = [normalised(n) in SPELLINGS["close"] for n in names]
    several = sorted({t for t, price in zip(tickers, prices, strict=True) if price})
    chosen = set(several)
    if len(several) > 1:
        chosen = {t for t in several if t in (symbol, symbol_name(symbol))}
        if len(chosen) != 1:
            raise BarsError(
                f"{name} holds the bars of {', '.join(several)}, none of which is called "
                f"{symbol_name(symbol)}; write one file for each"
            )
    mine = [
        t in chosen or normalised(n) in SPELLINGS["time"] or not any(map(str, (n, t)))
        for n, t in zip(names, tickers, strict=True)
    ]
    named = [n for n, m in zip(names, mine, strict=True) if m]
    return table.loc[:, mine].set_axis(pd.Index(named, dtype=object), axis=1)


def _parts(column: Hashable) -> Hashable:
    """A column's two names, also where a table has them as the text of a tuple."""
    match = _TUPLE.fullmatch(column) if isinstance(column, str) else None
    return (match[1], match[2]) if match else column


def _check_one_symbol(table: pd.DataFrame, name: str) -> None:
    for place, column in enumerate(table.columns):
        if normalised(column) in ("symbol", "ticker", "pair", "instrument"):
            symbols = table.iloc[:, place].dropna().unique()
            if len(symbols) > 1:
                raise BarsError(
                    f"{name}: the column {column!r} names {len(symbols)} symbols "
                    f"({', '.join(map(str, symbols[:3]))}); write one file for each"
                )


# --- names --------------------------------------------------------------------------------------


def _with_names(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """A table without a line of names, as exchanges and vendors dump them, with names.

    Time, or date and time of day, then open, high, low, close and volume, if any.
    """
    second = table.iloc[:, 1].dropna().astype(str) if table.shape[1] > 1 else pd.Series(dtype=str)
    clock = bool(len(second)) and bool(second.str.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?").all())
    times = ["date", "time"] if clock else ["time"]
    width = table.shape[1] - len(times) + 1
    rest = [f"column {k}" for k in range(6, width)]
    names = [*times, *COLUMNS, *rest][: table.shape[1]]
    cure = f"write a first line that names them, as time,{','.join(COLUMNS)}"
    if width not in _WIDTHS:
        raise BarsError(
            f"{name}: there is no line of names, and of {table.shape[1]} columns it can't be told "
            f"which is which; {cure}"
        )
    table = table.set_axis(pd.Index(names, dtype=object), axis=1)
    numbers = parse_numbers(table, [*names[len(times) :]], name).apply(_known)
    prices = numbers[list(_PRICES)]
    wide = (prices["high"] >= prices.max(axis=1)) & (prices["low"] <= prices.min(axis=1))
    if (~wide & prices.notna().all(axis=1)).mean() > 0.5 or not _is_known(numbers, width):
        raise BarsError(
            f"{name}: there is no line of names, and the columns after the time are not open, "
            f"high, low, close and volume; {cure}"
        )
    return table


def _known(cells: pd.Series) -> pd.Series:
    return pd.to_numeric(cells, errors="coerce")


def _is_known(numbers: pd.DataFrame, width: int) -> bool:
    """Whether what follows the prices is what is known to: no other price, and a close time."""
    if width == _WIDTHS[2]:
        another = numbers["volume"].between(numbers["low"], numbers["high"])
        return bool(another.mean() < 0.1)
    if width == _WIDTHS[3]:
        return bool((numbers["column 6"] > numbers["time"]).all())
    return True


def _bar_names(
    table: pd.DataFrame, symbol: str, name: str, repairs: list[str]
) -> dict[Hashable, str]:
    """The name of each column of prices and volume, by the table's own."""
    names: dict[Hashable, str] = {}
    for column in COLUMNS:
        matches = _matches(table, column, symbol)
        if column == "close" and len(matches) > 1:  # "Price" beside "Close" names something else
            matches = [m for m in matches if normalised(m) not in ("price", "last")]
        if len(matches) > 1:
            raise _several(matches, column, name)
        names.update(dict.fromkeys(matches, column))
    ticks = [c for c in table.columns if normalised(c) in ("tickvol", "tick_volume")]
    volume = next((c for c, n in names.items() if n == "volume"), None)
    if len(ticks) == 1 and (volume is None or _is_zero(table[volume])):
        names = {c: n for c, n in names.items() if n != "volume"} | {ticks[0]: "volume"}
        repairs.append(f"the volume is {ticks[0]!r}: numbers of ticks")
    return names


def _matches(table: pd.DataFrame, column: str, symbol: str) -> list[Hashable]:
    usual = SPELLINGS[column]
    if column == "volume":
        base = re.split("[/:]", symbol)[0].lower()
        usual = usual | {f"volume_{base}", f"vol_{base}"}
    return [c for c in table.columns if normalised(c) in usual]


def _several(matches: list[Hashable], column: str, name: str) -> BarsError:
    return BarsError(
        f"{name}: the columns {', '.join(map(repr, matches))} could all be {column!r}; keep or "
        "rename so that one is left"
    )


def _is_zero(cells: pd.Series) -> bool:
    return bool((pd.to_numeric(cells, errors="coerce").fillna(0.0) == 0.0).all())


# --- times --------------------------------------------------------------------------------------


def _time_columns(table: pd.DataFrame, name: str) -> list[pd.Series]:
    """The columns that tell whole times; a date and a time of day become one."""
    columns = _time_names(table)
    if len(set(columns)) < len(columns):
        raise _several(columns, "time", name)
    indexed = isinstance(table.index, pd.DatetimeIndex)
    if not columns and not indexed:
        raise BarsError(
            f"{name}: there is no column for the time among {', '.join(map(repr, table.columns))}; "
            f"name it 'time'; {did_you_mean('time', map(str, table.columns))}"
        )
    series = [table[column].reset_index(drop=True) for column in columns]
    if indexed and columns:
        series.append(pd.Series(table.index, name="the index"))
    clocks = [cells for cells in series if _is_clock(cells)]
    dates = [cells for cells in series if normalised(cells.name) == "date"]
    if len(clocks) == 1 and len(dates) == 1 and clocks[0] is not dates[0]:
        rest = [s for s in series if s is not clocks[0] and s is not dates[0]]
        series = [_joined(dates[0], clocks[0]), *rest]
    return series


def _time_names(table: pd.DataFrame) -> list[Hashable]:
    columns = _matches(table, "time", "")
    indexed = isinstance(table.index, pd.DatetimeIndex)
    if not columns and not indexed and normalised(table.columns[0]) in ("", "unnamed:_0"):
        return [table.columns[0]]  # an index that was saved without a name
    return columns


def _is_clock(cells: pd.Series) -> bool:
    """Whether a column tells times of day alone."""
    if normalised(cells.name) == "date":
        return False
    known = cells.dropna().astype(str)
    return bool(len(known)) and bool(known.str.fullmatch(_TIME_OF_DAY).all())


def _joined(dates: pd.Series, clocks: pd.Series) -> pd.Series:
    """Dates and times of day as one text."""
    clock = clocks.astype(object).map(str, na_action="ignore")
    if clock.dropna().str.isdecimal().all():  # 93000, as a number, is 09:30:00
        digits = int(clock.str.len().max())
        clock = clock.str.zfill({1: 2, 2: 2, 3: 4, 4: 4}.get(digits, 6))
        clock += "0000" if digits <= 2 else ""
    text = dates.astype(object).map(str, na_action="ignore") + " " + clock
    return text.rename(f"{dates.name}, {clocks.name}")


def _with_times(
    values: pd.DataFrame,
    columns: list[pd.Series],
    name: str,
    step: pd.Timedelta,
    repairs: list[str],
) -> pd.DataFrame:
    """The values with their times as a column."""
    if not columns:
        return values
    times = agreed_times(columns, name, step, repairs)
    return values.reset_index(drop=True).assign(time=times)
