"""Text as numbers: points or commas before decimals, thousands separated or not."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from brain.errors import BarsError

__all__ = ["parse_numbers"]

_SPACES = "[ \u00a0\u202f']"
_POWER = r"(?:[eE][+-]?\d+)?"
_STYLES = {
    ".": rf"[+-]?(?:\d+|[1-9]\d{{0,2}}(?:,\d{{3}})+)?(?:\.\d*)?{_POWER}",
    ",": rf"[+-]?(?:\d+|[1-9]\d{{0,2}}(?:\.\d{{3}})+)?(?:,\d*)?{_POWER}",
}
_THOUSANDS = {".": ",", ",": "."}
_NUMBER = r"[+-]?[\d.,]*\d[\d.,]*(?:[eE][+-]?\d+)?"
_SHORT = r"\s?[KMBkmb]$"
_POWERS = {"k": 1e3, "m": 1e6, "b": 1e9}


def parse_numbers(frame: pd.DataFrame, columns: list[str], name: str) -> pd.DataFrame:
    """The frame with columns of text as numbers; cells that are no numbers stay text.

    Args:
        frame: whose columns are to be read; those that are no text stay as they are.
        columns: of the frame, in one style of numbers.
        name: of the file, for messages.

    Raises:
        BarsError: commas may be decimal ones or part thousands.
    """
    texts = {c: frame[c] for c in columns if isinstance(frame[c].dtype, pd.StringDtype)}
    plain = {column: _plain(cells) for column, cells in texts.items()}
    if any(numbers is None for numbers in plain.values()):
        tidy = {column: _tidy(cells) for column, cells in texts.items()}
        decimal = _decimal(tidy, texts, name)
        plain = {column: _styled(cells, texts[column], decimal) for column, cells in tidy.items()}
    return frame.assign(**plain)


def _plain(cells: pd.Series) -> pd.Series | None:
    """Numbers as computers write them; None if some are not. The cast is exact."""
    try:
        numbers = pc.cast(pa.Array.from_pandas(cells, type=pa.string()), pa.float64())
    except pa.ArrowInvalid:
        return None
    return pd.Series(numbers.to_numpy(zero_copy_only=False), index=cells.index)


def _tidy(cells: pd.Series) -> pd.Series:
    """Cells without the signs of currencies and the blanks between thousands."""
    if cells.str.contains("[$€£]", regex=True).any():
        cells = cells.str.replace(r"^([+-]?)[$€£]", r"\1", regex=True)
    if cells.str.contains(_SPACES, regex=True).any():
        cells = cells.str.replace(rf"(?<=\d){_SPACES}(?=\d{{3}})", "", regex=True)
    return cells


def _decimal(tidy: dict[str, pd.Series], texts: dict[str, pd.Series], name: str) -> str:
    """The sign before decimals in all the numbers of a file."""
    cells = pd.concat([column.dropna() for column in tidy.values()])
    numbers = cells[cells.str.fullmatch(_NUMBER)]
    commas = numbers[numbers.str.contains(",", regex=False)]
    if commas.empty:
        return "."
    fitting = [sign for sign, style in _STYLES.items() if numbers.str.fullmatch(style).all()]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        return "."
    raise BarsError(
        f"{name}: {commas.iloc[0]!r} can mean {commas.iloc[0].replace(',', '')} or "
        f"{commas.iloc[0].replace(',', '.')}, and no other number tells which; write decimals "
        "with a point and thousands without a sign"
    )


def _styled(tidy: pd.Series, cells: pd.Series, decimal: str) -> pd.Series:
    """Cells of a style as numbers; others stay text."""
    digits, factor = tidy, pd.Series(1.0, index=tidy.index)
    if tidy.str.contains(_SHORT, regex=True).any():
        digits = tidy.str.replace(_SHORT, "", regex=True)
        factor = tidy.str[-1].str.lower().map(_POWERS).fillna(1.0)
    digits = digits.where(digits.str.fullmatch(_STYLES[decimal]) & digits.str.contains(r"\d"))
    digits = digits.str.replace(_THOUSANDS[decimal], "", regex=False)
    numbers = _plain(digits.str.replace(decimal, ".", regex=False))
    if numbers is None or not numbers.isna().equals(cells.isna()):
        known = pd.to_numeric(digits, errors="coerce") if numbers is None else numbers
        return (known * factor).astype(object).where(known.notna(), cells.astype(object))
    return numbers * factor
