"""The body of ``brain stream``: streams until it is told to stop, and shows what arrives."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from brain.errors import SeriesStoreError
from brain.series.store.store import SeriesStore
from brain.series.suspects import Suspect, read_suspects
from brain.settings import Settings
from market.collection.kinds import MARKET
from market.configuration import check_collection
from market.streams.opening import make_stream
from market.streams.reread import reread
from market.streams.status import status_of, write_status
from market.streams.stream import Stream

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

__all__ = ["checked_stream", "reread_recording", "stream_until_stopped"]

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 2.0
_TELL_SECONDS = 60.0


def checked_stream(settings: Settings) -> Stream:
    """As :func:`market.streams.opening.make_stream`, of settings that are checked first.

    Raises:
        SettingsError: no exchanges or no symbols are named.
        SeriesStoreError: the folder of the series can't be written.
        BrainError: as of :func:`market.streams.opening.make_stream`.
    """
    check_collection(settings, kinds=[MARKET])
    return make_stream(settings)


def stream_until_stopped(settings: Settings, out: Console) -> None:
    """Stream until SIGTERM or SIGINT, then store what is left.

    Raises:
        BrainError: as of :func:`checked_stream` and :meth:`market.streams.stream.Stream.run`.
    """
    stream = checked_stream(settings)
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
