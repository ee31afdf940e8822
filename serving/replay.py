"""Replay: every decision of a journal, made again by the champions of its moment.

What a decision depends on is in the journal: bars and rows, the champions by version and digest,
and the moment. So the same programme must come to the same decision, to the last bit; a difference
means other bars, other files, another programme, or a journal that was changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from brain.champion_source import ChampionSource
from brain.errors import InputError
from brain.model_keys import ModelKey
from brain.text import count, moment as time_text
from serving.bars import Bar
from serving.champions import Versions, load_champions, load_from
from serving.decision import Decision
from serving.entries import bar_of, cells_of, decision_of, moment_of, row_of
from serving.journal import SymbolJournal, value
from serving.limits import Limits, Moment
from serving.symbol_executor import SymbolExecutor

__all__ = ["Difference", "Replay", "StoredBars", "differences_table", "journals", "replay"]

#: A stored bar by its close, nanoseconds since 1970 UTC; None if there is none.
StoredBars = Callable[[int], Bar | None]


@dataclass(frozen=True)
class Difference:
    """A value that came out otherwise.

    Attributes:
        model: of the decision.
        time: the bar's close, nanoseconds since 1970 UTC.
        name: of the value: a field of :class:`serving.decision.Decision`, ``profit``, or ``bar``.
        journaled, replayed: the value before and now.
    """

    model: str
    time: int
    name: str
    journaled: Any
    replayed: Any


@dataclass(frozen=True)
class Replay:
    """The end of a symbol's replay.

    Attributes:
        model: of the journal.
        decisions: that were made again.
        differences: all of them.
    """

    model: str
    decisions: int
    differences: tuple[Difference, ...]


def journals(folder: Path) -> list[SymbolJournal]:
    """The journals of a folder, by symbol, to be read.

    Raises:
        InputError: there is none.
    """
    found = [SymbolJournal(part, writes=False) for part in sorted(folder.glob("*"))]
    found = [journal for journal in found if journal.files]
    if not found:
        raise InputError(f"{folder} holds no journal; name the folder that Hamilton was given")
    return found


def replay(
    journal: SymbolJournal, models: ChampionSource, *, stored: StoredBars | None = None
) -> Replay:
    """Make a symbol's decisions again, from its journal's first file on.

    Args:
        journal: of the symbol.
        models: where the files of its versions are from.
        stored: bars to decide on instead of the journal's; these are compared too.

    Raises:
        InputError: the journal does not begin with its champions.
        LibraryError: it can't be read, or a version is not there any more.
    """
    return _Player(journal, models, stored).play()


def differences_table(result: Replay, most: int = 40) -> list[str]:
    """A replay for people: a line of its numbers, and one a difference, of the first ones."""
    found = len(result.differences)
    numbers = f"{count(result.decisions, 'decision')}, {count(found, 'difference')}"
    rows = [f"{result.model}: {numbers}"]
    for each in result.differences[:most]:
        values = f"{each.journaled!r} in the journal, {each.replayed!r} now"
        rows.append(f"  {time_text(each.time)}  {each.name}: {values}")
    if found > most:
        rows.append(f"  and {found - most} more")
    return rows


class _RecordedPlace:
    """Tells the moments that the journal has."""

    def __init__(self) -> None:
        self.moments: dict[int, Moment] = {}

    def moment(self, close_ns: int, wanted: float, net: float) -> Moment:
        del wanted, net
        return self.moments.pop(close_ns, Moment(close_ns, "", 0.0, 0.0))

    def hold(self, exposure: float) -> None:
        del exposure


class _Player:
    def __init__(
        self,
        journal: SymbolJournal,
        models: ChampionSource,
        stored: StoredBars | None,
    ) -> None:
        self._journal, self._stored = journal, stored
        self._versions = Versions(load_from(models), keep=True)
        self._place = _RecordedPlace()
        self._executor: SymbolExecutor | None = None
        self._warm: list[Bar] = []
        self._decisions = 0
        self._differences: list[Difference] = []

    def play(self) -> Replay:
        for name, entry in self._journal.entries(self._journal.files):
            if name != "warm" and self._warm:
                self._executor_now.warm_up(self._warm)
                self._warm = []
            match name:
                case "champions":
                    self._champions(entry)
                case "warm":
                    self._warm.append(self._bar_of(bar_of(entry)))
                case "row":
                    self._executor_now.row(row_of(entry))
                case "switch":
                    self._executor_now.switch(entry)
                case "bar":
                    self._bar(entry)
        return Replay(self._journal.model, self._decisions, tuple(self._differences))

    @property
    def _executor_now(self) -> SymbolExecutor:
        if self._executor is None:
            raise InputError(
                f"the journal {self._journal.folder} does not begin with its champions; replay "
                "it from its first file on"
            )
        return self._executor

    def _champions(self, entry: dict[str, Any]) -> None:
        cells, limits = cells_of(entry), Limits.from_json(entry["limits"])
        if self._executor is not None:
            self._executor.limits = limits
            if cells == list(self._executor.loaded.cells):
                return
        loaded = load_champions(self._versions, ModelKey.of_name(self._journal.model), cells)
        if self._executor is None:
            self._executor = SymbolExecutor(loaded, limits, self._place)
        else:
            self._executor.reload(loaded)

    def _bar_of(self, bar: Bar) -> Bar:
        """The stored bar, if bars are given and it is among them."""
        if self._stored is None:
            return bar
        return self._stored(bar.close_time) or Bar(bar.close_time, *[math.nan] * 5)

    def _bar(self, entry: dict[str, Any]) -> None:
        journaled = bar_of(entry["bar"])
        self._place.moments[journaled.close_time] = moment_of(entry["moment"])
        bar = self._bar_of(journaled)
        self._compare(journaled.close_time, "bar", tuple(journaled[1:]), tuple(bar[1:]))
        executor = self._executor_now
        decision = executor.bar(bar)
        self._decisions += 1
        expected = decision_of(self._journal.model, journaled.close_time, entry["decision"])
        for field in fields(Decision):
            mine = getattr(decision, field.name)
            self._compare(bar.close_time, field.name, getattr(expected, field.name), mine)
        profit = executor.book.profit
        self._compare(bar.close_time, "profit", value(entry["profit"]), profit)

    def _compare(self, close: int, name: str, journaled: object, replayed: object) -> None:
        if repr(journaled) != repr(replayed):  # NaN is NaN, and floats are equal to the last bit
            difference = Difference(self._journal.model, close, name, journaled, replayed)
            self._differences.append(difference)
