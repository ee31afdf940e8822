"""Bars seen through a spread: where nothing can be predicted nothing is traded, else it is.

A close at the bid or at the ask is pulled back by the next trade. Whoever fills at the close that
the features saw is paid for that; whoever fills after it is not.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.costs import Costs
from brain.naming import Family, symbol_name
from brain.records import Evidence
from brain.series.bars import Bars
from engine.data.dataset import make_dataset
from engine.evaluation.metrics import evaluate
from engine.evaluation.rules import decisions
from engine.evaluation.trading import ALL, trading_of
from engine.evaluation.walk_forward import TrainingPlan, out_of_sample
from engine.families import family
from registry.library import BrainLibrary
from tests.engine.quotes import simulate_quotes
from tests.jobs import run_job, shorten

ROOT = Path(__file__).parents[1]
HALF_SPREADS = (5.0, 15.0, 30.0)
SETTINGS = [(half, repeated) for half in HALF_SPREADS for repeated in (False, True)]
PATHS = 20
ROWS = 3000
VOLATILITY = 0.006
FEE = 1.0


def quotes(half: float, repeated: bool, seed: int, *, signal: float = 0.0, symbol: str) -> Bars:
    return simulate_quotes(
        ROWS,
        half_spread_bp=half,
        volatility=VOLATILITY,
        seed=seed,
        repeated_opens=repeated,
        signal=signal,
        symbol=symbol,
    )


def lightgbm(bars: Bars) -> Evidence:
    """Over all bars, as a night evaluates it without a search."""
    dataset, plan = make_dataset(bars, horizon=6), TrainingPlan(costs=Costs(fee=FEE))
    walks = (plan.inner_walk(len(dataset), dataset.reach), plan.walk(len(dataset), dataset.reach))
    earlier, prediction = (
        out_of_sample(
            family(Family.LIGHTGBM),
            dataset.features,
            dataset.target,
            walk,
            hyperparameters={},
            seed=7,
        )
        for walk in walks
    )
    choice = decisions(prediction, earlier, dataset, walks[1], plan)
    trading = trading_of(dataset, choice.cost)
    return evaluate(prediction, dataset.target, dataset.forward_return, trading, choice.position)[
        ALL
    ]


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_signal_is_found_in_a_bounce_and_none_is_traded() -> None:
    above = 0
    for half, repeated in SETTINGS:
        paths = [
            lightgbm(quotes(half, repeated, seed, symbol="SIM/USD"))
            for seed in range(int(1000 * half), int(1000 * half) + PATHS)
        ]
        signs = np.array([path.sign_gross_sharpe.value for path in paths])
        nets = np.array([path.net_sharpe.value for path in paths])
        single = sum(path.sign_gross_sharpe.interval()[0] > 0 for path in paths)
        traded = nets[np.isfinite(nets)]
        print(
            f"half {half:g} bp, opens {'repeated' if repeated else 'own'}: sign, gross "
            f"{signs.mean():+.2f} ± {_error(signs):.2f}, {single} of {PATHS} above 0; "
            f"rule, net {traded.mean() if traded.size else np.nan:+.2f} in {traded.size} paths, "
            f"{np.mean([path.positions for path in paths]):.0f} positions"
        )
        assert abs(signs.mean()) < 2.09 * _error(signs)  # Student's, 19 degrees
        if traded.size > 2:
            assert traded.mean() < 2.0 * _error(traded)
        above += single
    assert above <= 7


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


@pytest.mark.parametrize("repeated", [False, True])
def test_a_signal_that_lasts_is_found_and_traded_at_costs_below_it(repeated: bool) -> None:
    evidence = lightgbm(quotes(1.0, repeated, 4, signal=0.2, symbol="SIM/USD"))
    assert evidence.sign_gross_sharpe.interval()[0] > 0
    assert evidence.net_sharpe.interval()[0] > 0
    assert evidence.positions is not None
    assert evidence.positions > 300
    assert evidence.gain_bp.value > 2 * (FEE + 1.0)


def test_one_path_without_a_signal_earns_nothing() -> None:
    evidence = lightgbm(quotes(15.0, True, 15_000, symbol="SIM/USD"))
    assert not evidence.beats_flat
    assert evidence.sign_gross_sharpe.interval()[0] < 0


#: Bars after the night.
NEW = 48


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_hamilton_stays_flat_where_nothing_can_be_predicted(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three families, a search, a champion of each regime: of every half spread and open."""
    folder = tmp_path / "bars"
    folder.mkdir()
    files: dict[str, tuple[Path, pd.DataFrame]] = {}
    for number, (half, repeated) in enumerate(SETTINGS):
        symbol = f"SIM{number}/USD"
        bars = quotes(half, repeated, 100 + number, symbol=symbol)
        files[symbol] = folder / f"{symbol_name(symbol)}_1h.parquet", bars.frame
        bars.frame[:-NEW].to_parquet(files[symbol][0])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    shorten(monkeypatch)
    outcome = run_job("nightly", "--bars", str(folder), "--trials", "2", "--fee_bps", str(FEE))
    assert outcome.code == 0, outcome.err
    library = BrainLibrary(sqlite_dsn)
    for symbol, (file, frame) in files.items():
        frame.to_parquet(file)
        for champion in library.champions(symbol):
            assert not champion.record.evidence.beats_flat, champion
        done = subprocess.run(
            [sys.executable, "-m", "examples.hamilton", symbol, "--bars", str(folder), "--replay"],
            cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        decisions = done.stdout.splitlines()
        assert len(decisions) == NEW
        assert all("position +0.0000, hold +0.0000: " in line for line in decisions)
