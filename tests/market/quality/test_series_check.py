"""Planted faults are flagged, sound data is not, and what is unknown is not 0."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from brain.errors import InputError
from brain.series.bars import parse_timeframe
from brain.series.files import read_folder, sample_folder
from brain.series.store.store import SeriesStore
from market.quality.record import COUNTS, QualityRecord, records_frame
from market.quality.series_check import check_series
from market.quality.store_check import check_store

START = pd.Timestamp("2024-01-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
SYMBOL = "BTC/USDT:USDT"
PRICES = ["open", "high", "low", "close"]


def hours(n: int, step: str = "1h") -> pd.DatetimeIndex:
    return pd.date_range(START, periods=n, freq=step, unit="us")


def candles(n: int = 500, seed: int = 0) -> pd.DataFrame:
    """A market at work: every open is the close before."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.005, n)))
    open_ = np.concatenate(([100.0], close[:-1]))
    high = np.maximum(open_, close) * (1 + rng.exponential(0.002, n))
    low = np.minimum(open_, close) * (1 - rng.exponential(0.002, n))
    volume = rng.exponential(10, n) + 0.01
    return pd.DataFrame(
        {
            "exchange": "binance",
            "symbol": SYMBOL,
            "timeframe": "1h",
            "time": hours(n),
            "open": open_,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
            "quote_volume": volume * (high + low) / 2,
            "available": hours(n) + HOUR,
        }
    )


