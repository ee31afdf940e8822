"""The benchmark of imports: both sides end with the same rows, and it is told fairly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from benchmarks import imports
from benchmarks.imports import FIRST, Readings, candles
from brain.errors import BrainError
from brain.series.faults import row_faults
from brain.series.store import SeriesStore

READINGS = Readings(first=10, again=5, megabytes=500, rows=1000)


def test_rows_are_the_same_every_time_and_make_sense() -> None:
    frame = candles(3, FIRST)
    assert_frame_equal(frame, candles(3, FIRST))
    assert len(frame) == 31 * 1440
    assert (row_faults("candles", frame) == "").all()


def test_both_sides_end_with_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MONTHS", 1)
    frame = imports.publish(tmp_path / "files", 50_000)
    assert len(frame) == 2 * 31 * 1440
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    ours = imports.import_files(tmp_path / "files", tmp_path / "ours")
    theirs = imports.upsert(tmp_path / "rows.parquet", tmp_path / "theirs")
    assert ours.rows == theirs.rows == len(frame)
    assert min(ours.first, ours.again, theirs.first, theirs.again) > 0
    mine, others = (
        SeriesStore(tmp_path / side).read("candles").drop(columns="collected")
        for side in ("ours", "theirs")
    )
    assert_frame_equal(mine, others)
    zips = sorted((tmp_path / "files").rglob("*.zip"))
    zips[0].write_bytes(b"")
    with pytest.raises(BrainError, match="mend the benchmark"):
        imports.import_files(tmp_path / "files", tmp_path / "other")


def test_the_targets() -> None:
    slow = replace(READINGS, first=21)
    assert not imports.report([READINGS], [replace(READINGS, first=6)], 1000).missed
    missed = imports.report([slow], [READINGS], 1000).missed
    assert [metric.name for metric in missed] == ["1,000 candles into an empty store"]


def test_months_are_whole() -> None:
    february = candles(0, pd.Timestamp("2024-02-01", tz="UTC"))
    assert february["time"].iloc[-1] == pd.Timestamp("2024-02-29 23:59", tz="UTC")
