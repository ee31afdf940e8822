"""Predictors: the scores of pyfunc, from many threads, and one clear error for all else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from brain.errors import BrainError, InputError, ModelIntegrityError
from brain.manifest import write_manifest
from brain.naming import Family
from engine.kernels.columns import Floats
from serving.predictors import Predictor, load
from tests.serving.predictors.champions import MODEL_FILES, Champion, make_champion

ROOT = Path(__file__).parents[3]
HEAVY = ("pandas", "torch", "mlflow", "lightgbm", "xgboost", "scipy", "sklearn")
BOOSTED = (Family.LIGHTGBM, Family.XGBOOST)
LSTM_TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def champions(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, Champion]:
    folder = tmp_path_factory.mktemp("champions")
    return {name: make_champion(name, folder / name) for name in Family}


@pytest.fixture(params=list(Family))
def champion(request: pytest.FixtureRequest, champions: dict[Family, Champion]) -> Champion:
    return champions[request.param]


@pytest.fixture
def predictor(champion: Champion) -> Predictor:
    return load(champion.files, champion.data)


@pytest.fixture(scope="module")
def boosted(champions: dict[Family, Champion]) -> Predictor:
    champion = champions[Family.XGBOOST]
    return load(champion.files, champion.data)


def assert_pyfunc(champion: Champion, scores: Floats) -> None:
    tolerance = LSTM_TOLERANCE if champion.family is Family.LSTM else 0.0
    np.testing.assert_allclose(scores, champion.predictions, rtol=0, atol=tolerance)


def mapping(champion: Champion, row: Floats) -> dict[str, float]:
    """In another order than the model's."""
    return dict(reversed(list(zip(champion.names, row.tolist(), strict=True))))


def test_every_window_scores_as_in_pyfunc(champion: Champion, predictor: Predictor) -> None:
    scores = np.array([predictor.predict(window) for window in champion.windows])
    assert_pyfunc(champion, scores)
    # What is missing everywhere says nothing to an LSTM, and a tree always predicts.
    assert np.isnan(scores[-1]) == (champion.family is Family.LSTM)
    assert len(np.unique(scores[~np.isnan(scores)])) > 100


@pytest.mark.parametrize("champion", BOOSTED, indirect=True)
def test_values_by_name_score_as_in_pyfunc(champion: Champion, predictor: Predictor) -> None:
    rows = [mapping(champion, row) for row in champion.rows]
    assert_pyfunc(champion, np.array([predictor.predict_mapping(row) for row in rows]))


def test_a_row_by_name_is_in_the_models_order(champion: Champion, predictor: Predictor) -> None:
    for row in champion.rows[::40]:
        np.testing.assert_array_equal(predictor.row(mapping(champion, row)), row)


def test_a_window_of_another_layout_in_memory_is_the_same_window(
    champion: Champion, predictor: Predictor
) -> None:
    window = champion.windows[400]
    wide = np.zeros((2 * window.shape[0], *window.shape[1:]))
    wide[::2] = window
    for same in (np.asfortranarray(window), wide[::2]):
        assert predictor.predict(same) == predictor.predict(window.copy())


def test_four_threads_on_one_predictor_score_as_one(
    champion: Champion, predictor: Predictor
) -> None:
    windows, rounds = champion.windows, 2 if champion.family is Family.LSTM else 10
    barrier = threading.Barrier(4)

    def score(thread: int) -> list[Floats]:
        order = np.random.default_rng(thread).permutation(len(windows))
        barrier.wait()
        results = []
        for _ in range(rounds):
            scores = np.empty(len(windows))
            for place in order:
                scores[place] = predictor.predict(windows[place])
            results.append(scores)
        return results

    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(score, range(4)):
            for scores in results:
                assert_pyfunc(champion, scores)


