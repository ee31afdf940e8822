"""XGBoost: its trees, walked level by level in NumPy, equal to its own scores to the last bit.

All trees of a model are walked at once: a step down each is six operations of NumPy, on as many
numbers as there are trees. For one row this takes less than half the time of XGBoost's own library,
which prepares for many, and corrupt bytes can't end the process. As in the library, values are
compared and leaves are added up in single precision, the latter one tree after another.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain.artifacts import XGBOOST
from brain.errors import ModelIntegrityError
from serving.predictors import ubjson

__all__ = ["XgBoostModel"]

_INFINITE = np.float32(np.inf)
# Their scores are sums of leaves as they are.
_OBJECTIVES = frozenset({"reg:pseudohubererror", "reg:squarederror", "reg:absoluteerror"})
_LEAF = -1


class XgBoostModel:
    """An XGBoost booster of one output.

    Args:
        model: the bytes of its binary JSON.
        width: F, the number of its inputs.

    Raises:
        ModelIntegrityError: they are none, have another number of inputs, or something that such
            a booster of ours has not.
    """

    def __init__(self, model: bytes, width: int) -> None:
        try:
            self._base, trees = _parse(model, width)
            self._grow(trees, width)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ModelIntegrityError(
                f"{XGBOOST} is unreadable: {error}; register the version anew"
            ) from error

    def score(self, window: bytes) -> float:
        row = np.frombuffer(window).astype(np.float32)
        # A missing value is below every threshold where it goes left, and above where right.
        values = np.concatenate((np.fmax(row, -_INFINITE), np.fmin(row, _INFINITE)))
        nodes = self._roots
        for _ in range(self._depth):
            right = values.take(self._inputs.take(nodes)) >= self._thresholds.take(nodes)
            nodes = self._lefts.take(nodes)
            nodes += right
        leaves = self._leaves.take(nodes)
        leaves[0] += self._base
        return float(np.add.accumulate(leaves)[-1])

    def _grow(self, trees: dict[str, NDArray[Any]], width: int) -> None:
        """Number the nodes anew: level by level, each right child after its left one."""
        levels = [trees["roots"]]
        lefts, rights = trees["left_children"], trees["right_children"]
        while len(inner := levels[-1][lefts[levels[-1]] != _LEAF]):
            levels.append(np.column_stack([lefts[inner], rights[inner]]).reshape(-1))
            if sum(map(len, levels)) > len(lefts):
                raise ValueError("a tree has a node twice")
        order = np.concatenate(levels)
        places = np.empty(len(lefts), dtype=np.intp)
        places[order] = own = np.arange(len(order))
        leaf = lefts[order] == _LEAF
        inputs = np.where(leaf, 0, trees["split_indices"][order])
        if not 0 <= inputs.min() <= inputs.max() < width:
            raise ValueError("a tree splits an input that there is not")
        inputs += np.where(leaf | (trees["default_left"][order] != 0), 0, width)
        numbers = trees["split_conditions"][order].astype(np.float32)
        # A walk stays at a leaf: no value is beyond it.
        self._inputs = inputs.astype(np.intp)
        self._thresholds = np.where(leaf, _INFINITE, numbers)
        self._lefts = np.where(leaf, own, places[lefts[order]])
        self._leaves, self._roots, self._depth = numbers, places[trees["roots"]], len(levels) - 1


def _parse(model: bytes, width: int) -> tuple[np.float32, dict[str, NDArray[Any]]]:
    """The score before all trees, and the columns of their nodes, one tree's after another's."""
    learner = ubjson.parse(model)["learner"]
    parameters, booster = learner["learner_model_param"], learner["gradient_booster"]
    if (inputs := int(parameters["num_feature"])) != width:
        raise ValueError(f"it has {inputs} inputs, and {width} names")
    trees = booster["model"]["trees"] if booster["name"] == "gbtree" else []
    if (
        not trees
        or learner["objective"]["name"] not in _OBJECTIVES
        or (parameters["num_class"], parameters["num_target"]) != ("0", "1")
        or any(tree["split_type"].any() for tree in trees)
    ):
        raise ValueError("it is no sum of trees of numbers, with one output")
    (base,) = parameters["base_score"].strip("[]").split(",")
    sizes = [len(tree["left_children"]) for tree in trees]
    roots = np.cumsum([0, *sizes])[:-1]
    columns: dict[str, NDArray[Any]] = {
        name: np.concatenate([tree[name] for tree in trees])
        for name in ("split_indices", "split_conditions", "default_left")
    }
    for name in ("left_children", "right_children"):
        own = [tree[name].astype(np.intp) for tree in trees]
        columns[name] = np.concatenate(
            [
                np.where(one == _LEAF, _LEAF, one + root)
                for one, root in zip(own, roots, strict=True)
            ]
        )
    return np.float32(base), columns | {"roots": roots}
