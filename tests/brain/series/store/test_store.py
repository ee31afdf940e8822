"""The series store in a folder: what is stored is read back, once, and nothing else is taken."""

from __future__ import annotations

import json
import os
import pickle
import time
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from pandas.testing import assert_frame_equal

from brain import InputError, SeriesStoreError
from brain.series import SeriesStore, UpsertCounts
from brain.series.store.schema import KINDS
from registry import BrainLibrary
from tests.brain.series.store.series_rows import BTC, ETH, candles, gaps, utc


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path / "series")


def commits(store: SeriesStore, kind: str = "candles") -> int:
    return len(list(Path(store.root, kind, "_delta_log").glob("*.json")))


# --- upsert and read ----------------------------------------------------------------------------


def test_rows_come_back_as_they_were_given(store: SeriesStore) -> None:
    before = pd.Timestamp.now("UTC")
    frame = candles()
    assert store.upsert("candles", frame.sample(frac=1, random_state=1)) == UpsertCounts(48, 48, 0)
    rows = store.read("candles")
    assert_frame_equal(rows[frame.columns], frame)
    assert rows["quote_volume"].isna().all()
    assert rows["collected"].between(before, pd.Timestamp.now("UTC")).all()
    assert list(rows) == list(KINDS["candles"].columns)


def test_again_changes_nothing_and_makes_no_commit(store: SeriesStore) -> None:
    store.upsert("candles", candles())
    before, versions = store.read("candles"), commits(store)
    assert store.upsert("candles", candles()) == UpsertCounts(48, 0, 0)
    assert_frame_equal(store.read("candles"), before)
    assert commits(store) == versions


def test_a_changed_value_wins_and_the_rest_stays(store: SeriesStore) -> None:
    store.upsert("candles", candles())
    first = store.read("candles")
    changed = candles(rows=50)
    changed.loc[30, "close"] = 7.0
    assert store.upsert("candles", changed) == UpsertCounts(50, 2, 1)
    rows = store.read("candles")
    assert_frame_equal(rows[changed.columns], changed)
    same = rows["close"].head(48) == first["close"]
    assert (~same).sum() == 1
    assert (rows["collected"].head(48)[same] == first["collected"][same]).all()


def test_a_value_that_becomes_known_or_unknown_is_a_change(store: SeriesStore) -> None:
    partial = candles(rows=3)
    complete = partial.assign(quote_volume=[1.0, 2.0, 3.0])
    assert store.upsert("candles", partial).inserted == 3
    assert store.upsert("candles", complete).updated == 3
    assert store.upsert("candles", complete).updated == 0
    assert store.upsert("candles", partial).updated == 3
    assert store.read("candles")["quote_volume"].isna().all()


def test_a_count_that_is_unknown_is_not_zero(store: SeriesStore) -> None:
    values = {"text": "x", "number": 1.5, "count": 3, "time": utc("2026-11-01")}
    row = {name: [values[dtype]] * 2 for name, dtype in KINDS["quality"].inputs.items()}
    frame = pd.DataFrame(row).assign(symbol=[BTC, ETH])
    frame["expected"] = pd.array([None, 2**60 + 1], dtype="Int64")
    assert store.upsert("quality", frame).inserted == 2
    rows = store.read("quality")
    assert rows["expected"].dtype == "Int64"
    assert rows["expected"].isna().tolist() == [True, False]
    assert rows["expected"].iloc[1] == 2**60 + 1
    assert store.read("gaps")["count"].dtype == "int64"  # which is always known
    assert list(rows) == list(KINDS["quality"].columns)
    assert store.upsert("quality", rows) == UpsertCounts(2, 0, 0)


def test_a_column_called_kind_limits_what_is_read(store: SeriesStore) -> None:
    values = {"text": "x", "time": utc("2026-11-01"), "number": 0.5}
    row = {name: [values[dtype]] * 2 for name, dtype in KINDS["listening"].inputs.items()}
    frame = pd.DataFrame(row).assign(symbol=BTC, kind=["candles", "liquidations"])
    store.upsert("listening", frame)
    rows = store.read("listening", where={"kind": "liquidations"})
    assert rows["kind"].tolist() == ["liquidations"]


