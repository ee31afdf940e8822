"""What is remembered of instruments: the series store's kind ``instruments``, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from brain.series.store.schema import parse_kind
from market.collection.plan import GONE, Member, Symbol
from market.exchanges.base import Instrument

__all__ = ["instruments_of", "memory_of"]


def instruments_of(memory: pd.DataFrame) -> tuple[list[Member], dict[str, pd.Timestamp]]:
    """Instruments as we last saw them, and when an instrument of each symbol was last listed.

    Of one that was listed still, ``delisted`` is None.
    """
    rows: list[dict[Any, Any]] = memory.to_dict("records")
    seen: dict[str, pd.Timestamp] = {}
    for row in rows:
        seen[row["symbol"]] = max(row["seen"], seen.get(row["symbol"], row["seen"]))
    return [Member(_remembered(row), row["symbol"], row["seen"]) for row in rows], seen


def _remembered(row: Mapping[Any, Any]) -> Instrument:
    hours, listed, delisted = row["funding_interval_hours"], row["listed"], row["delisted"]
    return Instrument(
        exchange=row["exchange"],
        symbol=row["symbol"],
        id=row["instrument"],
        contract_size=row["contract_size"],
        funding_interval_hours=None if pd.isna(hours) else float(hours),
        listed=None if pd.isna(listed) else listed,
        delisted=None if pd.isna(delisted) else delisted,
        status=GONE,
    )


def memory_of(symbols: Iterable[Symbol], now: pd.Timestamp) -> pd.DataFrame:
    """What to remember of instruments.

    Args:
        symbols: Whose instruments. One that is gone keeps when it was last listed, and is
            remembered to have ended when it was found gone, unless an end was told.
        now: The exchange's time.
    """
    rows = [
        {
            "exchange": each.exchange,
            "symbol": each.symbol,
            "instrument": each.id,
            "contract_size": each.contract_size,
            "funding_interval_hours": each.funding_interval_hours,
            "listed": each.listed,
            "delisted": each.delisted,
            "seen": now if member.seen is None else member.seen,
        }
        for symbol in symbols
        for member in symbol.members
        for each in [member.instrument]
    ]
    empty = parse_kind("instruments").empty()
    return pd.DataFrame(rows, columns=empty.columns).astype(empty.dtypes.to_dict())
