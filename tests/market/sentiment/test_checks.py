"""The doctor's rows of the publishers, and what a collection refuses before it asks anybody."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from aiohttp import web

from brain.checks import Check, verdict
from brain.errors import InputError, SettingsError
from brain.series.store.store import SeriesStore
from brain.settings import load_settings
from market.collection.collector import DataCollector
from market.collection.kinds import kinds_of
from market.configuration import check_collection
from market.sentiment.checks import check_sentiment
from tests.jobs import run_job
from tests.market.collectors import Library
from tests.market.sentiment.conftest import Collect
from tests.market.sentiment.publisher_server import SECRETS, Article, PublisherServer

ALL = "feeds,fear_greed,x,reddit,news"


def rows(publishers: PublisherServer, live: bool = False, **more: Any) -> dict[str, Check]:
    settings = load_settings({**publishers.settings(), "sentiment": ALL, **more})
    return {check.name: check for check in check_sentiment(settings, live=live)}


def test_where_all_is_well_the_doctor_says_so(
    publishers: PublisherServer, now: pd.Timestamp
) -> None:
    publishers.articles["feeds/rss"] = [Article("a", now - pd.Timedelta(hours=1), "bitcoin")]
    publishers.index = {now.floor("D"): 44.0}
    found = rows(publishers, live=True)
    assert {check.state for check in found.values()} == {"ok"}
    assert set(found) == {
        "scorer", "x credentials", "reddit credentials", "news credentials", *ALL.split(","),
    }  # fmt: skip
    assert found["scorer"].detail.startswith("lexicon vader-")
    assert found["fear_greed"].detail == "44 of 100"
    assert found["feeds"].detail == "1 post came"
    assert verdict(found.values()) == 0
    assert not [name for name, secret in SECRETS.items() if secret in repr(found)]


def test_the_doctor_names_what_is_not_set_and_asks_nobody_unless_told(
    publishers: PublisherServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDDIT_CLIENT_SECRET")
    monkeypatch.setenv("NEWS_API_KEY", " ")
    found = rows(publishers)
    assert not publishers.seen
    assert found["x credentials"].state == "ok"
    assert found["reddit credentials"].detail == "REDDIT_CLIENT_SECRET not set"
    assert found["news credentials"].cure == "set them in the environment"
    assert verdict(found.values()) == 1


def test_the_doctor_tells_which_publisher_refuses_or_answers_otherwise(
    publishers: PublisherServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("X_BEARER_TOKEN", "another-9999")
    publishers.fault = lambda publisher, _: (
        web.json_response({"data": {"sold": True}}) if publisher == "reddit" else None
    )
    found = rows(publishers, live=True)
    assert found["x"].state == "failed"
    assert "see whether X_BEARER_TOKEN is" in found["x"].cure
    assert "another-9999" not in repr(found)
    assert "'data.children' is missing" in found["reddit"].detail
    assert "holds nothing of the last days" in found["fear_greed"].detail


def test_nothing_is_checked_where_no_publisher_is_configured() -> None:
    assert check_sentiment(load_settings(), live=True) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sentiment": "twitter"}, "no publisher is called 'twitter'"),
        ({"sentiment": "x", "x_url": "ftp://host"}, "no base URL"),
        ({"sentiment": "feeds", "feeds": ["not an address"]}, "no feed's address"),
    ],
)
def test_a_publisher_that_is_none_is_a_fault_of_the_configuration(
    settings: dict[str, Any], message: str
) -> None:
    (check,) = check_sentiment(load_settings(settings), live=False)
    assert (check.name, check.state) == ("configuration", "failed")
    assert message in check.detail
    with pytest.raises(InputError, match=message):
        check_collection(load_settings({**settings, "symbols": "BTC/USDT"}))


# --- kinds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({}, ("market",)),
        ({"exchanges": "okx"}, ("market",)),
        ({"sentiment": "x"}, ("sentiment",)),
        ({"exchanges": "okx", "sentiment": "x"}, ("market", "sentiment")),
        ({"exchanges": "okx", "sentiment": "x", "kinds": "market"}, ("market",)),
        ({"exchanges": "okx", "kinds": "sentiment"}, ("sentiment",)),
    ],
)
def test_a_collection_is_of_what_is_configured(
    settings: dict[str, str], kinds: tuple[str, ...]
) -> None:
    assert kinds_of(load_settings(settings)) == kinds


def test_kinds_that_are_none_are_refused(store: SeriesStore) -> None:
    collector = DataCollector(Library(store), settings=load_settings())
    for kinds, message in (
        (["sentimant"], "did you mean 'sentiment'"),
        (["candles"], "collected together with funding"),
        ("sentiment", "give a list"),
    ):
        with pytest.raises(InputError, match=message):
            collector.collect_all_data(["BTC/USDT"], kinds=kinds)
    with pytest.raises(SettingsError, match="no symbols are named"):
        check_collection(load_settings({"kinds": "sentiment"}))
    with pytest.raises(InputError, match="neither lexicon nor a folder"):
        check_collection(
            load_settings({"kinds": "sentiment", "symbols": "BTC/USDT", "scorer": "finbert"})
        )


def test_the_command_collects_feeds_where_no_publisher_and_no_exchange_is_named(
    publishers: PublisherServer, now: pd.Timestamp, sqlite_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", sqlite_dsn)
    monkeypatch.setenv("BRAIN_FEEDS", publishers.settings()["feeds"])
    publishers.articles["feeds/rss"] = [Article("a", now - pd.Timedelta(hours=1), "bitcoin soars")]
    done = run_job("collect", "--kinds", "sentiment", "--symbols", "BTC/USDT,ETH/USDT")
    assert (done.code, done.complaints) == (0, [])
    assert "BTC/USDT feeds sentiment: 1 row" in done.out
    assert "ETH/USDT feeds sentiment: 0 rows" in done.out
    publishers.fault = lambda *_: web.Response(status=404)
    done = run_job("collect", "--kinds", "sentiment", "--symbols", "BTC/USDT,ETH/USDT")
    assert done.code == 2
    assert "feeds, all 2 series" in done.out


def test_x_is_asked_for_a_day_at_first_and_then_from_where_it_was(
    publishers: PublisherServer, collect: Collect, store: SeriesStore, now: pd.Timestamp
) -> None:
    """Each post is paid for, and one that arrives late counts in few bars."""
    hours = [2, 20, 30, 100]
    publishers.articles["x"] = [
        Article(str(k), now - pd.Timedelta(hours=k), "bitcoin soars") for k in hours
    ]
    (result,) = collect(["x"], hours=4320).series
    assert result.rows_stored == 2
    first = len(publishers.seen)
    assert 24 <= first <= 26
    collect(["x"], hours=4320)
    assert len(publishers.seen) - first <= 4
    assert set(store.read("sentiment")["id"]) == {"2", "20"}
