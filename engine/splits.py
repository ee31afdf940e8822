"""Purged and embargoed walk-forward: which rows may train a model that is judged on which rows.

Row t is known at bar t's close, and its label looks ``horizon`` bars further. A row may therefore
train a model that is judged from row ``test_start`` on only if its label has ended before that:
the last ``horizon`` rows are *purged*, and ``embargo`` rows more are left out so that what is
judged is not a near copy of what was learned (López de Prado 2018, chapter 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from registry.errors import InputError, NotEnoughBarsError

__all__ = ["Fold", "walk_forward"]


@dataclass(frozen=True)
class Fold:
    """One step of the walk: train on rows ``[0, train_end)``, judge ``[test_start, test_end)``."""

    train_end: int
    test_start: int
    test_end: int


def walk_forward(
    rows: int, *, folds: int, first_test: float, horizon: int, embargo: int
) -> tuple[Fold, ...]:
    """An expanding walk over ``rows`` rows in ``folds`` steps of equal length.

    Args:
        rows: number of consecutive rows, oldest first.
        folds: number of test blocks; together they cover every row from the first test row on.
        first_test: share of the rows before the first test row, in (0, 1).
        horizon: bars that a label looks forward. Too small a value lets the training rows know
            the beginning of the test block.
        embargo: further rows left out between training and test.

    Raises:
        InputError: an argument is out of range.
        NotEnoughBarsError: a training or test block would be empty.
    """
    if folds < 1 or horizon < 1 or embargo < 0 or not 0 < first_test < 1:
        raise InputError(
            f"folds={folds}, horizon={horizon}, embargo={embargo}, first_test={first_test}: "
            "folds and horizon start at 1, embargo at 0, and first_test lies between 0 and 1"
        )
    edges = np.linspace(round(rows * first_test), rows, folds + 1).round().astype(int)
    steps = tuple(
        Fold(int(start) - horizon - embargo, int(start), int(end)) for start, end in pairwise(edges)
    )
    if steps[0].train_end < 1 or any(step.test_end <= step.test_start for step in steps):
        raise NotEnoughBarsError(
            f"{rows} rows are too few for {folds} folds after {first_test:.0%} of the rows with "
            f"horizon {horizon} and embargo {embargo}; bring more bars or ask for fewer folds"
        )
    return steps
