"""How a job begins and ends: settings, library and bars are checked, and then its run starts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from brain.logs import Logs, label, log_to
from brain.naming import Role, Tag
from jobs.job import Job

if TYPE_CHECKING:
    from rich.console import Console

    from brain.series.source import BarSource
    from brain.settings import Settings
    from registry.lease import Lease
    from registry.library import BrainLibrary

__all__ = ["job_log", "open_job"]

logger = logging.getLogger(__name__)


@contextmanager
def open_job(
    role: Role, overrides: Mapping[str, str | None], *, collects: bool = False, reads: bool = True
) -> Iterator[Job]:
    """A job with its run, which starts once settings, library and bars are checked.

    Args:
        role, overrides: of the run, and of its settings.
        collects: whether series are collected first, if bars are to come from these.
        reads: whether bars are worked on.
    """
    from brain.settings import load_settings
    from registry.reach import check_address

    settings = load_settings(overrides)
    check_address(settings.tracking_uri)
    with job_log(settings):
        yield from _job_of(role, settings, collects=collects, reads=reads)


def job_log(settings: Settings) -> AbstractContextManager[None]:
    """The log of a job: standard error, and the file of the settings."""
    from registry.places import log_file

    return log_to(Logs(log_file(settings), as_json=settings.log_format == "json"))


def _job_of(role: Role, settings: Settings, *, collects: bool, reads: bool) -> Iterator[Job]:
    from brain.console import console
    from brain.disk import reserve
    from brain.scratch import job_folder
    from brain.series.source import describe_source, open_bars
    from registry.places import database_folder

    # What can't be used is refused before the library makes tables and folders.
    bars = _folder_bars(role, settings) if reads else None
    collection = _collection_of(settings, bars) if collects else None
    library = _open_library(settings)
    if bars is None and not collects:
        bars = open_bars(settings, library, columns=())  # candles have none of their own
        bars.check()
    unread = "" if bars is None else bars.note
    out = console()
    with (
        job_folder(),
        reserve(database_folder(settings.tracking_uri)),
        _lease(role, library, settings, out) as lease,
    ):
        library.reap(after_hours=settings.reap_after_hours)
        night = lease is not None
        stopped = library.stopped_night(settings.experiment, settings.digest()) if night else None
        start = datetime.now(UTC)
        number = len(settings.symbols if bars is None else bars)
        source = describe_source(settings) if reads else " and ".join(_asked(settings))
        note = f"{role.capitalize()} of {number} symbols from {source}, {start:%c} UTC."
        for more in filter(None, (unread, stopped)):
            note += f" {more}"
            out.print(str(more), markup=False)
        with library.start(
            settings.experiment,
            f"{role} {start:%Y-%m-%d %H:%M}",
            tags={Tag.ROLE: role, Tag.SETTINGS: settings.digest()},
            note=note,
            continues=stopped,
            lease=lease,
        ) as run:
            label(night=run.number, run=run.id)
            logger.info("%s", note)
            run.params({f"setting.{k}": v for k, v in settings.run_parameters().items()})
            job = Job(settings, library, run, out, note, stopped=stopped)
            if collection is not None:
                job.collect(*collection)
            if reads:
                job.use(bars or open_bars(settings, library))
            yield job
            if job.failures:
                run.fail()
            run.complete()
            logger.info("%s ended with exit code %d", role, job.exit_code)


def _collection_of(
    settings: Settings, bars: BarSource | None
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The kinds and symbols that a job collects; None: it collects nothing.

    Beside bars from files only sentiment is collected, of their symbols.
    """
    from market.collection.kinds import kinds_of
    from market.collection.plan import SENTIMENT
    from market.configuration import check_collection

    kinds, symbols = kinds_of(settings), settings.symbols
    if bars is not None:
        if not settings.sentiment or SENTIMENT not in kinds:
            return None
        kinds, symbols = (SENTIMENT,), tuple(bars)
    check_collection(settings, kinds=kinds, symbols=symbols)
    return kinds, symbols


def _asked(settings: Settings) -> tuple[str, ...]:
    """Whom a collection asks."""
    from market.collection.kinds import MARKET, kinds_of, publishers_of

    kinds = kinds_of(settings)
    return (*(settings.exchanges if MARKET in kinds else ()), *publishers_of(settings, kinds))


def _open_library(settings: Settings) -> BrainLibrary:
    """The library, where runs and artifacts can be written and disks have space for a job."""
    from brain.disk import check_space
    from registry.library import BrainLibrary
    from registry.places import local_folders

    check_space(local_folders(settings), settings.free_mb)
    library = BrainLibrary(settings.tracking_uri, series=settings.series, renamed=settings.renamed)
    library.check(settings.experiment, settings.artifact_root)
    return library


def _lease(
    role: Role, library: BrainLibrary, settings: Settings, out: Console
) -> AbstractContextManager[Lease | None]:
    """The lease of the job's experiment; None for a job that needs none.

    Champions move by nights alone. What other jobs store stands beside what is there, whole, and
    whichever of two is the last to store a recipe or an explanation, it is one of theirs.
    """
    if role is not Role.NIGHT:
        return nullcontext()
    return library.lease(
        settings.experiment,
        f"{role} {datetime.now(UTC):%Y-%m-%d %H:%M}",
        wait_seconds=60 * settings.wait_minutes,
        announce=partial(out.print, markup=False),
    )


def _folder_bars(role: Role, settings: Settings) -> BarSource | None:
    """The bars of the folder, looked at; None if they are the series store's.

    An analysis takes the own columns of the versions that it is about, whatever the settings name.
    """
    from brain.series.source import open_folder, reads_store
    from engine.data.own_columns import check_columns

    if role is not Role.ANALYSIS:
        check_columns(settings)
    if reads_store(settings):
        return None
    bars = open_folder(settings, columns=() if role is Role.ANALYSIS else None)
    bars.check()
    return bars