def funding(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rate = np.where(rng.random(n) < 0.5, 1e-4, rng.normal(1e-4, 1e-4, n).round(8))
    times = hours(n, "8h")
    return pd.DataFrame(
        {
            "exchange": "binance",
            "symbol": SYMBOL,
            "time": times,
            "rate": rate,
            "interval_hours": 8.0,
            "mark_price": 100 + rng.normal(0, 1, n).cumsum() / 10,
            "available": times,
        }
    )


def interest(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    base = 80_000 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    return pd.DataFrame(
        {
            "exchange": "binance",
            "symbol": SYMBOL,
            "timeframe": "1h",
            "time": hours(n),
            "base": base,
            "usd": base * 100.0,
            "available": hours(n) + HOUR,
        }
    )


def snapshots(n: int = 50, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    mark, base = 100 + rng.normal(0, 1, n), 80_000 + rng.normal(0, 500, n)
    return pd.DataFrame(
        {
            "exchange": "binance",
            "symbol": SYMBOL,
            "time": hours(n),
            "mark_price": mark,
            "funding_rate": 1e-4,
            "next_funding": hours(n) + 8 * HOUR,
            "interval_hours": 8.0,
            "open_interest": base,
            "open_interest_usd": base * mark,
            "available": hours(n),
        }
    )


FRAMES: dict[str, Callable[..., pd.DataFrame]] = {
    "candles": candles,
    "funding": funding,
    "open_interest": interest,
    "snapshots": snapshots,
}
#: The price beside series that have none.
PRICE = pd.Series(100.0, index=hours(500))


def check(frame: pd.DataFrame, kind: str = "candles", **overrides: Any) -> QualityRecord:
    timeframe = "1h" if kind in ("candles", "open_interest") else ""
    arguments: dict[str, Any] = {
        "expected": None,
        "missing": None,
        "gaps": None,
        "timeframe": timeframe,
    }
    if "now" not in overrides:
        end = frame["available"].max() if len(frame) else START
        arguments["now"] = end if isinstance(end, pd.Timestamp) else START
    arguments |= {"price": PRICE} if kind == "open_interest" else {}
    arguments |= overrides
    return check_series(frame, kind, exchange="binance", symbol=SYMBOL, **arguments)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", FRAMES)
def test_sound_series_are_left_alone(kind: str, seed: int) -> None:
    frame = FRAMES[kind](seed=seed)
    before = frame.copy(deep=True)
    record = check(frame, kind, expected=len(frame), missing=0, gaps=0)
    assert (record.duplicates, record.stale, record.outliers) == (0, 0, 0)
    assert record.swapped == (None if kind == "funding" else 0)
    assert (record.severity, record.note) == ("good", "nothing found")
    assert (record.first, record.last) == (frame["time"].iloc[0], frame["time"].iloc[-1])
    pd.testing.assert_frame_equal(frame, before)


def planted(row: int, **values: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Multiplies values of a row."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        for name, factor in values.items():
            frame[name] *= np.where(frame.index == row, factor, 1.0)
        return frame

    return change


def put(row: int, **values: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Sets values of a row."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        for name, value in values.items():
            frame.loc[row, name] = value
        return frame

    return change


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("candles", planted(70, close=1.1, high=1.2), "close that leaves its neighbours"),
        ("candles", planted(70, close=0.9, low=0.8), "close that leaves its neighbours"),
        ("candles", planted(70, **dict.fromkeys(PRICES, 10.0)), "by a factor near 10 that comes"),
        ("candles", planted(70, high=1.5), "high or low far beyond"),
        ("candles", planted(70, low=0.03), "high or low far beyond"),
        ("candles", planted(70, low=0.01), "by a factor near 1/100 that comes back"),
        ("candles", put(70, high=1.0), "open or close outside high and low"),
        ("candles", put(70, low=1e4), "open or close outside high and low"),
        ("candles", put(70, open=np.nan), "price missing, infinite or not positive"),
        ("candles", put(70, close=-1.0), "price missing, infinite or not positive"),
        ("candles", put(70, high=np.inf), "price missing, infinite or not positive"),
        ("candles", put(70, volume=-1.0), "negative or infinite volume"),
        ("candles", put(70, volume=0.0, quote_volume=0.0), "no volume although the price moved"),
        ("candles", planted(70, volume=0.01), "turnover that does not fit"),
        ("funding", put(70, rate=0.01), "rate far from its neighbours"),
        ("funding", put(70, rate=0.06), "rate beyond any exchange's cap"),
        ("funding", put(70, interval_hours=0.0), "interval that is not positive"),
        ("funding", put(70, mark_price=0.0), "mark price infinite or not positive"),
        ("open_interest", planted(70, base=2.0, usd=2.0), "jumps by half and back"),
        ("open_interest", planted(70, base=0.5, usd=0.5), "jumps by half and back"),
        ("open_interest", put(70, base=0.0, usd=0.0), "open interest 0 between others"),
        ("open_interest", put(70, base=-1.0), "negative or infinite"),
        ("open_interest", planted(70, usd=0.01), "value that does not fit"),
        ("snapshots", planted(20, open_interest=2.0, open_interest_usd=2.0), "jumps by half"),
        ("snapshots", put(20, funding_rate=1.0), "beyond any exchange's cap"),
        ("snapshots", put(20, mark_price=-1.0), "mark price infinite or not positive"),
    ],
)
def test_one_wrong_row_is_found_and_named(
    kind: str, change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    frame = change(FRAMES[kind]())
    record = check(frame, kind)
    assert record.outliers == 1
    assert words in record.note
    assert "1 row" in record.note
    assert record.severity == ("look" if len(frame) >= 100 else "poor")


def test_a_break_in_the_price_is_found_where_it_begins() -> None:
    frame = candles()
    frame.loc[300:, PRICES] *= 1000  # redenominated
    frame.loc[300:, "quote_volume"] *= 1000
    record = check(frame)
    assert record.outliers == 1
    (finding,) = record.findings
    assert finding.reason == "price that steps by a factor near 1000 and stays there, as at a split"
    assert (finding.rows, finding.first) == (1, pd.Timestamp("2024-01-13 12:00", tz="UTC"))
    assert str(finding) in record.note
    assert record.severity == "poor"


def test_times_off_the_grid_are_found() -> None:
    frame = candles(40).assign(time=pd.date_range("2024-01-01 16:00", periods=40, tz="UTC"))
    record = check(frame, timeframe="1d")  # days of Hong Kong
    assert record.outliers == 40
    assert "time off the grid: 40 rows" in record.note


@pytest.mark.parametrize("kind", ["candles", "open_interest", "snapshots"])
def test_stretches_that_stand_still_are_stale(kind: str) -> None:
    frame = FRAMES[kind]()
    values = [c for c in frame.columns if frame[c].dtype == "float64"]
    frame.loc[20:29, values] = frame.loc[20, values].to_numpy(dtype=float)
    record = check(frame, kind)
    assert record.stale == 9
    assert "repeating the row before where it should move: 9 rows" in record.note


def test_a_quiet_market_may_repeat_itself() -> None:
    rng = np.random.default_rng(3)
    frame = candles(3000)
    quiet = np.flatnonzero(rng.random(3000) < 0.4)
    quiet = quiet[quiet > 0]
    close = frame["close"].to_numpy(copy=True)
    for row in quiet:
        close[row] = close[row - 1]
    for name in PRICES:
        frame.loc[quiet, name] = close[quiet]
    frame.loc[quiet, ["volume", "quote_volume"]] = 0.0
    record = check(frame)
    assert record.stale == 0
    values = [*PRICES, "volume", "quote_volume"]
    frame.loc[1000:1099, values] = frame.loc[1000, values].to_numpy(dtype=float)
    stale = check(frame).stale
    assert stale is not None
    assert stale >= 99


def test_funding_may_rest_at_a_round_rate_only() -> None:
    frame = funding().assign(mark_price=np.nan)
    frame.loc[50:90, "rate"] = 1e-4  # the interest component
    frame.loc[100:120, "rate"] = -0.00375  # a cap
    assert check(frame, "funding").stale == 0
    frame.loc[150:160, "rate"] = 0.00012345
    assert check(frame, "funding").stale == 10


def test_a_mark_price_that_rests_is_stale() -> None:
    frame = funding()
    frame.loc[50:60, "mark_price"] = 99.0
    assert check(frame, "funding").stale == 10


def test_periods_without_a_row_at_the_end_are_stale() -> None:
    frame = candles()
    end = frame["available"].max()
    assert check(frame, now=end + 2 * HOUR).stale == 0
    record = check(frame, now=end + 5 * HOUR)
    assert (record.stale, record.lateness, record.severity) == (5, 5.0, "poor")
    assert "the last row is 5.0 periods old" in record.note
    assert check(funding(), "funding", now=funding()["time"].max() + 24 * HOUR).stale == 3


def test_doubled_rows_are_counted_and_told_apart() -> None:
    frame = candles()
    other = frame.iloc[[40]].assign(volume=3.0)
    record = check(pd.concat([frame, frame.iloc[[10, 20]], other]))
    assert (record.rows, record.duplicates, record.severity) == (503, 3, "poor")
    assert "3 rows with a time twice, 1 of them differing" in record.note


def test_a_settlement_told_twice_is_a_duplicate() -> None:
    frame = funding()
    again = frame.iloc[[10]].assign(time=frame["time"].iloc[10] - pd.Timedelta(minutes=1))
    record = check(pd.concat([frame, again]), "funding")
    assert record.duplicates == 1
    assert "less than 30 minutes after another settlement" in record.note


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("candles", ["volume", "quote_volume"]),
        ("open_interest", ["base", "usd"]),
        ("snapshots", ["open_interest", "open_interest_usd"]),
    ],
)
def test_swapped_columns_are_counted_row_by_row(kind: str, names: list[str]) -> None:
    frame = FRAMES[kind]()
    part = frame.index[10:40]
    frame.loc[part, names] = frame.loc[part, names[::-1]].to_numpy()
    record = check(frame, kind)
    assert (record.swapped, record.severity) == (30, "poor")
    assert "base and quote amounts swapped: 30 rows" in record.note


def test_swapped_columns_need_a_price_to_be_told() -> None:
    assert check(candles().drop(columns="quote_volume")).swapped is None
    assert check(interest(), "open_interest", price=None).swapped is None
    far = pd.Series([100.0], index=[START - pd.Timedelta(days=30)])
    assert check(interest(), "open_interest", price=far).swapped is None
    # With a price of 1, a price and its inverse are the same.
    one = interest().assign(usd=lambda f: f["base"])
    assert check(one, "open_interest", price=PRICE / 100).swapped is None


def test_snapshots_are_compared_with_candles_and_history() -> None:
    frame, base = snapshots(), pd.Series(80_000.0, index=hours(50))
    assert check(frame, "snapshots", price=PRICE, history=base).outliers == 0
    assert check(frame, "snapshots", price=PRICE * 1.3, history=base).outliers == 50
    contracts = check(frame, "snapshots", price=PRICE, history=base * 100)
    assert contracts.outliers == 50
    assert "open interest half off its history: 50 rows" in contracts.note


@pytest.mark.parametrize("kind", FRAMES)
def test_of_no_rows_nothing_is_known(kind: str) -> None:
    record = check(FRAMES[kind]().iloc[:0], kind)
    assert record.rows == 0
    assert [getattr(record, name) for name in COUNTS[1:]] == [None] * 7
    assert (record.first, record.last, record.lateness, record.coverage) == (None,) * 4
    assert (record.severity, record.note) == ("unknown", "no rows: nothing is known")


@pytest.mark.parametrize("kind", FRAMES)
def test_of_rows_without_values_nothing_is_known(kind: str) -> None:
    frame = FRAMES[kind]()
    numbers = [c for c in frame.columns if frame[c].dtype == "float64"]
    record = check(frame.assign(**dict.fromkeys(numbers, np.nan)), kind)
    assert (record.rows, record.blank_rows, record.duplicates) == (len(frame), len(frame), 0)
    assert (record.stale, record.outliers, record.swapped) == (None, None, None)
    assert record.severity == "unknown"
    assert "without any value" in record.note


@pytest.mark.parametrize("kind", FRAMES)
def test_of_two_rows_only_what_is_wrong_by_itself_is_known(kind: str) -> None:
    frame = FRAMES[kind]().iloc[:2]
    record = check(frame, kind)
    assert (record.stale, record.outliers) == (None, None)
    assert record.note == "too few rows to tell"
    if kind == "candles":
        assert check(frame.assign(close=-1.0)).outliers == 2


def test_blank_rows_are_found_and_not_covered() -> None:
    frame = candles(72)
    frame.loc[24:47, PRICES] = np.nan
    record = check(frame)
    assert (record.blank_rows, record.outliers, record.severity) == (24, 0, "poor")
    assert record.coverage is not None
    assert record.coverage.shares == (1.0, 0.0, 1.0)


def test_coverage_counts_what_belongs_to_a_day() -> None:
    frame = funding(9).drop(index=[4])  # of the second day's three settlements the second
    record = check(frame, "funding")
    assert record.coverage is not None
    assert record.coverage.first == START
    np.testing.assert_allclose(record.coverage.shares, [1, 2 / 3, 1])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", FRAMES)
@settings(max_examples=10)
@given(data=st.data())
def test_the_order_of_rows_does_not_matter(kind: str, seed: int, data: st.DataObject) -> None:
    frame = FRAMES[kind](40, seed=seed)
    numbers = [c for c in frame.columns if frame[c].dtype == "float64"]
    for _ in range(data.draw(st.integers(0, 4))):
        row, name = data.draw(st.integers(0, 39)), data.draw(st.sampled_from(numbers))
        frame.loc[row, name] = data.draw(st.sampled_from([np.nan, 0.0, -1.0, 1e9, np.inf]))
    again = frame.iloc[data.draw(st.lists(st.integers(0, 39), max_size=3))]
    frame = pd.concat([frame, again.assign(**{numbers[0]: 7.0})], ignore_index=True)
    order = data.draw(st.permutations(range(len(frame))))
    assert check(frame.iloc[order], kind) == check(frame, kind)


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("liquidations", {}, "no kind that is checked"),
        ("candles", {"time": pd.date_range("2024-01-01", periods=500, freq="h")}, "with a zone"),
        ("candles", {"close": "1,5"}, "give numbers"),
        ("funding", {}, "no column 'rate'"),
    ],
)
def test_what_is_no_series_is_refused(kind: str, change: dict[str, Any], words: str) -> None:
    frame = candles().assign(**change)
    with pytest.raises(InputError, match=words):
        check(frame, kind, timeframe="1h")
    with pytest.raises(InputError, match="not a timeframe"):
        check(candles(), timeframe="7h")


