"""What a collection is of: what exchanges have, and the sentiment of publishers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from brain.errors import InputError, did_you_mean
from market.collection.plan import KINDS, SENTIMENT

if TYPE_CHECKING:
    from brain.settings import Settings

__all__ = ["MARKET", "kinds_of", "publishers_of"]

#: All kinds that an exchange has: their records of gaps begin and end together.
MARKET = "market"
_ALL = (MARKET, SENTIMENT)
# Who is asked where no publisher is named: feeds need no key.
_DEFAULT = ("feeds",)


def kinds_of(
    settings: Settings, kinds: Sequence[str] | None = None, exchanges: Sequence[str] | None = None
) -> tuple[str, ...]:
    """The kinds of a collection.

    Args:
        settings: with the kinds if none are given; without any, what is configured: the market
            where there are exchanges, and sentiment where there are publishers.
        kinds: ``market``, ``sentiment``.
        exchanges: of the collection; the settings' if None.

    Raises:
        InputError: a kind is unknown.
    """
    if isinstance(kinds, str):
        raise InputError(f"kinds is the text {kinds!r}; give a list, as [{kinds!r}]")
    chosen = tuple(dict.fromkeys(settings.kinds if kinds is None else kinds))
    for kind in chosen:
        if kind in KINDS:
            raise InputError(
                f"{kind} is collected together with {', '.join(k for k in KINDS if k != kind)}; "
                f"name them all as {MARKET}"
            )
        if kind not in _ALL:
            raise InputError(f"no kind is called {kind!r}; {did_you_mean(kind, _ALL)}")
    sources = {MARKET: settings.exchanges if exchanges is None else exchanges}
    sources[SENTIMENT] = settings.sentiment
    return chosen or tuple(kind for kind in _ALL if sources[kind]) or (MARKET,)


def publishers_of(settings: Settings, kinds: Sequence[str]) -> tuple[str, ...]:
    """The publishers of a collection of these kinds; the feeds where none is named."""
    return (settings.sentiment or _DEFAULT) if SENTIMENT in kinds else ()
