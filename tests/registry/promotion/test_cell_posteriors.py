"""Cells' estimates from their nights, against loops; and what all of them say of each."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from brain.confidence import BLOCK_DAYS, COVERAGE
from brain.naming import REGIMES
from registry.promotion.cell_posteriors import MIN_NIGHTS, cell_estimates, cell_posteriors
from registry.promotion.history import History
from registry.promotion.posterior import Pool
from tests.registry.promotion.evidence import Array
from tests.registry.promotion.nights import live


def history(profit: Array, *, backtest: int = 0, weekdays: bool = False) -> History:
    """Nights of (nights, symbols, regimes, lines), the first of which are a backtest's."""
    zero, shape = np.zeros(profit.shape), profit.shape
    bars = zero + 24.0
    if weekdays:
        closed = np.arange(len(profit)) % 7 >= 5
        profit, bars = profit.copy(), bars.copy()
        profit[closed], bars[closed] = np.nan, np.nan
    is_live = np.broadcast_to((np.arange(len(profit)) >= backtest)[:, None, None, None], shape)
    return History(
        0, tuple(f"S{k}" for k in range(shape[1])), tuple(f"line {k}" for k in range(shape[3])),
        profit, zero, zero, zero + 1.0, bars, is_live.copy(), zero.astype(np.int64),
    )  # fmt: skip


NIGHTS = history(live(140, edge=0.2, seed=4, symbols=3), backtest=60)


def test_estimates_are_those_of_loops() -> None:
    found = cell_estimates(NIGHTS)
    for i, j, k in np.ndindex(found.sharpe.shape):
        profit, is_live = NIGHTS.profit[:, i, j, k], NIGHTS.live[:, i, j, k]
        rows = np.isfinite(profit)
        x, w = profit[rows], np.where(is_live[rows], 1.0, 0.5)
        mean = (w * x).sum() / w.sum()
        variance = (w * (x - mean) ** 2).sum() / w.sum() * len(x) / (len(x) - 1)
        n = w.sum()
        assert found.sharpe[i, j, k] == pytest.approx(mean / math.sqrt(variance) * 365.25**0.5)
        error = math.sqrt(365.25 / n * (n - 1) / (n - 3))
        assert found.error[i, j, k] == pytest.approx(error)
        assert found.nights[i, j, k] == len(x)
        assert found.share[i, j, k] == len(x) / 140


def test_a_year_has_the_nights_that_have_bars() -> None:
    whole, five = (cell_estimates(history(live(140), weekdays=w)) for w in (False, True))
    n = five.nights[0, 0, 0]
    days = 365.25 * 100 / 138  # of the last one of seven nights two have none
    assert five.error[0, 0, 0] == pytest.approx(math.sqrt(days / n * (n - 1) / (n - 3)))
    assert whole.share[0, 0, 0] == pytest.approx(five.share[0, 0, 0], abs=0.1)


def test_correlations_are_the_means_of_the_pairs() -> None:
    rng = np.random.default_rng(5)
    profit = (
        NIGHTS.profit + rng.standard_normal((140, 1, 4, 1)) + rng.standard_normal((140, 1, 1, 1))
    )
    found = cell_estimates(history(profit)).correlations
    x = np.where(np.isfinite(profit), profit - np.nanmean(profit, axis=0), 0.0)
    x /= np.sqrt((x**2).sum(axis=0))
    pairs: dict[object, list[float]] = {}
    cells = list(np.ndindex(x.shape[1:]))
    for (i, j, k), (p, q, r) in itertools.permutations(cells, 2):
        value = float(x[:, i, j, k] @ x[:, p, q, r])
        if i == p and j == q:
            pairs.setdefault("lines", []).append(value)
        elif i != p:
            pairs.setdefault(("regime", j) if j == q else "anywhere", []).append(value)
    means = {name: float(np.mean(values)) for name, values in pairs.items()}
    assert found.anywhere == pytest.approx(means["anywhere"])
    assert found.lines == pytest.approx(means["lines"])
    assert found.regimes == pytest.approx([means["regime", j] for j in range(4)])
    assert min(found.regimes) > found.anywhere + 0.1 > 0.2


def test_cells_have_the_posteriors_of_the_pool() -> None:
    estimates, found = cell_estimates(NIGHTS), cell_posteriors(NIGHTS)
    known = estimates.known
    assert known.all()
    assert len(found.cells) == 36
    pool = Pool(estimates.sharpe[known], estimates.error[known],
                *estimates.correlations.structure(known))  # fmt: skip
    mixtures = pool.posteriors()
    cells = [(s, str(r), k) for s in NIGHTS.symbols for r in REGIMES for k in NIGHTS.lines]
    for c, name in enumerate(cells):
        p = found.cells[name]
        assert p.mean == pytest.approx(mixtures.mean[c])
        assert p.positive == pytest.approx(mixtures.positive()[c])
        assert p.share is not None
        years = BLOCK_DAYS / 365.25 * p.share
        assert p.next_block == pytest.approx(mixtures.gain(years)[c])
        assert p.next_year == pytest.approx(mixtures.gain(1.0)[c])
        assert p.low == pytest.approx(mixtures.quantile((1 - COVERAGE) / 2)[c])
        assert (p.prior, p.nights) == (found.prior, estimates.nights[known][c])
    assert (found.prior.cells, (found.prior.mean, found.prior.spread)) == (36, pool.prior())
    better = np.mean([found.cells[name].positive for name in cells if name[2] == "line 2"])
    assert better > np.mean([found.cells[name].positive for name in cells]) > 0.4


def test_a_cell_that_held_something_in_few_nights_has_none() -> None:
    profit = NIGHTS.profit.copy()
    known = np.flatnonzero(np.isfinite(profit[:, 0, 0, 0]))
    profit[known[MIN_NIGHTS - 1 :], 0, 0, 0] = np.nan
    held = np.flatnonzero(np.nan_to_num(profit[:, 1, 2, 1]))
    profit[held[MIN_NIGHTS - 1 :], 1, 2, 1] = 0.0  # nights in which nothing was held
    found = cell_posteriors(replace(NIGHTS, profit=profit)).cells
    assert len(found) == 34
    assert {("S0", "low", "line 0"), ("S1", "high", "line 1")}.isdisjoint(found)


def test_nothing_is_known_of_nothing() -> None:
    nothing = cell_posteriors(history(np.empty((0, 2, 4, 3))))
    assert (nothing.cells, nothing.missing, nothing.prior.cells) == ({}, {}, 0)
    unknown = cell_posteriors(history(np.full((30, 2, 4, 3), np.nan)))
    assert (unknown.cells, unknown.prior) == ({}, nothing.prior)


def test_the_newest_nights_missing_share_is_told() -> None:
    missing = np.full(NIGHTS.profit.shape, np.nan)
    missing[10, 0, :, 0], missing[20, 0, :, 0], missing[20, 1, :, 2] = 0.5, 0.25, 0.0
    found = cell_posteriors(replace(NIGHTS, missing=missing)).missing
    assert found == {("S0", "line 0"): 0.25, ("S1", "line 2"): 0.0}
