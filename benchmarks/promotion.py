"""The error rate and the power of the trial that makes champions, on simulated nights.

Evidence is simulated (:mod:`benchmarks.promotion_markets`) and judged by the library's own
functions. The rule was chosen on other seeds than those that judge it here. Every
share has its Clopper–Pearson bound; a target of an error rate holds for the upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from zlib import crc32

import click
import numpy as np
from scipy.stats import beta, norm

from benchmarks.frame import Benchmark, Metric, Report, Target
from benchmarks.promotion_markets import Market, Nights, simulate
from benchmarks.promotion_rivals import ONE_LOOK, SEQUENTIAL
from benchmarks.promotion_rollback import PROMISE, SCALE, alarms, fallen, sized, wander
from benchmarks.promotion_trials import try_lines
from brain.console import console
from registry.promotion.boundary import Rule
from registry.promotion.groups import Booleans, Floats

__all__ = ["BENCHMARK", "Case", "bounds", "measure"]

#: Of the seeds that judge. Those on which the rule was chosen begin with 14 to 16.
JUDGED = 17
CHUNK = 100
BACKTEST = 420
NIGHTS = 180
#: Design choices that decisions 3 and 4 and their check on other bars tell, and a search's trials.
OWN_RECIPES = 40


@dataclass(frozen=True)
class Case:
    """A market and the trials on it.

    Attributes:
        name: unique; it is part of the seed.
        market: simulated.
        trial: keywords of :func:`benchmarks.promotion_trials.try_lines`.
        prepare: what is done to the nights before.
        oracle: whether power is compared with the oracle's.
        target: of the share of paths with a promotion (at most: of its upper bound).
    """

    name: str
    market: Market
    trial: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[Nights], Nights] = lambda nights: nights
    oracle: bool = False
    target: Target | None = None


def best_of(count: int, nights: Nights) -> Nights:
    """The line with the best backtest of so many, against the champion."""
    before = nights.profits[1 : count + 1, :, :BACKTEST].mean(axis=(2, 3))
    best = before.argmax(axis=0) + 1
    chosen = nights.profits[best, np.arange(len(best))]
    return Nights(np.stack([nights.profits[0], chosen]), nights.shares)


_ERROR = Target(0.05, "at most", of="ours")
_LONG = BACKTEST + NIGHTS
_BACKTEST = {"backtest": BACKTEST}
_SINGLE = Rule(weights=(1e-9, 1e-9, 1.0))


def _of(symbols: int) -> str:
    return "1 symbol" if symbols == 1 else f"{symbols} symbols"


def null_cases() -> Iterator[Case]:
    """Markets without any edge."""
    for symbols in (1, 10, 20):
        market = Market(symbols=symbols)
        yield Case(f"{_of(symbols)}, live", market, target=_ERROR)
        longer = market.with_(nights=_LONG)
        yield Case(f"{_of(symbols)}, backtest", longer, _BACKTEST, target=_ERROR)
    for symbols in (1, 20):
        market = Market(symbols=symbols, heavy=False)
        yield Case(f"{_of(symbols)}, normal tails, live", market, target=_ERROR)
    skewed = Market(skewed=True)
    yield Case("20 symbols, skewed, live", skewed, target=_ERROR)
    yield Case("1 symbol, skewed, live", skewed.with_(symbols=1), target=_ERROR)
    longer = skewed.with_(nights=_LONG)
    yield Case("20 symbols, skewed, backtest", longer, _BACKTEST, target=_ERROR)
    starts = {1: 0, 2: 0} | {line: 7 * (line - 2) for line in range(3, 28)}
    weekly = Market(lines=28)
    yield Case("20 symbols, a new line every week", weekly, {"starts": starts}, target=_ERROR)
    spread = {"starts": starts, "rule": Rule(batch=0.1, least=1e-6)}
    yield Case("… each with a tenth of what is left", weekly, spread, target=_ERROR)
    eight = Market(lines=9, nights=_LONG)
    one = {"backtest": BACKTEST, "lines": (1,)}
    for recipes in (8, 1):
        yield Case(
            f"20 symbols, best of 8 by backtest, K = {recipes}",
            eight,
            {**one, "recipes": recipes},
            prepare=partial(best_of, 8),
            target=_ERROR if recipes == 8 else None,
        )
    flattering = Market(edge=2.0, later=(BACKTEST, -1.0), nights=_LONG)
    yield Case("20 symbols, backtest +2 and live −1", flattering, _BACKTEST, target=None)
    live = {"backtest": BACKTEST, "rule": Rule(confirmation=-5.0, confirmation_nights=0)}
    yield Case("… without a live confirmation of all cells", flattering, live)


def power_cases() -> Iterator[Case]:
    """Markets where line 1 is better by a constant edge."""

    def floor(bound: float) -> Target:
        return Target(bound, of="ours")

    market, longer = Market(), Market(nights=_LONG)
    for edge, target in ((1.0, floor(0.28)), (2.0, floor(0.88)), (3.0, None)):
        name = f"20 symbols +{edge:g}, live"
        yield Case(name, market.with_(edge=edge), oracle=True, target=target)
    for edge, target in ((1.0, floor(0.65)), (2.0, floor(0.95))):
        after = longer.with_(edge=edge)
        for recipes in (4, OWN_RECIPES):
            yield Case(
                f"20 symbols +{edge:g}, backtest, K = {recipes}",
                after,
                {**_BACKTEST, "recipes": recipes},
                target=target if recipes == 4 else None,
            )
    yield Case("1 symbol +2, live", Market(symbols=1, edge=2.0), oracle=True)
    yield Case("10 symbols +2, live", Market(symbols=10, edge=2.0), oracle=True)
    apart = Market(line_correlation=0.3, edge=2.0)
    yield Case("20 symbols +2, lines' correlation .3, live", apart, oracle=True)
    yield Case("20 symbols +2, each symbol by itself, live", Market(edge=2.0), {"rule": _SINGLE})


def mixture_cases() -> Iterator[Case]:
    """Markets where line 1 is better in a part of the cells."""
    yield Case("+4 in regime high", Market(edge=4.0, edge_regimes=(2,)))
    yield Case("+4 in regime low", Market(edge=4.0, edge_regimes=(0,)))
    yield Case("+4 in 4 of 20 symbols", Market(edge=4.0, edge_symbols=4))
    yield Case("+2 in 4 of 20 symbols", Market(edge=2.0, edge_symbols=4))
    yield Case("+2 in 10 of 20 symbols", Market(edge=2.0, edge_symbols=10))


def bounds(count: int, total: int, level: float = 0.05) -> tuple[float, float]:
    """One-sided Clopper–Pearson bounds of a share, each at the level."""
    if not total:
        return 0.0, 1.0
    low = beta.ppf(level, count, total - count + 1) if count else 0.0
    high = beta.ppf(1.0 - level, count + 1, total - count) if count < total else 1.0
    return float(low), float(high)


def chunks(name: str, paths: int) -> Iterator[tuple[np.random.Generator, int]]:
    """Generators of a case's paths and how many of them, some at once."""
    for start in range(0, paths, CHUNK):
        yield (
            np.random.default_rng([JUDGED, crc32(name.encode()), start]),
            min(CHUNK, paths - start),
        )


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
    out = console()
    many, some, few = (5000, 2000, 500) if full else (1000, 500, 100)
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
    for name, share, total, target in (
        *_rivals(some, few),
        *_watched(some),
        *_sizes(some),
        *_guards(some),
    ):
        low, high = bounds(round(share * total), total)
        records.append({"kind": "beside", "case": name, "share": share, "low": low, "high": high})
        value = share
        if target is not None:
            value = high if target.side == "at most" else share
            metrics.append(Metric(name, "", [value], target=target))
        beside[name] = (f"{share:.3f} ({low:.3f}–{high:.3f})", f"{total} paths")
        tell(f"{name}: {beside[name][0]}")
    return Report(
        metrics,
        runs,
        "the trial",
        notes=[
            f"Paths: {many} without an edge, {some} with one, {few} for rules that look once. "
            "Behind a share: one-sided 95 % bounds (Clopper–Pearson).",
            "The rule was chosen on seeds that begin with 14 to 16; these begin with 17.",
        ],
        beside=beside,
        records=records,
    )


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


