"""Whether a symbol's champions have a size: none where one abstains or guardrails call for a look.

Whether a champion is better than flat is judged with the contest, on nights that are closed.
Guardrails hold at once: they look at the newest evidence, of this night too. How large the size is
then: :mod:`engine.night.confidences`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from brain.model_keys import ModelKey
from brain.naming import REGIMES, Regime
from brain.series.store.store import SeriesStore
from engine.evaluation.allowance import drawdown_allowance
from engine.kernels.columns import Floats
from registry.promotion.boundary import Rule
from registry.promotion.guardrails import Guardrail, guardrails, size
from registry.promotion.history import History, read_history
from registry.promotion.places import Place, Places

__all__ = ["UNJUDGED", "UNREADABLE", "Size", "Sizing", "symbol_sizing"]

_NIGHTS = Rule().nights


@dataclass(frozen=True)
class Size:
    """Whether a champion has a size.

    Attributes:
        value: 0 or 1; None if it was not judged, which stops nothing.
        reason: why it is 0; empty otherwise.
    """

    value: float | None
    reason: str = ""


#: Of a champion that no contest knows yet.
UNJUDGED = Size(0.0, "abstain: it is judged when its first night is closed")

#: Of a champion whose contest can't be read.
UNREADABLE = Size(0.0, "abstain: its contest can't be read")


@dataclass(frozen=True)
class _Book:
    """What guardrails look at, see :func:`registry.promotion.guardrails.guardrails`."""

    drawdown: float
    allowance: float
    missing: float
    turnover: float
    usual_turnover: float

    def guardrails(self, intact: bool) -> tuple[Guardrail, ...]:
        return guardrails(
            drawdown=self.drawdown,
            allowance=self.allowance,
            missing=self.missing,
            turnover=self.turnover,
            usual_turnover=self.usual_turnover,
            intact=intact,
        )


class Sizing:
    """The sizes of a symbol's champions.

    Args:
        places: of the symbol's cells, by regime.
        history: of the symbol and the champions' lines.
    """

    def __init__(self, places: Mapping[Regime, Place], history: History) -> None:
        self._places = places
        self._history = history
        self._figures: dict[str, _Book] = {}

    def size(self, regime: Regime, *, intact: bool) -> Size:
        """The size of a cell's champion.

        Args:
            regime: of the cell.
            intact: whether the files of the champion's version are as registered.
        """
        place = self._places.get(regime)
        if place is None:
            return UNJUDGED
        if place.better is None:
            return Size(None)
        if place.line not in self._figures:
            self._figures[place.line] = self._book(place.line)
        guards = self._figures[place.line].guardrails(intact)
        return Size(*size(guards, place.better))

    def _book(self, name: str) -> _Book:
        """What guardrails look at, of all of the symbol's cells that a line is champion of."""
        history, line = self._history, self._history.lines.index(name)
        own = [REGIMES.index(r) for r, p in self._places.items() if p.line == name]
        since = max(p.since for p in self._places.values() if p.line == name)

        def book(values: Floats) -> Floats:
            of_line = values[:, 0, own, line]
            known = np.isfinite(of_line).any(axis=1)
            return np.where(known, np.nansum(of_line, axis=1), np.nan)

        profit, turnover = book(history.profit), book(history.turnover)
        since_then = (history.days > since) & history.live[:, 0, own, line].any(axis=1)
        before, after = ~since_then, np.flatnonzero(since_then)
        last = after[-1] if len(after) else None
        return _Book(
            drawdown=_drawdown(profit[after][-_NIGHTS:]),
            allowance=drawdown_allowance(profit[before], _NIGHTS) if len(after) else math.nan,
            missing=math.nan if last is None else _largest(history.missing[last, 0, own, line]),
            turnover=math.nan if last is None else float(turnover[last]),
            usual_turnover=_largest(turnover[before]),
        )


def symbol_sizing(store: SeriesStore, key: ModelKey, places: Places) -> Sizing:
    """The sizes of a symbol's champions, by the evidence that is stored by now.

    Args:
        store: of the evidence.
        key: of the symbol's model.
        places: of its contest.

    Raises:
        LibraryError: the evidence can't be read.
    """
    own = {r: places[key.symbol, r] for r in REGIMES if (key.symbol, r) in places}
    lines = sorted({place.line for place in own.values()})
    return Sizing(own, read_history(store, key.timeframe, lines=lines, symbols=[key.symbol]))


def _drawdown(profits: Floats) -> float:
    """The largest fall of the summed profits from their highest point, 0 at the start."""
    if not np.isfinite(profits).any():
        return math.nan
    wealth = np.cumsum(np.nan_to_num(profits))
    peak = np.maximum(np.maximum.accumulate(wealth), 0.0)
    return float((peak - wealth).max())


def _largest(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else math.nan
