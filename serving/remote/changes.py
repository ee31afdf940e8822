"""Which entries of a registry have changed: by its head, cheaply, and by sweeps over all of it.

The head is the newest entry by ``last_updated_timestamp``. While it is the one that was seen last
there is nothing else to read. Else pages are read from it on until everything since is read, and
somewhat before: two entries may have the same time, a server's clock may be behind another's, and a
write becomes visible some time after the moment that it carries. For the same reasons the pages are
read once more in the seconds after a change. An entry that is updated between two pages goes to the
front, past both: so where there are several, it is looked at the front again.

Aliases and tags don't move that time, so only a sweep finds what was changed by them alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from serving.remote.entries import ModelEntry

__all__ = ["Changes", "EntrySource"]

_PAGE = 25
_OVERLAP_MS = 5000


class EntrySource(Protocol):
    """A registry's entries, page by page."""

    def newest(self, *, limit: int = 1, token: str = "") -> tuple[list[ModelEntry], str]:
        """By their last update, the newest first, and the next page's token."""

    def page(self, token: str = "", *, size: int = _PAGE) -> tuple[list[ModelEntry], str]:
        """By name, and the next page's token."""


class Changes:
    """What has changed since it was last looked at. Used by one thread.

    Args:
        registry: whose entries they are.
        clock: monotonic, seconds.
    """

    def __init__(
        self, registry: EntrySource, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._registry, self._clock = registry, clock
        self._digests: dict[str, str] = {}
        self._latest: int | None = None
        self._unsettled_until = 0.0
        self._complete: frozenset[str] | None = None

    def look(self) -> list[ModelEntry]:
        """The entries that were updated since the last look.

        Raises:
            TrackingUnreachableError, LibraryError: the registry can't be asked; the next look finds
                what this one would have.
        """
        if self._clock() >= self._unsettled_until:
            front, _ = self._registry.newest(limit=1)
            if not front or (front[0].updated == self._latest and not self._is_new(front[0])):
                return []
        entries = self._since(None if self._latest is None else self._latest - _OVERLAP_MS)
        if not entries:
            return []
        newest = max(entry.updated for entry in entries)
        changed = [entry for entry in entries if self._is_new(entry)]
        if changed or newest != self._latest:
            self._unsettled_until = self._clock() + _OVERLAP_MS / 1000
        self._latest = newest
        self._note(changed)
        return changed

    def _since(self, moment: int | None) -> list[ModelEntry]:
        """The entries that were updated at or after a moment, and the newest ones in any case."""
        page, token = self._registry.newest(limit=_PAGE)
        if not page:
            return []
        first, found = page[0], {entry.name: entry for entry in page}
        recent = first.updated - _OVERLAP_MS
        since = recent if moment is None else min(moment, recent)
        while token and page[-1].updated >= since:
            page, token = self._registry.newest(limit=_PAGE, token=token)
            found |= {entry.name: entry for entry in page}
        if len(found) > _PAGE:
            front, _ = self._registry.newest(limit=1)
            if front and front[0] != first:
                found |= {entry.name: entry for entry in self._since(first.updated)}
        return [entry for entry in found.values() if entry.updated >= since]

    def sweep(self) -> Iterator[list[ModelEntry]]:
        """The entries that differ from those that were seen last, page by page of the registry.

        Raises:
            TrackingUnreachableError, LibraryError: the registry can't be asked; the next sweep
                finds what this one would have.
        """
        names: set[str] = set()
        yield from self._pages(names)
        if set(self._digests) - names:  # a deleted one may have drawn it past a page
            yield from self._pages(names)
        self._complete = frozenset(names)
        for name in set(self._digests) - names:
            del self._digests[name]  # it counts as changed when it is back

    def _pages(self, names: set[str]) -> Iterator[list[ModelEntry]]:
        """The changed entries of each page; the names of all are added."""
        token, more = "", True
        while more:
            entries, token = self._registry.page(token, size=_PAGE)
            more = bool(token)
            changed = [entry for entry in entries if self._is_new(entry)]
            names.update(entry.name for entry in entries)
            self._note(changed)
            yield changed

    @property
    def swept(self) -> bool:
        """Whether every entry was seen once."""
        return self._complete is not None

    def absent(self, names: Iterable[str]) -> set[str]:
        """Those of the names that the last whole sweep has not met; none before the first."""
        return set() if self._complete is None else set(names) - self._complete

    def _is_new(self, entry: ModelEntry) -> bool:
        return self._digests.get(entry.name) != entry.digest

    def _note(self, entries: Iterable[ModelEntry]) -> None:
        self._digests |= {entry.name: entry.digest for entry in entries}
