"""The quality report on many series: for the console, as a page, as JSON and as a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from brain.artifacts import QUALITY, QUALITY_REPORT, QUALITY_TABLE
from brain.errors import ArtifactStoreError
from brain.series.times import when
from market.quality.page import page
from market.quality.record import COUNTS, QualityRecord, Severity, records_frame

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["FILES", "QualityReport"]

#: The files of :meth:`QualityReport.write`: a page, JSON, and a table.
FILES = (QUALITY_REPORT, QUALITY, QUALITY_TABLE)

_STATES: dict[Severity, str] = {
    "good": "good",
    "look": "to look at",
    "poor": "poor",
    "unknown": "unknown",
}
_COLOURS = {"good": "green", "look": "yellow", "poor": "red", "unknown": "dim"}


class QualityReport:
    """The quality of many series.

    Args:
        records: of :func:`market.quality.series_check.check_series`,
            :func:`market.quality.store_check.check_store` or
            :func:`market.quality.bars_check.bars_record`, in the console's order.
    """

    def __init__(self, records: Iterable[QualityRecord]) -> None:
        self.records = tuple(records)

    @property
    def summary(self) -> str:
        """One line: how many series are in which state."""
        states = Counter(record.severity for record in self.records)
        parts = ", ".join(
            f"{states[state]} {words}" for state, words in _STATES.items() if states[state]
        )
        number = f"{len(self.records)} series"
        if not self.records:
            return number
        return (
            f"{number}, {parts}; checked {when(max(r.checked for r in self.records).floor('min'))}"
        )

    def __repr__(self) -> str:
        return f"QualityReport({self.summary})"

    def table(self) -> RenderableType:
        """For a console: a table of the counts, ``–`` is unknown, and notes of what is not good."""
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
        notes = [f"{r.name}: {r.note}" for r in self.records if r.severity != "good"]
        return Group(table, *map(Text, notes))

    def frame(self) -> pd.DataFrame:
        """A row a series: the columns of the kind ``quality``, then some more.

        These are severity, late, blank and listened. Counts are nullable integers; ``late``
        (periods) is NaN if unknown, and ``listened`` (share of the range) of what is not streamed.
        """
        return records_frame(self.records).assign(
            severity=pd.Series([r.severity for r in self.records], dtype="str"),
            late=pd.Series([r.lateness for r in self.records], dtype="float64"),
            blank=pd.Series([r.blank_rows for r in self.records], dtype="int64"),
            listened=pd.Series([_share(r) for r in self.records], dtype="float64"),
        )

    def html(self) -> str:
        """A page that needs no other file and no network."""
        return page(self.records, self.summary)

    def json(self) -> str:
        """The records with their gaps and coverage; what is unknown is null."""
        documents = [_entry(record) | _details(record) for record in self.records]
        return json.dumps(documents, indent=1, allow_nan=False)

    def document(self) -> list[dict[str, Any]]:
        """The records without their gaps and coverage, ready for JSON; what is unknown is null."""
        return [_entry(record) for record in self.records]

    def write(self, folder: str | Path) -> tuple[Path, ...]:
        """Write :data:`FILES` into a folder, which need not exist.

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


def _entry(record: QualityRecord) -> dict[str, Any]:
    times = ("checked", "first", "last")
    names = ("exchange", "symbol", "kind", "timeframe", "severity")
    return {
        **{name: getattr(record, name) for name in names},
        **{name: _iso(getattr(record, name)) for name in times},
        **{name: getattr(record, name) for name in COUNTS},
        "late": record.lateness,
        "blank": record.blank_rows,
        "listened": _share(record),
        "note": record.note,
        "findings": [
            {**asdict(finding), "first": _iso(finding.first), "last": _iso(finding.last)}
            for finding in record.findings
        ],
    }


def _details(record: QualityRecord) -> dict[str, Any]:
    coverage = record.coverage
    return {
        "holes": [
            {"start": _iso(g.start), "end": _iso(g.end), "count": g.count, "reason": g.reason}
            for g in record.recorded_gaps
        ],
        "coverage": None
        if coverage is None
        else {
            "first": _iso(coverage.first),
            "shares": [round(s, 4) for s in coverage.shares],
            "of": coverage.measure,
        },
    }


def _share(record: QualityRecord) -> float | None:
    """The share of its time that a series was listened to; None of what is not streamed."""
    return None if record.listened is None else record.listened.share


def _iso(time: pd.Timestamp | None) -> str | None:
    return None if time is None else time.isoformat()
