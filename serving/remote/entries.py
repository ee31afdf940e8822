"""Entries of registered models, taken one at a time from a page of the registry's JSON.

:func:`json.loads` of a page holds the interpreter for milliseconds, in which nothing can be
decided. So between two entries it is given to the other threads.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from brain.brief import Brief
from brain.errors import LibraryError

__all__ = ["NONSENSE", "ModelEntry", "milliseconds", "parse_page", "tags_of", "text_of"]

# Asleep for a moment a thread gives the interpreter away; after a sleep of 0 it may take it back.
_PAUSE_SECONDS = 20e-6
_DECODER = json.JSONDecoder()
#: What comes of taking apart what is of another shape.
NONSENSE = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError),
    RecursionError,
)
_END = 253_402_300_800_000  # the year 10000
_BLANKS = frozenset(" \t\r\n")
_MODELS, _TOKEN = "registered_models", "next_page_token"


@dataclass(frozen=True, repr=False)
class ModelEntry(Brief):
    """A registered model in a page of the registry; anybody may have registered it.

    Attributes:
        name: of the registered model.
        updated: milliseconds since 1970 UTC; moving an alias or setting a tag leaves it as it is.
        aliases: version numbers by alias.
        tags: of the registered model.
        digest: SHA-256 of the entry's own JSON, 64 hexadecimal digits: the same while nothing in
            it changes.
    """

    name: str
    updated: int
    aliases: Mapping[str, int]
    tags: Mapping[str, str]
    digest: str


def parse_page(body: bytes) -> tuple[list[ModelEntry], str]:
    """The entries of a page, and the next page's token; empty at the end.

    Raises:
        LibraryError: it is no page of registered models.
    """
    try:
        return _parse(body.decode())
    except NONSENSE as error:
        raise LibraryError(
            f"{len(body)} bytes are no page of registered models ({error}); look whether the "
            "address is that of an MLflow server"
        ) from error


def tags_of(pairs: Any) -> dict[str, str]:
    """Tags or parameters by their keys, of a list of pairs, which MLflow leaves out if empty.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is none.
    """
    return {text_of(pair["key"]): text_of(pair.get("value", "")) for pair in pairs or []}


def milliseconds(value: Any) -> int:
    """A moment, milliseconds since 1970 UTC.

    Raises:
        ValueError, TypeError, OverflowError: it is none.
    """
    if not 0 <= (moment := int(value)) < _END:
        raise ValueError(f"{moment} is no moment")
    return moment


def text_of(value: Any) -> str:
    """A text.

    Raises:
        ValueError, TypeError: it is none, or holds halves of characters.
    """
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    value.encode()
    return value


def _parse(text: str) -> tuple[list[ModelEntry], str]:
    entries: list[ModelEntry] = []
    token = ""
    cursor = _Cursor(text)
    for _ in cursor.inside("{", "}"):
        key = cursor.value()
        cursor.take(":")
        if key == _MODELS:
            for _ in cursor.inside("[", "]"):
                begin = cursor.skip()
                value = cursor.value()
                entries.append(_entry(text[begin : cursor.at], value))
                time.sleep(_PAUSE_SECONDS)
        elif key == _TOKEN:
            token = text_of(cursor.value())
        else:
            cursor.value()
    if cursor.skip() != len(text):
        raise ValueError(f"something follows at {cursor.at}")
    return entries, token


class _Cursor:
    """A place in a JSON text, which goes on value by value."""

    def __init__(self, text: str) -> None:
        self._text, self.at = text, 0

    def skip(self) -> int:
        """Pass over blanks."""
        while self._text[self.at : self.at + 1] in _BLANKS:
            self.at += 1
        return self.at

    def value(self) -> Any:
        """The value that begins here."""
        value, self.at = _DECODER.raw_decode(self._text, self.skip())
        return value

    def take(self, character: str) -> None:
        """Pass over a character, which must be this one."""
        if self._text[self.skip()] != character:
            raise ValueError(f"{character!r} is missing at {self.at}")
        self.at += 1

    def inside(self, first: str, last: str) -> Iterator[None]:
        """Go through an array or object; whoever loops takes each of its values."""
        self.take(first)
        if self._text[self.skip()] != last:
            yield
            while self._text[self.skip()] != last:
                self.take(",")
                yield
        self.take(last)


def _entry(text: str, value: Any) -> ModelEntry:
    aliases = value.get("aliases") or []
    return ModelEntry(
        name=text_of(value["name"]),
        updated=milliseconds(value.get("last_updated_timestamp", 0)),
        aliases={text_of(pair["alias"]): int(pair["version"]) for pair in aliases},
        tags=tags_of(value.get("tags")),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )
