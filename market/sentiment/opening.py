"""The scorer that the settings name."""

from __future__ import annotations

from pathlib import Path

from brain.errors import InputError
from market.sentiment.lexicon import LexiconScorer
from market.sentiment.scorers import LEXICON, Scorer
from market.sentiment.transformer import TransformerScorer

__all__ = ["check_scorer", "open_scorer"]


def check_scorer(name: str) -> None:
    """Check that there is something to open, without loading it.

    Raises:
        InputError: there is no such folder.
    """
    if name != LEXICON and not Path(name).is_dir():
        raise InputError(
            f"scorer={name!r} is neither lexicon nor a folder; name one that holds a transformer"
        )


def open_scorer(name: str) -> Scorer:
    """The scorer of the setting ``scorer``.

    Args:
        name: ``lexicon``, or the folder of a transformer.

    Raises:
        InputError: there is no such folder, or it holds no classifier of texts.
        SettingsError: a package that the scorer needs is not installed.
    """
    return LexiconScorer() if name == LEXICON else TransformerScorer(Path(name))
