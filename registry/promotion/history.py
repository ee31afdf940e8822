"""Frozen evidence as arrays: what the store has of some lines, night by night."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.brief import Brief
from brain.errors import LibraryError
from brain.naming import REGIMES
from brain.series.store.store import SeriesStore
from registry.promotion.closings import Closing, day_start
from registry.promotion.groups import Booleans, Floats, Indices

__all__ = ["History", "last_days", "read_history"]

_NUMBERS = ("profit", "turnover", "missing", "tried", "bars")
_COLUMNS = ("line", "symbol", "regime", "time", "source", "collected", *_NUMBERS)
_LIVE = "live"


_Scalar = TypeVar("_Scalar", np.float64, np.int64, np.bool_)


@dataclass(frozen=True, repr=False)
class History(Brief):
    """Evidence of N days in a row, each (N, symbols, regimes, lines); NaN is unknown.

    Attributes:
        first: number of the first day.
        symbols, lines: names, in the order of the axes.
        profit: net, over the volatility known before the night.
        turnover: in units of the capital.
        missing: share of the night's bars without a prediction.
        tried: recipes that were tried on the night's bars.
        bars: of the night.
        live: whether the row is of a live night, else of a backtest.
        stored: when the row was, nanoseconds since 1970 UTC; 0 where there is none.
    """

    first: int
    symbols: tuple[str, ...]
    lines: tuple[str, ...]
    profit: Floats
    turnover: Floats
    missing: Floats
    tried: Floats
    bars: Floats
    live: Booleans
    stored: NDArray[np.int64]

    @property
    def days(self) -> Indices:
        """The days' numbers, (N,)."""
        return np.arange(self.first, self.first + len(self.profit))

    @property
    def digest(self) -> str:
        """SHA-256 of the profits and what they are of.

        Of a JSON object of ``first`` (a date), ``symbols``, ``regimes`` and ``lines`` with sorted
        keys and no blanks, then of the profits in this order of axes as little-endian float64.
        """
        axes = {
            "first": f"{day_start(self.first):%Y-%m-%d}",
            "symbols": self.symbols,
            "regimes": [str(regime) for regime in REGIMES],
            "lines": self.lines,
        }
        header = json.dumps(axes, sort_keys=True, separators=(",", ":")).encode()
        profit = np.where(np.isnan(self.profit), np.nan, self.profit)  # one NaN of the many
        return hashlib.sha256(header + profit.astype("<f8").tobytes()).hexdigest()

    @property
    def mismatched(self) -> Booleans:
        """Nights that lines have on other bars than one another, (N, symbols, regimes)."""
        known = np.isfinite(self.bars)
        most = np.where(known, self.bars, -np.inf).max(axis=-1, initial=-np.inf)
        least = np.where(known, self.bars, np.inf).min(axis=-1, initial=np.inf)
        return np.asarray(known.any(axis=-1) & (most > least))

    def at(self, closings: Sequence[Closing]) -> History:
        """As the last of the closings has it, whatever was stored since.

        Rows that are late, or stored after that closing, are unknown, as are the profits of nights
        on other bars.

        Args:
            closings: of the contest, from the first on.
        """
        n = max(0, closings[-1].day + 1 - self.first)
        hidden = ((self.stored > closings[-1].stored.value) | self.late(closings))[:n]
        counted = replace(
            self,
            live=self.live[:n],
            stored=self.stored[:n],
            profit=np.where(hidden, np.nan, self.profit[:n]),
            turnover=np.where(hidden, np.nan, self.turnover[:n]),
            missing=np.where(hidden, np.nan, self.missing[:n]),
            tried=np.where(hidden, np.nan, self.tried[:n]),
            bars=np.where(hidden, np.nan, self.bars[:n]),
        )
        profit = np.where(counted.mismatched[..., None], np.nan, counted.profit)
        return replace(counted, profit=profit)

    def late(self, closings: Sequence[Closing]) -> Booleans:
        """Live rows that were stored after the first closing of their day or a later one."""
        limits = np.full(len(self.profit), np.iinfo(np.int64).max)
        for closing in reversed(closings):
            limits[self.days <= closing.day] = closing.stored.value
        return self.live & (self.stored > limits[:, None, None, None])

    def nights(
        self, days: Sequence[int] | Indices, symbols: Sequence[str], lines: Sequence[str]
    ) -> Floats:
        """Profits of some days, symbols and lines in that order; unknown where there are none."""
        shape = (len(days), len(symbols), len(REGIMES), len(lines))
        values = np.full(shape, np.nan)
        s, k = _places(symbols, self.symbols), _places(lines, self.lines)
        rows = np.asarray(days, dtype=np.int64) - self.first
        here = np.flatnonzero((rows >= 0) & (rows < len(self.profit)))
        r = np.arange(len(REGIMES))
        old = np.ix_(rows[here], s[s >= 0], r, k[k >= 0])
        new = np.ix_(here, np.flatnonzero(s >= 0), r, np.flatnonzero(k >= 0))
        values[new] = self.profit[old]
        return values


