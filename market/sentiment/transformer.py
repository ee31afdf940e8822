"""The scorer by a transformer in a local folder; nothing is ever downloaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError, SettingsError
from market.sentiment.scorers import DECIMALS, plain_text

__all__ = ["TransformerScorer"]

_POSITIVE = frozenset({"positive", "pos", "bullish"})
_NEGATIVE = frozenset({"negative", "neg", "bearish"})
_BATCH = 32
_TOKENS = 128
_DIGITS = 12


class TransformerScorer:
    """Scores by a classifier of texts: the probability of its bullish labels less the bearish ones.

    The model is loaded from safetensors alone, without code of its own.

    Args:
        folder: as ``save_pretrained`` of model and tokenizer has written it, with labels such as
            positive, neutral and negative, or bullish and bearish.

    Raises:
        InputError: there is no such folder, or it holds no such model.
        SettingsError: ``transformers`` is not installed.
    """

    name = "transformer"

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(
                f"there is no folder {folder} to read a transformer from; name one with the "
                "setting scorer, or leave it at lexicon"
            )
        try:
            import torch
            import transformers
        except ImportError as error:
            raise SettingsError(
                f"scorer={str(folder)!r} needs the package transformers; pip install transformers"
            ) from error
        self._torch: Any = torch
        local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder), **local)
            self._model: Any = transformers.AutoModelForSequenceClassification.from_pretrained(
                str(folder), use_safetensors=True, **local
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise InputError(
                f"{folder} holds no classifier of texts ({type(error).__name__}: "
                f"{str(error)[:200]}); save model and tokenizer there by save_pretrained"
            ) from error
        self._signs = _signs(self._model.config.id2label, folder)
        self._model.eval()
        self.version = _digest(folder)

    def __repr__(self) -> str:
        return f"TransformerScorer({self.version})"

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """See :meth:`market.sentiment.scorers.Scorer.scores`; the first 128 tokens count."""
        plain = [plain_text(text) for text in texts]
        scores = np.full(len(plain), np.nan)
        known = [place for place, text in enumerate(plain) if text]
        for first in range(0, len(known), _BATCH):
            places = known[first : first + _BATCH]
            scores[places] = self._batch([plain[place] for place in places])
        return scores

    def _batch(self, texts: Sequence[str]) -> NDArray[np.float64]:
        inputs = self._tokenizer(
            texts, padding=True, truncation=True, max_length=_TOKENS, return_tensors="pt"
        )
        with self._torch.inference_mode():
            logits = self._model(**inputs).logits.double()
        shares = self._torch.softmax(logits, dim=-1).numpy()
        return np.round(shares @ self._signs, DECIMALS)


def _signs(labels: Mapping[int, str], folder: Path) -> NDArray[np.float64]:
    """1 for each bullish label, -1 for each bearish one, 0 for the others."""
    names = [str(labels[place]).lower() for place in range(len(labels))]
    signs = np.array([float(n in _POSITIVE) - float(n in _NEGATIVE) for n in names])
    if not {1.0, -1.0} <= set(signs.tolist()):
        raise InputError(
            f"the model in {folder} has the labels {', '.join(names)}; name those of its "
            "config.json positive, neutral and negative, or bullish and bearish"
        )
    return signs


def _digest(folder: Path) -> str:
    """Of all files: equal digests score alike."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while block := content.read(2**20):
                digest.update(block)
    return digest.hexdigest()[:_DIGITS]
