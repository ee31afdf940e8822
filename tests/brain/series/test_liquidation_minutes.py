"""Liquidations by minute: known where listened to, from when that was proved and handed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brain.series.liquidation_minutes import HANDED_ON, minute_rows, read_minutes
from brain.series.store.store import SeriesStore
from brain.series.suspects import HISTORY, WINDOW

T0 = pd.Timestamp("2026-11-20 10:00", tz="UTC")
MINUTE, SECOND = pd.Timedelta(minutes=1), pd.Timedelta(seconds=1)
SYMBOL = "BTC/USDT:USDT"


def listened(*stretches: tuple[float, float, float]) -> pd.DataFrame:
    """Stretches in seconds since T0, and their delay."""
    frame = pd.DataFrame(stretches, columns=["start", "end", "delay"], dtype="float64")
    for name in ("start", "end"):
        frame[name] = (T0 + pd.to_timedelta(frame[name], unit="s")).astype("datetime64[us, UTC]")
    return frame


def forced(*rows: tuple[float, str, float, float]) -> pd.DataFrame:
    """Rows of second, side, USD and seconds until received."""
    frame = pd.DataFrame(rows, columns=["second", "side", "usd", "late"])
    time = T0 + pd.to_timedelta(frame["second"].astype("float64"), unit="s")
    late = pd.to_timedelta(frame["late"].astype("float64"), unit="s")
    times = {"time": time, "received": time + late}
    return frame.assign(**{k: v.astype("datetime64[us, UTC]") for k, v in times.items()})


def table(minutes: pd.DataFrame) -> list[tuple[float, float, float, float]]:
    """Minute (since T0), seconds from its end to its arrival, longs, shorts."""
    ends, arrivals = minutes["time"], minutes["available"] - minutes["time"]
    columns = (
        _seconds(ends - T0) / 60.0,
        _seconds(arrivals),
        minutes["long_usd"],
        minutes["short_usd"],
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _seconds(spans: pd.Series) -> pd.Series:
    return spans.dt.total_seconds()


def test_a_minute_is_known_that_was_listened_to_from_end_to_end() -> None:
    rows = forced((70, "long", 5.0, 0.5), (75, "short", 2.0, 0.5), (130, "long", 9.0, 0.5))
    assert table(minute_rows(rows, listened((59.5, 200.0, 0.5)))) == [
        (2, 30.5, 5.0, 2.0),
        (3, 30.5, 9.0, 0.0),
    ]
    # Two stretches that touch are one; a gap of a millisecond is one.
    joined = minute_rows(rows, listened((60, 90, 0.5), (90, 180, 2.0)))
    assert table(joined) == [(2, 32.0, 5.0, 2.0), (3, 32.0, 9.0, 0.0)]
    apart = minute_rows(rows, listened((60, 90, 0.5), (90.001, 180, 2.0)))
    assert table(apart) == [(3, 32.0, 9.0, 0.0)]


def test_a_minute_ends_with_the_liquidation_that_came_last() -> None:
    rows = forced((60, "long", 1.0, 0.0), (119.999, "long", 2.0, 100.0), (120, "short", 4.0, 0.0))
    minutes = minute_rows(rows, listened((0, 180, 0.0)))
    assert table(minutes) == [
        (1, 30.0, 0.0, 0.0),
        (2, pytest.approx(129.999), 3.0, 0.0),
        (3, 30.0, 0.0, 4.0),
    ]


def test_of_a_stretch_with_an_unknown_delay_nothing_is_known() -> None:
    assert len(minute_rows(forced(), listened((0, 180, np.nan)))) == 0
    assert len(minute_rows(forced(), listened())) == 0


def test_what_is_told_is_unknown_from_then_on() -> None:
    told = pd.DatetimeIndex([T0 + 11 * MINUTE, T0 + 14 * MINUTE])
    minutes = minute_rows(forced(), listened((0, 1200, 0.0)), told)
    doubted = [row for row in table(minutes) if np.isnan(row[2])]
    # The window of ten minutes that ends with the twelfth, and what follows up to the fifteenth.
    assert [(minute, after) for minute, after, _, _ in doubted] == [
        *((minute, (12 - minute) * 60 + 30.0) for minute in range(3, 13)),
        *((minute, (15 - minute) * 60 + 30.0) for minute in range(13, 16)),
    ]
    assert len(minutes) == 20 + len(doubted)


@given(st.integers(0, 10_000))
def test_the_minutes_are_those_of_a_slow_twin(seed: int) -> None:
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.uniform(0, 1200, 12)).round(3)
    pairs = list(zip(edges[::2], edges[1::2], rng.uniform(0, 5, 6).round(3), strict=True))
    if rng.random() < 0.5:  # the row of an hour goes on where the last one ended
        pairs[1] = (pairs[0][1], *pairs[1][1:])
    rows = forced(
        *[
            (rng.uniform(-30, 1230), rng.choice(["long", "short"]), rng.uniform(1, 9),
             rng.exponential(3))
            for _ in range(40)
        ]
    )  # fmt: skip
    expected = []
    for minute in range(1, 21):
        begin, end = 60.0 * minute - 60, 60.0 * minute
        touched = [(s, e, d) for s, e, d in pairs if s < end and e > begin]
        # Every millisecond of it was listened to.
        if any(not any(s <= t < e for s, e, _ in touched) for t in (
            begin, *(e for _, e, _ in touched if begin < e < end)
        )):  # fmt: skip
            continue
        own = rows[(rows["time"] >= T0 + begin * SECOND) & (rows["time"] < T0 + end * SECOND)]
        proved = T0 + (end + max(d for _, _, d in touched)) * SECOND
        last = max([proved, *own["received"]])
        usd = [own.loc[own["side"] == side, "usd"].sum() for side in ("long", "short")]
        expected.append((minute, (last - T0 - end * SECOND + HANDED_ON) / SECOND, *usd))
    found = table(minute_rows(rows, listened(*pairs)))
    assert [row[0] for row in found] == [row[0] for row in expected]
    np.testing.assert_allclose(found, expected, atol=2e-6)


# --- from the store -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SeriesStore:
    """Days of two exchanges, one of which is deaf in the last hours while the other goes on."""
    store = SeriesStore(tmp_path_factory.mktemp("series"))
    rng = np.random.default_rng(4)
    first, last = T0.floor("D") - HISTORY, T0 + pd.Timedelta(hours=2)
    seconds = int((last - first) / SECOND)
    listening, rows = [], []
    for exchange, rate in (("binance", 0.02), ("bybit", 0.02)):
        time = first + pd.to_timedelta(np.flatnonzero(rng.random(seconds) < rate), unit="s")
        if exchange == "binance":
            time = time[time < T0]
        time = time.as_unit("us")
        rows.append(
            pd.DataFrame(
                {
                    "exchange": exchange, "symbol": SYMBOL, "time": time,
                    "order": [str(k) for k in range(len(time))], "side": "long", "base": 1.0,
                    "usd": 100.0, "price": 1.0, "price_kind": "bankruptcy", "coverage": "all",
                    "received": time + SECOND,
                }
            )
        )  # fmt: skip
        hours = pd.date_range(first, last, freq="h", inclusive="left", unit="us")
        listening.append(
            pd.DataFrame(
                {
                    "exchange": exchange, "symbol": SYMBOL, "kind": "liquidations",
                    "start": hours, "end": hours + pd.Timedelta(hours=1), "reason": "",
                    "delay": 0.5,
                }
            )
        )  # fmt: skip
    store.append("liquidations", pd.concat(rows, ignore_index=True))
    store.upsert("listening", pd.concat(listening, ignore_index=True))
    return store


def test_whoever_asks_and_when_is_told_the_same(store: SeriesStore) -> None:
    """A live reader's rows of each moment are those that a training has of it later."""
    names, end = ("binance", "bybit"), T0 + pd.Timedelta(hours=2)
    whole = read_minutes(store, SYMBOL, names)
    assert set(whole["exchange"]) == set(names)
    doubted = whole[whole["long_usd"].isna()]
    assert set(doubted["exchange"]) == {"binance"}
    assert (doubted["time"] > T0 - WINDOW).all()
    assert len(doubted) > 30
    for minutes in (5, 20, 47, 90):
        start, stop = T0 + minutes * MINUTE, T0 + (minutes + 3) * MINUTE
        part = read_minutes(store, SYMBOL, names, start, stop)
        same = whole[(whole["time"] > start) & (whole["available"] <= stop + MINUTE)]
        same = same[same["time"] <= stop]
        assert len(same) >= 6
        pd.testing.assert_frame_equal(
            part[part["available"] <= stop + MINUTE].reset_index(drop=True),
            same.reset_index(drop=True),
        )
    known = read_minutes(store, SYMBOL, names, T0, end)
    assert len(known[known["long_usd"].notna()]) == 2 * 120


def test_what_was_not_listened_to_has_no_row(store: SeriesStore, tmp_path: Path) -> None:
    assert read_minutes(store, SYMBOL, ["okx"]).empty
    assert read_minutes(SeriesStore(tmp_path), SYMBOL, ["bybit"]).empty
    later = read_minutes(store, SYMBOL, ["bybit"], T0 + pd.Timedelta(days=3))
    assert later.empty
