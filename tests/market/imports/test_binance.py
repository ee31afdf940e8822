"""Binance's published files beside what its REST interface answers for the same times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from brain.series.store import SeriesStore
from market.collection import open_gaps
from tests.market.collectors import assert_whole, collect
from tests.market.exchange_server import LISTED, ExchangeServer
from tests.market.imports.imported import gaps, put_in, rows
from tests.market.imports.published import KLINES, Published, days

MONTH = {"start": "2026-10-01", "end": "2026-11-01"}


@pytest.fixture(scope="module")
def exchanges() -> Iterator[ExchangeServer]:
    with ExchangeServer(fillers=0, scale=60) as running:
        yield running


@pytest.fixture
def collected(tmp_path: Path) -> SeriesStore:
    return SeriesStore(tmp_path / "collected")


def test_klines_are_the_candles_of_rest(
    exchanges: ExchangeServer, published: Published, store: SeriesStore, collected: SeriesStore
) -> None:
    published.klines("BTC", "1h", "2026-10")
    for day in days("2026-11-01", "2026-11-19"):
        published.klines("BTC", "1h", day, named=False)
    result = put_in(store, published.root)
    assert not result.failures
    collect(exchanges, collected, "BTC/USDT", 24 * 50)
    span = {"start": "2026-10-03", "end": "2026-11-20"}
    theirs = rows(collected, "candles", **span)
    assert len(theirs) == 48 * 24
    pd.testing.assert_frame_equal(rows(store, "candles", **span), theirs)


def test_funding_has_the_interval_of_its_time(
    exchanges: ExchangeServer, published: Published, store: SeriesStore, collected: SeriesStore
) -> None:
    for month in ("2026-09", "2026-10"):  # from eight hours to four on 21 October
        published.funding("LPT", month)
    assert not put_in(store, published.root).failures
    collect(exchanges, collected, "LPT/USDT", 24 * 60)
    theirs, ours = (rows(one, "funding", **MONTH) for one in (collected, store))
    assert set(ours["interval_hours"]) == {4.0, 8.0}
    assert ours["mark_price"].isna().all()  # the files have none
    columns = ours.columns.drop("mark_price")
    pd.testing.assert_frame_equal(ours[columns], theirs[columns])
    assert store.read("gaps").empty


def test_metrics_are_the_open_interest_of_rest(
    exchanges: ExchangeServer, published: Published, store: SeriesStore, collected: SeriesStore
) -> None:
    for day in days("2026-11-10", "2026-11-14"):
        published.metrics("ETH", day)
    assert not put_in(store, published.root).failures
    collect(exchanges, collected, "ETH/USDT", 24 * 11, timeframe="5m")
    span = {"start": "2026-11-10", "end": "2026-11-15"}
    theirs = rows(collected, "open_interest", **span)
    assert len(theirs) == 5 * 288
    pd.testing.assert_frame_equal(rows(store, "open_interest", **span), theirs)


def test_stamps_of_metrics_were_ends_until_june_2026(
    published: Published, store: SeriesStore
) -> None:
    """Both kinds of days meet without a hole and without a row twice."""
    for day in days("2026-06-23", "2026-06-24"):
        published.metrics("ETH", day, ends=True)
    published.metrics("ETH", "2026-06-25")
    # Neither midnight is there: the date decides.
    published.metrics("ETH", "2026-06-22", ends=True, edit=lambda lines: lines[:-1])
    assert not put_in(store, published.root).failures
    ours = rows(store, "open_interest")
    truth = published.truth.open_interest(
        "binance", "ETH/USDT", "5m", "2026-06-22", "2026-06-26", whole=True
    )
    truth = truth[truth["time"] != "2026-06-22 23:55"].reset_index(drop=True)
    pd.testing.assert_frame_equal(ours, truth[ours.columns.tolist()], check_dtype=False)
    (hole,) = gaps(store).to_dict("records")
    assert (hole["start"], hole["count"]) == (pd.Timestamp("2026-06-22 23:55", tz="UTC"), 1)


def test_stamps_of_metrics_off_the_grid(published: Published, store: SeriesStore) -> None:
    def late(lines: list[str]) -> list[str]:
        lines[3] = lines[3].replace("00:10:00", "00:10:07")
        lines[5] = lines[5].replace("00:20:00", "00:23:10")
        return lines

    published.metrics("BTC", "2026-11-10", edit=late)
    (failure,) = put_in(store, published.root).failures
    assert "1 row off the grid of five minutes left out, first 2026-11-10 00:23:10" in str(failure)
    ours = rows(store, "open_interest")
    assert len(ours) == 287
    assert ours["time"][2] == pd.Timestamp("2026-11-10 00:10", tz="UTC")


def test_a_metric_without_a_value_is_a_gap(published: Published, store: SeriesStore) -> None:
    def blank(lines: list[str]) -> list[str]:
        cells = lines[7].split(",")
        return [*lines[:7], ",".join([*cells[:2], "", "", *cells[4:]]), *lines[8:]]

    published.metrics("BTC", "2026-11-10", edit=blank)
    result = put_in(store, published.root)
    assert not result.failures
    assert len(rows(store, "open_interest")) == 287
    (gap,) = gaps(store).to_dict("records")
    assert gap["reason"].startswith("the exchange's row is impossible: open interest is NaN")
    assert "1 impossible row left out, first 2026-11-10 00:30 UTC" in result.series[0].notes[0]


def test_a_missing_day_is_on_record_and_the_next_collection_fetches_it(
    exchanges: ExchangeServer, published: Published, store: SeriesStore
) -> None:
    for day in days("2026-11-01", "2026-11-12"):
        if day != "2026-11-05":
            published.klines("SOL", "1h", day)
    result = put_in(store, published.root)
    assert not result.failures
    assert result.series[0].missing == 24
    (gap,) = gaps(store).to_dict("records")
    assert gap["start"] == pd.Timestamp("2026-11-05", tz="UTC")
    assert (gap["count"], gap["reason"]) == (24, "no imported file has the row")
    collect(exchanges, store, "SOL/USDT", 24)  # also what lies between
    symbol = "SOL/USDT:USDT"
    now = exchanges.truth.now
    assert_whole(store, exchanges.truth, "binance", symbol, "candles", "2026-11-01", now)
    assert open_gaps(store, kind="candles").empty


def test_an_import_beside_what_was_collected_leaves_no_hole_off_record(
    exchanges: ExchangeServer, published: Published, store: SeriesStore
) -> None:
    collect(exchanges, store, "SOL/USDT", 48)
    published.klines("SOL", "1h", "2026-10")
    published.metrics("SOL", "2026-10-30")
    put_in(store, published.root)
    found = gaps(store)
    (gap,) = found[found["kind"] == "candles"].to_dict("records")
    assert gap["start"] == pd.Timestamp("2026-11-01", tz="UTC")
    assert gap["end"] == pd.Timestamp("2026-11-18 12:00", tz="UTC")
    assert gap["reason"] == "not fetched yet"  # no file is of November
    collect(exchanges, store, "SOL/USDT", 24)
    now = exchanges.truth.now
    assert_whole(store, exchanges.truth, "binance", "SOL/USDT:USDT", "candles", "2026-10-01", now)


def test_a_first_collection_goes_on_from_an_import_however_old(
    exchanges: ExchangeServer, published: Published, store: SeriesStore
) -> None:
    """Of an instrument that no collection has listed yet."""
    published.klines("DOGE", "1h", "2026-08")
    published.funding("DOGE", "2026-08")
    put_in(store, published.root)
    collect(exchanges, store, "DOGE/USDT", 24)
    now, symbol = exchanges.truth.now, "DOGE/USDT:USDT"
    assert_whole(store, exchanges.truth, "binance", symbol, "candles", "2026-08-01", now)
    settled = rows(store, "funding", start="2026-09-01", end=now)
    truth = exchanges.truth.funding("binance", symbol, "2026-09-01", now)
    assert settled["time"].tolist() == truth["time"].tolist()


def test_a_listing_in_the_middle_of_a_month_is_no_gap(
    published: Published, store: SeriesStore
) -> None:
    published.klines("MON", "1h", "2026-10")
    published.klines("MON", "1h", "2026-11-01")
    assert not put_in(store, published.root).failures
    assert rows(store, "candles")["time"][0] == LISTED
    assert gaps(store).empty


def test_spot_is_apart_from_perpetuals_and_in_microseconds(
    published: Published, store: SeriesStore
) -> None:
    published.klines("ETH", "1h", "2024-12", spot=True)
    spot = published.klines("ETH", "1h", "2025-01", spot=True)
    published.klines("ETH", "1h", "2024-12")
    assert not put_in(store, published.root).failures
    assert b"1735689600000000," in _content(spot)
    ours = rows(store, "candles", exchange="binance-spot")
    assert set(ours["symbol"]) == {"ETH/USDT"}
    truth = published.truth.candles("binance", "ETH/USDT", "1h", "2024-12", "2025-02")
    truth = truth.assign(exchange="binance-spot", symbol="ETH/USDT")
    pd.testing.assert_frame_equal(ours, truth[ours.columns.tolist()], check_dtype=False)
    perpetual = rows(store, "candles", symbol="ETH/USDT", exchange="binance")
    assert set(perpetual["symbol"]) == {"ETH/USDT:USDT"}
    assert len(perpetual) == 31 * 24
    assert len(rows(store, "candles", symbol="ETH/USDT", exchange="binance-spot")) == 62 * 24


def test_units_that_change_are_told_and_each_read_in_its_own(
    published: Published, store: SeriesStore
) -> None:
    def micro(lines: list[str]) -> list[str]:
        cells = [line.split(",") for line in lines]
        return [
            ",".join([f"{c[0]}000", *c[1:6], f"{c[6]}999", *c[7:]] if n > 12 else c)
            for n, c in enumerate(cells)
        ]

    published.klines("BTC", "1h", "2026-11-03", edit=micro)
    result = put_in(store, published.root)
    assert not result.failures
    (note,) = result.series[0].notes
    assert "the unit of the times changes from milliseconds to microseconds in row 12" in note
    assert len(rows(store, "candles")) == 24


def test_a_market_is_never_guessed(
    published: Published, store: SeriesStore, tmp_path: Path
) -> None:
    file = published.klines("BTC", "1h", "2026-10")
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / file.name).write_bytes(file.read_bytes())
    (failure,) = put_in(store, flat).failures
    assert "spot or futures market can't be told" in str(failure)
    assert store.versions() == {}
    assert put_in(store, flat, exchange="binance-spot").rows_new == 31 * 24
    assert set(rows(store, "candles")["exchange"]) == {"binance-spot"}


@pytest.mark.parametrize(
    ("folder", "exchange"),
    [
        ("um", None),  # anybody's two letters
        ("spot", "binance-spot"),
        ("futures/um", "binance"),
        ("um/monthly/klines", "binance"),
        ("spot/um/files", "binance-spot"),
        ("spot/futures/um", "binance"),
    ],
)
def test_the_nearest_folder_that_is_the_exchanges_tells_the_market(
    folder: str, exchange: str | None, published: Published, store: SeriesStore, tmp_path: Path
) -> None:
    file = published.klines("BTC", "1h", "2026-10")
    there = tmp_path / "elsewhere" / folder
    there.mkdir(parents=True)
    file.rename(there / file.name)
    result = put_in(store, tmp_path / "elsewhere")
    assert bool(result.failures) == (exchange is None)
    assert {one.key[0] for one in result.series} == ({exchange} if exchange else set())


def test_funding_is_of_perpetuals_alone(
    published: Published, store: SeriesStore, tmp_path: Path
) -> None:
    file = published.funding("BTC", "2026-10")
    for folder in ("flat", "spot"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file.name).write_bytes(file.read_bytes())
    (failure,) = put_in(store, tmp_path / "spot").failures
    assert "no such file of a spot market" in str(failure)
    assert not put_in(store, tmp_path / "flat", exchange="binance-spot").failures
    assert set(rows(store, "funding")["exchange"]) == {"binance"}


def test_mark_prices_are_no_candles_in_any_folder(
    published: Published, store: SeriesStore, tmp_path: Path
) -> None:
    def untraded(lines: list[str]) -> list[str]:
        cells = [line.split(",") for line in lines[1:]]
        return [KLINES, *(",".join([*c[:5], "0", c[6], "0", *c[8:]]) for c in cells)]

    file = published.klines("BTC", "1h", "2026-10", edit=untraded)
    there = tmp_path / "data/futures/um/monthly/markPriceKlines/BTCUSDT/1h"
    there.mkdir(parents=True)
    file.rename(there / file.name)
    result = put_in(store, published.root)
    assert [one.reason for one in result.unread] == [
        "markPriceKlines are no prices that were traded"
    ]
    flat = tmp_path / "flat"
    flat.mkdir()
    (there / file.name).rename(flat / file.name)
    (failure,) = put_in(store, flat, exchange="binance").failures
    assert "nothing was traded in it" in str(failure)
    assert store.versions().keys() <= {"gaps"}


@pytest.mark.parametrize(
    ("place", "name", "reason"),
    [
        ("futures/um/daily/aggTrades/BTCUSDT", "BTCUSDT-aggTrades-2026-11-01", "single trades"),
        ("futures/cm/daily/klines/BTCUSD_PERP/1h", "BTCUSD_PERP-1h-2026-11-01", "settle in coins"),
        ("futures/um/daily/klines/BTCUSDT_261225/1h", "BTCUSDT_261225-1h-2026-11-01", "perpetual"),
        ("spot/monthly/klines/BTCUSDT/1mo", "BTCUSDT-1mo-2026-10", "candles of 1mo"),
        ("spot/monthly/klines/BTCUSDT/1s", "BTCUSDT-1s-2026-10", "candles of 1s"),
    ],
)
def test_what_is_not_kept_is_told_and_is_no_failure(
    place: str, name: str, reason: str, published: Published, store: SeriesStore
) -> None:
    published.write(place, name, ["1,2,3"])
    result = put_in(store, published.root)
    assert not result.failures
    (unread,) = result.unread
    assert reason in unread.reason
    assert store.versions() == {}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ABCDEF-1h-2026-10", "the quote currency can't be told"),
        ("ETHBTC-1h-2026-10", "settles in BTC"),
        ("BTCUSDT-1h-2026-13", "no such date"),
        ("notes", "not recognised"),
    ],
)
def test_what_is_not_recognised_is_a_failure(
    name: str, reason: str, published: Published, store: SeriesStore
) -> None:
    published.write("futures/um/monthly/klines/X/1h", name, [KLINES])
    (failure,) = put_in(store, published.root).failures
    assert reason in str(failure)


def test_an_instrument_that_was_listed_needs_no_guess(
    exchanges: ExchangeServer, published: Published, store: SeriesStore
) -> None:
    """A name of an unknown quote currency is read by the exchange's own list."""
    collect(exchanges, store, "SOL/USDT", 1)
    instruments = store.read("instruments").assign(instrument="S20", symbol="S20/USDT:USDT")
    store.upsert("instruments", instruments)
    file = published.klines("SOL", "1h", "2026-10")
    renamed = file.parent / "S20-1h-2026-10.zip"
    published.write(file.parent.relative_to(published.root).as_posix(), renamed.stem, _text(file))
    file.unlink()
    assert not put_in(store, published.root).failures
    assert len(rows(store, "candles", symbol="S20/USDT")) == 31 * 24


def test_known_values_outlast_unknown_ones(
    exchanges: ExchangeServer, published: Published, store: SeriesStore
) -> None:
    """What was collected has mark prices, which the files lack."""
    collect(exchanges, store, "BTC/USDT", 24 * 30)
    before = rows(store, "funding")
    published.funding("BTC", "2026-10")
    result = put_in(store, published.root)
    assert not result.failures
    after = rows(store, "funding", start=before["time"][0])
    assert np.isfinite(after["mark_price"]).all()
    pd.testing.assert_frame_equal(after, before)
    assert result.rows_new > 0  # of the beginning of October


def _content(path: Path) -> bytes:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        return archive.read(f"{path.stem}.csv")


def _text(path: Path) -> list[str]:
    return _content(path).decode().splitlines()
