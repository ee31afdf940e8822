"""Names go both ways, and a wrong one is told with its cure."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError, UnknownFamilyError, UnknownRegimeError
from brain.naming import (
    PRIOR,
    Family,
    Regime,
    challenger_alias,
    champion_alias,
    model_id,
    model_name,
    parse_family,
    parse_model_id,
    parse_regime,
    parse_symbol,
    previous_alias,
    symbol_of,
)

WORD = st.from_regex(r"[A-Za-z0-9]{1,12}", fullmatch=True)
SYMBOLS = st.one_of(
    WORD,
    st.builds("{}/{}".format, WORD, WORD),
    st.builds("{}/{}:{}".format, WORD, WORD, WORD),
)
# What MLflow takes as an alias, and what it takes for something else.
ALIAS = re.compile(r"[\w\-]{1,255}")
RESERVED = re.compile(r"latest|v\d+")


@given(SYMBOLS)
def test_a_symbol_and_its_model_name_go_both_ways(symbol: str) -> None:
    name = model_name(symbol)
    assert symbol_of(name) == symbol
    assert not set(name) & set("/: .")


@given(SYMBOLS)
def test_a_symbol_may_be_written_as_its_model_name(symbol: str) -> None:
    assert parse_symbol(model_name(symbol)) == parse_symbol(symbol) == symbol


@given(st.text(max_size=20))
def test_any_other_text_is_refused_or_goes_both_ways(text: str) -> None:
    if re.fullmatch(r"[A-Za-z0-9]+(/[A-Za-z0-9]+)?(:[A-Za-z0-9]+)?", text):
        assert symbol_of(model_name(text)) == text
    else:
        with pytest.raises(InputError, match=re.escape(repr(text))):
            model_name(text)


@pytest.mark.parametrize("name", ["", "BTC/USD", "BTC--USD", "BTC-USD@x", "a" * 300, ".", ".."])
def test_what_is_no_model_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="not "):
        symbol_of(name)


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


@given(SYMBOLS, st.integers(1, 10**6))
def test_model_ids_go_both_ways(symbol: str, version: int) -> None:
    assert parse_model_id(model_id(model_name(symbol), version)) == (model_name(symbol), version)


@pytest.mark.parametrize("value", ["BTC-USD", "BTC-USD/0", "BTC-USD/x", "/1", "BTC/USD/1"])
def test_what_is_no_model_id_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="NAME/VERSION"):
        parse_model_id(value)
