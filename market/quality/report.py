"""What was found of the quality of many series: for the console, as a page, and for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from brain.errors import ArtifactStoreError
from brain.series.times import when
from market.quality.page import page
from market.quality.record import COUNTS, QualityRecord, Severity, records_frame

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["FILES", "QualityReport"]

#: What :meth:`QualityReport.write` writes: for people, and twice the same for machines.
FILES = ("quality.html", "quality.json", "quality.parquet")

_STATES: dict[Severity, str] = {
    "good": "good",
    "look": "to look at",
    "poor": "poor",
    "unknown": "unknown",
}
_COLOURS = {"good": "green", "look": "yellow", "poor": "red", "unknown": "dim"}


class QualityReport:
    """Records of quality, to be read.

    Args:
        records: of :func:`market.quality.series_check.check_series` or
            :func:`market.quality.store_check.check_store`, in the order in which they are to be shown
            on the console.
    """

    def __init__(self, records: Iterable[QualityRecord]) -> None:
        self.records = tuple(records)

    @property
    def summary(self) -> str:
        """How many series are in which state, in a line."""
        states = Counter(record.severity for record in self.records)
        parts = ", ".join(
            f"{states[state]} {words}" for state, words in _STATES.items() if states[state]
        )
        number = f"{len(self.records)} series"
        if not self.records:
            return number
        return f"{number}, {parts}; checked {when(max(r.checked for r in self.records))}"

    def __repr__(self) -> str:
        return f"QualityReport({self.summary})"

    def table(self) -> RenderableType:
        """For a console: a table of the counts, ``–`` is unknown, and what was found in words."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title="Quality of market series", caption="– is unknown")
        for name in ("series", "state"):
            table.add_column(name, overflow="fold")
        for name in COUNTS:
            table.add_column(name, justify="right", no_wrap=True)
        for record in self.records:
            counts = [getattr(record, name) for name in COUNTS]
            table.add_row(
                Text(record.name),
                Text(record.severity, style=_COLOURS[record.severity]),
                *("–" if value is None else f"{value:,}" for value in counts),
            )
        found = [record for record in self.records if record.severity != "good"]
        return Group(table, *(Text(f"{record.name}: {record.note}") for record in found))

    def frame(self) -> pd.DataFrame:
        """A row a series: the columns of the kind ``quality``, then severity, late and blank.

        Counts are nullable integers, ``late`` (periods) is NaN if not known.
        """
        found = records_frame(self.records)
        return found.assign(
            severity=pd.Series([r.severity for r in self.records], dtype="str"),
            late=pd.Series([r.late for r in self.records], dtype="float64"),
            blank=pd.Series([r.blank for r in self.records], dtype="int64"),
        )

    def html(self) -> str:
        """A page that needs no other file and no network."""
        return page(self.records, self.summary)

    def json(self) -> str:
        """All that the records hold, gaps and coverage included; what is unknown is null."""
        return json.dumps([_plain(record) for record in self.records], indent=1, allow_nan=False)

    def write(self, folder: str | Path) -> tuple[Path, ...]:
        """Write :data:`FILES` into a folder, which is made if need be.

        Returns:
            The paths of the files.

        Raises:
            ArtifactStoreError: the folder can't be written.
        """
        folder = Path(folder)
        paths = tuple(folder / name for name in FILES)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            paths[0].write_text(self.html(), encoding="utf-8")
            paths[1].write_text(self.json(), encoding="utf-8")
            self.frame().to_parquet(paths[2], index=False)
        except OSError as error:
            raise ArtifactStoreError(
                f"the report on quality can't be written to {str(folder)!r} ({error.strerror}); "
                "give a folder that may be written"
            ) from error
        return paths


def _plain(record: QualityRecord) -> dict[str, Any]:
    times = ("checked", "first", "last")
    names = ("exchange", "symbol", "kind", "timeframe", "severity")
    coverage = record.coverage
    return {
        **{name: getattr(record, name) for name in names},
        **{name: _iso(getattr(record, name)) for name in times},
        **{name: getattr(record, name) for name in (*COUNTS, "late", "blank", "note")},
        "holes": [
            {"start": _iso(h.start), "end": _iso(h.end), "count": h.count, "reason": h.reason}
            for h in record.holes
        ],
        "coverage": None
        if coverage is None
        else {"first": _iso(coverage.first), "shares": [round(s, 4) for s in coverage.shares]},
    }


def _iso(time: pd.Timestamp | None) -> str | None:
    return None if time is None else time.isoformat()
