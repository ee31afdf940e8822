"""Which coins a text is about."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files

from brain.coins import coin_of
from brain.errors import BrainError
from brain.naming import present_name

__all__ = ["coin_names", "coins_in", "present_coin"]


def present_coin(name: str, renamed: Mapping[str, str]) -> str:
    """The coin of a symbol, after its renamings where it is a perpetual's.

    Args:
        name: of the symbol.
        renamed: canonical symbols, new by old.

    Raises:
        InputError: the symbol is none.
    """
    try:
        return coin_of(present_name(name, renamed))
    except BrainError:  # no perpetual, which a coin need not have
        return coin_of(name)


@lru_cache(maxsize=1)
def _table() -> tuple[dict[str, tuple[str, ...]], frozenset[str]]:
    table = tomllib.loads((files("market.sentiment") / "coins.toml").read_text())
    names = {coin: tuple(words) for coin, words in table["names"].items()}
    return names, frozenset(table["words"])


def coin_names(coin: str) -> tuple[str, ...]:
    """The names of a coin beside its ticker, in lower case."""
    return _table()[0].get(coin, ())


def coins_in(text: str, coins: Sequence[str]) -> Iterable[str]:
    """Those of some coins that a text is about.

    By ``$BTC`` in any case, by ``BTC`` in capitals unless that is a word of English, or by a name.
    """
    return (coin for coin in coins if _pattern(coin).search(text))


@lru_cache(maxsize=4096)
def _pattern(coin: str) -> re.Pattern[str]:
    ticker, names = re.escape(coin), coin_names(coin)
    forms = [rf"(?i:\$#?{ticker})"]
    if coin not in _table()[1]:
        forms.append(ticker)
    # "Bitcoin Cash" is no bitcoin: a longer name of another coin is not this one's.
    for name in names:
        longer = [
            other.removeprefix(name)
            for key, others in _table()[0].items()
            for other in others
            if key != coin and other.startswith(f"{name} ")
        ]
        but = f"(?!{'|'.join(map(re.escape, longer))})" if longer else ""
        forms.append(rf"(?i:{re.escape(name)}{but})")
    return re.compile(rf"(?<!\w)(?:{'|'.join(forms)})(?!\w)")
