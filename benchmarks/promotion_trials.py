"""The trial on simulated paths: the library's own functions, with paths as the leading axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.promotion_markets import Nights
from registry.promotion.boundary import Rule
from registry.promotion.budget import Start, share
from registry.promotion.groups import Booleans, Floats, Groups, Indices
from registry.promotion.trial import advance, begin

__all__ = ["Outcome", "groups_of", "start_levels", "try_lines"]


@dataclass(frozen=True)
class Outcome:
    """What became of paths.

    Attributes:
        winner: line that took a group in a night, (nights, paths); 0 where none did.
        group: the group's index, (nights, paths); −1 where none was taken.
        cells: that changed hands, (nights, paths, symbols, regimes).
        champions: before each night, (nights, paths, symbols, regimes).
    """

    winner: NDArray[np.int64]
    group: NDArray[np.int64]
    cells: Booleans
    champions: Indices

    def gains(self, edges: Floats) -> tuple[Floats, Floats, Floats]:
        """What each promotion was worth: its mean gain, cells and cells without a gain.

        Args:
            edges: (lines, symbols, regimes).

        Returns:
            (promotions,) each.
        """
        night, path = np.nonzero(self.group >= 0)
        cells, before = self.cells[night, path], self.champions[night, path]
        symbol, regime = np.indices(edges.shape[1:])
        gain = edges[self.winner[night, path]] - edges[before, symbol, regime]
        count = cells.sum(axis=(1, 2))
        wrong = (cells & (gain <= 0.0)).sum(axis=(1, 2))
        return np.where(cells, gain, 0.0).sum(axis=(1, 2)) / count, count, wrong

    @property
    def first(self) -> Floats:
        """Nights until the first promotion, (paths,); infinite without one."""
        taken = self.group >= 0
        return np.where(taken.any(axis=0), taken.argmax(axis=0) + 1.0, np.inf)

    def first_of(self, line: int, group: int | None = None) -> Floats:
        """Nights until a line takes a group, any if None."""
        taken = (self.winner == line) & (self.group >= 0)
        if group is not None:
            taken &= self.group == group
        return np.where(taken.any(axis=0), taken.argmax(axis=0) + 1.0, np.inf)


def groups_of(nights: Nights) -> Groups:
    """The groups of simulated symbols."""
    return Groups(tuple(f"S{k}" for k in range(nights.shares.shape[2])))


def start_levels(rule: Rule, starts: Mapping[int, int]) -> dict[int, float]:
    """The level of each line's trial; lines that have to wait for one are left out.

    Args:
        rule: of the trials.
        starts: night by line.
    """
    history: list[Start] = []
    levels: dict[int, float] = {}
    for day in sorted(set(starts.values())):
        lines = [line for line, start in starts.items() if start == day]
        level = share(rule, history, day, len(lines))
        if level < rule.least:
            continue
        levels |= dict.fromkeys(lines, level)
        history += [Start(day, levels[line]) for line in lines]
    return levels


def try_lines(
    nights: Nights,
    rule: Rule | None = None,
    *,
    backtest: int = 0,
    recipes: float = 1.0,
    starts: Mapping[int, int] | None = None,
    lines: Sequence[int] = (1, 2),
) -> Outcome:
    """Put lines on trial against line 0.

    Args:
        nights: the first ``backtest`` ones are the backtest's.
        rule: of the trials.
        backtest: nights; 0 for live nights alone.
        recipes: K.
        starts: live night by line; all at night 0 if None.
        lines: that are on trial, if ``starts`` is None.
    """
    rule, groups = rule or Rule(), groups_of(nights)
    starts = starts or dict.fromkeys(lines, 0)
    levels = start_levels(rule, starts)
    paths, count = nights.shares.shape[:2]
    champions = np.zeros((paths, *nights.shares.shape[2:]), dtype=np.int64)
    winners, taken, cells, befores, trials = [], [], [], [], []
    for day in range(count - backtest):
        for line in [line for line in levels if starts[line] == day]:
            before = None
            if backtest:
                before = np.moveaxis(nights.cells(line)[:, :backtest], 1, 0).astype(float)
            trials.append(
                begin(
                    rule, groups, line, levels[line], recipes=recipes, backtest=before,
                    shape=(paths,),
                )
            )  # fmt: skip
        result = advance(rule, groups, champions, trials, nights.night(backtest + day))
        befores.append(champions)
        cells.append(result.cells)
        champions = result.champions
        order = np.array([trial.line for trial in trials] or [0])
        winners.append(np.where(result.winner >= 0, order[result.winner], 0))
        taken.append(result.group)
        trials = [trial for trial in result.trials if trial.live.nights < rule.nights]
    return Outcome(np.array(winners), np.array(taken), np.array(cells), np.array(befores))
