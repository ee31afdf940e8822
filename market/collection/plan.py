"""What a collection covers of one series: its range, and the part of it that each instrument has.

A series is named by its canonical symbol. It has one or more *legs*: usually one instrument from
its listing on; after a renaming the old instrument until its delisting and the new one after it. An
instrument that the exchange no longer lists is a leg until it was first missing from the list, and
may have ended at any time since it was last there.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from market.collection.grid import FixedGrid, FundingGrid, Grid
from market.collection.listing import UNLISTED, Listing
from market.exchanges.base import Exchange, Instrument

__all__ = ["HISTORIES", "KINDS", "SENTIMENT", "Leg", "Period", "SeriesPlan", "plan_series"]

#: The kinds that are histories, and all that are collected from an exchange.
HISTORIES = ("candles", "funding", "open_interest")
KINDS = (*HISTORIES, "snapshots")
#: The kind that is collected from publishers.
SENTIMENT = "sentiment"

_HOUR = FixedGrid(pd.Timedelta(hours=1))
_MOMENT = pd.Timedelta(microseconds=1)


@dataclass(frozen=True)
class Period:
    """The times that a collection covers, by an exchange's clock.

    Attributes:
        start: the first time.
        end: of the period, exclusive; not after ``now``.
        now: the exchange's time.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    now: pd.Timestamp


@dataclass(frozen=True)
class Leg:
    """The part of a series that one instrument has.

    Attributes:
        instrument: whose rows they are.
        grid: of the rows.
        start: of the part.
        end: of the part, exclusive.
        listed_as: the symbol by which the exchange lists or listed the instrument.
        last_listed: when the exchange last listed it, since when it may have ended; None: it is
            listed now.
    """

    instrument: Instrument
    grid: Grid
    start: pd.Timestamp
    end: pd.Timestamp
    listed_as: str = ""
    last_listed: pd.Timestamp | None = None


@dataclass(frozen=True)
class SeriesPlan:
    """What to collect of one series.

    Attributes:
        exchange: its name, ``okx``.
        symbol: canonical.
        kind: one of :data:`market.collection.plan.HISTORIES`.
        timeframe: empty for funding.
        legs: oldest first; they don't overlap, and end with what is closed by the exchange's clock.
        start: of the range, within the legs.
        end: of the range, exclusive; not after ``start`` if the legs have none of it.
        oldest: the earliest time that the exchange keeps; None: it keeps everything.
        retention: how long the exchange keeps rows, in words; empty if it keeps everything.
        note: about the listing, for people.
    """

    exchange: str
    symbol: str
    kind: str
    timeframe: str
    legs: tuple[Leg, ...]
    start: pd.Timestamp
    end: pd.Timestamp
    oldest: pd.Timestamp | None
    retention: str = ""
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


def plan_series(
    exchange: Exchange,
    listing: Listing,
    kind: str,
    timeframe: str,
    period: Period,
    since: pd.Timestamp | None = None,
) -> SeriesPlan:
    """What to collect of one series.

    Args:
        exchange: the exchange; no request is made.
        listing: of the symbol.
        kind: one of :data:`market.collection.plan.HISTORIES`.
        timeframe: of candles and open interest.
        period: that the collection covers.
        since: until when the series is on record; None if it isn't. A range that would begin later
            begins there, so that a missed night leaves no hole that is not on record.
    """
    grid = _HOUR if kind == "funding" else FixedGrid.of(timeframe)
    start = grid.floor(period.start if since is None else min(period.start, since))
    end = grid.ceil(period.end) if kind == "funding" else grid.floor(period.end)
    legs = _legs(listing, kind, timeframe, period.now)
    if legs:
        start, end = max(start, legs[0].start), min(end, legs[-1].end)
    else:
        end = start
    oldest = exchange.oldest(kind, timeframe, period.now)
    days = "" if oldest is None else f"{(period.now - oldest) / pd.Timedelta(days=1):.0f} days"
    notes = [listing.note, _delisting(listing, period.now)]
    if not legs or start >= end:
        notes.append("it did not trade in the range")
    return SeriesPlan(
        exchange.name,
        listing.symbol,
        kind,
        "" if kind == "funding" else timeframe,
        legs,
        start,
        end,
        oldest,
        days,
        "; ".join(filter(None, notes)),
    )


def _delisting(listing: Listing, now: pd.Timestamp) -> str:
    last = listing.instruments[-1]
    if listing.live(now) is not None or last.delisted is None or last.status == UNLISTED:
        return ""
    return f"delisted {last.delisted:%Y-%m-%d %H:%M}"


def _legs(listing: Listing, kind: str, timeframe: str, now: pd.Timestamp) -> tuple[Leg, ...]:
    """The legs of a series as of now, whatever range is collected."""
    legs: list[Leg] = []
    earliest: pd.Timestamp | None = None
    for place, member in enumerate(listing.members):
        instrument, later = member.instrument, listing.instruments[place + 1 :]
        until = instrument.delisted or (later[0].listed if later else None)
        if later and until is None:
            continue  # both trade, since an unknown time: the new one has it all
        if later and until is not None and member.last_listed is not None:
            # The old one ended at an unknown time before it was unlisted: the new one has the time
            # between.
            until = min(until, max(member.last_listed, later[0].listed or until))
        grid, start, end = _life(kind, timeframe, instrument, until, now)
        start = start if earliest is None else max(start, earliest)
        earliest = end
        if start < end:
            legs.append(Leg(instrument, grid, start, end, member.listed_as, member.last_listed))
    return tuple(legs)


def _life(
    kind: str,
    timeframe: str,
    instrument: Instrument,
    until: pd.Timestamp | None,
    now: pd.Timestamp,
) -> tuple[Grid, pd.Timestamp, pd.Timestamp]:
    """The grid of an instrument's rows, their first time, and their end, exclusive.

    Args:
        kind: one of :data:`market.collection.plan.HISTORIES`.
        timeframe: of candles and open interest.
        instrument: whose rows they are.
        until: when it ended; None if it trades.
        now: the exchange's time.
    """
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
