"""Package faces that load late: a name's module is imported at the first use of the name.

So ``import registry`` costs a millisecond, and the executor loads only the modules that it uses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["face"]


def face(
    package: str, names: Mapping[str, str]
) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """The ``__all__``, ``__getattr__`` and ``__dir__`` of a package.

    The package repeats the names as imports under ``TYPE_CHECKING``, for type checkers and editors.

    Args:
        package: ``__name__`` of the package.
        names: public names by module, separated by blanks.
    """
    home = {name: module for module, text in names.items() for name in text.split()}

    def load(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home[name]), name)
        setattr(sys.modules[package], name, value)  # the next use needs no call
        return value

    def names_of_package() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return sorted(home), load, names_of_package
