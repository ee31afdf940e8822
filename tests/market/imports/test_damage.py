"""Random damage to files of every format: a typed failure, or rows that are sound."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.series.faults import row_faults
from brain.series.store import SeriesStore
from market.exports import export_series
from market.imports import import_path
from tests.market.exchange_server import NOW, Truth
from tests.market.imports.imported import put_in
from tests.market.imports.published import Published, zipped
from tests.market.imports.test_cryptodatadownload import ADDRESS, HEAD, lines
from tests.market.imports.test_freqtrade import plain, write

Damage = Callable[[bytes, random.Random], bytes]


def flipped(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def inserted(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    more = chance.choice([b"\0", b"\n", b",", b'"', b"\xff\xfe", b"nan", b"-1e309", b"9" * 40])
    return content[:place] + more + content[place:]


def swapped(content: bytes, chance: random.Random) -> bytes:
    parts = content.split(b"\n")
    one, two = chance.randrange(len(parts)), chance.randrange(len(parts))
    parts[one], parts[two] = parts[two], parts[one]
    return b"\n".join(parts)


def cells_swapped(content: bytes, chance: random.Random) -> bytes:
    parts = content.split(b",")
    one, two = chance.randrange(len(parts)), chance.randrange(len(parts))
    parts[one], parts[two] = parts[two], parts[one]
    return b",".join(parts)


DAMAGES: list[Damage] = [flipped, cut, inserted, swapped, cells_swapped]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound file of every format; of zips the text, since a zip tells of any damage itself."""
    folder = tmp_path_factory.mktemp("files")
    published = Published(folder / "data", Truth(fillers=0), checksums=False)
    published.klines("BTC", "1h", "2026-11-01")
    published.funding("BTC", "2026-10")
    published.metrics("BTC", "2026-11-01")
    for form in ("feather", "parquet", "json", "json.gz"):
        write(plain(), folder / f"binance/BTC_USDT-1h.{form}")
    write(plain(), folder / "binance/futures/BTC_USDT_USDT-1h-mark.feather")
    write(plain().assign(open=0.01), folder / "binance/futures/BTC_USDT_USDT-1h-funding_rate.json")
    (folder / "Bitstamp_BTCUSD_1h.csv").write_text("\n".join([ADDRESS, HEAD, *lines()]) + "\n")
    store = SeriesStore(folder / "store")
    assert not put_in(store, published.root).failures
    for form in ("parquet", "csv"):
        assert not export_series(store, folder / "out", form).failures
    return folder


def damage(folder: Path, scratch: Path, chance: random.Random) -> Path:
    """A copy of a file with a damage; the path is what tells what it is."""
    files = [p for p in folder.rglob("*.*") if p.is_file() and "store" not in p.parts]
    path = chance.choice(sorted(files))
    content = path.read_bytes()
    if path.suffix == ".zip":
        import zipfile

        with zipfile.ZipFile(path) as archive:
            content = archive.read(f"{path.stem}.csv")
    for _ in range(chance.randint(1, 2)):
        content = chance.choice(DAMAGES)(content, chance) or b"\n"
    copy = scratch / path.relative_to(folder)
    copy.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zip":
        text = content.decode("latin-1").encode("utf-8", "replace").decode("utf-8").split("\n")
        content = zipped(text, path.stem)
    copy.write_bytes(content)
    return copy


def assert_told_or_sound(folder: Path, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = damage(folder, tmp_path / f"{seed}", chance)
    store = SeriesStore(tmp_path / f"{seed}/store")
    result = import_path(path, store, now=NOW)
    for failure in result.failures:
        assert "the log has the details" not in str(failure), (path, seed)
        assert "; " in str(failure), failure  # a cure
    for one in result.series:
        kind = one.key[2]
        rows = store.read(kind)
        assert (row_faults(kind, rows) == "").all(), (path, seed)
        assert rows["time"].is_unique, (path, seed)
        assert (rows["available"] <= NOW).all(), (path, seed)
        assert np.isfinite(pd.DatetimeIndex(rows["time"]).asi8).all()


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_told_or_of_no_consequence(folder: Path, tmp_path: Path, seed: int) -> None:
    assert_told_or_sound(folder, tmp_path, seed)


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_much_damage_is_told_or_of_no_consequence(folder: Path, tmp_path: Path) -> None:
    for seed in range(40, 4000):
        assert_told_or_sound(folder, tmp_path, seed)
