"""No window between hashing and loading: what was checked is what is loaded."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from brain.artifacts import EXECUTOR, LIGHTGBM, LSTM_WINDOW, MANIFEST, XGBOOST
from brain.errors import ModelIntegrityError
from brain.model_keys import ModelKey
from brain.records import Champion
from serving import Hamilton
from serving.champions import LoadedVersion, cell_of, load_champions, load_from
from serving.predictors.lstm import LstmModel
from tests.serving.conftest import TRAINED
from tests.serving.desk import Models, bars_of, sample

KEY = ModelKey("ETH/USD", "1d", 6)
MODELS = (LIGHTGBM, XGBOOST, LSTM_WINDOW)
#: Inputs of a graph; weights of fewer are read in a way that fails by itself.
WIDTH = 64
NAMES = (MANIFEST, EXECUTOR, "model")


def spoilt(content: bytes) -> bytes:
    """The same but for one bit, where a digit of a booster or a weight may be."""
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def scores_of(version: LoadedVersion) -> list[float]:
    return [version.predictor.predict(row) for row in version.data.golden_rows]


class Changing(Mapping[str, bytes]):
    """Files of which one has other bytes from the second look on, or at the first alone."""

    def __init__(self, files: Mapping[str, bytes], name: str, *, first: bool) -> None:
        self._files, self._name, self._first = files, name, first
        self.looks = 0

    def __getitem__(self, name: str) -> bytes:
        content = self._files[name]
        if name != self._name:
            return content
        self.looks += 1
        return spoilt(content) if (self.looks == 1) == self._first else content

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def each_version(models: Models) -> list[tuple[Champion, Mapping[str, bytes], str]]:
    """A champion of each family, its files, and which of these is its model."""
    champions = {c.model_id: c for c in models.champions(KEY)}.values()
    found = []
    for champion in champions:
        files = models.files(champion.model_id)
        found.append((champion, files, next(name for name in MODELS if name in files)))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_other_bytes_at_the_second_look_are_never_loaded(models: Models, name: str) -> None:
    for champion, files, model in each_version(models):
        expected = scores_of(LoadedVersion(cell_of(champion), files))
        file = model if name == "model" else name
        changing = Changing(files, file, first=False)
        try:
            version = LoadedVersion(cell_of(champion), changing)
        except ModelIntegrityError:
            assert file == MANIFEST  # which each file is checked by anew
        else:
            assert scores_of(version) == expected
        with pytest.raises(ModelIntegrityError):
            LoadedVersion(cell_of(champion), Changing(files, file, first=True))


def test_bytes_that_change_after_the_check_change_no_score(models: Models) -> None:
    for champion, files, _ in each_version(models):
        buffers = {name: bytearray(content) for name, content in files.items()}
        version = LoadedVersion(cell_of(champion), buffers)  # type: ignore[arg-type]
        expected = scores_of(version)
        for buffer in buffers.values():
            buffer[:] = bytes(len(buffer))
        assert scores_of(version) == expected


class OnDisk(Mapping[str, bytes]):
    """Files that are read from their folder at every look."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return (path.name for path in self._folder.iterdir())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def test_files_that_are_swapped_on_the_disk_all_the_time_load_as_registered_or_not_at_all(
    models: Models, tmp_path: Path
) -> None:
    champion, files, model = each_version(models)[0]
    for name in (MANIFEST, EXECUTOR, model):
        (tmp_path / name).write_bytes(files[name])
    expected = scores_of(LoadedVersion(cell_of(champion), OnDisk(tmp_path)))
    ended = threading.Event()

    def swap() -> None:
        draft = tmp_path.with_suffix(".draft")
        while not ended.is_set():
            for content in (spoilt(files[model]), files[model]):
                draft.write_bytes(content)
                os.replace(draft, tmp_path / model)

    thread = threading.Thread(target=swap)
    thread.start()
    loaded = refused = 0
    try:
        while not (loaded >= 20 and refused >= 20):
            try:
                version = LoadedVersion(cell_of(champion), OnDisk(tmp_path))
            except ModelIntegrityError:
                refused += 1
            else:
                assert scores_of(version) == expected
                loaded += 1
    finally:
        ended.set()
        thread.join()


