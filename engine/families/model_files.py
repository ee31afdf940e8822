"""The common part of all families' MLflow folders: names, signature, pinned requirements.

Through ``mlflow.pyfunc`` boosters give an array (N,), and ONNX gives a frame with the one column
``prediction``: ``np.asarray(prediction).reshape(-1)`` reads both. An infinite feature, which
:meth:`engine.families.base.FittedModel.predict` refuses, counts there as an extreme value (XGBoost
refuses it too).
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brain.errors import InputError, ModelIntegrityError

if TYPE_CHECKING:
    from mlflow.models import Model as Model, ModelSignature

__all__ = ["check_empty", "check_names", "flavour", "model_file", "requirements", "signature"]

# LightGBM refuses JSON's special characters and blanks, XGBoost refuses brackets.
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


def check_names(features: Sequence[str], width: int) -> list[str]:
    """The features' names as a list.

    Args:
        features: the names.
        width: F, the number of features.

    Raises:
        InputError: there are not ``width`` different names that every library takes.
    """
    names = list(features)
    if len(names) != width:
        raise InputError(f"{len(names)} feature names for {width} features; give one per feature")
    for place, name in enumerate(names):
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} is not a feature name; write it in letters, digits, '_', '-', '.'"
            )
        if name in names[:place]:
            raise InputError(f"the feature name {name!r} comes twice; give different names")
    return names


def check_empty(folder: Path) -> None:
    """Check that a model's folder does not exist yet, or is empty.

    Raises:
        InputError: it has files, or is no folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder; give a new one")


def signature(names: Sequence[str]) -> ModelSignature:
    """One double per feature in, one double per row out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    return ModelSignature(
        inputs=Schema([ColSpec("double", name) for name in names]),
        outputs=Schema([ColSpec("double")]),
    )


def flavour(name: str) -> Any:
    """MLflow's module for a library, ``mlflow.lightgbm`` for example."""
    with warnings.catch_warnings():
        # mlflow.pyfunc warns, when it is first imported, of the type hints of its own classes.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        importlib.import_module("mlflow.pyfunc")
        return importlib.import_module(f"mlflow.{name}")


def requirements(*packages: str) -> list[str]:
    """Packages pinned to their installed versions; with them MLflow skips its slow inference."""
    return [f"{package}=={version(package)}" for package in packages]


def model_file(folder: Path, name: str) -> Path:
    """The path of a file in a model's folder.

    Raises:
        ModelIntegrityError: there is no such file.
    """
    path = folder / name
    if not path.is_file():
        raise ModelIntegrityError(f"{path} is missing; fetch the model again, or register it anew")
    return path
