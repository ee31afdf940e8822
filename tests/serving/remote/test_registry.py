"""What the executor reads over HTTP is what the Brain Library reads by MLflow."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from brain.artifacts import EXECUTOR, LIGHTGBM, LSTM_WINDOW, MANIFEST, XGBOOST
from brain.errors import InputError, LibraryError
from brain.manifest import check_bytes
from brain.model_keys import ModelKey
from brain.naming import Regime
from serving import RemoteRegistry
from serving.remote.entries import ModelEntry
from tests.serving.remote.conftest import PLAIN, REAL, TINY, Scene


@pytest.fixture
def remote(scene: Scene) -> Iterator[RemoteRegistry]:
    remote = scene.remote()
    yield remote
    remote.close()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of champions, without how the server words its refusals."""
    messages = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    caplog.clear()
    return messages


# --- champions ----------------------------------------------------------------------------------


def test_champions_are_those_of_the_library_in_every_state_of_a_cell(
    scene: Scene, remote: RemoteRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    expected = scene.library.champions()
    left_out = told(caplog)
    assert remote.champions() == expected
    assert told(caplog) == left_out
    assert [message.partition(":")[0] for message in left_out] == [
        "left out the champion of LTC-USD.1h.6 in extreme",
        "left out the champion of SOL-USD.4h.3 in low",
    ]
    tiny = {c.regime: c for c in expected if c.key == TINY}
    assert [(c.version, c.pinned) for c in tiny.values()] == [(1, False), (2, False), (4, True)]
    pinned = tiny[Regime.HIGH].record
    assert (pinned.net_sharpe, pinned.net_sharpe_error, pinned.bars) == (1.25, None, 300)
    assert (pinned.confidence, pinned.size, pinned.regimes) == (None, None, {"state": 1})
    assert {c.model for c in expected if c.key == PLAIN} == {"BTC-USD"}
    assert [c.version for c in expected if c.key == REAL] == [1, 2, 3, 1]


@pytest.mark.parametrize("key", [REAL, TINY, PLAIN, ModelKey("ADA/USD", "1h", 6)])
def test_champions_of_a_symbol_are_those_of_the_library(
    scene: Scene, remote: RemoteRegistry, key: ModelKey
) -> None:
    expected = scene.library.champions(key)
    assert remote.champions(key) == expected
    assert remote.champions(key.symbol, horizon=6) == expected
    assert remote.champions(key.symbol, timeframe="4h") == []
    with pytest.raises(InputError, match="is not a symbol"):
        remote.champions("a symbol")


def test_the_entries_of_all_pages_have_the_champions_of_the_library(
    scene: Scene, remote: RemoteRegistry
) -> None:
    pages: list[list[ModelEntry]] = []
    token = ""
    while token or not pages:
        page, token = remote.page(token, size=2)
        pages.append(page)
    assert list(map(len, pages)) == [2, 2, 2, 1]
    entries = [entry for page in pages for entry in page]
    names = [m.name for m in scene.library.client.search_registered_models()]
    assert [entry.name for entry in entries] == sorted(names)
    found = [champion for entry in entries for champion in remote.champions_of(entry)]
    expected = scene.library.champions()
    assert sorted(found, key=lambda c: (c.key, list(Regime).index(c.regime))) == expected


# --- files --------------------------------------------------------------------------------------


def test_files_are_those_of_the_library_and_only_what_an_executor_loads(
    scene: Scene, remote: RemoteRegistry
) -> None:
    champions = {c.model_id: c for c in remote.champions(REAL)}
    models = [LIGHTGBM, LSTM_WINDOW, XGBOOST]  # see tests.serving.desk.FAMILIES
    for (model_id, champion), model in zip(champions.items(), models, strict=True):
        files = remote.files(model_id)
        assert set(files) == {MANIFEST, EXECUTOR, model}
        assert files == {name: scene.library.files(model_id)[name] for name in files}
        manifest = files.pop(MANIFEST)
        check_bytes(manifest, champion.record.digest, files)


def test_what_is_not_there_is_an_error_that_names_it(scene: Scene, remote: RemoteRegistry) -> None:
    with pytest.raises(InputError, match="is not a model id"):
        remote.files("ETH-USD.1d.6")
    with pytest.raises(LibraryError, match=r"404 \(Model Version .*version=9.* not found\)"):
        remote.files("ETH-USD.1d.6/9")
    with pytest.raises(LibraryError, match=r"version 1 of SOL-USD.4h.3 was not registered by the"):
        remote.files("SOL-USD.4h.3/1")
    with pytest.raises(LibraryError, match=r"could not fetch LTC-USD.1h.6/1: .*executor.npz.* 404"):
        remote.files("LTC-USD.1h.6/1")
