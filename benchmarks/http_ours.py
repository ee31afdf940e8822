"""A process that serves a version from a folder, as ``brain serve`` does those of a registry.

    python -m benchmarks.http_ours FOLDER

The version is the champion of all regimes. Prints its port.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from brain.artifacts import EXECUTOR
from brain.manifest import write_manifest
from brain.model_keys import ModelKey
from brain.naming import REGIMES, parse_family
from brain.records import CellRecord, Champion
from engine.kernels.executor_data import ExecutorData
from serving.http.command import desk, settle
from serving.http.settings import ServeSettings
from serving.limits import Limits

__all__ = ["main"]

_NEVER = 86_400.0


class _Folder:
    """A source of champions: the version of a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.digest = folder, write_manifest(folder)
        self.data = ExecutorData.from_bytes((folder / EXECUTOR).read_bytes())

    def champions(
        self,
        symbol: str | ModelKey | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Sequence[Champion]:
        del symbol, timeframe, horizon
        key = ModelKey(self.data.symbol, self.data.timeframe, self.data.horizon)
        record = CellRecord(
            version=1, digest=self.digest, family=parse_family(self.data.family), recipe="",
            trained_until="", provisional=False, reason="", bars=None, episodes=None, decided="",
        )  # fmt: skip
        return [Champion(key.name, key, regime, record.version, record) for regime in REGIMES]

    def files(self, model_id: str) -> Mapping[str, bytes]:
        del model_id
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}


def main() -> None:
    """Serve until a signal."""
    source = _Folder(Path(sys.argv[1]))
    settings = ServeSettings(port=0, limits=Limits.off(), refresh_seconds=_NEVER)
    with desk(settings, lambda: source) as (_, server):
        settle()
        server.run(lambda: print(server.address.rpartition(":")[2], flush=True))


if __name__ == "__main__":
    main()
