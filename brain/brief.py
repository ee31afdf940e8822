"""Short representations: results hold thousands of values, and people look at them in a shell."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

__all__ = ["Brief"]

_SHORT = 60  # characters of one value
_MOST = 320  # characters of all


class Brief:
    """A dataclass whose ``repr`` has short values whole, and of long ones how much they hold.

    The dataclass has to be made with ``repr=False``.
    """

    def __repr__(self) -> str:
        names = [field.name for field in fields(self) if field.repr]  # type: ignore[arg-type]
        text = ", ".join(f"{name}={_short(getattr(self, name))}" for name in names)
        return f"{type(self).__name__}({text if len(text) <= _MOST else f'{text[: _MOST - 1]}…'})"


def _short(value: Any) -> str:
    shape = getattr(value, "shape", ())
    if shape:  # an array or a frame, whose whole text may be slow to make
        return f"<{' x '.join(map(str, shape))}>"
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        text = repr(value) if len(value) <= _SHORT else ""
        return text if 0 < len(text) <= _SHORT else _count(value)
    text = repr(value)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _count(value: Collection[Any]) -> str:
    keys = ", ".join(map(str, value)) if isinstance(value, Mapping) and len(value) < _SHORT else ""
    return f"<{len(value)}: {keys}>" if 0 < len(keys) <= _SHORT else f"<{len(value)}>"
