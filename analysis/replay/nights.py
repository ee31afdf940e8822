"""The nights of a replay: each is the house's own night, at a moment of the past.

A night sees the bars that were complete, and the funding and open interest that were public, at its
moment, and a series store whose clock stands there. What it trains, shadows, decides, explains and
names is in a library of the replay's own.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.documents import join_documents
from analysis.night import Night, SymbolNight
from analysis.night_page import night_page
from analysis.replay.folder import Clock, ReplayFolder, Savepoint
from brain.artifacts import NIGHT_PAGE, PROMOTION, SUMMARY
from brain.brief import Brief
from brain.errors import BrainError, InputError, LibraryError
from brain.naming import Role, Tag
from brain.series.times import when
from brain.stopwatch import Stopwatch
from brain.text import count
from engine.data.market_series import past_markets

if TYPE_CHECKING:
    from brain.records import Version
    from brain.series.past import PastBars
    from brain.settings import Settings
    from brain.work import Failure, Progress
    from engine.data.market_series import MarketReader
    from registry.library import BrainLibrary

__all__ = ["Replay", "ReplayedNight", "replay_night"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class ReplayedNight(Brief):
    """What a night came to.

    Attributes:
        document: for JSON: ``moment``; ``symbols``, by symbol with ``model``, ``timeframe``,
            ``horizon``, the ``champions`` by regime (``line``, ``version`` and ``size``), the
            ``lines`` with the number of the version that serves each, and ``best``, the newest
            version of the line whose newest one has the best net Sharpe ratio; ``versions``, how
            many were registered; ``failures`` by what failed, with ``error`` and ``symbol``.
        seconds: that it took.
    """

    document: Mapping[str, Any]
    seconds: float

    def __str__(self) -> str:
        fitted, failed = self.document["versions"], len(self.document["failures"])
        parts = [
            f"night {when(pd.Timestamp(self.document['moment']))}",
            *([f"{count(fitted, 'version')} fitted"] if fitted else []),
            *([f"{count(failed, 'failure')}"] if failed else []),
        ]
        return f"{', '.join(parts)}: {self.seconds:.1f} s"


class Replay:
    """A replay.

    Args:
        folder: of the replay, held.
        settings: of its nights.
        bars: of its symbols.
        market: reads funding and open interest of all times.
        experiment: of the nights.
    """

    def __init__(
        self,
        folder: ReplayFolder,
        settings: Settings,
        bars: PastBars,
        market: MarketReader,
        experiment: str,
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._bars = bars
        self._market: MarketReader = cache(market)
        self._experiment = experiment

    def run(
        self, moments: Sequence[pd.Timestamp], progress: Progress
    ) -> tuple[BrainLibrary, list[dict[str, Any]]]:
        """Do the nights that are not complete yet.

        Args:
            moments: of all nights.
            progress: called after each night.

        Returns:
            The replay's library after the last night, and the documents of all nights.

        Raises:
            InputError: the bars of the nights that are complete have changed.
            LibraryError: a store fails; then nothing can go on.
        """
        clock = Clock(moments[0])
        library, savepoint = self._folder.open(self._experiment, clock)
        if savepoint.nights:
            clock.moment = pd.Timestamp(savepoint.moment)
            self._check_bars(savepoint)
            logger.info("goes on after %s, %s", count(savepoint.nights, "night"), clock.moment)
        for number in range(savepoint.nights + 1, len(moments) + 1):
            moment = clock.moment = moments[number - 1]
            night = replay_night(
                library, self._settings, self._bars, self._market, self._experiment, moment
            )
            self._folder.write_night(number, night.document)
            self._folder.save(
                library, Savepoint(number, moment.isoformat(), {}, self._digests(moment))
            )
            progress(night, number, len(moments))
        return library, self._folder.read_nights(len(moments))

    def _check_bars(self, savepoint: Savepoint) -> None:
        digests = self._digests(pd.Timestamp(savepoint.moment))
        names = sorted(digests.keys() | savepoint.bars.keys())
        changed = [name for name in names if digests.get(name) != savepoint.bars.get(name)]
        if changed:
            raise InputError(
                f"the bars of {', '.join(changed)} until {savepoint.moment} are other ones than "
                f"those of the nights that are complete in {self._folder.folder}; bring these "
                "back, or give this replay another name"
            )

    def _digests(self, moment: pd.Timestamp) -> dict[str, str]:
        """What was visible of each symbol; empty where that can't be used."""
        past, markets = self._bars.at(moment, list(self._bars)), past_markets(self._market, moment)
        digests = {}
        for symbol in past:
            try:
                market = markets(symbol)
                digests[symbol] = past[symbol].digest + (market.digest if market else "")
            except LibraryError:
                raise
            except BrainError:
                digests[symbol] = ""
        return digests


