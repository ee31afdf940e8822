"""The table of an evaluation adds up to all that was earned, and says itself what it is of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.naming import REGIMES
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.metrics import net_returns
from engine.evaluation.profit_table import out_of_sample_table, profit_columns
from engine.evaluation.trading import Trading, always_in, trading_of
from engine.kernels.columns import Floats
from tests.engine.simulate import simulate

HORIZON = 4
FIRST = 700


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Bars with gaps, one of them longer than the horizon."""
    bars = simulate(1000, strength=0.3, seed=3, symbol="SIM/USD").bars
    frame = bars.frame.copy()
    frame.iloc[[750, 751, *range(800, 808), 900]] = np.nan
    return make_dataset(replace(bars, frame=frame), horizon=HORIZON)


@pytest.fixture(scope="module")
def prediction(data: Dataset) -> Floats:
    """Unknown before the test span, and for a while within it."""
    values = np.random.default_rng(0).standard_normal(len(data))
    values[:FIRST] = np.nan
    values[840:860] = np.nan
    return values


@pytest.fixture(scope="module")
def trading(data: Dataset) -> Trading:
    return trading_of(data, 0.001)


@pytest.fixture(scope="module")
def table(data: Dataset, prediction: Floats, trading: Trading) -> pd.DataFrame:
    columns = profit_columns(always_in(prediction), trading)
    return out_of_sample_table(data, prediction, columns)


def test_the_columns_sum_to_the_whole_profit(
    table: pd.DataFrame, prediction: Floats, trading: Trading
) -> None:
    position = always_in(prediction)
    whole, late = trading.profit(position), trading.profit(position, delay=1)
    assert table["gross"].sum() == pytest.approx(np.nansum(whole.gross), abs=1e-14)
    assert table["net"].sum() == pytest.approx(np.nansum(whole.net), abs=1e-14)
    assert table["delayed"].sum() == pytest.approx(np.nansum(late.gross), abs=1e-14)
    assert len({round(table[name].sum(), 6) for name in ("gross", "net", "delayed")}) == 3
    np.testing.assert_array_equal(table["net"], net_returns(position, trading)[FIRST:])


def test_what_is_held_earns_in_rows_without_a_prediction(table: pd.DataFrame) -> None:
    silent = table[table["prediction"].isna()]
    assert len(silent) == 20
    assert silent["net"].notna().sum() == HORIZON + 1  # the fill that closes the last lies in a bar
    assert silent["net"].abs().sum() > 0


def test_rows_run_from_the_first_prediction_on(table: pd.DataFrame, data: Dataset) -> None:
    assert table.index.equals(data.close_time[FIRST:].rename("close_time"))
    known = [REGIMES[code] if code >= 0 else None for code in data.regimes[FIRST:]]
    assert table["regime"].astype(object).where(table["regime"].notna(), None).tolist() == known
    missing = table["close"].isna()
    assert missing.sum() == 11
    assert table.loc[missing, ["gross", "net", "delayed"]].isna().all(axis=None)


def test_a_stored_table_says_what_it_is_of(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_parquet(tmp_path / "table.parquet")
    stored = pd.read_parquet(tmp_path / "table.parquet")
    pd.testing.assert_frame_equal(stored, table, check_freq=False)
    assert stored.attrs == {
        "symbol": "SIM/USD",
        "timeframe": "1h",
        "horizon": HORIZON,
        "fill": "filled at the next 1h bar's open",
    }


def test_without_a_prediction_there_is_no_row(data: Dataset, trading: Trading) -> None:
    nothing = np.full(len(data), np.nan)
    table = out_of_sample_table(data, nothing, profit_columns(nothing, trading))
    assert len(table) == 0
    assert table["net"].dtype == np.float64