# --- recorded data ------------------------------------------------------------------------------


def recorded(name: str) -> Path:
    folder = os.environ.get("BRAIN_RECORDED_DATA")
    if not folder:
        pytest.skip("BRAIN_RECORDED_DATA names no folder of recorded exchange data")
    return Path(folder) / name


def bars(frame: pd.DataFrame, timeframe: str) -> QualityRecord:
    times = pd.to_datetime(frame["time"], utc=True).dt.as_unit("us")
    step = parse_timeframe(timeframe)
    return check(frame.assign(time=times, available=times + step), timeframe=timeframe)


@pytest.mark.parametrize(
    ("symbol", "stale", "outliers"),
    [
        # The collector's placeholders of 10 August 2018 (see the sample's SOURCE.md).
        ("BTC/USD", 14, 0),
        # Coinbase's crash to 0.10 on 21 June 2017, and a day without volume.
        ("ETH/USD", 0, 2),
        ("LTC/USD", 0, 0),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_the_sample_raises_no_false_alarm(symbol: str, stale: int, outliers: int) -> None:
    series = read_folder(sample_folder(), [symbol]).bars[symbol]
    record = bars(series.frame.dropna(subset=["close"]).reset_index(), series.timeframe)
    assert (record.stale, record.outliers, record.duplicates) == (stale, outliers, 0)
    assert record.severity in ("good", "look")


@pytest.mark.parametrize(
    ("name", "timeframe", "outliers"),
    [
        ("freqtrade_ETH_BTC-5m", "5m", 0),
        ("freqtrade_LTC_BTC-5m", "5m", 0),
        ("freqtrade_XRP_USDT_USDT-1h-futures", "1h", 0),
        ("freqtrade_XRP_USDT_USDT-8h-mark", "8h", 0),
        ("lean_binance_ADAUSDT_perp_1m_20221213", "1m", 0),
        ("lean_coinbase_ETHUSD_1m_20180404", "1m", 0),
        ("lean_bitfinex_BTCUSD_1h_201310", "1h", 0),
        # The flash crash to 0.06 on 15 April 2017.
        ("lean_coinbase_BTCUSD_1d_2014-12_2018-08", "1d", 1),
    ],
)
def test_recorded_candles_raise_no_false_alarm(name: str, timeframe: str, outliers: int) -> None:
    path = recorded(f"candles/{name}.csv")
    if name.startswith("lean"):
        frame = pd.read_csv(path, names=["time", *PRICES, "volume"])
        if timeframe == "1m":
            day = pd.Timestamp(name[-8:])
            frame["time"] = day + pd.to_timedelta(frame["time"], unit="ms")
        else:
            frame["time"] = pd.to_datetime(frame["time"], format="%Y%m%d %H:%M")
    else:
        frame = pd.read_csv(path).rename(columns={"date": "time"})
    record = bars(frame, timeframe)
    assert (record.stale, record.outliers, record.duplicates) == (0, outliers, 0)


@pytest.fixture(scope="module")
def swapped_hours() -> pd.DataFrame:
    frame = pd.read_csv(recorded("candles/BTC_USD_1h_2018-05_2021-04.csv"))
    frame["time"] = pd.to_datetime(frame["unix"], unit="s")
    return frame.rename(columns={"Volume USD": "quote_volume"})


def test_the_recorded_swap_of_columns_is_found_row_by_row(swapped_hours: pd.DataFrame) -> None:
    record = bars(swapped_hours, "1h")
    # Bitcoins of an hour are never more than its dollars.
    assert record.swapped == (swapped_hours["volume"] > swapped_hours["quote_volume"]).sum()
    assert record.swapped == 20_143
    assert "20143 rows, 2018-05-15 06:00 UTC to 2020-10-12 08:00 UTC" in record.note
    # Three hours without trade on 25 April 2020 at one exchange.
    assert (record.stale, record.outliers, record.duplicates) == (3, 0, 0)


@pytest.mark.parametrize(("factor", "power"), [(1.1, 0.8), (1.3, 1.0), (10.0, 1.0)])
def test_power_on_recorded_hours(swapped_hours: pd.DataFrame, factor: float, power: float) -> None:
    """Wrong closes among real hours, March 2020 included."""
    frame = swapped_hours.copy()
    rows = np.arange(50, len(frame) - 50, 97)
    frame.loc[rows, "close"] *= factor
    frame["high"] = frame[["high", "close"]].max(axis=1)
    outliers = bars(frame, "1h").outliers
    assert outliers is not None
    assert power <= outliers / len(rows) <= 1.0


def test_recorded_funding_raises_no_false_alarm() -> None:
    name = "funding/freqtrade_XRP_USDT_USDT_8h_funding_2021-11_2021-12.csv"
    frame = pd.read_csv(recorded(name))
    times = pd.to_datetime(frame["date"]).dt.floor("min").dt.as_unit("us")
    rows = pd.DataFrame(
        {"time": times, "rate": frame["fundingRate"], "interval_hours": 8.0, "available": times}
    )
    record = check(rows, "funding")
    assert (record.rows, record.duplicates, record.stale, record.outliers) == (91, 0, 0, 0)


# --- the store ----------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path / "series")


def gap(start: int, end: int, reason: str, **names: str) -> pd.DataFrame:
    key = {"exchange": "binance", "symbol": SYMBOL, "kind": "candles", "timeframe": "1h", **names}
    times = {"start": START + start * HOUR, "end": START + end * HOUR, "checked": START}
    frame = pd.DataFrame([{**key, **times, "count": end - start, "reason": reason}])
    return frame.astype(dict.fromkeys(times, "datetime64[us, UTC]"))


def instrument(listed: pd.Timestamp | None, delisted: pd.Timestamp | None = None) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "exchange": ["binance"],
            "symbol": [SYMBOL],
            "instrument": ["BTCUSDT"],
            "contract_size": [1.0],
            "funding_interval_hours": [8.0],
            "listed": [listed],
            "delisted": [delisted],
            "seen": [START],
        }
    )
    return frame.astype(dict.fromkeys(("listed", "delisted", "seen"), "datetime64[us, UTC]"))