def test_closing_lets_running_calls_end_and_refuses_later_ones(
    champion: Champion, predictor: Predictor
) -> None:
    window = champion.windows[400].copy()
    expected, started = predictor.predict(window), threading.Barrier(4)

    def score() -> set[float]:
        scores = set()
        started.wait()
        while True:
            try:
                scores.add(predictor.predict(window))
            except InputError:
                return scores

    with ThreadPoolExecutor(3) as pool:
        threads = [pool.submit(score) for _ in range(3)]
        started.wait()
        predictor.close()
        assert all(thread.result() <= {expected} for thread in threads)
    predictor.close()
    with pytest.raises(InputError, match="the predictor is closed; load the version again"):
        predictor.predict(window)


Change = Callable[[dict[str, Any], str], object]
MAPPINGS: dict[str, tuple[Change, str]] = {
    "missing": (lambda row, name: row.pop(name), r"'\w+' is missing; give all 48 inputs"),
    "none": (lambda row, _: row.clear(), r"'\w+', '\w+', '\w+' and 45 others are missing"),
    "unknown": (
        lambda row, name: row.update({name + "s": 0.0}),
        r"'(\w+)s' is no input of the model; did you mean '\1'\?",
    ),
    "renamed": (lambda row, name: row.update({name + "s": row.pop(name)}), "is missing"),
    "infinite": (lambda row, name: row.update({name: np.inf}), r"'\w+' is inf; give NaN"),
    "infinite in single precision": (
        lambda row, name: row.update({name: -1e39}),
        r"'\w+' is -1e\+39; give NaN",
    ),
    "infinite beside NaN": (
        lambda row, name: row.update(dict.fromkeys(row, np.nan), **{name: -np.inf}),
        r"'\w+' is -inf; give NaN",
    ),
    "text": (lambda row, name: row.update({name: "0.1"}), r"'\w+' is '0\.1', no number"),
    "nothing": (lambda row, name: row.update({name: None}), r"'\w+' is None, no number"),
    "huge": (lambda row, name: row.update({name: 10**400}), r"'\w+' is 10+, no number"),
}


@pytest.mark.parametrize(("change", "message"), MAPPINGS.values(), ids=MAPPINGS)
@pytest.mark.parametrize("name_at", [0, 20, 47])
def test_values_that_do_not_fit_are_refused(
    boosted: Predictor, change: Change, message: str, name_at: int
) -> None:
    row: dict[str, Any] = dict.fromkeys(boosted.names, 0.5)
    change(row, boosted.names[name_at])
    for use in (boosted.predict_mapping, boosted.row):
        with pytest.raises(InputError, match=message):
            use(row)


@pytest.mark.parametrize("values", [[0.5] * 48, None, 3.0, "row"])
def test_what_has_no_names_is_refused_as_a_mapping(boosted: Predictor, values: Any) -> None:
    with pytest.raises(InputError, match="is given; give a mapping of names to numbers"):
        boosted.predict_mapping(values)


ARRAYS: dict[str, tuple[Callable[[Floats], Any], str]] = {
    "short": (lambda row: row[..., 1:], r"give an array of float64, shape \("),
    "long": (lambda row: np.concatenate([row, row], axis=-1), "shape"),
    "deeper": (lambda row: row[None], "shape"),
    "single precision": (lambda row: row.astype(np.float32), "an array of float32"),
    "whole": (lambda row: row.astype(np.int64), "an array of int64"),
    "objects": (lambda row: row.astype(object), "an array of object"),
    "list": (lambda row: row.tolist(), "a list is given"),
    "none": (lambda _: None, "a NoneType is given"),
}


