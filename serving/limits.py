"""The limits of a desk, and the moment at which they are looked at.

The position rule says what a version would do; limits say what may be done. Each that binds gives a
smaller position or none, and the reason. All amounts are in units of the capital of one symbol.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from brain.confidence import position_size
from brain.errors import InputError

__all__ = ["Board", "Limits", "Moment", "Place"]

# Of limits that were journaled before there were these.
_WITHOUT_DOUBT = {"doubt_after": math.inf, "doubt_until": math.inf}


@dataclass(frozen=True)
class Limits:
    """What may be held at most.

    Attributes:
        symbol: largest position of a slot, and so largest exposure of a symbol, 0 to 1.
        gross: largest sum of the exposures of all symbols, long and short alike.
        daily_loss: loss of all symbols in a day (UTC, by the bars' closes) from which nothing is
            held until the day is over.
        kill_file: while this file exists nothing is held. Looked for every fifth of a second.
        dwell: bars that a version decides before another may take over; until then, where another
            should decide, nothing is decided.
        stale_after: seconds after a bar's close from which nothing is decided on it; the bar's own
            length if None, never if infinite.
        doubt_after: seconds since the registry last confirmed the champions from which positions
            become smaller. Only where it is asked, see :class:`serving.refresher.Refresh`.
        doubt_until: seconds from which there are none; in between they shrink in a straight line.
        by_size: whether positions are of the champion's size, and not the largest: 0 where it
            abstains or is to be looked at. One whose size was not judged takes them as by
            ``by_confidence``.
        by_confidence: whether positions without a size are of that which the confidence in the
            version justifies (:func:`brain.confidence.position_size`), and not the largest.

    Raises:
        InputError: a limit is out of its range.
    """

    symbol: float = 0.1
    gross: float = 1.0
    daily_loss: float = 0.02
    kill_file: Path | None = None
    dwell: int = 0
    stale_after: float | None = None
    doubt_after: float = 86_400.0
    doubt_until: float = 7 * 86_400.0
    by_confidence: bool = True
    by_size: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("kill_file", "by_confidence", "by_size") or value is None:
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and value >= 0.0):  # NaN is not
                raise InputError(f"limit {field.name}={value!r} is no number of at least 0")
        if self.symbol > 1.0:
            raise InputError(f"limit symbol={self.symbol} is more than a slot's capital; write 1")
        if self.doubt_until < self.doubt_after:
            raise InputError(
                f"limit doubt_until={self.doubt_until} is before doubt_after={self.doubt_after}; "
                "write the same number where positions are to end at once"
            )
        if self.kill_file is not None:
            object.__setattr__(self, "kill_file", Path(self.kill_file))

    @classmethod
    def off(cls) -> Limits:
        """None: the positions of the evaluation."""
        return cls(
            symbol=1.0,
            gross=math.inf,
            daily_loss=math.inf,
            stale_after=math.inf,
            doubt_after=math.inf,
            doubt_until=math.inf,
            by_confidence=False,
            by_size=False,
        )

    def to_json(self) -> dict[str, Any]:
        """What decisions depend on; null is no limit. The kill file is told by its effect."""
        names = [field.name for field in fields(self) if field.name != "kill_file"]
        values = {name: getattr(self, name) for name in names}
        return {name: None if value == math.inf else value for name, value in values.items()}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Limits:
        """The inverse of :meth:`to_json`, of limits :meth:`for_bars_of` a timeframe."""
        values: dict[str, Any] = {n: math.inf if v is None else v for n, v in entry.items()}
        return cls(**(_WITHOUT_DOUBT | values))

    def for_bars_of(self, timeframe_ns: int) -> Limits:
        """The same with ``stale_after`` known."""
        if self.stale_after is not None:
            return self
        return replace(self, stale_after=timeframe_ns / 1e9)

    def size(self, confidence: float | None, size: float | None = None) -> float:
        """The position of a slot that is not flat.

        Args:
            confidence: in the version; None is unknown.
            size: of the champion at the bar, 0 to 1; None if it was not judged.
        """
        if self.by_size and size is not None:
            return size * self.symbol
        return position_size(confidence, self.symbol) if self.by_confidence else self.symbol

    def trust(self, age: float | None) -> float:
        """The share of a position that is left, 0 to 1.

        Args:
            age: seconds since the registry confirmed the champions; None if it isn't asked.
        """
        if age is None or age < self.doubt_after:
            return 1.0
        if age >= self.doubt_until:
            return 0.0
        return (self.doubt_until - age) / (self.doubt_until - self.doubt_after)

    def stops(self, size: float | None) -> bool:
        """Whether a champion of this size takes no position."""
        return self.by_size and size == 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What limits depend on beside the bars: it is journaled, so that decisions can be replayed.

    Attributes:
        time: of the clock, nanoseconds since 1970 UTC.
        killed: why nothing may be held; empty if it may.
        gross: sum of the exposures of all other symbols.
        net: profit of all other symbols on the day of the bar.
        age: seconds since the registry confirmed the champions; None if it isn't asked.
    """

    time: int
    killed: str
    gross: float
    net: float
    age: float | None = None


class Place(Protocol):
    """A symbol's place among the others of a desk."""

    def moment(self, close_ns: int, wanted: float, net: float) -> Moment:
        """Claim an exposure, and look at everything else that limits depend on.

        Args:
            close_ns: close of the bar.
            wanted: the exposure.
            net: profit of the symbol on the bar's day.
        """

    def hold(self, exposure: float) -> None:
        """Say what is held after all."""


class Board:
    """The exposure and the day's profit of every symbol, where the others see them without a lock.

    A symbol writes its own place alone. It claims the exposure that it wants before it reads those
    of the others: of two at once, one sees the other's claim, so together they never exceed a limit
    (both may hold less than they could).
    """

    def __init__(self, symbols: int) -> None:
        self._exposure = np.zeros(symbols)
        self._net = np.zeros(symbols)
        self._day = np.zeros(symbols, dtype=np.int64)

    def claim(self, place: int, exposure: float) -> None:
        """Say what a symbol holds, or wants to."""
        self._exposure[place] = abs(exposure)

    def book(self, place: int, day: int, net: float) -> None:
        """Say what a symbol has earned in a day."""
        self._net[place] = 0.0
        self._day[place] = day
        self._net[place] = net

    def others_gross(self, place: int) -> float:
        """The sum of the other symbols' exposures."""
        if len(self._exposure) == 1:
            return 0.0
        return float(self._exposure.sum() - self._exposure[place])

    def others_net(self, place: int, day: int) -> float:
        """The other symbols' profit of a day."""
        if len(self._net) == 1:
            return 0.0
        of_day = np.where(self._day == day, self._net, 0.0)
        return float(of_day.sum() - of_day[place])
