"""A symbol's state out of its journal: what a process that was killed leaves to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import Any

from brain.naming import parse_fill
from serving.arrays import from_json
from serving.bars import Bar
from serving.book import Book
from serving.champions import Cell, Loaded
from serving.decision import Decision
from serving.entries import bar_of, cells_of, decision_of, row_of
from serving.history import Entry, History
from serving.journal import SymbolJournal, value
from serving.limits import Limits

__all__ = ["Restored", "restore", "restored_history"]


@dataclass
class Restored:
    """What is to be gone on from.

    Attributes:
        last: the last decision, and ``bar`` its bar; None before the first.
        cells: of the champions that decided last.
        cost: of theirs.
        limits: under which they did; None before the first.
    """

    last: Decision | None = None
    bar: Bar | None = None
    cells: list[Cell] = field(default_factory=list)
    cost: float = 0.0
    limits: Limits | None = None


def restore(journal: SymbolJournal, book: Book) -> Restored:
    """Bring a book to where the journal ends: from the newest file's first line on."""
    state = Restored()
    for name, entry in journal.entries(journal.files[-1:]):
        match name:
            case "open":
                _open(entry, book, state)
            case "champions":
                state.cells, state.cost = cells_of(entry), entry["cost"]
                book.adopt(parse_fill(entry["fill"]), from_json(entry["settlements"]))
                state.limits = Limits.from_json(entry["limits"])
            case "row":
                book.row(row_of(entry))
            case "switch":
                book.switch = entry
            case "warm":
                book.skip(bar_of(entry), state.cost)
            case "bar":
                _bar(entry, journal.model, book, state)
    return state


def _open(entry: dict[str, Any], book: Book, state: Restored) -> None:
    if entry["book"] is not None:
        book.restore(entry["book"])
    else:
        book.adopt(book.earned.fill, {})  # until the champions of its moment are named
    if entry["last"] is not None:
        fields = dict(entry["last"])
        state.last = decision_of(entry["model"], fields.pop("time"), fields)
        state.bar = bar_of(entry["bar"])


def _bar(entry: dict[str, Any], model: str, book: Book, state: Restored) -> None:
    bar = bar_of(entry["bar"])
    decision = decision_of(model, bar.close_time, entry["decision"])
    side = value(entry["side"])
    book.settle(bar, state.cost)
    book.side(side, 0.0)  # as the rule decided, whatever the threshold was
    if not isnan(side) and decision.version is not None:
        book.used(decision.version)
    book.stopped = entry["stopped"]
    book.decide(side, decision.position, entry["keep"])
    state.last, state.bar = decision, bar


def restored_history(journal: SymbolJournal, loaded: Loaded) -> History:
    """The journal's bars and rows since the training of the oldest champion."""
    oldest = int(loaded.versions[0].data.trained_until_ns)
    entries: list[Entry] = []
    since: int | None = None
    for name, entry in journal.entries(journal.files_after(oldest)):
        if name == "row":
            if (row := row_of(entry)).kind != "fill":
                entries.append(row)
        elif name in ("bar", "warm"):
            bar = bar_of(entry["bar"] if name == "bar" else entry)
            since = bar.close_time if since is None else since
            if bar.close_time > oldest:
                entries.append(bar)
    return History(entries, since)
