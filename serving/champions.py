"""Champions in memory: their files checked by digest before any parser, loaded once, then fast."""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brain.artifacts import EXECUTOR, MANIFEST
from brain.champion_source import ChampionSource
from brain.errors import BrainError, InputError, ModelIntegrityError, NoChampionError
from brain.manifest import check_bytes
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Family, Regime, parse_family, parse_model_id
from brain.records import Champion
from brain.sizing import aged
from engine.kernels.dictionary import ENTRIES
from engine.kernels.executor_data import ExecutorData
from engine.kernels.market_features import MARKET_FEATURES
from serving.predictors import Predictor, load

__all__ = [
    "Cell",
    "Load",
    "Loaded",
    "LoadedChampion",
    "LoadedVersion",
    "Versions",
    "age_days",
    "as_json",
    "cell_of",
    "load_champions",
    "load_from",
]

logger = logging.getLogger(__name__)

_BASIS_POINTS = 1e4


@dataclass(frozen=True, slots=True)
class Cell:
    """What a journal keeps of a champion.

    Attributes:
        regime: of the cell.
        version: model id.
        digest: of the version's files.
        confidence: in the version's net profit in the regime; None is unknown.
        size: 0 to 1 of the largest position, as it was judged; None if it was not.
        size_reason: why it is 0 or lowered.
        age: the factor of the version's age in the size.
    """

    regime: Regime
    version: str
    digest: str
    confidence: float | None
    size: float | None = None
    size_reason: str = ""
    age: float = 1.0

    def size_at(self, days: float) -> float | None:
        """The size where the version's training ended so many days ago; None if none was judged."""
        return aged(self.size, self.age, days) if self.size else self.size


def cell_of(champion: Champion) -> Cell:
    """The cell of a registry's champion."""
    record = champion.record
    return Cell(
        champion.regime,
        champion.model_id,
        record.digest,
        record.confidence,
        record.size,
        record.size_reason,
        record.age_factor,
    )


class LoadedVersion:
    """A version's predictor, and what an executor needs beside it.

    Attributes:
        id, number: model id, and its number.
        key: what it is of, by its own data.
        digest: of its files.
        data: what it carries for an executor.
        family: of the version.
        predictor: of its model.
        needs: what must be given beside bars: ``funding``, ``open_interest``, ``liquidations``,
            ``post``, ``index``, and its own columns.
    """

    def __init__(self, cell: Cell, files: Mapping[str, bytes]) -> None:
        self.id, self.digest = cell.version, cell.digest
        self.number = parse_model_id(cell.version)[1]
        read = _reader(files, cell)
        self.data = ExecutorData.from_bytes(read(EXECUTOR))
        self.key = ModelKey(self.data.symbol, self.data.timeframe, self.data.horizon)
        self.family: Family = parse_family(self.data.family)
        self.predictor: Predictor = load(read, self.data)
        self.needs = _needs(self.data)
        rule = self.data.rule
        self.threshold, self.cost = rule.threshold, rule.cost / _BASIS_POINTS
        self._slopes = rule.slopes_of(np.arange(-1, len(REGIMES), dtype=np.int8)).tolist()
        self._root = math.sqrt(rule.horizon)

    def gain(self, prediction: float, volatility: float, code: int) -> float:
        """As :meth:`engine.kernels.position.PositionRule.gain`, of one row, to the last bit."""
        return float(self._slopes[code + 1] * prediction * volatility * self._root * _BASIS_POINTS)

    @property
    def own(self) -> list[str]:
        """Its own columns."""
        return [name for name in self.data.names if name not in _KNOWN]


def _reader(files: Mapping[str, bytes], cell: Cell) -> Callable[[str], bytes]:
    """Gives a file's bytes once they are those that were registered."""

    def read(name: str) -> bytes:
        for needed in (MANIFEST, name):
            if needed not in files:
                raise ModelIntegrityError(
                    f"{cell.version} has no {needed}; train it anew for an executor"
                )
        # Each is taken once: another look at a file could find other bytes than those checked.
        manifest, content = bytes(files[MANIFEST]), bytes(files[name])
        check_bytes(manifest, cell.digest, {name: content})
        return content

    return read


_KNOWN = frozenset(entry.name for entry in ENTRIES)


def _needs(data: ExecutorData) -> frozenset[str]:
    needs = set(data.names) - _KNOWN
    for name in set(data.names) & set(MARKET_FEATURES):
        needs.add("funding" if name.startswith("funding") else "open_interest")
    # Of what its training had.
    for kind, array in (("post", "publishers"), ("index", "index")):
        if len(data.memory.sentiment.get(array, ())):
            needs.add(kind)
    if len(data.memory.liquidations.get("exchanges", ())):
        needs.add("liquidations")
    return frozenset(needs)


