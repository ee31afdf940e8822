"""What is observed of a symbol at its newest bar: inputs, volatility and regime, incrementally.

Every bar is pushed once; nothing is computed from a history. Rows of inputs depend on bars and
rows of the market alone, and not on versions, so they go on when versions change; the regimes are
those of the newest version, and begin anew with it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.kernels.features import FEATURES
from engine.kernels.incremental.features import IncrementalFeatures
from engine.kernels.incremental.liquidations import IncrementalLiquidations
from engine.kernels.incremental.market_features import IncrementalMarketFeatures
from engine.kernels.incremental.recent_bars import Arrays
from engine.kernels.incremental.regimes import IncrementalRegimes
from engine.kernels.incremental.sentiment import IncrementalSentiment
from engine.kernels.liquidations import LIQUIDATION_FEATURES
from engine.kernels.market_features import MARKET_FEATURES
from engine.kernels.sentiment import SENTIMENT_FEATURES
from serving.bars import Bar, Row
from serving.champions import Loaded, LoadedVersion

__all__ = ["Observations", "basis_of"]

# Kernels that a version may have a state of: their features, and what names their sources.
_KERNELS = {
    "market": (MARKET_FEATURES, "exchanges"),
    "sentiment": (SENTIMENT_FEATURES, "publishers"),
    "liquidations": (LIQUIDATION_FEATURES, "exchanges"),
}


class Observations:
    """The state of a symbol's inputs after a bar.

    Args:
        loaded: the champions of the symbol.
        start: the version from whose end of training the rows go on.

    Attributes:
        close: of the last bar, nanoseconds since 1970 UTC.
        code: of its regime, -1 unknown.
        volatility: of one bar's log return; NaN is unknown.
        basis: of what they began with: observations of the same basis and the same entries are
            equal to the last bit.
        given: kinds and own columns of which any row was given.
        rows: how many rows there are, at most as many as any champion looks back.
    """

    def __init__(self, loaded: Loaded, start: LoadedVersion) -> None:
        data = start.data
        self.basis = basis_of(loaded, start)
        self._features = IncrementalFeatures.from_arrays(data.memory.features)
        self.names = _names(loaded)
        self._own = _own(loaded)
        self._market = _kernel(IncrementalMarketFeatures, "market", loaded, start)
        self._sentiment = _kernel(IncrementalSentiment, "sentiment", loaded, start)
        self._liquidations = _kernel(IncrementalLiquidations, "liquidations", loaded, start)
        self._places = {
            kernel: slice(self.names.index(names[0]), self.names.index(names[0]) + len(names))
            for kernel, (names, _) in _KERNELS.items()
            if names[0] in self.names
        }
        # Posts that had arrived by then are in the state of the training.
        self._posts_from = int(data.trained_until_ns) if _arrays(loaded, start, "sentiment") else 0
        self._columns: dict[int, dict[str, float]] = {}
        self.close = int(data.trained_until_ns)
        self.given: set[str] = set()
        width, self._depth = len(self.names), _depth(loaded)
        self._row = np.full(width, np.nan)
        self._ring = np.full((2 * self._depth, width), np.nan)
        self._at = 0
        self.rows = 0
        self._take_recent(start)
        newest = loaded.newest.data
        self._regimes = IncrementalRegimes.from_arrays(newest.memory.regimes)
        self._regimes_from = int(newest.trained_until_ns)
        self.code, self.volatility = newest.regimes.code, self._regimes.volatility

    def _take_recent(self, start: LoadedVersion) -> None:
        if not set(self.names[: len(FEATURES)]) <= set(start.data.names):
            return
        places = [self.names.index(name) for name in start.data.names]
        for recent in start.data.recent[-self._depth :]:
            self._row[places] = recent
            self._put()
        self._row[:] = np.nan

    def observe(self, entry: Bar | Row) -> None:
        """Observe the next bar, or a row of another kind."""
        if isinstance(entry, Bar):
            self.push(entry)
        else:
            self.row(entry)

    def push(self, bar: Bar) -> None:
        """Observe the next bar."""
        t, o, h, lo, c, v = bar
        if t > self._regimes_from:
            self.code = self._regimes.push(o, h, lo, c, t)
            self.volatility = self._regimes.volatility
        row, places = self._row, self._places
        row[: len(FEATURES)] = self._features.push(o, h, lo, c, v, t)
        if self._market is not None:
            row[places["market"]] = self._market.push(o, h, lo, c, v, t)
        if self._sentiment is not None:
            row[places["sentiment"]] = self._sentiment.push(o, h, lo, c, t)
        if self._liquidations is not None:
            row[places["liquidations"]] = self._liquidations.push(o, h, lo, c, v, t)
        if self._own:
            values = self._columns.pop(t, {})
            for place, name in enumerate(self._own, start=len(row) - len(self._own)):
                row[place] = values.get(name, math.nan)
            self._columns = {time: w for time, w in self._columns.items() if time > t}
        self._put()
        self.close = t

    def _put(self) -> None:
        at, depth = self._at, self._depth
        self._ring[at] = self._ring[at + depth] = self._row
        self._at = (at + 1) % depth
        self.rows = min(self.rows + 1, depth)

    def window(self, rows: int, columns: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """The last rows of inputs, oldest first, (rows, F); (F,) for one."""
        end = self._at + self._depth
        if rows == 1:
            return self._ring[end - 1, columns]
        return np.ascontiguousarray(self._ring[end - rows : end, columns])

    def takes(self, row: Row) -> bool:
        """Whether the versions know the row's exchange; where none knows any, all are taken.

        The same of a post and its publisher.
        """
        if row.kind == "fill":  # which is the book's alone
            return False
        if row.kind == "post":
            publishers = () if self._sentiment is None else self._sentiment.publishers
            return not publishers or row.exchange in publishers
        if row.kind == "index":
            return True
        kernel = self._liquidations if row.kind == "liquidations" else self._market
        exchanges = () if kernel is None else kernel.exchanges
        return row.kind == "columns" or not exchanges or row.exchange in exchanges

    def row(self, row: Row) -> None:
        """Observe a row of another kind; it counts from the first bar after it on.

        A row that no champion takes is left aside.

        Raises:
            InputError: the versions don't know the exchange.
        """
        if row.kind == "columns":
            self._columns.setdefault(row.time, {}).update(
                {name: x for name, x in row.values.items() if row.available <= row.time}
            )
            self.given.update(row.values)
            return
        self.given.add(row.kind)
        _TAKEN[row.kind](self, row)

    def _post(self, row: Row) -> None:
        if self._sentiment is not None and max(row.time, row.available) > self._posts_from:
            self._sentiment.post(row.exchange, row.time, row.available, row.values["score"])

    def _index(self, row: Row) -> None:
        if self._sentiment is not None:
            self._sentiment.index(row.time, row.available, row.values["value"])

    def _minute(self, row: Row) -> None:
        if self._liquidations is not None:
            amounts = row.values["long_usd"], row.values["short_usd"]
            self._liquidations.minute(row.exchange, row.time, row.available, *amounts)

    def _funding(self, row: Row) -> None:
        if self._market is not None:
            numbers = row.values["rate"], row.values["interval_hours"]
            self._market.funding(row.exchange, row.time, row.available, *numbers)

    def _open_interest(self, row: Row) -> None:
        if self._market is not None:
            numbers = row.values["base"], row.values.get("usd", math.nan)
            self._market.open_interest(row.exchange, row.time, row.available, *numbers)

    def columns_of(self, names: Iterable[str]) -> slice | NDArray[np.int64]:
        """Where a model's inputs are in a row."""
        places = [self.names.index(name) for name in names]
        if places == list(range(places[0], places[0] + len(places))):
            return slice(places[0], places[0] + len(places))
        return np.array(places, dtype=np.int64)


