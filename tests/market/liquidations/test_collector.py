"""What streams have stored, as the facade gives it: 0, a number, a lower bound, or unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.errors import InputError, NotEnoughBarsError
from brain.series.store.store import SeriesStore
from brain.settings import load_settings
from market import DataCollector, LiquidationCollector
from tests.market.collectors import Library
from tests.market.exchange_server import ExchangeServer
from tests.market.streams.streaming import happened

NOW = pd.Timestamp("2026-11-20 12:00", tz="UTC")
SYMBOL = "BTC/USDT:USDT"
EXCHANGES = ("binance", "bybit")


def fill(store: SeriesStore, hours: int, *, hole: bool = False, seed: int = 0) -> pd.DataFrame:
    """Liquidations of two exchanges that were listened to for some hours before now."""
    rng = np.random.default_rng(seed)
    count = 30 * hours
    times = NOW - pd.to_timedelta(np.sort(rng.uniform(0, 3600 * hours, count)), unit="s")
    rows = pd.DataFrame(
        {
            "exchange": rng.choice(EXCHANGES, count),
            "symbol": SYMBOL,
            "time": pd.DatetimeIndex(times).as_unit("us"),
            "order": [f"SELL {n}" for n in range(count)],
            "side": rng.choice(["long", "short"], count),
            "base": 1.0,
            "usd": 1000 * rng.exponential(size=count),
            "price": 1.0,
            "price_kind": "bankruptcy",
        }
    )
    rows["coverage"] = np.where(rows["exchange"] == "bybit", "all", "sampled")
    rows["received"] = rows["time"]
    store.append("liquidations", rows)
    starts = pd.date_range(NOW - pd.Timedelta(hours=hours), NOW, freq="h", inclusive="left")
    for exchange in EXCHANGES:
        listening = pd.DataFrame(
            {
                "exchange": exchange,
                "symbol": SYMBOL,
                "kind": "liquidations",
                "start": starts,
                "end": starts + pd.Timedelta(hours=1),
                "reason": "",
            }
        )
        if hole and exchange == "bybit":
            listening.loc[hours - 3, "reason"] = "the connection was closed, code 1006"
        store.upsert("listening", listening)
    return rows


def collector(store: SeriesStore) -> LiquidationCollector:
    return LiquidationCollector(Library(store), EXCHANGES, settings=load_settings({}))


def test_liquidations_of_the_last_hours_are_read_with_what_was_listened_to(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path)
    rows = fill(store, 48)
    found = collector(store).collect_liquidations(["BTC/USDT"], 24, until=NOW)
    day = rows[rows["time"] >= NOW - pd.Timedelta(hours=24)]
    assert len(found.rows) == len(day)
    bars = found.bars("BTC/USDT", "1h")
    assert len(bars) == 24
    assert bars["long_usd"].sum() == pytest.approx(day.loc[day["side"] == "long", "usd"].sum())
    own = found.bars("BTC/USDT", "1h", "bybit")
    assert own["liquidations"].sum() == (day["exchange"] == "bybit").sum()
    assert not own["lower_bound"].any()
    assert bars["lower_bound"].all()  # Binance samples
    summary = found.summary().set_index("exchange")
    assert summary.loc["bybit", "liquidations"] == (day["exchange"] == "bybit").sum()
    assert summary["listened"].tolist() == [1.0, 1.0]
    assert summary["lower_bound"].tolist() == [True, False]
    assert not summary["suspect"].any()


def test_features_are_unknown_where_not_all_of_the_hours_are_known(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path)
    rows = fill(store, 72, hole=True)
    work = collector(store)
    features = work.features("BTC/USDT", 2, until=NOW)
    recent = rows[rows["time"] >= NOW - pd.Timedelta(hours=2)]
    assert features["liquidations"] == len(recent)
    long = recent.loc[recent["side"] == "long", "usd"].sum()
    total = recent["usd"].sum()
    assert features["long_usd"] == pytest.approx(long)
    assert features["imbalance"] == pytest.approx((2 * long - total) / total)
    assert features["largest_usd"] == pytest.approx(recent["usd"].max())
    assert (features["listened"], features["lower_bound"]) == (1.0, 1.0)
    assert features["cascades"] >= 0
    across = work.features("BTC/USDT", 4, until=NOW)
    for name in ("long_usd", "short_usd", "liquidations", "largest_usd", "imbalance", "cascades"):
        assert np.isnan(across[name]), name
    assert across["listened"] == pytest.approx(0.75)
    nobody = work.features("ETH/USDT", 4, until=NOW)
    assert np.isnan(nobody["liquidations"])
    assert nobody["listened"] == 0.0


def test_quiet_hours_are_0(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path)
    fill(store, 72)
    store.revise("liquidations", lambda rows: rows.iloc[:0], exchange="binance", symbols=[SYMBOL])
    store.revise("liquidations", lambda rows: rows.iloc[:0], exchange="bybit", symbols=[SYMBOL])
    features = collector(store).features("BTC/USDT", 4, until=NOW)
    assert features["liquidations"] == features["long_usd"] == features["largest_usd"] == 0
    assert features["lower_bound"] == 0
    assert features["cascades"] == 0
    assert np.isnan(features["imbalance"])


def test_cascades_and_clusters_come_from_the_store(tmp_path: Path) -> None:
    store = SeriesStore(tmp_path)
    fill(store, 72)
    work = collector(store)
    cascades = work.detect_cascades("BTC/USDT", 24, until=NOW)
    assert 0 < len(cascades) < 20
    assert cascades["start"].min() >= NOW - pd.Timedelta(hours=24)
    assert (cascades["rank"] > 0.99).all()
    with pytest.raises(NotEnoughBarsError, match="let `brain stream` run for longer"):
        work.detect_cascades("ETH/USDT", 24, until=NOW)
    with pytest.raises(InputError, match="no 5m candles of BTC/USDT on binance"):
        work.label_volatility_clusters("BTC/USDT", 24, timeframe="5m", until=NOW)
    times = pd.date_range(NOW - pd.Timedelta(hours=72), NOW, freq="5min", inclusive="left")
    closes = 100 * np.exp(np.cumsum(0.001 * np.random.default_rng(1).normal(size=len(times))))
    candles = pd.DataFrame(
        {
            "exchange": "binance",
            "symbol": SYMBOL,
            "timeframe": "5m",
            "time": times,
            **dict.fromkeys(("open", "high", "low", "close"), closes),
            "volume": 1.0,
            "quote_volume": 1.0,
            "available": times + pd.Timedelta(minutes=5),
        }
    )
    store.upsert("candles", candles)
    clusters = work.label_volatility_clusters("BTC/USDT", 24, timeframe="5m", until=NOW)
    assert len(clusters) == 288
    assert set(clusters["label"]) <= {"calm", "liquidation", "other", "unknown"}
    assert (clusters["label"] != "unknown").mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbols": "BTC/USDT"}, "give a list"),
        ({"symbols": []}, "give a list"),
        ({"symbols": ["BTC/USDT"], "hours": 0}, "no length of time"),
        ({"symbols": ["BTC"]}, "BTC"),
    ],
)
def test_what_can_not_be_meant_is_refused(
    arguments: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        collector(SeriesStore(tmp_path)).collect_liquidations(**arguments)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="binance, bybit, okx"):
        LiquidationCollector(Library(SeriesStore(tmp_path)), ["kraken"], settings=load_settings({}))


def test_the_data_collector_listens_to_nothing_and_says_what_was_heard(tmp_path: Path) -> None:
    """A stream listens beside it; its collection tells what was stored of the last day."""
    store = SeriesStore(tmp_path / "series")
    with ExchangeServer(fillers=0, live={"scale": 1.0, "rate": 10.0}) as server:
        settings = load_settings(
            {
                "frames": tmp_path / "frames",
                "free_mb": 1.0,
                "commit_seconds": 0.5,
                "series": str(tmp_path / "series"),
                **{f"{name}_url": url for name, url in server.urls.items()},
                **{f"{name}_stream_url": url for name, url in server.stream_urls.items()},
            }
        )
        names = ("bybit", "okx")
        work = LiquidationCollector(Library(store), names, settings=settings)
        heard = work.collect_liquidations(["BTC/USDT"], 1, seconds=7.0)
        truth = happened(server)
        data = DataCollector(Library(store), names, settings=settings)
        result = data.collect_all_data(["BTC/USDT"], 24)
        features = data.get_liquidation_features("BTC/USDT", 1)
    bitcoin = truth[(truth["symbol"] == SYMBOL) & truth["exchange"].isin(names)]
    assert 20 < len(heard.rows) <= len(bitcoin)
    assert set(heard.rows["exchange"]) == set(names)
    assert result.liquidations is not None
    assert result.liquidations["exchange"].tolist() == list(names)
    assert (result.liquidations["listened"] < 0.01).all()
    assert (result.liquidations["lower_bound"] == 1).all()
    assert np.isnan(features["liquidations"])  # most of the hour nobody listened
    assert features["listened"] < 0.01
