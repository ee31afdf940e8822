"""What is to be collected of one exchange: which series, of which instruments, since when.

A series is named by its canonical symbol. Behind it stand one or more *legs*: usually one
instrument from its listing on; after a renaming the old instrument until its delisting and the new
one after it. An instrument that the exchange no longer lists, but that was listed when we last
looked, is a leg that ends when we first found it gone: it ended somewhere between.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from brain.errors import UnknownSymbolError, did_you_mean
from brain.naming import present_name
from market.collection.grid import FixedGrid, FundingGrid, Grid
from market.exchanges.base import Exchange, Instrument

__all__ = [
    "GONE",
    "HISTORIES",
    "KINDS",
    "Leg",
    "Member",
    "Range",
    "Series",
    "Symbol",
    "former_names",
    "plan_series",
    "plan_symbol",
]

#: The kinds that are histories, and all that are collected.
HISTORIES = ("candles", "funding", "open_interest")
KINDS = (*HISTORIES, "snapshots")

#: The status of an instrument that the exchange no longer lists.
GONE = "no longer listed"

_HOUR = FixedGrid(pd.Timedelta(hours=1))
_MOMENT = pd.Timedelta(microseconds=1)


@dataclass(frozen=True)
class Member:
    """One instrument of a symbol.

    Attributes:
        instrument: With the symbol's name.
        known_as: Its own name, a former one of the symbol's perhaps.
        seen: When the exchange last listed it, if it does so no more.
    """

    instrument: Instrument
    known_as: str
    seen: pd.Timestamp | None = None


@dataclass(frozen=True)
class Symbol:
    """The instruments of a symbol at one exchange.

    Attributes:
        name: Canonical, ``BTC/USDT:USDT``.
        members: Oldest first.
        note: What there is to know of them.
    """

    name: str
    members: tuple[Member, ...]
    note: str = ""

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Oldest first."""
        return tuple(member.instrument for member in self.members)

    def live(self, now: pd.Timestamp) -> Instrument | None:
        """The instrument that trades now; None if none does."""
        last = self.instruments[-1]
        return last if last.delisted is None or last.delisted > now else None


@dataclass(frozen=True)
class Leg:
    """The part of a series that one instrument has: its rows are in ``[start, end)``.

    Attributes:
        known_as: The instrument's own name.
        doubtful: From when on nobody knows whether it still traded; None: it is known.
    """

    instrument: Instrument
    grid: Grid
    start: pd.Timestamp
    end: pd.Timestamp
    known_as: str = ""
    doubtful: pd.Timestamp | None = None


@dataclass(frozen=True)
class Series:
    """One history to make complete.

    Attributes:
        exchange: ``okx``.
        symbol: Canonical.
        kind: One of :data:`HISTORIES`.
        timeframe: Empty for funding.
        legs: Oldest first; they don't overlap, and end with what is closed by the exchange's clock.
        start: Of the range that is asked for, within the legs.
        end: Of the range, exclusive; not after ``start`` if the legs have none of it.
        reach: The earliest time that the exchange still gives; None: all.
        keeps: How long the exchange keeps such rows, in words.
        note: What there is to know.
    """

    exchange: str
    symbol: str
    kind: str
    timeframe: str
    legs: tuple[Leg, ...]
    start: pd.Timestamp
    end: pd.Timestamp
    reach: pd.Timestamp | None
    keeps: str = ""
    note: str = ""

    @property
    def grid(self) -> Grid:
        """The present grid, to count by."""
        if self.legs:
            return self.legs[-1].grid
        return FundingGrid(None) if self.kind == "funding" else FixedGrid.of(self.timeframe)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """Exchange, symbol, kind and timeframe: what the gap record names a series by."""
        return self.exchange, self.symbol, self.kind, self.timeframe


def former_names(renamed: Mapping[str, str]) -> dict[str, list[str]]:
    """The former names, oldest first, by the present one.

    Raises:
        InputError: a symbol is renamed in a circle.
    """
    former: dict[str, list[str]] = {}
    for old in sorted(renamed, key=lambda name: -_changes(name, renamed)):
        former.setdefault(present_name(old, renamed), []).append(old)
    return former


def _changes(name: str, renamed: Mapping[str, str]) -> int:
    """How many changes of name still come."""
    present, changes = present_name(name, renamed), 0
    while name != present:
        name, changes = renamed[name], changes + 1
    return changes


def plan_symbol(
    name: str,
    former: Sequence[str],
    listed: Mapping[str, Instrument],
    remembered: Sequence[Member],
    exchange: str,
    now: pd.Timestamp,
) -> Symbol:
    """The instruments of a symbol.

    Args:
        name: Canonical.
        former: Its former names, oldest first.
        listed: What the exchange lists, by symbol.
        remembered: What was listed when we looked before.
        exchange: The exchange's name.
        now: Its time; one that is found gone now ended by then.

    Raises:
        UnknownSymbolError: the exchange lists no such symbol, nor did it when we looked before.
    """
    order = {each: place for place, each in enumerate((*former, name))}
    found: dict[str, Member] = {}
    notes: list[str] = []
    for each in order:
        if each in listed:
            found[listed[each].id] = Member(listed[each], each)
            if each != name:
                notes.append(f"was {each}")
    gone: dict[str, list[Member]] = {}
    for old in remembered:
        if old.known_as in order and old.instrument.id not in found:
            gone.setdefault(old.instrument.id, []).append(old)
    for number, same in gone.items():
        found[number] = _ended(sorted(same, key=lambda m: order[m.known_as]), now)
        seen = found[number].seen
        notes.append(f"{number} is no longer listed, and was last on {seen:%Y-%m-%d}")
    if not found:
        bases = {symbol.partition("/")[0]: symbol for symbol in listed}
        close = difflib.get_close_matches(name.partition("/")[0], bases, n=1)
        cure = f"it lists {len(listed):,} others"
        if close:
            cure = did_you_mean(name, [bases[close[0]]])
        raise UnknownSymbolError(f"{exchange} lists no perpetual {name}; {cure}")
    # A remembered one of the same name comes before the listed one.
    members = sorted(found.values(), key=lambda m: (order[m.known_as], m.seen is None))
    return Symbol(
        name,
        tuple(
            dataclasses.replace(m, instrument=dataclasses.replace(m.instrument, symbol=name))
            for m in members
        ),
        "; ".join(notes),
    )


