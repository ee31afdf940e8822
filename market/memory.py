"""What is remembered of instruments: the series store's kind ``instruments``, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from market.plan import GONE, Range, Symbol
from market.venues.base import Instrument
from registry.series_schema import parse_kind

__all__ = ["instruments_of", "memory_of"]


def instruments_of(memory: pd.DataFrame) -> tuple[list[Instrument], dict[str, pd.Timestamp]]:
    """Instruments as we last saw them, and when each symbol was last collected.

    One that is listed no more ended when we last saw it, if not before.
    """
    rows: list[dict[Any, Any]] = memory.to_dict("records")
    seen: dict[str, pd.Timestamp] = {}
    for row in rows:
        seen[row["symbol"]] = max(row["seen"], seen.get(row["symbol"], row["seen"]))
    return [_remembered(row) for row in rows], seen


def _remembered(row: Mapping[Any, Any]) -> Instrument:
    hours, listed, delisted = row["funding_interval_hours"], row["listed"], row["delisted"]
    return Instrument(
        venue=row["exchange"],
        symbol=row["symbol"],
        id=row["instrument"],
        contract_size=row["contract_size"],
        funding_interval_hours=None if pd.isna(hours) else float(hours),
        listed=None if pd.isna(listed) else listed,
        delisted=row["seen"] if pd.isna(delisted) else delisted,
        status=GONE,
    )


def memory_of(
    symbols: Sequence[Symbol], span: Range, seen: Mapping[str, pd.Timestamp]
) -> pd.DataFrame:
    """What to remember of the instruments that are listed.

    Args:
        symbols: Whose instruments.
        span: What is being collected of them.
        seen: When they were last collected. Collecting a range of the past again does not bring
            it forward, for that would hide that later ranges were not asked for.
    """
    rows = [
        {
            "exchange": each.venue,
            "symbol": each.symbol,
            "instrument": each.id,
            "contract_size": each.contract_size,
            "funding_interval_hours": each.funding_interval_hours,
            "listed": each.listed,
            "delisted": each.delisted,
            "seen": max(seen[symbol.name], span.until) if symbol.name in seen else span.now,
        }
        for symbol in symbols
        for each in symbol.instruments
        if each.status != GONE
    ]
    empty = parse_kind("instruments").empty()
    return pd.DataFrame(rows, columns=empty.columns).astype(empty.dtypes.to_dict())
