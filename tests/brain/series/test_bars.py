from __future__ import annotations

import datetime as dt
import logging
import pickle
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from brain.errors import BarsError, InputError, NotEnoughBarsError
from brain.naming import parse_symbol
from brain.series.bars import COLUMNS, TIMEFRAMES, Bars, check_bars, parse_timeframe

START = pd.Timestamp("2020-01-06", tz="UTC")  # a Monday


def bars_frame(n: int = 48, timeframe: str = "1h", seed: int = 0) -> pd.DataFrame:
    """A sound series with its times as the index."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    first = np.concatenate([[100.0], close[:-1]])
    columns = {
        "open": first,
        "high": np.maximum(first, close) * 1.001,
        "low": np.minimum(first, close) * 0.999,
        "close": close,
        "volume": rng.uniform(1, 2, n),
    }
    index = pd.date_range(START, periods=n, freq=TIMEFRAMES[timeframe], name="time")
    return pd.DataFrame(columns, index=index)


def checked(frame: pd.DataFrame, timeframe: str = "1h") -> Bars:
    return check_bars(frame, symbol="BTC/USD", timeframe=timeframe, source="here")


def with_value(column: str, value: float, *rows: int) -> pd.DataFrame:
    frame = bars_frame()
    frame.loc[frame.index[list(rows)], column] = value
    return frame


def test_a_sound_series_comes_out_unchanged_and_unrepaired(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bars = checked(bars_frame())
    pd.testing.assert_frame_equal(
        bars.frame, bars_frame(), check_index_type=False, check_freq=False
    )
    assert bars.frame.index.equals(bars_frame().index)
    assert (bars.symbol, bars.timeframe, bars.source, bars.repairs) == ("BTC/USD", "1h", "here", ())
    assert not caplog.records


def test_the_frame_is_on_the_contracted_grid() -> None:
    frame = checked(bars_frame().sample(frac=1, random_state=3).reset_index()).frame
    assert frame.index.name == "time"
    assert str(frame.index.dtype) == "datetime64[ns, UTC]"
    assert set(np.diff(frame.index)) == {np.timedelta64(1, "h")}
    assert list(frame.columns) == list(COLUMNS) == ["open", "high", "low", "close", "volume"]
    assert set(frame.dtypes) == {np.dtype("float64")}


def test_the_frame_given_is_not_changed() -> None:
    frame = bars_frame().iloc[::-1]
    frame.iloc[3, 4] = np.inf
    before = frame.copy(deep=True)
    grid = checked(frame).frame
    grid.loc[START, "open"] = 1e9
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("timeframe", "seconds"),
    [("1m", 60), ("5m", 300), ("1h", 3600), ("4h", 14400), ("1d", 86400), ("1w", 604800)],
)
def test_a_timeframe_has_its_length_and_its_grid(timeframe: str, seconds: int) -> None:
    assert parse_timeframe(timeframe) == pd.Timedelta(seconds=seconds)
    bars = checked(bars_frame(timeframe=timeframe), timeframe)
    assert bars.step.total_seconds() == seconds
    assert bars.bars_per_year == pytest.approx(365 * 86400 / seconds)
    assert bars.close_time[0] == START + pd.Timedelta(seconds=seconds)
    assert len(bars.close_time) == len(bars.frame)


@pytest.mark.parametrize(
    ("value", "symbol"),
    [
        ("BTC/USD", "BTC/USD"),
        ("BTC-USD", "BTC/USD"),
        ("BTC-USDT_USDT", "BTC/USDT:USDT"),
        ("BTC/USDT:USDT", "BTC/USDT:USDT"),
        ("BTC", "BTC"),
    ],
)
def test_a_symbol_is_understood_as_symbol_and_as_model_name(value: str, symbol: str) -> None:
    assert parse_symbol(value) == symbol


@pytest.mark.parametrize(
    "value", ["", "BTC USD", "BTC/USDT_USDT", "BTC-USDT:USDT", "a/b/c", None, 7]
)
def test_what_is_neither_symbol_nor_model_name_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"is not a symbol; write it as BASE/QUOTE"):
        parse_symbol(value)


# Refusals.

BROKEN: list[tuple[str, Callable[[], pd.DataFrame], str]] = [
    ("no close", lambda: bars_frame().drop(columns="close"), "no column 'close'"),
    ("capitals", lambda: bars_frame().rename(columns=str.title), "'open'.*did you mean 'Open'"),
    (
        "close twice",
        lambda: pd.concat([bars_frame(), bars_frame()[["close"]]], axis=1),
        "2 columns",
    ),
    ("no time", lambda: bars_frame().reset_index(drop=True), "no column 'time'"),
    (
        "misnamed time",
        lambda: bars_frame().reset_index().rename(columns={"time": "Time"}),
        "did you mean 'Time'",
    ),
    (
        "two kinds of time",
        lambda: bars_frame().assign(time=bars_frame().index + pd.Timedelta("1h")),
        "'time' and the DatetimeIndex differ",
    ),
    ("text", lambda: bars_frame().assign(open="12,5"), "48 values in column 'open'.*'12,5'"),
    ("number as text", lambda: bars_frame().astype({"low": str}), "column 'low'.*cast"),
    ("truth", lambda: bars_frame().assign(volume=True), "column 'volume'.*True"),
    ("date as price", lambda: bars_frame().assign(high=START), "column 'high'"),
    ("price 0", lambda: with_value("low", 0.0, 5, 9), "not positive in 2 of 48.*05:00.*low 0.0"),
    ("price < 0", lambda: with_value("low", -2.5, 5), "not positive in 1 .*05:00.*low -2.5"),
    ("NaN price", lambda: with_value("open", np.nan, 3), "NaN or infinite in 1 .*03:00.*open nan"),
    ("inf price", lambda: with_value("high", np.inf, 3), "NaN or infinite in 1 .*03:00.*high inf"),
    ("high < low", lambda: with_value("high", 1.0, 3), "high is below low in 1 .*03:00.*high 1.0"),
    (
        "high < close",
        lambda: bars_frame().assign(high=bars_frame()[["open", "close"]].mean(axis=1)),
        "high is below open or close in 48",
    ),
    (
        "low > open",
        lambda: bars_frame().assign(low=bars_frame()[["open", "close"]].mean(axis=1)),
        "low is above open or close in 48",
    ),
    ("volume < 0", lambda: with_value("volume", -1.0, 4), "volume is negative in 1 .*volume -1.0"),
    ("volume -inf", lambda: with_value("volume", -np.inf, 4), "volume is negative in 1"),
    (
        "two bars at once",
        lambda: pd.concat([bars_frame(), with_value("volume", 9.5, 7).iloc[[7]]]),
        "different bar has the same time in 1 .*07:00.*volume 9.5",
    ),
    (
        "half past",
        lambda: pd.concat([bars_frame(), bars_frame().iloc[[0]].shift(freq="30min")]),
        "off the 1h grid in UTC in 1 of 49 bars, first at 2020-01-06 00:30",
    ),
    (
        "more than half missing",
        lambda: bars_frame(400).drop(bars_frame(399).index[20:300]),
        "280 of",
    ),
]


@pytest.mark.parametrize(("frame", "message"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_broken_series_is_refused_telling_what_and_where(
    frame: Callable[[], pd.DataFrame], message: str
) -> None:
    with pytest.raises(BarsError, match=rf"^BTC/USD 1h \(here\): .*{message}") as caught:
        checked(frame())
    assert ";" in str(caught.value)  # the cure


@pytest.mark.parametrize(
    ("stated", "real", "frame"),
    [
        ("1h", "1d", bars_frame(timeframe="1d")),
        ("1d", "1h", bars_frame()),
        ("1h", "5m", bars_frame(timeframe="5m")),
        ("1h", "150m", bars_frame().set_axis(
            pd.date_range(START, periods=48, freq="150min"))),
    ],
)  # fmt: skip
def test_another_timeframe_than_stated_is_measured_and_refused(
    stated: str, real: str, frame: pd.DataFrame
) -> None:
    with pytest.raises(BarsError, match=rf"are {real} apart, not {stated}; "):
        checked(frame, stated)


@pytest.mark.parametrize(
    ("timeframe", "shift"),
    [("1d", "16h"), ("1d", "-5h"), ("1w", "-2D"), ("4h", "2h"), ("1h", "-1s")],
)
def test_a_local_or_closing_clock_is_off_the_grid(timeframe: str, shift: str) -> None:
    with pytest.raises(BarsError, match=rf"off the {timeframe} grid.* 48 of 48.*open time in UTC"):
        checked(bars_frame(timeframe=timeframe).shift(freq=shift), timeframe)


@pytest.mark.parametrize("empty", [pd.DataFrame(), bars_frame(0), bars_frame() * np.nan])
def test_a_series_without_a_bar_is_not_enough(empty: pd.DataFrame) -> None:
    with pytest.raises(NotEnoughBarsError, match=r"^BTC/USD 1h"):
        checked(empty)


def test_arguments_of_another_kind_are_refused() -> None:
    with pytest.raises(InputError, match="DataFrame, not as list"):
        check_bars([1, 2], symbol="BTC/USD", timeframe="1h")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'BTC USD' is not a symbol"):
        check_bars(bars_frame(), symbol="BTC USD", timeframe="1h")


# Accepted forms.


def array(values: Any, dtype: Any) -> Any:
    return pd.array(values, dtype=dtype)


def with_times(write: Callable[[pd.DatetimeIndex], Any]) -> pd.DataFrame:
    frame = bars_frame().reset_index()
    frame["time"] = write(pd.DatetimeIndex(bars_frame().index))
    return frame


def since_1970(unit: Any) -> Callable[[pd.DatetimeIndex], Any]:
    return lambda times: times.as_unit(unit).asi8


TIMES: dict[str, Callable[[pd.DatetimeIndex], Any]] = {
    **{unit: since_1970(unit) for unit in ("s", "ms", "us", "ns")},
    "float seconds": lambda t: t.as_unit("s").asi8.astype(float),
    "nullable milliseconds": lambda t: array(t.as_unit("ms").asi8, dtype="Int64"),
    "arrow nanoseconds": lambda t: array(t.as_unit("ns").asi8, dtype="int64[pyarrow]"),
    "arrow timestamps": lambda t: array(t, dtype="timestamp[ms, tz=Asia/Tokyo][pyarrow]"),
    "naive": lambda t: t.tz_localize(None),
    "New York": lambda t: t.tz_convert("America/New_York"),
    "text": lambda t: t.strftime("%Y-%m-%d %H:%M:%S"),
    "text in Z": lambda t: t.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "text in Tokyo": lambda t: t.tz_convert("Asia/Tokyo").map(lambda x: x.isoformat()),
    "datetimes": lambda t: pd.Series(list(t.to_pydatetime()), dtype=object),
}


@pytest.mark.parametrize("write", TIMES.values(), ids=TIMES)
def test_a_time_is_the_same_however_it_is_written(
    write: Callable[[pd.DatetimeIndex], Any],
) -> None:
    assert checked(with_times(write)).digest == checked(bars_frame()).digest


def test_days_may_be_dates() -> None:
    frame = bars_frame(timeframe="1d").reset_index()
    frame["time"] = [time.date() for time in frame["time"]]
    assert isinstance(frame["time"].iloc[0], dt.date)
    assert checked(frame, "1d").digest == checked(bars_frame(timeframe="1d"), "1d").digest


UNREADABLE: dict[str, tuple[Callable[[pd.DatetimeIndex], Any], str]] = {
    "row numbers": (lambda t: range(len(t)), "from 0 to 47 .* not times in one unit"),
    "a number of no unit": (
        lambda t: np.where(np.arange(48) == 9, 17.0, t.as_unit("ms").asi8),
        "17 in row 9 is no time since 1970",
    ),
    "days of a spreadsheet": (lambda t: 43836 + np.arange(48) / 24, "a spreadsheet's numbers of"),
    "day or month first": (
        lambda t: (
            [f"0{1 + k % 3}/0{1 + k % 3}/2020 0{k % 2}:00" for k in range(47)]
            + ["06/01/2020 00:00"]
        ),
        "'06/01/2020 00:00' in row 47 can mean 2020-01-06 00:00 UTC or 2020-06-01 00:00 UTC",
    ),
    "another form in the middle": (
        lambda t: [*t[:9].strftime("%Y-%m-%d %H:%M"), *t[9:].strftime("%d %b %Y %H:%M")],
        "39 of 48 times can't be read, first '06 Jan 2020 09:00' in row 9",
    ),
    "a hole": (lambda t: [None, *t[1:]], "1 of 48 times can't be read, first .* in row 0"),
    "a word": (lambda t: [*t.strftime("%Y-%m-%d %H:%M")[:-1], "now"], "first 'now' in row 47"),
    "truth": (lambda t: [True] * len(t), "can't be read, first True"),
    "far future": (lambda t: ["9999-12-31"] * len(t), "beyond the years 1678 to 2262"),
    "some with a zone": (
        lambda t: ["2020-01-06 00:00+01:00", *t.strftime("%Y-%m-%d %H:%M")[1:]],
        r"1 times carry a zone \(as '2020-01-06 00:00\+01:00'\) and 47 don't",
    ),
    "some aware": (
        lambda t: pd.Series([t[0], *t.tz_localize(None)[1:]], dtype=object),
        "1 times carry a zone .* 47 don't",
    ),
}


@pytest.mark.parametrize(("write", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_times_that_can_be_misread_are_refused(
    write: Callable[[pd.DatetimeIndex], Any], message: str
) -> None:
    with pytest.raises(BarsError, match=f"{message}.*; write"):
        checked(with_times(write))


@pytest.mark.parametrize("dtype", ["float32", "Float64", "float64[pyarrow]", object])
def test_values_of_any_numeric_kind_are_cast(dtype: Any) -> None:
    frame = bars_frame().round(2).assign(high=200, low=50).astype("float32")
    assert checked(frame.astype(dtype)).digest == checked(frame.astype("float64")).digest


def test_integers_missing_values_and_decimals_are_cast() -> None:
    frame = bars_frame(4).assign(
        open=array([100] * 4, dtype="int64[pyarrow]"),
        high=array([Decimal("200.5")] * 4, dtype=object),
        low=np.full(4, 50, dtype=np.int32),
        close=array([100] * 4, dtype="UInt16"),
        volume=array([1, None, 3, 4], dtype="Int64"),
    )
    bars = checked(frame)
    assert bars.frame.iloc[0].tolist() == [100.0, 200.5, 50.0, 100.0, 1.0]
    assert np.isnan(bars.frame["volume"].iloc[1])


# Repairs.


def test_gaps_become_rows_of_nan_and_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    frame = bars_frame().drop(bars_frame().index[[3, 4, 9]])
    with caplog.at_level(logging.WARNING):
        bars = checked(frame)
    assert len(bars.frame) == 48
    assert bars.frame.isna().all(axis=1).to_numpy().nonzero()[0].tolist() == [3, 4, 9]
    assert bars.frame.dropna().equals(bars_frame().drop(bars_frame().index[[3, 4, 9]]))
    (repair,) = bars.repairs
    assert repair == (
        "3 bars missing in 2 gaps, kept as rows of NaN; the longest is 2 bars from "
        "2020-01-06 03:00 UTC"
    )
    (record,) = caplog.records
    assert record.name == "brain.series.bars"
    assert record.getMessage() == f"BTC/USD 1h (here): {repair}"


def test_every_repair_is_said_once_in_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    frame = with_value("volume", np.inf, 6)
    frame.iloc[11] = np.nan
    frame = pd.concat([frame.iloc[::-1], frame.iloc[[2]]])
    with caplog.at_level(logging.WARNING):
        bars = checked(frame)
    assert bars.repairs == (
        "1 row without any value taken as missing bars",
        "rows out of the order of time, sorted",
        "volume NaN or infinite in 1 bar, taken as missing, first at 2020-01-06 06:00 UTC",
        "1 exact repetition of a bar dropped",
        "1 bar missing in 1 gap, kept as rows of NaN; the longest is 1 bar from "
        "2020-01-06 11:00 UTC",
    )
    assert [record.getMessage() for record in caplog.records] == [
        "BTC/USD 1h (here): " + "; ".join(bars.repairs)
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_unknown_volume_alone_leaves_the_prices(value: float) -> None:
    bars = checked(with_value("volume", value, 6))
    row = bars.frame.iloc[6]
    assert np.isnan(row["volume"])
    assert row.drop("volume").equals(bars_frame().iloc[6].drop("volume"))


def test_a_rounding_error_is_widened_so_that_the_range_holds() -> None:
    frame = bars_frame()
    body = frame[["open", "close"]]
    frame["high"], frame["low"] = body.max(axis=1) * (1 - 1e-12), body.min(axis=1) * (1 + 1e-12)
    bars = checked(frame)
    assert (bars.frame["high"] == body.max(axis=1)).all()
    assert (bars.frame["low"] == body.min(axis=1)).all()
    assert bars.repairs == ("high or low of 48 bars widened by a rounding error",)


def test_a_checked_frame_passes_again_unchanged() -> None:
    bars = checked(bars_frame().drop(bars_frame().index[[3, 4, 9]]))
    again = checked(bars.frame)
    pd.testing.assert_frame_equal(again.frame, bars.frame)
    assert again.repairs[-1] == bars.repairs[-1]


def test_one_bar_is_a_series() -> None:
    assert len(checked(bars_frame(1)).frame) == 1


@given(data=st.data(), n=st.integers(2, 40), gap=st.integers(0, 5))
def test_order_and_exact_repetitions_do_not_matter(data: st.DataObject, n: int, gap: int) -> None:
    frame = bars_frame(n, seed=n).drop(bars_frame(n).index[1 : 1 + min(gap, n // 2 - 1)])
    frame.iloc[0, 4] = np.nan
    repeated = data.draw(st.lists(st.integers(0, len(frame) - 1), max_size=10))
    order = data.draw(st.permutations([*range(len(frame)), *repeated]))
    pd.testing.assert_frame_equal(checked(frame.iloc[order]).frame, checked(frame).frame)


# Other processes and digests.


def test_bars_travel_to_another_process_at_the_size_of_their_numbers() -> None:
    bars = checked(bars_frame(5000).drop(bars_frame(5000).index[10:20]))
    sent = pickle.dumps(bars)
    arrived = pickle.loads(sent)
    pd.testing.assert_frame_equal(arrived.frame, bars.frame)
    assert (arrived.digest, arrived.repairs) == (bars.digest, bars.repairs)
    assert len(sent) < 5000 * 6 * 8 * 1.05


def test_the_digest_is_the_same_on_every_day_and_machine() -> None:
    frame = pd.DataFrame(
        {"open": 100.0, "high": 101.5, "low": 99.25, "close": 101.0, "volume": [3.0, np.nan]},
        index=pd.DatetimeIndex(["2020-01-06 00:00", "2020-01-06 02:00"]),
    )
    frame.loc[pd.Timestamp("2020-01-06 01:00")] = [101.0, 102.0, 100.0, 101.0, 0.0]
    assert checked(frame).digest == (
        "85816f2f56e6f9f98c1546aa52a288b7c0ceb10ccd55c073f7b3dc76c7127bae"
    )


def test_the_digest_tells_every_difference_that_matters() -> None:
    frame = bars_frame()
    other = [
        checked(frame),
        checked(frame.shift(freq="1h")),
        checked(with_value("volume", 1.5, 7)),
        checked(with_value("volume", np.nan, 7)),
        checked(frame.drop(frame.index[7])),
        checked(bars_frame(timeframe="5m"), "5m"),
        check_bars(frame, symbol="ETH/USD", timeframe="1h"),
    ]
    assert len({bars.digest for bars in other}) == len(other)


def test_the_digest_does_not_tell_what_does_not_matter() -> None:
    zero = checked(with_value("volume", 0.0, 7))
    assert checked(with_value("volume", -0.0, 7)).digest == zero.digest
    hole = checked(with_value("volume", np.nan, 7))
    values = hole.frame.to_numpy(copy=True)
    values[7, 4] = np.frombuffer(np.uint64(0x7FF8000000000123).tobytes())[0]  # another NaN
    odd = pd.DataFrame(values, index=hole.frame.index, columns=hole.frame.columns)
    assert odd.to_numpy().tobytes() != hole.frame.to_numpy().tobytes()
    assert replace(hole, frame=odd).digest == hole.digest
    moved = check_bars(bars_frame().iloc[::-1], symbol="BTC-USD", timeframe="1h", source="there")
    assert moved.digest == checked(bars_frame()).digest


def test_bars_show_themselves_in_one_line() -> None:
    assert repr(checked(bars_frame())) == (
        "Bars(BTC/USD 1h, 2020-01-06 00:00 UTC to 2020-01-07 23:00 UTC, 48 rows, 0 repairs)"
    )
