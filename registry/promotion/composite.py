"""Places by the composite score: a policy that can be selected, without control of its errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from brain.naming import PRIOR, REGIMES
from registry.promotion.closings import Closing
from registry.promotion.course import prior_line
from registry.promotion.groups import Booleans, Floats, Indices
from registry.promotion.history import History
from registry.promotion.places import Place, Places
from registry.promotion.policies import composite_champion, composite_score

__all__ = ["composite_places"]


def composite_places(closings: Sequence[Closing], history: History) -> Places:
    """The places after the last closing, from the prior's lines at a symbol's first on.

    Each closing is decided on all evidence of the cell until then, backtest and live.

    Args:
        closings: oldest first, at least one.
        history: of all their lines and symbols.
    """
    symbols = tuple(dict.fromkeys(s for closing in closings for s in sorted(closing.symbols)))
    lines = history.lines
    champion = np.full((len(symbols), len(REGIMES)), -1)
    previous, since = champion.copy(), champion.copy()
    promised = np.full(champion.shape, np.nan)
    scores: Floats = np.full((*champion.shape, len(lines)), np.nan)
    for n, closing in enumerate(closings, 1):
        new = champion[:, 0] < 0
        new &= np.isin(symbols, list(closing.symbols))
        champion[new], since[new] = _priors(closing, symbols, new, lines), closing.day
        scores = _scores(history, closings[:n], symbols)
        now = composite_champion(scores, champion, previous, promised)
        changed = (now != champion) & (champion >= 0)
        previous = np.where(changed, champion, previous)
        score = np.take_along_axis(scores, now[..., None], axis=-1)[..., 0]
        promised, since = np.where(changed, score, promised), np.where(changed, closing.day, since)
        champion = np.where(changed, now, champion)
    families = {n: line.family for closing in closings for n, line in closing.lines.items()}
    places = {}
    for i, symbol in enumerate(symbols):
        for j, regime in enumerate(REGIMES):
            k, of_cell = int(champion[i, j]), scores[i, j]
            ranked = sorted(np.flatnonzero(np.isfinite(of_cell)), key=lambda m: -of_cell[m])
            others = [lines[m] for m in ranked if m != k]
            best = f"composite score {of_cell[k]:.2f}" if k in ranked else "no score yet"
            places[symbol, str(regime)] = Place(
                lines[k],
                f"{best}; next {others[0]}, {of_cell[lines.index(others[0])]:.2f}"
                if others
                else best,
                by_evidence=families[lines[k]] != PRIOR[regime],
                since=int(since[i, j]),
                challenger=others[0] if others else "",
            )
    return places


def _scores(history: History, closings: Sequence[Closing], symbols: Sequence[str]) -> Floats:
    """Of each cell and line, (symbols, regimes, lines), as it was at the last of the closings."""
    known = history.at(closings)
    values = known.nights(known.days, symbols, history.lines)
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    return composite_score(np.moveaxis(values, 0, -1))


def _priors(
    closing: Closing, symbols: Sequence[str], new: Booleans, lines: Sequence[str]
) -> Indices:
    return np.array(
        [
            [
                lines.index(prior_line(r, closing.symbols[symbols[i]], closing.lines))
                for r in REGIMES
            ]
            for i in np.flatnonzero(new).tolist()
        ],
        dtype=np.int64,
    ).reshape(-1, len(REGIMES))
