"""Refusals of timeframes: the true cause, and a cure that works."""

from __future__ import annotations

import pandas as pd
import pytest

from brain.errors import BarsError, InputError, SettingsError
from brain.series.bars import TIMEFRAMES, check_bars, parse_timeframe
from brain.settings import load_settings

KNOWN = ", ".join(sorted(TIMEFRAMES, key=lambda name: TIMEFRAMES[name]))
REFUSED = [
    ("1H", "; write '1h'"),
    ("60min", "; write '1h'"),
    ("60m", "; write '1h'"),
    ("h1", "; write '1h'"),
    ("240m", "; write '4h'"),
    ("4 hours", "; write '4h'"),
    ("1440m", "; write '1d'"),
    ("D", "; write '1d'"),
    ("daily", "; write '1d'"),
    ("W", "; write '1w'"),
    ("7d", "; write '1w'"),
    ("5T", "; write '5m'"),
    ("7h", " that is known: bars of 7h can't be used; resample them to 1w"),
    (
        "40m",
        " that is known: bars of 40m can't be used; resample them to 2h, 4h, 6h, 8h, 12h, 1d or 1w",
    ),
    ("30s", " that is known: bars of 30s can't be used; resample them to 1m, 2m"),
    ("3d", f" that is known: bars of 3d can't be used; get them as one of {KNOWN}"),
    ("1M", ", as a month has no fixed length; resample the bars to 1d or 1w"),
    ("month", ", as a month has no fixed length; resample the bars to 1d or 1w"),
    ("1Q", ", as a quarter has no fixed length; resample the bars to 1d or 1w"),
    ("1y", ", as a year has no fixed length; resample the bars to 1d or 1w"),
    ("", f"; known: {KNOWN}"),
    ("0h", f"; known: {KNOWN}"),
    ("soon", f"; known: {KNOWN}"),
    ("9" * 400 + "h", f"; known: {KNOWN}"),
]


@pytest.mark.parametrize(("value", "rest"), REFUSED)
def test_an_unknown_timeframe_is_refused_with_its_cause_and_a_cure(value: str, rest: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_timeframe(value)
    assert str(caught.value).startswith(f"{value!r} is not a timeframe{rest}")
    with pytest.raises(SettingsError, match="is not a timeframe"):
        load_settings({"timeframe": value})


@pytest.mark.parametrize(
    ("step", "timeframe", "cure"),
    [
        ("1h", "4h", "1h apart, not 4h; name the timeframe that they have, 1h (a file is "
         "named as BTC-USD_1h), or resample them to 4h"),
        ("4h", "1h", "4h apart, not 1h; name the timeframe that they have, 4h (a file is "
         "named as BTC-USD_4h)"),
        ("7h", "1h", "7h apart, not 1h; resample them to 1w"),
        ("5D", "1d", f"5d apart, not 1d; get them as one of {KNOWN}"),
    ],
)  # fmt: skip
def test_bars_of_another_timeframe_than_their_name_are_refused_with_a_cure(
    step: str, timeframe: str, cure: str
) -> None:
    times = pd.date_range("2024-01-01", periods=50, freq=step, tz="UTC", name="time")
    price = pd.Series(range(100, 150), index=times, dtype=float)
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), price))
    with pytest.raises(BarsError) as caught:
        check_bars(frame, symbol="BTC/USD", timeframe=timeframe)
    assert str(caught.value).endswith(f"the bars are {cure}")
