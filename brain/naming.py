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
    "STAND_INS",
    "Family",
    "Fill",
    "Liquidity",
    "Policy",
    "Product",
    "Regime",
    "Role",
    "Tag",
    "cell_tag",
    "challenger_alias",
    "champion_alias",
    "listed_symbol",
    "logged_model_name",
    "model_id",
    "model_name",
    "parse_family",
    "parse_fill",
    "parse_liquidity",
    "parse_member",
    "parse_model_id",
    "parse_model_name",
    "parse_policy",
    "parse_product",
    "parse_regime",
    "parse_symbol",
    "perpetual",
    "present_name",
    "previous_alias",
    "promotion_tag",
    "recipe_tag",
    "spot_exchange",
    "symbol_name",
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
#: The families in the order in which they stand in for a prior that was not trained.
STAND_INS = (Family.LIGHTGBM, Family.XGBOOST, Family.LSTM)


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


class Policy(StrEnum):
    """How champions are named."""

    TRIAL = "trial"
    PROVISIONAL = "provisional"
    COMPOSITE = "composite"


class Tag(StrEnum):
    """Keys of the tags on runs and model versions."""

    SYMBOL = "symbol"
    FAMILY = "family"
    RECIPE = "recipe"
    TIMEFRAME = "timeframe"
    HORIZON = "horizon"
    CALENDAR = "calendar"
    TRAINED_UNTIL = "trained_until"
    MADE = "made"
    LINE = "line"
    REFIT = "refit"
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
    REPLAY = "replay"
    SYMBOL = "symbol"
    FAMILY = "family"


# "-" and "_" stand for "/" and ":" in names, so a symbol may hold neither. The other characters are
# those that MLflow keeps as they are everywhere: in names, model URIs, filters, paths of artifacts
# and the UI's links. "/", ":", "%", "#", "?", "@", quotes and blanks break one of these.
_WORD = r"[A-Za-z0-9.^=&!$+~]*[A-Za-z0-9][A-Za-z0-9.^=&!$+~]*"
_SYMBOL = re.compile(rf"{_WORD}(?:/{_WORD})?(?::{_WORD})?")
_TO_NAME = str.maketrans("/:", "-_")
_TO_SYMBOL = str.maketrans("-_", "/:")
_SPOT = "-spot"
_MOST = 256  # characters of a registered model's name in PostgreSQL
_MODEL_NAME = re.compile(
    r"(?P<symbol>.+)\.(?P<timeframe>[1-9][0-9]*[A-Za-z]+)\.(?P<horizon>[1-9][0-9]*)"
)
_MODEL_ID = re.compile(r"(?P<name>[^/]+)/(?P<version>[1-9][0-9]*)")
_FORM = (
    "write it as BASE, BASE/QUOTE or BASE/QUOTE:SETTLE, in letters, digits and any of .^=&!$+~, "
    "for example BTC/USDT or ^GSPC"
)


def _is_symbol(text: str) -> bool:
    """Whether a text is a symbol. One that ends as models' names do would be taken for a model."""
    return (
        len(text) <= _MOST
        and _SYMBOL.fullmatch(text) is not None
        and _MODEL_NAME.fullmatch(text) is None
    )


def symbol_name(symbol: str) -> str:
    """The symbol in names of models and files: ``BTC/USDT:USDT`` → ``BTC-USDT_USDT``.

    Raises:
        InputError: the symbol is not of the form ``BASE``, ``BASE/QUOTE`` or ``BASE/QUOTE:SETTLE``,
            or ends as a registered model's name does.
    """
    if not _is_symbol(symbol):
        raise InputError(f"{symbol!r} is not a symbol; {_FORM}")
    return symbol.translate(_TO_NAME)


def symbol_of(name: str) -> str:
    """The symbol of that name: the inverse of :func:`brain.naming.symbol_name`.

    Raises:
        InputError: no symbol has that name.
    """
    symbol = name.translate(_TO_SYMBOL)
    if not _is_symbol(symbol) or symbol_name(symbol) != name:
        raise InputError(f"{name!r} is not the name of a symbol; write it as BTC-USDT")
    return symbol


