"""The end of a night: from then on no row of evidence of its days enters a contest.

A closing is stored when all symbols of a night are done. It tells the lines of each symbol, so that
the contest goes on from the store alone, night by night or several nights at once alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd

from brain.brief import Brief
from brain.errors import BrainError, LibraryError
from brain.lines import Line
from brain.series.store.store import SeriesStore

__all__ = ["Closing", "close_night", "contest_name", "day_start", "read_closings"]

_CONTESTS, _STEP = "contests", "closed"


@dataclass(frozen=True, repr=False)
class Closing(Brief):
    """A closed night.

    Attributes:
        day: number of its last day (days since 1970-01-01), whose evidence is complete.
        lines: their definitions by id.
        symbols: the lines' ids by symbol.
        stored: when the closing was; rows that were stored later are late.
    """

    day: int
    lines: Mapping[str, Line]
    symbols: Mapping[str, tuple[str, ...]]
    stored: pd.Timestamp

    def to_json(self) -> str:
        """All but when it was stored, as compact JSON."""
        lines = [self.lines[name].to_json() for name in sorted(self.lines)]
        symbols = {symbol: list(self.symbols[symbol]) for symbol in sorted(self.symbols)}
        return json.dumps({"lines": lines, "symbols": symbols}, separators=(",", ":"))

    @classmethod
    def from_json(cls, day: int, text: str, stored: pd.Timestamp) -> Closing:
        """The inverse of :meth:`registry.promotion.closings.Closing.to_json`.

        Raises:
            LibraryError: the text is no closing, or a line changed under the same id.
        """
        try:
            document = json.loads(text)
            lines = {line.id: line for line in map(Line.from_json, document["lines"])}
            symbols = {symbol: tuple(names) for symbol, names in document["symbols"].items()}
            unknown = {name for names in symbols.values() for name in names} - set(lines)
            if unknown:
                raise LibraryError(f"line {min(unknown)} is not defined")
        except (ValueError, TypeError, KeyError, AttributeError, BrainError) as error:
            raise LibraryError(
                f"the closing of night {day} can't be read ({error}): {text[:80]!r}; nothing is "
                "decided until it is mended"
            ) from error
        return cls(day, lines, symbols, stored)


def contest_name(timeframe: str, horizon: int) -> str:
    """The contest of all models of a timeframe and a horizon, ``1h.6``."""
    return f"{timeframe}.{horizon}"


def day_start(day: int) -> datetime:
    """When a day begins, UTC.

    Args:
        day: days since 1970-01-01.
    """
    return datetime.fromtimestamp(day * 86_400, UTC)


def close_night(
    store: SeriesStore, contest: str, day: int, symbols: Mapping[str, Iterable[Line]]
) -> bool:
    """Store that a night's evidence is complete.

    Args:
        store: of the contest.
        contest: its name.
        day: the night's last day.
        symbols: the lines of each symbol.

    Returns:
        Whether it is closed by this; a night that was closed before stays as it is.
    """
    lines = {line.id: line for of_symbol in symbols.values() for line in of_symbol}
    names = {s: tuple(sorted(line.id for line in of_symbol)) for s, of_symbol in symbols.items()}
    document = Closing(day, lines, names, pd.Timestamp(0, tz="UTC")).to_json()
    frame = pd.DataFrame(
        {
            "contest": [contest],
            "step": _STEP,
            "time": pd.Series([day_start(day)], dtype="datetime64[us, UTC]"),
            "document": document,
        }
    )
    return store.append(_CONTESTS, frame).inserted > 0


def read_closings(store: SeriesStore, contest: str) -> list[Closing]:
    """The closed nights of a contest, oldest first.

    Raises:
        LibraryError: one can't be read.
        SeriesStoreError: the store can't be.
    """
    rows = store.read(_CONTESTS, where={"contest": contest, "step": _STEP})
    days = rows["time"].dt.as_unit("s").astype("int64") // 86_400
    return [
        Closing.from_json(int(day), text, stored)
        for day, text, stored in zip(days, rows["document"], rows["collected"], strict=True)
    ]