def test_of_rows_with_one_key_the_last_counts(store: SeriesStore) -> None:
    both = pd.concat([candles(rows=3, price=1), candles(rows=3, price=5)])
    assert store.upsert("candles", both) == UpsertCounts(3, 3, 0)
    assert list(store.read("candles")["open"]) == [5, 6, 7]


def test_what_was_read_can_be_stored_again(store: SeriesStore) -> None:
    store.upsert("candles", candles())
    assert store.upsert("candles", store.read("candles")) == UpsertCounts(48, 0, 0)


def test_only_what_is_asked_for_is_read(store: SeriesStore) -> None:
    store.upsert("candles", pd.concat([
        candles(symbol=symbol, exchange=exchange, price=price)
        for exchange, symbol, price in
        [("okx", BTC, 1.0), ("okx", ETH, 2.0), ("bybit", BTC, 3.0), ("bybit", "ETH/USDC:USDC", 4.0)]
    ]))  # fmt: skip
    rows = store.read("candles", symbol="BTC/USDT", exchange="okx")
    assert_frame_equal(rows[candles().columns], candles(exchange="okx", price=1))
    rows = store.read("candles", symbol=[BTC, "ETH/USDC"], columns=["close", "exchange"])
    assert list(rows) == ["close", "exchange"]
    assert list(rows["close"].iloc[[0, 48, 96]]) == [3, 4, 1]
    assert len(store.read("candles", exchange=["okx", "bybit"], timeframe="1h")) == 192
    assert len(store.read("candles", exchange="okx", timeframe="4h")) == 0
    assert len(store.read("candles", symbol=[])) == 0


def test_a_time_is_read_from_its_start_up_to_its_end(store: SeriesStore) -> None:
    store.upsert("candles", candles())  # over the end of October
    rows = store.read("candles", start="2026-10-31T23:00Z", end=utc("2026-11-01T02:00"))
    assert list(rows["time"].dt.hour) == [23, 0, 1]
    vienna = pd.Timestamp("2026-11-01 01:00", tz="Europe/Vienna")
    assert store.read("candles", end=vienna)["time"].max() == utc("2026-10-31T23:00")
    assert len(store.read("candles", start="2026-11-01 22:30")) == 1
    assert len(store.read("candles", start="2027-01-01")) == 0
    assert len(store.read("candles", start="2026-11-01", end="2026-10-31")) == 0