_KINDS: Mapping[str, Callable[[Result], _Row]] = {
    "wrong": _wrong,
    "power": _power,
    "mixture": _mixture,
}

_Figure = tuple[str, float, int, Target | None]


def _rivals(paths: int, few: int) -> Iterator[_Figure]:
    """The other rules on the same markets, without an edge and with one."""
    for edge in (0.0, 1.0, 2.0):
        name = f"rivals at {edge:g}"
        market = Market(edge=edge)
        answers: dict[str, list[Booleans]] = {rule: [] for rule in (*SEQUENTIAL, *ONE_LOOK, _CELLS)}
        done = 0
        for rng, size in chunks(name, paths):
            nights = simulate(market, size, rng)
            profits = nights.profits.mean(axis=3).astype(float)
            for rule, function in SEQUENTIAL.items():
                answers[rule].append(function(profits))
            single = np.moveaxis(nights.profits, 3, 0).astype(float)
            naive = SEQUENTIAL["naive z > 2"]
            answers[_CELLS].append(np.any([naive(one) for one in single], axis=0))
            if done < few:
                for rule, function in ONE_LOOK.items():
                    answers[rule].append(function(profits))
            done += size
        for rule, parts in answers.items():
            answer = np.concatenate(parts)
            yield f"{rule}, edge {edge:g}", float(answer.mean()), len(answer), None


