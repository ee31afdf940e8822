"""How soon a champion that fails is rolled back, and how often one that doesn't."""

from __future__ import annotations

import numpy as np

from benchmarks.promotion_markets import Market, Nights, simulate
from benchmarks.promotion_trials import groups_of, start_levels
from engine.evaluation.allowance import drawdown_allowance
from registry.promotion.boundary import Rule
from registry.promotion.groups import Booleans, Floats
from registry.promotion.guardrails import better_than_flat
from registry.promotion.rollback import Watch
from registry.promotion.sums import Sums
from registry.promotion.trial import advance, begin

__all__ = ["PROMISE", "SCALE", "alarms", "fallen", "sized", "wander"]

#: Nights that give a watch its scale and its promise, before it begins.
SCALE = 120
#: Nights of the good edge under watch, before it is another.
PROMISE = 60


def _pooled(nights: Nights) -> Floats:
    """Line 1 less line 0 over all cells, (nights, paths, 1)."""
    return np.moveaxis(groups_of(nights).means(nights.cells(1).astype(float))[..., :1], 1, 0)


def alarms(market: Market, paths: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Nights under watch until each alarm, (paths,); infinite without one.

    Returns:
        Against the line before, and against half of the promise, which is the mean X of the first
        :data:`SCALE` nights.
    """
    rule = Rule()
    pooled = _pooled(simulate(market, paths, rng))
    before = Sums.empty(paths, 1).add_all(pooled[:SCALE], rule.limit)
    watch = Watch.begin(before, before.total / before.active)
    worse, disappointing = [], []
    for means in pooled[SCALE:]:
        watch = watch.add(means, rule.limit)
        worse.append(watch.worse()[:, 0])
        disappointing.append(watch.disappointing()[:, 0])
    return _first(np.array(worse)), _first(np.array(disappointing))


def wander(market: Market, paths: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Of an edge that comes and goes: nights until it is promoted, and until it is rolled back.

    A trial of all cells in the rule's nights, then the watch until the market's last night.
    """
    rule = Rule()
    nights = simulate(market, paths, rng)
    groups = groups_of(nights)
    level = start_levels(rule, {1: 0, 2: 0})[1]
    trials = [begin(rule, groups, 1, level, shape=(paths,))]
    champions = np.zeros((paths, *nights.shares.shape[2:]), dtype=np.int64)
    promoted, back = np.full(paths, np.inf), np.full(paths, np.inf)
    pooled = _pooled(nights)
    zeros = np.zeros((paths, 1))
    watch = Watch.begin(Sums.empty(paths, 1), zeros)
    for night in range(market.nights):
        watching = np.isfinite(promoted)[:, None]
        added = watch.add(pooled[night], rule.limit)
        # Before its promotion a line is not under watch, but its scale is measured.
        watch = Watch(
            added.sums,
            np.where(watching, added.fall, 0.0),
            np.where(watching, added.shortfall, 0.0),
            watch.promise,
        )
        alarm = (watch.worse() | watch.disappointing())[:, 0] & watching[:, 0]
        back = np.where(alarm & np.isinf(back), night + 1.0, back)
        result = advance(rule, groups, champions, trials, nights.night(night))
        champions, trials = result.champions, list(result.trials)
        new = (result.winner == 0) & (result.group == 0) & np.isinf(promoted)
        promoted = np.where(new, night + 1.0, promoted)
        live = result.trials[0].live.only(0)
        mean = live.total / np.maximum(live.active, 1.0)
        watch = Watch(
            watch.sums, watch.fall, watch.shortfall, np.where(new[:, None], mean, watch.promise)
        )
    return promoted, back


def sized(market: Market, paths: int, rng: np.random.Generator) -> Floats:
    """Share of a path's cells in which line 1 is credibly better than flat, at the last night."""
    nights = simulate(market, paths, rng)
    groups, rule = groups_of(nights), Rule()
    own = np.where(nights.shares > 0, nights.profits[1][..., None] * nights.shares, np.nan)
    means = np.moveaxis(groups.means(own.astype(float)), 1, 0)
    live = Sums.empty(paths, len(groups.names)).add_all(means, rule.limit)
    cells: Booleans = better_than_flat(rule, groups, live)
    return cells.mean(axis=(1, 2))


def fallen(market: Market, paths: int, rng: np.random.Generator, before: int) -> Booleans:
    """Whether line 1's drawdown after so many nights is beyond what these allow, (paths,)."""
    nights = simulate(market, paths, rng)
    profits = nights.profits[1].mean(axis=2).astype(float)
    wealth = np.cumsum(profits[:, before:], axis=1)
    peak = np.maximum(np.maximum.accumulate(wealth, axis=1), 0.0)
    drawdown = (peak - wealth).max(axis=1)
    ahead = market.nights - before
    return drawdown > [drawdown_allowance(path[:before], ahead) for path in profits]


def _first(alarm: Booleans) -> Floats:
    return np.where(alarm.any(axis=0), alarm.argmax(axis=0) + 1.0, np.inf)
