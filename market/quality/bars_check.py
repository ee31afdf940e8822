"""The check of bars, wherever they are kept: the records that collected series have, too."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brain.series.bars import Bars
from brain.series.source import bars_with
from market.quality.coverage import coverage_by_day
from market.quality.record import QualityRecord, RecordedGap

__all__ = ["CheckedBars", "bars_record"]

logger = logging.getLogger(__name__)

_REASON = "the source has no bar"


class CheckedBars(Mapping[str, Bars]):
    """The bars of several symbols, each checked when it is first read.

    What a rule flags is a warning in the log.

    Args:
        bars: by symbol, each read when it is asked for.
    """

    def __init__(self, bars: Mapping[str, Bars]) -> None:
        self._bars = bars
        self._records: dict[str, QualityRecord] = {}

    @property
    def records(self) -> tuple[QualityRecord, ...]:
        """Those of the symbols that were read, in the order of the symbols."""
        return tuple(self._records[symbol] for symbol in self if symbol in self._records)

    def __getitem__(self, symbol: str) -> Bars:
        return self._checked(symbol, self._bars[symbol])

    def read(self, symbol: str, columns: Sequence[str]) -> Bars:
        """A symbol's bars with these own columns, see :class:`brain.series.source.BarReader`."""
        return self._checked(symbol, bars_with(self._bars, symbol, columns))

    def _checked(self, symbol: str, bars: Bars) -> Bars:
        if symbol not in self._records:
            record = bars_record(bars, checked=pd.Timestamp.now(tz="UTC"))
            self._records[symbol] = record
            if record.findings:
                logger.warning("%s: %s", record.name, "; ".join(map(str, record.findings)))
        return bars

    def __iter__(self) -> Iterator[str]:
        return iter(self._bars)

    def __len__(self) -> int:
        return len(self._bars)


def bars_record(bars: Bars, *, checked: pd.Timestamp) -> QualityRecord:
    """The quality of a series of bars.

    How late the last bar is remains unknown, since a file may end when it likes; so do swapped
    amounts, of which bars have one. Repairs are in the note.

    Args:
        bars: of a symbol.
        checked: the time of the check, UTC.
    """
    times = pd.DatetimeIndex(bars.frame.index)
    missing = bars.frame["close"].isna().to_numpy()
    gaps, findings = _gaps(times, missing), bars.findings.listed(times)
    few = int((~missing).sum()) < 3  # too few to have neighbours
    return QualityRecord(
        exchange="",
        symbol=bars.symbol,
        kind="bars",
        timeframe=bars.timeframe,
        checked=checked.as_unit("us"),
        first=times[0],
        last=times[-1],
        rows=int((~missing).sum()),
        expected=len(times),
        missing=int(missing.sum()),
        gaps=len(gaps),
        duplicates=0,
        stale=None if few else bars.findings.rows("stale"),
        outliers=None if few else bars.findings.rows("outlier", "split"),
        swapped=None,
        note="; ".join([*bars.repairs, *map(str, findings)])
        or ("too few rows to tell" if few else "nothing found"),
        coverage=coverage_by_day(times[~missing], times[missing]),
        recorded_gaps=gaps,
        findings=findings,
    )


def _gaps(times: pd.DatetimeIndex, missing: NDArray[np.bool_]) -> tuple[RecordedGap, ...]:
    """The stretches of missing bars, each until the next bar."""
    edges = np.flatnonzero(np.diff(missing.astype(np.int8), prepend=0))
    return tuple(
        RecordedGap(times[start], times[end], int(end - start), _REASON)
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    )