def check_stored(store: SeriesStore, kind: str = "candles", **overrides: Any) -> QualityRecord:
    timeframe = "1h" if kind in ("candles", "open_interest") else ""
    span: dict[str, Any] = {"start": START, "end": START + 500 * HOUR, "now": START + 500 * HOUR}
    series = [("binance", "BTC/USDT", kind, timeframe)]
    (record,) = check_store(store, series, **{**span, **overrides})
    return record


def test_holes_of_a_store_are_counted_and_explained(store: SeriesStore) -> None:
    store.upsert("candles", candles().drop(index=[*range(100, 110), 200, *range(497, 500)]))
    store.upsert("gaps", gap(100, 110, "the exchange has none"))
    store.upsert("gaps", gap(100, 400, "of another series", timeframe="5m"))
    record = check_stored(store)
    assert (record.rows, record.expected, record.missing, record.gaps) == (486, 500, 14, 3)
    assert record.note.startswith("14 of 500 rows missing; the last row is 3.0 periods old")
    assert record.note.endswith("4 missing rows in no recorded gap; the exchange has none: 10 rows")
    (recorded,) = record.recorded_gaps
    assert (recorded.count, recorded.reason) == (10, "the exchange has none")
    assert record.coverage is not None
    assert len(record.coverage.shares) == 21
    np.testing.assert_allclose(record.coverage.shares[4], 14 / 24)


