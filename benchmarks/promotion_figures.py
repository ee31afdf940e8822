"""Figures beside the trial's own: other rules, rollbacks, guardrails and sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.frame import Target
from benchmarks.promotion_cases import BACKTEST, NIGHTS, chunks, count_symbols
from benchmarks.promotion_markets import Market, simulate
from benchmarks.promotion_rivals import ONE_LOOK, SEQUENTIAL
from benchmarks.promotion_rollback import PROMISE, SCALE, alarms, fallen, sized, wander
from registry.promotion.groups import Booleans, Floats

__all__ = ["Figure", "guards", "rivals", "sizes", "watched"]

#: Name, share, paths and target.
Figure = tuple[str, float, int, Target | None]


def rivals(paths: int, few: int) -> Iterator[Figure]:
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


def watched(paths: int) -> Iterator[Figure]:
    """Rollbacks."""
    error, found = Target(0.05, "at most", of="ours"), Target(0.85, of="ours")
    for symbols in (1, 20):
        of = count_symbols(symbols)
        market = Market(symbols=symbols, lines=2, nights=SCALE + 180)
        share = float(np.mean(np.isfinite(np.minimum(*_alarms(f"equal {symbols}", market, paths)))))
        yield f"false rollbacks in 180 nights, {of}", share, paths, error
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
                    text = f"{name} found in {within} nights by {what}, {of}"
                    yield text, share, paths, bar
                if after < 0:
                    text = (
                        f"rolled back in {PROMISE} nights at +2 by {what}, {count_symbols(symbols)}"
                    )
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


def guards(paths: int) -> Iterator[Figure]:
    """The guardrail of the drawdown: as long as nothing changes, and after a sudden failure."""
    for after in (2.0, 0.0, -8.0):
        market = Market(edge=2.0, lines=2, nights=BACKTEST + NIGHTS, later=(BACKTEST, after))
        name = f"drawdown's guardrail in 180 nights, Sharpe 2 before and {after:g} after"
        parts = [fallen(market, size, rng, BACKTEST) for rng, size in chunks(name, paths)]
        yield name, float(np.concatenate(parts).mean()), paths, None


def sizes(paths: int) -> Iterator[Figure]:
    """Cells that are traded: the champion is credibly better than flat."""
    for edge in (0.0, 1.0, 2.0):
        for symbols in (1, 20):
            market = Market(symbols=symbols, lines=2, edge=edge)
            name = f"cells traded at Sharpe {edge:g} after 180 nights, {count_symbols(symbols)}"
            parts = [sized(market, size, rng) for rng, size in chunks(name, paths)]
            yield name, float(np.concatenate(parts).mean()), paths, None
