"""A night that was stopped before it was complete, and what stays for the start that continues it.

Every start of a night has a run. Those after the first are tagged with the first one's id, and have
its number and day. A symbol's run is tagged as complete when all of its work is stored.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mlflow import MlflowClient
from mlflow.entities import Run as LoggedRun
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from brain.brief import Brief
from brain.naming import Role, Tag
from registry.mlflow_errors import library_errors
from registry.paging import all_pages

__all__ = ["CompleteSymbol", "StoppedNight", "find_stopped_night"]

# A start after that is the next night's.
_HOURS = 12
_PAGE = 1000


@dataclass(frozen=True)
class CompleteSymbol:
    """A symbol whose part of a night is done.

    Attributes:
        run_id: of the symbol's run, which has its part of the night's summary.
        bars: digest of the bars.
        trained_until: close time of the last one.
    """

    run_id: str
    bars: str
    trained_until: str


@dataclass(frozen=True, repr=False)
class StoppedNight(Brief):
    """A night without its end.

    Attributes:
        run_id: of its first start.
        name: of that run.
        number, day: of that run, see :class:`registry.runs.Run`.
        symbols: those that are complete.
    """

    run_id: str
    name: str
    number: int
    day: str
    symbols: Mapping[str, CompleteSymbol]

    def __str__(self) -> str:
        symbols = ", ".join(sorted(self.symbols)) or "no symbol"
        return f"Continues the {self.name}, which was stopped: complete there, {symbols}."


def find_stopped_night(
    client: MlflowClient, experiment_id: str, settings: str
) -> StoppedNight | None:
    """The latest night of these settings if it was stopped, within the last twelve hours.

    Args:
        client: of the tracking server.
        experiment_id: of the nights.
        settings: digest of the settings.

    Returns:
        The night; None if the latest one is complete, still runs, or is too long ago.
    """
    with library_errors(client.tracking_uri, "look for a stopped night"):
        latest = client.search_runs(
            [experiment_id],
            filter_string=(
                f"tags.{Tag.ROLE} = '{Role.NIGHT}' AND tags.{Tag.SETTINGS} = '{settings}'"
            ),
            order_by=["attributes.start_time DESC"],
            max_results=1,
        )
        if not latest or latest[0].info.status == "RUNNING" or Tag.COMPLETE in latest[0].data.tags:
            return None
        first = client.get_run(latest[0].data.tags.get(Tag.CONTINUES, latest[0].info.run_id))
        if time.time() - first.info.start_time / 1000 > _HOURS * 3600:
            return None
        starts = {first.info.run_id} | {
            run.info.run_id
            for run in _search(
                client, experiment_id, f"tags.{Tag.CONTINUES} = '{first.info.run_id}'"
            )
        }
        complete = _search(
            client,
            experiment_id,
            f"tags.{Tag.ROLE} = '{Role.SYMBOL}' AND tags.{Tag.COMPLETE} LIKE '%' "
            f"AND tags.{Tag.NIGHT} = '{first.data.tags[Tag.NIGHT]}'",
        )
    return StoppedNight(
        run_id=first.info.run_id,
        name=first.info.run_name,
        number=int(first.data.tags[Tag.NIGHT]),
        day=f"{datetime.fromtimestamp(first.info.start_time / 1000, UTC):%Y-%m-%d}",
        symbols={
            run.data.tags[Tag.SYMBOL]: CompleteSymbol(
                run.info.run_id, run.data.tags[Tag.BARS], run.data.tags[Tag.TRAINED_UNTIL]
            )
            for run in complete
            if run.data.tags.get(MLFLOW_PARENT_RUN_ID) in starts
        },
    )


def _search(client: MlflowClient, experiment_id: str, filter_string: str) -> list[LoggedRun]:
    """All runs that the filter names, the earliest first."""
    runs: list[LoggedRun] = all_pages(
        lambda token: client.search_runs(
            [experiment_id],
            filter_string=filter_string,
            order_by=["attributes.start_time ASC"],
            max_results=_PAGE,
            page_token=token,
        )
    )
    return runs
