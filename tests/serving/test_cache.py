"""The last known good champions on a disk: what is read is what was written, or nothing."""

from __future__ import annotations

import json
import os
import random
import time
from contextlib import suppress
from pathlib import Path

import pytest

from brain.artifacts import MANIFEST
from brain.errors import BrainError, LibraryError, ModelIntegrityError
from brain.model_keys import ModelKey
from brain.naming import Family, Regime
from brain.records import Champion
from serving.cache import ChampionCache
from serving.champions import Cell
from tests.serving.desk import Models
from tests.serving.test_proving import files_of, registered

KEY = ModelKey("ETH/USD", "1d", 6)


@pytest.fixture
def kept(models: Models, tmp_path: Path) -> tuple[ChampionCache, Cell, dict[str, bytes]]:
    cache = ChampionCache(tmp_path / "cache")
    cell, files = registered(files_of(models, Family.XGBOOST))
    cache.keep_version(cell.digest, files, proof="numpy 2")
    cache.keep_model(KEY, "ETH-USD", [cell], 1_700_000_000 * 10**9)
    return cache, cell, files


Kept = tuple[ChampionCache, Cell, dict[str, bytes]]


def test_what_is_kept_is_there_after_a_restart(kept: Kept) -> None:
    cache, cell, files = kept
    again = ChampionCache(cache.folder)
    assert again.files(cell.digest) == files
    assert again.proof(cell.digest) == "numpy 2"
    (model,) = again.models()
    assert (model.key, model.name, model.cells) == (KEY, "ETH-USD", (cell,))
    assert model.confirmed == 1_700_000_000 * 10**9
    again.confirm({KEY.name: 1_700_000_100 * 10**9})
    assert ChampionCache(cache.folder).models()[0].confirmed == 1_700_000_100 * 10**9


def test_unknown_numbers_of_a_cell_stay_unknown(kept: Kept) -> None:
    cache, cell, _ = kept
    other = Cell(Regime.HIGH, cell.version, cell.digest, None, None, "not judged", 0.25)
    cache.keep_model(KEY, "ETH-USD", [cell, other], 1)
    assert cache.models()[0].cells == (cell, other)


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_or_cut_file_is_fetched_again(kept: Kept, seed: int) -> None:
    cache, cell, files = kept
    source = random.Random(seed)
    folder = cache.folder / "versions" / cell.digest
    path = folder / source.choice(list(files))
    data = bytearray(path.read_bytes())
    if source.random() < 0.5:
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    else:
        del data[source.randrange(len(data)) :]
    path.write_bytes(data)
    assert cache.files(cell.digest) is None
    assert not folder.exists()
    cache.keep_version(cell.digest, files)
    assert cache.files(cell.digest) == files


def test_a_file_that_is_missing_or_not_listed_is_no_version(kept: Kept) -> None:
    cache, cell, files = kept
    (cache.folder / "versions" / cell.digest / MANIFEST).unlink()
    assert cache.files(cell.digest) is None
    cache.keep_version(cell.digest, files)
    (cache.folder / "versions" / cell.digest / "more.bin").write_bytes(b"1")
    assert cache.files(cell.digest) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"abc\n{}", b"\xff\xfe\n[]", b"\n\n"])
@pytest.mark.parametrize("name", ["models/ETH-USD.1d.6.json", "confirmed.json"])
def test_a_spoiled_text_counts_as_absent(kept: Kept, name: str, content: bytes) -> None:
    cache, cell, files = kept
    cache.confirm({KEY.name: 5})
    (cache.folder / name).write_bytes(content)
    models = ChampionCache(cache.folder).models()
    assert [model.key for model in models] == ([] if name.startswith("models") else [KEY])
    assert cache.files(cell.digest) == files


def test_texts_of_right_sums_and_other_shapes_are_left_out(kept: Kept) -> None:
    """As another programme's, or a later one's."""
    cache, _, _ = kept
    from serving.cache import _sealed

    for entry in ({}, {"key": "?"}, {"key": KEY.name, "name": "x", "moment": 1, "cells": [1]}):
        (cache.folder / "models" / "ETH-USD.1d.6.json").write_bytes(_sealed(entry))
        assert cache.models() == []


def spoiled(value: object, source: random.Random) -> object:
    """A JSON value with one of its values, at any depth, put in another's place."""
    strange: list[object] = [None, -1, 1e400, "", "x" * 300, [], {}, True, [[]], "../..", 10**30]
    if isinstance(value, dict) and value and source.random() < 0.8:
        name = source.choice(list(value))
        changed = dict(value)
        if source.random() < 0.2:
            changed[str(source.choice(strange))] = changed.pop(name)
        else:
            changed[name] = spoiled(value[name], source)
        return changed
    return source.choice(strange)


class Nothing:
    """A source that has no version."""

    def champions(self, *_: object, **__: object) -> list[Champion]:
        return []

    def files(self, model_id: str) -> dict[str, bytes]:
        raise LibraryError(f"there is no {model_id}; name another")


def fuzz(kept: Kept, seeds: range) -> None:
    """Texts with right sums: a model is left out, or what it names is loaded or refused."""
    from serving.cache import _sealed
    from serving.loader import Loader

    cache, _, _ = kept
    path = cache.folder / "models" / "ETH-USD.1d.6.json"
    entry = json.loads(path.read_bytes().partition(b"\n")[2])
    loaded = 0
    for seed in seeds:
        source = random.Random(seed)
        path.write_bytes(_sealed(spoiled(entry, source)))  # type: ignore[arg-type]
        for model in cache.models():
            loader = Loader(Nothing(), cache, None)
            with suppress(BrainError):
                loader.load(model.key, model.cells)
                loaded += 1
    assert 0 < loaded < len(seeds)


def test_spoiled_models_of_right_sums_are_loaded_or_refused(kept: Kept) -> None:
    fuzz(kept, range(500))


@pytest.mark.soak
def test_many_spoiled_models_are(kept: Kept) -> None:
    fuzz(kept, range(500, 10_500))


@pytest.mark.parametrize("digest", ["../models", "", "a/b", "."])
def test_a_digest_leads_nowhere_else(kept: Kept, digest: str) -> None:
    cache, _, _ = kept
    with pytest.raises(ModelIntegrityError, match="no digest"):
        cache.files(digest)


def test_what_nobody_refers_to_goes_after_an_hour(kept: Kept, models: Models) -> None:
    cache, cell, files = kept
    other, others = registered(files_of(models, Family.LSTM))
    cache.keep_version(other.digest, others)
    draft = cache.folder / "versions" / "draft-1"
    draft.mkdir()
    assert ChampionCache(cache.folder).files(other.digest) == others
    early = time.time() - 7200
    for folder in (cache.folder / "versions").iterdir():
        os.utime(folder, (early, early))
    again = ChampionCache(cache.folder)
    assert again.files(cell.digest) == files
    assert again.files(other.digest) is None
    assert not draft.exists()


def test_a_folder_that_cant_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryError, match="name a folder that can be written"):
        ChampionCache(tmp_path / "file" / "cache")


def test_entries_are_json_of_one_line(kept: Kept) -> None:
    """People may look."""
    cache, cell, _ = kept
    _, text = (cache.folder / "models" / "ETH-USD.1d.6.json").read_text().split("\n")
    assert json.loads(text)["cells"]["low"]["version"] == cell.version
