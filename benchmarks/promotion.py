"""The error rate and the power of the trial that makes champions, on simulated nights.

Evidence is simulated (:mod:`benchmarks.promotion_markets`) and judged by the library's own
functions. The rule was chosen on other seeds than those that judge it here. Every
share has its Clopper–Pearson bound; a target of an error rate holds for the upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import click
import numpy as np
from scipy.stats import beta, norm

from benchmarks.frame import Benchmark, Metric, Report, Target
from benchmarks.promotion_bars import BarResult, bar_cases, measure_bars
from benchmarks.promotion_cases import (
    NIGHTS,
    Case,
    chunks,
    mixture_cases,
    null_cases,
    power_cases,
)
from benchmarks.promotion_figures import Figure, guards, rivals, sizes, watched
from benchmarks.promotion_markets import simulate
from benchmarks.promotion_trials import try_lines
from brain.console import console
from registry.promotion.boundary import Rule
from registry.promotion.groups import Booleans, Floats

__all__ = ["BENCHMARK", "Result", "bounds", "measure", "report", "run"]


def bounds(count: int, total: int, level: float = 0.05) -> tuple[float, float]:
    """One-sided Clopper–Pearson bounds of a share, each at the level."""
    if not total:
        return 0.0, 1.0
    low = beta.ppf(level, count, total - count + 1) if count else 0.0
    high = beta.ppf(1.0 - level, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


@dataclass(frozen=True)
class Result:
    """What a case came to.

    Attributes:
        case: its name.
        first: nights until the first promotion, (paths,), infinite without one.
        own: nights until one of line 1.
        oracle: whether the oracle promotes, (paths,).
        gains: of each promotion: mean gain, cells, cells without a gain.
        levels: share of all paths whose first promotion was of all cells, a regime, a symbol.
    """

    case: Case
    first: Floats
    own: Floats
    oracle: Booleans
    gains: tuple[Floats, Floats, Floats]
    levels: tuple[float, float, float]


def run(case: Case, paths: int) -> Result:
    """Put a case's lines on trial, on so many paths."""
    first, own, gains, sums, kinds = [], [], [], [], []
    for rng, size in chunks(case.name, paths):
        nights = case.prepare(simulate(case.market, size, rng))
        outcome = try_lines(nights, **case.trial)
        first.append(outcome.first)
        own.append(outcome.first_of(1))
        if case.market.lines == 3:
            gains.append(outcome.gains(case.market.edges()))
        difference = (nights.profits[1] - nights.profits[0])[:, -NIGHTS:].mean(axis=2)
        sums.append(difference.sum(axis=1) / np.sqrt(NIGHTS))
        night = np.where(np.isfinite(outcome.first), outcome.first - 1, 0).astype(int)
        group = outcome.group[night, np.arange(size)]
        symbols = case.market.symbols
        level = np.where(group <= 0, group, np.where((group <= 4), 1, 2 if symbols > 1 else 1))
        kinds.append(level)
    total = np.concatenate(sums)
    # It knows edge and variance: its sum less its mean has a deviation that no path has to tell.
    oracle = total >= norm.ppf(1.0 - Rule().level / 2.0) * total.std()
    kind = np.concatenate(kinds)
    return Result(
        case,
        np.concatenate(first),
        np.concatenate(own),
        oracle,
        _joined(gains),
        tuple(float(np.mean(kind == k)) for k in range(3)),  # type: ignore[arg-type]
    )


def _joined(gains: Sequence[tuple[Floats, Floats, Floats]]) -> tuple[Floats, Floats, Floats]:
    if not gains:
        return (np.empty(0),) * 3
    gain, cells, without = zip(*gains, strict=True)
    return np.concatenate(gain), np.concatenate(cells), np.concatenate(without)


def measure(runs: int, full: bool) -> Report:
    """Run all cases.

    Args:
        runs: for the report alone.
        full: 5,000 paths of a case without an edge, and 2,000 of others.
    """
    return report(runs, *((5000, 2000, 500) if full else (1000, 500, 100)))


def report(runs: int, many: int, some: int, few: int) -> Report:
    """All cases on so many paths: without an edge, with one, and for rules that look once."""
    out = console()
    metrics: list[Metric] = []
    beside: dict[str, tuple[str, str]] = {}
    records: list[Mapping[str, object]] = []

    def tell(line: str) -> None:
        out.print(line, markup=False, highlight=False)

    for parts, paths, kind in (
        (null_cases(), many, "wrong"),
        (power_cases(), some, "power"),
        (mixture_cases(), some, "mixture"),
    ):
        for case in parts:
            result = run(case, paths)
            made, record, row = _KINDS[kind](result)
            metrics += made
            records.append({"kind": kind, "case": case.name, **record})
            beside[f"{kind}: {case.name}"] = row
            tell(f"{kind}: {case.name}: {row[0]}; {row[1]}")
    for name, share, total, target in _beside(some, few):
        low, high = bounds(round(share * total), total)
        records.append({"kind": "beside", "case": name, "share": share, "low": low, "high": high})
        value = share
        if target is not None:
            value = high if target.side == "at most" else share
            metrics.append(Metric(name, "", [value], target=target))
        beside[name] = (f"{share:.3f} ({low:.3f}–{high:.3f})", f"{total} paths")
        tell(f"{name}: {beside[name][0]}")
    for bar_case in bar_cases():
        made, record, beside[bar_case.name] = _bars(measure_bars(bar_case, few))
        metrics += made
        records.append({"kind": "bars", "case": bar_case.name, **record})
        tell(f"{bar_case.name}: {': '.join(beside[bar_case.name])}")
    return Report(
        metrics,
        runs,
        "the trial",
        notes=[
            f"Paths: {many} without an edge, {some} with one, {few} for rules that look once and "
            "of those that begin with bars. "
            "Behind a share: one-sided 95 % bounds (Clopper–Pearson).",
            "The rule was chosen on seeds that begin with 14 to 16; these begin with 17.",
        ],
        beside=beside,
        records=records,
    )


