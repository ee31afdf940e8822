"""A day of recorded frames, one minute after the other, with recorded liquidations among them."""

from __future__ import annotations

import heapq
import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from brain.series.store.store import SeriesStore
from market.exchanges.base import Instrument
from market.streams.connection_state import Opening
from market.streams.normaliser import Normaliser
from market.streams.recording import Entry, Recording
from market.streams.reread import reread
from market.streams.writer import recover

pytestmark = pytest.mark.skipif(
    "BRAIN_RECORDED_DATA" not in os.environ, reason="BRAIN_RECORDED_DATA names no folder"
)

FIRST = 1_786_310_820_000  # the minute of the recorded tickers, in milliseconds
MINUTE = 60_000
KINDS = ("liquidations", "candles", "snapshots", "listening")
IDS = {
    "binance": {"BTC": "BTCUSDT", "XRP": "XRPUSDT"},
    "bybit": {"BTC": "BTCUSDT", "SOL": "SOLUSDT", "ADA": "ADAUSDT"},
    "okx": {"BTC": "BTC-USDT-SWAP", "LA": "LA-USDT-SWAP"},
}
ROUTES = {"binance": "market", "bybit": "linear", "okx": "public"}

#: When it came in milliseconds, of which exchange, and its text.
Came = tuple[int, str, str]


def recorded(name: str) -> list[str]:
    path = Path(os.environ["BRAIN_RECORDED_DATA"]) / "ws" / f"{name}.jsonl"
    return [json.loads(line)["data"] for line in path.read_text().splitlines()]


def shifted(text: str, milliseconds: int) -> str:
    """A frame with all its times later by so much."""
    return re.sub(r"\b1[5-9]\d{11}\b", lambda time: str(int(time[0]) + milliseconds), text)


def tickers(minutes: int) -> Iterator[Came]:
    """Bybit's tickers and candles as they were recorded, in every minute."""
    frames = recorded("bybit_v5_linear_tickers_kline_20260809")
    for minute in range(minutes):
        for text in frames:
            later = shifted(text, minute * MINUTE)
            yield json.loads(later)["ts"], "bybit", later


def marks(minutes: int) -> Iterator[Came]:
    """The canaries of the other two, of which no frames are recorded."""
    for second in range(60 * minutes):
        stamp = FIRST + 1000 * second
        data = {"e": "markPriceUpdate", "E": stamp, "s": "BTCUSDT", "p": "65000", "r": "0", "T": 0}
        yield stamp, "binance", json.dumps({"stream": "btcusdt@markPrice@1s", "data": data})
        row = {"instId": "BTC-USDT-SWAP", "markPx": "65000", "ts": str(stamp)}
        argument = {"channel": "mark-price", "instId": "BTC-USDT-SWAP"}
        yield stamp + 1, "okx", json.dumps({"arg": argument, "data": [row]})


def liquidations(minutes: int, seed: int) -> list[Came]:
    """Recorded liquidations, drawn again and again: some three a minute, a tenth of them twice."""
    rng = random.Random(seed)
    drawn = []
    for exchange in IDS:
        texts = recorded(f"liquidations_{exchange}")
        for _ in range(minutes):
            text, at = rng.choice(texts), FIRST + rng.randrange(minutes * MINUTE)
            own = max(map(int, re.findall(r"\b1[5-9]\d{11}\b", text)))
            came = (at, exchange, shifted(text, at - own))
            drawn += [came] * (1 + (rng.random() < 0.1))
    return sorted(drawn)


def opened(exchange: str) -> Opening:
    instruments = tuple(
        Instrument(exchange, f"{coin}/USDT:USDT", name, 0.01, 8.0, None, None, "")
        for coin, name in IDS[exchange].items()
    )
    return Opening(exchange, ROUTES[exchange], "1m", instruments, lag=2000, patience=2500)


