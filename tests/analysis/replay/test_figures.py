"""Figures of strategies, with errors, against slow and plain ones."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from analysis.replay.figures import Comparison, compare
from analysis.replay.report import ReplayReport
from analysis.replay.strategies import CHAMPIONS, FLAT, LONG, Held
from brain.errors import NotEnoughBarsError

NAMES = (CHAMPIONS, "line", LONG, FLAT)
NIGHTS = 60


def one(seed: int, days: range, *, unknown: int | None = None) -> Held:
    rng = np.random.default_rng(seed)
    net = 0.01 * rng.standard_normal((len(days), len(NAMES))) + 0.002
    net[:, NAMES.index(FLAT)] = 0.0
    if unknown is not None:
        net[unknown, 1] = np.nan
    turnover = np.abs(rng.standard_normal(net.shape))
    return Held(np.array(days), NAMES, net, turnover, rng.random(net.shape) < 0.4, ())


def compared(*held: Held, bars: float = 24.0, horizon: int = 6) -> Comparison:
    names = [f"S{k}" for k in range(len(held))]
    return compare(held, names, [bars] * len(held), horizon)


def test_the_capital_is_shared_out_to_the_symbols_on_nights_that_are_known() -> None:
    first, second = one(1, range(NIGHTS), unknown=7), one(2, range(10, NIGHTS + 5))
    result = compared(first, second)
    net = np.zeros((NIGHTS + 5, len(NAMES)))
    net[:NIGHTS] += first.net / 2
    net[10:] += second.net / 2
    known = np.arange(NIGHTS + 5) != 7
    np.testing.assert_allclose(result.nights.to_numpy(), net[known], rtol=1e-12)
    assert (result.unknown, result.symbols) == (1, ("S0", "S1"))
    assert result.nights.index[0] == pd.Timestamp("1970-01-02", tz="UTC")
    figures = {f.name: f for f in result.figures}
    line = figures["line"]
    assert line.total.value == pytest.approx(net[known, 1].sum())
    assert line.less.value == pytest.approx((net[known, 1] - net[known, 0]).sum())
    turnover = np.zeros(NIGHTS + 5)
    turnover[:NIGHTS] += first.turnover[:, 1] / 2
    turnover[10:] += second.turnover[:, 1] / 2
    assert line.turnover == pytest.approx(turnover[known].mean())
    either = np.zeros(NIGHTS + 5, dtype=bool)
    either[:NIGHTS] |= first.invested[:, 1]
    either[10:] |= second.invested[:, 1]
    assert line.invested == pytest.approx(either[known].mean())


def test_figures_are_those_of_plain_formulas() -> None:
    result = compared(one(3, range(NIGHTS)))
    values = result.nights["line"].to_numpy()
    line = next(f for f in result.figures if f.name == "line")
    assert result.per_year == pytest.approx(365.0)
    assert line.sharpe.value == pytest.approx(values.mean() / values.std() * math.sqrt(365.0))
    peak, deepest, wealth = 0.0, 0.0, 0.0
    for value in values:
        wealth += value
        peak = max(peak, wealth)
        deepest = max(deepest, peak - wealth)
    assert line.drawdown.value == pytest.approx(deepest)


def test_errors_are_those_of_a_slow_bootstrap_of_blocks() -> None:
    result = compared(one(4, range(NIGHTS)))
    assert result.block == 5
    values = result.nights["line"].to_numpy()
    rng = np.random.default_rng(9)
    totals, ratios = [], []
    for _ in range(4000):
        starts = rng.integers(NIGHTS, size=NIGHTS // 5)
        drawn = np.concatenate([values[(start + np.arange(5)) % NIGHTS] for start in starts])
        totals.append(drawn.sum())
        ratios.append(drawn.mean() / drawn.std() * math.sqrt(365.0))
    widened = result.draws.widening(12)
    line = next(f for f in result.figures if f.name == "line")
    assert line.total.error == pytest.approx(np.std(totals) * widened, rel=0.1)
    assert line.sharpe.error == pytest.approx(np.std(ratios) * widened, rel=0.1)


def test_a_block_is_as_long_as_the_houses_in_bars() -> None:
    assert compared(one(1, range(NIGHTS)), bars=1.0).block == 20
    assert compared(one(1, range(NIGHTS)), bars=1.0, horizon=24).block == 48
    assert compared(one(1, range(NIGHTS)), bars=24.0, horizon=96).block == 8


def test_what_is_unknown_is_no_zero() -> None:
    few = compared(one(5, range(20)))  # four blocks
    assert all(math.isnan(f.total.error) for f in few.figures)
    result = compared(one(5, range(NIGHTS)))
    flat = next(f for f in result.figures if f.name == FLAT)
    assert math.isnan(flat.sharpe.value)
    assert (flat.total.value, flat.total.error) == (0.0, 0.0)
    rare = one(6, range(NIGHTS))
    rare.net[:, 1] = 0.0
    rare.net[30:33, 1] = 0.01
    once = next(f for f in compared(rare).figures if f.name == "line")
    assert once.total.value == pytest.approx(0.03)
    assert math.isnan(once.total.error)
    nothing = one(7, range(3))
    nothing.net[:] = np.nan
    with pytest.raises(NotEnoughBarsError, match="no night of the replay"):
        compared(nothing)


def report(**others: Any) -> ReplayReport:
    champions = {"low": {"size": 0.0}, "high": {"size": None}, "normal": {"size": 0.3}}
    fields: dict[str, Any] = {
        "title": "Replay x: then until later",
        "subtitle": "S0; 61 nights",
        "comparison": compared(one(8, range(NIGHTS))),
        "decisions": [],
        "nights": [{"symbols": {"S0": {"champions": champions}}}] * 2,
        "failures": [],
        "library": "sqlite:///there/mlflow.db",
    }
    return ReplayReport(**(fields | others))


def shown(content: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(content)
    return out.getvalue()


def test_the_table_shows_errors_and_what_is_unknown() -> None:
    text = shown(report().table())
    (flat,) = (line for line in text.splitlines() if f"│ {FLAT} " in line)
    assert [cell.strip() for cell in flat.split("│")[2:4]] == ["unknown", "+0.00 ± 0.00"]
    assert "60 nights, 1 symbol, after costs and funding" in text
    assert "by blocks of 5 nights" in text
    few = shown(report(comparison=compared(one(5, range(20)))).table())
    assert "± ?" in few


def test_sizes_and_decisions_are_told() -> None:
    told = shown(report().decisions_table())
    assert "Nothing was promoted, dismissed or rolled back" in told
    assert "of 6 champions of a cell and a night 2 had a size above 0, 2 abstained" in told
    entry = {
        "night": "2020-09-26", "contest": "1h.6", "line": "lstm-1", "outcome": "promoted",
        "group": "all", "reason": "takes all",
    }  # fmt: skip
    table = shown(report(decisions=[entry]).decisions_table())
    assert "takes all" in table


def test_the_document_has_no_number_that_is_not_known(tmp_path: Any) -> None:
    few = report(comparison=compared(one(5, range(20))))
    few.write(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {
        "replay.json", "replay.html", "replay.png", "replay.parquet"
    }  # fmt: skip
    text = (tmp_path / "replay.json").read_text()
    assert "NaN" not in text
    assert few.document()["strategies"][0]["total"]["error"] is None
    page = (tmp_path / "replay.html").read_text()
    assert page.count("<tr>") == 1 + len(NAMES)
    assert "Nothing was promoted, dismissed or rolled back" in page
    stored = pd.read_parquet(tmp_path / "replay.parquet")
    assert list(stored.columns) == list(NAMES)
    np.testing.assert_array_equal(stored.to_numpy(), few.comparison.nights.to_numpy())
    assert (stored.index == few.comparison.nights.index).all()
