"""The rankings of every night, logged on runs and read back as a frame."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from analysis.documents import rankings_document
from analysis.results import COLUMNS, Method, ModelAnalysis, parse_method, ranking_frame
from brain.errors import InputError
from brain.model_keys import ModelKey
from registry.rankings import write_rankings

if TYPE_CHECKING:
    import pandas as pd

    from registry.library import BrainLibrary
    from registry.runs import Run

__all__ = ["Rankings", "parse_date"]

_FEATURE_COLUMNS = COLUMNS[COLUMNS.index("feature") :]


def parse_date(value: dt.date | str) -> dt.date:
    """A date from one, or from ISO 8601; of a moment with a zone, the date in UTC.

    Raises:
        InputError: it is neither.
    """
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise InputError(f"{value!r} is not a date; write it as 2020-12-31") from None
    if isinstance(moment, dt.datetime):
        moment = moment.astimezone(dt.UTC) if moment.tzinfo else moment
        return moment.date()
    if isinstance(moment, dt.date):
        return moment
    raise InputError(f"{value!r} is not a date; write it as 2020-12-31")


class Rankings:
    """The rankings of all symbols.

    Every method raises TrackingUnreachableError if the tracking server does not answer,
    ArtifactStoreError if documents can't be stored or read, and LibraryError if the server refuses.

    Args:
        library: whose runs hold them.
    """

    def __init__(self, library: BrainLibrary) -> None:
        self.library = library

    def write(
        self, run: Run, key: ModelKey, date: dt.date | str, models: Sequence[ModelAnalysis]
    ) -> None:
        """Log a model's rankings of one night.

        Args:
            run: of this model and night alone; it gets the tags that :meth:`read` looks for.
            key, date: of the rankings.
            models: the analysed versions.

        Raises:
            InputError: the date is none.
        """
        date = parse_date(date)
        write_rankings(run, key, date, rankings_document(key, date, models))

    def read(
        self,
        symbol: str | ModelKey,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
        since: dt.date | str | None = None,
        until: dt.date | str | None = None,
        method: Method | str | None = None,
    ) -> pd.DataFrame:
        """A symbol's rankings.

        Where a version was analysed twice in one night, the later analysis counts.

        Args:
            symbol: the symbol.
            timeframe, horizon: of the models; those of the only one with rankings if None.
            since, until: first and last night, both included; no bound if None.
            method: only this one; all if None.

        Returns:
            A frame as of :func:`analysis.results.ranking_frame`; empty if there are no rankings.

        Raises:
            InputError: the symbol, a date or the method is none.
            AmbiguousModelError: several models have rankings.
        """
        method = None if method is None else parse_method(method)
        first = dt.date.min if since is None else parse_date(since)
        last = dt.date.max if until is None else parse_date(until)
        latest: dict[tuple[dt.date, str], Mapping[str, Any]] = {}
        documents = self.library.rankings(symbol, first, last, timeframe=timeframe, horizon=horizon)
        for date, document in documents:
            for model in document["models"]:
                latest[date, model["model_id"]] = model
        return ranking_frame(
            row for (date, _), model in latest.items() for row in _rows(date, model, method)
        )


def _rows(
    date: dt.date, model: Mapping[str, Any], method: Method | None
) -> Iterator[tuple[Any, ...]]:
    """A model's rows of :func:`analysis.results.ranking_frame`, by one method or all."""
    for name, ranking in model["rankings"].items():
        if method in {None, name}:
            for values in zip(*(ranking[column] for column in _FEATURE_COLUMNS), strict=True):
                yield (date, model["family"], model["model_id"], name, *values)
