"""Several fits of one model, each from a seed of its own: members, whose mean the model predicts.

What a fit draws at random (rows, columns, first weights, batches) moves its predictions as much as
a day of new bars does; the mean of a few fits moves less.
"""

from __future__ import annotations

import numpy as np

from brain.errors import InputError
from brain.naming import Family
from engine.families.arrays import check_seed

__all__ = ["SEEDS", "member_seeds"]

#: The seeds of a family's models where no setting says otherwise, as measured in
#: ``docs/decisions/0012-seeds.md``.
SEEDS = {Family.LIGHTGBM: 2, Family.XGBOOST: 2, Family.LSTM: 1}


def member_seeds(seed: int, count: int) -> list[int]:
    """The seeds of a model's members: its own first, the others drawn from it.

    Args:
        seed: of the model, 0 to 2³¹ - 1.
        count: of members; more of them begin with the same.

    Raises:
        InputError: the seed is out of range, or the count is below 1.
    """
    seed = check_seed(seed)
    if count < 1:
        raise InputError(f"seeds={count} is no number of fits; give 1 or more")
    drawn = np.random.SeedSequence(seed).generate_state(count - 1) >> 1
    return [seed, *drawn.tolist()]
