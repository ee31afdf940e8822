"""Versions proven in a process of its own: what ends it, or is not what was registered."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from brain.artifacts import EXECUTOR, LIGHTGBM, LSTM_WINDOW, MANIFEST, XGBOOST
from brain.errors import BrainError, InputError, ModelIntegrityError
from brain.naming import Family, Regime
from engine.kernels.executor_data import ExecutorData
from serving.champions import Cell, LoadedVersion
from serving.proving import Prover
from tests.serving.desk import Models

MODEL = {Family.LIGHTGBM: LIGHTGBM, Family.XGBOOST: XGBOOST, Family.LSTM: LSTM_WINDOW}
SUITE, SOAK = 500, 10_000


@pytest.fixture(scope="module")
def prover() -> Iterator[Prover]:
    prover = Prover(seconds=20.0)
    yield prover
    prover.close()


def files_of(models: Models, family: Family) -> dict[str, bytes]:
    """A version's files, those that an executor reads."""
    ((_, cells),) = models.cells.items()
    (version,) = {c.model_id for c in cells.values() if c.record.family is family}
    files = models.files(version)
    return {name: files[name] for name in (MANIFEST, EXECUTOR, MODEL[family])}


def registered(files: dict[str, bytes]) -> tuple[Cell, dict[str, bytes]]:
    """Files as if they had been registered like this: digests are made right again."""
    listing = {n: sha256(content).hexdigest() for n, content in files.items() if n != MANIFEST}
    manifest = json.dumps(listing).encode()
    cell = Cell(Regime.LOW, "ETH-USD.1d.6/1", sha256(manifest).hexdigest(), 0.8)
    return cell, files | {MANIFEST: manifest}


@pytest.mark.parametrize("family", Family)
def test_a_sound_version_is_proven(prover: Prover, models: Models, family: Family) -> None:
    prover.prove(*registered(files_of(models, family)))


@pytest.mark.parametrize("share", [0.2, 0.35, 0.5])
def test_a_truncated_model_ends_another_process(
    prover: Prover, models: Models, share: float
) -> None:
    files = files_of(models, Family.LIGHTGBM)
    cut = files[LIGHTGBM][: int(share * len(files[LIGHTGBM]))]
    with pytest.raises(ModelIntegrityError, match="ended the process that was to prove it"):
        prover.prove(*registered(files | {LIGHTGBM: cut}))
    prover.prove(*registered(files))


def test_other_scores_than_mlflows_are_no_proof(prover: Prover, models: Models) -> None:
    """The model is whole, and another one."""
    files = files_of(models, Family.LIGHTGBM)
    text = files[LIGHTGBM].decode()
    head, leaves, rest = text.partition("leaf_value=")
    first, blank, others = rest.partition(" ")
    sizes = "tree_sizes="
    other = head + leaves + f"{-float(first):.16g}".ljust(len(first))[: len(first)] + blank + others
    assert sizes in other
    with pytest.raises(ModelIntegrityError):
        prover.prove(*registered(files | {LIGHTGBM: other.encode()}))


def test_a_digest_is_checked_there_too(prover: Prover, models: Models) -> None:
    cell, files = registered(files_of(models, Family.XGBOOST))
    with pytest.raises(ModelIntegrityError, match="not what was registered"):
        prover.prove(cell, files | {XGBOOST: files[XGBOOST] + b" "})


def test_a_killed_process_is_another_one_the_next_time(models: Models) -> None:
    prover = Prover()
    version = registered(files_of(models, Family.XGBOOST))
    prover.prove(*version)
    assert prover._process is not None
    os.kill(prover._process.pid, signal.SIGKILL)
    prover._process.wait()
    prover.prove(*version)
    prover.close()
    with pytest.raises(InputError, match="closed"):
        prover.prove(*version)


