"""Predictions over HTTP: MLflow's formats, and pyfunc's values."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError
from brain.naming import Family
from engine.families.model_files import flavour
from serving.http.tables import read_csv, read_json
from tests.serving.desk import Models, fit
from tests.serving.http.served import PATH, REGIME, SYMBOL, Served, dataset, null, serving

ROWS = 20
TOLERANCE = {Family.LIGHTGBM: 0.0, Family.XGBOOST: 0.0, Family.LSTM: 1e-6}


def table() -> pd.DataFrame:
    """The last rows; of some, values are missing."""
    rows = dataset().features[-ROWS:].copy()
    rows[3, ::5] = rows[-1, 1::7] = np.nan
    return pd.DataFrame(rows, columns=list(dataset().names))


def values(frame: pd.DataFrame) -> list[list[float | None]]:
    return [[null(value) for value in row] for row in frame.to_numpy().tolist()]


def bodies(frame: pd.DataFrame) -> dict[str, Any]:
    """The frame in each of MLflow's formats."""
    names, rows = list(frame.columns), values(frame)
    records = [dict(zip(names, row, strict=True)) for row in rows]
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    backwards = frame[names[::-1]]
    return {
        "split": {"dataframe_split": {"columns": names, "data": rows}},
        "split with an index": {
            "dataframe_split": {"columns": names, "index": list(range(9, 9 + ROWS)), "data": rows}
        },
        "split by pandas": {
            "dataframe_split": json.loads(frame.to_json(orient="split", double_precision=15))
        },
        "split backwards": {
            "dataframe_split": {"columns": names[::-1], "data": values(backwards)}
        },
        "records": {"dataframe_records": records},
        "instances of records": {"instances": records},
        "instances of columns": {"instances": columns},
        "inputs of columns": {"inputs": columns},
        "inputs of records": {"inputs": records},
        "inputs of a row": {"inputs": records[-1]},
    }  # fmt: skip


@cache
def theirs(folder: Path) -> Any:
    """MLflow's own model and schema."""
    model = flavour("pyfunc").load_model(str(folder))
    return model, model.metadata.get_input_schema()


def their_predictions(folder: Path, body: Any, kind: str = "application/json") -> list[float]:
    """What MLflow's scoring server answers."""
    from mlflow.pyfunc.scoring_server import invocations

    data = body if isinstance(body, str) else json.dumps(body)
    answer = invocations(data, kind, *theirs(folder))
    assert answer.status == 200
    predictions = json.loads(answer.response)["predictions"]
    return [p["prediction"] if isinstance(p, dict) else p for p in predictions]


def check(given: list[float | None], expected: list[float], name: Family) -> None:
    assert len(given) == len(expected)
    for ours, their in zip(given, expected, strict=True):
        if math.isnan(their):
            assert ours is None
        else:
            assert ours is not None
            assert abs(ours - their) <= TOLERANCE[name]


@pytest.mark.parametrize("name", Family)
@pytest.mark.parametrize("form", list(bodies(table())))
def test_each_format_gives_mlflows_predictions(
    name: Family, form: str, served: Served, models: Models
) -> None:
    body = bodies(table())[form]
    champion = served.hamilton.champion(SYMBOL, REGIME[name])
    expected = their_predictions(models.folders[champion.version.id], body)
    cell = f"{PATH}/{REGIME[name]}"
    paths = (f"/champions/{cell}/predict", f"/invocations?symbol={PATH}&regime={REGIME[name]}")
    for path in paths:
        answer = served.ask("POST", path, body)
        assert answer.status == 200, answer.body
        check(answer.json["predictions"], expected, name)
        assert answer.headers["x-model-version"] == champion.version.id
        assert answer.headers["x-model-digest"] == champion.cell.digest
    if name is not Family.LSTM and form == "split":
        rows = table().to_numpy()
        assert answer.json["predictions"] == [champion.predict(row) for row in rows]
    if name is Family.LSTM and form == "split":
        assert answer.json["predictions"][: champion.look_back - 1] == [None] * 7
        window = table().to_numpy()[-champion.look_back :]
        assert answer.json["predictions"][-1] == champion.predict(window)


