"""Collecting from each publisher: all posts in range once, with scores, and never their text."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from aiohttp import web

from brain.errors import (
    InputError,
    PublisherError,
    PublisherRefusedError,
    PublisherShapeError,
    RateLimitedError,
)
from brain.series.store.store import SeriesStore
from market.http.client import RetryPolicy
from market.sentiment.lexicon import LexiconScorer
from market.sentiment.posts import digest_id
from market.sentiment.publishers.base import Publisher
from market.sentiment.publishers.feeds import Feeds
from market.sentiment.publishers.news import News
from market.sentiment.publishers.reddit import Reddit
from market.sentiment.publishers.x import X
from tests.market.sentiment.conftest import Collect
from tests.market.sentiment.publisher_server import SECRETS, Article, PublisherServer

#: In every text, and nowhere else.
MARK = "zanzibarian"
GOOD = f"Bitcoin soars to a record high, says {MARK}"
BAD = f"BTC crashes after a hack of {MARK}"
PLAIN = f"{MARK} and bitcoin meet on Tuesday"
PUBLISHERS = ("x", "reddit", "news", "feeds")


def place(publisher: str) -> str:
    return "feeds/rss" if publisher == "feeds" else publisher


def fill(
    server: PublisherServer, publisher: str, now: pd.Timestamp, count: int, hours: float = 20
) -> list[Article]:
    """Posts at even distances in the last hours, the first a minute ago."""
    texts = [GOOD, BAD, PLAIN]
    step = pd.Timedelta(hours=hours) / max(count, 1)
    articles = [
        Article(f"{publisher}-{k}", now - pd.Timedelta(minutes=1) - k * step, texts[k % 3])
        for k in range(count)
    ]
    server.articles[place(publisher)] = list(articles)
    return articles


def rows_of(store: SeriesStore, publisher: str) -> pd.DataFrame:
    return store.read("sentiment", where={"publisher": publisher})


def ids(publisher: str, articles: list[Article]) -> set[str]:
    return {digest_id(a.id) if publisher in ("news", "feeds") else a.id for a in articles}


@pytest.mark.parametrize("publisher", PUBLISHERS)
def test_all_posts_in_range_are_stored_once_with_their_scores(
    publisher: str, publishers: PublisherServer, collect: Collect, store: SeriesStore,
    now: pd.Timestamp,
) -> None:  # fmt: skip
    articles = fill(publishers, publisher, now, 250)
    too_old = Article("old", now - pd.Timedelta(hours=30), GOOD)
    other = Article("other", now - pd.Timedelta(hours=1), "Tomatoes are cheap")
    publishers.articles[place(publisher)] += [too_old, other]
    for new in (250, 0):
        (result,) = collect([publisher]).series
        assert result.failure is None
        assert (result.rows_stored, result.rows_new, result.missing) == (250, new, None)
    rows = rows_of(store, publisher)
    assert set(rows["id"]) == ids(publisher, articles)
    assert set(rows["coin"]) == {"BTC"}
    by_id = rows.set_index("id")
    for article in articles[:6]:
        (key,) = ids(publisher, [article])
        row = by_id.loc[key]
        assert row["time"] == article.time
        assert row["available"] >= article.time
        (score,) = LexiconScorer().scores([article.text])
        np.testing.assert_equal(row["score"], score)
        assert (row["scorer"], row["scorer_version"]) == ("lexicon", LexiconScorer().version)
    assert by_id["score"].isna().sum() == 83  # unknown, and not 0
    pages = [one for one in publishers.seen if one.publisher == publisher and one.status == 200]
    assert len(pages) > {"x": 20, "reddit": 2, "news": 2, "feeds": 1}[publisher]


@pytest.mark.parametrize("publisher", ["x", "reddit", "news"])
def test_without_or_with_wrong_credentials_the_result_says_what_to_set(
    publisher: str, publishers: PublisherServer, collect: Collect, store: SeriesStore,
    now: pd.Timestamp, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fill(publishers, publisher, now, 3)
    variables = [name for name in SECRETS if name.lower().startswith(publisher)]
    monkeypatch.setenv(variables[-1], "wrong-Sec-ret-77")
    (result,) = collect([publisher]).series
    assert isinstance(result.failure, PublisherRefusedError)
    assert variables[-1] in str(result.failure)
    assert "wrong-Sec" not in str(result.failure)
    monkeypatch.delenv(variables[-1])
    (result,) = collect([publisher]).series
    assert f"set {variables[-1]} in the environment" in str(result.failure)
    assert rows_of(store, publisher).empty


@pytest.mark.parametrize("publisher", ["x", "reddit", "news"])
def test_a_429_is_waited_out_until_its_reset(
    publisher: str, publishers: PublisherServer, collect: Collect, store: SeriesStore,
    now: pd.Timestamp,
) -> None:  # fmt: skip
    fill(publishers, publisher, now, 250, hours=1.5)
    publishers.limit(publisher, 2, 1.0)
    (result,) = collect([publisher], hours=2).series
    assert result.failure is None
    # Of an hour X sends a hundred.
    assert len(rows_of(store, publisher)) > 150 if publisher == "x" else result.rows_stored == 250
    # Only requests that went out before the reset was known may be refused.
    refused = [one for one in publishers.seen if one.status == 429]
    assert len(refused) <= 3


@pytest.mark.parametrize("publisher", ["x", "reddit"])
def test_a_reset_that_is_too_far_away_ends_the_collection_and_the_next_goes_on(
    publisher: str, publishers: PublisherServer, collect: Collect, store: SeriesStore,
    now: pd.Timestamp,
) -> None:  # fmt: skip
    articles = fill(publishers, publisher, now, 250)
    publishers.limit(publisher, 2, 900.0)
    (result,) = collect([publisher]).series
    assert isinstance(result.failure, RateLimitedError)
    assert "wants no request for" in str(result.failure)
    assert len(publishers.seen) <= 4  # and is left alone
    publishers.windows.clear()
    (result,) = collect([publisher]).series
    assert result.failure is None
    assert set(rows_of(store, publisher)["id"]) == ids(publisher, articles)


def test_coins_that_are_done_do_not_fail_with_the_others(
    publishers: PublisherServer, collect: Collect, now: pd.Timestamp
) -> None:
    fill(publishers, "x", now, 3, hours=3)
    publishers.limit("x", 7, 900.0)
    one, other = collect(["x"], ["BTC/USDT", "ETH/USDT"], hours=4).series
    assert (one.failure, one.rows_stored) == (None, 3)
    assert isinstance(other.failure, RateLimitedError)


def test_what_a_failed_collection_has_stored_is_whole_up_to_a_moment(
    publishers: PublisherServer, collect: Collect, store: SeriesStore, now: pd.Timestamp
) -> None:
    fill(publishers, "x", now, 250)
    publishers.limit("x", 7, 900.0)
    collect(["x"])
    rows = rows_of(store, "x")
    assert 0 < len(rows) < 250
    last = rows["time"].max()
    assert len(rows) == sum(article.time <= last for article in publishers.articles["x"])


def test_of_busy_hours_x_sends_so_many_posts_and_the_result_says_so(
    publishers: PublisherServer, collect: Collect, store: SeriesStore, now: pd.Timestamp
) -> None:
    fill(publishers, "x", now, 900, hours=3)
    (result,) = collect(["x"], hours=4, posts_an_hour=150).series
    assert "of busy hours the newest 150 posts" in result.note
    per_hour = rows_of(store, "x")["time"].dt.floor("h").value_counts()
    assert per_hour.max() <= 150
    assert per_hour.max() > 100  # which takes two pages


def test_a_free_key_of_the_news_api_gets_the_first_hundred_and_the_result_says_so(
    publishers: PublisherServer, collect: Collect, store: SeriesStore, now: pd.Timestamp
) -> None:
    fill(publishers, "news", now, 250)
    publishers.most = 100
    (result,) = collect(["news"]).series
    assert result.failure is None
    assert "of busy days the newest 100 articles" in result.note
    assert len(rows_of(store, "news")) == 100


def test_a_token_of_reddit_that_is_withdrawn_is_renewed(
    publishers: PublisherServer, collect: Collect, now: pd.Timestamp
) -> None:
    fill(publishers, "reddit", now, 150)
    count = 0

    def withdraw(publisher: str, path: str) -> None:
        nonlocal count
        count += publisher == "reddit"
        if count == 2:
            publishers.withdraw_tokens()

    publishers.fault = withdraw
    (result,) = collect(["reddit"]).series
    assert (result.failure, result.rows_stored) == (None, 150)
    assert sum(one.publisher == "login" for one in publishers.seen) == 2


def test_feeds_are_followed_where_they_have_gone_and_a_broken_one_spoils_no_other(
    publishers: PublisherServer, collect: Collect, now: pd.Timestamp
) -> None:
    publishers.articles["feeds/rss"] = [Article("a", now - pd.Timedelta(hours=2), GOOD)]
    publishers.articles["feeds/atom"] = [Article("b", now - pd.Timedelta(hours=3), BAD)]
    (result,) = collect(["feeds"]).series
    assert (result.rows_stored, result.note) == (2, "")

    def page(publisher: str, path: str) -> web.Response | None:
        body = f"<html><body>{MARK}: bitcoin</body></html>"
        return web.Response(text=body, content_type="text/html") if path == "rss" else None

    publishers.fault = page
    publishers.articles["feeds/atom"].append(Article("c", now - pd.Timedelta(hours=1), BAD))
    (result,) = collect(["feeds"]).series
    assert (result.rows_stored, result.rows_new) == (3, 1)
    assert isinstance(result.failure, PublisherShapeError)
    assert "feeds: 127.0.0.1" in str(result.failure)
    assert "the answer is no feed" in str(result.failure)
    assert MARK not in str(result.failure)


def test_the_index_is_a_series_and_its_history_comes_at_once(
    publishers: PublisherServer, collect: Collect, store: SeriesStore, now: pd.Timestamp
) -> None:
    today = now.floor("D")
    publishers.index = {today - pd.Timedelta(days=k): 20.0 + k % 60 for k in range(400)}
    one, other = collect(["fear_greed"], ["BTC/USDT", "ETH/USDT"]).series
    assert (one.rows_new, one.rows_stored, other.rows_new, other.rows_stored) == (400, 400, 0, 400)
    rows = store.read("indices", where={"index": "fear_greed"})
    assert rows["time"].tolist() == sorted(publishers.index)
    assert rows["value"].tolist() == [publishers.index[day] for day in rows["time"]]
    assert (rows["available"] - rows["time"] == pd.Timedelta(hours=1)).all()
    collect(["fear_greed"])
    assert int(publishers.seen[-1].query["limit"]) <= 3  # not all of it again


def test_coins_share_a_post_that_is_about_both_and_symbols_of_a_coin_its_rows(
    publishers: PublisherServer, collect: Collect, store: SeriesStore, now: pd.Timestamp
) -> None:
    texts = ["Bitcoin and Ethereum rally", "Ethereum Classic is hacked", "$eth up", "BTC dumps"]
    publishers.articles["reddit"] = [
        Article(f"t{k}", now - pd.Timedelta(hours=k + 1), text) for k, text in enumerate(texts)
    ]
    result = collect(["reddit"], ["BTC/USDT", "ETH/USDT", "BTC/USD", "nonsense/"])
    by_symbol = {series.symbol: series for series in result.series}
    assert [by_symbol[s].rows_stored for s in ("BTC/USDT", "ETH/USDT", "BTC/USD")] == [2, 2, 2]
    assert [by_symbol[s].rows_new for s in ("BTC/USDT", "ETH/USDT", "BTC/USD")] == [2, 2, 0]
    assert isinstance(by_symbol["nonsense/"].failure, InputError)
    rows = rows_of(store, "reddit")
    assert rows.groupby("coin")["id"].apply(set).to_dict() == {
        "BTC": {"t0", "t3"},
        "ETH": {"t0", "t2"},
    }


def test_what_is_older_than_the_days_that_are_kept_goes(
    publishers: PublisherServer, collect: Collect, store: SeriesStore, now: pd.Timestamp
) -> None:
    fill(publishers, "reddit", now, 100, hours=72)
    collect(["reddit"], hours=96)
    assert len(rows_of(store, "reddit")) == 100
    collect(["reddit"], hours=96, sentiment_days=1)
    rows = rows_of(store, "reddit")
    assert 0 < len(rows) < 40
    assert rows["time"].min() >= now - pd.Timedelta(days=1)


# --- what is nowhere ----------------------------------------------------------------------------


def everything(folder: Path) -> str:
    """A file or all in a folder as text; of Parquet files the values too, which are compressed."""
    parts = []
    files = [folder] if folder.is_file() else folder.rglob("*")
    for path in sorted(p for p in files if p.is_file()):
        parts.append(path.read_bytes().decode(errors="replace"))
        if path.suffix == ".parquet":
            parts.append(pd.read_parquet(path, partitioning=None).to_csv())
    return "\n".join(parts)


def test_no_text_and_no_secret_is_in_store_log_result_or_repr(
    publishers: PublisherServer, collect: Collect, store: SeriesStore, now: pd.Timestamp,
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    for publisher in PUBLISHERS:
        fill(publishers, publisher, now, 30)
    results = [collect(PUBLISHERS)]
    broken: dict[str, Any] = {
        "moved": json.dumps({"data": {"children": MARK}, "articles": [{"url": [MARK]}]}),
        "retyped": json.dumps({"data": [{"id": 7, "text": MARK, "created_at": MARK}]}),
    }
    for body in broken.values():
        publishers.fault = lambda _publisher, path, body=body: (
            None if "access_token" in path else web.Response(text=body)
        )
        results.append(collect(PUBLISHERS, hours=48))
    # Both bodies are of another shape to every publisher.
    assert len([one for result in results[1:] for one in result.failures]) == 2 * len(PUBLISHERS)
    shown = "\n".join(
        [caplog.text, *(repr(result) + result.frame().to_csv() for result in results)]
    )
    assert len(rows_of(store, "x")) == 30
    files = everything(tmp_path)
    assert "lexicon" in files  # the search finds what is there
    for text in (files, shown):
        assert MARK not in text.lower()
        for secret in (*SECRETS.values(), "fd-2277"):
            assert secret not in text or secret == SECRETS["REDDIT_CLIENT_ID"]


@pytest.mark.parametrize("name", PUBLISHERS)
@pytest.mark.parametrize(
    "answer",
    [
        (200, f'{{"data": [{{"text": "{MARK}'),
        (503, f"<html>{MARK}</html>"),
        (403, f"<html>{MARK}</html>"),
        (404, f'{{"text": "{MARK}"}}'),
    ],
)
def test_no_error_quotes_what_came(
    name: str, answer: tuple[int, str], publishers: PublisherServer, now: pd.Timestamp,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    status, body = answer
    publishers.fault = lambda publisher, _path: (
        None if publisher == "login" else web.Response(status=status, text=body)
    )
    server = f"{publishers.url}/{name}"
    policy = RetryPolicy(attempts=2, first_wait=0.01, longest_wait=0.02)
    opened: Publisher
    match name:
        case "x":
            opened = X(server, retries=policy)
        case "reddit":
            opened = Reddit(server, login_url=f"{publishers.url}/login", retries=policy)
        case "news":
            opened = News(server, retries=policy)
        case _:
            opened = Feeds([f"{server}/rss"], retries=policy)

    async def ask() -> None:
        async with opened:
            async for _ in opened.slices({"BTC": now - pd.Timedelta(hours=1)}, now):
                pass

    with pytest.raises(PublisherError) as caught:
        asyncio.run(ask())
    assert MARK not in str(caught.value)
    assert MARK not in caplog.text
    assert name in str(caught.value)
