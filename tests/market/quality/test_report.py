"""The report has what the records have, in every form, and needs no network."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from brain.errors import ArtifactStoreError
from market.quality.page import GAPS_PER_PAGE, GAPS_PER_SERIES
from market.quality.record import COUNTS, Coverage, Listened, QualityRecord, RecordedGap
from market.quality.report import FILES, QualityReport
from tests.html_page import HtmlPage

DAY = pd.Timestamp("2024-01-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)


def record(**overrides: Any) -> QualityRecord:
    sound = QualityRecord(
        exchange="okx",
        symbol="BTC/USDT:USDT",
        kind="candles",
        timeframe="1h",
        checked=DAY + 96 * HOUR,
        first=DAY,
        last=DAY + 95 * HOUR,
        rows=96,
        expected=96,
        missing=0,
        gaps=0,
        duplicates=0,
        stale=0,
        outliers=0,
        swapped=0,
        note="nothing documents",
        lateness=0.0,
        coverage=Coverage(DAY, (1.0, 1.0, 1.0, 1.0)),
    )
    return replace(sound, **overrides)


def unknown() -> QualityRecord:
    nothing: dict[str, Any] = dict.fromkeys((*COUNTS, "first", "last", "lateness", "coverage"))
    return record(exchange="bybit", **{**nothing, "rows": 0, "note": "no rows: nothing is known"})


def with_gaps(number: int = 1) -> QualityRecord:
    gaps = tuple(
        RecordedGap(
            DAY + (24 + k) * HOUR, DAY + (25 + k) * HOUR, 1, "the exchange <has> none & says so"
        )
        for k in range(number)
    )
    return record(
        symbol="A&B<i>/USDT:USDT",
        rows=96 - number,
        missing=number,
        gaps=1,
        note=f"{number} of 96 rows missing",
        recorded_gaps=gaps,
        coverage=Coverage(DAY, (1.0, 0.5, 0.0, 0.0)),
    )


@pytest.mark.parametrize(
    ("overrides", "severity"),
    [
        ({}, "good"),
        ({"expected": None, "missing": None, "gaps": None, "swapped": None}, "good"),
        ({"rows": 10_000, "expected": 10_001, "missing": 1}, "look"),
        ({"rows": 10_000, "outliers": 100}, "look"),
        ({"rows": 10_000, "outliers": 60, "stale": 50}, "poor"),
        ({"missing": 1, "expected": 96}, "poor"),
        ({"gaps": 1}, "look"),
        ({"duplicates": 1}, "poor"),
        ({"swapped": 1}, "poor"),
        ({"lateness": 2.1}, "poor"),
        ({"lateness": None}, "good"),
        ({"blank_rows": 96}, "unknown"),
        ({"rows": 0}, "unknown"),
    ],
)
def test_how_bad_a_series_is(overrides: dict[str, Any], severity: str) -> None:
    assert record(**overrides).severity == severity


def test_the_page_says_what_the_records_say() -> None:
    page = HtmlPage(QualityReport([record(), with_gaps(), unknown()]).html())
    names = [text for text in page.texts if text.endswith("candles 1h")]
    order = ["okx A&B<i>/USDT:USDT", "bybit BTC/USDT:USDT", "okx BTC/USDT:USDT"]  # worst first
    assert names[:3] == [f"{name} candles 1h" for name in order]
    assert "3 series, 1 good, 1 poor, 1 unknown; checked 2024-01-05 00:00 UTC" in page.texts
    assert "the exchange <has> none & says so" in page.texts
    assert "1 of 96 rows missing" in page.texts
    assert page.texts.count("–") == 2 + 7  # first, last and seven counts of the unknown series
    colours = [attrs["class"] for tag, attrs in page.tags if tag == "td" and attrs.get("class")]
    assert colours.count("n poor") == 1
    assert colours.count("n unknown") == 7


def test_strips_of_coverage_share_one_axis() -> None:
    late = record(coverage=Coverage(DAY + 48 * HOUR, (1.0, 0.0, 1.0, 1.0)))
    text = QualityReport([with_gaps(), late, unknown()]).html()
    strips = [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    assert [svg.attrib["viewBox"] for svg in strips] == ["0 0 6 1"] * 3
    drawn = [
        [(b.attrib["class"], int(b.attrib["x"]), int(b.attrib["width"])) for b in svg]
        for svg in strips
    ]
    assert drawn == [
        [("whole", 0, 1), ("part", 1, 1), ("none", 2, 2)],
        [],
        [("whole", 2, 1), ("none", 3, 1), ("whole", 4, 2)],
    ]
    assert "2024-01-02: some rows, 50% of the rows" in text
    assert "2024-01-03 to 2024-01-04: no row" in text


def streamed(share: float, since: float, suspects: int = 0) -> QualityRecord:
    gap = RecordedGap(DAY, DAY + 30 * HOUR, None, "no stream was at work")
    nothing: dict[str, Any] = dict.fromkeys((*COUNTS, "first", "last", "lateness"))
    return record(
        kind="liquidations",
        timeframe="",
        **{**nothing, "gaps": 1},
        listened=Listened(share, DAY, since, suspects, lower_bound=True),
        recorded_gaps=(gap,),
        coverage=Coverage(DAY, (0.0, 0.75, 1.0, 0.999), "time"),
    )


@pytest.mark.parametrize(
    ("listened", "severity"),
    [
        ((0.0, 0.0), "unknown"),
        ((1.0, 1.0), "good"),
        ((0.3, 1.0), "look"),
        ((0.3, 0.995), "look"),
        ((0.3, 0.98), "poor"),
        ((1.0, 1.0, 1), "poor"),
    ],
)
def test_how_bad_a_stream_is(listened: tuple[Any, ...], severity: str) -> None:
    assert streamed(*listened).severity == severity


def test_what_was_listened_to_is_on_the_page_without_any_0() -> None:
    report = QualityReport([streamed(0.7, 0.9)])
    page = HtmlPage(report.html())
    assert "2024-01-01: not listened to" in page.texts
    assert "2024-01-02: listened to 75% of the time" in page.texts
    assert "2024-01-03: listened to" in page.texts
    assert "2024-01-04: listened to nearly all of the time" in page.texts
    assert "no stream was at work" in page.texts
    assert page.texts.count("–") == 2 + 7 + 1  # first, last, counts, and rows of the gap
    assert "0" not in page.texts
    (document,) = json.loads(report.json())
    assert (document["listened"], document["rows"]) == (0.7, None)
    assert (document["coverage"]["of"], document["holes"][0]["count"]) == ("time", None)
    assert report.frame()["listened"].tolist() == [0.7]
    assert QualityReport([record()]).frame()["listened"].isna().all()


def test_the_page_needs_no_network() -> None:
    text = QualityReport([record(), with_gaps(), unknown()]).html()
    HtmlPage(text).check_self_contained()
    assert "//" not in text.replace("<!DOCTYPE html>", "")


def test_a_long_list_of_gaps_is_cut_on_the_page_only() -> None:
    report = QualityReport([with_gaps(GAPS_PER_SERIES + 5)])
    page = HtmlPage(report.html())
    assert page.texts.count("the exchange <has> none & says so") == GAPS_PER_SERIES
    assert "and 5 more, in quality.json" in page.texts
    (document,) = json.loads(report.json())
    assert len(document["holes"]) == GAPS_PER_SERIES + 5


def test_the_page_stays_small_with_very_many_gaps() -> None:
    number = GAPS_PER_PAGE // GAPS_PER_SERIES + 3
    page = HtmlPage(QualityReport([with_gaps(GAPS_PER_SERIES)] * number).html())
    assert page.texts.count("the exchange <has> none & says so") == GAPS_PER_PAGE
    assert page.texts.count(f"and {GAPS_PER_SERIES} more, in quality.json") == 3


def test_machines_read_the_same(tmp_path: Path) -> None:
    report = QualityReport([record(), with_gaps(), unknown()])
    paths = report.write(tmp_path / "night" / "market")
    assert [path.name for path in paths] == list(FILES)
    assert paths[0].read_text("utf-8") == report.html()
    documents = json.loads(paths[1].read_text("utf-8"))
    frame = pd.read_parquet(paths[2])
    for name in COUNTS:
        values = [getattr(one, name) for one in report.records]
        assert [one[name] for one in documents] == values
        assert [None if pd.isna(v) else v for v in frame[name]] == values
        assert frame[name].dtype == "Int64"
    assert (
        [one["severity"] for one in documents]
        == list(frame["severity"])
        == [
            "good",
            "poor",
            "unknown",
        ]
    )
    assert documents[1]["holes"][0] == {
        "start": "2024-01-02T00:00:00+00:00",
        "end": "2024-01-02T01:00:00+00:00",
        "count": 1,
        "reason": "the exchange <has> none & says so",
    }
    assert documents[1]["coverage"] == {
        "first": DAY.isoformat(),
        "shares": [1.0, 0.5, 0.0, 0.0],
        "of": "grid",
    }
    assert (documents[2]["coverage"], documents[2]["first"], documents[2]["late"]) == (
        None,
        None,
        None,
    )
    assert report.write(tmp_path / "night" / "market") == paths  # again, over the old ones


def test_the_console_shows_counts_and_words() -> None:
    out = Console(record=True, width=160, force_terminal=False)
    out.print(QualityReport([record(), with_gaps(), unknown()]).table())
    text = out.export_text()
    assert "okx A&B<i>/USDT:USDT candles 1h: 1 of 96 rows missing" in text
    assert "okx BTC/USDT:USDT candles 1h: nothing documents" not in text
    (line,) = [row for row in text.splitlines() if "bybit" in row and "│" in row]
    assert re.split(r"\s*│\s*", line.strip("│ \n")) == [
        "bybit BTC/USDT:USDT candles 1h",
        "unknown",
        "0",
        *["–"] * 7,
    ]


def test_a_report_on_nothing_is_a_report(tmp_path: Path) -> None:
    report = QualityReport([])
    assert repr(report) == "QualityReport(0 series)"
    assert "No gap is recorded." in HtmlPage(report.html()).texts
    paths = report.write(tmp_path)
    assert json.loads(paths[1].read_text("utf-8")) == []
    assert len(pd.read_parquet(paths[2])) == 0


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactStoreError, match="give a folder that may be written"):
        QualityReport([record()]).write(tmp_path / "file")
