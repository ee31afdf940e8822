"""A report as a table for the eyes and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

from rich.markup import escape
from rich.table import Table

from benchmarks.frame import Metric, Report
from benchmarks.surroundings import machine, versions

__all__ = ["COLUMNS", "as_document", "as_table", "beside_table", "with_parts"]

COLUMNS = ("metric", "ours", "theirs", "ratio", "target", "holds")


def as_table(name: str, report: Report) -> Table:
    """A row a metric; ours and theirs are medians, the ratio's range stands in brackets."""
    beside = f", beside {report.theirs}" if report.theirs else ""
    table = Table(
        title=f"{name}: {report.ours}{beside}",
        caption=f"medians of {_times(report.runs)}; ratio: how many times better ours are, the "
        "median of neighbouring runs (least – most)",
    )
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in {"metric", "holds"} else "right")
    for metric in report.metrics:
        table.add_row(
            metric.name,
            _value(metric.ours, metric.unit),
            _value(metric.theirs, metric.unit),
            _ratio(metric),
            str(metric.target or ""),
            {True: "[green]yes[/]", False: "[red]NO[/]", None: ""}[metric.holds],
        )
    return table


def beside_table(report: Report) -> Table:
    """What is no number, ours beside theirs."""
    table = Table(title=f"{report.ours}, beside {report.theirs}")
    for column in ("what", "ours", "theirs"):
        table.add_column(column, overflow="fold")
    for what, (ours, theirs) in report.beside.items():
        table.add_row(escape(what), escape(ours), escape(theirs))
    return table


def as_document(
    name: str, report: Report, options: Mapping[str, Any], distributions: tuple[str, ...]
) -> dict[str, Any]:
    """The report for a JSON file, with what it was measured on; an unknown number is null."""
    return {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(distributions),
        "options": dict(options),
        "runs": report.runs,
        "ours": report.ours,
        "theirs": report.theirs,
        "holds": not report.missed,
        "metrics": [_metric(metric) for metric in report.metrics],
        "notes": list(report.notes),
        "beside": {what: list(both) for what, both in report.beside.items()},
        "records": [dict(record) for record in report.records],
    }


def with_parts(
    name: str, report: Report, former: object, document: Callable[[Report], dict[str, Any]]
) -> dict[str, Any]:
    """The documents of a report's parts, and those of a former run's that were not measured now.

    Args:
        former: what the JSON file holds; None if there is none.
        document: of one part, as by :func:`as_document`.
    """
    kept = former.get("parts") if isinstance(former, dict) else None
    parts = {part: document(each) for part, each in report.parts.items()}
    together = {**(kept if isinstance(kept, dict) else {}), **parts}
    return {"benchmark": name, "parts": {part: together[part] for part in sorted(together)}}


def _metric(metric: Metric) -> dict[str, Any]:
    target = metric.target
    return {
        "metric": metric.name,
        "unit": metric.unit,
        "better": metric.better,
        "ours": _rounded(median(metric.ours)),
        "theirs": _rounded(median(metric.theirs)) if metric.theirs else None,
        "ratio": _rounded(metric.ratio),
        "target": target and {"side": target.side, "bound": target.bound, "of": target.of},
        "holds": metric.holds,
        "ours_runs": [_rounded(value) for value in metric.ours],
        "theirs_runs": [_rounded(value) for value in metric.theirs],
        "ratios": [_rounded(ratio) for ratio in metric.ratios],
    }


def _rounded(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def _value(values: Sequence[float], unit: str) -> str:
    if not values:
        return ""
    middle = median(values)
    return f"{_number(middle)} {unit}".strip() if math.isfinite(middle) else "unknown"


def _ratio(metric: Metric) -> str:
    if math.isnan(metric.ratio):
        return ""
    if math.isinf(metric.ratio):
        return "∞"
    text = f"{_number(metric.ratio)}×"
    if len(metric.ratios) > 1:
        text += f" ({_number(min(metric.ratios))} – {_number(max(metric.ratios))})"
    return text


def _number(value: float) -> str:
    """Three significant digits, no exponent; whole numbers from a hundred on."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:.0f}"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:.{min(digits, 6)}f}"


def _times(runs: int) -> str:
    return f"{runs} run{'' if runs == 1 else 's'} of each"
