"""One booster that predicts the mean of several: all of their trees, each with its share.

The formats are the libraries' own, so the mean is a native model like any other: its files, its
contributions and whoever loads it need nothing of ours. The boosters were fitted on the same rows
and so start from the same value, which LightGBM adds to the leaves of the first tree and XGBoost
holds apart, once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import lightgbm
    import xgboost

__all__ = ["average_lightgbm", "average_xgboost"]

# What LightGBM's own ``Tree::Shrinkage`` multiplies.
_LIGHTGBM_VALUES = re.compile(r"^(leaf_value|internal_value|shrinkage)=(.*)$", re.MULTILINE)


def average_lightgbm(boosters: Sequence[lightgbm.Booster]) -> lightgbm.Booster:
    """The mean of boosters of one output, by the text format.

    A prediction is the boosters' mean to the rounding of double precision. A single booster is
    returned as it is.
    """
    import lightgbm as lgb

    if len(boosters) == 1:
        return boosters[0]
    texts = [booster.model_to_string() for booster in boosters]
    trees = [_lightgbm_share(tree, len(texts)) for text in texts for tree in _lightgbm_trees(text)]
    blocks = [f"Tree={place}\n{tree}" for place, tree in enumerate(trees)]
    sizes = "tree_sizes=" + " ".join(str(len(block)) for block in blocks)
    head, _, rest = texts[0].partition("Tree=0\n")
    tail = rest[rest.index("end of trees\n") :]
    head = re.sub(r"^tree_sizes=.*$", sizes, head, flags=re.MULTILINE)
    return lgb.Booster(model_str=head + "".join(blocks) + tail)


def _lightgbm_trees(text: str) -> list[str]:
    """The trees of a text, each without the line of its number."""
    forest, _, _ = text.partition("end of trees\n")
    return re.split(r"^Tree=\d+\n", forest, flags=re.MULTILINE)[1:]


def _lightgbm_share(tree: str, members: int) -> str:
    def divide(line: re.Match[str]) -> str:
        return f"{line[1]}=" + " ".join(repr(float(word) / members) for word in line[2].split())

    return _LIGHTGBM_VALUES.sub(divide, tree)


def average_xgboost(boosters: Sequence[xgboost.Booster]) -> xgboost.Booster:
    """The mean of boosters of one output, by the JSON format.

    A prediction is the boosters' mean to the rounding of single precision, in which XGBoost adds
    its trees up. A single booster is returned as it is.
    """
    import xgboost as xgb

    if len(boosters) == 1:
        return boosters[0]
    models = [json.loads(booster.save_raw("json")) for booster in boosters]
    forests = [model["learner"]["gradient_booster"]["model"] for model in models]
    trees = [_xgboost_share(tree, len(models)) for forest in forests for tree in forest["trees"]]
    whole = forests[0]
    whole["trees"] = [{**tree, "id": place} for place, tree in enumerate(trees)]
    whole["tree_info"] = [0] * len(trees)
    whole["iteration_indptr"] = list(range(len(trees) + 1))
    whole["gbtree_model_param"]["num_trees"] = str(len(trees))
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(json.dumps(models[0]), "ascii"))
    return booster


def _xgboost_share(tree: dict[str, Any], members: int) -> dict[str, Any]:
    """A tree with its values divided; a leaf's is kept where a branch has its threshold."""
    leaf = np.asarray(tree["left_children"]) == -1
    values = np.asarray(tree["split_conditions"], dtype=np.float32)
    weights = np.asarray(tree["base_weights"], dtype=np.float32)
    return {
        **tree,
        "split_conditions": np.where(leaf, values / members, values).tolist(),
        "base_weights": (weights / members).tolist(),
    }
