"""Nights on collected series: exchanges and publishers on loopback, one store, champions."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from brain.naming import REGIMES
from brain.series.store.store import SeriesStore
from engine.kernels.features import FEATURES
from engine.kernels.liquidations import LIQUIDATION_FEATURES
from engine.kernels.market_features import MARKET_FEATURES
from engine.kernels.sentiment import SENTIMENT_FEATURES
from market.collection.collector import DataCollector
from registry.library import BrainLibrary
from tests.jobs import Outcome, enter, run_job, shorten
from tests.market.exchange_server import ExchangeServer
from tests.market.listened import store_listened
from tests.market.sentiment.publisher_server import SECRETS, Article, PublisherServer
from tests.market.sentiment.test_collection import everything
from tests.servers import free_port, sqlite_template

EXCHANGES = ("binance", "bybit")
QUICK = ("--families", "xgboost,lightgbm", "--trials", "1", "--folds", "1", "--jobs", "1")
#: Enough for regimes and features; longer than Binance keeps open interest.
HOURS = 1200


MARK = "zanzibarian"
PUBLISHERS = ("feeds", "fear_greed", "x", "reddit", "news")


def publish(server: PublisherServer) -> None:
    """Posts of the last day by the clock of this machine, and an index of years."""
    now = pd.Timestamp.now("UTC").floor("s")
    texts = [f"Bitcoin soars, says {MARK}", f"BTC crashes on {MARK}", f"{MARK} holds bitcoin"]
    for place in ("x", "reddit", "news", "feeds/rss", "feeds/atom"):
        server.articles[place] = [
            Article(f"{place}-{k}", now - pd.Timedelta(minutes=20 * (k + 1)), texts[k % 3])
            for k in range(60)
        ]
    days = pd.date_range(pd.Timestamp("2023-01-01", tz="UTC"), now)
    server.index = {day: float(day.dayofyear % 101) for day in days}


def connect_publishers(patch: pytest.MonkeyPatch, server: PublisherServer) -> None:
    patch.setenv("BRAIN_SENTIMENT", ",".join(PUBLISHERS))
    for name, secret in SECRETS.items():
        patch.setenv(name, secret)
    for name, value in server.settings().items():
        patch.setenv(f"BRAIN_{name.upper()}", value)


def listen(patch: pytest.MonkeyPatch, server: ExchangeServer, store: SeriesStore) -> None:
    """Three weeks of liquidations, of which a stream has missed half a day at one exchange."""
    patch.setenv("BRAIN_LIQUIDATIONS", ",".join(EXCHANGES))
    end = pd.Timestamp(server.truth.now).floor("h")
    missed = (end - pd.Timedelta(days=1), end - pd.Timedelta(hours=12))
    stretches = {"binance": None, "bybit": missed}
    store_listened(store, "BTC/USDT:USDT", stretches, end - pd.Timedelta(days=21), end)


@dataclass(frozen=True)
class Night:
    """A night, and the analysis after it."""

    folder: Path
    dsn: str
    night: Outcome
    analysis: Outcome

    @property
    def client(self) -> MlflowClient:
        return BrainLibrary(self.dsn).client

    def runs(self, role: str) -> list[Run]:
        ids = [e.experiment_id for e in self.client.search_experiments()]
        runs = self.client.search_runs(ids, f"tags.role = '{role}'")
        if role == "family":
            return list(runs)
        return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]

    def document(self, role: str, file: str) -> dict[str, object]:
        """A JSON document among the files of the only run of that role."""
        (run,) = self.runs(role)
        path = self.client.download_artifacts(run.info.run_id, file)
        return dict(json.loads(Path(path).read_text()))


@pytest.fixture(scope="module")
def exchanges() -> Iterator[ExchangeServer]:
    with ExchangeServer(scale=60) as server:
        yield server


def connect(patch: pytest.MonkeyPatch, urls: dict[str, str]) -> None:
    for exchange, url in urls.items():
        patch.setenv(f"BRAIN_{exchange.upper()}_URL", url)


@pytest.fixture(scope="module")
def night(
    exchanges: ExchangeServer, _templates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Night:
    folder = tmp_path_factory.mktemp("market-night")
    shutil.copy(sqlite_template(_templates), folder / "mlflow.db")
    dsn = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch, PublisherServer() as publishers:
        enter(folder, dsn, patch)
        patch.setenv("BRAIN_EXCHANGES", ",".join(EXCHANGES))
        patch.setenv("BRAIN_SYMBOLS", "BTC/USDT")
        connect(patch, exchanges.urls)
        publish(publishers)
        connect_publishers(patch, publishers)
        listen(patch, exchanges, SeriesStore(folder / "series"))
        done = run_job("nightly", "--hours", str(HOURS), *QUICK)
        analysed = run_job("analyze", "--jobs", "1")
    return Night(folder, dsn, done, analysed)


# --- the night ----------------------------------------------------------------------------------


def test_the_night_collects_and_then_trains_on_what_it_has_collected(night: Night) -> None:
    assert (night.night.code, night.night.complaints) == (0, [])
    assert "BTC/USDT binance candles 1h: 1,200 rows, 0 missing" in night.night.out
    assert "Quality of market series" in night.night.out
    assert "Champions" in night.night.out
    (parent,) = night.runs("night")
    assert parent.data.metrics["market/failed"] == 0
    assert parent.data.metrics["market/rows_new"] > 2 * HOURS
    files = {file.path for file in night.client.list_artifacts(parent.info.run_id, "market")}
    assert files == {f"market/quality.{ending}" for ending in ("html", "json", "parquet")}
    for regime in REGIMES:
        champion = BrainLibrary(night.dsn).champion("BTC/USDT", regime)
        assert champion.symbol == "BTC/USDT"


def test_the_summary_tells_what_was_collected_and_what_is_missing(night: Night) -> None:
    series = {
        (row["exchange"], row["kind"]): row
        for row in night.document("night", "summary.json")["market"]  # type: ignore[attr-defined]
    }
    assert len(series) == len(EXCHANGES) * 4 + len(PUBLISHERS)
    assert series["binance", "candles"]["missing"] == 0
    # Binance keeps open interest for 30 days.
    assert series["binance", "open_interest"]["missing"] == HOURS - 719
    assert series["bybit", "open_interest"]["missing"] == 0


def test_each_model_records_the_share_of_the_market_that_is_missing(night: Night) -> None:
    for family in night.runs("family"):
        kernels = "bars-1+market-1+sentiment-1+liquidations-1"
        assert family.data.params["feature_set"] == kernels
        missing = family.data.metrics
        assert {f"missing/{name}" for name in MARKET_FEATURES} < set(missing)
        assert missing["missing/funding_8h"] < 0.01
        assert 0 <= missing["missing/all"] < 0.3
        # The exchanges' clock stands in the past, when no post of today had arrived.
        shares = {name: missing[f"missing/{name}"] for name in SENTIMENT_FEATURES}
        assert shares.pop("fear_greed") < 0.05
        assert set(shares.values()) == {1.0}
        # It has been listened for three of the seven weeks.
        shares = {name: missing[f"missing/{name}"] for name in LIQUIDATION_FEATURES}
        assert 0.55 < shares["liq_side_24"] < 0.65
        assert 0.65 < shares["liq_24_168"] < 0.75


def test_funding_and_open_interest_are_explained_with_the_rest(night: Night) -> None:
    (parent,) = night.runs("night")
    summary = night.document("night", "summary.json")
    ranked = {
        feature
        for analysis in summary["analyses"]  # type: ignore[attr-defined]
        for feature in analysis["first_features"]["correlation"]
    }
    assert ranked <= {*FEATURES, *MARKET_FEATURES, *SENTIMENT_FEATURES, *LIQUIDATION_FEATURES}
    champion = BrainLibrary(night.dsn).champion("BTC/USDT", "normal")
    version = BrainLibrary(night.dsn).version("BTC/USDT", champion.version)
    path = night.client.download_artifacts(version.run_id, "explanation/importance.parquet")
    assert {*MARKET_FEATURES, *LIQUIDATION_FEATURES} <= set(pd.read_parquet(path)["feature"])
    assert parent.info.status == "FINISHED"


def test_an_analysis_alone_joins_the_market_too(night: Night) -> None:
    assert (night.analysis.code, night.analysis.complaints) == (0, [])
    for analysis in night.document("analysis", "summary.json")["analyses"]:  # type: ignore[attr-defined]
        assert analysis["additivity_holds"] is True
        assert not [note for note in analysis["notes"] if "no longer in the data" in note]


# --- sentiment ----------------------------------------------------------------------------------


def test_the_night_collects_sentiment_too(night: Night) -> None:
    for publisher, count in (("x", 60), ("reddit", 60), ("news", 60), ("feeds", 120)):
        assert f"BTC/USDT {publisher} sentiment: {count} rows" in night.night.out
    market = night.document("night", "summary.json")["market"]
    rows = {row["exchange"]: row for row in market if row["kind"] == "sentiment"}  # type: ignore[attr-defined]
    assert set(rows) == set(PUBLISHERS)
    assert all(row["failure"] == "" and row["missing"] is None for row in rows.values())
    assert rows["x"]["rows_new"] == 60


def test_the_report_on_quality_has_posts_and_the_index_too(night: Night) -> None:
    quality = night.document("night", "summary.json")["quality"]
    posts = {one["exchange"]: one for one in quality if one["kind"] == "sentiment"}  # type: ignore[attr-defined]
    assert {name: one["rows"] for name, one in posts.items()} == {
        "x": 60, "reddit": 60, "news": 60, "feeds": 120,
    }  # fmt: skip
    for one in posts.values():
        assert (one["symbol"], one["expected"], one["missing"]) == ("BTC", None, None)
        assert one["note"].startswith("scored by lexicon vader-")
    (index,) = [one for one in quality if one["kind"] == "indices"]  # type: ignore[attr-defined]
    assert (index["missing"], index["severity"]) == (0, "good")
    assert "fear_greed indices" in night.night.out


def test_no_text_and_no_secret_is_left_by_a_night_and_ids_in_the_store_alone(night: Night) -> None:
    stored = SeriesStore(night.folder / "series").read("sentiment")
    assert len(stored) == 300
    texts = [night.night.out, night.night.err, night.analysis.out, everything(night.folder)]
    for text in texts:
        assert MARK not in text.lower()
        for name, secret in SECRETS.items():
            assert secret not in text or name == "REDDIT_CLIENT_ID"
        assert "fd-2277" not in text  # of a feed's address
    others = [path for path in night.folder.iterdir() if path.name != "series"]
    outside = "".join(map(everything, others))
    assert "sentiment-1" in outside
    for one in ("x-17", "reddit-17", *stored["id"][stored["publisher"] == "feeds"][:3]):
        assert one not in outside


# --- collecting alone ---------------------------------------------------------------------------


@pytest.fixture
def store(
    sqlite_dsn: str, tmp_path: Path, exchanges: ExchangeServer, monkeypatch: pytest.MonkeyPatch
) -> BrainLibrary:
    """A library of this test's own; the exchanges answer."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    connect(monkeypatch, exchanges.urls)
    return BrainLibrary(sqlite_dsn, series=str(tmp_path / "series"))


