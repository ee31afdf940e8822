"""Rankings read back by symbol, date and method, from every store."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.rankings import Rankings
from analysis.results import (
    COLUMNS,
    Additivity,
    FeatureImportance,
    FeatureNote,
    Method,
    ModelAnalysis,
    NoteReason,
    Ranking,
)
from brain.artifacts import RANKINGS
from brain.errors import AmbiguousModelError, ArtifactStoreError, InputError
from brain.model_keys import ModelKey
from brain.naming import Family, Tag
from registry.library import BrainLibrary

pytestmark = pytest.mark.sampled("dsn")

SYMBOL = "SIM/USD"
KEY = ModelKey(SYMBOL, "1h", 1)
NIGHT = dt.date(2026, 11, 1)


@pytest.fixture
def library(dsn: str, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return BrainLibrary(dsn)


def analysis(
    version: int,
    importances: Sequence[float],
    *,
    symbol: str = SYMBOL,
    family: Family = Family.LIGHTGBM,
    methods: Sequence[Method] = tuple(Method),
) -> ModelAnalysis:
    """A version whose features a, b, c, … have these importances by every method."""
    total = sum(importances)
    features = [
        FeatureImportance(chr(ord("a") + i), v, v / total if total else float("nan"), i + 1, 0.1)
        for i, v in enumerate(importances)
    ]
    return ModelAnalysis(
        symbol=symbol,
        family=family,
        model_id=f"{replace(KEY, symbol=symbol).name}/{version}",
        rankings={method: Ranking(method, 100, 5, tuple(features)) for method in methods},
        additivity=Additivity(1e-9, 1e-6),
        notes=(FeatureNote("flat", NoteReason.CONSTANT),),
    )


def write(library: BrainLibrary, date: dt.date, *models: ModelAnalysis) -> str:
    symbol = models[0].symbol
    key = replace(KEY, symbol=symbol)
    with library.start("nightly", f"{symbol} {date}", tags={}, note="") as run:
        Rankings(library).write(run, key, date, models)
    return run.id


def test_what_is_written_reads_back_by_symbol_date_and_method(library: BrainLibrary) -> None:
    for day in range(4):
        write(
            library,
            NIGHT + dt.timedelta(days=day),
            analysis(10 + day, [3.0, 1.0 + day]),
            analysis(20 + day, [1.0, 1.0], family=Family.LSTM),
        )
    write(library, NIGHT, analysis(1, [1.0], symbol="ETH/USD"))
    load = Rankings(library).read
    table = load(SYMBOL, since=dt.date(2026, 11, 2), until="2026-11-03", method="permutation")
    assert tuple(table.columns) == COLUMNS
    assert table["date"].dt.date.unique().tolist() == [NIGHT + dt.timedelta(days=d) for d in (1, 2)]
    assert set(table["method"]) == {"permutation"}
    row = table[(table["model_id"] == "SIM-USD.1h.1/12") & (table["feature"] == "b")].iloc[0]
    assert (row["family"], row["rank"]) == ("lightgbm", 2)
    assert (row["importance"], row["share"], row["error"]) == (3.0, 0.5, 0.1)
    whole = load("SIM-USD")
    assert len(whole) == 4 * 2 * 3 * 2
    assert set(load("ETH/USD")["model_id"]) == {"ETH-USD.1h.1/1"}
    assert load(SYMBOL, since="2027-01-01").empty


@pytest.fixture
def local(sqlite_dsn: str) -> BrainLibrary:
    return BrainLibrary(sqlite_dsn)


def test_a_month_is_read_in_seconds(local: BrainLibrary) -> None:
    with local.start("nightly", "a month", tags={}, note="") as month:
        for day in range(30):
            model = analysis(day + 1, np.ones(48).tolist())
            with month.child("night", tags={}, note="") as run:
                Rankings(local).write(run, KEY, NIGHT + dt.timedelta(days=day), [model])
    started = time.perf_counter()
    table = Rankings(local).read(SYMBOL)
    assert time.perf_counter() - started < 10  # a fraction of a second; much else may run
    assert len(table) == 30 * 3 * 48


def test_the_later_analysis_of_a_version_in_one_night_counts(local: BrainLibrary) -> None:
    write(local, NIGHT, analysis(1, [1.0, 3.0]), analysis(2, [1.0], family=Family.XGBOOST))
    write(local, NIGHT, analysis(1, [5.0, 3.0]))
    table = Rankings(local).read(SYMBOL, method=Method.SHAP)
    assert table[["model_id", "importance"]].to_numpy().tolist() == [
        ["SIM-USD.1h.1/1", 5.0],
        ["SIM-USD.1h.1/1", 3.0],
        ["SIM-USD.1h.1/2", 1.0],
    ]


def test_unknown_figures_stay_unknown(local: BrainLibrary) -> None:
    write(local, NIGHT, analysis(1, [0.0, 0.0], methods=[Method.SHAP]))
    table = Rankings(local).read(SYMBOL)
    assert table["share"].isna().all()
    assert table["importance"].tolist() == [0.0, 0.0]


def test_nothing_stored_reads_as_an_empty_frame_with_the_same_columns(local: BrainLibrary) -> None:
    table = Rankings(local).read(SYMBOL)
    assert tuple(table.columns) == COLUMNS
    assert table.empty
    assert table.dtypes["share"] == np.float64
    assert str(table.dtypes["date"]).startswith("datetime64")


def test_a_run_that_broke_off_before_its_document_was_stored_is_passed_over(
    local: BrainLibrary,
) -> None:
    tags = {Tag.ROLE: "analysis", Tag.SYMBOL: SYMBOL}
    local.start("nightly", "broken off", tags=tags, note="")  # type: ignore[arg-type]
    assert Rankings(local).read(SYMBOL).empty


def test_a_document_that_is_gone_or_broken_is_told(local: BrainLibrary, tmp_path: Path) -> None:
    run = write(local, NIGHT, analysis(1, [1.0]))
    (document,) = tmp_path.rglob(f"{run}/artifacts/{RANKINGS}")
    document.write_text("{")
    with pytest.raises(ArtifactStoreError, match="rankings of 2026-11-01 from run"):
        Rankings(local).read(SYMBOL)
    document.unlink()
    with pytest.raises(ArtifactStoreError, match="restore the file"):
        Rankings(local).read(SYMBOL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbol": "a b"}, "'a b' is not a symbol"),
        ({"since": "yesterday"}, "'yesterday' is not a date; write it as 2020-12-31"),
        ({"until": 7}, "7 is not a date"),
        ({"method": "shapp"}, "no method is called 'shapp'; did you mean 'shap'"),
    ],
)
def test_what_is_no_symbol_date_or_method_is_refused(
    local: BrainLibrary, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Rankings(local).read(**({"symbol": SYMBOL} | arguments))


def test_a_moment_counts_by_its_date_in_utc(local: BrainLibrary) -> None:
    write(local, NIGHT, analysis(1, [1.0], methods=[Method.SHAP]))
    late = dt.datetime(2026, 11, 2, 1, tzinfo=dt.timezone(dt.timedelta(hours=3)))
    assert len(Rankings(local).read(SYMBOL, since=late, until=late)) == 1


def test_rankings_from_before_keys_are_those_of_the_plain_name(local: BrainLibrary) -> None:
    run_id = write(local, NIGHT, analysis(1, [1.0]))
    for tag in (Tag.TIMEFRAME, Tag.HORIZON):
        local.client.delete_tag(run_id, tag)
    assert len(Rankings(local).read(SYMBOL)) == 3  # of an unknown key: the only ones
    assert Rankings(local).read(SYMBOL, timeframe="1h").empty
    tags: dict[str, str] = {Tag.SYMBOL: SYMBOL, Tag.TIMEFRAME: "4h", Tag.HORIZON: "1"}
    local.client.create_registered_model("SIM-USD", tags=tags)
    write(local, NIGHT, analysis(2, [1.0]))
    assert set(Rankings(local).read(SYMBOL, timeframe="4h")["model_id"]) == {"SIM-USD.1h.1/1"}
    assert set(Rankings(local).read(SYMBOL, timeframe="1h")["model_id"]) == {"SIM-USD.1h.1/2"}
    with pytest.raises(AmbiguousModelError, match=r"SIM-USD\.1h\.1, SIM-USD\.4h\.1"):
        Rankings(local).read(SYMBOL)
