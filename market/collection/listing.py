"""The listing of a symbol at one exchange: its instruments, present and former.

Usually that is one instrument. After a renaming it is the old instrument and the new one. An
instrument that the exchange no longer lists, but that was listed at an earlier collection, is
remembered in the series store's kind ``instruments``: it ended at some time since then.

A row of the list that can't be read does not end an instrument: its symbol alone fails.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from brain.errors import UnknownSymbolError, did_you_mean
from brain.series.store.schema import parse_kind
from market.collection.units import instrument_of
from market.exchanges.base import Instrument, OddRow

__all__ = [
    "UNLISTED",
    "Listing",
    "Member",
    "check_odd_rows",
    "instrument_rows",
    "make_listing",
    "read_members",
]

#: The status of an instrument that the exchange no longer lists.
UNLISTED = "no longer listed"


@dataclass(frozen=True)
class Member:
    """One instrument of a listing.

    Attributes:
        instrument: with the listing's symbol.
        listed_as: the symbol by which the exchange lists it, perhaps a former name.
        last_listed: when the exchange last listed it; None: it does so now.
    """

    instrument: Instrument
    listed_as: str
    last_listed: pd.Timestamp | None = None


@dataclass(frozen=True)
class Listing:
    """The instruments of a symbol at one exchange.

    Attributes:
        symbol: canonical, ``BTC/USDT:USDT``.
        members: oldest first.
        note: about former names and instruments that are no longer listed.
    """

    symbol: str
    members: tuple[Member, ...]
    note: str = ""

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Oldest first."""
        return tuple(member.instrument for member in self.members)

    @property
    def names(self) -> set[str]:
        """The symbol and its former names by which the exchange lists or listed it."""
        return {self.symbol, *(member.listed_as for member in self.members)}

    def live(self, now: pd.Timestamp) -> Instrument | None:
        """The instrument that trades now; None if none does."""
        last = self.instruments[-1]
        return last if last.delisted is None or last.delisted > now else None


def make_listing(
    symbol: str,
    former_names: Sequence[str],
    instruments: Mapping[str, Instrument],
    members: Sequence[Member],
    exchange: str,
    now: pd.Timestamp,
) -> Listing:
    """The listing of a symbol.

    Args:
        symbol: canonical.
        former_names: of the symbol, oldest first.
        instruments: that the exchange lists now, by symbol.
        members: that it listed at earlier collections, as of
            :func:`market.collection.listing.read_members`.
        exchange: its name.
        now: the exchange's time; an instrument that is missing from its list has ended by then.

    Raises:
        UnknownSymbolError: the exchange lists no such symbol, nor did it at earlier collections.
    """
    order = {name: place for place, name in enumerate((*former_names, symbol))}
    listed = {name: one for name in order if (one := instrument_of(name, instruments))}
    by_id = {one.id: Member(one, name) for name, one in listed.items()}
    notes = [f"was {name}" for name in listed if name != symbol]
    notes += [_unit_note(one) for one in listed.values() if one.symbol not in order]
    unlisted: dict[str, list[Member]] = {}
    for member in members:
        if member.listed_as in order and member.instrument.id not in by_id:
            unlisted.setdefault(member.instrument.id, []).append(member)
    for number, memories in unlisted.items():
        member = _ended(sorted(memories, key=lambda m: order[m.listed_as]), now)
        by_id[number] = member
        notes.append(f"{number} is no longer listed, and was last on {member.last_listed:%Y-%m-%d}")
    if not by_id:
        raise _unknown(symbol, exchange, instruments)
    # An unlisted one comes before a listed one of the same name.
    ordered = sorted(by_id.values(), key=lambda m: (order[m.listed_as], m.last_listed is None))
    present = (replace(m, instrument=replace(m.instrument, symbol=symbol)) for m in ordered)
    return Listing(symbol, tuple(present), "; ".join(notes))


def check_odd_rows(
    symbol: str,
    former_names: Sequence[str],
    instruments: Mapping[str, Instrument],
    members: Sequence[Member],
    odd_rows: Sequence[OddRow],
) -> None:
    """Check that a symbol is not missing from a list only because its row can't be read.

    Args:
        symbol, former_names, instruments, members: as for
            :func:`market.collection.listing.make_listing`.
        odd_rows: of the list; one that has no name may be anyone's.

    Raises:
        ExchangeShapeError: it may be.
    """
    names = {symbol, *former_names}
    if any(instrument_of(name, instruments) for name in names):
        return
    ids = {member.instrument.id for member in members if member.listed_as in names}
    for row in odd_rows:
        if row.symbol in names or row.id in ids or (row.symbol is None and _may_be(row.id, names)):
            raise row.error


