"""Scorers: how bullish a text is, offline, by a model with a name and a version."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["DECIMALS", "LEXICON", "Scorer", "plain_text"]

#: Decimals of a score, so that sums of scores are exact in any order.
DECIMALS = 4
#: The scorer that needs nothing but what is installed.
LEXICON = "lexicon"

_TAG = re.compile(r"<[^<>]*>")
# Neither says what its author thinks, and both are of arbitrary words.
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|(?<!\w)@\w+")


class Scorer(Protocol):
    """Gives texts their scores. It needs no network, and keeps no text.

    Attributes:
        name: of the model.
        version: of it, all of its data included: equal versions give equal scores.
    """

    name: str
    version: str

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """(N,) from -1, bearish, to 1, bullish, to :data:`DECIMALS` decimals.

        NaN where the model can't tell: it knows no word of the text, or there is none.
        """


def plain_text(text: str) -> str:
    """A text without markup, addresses and mentions."""
    return " ".join(_ADDRESS.sub(" ", _TAG.sub(" ", html.unescape(text))).split())
