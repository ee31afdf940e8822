"""Names of symbols, regimes, families, aliases and tags.

Each of these strings is defined here alone, so that no room can misspell it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from brain.errors import InputError, UnknownFamilyError, UnknownRegimeError, did_you_mean

__all__ = [
    "PRIOR",
    "REGIMES",
    "Family",
    "Fill",
    "Liquidity",
    "Product",
    "Regime",
    "Role",
    "Tag",
    "cell_tag",
    "challenger_alias",
    "champion_alias",
    "model_id",
    "model_name",
    "parse_family",
    "parse_fill",
    "parse_liquidity",
    "parse_member",
    "parse_model_id",
    "parse_product",
    "parse_regime",
    "parse_symbol",
    "perpetual",
    "present_name",
    "previous_alias",
    "recipe_tag",
    "symbol_of",
]


Member = TypeVar("Member", bound=StrEnum)


class Regime(StrEnum):
    """Volatility regimes, calmest first; a bar of unknown regime has none."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    EXTREME = "extreme"


class Family(StrEnum):
    """Model families."""

    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    LSTM = "lstm"


#: Regimes by their integer code in the kernels; code -1 is "unknown".
REGIMES: tuple[Regime, ...] = tuple(Regime)

#: The family that is champion of a regime while there is no evidence for another.
PRIOR: dict[Regime, Family] = {
    Regime.LOW: Family.XGBOOST,
    Regime.NORMAL: Family.LIGHTGBM,
    Regime.HIGH: Family.LSTM,
    Regime.EXTREME: Family.LIGHTGBM,
}


class Fill(StrEnum):
    """Where the order of a decision is filled."""

    OPEN = "open"
    WORKED = "worked"
    FINER = "finer"
    CLOSE = "close"

    def describe(self, timeframe: str) -> str:
        """The fill in words, for bars of a timeframe: ``worked through the next 1d bar``."""
        match self:
            case Fill.OPEN:
                return f"filled at the next {timeframe} bar's open"
            case Fill.WORKED:
                return f"worked through the next {timeframe} bar"
            case Fill.FINER:
                return f"filled in the first finer bar after the {timeframe} bar's close"
            case _:
                return f"filled at the {timeframe} bar's own close"


class Product(StrEnum):
    """What is traded: positions in perpetuals pay and receive funding."""

    SPOT = "spot"
    PERPETUAL = "perpetual"


class Liquidity(StrEnum):
    """Whether orders take liquidity from the book or make it; fees differ."""

    MAKER = "maker"
    TAKER = "taker"


class Tag(StrEnum):
    """Keys of the tags on runs and model versions."""

    SYMBOL = "symbol"
    FAMILY = "family"
    RECIPE = "recipe"
    TIMEFRAME = "timeframe"
    CALENDAR = "calendar"
    TRAINED_UNTIL = "trained_until"
    FEATURE_SET = "feature_set"
    DIGEST = "digest"
    ROLE = "role"
    PROCESS = "process"
    LEASE = "lease"
    HEARTBEAT = "heartbeat"
    NIGHT = "night"
    DATE = "date"
    SETTINGS = "settings"
    CONTINUES = "continues"
    BARS = "bars"
    COMPLETE = "complete"


class Role(StrEnum):
    """What a run is for: values of :attr:`brain.naming.Tag.ROLE`."""

    NIGHT = "night"
    COLLECTION = "collection"
    TRAINING = "training"
    SEARCH = "search"
    ANALYSIS = "analysis"
    SYMBOL = "symbol"
    FAMILY = "family"


# MLflow refuses "/", ":", blanks, "." and ".." in a registered model's name; PostgreSQL's column
# holds 256 characters. "-" and "_" stand for "/" and ":", so a symbol may hold neither.
_SYMBOL = re.compile(r"[A-Za-z0-9]+(?:/[A-Za-z0-9]+)?(?::[A-Za-z0-9]+)?")
_TO_NAME = str.maketrans("/:", "-_")
_TO_SYMBOL = str.maketrans("-_", "/:")
_MODEL_ID = re.compile(r"(?P<name>[^/]+)/(?P<version>[1-9][0-9]*)")


def model_name(symbol: str) -> str:
    """The registered model of a symbol: ``BTC/USDT:USDT`` → ``BTC-USDT_USDT``.

    Raises:
        InputError: the symbol is not of the form ``BASE``, ``BASE/QUOTE`` or ``BASE/QUOTE:SETTLE``.
    """
    if len(symbol) > 256 or not _SYMBOL.fullmatch(symbol):
        raise InputError(
            f"{symbol!r} is not a symbol; write it as BASE/QUOTE or BASE/QUOTE:SETTLE, "
            "in letters and digits, for example BTC/USDT"
        )
    return symbol.translate(_TO_NAME)


