"""The scorer by a lexicon: VADER's rules and words, and words of crypto beside them.

VADER (Hutto & Gilbert 2014, *VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text*, ICWSM) adds up the valences of a text's words, with rules for negation, degree,
capitals and punctuation, and maps the sum x to x / √(x² + 15).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError
from market.sentiment.scorers import DECIMALS, LEXICON, plain_text

__all__ = ["LexiconScorer", "parse_lexicon"]

_LARGEST = 4.0
_VERSION = "version"


class LexiconScorer:
    """Scores by VADER with words of crypto; ten thousand headlines take about a second.

    Args:
        crypto: whether the words of crypto count too; without them it is VADER as it comes.
    """

    name = LEXICON

    def __init__(self, *, crypto: bool = True) -> None:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        self.version = f"vader-{version('vaderSentiment')}"
        self._analyzer: Any = SentimentIntensityAnalyzer()
        self._phrases: re.Pattern[str] | None = None
        if crypto:
            number, valences = _crypto_lexicon()
            self.version += f"+crypto-{number}"
            self._analyzer.lexicon.update({_one_word(w): x for w, x in valences.items()})
            self._phrases = _phrases(valences)

    def __repr__(self) -> str:
        return f"LexiconScorer({self.version})"

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """See :meth:`market.sentiment.scorers.Scorer.scores`."""
        return np.array([self._score(text) for text in texts], dtype=np.float64)

    def _score(self, text: str) -> float:
        text = plain_text(text)
        if self._phrases is not None:
            text = self._phrases.sub(lambda phrase: _one_word(phrase[0]), text)
        parts: Mapping[str, float] = self._analyzer.polarity_scores(text)
        if parts["pos"] == 0.0 and parts["neg"] == 0.0:
            return float("nan")  # no word is in the lexicon
        return round(float(parts["compound"]), DECIMALS)


def parse_lexicon(text: str) -> tuple[str, dict[str, float]]:
    """The version of a lexicon, and its valences by word or phrase in lower case.

    Args:
        text: lines of a word, a tab and a number from -4 to 4; the first names the version, and
            those that begin with ``#`` don't count.

    Raises:
        InputError: a line is of another form, or a word comes twice.
    """
    rows = [line.split("\t") for line in text.splitlines() if line.strip() and line[0] != "#"]
    if not rows or len(rows[0]) != 2 or rows[0][0] != _VERSION:
        raise InputError("a lexicon begins with its version; write version, a tab and a number")
    valences: dict[str, float] = {}
    for row in rows[1:]:
        word, value = (row[0].strip(), row[-1]) if len(row) == 2 else ("", "")
        try:
            valence = float(value)
        except ValueError:
            valence = float("nan")
        if not word or word != word.lower() or word in valences or not abs(valence) <= _LARGEST:
            raise InputError(
                f"{row!r} is no line of a lexicon; write a word in lower case that is on no other "
                "line, a tab and a number from -4 to 4"
            )
        valences[word] = valence
    return rows[0][1].strip(), valences


@lru_cache(maxsize=1)
def _crypto_lexicon() -> tuple[str, dict[str, float]]:
    return parse_lexicon((files("market.sentiment") / "crypto_lexicon.tsv").read_text())


def _one_word(phrase: str) -> str:
    return "_".join(phrase.lower().split())


def _phrases(valences: Mapping[str, float]) -> re.Pattern[str]:
    """What matches a phrase of several words, the longest first."""
    phrases = sorted((w for w in valences if " " in w), key=len, reverse=True)
    forms = (r"\s+".join(map(re.escape, phrase.split())) for phrase in phrases)
    return re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?!\w)", re.IGNORECASE)
