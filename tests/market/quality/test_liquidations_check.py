"""What of its time a stream was listened to, against a slow twin; what was not is never 0."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from brain.series.store.store import SeriesStore
from market.quality.record import QualityRecord, RecordedGap
from market.quality.store_check import check_store
from tests.brain.series.test_suspects import tables

SYMBOL = "BTC/USDT:USDT"
START = pd.Timestamp("2026-11-18", tz="UTC")
HOUR, MINUTE = pd.Timedelta(hours=1), pd.Timedelta(minutes=1)
#: Two days and a half, and the minute that may not be stored yet.
END = START + 60 * HOUR + MINUTE
CUT = "the connection was closed, code 1006"


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path)


def listen(store: SeriesStore, *spans: tuple[float, float, str], exchange: str = "bybit") -> None:
    """Note stretches as streams do: from and until in hours since the start, and why not."""
    rows = [(START + low * HOUR, START + high * HOUR, reason) for low, high, reason in spans]
    frame = pd.DataFrame(rows, columns=["start", "end", "reason"])
    frame = frame.assign(exchange=exchange, symbol=SYMBOL, kind="liquidations")
    store.upsert("listening", frame)


def liquidate(
    store: SeriesStore, at: Sequence[float], exchange: str = "bybit", coverage: str = "all"
) -> None:
    """Store liquidations at these hours since the start."""
    times = pd.DatetimeIndex([START + hours * HOUR for hours in at]).as_unit("us")
    frame = pd.DataFrame(
        {
            "exchange": exchange,
            "symbol": SYMBOL,
            "time": times,
            "order": [f"SELL {n}" for n in range(len(at))],
            "side": "long",
            **dict.fromkeys(("base", "usd", "price"), 1.0),
            "price_kind": "bankruptcy",
            "coverage": coverage,
            "received": times,
        }
    )
    store.append("liquidations", frame)


def check(store: SeriesStore, exchange: str = "bybit") -> QualityRecord:
    name = (exchange, SYMBOL, "liquidations", "")
    (record,) = check_store(store, [name], start=START, end=END, now=END)
    return record


def gaps(record: QualityRecord) -> list[tuple[float, float, str]]:
    return [
        ((gap.start - START) / HOUR, (gap.end - START) / HOUR, gap.reason)
        for gap in record.recorded_gaps
    ]


def test_all_was_listened_to_and_nothing_came(store: SeriesStore) -> None:
    listen(store, *((k, k + 1, "") for k in range(-1, 60)), (60, 60.02, ""))
    record = check(store)
    assert (record.rows, record.gaps, record.recorded_gaps) == (0, 0, ())
    assert (record.severity, record.note) == (
        "good",
        "listened to 100% of the time; none came",
    )
    assert record.listened is not None
    assert (record.listened.share, record.listened.lower_bound) == (1.0, False)
    assert record.coverage is not None
    assert (record.coverage.shares, record.coverage.measure) == ((1.0, 1.0, 1.0), "time")
    unknown = ("expected", "missing", "duplicates", "stale", "outliers", "swapped")
    assert [getattr(record, name) for name in unknown] == [None] * 6


def test_nothing_came_in_what_was_listened_to_is_no_0_of_the_rest(store: SeriesStore) -> None:
    listen(store, *((k, k + 1, "") for k in range(30)), (30, 60.02, CUT))
    record = check(store)
    assert record.rows is None
    assert record.severity == "poor"
    assert record.note == (f"listened to 50% of the time; none came while it was; {CUT}: 30.0 h")
    assert gaps(record) == [(30, 60, CUT)]
    assert record.recorded_gaps[0].count is None
    assert record.coverage is not None
    assert record.coverage.shares == (1.0, 0.25, 0.0)


def test_before_the_first_stream_nothing_was_listened_to(store: SeriesStore) -> None:
    listen(store, *((k, k + 1, "") for k in range(45, 60)), (60, 60.02, ""))
    liquidate(store, [45.5, 50, 59])
    record = check(store)
    assert (record.rows, record.severity, record.gaps) == (3, "look", 0)
    assert record.note == (
        "listened to 25% of the time, 100% since 2026-11-19 21:00 UTC; 3 came at least: not all "
        "was listened to"
    )
    assert record.listened is not None
    assert record.listened.lower_bound
    assert record.coverage is not None
    assert record.coverage.shares == pytest.approx((0, 3 / 24, 1))


def test_stretches_that_were_missed_come_longest_first_with_their_reasons(
    store: SeriesStore,
) -> None:
    listen(
        store,
        *((k, k + 1, "") for k in range(10)),
        (10, 10.5, CUT),
        (10.5, 20, ""),
        (20, 23, "the machine was off"),
        (23, 24, ""),
        # Nothing is on record of the hour from 24 on.
        (25, 59, ""),
        (59, 59.25, CUT),
    )
    liquidate(store, [5], coverage="sampled")
    record = check(store)
    assert gaps(record) == [
        (20, 23, "the machine was off"),
        (24, 25, "no stream was at work"),
        (59.25, 60, "no stream was at work"),
        (10, 10.5, CUT),
        (59, 59.25, CUT),
    ]
    assert record.gaps == 5
    assert record.note == (
        "listened to 90.8% of the time; 1 came at least: the exchange pushes a sample, and not all "
        "was listened to; the machine was off: 3.0 h; no stream was at work: 105.0 min; "
        f"{CUT}: 45.0 min"
    )


def test_what_either_of_two_streams_listened_to_counts(store: SeriesStore) -> None:
    listen(store, (0, 30, ""), (30, 40, CUT), (40, 60.02, ""))
    listen(store, (29, 38, ""), (38, 39, "handed over"))
    record = check(store)
    assert gaps(record) == [(38, 40, CUT)]


def test_without_any_stream_nothing_is_known(store: SeriesStore) -> None:
    record = check(store)
    assert (record.rows, record.severity) == (None, "unknown")
    assert record.note == "not listened to: nothing is known"
    rows = store.read("quality")
    assert rows["rows"].isna().tolist() == [True]


def test_a_silence_that_is_not_believed_was_not_listened_to(store: SeriesStore) -> None:
    liquidations, listening = tables(3)
    for exchange, part in liquidations.groupby("exchange"):
        liquidate(store, ((part["time"] - START) / HOUR).tolist(), str(exchange))
    for exchange in listening["exchange"]:
        listen(store, *((k, k + 1, "") for k in range(12, 60)), exchange=exchange)
    record = check(store, "binance")
    assert record.severity == "poor"
    assert record.listened is not None
    assert record.listened.suspects >= 1
    assert record.listened.share < 48 / 60
    longest = record.recorded_gaps[0]
    assert longest.reason == "silence that is not believed, while others cascade"
    assert longest.start >= START + 49 * HOUR
    assert "not believed" in record.note
    assert check(store, "bybit").listened.suspects == 0  # type: ignore[union-attr]


# --- against a slow twin ------------------------------------------------------------------------

MINUTES = 240
REASONS = ("", "cut", "off")


def slow(rows: list[tuple[int, int, str]]) -> list[str]:
    """The state of each minute: empty if listened to, else why not; None before the first row."""
    state: list[str] = []
    since = min((low for low, _, _ in rows), default=MINUTES)
    for minute in range(MINUTES):
        own = [reason for low, high, reason in rows if low <= minute < high]
        if minute < since:
            state.append("before")
        elif "" in own:
            state.append("")
        else:
            state.append("missed" if own else "no stream was at work")
    return state


@settings(max_examples=25, deadline=None)
@given(
    rows=st.dictionaries(
        st.integers(-30, MINUTES),
        st.tuples(st.integers(1, 90), st.sampled_from(REASONS)),
        max_size=12,
    )
)
def test_every_minute_is_listened_to_or_has_a_reason(
    rows: dict[int, tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = SeriesStore(tmp_path_factory.mktemp("listening"))
    spans = [(low, low + length, reason) for low, (length, reason) in rows.items()]
    if spans:
        listen(store, *((low / 60, high / 60, reason) for low, high, reason in spans))
    end = START + (MINUTES + 1) * MINUTE
    name = ("bybit", SYMBOL, "liquidations", "")
    (record,) = check_store(store, [name], start=START, end=end, now=end)
    states = slow(spans)
    assert record.listened is not None
    assert record.listened.share == pytest.approx(states.count("") / MINUTES)
    told = [""] * MINUTES
    for gap in record.recorded_gaps:
        low, high = (round((time - START) / MINUTE) for time in (gap.start, gap.end))
        assert all(not told[k] for k in range(low, high))
        told[low:high] = [gap.reason] * (high - low)
    for state, reason in zip(states, told, strict=True):
        assert (reason in {"cut", "off"}) == (state == "missed")
        assert (reason == "no stream was at work") == (state == "no stream was at work")
    lengths = [gap.end - gap.start for gap in record.recorded_gaps]
    assert lengths == sorted(lengths, reverse=True)
    assert all(isinstance(gap, RecordedGap) and gap.count is None for gap in record.recorded_gaps)
    assert (record.rows is None) == (record.listened.share < 1)
    assert np.isfinite(record.coverage.shares).all()  # type: ignore[union-attr]
