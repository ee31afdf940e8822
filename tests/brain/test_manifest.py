"""The manifest of a model's files."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from brain.artifacts import MANIFEST
from brain.errors import ModelIntegrityError
from brain.manifest import check_bytes, check_folder, write_manifest


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


# --- forged folders -----------------------------------------------------------------------------


def forge(folder: Path, manifest: bytes) -> str:
    """Write a manifest and return its digest, as who can write the registry would register it."""
    (folder / MANIFEST).write_bytes(manifest)
    return hashlib.sha256(manifest).hexdigest()


@pytest.mark.parametrize(
    ("manifest", "fault"),
    [
        (b"[]", "is a JSON list and no object"),
        (b'["MLmodel"]', "is a JSON list and no object"),
        (b"null", "is a JSON NoneType and no object"),
        (b"not JSON", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 200_000, "is no JSON"),
        (b'{"MLmodel": 1}', "has no hash of 'MLmodel'"),
        (b'{"../outside": "x"}', r"lists '\.\./outside', which is no file below"),
        (b'{"data/../../outside": "x"}', "which is no file below"),
        (b'{"/etc/passwd": "x"}', "lists '/etc/passwd', which is no file below"),
        (b'{"C:\\\\data": "x"}', "which is no file below"),
        (b'{"": "x"}', "lists '', which is no file below"),
        (b'{"data": "x"}', "MLmodel is not among the files that were registered"),
        (b" " * 1_000_001, "has more than 1000000 bytes"),
    ],
)
def test_a_forged_manifest_is_one_error(folder: Path, manifest: bytes, fault: str) -> None:
    (folder.parent / "outside").write_text("outside")
    digest = forge(folder, manifest)
    with pytest.raises(ModelIntegrityError, match=fault) as error:
        check_folder(folder, digest)
    assert "; download the model again" in str(error.value)


def test_a_file_that_the_manifest_does_not_list_is_refused(folder: Path) -> None:
    digest = write_manifest(folder)
    (folder / "data" / "code.py").write_text("print('run')")
    with pytest.raises(ModelIntegrityError, match=r"code\.py is not among the files"):
        check_folder(folder, digest)


def test_what_mlflow_writes_into_a_download_is_no_forgery(folder: Path) -> None:
    digest = write_manifest(folder)
    (folder / "registered_model_meta").write_text("model_name: BTC-USD\nmodel_version: '1'\n")
    check_folder(folder, digest)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", ["file", "folder", "device", "broken", "pipe"])
def test_links_devices_and_pipes_are_refused_unread(
    folder: Path, make: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Even those that lead to what was registered."""
    digest = write_manifest(folder)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    file = folder / "data" / "model.lgb"
    shutil.move(folder / "data", elsewhere / "data")
    if make == "folder":
        (folder / "data").symlink_to(elsewhere / "data")
    else:
        (folder / "data").mkdir()
        if make == "pipe":
            os.mkfifo(file)
        else:
            targets = {"file": elsewhere / "data" / "model.lgb", "device": Path("/dev/zero")}
            file.symlink_to(targets.get(make, elsewhere / "nothing"))
    with pytest.raises(ModelIntegrityError, match=r"is (a link|no regular file); a model is made"):
        check_folder(folder, digest)


def test_files_in_memory_are_checked_as_those_of_a_folder(folder: Path) -> None:
    digest = write_manifest(folder)
    manifest, name = (folder / MANIFEST).read_bytes(), "data/model.lgb"
    files = {name: (folder / name).read_bytes()}
    check_bytes(manifest, digest, files)
    check_bytes(manifest, digest, {**files, "MLmodel": b"flavors: {}"})
    for wrong, message in (
        ({name: b"tree\n" * 99}, r"data/model\.lgb is not what was registered; download"),
        ({"code.py": b"print('run')"}, r"code\.py is not among the files that were registered"),
    ):
        with pytest.raises(ModelIntegrityError, match=message):
            check_bytes(manifest, digest, files | wrong)
    with pytest.raises(ModelIntegrityError, match=f"registered is {digest}; download"):
        check_bytes(manifest + b" ", digest, files)
    empty = b"[]"
    with pytest.raises(ModelIntegrityError, match="JSON list and no object"):
        check_bytes(empty, hashlib.sha256(empty).hexdigest(), {})
