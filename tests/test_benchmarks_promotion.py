"""The benchmark of promotions: its markets, its figures, and the rules beside the trial."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks import promotion
from benchmarks.promotion import bounds, report, run
from benchmarks.promotion_cases import Case, best_of, mixture_cases, null_cases, power_cases
from benchmarks.promotion_markets import Market, Nights, simulate
from benchmarks.promotion_rivals import (
    betting,
    deflate,
    mixture,
    naive,
    overfit_probability,
    standardised,
    step_m,
)
from benchmarks.promotion_rollback import alarms, fallen
from benchmarks.promotion_trials import Outcome, try_lines
from registry.promotion.boundary import Rule


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- markets ------------------------------------------------------------------------------------


def test_lines_and_symbols_correlate_as_they_should() -> None:
    profits = simulate(Market(symbols=4), 400, rng()).profits.astype(float)
    # Tails of t with three degrees of freedom make plain correlations wander.
    ranks = np.clip(profits, -2.0, 2.0)
    lines = np.corrcoef(ranks[1].ravel(), ranks[2].ravel())[0, 1]
    symbols = np.corrcoef(ranks[0, ..., 0].ravel(), ranks[0, ..., 1].ravel())[0, 1]
    assert lines == pytest.approx(0.8, abs=0.05)
    assert symbols == pytest.approx(0.3, abs=0.05)


def test_an_edge_is_the_annual_sharpe_ratio_of_a_profit() -> None:
    even, better = (simulate(Market(symbols=4, edge=e), 400, rng(1)).profits for e in (0.0, 2.0))
    added = (better[1] - even[1]).mean()
    assert added * math.sqrt(365) / even[0].std() == pytest.approx(2.0, abs=0.15)
    assert np.array_equal(better[0], even[0])
    assert np.array_equal(better[2], even[2])


def test_an_edge_is_where_and_when_it_should_be() -> None:
    market = Market(symbols=3, edge=2.0, edge_regimes=(2,), edge_symbols=2)
    even = simulate(market.with_(edge=0.0), 50, rng(2))
    better = simulate(market, 50, rng(2))
    added = (better.profits[1] - even.profits[1])[..., None] * better.shares
    assert (added[..., 2, :] == 0).all()
    assert (added[..., :2, [0, 1, 3]] == 0).all()
    assert added[..., :2, 2].max() > 0
    edges = market.edges()
    assert edges[1, :2, 2].tolist() == [2.0, 2.0]
    assert edges.sum() == 4.0
    turned = simulate(Market(symbols=3, edge=2.0, later=(90, -1.0)), 50, rng(2)).profits[1]
    plain = simulate(Market(symbols=3), 50, rng(2)).profits[1]
    assert (turned - plain)[:, :90].min() > 0
    assert (turned - plain)[:, 90:].max() < 0


def test_regimes_have_their_shares_and_a_night_is_whole() -> None:
    nights = simulate(Market(symbols=4), 200, rng(3))
    assert nights.shares.mean(axis=(0, 1, 2)) == pytest.approx([0.25, 0.5, 0.2, 0.05], abs=0.02)
    assert (nights.shares.sum(axis=-1) == 1).all()
    whole = np.nansum(nights.cells(1), axis=-1)
    assert whole == pytest.approx(nights.profits[1] - nights.profits[0], abs=1e-4)
    night = nights.night(17)
    assert np.nansum(night, axis=2)[..., 2] == pytest.approx(nights.profits[2, :, 17], abs=1e-4)


def test_a_skewed_line_has_no_edge_and_many_small_gains() -> None:
    nights = simulate(Market(symbols=4, skewed=True), 400, rng(4))
    difference = (nights.profits[1] - nights.profits[0]).ravel()
    assert abs(difference.mean()) < 4 * difference.std() / math.sqrt(difference.size / 2)
    assert np.median(difference) > 0.01


# --- trials and figures -------------------------------------------------------------------------


def test_bounds_are_clopper_and_pearsons() -> None:
    low, high = bounds(27, 1000)
    assert binom.sf(26, 1000, low) == pytest.approx(0.05)
    assert binom.cdf(27, 1000, high) == pytest.approx(0.05)
    assert bounds(0, 100)[0] == 0.0
    assert bounds(0, 100)[1] == pytest.approx(1 - 0.05**0.01)
    assert bounds(100, 100)[1] == 1.0


def test_a_case_of_no_edge_and_of_a_large_one() -> None:
    null = run(Case("none", Market(symbols=5)), 120)
    assert np.isfinite(null.first).mean() < 0.08
    edge = run(Case("large", Market(symbols=5, edge=5.0)), 40)
    assert np.isfinite(edge.own).mean() > 0.9
    assert edge.oracle.mean() > 0.9
    gain, cells, without = edge.gains
    assert (gain > 0).mean() > 0.9
    assert cells.max() == 20
    assert (without <= cells).all()
    assert sum(edge.levels) == pytest.approx(np.isfinite(edge.first).mean())


def test_the_best_by_backtest_is_the_one_that_is_tried() -> None:
    nights = simulate(Market(symbols=2, lines=4, nights=430), 6, rng(5))
    chosen = best_of(3, nights)
    means = nights.profits[1:, :, :420].mean(axis=(2, 3))
    for path in range(6):
        assert np.array_equal(
            chosen.profits[1, path], nights.profits[1 + means[:, path].argmax(), path]
        )


def test_lines_that_have_to_wait_are_not_tried() -> None:
    nights = simulate(Market(symbols=2, lines=8, nights=60), 3, rng(6))
    outcome = try_lines(nights, Rule(nights=60), starts={k: 7 * k for k in range(1, 8)})
    assert outcome.group.shape == (60, 3)


def test_gains_of_promotions() -> None:
    edges = np.zeros((3, 2, 2))
    edges[1, 0] = 4.0
    cells = np.zeros((2, 1, 2, 2), dtype=bool)
    cells[0, 0, 0] = True  # line 1 takes the first symbol, where it is better
    cells[1, 0, :, 1] = True  # then line 2 a regime, from lines 1 and 0
    champions = np.zeros((2, 1, 2, 2), dtype=np.int64)
    champions[1, 0, 0] = 1
    outcome = Outcome(np.array([[1], [2]]), np.array([[5], [2]]), cells, champions)
    gain, count, wrong = outcome.gains(edges)
    assert gain.tolist() == [4.0, -2.0]
    assert count.tolist() == [2, 2]
    assert wrong.tolist() == [0, 2]
    assert outcome.first.tolist() == [1.0]
    assert outcome.first_of(2).tolist() == [2.0]
    assert outcome.first_of(2, group=5).tolist() == [math.inf]


def test_a_line_that_turns_bad_sets_off_an_alarm() -> None:
    market = Market(symbols=5, lines=2, edge=4.0, later=(150, -4.0), nights=300)
    worse, shortfall = alarms(market, 40, rng(7))
    assert np.isfinite(worse).mean() > 0.8
    assert (np.minimum(worse, shortfall) > 30).mean() > 0.9


def test_a_collapse_is_beyond_what_a_history_allows() -> None:
    market = Market(symbols=5, lines=2, nights=300, edge=2.0, heavy=False)
    same = fallen(market, 40, rng(8), 200)
    worse = fallen(market.with_(later=(200, -20.0)), 40, rng(8), 200)
    assert same.mean() < 0.3
    assert worse.mean() > 0.8


KINDS = {"wrong", "power", "mixture", "beside", "bars"}


@pytest.mark.soak
def test_the_report_has_every_case_with_its_bounds() -> None:
    result = report(1, 1, 1, 1)
    assert {record["kind"] for record in result.records} == KINDS
    for record in result.records:
        for name in ("wrong", "power") if record["kind"] == "bars" else ("share",):
            prefix = "" if name == "share" else f"{name}_"
            low, share, high = (record[key] for key in (f"{prefix}low", name, f"{prefix}high"))
            assert math.isnan(share) or low <= share <= high  # type: ignore[arg-type, operator]
    names = [str(record["case"]) for record in result.records]
    assert len(set(names)) == len(names)
    assert sum(
        name.startswith("power over an oracle's") for name in (m.name for m in result.metrics)
    )
    assert result.missed  # one path bounds no error rate by 5 %


@pytest.mark.parametrize(
    ("kind", "cases"),
    [("wrong", null_cases), ("power", power_cases), ("mixture", mixture_cases)],
)
def test_a_case_of_each_kind_has_its_bounds(kind: str, cases: Callable[[], Iterator[Case]]) -> None:
    """The short form of the report."""
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names)
    metrics, record, (text, _) = promotion._KINDS[kind](run(next(cases()), 2))
    low, share, high = (float(str(record[name])) for name in ("low", "share", "high"))
    assert low <= share <= high
    assert text == f"{share:.3f} ({low:.3f}–{high:.3f})"
    if kind == "wrong":
        assert [metric.holds for metric in metrics] == [False]  # two paths bound nothing by 5 %


# --- the rules beside the trial -----------------------------------------------------------------


def test_the_deflated_sharpe_ratio_as_published() -> None:
    """Bailey & López de Prado 2014, their numerical example."""
    value = deflate(np.array(2.5 / math.sqrt(250)), 0.1132, 1250, np.array(-3.0), np.array(10.0))
    assert value == pytest.approx(0.9004, abs=2e-4)


def test_the_probability_of_overfitting_of_a_loop() -> None:
    profits = rng(8).standard_normal((5, 66)) + np.linspace(0, 0.2, 5)[:, None]
    logits = []
    parts = profits[:, :64].reshape(5, 8, 8)
    for half in itertools.combinations(range(8), 4):
        rest = [k for k in range(8) if k not in half]
        inside, outside = (parts[:, list(k)].reshape(5, -1) for k in (half, rest))
        best = (inside.mean(axis=1) / inside.std(axis=1)).argmax()
        ratios = outside.mean(axis=1) / outside.std(axis=1)
        share = np.sum(ratios <= ratios[best]) / 6
        logits.append(math.log(share / (1 - share)))
    assert overfit_probability(profits, blocks=8) == pytest.approx(np.mean(np.array(logits) <= 0))


def test_a_better_line_by_step_m_is_one_by_arch() -> None:
    from arch.bootstrap import StepM

    profits = rng(9).standard_normal((4, 12, 120))
    profits[1, ::2] += 0.4
    expected = []
    for path in np.moveaxis(profits, 1, 0):
        test = StepM(-path[0], -path[1:].T, size=0.05, block_size=5, reps=500, seed=7)
        test.compute()
        expected.append(bool(test.superior_models))
    assert step_m(profits).tolist() == expected
    assert 0 < sum(expected) < 12


def sequences() -> np.ndarray:
    profits = rng(10).standard_normal((3, 30, 80))
    profits[1, ::3] += 0.5
    return profits


def test_the_sequential_rules_of_a_loop() -> None:
    profits = sequences()
    x = standardised(profits)
    expected: dict[str, list[bool]] = {"naive": [], "bets": [], "mixture": []}
    for path in range(30):
        naives, bets, mixed = False, False, False
        for line in (1, 2):
            difference = profits[line, path] - profits[0, path]
            for night in range(31, 81):
                part = difference[:night]
                naives |= part.mean() > 2.0 * part.std() / math.sqrt(night)
            wealth, total, clock = np.ones(10), 0.0, 0.0
            for k, value in enumerate(x[line - 1, path]):
                scale = math.sqrt(np.mean(difference[: k + 5] ** 2))
                assert value == pytest.approx(np.clip(difference[k + 5] / scale, -3, 3))
                wealth = wealth * (1.0 + np.linspace(0.05, 0.95, 10) * value / 3.0)
                bets |= wealth.mean() >= 2 / 0.05
                total, clock = total + value, clock + max(value**2, 1.0)
                wide = 1.0 + clock * 0.15**2
                ratio = math.exp(0.15**2 * total**2 / (2 * wide)) / math.sqrt(wide)
                mixed |= total > 0 and ratio >= 20
        for name, answer in (("naive", naives), ("bets", bets), ("mixture", mixed)):
            expected[name].append(bool(answer))
    assert naive(profits).tolist() == expected["naive"]
    assert betting(profits).tolist() == expected["bets"]
    assert mixture(profits).tolist() == expected["mixture"]
    assert all(0 < sum(answers) < 30 for answers in expected.values())


def test_nights_without_a_share_are_unknown() -> None:
    shares = np.array([[[[1.0, 0.0]]]], dtype=np.float32)
    nights = Nights(np.ones((2, 1, 1, 1), dtype=np.float32), shares)
    assert np.isnan(nights.cells(1)[0, 0, 0]).tolist() == [False, True]
    assert np.isnan(nights.night(0)[0, 0]).tolist() == [[False, False], [True, True]]