def _may_be(instrument_id: str | None, names: Iterable[str]) -> bool:
    """Whether an instrument without a readable symbol may be of these names, by its id."""
    if instrument_id is None:
        return True
    letters = re.sub("[^A-Za-z0-9]", "", instrument_id)
    pairs = (name.partition(":")[0].replace("/", "") for name in names)
    return any(letters.startswith(pair) for pair in pairs)


def _unit_note(instrument: Instrument) -> str:
    """What the exchange calls a coin that it counts in other units."""
    note = f"listed as {instrument.symbol}"
    if instrument.multiplier == 1:
        return note
    return f"{note}: prices times {instrument.multiplier:g}, amounts divided by it"


def _ended(memories: Sequence[Member], now: pd.Timestamp) -> Member:
    """An instrument that is no longer listed.

    Args:
        memories: of it, under each of its names, oldest first.
        now: when it has ended at the latest.
    """
    last = max(memories, key=lambda m: (m.last_listed, m.instrument.delisted is not None))
    ended = now if last.instrument.delisted is None else last.instrument.delisted
    instrument = replace(last.instrument, delisted=ended)
    return Member(instrument, memories[0].listed_as, last.last_listed)


def _unknown(
    symbol: str, exchange: str, instruments: Mapping[str, Instrument]
) -> UnknownSymbolError:
    by_base = {name.partition("/")[0]: name for name in instruments}
    close = difflib.get_close_matches(symbol.partition("/")[0], by_base, n=1)
    cure = f"it lists {len(instruments):,} others"
    if close:
        cure = did_you_mean(symbol, [by_base[close[0]]])
    return UnknownSymbolError(f"{exchange} lists no perpetual {symbol}; {cure}")


# --- the store's kind instruments ---------------------------------------------------------------


def read_members(rows: pd.DataFrame) -> tuple[list[Member], dict[str, pd.Timestamp]]:
    """The instruments of earlier collections, from rows of the kind ``instruments``.

    Returns:
        The instruments, of which one that was still listed has no time of delisting; and when the
        exchange last listed each symbol.
    """
    records: list[dict[Any, Any]] = rows.to_dict("records")
    last_listed: dict[str, pd.Timestamp] = {}
    for row in records:
        symbol, time = row["symbol"], row["seen"]
        last_listed[symbol] = max(time, last_listed.get(symbol, time))
    return [Member(_instrument(row), row["symbol"], row["seen"]) for row in records], last_listed


def _instrument(row: Mapping[Any, Any]) -> Instrument:
    hours, listed, delisted = row["funding_interval_hours"], row["listed"], row["delisted"]
    multiplier = row["multiplier"]
    return Instrument(
        exchange=row["exchange"],
        symbol=row["symbol"],
        id=row["instrument"],
        contract_size=row["contract_size"],
        funding_interval_hours=None if pd.isna(hours) else float(hours),
        listed=None if pd.isna(listed) else listed,
        delisted=None if pd.isna(delisted) else delisted,
        status=UNLISTED,
        multiplier=1.0 if pd.isna(multiplier) else float(multiplier),
    )


def instrument_rows(listings: Iterable[Listing], now: pd.Timestamp) -> pd.DataFrame:
    """Rows of the kind ``instruments``, for later collections.

    Args:
        listings: whose instruments. One that is no longer listed keeps the time when it last was,
            and has ended when that was noticed, unless the exchange has published an end.
        now: the exchange's time.
    """
    rows = [
        {
            "exchange": member.instrument.exchange,
            "symbol": member.instrument.symbol,
            "instrument": member.instrument.id,
            "contract_size": member.instrument.contract_size,
            "multiplier": member.instrument.multiplier,
            "funding_interval_hours": member.instrument.funding_interval_hours,
            "listed": member.instrument.listed,
            "delisted": member.instrument.delisted,
            "seen": now if member.last_listed is None else member.last_listed,
        }
        for listing in listings
        for member in listing.members
    ]
    empty = parse_kind("instruments").empty()
    return pd.DataFrame(rows, columns=empty.columns).astype(empty.dtypes.to_dict())