def _ended(same: Sequence[Member], now: pd.Timestamp) -> Member:
    """One that is gone, of what is remembered of it under each of its names, oldest first."""
    last = max(same, key=lambda m: (m.seen, m.instrument.delisted is not None))
    ended = now if last.instrument.delisted is None else last.instrument.delisted
    instrument = dataclasses.replace(last.instrument, delisted=ended)
    return Member(instrument, same[0].known_as, last.seen)


@dataclass(frozen=True)
class Range:
    """Which times are asked for, by the exchange's clock.

    Attributes:
        hours: How many of them, before ``until``.
        until: Their end, exclusive; not after ``now``.
        now: The exchange's time.
    """

    hours: float
    until: pd.Timestamp
    now: pd.Timestamp


def plan_series(
    exchange: Exchange,
    symbol: Symbol,
    kind: str,
    timeframe: str,
    asked: Range,
    since: pd.Timestamp | None = None,
) -> Series:
    """What to collect of one history.

    Args:
        exchange: The exchange, asked for nothing here.
        symbol: Whose history.
        kind: One of :data:`HISTORIES`.
        timeframe: Of candles and open interest.
        asked: Which times.
        since: Until when the series is known; None if it isn't. If the range begins later, it is
            made to begin there: no night that was missed leaves a hole that nobody knows of.
    """
    grid = _HOUR if kind == "funding" else FixedGrid.of(timeframe)
    first = asked.until - pd.Timedelta(hours=asked.hours)
    start = grid.floor(first if since is None else min(first, since))
    end = grid.ceil(asked.until) if kind == "funding" else grid.floor(asked.until)
    legs = _legs(symbol, kind, timeframe, asked.now)
    if legs:
        start, end = max(start, legs[0].start), min(end, legs[-1].end)
    else:
        end = start
    reach = exchange.oldest(kind, timeframe, asked.now)
    keeps = "" if reach is None else f"{(asked.now - reach) / pd.Timedelta(days=1):.0f} days"
    frame = "" if kind == "funding" else timeframe
    notes = [symbol.note, _delisting(symbol, asked.now)]
    if not legs or start >= end:
        notes.append("it did not trade in the range")
    note = "; ".join(filter(None, notes))
    return Series(exchange.name, symbol.name, kind, frame, legs, start, end, reach, keeps, note)


def _delisting(symbol: Symbol, now: pd.Timestamp) -> str:
    ended = symbol.instruments[-1].delisted
    if symbol.live(now) is not None or ended is None or symbol.instruments[-1].status == GONE:
        return ""
    return f"delisted {ended:%Y-%m-%d %H:%M}"


def _legs(symbol: Symbol, kind: str, timeframe: str, now: pd.Timestamp) -> tuple[Leg, ...]:
    """The legs of a symbol's history as of now, whatever range is asked for."""
    legs: list[Leg] = []
    after: pd.Timestamp | None = None
    for place, member in enumerate(symbol.members):
        instrument, later = member.instrument, symbol.instruments[place + 1 :]
        until = instrument.delisted or (later[0].listed if later else None)
        if later and until is None:
            continue  # both trade, and nobody says since when: the new one has it all
        if later and until is not None and member.seen is not None:
            # When it ended is not known, only when it was gone: the new one has the time between.
            until = min(until, max(member.seen, later[0].listed or until))
        grid, start, end = _life(kind, timeframe, instrument, until, now)
        start = start if after is None else max(start, after)
        after = end
        if start < end:
            legs.append(Leg(instrument, grid, start, end, member.known_as, member.seen))
    return tuple(legs)


def _life(
    kind: str,
    timeframe: str,
    instrument: Instrument,
    until: pd.Timestamp | None,
    now: pd.Timestamp,
) -> tuple[Grid, pd.Timestamp, pd.Timestamp]:
    """The grid of an instrument's history and its first and last times."""
    listed = instrument.listed if instrument.listed is not None else pd.Timestamp(0, tz="UTC")
    if kind == "funding":
        # A settlement at the very listing is none; of the hours after now there is none yet.
        end = _HOUR.ceil(now if until is None else min(now, until + _MOMENT))
        grid = FundingGrid(instrument.funding_interval_hours)
        return grid, _HOUR.ceil(listed + _MOMENT), end
    fixed = FixedGrid.of(timeframe)
    end = fixed.floor(now) if until is None else min(fixed.floor(now), fixed.ceil(until))
    # The candle in which trading began counts; of open interest only what was stamped since.
    return fixed, fixed.floor(listed) if kind == "candles" else fixed.ceil(listed), end
