"""Running sums, beside a loop over the whole history."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from registry.promotion.groups import Groups
from registry.promotion.sums import SCALE_NIGHTS, Sums
from tests.registry.promotion.evidence import Array, evidence

LIMIT = 3.0


def means(seed: int = 0) -> Array:
    values = Groups(("A", "B", "C")).means(evidence(nights=60, unknown=0.4, seed=seed)[..., 0])
    values[10:13, 0] = np.nan
    values[30, 2] = 1e6
    return values


def slow(column: Array) -> list[float]:
    """X of each night: over the root mean square of the known nights before it."""
    result = []
    for night, value in enumerate(column):
        before = [v for v in column[:night] if np.isfinite(v)]
        if len(before) < SCALE_NIGHTS or not np.isfinite(value):
            result.append(np.nan)
            continue
        scale = np.sqrt(sum(v * v for v in before) / len(before))
        result.append(min(max(value / scale, -LIMIT), LIMIT))
    return result


def test_a_value_is_over_the_root_mean_square_of_earlier_nights() -> None:
    nights = means()
    sums = Sums.empty(nights.shape[1])
    for k, night in enumerate(nights):
        expected = [slow(column)[k] for column in nights.T]
        assert sums.value(night, LIMIT) == pytest.approx(expected, nan_ok=True)
        sums = sums.add(night, LIMIT)


def test_sums_are_those_of_the_values() -> None:
    nights = means(seed=1)
    sums = Sums.empty(nights.shape[1]).add_all(nights, LIMIT)
    x = np.array([slow(column) for column in nights.T])
    assert sums.total == pytest.approx(np.nansum(x, axis=1))
    assert sums.variance == pytest.approx(np.nansum(x**2, axis=1))
    assert sums.active.tolist() == np.isfinite(nights).sum(axis=0).tolist()
    assert sums.nights == 60


def test_leading_axes_are_independent_histories() -> None:
    both = np.stack([means(2), means(3)], axis=1)
    together = Sums.empty(2, both.shape[-1]).add_all(both, LIMIT)
    for path in range(2):
        alone = Sums.empty(both.shape[-1]).add_all(both[:, path], LIMIT)
        for name in ("squares", "count", "total", "variance", "active"):
            assert np.array_equal(getattr(together, name)[path], getattr(alone, name))


def test_a_successor_begins_with_the_scale_alone() -> None:
    nights = means()
    before = Sums.empty(nights.shape[1]).add_all(nights[:40], LIMIT)
    after = before.successor()
    assert (after.total == 0).all()
    assert after.nights == 0
    assert np.array_equal(after.value(nights[40], LIMIT), before.value(nights[40], LIMIT), True)


def test_a_restart_clears_score_and_clock_of_its_groups_alone() -> None:
    nights = means()
    before = Sums.empty(nights.shape[1]).add_all(nights, LIMIT)
    mask = np.arange(nights.shape[1]) == 1
    after = before.restarted(mask)
    assert (after.total[1], after.variance[1]) == (0.0, 0.0)
    assert np.array_equal(after.total[~mask], before.total[~mask])
    assert np.array_equal(after.active, before.active)


def test_one_group_of_sums() -> None:
    nights = means()
    whole = Sums.empty(nights.shape[1]).add_all(nights, LIMIT)
    one = Sums.empty(1).add_all(nights[:, 2:3], LIMIT)
    for field in fields(Sums):
        assert np.array_equal(getattr(whole.only(2), field.name), getattr(one, field.name))


def test_nothing_but_zeros_has_no_scale() -> None:
    sums = Sums.empty(1).add_all(np.zeros((9, 1)), LIMIT)
    assert np.isnan(sums.value(np.ones(1), LIMIT)).all()
