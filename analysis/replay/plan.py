"""The plan of a replay: its name, and the moments of its nights."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from brain.brief import Brief
from brain.errors import InputError
from brain.redact import redact_document
from brain.series.times import when
from brain.timeframes import parse_span, span_text

if TYPE_CHECKING:
    from brain.settings import Settings

__all__ = ["ReplayPlan"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, repr=False)
class ReplayPlan(Brief):
    """Which nights are replayed.

    Attributes:
        name: of the replay, its folder and its experiment.
        since: the moment of the first night.
        until: no night is later; the last bar's close if None.
        every: from night to night.
    """

    name: str
    since: pd.Timestamp
    until: pd.Timestamp | None
    every: timedelta

    @classmethod
    def parse(cls, name: str, since: str, until: str | None, every: str) -> ReplayPlan:
        """A plan as it is written: ``2019-07-01`` or ``2019-07-01T00:30``, UTC; ``1d``.

        Raises:
            InputError: a part can't be read, or the nights would end before they begin.
        """
        if not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} can't be the name of a replay, which has a folder of that name; write "
                "letters, digits, dots, dashes and underscores, as in summer-2019"
            )
        first = _moment("since", since)
        last = None if until is None else _moment("until", until)
        step = parse_span(every)
        if last is not None and last < first + step:
            raise InputError(
                f"until={until} leaves no night after the first one at {when(first)}; give a time "
                f"at least {every} later"
            )
        return cls(name, first, last, step)

    def moments(self, last_close: pd.Timestamp) -> list[pd.Timestamp]:
        """The nights' moments, as far as there are bars.

        Args:
            last_close: of all symbols' bars.

        Raises:
            InputError: there are not two of them.
        """
        end = last_close if self.until is None else min(self.until, last_close)
        moments = list(pd.date_range(self.since, end, freq=self.every))
        if len(moments) < 2:
            raise InputError(
                f"since={when(self.since)} leaves no night to follow: the last bar closes at "
                f"{when(last_close)}; give an earlier time, or bring later bars"
            )
        return moments

    def document(self, settings: Settings) -> dict[str, Any]:
        """What decides the replay's results, for JSON; without passwords."""
        options = {
            "since": self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "every": span_text(self.every),
        }
        return {**options, **redact_document(settings.deciding())}


def _moment(option: str, text: str) -> pd.Timestamp:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            f"{option}={text} is no time; write it as 2019-07-01 or 2019-07-01T00:30"
        ) from None
    return pd.Timestamp(moment.replace(tzinfo=moment.tzinfo or UTC)).tz_convert("UTC")
