"""The posts of a contest: promoted champions under watch, and since when cells have theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from brain.brief import Brief
from registry.promotion.groups import Booleans, Groups, Indices
from registry.promotion.rollback import Watch

__all__ = ["Post", "Term", "successors"]


@dataclass(frozen=True, repr=False)
class Post(Brief):
    """A promoted champion under watch.

    Attributes:
        line: index of the champion.
        group: that it took.
        before: champions before it, (symbols, regimes).
        cells: that it took and still has.
        watch: of the group alone, (1,).
    """

    line: int
    group: str
    before: Indices
    cells: Booleans
    watch: Watch


@dataclass(frozen=True, repr=False)
class Term(Brief):
    """How long cells have had their champions; cells without a term have had them from the first.

    Attributes:
        day: number of the night that changed them.
        reason: of the change, in a sentence.
        cells: (symbols, regimes) that have not changed since.
    """

    day: int
    reason: str
    cells: Booleans


def successors(
    posts: Sequence[Post], terms: Sequence[Term], groups: Groups, champions: Indices, known: int
) -> tuple[Indices, tuple[Post, ...], tuple[Booleans, ...]]:
    """Champions, posts and the cells of terms, with symbols that are new.

    What won a group of all symbols, that is all cells or a regime's, and has it still, is champion
    of the new symbols' cells too.

    Args:
        posts, terms: of the symbols before.
        groups: with the new symbols, which come last.
        champions: with those that the new symbols would have had from the first.
        known: number of symbols before.
    """
    new = (np.arange(len(champions)) >= known)[:, None]
    owner = np.full(champions.shape, -1)
    for k, post in enumerate(posts):
        if post.group not in groups.symbols:
            owner = np.where(groups.cells(post.group) & new, k, owner)
    rows = champions[known:]
    grown = tuple(
        replace(
            post,
            before=np.concatenate([post.before, rows]),
            cells=_grown(post.cells, rows) | (owner == k),
        )
        for k, post in enumerate(posts)
    )
    lines = np.array([*(post.line for post in posts), -1])
    cells = tuple(_grown(term.cells, rows) for term in terms)
    return np.where(owner >= 0, lines[owner], champions), grown, cells


def _grown(cells: Booleans, rows: Indices) -> Booleans:
    """With rows in which nothing is so."""
    return np.concatenate([cells, np.zeros(rows.shape, dtype=bool)])
