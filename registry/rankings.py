"""Rankings of every night in MLflow, by symbol and date.

A night's rankings of a symbol are one small document, ``rankings.json``, on a separate run with the
tags ``symbol``, ``timeframe``, ``horizon`` and ``date``. The date is written last, so a run with a
date has its document. A month of a model is one search and thirty small files, on any store.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow import MlflowClient

from brain.artifacts import RANKINGS
from brain.model_keys import ModelKey, ModelQuery
from brain.naming import Role, Tag, symbol_name
from registry.documents import read_documents
from registry.mlflow_errors import library_errors
from registry.models import find_models
from registry.paging import all_pages, experiment_ids
from registry.runs import Run

__all__ = ["read_rankings", "write_rankings"]

_PAGE = 1000


def write_rankings(run: Run, key: ModelKey, date: dt.date, document: Mapping[str, Any]) -> None:
    """Store a model's rankings of one night.

    Args:
        run: of this model and night alone; it gets the tags by which
            :func:`registry.rankings.read_rankings` searches.
        key, date: of the rankings.
        document: of JSON types.
    """
    run.document(document, RANKINGS)
    run.tag({Tag.ROLE: Role.ANALYSIS, **key.tags})
    run.tag({Tag.DATE: date.isoformat()})


def read_rankings(
    client: MlflowClient, query: ModelQuery, since: dt.date, until: dt.date
) -> list[tuple[dt.date, dict[str, Any]]]:
    """The documents of a model's nights from one date until another, both included.

    Returns:
        Date and document, earliest first; several of one night by the start of their runs.

    Raises:
        AmbiguousModelError: several models with rankings fit.
        ArtifactStoreError: a document is missing or can't be read.
    """
    every = _nights(client, query.symbol)
    keys = {night.key for night in every if night.key is not None}
    key = query.choose({key: key.name for key in keys})
    if key is None and (query.timeframe or query.horizon):
        return []  # what is of an unknown key is not known to be of that one
    nights = [night for night in every if night.key == key and since <= night.date <= until]
    runs = {night.run_id: f"the rankings of {night.date}" for night in nights}
    documents = read_documents(client, runs, RANKINGS)
    return [(night.date, document) for night, document in zip(nights, documents, strict=True)]


@dataclass(frozen=True)
class _Night:
    """A run with a document; the key is None if it is unknown."""

    date: dt.date
    start_time: int
    run_id: str
    key: ModelKey | None


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
    # Runs from before models had keys are those of the model under the plain name.
    untagged = any(Tag.HORIZON not in run.data.tags for run in runs)
    plain = _plain_key(client, symbol) if untagged else None
    nights = [
        _Night(
            dt.date.fromisoformat(run.data.tags[Tag.DATE]),
            run.info.start_time,
            run.info.run_id,
            _key(run.data.tags, plain),
        )
        for run in runs
    ]
    return sorted(nights, key=lambda night: (night.date, night.start_time, night.run_id))


def _key(tags: Mapping[str, str], plain: ModelKey | None) -> ModelKey | None:
    if Tag.HORIZON not in tags:
        return plain
    return ModelKey(tags[Tag.SYMBOL], tags[Tag.TIMEFRAME], int(tags[Tag.HORIZON]))


def _plain_key(client: MlflowClient, symbol: str) -> ModelKey | None:
    keys = (model.key for model in find_models(client, symbol) if model.name == symbol_name(symbol))
    return next(keys, None)
