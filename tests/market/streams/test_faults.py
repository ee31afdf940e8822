"""Faults of a stream's own machine: killed at any moment, and disks that are full."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pandas as pd
import pytest

from brain.errors import StorageFullError
from brain.series.store.store import AppendCounts, SeriesStore
from market.exchanges import open_exchange
from market.streams.recording import Entry, Recording, read_segments
from market.streams.stream import Source, Stream
from tests.disks import fill, small_disk
from tests.market.exchange_server import EXCHANGES, ExchangeServer
from tests.market.streams.streaming import (
    CALM,
    CALM_PACE,
    QUICK,
    SCALE,
    SYMBOLS,
    assert_sound,
    happened,
    inside,
    interruptions,
    listened,
    run,
    stored,
    stream,
)
from tests.market.streams.test_stream import assert_reread_alike

KEY = ["exchange", "symbol", "time", "order"]


class Acknowledging(SeriesStore):
    """Logs what it has acknowledged to a file, at once and without a buffer."""

    def __init__(self, root: Path, path: Path) -> None:
        super().__init__(root)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def append(self, kind: str, frame: pd.DataFrame) -> AppendCounts:
        counts = super().append(kind, frame)
        if kind == "liquidations":
            keys = frame[KEY].assign(time=frame["time"].astype("int64")).to_numpy(dtype=object)
            lines = "".join(json.dumps(key) + "\n" for key in keys.tolist())
            os.write(self._file, lines.encode())
        return counts


@dataclass(frozen=True)
class Job:
    """A stream, to be run in another process until that is killed."""

    folder: str
    urls: Mapping[str, str]

    def run(self) -> None:
        folder = Path(self.folder)
        store = Acknowledging(folder / "series", folder / "acknowledged")
        sources = [
            Source(open_exchange(name, base_url=url), url.replace("http", "ws", 1))
            for name, url in self.urls.items()
        ]
        one = Stream(store, sources, SYMBOLS, "1m", folder / "frames", pace=QUICK)
        asyncio.run(one.run(asyncio.Event()))

    def start(self) -> ForkServerProcess:
        """In a process that has everything imported already, and nothing else done."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "market.exchanges.catalogue"])
        process = context.Process(target=self.run, daemon=True)
        process.start()
        return process


def check_kills(folder: Path, kills: int) -> None:
    """Kill a stream so often, at random moments; then let one go on and stop."""
    rng, killed = random.Random(kills), []
    with ExchangeServer(fillers=0, live={"scale": SCALE, "rate": 20.0}) as server:
        for _ in range(kills):
            process = Job(str(folder), server.urls).start()
            deadline = time.monotonic() + 30
            count = len(os.listdir(folder / "frames")) if (folder / "frames").exists() else 0
            while time.monotonic() < deadline:  # until it has begun to record
                time.sleep(0.02)
                path = folder / "frames"
                if path.exists() and len(os.listdir(path)) > count:
                    break
            time.sleep(rng.uniform(0.1, 2.5))
            process.kill()
            killed.append(time.time_ns() // 1_000_000)
            process.join()
        run(stream(server, folder), 2.0)
        truth = happened(server)
    assert_sound(folder, truth)
    rows = stored(folder)
    known = set(map(tuple, rows[KEY].assign(time=rows["time"].astype("int64")).to_numpy().tolist()))
    lines = (folder / "acknowledged").read_text().splitlines()
    acknowledged = {tuple(json.loads(line)) for line in lines}
    assert acknowledged
    assert acknowledged <= known
    for exchange in EXCHANGES:
        heard = listened(folder, exchange, "BTC/USDT:USDT")
        assert not inside(heard, pd.Series(killed)).any()
        assert len(heard) > kills / 2
    assert len(interruptions(folder, "okx", "not running")) > kills / 2
    assert_reread_alike(folder)


def test_what_was_acknowledged_outlives_kills(tmp_path: Path) -> None:
    check_kills(tmp_path, 3)


@pytest.mark.soak
def test_what_was_acknowledged_outlives_twenty_kills(tmp_path: Path) -> None:
    check_kills(tmp_path, 20)


# --- full disks -----------------------------------------------------------------------------------


def test_a_block_that_does_not_fit_is_taken_back(tmp_path: Path) -> None:
    with small_disk() as disk:
        recording = Recording(disk / "frames")
        recording.start_segment(Entry(1, "state", 0, "{}"))
        recording.write([Entry(2, "frame", 1, "a")])
        fill(disk, leave=8192)
        noise = random.Random(0).randbytes(200_000).hex()
        with pytest.raises(StorageFullError, match=r"the disk of the recording .* is full"):
            recording.write([Entry(3, "frame", 1, noise)])
        (disk / "ballast").unlink()
        recording.write([Entry(4, "frame", 1, "b")])
        recording.close()
        (segment,) = read_segments(disk / "frames")
        assert [entry.text for entry in segment.entries()] == ["{}", "a", "b"]


def test_what_comes_while_the_disk_is_full_waits_and_is_not_lost(tmp_path: Path) -> None:
    with (
        small_disk(64) as disk,
        ExchangeServer(fillers=0, live={"scale": CALM, "rate": 20.0}) as server,
    ):
        one = stream(server, disk, pace=CALM_PACE)

        async def during() -> None:
            await asyncio.sleep(2.0)
            fill(disk)
            await asyncio.sleep(2.0)
            assert one.writer is not None
            assert "full" in one.writer.trouble
            (disk / "ballast").unlink()
            await asyncio.sleep(2.0)
            assert not one.writer.trouble

        run(one, 0.5, during)
        truth = happened(server)
        assert_sound(disk, truth)
        for exchange in EXCHANGES:  # nothing was missed
            assert len(listened(disk, exchange, "BTC/USDT:USDT")) == 1
        assert_reread_alike(disk)
