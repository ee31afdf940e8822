"""Names go both ways, and a wrong one is told with its cure."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError, UnknownFamilyError, UnknownRegimeError
from brain.model_keys import ModelKey
from brain.naming import (
    PRIOR,
    Family,
    Regime,
    challenger_alias,
    champion_alias,
    logged_model_name,
    model_id,
    model_name,
    parse_family,
    parse_model_id,
    parse_model_name,
    parse_regime,
    parse_symbol,
    previous_alias,
    symbol_name,
    symbol_of,
)

LETTERS = "ABCXYZabcxyz0189.^=&!$+~"
WORD = st.text(LETTERS, min_size=1, max_size=10).filter(lambda text: any(map(str.isalnum, text)))
_ENDS_AS_A_MODEL = re.compile(r".*\.[1-9][0-9]*[A-Za-z]+\.[1-9][0-9]*")
SYMBOLS = st.one_of(
    st.sampled_from(["BRK.B", "^GSPC", "ES=F", "EURUSD=X", ".SPX", "M&M.NS", "ES1!", "DX/Y.NYB"]),
    WORD,
    st.builds("{}/{}".format, WORD, WORD),
    st.builds("{}/{}:{}".format, WORD, WORD, WORD),
).filter(lambda symbol: not _ENDS_AS_A_MODEL.fullmatch(symbol))
TIMEFRAMES = st.from_regex(r"[1-9][0-9]{0,2}[mhdwM]", fullmatch=True)
HORIZONS = st.integers(1, 10**4)
# What MLflow takes as an alias, and what it takes for something else.
ALIAS = re.compile(r"[\w\-]{1,255}")
RESERVED = re.compile(r"latest|v\d+")


@given(SYMBOLS)
def test_a_symbol_and_its_name_go_both_ways(symbol: str) -> None:
    name = symbol_name(symbol)
    assert symbol_of(name) == symbol
    assert not set(name) & set("/: ")


@given(SYMBOLS)
def test_a_symbol_may_be_written_as_its_name(symbol: str) -> None:
    assert parse_symbol(symbol_name(symbol)) == parse_symbol(symbol) == symbol


@given(SYMBOLS, TIMEFRAMES, HORIZONS)
def test_symbol_timeframe_and_horizon_and_the_models_name_go_both_ways(
    symbol: str, timeframe: str, horizon: int
) -> None:
    name = model_name(symbol, timeframe, horizon)
    assert parse_model_name(name) == (symbol, timeframe, horizon)
    assert name == f"{symbol_name(symbol)}.{timeframe}.{horizon}"
    with pytest.raises(InputError, match="is the name of a model"):
        parse_symbol(name)
    key = ModelKey(symbol, timeframe, horizon)
    assert (key.name, ModelKey.of_name(name)) == (name, key)


@given(st.lists(st.tuples(SYMBOLS, TIMEFRAMES, HORIZONS), min_size=2, max_size=2, unique=True))
def test_no_two_models_share_a_name(keys: list[tuple[str, str, int]]) -> None:
    assert model_name(*keys[0]) != model_name(*keys[1])
    # Nor is one the plain name of a symbol, as models of old have.
    with pytest.raises(InputError):
        symbol_of(model_name(*keys[0]))


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BTC/USDT", "BTC-USDT.1h.6"),
        ("BTC/USDT:USDT", "BTC-USDT_USDT.1h.6"),
        ("BRK.B", "BRK.B.1h.6"),
        ("^GSPC", "^GSPC.1h.6"),
        ("ES=F", "ES=F.1h.6"),
        ("EURUSD=X", "EURUSD=X.1h.6"),
    ],
)
def test_the_name_of_a_model(symbol: str, name: str) -> None:
    assert model_name(symbol, "1h", 6) == name


@given(st.text(max_size=20))
def test_any_other_text_is_refused_or_goes_both_ways(text: str) -> None:
    part = r"(?=[^/:]*[A-Za-z0-9])[A-Za-z0-9.^=&!$+~]+"
    symbol = re.fullmatch(f"{part}(/{part})?(:{part})?", text)
    if symbol and not _ENDS_AS_A_MODEL.fullmatch(text):
        assert symbol_of(symbol_name(text)) == text
    else:
        with pytest.raises(InputError, match=re.escape(repr(text))):
            symbol_name(text)


NO_SYMBOLS = ["", ".", "..", "^", "A B", "A/B/C", "A'B", 'A"B', "A%20B", "A#B", "A?B", "A@B", "-"]


@pytest.mark.parametrize("symbol", [*NO_SYMBOLS, "a" * 300, "A_B", "A-B", "A/^", "BTC.1h.6"])
def test_what_is_no_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(InputError, match="is not a symbol"):
        symbol_name(symbol)


@pytest.mark.parametrize("name", ["", "BTC/USD", "BTC--USD", "BTC-USD@x", "a" * 300, ".", ".."])
def test_what_is_no_symbols_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="not "):
        symbol_of(name)


@pytest.mark.parametrize("name", ["BTC-USD", "BRK.B", "BTC-USD.1h", "BTC-USD.1h.0", "BTC/USD.1h.6"])
def test_what_is_no_models_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=re.escape(repr(name))):
        parse_model_name(name)


@pytest.mark.parametrize(("timeframe", "horizon"), [("", 6), ("h", 6), ("1h.2", 6), ("1h", 0)])
def test_a_timeframe_or_horizon_that_is_none_names_no_model(timeframe: str, horizon: int) -> None:
    with pytest.raises(InputError, match="name no model; write a timeframe as 1h"):
        model_name("BTC/USD", timeframe, horizon)
    with pytest.raises(InputError, match="longer than 256 characters"):
        model_name("A" * 256, "1h", 6)


@given(SYMBOLS, TIMEFRAMES, HORIZONS)
def test_a_logged_model_has_a_name_that_mlflow_takes(
    symbol: str, timeframe: str, horizon: int
) -> None:
    name = logged_model_name(model_name(symbol, timeframe, horizon), Family.LSTM)
    assert not set(name) & set("/:.%\"'")


@pytest.mark.parametrize("regime", list(Regime))
def test_aliases_are_what_mlflow_takes(regime: Regime) -> None:
    for alias in (champion_alias(regime), challenger_alias(regime), previous_alias(regime)):
        assert ALIAS.fullmatch(alias)
        assert not RESERVED.fullmatch(alias)


def test_every_regime_has_a_prior() -> None:
    assert PRIOR == {
        Regime.LOW: Family.XGBOOST,
        Regime.NORMAL: Family.LIGHTGBM,
        Regime.HIGH: Family.LSTM,
        Regime.EXTREME: Family.LIGHTGBM,
    }


def test_a_misspelt_regime_or_family_names_the_cure() -> None:
    with pytest.raises(UnknownRegimeError, match=r"'norml'.*did you mean 'normal'"):
        parse_regime("norml")
    with pytest.raises(UnknownFamilyError, match=r"'forest'.*known: lightgbm, lstm, xgboost"):
        parse_family("forest")


@given(SYMBOLS, TIMEFRAMES, HORIZONS, st.integers(1, 10**6))
def test_model_ids_go_both_ways(symbol: str, timeframe: str, horizon: int, version: int) -> None:
    name = model_name(symbol, timeframe, horizon)
    assert parse_model_id(model_id(name, version)) == (name, version)


@pytest.mark.parametrize("value", ["BTC-USD", "BTC-USD/0", "BTC-USD/x", "/1", "BTC/USD/1"])
def test_what_is_no_model_id_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="NAME/VERSION"):
        parse_model_id(value)
