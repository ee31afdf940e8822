"""The design choices of the target, the loss and the features, on bars that had no part in them.

Each alternative differs from what stands in one thing (:mod:`benchmarks.choice_list`) and is
compared with it on the same bars (:mod:`benchmarks.choice_scores`): those of the packaged sample,
on which the choices were made, and recorded ones (:mod:`benchmarks.choice_bars`). A part's
difference is the mean of its series', weighted by the inverse of their variance. An alternative is
supported by a measure if it is better by more than two errors on both parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import click
from scipy.stats import norm

from benchmarks.choice_bars import (
    FOLDER,
    SAMPLE,
    UNSEEN,
    Series,
    recorded_series,
    sample_series,
)
from benchmarks.choice_list import ALTERNATIVES, STANDING, Choice
from benchmarks.choice_scores import MEASURES, Prediction, Scores, difference, pooled, predict
from benchmarks.frame import Benchmark, Metric, Report
from brain.console import console
from brain.naming import Family, parse_family
from brain.records import Estimate

__all__ = ["BENCHMARK", "Comparison", "compare", "measure", "report"]

#: The word for the mean of all families.
_ALL = "all"
_ERRORS = 2.0
_PARTS = (SAMPLE, UNSEEN)


@dataclass(frozen=True)
class Comparison:
    """An alternative less what stands, on one series.

    Attributes:
        series, part: where.
        choice: the alternative's name.
        family: a family's, or the mean of all.
        differences: by measure.
    """

    series: str
    part: str
    choice: str
    family: str
    differences: dict[str, Estimate]


def measure(runs: int, families: str, only: str) -> Report:
    """Compare alternatives on all series. Nothing is random, so one run is all.

    Args:
        runs: for the report alone.
        families: separated by commas; their scores are averaged.
        only: beginnings of alternatives' names, separated by commas; all of them if empty.

    Raises:
        BrainError: a series can't be read or a model can't be fitted.
    """
    out = console()
    names = [parse_family(name) for name in families.split(",")]
    alternatives = [c for c in ALTERNATIVES if c.name.startswith(tuple(only.split(",")))]
    sample = sample_series()
    levels: list[Metric] = []
    comparisons: list[Comparison] = []
    unseen = recorded_series(sample)
    for series in [*sample, *unseen]:
        stands = predict(series, STANDING, names)
        levels += standing(series, stands)
        comparisons += compare(
            series, alternatives, stands, lambda line: out.print(f"  {line}", markup=False)
        )
    note = f"{FOLDER} names no folder of recorded bars: this is the packaged sample alone"
    return report(levels, comparisons, runs, [] if unseen else [note])


def standing(series: Series, stands: Mapping[Family, Prediction]) -> list[Metric]:
    """What the standing choices reach on a series, by family."""
    metrics = []
    for name, prediction in stands.items():
        evidence = prediction.evidence()
        for what, value in (("rank IC", evidence.rank_ic), ("gross Sharpe", evidence.gross_sharpe)):
            label = f"{series.name} {name}: {what} ± {value.error:.3f}, {evidence.bars:,} bars"
            metrics.append(Metric(label, "", [value.value], better="higher"))
    return metrics


def compare(
    series: Series,
    alternatives: Sequence[Choice],
    stands: Mapping[Family, Prediction],
    progress: Callable[[str], object] = lambda _line: None,
) -> list[Comparison]:
    """Each alternative less what stands, by family and as the families' mean."""
    others = _scores(stands)
    comparisons = []
    for choice in alternatives:
        progress(f"{series.name}: {choice.name}")
        for name, scores in _scores(predict(series, choice, stands)).items():
            differences = {m: difference(scores, others[name], m) for m in MEASURES}
            comparisons.append(Comparison(series.name, series.part, choice.name, name, differences))
    return comparisons


def _scores(predictions: Mapping[Family, Prediction]) -> dict[str, Scores]:
    scores = {str(name): prediction.scores() for name, prediction in predictions.items()}
    return {**scores, _ALL: Scores.mean(list(scores.values()))}


