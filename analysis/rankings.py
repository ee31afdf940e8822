"""Rankings of every night as tidy frames, and as the documents that the library keeps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from analysis.results import Method, ModelAnalysis, parse_method
from analysis.tables import plain
from brain.errors import InputError
from brain.naming import parse_model_id, parse_symbol
from brain.text import finite
from registry.rankings import write_rankings

if TYPE_CHECKING:
    import pandas as pd

    from registry.library import BrainLibrary
    from registry.runs import Run

__all__ = ["COLUMNS", "Rankings", "pack", "parse_date", "tidy"]

#: Columns of the frames that are read back.
COLUMNS = (
    "date",
    "family",
    "model_id",
    "method",
    "feature",
    "importance",
    "share",
    "rank",
    "error",
)

_FORMAT = 1


def parse_date(value: dt.date | str) -> dt.date:
    """A date, given as one or as ISO 8601; of a moment with a zone, the date in UTC.

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


def tidy(found: Iterable[tuple[dt.date, Mapping[str, Any]]]) -> pd.DataFrame:
    """Packed models of many nights as a frame with the columns :data:`COLUMNS`.

    Returns:
        One line per feature, ``date`` as midnight without a zone, ``rank`` an integer, unknown
        figures NaN; ordered by date, family, version, method and rank.
    """
    import pandas as pd

    order = sorted(found, key=lambda f: (f[0], f[1]["family"], parse_model_id(f[1]["model_id"])))
    rows = [
        (date, model["family"], model["model_id"], method, *line)
        for date, model in order
        for method, ranking in sorted(model["rankings"].items())
        for line in zip(*(ranking[column] for column in COLUMNS[4:]), strict=True)
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    kinds = {"importance": "float64", "share": "float64", "rank": "int64", "error": "float64"}
    return frame.assign(date=pd.to_datetime(frame["date"])).astype(kinds)


def pack(model: ModelAnalysis) -> dict[str, Any]:
    """A model's rankings for the document: a list per figure, not a name with every number."""
    return {
        "family": str(model.family),
        "model_id": model.model_id,
        "additivity": plain(asdict(model.additivity)),
        "notes": {note.feature: note.kind.name.lower() for note in model.notes},
        "rankings": {
            str(method): {
                "rows": ranking.rows,
                "unseen": ranking.unseen,
                "feature": [f.feature for f in ranking.features],
                "importance": [finite(f.importance) for f in ranking.features],
                "share": [finite(f.share) for f in ranking.features],
                "rank": [f.rank for f in ranking.features],
                "error": [finite(f.error) for f in ranking.features],
            }
            for method, ranking in model.rankings.items()
        },
    }


class Rankings:
    """The stored rankings of all symbols.

    Every method raises TrackingUnreachableError if the tracking server does not answer,
    ArtifactStoreError if documents can't be stored or read, and LibraryError if the server refuses.
    """

    def __init__(self, library: BrainLibrary) -> None:
        self.library = library

    def write(
        self, run: Run, symbol: str, date: dt.date | str, models: Sequence[ModelAnalysis]
    ) -> None:
        """Store a symbol's rankings of one night on a run of their own.

        Args:
            run: of this symbol and night alone; it gets the tags by which it is found.

        Raises:
            InputError: the date is none.
        """
        date = parse_date(date)
        document = {
            "format": _FORMAT,
            "symbol": symbol,
            "date": date.isoformat(),
            "models": [pack(model) for model in models],
        }
        write_rankings(run, symbol, date, document)

    def read(
        self,
        symbol: str,
        *,
        since: dt.date | str | None = None,
        until: dt.date | str | None = None,
        method: Method | str | None = None,
    ) -> pd.DataFrame:
        """A symbol's rankings as a tidy frame, see :func:`tidy`; empty if there are none.

        Where a version was analysed twice in one night, the later analysis counts.

        Args:
            symbol: the symbol.
            since, until: first and last night, both included; all that there are if None.
            method: only this one; all if None.

        Raises:
            InputError: the symbol, a date or the method is none.
        """
        symbol = parse_symbol(symbol)
        wanted = None if method is None else parse_method(method)
        first = dt.date.min if since is None else parse_date(since)
        last = dt.date.max if until is None else parse_date(until)
        latest: dict[tuple[dt.date, str], Mapping[str, Any]] = {}
        for date, document in self.library.rankings(symbol, first, last):
            for model in document["models"]:
                latest[date, model["model_id"]] = _only(model, wanted)
        return tidy((date, model) for (date, _), model in latest.items())


def _only(model: Mapping[str, Any], method: Method | None) -> Mapping[str, Any]:
    if method is None:
        return model
    kept = {name: ranking for name, ranking in model["rankings"].items() if name == method}
    return {**model, "rankings": kept}
