"""Files that are broken: told, one by one, and nothing of them is stored."""

from __future__ import annotations

import io
import multiprocessing
import random
import struct
import time
import zipfile
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError, SeriesFileError
from brain.series.store import SeriesStore
from market.imports import import_path
from market.imports.archive import unpack
from tests.market.exchange_server import NOW, Truth
from tests.market.imports.imported import assert_equal, gaps, put_in, rows
from tests.market.imports.published import KLINES, Published, days, sign, zipped

DAY = "2026-11-05"


def three_days(published: Published, path: Callable[[Path], None]) -> Path:
    """The days around one, and that one, changed after it was written."""
    files = {day: published.klines("BTC", "1h", day) for day in days("2026-11-04", "2026-11-06")}
    path(files[DAY])
    return files[DAY]


def assert_only_that_day_is_missing(
    published: Published, store: SeriesStore, reason: str, hours: int = 24
) -> None:
    result = put_in(store, published.root)
    (failure,) = result.failures
    assert isinstance(failure.error, SeriesFileError)
    assert DAY in failure.subject
    assert reason in str(failure)
    times = rows(store, "candles")["time"]
    assert len(times) == 72 - hours
    assert set(times.dt.day.value_counts().drop(5, errors="ignore")) == {24}
    (gap,) = gaps(store).to_dict("records")
    assert (gap["start"].day, gap["count"]) == (5, hours)
    before = store.versions()
    assert len(put_in(store, published.root).failures) == 1  # and again: nothing changes
    assert store.versions() == before


def test_a_flipped_byte_with_a_checksum(published: Published, store: SeriesStore) -> None:
    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)

    three_days(published, flip)
    assert_only_that_day_is_missing(published, store, "its SHA-256 is")
    (gap,) = gaps(store).to_dict("records")
    assert gap["reason"].startswith("its file could not be imported: its SHA-256 is")