@pytest.mark.parametrize(("make", "message"), ARRAYS.values(), ids=ARRAYS)
def test_windows_that_do_not_fit_are_refused(
    champion: Champion, predictor: Predictor, make: Callable[[Floats], Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        predictor.predict(make(np.zeros(champion.windows[0].shape)))


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("others", [0.0, np.nan])
def test_an_infinite_value_in_a_window_is_named(
    champion: Champion, predictor: Predictor, value: float, others: float
) -> None:
    window = np.full(champion.windows[0].shape, others)
    window[..., 7] = value
    message = f"'{champion.names[7]}' is {value}; give NaN".replace("+", r"\+")
    with pytest.raises(InputError, match=message):
        predictor.predict(window)


def test_the_largest_numbers_of_single_precision_are_scored(
    champion: Champion, predictor: Predictor
) -> None:
    window = np.full(champion.windows[0].shape, float(np.finfo(np.float32).max))
    assert np.isfinite(predictor.predict(window))


@pytest.mark.parametrize("champion", [Family.LSTM], indirect=True)
def test_one_row_is_not_enough_for_a_model_that_looks_back(
    champion: Champion, predictor: Predictor
) -> None:
    with pytest.raises(InputError, match=r"looks back over 5; give the last 5 as an array"):
        predictor.predict_mapping(mapping(champion, champion.rows[400]))


Wrong = Callable[[float], float]


@pytest.mark.parametrize(
    ("champion", "wrong"),
    [
        *((name, lambda score: np.nextafter(score, np.inf)) for name in BOOSTED),
        (Family.LSTM, lambda score: score + 2e-6),
        *((name, lambda _: np.nan) for name in Family),
    ],
    indirect=["champion"],
)
def test_golden_rows_must_agree_of_trees_to_the_last_bit(champion: Champion, wrong: Wrong) -> None:
    predictions = champion.data.golden_predictions.copy()
    predictions[3] = wrong(predictions[3])
    data = replace(champion.data, golden_predictions=predictions)
    message = rf"golden row 3 of \w+/USD's {champion.family} model scores .* in MLflow; install"
    with pytest.raises(ModelIntegrityError, match=message):
        load(champion.files, data)


def test_what_does_not_belong_together_is_refused(champion: Champion) -> None:
    data, files = champion.data, champion.files
    nothing = replace(data, golden_rows=data.golden_rows[:0], golden_predictions=np.empty(0))
    for other, message in (
        (nothing, "no golden rows"),
        (replace(data, names=data.names[:-1]), "48 inputs, and 47 names|windows of the shape"),
    ):
        with pytest.raises(ModelIntegrityError, match=message):
            load(files, other)
    del files[MODEL_FILES[champion.family]]
    with pytest.raises(ModelIntegrityError, match="among the files; fetch the model again"):
        load(files, data)
    with pytest.raises(BrainError, match="forest"):
        load(files, replace(data, family="forest"))


ALONE = """
import sys
from pathlib import Path
import numpy as np
from brain.errors import ModelIntegrityError
from brain.manifest import check_bytes
from engine.kernels.executor_data import ExecutorData
from serving.predictors import load

folder, digest, file = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
data = ExecutorData.from_bytes((folder / "executor.npz").read_bytes())
manifest, sound = (folder / "manifest.json").read_bytes(), (folder / file).read_bytes()

def loaded(content):
    check_bytes(manifest, digest, {file: content})
    return load({file: content}, data)

random = np.random.default_rng(1)
refused = 0
for place in random.integers(len(sound), size=40):
    flipped = bytearray(sound)
    flipped[place] ^= 1 << int(random.integers(8))
    for corrupt in (bytes(flipped), sound[:place], sound + b"x", b""):
        try:
            loaded(corrupt)
        except ModelIntegrityError as error:
            refused += "is not what was registered" in str(error)
predictor = loaded(sound)
assert np.isfinite([predictor.predict(row) for row in data.golden_rows]).any()
print(refused, *[name for name in HEAVY if name in sys.modules])
"""


def test_in_a_process_of_its_own_corrupt_files_are_refused_and_nothing_heavy_is_imported(
    champion: Champion, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name, content in champion.files.items():
        (folder / name).write_bytes(content)
    digest = write_manifest(folder)
    done = subprocess.run(
        [
            *(sys.executable, "-c", f"HEAVY = {HEAVY}\n{ALONE}"),
            *(str(folder), digest, MODEL_FILES[champion.family]),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["160"]), done.stderr
