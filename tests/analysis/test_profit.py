"""A version's profit: curves that sum its table up, shades that are its regimes, one figure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.dates import date2num
from scipy.stats import spearmanr

from analysis.documents import analysis_document
from analysis.failures import Stage
from analysis.nightly import NightlyFeatureAnalysis
from analysis.profit import POINTS, NoProfit, ProfitResult, ProfitTask, measure_profit
from analysis.profit_curves import (
    cumulated,
    drawdown,
    ic_window,
    regime_spans,
    rolling_rank_ic,
)
from analysis.profit_figure import profit_figure
from brain.errors import AnalysisError, ArtifactStoreError
from brain.naming import Family, Regime
from brain.records import Estimate
from registry.library import BrainLibrary
from registry.runs import Run
from tests.analysis.models import SYMBOL, dataset, out_of_sample, register, settings


@pytest.fixture
def table() -> pd.DataFrame:
    """A stretch of bars is missing, and in another the regime is unknown."""
    table = out_of_sample().copy()
    table.iloc[100:105] = np.nan
    table.loc[table.index[300:320], "regime"] = None
    table.loc[table.index[500:505], "regime"] = "extreme"
    return table


@pytest.fixture
def task(table: pd.DataFrame, tmp_path: Path) -> ProfitTask:
    table.to_parquet(tmp_path / "table.parquet")
    return ProfitTask(
        symbol=SYMBOL,
        model_id="SIM-USD.1h.1/1",
        family=Family.LIGHTGBM,
        sharpe=Estimate(1.25, 0.5),
        table=tmp_path / "table.parquet",
        folder=tmp_path / "figure",
    )


def test_curves_are_the_sums_of_the_tables_columns(table: pd.DataFrame) -> None:
    curves = cumulated(table)
    for name in ("net", "gross", "delayed"):
        known = table[name].notna()
        assert curves[name].isna().equals(~known)
        np.testing.assert_allclose(curves[name][known], np.cumsum(table[name][known]), atol=1e-12)
        assert curves[name].dropna().iloc[-1] == pytest.approx(table[name].sum())
    close = table["close"].dropna().to_numpy()
    assert curves["hold"].iloc[-1] == pytest.approx((close[1:] / close[:-1] - 1).sum())
    assert curves.iloc[100:105].isna().all(axis=None)


def test_a_drawdown_is_measured_from_the_highest_sum_and_from_the_start() -> None:
    curve = pd.Series([-0.1, 0.2, np.nan, 0.1, 0.3, -0.2])
    expected = [-0.1, 0.0, np.nan, -0.1, 0.0, -0.5]
    np.testing.assert_allclose(drawdown(curve), expected, atol=1e-15)


def test_the_rolling_rank_ic_is_spearmans_of_its_window(table: pd.DataFrame) -> None:
    assert (ic_window(len(table)), ic_window(5000)) == (100, 500)
    values = rolling_rank_ic(table)
    assert values.index[0] == table.index[99]
    assert values.index[-1] == table.index[-1]
    rows = table[: values.index[50]][-100:].dropna(subset=["prediction", "target"])
    expected = spearmanr(rows["prediction"], rows["target"]).statistic
    assert values.iloc[50] == pytest.approx(expected)
    table.loc[table.index[200:260], "target"] = np.nan
    some = rolling_rank_ic(table)
    assert some[(some.index > table.index[260]) & (some.index < table.index[298])].isna().all()
    assert some.iloc[-1] == values.iloc[-1]


def test_spans_are_the_runs_of_the_regimes() -> None:
    names = [None, "low", "low", "high", None, "high", "extreme", "extreme"]
    times = pd.date_range("2024-01-01", periods=8, freq="h", tz="UTC")
    spans = regime_spans(pd.Series(names, index=times))
    assert [(s.regime, s.start, s.end) for s in spans] == [
        (Regime.LOW, times[1], times[3]),
        (Regime.HIGH, times[3], times[4]),
        (Regime.HIGH, times[5], times[6]),
        (Regime.EXTREME, times[6], times[7]),
    ]
    assert regime_spans(pd.Series([None, None], index=times[:2])) == []


def test_the_figure_shows_the_curves_and_shades_the_regimes(table: pd.DataFrame) -> None:
    figure = profit_figure(table, "a title", "a subtitle")
    profit, fall, ic = figure.axes
    assert profit.get_title() == "a title"
    curves = cumulated(table)
    for line, name in zip(profit.lines, ("net", "gross", "delayed", "hold"), strict=False):
        np.testing.assert_allclose(np.asarray(line.get_ydata()), 100 * curves[name].dropna())
    assert fall.get_ylabel() == "drawdown\nof net, %"
    assert ic.get_ylabel() == "rank IC of\n100 rows"
    spans = regime_spans(table["regime"])
    for axes in (profit, fall, ic):
        shades = {c.get_label(): c for c in axes.collections if c.get_label() in list(Regime)}
        assert len({tuple(np.ravel(shade.get_facecolor())) for shade in shades.values()}) == 4
        for regime, shade in shades.items():
            assert isinstance(shade, PolyCollection)
            drawn = [tuple(path.get_extents().intervalx) for path in shade.get_paths()]
            mine = [span for span in spans if span.regime == regime]
            expected = [tuple(map(utc, (span.start, span.end))) for span in mine]
            np.testing.assert_allclose(drawn, expected)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[1::2] == [f"{regime} volatility" for regime in Regime]


def utc(time: pd.Timestamp) -> float:
    return float(date2num(time.tz_localize(None)))  # type: ignore[no-untyped-call]


def test_a_worker_draws_the_figure_and_measures_a_small_curve(
    task: ProfitTask, table: pd.DataFrame
) -> None:
    result = measure_profit(task)
    assert isinstance(result, ProfitResult)
    assert result.folder == task.folder
    assert result.folder is not None
    assert (result.folder / "profit.png").read_bytes().startswith(b"\x89PNG")
    profit = result.profit
    assert len(profit.net) == POINTS
    assert profit.net[-1] == pytest.approx(table["net"].sum())
    assert (profit.first, profit.last) == (table.index[0].isoformat(), table.index[-1].isoformat())
    assert profit.sharpe == task.sharpe


def test_a_figure_that_is_there_is_not_drawn_again(task: ProfitTask, tmp_path: Path) -> None:
    result = measure_profit(replace(task, folder=None))
    assert isinstance(result, ProfitResult)
    assert result.folder is None
    assert not list(tmp_path.rglob("*.png"))


def test_tables_without_a_profit_are_told(task: ProfitTask, table: pd.DataFrame) -> None:
    table[["close"]].to_parquet(task.table)
    with pytest.raises(
        AnalysisError, match=r"SIM-USD.1h.1/1's out_of_sample.parquet has no predictions"
    ):
        measure_profit(task)
    table.assign(net=np.nan).to_parquet(task.table)
    with pytest.raises(AnalysisError, match=r"no bar in SIM-USD.1h.1/1's"):
        measure_profit(task)
    table.iloc[:0].to_parquet(task.table)
    with pytest.raises(AnalysisError, match=r"no bar in SIM-USD.1h.1/1's"):
        measure_profit(task)
    task.table.write_bytes(b"no table")
    with pytest.raises(AnalysisError, match="can't be read"):
        measure_profit(task)
    assert task.folder is not None
    assert not task.folder.exists()


def test_a_table_of_before_there_were_profits_has_none_and_is_no_failure(
    task: ProfitTask, table: pd.DataFrame
) -> None:
    table.drop(columns=["gross", "delayed"]).to_parquet(task.table)
    result = measure_profit(task)
    reason = "stored before its table had gross, delayed; a version trained anew has one"
    assert result == NoProfit(SYMBOL, "SIM-USD.1h.1/1", reason)
    assert str(result) == f"SIM-USD.1h.1/1 no profit plot: {reason}"
    bare = table[["prediction", "target", "regime"]].copy()
    bare.attrs = {}
    bare.to_parquet(task.table)
    assert "close, gross, net, delayed, horizon, fill;" in str(measure_profit(task))
    assert task.folder is not None
    assert not task.folder.exists()


@pytest.fixture
def night(sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[BrainLibrary, Run]]:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    monkeypatch.setattr("analysis.drift_report._report", lambda *_: None)
    monkeypatch.setattr("analysis.figures.write_figures", lambda *_: None)
    library = BrainLibrary(sqlite_dsn)
    with library.start("nightly", "a night", tags={}, note="") as run:
        yield library, run


def test_a_champion_without_its_table_fails_by_name_and_is_explained(
    night: tuple[BrainLibrary, Run], tmp_path: Path
) -> None:
    library, run = night
    sound, bare = (register(library, run, Family.LIGHTGBM) for _ in range(2))
    (file,) = tmp_path.rglob(f"{bare.run_id}/artifacts/out_of_sample.parquet")
    file.unlink()
    service = NightlyFeatureAnalysis(library, settings(library.dsn))
    models = {SYMBOL: [sound.id, bare.id]}
    analysis = service.run_nightly_analysis(models=models, datasets={SYMBOL: dataset()}, night=run)
    (failure,) = analysis.failures
    assert (failure.what, failure.part) == (f"{bare.id} profit", Stage.PROFIT)
    assert isinstance(failure.error, ArtifactStoreError)
    assert [model.model_id for model in analysis.models] == [sound.id, bare.id]
    assert [profit.model_id for profit in analysis.profits] == [sound.id]
    assert "profit.png" in library.run_files(sound)
    assert "profit.png" not in library.run_files(bare)

    (figure,) = tmp_path.rglob(f"{sound.run_id}/artifacts/profit.png")
    figure.write_bytes(b"of a former night")
    again = service.run_nightly_analysis(
        models={SYMBOL: [sound.id]}, datasets={SYMBOL: dataset()}, night=run
    )
    assert again.profits == analysis.profits
    assert figure.read_bytes() == b"of a former night"


def test_a_champion_of_before_there_were_profits_does_not_fail_the_night(
    night: tuple[BrainLibrary, Run], tmp_path: Path
) -> None:
    library, run = night
    sound, former = (register(library, run, Family.LIGHTGBM) for _ in range(2))
    (file,) = tmp_path.rglob(f"{former.run_id}/artifacts/out_of_sample.parquet")
    pd.read_parquet(file)[["prediction", "target", "regime"]].to_parquet(file)
    service = NightlyFeatureAnalysis(library, settings(library.dsn))
    models = {SYMBOL: [sound.id, former.id]}
    analysis = service.run_nightly_analysis(models=models, datasets={SYMBOL: dataset()}, night=run)
    assert analysis.failures == ()
    assert [profit.model_id for profit in analysis.profits] == [sound.id]
    (one,) = analysis.without_profit
    assert (one.symbol, one.model_id) == (SYMBOL, former.id)
    assert "stored before its table had close, gross, net, delayed" in one.reason
    document = analysis_document(analysis, (), {})
    assert document["without_profit"] == [
        {"symbol": SYMBOL, "model_id": former.id, "reason": one.reason}
    ]
    (child,) = library.client.search_runs([library.experiment("nightly")], "tags.role = 'analysis'")
    assert f"- {former.id} no profit plot: stored before" in child.data.tags["mlflow.note.content"]
    assert child.info.status == "FINISHED"
