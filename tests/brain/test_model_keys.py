"""Model keys, and the choice among those that fit."""

from __future__ import annotations

import pytest

from brain.errors import AmbiguousModelError, InputError
from brain.model_keys import ModelKey, ModelQuery

HOUR = ModelKey("BTC/USD", "1h", 6)
FOUR = ModelKey("BTC/USD", "4h", 6)
NEXT = ModelKey("BTC/USD", "1h", 1)


def test_a_key_has_a_name_tags_and_words() -> None:
    assert (HOUR.name, str(HOUR)) == ("BTC-USD.1h.6", "BTC/USD on 1h bars, 6 bars ahead")
    assert str(NEXT) == "BTC/USD on 1h bars, 1 bar ahead"
    assert HOUR.tags == {"symbol": "BTC/USD", "timeframe": "1h", "horizon": "6"}
    with pytest.raises(InputError, match="name no model"):
        ModelKey("BTC/USD", "hour", 6)
    with pytest.raises(InputError, match="is not a symbol"):
        ModelKey("BTC USD", "1h", 6)


@pytest.mark.parametrize(
    ("timeframe", "horizon", "fitting", "words"),
    [
        (None, None, {HOUR, FOUR, NEXT}, "BTC/USD"),
        ("1h", None, {HOUR, NEXT}, "BTC/USD on 1h bars"),
        (None, 6, {HOUR, FOUR}, "BTC/USD, 6 bars ahead"),
        ("4h", 6, {FOUR}, "BTC/USD on 4h bars, 6 bars ahead"),
        ("4h", 1, set(), "BTC/USD on 4h bars, 1 bar ahead"),
    ],
)
def test_a_query_fits_what_it_names(
    timeframe: str | None, horizon: int | None, fitting: set[ModelKey], words: str
) -> None:
    query = ModelQuery.parse("BTC-USD", timeframe, horizon)
    keys = {HOUR, FOUR, NEXT, ModelKey("ETH/USD", "4h", 1)}
    assert {key for key in keys if query.fits(key)} == fitting
    assert str(query) == words
    names = {key: key.name for key in keys}
    if len(fitting) > 1:
        with pytest.raises(AmbiguousModelError):
            query.choose(names)
    else:
        assert query.choose(names) == next(iter(fitting), None)


def test_candidates_are_named_with_what_tells_them_apart() -> None:
    query = ModelQuery.parse("BTC/USD")
    with pytest.raises(AmbiguousModelError) as refusal:
        query.choose({HOUR: "BTC-USD", FOUR: FOUR.name})
    assert str(refusal.value) == (
        "BTC/USD could be any of BTC-USD (BTC/USD on 1h bars, 6 bars ahead), BTC-USD.4h.6; "
        "name the timeframe, as in timeframe=1h"
    )


def test_a_key_is_a_query_for_itself() -> None:
    assert ModelQuery.parse(HOUR).choose({HOUR: "a", FOUR: "b"}) == HOUR
    assert ModelQuery.parse(HOUR, "1h", 6) == ModelQuery.parse(HOUR)
    with pytest.raises(InputError, match="1h bars, 6 bars ahead, and not of BTC/USD on 4h bars"):
        ModelQuery.parse(HOUR, "4h")
