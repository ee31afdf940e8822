"""Posts on their way from a publisher to a scorer: the only place where their text is in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pandas as pd

__all__ = ["Post", "digest_id"]

_DIGITS = 32


@dataclass(frozen=True)
class Post:
    """What somebody has published: a post, an article, an entry of a feed.

    Attributes:
        id: by which the publisher knows it, or :func:`digest_id` of its address.
        time: of publication, UTC.
        text: title and body; it is scored, and neither stored nor shown.
    """

    id: str
    time: pd.Timestamp
    text: str = field(repr=False)


def digest_id(address: str) -> str:
    """The id of a post whose publisher names it by an address, which often holds its headline."""
    return hashlib.sha256(address.strip().encode()).hexdigest()[:_DIGITS]
