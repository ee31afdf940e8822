"""The manifest of a model's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from brain.artifacts import MANIFEST
from brain.errors import ModelIntegrityError
from brain.manifest import check_folder, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "MLmodel").write_text("flavors: {}")
    (tmp_path / "data" / "model.lgb").write_bytes(b"tree\n" * 100)
    return tmp_path


def test_an_unchanged_folder_passes_and_the_digest_is_repeatable(folder: Path) -> None:
    digest = write_manifest(folder)
    check_folder(folder, digest)
    assert write_manifest(folder) == digest


def test_a_flipped_bit_is_found(folder: Path) -> None:
    digest = write_manifest(folder)
    file = folder / "data" / "model.lgb"
    data = bytearray(file.read_bytes())
    data[7] ^= 1
    file.write_bytes(data)
    with pytest.raises(ModelIntegrityError, match=r"model\.lgb is not what was registered"):
        check_folder(folder, digest)


def test_a_missing_file_is_found(folder: Path) -> None:
    digest = write_manifest(folder)
    (folder / "MLmodel").unlink()
    with pytest.raises(ModelIntegrityError, match="MLmodel can't be read"):
        check_folder(folder, digest)


def test_another_manifest_is_found(folder: Path) -> None:
    digest = write_manifest(folder)
    (folder / "data" / "model.lgb").write_bytes(b"another model")
    write_manifest(folder)
    with pytest.raises(ModelIntegrityError, match=f"registered is {digest}"):
        check_folder(folder, digest)


def test_a_folder_without_manifest_is_refused(folder: Path) -> None:
    with pytest.raises(ModelIntegrityError, match=f"no readable {MANIFEST}"):
        check_folder(folder, "0" * 64)