def replay_night(
    library: BrainLibrary,
    settings: Settings,
    bars: PastBars,
    market: MarketReader,
    experiment: str,
    moment: pd.Timestamp,
) -> ReplayedNight:
    """A night at a moment of the past, on a library as the night before it left it.

    Args:
        library: of the replay; the clock of its series store stands at the moment.
        settings: of the night.
        bars: of all times.
        market: reads funding and open interest of all times.
        experiment: of the night's run.
        moment: of the night.

    Raises:
        LibraryError: a store fails.
    """
    start = time.perf_counter()
    past = bars.at(moment, list(bars))
    with library.start(
        experiment,
        f"{Role.NIGHT} {moment:%Y-%m-%d %H:%M}",
        tags={Tag.ROLE: Role.NIGHT, Tag.SETTINGS: settings.digest()},
        note=f"Night of {count(len(past), 'symbol')} at {when(moment)}, replayed.",
        moment=moment.to_pydatetime(),
    ) as run:
        night = Night(
            library,
            settings,
            past,
            run,
            moment=moment.to_pydatetime(),
            market=past_markets(market, moment),
        )
        run.document(night.promotion.document(), PROMOTION)
        done = {part.symbol: part for part in night.symbols(_silent, _silent)}
        night.promotion.close()
        parts = [done[symbol] for symbol in past]
        failures = [*(f for part in parts for f in part.failures), *night.promotion.failures]
        stopwatch = Stopwatch()
        for part in parts:
            stopwatch.add(part.stopwatch.seconds)
        document = join_documents(
            [part.document for part in parts if part.document], failures, stopwatch.seconds
        )
        run.document(document, SUMMARY)
        run.text(night_page(document, list(past), title=f"{run.name} UTC, replayed"), NIGHT_PAGE)
        if failures:
            run.fail()
        run.complete()
    replayed = _document(library, moment, parts, failures)
    return ReplayedNight(replayed, time.perf_counter() - start)


def _silent(_piece: object, _done: int, _all: int) -> None:
    """In the place of a progress: the nights are the pieces."""


def _document(
    library: BrainLibrary,
    moment: pd.Timestamp,
    parts: Sequence[SymbolNight],
    failures: Sequence[Failure],
) -> dict[str, Any]:
    return {
        "moment": moment.isoformat(),
        "symbols": {part.symbol: _symbol(library, part) for part in parts if part.serving},
        "versions": sum(len(part.document.get("versions", ())) for part in parts),
        "failures": {f.what: {"error": str(f.error), "symbol": f.symbol} for f in failures},
    }


def _symbol(library: BrainLibrary, part: SymbolNight) -> dict[str, Any]:
    one = next(iter(part.serving.values()))
    best = _best(library, part.serving)
    return {
        "model": one.model,
        "timeframe": one.key.timeframe,
        "horizon": one.key.horizon,
        "champions": {
            str(standing.champion.regime): {
                "line": standing.champion.record.line,
                "version": standing.champion.version,
                "size": standing.champion.record.size,
            }
            for standing in part.champions
        },
        "lines": {line: version.number for line, version in part.serving.items()},
        "best": None if best is None else {"line": best.line, "version": best.number},
    }


def _best(library: BrainLibrary, serving: Mapping[str, Version]) -> Version | None:
    """The newest version of the line whose newest one has the best net Sharpe ratio of all.

    What is chosen without any test. None where no line's is known.
    """
    newest = [next(library.line_versions(v.key, line)) for line, v in serving.items()]
    sharpe = {v.id: library.evidence(v).net_sharpe.value for v in newest}
    known = [version for version in newest if math.isfinite(sharpe[version.id])]
    return max(known, key=lambda version: sharpe[version.id], default=None)
