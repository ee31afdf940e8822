"""The form that every benchmark has: metrics with targets, a table, a JSON file, an exit code.

A benchmark is a module of this package with a :class:`benchmarks.frame.Benchmark` named
``BENCHMARK``. It measures ours and theirs in turn (:func:`benchmarks.frame.interleave`), so that
other load on the machine hits both alike, and returns :class:`benchmarks.frame.Metric` objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal, TypeVar

import click

__all__ = ["Benchmark", "Metric", "Report", "Target", "interleave"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Target:
    """A bound that must hold.

    Attributes:
        bound: the number.
        side: whether the value must be at least or at most so much.
        of: which value, the ratio or ours.
    """

    bound: float
    side: Literal["at least", "at most"] = "at least"
    of: Literal["ratio", "ours"] = "ratio"

    def holds(self, value: float) -> bool:
        """Whether a value is on the right side; NaN, what could not be measured, is not."""
        return value >= self.bound if self.side == "at least" else value <= self.bound

    def __str__(self) -> str:
        sign = "≥" if self.side == "at least" else "≤"
        return f"{'' if self.of == 'ratio' else 'ours '}{sign} {self.bound:g}"


@dataclass(frozen=True)
class Metric:
    """One measured quantity.

    Attributes:
        name: what was measured.
        unit: of ours and theirs, for example ``s`` or ``MB``; empty for counts.
        ours, theirs: a value per run, in the order of the runs; theirs may be empty.
        better: which way is better. The ratio says how many times better ours are.
        target: what must hold; None if the metric is only reported.
    """

    name: str
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float] = ()
    better: Literal["lower", "higher"] = "lower"
    target: Target | None = None

    def __post_init__(self) -> None:
        if not self.ours:
            raise ValueError(f"metric {self.name!r} has no runs")
        if self.theirs and len(self.theirs) != len(self.ours):
            raise ValueError(
                f"metric {self.name!r} has {len(self.ours)} runs of ours and {len(self.theirs)} of "
                "theirs; interleave them"
            )

    @property
    def ratios(self) -> list[float]:
        """How many times better ours are, per pair of neighbouring runs."""
        pairs = zip(self.ours, self.theirs, strict=False)
        if self.better == "lower":
            return [_divide(theirs, ours) for ours, theirs in pairs]
        return [_divide(ours, theirs) for ours, theirs in pairs]

    @property
    def ratio(self) -> float:
        """The median of :attr:`benchmarks.frame.Metric.ratios`; NaN without theirs."""
        return median(self.ratios) if self.theirs else math.nan

    @property
    def holds(self) -> bool | None:
        """Whether the target holds; None without one."""
        if self.target is None:
            return None
        return self.target.holds(self.ratio if self.target.of == "ratio" else median(self.ours))


@dataclass(frozen=True)
class Report:
    """The metrics of a benchmark.

    Attributes:
        metrics: in the order of the table.
        runs: how often each side ran.
        ours, theirs: what the two sides are, in words.
        notes: sentences that belong under the table.
        beside: what is no number, ours beside theirs: a second table.
        records: rows for the JSON file alone.
        parts: reports that this one consists of, by name, where they can be measured apart. In the
            JSON file each stands for itself, and those that were not measured now stay.
    """

    metrics: Sequence[Metric]
    runs: int
    ours: str
    theirs: str = ""
    notes: Sequence[str] = ()
    beside: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    records: Sequence[Mapping[str, object]] = ()
    parts: Mapping[str, Report] = field(default_factory=dict)

    @classmethod
    def of_parts(cls, parts: Mapping[str, Report]) -> Report:
        """A report of several: one table, in their order."""
        first, *_ = parts.values()
        return replace(
            first,
            metrics=[metric for part in parts.values() for metric in part.metrics],
            notes=[note for part in parts.values() for note in part.notes],
            records=[record for part in parts.values() for record in part.records],
            parts=parts,
        )

    @property
    def missed(self) -> list[Metric]:
        """The metrics whose target is missed."""
        return [metric for metric in self.metrics if metric.holds is False]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, for the command line.

    Attributes:
        measure: called with ``runs`` and the options by name.
        runs: how often each side runs by default.
        options: command-line options of this benchmark.
        versions: distributions whose versions matter to the metrics.
    """

    measure: Callable[..., Report]
    runs: int = 5
    options: Sequence[click.Option] = ()
    versions: Sequence[str] = ()


def interleave(
    ours: Callable[[], Result],
    theirs: Callable[[], Result],
    runs: int,
    progress: Callable[[str], object] = lambda _line: None,
) -> tuple[list[Result], list[Result]]:
    """Run ours, theirs, ours, theirs …, so that both see the machine in the same state.

    Args:
        runs: how often each.
        progress: called with a line before each run.

    Returns:
        The results of ours and of theirs, run by run.
    """
    mine: list[Result] = []
    others: list[Result] = []
    for run in range(1, runs + 1):
        for side, work, results in (("ours", ours, mine), ("theirs", theirs, others)):
            progress(f"run {run} of {runs}: {side}")
            results.append(work())
    return mine, others


def _divide(above: float, below: float) -> float:
    if below == 0:
        return math.nan if above == 0 else math.inf
    return above / below