def entries(minutes: int, seed: int) -> Iterator[Entry]:
    """All that came in so many minutes, with a connection cut now and then."""
    rng = random.Random(seed)
    numbers = dict(zip(IDS, range(1, 4), strict=True))
    came = heapq.merge(tickers(minutes), marks(minutes), liquidations(minutes, seed))
    received, cut = 1000 * (FIRST - 10_000), FIRST + 7 * MINUTE
    for exchange, number in numbers.items():
        yield from connected(exchange, number, received)
    for at, exchange, text in came:
        received = max(received + 1, 1000 * at)
        if at > cut:
            cut += rng.randrange(MINUTE, 30 * MINUTE)
            yield Entry(received, "close", numbers[exchange], '{"reason": "closed"}')
            numbers[exchange] += 3
            yield from connected(exchange, numbers[exchange], received)
        yield Entry(received, "frame", numbers[exchange], text)


def connected(exchange: str, number: int, received: int) -> Iterator[Entry]:
    yield Entry(received, "open", number, opened(exchange).text())
    normaliser = Normaliser()
    normaliser.take(Entry(0, "open", 1, opened(exchange).text()))
    subscriptions = normaliser.connections[1].reader.route.subscriptions
    for message in acknowledged(exchange, [one.text for one in subscriptions]):
        yield Entry(received, "frame", number, json.dumps(message))


def acknowledged(exchange: str, texts: list[str]) -> Iterator[dict[str, object]]:
    for number, text in enumerate(texts, start=1):
        match exchange:
            case "binance":
                yield {"result": None, "id": number}
            case "bybit":
                yield {"success": True, "op": "subscribe", "req_id": str(number)}
            case _:
                for argument in json.loads(text)["args"]:
                    yield {"event": "subscribe", "arg": argument}


def record(folder: Path, minutes: int, seed: int) -> int:
    """Record them, in segments as of a stream; returns how many frames."""
    recording, normaliser, block, count = Recording(folder), Normaliser(), list[Entry](), 0
    recording.start_segment(Entry(1, "state", 0, normaliser.state()))
    for entry in entries(minutes, seed):
        normaliser.take(entry)
        block.append(entry)
        count += entry.event == "frame"
        if len(block) == 5000:
            recording.write(block)
            block = []
            if count % 60_000 < 5000:
                recording.start_segment(Entry(entry.received, "state", 0, normaliser.state()))
                normaliser.take_rows()
    recording.write(block)
    recording.close()
    return count


def check_day(folder: Path, minutes: int) -> None:
    frames = record(folder / "frames", minutes, seed=1)
    assert frames > 400 * minutes
    stores = [SeriesStore(folder / name) for name in ("once", "twice", "recovered")]
    for store in stores[:2]:
        reread(folder / "frames", store)
    recover(folder / "frames", Normaliser(), stores[2])
    tables = [{kind: s.read(kind).drop(columns="collected") for kind in KINDS} for s in stores]
    for kind in KINDS:
        assert len(tables[0][kind]) > 0
        pd.testing.assert_frame_equal(tables[1][kind], tables[0][kind])
        pd.testing.assert_frame_equal(tables[2][kind], tables[0][kind])
    rows = tables[0]["liquidations"]
    assert set(rows["side"]) == {"long", "short"}
    # Of those drawn, whose instruments are streamed.
    texts = {text for _, _, text in liquidations(minutes, 1)}
    known = {name for names in IDS.values() for name in names.values()}
    expected = sum(
        len(re.findall(r'"(?:v|z|sz)":', text))
        for text in texts
        if any(f'"{name}"' in text for name in known)
    )
    assert len(rows) == expected
    snapshots = tables[0]["snapshots"]
    assert snapshots.groupby(["exchange", "symbol"]).size().min() >= minutes - 2
    listening = tables[0]["listening"]
    heard = listening[(listening["kind"] == "liquidations") & (listening["reason"] == "")]
    hours = (heard["end"] - heard["start"]).dt.total_seconds().sum() / 3600
    assert hours / (7 * minutes / 60) > 0.7  # Bybit's recorded frames stand still between minutes


def test_some_minutes_of_frames_give_the_same_tables_again(tmp_path: Path) -> None:
    check_day(tmp_path, 20)


@pytest.mark.soak
def test_a_day_of_frames_gives_the_same_tables_again(tmp_path: Path) -> None:
    check_day(tmp_path, 24 * 60)