def test_the_record_is_kept(store: SeriesStore) -> None:
    store.upsert("candles", candles())
    store.upsert("funding", funding(60))
    records = [
        check_stored(store),
        check_stored(store, "funding"),
        check_stored(store, "open_interest"),
    ]
    assert records == [
        check_stored(store),
        check_stored(store, "funding"),
        check_stored(store, "open_interest"),
    ]
    rows = store.read("quality")
    assert len(rows) == 3  # the same moment twice is one record
    assert list(rows["kind"]) == ["candles", "funding", "open_interest"]
    assert list(rows["rows"]) == [500, 60, 0]
    assert rows["swapped"].isna().tolist() == [False, True, True]
    assert rows["missing"].isna().tolist() == [False, False, True]
    expected = records_frame(records).astype({"checked": rows["checked"].dtype})
    assert list(rows["note"]) == list(expected["note"])


def test_of_a_series_that_nobody_knows_nothing_is_known(store: SeriesStore) -> None:
    record = check_stored(store)
    assert [getattr(record, name) for name in COUNTS] == [0, *[None] * 7]
    assert record.severity == "unknown"
    assert check_store(store, [], start=START, end=START + HOUR, now=START) == ()


def test_only_the_time_of_a_listing_is_expected(store: SeriesStore) -> None:
    store.upsert("candles", candles().iloc[100:300])
    store.upsert("instruments", instrument(START + 100 * HOUR, START + 300 * HOUR))
    record = check_stored(store)
    assert (record.expected, record.missing, record.stale) == (200, 0, 0)
    assert record.severity == "good"


