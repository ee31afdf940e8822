"""Hamilton's positions and profit are those of the evaluation, bar by bar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from brain.costs import Costs
from brain.naming import REGIMES, Family, Regime
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.rules import decisions, fold_rule
from engine.evaluation.trading import trading_of
from engine.evaluation.walk_forward import Fold, TrainingPlan, out_of_sample
from engine.families import FittedModel, family
from engine.kernels.columns import Floats
from engine.kernels.position import PositionRule, positions
from engine.kernels.profit import position_profit
from serving import Hamilton, Limits
from serving.replay import journals
from tests.serving.desk import QUICK, Models, bars_of, head, sample

#: Daily bars with twelve missing among the test bars, few daily bars, and hourly ones.
SYMBOLS = ("ETH/USD", "LTC/USD", "BTC/USD")


def plan_of(dataset: Dataset) -> TrainingPlan:
    """As a night's. Of few bars, more are left to train on, or there is no dataset of them."""
    first = 0.75 if len(dataset) < 1000 else 0.5
    costs = Costs(fee=0.2, half_spread=0.0)  # so little that quick models trade
    return TrainingPlan(folds=3, first_test=first, costs=costs, seed=7, seeds=1)


class Walk:
    """A family's walk-forward, and each fold's own model and rule as the evaluation has them."""

    def __init__(self, name: Family, dataset: Dataset) -> None:
        self.name, self.dataset = name, dataset
        self.plan = plan_of(dataset)
        self.folds = self.plan.walk(len(dataset), dataset.reach)
        inner = self.plan.inner_walk(len(dataset), dataset.reach)
        self.earlier, self.prediction = (self._predictions(w) for w in (inner, self.folds))

    def _predictions(self, folds: tuple[Fold, ...]) -> Floats:
        return out_of_sample(
            family(self.name), self.dataset.features, self.dataset.target, folds,
            hyperparameters=QUICK[self.name], seed=self.plan.seed, seeds=1,
        )  # fmt: skip

    def model(self, fold: Fold) -> FittedModel:
        """The fold's own, fitted again by the evaluation's code."""
        rows = slice(fold.train_end)
        return family(self.name).fit(
            self.dataset.features[rows], self.dataset.target[rows],
            hyperparameters=QUICK[self.name], seed=self.plan.seed, seeds=1,
        )  # fmt: skip

    def rule(self, fold: Fold) -> PositionRule:
        """The rule that was known before the fold."""
        return fold_rule(self.prediction, self.earlier, self.dataset, fold, self.plan)


class Journal:
    """What Hamilton journaled of the rows of a dataset, missing bars included."""

    def __init__(self, folder: Path, dataset: Dataset) -> None:
        rows = {t: row for row, t in enumerate(dataset.close_time.as_unit("ns").asi8.tolist())}
        self.position, self.net, self.prediction = np.full((3, len(rows)), np.nan)
        (journal,) = journals(folder)
        for name, entry in journal.entries(journal.files):
            if name == "bar":
                row = rows[entry["bar"][0]]
                decision = entry["decision"]
                undecided = entry["side"] is None
                self.position[row] = np.nan if undecided else decision["position"]
                self.net[row] = np.nan if entry["profit"] is None else entry["profit"]
                self.prediction[row] = decision["prediction"] or np.nan


def drive(
    walks: Sequence[Walk],
    regimes: Sequence[Sequence[Regime]],
    folder: Path,
    rule: PositionRule | None = None,
) -> tuple[Journal, dict[Fold, list[PositionRule]]]:
    """Give Hamilton the test bars, and at each fold's first one the fold's models and rules."""
    dataset = walks[0].dataset
    bars, models = bars_of(sample(dataset.symbol)), Models(folder / "models")
    hamilton: Hamilton | None = None
    rules = {}
    for fold in walks[0].folds:
        past = make_dataset(head(sample(dataset.symbol), fold.test_start), horizon=dataset.horizon)
        rules[fold] = [rule or walk.rule(fold) for walk in walks]
        for walk, known, cells in zip(walks, rules[fold], regimes, strict=True):
            models.add(walk.model(fold), past, known, cells)
        if hamilton is None:
            hamilton = Hamilton(
                models, [dataset.symbol], limits=Limits.off(), journal=folder / "journal"
            )
        else:
            hamilton.reload(dataset.symbol)
        for bar in bars[fold.test_start : fold.test_end]:
            if np.isfinite(bar.close):
                hamilton.bar(dataset.symbol, *bar[1:], bar.close_time)
    assert hamilton is not None
    hamilton.close()
    return Journal(folder / "journal", dataset), rules


@pytest.mark.parametrize("symbol", [*SYMBOLS[:2], pytest.param(SYMBOLS[2], marks=pytest.mark.soak)])
@pytest.mark.parametrize("name", [Family.LIGHTGBM, Family.XGBOOST])
def test_trees_hold_and_earn_what_the_evaluation_says(
    name: Family, symbol: str, tmp_path: Path
) -> None:
    dataset = make_dataset(sample(symbol), horizon=6)
    walk = Walk(name, dataset)
    journal, _ = drive([walk], [REGIMES], tmp_path)
    choice = decisions(walk.prediction, walk.earlier, dataset, walk.folds, walk.plan)
    test = slice(walk.folds[0].test_start, None)
    assert np.array_equal(journal.position[test], choice.position[test], equal_nan=True)
    profit = trading_of(dataset, choice.cost).profit(choice.position).net
    assert np.allclose(journal.net[test], profit[test], rtol=0.0, atol=1e-12, equal_nan=True)
    if symbol == "ETH/USD":  # the quick models of the others are worth no cost
        assert_trades(journal, test)


