"""Tables of older layouts are migrated when they are opened; those of newer ones are refused."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from brain.errors import SeriesStoreError
from brain.series.store import SeriesStore
from brain.series.store.schema import KINDS, Kind
from tests.brain.series.store.series_rows import BTC, ETH, candles, gaps, utc


@pytest.fixture
def store(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path / "series")


def commits(store: SeriesStore, kind: str = "candles") -> int:
    return len(list(Path(store.root, kind, "_delta_log").glob("*.json")))


def _with_trades(rows: pa.Table) -> pa.Table:
    """A column more, and prices in another unit."""
    rows = rows.set_column(
        rows.column_names.index("close"), "close", pa.compute.multiply(rows["close"], 2)
    )
    return rows.append_column("trades", pa.nulls(len(rows), pa.int64()))


def second_layout(migration: Any = _with_trades) -> Mapping[str, Kind]:
    candles = KINDS["candles"]
    return {
        **KINDS,
        "candles": replace(
            candles,
            values={**candles.values, "trades": "number"},
            nullable=candles.nullable | {"trades"},
            version=2,
            migrations={1: migration},
        ),
    }


def test_an_older_layout_is_migrated_in_one_commit(
    store: SeriesStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.upsert("candles", pd.concat([candles(), candles(exchange="okx")]))
    store.upsert("candles", candles(price=50))  # leaves rewritten files too
    before, versions = store.read("candles"), commits(store)
    newer = SeriesStore(store.root, kinds=second_layout())
    with caplog.at_level(logging.WARNING):
        rows = newer.read("candles")
    assert "from layout 1 to 2, 96 rows" in caplog.text
    assert commits(store) == versions + 1
    assert rows["trades"].isna().all()
    assert_frame_equal(rows.drop(columns="trades"), before.assign(close=before["close"] * 2))
    assert newer.upsert("candles", candles(rows=2).assign(trades=3.0)).updated == 2
    assert commits(store) == versions + 2
    assert SeriesStore(store.root, kinds=second_layout()).read("candles")["trades"].sum() == 6


def test_a_newer_layout_is_refused(store: SeriesStore) -> None:
    store.upsert("candles", candles())
    SeriesStore(store.root, kinds=second_layout()).read("candles")
    for older in (store, SeriesStore(store.root)):
        with pytest.raises(SeriesStoreError, match="layout 2, and this program knows layout 1"):
            older.read("candles")
        with pytest.raises(SeriesStoreError, match="update the program"):
            older.upsert("candles", candles())


def test_a_migration_that_fails_changes_nothing(store: SeriesStore) -> None:
    def broken(_rows: pa.Table) -> pa.Table:
        raise ZeroDivisionError

    store.upsert("candles", candles())
    before = store.read("candles")
    with pytest.raises(ZeroDivisionError):
        SeriesStore(store.root, kinds=second_layout(broken)).read("candles")
    assert_frame_equal(store.read("candles"), before)


def test_rows_stored_during_a_migration_are_not_lost(store: SeriesStore) -> None:
    """Another process stores rows of the old layout while they are being migrated."""

    def slow(rows: pa.Table) -> pa.Table:
        if len(rows) == 48:  # on the first try
            SeriesStore(store.root).upsert("candles", candles("2026-10-20", 5))
            SeriesStore(store.root).upsert("candles", candles("2026-03-20", 5))
        return _with_trades(rows)

    store.upsert("candles", candles())
    newer = SeriesStore(store.root, kinds=second_layout(slow))
    assert len(newer.read("candles")) == 58


# --- of gaps ------------------------------------------------------------------------------------

REASONS = {
    "the venue has no row": "the exchange has no row",
    "older than the venue keeps (30 days)": "older than the exchange keeps (30 days)",
    "no longer listed": "no longer listed",
    "not fetched yet": "not fetched yet",
    "request failed: the venue has no row": "request failed: the venue has no row",
}


def older_gaps(version: int) -> Mapping[str, Kind]:
    """The kinds with an older layout of the gaps: without a time of the reason, or ``found``."""
    kind = KINDS["gaps"]
    values = {name: dtype for name, dtype in kind.values.items() if name != "reason_since"}
    nullable = frozenset[str]()
    if version == 2:
        values, nullable = {**values, "found": "time"}, frozenset({"found"})
    older = replace(kind, values=values, nullable=nullable, version=version, migrations={})
    return {**KINDS, "gaps": older}


def gaps_of_every_reason() -> pd.DataFrame:
    days = [utc("2026-01-01") + pd.Timedelta(days=n) for n in range(len(REASONS))]
    ends = [day + pd.Timedelta(days=1) for day in days]
    rows = gaps(*[BTC] * len(REASONS), start=days, end=ends, reason=list(REASONS))
    return pd.concat([rows, gaps(ETH, exchange="bybit", reason="the venue has no row")])


@pytest.mark.parametrize("version", [1, 2])
def test_gaps_of_an_older_layout_are_migrated(
    store: SeriesStore, version: int, caplog: pytest.LogCaptureFixture
) -> None:
    rows = gaps_of_every_reason()
    since = rows["checked"]
    if version == 2:
        since = pd.Series([utc("2026-01-30"), *[pd.NaT] * 5], dtype="datetime64[us, UTC]")
        rows = rows.assign(found=since.to_numpy()).astype({"found": since.dtype})
    SeriesStore(store.root, kinds=older_gaps(version)).upsert("gaps", rows)
    before = SeriesStore(store.root, kinds=older_gaps(version)).read("gaps")
    versions = commits(store, "gaps")
    with caplog.at_level(logging.WARNING):
        after = store.read("gaps")
    assert f"from layout {version} to 3, 6 rows" in caplog.text
    assert commits(store, "gaps") == versions + 1
    assert list(after) == list(KINDS["gaps"].columns)
    same = [name for name in before.columns if name not in ("reason", "found")]
    assert_frame_equal(after[same], before[same])
    assert list(after["reason"]) == [REASONS[reason] for reason in before["reason"]]
    since_before = before["checked"] if version == 1 else before["found"]
    pd.testing.assert_series_equal(after["reason_since"], since_before, check_names=False)
    assert after["reason_since"].notna().sum() == (6 if version == 1 else 1)
    # Migrated once; other processes find it so, and can store gaps.
    other = SeriesStore(store.root)
    assert_frame_equal(other.read("gaps"), after)
    assert other.upsert("gaps", after).updated == 0
    assert commits(store, "gaps") == versions + 1


def test_gaps_of_a_newer_layout_are_refused(store: SeriesStore) -> None:
    store.upsert("gaps", gaps(BTC))
    newer = replace(KINDS["gaps"], version=4, migrations={3: lambda rows: rows})
    SeriesStore(store.root, kinds={**KINDS, "gaps": newer}).read("gaps")
    with pytest.raises(SeriesStoreError, match="layout 4, and this program knows layout 3"):
        SeriesStore(store.root).read("gaps")
    two = SeriesStore(store.root, kinds=older_gaps(2))
    with pytest.raises(SeriesStoreError, match="layout 4, and this program knows layout 2"):
        two.read("gaps")


# --- of instruments -----------------------------------------------------------------------------


def test_instruments_of_an_older_layout_are_in_their_own_units(store: SeriesStore) -> None:
    kind = KINDS["instruments"]
    values = {name: dtype for name, dtype in kind.values.items() if name != "multiplier"}
    older = replace(kind, values=values, nullable=kind.nullable - {"multiplier"}, version=1)
    older = replace(older, migrations={})
    rows = pd.DataFrame(
        {
            "exchange": "okx",
            "symbol": [BTC, ETH],
            "instrument": ["BTC-USDT-SWAP", "ETH-USDT-SWAP"],
            "contract_size": [0.01, 0.1],
            "seen": utc("2026-02-01"),
        }
    )
    before = SeriesStore(store.root, kinds={**KINDS, "instruments": older})
    before.upsert("instruments", rows)
    after = store.read("instruments")
    assert list(after) == list(kind.columns)
    assert after["multiplier"].tolist() == [1.0, 1.0]
    assert after["contract_size"].tolist() == [0.01, 0.1]
    assert store.upsert("instruments", after.assign(multiplier=1000.0)).updated == 2
