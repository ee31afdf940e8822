"""What the limits leave of what the position rule would do, and the reason."""

from __future__ import annotations

import math
from dataclasses import dataclass

from brain.text import duration
from serving.book import DAY_NS, Book
from serving.champions import LoadedChampion, age_days
from serving.limits import Limits, Moment, Place

__all__ = ["Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is held.

    Attributes:
        position: of the bar's slot.
        exposure: over all slots.
        keep: the share of every other slot that is kept.
        reason: of the position, in a sentence.
        moment: at which it was judged.
    """

    position: float
    exposure: float
    keep: float
    reason: str
    moment: Moment


def judge(
    side: float,
    unknown: str,
    champion: LoadedChampion | None,
    book: Book,
    limits: Limits,
    close_ns: int,
    place: Place,
) -> Verdict:
    """Judge the decision of a bar that is settled.

    Args:
        side: by the position rule; NaN is no decision.
        unknown: why there is none; empty if there is one.
        champion: that decides; None if there is none.
        book: before the decision takes its slot.
        limits: of the desk.
        close_ns: the bar's close.
        place: of the symbol at the desk.
    """
    size = 0.0
    if not unknown and side and champion is not None:
        days = age_days(champion.version, close_ns)
        size = side * limits.size(champion.cell.confidence, champion.cell.size_at(days))
    others = book.others()
    moment = place.moment(close_ns, others + size / book.horizon, book.net)
    if reason := _stop(book, limits, close_ns, moment):
        return Verdict(0.0, 0.0, 0.0, reason, moment)
    if (
        reason := unknown
        or _late(limits, close_ns, moment)
        or _nothing(side, size, champion, limits)
    ):
        size = 0.0
    else:
        size, reason = _trusted(size, limits, moment)
    exposure, room = others + size / book.horizon, limits.gross - moment.gross
    if abs(exposure) <= room:
        return Verdict(size, exposure, 1.0, reason, moment)
    return _fitting(size, others, max(room, 0.0), book.horizon, limits, moment)


def _stop(book: Book, limits: Limits, close_ns: int, moment: Moment) -> str:
    """Why everything is to be closed."""
    if reason := book.switch or moment.killed:
        return f"killed: {reason}"
    day = close_ns // DAY_NS
    if book.net + moment.net <= -limits.daily_loss and limits.daily_loss < math.inf:
        book.stopped = day
    if book.stopped == day:
        return f"the day's loss reached the limit of {limits.daily_loss:g}"
    return ""


def _late(limits: Limits, close_ns: int, moment: Moment) -> str:
    """Why the bar is not of the present."""
    assert limits.stale_after is not None
    if limits.stale_after == math.inf:
        return ""
    age = moment.time - close_ns
    if abs(age) <= limits.stale_after * 1e9:
        return ""
    seconds = duration(abs(age) // 10**9 * 10**9)
    return f"the bar closed {seconds} ago" if age > 0 else f"the bar closes in {seconds}"


def _nothing(side: float, size: float, champion: LoadedChampion | None, limits: Limits) -> str:
    """Why a decision takes no position."""
    if side == 0.0 or champion is None:
        return "it is not expected to be worth its cost"
    if size != 0.0:
        return ""
    if limits.symbol == 0.0:
        return "the limit on the symbol's positions is 0"
    if limits.stops(champion.cell.size):
        return f"the champion's size is 0: {champion.cell.size_reason}"
    confidence = champion.cell.confidence
    if confidence is None:
        return "the confidence in the version is unknown"
    return f"the confidence in the version is {confidence:.2f}, at most a half"


def _trusted(size: float, limits: Limits, moment: Moment) -> tuple[float, str]:
    """As much of a position as the age of what is known of the champions leaves, and the reason."""
    reason, trust = "long" if size > 0.0 else "short", limits.trust(moment.age)
    if trust == 1.0:
        return size, reason
    assert moment.age is not None
    step = 3600 if moment.age >= 3600.0 else 1
    age = duration(int(moment.age // step) * step * 10**9)
    unheard = f"the registry confirmed the champions {age} ago"
    return (size * trust, f"{reason}, less of it: {unheard}") if trust else (0.0, unheard)


def _fitting(
    size: float, others: float, room: float, horizon: int, limits: Limits, moment: Moment
) -> Verdict:
    """As much of a position as there is room for, and less of the other slots if they fill it."""
    if size > 0.0:
        size = max(0.0, min(size, (room - others) * horizon))
    else:
        size = min(0.0, max(size, (-room - others) * horizon))
    keep = 1.0
    if abs(others + size / horizon) > room:
        # What the other slots hold is then on one side, and the position on the other, if any.
        keep = min(1.0, (room + abs(size) / horizon) / abs(others))
    exposure = keep * others + size / horizon
    reason = f"the limit of {limits.gross:g} on all symbols' exposures leaves {room:.3g}"
    return Verdict(size, exposure, keep, reason, moment)
