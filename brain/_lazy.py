"""Package faces that load late: a name's module is imported when the name is first asked for.

So ``import registry`` costs a millisecond, and the executor never loads what it does not use.
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
        package: its ``__name__``.
        names: by module, the public names that it defines, separated by blanks.
    """
    home = {name: module for module, defined in names.items() for name in defined.split()}

    def load(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home[name]), name)
        setattr(sys.modules[package], name, value)  # found without this function from now on
        return value

    def names_of_package() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return sorted(home), load, names_of_package
