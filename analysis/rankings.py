"""Rankings of every night, kept in MLflow and read back by symbol, date and method.

A night's rankings of a symbol are one small document, ``rankings.json``, on a run of their own with
the tags ``kind=analysis``, ``symbol`` and ``date``. The date is written last: a run that has one
has its document. So a month of a symbol is one search and thirty small files, on any store.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException

from analysis.results import Method, ModelAnalysis, parse_method
from analysis.tables import finite, plain
from registry.errors import ArtifactStoreError, InputError
from registry.mlflow_errors import library_errors
from registry.naming import Tag, parse_model_id, parse_symbol

if TYPE_CHECKING:
    import pandas as pd

    from registry.library import BrainLibrary
    from registry.runs import Run

__all__ = ["COLUMNS", "DATE", "KIND", "RANKINGS_FILE", "Rankings", "pack", "parse_date", "tidy"]

#: Tags of an analysis run, beside the symbol.
KIND = "analysis"
DATE = "date"
RANKINGS_FILE = "rankings.json"

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
_PAGE = 1000
_DOWNLOADS = 8


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


@dataclass(frozen=True)
class _Stored:
    """A night's run: where a document is, and of when."""

    run_id: str
    date: dt.date
    started: int


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
        run.document(document, RANKINGS_FILE)
        run.tag({Tag.KIND: KIND, Tag.SYMBOL: symbol})
        run.tag({DATE: date.isoformat()})

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
        nights = [night for night in self._nights(symbol) if first <= night.date <= last]
        latest: dict[tuple[dt.date, str], Mapping[str, Any]] = {}
        for night, document in zip(nights, self._documents(nights), strict=True):
            for model in document["models"]:
                latest[night.date, model["model_id"]] = _only(model, wanted)
        return tidy((date, model) for (date, _), model in latest.items())

    def _nights(self, symbol: str) -> list[_Stored]:
        """The symbol's analysis runs in all experiments, earliest first."""
        client = self.library.client
        query = f"tags.{Tag.KIND} = '{KIND}' AND tags.{Tag.SYMBOL} = '{symbol}'"
        with library_errors(self.library.dsn, f"look up the rankings of {symbol}"):
            experiments = _pages(lambda token: client.search_experiments(page_token=token))
            runs = _pages(
                lambda token: client.search_runs(
                    [experiment.experiment_id for experiment in experiments],
                    filter_string=query,
                    max_results=_PAGE,
                    page_token=token,
                )
            )
        found = [
            _Stored(run.info.run_id, parse_date(run.data.tags[DATE]), run.info.start_time)
            for run in runs
            if DATE in run.data.tags
        ]
        return sorted(found, key=lambda night: (night.date, night.started))

    def _documents(self, nights: Sequence[_Stored]) -> list[dict[str, Any]]:
        with (
            tempfile.TemporaryDirectory(prefix="brain-") as scratch,
            ThreadPoolExecutor(_DOWNLOADS) as pool,
        ):
            return list(pool.map(lambda night: self._document(night, Path(scratch)), nights))

    def _document(self, night: _Stored, scratch: Path) -> dict[str, Any]:
        folder = scratch / night.run_id
        folder.mkdir()
        doing = f"read the rankings of {night.date} from run {night.run_id}"
        with library_errors(self.library.dsn, doing):
            try:
                path = self.library.client.download_artifacts(
                    night.run_id, RANKINGS_FILE, str(folder)
                )
                return dict(json.loads(Path(path).read_text()))
            except (MlflowException, OSError, ValueError) as error:
                raise ArtifactStoreError(
                    f"could not {doing}: {error}; restore the file or delete the run"
                ) from error


def _only(model: Mapping[str, Any], method: Method | None) -> Mapping[str, Any]:
    if method is None:
        return model
    kept = {name: ranking for name, ranking in model["rankings"].items() if name == method}
    return {**model, "rankings": kept}


def _pages(fetch: Callable[[str | None], Any]) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = fetch(token)
        found += page
        token = page.token
        if not token:
            return found
