"""The shadow nights of a symbol: which are made, by which versions, and where they are stored.

Every line of tonight's features and target is shadowed that has versions, whether or not its family
is trained tonight, and those of champions and of the ones before them. Nights in which no job ran
are made up by the versions that existed before them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.errors import BrainError, TrackingUnreachableError
from brain.lines import Line
from brain.naming import Family
from brain.scratch import scratch_folder
from brain.work import Failure
from brain.workers import Unit, outcomes
from engine.evaluation.nights import DAY_NS, complete_days, days_of
from engine.night.evidence import LIVE, append, evidence_frame, known_nights
from engine.night.shadowing import (
    Candidate,
    Shadow,
    ShadowResult,
    ShadowTask,
    context_rows,
    shadow_call,
    since_ns,
)

if TYPE_CHECKING:
    from brain.records import Version
    from brain.series.store.store import SeriesStore
    from engine.data.dataset import Dataset
    from registry.library import BrainLibrary

__all__ = ["shadow_lines", "stored_shadow"]


def shadow_lines(
    library: BrainLibrary, dataset: Dataset, others: Mapping[Line, Dataset] | None = None
) -> Unit[list[Failure]]:
    """A unit that appends the shadows and the evidence of every complete night that has none yet.

    A version that can't be loaded is a failure, and its nights are unknown; the others go on.

    Args:
        library: where versions and series are.
        dataset: of the symbol, up to tonight.
        others: lines of other features or another target that are to be shadowed too, each with
            the same rows of its features, filled as the dataset's.

    Returns:
        The failures.

    Raises:
        LibraryError: the tracking server does not answer, or the series store can't be used.
    """
    failures: list[Failure] = []

    def store(outcome: ShadowResult | Failure) -> None:
        if isinstance(outcome, Failure):
            failures.append(outcome)
            return
        failures.extend(outcome.failures)
        _store(library, outcome)

    known = known_nights(library.series, dataset)
    live = known[known["source"] == LIVE].groupby("line")["time"].max()
    with scratch_folder() as scratch:
        tasks = []
        lines = {dataset.line(family): dataset for family in Family} | dict(others or {})
        for line, data in lines.items():
            last = live[line.id].value // DAY_NS if line.id in live else -1
            if task := _task(library, data, line, last, scratch / line.id, failures):
                tasks.append(task)
        yield from outcomes([shadow_call(task) for task in tasks], store)
    return failures


def _task(
    library: BrainLibrary,
    dataset: Dataset,
    line: Line,
    last: int,
    scratch: Path,
    failures: list[Failure],
) -> ShadowTask | None:
    """The nights of a line after the last one; None if there are none."""
    oldest = next(library.line_versions(dataset.key, line.id, oldest_first=True), None)
    if oldest is None:
        return None
    days = complete_days(dataset.close_ns)
    days = days[(days > last) & (days * DAY_NS >= since_ns(oldest))]
    if not len(days):
        return None
    versions = _versions(library.line_versions(dataset.key, line.id), days)
    candidates = [_candidate(library, version, scratch, failures) for version in versions]
    row = int(np.searchsorted(days_of(dataset.close_ns), days[0]))
    part = dataset.tail(max(0, row - context_rows(dataset.horizon)))
    return ShadowTask(
        part, line, days.tolist(), candidates, stored_shadow(library.series, part, line)
    )


def _versions(newest_first: Iterator[Version], days: NDArray[np.int64]) -> list[Version]:
    """Those from before the last day back to the first one's, and one to compare that one with."""
    versions: list[Version] = []
    before = 0
    for version in newest_first:
        if since_ns(version) <= days[-1] * DAY_NS:
            versions.append(version)
        before += since_ns(version) <= days[0] * DAY_NS and not version.foreign
        if before == 2:
            break
    return versions


def _candidate(
    library: BrainLibrary, version: Version, scratch: Path, failures: list[Failure]
) -> Candidate:
    folder = scratch / str(version.number)
    folder.mkdir(parents=True)
    try:
        return Candidate(version, library.fetch(version, folder))
    except TrackingUnreachableError:
        raise
    except BrainError as error:
        failures.append(Failure(version.id, error, "shadow", symbol=version.symbol))
        return Candidate(version, None)


def stored_shadow(store: SeriesStore, dataset: Dataset, line: Line) -> Shadow:
    """The shadows that are stored of a dataset's rows."""
    rows = store.read(
        "shadows",
        timeframe=line.timeframe,
        symbol=dataset.symbol,
        where={"line": line.id},
        start=dataset.close_time[0],
        columns=("time", "prediction", "position", "cost"),
    ).set_index("time")
    rows = rows.reindex(dataset.close_time.as_unit("us"))
    columns = (rows[name].to_numpy(dtype=np.float64) for name in rows.columns)
    return Shadow(np.isfinite(rows["cost"].to_numpy(dtype=np.float64)), *columns)


def _store(library: BrainLibrary, result: ShadowResult) -> None:
    """First what was predicted, then what it came to; a night is done with the latter."""
    series = library.series
    frames = [_shadow_rows(result, night.version, night.rows) for night in result.nights]
    if frames:
        append(series, "shadows", pd.concat(frames))
        append(series, "evidence", pd.concat(_evidence_rows(result)))
    for version, outcome in result.refits:
        library.set_refit(version, outcome)


def _shadow_rows(result: ShadowResult, version: Version, rows: slice) -> pd.DataFrame:
    task, shadow = result.task, result.shadow
    frame = pd.DataFrame(
        {
            "timeframe": task.line.timeframe,
            "line": task.line.id,
            "symbol": task.dataset.symbol,
            "time": task.dataset.close_time[rows],
            "prediction": shadow.prediction[rows],
            "position": shadow.position[rows],
            "cost": shadow.cost[rows],
            "version": version.id,
            "made": pd.Timestamp(version.made),
        }
    )
    return frame[shadow.predicted[rows]]


def _evidence_rows(result: ShadowResult) -> Sequence[pd.DataFrame]:
    task = result.task
    return [
        evidence_frame(
            task.line, task.dataset.symbol, night.table, source=LIVE, version=night.version.id
        )
        for night in result.nights
    ]
