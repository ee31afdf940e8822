"""What a stream is doing: a row for each route, as a table to look at and as JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from brain.text import count
from market.streams.stream import Stream

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["RouteStatus", "StreamStatus", "status_of", "write_status"]


@dataclass(frozen=True)
class RouteStatus:
    """One route.

    Attributes:
        exchange, route: its name.
        state: ``listened``, ``waiting`` for answers or the first pulse, or ``down``.
        pulse_age: seconds since the latest pulse, by both clocks; None: there was none.
        frames: that came on the connections of now.
        ended: connections that have ended.
        reason: why the latest has.
        refused: channels that the exchange refused.
    """

    exchange: str
    route: str
    state: str
    pulse_age: float | None
    frames: int
    ended: int
    reason: str
    refused: int


@dataclass(frozen=True)
class StreamStatus:
    """The whole stream.

    Attributes:
        time: seconds since 1970.
        routes: a row each.
        rows: new ones that were stored since the start, by kind.
        repeated: rows that came again, by kind.
        unreadable: frames that could not be read, by exchange.
        stored_age: seconds since all that had come was stored.
        trouble: why nothing can be written; empty: it can.
        failures: why symbols or exchanges are not streamed.
        suspects: routes whose silence is not believed.
    """

    time: float
    routes: tuple[RouteStatus, ...]
    rows: dict[str, int]
    repeated: dict[str, int]
    unreadable: dict[str, int]
    stored_age: float
    trouble: str
    failures: tuple[str, ...]
    suspects: tuple[str, ...]

    def table(self) -> Table:
        """For a terminal."""
        from rich.table import Table
        from rich.text import Text

        age = f"all that came until {self.stored_age:.0f} s ago is stored"
        # As text: an exchange's words are no markup.
        table = Table(
            title=Text(f"{self._new_rows}; {age}"),
            caption=Text("\n".join(self.troubles)),
            title_justify="left",
            caption_justify="left",
        )
        for name in ("exchange", "route", "state", "last pulse", "frames", "ended", "because"):
            table.add_column(name, justify="right" if name in ("frames", "ended") else "left")
        for one in self.routes:
            pulse = "" if one.pulse_age is None else f"{one.pulse_age:.1f} s ago"
            state = one.state + (f", {count(one.refused, 'refusal')}" if one.refused else "")
            table.add_row(
                one.exchange,
                one.route,
                state,
                pulse,
                f"{one.frames:,}",
                str(one.ended),
                Text(one.reason[:60]),
            )
        return table

    @property
    def _new_rows(self) -> str:
        return ", ".join(f"{number:,} {kind}" for kind, number in self.rows.items()) or "no rows"

    @property
    def troubles(self) -> list[str]:
        """All that somebody should look at."""
        unreadable = [
            f"{name}: {count(number, 'frame')} could not be read"
            for name, number in self.unreadable.items()
        ]
        return [*filter(None, [self.trouble]), *self.suspects, *self.failures, *unreadable]

    def line(self) -> str:
        """In one line, for a log."""
        up = sum(one.state == "listened" for one in self.routes)
        text = f"{up} of {len(self.routes)} routes are listened to; stored: {self._new_rows}"
        return "; ".join([text, *self.troubles])


def status_of(stream: Stream, suspects: Sequence[str] = ()) -> StreamStatus:
    """The status of a stream now."""
    now, writer = time.time(), stream.writer
    normaliser = stream.normaliser
    routes = []
    for (exchange, route), keeper in stream.keepers.items():
        own = [
            one
            for one in normaliser.connections.values()
            if (one.opening.exchange, one.opening.route) == (exchange, route)
        ]
        last = max((one.last for one in own if one.start is not None), default=0)
        routes.append(
            RouteStatus(
                exchange,
                route,
                "listened" if last else "waiting" if own else "down",
                now - last / 1000 if last else None,
                sum(one.frames for one in own),
                keeper.ended,
                keeper.reason,
                sum(len(one.refused) for one in own),
            )
        )
    return StreamStatus(
        now,
        tuple(routes),
        dict(writer.counts.rows) if writer else {},
        dict(writer.counts.repeated) if writer else {},
        dict(normaliser.unreadable),
        now - writer.stored_at if writer else 0.0,
        writer.trouble if writer else "",
        tuple(stream.failures.values()),
        tuple(suspects),
    )


def write_status(status: StreamStatus, path: Path) -> None:
    """Write the status as JSON, whole or not at all; a full disk is no reason to stop."""
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(json.dumps(asdict(status), indent=1))
        fresh.replace(path)
    except OSError:
        return
