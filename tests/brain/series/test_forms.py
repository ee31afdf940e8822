"""Forms of files: the table of ``docs/bars.md``, and combinations drawn at random."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from brain.errors import BrainError, InputError
from brain.series.files import BarSet, read_folder
from tests.brain.series.forms import (
    DAYS,
    FORMS,
    HOURS,
    NOW,
    Form,
    day_times,
    encodings,
    endings,
    headers,
    hour_times,
    numbers,
    text,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "bars.md"
ROW = re.compile(r"\| `(?P<key>[\w-]+)` \| [^|]+ \| (?P<outcome>read|refused) \| (?P<said>[^|]*)\|")
TABLE = {row["key"]: row for row in ROW.finditer(DOCUMENT.read_text(encoding="utf-8"))}


def read(folder: Path, form: Form) -> BarSet:
    folder.mkdir(exist_ok=True)
    (folder / form.name).write_bytes(form.content)
    return read_folder(folder, now=NOW)


def said_as(told: str, said: str) -> bool:
    """Whether words are those of the document, in which … stands for more."""
    pattern = ".*".join(re.escape(part) for part in said.strip().split("…"))
    return re.fullmatch(pattern, told) is not None


def assert_bars(bar_set: BarSet, expected: pd.DataFrame) -> tuple[str, ...]:
    assert not bar_set.failures, bar_set.failures
    (bars,) = bar_set.bars.values()
    pd.testing.assert_frame_equal(
        bars.frame, expected, check_freq=False, check_index_type=False, check_exact=True
    )
    return bars.repairs


def test_the_document_tells_of_every_form() -> None:
    assert set(TABLE) == set(FORMS)


@pytest.mark.parametrize("key", TABLE)
def test_a_form_is_read_or_refused_as_the_document_tells(tmp_path: Path, key: str) -> None:
    row, form = TABLE[key], FORMS[key]()
    bar_set = read(tmp_path, form)
    if row["outcome"] == "read":
        assert form.bars is not None
        told = "; ".join(assert_bars(bar_set, form.bars))
        assert said_as(told, row["said"]), told
    else:
        assert form.bars is None
        assert not bar_set.bars
        (failure,) = bar_set.failures
        assert isinstance(failure.error, InputError)
        name = re.escape(str(tmp_path / form.name))
        told = re.sub(rf"^(?:.* \({name}\): |'{name}':? )", "", str(failure.error))
        assert said_as(told, row["said"]), told


@pytest.mark.parametrize(
    ("key", "symbol"),
    [
        ("perpetual", "BTC/USDT:USDT"),
        ("freqtrade", "BTC/USDT"),
        ("freqtrade-futures", "BTC/USDT:USDT"),
        ("gzip", "BTC/USD"),
    ],
)
def test_a_name_tells_the_symbol(tmp_path: Path, key: str, symbol: str) -> None:
    assert list(read(tmp_path, FORMS[key]()).bars) == [symbol]


# --- combinations -------------------------------------------------------------------------------


def combined(data: st.DataObject, folder: Path) -> None:
    """Write one series in a form drawn at random, and read it: that series, or an error of ours."""
    daily = data.draw(st.booleans())
    series = DAYS if daily else HOURS
    bars = series.iloc[: data.draw(st.integers(2, len(series)))]
    times: Callable[[pd.DatetimeIndex], Any] = data.draw(
        st.sampled_from(day_times if daily else hour_times)
    )
    delimiter = data.draw(st.sampled_from([",", ";", "\t", "|"]))
    names = data.draw(st.sampled_from(headers))
    ending, pack = data.draw(st.sampled_from(endings))
    content = text(
        bars.iloc[::-1] if data.draw(st.booleans()) else bars,
        times,
        names=names,
        delimiter=delimiter,
        number=data.draw(st.sampled_from(numbers)),
        columns=("open", "high", "low", "close", "volume"),
        end=data.draw(st.sampled_from(["\n", "\r\n"])),
        tail=data.draw(st.sampled_from(["", delimiter, 2 * delimiter])),
    )
    content = data.draw(st.sampled_from(["", "a title\n", f"sep={delimiter}\n"])) + content
    stem = "BTC-USD_1d" if daily else "BTC-USD_1h"
    encoding = data.draw(st.sampled_from(encodings))
    bar_set = read(folder, Form(stem + ending, pack(content.encode(encoding)), None))
    (folder / (stem + ending)).unlink()
    if bar_set.failures:
        assert all(isinstance(failure.error, BrainError) for failure in bar_set.failures)
        assert not bar_set.bars
    else:
        assert_bars(bar_set, bars)


@given(data=st.data())
@settings(max_examples=200)
def test_any_combination_is_the_true_series_or_an_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    combined(data, tmp_path_factory.getbasetemp() / "combined")


@pytest.mark.soak
@given(data=st.data())
@settings(max_examples=5000)
def test_any_of_many_combinations_is_the_true_series_or_an_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    combined(data, tmp_path_factory.getbasetemp() / "many")


def damaged(data: st.DataObject, folder: Path) -> None:
    """Read a form with some bytes changed, cut off or doubled: never an error that is not ours."""
    form = FORMS[data.draw(st.sampled_from(sorted(FORMS.keys() - {"bomb"})))]()
    content = bytearray(form.content)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
        content = content or bytearray(b"0")
    bar_set = read(folder, Form(form.name, bytes(content), None))
    (folder / form.name).unlink()
    assert all(isinstance(failure.error, BrainError) for failure in bar_set.failures)


@given(data=st.data())
@settings(max_examples=200)
def test_damage_is_never_another_error_than_ours(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged(data, tmp_path_factory.getbasetemp() / "damaged")


@pytest.mark.soak
@given(data=st.data())
@settings(max_examples=5000)
def test_much_damage_is_never_another_error_than_ours(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    damaged(data, tmp_path_factory.getbasetemp() / "much")
