"""Guardrails and abstention."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from registry.promotion.boundary import Rule
from registry.promotion.groups import Groups
from registry.promotion.guardrails import better_than_flat, guardrails, size
from registry.promotion.sums import Sums
from tests.registry.promotion.evidence import evidence

FINE = {
    "drawdown": 1.0, "allowance": 2.0, "missing": 0.0, "turnover": 1.0, "usual_turnover": 1.0,
    "intact": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"drawdown": 2.1}, "drawdown"),
        ({"missing": 0.11}, "missing share"),
        ({"turnover": 2.1}, "turnover"),
        ({"intact": False}, "integrity"),
    ],
)
def test_each_guardrail_sets_the_size_to_zero_and_says_why(
    change: dict[str, float], name: str
) -> None:
    assert size(guardrails(**FINE), True) == (1.0, "")  # type: ignore[arg-type]
    guards = guardrails(**(FINE | change))  # type: ignore[arg-type]
    assert [guard.name for guard in guards if guard.holds] == [name]
    amount, reason = size(guards, True)
    assert amount == 0.0
    assert reason.startswith(f"look: {name} ")


@pytest.mark.parametrize("unknown", ["drawdown", "allowance", "missing", "turnover"])
def test_what_is_unknown_holds_nobody_back_and_is_told(unknown: str) -> None:
    guards = guardrails(**(FINE | {unknown: math.nan}))  # type: ignore[arg-type]
    assert not any(guard.holds for guard in guards)
    assert sum(guard.reason == "unknown" for guard in guards) == 1


def test_a_champion_no_better_than_flat_abstains() -> None:
    assert size(guardrails(**FINE), False) == (0.0, "abstain: not credibly better than flat")  # type: ignore[arg-type]


def test_a_cell_is_credible_by_any_of_its_groups() -> None:
    groups, rule = Groups(("A", "B")), Rule()
    for seed in range(8):
        values = evidence(nights=90, symbols=2, lines=2, seed=seed)[..., 0]
        values[:, 0] += 0.3
        live = Sums.empty(len(groups.names)).add_all(groups.means(values), 3.0)
        quantile = {"all": 0.05 * 0.5, "regime": 0.05 * 0.3, "symbol": 0.05 * 0.2}
        ratio = live.total / np.sqrt(np.maximum(live.variance, live.active))
        by_name = dict(zip(groups.names, ratio, strict=True))
        cells = better_than_flat(rule, groups, live)
        for row, symbol in enumerate(groups.symbols):
            for column, regime in enumerate(groups.regimes):
                parts = {"all": "all", "regime": regime, "symbol": symbol}
                expected = any(by_name[n] >= norm.isf(quantile[k]) for k, n in parts.items())
                assert cells[row, column] == expected
    few = Sums.empty(len(groups.names)).add_all(groups.means(values[:29] + 9.0), 3.0)
    assert not better_than_flat(rule, groups, few).any()


def test_a_backtest_counts_at_its_weight_and_recipes_make_it_harder() -> None:
    groups, rule = Groups(("A",), ("low",)), Rule()
    hundred = np.array([100.0])
    back = Sums(hundred, hundred, np.array([60.0]), hundred, hundred, np.zeros(1), 100)
    none = Sums.empty(1)
    assert not better_than_flat(rule, groups, none, back).any()
    assert better_than_flat(rule, groups, none, back, weight=0.5).all()
    assert not better_than_flat(rule, groups, none, back, weight=0.5, recipes=1e9).any()