@dataclass(frozen=True)
class LoadedChampion:
    """A cell's champion."""

    cell: Cell
    version: LoadedVersion

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs in their order."""
        return tuple(self.version.data.names)

    @property
    def look_back(self) -> int:
        """Rows that a prediction needs, its own included."""
        return int(self.version.data.look_back)

    def predict(self, values: Mapping[str, float] | NDArray[np.float64]) -> float:
        """The prediction of inputs, whoever made them; NaN is unknown.

        Args:
            values: by name, where the model looks at one row; or an array in the order of
                ``names``, (F,) for one row, else (look_back, F), oldest first. NaN is missing.

        Raises:
            InputError: a name is missing or unknown, or shape, type or a value is none that fits.
        """
        if isinstance(values, Mapping):
            return self.version.predictor.predict_mapping(values)
        return self.version.predictor.predict(values)


@dataclass(frozen=True)
class Loaded:
    """The champions of one symbol that could be loaded.

    Attributes:
        key: of the symbol's model.
        cells: of all champions, also of those that can't be loaded.
        champions: by the regime's code.
        failures: why there is none, by the regime's code.
    """

    key: ModelKey
    cells: tuple[Cell, ...]
    champions: Mapping[int, LoadedChampion]
    failures: Mapping[int, str]

    @cached_property
    def newest(self) -> LoadedVersion:
        """The version that was trained last: its regimes and its cost count."""
        return newest_of(self.champions)

    @cached_property
    def sole(self) -> LoadedChampion | None:
        """That of the first regime, where all have the same version; None if they have several."""
        digests = {champion.version.digest for champion in self.champions.values()}
        return self.champions[min(self.champions)] if len(digests) == 1 else None

    @property
    def versions(self) -> list[LoadedVersion]:
        """Each once, oldest first."""
        by_id = {c.version.id: c.version for c in self.champions.values()}
        return sorted(by_id.values(), key=lambda version: version.data.trained_until_ns)


#: Gives a cell's version, its files checked by digest; raises a BrainError if it can't be used.
Load = Callable[[Cell], LoadedVersion]


class Versions:
    """Versions in memory, each once: those that are in use, and those that are kept.

    Args:
        load: a version that is not in memory.
        keep: whether versions stay that nobody else uses any more.
    """

    def __init__(self, load: Load, *, keep: bool = False) -> None:
        self._load = load
        self._by_digest: MutableMapping[str, LoadedVersion] = (
            {} if keep else weakref.WeakValueDictionary()
        )

    def __call__(self, cell: Cell) -> LoadedVersion:
        version = self._by_digest.get(cell.digest)
        if version is None or version.id != cell.version:
            version = self._by_digest[cell.digest] = self._load(cell)
        return version


def load_from(models: ChampionSource) -> Load:
    """Loads versions by their files from a source."""
    return lambda cell: LoadedVersion(cell, models.files(cell.version))


def load_champions(load: Load, key: ModelKey, cells: Sequence[Cell]) -> Loaded:
    """The champions of a symbol's cells; one that can't be loaded is told, and the others are.

    Args:
        load: a cell's version.
        key: of the cells.
        cells: of one symbol's model.

    Raises:
        BrainError: none of them can be loaded: the first one's error.
        NoChampionError: there is no cell.
    """
    versions: dict[str, LoadedVersion | BrainError] = {}
    champions: dict[int, LoadedChampion] = {}
    failures: dict[int, str] = {}
    for cell in cells:
        code = REGIMES.index(cell.regime)
        if cell.digest not in versions:
            versions[cell.digest] = _loaded(load, key, cell)
        version = versions[cell.digest]
        if isinstance(version, BrainError):
            failures[code] = f"{cell.version} can't be used: {version}"
        else:
            champions[code] = LoadedChampion(cell, version)
    if not champions:
        none = NoChampionError(f"{key} has no champion; run the nightly job for it")
        raise next((v for v in versions.values() if isinstance(v, BrainError)), none)
    return Loaded(key, tuple(cells), champions, failures)


def newest_of(champions: Mapping[int, LoadedChampion]) -> LoadedVersion:
    """The version that was trained last."""
    versions = (champion.version for champion in champions.values())
    return max(versions, key=lambda v: (v.data.trained_until_ns, v.number))


def _loaded(load: Load, key: ModelKey, cell: Cell) -> LoadedVersion | BrainError:
    try:
        version = load(cell)
        if version.key != key:
            raise InputError(f"{cell.version} is of {version.key}, and not of {key}")
        return version
    except BrainError as error:
        logger.error("left out %s, champion of %s: %s", cell.version, cell.regime, error)
        return error


def age_days(version: LoadedVersion, close_ns: int) -> float:
    """Days from the last bar of a version's training to a bar's close."""
    return (close_ns - version.data.trained_until_ns) / (86_400 * 1e9)


def as_json(cell: Cell) -> dict[str, Any]:
    """A cell as a journal keeps it."""
    entry = {"version": cell.version, "digest": cell.digest, "confidence": cell.confidence}
    return entry | {"size": cell.size, "size_reason": cell.size_reason, "age": cell.age}
