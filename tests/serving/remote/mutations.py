"""Mutations of bytes, JSON and arrays, the same ones for the same seed."""

from __future__ import annotations

import copy
import json
import random
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["mutated_archive", "mutated_bytes", "mutated_json", "mutated_value"]

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 10**30, -(10**30), 0.5, -0.5, 1e308, 1e400, float("nan"), "",
    "abc", "NaN", "1", "-1", "9" * 5000, "\ud800", "é漢\0", [], {}, [[]], {"a": {}}, [1, "a", None],
    "../../etc/passwd", "http://127.0.0.1:9/", "2020-13-45", "models:/m-0",
)  # fmt: skip
_BYTES = (b"", b"\0", b"\xff" * 4, b'"', b"{", b"}", b"[", b",", b"null", b"\r\n", b"-1", b"9" * 40)


def mutated_bytes(content: bytes, draw: random.Random) -> bytes:
    """The bytes with a flipped bit, a cut, a gap, an insertion or a doubled part."""
    data = bytearray(content)
    if not data:
        return draw.choice(_BYTES)
    place = draw.randrange(len(data))
    length = draw.choice([1, 2, 8, 100, 5000])
    match draw.choice(["flip", "flip", "flip", "cut", "gap", "insert", "double", "noise"]):
        case "flip":
            data[place] ^= 1 << draw.randrange(8)
        case "cut":
            del data[place:]
        case "gap":
            del data[place : place + length]
        case "insert":
            data[place:place] = draw.choice(_BYTES)
        case "double":
            data[place:place] = data[place : place + length]
        case _:
            data[place : place + length] = draw.randbytes(length)
    return bytes(data)


def mutated_json(text: bytes | str, draw: random.Random) -> bytes:
    """The document with a value or a key that is another; half of the time in a text of JSON."""
    document = json.loads(text)
    nested = [(holder, key) for holder, key in _places(document) if _is_json(holder[key])]
    if nested and draw.random() < 0.5:
        holder, key = draw.choice(nested)
        holder[key] = json.dumps(mutated_value(json.loads(holder[key]), draw))
    else:
        document = mutated_value(document, draw)
    return json.dumps(document).encode("utf-8", "surrogatepass")


def mutated_value(document: Any, draw: random.Random) -> Any:
    """The value with another one somewhere in it."""
    document = copy.deepcopy(document)
    places = list(_places(document))
    if not places:
        return draw.choice(_VALUES)
    holder, key = draw.choice(places)
    match draw.choice(["replace", "replace", "delete", "rename", "double", "swap"]):
        case "delete":
            del holder[key]
        case "rename" if isinstance(holder, dict):
            holder[str(draw.choice(_VALUES))] = holder.pop(key)
        case "double" if isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        case "swap":
            other, there = draw.choice(places)
            if not isinstance(holder[key], dict | list) and not isinstance(
                other[there], dict | list
            ):
                holder[key], other[there] = other[there], holder[key]
        case _:
            holder[key] = copy.deepcopy(draw.choice(_VALUES))
    return document


def _places(value: Any) -> Any:
    """Every value in a document by what holds it."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in list(pairs):
        yield value, key
        if isinstance(part, dict | list):
            yield from _places(part)


def _is_json(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("{")


def mutated_archive(content: bytes, draw: random.Random) -> bytes:
    """An ``.npz`` with an array that is another, missing or misnamed; now and then other bytes."""
    if draw.random() < 0.15:
        return mutated_bytes(content, draw)
    with np.load(BytesIO(content)) as archive:
        arrays: dict[str, Any] = {name: archive[name] for name in archive.files}
    name = draw.choice(sorted(arrays))
    match draw.choice(["value", "value", "value", "drop", "rename", "swap"]):
        case "drop":
            del arrays[name]
        case "rename":
            arrays[draw.choice(["x", f"{name}x", "features/x", "head"])] = arrays.pop(name)
        case "swap":
            other = draw.choice(sorted(arrays))
            arrays[name], arrays[other] = arrays[other], arrays[name]
        case _:
            arrays[name] = _mutated_array(arrays[name], draw)
    file = BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _mutated_array(array: NDArray[Any], draw: random.Random) -> NDArray[Any]:
    array = array.copy()
    if array.dtype.kind in "US":
        return _mutated_text(array, draw)
    if array.dtype.kind not in "biuf":
        return array.astype(object)
    kind = draw.choice(["item", "item", "fill", "cut", "more", "shape", "type", "object"])
    if kind == "item" and array.size:
        value: Any = draw.choice([0, -1, 1, 2**40, -(2**60), np.nan, np.inf, 1e300])
        with np.errstate(all="ignore"):
            array.flat[draw.randrange(array.size)] = np.array([value]).astype(array.dtype)[0]
        return array
    if kind == "fill":
        return np.full_like(array, 0 if array.dtype.kind != "f" else draw.choice([np.nan, np.inf]))
    if kind == "cut" and array.ndim:
        return array[: draw.randrange(len(array) + 1)]
    if kind == "more" and array.ndim:
        return np.concatenate([array, array])
    if kind == "shape":
        return draw.choice([array.reshape(-1), array[None], array[..., None], array.T])
    if kind == "type":
        kinds: list[Any] = [np.int8, np.float32, np.complex128, np.bool_, np.uint64, "U8"]
        with np.errstate(all="ignore"):
            return array.astype(draw.choice(kinds))
    return np.array({"an": "object"}, dtype=object) if kind == "object" else array


def _mutated_text(array: NDArray[Any], draw: random.Random) -> NDArray[Any]:
    """A text of JSON with another value in it, or another text."""
    try:
        document = json.loads(str(array))
    except ValueError:
        return np.array(draw.choice(["", "abc", "{}"]))
    changed = json.dumps(mutated_value(document, draw))
    return np.array(changed.encode("utf-8", "replace").decode())