def test_what_is_asked_for_in_vain_is_told_and_the_rest_is_kept(store: BrainLibrary) -> None:
    done = run_job(
        "collect", "--exchange", "bybit", "--symbols", "BTC/USDT,NOPE/USDT", "--hours", "24"
    )
    assert (done.code, done.complaints) == (1, [])
    assert "NOPE/USDT bybit failed: bybit lists no perpetual NOPE/USDT:USDT" in done.out
    assert len(store.series.read("candles", symbol="BTC/USDT")) == 24
    quality = store.series.read("quality").set_index("kind")
    assert quality.loc[["candles", "funding", "open_interest"], "missing"].tolist() == [0, 0, 0]
    assert quality.loc["candles", "expected"] == 24


def test_stored_rows_are_requested_again_by_a_renewal(
    store: BrainLibrary, exchanges: ExchangeServer
) -> None:
    options = ("collect", "--exchange", "bybit", "--symbols", "BTC/USDT", "--hours", "24")
    assert run_job(*options).code == 0
    right = store.series.read("candles", symbol="BTC/USDT").drop(columns="collected")
    store.series.upsert("candles", right.assign(close=right["high"]))
    assert run_job(*options).code == 0
    rows = store.series.read("candles", symbol="BTC/USDT")
    assert (rows["close"] == rows["high"]).all()
    since = right["time"][12]
    assert run_job(*options, "--renew", since.isoformat()).code == 0
    rows = store.series.read("candles", symbol="BTC/USDT")
    assert (rows["close"] == rows["high"])[:12].all()
    pd.testing.assert_frame_equal(rows.drop(columns="collected")[12:], right[12:])
    assert run_job(*options, "--renew", "yesterday").code == 2


