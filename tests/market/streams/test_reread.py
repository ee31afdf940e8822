"""A recording that is read again, and recordings that can't be gone on with."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest

from brain.errors import InputError, SeriesStoreError
from brain.series.store.store import AppendCounts, SeriesStore
from market.streams.pace import Pace
from market.streams.recording import Entry, Recording, read_segments
from market.streams.reread import reread
from tests.market.exchange_server import ExchangeServer
from tests.market.streams.streaming import (
    QUICK,
    SCALE,
    assert_sound,
    happened,
    run,
    stored,
    stream,
)

KINDS = ("liquidations", "candles", "snapshots", "listening")


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two streams have stored and recorded, one after the other."""
    folder = tmp_path_factory.mktemp("stream")
    with ExchangeServer(fillers=0, live={"scale": SCALE, "rate": 10.0}) as server:
        for _ in range(2):
            run(stream(server, folder), 2.0)
    return folder


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {kind: stored(folder, kind).drop(columns="collected") for kind in KINDS}


def assert_alike(left: dict[str, pd.DataFrame], right: dict[str, pd.DataFrame]) -> None:
    for kind in KINDS:
        pd.testing.assert_frame_equal(left[kind], right[kind])


def test_what_a_former_reader_made_is_replaced_and_the_rest_stays(folder: Path) -> None:
    right = tables(folder)
    store = SeriesStore(folder / "series")
    # A reader that took sizes and sides for others, and was deaf for some time.
    rows = right["liquidations"]
    store.upsert("liquidations", rows.assign(base=rows["base"] / 2, side="short").iloc[::2])
    listening = right["listening"]
    whole = listening[listening["reason"] == ""]
    halves = whole["start"] + (whole["end"] - whole["start"]) / 2
    store.upsert("listening", whole.assign(end=halves.dt.as_unit("us")))
    deaf = whole.assign(start=halves.dt.as_unit("us"), reason="unreadable: a field")
    store.upsert("listening", deaf)
    # And what is from before the recording.
    day = pd.Timedelta(days=1)
    older = whole.assign(start=whole["start"] - day, end=whole["end"] - day)
    store.upsert("listening", older)
    # The exchange's history knows candles better.
    candles = right["candles"].assign(volume=right["candles"]["volume"] + 1)
    store.upsert("candles", candles)
    counts = reread(folder / "frames", store)
    assert counts["liquidations"] == len(rows.iloc[::2])
    assert counts["candles"] == 0
    key = ["exchange", "symbol", "kind", "start"]
    joined = pd.concat([older, listening]).sort_values(key, ignore_index=True)
    assert_alike(tables(folder), {**right, "listening": joined, "candles": candles})
    assert not any(reread(folder / "frames", store).values())


def test_a_recording_of_the_future_is_not_gone_on_with(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "frames")
    later = time.time_ns() // 1000 + 3_600_000_000
    recording.start_segment(Entry(later, "state", 0, '{"listening": [], "connections": {}}'))
    recording.close()
    with (
        ExchangeServer(fillers=0, live={"scale": SCALE}) as server,
        pytest.raises(InputError, match="yet to come; set this machine's clock"),
    ):
        run(stream(server, tmp_path), 1.0)


def test_what_is_not_stored_is_kept_however_old_it_is(tmp_path: Path) -> None:
    """And stored by the next stream; what is stored and old is deleted."""
    pace = Pace(**{**vars(QUICK), "segment": 0.2, "keep": 0.5, "commit": 0.3})
    refusing = Refusing(tmp_path / "series")
    with ExchangeServer(fillers=0, live={"scale": SCALE, "rate": 10.0}) as server:
        with pytest.raises(SeriesStoreError):
            run(stream(server, tmp_path, ["bybit"], pace=pace, store=refusing), 2.5)
        assert len(stored(tmp_path)) == 0
        kept = len(read_segments(tmp_path / "frames"))
        assert kept > 6
        run(stream(server, tmp_path, ["bybit"], pace=pace), 2.5)
        truth = happened(server)
    assert_sound(tmp_path, truth)
    assert len(stored(tmp_path)) > 40
    assert len(read_segments(tmp_path / "frames")) < kept


class Refusing(SeriesStore):
    """A store that takes nothing."""

    def append(self, kind: str, frame: pd.DataFrame) -> AppendCounts:
        raise SeriesStoreError(f"{kind} can't be written")
