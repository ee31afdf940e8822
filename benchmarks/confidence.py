"""Whether confidences are calibrated: on simulated cells, and on the sample's walk-forward.

The calibration error is that of ten bins of equal width: the mean distance of forecast and
frequency, weighted by the forecasts in each (Naeini and others, AAAI 2015). Even a perfectly
calibrated forecaster has one, so beside each stands the *band*: what 95 % of such forecasters stay
below at the same number of forecasts. Beside ours is the former rule, a prior N(0, 1) for each cell
by itself, whose one probability was the answer to both questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import click
import numpy as np

from benchmarks.confidence_cells import Floats, Judged, World, former, former_size, judge, perfect
from benchmarks.confidence_sample import (
    RULE,
    SIGNS,
    Block,
    blocks,
    calibrated_outcomes,
    sample_histories,
)
from benchmarks.frame import Benchmark, Metric, Report, Target
from brain.confidence import COVERAGE
from brain.console import console
from brain.naming import Family, parse_family

__all__ = ["BENCHMARK", "calibration_error", "measure", "report", "worlds"]

_BINS = 10
_ERROR = Target(0.05, "at most", "ours")
_OFF = Target(0.03, "at most", "ours")
_CELLS = Target(5000, "at least", "ours")
_SEED = 19
#: Calibrated forecasters behind a band, on simulated cells and on the sample.
_WORLDS_BAND, _SAMPLE_BAND = 100, 2000


def calibration_error(probability: Floats, outcome: Floats) -> float:
    """The expected calibration error, in [0, 1].

    Args:
        probability, outcome: (N,) forecasts, and 0 or 1.
    """
    bins = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    off = np.bincount(bins, weights=probability - outcome, minlength=_BINS)
    return float(np.abs(off).sum() / len(probability))


def worlds() -> Iterator[World]:
    """Where the prior is true, and where it is not."""
    yield World("as the prior has it")
    yield World("as the prior has it, symbols uncorrelated", correlation=0.0)
    yield World("as the prior has it, one symbol", symbols=1)
    yield World("half of the nights of a backtest", backtest=0.5)
    yield World("all alike: spread .25 around 0", mean=0.0, spread=0.25)
    yield World("far apart: spread 2.5 around .5", mean=0.5, spread=2.5)
    yield World("all lose: spread .5 around -1.5", mean=-1.5, spread=0.5)
    yield World("a few gain: spread .1 around -.3, one in ten +2", mean=-0.3, spread=0.1, few=0.1)


def measure(runs: int, families: str, markets: int) -> Report:
    """Judge simulated cells and the sample.

    Args:
        runs: for the report alone.
        families: of the sample's walk-forward, separated by commas.
        markets: simulated, of five symbols each.

    Raises:
        BrainError: the sample can't be read or a model can't be fitted.
    """
    return report(runs, [parse_family(name) for name in families.split(",")], markets)


def report(runs: int, families: Sequence[Family], markets: int, band: int = _WORLDS_BAND) -> Report:
    """All worlds, then the sample; without families the worlds alone."""
    out = console()
    metrics: list[Metric] = []
    beside: dict[str, tuple[str, str]] = {}
    records: list[Mapping[str, object]] = []

    def take(result: _Result) -> None:
        metrics.extend(result.metrics)
        beside.update(result.beside)
        records.append(result.record)
        for what, (ours, theirs) in result.beside.items():
            out.print(f"{what}: {ours}; {theirs}", markup=False, highlight=False)

    for world in worlds():
        take(_world(world, judge(world, round(markets * 5 / world.symbols)), band))
    if families:
        histories = sample_histories(families)
        for held in (RULE, SIGNS):
            take(_sample(held, [b for history in histories[held] for b in blocks(history)]))
    return Report(
        metrics,
        runs,
        "the posterior",
        "the former rule",
        notes=[
            "In brackets: below what 95 % of perfectly calibrated forecasters stay, at the same "
            "number of forecasts, as correlated as these. Bounds hold where the prior is true.",
            "Growth: mean of size × ratio - size² / 2, a year's log growth where the whole size is "
            "Kelly's stake at a ratio of 1.",
        ],
        beside=beside,
        records=records,
    )


@dataclass(frozen=True)
class _Result:
    metrics: list[Metric]
    beside: dict[str, tuple[str, str]]
    record: Mapping[str, object]


def _world(world: World, judged: Judged, band: int) -> _Result:
    truth, in_block = (judged.truth > 0.0).astype(float), np.isfinite(judged.gained)
    positive, block = judged.column("positive"), judged.column("next_block")
    theirs = former(judged.posteriors)
    rng = np.random.default_rng(_SEED)
    many = np.array(
        [[calibration_error(*pair) for pair in perfect(judged, rng)] for _ in range(band)]
    )
    bands = np.quantile(many, 0.95, axis=0)
    covered = (judged.column("low") < judged.truth) & (judged.truth < judged.column("high"))
    coverage = float(covered.mean())
    size = np.array([posterior.size for posterior in judged.posteriors])
    growth, of_positive, of_former, of_whole = (
        _growth(each, judged.truth)
        for each in (
            size,
            np.maximum(2.0 * positive - 1.0, 0.0),
            former_size(judged.posteriors),
            np.ones(len(truth)),
        )
    )
    figures = {
        "P(> 0)": (calibration_error(positive, truth), calibration_error(theirs, truth)),
        "next block": (
            calibration_error(block[in_block], judged.gained[in_block]),
            calibration_error(theirs[in_block], judged.gained[in_block]),
        ),
    }
    row = {
        f"{world.name}: {name}": (f"off by {ours:.3f} (band {limit:.3f})", f"off by {other:.3f}")
        for (name, (ours, other)), limit in zip(figures.items(), bands, strict=True)
    } | {
        f"{world.name}: {COVERAGE:.0%} interval": (f"covers {coverage:.1%}", ""),
        f"{world.name}: growth": (
            f"{growth:.3f}; 2 P(> 0) - 1: {of_positive:.3f}",
            f"{of_former:.3f}; all whole {of_whole:.3f}",
        ),
    }
    metrics = []
    if world.true:
        metrics = [
            Metric(f"{world.name}: cells", "", [float(len(truth))], target=_CELLS),
            *(
                Metric(f"{world.name}: {name} off by", "", [ours], [other], target=_ERROR)
                for name, (ours, other) in figures.items()
            ),
            Metric(f"{world.name}: coverage off by", "", [abs(coverage - COVERAGE)], target=_OFF),
        ]
    record: dict[str, object] = {
        "world": world.name,
        "cells": len(truth),
        "mean P(> 0)": round(float(positive.mean()), 4),
        "share above 0": round(float(truth.mean()), 4),
        "coverage": round(coverage, 4),
        "mean size": round(float(size.mean()), 4),
        "bins": _bins(positive, truth),
    }
    return _Result(metrics, row, record)


def _growth(size: Floats, truth: Floats) -> float:
    return float((size * truth - size**2 / 2.0).mean())


def _sample(held: str, found: Sequence[Block]) -> _Result:
    outcome = np.concatenate([block.gained for block in found])
    ours, limit = _against(found, lambda b: np.array([p.next_block for p in b.posteriors]), outcome)
    other, other_limit = _against(found, lambda b: former(b.posteriors), outcome)
    name = f"sample, {held}: next block"
    count = f"{len(outcome)} forecasts in {len(found)} blocks"
    return _Result(
        [
            Metric(f"{name} off by", "", [ours], [other], target=Target(limit, "at most", "ours")),
            Metric(f"{name}: band", "", [limit], [other_limit]),
        ],
        {
            name: (
                f"off by {ours:.3f} (band {limit:.3f}), {count}",
                f"off by {other:.3f} (band {other_limit:.3f})",
            )
        },
        {
            "held": held,
            "forecasts": len(outcome),
            "blocks": len(found),
            "gained": round(float(outcome.mean()), 4),
            "ours": ours,
            "band": limit,
            "former": other,
            "former band": other_limit,
        },
    )


def _against(
    found: Sequence[Block], forecast: Callable[[Block], Floats], outcome: Floats
) -> tuple[float, float]:
    """The calibration error of forecasts, and its band."""
    probabilities = [np.asarray(forecast(block), dtype=float) for block in found]
    every, rng = np.concatenate(probabilities), np.random.default_rng(_SEED)
    errors = [
        calibration_error(
            every,
            np.concatenate(
                [calibrated_outcomes(b, p, rng) for b, p in zip(found, probabilities, strict=True)]
            ),
        )
        for _ in range(_SAMPLE_BAND)
    ]
    return calibration_error(every, outcome), float(np.quantile(errors, 0.95))


def _bins(probability: Floats, outcome: Floats) -> list[list[float]]:
    """Of each bin with forecasts: their number, mean forecast, frequency."""
    bins = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    return [
        [
            int((bins == k).sum()),
            round(float(probability[bins == k].mean()), 4),
            round(float(outcome[bins == k].mean()), 4),
        ]
        for k in range(_BINS)
        if (bins == k).any()
    ]


BENCHMARK = Benchmark(
    measure,
    runs=1,
    options=[
        click.Option(
            ["--families"],
            default=f"{Family.LIGHTGBM},{Family.XGBOOST}",
            show_default=True,
            help="of the sample's walk-forward, separated by commas",
        ),
        click.Option(
            ["--markets"],
            type=click.IntRange(min=1),
            default=300,
            show_default=True,
            help="simulated in each world, of five symbols",
        ),
    ],
    versions=("numpy", "scipy", "lightgbm", "xgboost"),
)
