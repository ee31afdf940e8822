"""The doctor on streams: what was listened to lately, and which routes tick now."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from brain.series.store.store import SeriesStore
from brain.settings import Settings, load_settings
from market.streams.checks import check_streams
from tests.market.exchange_server import EXCHANGES, ExchangeServer
from tests.market.listened import store_listened


def settings_of(server: ExchangeServer | None, folder: Path, **more: str) -> Settings:
    addresses = {}
    if server is not None:
        addresses = {f"{name}_url": url for name, url in server.urls.items()}
        addresses |= {f"{name}_stream_url": url for name, url in server.stream_urls.items()}
    values = {"liquidations": ",".join(EXCHANGES), "series": str(folder / "series"), **more}
    return load_settings({**values, **addresses})


def test_nothing_is_checked_where_no_liquidations_are_features(tmp_path: Path) -> None:
    assert check_streams(settings_of(None, tmp_path, liquidations=""), live=True) == []


def test_the_share_of_the_last_day_is_told(tmp_path: Path) -> None:
    settings = settings_of(None, tmp_path, liquidations="bybit,okx", symbols="BTC/USDT")
    (check,) = check_streams(settings, live=False)
    assert check.state == "failed"
    assert "bybit 0%, okx 0%" in check.detail
    assert "brain stream" in check.cure
    end = pd.Timestamp.now("UTC").floor("h")
    unheard = (end - pd.Timedelta(hours=12), end)
    store_listened(
        SeriesStore(settings.series), "BTC/USDT:USDT", {"bybit": None, "okx": unheard},
        end - pd.Timedelta(days=2), end,
    )  # fmt: skip
    (check,) = check_streams(settings, live=False)
    assert check.state == "ok"
    bybit, okx = (float(part.split()[1][:-1]) for part in check.detail.split(": ")[1].split(", "))
    assert 95 <= bybit <= 100
    assert 45 <= okx <= 50


def test_live_streams_until_every_route_ticks_and_leaves_nothing(tmp_path: Path) -> None:
    with ExchangeServer(fillers=0, live={"scale": 0.2}) as server:
        settings = settings_of(server, tmp_path)
        _, *checks = check_streams(settings, live=True)
        assert [check.state for check in checks] == ["ok"] * 3, checks
        assert [check.name for check in checks] == [f"{name} streams" for name in EXCHANGES]
        assert "2 routes tick" in checks[-1].detail
        assert list(tmp_path.iterdir()) == []


def test_live_names_the_exchange_that_is_silent_and_the_one_that_is_away(tmp_path: Path) -> None:
    with ExchangeServer(fillers=0, live={"scale": 0.2}) as server:
        assert server.live is not None
        server.live.faults["binance"].silent = True
        server.live.faults["okx"].down = True
        checks = {
            c.name: c for c in check_streams(settings_of(server, tmp_path), live=True, seconds=4)
        }
    assert checks["bybit streams"].state == "ok"
    assert checks["binance streams"].state == "failed"
    assert "not all routes tick within 4 s: " in checks["binance streams"].detail
    assert checks["okx streams"].state == "failed"
    assert "HTTP 503" in checks["okx streams"].detail


def test_an_address_that_is_none_is_told(tmp_path: Path) -> None:
    settings = settings_of(None, tmp_path, liquidations="okx", okx_stream_url="wss://")
    checks = check_streams(settings, live=True)
    assert checks[-1].name == "streams"
    assert checks[-1].state == "failed"
