"""Posts have no grid, an index has one; nobody knows how many posts there should have been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.series.store.store import SeriesStore
from market.quality.record import QualityRecord
from market.quality.report import QualityReport
from market.quality.store_check import check_store
from tests.html_page import HtmlPage

START = pd.Timestamp("2026-11-01", tz="UTC")
DAY = pd.Timedelta(days=1)
NOW = START + 9.5 * DAY
SCORER = ("lexicon", "vader-3.3.2+crypto-1")


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path)


def posts(
    store: SeriesStore,
    days: list[float],
    score: float = 0.5,
    scorer: tuple[str, str] = SCORER,
    coin: str = "BTC",
) -> None:
    times = pd.DatetimeIndex([START + day * DAY for day in days]).as_unit("us")
    frame = pd.DataFrame(
        {
            "publisher": "x",
            "coin": coin,
            "time": times,
            "id": [f"{scorer[1]}-{day}" for day in days],
            "score": score,
            "scorer": scorer[0],
            "scorer_version": scorer[1],
            "available": times,
        }
    )
    store.append("sentiment", frame)


def check(
    store: SeriesStore, kind: str = "sentiment", remark: str = "", now: pd.Timestamp = NOW
) -> QualityRecord:
    name = ("x", "BTC", kind, "") if kind == "sentiment" else ("fear_greed", "", kind, "")
    remarks = {name: remark} if remark else {}
    (record,) = check_store(store, [name], start=START, end=NOW, now=now, remarks=remarks)
    return record


def test_posts_are_counted_and_what_has_no_meaning_is_unknown(store: SeriesStore) -> None:
    posts(store, [2.1, 2.2, 5.5, 8])
    posts(store, [3], coin="ETH")
    posts(store, [-1])
    record = check(store)
    assert (record.name, record.rows, record.severity) == ("x BTC sentiment", 4, "good")
    assert (record.first, record.last) == (START + 2.1 * DAY, START + 8 * DAY)
    unknown = ("expected", "missing", "gaps", "duplicates", "stale", "swapped")
    assert [getattr(record, name) for name in unknown] == [None] * 6
    assert (record.outliers, record.recorded_gaps, record.lateness) == (0, (), None)
    assert record.note == (
        "scored by lexicon vader-3.3.2+crypto-1; none on 4 of 7 days, which need be no fault"
    )
    assert record.coverage is not None
    assert record.coverage.first == START + 2 * DAY  # of the days before nobody knows
    assert record.coverage.shares == (1, 0, 0, 1, 0, 0, 1)
    assert record.coverage.measure == "rows"
    assert store.read("quality").empty  # whose key is an exchange's


def test_scorers_are_named_with_their_posts(store: SeriesStore) -> None:
    posts(store, [1, 2], np.nan)
    posts(store, [3], scorer=("finbert", "9f2c"))
    posts(store, [4], 1.5)
    record = check(store)
    assert record.note.startswith(
        "1 score beyond -1 to 1; scored by lexicon vader-3.3.2+crypto-1 (3 posts) and finbert 9f2c "
        "(1 post), 2 posts without a score: it knows no word of them"
    )
    assert (record.outliers, record.severity) == (1, "poor")


def test_what_the_collection_knows_of_missing_posts_is_told(store: SeriesStore) -> None:
    posts(store, [8])
    record = check(store, remark="of busy hours the newest 100 posts")
    assert record.severity == "look"
    assert record.note.endswith("; of busy hours the newest 100 posts")
    assert record.missing is None


def test_without_posts_nothing_is_known(store: SeriesStore) -> None:
    record = check(store, remark="failed: x: HTTP 402")
    assert (record.rows, record.severity, record.coverage) == (0, "unknown", None)
    assert record.note == "no posts: nothing is known; failed: x: HTTP 402"


# --- the index ----------------------------------------------------------------------------------


def values(store: SeriesStore, days: list[int]) -> None:
    times = pd.DatetimeIndex([START + day * DAY for day in days]).as_unit("us")
    available = times + pd.Timedelta(hours=1)
    frame = pd.DataFrame({"time": times, "value": 44.0, "available": available})
    store.upsert("indices", frame.assign(index="fear_greed"))


def test_an_index_has_a_value_a_day(store: SeriesStore) -> None:
    values(store, [2, 3, 4, 7, 8, 9])
    record = check(store, "indices")
    assert record.name == "fear_greed indices"
    assert (record.rows, record.expected, record.missing, record.gaps) == (6, 8, 2, 1)
    (gap,) = record.recorded_gaps
    assert (gap.start, gap.end, gap.count) == (START + 5 * DAY, START + 7 * DAY, 2)
    assert (record.note, record.severity) == ("2 days without a value", "poor")
    assert record.coverage is not None
    assert record.coverage.shares == (1, 1, 1, 0, 0, 1, 1, 1)
    assert record.coverage.measure == "grid"


def test_todays_value_may_come_yet(store: SeriesStore) -> None:
    values(store, list(range(9)))
    record = check(store, "indices")
    assert (record.expected, record.missing, record.severity) == (9, 0, "good")
    assert record.note == "nothing found"


def test_an_index_that_has_ended_is_told(store: SeriesStore) -> None:
    values(store, list(range(6)))
    record = check(store, "indices")
    assert (record.missing, record.severity) == (3, "poor")
    assert record.note == "3 days without a value; the last value is 4.5 days old"
    assert check(SeriesStore(f"{store.root}-none"), "indices").severity == "unknown"


# --- the page -----------------------------------------------------------------------------------


def test_days_without_posts_are_no_fault_on_the_page(store: SeriesStore) -> None:
    posts(store, [2, 5, 8])
    values(store, list(range(9)))
    report = QualityReport([check(store), check(store, "indices")])
    page = HtmlPage(report.html())
    classes = [attrs["class"] for tag, attrs in page.tags if tag == "rect"]
    assert classes.count("quiet") == 2
    assert "none" not in classes
    assert "2026-11-04 to 2026-11-05: no row, which need be no fault" in page.texts
    assert "2026-11-01 to 2026-11-09: all rows" in page.texts
    cells = [attrs.get("class") for tag, attrs in page.tags if tag == "td"]
    assert cells.count("n unknown") == 6 + 4
