"""Bars of any source get the record that collected candles get, by the same rules."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from brain.series.bars import COLUMNS, Bars, check_bars
from market.quality.bars_check import CheckedBars, bars_record
from market.quality.report import QualityReport
from market.quality.series_check import check_series
from tests.brain.series.quality.prices import prices
from tests.html_page import HtmlPage

NOW = pd.Timestamp("2026-01-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
SPLIT = "price that steps by a factor near 1/2 and stays there, as at a split"


def bars(frame: pd.DataFrame, timeframe: str = "1h", symbol: str = "AAA/USD") -> Bars:
    return check_bars(frame, symbol=symbol, timeframe=timeframe)


def halved(row: int = 400, rows: int = 600) -> pd.DataFrame:
    frame = prices(rows)
    frame.loc[row:, list(COLUMNS[:4])] /= 2
    return frame


def test_sound_bars_are_good() -> None:
    record = bars_record(bars(prices(600)), checked=NOW)
    assert (record.name, record.severity, record.note) == (
        "AAA/USD bars 1h",
        "good",
        "nothing found",
    )
    assert (record.rows, record.expected, record.missing, record.gaps) == (600, 600, 0, 0)
    assert (record.duplicates, record.stale, record.outliers) == (0, 0, 0)
    assert (record.swapped, record.lateness) == (None, None)
    assert (record.first, record.last) == (prices(600)["time"][0], prices(600)["time"][599])


def test_a_split_makes_bars_poor_and_the_note_tells_it() -> None:
    record = bars_record(bars(halved()), checked=NOW)
    assert (record.severity, record.outliers) == ("poor", 1)
    assert record.note == (
        f"{SPLIT}: 1 row, at 2024-01-17 16:00 UTC (adjust prices for splits at the source)"
    )


def test_a_constant_volume_is_to_be_looked_at() -> None:
    record = bars_record(bars(prices(600).assign(volume=0.0)), checked=NOW)
    assert (record.severity, record.outliers, record.stale) == ("look", 0, 0)
    assert "volume that is always 0: 600 rows" in record.note


def test_missing_bars_are_gaps_with_their_place_and_share_of_a_day() -> None:
    frame = prices(96).drop(index=[*range(30, 36), 50])
    record = bars_record(bars(frame), checked=NOW)
    assert (record.rows, record.expected, record.missing, record.gaps) == (89, 96, 7, 2)
    start = prices(96)["time"]
    spans = [(gap.start, gap.end, gap.count) for gap in record.recorded_gaps]
    assert spans == [(start[30], start[36], 6), (start[50], start[51], 1)]
    assert record.coverage is not None
    assert record.coverage.shares == pytest.approx((1.0, 18 / 24, 23 / 24, 1.0))
    assert record.note.startswith("7 bars missing in 2 gaps")


def test_days_without_a_place_on_the_grid_are_no_gap() -> None:
    """Sessions: the frame's index is of them alone."""
    times = pd.date_range("2024-01-01", periods=20, freq="B", tz="UTC", name="time")
    frame = prices(20).set_index(times)[list(COLUMNS)]
    frame.iloc[7] = np.nan
    sessions = replace(bars(prices(20)), timeframe="1d", frame=frame)
    record = bars_record(sessions, checked=NOW)
    assert (record.rows, record.expected, record.missing, record.gaps) == (19, 20, 1, 1)
    assert record.coverage is not None
    assert len(record.coverage.shares) == 26
    assert record.coverage.shares.count(0.0) == 1
    assert record.coverage.shares[9] == 0.0  # Wednesday the 10th


def test_of_two_bars_nothing_is_known() -> None:
    record = bars_record(bars(prices(2)), checked=NOW)
    assert (record.stale, record.outliers, record.note) == (None, None, "too few rows to tell")