def symbol_of(name: str) -> str:
    """The symbol of a registered model: the inverse of :func:`brain.naming.model_name`.

    Raises:
        InputError: no symbol has that model name.
    """
    symbol = name.translate(_TO_SYMBOL)
    if "/" in name or ":" in name or model_name(symbol) != name:
        raise InputError(f"{name!r} is not the model name of a symbol; write it as BTC-USDT")
    return symbol


def parse_symbol(value: object) -> str:
    """The symbol, written as a symbol or as its model name.

    ``BTC/USD`` and ``BTC-USD`` both give ``BTC/USD``. Letters keep their case.

    Raises:
        InputError: the value is neither.
    """
    if isinstance(value, str) and len(value) <= 256:
        for symbol in (value, value.translate(_TO_SYMBOL)):
            if _SYMBOL.fullmatch(symbol) and value in (symbol, model_name(symbol)):
                return symbol
    raise InputError(
        f"{value!r} is not a symbol; write it as BASE/QUOTE or BASE/QUOTE:SETTLE, "
        "in letters and digits, for example BTC/USDT (BTC-USDT is understood too)"
    )


def perpetual(value: object) -> str:
    """The linear perpetual of a symbol: ``BTC/USDT`` and ``BTC/USDT:USDT`` give the latter.

    Raises:
        InputError: the value is no symbol, has no quote currency, or settles in another one.
    """
    symbol = parse_symbol(value)
    pair, _, settle = symbol.partition(":")
    _, _, quote = pair.partition("/")
    if not quote or settle not in ("", quote):
        raise InputError(
            f"{symbol!r} is not a linear perpetual; write BASE/QUOTE or BASE/QUOTE:QUOTE, "
            "for example BTC/USDT"
        )
    return f"{pair}:{quote}"


def present_name(symbol: str, renamed: Mapping[str, str]) -> str:
    """The canonical name of a perpetual after all its changes of name.

    Args:
        symbol: the present or a former name.
        renamed: canonical names, new by old.

    Raises:
        InputError: the symbol is no linear perpetual, or the names go in a circle.
    """
    path = [perpetual(symbol)]
    while path[-1] in renamed:
        path.append(renamed[path[-1]])
        if path[-1] in path[:-1]:
            raise InputError(
                f"renamed goes in a circle: {' to '.join(path)}; leave one of them out"
            )
    return path[-1]


def parse_regime(value: str) -> Regime:
    """The regime of that name.

    Raises:
        UnknownRegimeError: there is none.
    """
    return parse_member(Regime, value, "regime", UnknownRegimeError)


def parse_family(value: str) -> Family:
    """The family of that name.

    Raises:
        UnknownFamilyError: there is none.
    """
    return parse_member(Family, value, "model family", UnknownFamilyError)


def parse_fill(value: str) -> Fill:
    """The fill of that name.

    Raises:
        InputError: there is none.
    """
    return parse_member(Fill, value, "fill", InputError)


def parse_liquidity(value: str) -> Liquidity:
    """The liquidity of that name.

    Raises:
        InputError: there is none.
    """
    return parse_member(Liquidity, value, "liquidity", InputError)


def parse_product(value: str) -> Product:
    """The product of that name.

    Raises:
        InputError: there is none.
    """
    return parse_member(Product, value, "product", InputError)


def parse_member(kind: type[Member], value: str, noun: str, error: type[InputError]) -> Member:
    """The member of that value.

    Args:
        kind: the values that there are.
        value: of the member.
        noun: what a member is, for the message.
        error: that is raised if there is none; it names the nearest.
    """
    try:
        return kind(value)
    except ValueError:
        raise error(
            f"no {noun} is called {value!r}; {did_you_mean(str(value), list(kind))}"
        ) from None


def champion_alias(regime: Regime) -> str:
    """The alias of the regime's champion."""
    return f"champion-{regime}"


def challenger_alias(regime: Regime) -> str:
    """The alias of the regime's challenger."""
    return f"challenger-{regime}"


def previous_alias(regime: Regime) -> str:
    """The alias of the regime's champion before the present one, for a rollback."""
    return f"previous-{regime}"


def cell_tag(regime: Regime) -> str:
    """The registered model's tag with the record of a cell (JSON)."""
    return f"cell-{regime}"


def recipe_tag(family: Family) -> str:
    """The registered model's tag with the family's current recipe (JSON)."""
    return f"recipe-{family}"


def model_id(name: str, version: int) -> str:
    """A version's id, ``BTC-USDT/7``."""
    return f"{name}/{version}"


def parse_model_id(value: str) -> tuple[str, int]:
    """The registered model's name and the version number of a model id.

    Raises:
        InputError: the id is not of the form ``BTC-USDT/7``.
    """
    match = _MODEL_ID.fullmatch(value)
    if not match:
        raise InputError(f"{value!r} is not a model id; write NAME/VERSION, for example BTC-USDT/7")
    return match["name"], int(match["version"])
