"""The newest bars: what a kernel that looks back over so many needs to go on after a restart."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError
from brain.text import moment

__all__ = ["Arrays", "RecentBars", "array_of"]

Arrays = Mapping[str, NDArray[np.generic]]


class RecentBars:
    """The newest bars in the order of time.

    Args:
        bars: how many are kept.

    Attributes:
        close_time_ns: of the last one, nanoseconds since 1970 UTC; None before the first.
    """

    def __init__(self, bars: int) -> None:
        self._bars: deque[tuple[int, tuple[float, ...]]] = deque(maxlen=bars)
        self.close_time_ns: int | None = None

    def push(self, close_time_ns: int, *columns: float) -> None:
        """Add the next bar.

        Raises:
            InputError: it does not close after the last one.
        """
        last = self.close_time_ns
        if last is not None and close_time_ns <= last:
            raise InputError(
                f"a bar that closes at {moment(close_time_ns)} can't follow the one of "
                f"{moment(last)}; push bars in the order of time, each once"
            )
        self.close_time_ns = close_time_ns
        self._bars.append((close_time_ns, columns))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """The bars, ``bars`` (T, C), and their closes, ``close_time_ns`` (T,)."""
        return {
            "bars": np.array([columns for _, columns in self._bars], dtype=np.float64),
            "close_time_ns": np.array([time for time, _ in self._bars], dtype=np.int64),
        }

    @staticmethod
    def replay(arrays: Arrays, columns: int) -> Iterator[tuple[list[float], int]]:
        """The bars that :meth:`arrays` gave, oldest first: columns and close.

        Raises:
            InputError: the arrays are of something else.
        """
        times = array_of(arrays, "close_time_ns", np.int64, 1)
        bars = array_of(arrays, "bars", np.float64, 2 if len(times) else None)
        if len(times) and bars.shape != (len(times), columns):
            raise InputError(
                f"bars has shape {bars.shape} for {len(times)} closes; give {columns} columns a bar"
            )
        yield from zip(bars.tolist(), times.tolist(), strict=True)


def array_of(
    arrays: Arrays, name: str, dtype: type[np.generic], dimensions: int | None
) -> NDArray[np.generic]:
    """One of the arrays of a kernel's state.

    Args:
        arrays: by name.
        name: of the array.
        dtype, dimensions: what it must be; of any shape if None.

    Raises:
        InputError: there is no such array, or of another kind.
    """
    array = arrays.get(name)
    if (
        array is None
        or not np.issubdtype(array.dtype, dtype)
        or dimensions not in (None, array.ndim)
    ):
        kind = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
        raise InputError(f"the state's {name} is {kind}; give the arrays that arrays() returned")
    return array