@pytest.mark.parametrize(
    ("name", "symbol"), [(Family.LIGHTGBM, "BTC/USD"), (Family.XGBOOST, "LTC/USD")]
)
def test_trees_hold_and_earn_by_any_rule_what_the_kernels_say(
    name: Family, symbol: str, tmp_path: Path
) -> None:
    dataset = make_dataset(sample(symbol), horizon=6)
    walk = Walk(name, dataset)
    rule = PositionRule(6, 0.5, {Regime.LOW: 0.9, Regime.HIGH: -0.3}, 3.0, 4.0, dataset.fill)
    journal, rules = drive([walk], [REGIMES], tmp_path, rule)
    assert_as_composed(journal, walk.prediction, dataset, walk.folds, rules, [REGIMES])
    assert_trades(journal, slice(walk.folds[0].test_start, None))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("symbol", [*SYMBOLS[:2], pytest.param(SYMBOLS[2], marks=pytest.mark.soak)])
def test_the_lstm_holds_and_earns_what_the_evaluation_says_of_its_windows(
    symbol: str, tmp_path: Path
) -> None:
    dataset = make_dataset(sample(symbol), horizon=6)
    walk = Walk(Family.LSTM, dataset)
    journal, rules = drive([walk], [REGIMES], tmp_path)
    test = slice(walk.folds[0].test_start, None)
    known = dataset.regimes[test] >= 0
    scores, expected = journal.prediction[test][known], walk.prediction[test][known]
    assert np.allclose(scores, expected, rtol=0.0, atol=1e-6, equal_nan=True)
    # Both sides take the packaged graph's scores; slopes are those of the evaluation.
    assert_as_composed(journal, journal.prediction, dataset, walk.folds, rules, [REGIMES])


def test_champions_by_regime_hold_and_earn_what_the_kernels_say_of_composed_predictions(
    tmp_path: Path,
) -> None:
    dataset = make_dataset(sample("ETH/USD"), horizon=6)
    walks = [Walk(name, dataset) for name in Family]
    cells = [[Regime.LOW], [Regime.NORMAL, Regime.EXTREME], [Regime.HIGH]]
    journal, rules = drive(walks, cells, tmp_path)
    composed = np.full(len(dataset), np.nan)
    for walk, regimes in zip(walks, cells, strict=True):
        codes = [REGIMES.index(regime) for regime in regimes]
        mine = np.isin(dataset.regimes, codes)
        composed[mine] = walk.prediction[mine]
        if walk.name is Family.LSTM:
            composed[mine] = journal.prediction[mine]
    test = slice(walks[0].folds[0].test_start, None)
    assert np.array_equal(journal.prediction[test], composed[test], equal_nan=True)
    assert len(np.unique(dataset.regimes[test])) >= 3
    assert_as_composed(journal, composed, dataset, walks[0].folds, rules, cells)


def assert_trades(journal: Journal, test: slice) -> None:
    held = journal.position[test]
    assert set(held[np.isfinite(held)]) == {-1.0, 0.0, 1.0}
    assert np.nanstd(journal.net[test]) > 1e-4


def assert_as_composed(
    journal: Journal,
    prediction: Floats,
    dataset: Dataset,
    folds: Sequence[Fold],
    rules: dict[Fold, list[PositionRule]],
    cells: Sequence[Sequence[Regime]],
) -> None:
    """Positions and profit are the kernels', run on whole columns."""
    gain, threshold, cost = np.full((3, len(dataset)), np.nan)
    for fold in folds:
        test = np.zeros(len(dataset), dtype=np.bool_)
        test[fold.test_start : fold.test_end] = True
        for rule, regimes in zip(rules[fold], cells, strict=True):
            mine = test & np.isin(dataset.regimes, [REGIMES.index(r) for r in regimes])
            of_rule = rule.gain(prediction, dataset.volatility, dataset.regimes)
            gain[mine], threshold[mine] = of_rule[mine], rule.threshold
        # Of champions that were trained until the same bar, the last one's cost counts.
        cost[test] = rules[fold][-1].cost / 10_000
    first = folds[0].test_start
    expected = np.full(len(dataset), np.nan)
    expected[first:] = positions(gain[first:], threshold[first:], dataset.horizon)
    assert np.array_equal(journal.position[first:], expected[first:], equal_nan=True)
    profit = position_profit(
        expected[first:], dataset.fill_price[first:], dataset.close[first:],
        horizon=dataset.horizon, cost=cost[first:],
    )  # fmt: skip
    net = profit.net
    assert np.allclose(journal.net[first:], net, rtol=0.0, atol=1e-12, equal_nan=True)
