"""The closes that a symbol's calendar expects: what tells a gap from a bar that is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.calendars import BARS, CONTINUOUS
from brain.errors import InputError
from brain.text import count, moment

if TYPE_CHECKING:
    from engine.kernels.executor_data import ExecutorData

__all__ = ["MOST_MISSING", "ExpectedCloses"]

#: Bars that a gap may have. Whoever was away for longer warms up; a time so far ahead is a mistake
#: of units more often than a gap.
MOST_MISSING = 20_000
_AHEAD_NS = 14 * 86_400 * 10**9  # no market closes for longer


class ExpectedCloses:
    """The bars after the last one, by the calendar of a version.

    Args:
        data: of the version.
    """

    def __init__(self, data: ExecutorData) -> None:
        self._data = data
        self._step = data.timeframe_ns
        self._continuous = data.calendar == CONTINUOUS
        self._any = data.calendar == BARS

    def between(self, last: int, close: int) -> list[int]:
        """The closes of the bars that are missing between two bars.

        Args:
            last: close of the last bar.
            close: of the next one; later.

        Raises:
            InputError: the calendar expects no bar that closes then.
        """
        if self._any:
            return []
        if self._continuous:
            if close - last == self._step:
                return []
            bars, rest = divmod(close - last, self._step)
            if rest:
                raise self._unexpected(close, last + (bars + 1) * self._step)
            self._check(bars - 1, last)
            return [last + n * self._step for n in range(1, bars)]
        return self._of_sessions(last, close)

    def _of_sessions(self, last: int, close: int) -> list[int]:
        expected: list[int] = self._data.closes(last, close).tolist()
        if not expected or expected[-1] != close:
            later = self._data.closes(close, close + _AHEAD_NS).tolist()
            raise self._unexpected(close, later[0])
        self._check(len(expected) - 1, last)
        return expected[:-1]

    def _check(self, missing: int, last: int) -> None:
        if missing > MOST_MISSING:
            raise InputError(
                f"{count(missing, 'bar')} are missing after {moment(last)}, more than "
                f"{MOST_MISSING}; give closes in nanoseconds since 1970 UTC, and warm up with the "
                "bars between"
            )

    def _unexpected(self, close: int, following: int) -> InputError:
        return InputError(
            f"no bar closes at {moment(close)} ({close} ns) by the calendar "
            f"{self._data.calendar}; the next close is {moment(following)} ({following} ns)"
        )
