"""Text files as tables: encoding, delimiter, title lines, names of columns.

All cells stay text; :mod:`brain.series.columns` gives them their meaning.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
from pyarrow import compute

from brain.errors import BarsError, NotEnoughBarsError
from brain.series.spellings import MISSING, bar_names, is_level, is_number
from brain.text import count

__all__ = ["text_table"]

_DELIMITERS = (",", ";", "\t", "|")
_HEAD = 100  # lines from which the form is told
_LEAST_NUMBERS = 4  # in a line of values: the prices
_SEPARATOR = re.compile(r"[\"']?sep=(?P<delimiter>[,;|\t])[\"']?\s*", re.IGNORECASE)

_COMMAS = "decimal commas need quotes, or semicolons between the values"
_CURE = "write UTF-8 text, a line of column names and then one line of values for each bar"


@dataclass(frozen=True)
class _Form:
    """How a text is a table.

    Attributes:
        delimiter: between cells.
        names: of the columns; empty if no line names them.
        level: the second names of the columns, as yfinance's tickers; empty if there are none.
        begin: the line with the first row.
        width: cells of a row.
    """

    delimiter: str
    names: list[str]
    level: list[str]
    begin: int
    width: int


def text_table(content: bytes, name: str) -> pd.DataFrame:
    """The rows of a text as a table of text.

    Args:
        content: UTF-8, or UTF-16 with its mark; any line ends; comma, semicolon, tabulator or bar
            between cells, which may be quoted; title lines above the names.
        name: of the file, for messages.

    Returns:
        A row a line, NaN for a cell without a value. Columns are named as in the file, with a
        second level where it has one; without names they are numbers from 0.

    Raises:
        NotEnoughBarsError: there is no line below the names.
        BarsError: the bytes are no text, or the lines no table.
    """
    content = _utf8(content, name)
    form = _form(_head(content, name), name)
    body = _from_line(content, form.begin)
    if not body.strip():
        raise NotEnoughBarsError(f"{name} holds no bars, only names of columns; give one at least")
    return _named(_rows(body, form, name), form, name)


# --- bytes --------------------------------------------------------------------------------------


def _utf8(content: bytes, name: str) -> bytes:
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            content = content.decode("utf-16").encode()
        elif b"\0" in content[:1000]:
            raise ValueError("it holds zero bytes")
    except ValueError as error:
        raise BarsError(f"{name} is not a readable CSV file ({error}); {_CURE}") from error
    content = content.removeprefix(b"\xef\xbb\xbf")
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _head(content: bytes, name: str) -> list[str]:
    try:
        lines = [line.decode() for line in itertools.islice(io.BytesIO(content), _HEAD)]
    except UnicodeDecodeError as error:
        raise BarsError(f"{name} is not a readable CSV file ({error}); {_CURE}") from error
    if not any(line.strip() for line in lines):
        raise BarsError(f"{name} is not a readable CSV file (its lines are empty); {_CURE}")
    return lines


def _from_line(content: bytes, begin: int) -> bytes:
    stream = io.BytesIO(content)
    for _ in range(begin):
        stream.readline()
    return stream.read()


# --- the form -----------------------------------------------------------------------------------


def _form(lines: list[str], name: str) -> _Form:
    marks = [_SEPARATOR.fullmatch(line.rstrip("\n")) for line in lines]
    mark = marks[0]
    delimiter = mark["delimiter"] if mark else _delimiter(lines, name)
    rows = _cells(lines, delimiter)
    names = next((k for k, row in enumerate(rows) if bar_names(row) >= _LEAST_NUMBERS), None)
    if names is None:
        begin = _first_values(rows[bool(mark) :], name) + bool(mark)
        return _Form(delimiter, [], [], begin, _width(rows[begin:], 0))
    if any(_numbers(row) >= _LEAST_NUMBERS for row in rows[:names]):
        raise BarsError(f"{name}: there are bars above the names of the columns; {_CURE}")
    cells, level, begin = _header(rows, names)
    return _Form(delimiter, cells, level, begin, _width(rows[begin:], len(cells)))


def _first_values(rows: list[list[str]], name: str) -> int:
    """The first row of values where no row names the columns; titles above it have fewer cells.

    Raises:
        BarsError: a row above has as many: it names the columns, but not as they are known.
    """
    begin = next((k for k, row in enumerate(rows) if _numbers(row) >= _LEAST_NUMBERS), None)
    above = [row for row in rows[:begin] if any(row)]
    if begin is not None and all(len(row) < len(rows[begin]) for row in above):
        return begin
    widest = max((len(row) for row in above), default=0)
    cells = ", ".join(map(repr, next((row for row in above if len(row) == widest), [])))
    raise BarsError(
        f"{name}: there is no column for open, high, low, close among {cells}; name the columns "
        "time, open, high, low, close, volume"
    )


def _delimiter(lines: list[str], name: str) -> str:
    """The delimiter that parts the lines into most numbers and names of columns."""
    scores = {
        delimiter: sum(_numbers(row) + bar_names(row) for row in _cells(lines, delimiter))
        for delimiter in _DELIMITERS
    }
    best = max(_DELIMITERS, key=lambda delimiter: scores[delimiter])
    return best if scores[best] else ","


def _cells(lines: list[str], delimiter: str) -> list[list[str]]:
    """The cells of each line; a quoted cell ends with its line, and one of a novel's size too."""
    short = [line.rstrip("\n")[: csv.field_size_limit()] for line in lines]
    return [
        [cell.strip() for row in csv.reader([line], delimiter=delimiter) for cell in row]
        for line in short
    ]