def test_the_candle_of_the_listing_belongs_to_it(store: SeriesStore) -> None:
    listed = START + pd.Timedelta(minutes=30)
    store.upsert("candles", candles().iloc[:1])
    store.upsert("instruments", instrument(listed))
    end = START + HOUR
    assert check_stored(store, end=end, now=end).expected == 1
    store.upsert("instruments", instrument(START + 8 * HOUR))
    store.upsert("funding", funding(3).iloc[2:])
    end = START + 17 * HOUR
    record = check_stored(store, "funding", end=end, now=end)
    assert (record.expected, record.missing) == (1, 0)  # none is due at the listing itself


def test_rows_that_came_later_are_no_gap(store: SeriesStore) -> None:
    store.upsert("gaps", gap(0, 500, "not fetched yet"))
    store.upsert("candles", candles().drop(index=range(490, 500)))
    record = check_stored(store)
    assert [(gap.count, gap.reason) for gap in record.recorded_gaps] == [(10, "not fetched yet")]
    assert (record.missing, "in no recorded gap" in record.note) == (10, False)


def test_a_listed_series_without_rows_is_missing(store: SeriesStore) -> None:
    store.upsert("instruments", instrument(START))
    record = check_stored(store)
    assert (record.rows, record.expected, record.missing, record.gaps) == (0, 500, 500, 1)
    assert (record.stale, record.severity) == (None, "unknown")


