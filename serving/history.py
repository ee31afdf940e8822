"""The bars and rows since the versions' training, from which observations can be made anew."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator

from brain.errors import InputError, NotEnoughBarsError
from brain.text import moment
from serving.bars import Bar, Row, missing_bar
from serving.champions import Loaded, LoadedVersion
from serving.closes import MOST_MISSING, ExpectedCloses
from serving.observations import Observations

__all__ = ["Entry", "History", "first_version", "observe"]

Entry = Bar | Row

# A bar takes a third of a millisecond; after some the interpreter is given to threads that decide.
_BARS_AT_ONCE = 4
_PAUSE_SECONDS = 20e-6


class History:
    """Entries in the order in which they came, the newest :data:`serving.closes.MOST_MISSING`.

    Attributes:
        since: all bars after this close are among the entries; None if there was no bar yet.
    """

    def __init__(self, entries: Iterable[Entry] = (), since: int | None = None) -> None:
        self._entries: deque[Entry] = deque(entries)
        self.since = since
        self._dropped: int | None = None

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def copy(self) -> History:
        """The same entries."""
        other = History(self._entries, self.since)
        other._dropped = self._dropped
        return other

    def append(self, entry: Entry) -> None:
        """Add an entry; the oldest makes room."""
        self._entries.append(entry)
        if len(self._entries) > MOST_MISSING:
            oldest = self._entries.popleft()
            if isinstance(oldest, Bar):
                self.since = self._dropped = oldest.close_time

    def check(self, version: LoadedVersion) -> None:
        """Check that no bar after the end of a version's training was dropped.

        Raises:
            NotEnoughBarsError: one was.
        """
        until = int(version.data.trained_until_ns)
        if self._dropped is not None and until < self._dropped:
            raise NotEnoughBarsError(
                f"{version.id} was trained until {moment(until)}, and the bars before "
                f"{moment(self._dropped)} are no longer in memory; load a newer version, or start "
                "anew with the journal"
            )


def observe(loaded: Loaded, history: History) -> tuple[Observations, History]:
    """The observations after a history's last bar, and the part of the history behind them.

    They depend on the state of one version, the regimes of the newest, and the bars since, and on
    nothing else; so a running process and one that starts anew have the same to the last bit.
    """
    history.check(loaded.newest)
    start = first_version(loaded, history)
    until = int(start.data.trained_until_ns)
    observations = Observations(loaded, start)
    closes = ExpectedCloses(loaded.newest.data)
    entries: list[Entry] = []
    for place, entry in enumerate(history):
        if place % _BARS_AT_ONCE == 0:
            time.sleep(_PAUSE_SECONDS)
        if isinstance(entry, Row):
            if observations.takes(entry):  # former versions may have known other exchanges
                observations.row(entry)
            if max(entry.available, entry.time) > until:
                entries.append(entry)
        elif entry.close_time > observations.close:
            missing = closes.between(observations.close, entry.close_time)
            for bar in [*map(missing_bar, missing), entry]:
                observations.push(bar)
                entries.append(bar)
    return observations, History(entries, until)


def first_version(loaded: Loaded, history: History) -> LoadedVersion:
    """The version from whose training's end the rows go on: the newest, or one before it.

    A version that looks back needs the rows since its own, where the bars reach back so far.
    """
    first = next((entry.close_time for entry in history if isinstance(entry, Bar)), None)
    last = int(loaded.newest.data.trained_until_ns)
    for version in loaded.versions:
        until = int(version.data.trained_until_ns)
        if until == last:
            break
        if version.data.look_back > 1 and _reaches(version, until, first, history.since):
            return version
    return max(
        (v for v in loaded.versions if v.data.trained_until_ns == last),
        key=lambda v: (v.data.look_back, v.number),
    )


def _reaches(version: LoadedVersion, until: int, first: int | None, since: int | None) -> bool:
    if since is not None and until >= since:
        return True
    if first is None or first <= until:
        return first is not None
    try:
        return not ExpectedCloses(version.data).between(until, first)
    except InputError:
        return False