def test_a_source_that_hands_out_other_files_the_second_time_changes_nothing(
    models: Models, tmp_path: Path
) -> None:
    """Asked again after a promotion that names another digest, it has something else for it."""

    class Second(Models):
        asked = 0

        def files(self, model_id: str) -> Mapping[str, bytes]:
            self.asked += 1
            files = super().files(model_id)
            if self.asked <= 3:
                return files
            return {name: spoilt(content) for name, content in files.items()}

    source = Second(tmp_path, {KEY: dict(models.cells[KEY])}, models.folders)
    with Hamilton(source, [KEY]) as hamilton:
        before = {hamilton.champion(KEY, r).version.digest for r in source.cells[KEY]}
        for regime, champion in source.cells[KEY].items():
            record = replace(champion.record, digest="0" * 64)
            source.cells[KEY][regime] = replace(champion, record=record)
        with pytest.raises(ModelIntegrityError, match="registered is 0000"):
            hamilton.reload(KEY)
        assert source.asked == 4
        champions = [hamilton.champion(KEY, regime) for regime in source.cells[KEY]]
        assert {champion.version.digest for champion in champions} == before
        (bar,) = bars_of(sample(), TRAINED, TRAINED + 1)
        assert hamilton.bar(KEY, *bar[1:], bar.close_time).version


def test_one_file_that_differs_costs_its_version_alone(models: Models) -> None:
    (first, *_), cells = each_version(models), [cell_of(c) for c in models.champions(KEY)]
    spoilt_id = first[0].model_id

    class OneSpoilt(Models):
        def files(self, model_id: str) -> Mapping[str, bytes]:
            files = dict(super().files(model_id))
            if model_id == spoilt_id:
                files[first[2]] = spoilt(files[first[2]])
            return files

    source = OneSpoilt(models.folder, models.cells, models.folders)
    loaded = load_champions(load_from(source), KEY, cells)
    assert [cell.version for cell in cells if cell.version != spoilt_id] == [
        champion.version.id for champion in loaded.champions.values()
    ]
    assert all("is not what was registered" in why for why in loaded.failures.values())


def test_a_graph_whose_weights_are_in_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own bytes were checked, and those of that file were not."""
    weights = numpy_helper.from_array(np.full((WIDTH, 1), 3.0, dtype=np.float32), "weights")
    content = weights.raw_data

    def graph(tensor: TensorProto) -> bytes:
        rows = helper.make_tensor_value_info("rows", TensorProto.DOUBLE, [1, WIDTH])
        output = helper.make_tensor_value_info("output", TensorProto.DOUBLE, [1, 1])
        nodes = [
            helper.make_node("Cast", ["rows"], ["narrow"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["narrow", "weights"], ["sum"]),
            helper.make_node("Cast", ["sum"], ["output"], to=TensorProto.DOUBLE),
        ]
        opset = [helper.make_opsetid("", 17)]
        model = helper.make_model(
            helper.make_graph(nodes, "g", [rows], [output], [tensor]), opset_imports=opset
        )
        model.ir_version = 8
        return bytes(model.SerializeToString())

    assert LstmModel(graph(weights), 1, WIDTH).score(np.ones((1, WIDTH)).tobytes()) == 3.0 * WIDTH
    monkeypatch.chdir(tmp_path)
    Path("weights.bin").write_bytes(content)
    for place in ("weights.bin", f"../{tmp_path.name}/weights.bin", str(tmp_path / "weights.bin")):
        weights.ClearField("raw_data")
        weights.data_location = TensorProto.EXTERNAL
        del weights.external_data[:]
        weights.external_data.add(key="location", value=place)
        with pytest.raises(ModelIntegrityError, match=r"window\.onnx is unreadable"):
            LstmModel(graph(weights), 1, WIDTH)
