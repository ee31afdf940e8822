"""A symbol's liquidations by minute, from the series store and for the kernel."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from brain.brief import Brief
from brain.errors import InputError
from brain.naming import perpetual
from brain.series.liquidation_minutes import read_minutes
from engine.data.row_columns import TIMES, times_of, values_of
from engine.kernels.liquidations import MinuteRows

if TYPE_CHECKING:
    from brain.series.store.store import SeriesStore

__all__ = ["LiquidationSeries", "read_liquidations"]

_AMOUNTS = ("long_usd", "short_usd")


@dataclass(frozen=True, eq=False, repr=False)
class LiquidationSeries(Brief):
    """Liquidations of a symbol's perpetual by minute.

    Attributes:
        minutes: a row a minute that was listened to, of an exchange: exchange, time (its end),
            available (when it had arrived), long_usd and short_usd (of those who were liquidated;
            NaN: it is not known any more). Times are in UTC with a zone; rows in any order.

    Raises:
        InputError: a column is missing, or a time has no zone.
    """

    minutes: pd.DataFrame

    def __post_init__(self) -> None:
        columns = ("exchange", *TIMES, *_AMOUNTS)
        if missing := [name for name in columns if name not in self.minutes.columns]:
            raise InputError(
                f"the liquidations have no column {missing[0]!r}; give {', '.join(columns)}"
            )
        for name in TIMES:
            dtype = self.minutes[name].dtype
            if not isinstance(dtype, pd.DatetimeTZDtype):
                raise InputError(
                    f"the liquidations' {name} is {dtype}; give moments with a zone, in UTC"
                )

    @property
    def digest(self) -> str:
        """SHA-256 of the rows, whatever their order, in hexadecimal."""
        digest = hashlib.sha256()
        for exchange, rows in self.rows().items():
            columns = list(vars(rows).values())
            order = np.lexsort(columns)
            digest.update(json.dumps([exchange, len(order)]).encode())
            for column in columns:
                digest.update(column[order].tobytes())
        return digest.hexdigest()

    def at(self, moment: pd.Timestamp) -> LiquidationSeries | None:
        """What had arrived at a moment; None if nothing had."""
        arrived = self.minutes[self.minutes["available"] <= moment].reset_index(drop=True)
        return None if arrived.empty else LiquidationSeries(arrived)

    def rows(self) -> dict[str, MinuteRows]:
        """The kernel's rows by exchange, in one order."""
        minutes = self.minutes.dropna(subset=list(TIMES))
        return {
            str(exchange): MinuteRows(*times_of(rows), *(values_of(rows, n) for n in _AMOUNTS))
            for exchange, rows in minutes.groupby("exchange", sort=True)
        }

    def __repr__(self) -> str:
        return f"LiquidationSeries({len(self.minutes)} minutes)"


def read_liquidations(
    store: SeriesStore, symbol: str, exchanges: Sequence[str]
) -> LiquidationSeries | None:
    """The store's liquidations of a symbol's perpetual; None if nothing was listened to.

    Args:
        store: the series store.
        symbol: ``BTC/USDT`` or ``BTC/USDT:USDT``; one without a perpetual has none.
        exchanges: whose streams count.

    Raises:
        SeriesStoreError: the store can't be read.
    """
    if not exchanges:
        return None
    try:
        contract = perpetual(symbol)
    except InputError:
        return None
    minutes = read_minutes(store, contract, exchanges)
    return None if minutes.empty else LiquidationSeries(minutes)