def report(
    levels: Sequence[Metric],
    comparisons: Sequence[Comparison],
    runs: int,
    notes: Sequence[str] = (),
) -> Report:
    """The pooled differences beside each other, how many of them say something, and all others."""
    parts = list(_pooled(comparisons))
    table = {
        (c.choice, m): [_of(parts, part, c.choice, m) for part in _PARTS]
        for c in comparisons
        for m in MEASURES
    }
    means = [c for c in comparisons if c.family == _ALL]
    single = [e for c in means for e in c.differences.values() if _known(e)]
    return Report(
        metrics=[
            *levels,
            Metric("differences of single series", "", [len(single)]),
            Metric("beyond two errors", "", [sum(abs(_z(e)) > _ERRORS for e in single)]),
            Metric("… by chance alone", "", [len(single) * 2 * float(norm.sf(_ERRORS))]),
            Metric("pooled differences known on both parts", "", [_both(table, _known)]),
            Metric("better by two errors on both", "", [_both(table, _better)]),
            Metric("worse by two errors on both", "", [_both(table, _worse)]),
        ],
        runs=runs,
        ours="packaged sample",
        theirs="unseen bars",
        notes=notes,
        beside={
            f"{choice}: {m}": (_text(both[0], m), _text(both[1], m))
            for (choice, m), both in table.items()
        },
        records=[_record(comparison) for comparison in [*parts, *means]],
    )


def _pooled(comparisons: Sequence[Comparison]) -> Iterator[Comparison]:
    """The comparisons of each part, choice and family as one."""
    groups: dict[tuple[str, str, str], list[Comparison]] = {}
    for c in comparisons:
        groups.setdefault((c.part, c.choice, c.family), []).append(c)
    for (part, choice, family), group in groups.items():
        differences = {m: pooled(c.differences[m] for c in group) for m in MEASURES}
        yield Comparison(f"{part}, all series", part, choice, family, differences)


def _of(parts: Sequence[Comparison], part: str, choice: str, measure: str) -> Estimate:
    for c in parts:
        if (c.part, c.choice, c.family) == (part, choice, _ALL):
            return c.differences[measure]
    return Estimate(math.nan, math.nan)


def _both(
    table: Mapping[tuple[str, str], Sequence[Estimate]], holds: Callable[[Estimate], bool]
) -> int:
    """In how many rows of the table it holds on both parts."""
    return sum(all(holds(e) for e in both) for both in table.values())


def _better(estimate: Estimate) -> bool:
    return _z(estimate) > _ERRORS


def _worse(estimate: Estimate) -> bool:
    return _z(estimate) < -_ERRORS


def _known(estimate: Estimate) -> bool:
    return math.isfinite(estimate.value) and math.isfinite(estimate.error)


def _z(estimate: Estimate) -> float:
    return estimate.value / estimate.error if estimate.error > 0 else math.nan


def _text(estimate: Estimate, measure: str) -> str:
    if not _known(estimate):
        return "unknown"
    digits = 4 if measure == "rank IC" else 2
    return f"{estimate.value:+.{digits}f} ± {estimate.error:.{digits}f}"


def _record(comparison: Comparison) -> dict[str, object]:
    texts = {m: _text(e, m) for m, e in comparison.differences.items()}
    return {
        "series": comparison.series,
        "choice": comparison.choice,
        "family": comparison.family,
        **texts,
    }


BENCHMARK = Benchmark(
    measure,
    runs=1,
    options=[
        click.Option(
            ["--families"],
            default=f"{Family.LIGHTGBM},{Family.XGBOOST}",
            show_default=True,
            help="to compare with, separated by commas",
        ),
        click.Option(
            ["--only"],
            default="",
            help="alternatives whose names begin so, separated by commas  [default: all]",
        ),
    ],
    versions=("numpy", "lightgbm", "xgboost", "scipy"),
)
