"""Own columns of files and frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from brain.errors import BarsError, InputError
from brain.series.bars import COLUMNS, Bars, check_bars
from brain.series.files import read_folder
from brain.series.source import open_bars
from brain.settings import load_settings
from registry.library import BrainLibrary

ROWS = 60
GAP = slice(20, 25)


def frame_of(rows: int = ROWS, **columns: Any) -> pd.DataFrame:
    """Hourly bars with columns of one's own and a gap."""
    rng = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(ROWS)))
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=ROWS, freq="h", tz="UTC"),
            "open": close,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume": 5.0,
            "vix": np.where(np.arange(ROWS) % 7 == 3, np.nan, 15 + rng.standard_normal(ROWS)),
            "mood": -rng.random(ROWS),
        }
    ).assign(**columns)
    return frame.drop(index=range(GAP.start, GAP.stop))[:rows]


def bars_of(frame: pd.DataFrame, *columns: str) -> Bars:
    return check_bars(frame, symbol="AAA/USD", timeframe="1h", columns=columns)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_is_kept_bar_by_bar_across_a_gap_and_unknown_where_it_is(
    tmp_path: Path, ending: str
) -> None:
    frame = frame_of()
    path = tmp_path / f"AAA-USD_1h.{ending}"
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path, index=False)
    bar_set = read_folder(tmp_path, columns=["vix", "mood"])
    assert not bar_set.failures
    bars = bar_set.bars["AAA/USD"]
    assert bars.own == ("mood", "vix")
    assert list(bars.frame.columns) == [*COLUMNS, "mood", "vix"]
    there = frame.set_index("time")
    for name in bars.own:
        np.testing.assert_array_equal(bars.frame.loc[there.index, name], there[name])
        assert bars.frame[name].isna().sum() == there[name].isna().sum() + 5
    assert bars.frame.iloc[GAP].isna().all().all()
    assert bars.frame["vix"].isna().sum() > 5
    plain = read_folder(tmp_path).bars["AAA/USD"]
    pd.testing.assert_frame_equal(bars.frame[list(COLUMNS)], plain.frame)
    assert (plain.unused, bars.unused) == (("vix", "mood"), ())


def test_cutting_the_tail_changes_nothing_before() -> None:
    whole, part = bars_of(frame_of(), "vix"), bars_of(frame_of(rows=40), "vix")
    pd.testing.assert_frame_equal(whole.frame[: len(part.frame)], part.frame, check_freq=False)


def test_the_digest_is_that_of_before_without_own_columns_and_another_with_them() -> None:
    plain = bars_of(frame_of()).digest
    assert plain == "bb0bb8c5e9b296e5186109dc568a77a585e11495b4f33553961d05520df0781a"
    assert plain == bars_of(frame_of()[["time", *COLUMNS]]).digest
    others = [
        bars_of(frame_of(), "vix").digest,
        bars_of(frame_of(), "mood").digest,
        bars_of(frame_of(), "mood", "vix").digest,
        bars_of(frame_of(vix=1.0), "vix").digest,
        bars_of(frame_of(vix=2.0), "vix").digest,
        bars_of(frame_of(vix=2.0).rename(columns={"vix": "fear"}), "fear").digest,
    ]
    assert len({plain, *others}) == 7
    assert bars_of(frame_of(), "vix", "mood").digest == others[2]


def test_a_row_without_a_bar_is_a_missing_bar_whatever_its_own_columns_hold() -> None:
    frame = frame_of()
    frame.loc[30, list(COLUMNS)] = np.nan
    bars = bars_of(frame, "mood")
    assert bars.frame.iloc[30].isna().all()
    assert bars.repairs[0] == "1 row without any value taken as missing bars"


def test_bars_give_a_part_of_their_own_columns() -> None:
    both = bars_of(frame_of(), "vix", "mood")
    assert both.with_own(["vix"]).digest == bars_of(frame_of(), "vix").digest
    assert both.with_own([]).digest == bars_of(frame_of()).digest
    assert both.with_own([]).unused == ("mood", "vix")
    with pytest.raises(BarsError, match="AAA/USD 1h: the bars have no column 'fear'"):
        both.with_own(["fear", "vix"])


