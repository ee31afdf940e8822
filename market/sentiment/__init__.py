"""The mood of the market: posts of publishers, scored offline and kept as ids, times and scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from market.sentiment.deletions import forget as forget
    from market.sentiment.lexicon import LexiconScorer as LexiconScorer
    from market.sentiment.opening import open_scorer as open_scorer
    from market.sentiment.posts import Post as Post
    from market.sentiment.publishers.base import Publisher as Publisher
    from market.sentiment.publishers.catalogue import PUBLISHERS as PUBLISHERS
    from market.sentiment.scorers import Scorer as Scorer
    from market.sentiment.transformer import TransformerScorer as TransformerScorer

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "market.sentiment.deletions": "forget",
        "market.sentiment.lexicon": "LexiconScorer",
        "market.sentiment.opening": "open_scorer",
        "market.sentiment.posts": "Post",
        "market.sentiment.publishers.base": "Publisher",
        "market.sentiment.publishers.catalogue": "PUBLISHERS",
        "market.sentiment.scorers": "Scorer",
        "market.sentiment.transformer": "TransformerScorer",
    },
)