@pytest.mark.parametrize("name", Family)
@pytest.mark.parametrize("index", [False, True])
def test_csv_gives_mlflows_predictions(
    name: Family, index: bool, served: Served, models: Models
) -> None:
    text = table().to_csv(index=index)
    version = served.hamilton.champion(SYMBOL, REGIME[name]).version.id
    expected = their_predictions(models.folders[version], text, "text/csv")
    answer = served.ask(
        "POST",
        f"/champions/{PATH}/{REGIME[name]}/predict",
        text.encode(),
        {"Content-Type": "text/csv; charset=utf-8"},
    )
    check(answer.json["predictions"], expected, name)


def test_nan_as_mlflows_client_writes_it_is_read_and_never_answered(
    served: Served, models: Models
) -> None:
    frame = table()
    body = json.dumps(
        {"dataframe_split": {"columns": list(frame.columns), "data": frame.to_numpy().tolist()}}
    )
    assert "NaN" in body
    for name in Family:
        version = served.hamilton.champion(SYMBOL, REGIME[name]).version.id
        expected = their_predictions(models.folders[version], body)
        path = f"/champions/{PATH}/{REGIME[name]}/predict"
        check(served.ask("POST", path, body.encode()).json["predictions"], expected, name)


def test_a_body_of_many_rows_gives_the_same_while_others_are_answered(served: Served) -> None:
    frame = pd.concat([table()] * 40, ignore_index=True)
    body = {"dataframe_split": {"columns": list(frame.columns), "data": values(frame)}}
    assert len(json.dumps(body)) > 2 * 64 * 1024
    champion = served.hamilton.champion(SYMBOL, "high")
    predictions = served.ask("POST", f"/champions/{PATH}/high/predict", body).json["predictions"]
    assert predictions == [champion.predict(row) for row in frame.to_numpy()]


# --- which champion -----------------------------------------------------------------------------


def one_row() -> dict[str, Any]:
    return bodies(table())["inputs of a row"]


@pytest.mark.parametrize(
    ("path", "headers", "version"),
    [
        ("?symbol=ETH-USD&regime=high", {}, 3),
        ("?symbol=ETH%2FUSD&regime=low", {}, 1),
        ("?regime=normal", {}, 2),
        ("", {"X-Symbol": "ETH/USD", "X-Regime": "extreme"}, 1),
        ("", {"X-Regime": "high"}, 3),
        ("?regime=low", {"X-Regime": "high"}, 1),
    ],
)
def test_a_request_names_its_champion(
    path: str, headers: dict[str, str], version: int, served: Served
) -> None:
    answer = served.ask("POST", f"/invocations{path}", one_row(), headers)
    assert answer.status == 200, answer.body
    assert answer.headers["x-model-version"].endswith(f"/{version}")


def test_a_request_that_could_mean_several_champions_is_told_how_to_name_one(
    served: Served,
) -> None:
    for path in ("/invocations", "/invocations?symbol=ETH-USD"):
        answer = served.ask("POST", path, one_row())
        assert answer.status == 400
        assert "?symbol=…&regime=…" in answer.json["message"]


def test_the_default_and_the_only_champion_need_no_name(models: Models, tmp_path: Path) -> None:
    with serving(models, invocations=(PATH, "high")) as served:
        answer = served.ask("POST", "/invocations", one_row())
        assert answer.headers["x-model-version"].endswith("/3")
        answer = served.ask("POST", "/invocations?regime=low", one_row())
        assert answer.headers["x-model-version"].endswith("/1")
    only = Models(tmp_path)
    data = dataset()
    only.add(fit(Family.LIGHTGBM, data), data)
    with serving(only) as served:
        answer = served.ask("POST", "/invocations", one_row())
        assert answer.headers["x-model-version"].endswith("/1")


