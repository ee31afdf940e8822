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
_AHEAD = 64  # bars of a session calendar that are asked for at once


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
        self._ahead: list[int] = []  # of sessions, oldest first

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
        while self._ahead and self._ahead[0] <= last:
            self._ahead.pop(0)
        until = last
        while not self._ahead or self._ahead[-1] < close:
            until = max(until, close) + _AHEAD * self._step
            later = self._data.closes(last, until).tolist()
            if later and later[-1] >= close:
                self._ahead = later
                break
            if until > self._data.session_closes_ns[-1]:
                raise InputError(
                    f"the calendar {self._data.calendar} is known until "
                    f"{moment(int(self._data.session_closes_ns[-1]))}, and a bar closes at "
                    f"{moment(close)}; load a newer version"
                )
        missing = [time for time in self._ahead if time < close]
        self._check(len(missing), last)
        following = self._ahead[len(missing)]
        if following != close:
            raise self._unexpected(close, following)
        return missing

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
