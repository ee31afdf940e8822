"""Deletion of what is kept of posts: by id, because somebody asks for it, and by age."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from brain.errors import InputError, did_you_mean
from brain.series.store.store import SeriesStore
from market.sentiment.posts import digest_id
from market.sentiment.publishers.catalogue import INDEX, PUBLISHERS

__all__ = ["Deletion", "deleted_ids", "expire_posts", "forget", "forget_deleted"]

_KIND = "sentiment"


@dataclass(frozen=True)
class Deletion:
    """What a request for deletion came to.

    Attributes:
        ids: that were asked for.
        rows: that are gone; a post may have had one for each of several coins, or none.
    """

    ids: int
    rows: int


def forget(store: SeriesStore, publisher: str, ids: Sequence[str]) -> Deletion:
    """Remove all that is kept of some posts, for good, and never take them up again.

    That they are not to come back is noted first, as a SHA-256 of publisher and id, and then their
    rows go: from the table, from its earlier versions, and from the disk or bucket.

    Args:
        store: the series store.
        publisher: ``x``, ``reddit``, ``news`` or ``feeds``.
        ids: as the publisher names the posts; of articles and entries of feeds the address or the
            feed's own id. An id that nothing is kept of is noted all the same.

    Raises:
        InputError: there is no such publisher, it has no posts, or no id is given.
        SeriesStoreError: the store can't be read or written.
    """
    names = [name for name in PUBLISHERS if name != INDEX]
    if publisher not in names:
        raise InputError(
            f"no posts of {publisher!r} are kept; {did_you_mean(str(publisher), names)}"
        )
    if isinstance(ids, str) or not (wanted := {i.strip() for i in ids if i.strip()}):
        raise InputError("no post is named; give the ids of those to be forgotten, as a list")
    if publisher in ("news", "feeds"):
        # An id of ours may be given too: it is what the store shows.
        wanted |= {digest_id(one) for one in wanted}
    now = pd.Timestamp.now("UTC")
    digests = sorted(_digest(publisher, one) for one in wanted)
    frame = pd.DataFrame({"publisher": publisher, "digest": digests, "asked": now})
    store.append("deletions", frame)
    rows = store.purge(_KIND, lambda kept: kept["id"].isin(wanted), partition=publisher)
    return Deletion(len({i.strip() for i in ids if i.strip()}), rows)


def deleted_ids(store: SeriesStore, publisher: str, ids: Iterable[str]) -> set[str]:
    """Those of some ids whose deletion was asked for."""
    noted = set(
        store.read("deletions", where={"publisher": publisher}, columns=["digest"])["digest"]
    )
    return {one for one in ids if _digest(publisher, one) in noted} if noted else set()


def forget_deleted(store: SeriesStore, publisher: str, ids: Sequence[str]) -> None:
    """Remove those of some posts, just stored, whose deletion was asked for meanwhile."""
    if deleted := deleted_ids(store, publisher, ids):
        store.purge(_KIND, lambda kept: kept["id"].isin(deleted), partition=publisher)


def expire_posts(store: SeriesStore, publisher: str, days: int, now: pd.Timestamp) -> int:
    """Remove what is kept of posts that are older than some days, for good; how many rows."""
    until = now - pd.Timedelta(days=days)
    old = store.read(_KIND, where={"publisher": publisher}, end=until, columns=["time"])
    if old.empty:
        return 0
    return store.purge(_KIND, lambda kept: kept["time"] < until, partition=publisher)


def _digest(publisher: str, post_id: str) -> str:
    return hashlib.sha256(f"{publisher}\0{post_id}".encode()).hexdigest()
