"""Requests for deletion: an id is gone from every file, and does not come back."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from brain.errors import InputError
from brain.series.store.store import SeriesStore
from market.sentiment.deletions import forget
from market.sentiment.posts import digest_id
from tests.jobs import run_job
from tests.market.sentiment.conftest import Collect
from tests.market.sentiment.publisher_server import Article, PublisherServer
from tests.market.sentiment.test_collection import everything

#: Long enough to be found wherever it is.
ID = "1899999999999999777"


def rows(store: SeriesStore, publisher: str = "x") -> pd.DataFrame:
    return store.read("sentiment", where={"publisher": publisher})


def frame(publisher: str, ids: list[str], coin: str = "BTC", hours: int = 0) -> pd.DataFrame:
    start = pd.Timestamp("2026-11-01", tz="UTC") + pd.Timedelta(hours=hours)
    times = [start + pd.Timedelta(hours=7 * k) for k in range(len(ids))]
    return pd.DataFrame(
        {
            "publisher": publisher,
            "coin": coin,
            "time": pd.DatetimeIndex(times).as_unit("us"),
            "id": ids,
            "score": 0.5,
            "scorer": "lexicon",
            "scorer_version": "1",
            "available": start + pd.Timedelta(days=60),
        }
    )


def fill(store: SeriesStore) -> list[str]:
    """Rows of many commits, joined in between, as of months of collecting."""
    others = [f"18{k:017d}" for k in range(120)]
    for first in range(0, 120, 3):
        store.append("sentiment", frame("x", [*others[first : first + 3], ID], hours=20 * first))
    store.append("sentiment", frame("x", [ID, "7"], coin="ETH"))
    store.append("sentiment", frame("reddit", [ID]))
    return others


def test_an_id_is_in_no_file_afterwards(store: SeriesStore, tmp_path: Path) -> None:
    others = fill(store)
    assert ID in everything(tmp_path)
    before = rows(store)
    deletion = forget(store, "x", [ID, "unknown"])
    count = int((before["id"] == ID).sum())
    assert count == 41
    assert (deletion.ids, deletion.rows) == (2, count)
    left = before[before["id"] != ID].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows(store), left)
    assert set(others) <= set(left["id"])
    # Another publisher's post of the same id is another one.
    assert rows(store, "reddit")["id"].tolist() == [ID]
    store.purge("sentiment", lambda kept: kept["id"] == ID, partition="reddit")
    assert ID not in everything(tmp_path)


def test_ids_stand_in_the_rows_alone_and_never_in_the_log_of_the_table(
    store: SeriesStore, tmp_path: Path
) -> None:
    fill(store)
    log = tmp_path / "series" / "sentiment" / "_delta_log"
    files = list(log.iterdir())
    assert len(files) > 40
    for file in files:
        assert ID.encode() not in file.read_bytes()
        if file.suffix == ".parquet":
            assert ID not in pd.read_parquet(file).to_csv()


def test_a_post_does_not_come_back(
    publishers: PublisherServer, collect: Collect, store: SeriesStore, now: pd.Timestamp
) -> None:
    publishers.articles["x"] = [
        Article(one, now - pd.Timedelta(hours=2), "bitcoin soars") for one in (ID, "5")
    ]
    publishers.articles["feeds/rss"] = [
        Article(f"https://news.example/{ID}", now - pd.Timedelta(hours=2), "bitcoin soars")
    ]
    collect(["x", "feeds"])
    assert len(rows(store)) == 2
    assert forget(store, "x", [ID]).rows == 1
    # Of articles the address is the id that people know.
    assert forget(store, "feeds", [f"https://news.example/{ID}"]).rows == 1
    for result in collect(["x", "feeds"]).series:
        assert result.rows_new == 0
    assert rows(store)["id"].tolist() == ["5"]
    assert rows(store, "feeds").empty


def test_what_is_stored_while_it_is_forgotten_is_not_left_behind(store: SeriesStore) -> None:
    """Other writers' rows stay, whichever comes first."""
    fill(store)
    others = [f"19{k:017d}" for k in range(30)]

    def write() -> None:
        writer = SeriesStore(store.root)
        for one in others:
            writer.append("sentiment", frame("x", [one]))

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(5):
        forget(store, "x", [ID])
    thread.join()
    left = set(rows(store)["id"])
    assert ID not in left
    assert set(others) <= left


def test_who_is_reading_an_earlier_version_reads_the_next_one(store: SeriesStore) -> None:
    fill(store)
    reader, purged = SeriesStore(store.root), False
    find = reader._tables["sentiment"].find

    def find_and_purge() -> Any:
        """A deletion between the reading of the log and that of the files."""
        nonlocal purged
        view = find()
        if not purged:
            purged = True
            forget(store, "x", [ID])
        return view

    reader._tables["sentiment"].find = find_and_purge  # type: ignore[method-assign]
    assert set(rows(reader)["id"]) == set(rows(store)["id"])
    assert purged


@pytest.mark.parametrize(
    ("publisher", "ids"), [("twitter", ["1"]), ("fear_greed", ["1"]), ("x", []), ("x", [" "])]
)
def test_what_cannot_be_forgotten_is_told(
    store: SeriesStore, publisher: str, ids: list[str]
) -> None:
    with pytest.raises(InputError):
        forget(store, publisher, ids)
    assert store.read("deletions").empty


def test_the_command_forgets(
    store: SeriesStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(store)
    outcome = run_job("forget", "x", ID)
    assert outcome.code == 0
    assert "posts of x are gone" in outcome.out
    assert ID not in set(rows(store)["id"])
    outcome = run_job("forget", "tweets", ID)
    assert outcome.code == 2
    assert digest_id(ID) not in outcome.err
    assert "did you mean" in outcome.err or "known:" in outcome.err
