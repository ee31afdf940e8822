"""The shadow nights of a line on a symbol, for a worker: predict, decide, and count each night.

A night counts what the line's newest version predicts that existed before the night began and has
not failed its refit check, for that is the one that is served. Its own rule decides, with the
decisions before it in the slots, as an executor's would after a swap of versions.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brain.brief import Brief
from brain.errors import BrainError, TrainingError
from brain.lines import Line
from brain.records import Version
from brain.work import Failure
from brain.workers import Call
from engine.data.dataset import Dataset
from engine.evaluation.nights import DAY_NS, NightTable, days_of, night_evidence
from engine.evaluation.refits import refit_check
from engine.evaluation.trading import trading_of
from engine.kernels.columns import Floats
from engine.night.loaded import LoadedVersion, load_version

__all__ = [
    "Candidate",
    "Shadow",
    "ShadowNight",
    "ShadowResult",
    "ShadowTask",
    "context_rows",
    "shadow",
    "shadow_call",
    "since_ns",
]

logger = logging.getLogger(__name__)

# Rows before a night from which its evidence is computed: what is open longer, since bars are
# missing, is left out.
_BOOK_ROWS = 200
# An LSTM looks back over 512 rows at most.
_LOOK_BACK = 512


def context_rows(horizon: int) -> int:
    """Rows before the first night that a task's dataset should have."""
    return max(_book_rows(horizon), _LOOK_BACK)


def _book_rows(horizon: int) -> int:
    return 4 * horizon + _BOOK_ROWS


def since_ns(version: Version) -> int:
    """From when on a version could predict: when it was made, or its bars' end if that was later.

    Nanoseconds since 1970 UTC.
    """
    return max(_moment_ns(version.made), _moment_ns(version.trained_until))


@dataclass(frozen=True, repr=False)
class Candidate(Brief):
    """A version that may have predicted, and the folder of its files; None: they are of no use."""

    version: Version
    folder: Path | None


@dataclass(frozen=True, repr=False)
class Shadow(Brief):
    """What a line predicted and decided on consecutive rows, (N,) each.

    Attributes:
        predicted: the rows that have a shadow.
        prediction: in the target's units; NaN is none.
        position: of the version's rule; NaN is no decision.
        cost: of each unit traded, as a share; NaN without a shadow.
    """

    predicted: NDArray[np.bool_]
    prediction: Floats
    position: Floats
    cost: Floats

    @classmethod
    def empty(cls, rows: int) -> Shadow:
        """Of no row."""
        nothing = np.full(rows, np.nan)
        return cls(np.zeros(rows, dtype=np.bool_), nothing, nothing.copy(), nothing.copy())


@dataclass(frozen=True, repr=False)
class ShadowTask(Brief):
    """A line's nights on a symbol.

    Attributes:
        dataset: rows up to tonight, from :func:`context_rows` before the first night on.
        line: of the versions.
        days: of the nights, days since 1970, ascending; all complete, all with bars.
        candidates: the newest first.
        stored: of the dataset's rows; they stay as they are.
    """

    dataset: Dataset
    line: Line
    days: Sequence[int]
    candidates: Sequence[Candidate]
    stored: Shadow


@dataclass(frozen=True, repr=False)
class ShadowNight(Brief):
    """A night that was shadowed.

    Attributes:
        version: that predicted.
        rows: of the dataset.
        table: evidence of the night alone; its profit is unknown if the version could not be
            loaded, or fails the check of refits.
    """

    version: Version
    rows: slice
    table: NightTable


