"""The names of own columns."""

from __future__ import annotations

import pytest

from brain.columns import own_name, parse_columns
from brain.errors import InputError
from brain.recipes import feature_set_name, own_columns


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("vix", "vix"),
        (" VIX ", "VIX"),
        ("Adj Close", "Adj_Close"),
        ("vix (close), %", "vix_close"),
        ("taker-buy.base", "taker-buy.base"),
        ("[a]/<b>", "a_b"),
        (7, "7"),
    ],
)
def test_a_column_is_known_by_a_name_that_every_library_takes(column: object, name: str) -> None:
    assert own_name(column) == name
    assert parse_columns([str(column)]) == (name,)


def test_the_order_of_columns_is_that_of_their_names() -> None:
    assert parse_columns(["vix", "Adj Close", "mood"]) == ("Adj_Close", "mood", "vix")
    assert parse_columns([]) == ()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["vix", "mood", "vix"], "'vix' and 'vix' are the same or differ by case alone; name one"),
        (["vix", "VIX"], "'vix' and 'VIX' are the same or differ by case alone"),
        (["Adj Close", "Adj_Close"], "'Adj_Close' and 'Adj_Close' are the same"),
        (["Close"], "'Close' is one that all bars have.*rename it in the file"),
        (["time"], "'time' is one that all bars have"),
        ([""], "'' can't be a feature's name; rename it in the file"),
        (["настроение"], "'настроение' can't be a feature's name; rename it"),
        ("vix", r"columns is the text 'vix'; give a list, as \['vix'\]"),
    ],
)
def test_what_cannot_be_a_feature_is_refused(columns: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_columns(columns)


@pytest.mark.parametrize("own", [(), ("vix",), ("Adj_Close", "mood", "vix")])
@pytest.mark.parametrize("kernels", [["bars-1"], ["bars-1", "market-1"]])
def test_a_feature_sets_name_tells_its_own_columns(
    kernels: list[str], own: tuple[str, ...]
) -> None:
    name = feature_set_name(kernels, own)
    assert own_columns(name) == own
    assert name == "+".join(kernels) + (f"+own({','.join(own)})" if own else "")
