"""The executor's side: champions in memory, and from a bar's close to a decision.

>>> from serving import Hamilton, Limits
>>> hamilton = Hamilton(models, ["BTC/USDT"], limits=Limits(), journal="journal")  # doctest: +SKIP
>>> hamilton.bar("BTC/USDT", 7990., 8010., 7985., 8001., 12.5, close_time)         # doctest: +SKIP

Imports the standard-library part of brain and, of engine, the kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from serving.asynchronous import AsyncHamilton as AsyncHamilton
    from serving.champions import LoadedChampion as LoadedChampion
    from serving.decision import Decision as Decision
    from serving.hamilton import Hamilton as Hamilton
    from serving.health import Health as Health
    from serving.limits import Limits as Limits
    from serving.refresher import Refresh as Refresh
    from serving.remote.registry import RemoteRegistry as RemoteRegistry

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "serving.asynchronous": "AsyncHamilton",
        "serving.champions": "LoadedChampion",
        "serving.decision": "Decision",
        "serving.hamilton": "Hamilton",
        "serving.health": "Health",
        "serving.limits": "Limits",
        "serving.refresher": "Refresh",
        "serving.remote.registry": "RemoteRegistry",
    },
)