def test_without_a_network_the_host_is_named_and_nothing_is_written(
    store: BrainLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAIN_OKX_URL", f"http://127.0.0.1:{(port := free_port())}")
    done = run_job("collect", "--exchange", "okx", "--symbols", "BTC/USDT")
    assert done.code == 2
    assert f"127.0.0.1:{port} can't be reached" in " ".join(done.out.split())
    assert not (tmp_path / "series").exists()


def test_a_night_without_a_network_goes_on_with_what_it_has(
    store: BrainLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--exchanges", "bybit", "--symbols", "BTC/USDT", "--hours", str(HOURS))
    assert run_job("collect", *options).code == 0
    monkeypatch.setenv("BRAIN_BYBIT_URL", f"http://127.0.0.1:{free_port()}")
    shorten(monkeypatch)
    done = run_job("nightly", *options, *QUICK[2:], "--families", "lightgbm")
    assert done.code == 1
    assert "bybit, all 4 series" in done.out
    assert store.champion("BTC/USDT", "normal").version == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--symbols", "BTC/USDT"], "no exchanges are named to collect; set BRAIN_EXCHANGES"),
        (["--exchange", "okx"], "no symbols are named to collect; set BRAIN_SYMBOLS"),
        (["--exchange", "okkx", "--symbols", "BTC/USDT"], "did you mean 'okx'?"),
        (["--exchange", "okx", "--symbols", "BTC/USDT", "--timeframe", "7h"], "'7h' is not a"),
        (["--exchange", "okx", "--symbols", "BTC/USDT", "--hours", "0"], "hours='0'"),
    ],
)
def test_what_cannot_be_collected_is_refused(
    store: BrainLibrary, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = run_job("collect", *arguments)
    assert done.code == 2
    assert message in done.error
    assert not (tmp_path / "series").exists()
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    assert not store.client.search_runs(experiments)


def test_the_call_of_the_services_own_page(store: BrainLibrary) -> None:
    brain_library = store
    collector = DataCollector(brain_library, exchanges=["binance", "bybit", "okx"])
    collection = collector.collect_all_data(symbols=["BTC/USDT", "ETH/USDT"], hours=24)
    assert not collection.failures
    for symbol, results in collection.by_symbol().items():
        assert symbol in {"BTC/USDT", "ETH/USDT"}
        assert len(results) == 3 * 4
        assert all(result.rows_stored for result in results)
        assert not any(result.missing for result in results)


# --- secrets ------------------------------------------------------------------------------------


def test_no_secret_is_in_a_log_a_parameter_or_an_artifact(
    store: BrainLibrary,
    exchanges: ExchangeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "Hunter2Hunter2"
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, secret)
    # One exchange behind a gateway that wants a password, one that does not answer.
    with_password = exchanges.urls["bybit"].replace("http://", f"http://me:{secret}@")
    monkeypatch.setenv("BRAIN_BYBIT_URL", with_password)
    monkeypatch.setenv("BRAIN_OKX_URL", f"http://me:{secret}@127.0.0.1:{free_port()}")
    caplog.set_level(logging.DEBUG)
    done = run_job("collect", "--exchange", "bybit,okx", "--symbols", "BTC/USDT", "--hours", "24")
    assert done.code == 1
    assert len(store.series.read("candles")) == 24
    output = done.out + done.err + caplog.text + repr(store.series) + repr(store)
    assert secret not in output
    for path in tmp_path.rglob("*"):
        assert not (path.is_file() and secret.encode() in path.read_bytes()), path