def test_a_process_that_is_killed_at_work_leaves_no_open_files(models: Models) -> None:
    version = registered(lengthy(files_of(models, Family.LSTM)))
    prover = Prover()
    prover.start()
    process = prover._process
    assert process is not None
    opened = len(os.listdir("/proc/self/fd"))
    # It is at work for seconds; a machine that is busy kills it before it has begun.
    killer = threading.Timer(0.5, os.kill, (process.pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(ModelIntegrityError, match="ended the process that was to prove it"):
        prover.prove(*version)
    assert len(os.listdir("/proc/self/fd")) < opened
    assert process.stdin is not None
    assert process.stdin.closed
    prover.close()


def test_libraries_are_loaded_there_before_a_version_comes(models: Models) -> None:
    prover = Prover()
    prover.expect([Family.LSTM])  # of no process
    prover.start()
    process = prover._process
    assert process is not None
    maps = Path(f"/proc/{process.pid}/maps")
    prover.expect([Family.LSTM, Family.LIGHTGBM])
    deadline = time.monotonic() + 60.0
    while not {"onnxruntime", "lib_lightgbm"} <= set(
        re.findall(r"onnxruntime|lib_lightgbm", maps.read_text())
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    prover.expect([Family.LSTM])  # of one that has ended
    prover.prove(*registered(files_of(models, Family.LSTM)))
    prover.close()


def lengthy(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same model with so many golden rows that they take seconds."""
    data = ExecutorData.from_bytes(files[EXECUTOR])
    many = 60_000
    rows = np.repeat(data.golden_rows[:1], many, axis=0)
    predictions = np.repeat(data.golden_predictions[:1], many)
    more = replace(data, golden_rows=rows, golden_predictions=predictions)
    return files | {EXECUTOR: more.to_bytes()}


def test_a_version_that_takes_too_long_is_given_up(models: Models) -> None:
    prover = Prover(seconds=0.001)  # alarm(1) is the least
    with pytest.raises(ModelIntegrityError, match=r"took more than 0.001 seconds"):
        prover.prove(*registered(lengthy(files_of(models, Family.LSTM))))
    prover.close()


def test_a_process_that_nobody_needs_ends(models: Models) -> None:
    prover = Prover(idle_seconds=0.0)
    prover.prove(*registered(files_of(models, Family.XGBOOST)))
    process = prover._process
    assert process is not None
    prover.rest()
    assert process.poll() is not None
    prover.close()


# --- fuzz ---------------------------------------------------------------------------------------


def mutated(content: bytes, source: random.Random) -> bytes:
    """The content, cut off, with bytes flipped, a stretch doubled or taken out, or swapped."""
    data = bytearray(content)
    for _ in range(source.choice([1, 1, 2, 5, 20])):
        place = source.randrange(len(data))
        match source.randrange(6):
            case 0:
                data[place] ^= 1 << source.randrange(8)
            case 1:
                data[place] = source.randrange(256)
            case 2:
                del data[place : place + source.choice([1, 4, 64, 1024])]
            case 3:
                data[place:place] = data[place : place + source.choice([1, 8, 200])]
            case 4:
                data[place:place] = source.choice([b"-1", b"999999999999", b"nan", b"\xff" * 8])
            case _ if source.random() < 0.3:
                del data[place:]
        if not data:
            return b""
    return bytes(data)


def fuzz(prover: Prover, models: Models, seeds: range) -> None:
    """Each seed's version is refused by the process, or else it is loaded here, and predicts."""
    families = list(Family)
    sound = {family: files_of(models, family) for family in families}
    proven = 0
    for seed in seeds:
        source = random.Random(seed)
        files = dict(sound[families[seed % len(families)]])
        name = source.choice([n for n in files if n != MANIFEST] * 1 + [list(files)[-1]] * 3)
        files[name] = mutated(files[name], source)
        cell, files = registered(files)
        try:
            prover.prove(cell, files)
        except BrainError:
            continue
        proven += 1
        version = LoadedVersion(cell, files)
        rows = version.data.golden_rows
        for row in np.concatenate((rows, rows * 3.0, np.full_like(rows, np.nan))):
            version.predictor.predict(np.ascontiguousarray(row))
    assert proven < len(seeds)


def test_mutated_models_with_right_digests_never_end_this_process(
    prover: Prover, models: Models
) -> None:
    fuzz(prover, models, range(SUITE))


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("first", range(SUITE, SUITE + SOAK, 1000))
def test_many_mutated_models_never_do(prover: Prover, models: Models, first: int) -> None:
    fuzz(prover, models, range(first, first + 1000))


def test_the_prover_needs_no_folder(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds the project wherever the executor was started."""
    monkeypatch.chdir(tmp_path)
    prover = Prover()
    prover.prove(*registered(files_of(models, Family.LIGHTGBM)))
    prover.close()