def read_history(
    store: SeriesStore,
    timeframe: str,
    *,
    lines: Sequence[str],
    symbols: Sequence[str] | None = None,
) -> History:
    """The evidence of some lines.

    Args:
        store: of the evidence.
        timeframe: of the lines.
        lines: their ids.
        symbols: only of these; of all if None.

    Raises:
        LibraryError: a profit is infinite.
        SeriesStoreError: the store can't be read.
    """
    where = {"line": list(lines)}
    rows = store.read(
        "evidence", timeframe=timeframe, symbol=symbols, where=where, columns=_COLUMNS
    )
    names = tuple(sorted(rows["symbol"].unique()) if symbols is None else symbols)
    days = (rows["time"].dt.as_unit("s").astype("int64") // 86_400).to_numpy()
    first = int(days.min()) if len(days) else 0
    count = int(days.max()) - first + 1 if len(days) else 0
    cells = (
        days - first,
        _places(rows["symbol"], names),
        _places(rows["regime"], [str(regime) for regime in REGIMES]),
        _places(rows["line"], lines),
    )
    shape = (count, len(names), len(REGIMES), len(lines))

    def array(values: NDArray[_Scalar], empty: float | bool) -> NDArray[_Scalar]:
        full = np.full(shape, empty, dtype=values.dtype)
        full[cells] = values
        return full

    numbers = {name: array(rows[name].to_numpy(np.float64), np.nan) for name in _NUMBERS}
    if (infinite := np.isinf(rows["profit"].to_numpy())).any():
        row = rows[infinite].iloc[0]
        raise LibraryError(
            f"the profit of {row['line']} for {row['symbol']} on {row['time']:%Y-%m-%d} is "
            f"{row['profit']}; evidence is a number or unknown: mend what wrote it"
        )
    stored = rows["collected"].dt.as_unit("ns").astype("int64").to_numpy()
    return History(
        first,
        names,
        tuple(lines),
        live=array((rows["source"] == _LIVE).to_numpy(), False),
        stored=array(stored, 0),
        **numbers,
    )


def last_days(store: SeriesStore, timeframe: str, since: int) -> dict[str, int]:
    """The last day with evidence of each symbol, if it isn't before a day.

    Args:
        store: of the evidence.
        timeframe: of the bars.
        since: number of the first day that is looked at.
    """
    columns, start = ["symbol", "time"], day_start(since)
    rows = store.read("evidence", timeframe=timeframe, start=start, columns=columns)
    last = rows.groupby("symbol")["time"].max()
    return {str(symbol): int(time.timestamp()) // 86_400 for symbol, time in last.items()}


def _places(names: Iterable[str], among: Sequence[str]) -> Indices:
    """The place of each name among others; -1 for none."""
    codes, unique = pd.factorize(pd.Series(names, dtype="str"))
    places = pd.Index(list(among), dtype="str").get_indexer(pd.Index(list(unique)))
    return np.asarray(places[codes] if len(unique) else codes, dtype=np.int64)
