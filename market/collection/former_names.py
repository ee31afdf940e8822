"""Former names of renamed symbols, and the histories that were stored under them.

A collection stores a series under its present symbol. What earlier collections stored under a
former name is taken over first: its rows are copied, and its gaps are moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brain.naming import present_name
from brain.series.store.store import SeriesStore
from market.collection.gaps import SeriesKey, gaps_of, replace_gaps
from market.collection.grid import Span, Times, as_times, parts_outside
from market.collection.plan import Leg, SeriesPlan
from market.collection.results import Gap

__all__ = ["former_names", "take_over"]


def former_names(renamed: Mapping[str, str]) -> dict[str, list[str]]:
    """The former names, oldest first, by the present one.

    Args:
        renamed: canonical symbols, new by old.

    Raises:
        InputError: a symbol is renamed in a circle.
    """
    by_present: dict[str, list[str]] = {}
    for old in sorted(renamed, key=lambda name: -_renamings(name, renamed)):
        by_present.setdefault(present_name(old, renamed), []).append(old)
    return by_present


def _renamings(name: str, renamed: Mapping[str, str]) -> int:
    """How many renamings lie between a name and the present one."""
    present, count = present_name(name, renamed), 0
    while name != present:
        name, count = renamed[name], count + 1
    return count


@dataclass(frozen=True)
class _FormerLeg:
    """A leg that earlier collections may have stored under a former name."""

    plan: SeriesPlan
    leg: Leg

    @property
    def key(self) -> SeriesKey:
        """Of the series under the former name."""
        return self.plan.exchange, self.leg.listed_as, self.plan.kind, self.plan.timeframe


def take_over(store: SeriesStore, plans: Sequence[SeriesPlan]) -> None:
    """Take over what is stored of the plans' series under former names.

    Args:
        store: by its own names.
        plans: of one exchange's series.

    Raises:
        SeriesStoreError: the store can't be read or written.
    """
    legs = [
        _FormerLeg(plan, leg) for plan in plans for leg in plan.legs if leg.listed_as != plan.symbol
    ]
    if not legs:
        return
    for leg in legs:
        _copy_rows(store, leg)
    exchange, names = plans[0].exchange, {leg.leg.listed_as for leg in legs}
    record = gaps_of(store.read("gaps", exchange=exchange, symbol=sorted(names)))
    legs = [leg for leg in legs if leg.key in record]
    if legs:
        store.revise(
            "gaps",
            lambda rows: _with_gaps_moved(rows, legs),
            exchange=exchange,
            symbols=sorted({name for leg in legs for name in (leg.leg.listed_as, leg.plan.symbol)}),
        )


def _copy_rows(store: SeriesStore, former: _FormerLeg) -> None:
    """Copy the rows of the leg alone: the others are of the present instrument."""
    plan, leg = former.plan, former.leg

    def times(symbol: str) -> Times:
        return as_times(
            store.times(
                plan.kind,
                exchange=plan.exchange,
                symbol=symbol,
                timeframe=plan.timeframe or None,
                start=leg.start,
                end=leg.end,
            )
        )

    missing = np.setdiff1d(times(leg.listed_as), times(plan.symbol), assume_unique=True)
    if not len(missing):
        return
    rows = store.read(
        plan.kind,
        exchange=plan.exchange,
        symbol=leg.listed_as,
        timeframe=plan.timeframe or None,
        start=leg.start,
        end=leg.end,
    )
    rows = rows[rows["time"].astype("int64").isin(missing)]
    store.upsert(plan.kind, rows.assign(symbol=plan.symbol))


def _with_gaps_moved(record: pd.DataFrame, legs: Sequence[_FormerLeg]) -> pd.DataFrame:
    """The gap record with the legs' gaps under the present names, and no longer under the former.

    Where the present name has gaps of its own, those stay.
    """
    by_series = gaps_of(record)
    gaps: list[tuple[SeriesKey, Gap]] = []
    for former in legs:
        plan, leg = former.plan, former.leg
        present = [Span(gap.start, gap.end, gap.count) for gap in by_series.get(plan.key, ())]
        for gap in by_series.get(former.key, ()):
            low, high = max(gap.start, leg.start), min(gap.end, leg.end)
            for start, end in parts_outside(low, high, present) if low < high else ():
                part = gap.part(start, end, leg.grid.count)
                gaps += [(plan.key, part)] if part.count else []
    return replace_gaps(record, {leg.key for leg in legs}, gaps, record["checked"].max())
