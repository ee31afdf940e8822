"""Rows that an answer has to have."""

from __future__ import annotations

import pytest

from brain.errors import ExchangeShapeError
from market.http.parser import Parser

PARSER = Parser("bybit", "v5/market/tickers")
BTC, ETH = {"symbol": "BTCUSDT", "bid": "1"}, {"symbol": "ETHUSDT", "bid": "2"}


def test_the_rows_of_one_thing_are_told_from_those_of_others() -> None:
    assert PARSER.rows_named([ETH, BTC, None, BTC], "list", "symbol", "BTCUSDT") == [BTC, BTC]
    assert PARSER.rows_named([], "list", "symbol", "BTCUSDT") == []
    with pytest.raises(ExchangeShapeError, match="'list' holds no row whose symbol is BTCUSDT"):
        PARSER.rows_named([ETH], "list", "symbol", "BTCUSDT")


def test_an_answer_of_one_row_has_one() -> None:
    assert PARSER.only_row([BTC, dict(BTC)], "list") == BTC
    with pytest.raises(ExchangeShapeError, match="'list' is empty"):
        PARSER.only_row([], "list")
    with pytest.raises(ExchangeShapeError, match="'list' holds 2 rows that differ, not one"):
        PARSER.only_row([BTC, BTC | {"bid": "3"}], "list")
