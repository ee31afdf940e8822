"""Streams from the loopback exchanges: whatever they do, nothing is taken for a quiet market."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from brain.series.listened import stretches_of
from brain.series.store.store import SeriesStore
from market.streams.pace import Pace
from market.streams.reread import reread
from tests.brain.test_processes import ROOT
from tests.market.exchange_server import EXCHANGES, ExchangeServer, Live
from tests.market.streams.schedules import play, schedule
from tests.market.streams.streaming import (
    CALM,
    CALM_PACE,
    QUICK,
    SCALE,
    assert_sound,
    happened,
    interruptions,
    listened,
    run,
    shares,
    stored,
    stream,
    unseen,
)


def live_of(server: ExchangeServer) -> Live:
    assert server.live is not None
    return server.live


def assert_reread_alike(folder: Path) -> None:
    """Reading the recording again, twice, gives the tables that are there."""
    tables = {}
    for name in ("again", "twice"):
        store = SeriesStore(folder / name)
        reread(folder / "frames", store)
        for kind in ("liquidations", "candles", "snapshots", "listening"):
            tables[name, kind] = store.read(kind).drop(columns="collected")
    for kind in ("liquidations", "candles", "snapshots", "listening"):
        own = stored(folder, kind).drop(columns="collected")
        pd.testing.assert_frame_equal(tables["again", kind], own)
        pd.testing.assert_frame_equal(tables["twice", kind], own)


# --- all is well ----------------------------------------------------------------------------------


def test_everything_that_three_exchanges_push_is_stored(tmp_path: Path) -> None:
    with ExchangeServer(fillers=0, live={"scale": CALM, "rate": 10.0}) as server:
        one = stream(server, tmp_path, pace=CALM_PACE)
        run(one, 4.0)
        truth = happened(server)
    assert_sound(tmp_path, truth)
    assert not one.normaliser.unreadable
    for exchange in EXCHANGES:
        assert shares(tmp_path, server)[exchange] >= 0.95
        assert not interruptions(tmp_path, exchange, "silent|closed|unreadable|refused")
    rows = stored(tmp_path)
    assert rows.groupby("exchange").size().min() > 20
    bitcoin = rows[rows["symbol"] == "BTC/USDT:USDT"]
    assert bitcoin.groupby("exchange")["coverage"].first().to_dict() == {
        "binance": "sampled",
        "bybit": "all",
        "okx": "sampled",
    }
    assert (rows["received"] > rows["time"]).all()
    candles = stored(tmp_path, "candles")
    assert set(candles["exchange"]) == set(EXCHANGES)
    # Volume in base units: 150 contracts of 0.01 on OKX.
    one_symbol = candles[candles["symbol"] == "BTC/USDT:USDT"]
    assert set(one_symbol["volume"]) == {1.5}
    assert (candles["available"] - candles["time"] == pd.Timedelta(minutes=1)).all()
    snapshots = stored(tmp_path, "snapshots")
    interest = snapshots.groupby("exchange")["open_interest"].first()
    assert interest["bybit"] == 1000  # one side
    assert interest["okx"] > 0
    assert interest.isna()["binance"]  # it is not streamed there
    assert (snapshots["funding_rate"] == 0.0001).all()
    assert_reread_alike(tmp_path)


def test_keep_alives_are_kept_for_hours(tmp_path: Path) -> None:
    """Ten minutes of the exchanges, whose patience is 30 and 60 seconds."""
    with ExchangeServer(fillers=0, live={"scale": 0.01, "rate": 1.0}) as server:
        run(stream(server, tmp_path, pace=replace(QUICK, scale=0.01)), 6.0)
        assert not live_of(server).hung_up


def test_a_connection_is_handed_over_before_the_exchange_hangs_up(tmp_path: Path) -> None:
    """Bybit has no such end; OKX says so, and Binance ends every connection after a day."""
    with ExchangeServer(fillers=0, live={"scale": CALM}) as server:
        one = stream(server, tmp_path, ["okx"], pace=CALM_PACE)
        live = live_of(server)

        async def during() -> None:
            await asyncio.sleep(2.0)
            server.call(live.protocols["okx"].notice)
            await asyncio.sleep(2.0)

        run(one, 0.2, during)
        truth = happened(server)
    assert len(live.ended["okx"]) == 4  # two routes, twice
    assert_sound(tmp_path, truth)
    assert not interruptions(tmp_path, "okx", "closed|silent|nothing")
    assert len(listened(tmp_path, "okx", "BTC/USDT:USDT")) == 1
    assert_reread_alike(tmp_path)


# --- silence --------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("fault", ["silent", "unanswered", "down"])
def test_silence_from_the_beginning_is_not_listened_to(
    exchange: str, fault: str, tmp_path: Path
) -> None:
    with ExchangeServer(fillers=0, live={"scale": SCALE}) as server:
        setattr(live_of(server).faults[exchange], fault, True)
        one = stream(server, tmp_path, [exchange])
        run(one, 2.0)
        assert len(happened(server)) > 0
    assert len(stored(tmp_path)) == 0
    assert len(listened(tmp_path, exchange, "BTC/USDT:USDT")) == 0
    # Since the stream began, and on record.
    (row,) = interruptions(tmp_path, exchange, "")
    assert row > 1.5
    assert any(keeper.ended > 0 for keeper in one.keepers.values())


def test_the_root_that_binance_left_silent_is_not_listened_to(tmp_path: Path) -> None:
    """It opens, acknowledges, answers pings, and sends nothing of what was subscribed to."""
    with ExchangeServer(fillers=0, live={"scale": SCALE}) as server:
        live_of(server).protocols["binance"].roots = ("/market/stream",)
        one = stream(server, tmp_path, ["binance"])
        run(one, 2.0)
    assert len(listened(tmp_path, "binance", "BTC/USDT:USDT")) == 0
    reasons = {keeper.reason for keeper in one.keepers.values()}
    assert reasons == {"acknowledged, but silent for 0.5 s"}


@pytest.mark.parametrize("fault", ["silent", "cut", "close", "down"])
def test_an_interruption_is_on_record_with_its_reason(fault: str, tmp_path: Path) -> None:
    reason = {"silent": "silent", "cut": "closed", "close": "code 1001", "down": "closed"}[fault]
    with ExchangeServer(fillers=0, live={"scale": SCALE}) as server:
        live = live_of(server)

        async def during() -> None:
            await asyncio.sleep(1.0)
            if fault == "cut":
                server.call(lambda: live.cut("bybit"))
            elif fault == "close":
                server.call(lambda: live.close("bybit"))
            else:
                setattr(live.faults["bybit"], fault, True)
                await asyncio.sleep(1.0)
                setattr(live.faults["bybit"], fault, False)
            await asyncio.sleep(1.0)

        run(stream(server, tmp_path, ["bybit"]), 0.5, during)
        truth = happened(server)
    assert_sound(tmp_path, truth)
    # A busy machine may add stalls of its own, which are on record too.
    lengths = interruptions(tmp_path, "bybit", reason)
    assert lengths
    assert max(lengths) > (1.0 if fault in ("silent", "down") else 0.0)
    assert len(listened(tmp_path, "bybit", "BTC/USDT:USDT")) >= 2


def test_a_symbol_that_the_exchange_refuses_is_missing_and_the_others_are_not(
    tmp_path: Path,
) -> None:
    with ExchangeServer(fillers=0, live={"scale": SCALE}) as server:
        for exchange in EXCHANGES:
            live_of(server).protocols[exchange].unknown.add(
                server.truth.listing(exchange, "ETH/USDT").id
            )
        one = stream(server, tmp_path)
        run(one, 3.0)
        truth = happened(server)
    assert_sound(tmp_path, truth)
    for exchange in EXCHANGES:
        assert len(listened(tmp_path, exchange, "BTC/USDT:USDT")) >= 1
    # Bybit has a channel of liquidations for each symbol; the others have one for all.
    assert len(listened(tmp_path, "bybit", "ETH/USDT:USDT")) == 0
    for exchange in ("bybit", "okx"):
        assert len(listened(tmp_path, exchange, "ETH/USDT:USDT", "snapshots")) == 0
        assert len(listened(tmp_path, exchange, "SOL/USDT:USDT", "snapshots")) >= 1


def test_symbols_that_are_not_traded_are_told(tmp_path: Path) -> None:
    with ExchangeServer(fillers=0, live={"scale": SCALE}) as server:
        one = stream(server, tmp_path, ["bybit"], ["BTC/USDT", "FTM/USDT", "NOPE/USDT"])
        run(one, 1.5)
    assert one.failures == {
        ("bybit", f"{coin}/USDT:USDT"): f"bybit does not trade {coin}/USDT:USDT"
        for coin in ("FTM", "NOPE")
    }
    assert set(stored(tmp_path)["symbol"]) == {"BTC/USDT:USDT"}


# --- schedules of faults --------------------------------------------------------------------------


def check_schedule(
    folder: Path, seed: int, length: float, between: float, least: float = 0.99
) -> None:
    with ExchangeServer(fillers=0, live={"scale": SCALE, "seed": seed}) as server:
        steps = schedule(seed, length, EXCHANGES, between=between)
        run(stream(server, folder), 0.5, lambda: play(server, steps, length))
        truth = happened(server)
    assert_sound(folder, truth)
    for exchange, share in shares(folder, server).items():
        assert share >= least, (exchange, share)
    assert_reread_alike(folder)


@pytest.mark.parametrize("seed", [1, 2])
def test_schedules_of_faults_leave_no_false_zero(seed: int, tmp_path: Path) -> None:
    # Time passes quickly here, and other tests on the machine cost a part of it.
    check_schedule(tmp_path, seed, 120.0, 12.0, least=0.95)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_twenty_schedules_of_faults_leave_no_false_zero(seed: int, tmp_path: Path) -> None:
    check_schedule(tmp_path, 100 + seed, 900.0, 30.0)


# --- stopping and starting ------------------------------------------------------------------------


def test_a_stream_that_is_stopped_and_started_goes_on(tmp_path: Path) -> None:
    with ExchangeServer(fillers=0, live={"scale": SCALE, "rate": 20.0}) as server:
        for _ in range(3):
            run(stream(server, tmp_path), 1.5)
        truth = happened(server)
    assert_sound(tmp_path, truth)
    for exchange in EXCHANGES:
        assert len(interruptions(tmp_path, exchange, "not running")) == 2
        assert len(listened(tmp_path, exchange, "BTC/USDT:USDT")) == 3
    assert len(unseen(tmp_path, truth)) == 0
    assert_reread_alike(tmp_path)


def check_takeovers(
    folder: Path, exchanges: Sequence[str], pace: Pace, starts: Sequence[float], overlap: float
) -> None:
    """Streams on one store, each with a recording of its own, which overlap: there is no seam.

    Args:
        folder: of the store and the recordings.
        exchanges: that are streamed from.
        pace: of the streams.
        starts: of each stream, in seconds, and the end of the last one.
        overlap: seconds for which a stream goes on after the next one's start.
    """
    live = {"scale": pace.scale, "rate": 20.0}
    with ExchangeServer(fillers=0, live=live) as server:
        store = SeriesStore(folder / "series")

        async def one(number: int, start: float, end: float) -> None:
            await asyncio.sleep(start)
            stop = asyncio.Event()
            asyncio.get_running_loop().call_later(end - start, stop.set)
            place = folder / f"stream-{number}"
            await stream(server, place, exchanges, pace=pace, store=store).run(stop)

        async def work() -> None:
            ends = [start + overlap for start in starts[1:-1]] + [starts[-1]]
            spans = zip(starts, ends, strict=False)
            await asyncio.gather(*(one(n, *span) for n, span in enumerate(spans)))

        asyncio.run(work())
        truth = happened(server)
    liquidations = stored(folder)
    assert not liquidations.duplicated(["exchange", "symbol", "time", "order"]).any()
    assert len(unseen(folder, truth)) == 0
    for exchange in exchanges:
        rows = store.read("listening", exchange=exchange, symbol="BTC/USDT")
        heard = rows[(rows["kind"] == "liquidations") & (rows["reason"] == "")]
        ((start, end),) = stretches_of(heard) / 1e6
        assert end - start > (starts[-1] - starts[0]) * 0.8
        own = liquidations[liquidations["exchange"] == exchange]
        seconds = own["time"].astype("int64") / 1e6
        assert ((seconds > start) & (seconds < end)).mean() > 0.9


def test_a_stream_that_another_takes_over_from_leaves_no_seam(tmp_path: Path) -> None:
    check_takeovers(tmp_path, ["bybit"], CALM_PACE, [0.0, 2.0, 6.0], 2.0)


@pytest.mark.soak
@pytest.mark.timeout(4500)
def test_an_hour_of_streams_under_load_has_no_seam(tmp_path: Path) -> None:
    """At the exchanges' own pace, a takeover every five minutes, and a night beside the first."""
    folder = tmp_path / "night"
    folder.mkdir()
    dsn = f"sqlite:///{folder}/mlflow.db"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": dsn, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "mlproject", "nightly", "--trials=2"]
    with subprocess.Popen(command, cwd=folder, env=environment) as night:
        check_takeovers(tmp_path, EXCHANGES, Pace(), [300.0 * n for n in range(13)], 30.0)
        assert night.wait() == 0


def test_what_was_listened_to_is_known_from_the_store_without_a_recording(tmp_path: Path) -> None:
    with ExchangeServer(fillers=0, live={"scale": SCALE}) as server:
        run(stream(server, tmp_path, ["bybit"]), 1.5)
        for path in (tmp_path / "frames").iterdir():
            path.unlink()
        run(stream(server, tmp_path, ["bybit"]), 1.5)
        truth = happened(server)
    assert_sound(tmp_path, truth)
    assert len(interruptions(tmp_path, "bybit", "not running")) == 1


def test_exchanges_without_candles_of_a_timeframe_are_refused(tmp_path: Path) -> None:
    with (
        ExchangeServer(fillers=0, live={"scale": SCALE}) as server,
        pytest.raises(ValueError, match=r"bybit streams no candles of '8h'; but 1m, 3m"),
    ):
        run(stream(server, tmp_path, ["bybit"], timeframe="8h"), 1.0)
    assert not (tmp_path / "frames").exists()
