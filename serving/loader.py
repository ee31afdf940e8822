"""From a champion's cell to a version in memory: checked, proven, kept on a disk, then loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from brain.artifacts import EXECUTOR_FILES
from brain.champion_source import ChampionSource
from brain.errors import BrainError
from brain.manifest import check_contents
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Family
from serving.cache import ChampionCache
from serving.champions import (
    Cell,
    Loaded,
    LoadedChampion,
    LoadedVersion,
    Versions,
    load_champions,
)
from serving.proving import Prover

__all__ = ["Loader", "libraries"]

_LIBRARIES = ("lightgbm", "numpy", "onnxruntime", "xgboost")


class Loader:
    """Loads versions from the cache, or else from a source.

    Args:
        models: where files are from that the cache hasn't got.
        cache: of champions; None for none.
        prover: proves every version before it is loaded here; None if none is to.
    """

    def __init__(
        self, models: ChampionSource, cache: ChampionCache | None, prover: Prover | None
    ) -> None:
        self._models, self._cache, self._prover = models, cache, prover
        self._versions = Versions(self._load)

    def expect(self, families: Iterable[Family]) -> None:
        """Have the libraries of families loaded where versions are proven, while files come."""
        if self._prover is not None:
            self._prover.expect(families)

    def load(self, key: ModelKey, cells: Sequence[Cell]) -> Loaded:
        """The champions of cells, see :func:`serving.champions.load_champions`."""
        return load_champions(self._versions, key, cells)

    def succeed(self, former: Loaded, cells: Sequence[Cell]) -> tuple[Loaded, dict[int, str]]:
        """The champions of cells; where one can't be loaded, or there is none, the former one.

        Returns:
            The champions, and why some are not those of the cells, by the regime's code.
        """
        champions: dict[int, LoadedChampion] = {}
        try:
            wanted = load_champions(self._versions, former.key, cells)
        except BrainError as error:
            faults = {REGIMES.index(c.regime): f"{c.version} can't be used: {error}" for c in cells}
        else:
            faults, champions = dict(wanted.failures), dict(wanted.champions)
        for code, champion in former.champions.items():
            if code not in champions:
                gone = f"the registry has no champion for regime {REGIMES[code]} any more"
                faults.setdefault(code, gone)
                faults[code] += f"; {champion.version.id} stays"
                champions[code] = champion
        served = {code: champion.cell for code, champion in champions.items()}
        named = {REGIMES.index(cell.regime): cell for cell in cells}
        all_cells = [(named | served)[code] for code in sorted(named | served)]
        failures = {code: fault for code, fault in faults.items() if code not in champions}
        return Loaded(former.key, tuple(all_cells), champions, failures), faults

    def _load(self, cell: Cell) -> LoadedVersion:
        kept_in = self._cache
        kept = kept_in.files(cell.digest) if kept_in else None
        if kept_in and kept is not None and kept_in.proof(cell.digest) == libraries():
            return LoadedVersion(cell, kept)
        if self._prover is not None:
            self._prover.start()  # while the files come
        files = kept if kept is not None else self._fetched(cell)
        if self._prover is not None:
            self._prover.prove(cell, files)
        loaded = LoadedVersion(cell, files)
        if kept_in is not None:
            kept_in.keep_version(cell.digest, files, proof=libraries())
        return loaded

    def _fetched(self, cell: Cell) -> dict[str, bytes]:
        """A version's files from the source, checked by the digest."""
        fetched = self._models.files(cell.version)
        files = {name: fetched[name] for name in EXECUTOR_FILES if name in fetched}
        check_contents(files, cell.digest)
        return files


@cache
def libraries() -> str:
    """The libraries that models are read by, with their versions: what a proof depends on."""
    return ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)


def _version(name: str) -> str:
    # Reading what is installed takes long to import, and most starts without a cache don't.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
