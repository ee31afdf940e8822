"""Bars from the series store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from brain.errors import BarsError, InputError, SeriesStoreError, UnknownSymbolError
from brain.series.bars import Bars, check_bars
from brain.series.source import BarSource, bars_of
from brain.series.store.store import SeriesStore
from brain.work import Failure

TIMES = pd.date_range("2026-01-01", periods=40, freq="h", tz="UTC")


def candles(symbol: str = "BTC/USDT:USDT", exchange: str = "okx") -> pd.DataFrame:
    frame = pd.DataFrame({"time": TIMES.as_unit("us")})
    close = 100.0 + frame.index.to_series()
    return frame.assign(
        exchange=exchange,
        symbol=symbol,
        timeframe="1h",
        open=close,
        high=close + 1,
        low=close - 1,
        close=close,
        volume=5.0,
        quote_volume=float("nan"),
        available=frame["time"] + pd.Timedelta(hours=1),
    )


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(str(tmp_path / "series"))


def test_candles_of_the_perpetual_become_bars_of_the_symbol_as_asked(store: SeriesStore) -> None:
    other = candles(exchange="bybit").assign(close=100.5)
    store.upsert("candles", pd.concat([candles().drop(index=7), other, candles("ETH/USDT:USDT")]))
    for symbol in ("BTC/USDT", "BTC/USDT:USDT"):
        bars = bars_of(store, "okx", symbol, "1h")
        assert (bars.symbol, bars.timeframe) == (symbol, "1h")
        assert bars.source == "BTC/USDT:USDT on okx"
        assert bars.frame.index.tolist() == TIMES.tolist()
        assert bars.frame["close"].dropna().tolist() == candles()["close"].drop(7).tolist()
        assert bars.frame.iloc[7].isna().all()
        assert bars.repairs[0].startswith("1 bar missing in 1 gap")


def test_what_is_not_stored_is_told_with_the_cure(store: SeriesStore) -> None:
    message = "the store holds no 1h candles of BTC/USDT:USDT on okx; collect or import them"
    with pytest.raises(UnknownSymbolError, match=message):
        bars_of(store, "okx", "BTC/USDT", "1h")
    store.upsert("candles", candles())
    with pytest.raises(UnknownSymbolError, match="no 4h candles"):
        bars_of(store, "okx", "BTC/USDT", "4h")
    with pytest.raises(UnknownSymbolError, match="on binance"):
        bars_of(store, "binance", "BTC/USDT", "1h")


def test_what_cannot_be_asked_for_is_refused(store: SeriesStore) -> None:
    with pytest.raises(InputError, match="not a timeframe"):
        bars_of(store, "okx", "BTC/USDT", "1y")
    with pytest.raises(InputError, match="not a linear perpetual"):
        bars_of(store, "okx", "SPX", "1h")


# --- bars that are read one symbol at a time ----------------------------------------------------


class Reader:
    """Reads all symbols but the bad ones, and keeps count."""

    def __init__(self, *bad: str) -> None:
        self.bad = bad
        self.symbols: list[str] = []

    def __call__(self, symbol: str, columns: Sequence[str]) -> Bars:
        assert not columns
        self.symbols.append(symbol)
        if symbol in self.bad:
            raise BarsError(f"{symbol} is broken")
        return check_bars(candles().drop(columns="symbol"), symbol=symbol, timeframe="1h")


def test_bars_are_read_when_they_are_asked_for_and_not_before() -> None:
    reader = Reader()
    source = BarSource(["AAA", "BBB", "CCC"], reader)
    assert (list(source), len(source), "BBB" in list(source), reader.symbols) == (
        ["AAA", "BBB", "CCC"],
        3,
        True,
        [],
    )
    assert source["BBB"].symbol == "BBB"
    assert reader.symbols == ["BBB"]
    with pytest.raises(KeyError):
        source["DDD"]
    assert reader.symbols == ["BBB"]


def test_a_check_reads_until_a_symbol_is_sound_and_reads_none_twice() -> None:
    reader = Reader("AAA", "DDD")
    source = BarSource(["AAA", "BBB", "CCC", "DDD"], reader)
    source.check()
    assert reader.symbols == ["AAA", "BBB"]
    assert list(source) == ["BBB", "CCC", "DDD"]
    assert [(f.symbol, str(f.error)) for f in source.failures] == [("AAA", "AAA is broken")]
    assert source["BBB"].symbol == "BBB"
    assert reader.symbols == ["AAA", "BBB"]
    assert source["BBB"].symbol == "BBB"  # nothing is kept
    assert reader.symbols == ["AAA", "BBB", "BBB"]
    with pytest.raises(BarsError, match="DDD is broken"):
        source["DDD"]


def test_without_a_sound_symbol_all_are_named_and_the_first_reasons_told() -> None:
    names = [f"S{number}" for number in range(10, 19)]
    nameless = Failure("notes.csv", InputError("'notes.csv' is not named as a file of bars"))
    source = BarSource(names, Reader(*names), [nameless])
    with pytest.raises(InputError) as error:
        source.check([Failure("okx", InputError("okx is down"))])
    reasons = [f"{name} is broken" for name in names]
    reasons.append("'notes.csv' is not named as a file of bars")
    assert str(error.value) == " | ".join([*reasons, "and likewise okx"])


def test_a_store_that_cannot_be_read_is_no_symbols_fault() -> None:
    def reader(_symbol: str, _columns: Sequence[str]) -> Bars:
        raise SeriesStoreError("the store is gone")

    with pytest.raises(SeriesStoreError):
        BarSource(["AAA"], reader).check()