def test_times_of_one_series(store: SeriesStore) -> None:
    store.upsert("candles", pd.concat([candles(), candles(exchange="okx", rows=5)]))
    times = store.times("candles", exchange="okx", symbol="BTC/USDT", timeframe="1h")
    assert list(times) == list(candles(rows=5)["time"])
    assert times.dtype == "datetime64[us, UTC]"
    nothing = store.times("funding", exchange="okx", symbol=BTC, start="2026-01-01")
    assert (len(nothing), nothing.dtype) == (0, times.dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_has_the_dtypes_of_something(kind: str, store: SeriesStore) -> None:
    empty = store.read(kind)
    assert len(empty) == 0
    values = {"text": "x", "number": 1.5, "count": 3, "time": utc("2026-11-01")}
    row = {name: [values[dtype]] for name, dtype in KINDS[kind].inputs.items()}
    store.upsert(kind, pd.DataFrame(row | ({"symbol": [BTC]} if "symbol" in row else {})))
    rows = store.read(kind)
    assert len(rows) == 1
    assert dict(rows.dtypes) == dict(empty.dtypes)
    first = KINDS[kind].key[0]
    nobody = store.read(kind, where={first: "no such text"})
    assert (len(nobody), dict(nobody.dtypes)) == (0, dict(empty.dtypes))
    assert list(store.read(kind, columns=[first])) == [first]


def test_nothing_stored_makes_no_table(store: SeriesStore) -> None:
    assert store.upsert("candles", candles(rows=0)) == UpsertCounts(0, 0, 0)
    assert len(store.read("candles", symbol=BTC)) == 0
    assert not Path(store.root).exists()


def test_names_that_sql_would_misread(store: SeriesStore) -> None:
    names = ["o'k", 'x" OR 1=1 --', "ü/日 本", "a%2Fb", ".."]
    odd = [candles(rows=2, exchange=name, symbol=f"{name}/USDT:USDT") for name in names]
    for frame in odd:
        store.upsert("candles", frame)
        frame["close"] += 1
        assert store.upsert("candles", frame).updated == 2
    for name in names:
        assert len(store.read("candles", exchange=name, symbol=f"{name}/USDT:USDT")) == 2
    assert set(store.read("candles")["exchange"]) == set(names)


rows = st.lists(
    st.tuples(
        st.sampled_from(["okx", "bybit"]), st.sampled_from([BTC, ETH]),
        st.integers(0, 1500), st.sampled_from([1.0, 2.0, np.nan]),
    ),
    max_size=12,
)  # fmt: skip


@settings(max_examples=settings().max_examples // 4)  # each of several commits
@given(batches=st.lists(rows, min_size=1, max_size=5))
def test_any_upserts_leave_what_a_dictionary_would(
    batches: list[list[tuple[str, str, int, float]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = SeriesStore(tmp_path_factory.mktemp("series"))
    rates: dict[tuple[str, str, pd.Timestamp], float] = {}
    for batch in batches:
        frame = pd.DataFrame(batch, columns=["exchange", "symbol", "time", "rate"])
        frame["time"] = utc("2026-10-01") + pd.to_timedelta(frame["time"].astype("int64"), unit="h")
        frame["available"], frame["interval_hours"] = frame["time"], 8
        new = {(e, s, t): r for e, s, t, r in frame.iloc[:, :4].itertuples(index=False)}
        counts = store.upsert("funding", frame.astype({"rate": "float64"}))
        assert (counts.rows, counts.inserted) == (len(new), len(new.keys() - rates.keys()))
        rates |= new
        table = store.read("funding")
        assert dict(zip(zip(table["exchange"], table["symbol"], table["time"], strict=True),
                        table["rate"].fillna(0), strict=True)) == {
            key: 0 if np.isnan(rate) else rate for key, rate in rates.items()
        }  # fmt: skip
        assert len(table) == len(rates)


# --- what can't be used -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"clse": 1.0}, "'clse' is no column of candles; did you mean 'close'"),
        ({"close": "dear"}, "'close' of candles is of type"),
        ({"close": True}, "'close' of candles is of type bool"),
        ({"time": pd.Timestamp("2026-01-01")}, "'time' of candles is of type"),
        ({"time": 1_700_000_000}, "give times with a zone"),
        ({"time": pd.NaT}, "'time'"),
        ({"exchange": None}, "'exchange'"),
        ({"symbol": ["BTC/USDT:USDT", None]}, "row 1 of candles has no 'symbol'"),
        ({"available": [utc("2026-01-01"), pd.NaT]}, "row 1 of candles has no 'available'"),
        ({"symbol": "BTC/USDT"}, "'BTC/USDT' does not say in what it settles"),
        ({"exchange": 3}, "'exchange' of candles is of type int64; give text"),
    ],
)
def test_what_cannot_be_used_is_refused(
    columns: dict[str, Any], message: str, store: SeriesStore
) -> None:
    with pytest.raises(InputError, match=message.replace("/", ".")):
        store.upsert("candles", candles(rows=2).assign(**columns))
    assert not Path(store.root).exists()


def test_a_missing_column_is_named(store: SeriesStore) -> None:
    with pytest.raises(InputError, match="candles lack the column 'close'"):
        store.upsert("candles", candles().drop(columns="close"))
    with pytest.raises(InputError, match="not as list"):
        store.upsert("candles", [1])  # type: ignore[arg-type]
    twice = candles()[["exchange", "exchange"]]
    with pytest.raises(InputError, match="given twice"):
        store.upsert("candles", twice)
    with pytest.raises(InputError, match="'count' of gaps is of type float64; give whole numbers"):
        store.upsert("gaps", gaps(BTC, count=1.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "candle"}, "no kind of series 'candle'; did you mean 'candles'"),
        ({"kind": "candles", "columns": ["clse"]}, "did you mean 'close'"),
        ({"kind": "candles", "columns": ["month"]}, "'month' is no column of candles"),
        ({"kind": "candles", "start": "yesterday-ish"}, "start='yesterday-ish' is not a time"),
        ({"kind": "candles", "end": pd.NaT}, "end=NaT is not a time"),
        ({"kind": "funding", "timeframe": "1h"}, "funding have no timeframe"),
        ({"kind": "instruments", "start": "2026-01-01"}, "instruments have no time"),
    ],
)
def test_what_is_unknown_is_not_asked_for(
    arguments: dict[str, Any], message: str, store: SeriesStore
) -> None:
    with pytest.raises(InputError, match=message):
        store.read(arguments.pop("kind"), **arguments)


def test_instruments_have_no_times(store: SeriesStore) -> None:
    with pytest.raises(InputError, match="instruments have no time"):
        store.times("instruments", exchange="okx", symbol=BTC)


def test_a_timeframe_of_nothing_is_none_at_all(store: SeriesStore) -> None:
    assert len(store.read("funding", timeframe="")) == 0


# --- replace ------------------------------------------------------------------------------------


def test_replacing_leaves_others_alone_and_is_one_commit(store: SeriesStore) -> None:
    store.upsert("gaps", gaps(BTC, ETH))
    store.upsert("gaps", gaps(BTC, kind="funding", timeframe=""))
    store.upsert("gaps", gaps(BTC, exchange="bybit"))
    versions = commits(store, "gaps")
    new = gaps(BTC, BTC, start=[utc("2026-03-01"), utc("2026-04-01")])

    def change(before: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([before[before["kind"] != "candles"], new])

    store.revise("gaps", change, exchange="okx", symbols=["BTC/USDT"])
    assert commits(store, "gaps") == versions + 1
    rows = store.read("gaps")
    assert len(rows) == 5
    candles_of_okx = rows.query("exchange == 'okx' and kind == 'candles'")
    assert list(candles_of_okx["start"].dt.month) == [3, 4, 1]
    store.revise("gaps", lambda _: gaps(), exchange="okx", symbols=[BTC, ETH])
    assert list(store.read("gaps")["exchange"]) == ["bybit"]


def test_replacing_in_an_empty_store(store: SeriesStore) -> None:
    store.revise("gaps", lambda _: gaps(BTC), exchange="okx", symbols=[BTC])
    assert len(store.read("gaps")) == 1


def test_revising_sees_what_others_have_stored_meanwhile(store: SeriesStore) -> None:
    store.upsert("gaps", gaps(BTC, ETH))
    counts = []

    def change(before: pd.DataFrame) -> pd.DataFrame:
        counts.append(list(before["count"]))
        if len(counts) == 1:
            SeriesStore(store.root).upsert("gaps", gaps(BTC, count=30))
        return before.assign(count=before["count"] + 1)

    store.revise("gaps", change, exchange="okx", symbols=["BTC/USDT"])
    assert counts == [[24], [30]]
    assert list(store.read("gaps")["count"]) == [31, 24]
    versions = commits(store, "gaps")
    store.revise("gaps", lambda before: before, exchange="okx", symbols=[BTC])
    assert commits(store, "gaps") == versions
    store.revise("gaps", lambda before: before.head(0), exchange="okx", symbols=[BTC])
    assert list(store.read("gaps")["symbol"]) == [ETH]


def test_replacing_a_series_by_month(store: SeriesStore) -> None:
    store.upsert("candles", pd.concat([candles(), candles(symbol=ETH)]))
    store.revise("candles", lambda _: candles(rows=3, price=7), exchange="binance", symbols=[BTC])
    assert list(store.read("candles", symbol=BTC)["open"]) == [7, 8, 9]
    assert len(store.read("candles", symbol=ETH)) == 48


def test_others_rows_are_not_slipped_in(store: SeriesStore) -> None:
    with pytest.raises(InputError, match="hold symbol 'ETH/USDT:USDT', whose rows are not"):
        store.revise("gaps", lambda _: gaps(BTC, ETH), exchange="okx", symbols=[BTC])


# --- upkeep -------------------------------------------------------------------------------------


def test_upkeep_joins_files_and_keeps_rows(store: SeriesStore) -> None:
    for hour in range(8):
        store.upsert("candles", candles(f"2026-10-05 {hour:02}:00", 1, price=hour))
    store.upsert("candles", candles("2026-10-05", 1, price=9))
    before = store.read("candles")
    folder = Path(store.root, "candles")
    orphan = folder / "exchange=binance" / "month=2026-10" / "left-by-a-dead-writer.parquet"
    orphan.write_bytes(b"half")
    now = time.time()
    for file in folder.rglob("*.parquet"):
        os.utime(file, (now - 90 * 3600, now - 90 * 3600))
    store.upkeep(keep_hours=48)
    assert not orphan.exists()
    files = list(folder.rglob("*.parquet"))
    assert len(files) > 1  # what a reader may still have open
    assert_frame_equal(store.read("candles"), before)
    store.upkeep()
    assert_frame_equal(store.read("candles"), before)


def test_upkeep_of_nothing(store: SeriesStore) -> None:
    store.upkeep()
    with pytest.raises(InputError, match=r"keep_hours=0\.5"):
        store.upkeep(keep_hours=0.5)


def test_live_rows_do_not_leave_ever_more_files(store: SeriesStore) -> None:
    for step in range(70):
        store.upsert("candles", candles("2026-10-05", 1, price=1, symbol=f"C{step}/USDT:USDT"))
    reader = SeriesStore(store.root)
    assert len(reader.read("candles")) == 70
    last = max(Path(store.root, "candles", "_delta_log").glob("*.json"))
    assert int(last.stem) > 70  # commits that joined files are among them
    commits = (file.read_text() for file in last.parent.glob("*.json"))
    actions = (json.loads(line) for commit in commits for line in commit.splitlines())
    removed = [action for action in actions if "remove" in action]
    assert len(removed) > 50


# --- places -------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", ["", " ", "gs://bucket/x", "s3://", "s3:///x", "s3://k:s@b/x"])
def test_a_root_that_is_none(root: str) -> None:
    with pytest.raises(InputError) as error:
        SeriesStore(root)
    assert "k:s" not in str(error.value)


def test_it_shows_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert repr(SeriesStore("here")) == f"SeriesStore('{tmp_path / 'here'}')"
    secret = SeriesStore("s3://b/p/", storage={"aws_secret_access_key": "hush"})
    assert repr(secret) == "SeriesStore('s3://b/p')"
    assert SeriesStore("here").root == str(tmp_path / "here")
    assert SeriesStore("here").kinds() == list(KINDS)


def test_a_folder_is_checked(tmp_path: Path) -> None:
    puts = SeriesStore(tmp_path / "series").check()
    assert puts.honoured
    assert not list((tmp_path / "series").iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(SeriesStoreError, match="can't be written"):
        SeriesStore(tmp_path / "file").check()


def test_a_table_that_is_broken_is_told(store: SeriesStore) -> None:
    store.upsert("candles", candles())
    for file in Path(store.root, "candles").rglob("*.parquet"):
        file.write_bytes(b"")
    with pytest.raises(SeriesStoreError, match=r"could not read the candles at /.*; check"):
        SeriesStore(store.root).read("candles")


@pytest.fixture(scope="module")
def summed_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose log deltalake has summed up, as it does every hundred commits."""
    folder = tmp_path_factory.mktemp("summed-up") / "series"
    store = SeriesStore(folder)
    for hour in pd.date_range("2026-10-25", periods=102, freq="h"):
        store.upsert("candles", candles(str(hour), 1))
    return folder


@pytest.mark.parametrize("content", [b"", b"PAR1 and then the power went"])
def test_a_checkpoint_that_the_power_cut_off_costs_nothing(
    summed_up: Path, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store = SeriesStore(copytree(summed_up, tmp_path / "series"))
    whole, versions = store.read("candles"), commits(store)
    (summary,) = Path(store.root, "candles", "_delta_log").glob("*.checkpoint.parquet")
    summary.write_bytes(content)
    again = SeriesStore(store.root)
    assert_frame_equal(again.read("candles"), whole)
    assert "set aside" in caplog.text
    again.upsert("candles", candles().assign(close=-1.0))
    assert commits(store) == versions + 1


def test_it_can_be_handed_to_other_processes(store: SeriesStore) -> None:
    store.upsert("candles", candles())
    other = pickle.loads(pickle.dumps(store))
    assert_frame_equal(other.read("candles"), store.read("candles"))


def test_the_brain_library_opens_it_late(
    sqlite_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BrainLibrary(sqlite_dsn).series.root == str(tmp_path / "series")
    monkeypatch.setenv("BRAIN_SERIES", str(tmp_path / "elsewhere"))
    library = BrainLibrary(sqlite_dsn)
    assert library.series.root == str(tmp_path / "elsewhere")
    assert library.series is library.series
    assert BrainLibrary(sqlite_dsn, tmp_path / "given").series.root == str(tmp_path / "given")
    mine = SeriesStore(tmp_path / "mine")
    assert BrainLibrary(sqlite_dsn, mine).series is mine
