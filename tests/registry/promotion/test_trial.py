"""The trial of several lines, night by night."""

from __future__ import annotations

import numpy as np
import pytest

from brain.errors import InputError
from registry.promotion.boundary import Rule
from registry.promotion.groups import Groups
from registry.promotion.trial import Trial, advance, begin, difference
from tests.registry.promotion.evidence import Array, evidence

RULE = Rule()
GROUPS = Groups(("A", "B", "C"))
NONE = np.zeros((3, 4), dtype=np.int64)


def test_a_line_less_the_champion_of_each_cell() -> None:
    values = evidence(nights=1, unknown=0.0)[0]
    champions = NONE.copy()
    champions[1, 2] = 2
    champions[2, 0] = 1
    result = difference(values, champions, 1)
    assert result[0, 0] == values[0, 0, 1] - values[0, 0, 0]
    assert result[1, 2] == values[1, 2, 1] - values[1, 2, 2]
    assert np.isnan(result[2, 0])
    values[0, 1, 0] = np.nan
    assert np.isnan(difference(values, champions, 1)[0, 1])


def test_a_better_line_takes_all_cells_at_its_first_crossing() -> None:
    values = evidence(edge=1.0, seed=1)
    trials: tuple[Trial, ...] = (begin(RULE, GROUPS, 1, 0.02), begin(RULE, GROUPS, 2, 0.02))
    champions = NONE
    night = 0
    while True:
        result = advance(RULE, GROUPS, champions, trials, values[night])
        crossed = [look.crossed for look in result.looks]
        if result.winner >= 0:
            break
        assert not np.any(crossed)
        champions, trials = result.champions, result.trials
        night += 1
    assert (int(result.winner), int(result.group)) == (0, 0)
    assert (result.champions == 1).all()
    assert 20 < night < 120
    for trial in result.trials:
        assert (trial.live.total == 0).all()
        assert trial.live.nights == night + 1
    after = advance(RULE, GROUPS, result.champions, result.trials, values[night + 1])
    assert (after.trials[0].live.total == 0).all()  # it is the champion it would be judged by
    assert (after.trials[1].live.total != 0).any()


def ready(line: int, totals: list[float]) -> Trial:
    """A trial whose sums stand so before a night of nothing."""
    trial = begin(RULE, GROUPS, line, 0.02)
    for night in evidence(nights=40, seed=line, unknown=0.0):
        trial = advance(RULE, GROUPS, NONE, [trial], night).trials[0]
    object.__setattr__(trial.live, "total", np.array(totals))
    return trial


NOTHING = np.full((3, 4, 3), np.nan)


def test_the_widest_group_goes_first_and_those_that_overlap_begin_anew() -> None:
    #         all, low, normal, high, extreme, A, B, C
    first = ready(1, [0.0, 0.0, 0.0, 60.0, 0.0, 90.0, 0.0, 1.0])
    second = ready(2, [0.0, 5.0, 0.0, 70.0, 0.0, 0.0, 0.0, 0.0])
    result = advance(RULE, GROUPS, NONE, (first, second), NOTHING)
    assert (int(result.winner), int(result.group)) == (1, 3)  # a regime before a symbol
    assert (result.champions[:, 2] == 2).all()
    assert (np.delete(result.champions, 2, axis=1) == 0).all()
    assert np.array_equal(result.cells, GROUPS.cells("high"))
    # All, high and every symbol have a cell in it; the other regimes have none.
    assert (result.trials[1].live.total == [0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).all()
    assert (result.trials[0].live.total[[0, 3, 5, 6, 7]] == 0).all()
    again = advance(RULE, GROUPS, result.champions, result.trials, NOTHING)
    assert again.winner == -1


def test_leading_axes_are_independent() -> None:
    both = np.stack([evidence(edge=1.0, seed=1), evidence(edge=0.0, seed=2)], axis=1)
    trials: tuple[Trial, ...] = tuple(begin(RULE, GROUPS, k, 0.02, shape=(2,)) for k in (1, 2))
    alone = [tuple(begin(RULE, GROUPS, k, 0.02) for k in (1, 2)) for _ in range(2)]
    champions, own = np.zeros((2, 3, 4), dtype=np.int64), [NONE, NONE]
    takes = 0
    for night in both:
        result = advance(RULE, GROUPS, champions, trials, night)
        champions, trials = result.champions, result.trials
        for path in range(2):
            one = advance(RULE, GROUPS, own[path], alone[path], night[path])
            own[path], alone[path] = one.champions, one.trials
            assert one.winner == result.winner[path]
            assert np.array_equal(one.champions, champions[path])
            for a, b in zip(one.trials, trials, strict=True):
                assert np.array_equal(a.live.total, b.live.total[path])
            takes += int(one.winner >= 0)
    assert takes == 1


def test_a_backtest_counts_with_its_scale() -> None:
    back = difference(evidence(nights=100, edge=0.5, seed=5), np.zeros((100, 3, 4), dtype=int), 1)
    trial = begin(RULE, GROUPS, 1, 0.02, backtest=back, recipes=4)
    assert trial.weight == RULE.discount
    assert trial.confirmation[0] == pytest.approx(1.0)
    assert trial.confirmation[-1] > trial.confirmation[1] > 1.5
    assert trial.backtest is not None
    assert trial.backtest.nights == 100
    assert (trial.live.count == trial.backtest.count).all()
    many = begin(RULE, GROUPS, 1, 0.02, backtest=back, recipes=1e8)
    assert many.weight == 0.0
    assert (many.z == begin(RULE, GROUPS, 1, 0.02).z).all()
    assert (many.live.count == trial.live.count).all()


def test_without_trials_nothing_changes() -> None:
    result = advance(RULE, GROUPS, NONE, (), evidence(nights=1)[0])
    assert result.winner == -1
    assert result.champions is NONE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"recipes": 0.5}, "0.5 recipes"),
        ({"recipes": np.nan}, "nan recipes"),
        ({"level": 1e-6}, "wait until older starts are 180 nights ago"),
        ({"level": 1.0}, "level 1"),
        ({"backtest": np.zeros((9, 2, 4))}, r"shape \(9, 2, 4\); give nights × 3 symbols"),
    ],
)
def test_what_can_not_be_is_refused(arguments: dict[str, Array | float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        begin(RULE, GROUPS, 1, **({"level": 0.02} | arguments))  # type: ignore[arg-type]
