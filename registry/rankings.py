"""Rankings of every night in MLflow, by symbol and date.

A night's rankings of a symbol are one small document, ``rankings.json``, on a separate run with the
tags ``symbol`` and ``date``. The date is written last, so a run with a date has its document. A
month of a symbol is one search and thirty small files, on any store.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient

from brain.artifacts import RANKINGS
from brain.naming import Role, Tag
from registry.documents import read_documents
from registry.mlflow_errors import library_errors
from registry.paging import all_pages, experiment_ids
from registry.runs import Run

__all__ = ["read_rankings", "write_rankings"]

_PAGE = 1000


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
    runs = {night.run_id: f"the rankings of {night.date}" for night in nights}
    documents = read_documents(client, runs, RANKINGS)
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