def test_candles_and_bars_of_the_same_prices_have_the_same_findings() -> None:
    frame = halved().drop(index=[100])
    frame["high"] *= np.where(frame.index == 200, 10.0, 1.0)
    frame.loc[300:339, "close"] = frame["close"][300]
    names = list(COLUMNS[:4])
    frame["high"], frame["low"] = frame[names].max(axis=1), frame[names].min(axis=1)
    of_bars = bars_record(bars(frame), checked=NOW)
    candles = frame.assign(time=frame["time"].dt.as_unit("us"), quote_volume=np.nan)
    of_candles = check_series(
        candles,
        "candles",
        exchange="okx",
        symbol="AAA/USD:USD",
        timeframe="1h",
        expected=600,
        missing=1,
        gaps=1,
        now=frame["time"].iloc[-1] + HOUR,
    )
    assert len(of_bars.findings) == 3
    assert [str(f) for f in of_bars.findings] == [str(f) for f in of_candles.findings]
    counts = [(r.rows, r.missing, r.stale, r.outliers, r.severity) for r in (of_bars, of_candles)]
    assert counts == [(599, 1, 39, 2, "poor")] * 2


# --- a source of several symbols ----------------------------------------------------------------


def test_bars_are_checked_as_they_are_read(caplog: pytest.LogCaptureFixture) -> None:
    source: Mapping[str, Bars] = {
        "AAA/USD": bars(halved()),
        "BBB/USD": bars(prices(600), symbol="BBB/USD"),
        "CCC/USD": bars(prices(600), symbol="CCC/USD"),
    }
    checked = CheckedBars(source)
    assert (list(checked), len(checked), checked.records) == (list(source), 3, ())
    with caplog.at_level(logging.WARNING, "market"):
        assert checked["BBB/USD"] is source["BBB/USD"]
        assert checked["AAA/USD"] is source["AAA/USD"]
        assert checked["AAA/USD"] is source["AAA/USD"]
    assert [record.symbol for record in checked.records] == ["AAA/USD", "BBB/USD"]
    (line,) = caplog.messages
    assert line.startswith(f"AAA/USD bars 1h: {SPLIT}: 1 row, at 2024-01-17 16:00 UTC")


def test_the_page_and_the_documents_have_bars_like_any_series() -> None:
    report = QualityReport([bars_record(bars(halved()), checked=NOW)])
    page = HtmlPage(report.html())
    page.check_self_contained()
    assert "AAA/USD bars 1h" in page.texts
    assert any(text.startswith(SPLIT) for text in page.texts)
    (entry,) = report.document()
    assert (entry["symbol"], entry["kind"], entry["severity"]) == ("AAA/USD", "bars", "poor")
    assert entry["findings"] == [
        {
            "kind": "split",
            "reason": SPLIT,
            "rows": 1,
            "first": "2024-01-17T16:00:00+00:00",
            "last": "2024-01-17T16:00:00+00:00",
            "cure": "adjust prices for splits at the source",
        }
    ]


def test_the_page_of_a_long_series_with_many_gaps_stays_small() -> None:
    """Decades without every third day, and without a year."""
    times = pd.date_range("1990-01-01", periods=9000, tz="UTC")
    frame = prices(9000).assign(time=times)
    series = bars(frame[(np.arange(9000) % 3 > 0) & (times.year != 2000)], "1d")
    text = QualityReport([bars_record(series, checked=NOW)]).html()
    assert 3 <= text.count("<rect") <= 500
    assert text.count('<rect class="none"') == 1
    assert len(text) < 100_000


# --- markets that close -------------------------------------------------------------------------


@pytest.mark.parametrize("calendar", ["XNYS", "bars"])
@pytest.mark.parametrize("name", ["sp500", "nasdaq"])
def test_an_index_of_twenty_years_is_quiet_and_a_split_in_it_is_told(
    name: str, calendar: str
) -> None:
    frame = importlib.import_module(f"arch.data.{name}").load().reset_index()
    frame.columns = frame.columns.str.lower()
    frame = frame.rename(columns={"date": "time"}).drop(columns="adj close")
    index = check_bars(frame, symbol="IDX", timeframe="1d", calendar=calendar)
    record = bars_record(index, checked=NOW)
    reasons = {finding.reason for finding in record.findings}
    assert reasons <= {"no volume although the price moved"}  # two days of the NASDAQ
    assert (record.stale, record.expected) == (0, len(index.frame))
    assert record.severity in ("good", "look")
    frame.loc[3000:, list(COLUMNS[:4])] /= 3
    poor = check_bars(frame, symbol="IDX", timeframe="1d", calendar=calendar)
    (split,) = [f for f in bars_record(poor, checked=NOW).findings if f.kind == "split"]
    assert split.reason == SPLIT.replace("1/2", "1/3")
    assert split.first.date() == frame["time"][3000].date()
