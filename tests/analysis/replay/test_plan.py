"""What a replay's options mean, and how they are refused."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from analysis.replay.plan import ReplayPlan
from brain.errors import InputError
from brain.settings import load_settings


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def test_nights_are_from_since_to_the_last_bar() -> None:
    plan = ReplayPlan.parse("summer", "2019-07-01", None, "1d")
    moments = plan.moments(utc("2019-07-03 23:00"))
    assert moments == [utc("2019-07-01"), utc("2019-07-02"), utc("2019-07-03")]
    weekly = ReplayPlan.parse("a.b-c_1", "2019-07-01T02:30+02:00", "2019-07-20", "1w")
    assert weekly.every == timedelta(days=7)
    assert weekly.moments(utc("2020-01-01")) == [
        utc("2019-07-01 00:30"), utc("2019-07-08 00:30"), utc("2019-07-15 00:30")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("a/b", "2019-07-01", None, "1d"), "'a/b' can't be the name of a replay"),
        (("..", "2019-07-01", None, "1d"), "'..' can't be the name of a replay"),
        (("x", "yesterday", None, "1d"), "since=yesterday is no time; write it as 2019-07-01"),
        (("x", "2019-07-01", "2019-13-01", "1d"), "until=2019-13-01 is no time"),
        (("x", "2019-07-01", "2019-07-01T12:00", "1d"), "leaves no night after the first one"),
        (("x", "2019-07-01", None, "0d"), "'0d' is no length of time; write it as 7d, 12h or 1w"),
        (("x", "2019-07-01", None, "often"), "'often' is no length of time"),
    ],
)
def test_what_can_not_be_is_refused(options: tuple[str, str, str | None, str], words: str) -> None:
    with pytest.raises(InputError, match=words.replace(".", r"\.")):
        ReplayPlan.parse(*options)


def test_bars_that_leave_no_night_are_told() -> None:
    plan = ReplayPlan.parse("x", "2019-07-01", None, "1d")
    with pytest.raises(InputError, match=r"leaves no night to follow: the last bar closes at"):
        plan.moments(utc("2019-07-01 23:00"))


def test_equal_options_are_equal_however_they_are_spelt() -> None:
    first = ReplayPlan.parse("x", "2019-07-01", None, "1w").document(load_settings({"refit": "7d"}))
    again = ReplayPlan.parse("x", "2019-07-01T00:00Z", None, "168h").document(
        load_settings({"refit": "1 week", "jobs": 3})
    )
    assert first == again
    assert (first["every"], first["refit"]) == ("7d", "7d")
    other = ReplayPlan.parse("x", "2019-07-01", None, "1w").document(load_settings({"trials": 9}))
    assert {k for k in first if first[k] != other[k]} == {"refit", "trials"}
