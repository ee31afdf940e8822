"""How often a process looks for garbage."""

from __future__ import annotations

import gc

__all__ = ["collect_seldom"]

_OBJECTS = 10_000


def collect_seldom() -> None:
    """Look for garbage after ten thousand new objects and not after some hundred.

    The libraries of a job make millions of objects when they are imported, and next to no garbage:
    looking for it is a sixth of the time. For processes that are ours as a whole.
    """
    if gc.isenabled() and 0 < gc.get_threshold()[0] < _OBJECTS:
        gc.set_threshold(_OBJECTS, 10, 10)
