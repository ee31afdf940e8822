"""A process that serves versions from folders, as ``brain serve`` does those of a registry.

    python -m benchmarks.http_ours FOLDER [FOLDER ...]

Each folder is one version, champion of all regimes; the first one is served. Prints its port. A
number on standard input reloads champions so often, the next folder's each time, and is answered
by ``done``.
"""

from __future__ import annotations

import sys
import threading
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


class _Folders:
    """A source of champions: the versions of some folders, in turn."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders, self.turn = folders, 0
        self.digests = [write_manifest(folder) for folder in folders]
        self.data = [ExecutorData.from_bytes((f / EXECUTOR).read_bytes()) for f in folders]

    def champions(
        self,
        symbol: str | ModelKey | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Sequence[Champion]:
        del symbol, timeframe, horizon
        place = self.turn % len(self.folders)
        data, version = self.data[place], place + 1
        key = ModelKey(data.symbol, data.timeframe, data.horizon)
        record = CellRecord(
            version=version, digest=self.digests[place], family=parse_family(data.family),
            recipe="", trained_until="", provisional=False, reason="", bars=None, episodes=None,
            decided="",
        )  # fmt: skip
        return [Champion(key.name, key, regime, version, record) for regime in REGIMES]

    def files(self, model_id: str) -> Mapping[str, bytes]:
        folder = self.folders[int(model_id.rpartition("/")[2]) - 1]
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def main() -> None:
    """Serve until standard input ends."""
    source = _Folders([Path(folder) for folder in sys.argv[1:]])
    settings = ServeSettings(port=0, limits=Limits.off(), refresh_seconds=_NEVER)
    with desk(settings, lambda: source) as (hamilton, server):

        def obey() -> None:
            for line in sys.stdin:
                for _ in range(int(line)):
                    source.turn += 1
                    hamilton.reload(hamilton.keys[0])
                print("done", flush=True)
            server.stop()

        settle()
        threading.Thread(target=obey, daemon=True).start()
        server.run(lambda: print(server.address.rpartition(":")[2], flush=True))


if __name__ == "__main__":
    main()
