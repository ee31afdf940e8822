"""Silence that is not believed, on simulated exchanges whose liquidations come in clusters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.series.store.store import SeriesStore
from brain.series.suspects import (
    HISTORY,
    WINDOW,
    falling_minutes,
    find_suspects,
    read_suspects,
    silent_minutes,
)

MINUTES = 2880
SYMBOL = "BTC/USDT:USDT"
NOW = pd.Timestamp("2026-11-20 12:00", tz="UTC")


def clustered(seed: int, share: float = 0.3, level: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Liquidations a minute at one exchange and at the others, which cascade together."""
    rng = np.random.default_rng(seed)
    log = np.zeros(MINUTES)
    for minute in range(1, MINUTES):
        log[minute] = 0.97 * log[minute - 1] + 0.35 * rng.normal()
    rate = level * np.exp(log)
    own, others = rng.poisson(share * rate), rng.poisson((1 - share) * rate)
    return own.astype(float), others.astype(float)


@pytest.mark.parametrize("level", [0.02, 0.1, 0.5, 2.0, 10.0])
def test_quiet_markets_are_believed(level: float) -> None:
    """Of two hundred days at each level, whatever their cascades, none has a false alarm."""
    alarms = [silent_minutes(*clustered(seed, level=level)).any() for seed in range(100)]
    assert sum(alarms) == 0


@pytest.mark.parametrize(("level", "minutes"), [(2.0, 90), (10.0, 15)])
def test_a_deaf_channel_is_told_once_others_cascade(level: float, minutes: int) -> None:
    delays = []
    for seed in range(50):
        own, others = clustered(seed, level=level)
        own[2000:] = 0
        found = np.flatnonzero(silent_minutes(own, others)[2000:])
        delays.append(found[0] if len(found) else np.inf)
    assert np.median(delays) <= minutes
    assert np.quantile(delays, 0.9) < 600


def test_a_past_too_short_to_tell_a_share_takes_a_large_cascade() -> None:
    own, others = np.zeros(20), np.zeros(20)
    others[12:] = 5
    assert not silent_minutes(own, others).any()
    others[15] = 40
    assert silent_minutes(own, others)[15]
    own[10] = 1  # it is not silent
    assert not silent_minutes(own, others)[:20].any()


def test_what_is_told_is_known_by_then() -> None:
    own, others = clustered(1, level=10.0)
    own[2000:] = 0
    whole = silent_minutes(own, others)
    for until in (2005, 2040, 2500):
        assert (silent_minutes(own[:until], others[:until]) == whole[:until]).all()


def test_open_interest_that_falls_as_it_never_did_is_told() -> None:
    rng = np.random.default_rng(0)
    interest = 1e4 * np.exp(np.cumsum(0.0005 * rng.normal(size=MINUTES)))
    own = np.zeros(MINUTES)
    assert not falling_minutes(own, interest).any()
    fallen = interest.copy()
    fallen[2500:] *= 0.96
    found = np.flatnonzero(falling_minutes(own, fallen))
    assert found[0] == 2500
    assert found[-1] < 2500 + WINDOW // pd.Timedelta(minutes=1)
    own[2499] = 3
    assert not falling_minutes(own, fallen)[2499:2509].any()
    assert not falling_minutes(np.zeros(MINUTES), np.full(MINUTES, np.nan)).any()


def tables(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Liquidations of two exchanges, one of which is deaf since ten hours before now; listening."""
    first = NOW - HISTORY
    own, others = clustered(seed, level=10.0)
    own[MINUTES - 600 :] = 0
    times = []
    for exchange, counts in (("binance", own), ("bybit", others)):
        at = np.repeat(np.arange(MINUTES), counts.astype(int))
        times.append(
            pd.DataFrame(
                {
                    "exchange": exchange,
                    "symbol": SYMBOL,
                    "time": first + pd.to_timedelta(at, unit="min"),
                }
            )
        )
    listening = pd.DataFrame(
        {
            "exchange": ["binance", "bybit"],
            "symbol": SYMBOL,
            "start": first,
            "end": NOW,
        }
    )
    return pd.concat(times, ignore_index=True), listening


def test_the_stretch_the_exchange_and_the_reason_are_named() -> None:
    liquidations, listening = tables(3)
    snapshots = pd.DataFrame(
        {"exchange": [], "symbol": [], "time": pd.DatetimeIndex([], tz="UTC"), "open_interest": []}
    )
    names = ("binance", "bybit")
    start = NOW - pd.Timedelta(hours=9)
    found = find_suspects(liquidations, snapshots, listening, names, start, NOW)
    assert {(one.exchange, one.symbol, one.reason) for one in found} == {
        ("binance", SYMBOL, "while others cascade")
    }
    for one in found:
        assert NOW - pd.Timedelta(hours=10) <= one.start < one.end <= NOW
        assert "is not believed, while others cascade" in str(one)
    # What was not listened to is missing anyway.
    deaf = listening.assign(end=NOW - pd.Timedelta(hours=10))
    assert find_suspects(liquidations, snapshots, deaf, names, start, NOW) == []
    # Nor is anything told before there was anything.
    early = NOW - pd.Timedelta(hours=11)
    assert find_suspects(liquidations, snapshots, listening, names, early, early) == []


def test_suspects_are_read_from_the_store(tmp_path: Path) -> None:
    liquidations, _ = tables(3)
    store = SeriesStore(tmp_path)
    rows = liquidations.assign(
        order=[f"SELL {n}" for n in range(len(liquidations))],
        side="long",
        base=1.0,
        usd=1.0,
        price=1.0,
        price_kind="bankruptcy",
        coverage="all",
        received=liquidations["time"],
    )
    store.append("liquidations", rows)
    start, names = NOW - pd.Timedelta(hours=9), ("binance", "bybit")
    assert read_suspects(store, names, ["BTC/USDT"], start, NOW) == []  # not listened to
    hours = pd.date_range(NOW - HISTORY, NOW, freq="h", inclusive="left")
    for name in names:
        store.upsert(
            "listening",
            pd.DataFrame(
                {
                    "exchange": name,
                    "symbol": SYMBOL,
                    "kind": "liquidations",
                    "start": hours,
                    "end": hours + pd.Timedelta(hours=1),
                    "reason": "",
                }
            ),
        )
    found = read_suspects(store, names, ["BTC/USDT"], start, NOW)
    assert {one.exchange for one in found} == {"binance"}
