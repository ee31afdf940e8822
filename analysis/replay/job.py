"""A replay from its plan to its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from analysis.replay.figures import compare
from analysis.replay.folder import ReplayFolder
from analysis.replay.nights import Replay
from analysis.replay.report import ReplayReport
from analysis.replay.strategies import Held, hold
from brain.errors import BrainError, InputError, LibraryError
from brain.logs import labelled
from brain.series.past import PastBars
from brain.series.times import when
from brain.text import count
from brain.work import Failure, Tally
from engine.data.market_series import open_markets, past_markets
from engine.evaluation.nights import DAY_NS
from engine.night.symbols import SymbolData, read_symbol
from registry.places import database_folder
from registry.promotion.closings import contest_name, day_start, read_closings
from registry.promotion.course import read_verdicts

if TYPE_CHECKING:
    from analysis.replay.plan import ReplayPlan
    from brain.lines import Line
    from brain.series.bars import Bars
    from brain.settings import Settings
    from brain.work import Progress
    from registry.library import BrainLibrary

__all__ = ["check_replay", "replay", "replay_folder"]

# Symbols that are named in a title.
_FEW = 5


def replay(
    plan: ReplayPlan,
    settings: Settings,
    library: BrainLibrary,
    bars: Mapping[str, Bars],
    progress: Progress,
) -> ReplayReport:
    """Do the nights of a replay that are not complete yet, and compare what they came to.

    Args:
        plan: which nights.
        settings: of the nights.
        library: whose series store has funding and open interest; nothing is written to it.
        bars: by symbol; those that can't be read are left out.
        progress: called after each night.

    Raises:
        InputError: the plan leaves no night, or a replay of that name had other options or bars.
        LeaseError: another process is at work on it.
        LibraryError: a store fails.
    """
    past, last, failures = _read(bars, settings)
    moments = plan.moments(last)
    place = ReplayFolder(replay_folder(settings) / plan.name)
    with place.held():
        place.check_options(options := plan.document(settings))
        place.write_options(options)
        nights = Replay(place, settings, past, open_markets(library, settings), plan.name)
        own, documents = nights.run(moments, progress)
        data = _data(settings, past, library, moments[-1])
        compared = {
            symbol: each
            for symbol, each in data.items()
            if _served(documents, symbol) and each.dataset.close_time[-1] > moments[0]
        }
        if not compared:
            raise InputError(
                "no symbol of the replay had a model on any night; see the failures of its nights "
                f"in {place.folder}, and name another replay with more bars or a later since"
            )
        definitions = _definitions(own, compared)
        lines = sorted({k for night in documents for s in night["symbols"].values()
                        for k in s["lines"]})  # fmt: skip
        held = [hold(own, each, documents, definitions, lines) for each in compared.values()]
        failures += _failures(documents, held)
        return ReplayReport(
            title=f"Replay {plan.name}",
            subtitle=_subtitle(list(compared), moments, settings),
            comparison=compare(
                held, list(compared), [_a_night(each) for each in compared.values()],
                settings.bars_ahead,
            ),
            decisions=_verdicts(own),
            nights=documents,
            failures=failures,
            library=place.dsn,
        )  # fmt: skip


def _subtitle(symbols: Sequence[str], moments: Sequence[pd.Timestamp], settings: Settings) -> str:
    """What was replayed, in words."""
    few = ", ".join(symbols) if len(symbols) <= _FEW else count(len(symbols), "symbol")
    refits = "every night" if settings.refit is None else f"at the age of {settings.refit}"
    return (
        f"{few}: {count(len(moments), 'night')} from {when(moments[0])} until {when(moments[-1])}, "
        f"versions fitted anew {refits}"
    )


def check_replay(plan: ReplayPlan, settings: Settings) -> None:
    """Refuse a replay of that name with other options, before anything is written.

    Raises:
        InputError: it was begun with others.
    """
    ReplayFolder(replay_folder(settings) / plan.name).check_options(plan.document(settings))


def replay_folder(settings: Settings) -> Path:
    """The folder of all replays: that of the settings, or beside the store."""
    if settings.replays is not None:
        return settings.replays
    return (database_folder(settings.tracking_uri) or Path.cwd()) / "replays"


def _read(
    bars: Mapping[str, Bars], settings: Settings
) -> tuple[PastBars, pd.Timestamp, list[Failure]]:
    """The bars that can be read, the last close among them, and the failures of the others."""
    whole = PastBars(bars, settings.columns)
    closes: dict[str, pd.Timestamp] = {}
    failures = []
    for symbol in bars:
        try:
            closes[symbol] = whole.whole(symbol).close_time[-1]
        except LibraryError:
            raise
        except BrainError as error:
            failures.append(Failure(symbol, error, symbol=symbol))
    if not closes:
        raise InputError("no symbol's bars can be read; see the errors above")
    return whole.only(list(closes)), max(closes.values()), failures


def _data(
    settings: Settings, past: PastBars, library: BrainLibrary, moment: pd.Timestamp
) -> dict[str, SymbolData]:
    """The symbols' rows up to the last night; one that has none then has no part in it."""
    source = past.at(moment, list(past))
    market = past_markets(open_markets(library, settings), moment)
    rows = {}
    for symbol in source:
        with labelled(symbol=symbol):
            data = read_symbol(settings, symbol, source, market, Tally(None, 0))
        if isinstance(data, SymbolData):
            rows[symbol] = data
    return rows


def _served(nights: Sequence[Mapping[str, Any]], symbol: str) -> bool:
    return any(symbol in night["symbols"] for night in nights)


def _definitions(library: BrainLibrary, data: Mapping[str, SymbolData]) -> dict[str, Line]:
    keys = {each.dataset.key for each in data.values()}
    contests = sorted({contest_name(key.timeframe, key.horizon) for key in keys})
    closings = [c for name in contests for c in read_closings(library.series, name)]
    current = [line for lines in library.lines().values() for line in lines]
    return {line.id: line for line in current} | {
        name: line for closing in closings for name, line in closing.lines.items()
    }


def _a_night(data: SymbolData) -> float:
    """Bars of a night with bars, on the average."""
    closes = data.dataset.close_ns
    return len(closes) / max(1, len(set(((closes - 1) // DAY_NS).tolist())))


def _failures(nights: Sequence[Mapping[str, Any]], held: Sequence[Held]) -> list[Failure]:
    """One of each kind and subject, the last."""
    failures = {
        what: Failure(what, BrainError(entry["error"]), symbol=entry["symbol"])
        for night in nights
        for what, entry in night["failures"].items()
    }
    return [*failures.values(), *(failure for one in held for failure in one.failures)]


def _verdicts(library: BrainLibrary) -> list[dict[str, Any]]:
    return [
        {
            "contest": contest,
            "night": f"{day_start(decision.day):%Y-%m-%d}",
            "line": decision.line,
            "outcome": str(decision.outcome),
            "group": decision.group,
            "reason": decision.reason,
        }
        for contest, decision in read_verdicts(library.series)
    ]
