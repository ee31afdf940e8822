"""Nights on imported history that goes on where exchanges hand out no more, with sentiment.

Binance's published files of the time before go into the store first; the night collects the rest
from the loopback exchange, posts from the loopback publishers, and finds what a stream has stored.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from brain.series.store.store import SeriesStore
from engine.kernels.market_features import MARKET_FEATURES
from engine.kernels.sentiment import SENTIMENT_FEATURES
from market.sentiment.opening import open_scorer
from registry.library import BrainLibrary
from tests.html_page import HtmlPage
from tests.jobs import Outcome, enter, run_job
from tests.market.exchange_server import NOW, ExchangeServer, Truth
from tests.market.imports.published import Published, days
from tests.market.sentiment.publisher_server import PublisherServer
from tests.servers import sqlite_template
from tests.test_market_night import PUBLISHERS, connect, connect_publishers, publish

QUICK = ("--families", "lightgbm", "--trials", "1", "--folds", "1", "--jobs", "1")
#: Since 2026-10-01 12:34; Binance keeps open interest for 30 days.
HOURS = 1200
MONTH = pd.Timestamp("2026-09-01", tz="UTC")
CONTRACT = "BTC/USDT:USDT"
CUT = "the connection was closed, code 1006"
HOUR = pd.Timedelta(hours=1)
POSTS_HOURS = 480


@pytest.fixture(scope="module")
def exchanges() -> Iterator[ExchangeServer]:
    with ExchangeServer(scale=60, fillers=0) as server:
        yield server


def files(folder: Path, truth: Truth) -> Path:
    """What Binance publishes: September's candles and funding; open interest until 25 October."""
    published = Published(folder / "data", truth)
    published.klines("BTC", "1h", "2026-09")
    published.funding("BTC", "2026-09")
    for day in days("2026-09-01", "2026-10-25"):
        published.metrics("BTC", day)
    return published.root


def earlier_posts(store: SeriesStore) -> None:
    """A feed's posts of twenty days, three an hour, as collected at the time."""
    scorer = open_scorer("lexicon")
    times = pd.date_range(end=NOW.floor("h"), periods=3 * POSTS_HOURS, freq="20min", unit="us")
    rows = pd.DataFrame({"time": times, "available": times + pd.Timedelta(minutes=5)})
    rows["id"] = [f"earlier-{k}" for k in range(len(rows))]
    rows["score"] = [0.1 * (k % 7) for k in range(len(rows))]
    names = {"publisher": "feeds", "coin": "BTC"}
    store.append(
        "sentiment", rows.assign(**names, scorer=scorer.name, scorer_version=scorer.version)
    )


def streamed(store: SeriesStore) -> None:
    """Three days that were listened to, but for six hours; nothing came in the last two."""
    starts = pd.date_range(end=NOW.floor("h") - HOUR, periods=72, freq="h", unit="us")
    rows = pd.DataFrame({"start": starts, "end": starts + HOUR, "reason": ""})
    rows.loc[20:25, "reason"] = CUT
    names = {"exchange": "binance", "symbol": CONTRACT}
    store.upsert("listening", rows.assign(**names, kind="liquidations"))
    at = starts[:20] + pd.Timedelta(minutes=7)
    texts = {"side": "long", "price_kind": "average fill", "coverage": "sampled"}
    liquidations = pd.DataFrame({"time": at, "received": at, "order": [f"SELL {t}" for t in at]})
    amounts = {"base": 1.0, "usd": 6e4, "price": 6e4}
    store.append("liquidations", liquidations.assign(**names, **texts, **amounts))


@dataclass(frozen=True)
class Night:
    """A night, and the import before it."""

    folder: Path
    dsn: str
    outcome: Outcome
    imported: Outcome | None = None

    @property
    def client(self) -> MlflowClient:
        return BrainLibrary(self.dsn).client

    def run(self, role: str) -> Run:
        ids = [e.experiment_id for e in self.client.search_experiments()]
        (run,) = self.client.search_runs(ids, f"tags.role = '{role}'")
        return run

    def text(self, file: str) -> str:
        path = self.client.download_artifacts(self.run("night").info.run_id, file)
        return Path(path).read_text("utf-8")

    def records(self) -> dict[str, dict[str, Any]]:
        """The quality records by the series' name."""
        names = ("exchange", "symbol", "kind", "timeframe")
        documents = json.loads(self.text("market/quality.json"))
        return {" ".join(filter(None, (one[n] for n in names))): one for one in documents}