_CELLS = "naive z > 2 in any of 20 symbols"


def _watched(paths: int) -> Iterator[_Figure]:
    """Rollbacks."""
    error, found = Target(0.05, "at most", of="ours"), Target(0.85, of="ours")
    for symbols in (1, 20):
        market = Market(symbols=symbols, lines=2, nights=SCALE + 180)
        share = float(np.mean(np.isfinite(np.minimum(*_alarms(f"equal {symbols}", market, paths)))))
        yield f"false rollbacks in 180 nights, {_of(symbols)}", share, paths, error
        for name, after, nights in (("+2 to −2", -2.0, (90, 180, 270)), ("+2 to 0", 0.0, (270,))):
            turn = SCALE + PROMISE
            market = Market(
                symbols=symbols, lines=2, edge=2.0, later=(turn, after), nights=turn + 270
            )
            worse, shortfall = _alarms(f"{name} {symbols}", market, paths)
            for label, times in (("rival", worse), ("promise", np.minimum(worse, shortfall))):
                early = times <= PROMISE
                for within in nights:
                    share = float(np.mean(~early & (times <= PROMISE + within)))
                    bar = found if (label, after, within) == ("promise", -2.0, 270) else None
                    what = "either sum" if label == "promise" else "sum against the line before"
                    text = f"{name} found in {within} nights by {what}, {_of(symbols)}"
                    yield text, share, paths, bar
                if after < 0:
                    text = f"rolled back in {PROMISE} nights at +2 by {what}, {_of(symbols)}"
                    yield text, float(early.mean()), paths, None
    lasting = Market(lines=2, nights=NIGHTS + 270)
    for name, market in (
        ("an edge that wanders around 0 (sd 1)", lasting.with_(wander=1.0)),
        ("a lasting edge of +1", lasting.with_(edge=1.0)),
        ("a lasting edge of +2", lasting.with_(edge=2.0)),
    ):
        parts = [wander(market, size, rng) for rng, size in chunks(name, paths)]
        promoted, back = (np.concatenate(side) for side in zip(*parts, strict=True))
        taken = np.isfinite(promoted)
        yield f"{name}: promoted", float(taken.mean()), paths, None
        if taken.any():
            share = float(np.isfinite(back[taken]).mean())
            yield f"{name}: of these rolled back by night 450", share, int(taken.sum()), None


def _alarms(name: str, market: Market, paths: int) -> tuple[Floats, Floats]:
    parts = [alarms(market, size, rng) for rng, size in chunks(name, paths)]
    worse, shortfall = zip(*parts, strict=True)
    return np.concatenate(worse), np.concatenate(shortfall)


def _guards(paths: int) -> Iterator[_Figure]:
    """The guardrail of the drawdown: as long as nothing changes, and after a sudden failure."""
    for after in (2.0, 0.0, -8.0):
        market = Market(edge=2.0, lines=2, nights=_LONG, later=(BACKTEST, after))
        name = f"drawdown's guardrail in 180 nights, Sharpe 2 before and {after:g} after"
        parts = [fallen(market, size, rng, BACKTEST) for rng, size in chunks(name, paths)]
        yield name, float(np.concatenate(parts).mean()), paths, None


def _sizes(paths: int) -> Iterator[_Figure]:
    """Cells that are traded: the champion is credibly better than flat."""
    for edge in (0.0, 1.0, 2.0):
        for symbols in (1, 20):
            market = Market(symbols=symbols, lines=2, edge=edge)
            name = f"cells traded at Sharpe {edge:g} after 180 nights, {_of(symbols)}"
            parts = [sized(market, size, rng) for rng, size in chunks(name, paths)]
            yield name, float(np.concatenate(parts).mean()), paths, None


BENCHMARK = Benchmark(
    measure,
    runs=1,
    options=[click.Option(["--full"], is_flag=True, help="all paths: takes hours")],
    versions=("numpy", "scipy", "arch"),
)
