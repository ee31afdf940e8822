"""Own columns in a frame of bars, see :mod:`brain.columns`."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pandas as pd

from brain.columns import OF_BARS, own_name, parse_columns
from brain.errors import BarsError, did_you_mean

__all__ = ["find_columns"]

# pandas calls the second of two columns "vix" of a text "vix.1".
_REPETITION = re.compile(r"\.\d+$")


def find_columns(
    frame: pd.DataFrame, columns: Iterable[str], name: str
) -> tuple[dict[str, int], tuple[str, ...]]:
    """The positions of own columns in a frame.

    Args:
        frame: with the columns of bars under their names.
        columns: as people write them.
        name: of the series, for messages.

    Returns:
        The positions by own name, sorted by name, and the names of the other columns, those of bars
        left out.

    Raises:
        InputError: as in :func:`brain.columns.parse_columns`.
        BarsError: there is no such column, or there are several, as far as case and the signs that
            a name can't have are concerned.
    """
    positions: dict[str, int] = {}
    others = [str(c) for c in frame.columns if str(c) not in OF_BARS]
    for column in parse_columns(columns):
        same = [c for c in others if column.lower() in _spellings(c)]
        if len(same) > 1:
            raise BarsError(
                f"{name}: the columns {', '.join(map(repr, same))} could all be {column!r}; keep "
                "or rename so that one is left"
            )
        if not same or own_name(same[0]) != column:
            raise BarsError(
                f"{name}: there is no column {column!r}, which the setting columns names; "
                f"{did_you_mean(column, map(own_name, others))}"
            )
        positions[column] = [str(c) for c in frame.columns].index(same[0])
    return positions, tuple(c for c in others if own_name(c) not in positions)


def _spellings(column: str) -> set[str]:
    return {own_name(column).lower(), own_name(_REPETITION.sub("", column)).lower()}
