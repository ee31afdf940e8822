"""A booster's shared library, by path: its Python package imports pandas where that is."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from brain.errors import LibraryError, ModelIntegrityError

__all__ = ["Library", "check_width", "library"]

_SUFFIXES = (".so", ".dylib", ".dll")


class Library:
    """A shared library of C functions that return 0, or another number after an error.

    Attributes:
        slow: its functions that let other threads run meanwhile, for loading.
        quick: its functions that hold the interpreter's lock. A score takes microseconds; to give
            the lock away for it, and wait until a busy thread gives it back, takes milliseconds.
            Nor do two threads then use the buffers of one model at once.
    """

    def __init__(self, path: Path, last_error: str) -> None:
        self.slow = ctypes.CDLL(str(path))
        self.quick = ctypes.PyDLL(str(path))
        self._last_error = getattr(self.slow, last_error)
        self._last_error.restype = ctypes.c_char_p

    def error(self) -> str:
        """The text of this thread's last error, in one line."""
        text: bytes = self._last_error() or b"an error without a text"
        return " ".join(text.decode(errors="replace").split())

    def check(self, code: int, model: str) -> None:
        """Check what a function returned while a model was read.

        Raises:
            ModelIntegrityError: it is an error.
        """
        if code:
            raise ModelIntegrityError(
                f"{model} is unreadable: {self.error()}; register the version anew"
            )


@cache
def library(package: str, last_error: str) -> Library:
    """The shared library in an installed package, which is not imported.

    Args:
        package: its name.
        last_error: the function that tells the last error.

    Raises:
        LibraryError: it is not installed, or can't be loaded.
    """
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    paths = (
        path
        for folder in folders
        for suffix in _SUFFIXES
        for path in Path(folder).glob(f"*/*{package}{suffix}")
    )
    path = next(paths, None)
    if path is None:
        raise LibraryError(f"there is no shared library of {package}; install {package}")
    try:
        return Library(path, last_error)
    except OSError as error:
        raise LibraryError(f"{path} can't be loaded: {error}; install {package} anew") from error


def check_width(model: str, inputs: int, names: int) -> None:
    """Check the number of a model's inputs: it would read beyond a row that is too short.

    Raises:
        ModelIntegrityError: it is not that of their names.
    """
    if inputs != names:
        raise ModelIntegrityError(
            f"{model} has {inputs} inputs, and {names} names; register the version anew"
        )
