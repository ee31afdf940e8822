"""A stream as the settings have it."""

from __future__ import annotations

from pathlib import Path

from brain.disk import check_space
from brain.errors import InputError, did_you_mean
from brain.naming import present_name
from brain.series.store.object_store import is_s3
from brain.series.store.store import SeriesStore
from brain.settings import Settings
from market.exchanges import exchange_of
from market.exchanges.feeds import FEEDS
from market.http.sockets import Sockets
from market.streams.pace import Pace
from market.streams.stream import Source, Stream

__all__ = ["make_stream"]


def make_stream(settings: Settings, store: SeriesStore | None = None) -> Stream:
    """The stream of the settings; nothing is opened yet.

    Args:
        settings: the exchanges, symbols, addresses and times.
        store: another one than that of the settings.

    Raises:
        InputError: an exchange is not streamed from, an address is none, or it has no candles of
            the timeframe.
        StorageFullError: a disk has too little space.
    """
    for name in settings.exchanges:
        if name not in FEEDS:
            raise InputError(f"{name} is not streamed from; {did_you_mean(name, FEEDS)}")
        url = getattr(settings, f"{name}_stream_url")
        Sockets(url or FEEDS[name].url, service=name)  # refuses what is no address
    folders = [settings.frames, *([] if is_s3(settings.series) else [Path(settings.series)])]
    check_space(folders, settings.free_mb)
    sources = [
        Source(exchange_of(settings, name), getattr(settings, f"{name}_stream_url"))
        for name in settings.exchanges
    ]
    pace = Pace(commit=settings.commit_seconds, keep=3600.0 * settings.frames_hours)
    return Stream(
        SeriesStore(settings.series) if store is None else store.by_own_names(),
        sources,
        [present_name(symbol, settings.renamed) for symbol in settings.symbols],
        settings.candle_timeframe,
        settings.frames,
        pace=pace,
    )
