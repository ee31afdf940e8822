"""What a trained model leaves on the tracking server, as MLflow's UI groups and orders it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine import logbook
from engine.datasets import Dataset, make_dataset
from engine.judging import ALL, judge
from engine.packaging import regime_document
from engine.recipes import Recipe
from engine.training import Trained
from market.files import read_folder, sample_folder
from registry.entries import Version
from registry.naming import REGIMES, Family

SYMBOL = "LTC/USD"


@pytest.fixture(scope="module")
def data() -> Dataset:
    return make_dataset(read_folder(sample_folder(), (SYMBOL,)).series[SYMBOL], horizon=6)


@pytest.fixture(scope="module")
def done(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    prediction = np.where(np.arange(len(data)) < 400, np.nan, data.features[:, 0])
    judgements = judge(
        prediction,
        data.label,
        data.forward_return,
        data.regimes,
        horizon=data.horizon,
        cost=0.0005,
        bars_per_year=data.bars_per_year,
    )
    return Trained(
        symbol=SYMBOL,
        family=Family.LIGHTGBM,
        recipe=Recipe(Family.LIGHTGBM, "bars-1", 6, {"rounds": 2}, 7, data.trained_until),
        search=None,
        judgements=judgements,
        prediction=prediction,
        net=prediction,
        folder=tmp_path_factory.mktemp("model"),
        seconds={"refit": 1.0},
    )


def test_a_regimes_dataset_is_the_same_every_night_and_another_for_another_question(
    data: Dataset,
) -> None:
    tomorrow = replace(data, digest="another", label=np.append(data.label, 0.0))
    assert regime_document(tomorrow) == regime_document(data)
    keys = (*REGIMES, ALL)
    today = [logbook._dataset(data, key).digest for key in keys]
    assert [logbook._dataset(tomorrow, key).digest for key in keys] == today
    assert len(set(today)) == len(keys)
    for other in (replace(data, horizon=7), replace(data, symbol="BTC/USD")):
        assert not {logbook._dataset(other, key).digest for key in keys} & set(today)


def test_the_headline_comes_first_and_a_key_without_a_regime_shows_all_bars(
    data: Dataset, done: Trained
) -> None:
    version = Version(SYMBOL, 1, Family.LIGHTGBM, "r", "d", data.trained_until, "run", "m-1")
    datasets = {key: logbook._dataset(data, key) for key in (*REGIMES, ALL)}
    figures = list(logbook._figures(done, datasets, version))
    assert list(dict.fromkeys(f.key for f in figures))[:2] == ["net_sharpe", "net_sharpe_error"]
    last = {f.key: f for f in figures}
    assert last["net_sharpe"].value == done.judgements[ALL].net_sharpe.value
    assert last["net_sharpe"].dataset is datasets[ALL]
    for regime in REGIMES:
        judged = done.judgements[regime]
        assert last[f"{regime}/bars"].value == judged.bars
        shown = last.get(f"{regime}/net_sharpe")
        known = np.isfinite(judged.net_sharpe.value)
        assert (shown is not None) == known  # unknown is not zero
        assert shown is None or shown.value == judged.net_sharpe.value


def test_the_note_begins_with_the_headline_and_shows_every_regime(
    data: Dataset, done: Trained
) -> None:
    note = logbook._note(data, done, "LINKS")
    sharpe = done.judgements[ALL].net_sharpe
    assert note.startswith(f"Net Sharpe {sharpe.value:.2f} ± {sharpe.error:.2f} of")
    assert "LINKS" in note
    for regime in REGIMES:
        assert f"**{regime}**" in note
    assert "unknown" in note  # the sample has no bars of the extreme regime to judge on