TWICE = pd.concat([frame_of(), frame_of()[["vix"]]], axis=1)
REFUSED: dict[str, tuple[pd.DataFrame, str, str]] = {
    "none": (frame_of(), "fear", "no column 'fear', which the setting columns names; known: mood"),
    "misspelt": (frame_of(), "moods", "no column 'moods'.*did you mean 'mood'"),
    "case": (frame_of(), "VIX", "no column 'VIX'.*did you mean 'vix'"),
    "cases": (frame_of(VIX=1.0), "vix", "columns 'vix', 'VIX' could all be 'vix'; keep or rename"),
    "twice": (TWICE, "vix", "columns 'vix', 'vix' could all be 'vix'"),
    "mangled": (
        frame_of().assign(**{"vix.1": 1.0}),
        "vix",
        "columns 'vix', 'vix.1' could all be 'vix'",
    ),
    "signs": (
        frame_of().assign(**{"a b": 1.0, "a_b": 2.0}),
        "a b",
        "columns 'a b', 'a_b' could all be 'a_b'",
    ),
    "text": (
        frame_of(vix="high"),
        "vix",
        "55 values in column 'vix' can't be taken as numbers, first 'high'",
    ),
    "a word": (
        frame_of(vix=["n.a."] + [1.0] * (ROWS - 1)),
        "vix",
        "1 value in column 'vix' can't be taken as numbers, first 'n.a.' at 2024-01-01",
    ),
    "truth": (frame_of(vix=True), "vix", "column 'vix' can't be taken as numbers, first True"),
    "infinite": (
        frame_of(vix=[1.0] * 40 + [np.inf] + [1.0] * (ROWS - 41)),
        "vix",
        "column 'vix' is infinite or too large in 1 of 55 bars, first at 2024-01-02 16:00.*vix inf",
    ),
    "large": (frame_of(vix=-1e39), "vix", "column 'vix' is infinite or too large in 55 of 55 bars"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_column_that_is_no_feature_is_refused_in_words(case: str, tmp_path: Path) -> None:
    frame, column, message = REFUSED[case]
    with pytest.raises(BarsError, match=message):
        bars_of(frame, column)
    bars_of(frame)  # no column, no fault
    if case not in {"mangled", "twice"}:
        frame.to_csv(tmp_path / "AAA-USD_1h.csv", index=False)
        (failure,) = read_folder(tmp_path, columns=[column]).failures
        assert "column" in str(failure.error)
        assert isinstance(failure.error, BarsError)


def test_a_name_that_comes_twice_in_a_csv_file_is_refused(tmp_path: Path) -> None:
    TWICE.to_csv(tmp_path / "AAA-USD_1h.csv", index=False)
    (failure,) = read_folder(tmp_path, columns=["vix"]).failures
    assert "columns 'vix', 'vix' could all be 'vix'; keep or rename" in str(failure.error)


def test_two_bars_of_one_time_with_other_own_values_differ() -> None:
    frame = frame_of()
    double = pd.concat([frame, frame[10:11].assign(mood=7.0)])
    assert bars_of(double).repairs[-1].startswith("5 bars missing")
    with pytest.raises(BarsError, match="a second, different bar has the same time"):
        bars_of(double, "mood")


def test_a_symbol_whose_file_lacks_the_column_fails_alone(tmp_path: Path) -> None:
    frame_of().to_csv(tmp_path / "AAA-USD_1h.csv", index=False)
    frame_of().drop(columns="vix").to_csv(tmp_path / "BBB-USD_1h.csv", index=False)
    settings = load_settings({"bars": tmp_path, "columns": "vix"})
    source = open_bars(settings, BrainLibrary("sqlite://"))
    source.check()
    assert source["AAA/USD"].own == ("vix",)
    with pytest.raises(BarsError, match=r"BBB/USD 1h .*: there is no column 'vix'"):
        source["BBB/USD"]
    assert source.read("BBB/USD", ["mood"]).own == ("mood",)


def test_a_column_that_no_file_has_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    for name in ("AAA", "BBB"):
        frame_of().to_csv(tmp_path / f"{name}-USD_1h.csv", index=False)
    settings = load_settings({"bars": tmp_path, "columns": "fear"})
    with pytest.raises(InputError, match=r"AAA/USD .*'fear'.* \| BBB/USD .*'fear'"):
        open_bars(settings, BrainLibrary("sqlite://")).check()
