"""Bars and market series: from files, from the packaged sample, and in the series store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain._lazy import face

if TYPE_CHECKING:
    from brain.series.bars import Bars as Bars, check_bars as check_bars
    from brain.series.files import (
        BarSet as BarSet,
        read_folder as read_folder,
        sample_folder as sample_folder,
    )
    from brain.series.source import BarSource as BarSource, open_bars as open_bars
    from brain.series.store.store import SeriesStore as SeriesStore, UpsertCounts as UpsertCounts

__all__, __getattr__, __dir__ = face(
    __name__,
    {
        "brain.series.bars": "Bars check_bars",
        "brain.series.files": "BarSet read_folder sample_folder",
        "brain.series.source": "BarSource open_bars",
        "brain.series.store.store": "SeriesStore UpsertCounts",
    },
)
