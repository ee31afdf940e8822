"""The machine learns where there is something to learn, and finds nothing where there is nothing.

Everything goes through the machine's own parts with the families' defaults: features and targets,
the purged walk-forward, the evidence with its error bars.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from brain.naming import Family
from brain.records import Evidence
from brain.series.bars import Bars
from brain.series.files import read_folder, sample_folder
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.metrics import evaluate, net_returns, paired_difference
from engine.evaluation.trading import ALL, trading_of
from engine.evaluation.walk_forward import TrainingPlan, out_of_sample
from engine.families import family
from engine.kernels.targets import next_absolute_return
from tests.engine.simulate import simulate

Array = NDArray[np.float64]

#: Chosen before the first run, and left alone since.
SEED = 1
COST = 0.0005
each_family = pytest.mark.parametrize("name", list(Family))


def predict(dataset: Dataset, name: Family, plan: TrainingPlan) -> Array:
    """Out-of-sample predictions of the dataset's target."""
    model = family(name)
    walk = plan.walk(len(dataset), dataset.reach)
    return out_of_sample(
        model,
        dataset.features,
        dataset.target,
        walk,
        hyperparameters=model.defaults(),
        seed=plan.seed,
    )


def evaluation(prediction: Array, dataset: Dataset) -> Evidence:
    return evaluate(
        prediction,
        dataset.target,
        dataset.forward_return,
        trading_of(dataset, COST),
    )[ALL]


# --- the size of the next return, which is known to be predictable ------------------------------


@pytest.fixture(scope="module")
def hourly() -> Bars:
    return read_folder(sample_folder(), ["BTC/USD"]).bars["BTC/USD"]


@pytest.mark.sampled("name")
@each_family
@pytest.mark.parametrize("folds", [1, pytest.param(3, marks=pytest.mark.soak)])
def test_the_size_of_the_next_return_is_foretold_as_well_as_by_the_last_day(
    hourly: Bars, name: Family, folds: int
) -> None:
    """The target is |log return| as it is: each family's loss must cope with its tails.

    Several folds are evaluated on the same bars as one, and learn from more.
    """
    close = hourly.frame["close"]
    size = next_absolute_return(close.to_numpy())
    dataset = replace(make_dataset(hourly, horizon=1), target=size)
    last_day = np.log(close).diff().abs().rolling(24).mean().to_numpy()

    prediction = predict(dataset, name, TrainingPlan(folds=folds))
    both = np.isfinite(prediction) & np.isfinite(last_day)
    evidence = evaluation(np.where(both, prediction, np.nan), dataset)
    plain = evaluation(np.where(both, last_day, np.nan), dataset)

    assert evidence.bars is not None
    assert evidence.bars == plain.bars
    assert evidence.bars > 10_000
    assert evidence.rank_ic.value >= 0.35
    assert evidence.rank_ic.value >= plain.rank_ic.value - 0.05


# --- a return signal of known strength ----------------------------------------------------------

#: Much to learn from and little to evaluate on: what a model has not yet learnt of the signal is
#: then small beside the error of its evidence. With 2,000 bars to learn from it is not.
LATE = TrainingPlan(folds=1, first_test=0.8)


@dataclass(frozen=True)
class Planted:
    """A dataset with a signal, the same with shuffled targets, and what a family makes of both."""

    dataset: Dataset
    signal: Array
    shuffled: Dataset
    name: Family
    prediction: Array
    from_shuffled: Array


@pytest.fixture(scope="module", params=list(Family), ids=str)
def planted(request: pytest.FixtureRequest) -> Planted:
    simulation = simulate(10_000, strength=0.3, seed=SEED)
    dataset = make_dataset(simulation.bars, horizon=1)
    target = np.random.default_rng(SEED).permutation(dataset.target)
    shuffled = replace(dataset, target=target)
    return Planted(
        dataset,
        simulation.signal,
        shuffled,
        request.param,
        predict(dataset, request.param, LATE),
        predict(shuffled, request.param, LATE),
    )


def test_a_planted_signal_is_found_at_its_strength(planted: Planted) -> None:
    """The planted value is the rank correlation of the true signal, on the same rows."""
    valid = np.isfinite(planted.prediction)
    truth = evaluation(np.where(valid, planted.signal, np.nan), planted.dataset)
    evidence = evaluation(planted.prediction, planted.dataset)
    low, high = evidence.rank_ic.interval()

    assert truth.bars == evidence.bars == 1998
    assert truth.rank_ic.value == pytest.approx(0.3, abs=0.05)
    assert 0 < low < truth.rank_ic.value < high


def test_a_planted_signal_earns_more_than_no_signal(planted: Planted) -> None:
    evidence = evaluation(planted.prediction, planted.dataset)
    assert evidence.hit_rate.interval()[0] > 0.5
    assert evidence.net_sharpe.interval()[0] > 0

    net, none = (
        net_returns(np.sign(prediction), trading_of(planted.dataset, COST))
        for prediction in (planted.prediction, planted.from_shuffled)
    )
    more = paired_difference(net, none, horizon=1)
    assert more.value > 2 * more.error


def test_nothing_is_found_under_shuffled_targets(planted: Planted) -> None:
    """Three standard errors: a false alarm in one of a hundred changes of whatever is random.

    Over 24 other shuffles LightGBM's mean is .004 ± .005.
    """
    low, high = evaluation(planted.from_shuffled, planted.shuffled).rank_ic.interval(3)
    assert low < 0 < high


def test_whoever_has_seen_the_shuffled_targets_is_found_out(planted: Planted) -> None:
    """The test above can fail: a model that was trained on what it is evaluated on does."""
    shuffled, tested = planted.shuffled, np.isfinite(planted.from_shuffled)
    rows, target = shuffled.features[tested], shuffled.target[tested]
    model = family(planted.name).fit(rows, target, hyperparameters={}, seed=LATE.seed)
    prediction = np.full(len(shuffled), np.nan)
    prediction[tested] = model.predict(rows)
    assert evaluation(prediction, shuffled).rank_ic.interval()[0] > 0


def test_simulated_bars_hide_the_signal_from_everything_but_the_shadows() -> None:
    simulation = simulate(3000, strength=0.3, seed=2)
    frame = simulation.bars.frame
    tops, bottoms = frame[["open", "close"]].max(axis=1), frame[["open", "close"]].min(axis=1)
    above, below = np.log(frame["high"] / tops), np.log(bottoms / frame["low"])
    share = (below / (above + below)).to_numpy()
    np.testing.assert_allclose((share - 0.5) * np.sqrt(12), simulation.signal, atol=1e-9)
    following = np.log(frame["close"]).diff().shift(-1)
    for column in ("volume", "close"):
        change = np.log(frame[column]).diff()
        assert abs(change.corr(following)) < 0.06  # three standard errors
