"""Sentiment and liquidations come to a library with champions: challengers' lines; theirs stay."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from mlflow.entities import Run

from brain.series.store.store import SeriesStore
from registry.library import BrainLibrary
from tests.engine.simulate import simulate
from tests.jobs import enter, run_job
from tests.market.listened import store_listened
from tests.market.sentiment.publisher_server import PublisherServer
from tests.test_market_night import connect_publishers, publish

QUICK = ("--families", "lightgbm", "--trials", "1", "--folds", "1", "--jobs", "1")


def bars_until_now(folder: Path, name: str = "BTC-USD") -> pd.Timestamp:
    """Hourly bars from a file, the last of which has just closed; when it did."""
    frame = simulate(1200, strength=0.0, seed=8, timeframe="1h").bars.frame.reset_index()
    end = pd.Timestamp.now("UTC").floor("h") - pd.Timedelta(hours=1)
    folder.mkdir()
    frame["time"] = pd.date_range(end=end, periods=len(frame), freq="h")
    frame.to_csv(folder / f"{name}_1h.csv", index=False)
    return end + pd.Timedelta(hours=1)


def family_runs(library: BrainLibrary) -> list[Run]:
    """The runs of all nights' models, oldest first."""
    ids = [e.experiment_id for e in library.client.search_experiments()]
    return list(
        library.client.search_runs(
            ids, "tags.role = 'family'", order_by=["attributes.start_time ASC"]
        )
    )


@pytest.mark.soak
def test_sentiment_is_a_line_of_its_own_beside_the_champions(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, sqlite_dsn, monkeypatch)
    bars_until_now(tmp_path / "bars")
    plain = run_job("nightly", "--bars", "bars", *QUICK)
    assert (plain.code, plain.complaints) == (0, [])
    assert "sentiment" not in plain.out
    with PublisherServer() as publishers:
        publish(publishers)
        connect_publishers(monkeypatch, publishers)
        mood = run_job("nightly", "--bars", "bars", *QUICK)
    assert (mood.code, mood.complaints) == (0, [])
    assert "BTC/USD x sentiment: 60 rows" in mood.out
    library = BrainLibrary(sqlite_dsn)
    runs = family_runs(library)
    sets = [run.data.params["feature_set"] for run in runs]
    assert sets[0] == "bars-1"
    # The second night has fitted its own line, and the champion's on what that is made of.
    assert sorted(sets[1:]) == ["bars-1", "bars-1+sentiment-1"]
    own = next(run for run in runs if run.data.params["feature_set"].endswith("sentiment-1"))
    # Posts count from when they have arrived, and so none of tonight's before tonight.
    assert own.data.metrics["missing/mood_24"] == 1.0
    assert own.data.metrics["missing/fear_greed"] < 0.05
    champion = library.champion("BTC/USD", "normal")
    version = library.client.get_model_version(champion.model, str(champion.version))
    assert version.tags["feature_set"] == "bars-1"
    # The executor's data have neither ids nor texts: an artifact of theirs would outlive them.
    assert not [p for p in (tmp_path / "mlruns").rglob("*") if b"reddit-17" in _bytes(p)]


@pytest.mark.soak
def test_liquidations_are_a_line_of_its_own_beside_the_champions(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, sqlite_dsn, monkeypatch)
    end = bars_until_now(tmp_path / "bars", "BTC-USDT")
    plain = run_job("nightly", "--bars", "bars", *QUICK)
    assert (plain.code, plain.complaints) == (0, [])
    start = end - pd.Timedelta(days=20)
    store = SeriesStore(tmp_path / "series")
    store_listened(store, "BTC/USDT:USDT", {"bybit": None, "okx": None}, start, end)
    monkeypatch.setenv("BRAIN_LIQUIDATIONS", "bybit,okx")
    forced = run_job("nightly", "--bars", "bars", *QUICK)
    assert (forced.code, forced.complaints) == (0, [])
    for exchange in ("bybit", "okx"):
        assert f"{exchange} BTC/USDT:USDT liquidations" in " ".join(forced.out.split())
    library = BrainLibrary(sqlite_dsn)
    runs = family_runs(library)
    sets = [run.data.params["feature_set"] for run in runs]
    assert sets[0] == "bars-1"
    assert sorted(sets[1:]) == ["bars-1", "bars-1+liquidations-1"]
    own = next(run for run in runs if run.data.params["feature_set"].endswith("liquidations-1"))
    # Of fifty days of bars twenty were listened to.
    assert 0.55 < own.data.metrics["missing/liq_side_24"] < 0.65
    champion = library.champion("BTC/USDT", "normal")
    version = library.client.get_model_version(champion.model, str(champion.version))
    assert version.tags["feature_set"] == "bars-1"


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