def test_any_flipped_byte_without_a_checksum_changes_nothing_that_is_stored(
    published: Published, store: SeriesStore, tmp_path: Path
) -> None:
    """Either the zip tells, or the byte was of no consequence."""
    published.checksums = False
    path = published.klines("BTC", "1h", DAY)
    content = path.read_bytes()
    truth = zipfile.ZipFile(io.BytesIO(content)).read(f"{path.stem}.csv")
    told = 0
    for place in range(0, len(content), 3):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        try:
            assert unpack(bytes(flipped), f"{path.stem}.csv") == truth
        except SeriesFileError:
            told += 1
    assert told > len(content) / 4
    path.write_bytes(content[: len(content) // 2] + b"\xff" + content[len(content) // 2 + 1 :])
    assert len(put_in(store, published.root).failures) == 1
    assert store.read("candles").empty


@pytest.mark.parametrize(
    ("checksum", "reason"),
    [
        ("0" * 64 + "  BTCUSDT-1h-2026-11-05.zip\n", "and not 000000000000…"),
        ("0" * 64 + "  ETHUSDT-1h-2026-11-05.zip\n", "holds no checksum of it"),
        ("<html>404</html>", "holds no checksum of it"),
        ("", "holds no checksum of it"),
    ],
)
def test_a_wrong_checksum(
    checksum: str, reason: str, published: Published, store: SeriesStore
) -> None:
    def write(path: Path) -> None:
        path.with_name(f"{path.name}.CHECKSUM").write_text(checksum)

    three_days(published, write)
    assert_only_that_day_is_missing(published, store, reason)


def changed(lines: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """A file with other lines, and their checksum."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(f"{path.stem}.csv").decode().splitlines()
        path.write_bytes(zipped(lines(text), path.stem))
        sign(path)

    return write


def cell(row: int, column: int, value: str) -> Callable[[list[str]], list[str]]:
    def lines(text: list[str]) -> list[str]:
        cells = text[row].split(",")
        cells[column] = value
        return [*text[:row], ",".join(cells), *text[row + 1 :]]

    return lines


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (lambda text: [*text[:5], text[5][:40]], "a line can't be read"),
        (lambda _text: [], "it is empty"),
        (lambda text: [text[0].replace("high,low", "low,high"), *text[1:]], "its columns are"),
        (lambda text: [line.rpartition(",")[0] for line in text], "its columns are"),
        (cell(4, 2, "12,5"), "a line can't be read"),
        (cell(4, 2, "many"), "a line can't be read"),
        (cell(4, 0, ""), "1 row without a time"),
        (cell(4, 0, "17"), "is no time since 1970"),
        (cell(4, 0, str(1_793_836_800_000 + 60_000)), "1 row off the grid of 60 minutes"),
        (cell(4, 0, str(1_793_836_800_000 + 86_400_000)), "1 row outside of 2026-11-05"),
        (lambda text: [KLINES, *(_daily(line) for line in text[1:2])], "of another length than 1h"),
    ],
)
def test_a_text_that_is_not_the_exchanges(
    lines: Callable[[list[str]], list[str]],
    reason: str,
    published: Published,
    store: SeriesStore,
) -> None:
    three_days(published, changed(lines))
    assert_only_that_day_is_missing(published, store, reason)


def _daily(line: str) -> str:
    cells = line.split(",")
    cells[6] = str(int(cells[0]) + 86_399_999)
    return ",".join(cells)


def test_unsorted_and_repeated_rows_are_told_and_read(
    published: Published, store: SeriesStore, tmp_path: Path
) -> None:
    def shuffle(text: list[str]) -> list[str]:
        body = [*text[1:], *text[3:6]]
        random.Random(1).shuffle(body)
        return [text[0], *body]

    three_days(published, changed(shuffle))
    result = put_in(store, published.root)
    assert not result.failures
    first, second = result.series[0].notes
    assert first.endswith("rows out of the order of time, sorted")
    assert second.endswith("3 repeated rows left out")
    right = Published(tmp_path / "right", published.truth)
    for day in days("2026-11-04", "2026-11-06"):
        right.klines("BTC", "1h", day)
    other = SeriesStore(tmp_path / "other")
    put_in(other, right.root)
    assert_equal(store, other)


def test_of_rows_of_one_time_with_other_values_none_is_stored(
    published: Published, store: SeriesStore
) -> None:
    def contradict(text: list[str]) -> list[str]:
        return [*text, cell(3, 5, "1.000")(text)[3]]

    three_days(published, changed(contradict))
    reason = "rows of one time differ, at 1 time, first 2026-11-05 02:00 UTC"
    assert_only_that_day_is_missing(published, store, reason, hours=1)


def test_an_impossible_row_is_a_gap_as_it_is_when_collected(
    published: Published, store: SeriesStore
) -> None:
    three_days(published, changed(cell(3, 5, "-1.000")))
    result = put_in(store, published.root)
    assert not result.failures
    assert len(rows(store, "candles")) == 71
    (gap,) = gaps(store).to_dict("records")
    assert gap["reason"].startswith("the exchange's row is impossible: volume is negative")


def test_a_candle_that_is_not_over(published: Published, store: SeriesStore) -> None:
    published.klines("BTC", "1h", "2026-11-19")
    result = put_in(store, published.root, now=pd.Timestamp("2026-11-19 20:30", tz="UTC"))
    assert "is not over by the clock" in str(result.failures[0])
    assert store.read("candles").empty


# --- zips ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9, 0.99])
def test_a_truncated_zip(share: float, published: Published, store: SeriesStore) -> None:
    def cut(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        sign(path)

    three_days(published, cut)
    assert_only_that_day_is_missing(published, store, "it is no whole zip")


def archive(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in members:
            content.writestr(name, data)
    return buffer.getvalue()


NAME = f"BTCUSDT-1h-{DAY}.csv"


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([(f"../../{NAME}", b"1")], "a path that leads out of it"),
        ([(f"/tmp/{NAME}", b"1")], "a path that leads out of it"),
        ([(f"..\\{NAME}", b"1")], "a path that leads out of it"),
        ([(f"C:{NAME}", b"1")], "a path that leads out of it"),
        ([(NAME, b"1"), ("other.csv", b"2")], "instead of"),
        ([("other.csv", b"2")], "it holds other.csv instead of"),
        ([], "it holds nothing instead of"),
    ],
)
def test_a_zip_with_other_members(
    members: list[tuple[str, bytes]], reason: str, published: Published, store: SeriesStore
) -> None:
    def write(path: Path) -> None:
        path.write_bytes(archive(*members))
        sign(path)

    before = sorted(published.root.parent.rglob("*"))
    three_days(published, write)
    assert_only_that_day_is_missing(published, store, reason)
    new = set(published.root.parent.rglob("*.csv")) - set(before)
    assert not new


def test_a_zip_bomb_is_refused_by_what_it_announces_and_by_what_comes() -> None:
    bomb = archive((NAME, bytes(101 * 2**20)))
    assert len(bomb) < 200_000
    with pytest.raises(SeriesFileError, match="unpacked it would have 106 MB"):
        unpack(bomb, NAME)
    # It announces 1,000 bytes in both places.
    size = struct.pack("<I", 101 * 2**20)
    assert bomb.count(size) == 2
    with pytest.raises(SeriesFileError, match="it is no whole zip"):
        unpack(bomb.replace(size, struct.pack("<I", 1000)), NAME)


# --- files twice --------------------------------------------------------------------------------


def test_days_and_their_month_are_stored_once(published: Published, store: SeriesStore) -> None:
    published.klines("BTC", "1h", "2026-10")
    published.klines("BTC", "1h", "2026-10-07")
    result = put_in(store, published.root)
    assert not result.failures
    (series,) = result.series
    assert (series.files, series.rows, series.rows_new) == (2, 32 * 24, 31 * 24)


def test_a_file_twice_is_told_and_stored_once(published: Published, store: SeriesStore) -> None:
    path = published.klines("BTC", "1h", DAY)
    copy = published.root / "spare/futures/um" / path.name
    copy.parent.mkdir(parents=True)
    copy.write_bytes(path.read_bytes())
    result = put_in(store, published.root)
    assert not result.failures
    (series,) = result.series
    assert (series.files, series.rows, series.rows_new) == (2, 48, 24)
    place = path.relative_to(published.root).as_posix()
    assert series.notes == [f"spare/futures/um/{path.name}: of the same period as {place}"]


def test_a_copy_of_a_file_with_other_values_is_told_and_the_first_stays(
    published: Published, store: SeriesStore
) -> None:
    published.klines("BTC", "1h", "2026-10")
    published.klines("BTC", "1h", "2026-10-07", edit=cell(3, 5, "77.000"))
    (failure,) = put_in(store, published.root).failures
    assert "1 row stored with other values, which stay, first 2026-10-07 02:00 UTC" in str(failure)
    assert not rows(store, "candles")["volume"].eq(77).any()
    assert len(rows(store, "candles")) == 31 * 24
    renewed = put_in(store, published.root, renew="2026-10-07")
    assert renewed.series[0].rows_renewed == 1
    volumes = rows(store, "candles").set_index("time")["volume"]
    assert volumes[pd.Timestamp("2026-10-07 02:00", tz="UTC")] == 77


def test_no_such_folder_and_an_empty_one(store: SeriesStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file or folder"):
        import_path(tmp_path / "nowhere", store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="there are no files in"):
        import_path(tmp_path / "empty", store)


# --- killed -------------------------------------------------------------------------------------


def run(root: str, data: str) -> None:
    import_path(data, SeriesStore(root), now=NOW, batch_rows=200)


def start(root: Path, data: Path) -> ForkServerProcess:
    """In a process that has everything imported already, and nothing else done."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "market.imports.importer"])
    process = context.Process(target=run, args=(str(root), str(data)), daemon=True)
    process.start()
    return process


def mixed(root: Path) -> Published:
    """Series of all kinds, with a hole, a broken file and one that overlaps."""
    published = Published(root, Truth(fillers=0))
    for month in ("2026-09", "2026-10"):
        published.funding("SOL", month)
        published.klines("ETH", "1h", month)
    for day in days("2026-11-01", "2026-11-12"):
        if day != "2026-11-05":
            published.klines("BTC", "1h", day)
    published.klines("BTC", "1h", "2026-11-07", edit=cell(3, 1, "many"))
    published.metrics("BTC", "2026-11-02")
    published.metrics("BTC", "2026-11-04")
    return published


def assert_on_record(store: SeriesStore, whole: SeriesStore) -> None:
    """Between the first and the last row, whatever is not stored lies within a gap."""
    recorded = gaps(store)
    for (symbol, kind), right in _by_series(whole).items():
        have = _by_series(store).get((symbol, kind), np.empty(0))
        if not len(have):
            continue
        missing = right[(right > have.min()) & (right < have.max()) & ~np.isin(right, have)]
        mine = recorded[(recorded["symbol"] == symbol) & (recorded["kind"] == kind)]
        for moment in missing:
            inside = (mine["start"].to_numpy() <= moment) & (mine["end"].to_numpy() > moment)
            assert inside.any(), (symbol, kind, moment)


def _by_series(store: SeriesStore) -> dict[tuple[str, str], np.ndarray]:
    by_series = {}
    for kind in ("candles", "funding", "open_interest"):
        for symbol, part in rows(store, kind).groupby("symbol"):
            by_series[str(symbol), kind] = part["time"].to_numpy()
    return by_series


def kill_and_go_on(tmp_path: Path, rounds: int) -> int:
    """Kill imports into new stores at random moments, then let one end; how many were killed."""
    published = mixed(tmp_path / "data")
    whole = SeriesStore(tmp_path / "whole")
    started = time.perf_counter()
    import_path(published.root, whole, now=NOW, batch_rows=200)
    seconds = time.perf_counter() - started
    chance, killed = random.Random(7), 0
    for number in range(rounds):
        root = tmp_path / f"series{number}"
        for _ in range(3):
            process = start(root, published.root)
            process.join(chance.uniform(0.02, 0.8) * seconds)
            killed += process.is_alive()
            process.kill()
            process.join()
            assert_on_record(SeriesStore(root), whole)
        import_path(published.root, SeriesStore(root), now=NOW, batch_rows=200)
        assert_equal(SeriesStore(root), whole)
    return killed


def test_killed_at_any_moment_and_started_again_equals_an_unbroken_import(tmp_path: Path) -> None:
    assert kill_and_go_on(tmp_path, rounds=2) >= 2


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_killed_many_times_equals_an_unbroken_import(tmp_path: Path) -> None:
    assert kill_and_go_on(tmp_path, rounds=30) >= 30