@dataclass(repr=False)
class ShadowResult(Brief):
    """All nights of a task.

    Attributes:
        task: the task.
        shadow: the stored rows and the new ones.
        nights: in their order.
        refits: versions that were checked, with the outcome.
        failures: of versions.
    """

    task: ShadowTask
    shadow: Shadow
    nights: list[ShadowNight] = field(default_factory=list)
    refits: list[tuple[Version, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def shadow(task: ShadowTask) -> ShadowResult:
    """The nights of a task, see :class:`ShadowResult`."""
    return _Book(task).result()


def shadow_call(task: ShadowTask) -> Call:
    """:func:`shadow` for a worker."""
    labels = {"symbol": task.dataset.symbol, "family": task.line.family}
    return Call(shadow, task, _failure, TrainingError, len(task.days), labels)


def _failure(task: ShadowTask, error: BrainError) -> Failure:
    symbol = task.dataset.symbol
    return Failure(symbol, error, f"{task.line.family} shadows", symbol=symbol)


class _Book:
    """A line's shadows on a symbol, night by night."""

    def __init__(self, task: ShadowTask) -> None:
        self._task = task
        self._close_ns = task.dataset.close_ns
        self._day = days_of(self._close_ns)
        stored = task.stored
        self._shadow = Shadow(*(column.copy() for column in vars(stored).values()))
        self._result = ShadowResult(task, self._shadow)
        self._models: dict[str, LoadedVersion | None] = {}
        self._foreign = {c.version.id for c in task.candidates if c.version.foreign}
        self._checked = {c.version.id for c in task.candidates if c.version.refit}

    def result(self) -> ShadowResult:
        for day in self._task.days:
            rows = slice(*np.searchsorted(self._day, [day, day + 1]).tolist())
            there = [
                place
                for place, candidate in enumerate(self._task.candidates)
                if since_ns(candidate.version) <= day * DAY_NS
            ]
            if there:
                self._add(self._chosen(there, rows), rows)
        return self._result

    def _chosen(self, places: Sequence[int], rows: slice) -> int:
        """The first of these that has not failed its check, or the first if all have."""
        for place in places:
            candidate = self._task.candidates[place]
            if candidate.version.id in self._foreign:
                continue
            if (model := self._model(candidate)) is not None:
                self._check(place, model, rows)
            if candidate.version.id not in self._foreign:
                return place
        return places[0]

    def _add(self, place: int, rows: slice) -> None:
        candidate = self._task.candidates[place]
        version, model = candidate.version, self._model(candidate)
        if model is not None and not self._shadow.predicted[rows].all():
            self._predict(model, rows)
        table = self._evidence(rows)
        if model is None or version.id in self._foreign:
            table.profit[:] = np.nan
        self._result.nights.append(ShadowNight(version, rows, table))

    def _predict(self, model: LoadedVersion, rows: slice) -> None:
        dataset, shadow = self._task.dataset, self._shadow
        prediction = model.predict(dataset, rows)
        before = shadow.position[max(0, rows.start - dataset.horizon) : rows.start]
        before = np.concatenate([np.full(dataset.horizon - len(before), np.nan), before])
        volatility, regimes = dataset.volatility[rows], dataset.regimes[rows]
        shadow.prediction[rows] = prediction
        shadow.position[rows] = model.rule.decide(prediction, volatility, regimes, before)
        shadow.cost[rows] = model.rule.cost / 10_000
        shadow.predicted[rows] = True

    def _evidence(self, rows: slice) -> NightTable:
        """Of the night of these rows, from as many rows before it whatever night it is made in."""
        dataset, shadow = self._task.dataset, self._shadow
        first = max(0, rows.start - _book_rows(dataset.horizon))
        book = slice(first, rows.stop)
        part = dataset.tail(first).head(rows.stop - first)
        # A row without a shadow trades nothing but what it closes, at the cost of the next one.
        cost = _filled(shadow.cost[book])
        table = night_evidence(
            shadow.prediction[book],
            shadow.position[book],
            trading_of(part, cost),
            part.volatility,
            part.close_ns,
        )
        return table.nights(table.days == table.days[-1])

    def _check(self, place: int, model: LoadedVersion, rows: slice) -> None:
        """Check a version against the one before it, where that has not been done yet."""
        dataset, version = self._task.dataset, self._task.candidates[place].version
        older = self._task.candidates[place + 1 :]
        before = next((c for c in older if c.version.id not in self._foreign), None)
        if before is None or version.id in self._checked:
            return
        former = self._model(before)
        if former is None:
            return
        fitted = max(_moment_ns(v.trained_until) for v in (version, before.version))
        after = slice(int(np.searchsorted(self._close_ns, fitted, "right")), rows.stop)
        check = refit_check(model.predict(dataset, after), former.predict(dataset, after))
        if check is None:
            return
        self._checked.add(version.id)
        outcome = f"{check} after {before.version.id}"
        self._result.refits.append((version, outcome))
        if not check.passes:
            self._foreign.add(version.id)
            logger.warning(
                "%s is no refit of %s, whose version before it goes on: %s",
                version.id, self._task.line.id, outcome,
            )  # fmt: skip

    def _model(self, candidate: Candidate) -> LoadedVersion | None:
        """The loaded version; None if it can't be, which is a failure once."""
        name = candidate.version.id
        if name not in self._models:
            self._models[name] = None
            try:
                if candidate.folder is not None:
                    self._models[name] = load_version(
                        candidate.version, candidate.folder, self._task.line, self._task.dataset
                    )
            except BrainError as error:
                self._result.failures.append(
                    Failure(name, error, "shadow", symbol=self._task.dataset.symbol)
                )
        return self._models[name]


def _filled(values: Floats) -> Floats:
    """Unknown values as the next known one, those after the last as that."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.zeros(len(values))
    return values[known[np.minimum(np.searchsorted(known, np.arange(len(values))), len(known) - 1)]]


def _moment_ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1_000
