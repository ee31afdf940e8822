"""Groups of cells, beside loops."""

from __future__ import annotations

import numpy as np
import pytest

from brain.errors import InputError
from registry.promotion.groups import Groups
from tests.registry.promotion.evidence import evidence

GROUPS = Groups(("A", "B", "C"))
WEIGHTS = (0.5, 0.3, 0.2)


def test_the_names_are_all_cells_then_regimes_then_symbols() -> None:
    assert GROUPS.names == ("all", "low", "normal", "high", "extreme", "A", "B", "C")


def test_a_mean_adds_a_symbols_regimes_and_averages_symbols() -> None:
    values = evidence(unknown=0.5, seed=3)[..., 0]
    values[7, 1] = np.nan
    values[8] = np.nan
    means = GROUPS.means(values)
    for night, cells in enumerate(values):
        symbols = [row[np.isfinite(row)].sum() if np.isfinite(row).any() else None for row in cells]
        known = [s for s in symbols if s is not None]
        expected = [np.mean(known) if known else np.nan]
        for column in cells.T:
            there = column[np.isfinite(column)]
            expected.append(there.mean() if there.size else np.nan)
        expected += [np.nan if s is None else s for s in symbols]
        assert means[night] == pytest.approx(expected, nan_ok=True)
    assert np.isnan(means[8]).all()


def test_the_shares_of_the_level_sum_to_one() -> None:
    assert GROUPS.shares(WEIGHTS) == pytest.approx([0.5, *[0.3 / 4] * 4, *[0.2 / 3] * 3])


def test_a_level_of_one_member_is_that_of_all_cells() -> None:
    one = Groups(("A",))
    assert one.names == ("all", "low", "normal", "high", "extreme")
    assert one.shares(WEIGHTS) == pytest.approx([0.5 / 0.8, *[0.3 / 0.8 / 4] * 4])
    assert Groups(("A",), ("low",)).shares(WEIGHTS) == pytest.approx([1.0])
    assert Groups(("A",), ("low",)).means(np.array([[[2.0]]])).tolist() == [[2.0]]


def test_the_cells_of_a_group() -> None:
    assert GROUPS.cells("all").all()
    assert GROUPS.cells("high").sum() == 3
    assert GROUPS.cells("high")[:, 2].all()
    assert GROUPS.cells("B").sum() == 4
    assert GROUPS.cells("B")[1].all()


def test_an_unknown_group_or_a_doubled_symbol_is_refused() -> None:
    with pytest.raises(InputError, match="no group 'D'; one of all, low"):
        GROUPS.cells("D")
    with pytest.raises(InputError, match="each once"):
        Groups(("A", "A"))
    with pytest.raises(InputError, match="symbols"):
        Groups(())
