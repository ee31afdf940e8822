"""Where an executor has its champions from. The standard library alone.

:class:`registry.library.BrainLibrary` is such a source; the executor, which imports no registry, is
handed one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from brain.model_keys import ModelKey
from brain.records import Champion

__all__ = ["ChampionSource"]


class ChampionSource(Protocol):
    """Champions by symbol, and the files of versions."""

    def champions(
        self,
        symbol: str | ModelKey | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Sequence[Champion]:
        """The champions of the cells of a symbol's model; none if it has none.

        Raises:
            AmbiguousModelError: the symbol has several such models.
        """

    def files(self, model_id: str) -> Mapping[str, bytes]:
        """All files of a version by their names in its folder, the manifest among them.

        Whoever reads them checks them against the champion's digest first.

        Raises:
            LibraryError: there is no such version, or its files can't be read.
        """