def parse_symbol(value: object) -> str:
    """The symbol, written as a symbol or as its name.

    ``BTC/USD`` and ``BTC-USD`` both give ``BTC/USD``. Letters keep their case.

    Raises:
        InputError: the value is neither.
    """
    if isinstance(value, str):
        for symbol in (value, value.translate(_TO_SYMBOL)):
            if _is_symbol(symbol) and value in (symbol, symbol_name(symbol)):
                return symbol
        if match := _MODEL_NAME.fullmatch(value):
            raise InputError(
                f"{value!r} is the name of a model and not a symbol; write {match['symbol']}, "
                f"with timeframe {match['timeframe']} and horizon {match['horizon']}"
            )
    raise InputError(f"{value!r} is not a symbol; {_FORM} (BTC-USDT is understood too)")


def model_name(symbol: str, timeframe: str, horizon: int) -> str:
    """The registered model of a symbol, timeframe and horizon: ``BTC-USDT.1h.6``.

    Raises:
        InputError: one of them is none, or the name is too long.
    """
    name = f"{symbol_name(symbol)}.{timeframe}.{horizon}"
    match = _MODEL_NAME.fullmatch(name)
    if not match or (match["timeframe"], match["horizon"]) != (timeframe, str(horizon)):
        raise InputError(
            f"timeframe {timeframe!r} and horizon {horizon!r} name no model; write a timeframe as "
            "1h, and a whole number of bars from 1"
        )
    if len(name) > _MOST:
        raise InputError(f"{name!r} is longer than {_MOST} characters; shorten the symbol")
    return name


def parse_model_name(name: str) -> tuple[str, str, int]:
    """Symbol, timeframe and horizon: the inverse of :func:`brain.naming.model_name`.

    Raises:
        InputError: no model has that name.
    """
    match = _MODEL_NAME.fullmatch(name)
    if match and len(name) <= _MOST:
        symbol = match["symbol"].translate(_TO_SYMBOL)
        if _is_symbol(symbol) and symbol_name(symbol) == match["symbol"]:
            return symbol, match["timeframe"], int(match["horizon"])
    raise InputError(f"{name!r} is not the name of a model; write it as BTC-USDT.1h.6")


def logged_model_name(name: str, family: Family) -> str:
    """The UI's name of a registered model's version before it is one; MLflow allows no ``.``."""
    return f"{name.replace('.', '-')}-{family}"


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


def spot_exchange(exchange: str) -> str:
    """The exchange whose spot market a name is of: ``binance`` of ``binance-spot``.

    An exchange's name alone, ``binance``, is its linear perpetuals. A pair that is traded spot is
    the symbol ``BTC/USDT`` of ``binance-spot``, and never mixed up with the perpetual
    ``BTC/USDT:USDT`` of ``binance``.

    Returns:
        The exchange; empty if the name is of no spot market.
    """
    name, mark, rest = exchange.rpartition(_SPOT)
    return name if mark and not rest else ""


def listed_symbol(symbol: str, exchange: str) -> str:
    """A symbol as an exchange's series have it: the linear perpetual, or the pair of a spot market.

    Raises:
        InputError: the value is no symbol, or none of that market.
    """
    if not spot_exchange(exchange):
        return perpetual(symbol)
    pair = parse_symbol(symbol)
    if "/" not in pair or ":" in pair:
        raise InputError(f"{symbol!r} is no pair that {exchange} trades; write it as BTC/USDT")
    return pair


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


def parse_policy(value: str) -> Policy:
    """The policy of that name.

    Raises:
        InputError: there is none.
    """
    return parse_member(Policy, value, "policy of promotion", InputError)


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


def promotion_tag(regime: Regime) -> str:
    """The registered model's tag with the record of a promotion under way (JSON)."""
    return f"promotion-{regime}"


def recipe_tag(family: Family) -> str:
    """The registered model's tag with the family's current recipe (JSON)."""
    return f"recipe-{family}"


def model_id(name: str, version: int) -> str:
    """A version's id, ``BTC-USDT.1h.6/7``."""
    return f"{name}/{version}"


def parse_model_id(value: str) -> tuple[str, int]:
    """The registered model's name and the version number of a model id.

    Raises:
        InputError: the id is not of the form ``BTC-USDT.1h.6/7``.
    """
    match = _MODEL_ID.fullmatch(value)
    if not match:
        raise InputError(
            f"{value!r} is not a model id; write NAME/VERSION, for example BTC-USDT.1h.6/7"
        )
    return match["name"], int(match["version"])
