"""The trial of a challenger line against the champions, night by night.

Leading axes (…) are of independent histories: a library has none, a simulation has its paths.
Evidence is (…, symbols, regimes, lines) a night: net profit over the volatility known before the
night, NaN unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from brain.brief import Brief
from brain.errors import InputError
from registry.promotion.boundary import (
    Look,
    Rule,
    backtest_weight,
    confirmations,
    look_at,
    quantiles,
)
from registry.promotion.groups import Booleans, Floats, Groups, Indices
from registry.promotion.sums import Sums

__all__ = ["Night", "Trial", "advance", "begin", "difference"]


@dataclass(frozen=True, repr=False)
class Trial(Brief):
    """A challenger line on trial.

    Attributes:
        line: its index in the evidence.
        level: the chance that it takes any group by luck.
        recipes: K, that were ever tried on the backtest's nights.
        z: (groups,) quantile of each boundary.
        weight: of the backtest's nights; 0 if live nights count alone.
        confirmation: (groups,) that live nights have to show where a backtest counts.
        live, backtest: sums of the line less the champions, (…, groups).
    """

    line: int
    level: float
    recipes: float
    z: Floats
    weight: float
    confirmation: Floats
    live: Sums
    backtest: Sums | None

    def restarted(self, groups: Groups, cells: Booleans) -> Trial:
        """After a change of champions in some cells, (…, symbols, regimes).

        The sums of every group with such a cell rest on another champion, so they begin anew.
        """
        masks = groups.masks
        concerned = np.asarray((masks & cells[..., None, :, :]).any(axis=(-2, -1)))
        backtest = self.backtest and self.backtest.restarted(concerned)
        return replace(self, live=self.live.restarted(concerned), backtest=backtest)

    def extended(self, rule: Rule, groups: Groups, former: Indices) -> Trial:
        """Of other groups, which share the level anew.

        Args:
            rule: of the trial.
            groups: the new ones.
            former: (groups,) index of each among the present ones; -1 is a new one.
        """
        z, confirmation = _thresholds(rule, groups, self.level, self.recipes, self.weight)
        return replace(
            self,
            z=z,
            confirmation=confirmation,
            live=self.live.extended(former),
            backtest=self.backtest and self.backtest.extended(former),
        )

    def look(self, rule: Rule) -> Look:
        """What the rule sees at the present night."""
        return look_at(rule, self.z, self.live, self.backtest, self.weight, self.confirmation)


@dataclass(frozen=True, repr=False)
class Night(Brief):
    """What a night changed.

    Attributes:
        champions: index of each cell's line, (…, symbols, regimes).
        trials: with the night's evidence.
        looks: one for each trial.
        winner, group: the trial that took a group and the group, (…); −1 where none did.
        cells: whose champion changed, (…, symbols, regimes).
    """

    champions: Indices
    trials: tuple[Trial, ...]
    looks: tuple[Look, ...]
    winner: Indices
    group: Indices
    cells: Booleans


def difference(values: Floats, champions: Indices, line: int) -> Floats:
    """A line less each cell's champion, (…, symbols, regimes); NaN where it is the champion.

    Args:
        values: (…, symbols, regimes, lines), NaN unknown.
        champions: (…, symbols, regimes) indices of lines.
        line: index.
    """
    champion = np.take_along_axis(values, champions[..., None], axis=-1)[..., 0]
    return np.where(champions == line, np.nan, values[..., line] - champion)


def begin(
    rule: Rule,
    groups: Groups,
    line: int,
    level: float,
    *,
    recipes: float = 1.0,
    backtest: Floats | None = None,
    shape: tuple[int, ...] = (),
) -> Trial:
    """Put a line on trial.

    Args:
        rule, groups: of the trial.
        line: index in the evidence.
        level: of the trial, see :func:`registry.promotion.budget.share`.
        recipes: K ≥ 1, that were ever tried on the backtest's nights.
        backtest: (nights, …, symbols, regimes), the line less the champions, oldest first. Its
            scale serves the live nights even where its sums don't count.
        shape: of the leading axes.

    Raises:
        InputError: an argument is out of its range.
    """
    if not recipes >= 1.0:
        raise InputError(f"{recipes} recipes can't have been tried; count the line's own, 1")
    if not rule.least <= level < 1.0:
        raise InputError(
            f"a trial of level {level:.2g} can't start; below {rule.least:g}, wait until older "
            f"starts are {rule.nights} nights ago"
        )
    sums, weight = None, 0.0
    live = Sums.empty(*shape, len(groups.names))
    if backtest is not None:
        if backtest.ndim < 3 or backtest.shape[-2:] != (len(groups.symbols), len(groups.regimes)):
            raise InputError(
                f"the backtest has shape {backtest.shape}; give nights × {len(groups.symbols)} "
                f"symbols × {len(groups.regimes)} regimes"
            )
        sums = live.add_all(groups.means(backtest), rule.limit)
        live = sums.successor()
        of_all = float(level * groups.shares(rule.weights)[0])
        weight = backtest_weight(rule, float(len(backtest)), of_all, recipes)
    z, confirmation = _thresholds(rule, groups, level, recipes, weight)
    return Trial(line, level, recipes, z, weight, confirmation, live, sums)


def advance(
    rule: Rule, groups: Groups, champions: Indices, trials: Sequence[Trial], values: Floats
) -> Night:
    """Add one complete night, and decide.

    At most one group changes hands a night: the widest that a line takes, and among equals the one
    furthest beyond its boundary. The sums of all groups with a cell in it begin anew.

    Args:
        rule, groups: of the trials.
        champions: (…, symbols, regimes) of the night.
        trials: that are running, none longer than the rule's nights.
        values: (…, symbols, regimes, lines) of the night; NaN unknown.
    """
    moved, looks, keys = [], [], []
    for before in trials:
        means = groups.means(difference(values, champions, before.line))
        trial = replace(before, live=before.live.add(means, rule.limit))
        look = trial.look(rule)
        moved.append(trial)
        looks.append(look)
        beyond = np.where(look.crossed, 1.0 - np.exp(-look.score / look.boundary), -np.inf)
        keys.append(beyond + _width(groups))
    if not trials:
        none = np.full(champions.shape[:-2], -1)
        return Night(champions, (), (), none, none, np.zeros(champions.shape, dtype=bool))
    key = np.stack(keys, axis=-2)  # (…, trials, groups)
    flat = key.reshape(*key.shape[:-2], -1)
    best = flat.argmax(axis=-1)
    takes = np.take_along_axis(flat, best[..., None], axis=-1)[..., 0] > -np.inf
    winner = np.where(takes, best // key.shape[-1], -1)
    group = np.where(takes, best % key.shape[-1], -1)
    masks = groups.masks
    cells = np.where(takes[..., None, None], masks[group], False)
    lines = np.array([trial.line for trial in trials])
    before_night, champions = champions, np.where(cells, lines[winner][..., None, None], champions)
    changed = cells & (before_night != champions)
    if changed.any():
        moved = [trial.restarted(groups, changed) for trial in moved]
    return Night(champions, tuple(moved), tuple(looks), winner, group, changed)


def _thresholds(
    rule: Rule, groups: Groups, level: float, recipes: float, weight: float
) -> tuple[Floats, Floats]:
    """Each group's quantile and confirmation."""
    shares = groups.shares(rule.weights)
    levels = level * shares
    return quantiles(levels / recipes if weight else levels), confirmations(rule, shares)


def _width(groups: Groups) -> Floats:
    """What orders the levels: all cells before regimes before symbols."""
    return np.array([2.0 - k for k, level in enumerate(groups.levels) for _ in level])