def _beside(paths: int, few: int) -> Iterator[Figure]:
    yield from rivals(paths, few)
    yield from watched(paths)
    yield from sizes(paths)
    yield from guards(paths)


_Row = tuple[list[Metric], dict[str, object], tuple[str, str]]


def _shares(times: Floats) -> tuple[float, float, float, dict[str, object]]:
    count, total = int(np.isfinite(times).sum()), len(times)
    low, high = bounds(count, total)
    share = count / total
    known = times[np.isfinite(times)]
    median = float(np.median(known)) if known.size else None
    record: dict[str, object] = {
        "share": share, "low": low, "high": high, "paths": total, "median_nights": median,
    }  # fmt: skip
    return share, low, high, record


def _wrong(result: Result) -> _Row:
    share, low, high, record = _shares(result.first)
    record["levels"] = result.levels
    target = result.case.target
    made = [Metric(f"wrong, {result.case.name}: upper bound", "", [high], target=target)]
    text = f"{share:.3f} ({low:.3f}–{high:.3f})"
    return (
        made if target else [],
        record,
        (text, "all {:.3f}, regime {:.3f}, symbol {:.3f}".format(*result.levels)),
    )


def _power(result: Result) -> _Row:
    share, low, high, record = _shares(result.own)
    record["levels"] = result.levels
    name = result.case.name
    made = []
    if result.case.target:
        made.append(Metric(f"power, {name}", "", [share], target=result.case.target))
    text = f"{share:.3f} ({low:.3f}–{high:.3f})"
    night = record["median_nights"]
    about = f"median night {night:.0f}" if night else "never"
    if result.case.oracle:
        oracle = float(result.oracle.mean())
        record["oracle"] = oracle
        about += f", oracle {oracle:.3f}"
        if oracle >= 0.4:
            target = Target(0.6, of="ours")
            made.append(
                Metric(f"power over an oracle's, {name}", "", [share / oracle], target=target)
            )
    return made, record, (text, about)


def _mixture(result: Result) -> _Row:
    gain, cells, without = result.gains
    count, total = int((gain <= 0.0).sum()), len(gain)
    low, high = bounds(count, total)
    share = count / total if total else float("nan")
    cell = float(without.sum() / cells.sum()) if total else float("nan")
    power = float(np.isfinite(result.own).mean())
    record: dict[str, object] = {
        "share": share, "low": low, "high": high, "decisions": total, "cells": cell, "power": power,
        "levels": result.levels,
    }  # fmt: skip
    target = Target(0.1, "at most", of="ours")
    name = f"wrong per decision, {result.case.name}: upper bound"
    made = [Metric(name, "", [high], target=target)]
    about = f"of {total}; per cell {cell:.3f}; power {power:.3f}"
    return made, record, (f"{share:.3f} ({low:.3f}–{high:.3f})", about)


def _bars(bars: BarResult) -> _Row:
    record: dict[str, object] = {k: v for k, v in vars(bars).items() if k != "case"}
    shares, highs = [], {}
    for name, share in (("wrong", bars.wrong), ("power", bars.power)):
        low, highs[name] = bounds(round(share * bars.paths), bars.paths)
        shares.append(f"{name} {share:.3f} ({low:.3f}–{highs[name]:.3f})")
        record |= {f"{name}_low": low, f"{name}_high": highs[name]}
    name, target = f"wrong, {bars.case.name}: upper bound", Target(0.05, "at most", of="ours")
    metric = Metric(name, "", [highs["wrong"]], target=target)
    about = (
        f"edge {bars.edge:+.2f} a year; correlation of lines {bars.lines:.2f}, of symbols "
        f"{bars.symbols:.2f}; {bars.paths} paths"
    )
    return [metric], record, (", ".join(shares), about)


_KINDS: Mapping[str, Callable[[Result], _Row]] = {
    "wrong": _wrong,
    "power": _power,
    "mixture": _mixture,
}

BENCHMARK = Benchmark(
    measure,
    runs=1,
    options=[click.Option(["--full"], is_flag=True, help="all paths: takes half an hour and more")],
    versions=("numpy", "scipy", "arch"),
)
