"""The entries of a journal, written and read. See :mod:`serving.journal`."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isnan
from typing import Any

from brain.naming import parse_family, parse_regime
from serving.arrays import to_json
from serving.bars import Bar, Row
from serving.book import Book
from serving.champions import Cell, Loaded, as_json
from serving.decision import Decision
from serving.journal import line, number, text, value
from serving.limits import Limits, Moment
from serving.verdict import Verdict

__all__ = [
    "bar_entry",
    "bar_of",
    "cells_of",
    "champions_entry",
    "decision_of",
    "moment_of",
    "open_entry",
    "row_entry",
    "row_of",
    "warm_entry",
]


def bar_entry(
    bar: Bar, decision: Decision, side: float, verdict: Verdict, book: Book, *, given: bool
) -> str:
    """A bar and its decision."""
    t, o, h, lo, c, v = bar
    d, m = decision, verdict.moment
    inputs = f"[{t},{number(o)},{number(h)},{number(lo)},{number(c)},{number(v)}]"
    outcome = (
        f'"position":{d.position!r},"exposure":{d.exposure!r},'
        f'"prediction":{number(d.prediction)},"expected_bp":{number(d.expected_bp)},'
        f'"regime":{_word(d.regime)},"version":{_word(d.version)},"family":{_word(d.family)},'
        f'"confidence":{_optional(d.confidence)},"age":{_optional(d.age)},"reason":{text(d.reason)}'
    )
    return line(
        "bar",
        f'{{"bar":{inputs},"given":{"true" if given else "false"},'
        f'"moment":[{m.time},{text(m.killed)},{m.gross!r},{m.net!r},'
        f"{_optional(m.age)}],"
        f'"side":{number(side)},"keep":{verdict.keep!r},'
        f'"profit":{number(book.profit)},"stopped":{book.stopped},"decision":{{{outcome}}}}}',
    )


def warm_entry(bar: Bar) -> str:
    """A bar of a warm-up."""
    return line("warm", f"[{bar.close_time},{','.join(number(x) for x in bar[1:])}]")


def row_entry(row: Row) -> str:
    """A row of another kind."""
    values = ",".join(f"{text(name)}:{number(x)}" for name, x in row.values.items())
    return line(
        "row",
        f"[{text(row.kind)},{text(row.exchange)},{row.time},{row.available},{{{values}}}]",
    )


def champions_entry(loaded: Loaded, limits: Limits) -> str:
    """The champions and limits from here on."""
    newest = loaded.newest
    cells = {str(cell.regime): as_json(cell) for cell in loaded.cells}
    entry = {
        "cells": cells,
        "trained_until": int(newest.data.trained_until_ns),
        "cost": newest.cost,
        "fill": newest.data.rule.fill,
        "settlements": to_json(newest.data.memory.settlements),
        "limits": limits.to_json(),
    }
    return line("champions", json.dumps(entry))


def open_entry(model: str, book: Book, last: Decision | None, bar: Bar | None) -> str:
    """The first line of a file: the book after the last bar, the last decision and its bar."""
    entry = {
        "model": model,
        "after": book.close,
        "book": book.to_json() if book.close is not None else None,
        "last": _decision_json(last) if last else None,
        "bar": [None if isnan(x) else x for x in bar] if bar else None,
    }
    return line("open", json.dumps(entry))


def bar_of(entry: list[Any]) -> Bar:
    """The bar of an entry."""
    return Bar(int(entry[0]), *(value(x) for x in entry[1:]))


def row_of(entry: list[Any]) -> Row:
    """The row of an entry."""
    kind, exchange, time, available, values = entry
    return Row(kind, exchange, time, available, {name: value(x) for name, x in values.items()})


def cells_of(entry: dict[str, Any]) -> list[Cell]:
    """The cells of an entry of champions.

    A size from before sizes aged only said whether there was one: where it was 1 none was judged.
    """
    unjudged = {"size": None}
    return [
        Cell(
            parse_regime(regime),
            **cell | ({} if "age" in cell or not cell.get("size") else unjudged),
        )
        for regime, cell in entry["cells"].items()
    ]


def moment_of(entry: list[Any]) -> Moment:
    """The moment of a bar's entry."""
    return Moment(*entry)


def decision_of(model: str, close: int, entry: dict[str, Any]) -> Decision:
    """The decision of a bar's entry."""
    fields = entry | {
        "prediction": value(entry["prediction"]),
        "expected_bp": value(entry["expected_bp"]),
        "regime": entry["regime"] and parse_regime(entry["regime"]),
        "family": entry["family"] and parse_family(entry["family"]),
    }
    return Decision(model, close, **fields)


def _decision_json(decision: Decision) -> dict[str, Any]:
    fields = asdict(decision)
    del fields["model"], fields["cached"]
    for name in ("prediction", "expected_bp"):
        fields[name] = None if isnan(fields[name]) else fields[name]
    return fields


def _word(word: str | None) -> str:
    return "null" if word is None else f'"{word}"'


def _optional(x: float | None) -> str:
    return "null" if x is None else repr(x)
