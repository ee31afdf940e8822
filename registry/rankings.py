"""Rankings of every night in MLflow, by symbol and date.

A night's rankings of a symbol are one small document, ``rankings.json``, on a separate run with the
tags ``symbol`` and ``date``. The date is written last, so a run with a date has its document. A
month of a symbol is one search and thirty small files, on any store.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from brain.artifacts import RANKINGS
from brain.errors import ArtifactStoreError
from brain.naming import Role, Tag
from registry.mlflow_errors import library_errors
from registry.paging import all_pages, experiment_ids
from registry.runs import Run

__all__ = ["read_rankings", "write_rankings"]

_PAGE = 1000
_DOWNLOADS = 8


def write_rankings(run: Run, symbol: str, date: dt.date, document: Mapping[str, Any]) -> None:
    """Store a symbol's rankings of one night.

    Args:
        run: of this symbol and night alone; it gets the tags by which
            :func:`registry.rankings.read_rankings` searches.
        symbol, date: of the rankings.
        document: of JSON types.
    """
    run.document(document, RANKINGS)
    run.tag({Tag.ROLE: Role.ANALYSIS, Tag.SYMBOL: symbol})
    run.tag({Tag.DATE: date.isoformat()})


def read_rankings(
    client: MlflowClient, symbol: str, since: dt.date, until: dt.date
) -> list[tuple[dt.date, dict[str, Any]]]:
    """The documents of a symbol's nights from one date until another, both included.

    Returns:
        Date and document, earliest first; several of one night by the start of their runs.

    Raises:
        ArtifactStoreError: a document is missing or can't be read.
    """
    nights = [night for night in _nights(client, symbol) if since <= night.date <= until]
    documents = _documents(client, nights)
    return [(night.date, document) for night, document in zip(nights, documents, strict=True)]


@dataclass(frozen=True, order=True)
class _Night:
    """A run with a document."""

    date: dt.date
    start_time: int
    run_id: str


def _nights(client: MlflowClient, symbol: str) -> list[_Night]:
    """The symbol's dated runs in all experiments, earliest first."""
    with library_errors(client.tracking_uri, f"look up the rankings of {symbol}"):
        experiments = experiment_ids(client)
        runs = all_pages(
            lambda token: client.search_runs(
                experiments,
                filter_string=f"tags.{Tag.SYMBOL} = '{symbol}' AND tags.{Tag.DATE} LIKE '%'",
                max_results=_PAGE,
                page_token=token,
            )
        )
    return sorted(
        _Night(dt.date.fromisoformat(run.data.tags[Tag.DATE]), run.info.start_time, run.info.run_id)
        for run in runs
    )


def _documents(client: MlflowClient, nights: Sequence[_Night]) -> list[dict[str, Any]]:
    with (
        tempfile.TemporaryDirectory(prefix="brain-") as scratch,
        ThreadPoolExecutor(_DOWNLOADS) as pool,
    ):
        return list(pool.map(lambda night: _document(client, night, Path(scratch)), nights))


def _document(client: MlflowClient, night: _Night, scratch: Path) -> dict[str, Any]:
    folder = scratch / night.run_id
    folder.mkdir()
    doing = f"read the rankings of {night.date} from run {night.run_id}"
    with library_errors(client.tracking_uri, doing):
        try:
            path = client.download_artifacts(night.run_id, RANKINGS, str(folder))
            return dict(json.loads(Path(path).read_text()))
        except (MlflowException, OSError, ValueError) as error:
            raise ArtifactStoreError(
                f"could not {doing}: {error}; restore the file or delete the run"
            ) from error
