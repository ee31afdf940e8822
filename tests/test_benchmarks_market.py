"""The benchmark of the series store: both sides do the same work, and it is told fairly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from benchmarks import market
from benchmarks.market import EXCHANGES, SYMBOLS, Readings, candles
from benchmarks.postgres_series import PostgresSeries
from brain.errors import BrainError

READINGS = Readings(load=1, upsert=1, changed=1, small=1, read_milliseconds=20, megabytes=30)


def test_rows_are_the_same_every_time_and_make_sense() -> None:
    frame = candles(7, 3)
    assert_frame_equal(frame, candles(7, 3))
    assert len(frame) == 3 * len(EXCHANGES) * len(SYMBOLS)
    assert not frame.duplicated(["exchange", "symbol", "time"]).any()
    prices = frame[["open", "close"]]
    assert (frame["low"] <= prices.min(axis=1) + 1e-9).all()
    assert (prices.max(axis=1) <= frame["high"] + 1e-9).all()


def test_both_sides_end_with_the_same_rows(postgres: str, tmp_path: Path) -> None:
    base, more = candles(0, 4), candles(4, 2)
    changed = base.assign(close=base["close"] + 1).tail(100)
    ours = market.Ours(tmp_path)
    with PostgresSeries(postgres) as theirs:
        for side in (ours, theirs):
            side.upsert(base)
            side.upsert(pd.concat([changed, more]))
            assert side.megabytes() > 0
        for exchange, symbol in [("okx", SYMBOLS[3]), ("bybit", SYMBOLS[39])]:
            mine, others = (s.read(exchange, symbol, market.FIRST) for s in (ours, theirs))
            assert len(mine) == 6
            both = mine.drop(columns="collected"), others.drop(columns="collected")
            assert_frame_equal(*both, check_dtype=False)


def test_a_run_measures_and_checks(tmp_path: Path) -> None:
    readings = market.run_once(market.Ours(tmp_path), 12_000)
    assert min(vars(readings).values()) > 0

    class Forgetful(market.Ours):
        def upsert(self, frame: pd.DataFrame) -> None:
            super().upsert(frame.drop_duplicates("symbol"))

    with pytest.raises(BrainError, match="Forgetful holds"):
        market.run_once(Forgetful(tmp_path / "forgetful"), 12_000)


def test_the_targets() -> None:
    slower = replace(READINGS, upsert=0.9)
    assert not market.report([READINGS], [replace(READINGS, upsert=1.1)], 10).missed
    missed = market.report([READINGS], [slower], 1_000_000).missed
    assert [metric.name for metric in missed] == ["upsert 100,000 replayed + 100,000 new rows"]
    slow = [replace(READINGS, read_milliseconds=51)]
    assert len(market.report(slow, [READINGS], 10).missed) == 1
