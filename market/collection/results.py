"""The result of a collection: of each symbol, exchange and kind, with its gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pandas as pd

from brain.errors import BrainError

__all__ = ["CollectionResult", "Gap", "SeriesResult"]


@dataclass(frozen=True, order=True)
class Gap:
    """Rows that should exist and are not stored.

    Attributes:
        start: time of the first, UTC.
        end: end of the gap, exclusive.
        count: how many rows; of funding by the interval around the gap.
        reason: why they are missing.
        reason_since: when the reason was first noted; None if that is now.
        checked: when the exchange was last asked for them; None if that is now.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    count: int
    reason: str
    reason_since: pd.Timestamp | None = field(default=None, compare=False, repr=False)
    checked: pd.Timestamp | None = field(default=None, compare=False, repr=False)

    def part(
        self,
        start: pd.Timestamp,
        end: pd.Timestamp,
        count: Callable[[pd.Timestamp, pd.Timestamp], int],
    ) -> Gap:
        """The gap's part in ``[start, end)``; ``count`` is of the series' grid."""
        if (start, end) == (self.start, self.end):
            return self
        return replace(self, start=start, end=end, count=count(start, end))

    def __str__(self) -> str:
        rows = _rows(self.count)
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}, {rows}: {self.reason}"


@dataclass(frozen=True)
class SeriesResult:
    """One series after a collection; numbers are of the request's range.

    Attributes:
        symbol: as in the request, ``BTC/USDT``.
        exchange: its name, ``okx``; of sentiment that of the publisher.
        kind: ``candles``, ``funding``, ``open_interest``, ``snapshots`` or ``sentiment``.
        timeframe: of candles and open interest; empty for the others.
        rows_stored: rows that the store holds now; None if the exchange's failure left it unknown.
        rows_new: rows that this collection stored, late ones of earlier ranges included.
        expected: rows that should exist; None as above, and of sentiment, where nobody knows.
        missing: of these, rows that are not stored; None as above.
        gaps: where they are missing, and why; sorted.
        failure: what went wrong; None if nothing did. Rows that came before it are stored.
        note: anything else worth knowing, such as a delisting.
        start: of the range, UTC; None for snapshots and if unknown.
        end: of the range, exclusive.
    """

    symbol: str
    exchange: str
    kind: str
    timeframe: str
    rows_stored: int | None
    rows_new: int
    expected: int | None
    missing: int | None
    gaps: tuple[Gap, ...] = ()
    failure: BrainError | None = None
    note: str = ""
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None

    @property
    def what(self) -> str:
        """The series in a few words, ``BTC/USDT okx candles 1h``."""
        return " ".join(filter(None, (self.symbol, self.exchange, self.kind, self.timeframe)))

    def __str__(self) -> str:
        parts = [] if self.rows_stored is None else [_rows(self.rows_stored)]
        if self.missing is not None:
            parts.append(f"{self.missing:,} missing")
        if self.note:
            parts.append(self.note)
        if self.failure is not None:
            parts.append(f"failed: {self.failure}")
        return f"{self.what}: {', '.join(parts)}"


@dataclass(frozen=True)
class CollectionResult:
    """The results of a collection; nothing of the request is absent.

    Attributes:
        series: a result for each symbol, exchange and kind, in the order of the request.
        liquidations: what streams have stored of the range's last day, a row a symbol and exchange
            (:meth:`market.liquidations.collector.Liquidations.summary`); None: no exchange is
            streamed from.
    """

    series: tuple[SeriesResult, ...]
    liquidations: pd.DataFrame | None = field(default=None, compare=False)

    @property
    def failures(self) -> tuple[SeriesResult, ...]:
        """The series with a failure."""
        return tuple(result for result in self.series if result.failure is not None)

    @property
    def rows_new(self) -> int:
        """Rows that were stored."""
        return sum(result.rows_new for result in self.series)

    def by_symbol(self) -> Mapping[str, tuple[SeriesResult, ...]]:
        """The results by symbol, written as in the request."""
        by_symbol: dict[str, list[SeriesResult]] = {}
        for result in self.series:
            by_symbol.setdefault(result.symbol, []).append(result)
        return {symbol: tuple(results) for symbol, results in by_symbol.items()}

    def frame(self) -> pd.DataFrame:
        """A row for each series.

        Columns: symbol, exchange, kind, timeframe, start, end, rows_stored, rows_new, expected,
        missing (``Int64``; NA where unknown), gaps (how many stretches), failure and note (empty
        if there is none).
        """
        rows = [
            {
                "symbol": result.symbol,
                "exchange": result.exchange,
                "kind": result.kind,
                "timeframe": result.timeframe,
                "start": result.start,
                "end": result.end,
                "rows_stored": result.rows_stored,
                "rows_new": result.rows_new,
                "expected": result.expected,
                "missing": result.missing,
                "gaps": len(result.gaps),
                "failure": "" if result.failure is None else str(result.failure),
                "note": result.note,
            }
            for result in self.series
        ]
        counts = dict.fromkeys(("rows_stored", "rows_new", "expected", "missing"), "Int64")
        times = dict.fromkeys(("start", "end"), "datetime64[us, UTC]")
        return pd.DataFrame(rows).astype({**counts, **times})

    def __str__(self) -> str:
        missing = sum(result.missing or 0 for result in self.series)
        return (
            f"{len(self.series):,} series: {self.rows_new:,} new rows, {missing:,} missing, "
            f"{len(self.failures):,} failed"
        )


def _rows(count: int) -> str:
    return f"{count:,} row" + ("" if count == 1 else "s")
