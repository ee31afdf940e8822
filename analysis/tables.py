"""A version's importances as a table: Parquet for programs, JSON for everyone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.drift import DriftAnalysis
from analysis.results import ModelAnalysis
from brain.text import finite

__all__ = ["drift_document", "plain", "write_tables"]

_SCHEMA = pa.schema(
    [
        ("feature", pa.string()),
        ("method", pa.string()),
        ("importance", pa.float64()),
        ("share", pa.float64()),
        ("rank", pa.int32()),
        ("error", pa.float64()),
        ("note", pa.string()),
    ]
)


def write_tables(found: ModelAnalysis, folder: Path) -> None:
    """Write ``importance.parquet`` and ``importance.json``.

    One line per method and feature; a feature without an importance has a line with its note and
    nothing else, as null.
    """
    rows = [plain(row) for row in _rows(found)]
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), folder / "importance.parquet")
    document = {
        "model_id": found.model_id,
        "family": found.family,
        "additivity": plain(asdict(found.additivity)) | {"holds": found.additivity.holds},
        "methods": {
            ranking.method: {"rows": ranking.rows, "unseen": ranking.unseen}
            for ranking in found.rankings.values()
        },
        "table": rows,
    }
    (folder / "importance.json").write_text(json.dumps(document, indent=1, allow_nan=False))


def _rows(found: ModelAnalysis) -> Iterator[dict[str, Any]]:
    for ranking in found.rankings.values():
        for feature in ranking.features:
            yield {"method": ranking.method, **asdict(feature), "note": None}
    for note in found.notes:
        nothing = dict.fromkeys(("method", "importance", "share", "rank", "error"))
        yield {"feature": note.feature, **nothing, "note": note.kind}


def drift_document(found: DriftAnalysis) -> dict[str, Any]:
    """A symbol's drift for JSON; an unknown figure is null."""
    columns = [plain(asdict(column)) | {"drifted": column.drifted} for column in found.columns]
    return {
        "symbol": found.symbol,
        "recent": asdict(found.recent),
        "training": asdict(found.training),
        "statistic": "population stability index, in tenths of the training window",
        "rule": "drifted where it exceeds the 95 % quantile of the feature's own earlier values",
        "judged": found.judged,
        "drifted": list(found.drifted),
        "in_report": list(found.reported),
        "unknown": list(found.unknown),
        "columns": columns,
    }


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with None for what is not finite, as JSON has no word for it."""
    return {key: finite(value) for key, value in fields.items()}