def test_what_has_not_ended_is_not_missing(store: SeriesStore) -> None:
    store.upsert("candles", candles())
    now = START + 500 * HOUR + pd.Timedelta(minutes=59)
    record = check_stored(store, end=START + 600 * HOUR, now=now)
    assert (record.expected, record.missing, record.severity) == (500, 0, "good")


def test_settlements_missing_are_counted_at_their_own_interval(store: SeriesStore) -> None:
    every_four = funding(100).assign(time=hours(100, "4h"), interval_hours=4.0)
    store.upsert("funding", every_four.drop(index=[50, 51]))
    record = check_stored(store, "funding", end=START + 400 * HOUR, now=START + 400 * HOUR)
    assert (record.expected, record.missing, record.gaps) == (100, 2, 1)


def test_prices_come_from_the_candles_of_the_store(store: SeriesStore) -> None:
    rows = interest()
    store.upsert("open_interest", rows.rename(columns={"base": "usd", "usd": "base"}))
    assert check_stored(store, "open_interest").swapped is None
    store.upsert("candles", candles())
    assert check_stored(store, "open_interest").swapped == 300
    store.upsert("open_interest", rows)
    store.upsert("snapshots", snapshots().assign(open_interest=1e7, open_interest_usd=1e9))
    record = check_stored(store, "snapshots")
    assert (record.outliers, record.expected, record.missing) == (50, None, None)
    assert "open interest half off its history: 50 rows" in record.note


def test_a_range_must_be_one(store: SeriesStore) -> None:
    with pytest.raises(InputError, match="is empty"):
        check_stored(store, end=START)
    with pytest.raises(InputError, match="without a zone"):
        check_stored(store, now=pd.Timestamp("2024-01-01"))
    with pytest.raises(InputError, match="no kind that is checked"):
        check_stored(store, "shadows")


def test_a_history_may_begin_with_its_first_stored_row(store: SeriesStore) -> None:
    store.upsert("candles", candles().drop(index=[40]))
    start, end = START + 100 * HOUR, START + 500 * HOUR
    name = ("binance", SYMBOL, "candles", "1h")
    check = partial(check_store, store, [name], start=start, end=end, now=end)
    (short,), (whole,) = check(), check(from_first=True)
    assert (short.rows, short.expected, short.missing) == (400, 400, 0)
    assert (whole.rows, whole.expected, whole.missing) == (499, 500, 1)
    assert whole.first == START


def test_what_nobody_collects_ends_with_its_last_row(store: SeriesStore) -> None:
    store.upsert("open_interest", interest().drop(index=[7]))
    name = ("binance", SYMBOL, "open_interest", "1h")
    start, end = START + 100 * HOUR, START + 500 * HOUR
    check = partial(check_store, store, [name], start=start, end=end, now=end)
    (collected,), (imported,) = check(), check(uncollected=[name])
    assert (collected.missing, collected.severity) == (200, "poor")
    assert (imported.rows, imported.expected, imported.missing) == (299, 300, 1)
    assert (imported.severity, imported.lateness) == ("look", 0.0)