def test_symbols_are_spelled_as_everywhere(served: Served) -> None:
    for symbol in ("ETH-USD", "ETH%2FUSD", "ETH-USD.1d.6", "ETH%2dUSD"):
        answer = served.get(f"/champions/{symbol}/low")
        assert answer.status == 200
        assert answer.json["model"] == "ETH-USD.1d.6"


def test_unknown_cells_are_no_resources(served: Served) -> None:
    answer = served.get("/champions/BTC-USD/low")
    assert (answer.status, answer.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert "nothing is decided on 'BTC-USD'" in answer.json["message"]
    answer = served.ask("POST", "/champions/ETH-USD/medium/predict", one_row())
    assert answer.status == 404
    assert "no regime is called 'medium'" in answer.json["message"]


def test_a_cell_without_a_champion_and_one_that_cant_be_used_are_told_apart(
    tmp_path: Path,
) -> None:
    data = dataset()
    models = Models(tmp_path)
    models.add(fit(Family.LIGHTGBM, data), data, regimes=["low"])  # type: ignore[list-item]
    broken = models.add(fit(Family.XGBOOST, data), data, regimes=["high"])  # type: ignore[list-item]
    file = models.folders[broken] / "model.ubj"
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)
    with serving(models) as served:
        absent = served.ask("POST", f"/champions/{PATH}/normal/predict", one_row())
        assert (absent.status, "run the nightly job" in absent.json["message"]) == (404, True)
        unusable = served.ask("POST", f"/champions/{PATH}/high/predict", one_row())
        assert unusable.status == 503
        assert "can't be used" in unusable.json["message"]
        (model,) = served.get("/health").json["models"]
        assert list(model["failures"]) == ["high"]
        assert served.ask("POST", "/invocations", one_row()).status == 200


# --- refusals -----------------------------------------------------------------------------------

NAMES = ("a", "b")
REFUSED = {
    "[]": "Expected `object`, got `array`",
    "{": "truncated",
    "": "truncated",
    "null": "Expected `object`",
    "{}": "no rows are given",
    '{"rows": []}': "unknown field `rows`",
    '{"inputs": [], "instances": []}': "instances and inputs are given",
    '{"dataframe_split": {"data": [[1, 2]]}}': "missing required field `columns`",
    '{"dataframe_split": {"columns": ["a", "b"], "data": [[1]]}}': "row 0 has 1 values for 2",
    '{"dataframe_split": {"columns": ["a"], "data": [[1]]}}': "'b' is missing",
    '{"dataframe_split": {"columns": ["a", "b", "c"], "data": [[1, 2, 3]]}}': "'c' is no input",
    '{"dataframe_split": {"columns": ["a", "b", "a"], "data": [[1, 2, 3]]}}': "'a' comes twice",
    '{"dataframe_split": {"columns": ["a", "b"], "data": [["1", 2]]}}': "got `str`",
    '{"dataframe_split": {"columns": ["a", "b"], "data": [[true, 2]]}}': "got `bool`",
    '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2e999]]}}': "out of range",
    '{"dataframe_split": {"columns": ["a", "b"], "data": [[1, Infinity]]}}': "malformed",
    '{"dataframe_split": {"columns": ["a", "b"], "data": [[NaN, -Infinity]]}}': "-Infinity is no",
    '{"dataframe_records": [{"a": 1, "b": 2}, {"a": 1}]}': "'b' is missing",
    '{"dataframe_records": [{"a": 1, "b": 2}, {"a": 1, "c": 1}]}': "'b' is missing",
    '{"dataframe_records": [{"a": 1, "b": 2, "c": 3}]}': "'c' is no input",
    '{"inputs": {"a": [1, 2], "b": [1]}}': "differ in length",
    '{"inputs": {"a": [1, 2], "b": 1}}': "differ in length",
    '{"inputs": [[1, 2]]}': "Expected `object`, got `array`",
    '{"inputs": 1}': "got `int`",
}