def job(folder: Path, template: Path, exchanges: ExchangeServer, *, imports: bool) -> Night:
    """A night on what a user has: published files, earlier posts, a stream's rows, publishers."""
    shutil.copy(sqlite_template(template), folder / "mlflow.db")
    dsn = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch, PublisherServer() as publishers:
        enter(folder, dsn, patch)
        patch.setenv("BRAIN_EXCHANGES", "binance")
        patch.setenv("BRAIN_SYMBOLS", "BTC/USDT")
        patch.setenv("BRAIN_HOURS", str(HOURS))
        connect(patch, exchanges.urls)
        publish(publishers)
        connect_publishers(patch, publishers)
        earlier_posts(SeriesStore(folder / "series"))
        streamed(SeriesStore(folder / "series"))
        imported = None
        if imports:
            imported = run_job("import", str(files(folder, exchanges.truth)))
        return Night(folder, dsn, run_job("nightly", *QUICK), imported)


@pytest.fixture(scope="module")
def night(
    exchanges: ExchangeServer, _templates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Night:
    """A night on imported history."""
    return job(tmp_path_factory.mktemp("imported-night"), _templates, exchanges, imports=True)


@pytest.fixture(scope="module")
def plain(
    exchanges: ExchangeServer, _templates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Night:
    """The same night without imported history."""
    return job(tmp_path_factory.mktemp("plain-night"), _templates, exchanges, imports=False)


# --- the report on quality ----------------------------------------------------------------------


def test_imported_and_collected_rows_are_one_series(night: Night) -> None:
    records = night.records()
    candles, funding = (records[f"binance {CONTRACT} {kind}"] for kind in ("candles 1h", "funding"))
    assert pd.Timestamp(candles["first"]) == MONTH
    assert candles["rows"] == candles["expected"] == (NOW.floor("h") - MONTH) // HOUR
    assert (candles["missing"], candles["holes"], candles["severity"]) == (0, [], "good")
    assert set(candles["coverage"]["shares"]) == {1.0}
    assert pd.Timestamp(funding["first"]) == MONTH
    assert (funding["missing"], funding["holes"]) == (0, [])

    finer = records[f"binance {CONTRACT} open_interest 5m"]
    assert (finer["rows"], finer["expected"], finer["missing"]) == (55 * 288, 55 * 288, 0)
    assert (finer["severity"], finer["late"]) == ("good", 0.0)
    assert records[f"binance {CONTRACT} open_interest 1h"]["missing"] == HOURS - 719
    assert records[f"binance {CONTRACT} snapshots"]["rows"] == 1


def test_posts_are_counted_and_the_index_has_a_value_a_day(night: Night) -> None:
    records = night.records()
    own = {"x": 60, "reddit": 60, "news": 60, "feeds": 120 + 3 * POSTS_HOURS}
    assert {name: records[f"{name} BTC sentiment"]["rows"] for name in own} == own
    for name in own:
        posts = records[f"{name} BTC sentiment"]
        assert (posts["expected"], posts["missing"], posts["gaps"]) == (None, None, None)
        assert posts["note"].startswith("scored by lexicon vader-3.3.2+crypto-")
    index = records["fear_greed indices"]
    assert (index["missing"], index["severity"]) == (0, "good")
    assert index["rows"] == index["expected"]


def test_what_a_stream_has_listened_to_is_told(night: Night) -> None:
    liquidations = night.records()[f"binance {CONTRACT} liquidations"]
    assert liquidations["rows"] == 20
    # Since the imported history's end, from which on the collection goes.
    whole = (NOW.floor("h") - pd.Timestamp("2026-10-01", tz="UTC")) / HOUR
    assert liquidations["listened"] == pytest.approx(66 / whole)
    assert liquidations["severity"] == "poor"
    longest = liquidations["holes"][0]
    assert (longest["count"], longest["reason"]) == (None, CUT)
    assert "20 came at least: the exchange pushes a sample" in liquidations["note"]
    days_of = liquidations["coverage"]
    assert (days_of["of"], days_of["shares"][0], max(days_of["shares"])) == ("time", 0.0, 1.0)


def test_the_page_shows_all_of_it(night: Night) -> None:
    page = HtmlPage(night.text("market/quality.html"))
    page.check_self_contained()
    names = [f"{publisher} BTC sentiment" for publisher in PUBLISHERS if publisher != "fear_greed"]
    for name in (*names, "fear_greed indices", f"binance {CONTRACT} liquidations"):
        assert page.texts.count(name) >= 2  # in the table and beside its strip
    assert any(text.endswith(": not listened to") for text in page.texts)
    assert page.texts.count(CUT) == 1
    assert any(text.endswith("no row, which need be no fault") for text in page.texts)


def test_the_summary_has_it_and_the_console_says_what_was_listened_to(night: Night) -> None:
    summary = json.loads(night.text("summary.json"))
    (one,) = [entry for entry in summary["quality"] if entry["kind"] == "liquidations"]
    assert (one["rows"], one["expected"], one["missing"]) == (20, None, None)
    collected = {(entry["exchange"], entry["kind"]) for entry in summary["market"]}
    assert {(name, "sentiment") for name in PUBLISHERS} < collected
    text = " ".join(night.outcome.out.split())
    assert f"binance {CONTRACT} liquidations: listened to 5.4% of the time, 91.6% since" in text


# --- what models miss ---------------------------------------------------------------------------

# Rows without a target: the first twelve, whose volatility is unknown, and the last seven.
EARLY, LATE = 12, 7


def missed(night: Night, bars: int) -> dict[str, int]:
    """By feature, the rows of the model's run in which it is missing."""
    metrics = night.run("family").data.metrics
    marked = {key.removeprefix("missing/"): v for key, v in metrics.items() if "missing/" in key}
    counts = {key: share * (bars - EARLY - LATE) for key, share in marked.items() if key != "all"}
    assert all(abs(count - round(count)) < 1e-6 for count in counts.values())
    return {key: round(count) for key, count in counts.items()}


def check_sentiment(missing: dict[str, int], bars: int) -> None:
    """Posts are known from the first that had arrived on, and the index of years always."""
    for name in ("mood_4", "mood_24", "mood_168"):
        assert missing[name] == bars - EARLY - POSTS_HOURS
    assert missing["fear_greed"] == 0


def test_models_miss_no_more_than_the_files_and_publishers_do(night: Night) -> None:
    for one in (night.imported, night.outcome):
        assert one is not None
        assert (one.code, one.complaints) == (0, [])
    assert night.run("family").data.params["feature_set"] == "bars-1+market-1+sentiment-1"
    bars = (NOW.floor("h") - MONTH) // HOUR
    missing = missed(night, bars)
    assert set(missing) == {*MARKET_FEATURES, *SENTIMENT_FEATURES}
    # Neither at the seam of files and exchange, nor where five minutes give way to hours.
    assert missing["oi_change_24"] == 24 - EARLY
    assert (missing["oi_change_1"], missing["funding_8h"]) == (0, 0)
    check_sentiment(missing, bars)


@pytest.mark.soak
def test_without_the_files_models_miss_what_the_exchange_no_longer_keeps(plain: Night) -> None:
    assert (plain.outcome.code, plain.outcome.complaints) == (0, [])
    missing = missed(plain, HOURS)
    assert set(missing) == {*MARKET_FEATURES, *SENTIMENT_FEATURES}
    assert missing["oi_change_24"] == HOURS - EARLY - 719 + 24
    assert missing["funding_8h"] == 0
    check_sentiment(missing, HOURS)
