"""One symbol's recent bars compared with those of the training, in a worker."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from analysis.documents import drift_document
from analysis.drift import (
    ColumnDrift,
    DriftAnalysis,
    WindowExtent,
    Windows,
    choose_windows,
    stability,
    trailing_thresholds,
)
from analysis.sampling import Array
from brain.artifacts import (
    DRIFT_STATISTIC,
    EVIDENTLY,
    EVIDENTLY_REPORT,
    EXPLANATION,
    FEATURES_PAGE,
)
from brain.brief import Brief
from brain.errors import AnalysisError
from brain.workers import fresh_folder
from engine.data.dataset import Dataset

if TYPE_CHECKING:
    import pandas as pd

    from brain.series.bars import Bars
    from engine.data.market_series import MarketSeries

__all__ = ["DriftResult", "DriftTask", "compare"]

# MLflow shows the page in a frame that may not lead anywhere, so this is no link.
_NOTE = (
    '<p style="font: 13px sans-serif; color: #4a525c; margin: 1rem 2rem">What each feature is: '
    f"{EXPLANATION}/{FEATURES_PAGE} among the files of the same run.</p>"
)


@dataclass(frozen=True, repr=False)
class DriftTask(Brief):
    """One symbol's data to compare.

    Attributes:
        symbol: whose data.
        data: the symbol's dataset, or its bars.
        trained_until: of the model that was trained longest ago.
        recent_bars: rows of the recent window.
        columns: most columns of Evidently's report.
        folder: where the files go; made by the task.
        market: funding and open interest to join to bars; a dataset has them.
    """

    symbol: str
    data: Dataset | Bars
    trained_until: str
    recent_bars: int
    columns: int
    folder: Path
    market: MarketSeries | None = None


@dataclass(frozen=True)
class DriftResult:
    """A symbol's drift, and the folder whose files belong to the runs of its models."""

    analysis: DriftAnalysis
    folder: Path

    def __str__(self) -> str:
        return str(self.analysis)


def compare(task: DriftTask) -> DriftResult:
    """Compare the recent window with the training window; write the report and the statistic.

    Raises:
        NotEnoughBarsError: one of the windows is empty or too small.
        AnalysisError: Evidently lacks what its report compares with.
    """
    start = time.perf_counter()
    features, names, close_time = _features(task)
    windows = choose_windows(
        features, close_time, trained_until=task.trained_until, recent_bars=task.recent_bars
    )
    columns = _columns(features, names, windows)
    training, recent = features[windows.reference()], features[windows.recent]
    missing = np.isnan(training).all(axis=0) | np.isnan(recent).all(axis=0)
    unknown = tuple(names[int(column)] for column in np.flatnonzero(missing))
    reported = [c.feature for c in columns if c.feature not in unknown][: task.columns]
    analysis = DriftAnalysis(
        symbol=task.symbol,
        recent=_extent(close_time[windows.recent]),
        training=_extent(close_time[windows.training]),
        columns=columns,
        reported=tuple(reported),
        unknown=unknown,
    )
    fresh_folder(task.folder)
    document = json.dumps(drift_document(analysis), indent=1, allow_nan=False)
    (task.folder / DRIFT_STATISTIC).write_text(document)
    middle = time.perf_counter()
    places = [names.index(name) for name in reported]
    _report(recent[:, places], training[:, places], reported, task.folder)
    seconds = {
        "drift": round(middle - start, 3),
        "evidently": round(time.perf_counter() - middle, 3),
    }
    return DriftResult(replace(analysis, seconds=seconds), task.folder)


def _features(task: DriftTask) -> tuple[Array, tuple[str, ...], pd.DatetimeIndex]:
    """Features (N, F), their names, and the close times of the rows."""
    from engine.data.frames import feature_frame

    if isinstance(task.data, Dataset):
        return task.data.features, task.data.names, task.data.close_time
    features = feature_frame(task.data, task.market)
    return features.to_numpy(), tuple(features.columns), task.data.close_time


def _columns(features: Array, names: Sequence[str], windows: Windows) -> tuple[ColumnDrift, ...]:
    """Every feature, those that exceed their thresholds most first, those without one last."""
    indices = stability(features, windows)
    thresholds, history = trailing_thresholds(features, windows)
    with np.errstate(divide="ignore", invalid="ignore"):
        excess = np.nan_to_num(indices / thresholds)
    order = np.lexsort((-np.nan_to_num(indices), -excess))
    return tuple(
        ColumnDrift(names[c], float(indices[c]), float(thresholds[c]), int(history[c]))
        for c in order
    )


def _extent(times: pd.DatetimeIndex) -> WindowExtent:
    return WindowExtent(times[0].isoformat(), times[-1].isoformat(), len(times))


def _report(recent: Array, training: Array, names: Sequence[str], folder: Path) -> None:
    """Evidently's report; its plots cost a tenth of a second and .07 MB a column.

    Args:
        recent, training: (n, columns) of either window.
        names: of the columns.
        folder: where ``evidently.html`` and ``evidently.json`` go.
    """
    import pandas as pd

    os.environ.setdefault("DO_NOT_TRACK", "1")  # read when evidently is imported
    frames = [pd.DataFrame(rows, columns=list(names)) for rows in (recent, training)]
    with warnings.catch_warnings():
        # Constant columns and missing values: it computes correlations that it does not show.
        warnings.simplefilter("ignore")
        from evidently import Report
        from evidently.presets import DataDriftPreset

        with np.errstate(all="ignore"), _reference_errors():
            snapshot = Report([DataDriftPreset()]).run(*frames)
            page = snapshot.get_html_str(as_iframe=False).replace("<body>", f"<body>{_NOTE}", 1)
            (folder / EVIDENTLY_REPORT).write_text(page, encoding="utf-8")
            (folder / EVIDENTLY).write_text(snapshot.json())


@contextmanager
def _reference_errors() -> Iterator[None]:
    """Evidently's missing reference is no ``Exception``: it would end the worker and the night."""
    from evidently.core.report import ReferenceMetricNotFound

    try:
        yield
    except ReferenceMetricNotFound as error:
        raise AnalysisError(
            f"Evidently's report failed ({error}); compare a longer window, or fewer columns"
        ) from error