_TAKEN = {
    "post": Observations._post,
    "index": Observations._index,
    "liquidations": Observations._minute,
    "funding": Observations._funding,
    "open_interest": Observations._open_interest,
}


def _any(loaded: Loaded, features: Sequence[str]) -> bool:
    return any(set(v.data.names) & set(features) for v in loaded.versions)


def _own(loaded: Loaded) -> list[str]:
    return sorted({name for version in loaded.versions for name in version.own})


def _names(loaded: Loaded) -> tuple[str, ...]:
    """All inputs of a symbol's champions: of bars, of other kernels, their own."""
    others = (name for names, _ in _KERNELS.values() if _any(loaded, names) for name in names)
    return (*FEATURES, *others, *_own(loaded))


def _depth(loaded: Loaded) -> int:
    return max(version.data.look_back for version in loaded.versions)


class _Resumed(Protocol):
    """A kernel that is made for its sources, or goes on from a state."""

    def __init__(self, sources: Sequence[str]) -> None: ...

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self: ...


_Kernel = TypeVar("_Kernel", bound=_Resumed)


def _kernel(
    made: type[_Kernel], kernel: str, loaded: Loaded, start: LoadedVersion
) -> _Kernel | None:
    """A kernel as its training left it, or anew; None where no champion has its features."""
    names, sources = _KERNELS[kernel]
    if not _any(loaded, names):
        return None
    arrays = _arrays(loaded, start, kernel)
    if arrays is not None:
        return made.from_arrays(arrays)
    return made(_known(loaded, start, kernel, sources))


def _arrays(loaded: Loaded, start: LoadedVersion, kernel: str) -> Arrays | None:
    """A kernel's state of the version, or of any other that was trained until the same bar.

    None: of no version at this bar, and what is given from here on alone counts.
    """
    for version in _versions(loaded, start):
        arrays: Arrays = getattr(version.data.memory, kernel)
        if arrays and version.data.trained_until_ns == start.data.trained_until_ns:
            return arrays
    return None


def _known(loaded: Loaded, start: LoadedVersion, kernel: str, sources: str) -> list[str]:
    """The exchanges or publishers of the training."""
    states = (getattr(v.data.memory, kernel) for v in _versions(loaded, start))
    names: list[str] = next(state for state in states if state)[sources].tolist()
    return names


def _versions(loaded: Loaded, start: LoadedVersion) -> list[LoadedVersion]:
    return [start, *reversed(loaded.versions)]


def basis_of(loaded: Loaded, start: LoadedVersion) -> str:
    """What observations from a version's end of training on begin with, as a digest."""
    data, newest = start.data, loaded.newest.data
    states = [data.memory.features, newest.memory.regimes]
    for kernel, (names, sources) in _KERNELS.items():
        if _any(loaded, names):
            arrays = _arrays(loaded, start, kernel)
            known = np.array(_known(loaded, start, kernel, sources))
            states.append({sources: known} if arrays is None else arrays)
    digest = hashlib.sha256(repr((_names(loaded), _depth(loaded), data.names)).encode())
    digest.update(np.ascontiguousarray(data.recent[-_depth(loaded) :]).tobytes())
    for state in states:
        for name in sorted(state):
            array = np.ascontiguousarray(state[name])
            digest.update(f"{name} {array.dtype} {array.shape} ".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
