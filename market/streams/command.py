"""The body of ``brain stream``: streams until it is told to stop, and shows what arrives."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from brain.disk import check_space
from brain.errors import InputError, SeriesStoreError, did_you_mean
from brain.naming import present_name
from brain.series.store.object_store import is_s3
from brain.series.store.store import SeriesStore
from brain.settings import Settings
from market.checks import check_collection
from market.exchanges import exchange_of
from market.exchanges.feeds import FEEDS
from market.http.sockets import Sockets
from market.streams.pace import Pace
from market.streams.reread import reread
from market.streams.status import status_of, write_status
from market.streams.stream import Source, Stream
from market.streams.suspects import Suspect, read_suspects

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

__all__ = ["make_stream", "reread_recording", "stream_until_stopped"]

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_TELL_SECONDS = 60.0


def make_stream(settings: Settings, store: SeriesStore | None = None) -> Stream:
    """The stream of the settings; nothing is opened yet.

    Args:
        settings: the exchanges, symbols, addresses and times.
        store: another one than that of the settings.

    Raises:
        SettingsError: no exchanges or no symbols are named.
        InputError: an exchange is not streamed from, an address is none, or it has no candles of
            the timeframe.
        SeriesStoreError: the folder of the series can't be written.
        StorageFullError: a disk has too little space.
    """
    check_collection(settings)
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


def stream_until_stopped(settings: Settings, out: Console) -> None:
    """Stream until SIGTERM or SIGINT, then store what is left.

    Raises:
        BrainError: as of :func:`make_stream` and :meth:`market.streams.stream.Stream.run`.
    """
    stream = make_stream(settings)
    asyncio.run(_stream(stream, settings, out))


def reread_recording(settings: Settings, out: Console) -> None:
    """Read the recording again, and print how many rows became others.

    Raises:
        InputError: there is none.
        SeriesStoreError: the store can't be written.
    """
    from brain.console import progress

    with progress(out, "Reading") as (reading,):
        counts = reread(settings.frames, SeriesStore(settings.series), progress=reading)
    rows = ", ".join(f"{number:,} {kind}" for kind, number in counts.items() if number)
    out.print(f"New or changed: {rows or 'nothing'}", markup=False)


async def _stream(stream: Stream, settings: Settings, out: Console) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watching = asyncio.create_task(_Watch(stream, settings, out).run())
    try:
        await stream.run(stop)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    out.print(status_of(stream).line(), markup=False)


class _Watch:
    """Shows what a stream does, and looks for silence that is not believed."""

    def __init__(self, stream: Stream, settings: Settings, out: Console) -> None:
        self._stream, self._settings, self._out = stream, settings, out
        self._suspects: list[Suspect] = []
        self._told: set[tuple[str, str, str]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        tell = loop.time()
        with _live(self._out) as live:
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                due = loop.time() - tell >= _TELL_SECONDS
                if due:
                    tell = loop.time()
                    await self._look_for_suspects()
                status = status_of(self._stream, [str(one) for one in self._suspects])
                write_status(status, self._settings.frames / "status.json")
                if live is not None:
                    live.update(status.table())
                elif due:
                    self._out.print(status.line(), markup=False)

    async def _look_for_suspects(self) -> None:
        now = pd.Timestamp.now("UTC")
        work = partial(
            read_suspects,
            SeriesStore(self._settings.series),
            self._settings.exchanges,
            list(self._settings.symbols),
            now - pd.Timedelta(minutes=2),
            now,
        )
        try:
            self._suspects = await asyncio.get_running_loop().run_in_executor(None, work)
        except SeriesStoreError as error:
            logger.warning("silence can't be held against what is usual: %s", error)
            return
        named = {(one.exchange, one.symbol, one.reason) for one in self._suspects}
        for one in self._suspects:
            if (one.exchange, one.symbol, one.reason) not in self._told:
                logger.warning("%s", one)
        self._told = named


@contextmanager
def _live(out: Console) -> Iterator[Live | None]:
    """A table that is renewed in place; None where there is no terminal."""
    if not out.is_terminal:
        yield None
        return
    from rich.live import Live

    with Live(console=out, refresh_per_second=2, transient=True) as live:
        yield live