@pytest.mark.parametrize("body", REFUSED)
def test_a_body_that_is_no_table_of_the_models_inputs_is_refused(body: str) -> None:
    with pytest.raises(InputError) as refused:
        read_json(body.encode(), NAMES)
    assert REFUSED[body] in str(refused.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is empty"),
        (b"a,b\n1,x\n", "'x' is no number"),
        (b"a,b\n1,1_0\n", "'1_0' is no number"),
        (b"a,b\n1\n", "row 0 has 1 values"),
        (b"a\n1\n", "'b' is missing"),
        (b"a,b\n\xff,1\n", "can't be read"),
    ],
)
def test_csv_that_is_no_table_of_the_models_inputs_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_csv(body, NAMES)


def test_a_message_repeats_no_more_of_a_body_than_a_line() -> None:
    long = "x" * 100_000
    for body in (
        f'{{"{long}": 1}}',
        f'{{"inputs": {{"{long}": 1}}}}',
        f'{{"dataframe_split": {{"columns": ["{long}"], "data": []}}}}',
    ):
        with pytest.raises(InputError) as refused:
            read_json(body.encode(), NAMES)
        assert len(str(refused.value)) < 1000
    for text in (f"{long}\n1\n", f"a,b\n1,{long}\n"):
        with pytest.raises(InputError) as refused:
            read_csv(text.encode(), NAMES)
        assert len(str(refused.value)) < 1000


def test_a_refusal_names_value_and_cure_over_http(served: Served) -> None:
    path = f"/champions/{PATH}/low/predict"
    answer = served.ask("POST", path, {"dataframe_records": [{"ret_1": 1.0}]})
    assert (answer.status, answer.json["error_code"]) == (400, "BAD_REQUEST")
    assert "missing; give all 48 inputs, null if unknown" in answer.json["message"]
    assert set(answer.json) == {"error_code", "message"}
    large = one_row()
    large["inputs"]["ret_1"] = 1e300
    answer = served.ask("POST", path, large)
    assert answer.status == 400
    assert "'ret_1' is 1e+300" in answer.json["message"]
    answer = served.ask("POST", path, b"a", {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 415
    answer = served.ask("POST", path, b"{}", {"Content-Encoding": "gzip"})
    assert answer.status == 415
    answer = served.ask("POST", path, b"{}", {"Content-Type": "text/csv; charset=latin-1"})
    assert answer.status == 415


def test_no_rows_give_no_predictions(served: Served) -> None:
    body = {"dataframe_split": {"columns": list(dataset().names), "data": []}}
    for regime in REGIME.values():
        answer = served.ask("POST", f"/champions/{PATH}/{regime}/predict", body)
        assert answer.json == {"predictions": []}


# --- properties ---------------------------------------------------------------------------------

numbers = (
    st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9)
)
tables = st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=5)
names = st.permutations(["a", "b", "c"])


@given(rows=tables, order=names)
def test_all_formats_read_the_same_numbers_to_the_last_bit(
    rows: list[list[float | None]], order: list[str]
) -> None:
    expected = np.array(rows, dtype=np.float64)[:, [order.index(n) for n in ("a", "b", "c")]]
    records = [dict(zip(order, row, strict=True)) for row in rows]
    columns = {name: [row[at] for row in rows] for at, name in enumerate(order)}
    text = pd.DataFrame(np.array(rows, dtype=np.float64), columns=order).to_csv()
    read = [
        read_json(json.dumps(body).encode(), ("a", "b", "c"))
        for body in (
            {"dataframe_split": {"columns": order, "data": rows}},
            {"dataframe_records": records},
            {"instances": records},
            {"instances": columns},
            {"inputs": columns},
            {"inputs": records},
        )
    ]
    for one in (*read, read_csv(text.encode(), ("a", "b", "c"))):
        assert one.flags["C_CONTIGUOUS"]
        assert one.tobytes() == np.ascontiguousarray(expected).tobytes()