def _numbers(row: list[str]) -> int:
    return sum(is_number(cell) for cell in row)


def _header(rows: list[list[str]], names: int) -> tuple[list[str], list[str], int]:
    """Names, second names and the first row's line, from the line of names.

    yfinance writes tickers above or below the names, and the name of the index below both.
    """
    cells, level = list(rows[names]), []
    if names and is_level(rows[names - 1]) and len(rows[names - 1]) == len(cells):
        level = rows[names - 1]
    begin = names + 1
    while begin < len(rows) and begin <= names + 2 and is_level(rows[begin]):
        if any(rows[begin][1:]):
            level = rows[begin]
        else:
            cells[0] = rows[begin][0]
        begin += 1
    while cells and not cells[-1]:
        cells.pop()
    return cells, level, begin


def _width(rows: list[list[str]], least: int) -> int:
    """The number of cells that most rows have."""
    widths = Counter(len(row) for row in rows if any(row))
    return widths.most_common(1)[0][0] if widths else least


# --- rows ---------------------------------------------------------------------------------------


def _rows(body: bytes, form: _Form, name: str) -> pd.DataFrame:
    columns = [str(k) for k in range(form.width)]
    odd: list[Any] = []

    def note(row: Any) -> str:
        if row.text.strip(f'{form.delimiter} \t"'):
            odd.append(row)
        return "skip"

    try:
        table = pc.read_csv(
            pa.BufferReader(body),
            read_options=pc.ReadOptions(use_threads=False, column_names=columns),
            parse_options=pc.ParseOptions(delimiter=form.delimiter, invalid_row_handler=note),
            convert_options=pc.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, ValueError) as error:
        raise BarsError(f"{name} is not a readable CSV file ({error}); {_CURE}") from error
    if odd:
        raise _odd_rows(odd, form, name)
    return pd.DataFrame({k: _text(table[column]) for k, column in enumerate(columns)})


def _text(column: pa.ChunkedArray) -> pd.Series:
    """Cells without the blanks around them; words for a missing value are NaN."""
    trimmed = compute.utf8_trim_whitespace(column)
    missing = compute.is_in(compute.utf8_lower(trimmed), value_set=pa.array(sorted(MISSING)))
    return compute.if_else(missing, pa.scalar(None, pa.string()), trimmed).to_pandas()


def _odd_rows(odd: list[Any], form: _Form, name: str) -> BarsError:
    row = odd[0]
    line = row.text if len(row.text) <= 80 else row.text[:80] + "…"
    if row.actual_columns > row.expected_columns:
        what = "more values than the others"
    else:
        what = "fewer values than the others"
    return BarsError(
        f"{name}: {count(len(odd), 'line')} with {what}, first line {form.begin + row.number}: "
        f"{row.actual_columns} instead of {row.expected_columns} in {line!r}; complete or remove "
        f"them ({_COMMAS})"
    )


def _named(rows: pd.DataFrame, form: _Form, name: str) -> pd.DataFrame:
    """The rows under the names of their columns."""
    empty = rows.isna().all().tolist()
    if not form.names:
        return rows.iloc[:, : max((k + 1 for k, e in enumerate(empty) if not e), default=1)]
    surplus = form.width - len(form.names)
    if surplus > 0 and not all(empty[len(form.names) :]):
        raise BarsError(
            f"{name}: the lines have more values than the first line has column names "
            f"({form.width} and {len(form.names)}); name every column ({_COMMAS})"
        )
    if surplus < 0:
        raise BarsError(
            f"{name}: the lines have fewer values than there are names of columns "
            f"({form.width} and {len(form.names)}); complete them"
        )
    rows = rows.iloc[:, : len(form.names)]
    if form.level:
        level = [*form.level, *[""] * form.width][: len(form.names)]
        return rows.set_axis(pd.MultiIndex.from_arrays([form.names, level]), axis=1)
    return rows.set_axis(pd.Index(form.names, dtype=object), axis=1)
