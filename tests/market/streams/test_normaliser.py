"""From entries to rows: what can't be read was not listened to; a state is as good as a past."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from market.exchanges.base import Instrument
from market.streams.connection_state import Opening
from market.streams.listening import HOUR, ListeningRow
from market.streams.normaliser import Normaliser
from market.streams.recording import Entry, read_segments
from tests.market.exchange_server import EXCHANGES, ExchangeServer
from tests.market.streams.schedules import play, schedule
from tests.market.streams.streaming import SCALE, run, stream

T0 = 1_795_000_000_000  # milliseconds
SYMBOL = "BTC/USDT:USDT"
ROUTES = {"binance": "market", "bybit": "linear", "okx": "public"}
IDS = {"binance": "BTCUSDT", "bybit": "BTCUSDT", "okx": "BTC-USDT-SWAP"}


def opening(exchange: str) -> Opening:
    one = Instrument(exchange, SYMBOL, IDS[exchange], 0.01, 8.0, None, None, "")
    return Opening(exchange, ROUTES[exchange], "1m", (one,), lag=2000, patience=2500)


class Talk:
    """A normaliser that is told of one connection, second by second."""

    def __init__(self, exchange: str, *, answered: bool = True) -> None:
        self.exchange, self.normaliser = exchange, Normaliser()
        self.rows: dict[Any, ListeningRow] = {}
        self.entry("open", opening(exchange).text(), -1)
        if answered:
            self.answer()

    def entry(self, event: str, text: str, second: float) -> None:
        self.normaliser.take(Entry(round(1000 * (T0 + 1000 * second)), event, 1, text))

    def frame(self, message: Any, second: float) -> None:
        self.entry("frame", message if isinstance(message, str) else json.dumps(message), second)

    def answer(self) -> None:
        channels = self.normaliser.connections[1].reader.channels
        match self.exchange:
            case "binance":
                self.frame({"result": None, "id": 1}, -0.5)
            case "bybit":
                answer = {"success": True, "ret_msg": "", "req_id": "1", "op": "subscribe"}
                self.frame(answer, -0.5)
            case _:
                for name in channels:
                    channel, _, instrument = name.partition(" ")
                    key = {"instId": instrument} if instrument else {"instType": "SWAP"}
                    argument = {"channel": channel, **key}
                    self.frame({"event": "subscribe", "arg": argument, "connId": "c"}, -0.5)

    def pulse(self, second: float, delay: float = 0.0) -> None:
        """A frame whose moment is a second, and which comes a while later."""
        stamp, name = round(T0 + 1000 * second), IDS[self.exchange]
        match self.exchange:
            case "binance":
                data = {"e": "markPriceUpdate", "E": stamp, "s": name, "p": "5", "r": "", "T": 0}
                self.frame({"stream": "btcusdt@markPrice@1s", "data": data}, second + delay)
            case "bybit":
                ticker = {"symbol": name, "markPrice": "5"}
                message = {"topic": f"tickers.{name}", "type": "snapshot", "data": ticker}
                self.frame({**message, "ts": stamp}, second + delay)
            case _:
                row = {"instId": name, "markPx": "5", "ts": str(stamp)}
                argument = {"channel": "mark-price", "instId": name}
                self.frame({"arg": argument, "data": [row]}, second + delay)

    def pulses(self, seconds: Iterable[float]) -> None:
        for second in seconds:
            self.pulse(second)

    def listening(self, kind: str = "liquidations") -> list[tuple[float, float, str]]:
        """Start, end (seconds) and the beginning of the reason."""
        self.normaliser.note_listening()
        for row in self.normaliser.listening.take():
            self.rows[row.series, row.start] = row
        series = (self.exchange, SYMBOL, kind)
        own = [row for row in self.rows.values() if row.series == series]
        return [
            ((row.start - T0) / 1000, (row.end - T0) / 1000, row.reason.partition(":")[0])
            for row in sorted(own, key=lambda row: row.start)
        ]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_listening_goes_from_the_first_pulse_to_a_lag_before_the_last(exchange: str) -> None:
    talk = Talk(exchange)
    talk.pulses(range(11))
    assert talk.listening() == [(0.0, 8.0, "")]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_pulses_too_far_apart_prove_nothing_between(exchange: str) -> None:
    talk = Talk(exchange)
    talk.pulses([0, 1, 2, 3, 4, 6.4, 7.4, 12, 13, 14, 15])
    assert talk.listening() == [
        (0.0, 5.4, ""),
        (5.4, 12.0, "nothing came for 4.6 s"),
        (12.0, 13.0, ""),
    ]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_pulse_that_repeats_an_older_moment_is_none(exchange: str) -> None:
    """An exchange that sends the same again and again stands still."""
    talk = Talk(exchange)
    talk.pulses([0, 1, 2, 3, 4, 4, 4, 4, 4])
    assert talk.listening() == [(0.0, 2.0, "")]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_what_was_proved_late_says_how_late(exchange: str) -> None:
    talk = Talk(exchange)
    hour = -(-T0 // HOUR) * HOUR
    before = (hour - T0) // 1000 - 5
    for second in range(10):
        # The seventh proves a second of the hour before, the third is of that hour too.
        talk.pulse(before + second, {2: 1.5, 6: 4.0, 9: 0.25}.get(second, 0.125))
    assert talk.listening() == [
        (before, before + 5, ""),
        (before + 5, before + 7, ""),
    ]
    series = (exchange, SYMBOL, "liquidations")
    rows = [row for row in talk.rows.values() if row.series == series]
    assert [row.delay for row in sorted(rows, key=lambda row: row.start)] == [4000, 250]


def forced(exchange: str, second: float, **changes: Any) -> dict[str, Any]:
    """A liquidation, with some of its fields changed."""
    stamp, name = round(T0 + 1000 * second), IDS[exchange]
    match exchange:
        case "binance":
            order = {"s": name, "S": "SELL", "p": "4", "ap": "5", "l": "1", "z": "2", "T": stamp}
            data = {"e": "forceOrder", "E": stamp + 900, "o": {**order, **changes}}
            return {"stream": "!forceOrder@arr", "data": data}
        case "bybit":
            row = {"T": stamp, "s": name, "S": "Buy", "v": "2", "p": "5", **changes}
            topic = f"allLiquidation.{name}"
            return {"topic": topic, "type": "snapshot", "ts": stamp, "data": [row]}
        case _:
            row = {"posSide": "long", "side": "sell", "sz": "2", "bkPx": "5", "ts": str(stamp)}
            data = {"instId": name, "details": [{**row, **changes}]}
            return {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [data]}


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_liquidations_are_rows_of_who_was_liquidated(exchange: str) -> None:
    talk = Talk(exchange)
    talk.frame(forced(exchange, 3.0), 3.5)
    ((name, coverage, received, row),) = talk.normaliser.take_rows().liquidations
    assert (name, received) == (exchange, 1000 * (T0 + 3500))
    assert coverage == ("all" if exchange == "bybit" else "sampled")
    size = 0.02 if exchange == "okx" else 2.0
    kind = "average fill" if exchange == "binance" else "bankruptcy"
    assert row[:2] == (SYMBOL, T0 + 3000)
    assert row[3:] == ("long", size, 5.0, kind)


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("fault", ["side", "size", "price", "missing", "time"])
def test_a_liquidation_that_can_not_be_read_was_not_listened_to(exchange: str, fault: str) -> None:
    """Of the liquidations alone: the canary and the candles go on."""
    fields = {
        "binance": {"side": "S", "size": "z", "price": "ap", "time": "T"},
        "bybit": {"side": "S", "size": "v", "price": "p", "time": "T"},
        "okx": {"side": "posSide", "size": "sz", "price": "bkPx", "time": "ts"},
    }[exchange]
    frame = forced(exchange, 4.5, **{fields.get(fault, fields["size"]): "what?"})
    if fault == "missing":
        frame = json.loads(json.dumps(frame).replace(f'"{fields["size"]}":', '"renamed":'))
    if (exchange, fault) == ("okx", "side"):
        frame = forced(exchange, 4.5, posSide="net", side="what?")
    talk = Talk(exchange)
    talk.pulses(range(5))
    talk.frame(frame, 4.6)
    talk.pulses(range(5, 11))
    assert talk.listening() == [(0.0, 2.0, ""), (2.0, 5.0, "unreadable"), (5.0, 8.0, "")]
    assert talk.normaliser.unreadable == {exchange: 1}
    assert not talk.normaliser.rows.liquidations
    other = Talk(exchange)
    other.pulses(range(5))
    other.frame(frame, 4.6)
    other.pulses(range(5, 11))
    assert other.listening("snapshots") == [(0.0, 8.0, "")]


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "7", '"text"', "\x00", "{}", '{"data": {"e": "new"}}', "[" * 9999],
)
def test_a_frame_of_no_channel_stops_all_listening(exchange: str, text: str) -> None:
    """For whatever it held, it is not known."""
    talk = Talk(exchange)
    talk.pulses(range(5))
    talk.frame(text, 4.6)
    talk.pulses(range(5, 11))
    for kind in ("liquidations", "snapshots"):
        assert [row[2] for row in talk.listening(kind)] == ["", "unreadable", ""]
        assert talk.normaliser.unreadable == {exchange: 1}


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_no_frame_breaks_a_stream(exchange: str, caplog: pytest.LogCaptureFixture) -> None:
    """Recorded shapes with parts exchanged, at random: they are rows or unreadable."""
    rng = random.Random(0)
    values: list[Any] = [None, True, -1, 0, 1e400, "", "x", "-1", "1e999", [], {}, [[]], [{}], "９"]

    def spoilt(value: Any) -> Any:
        if rng.random() < 0.15:
            return rng.choice(values)
        if isinstance(value, dict):
            return {key: spoilt(one) for key, one in value.items() if rng.random() > 0.05}
        return [spoilt(one) for one in value] if isinstance(value, list) else value

    talk = Talk(exchange)
    for number in range(3000):
        talk.frame(spoilt(forced(exchange, number)), number)
    rows = talk.normaliser.take_rows().liquidations
    assert 0 < len(rows) < 3000
    assert all(
        row.base >= 0 and row.price > 0 and row.side in ("long", "short") for *_, row in rows
    )


def test_a_refused_channel_is_not_listened_to_and_the_others_are() -> None:
    talk = Talk("okx", answered=False)
    message = "Wrong URL or channel:liquidation-orders,instType:SWAP doesn't exist."
    error = {"id": "1", "event": "error", "code": "60018", "msg": message, "connId": "c"}
    talk.frame(error, -0.9)
    talk.answer()
    talk.pulses(range(11))
    assert talk.listening() == []
    assert talk.listening("snapshots") == [(0.0, 8.0, "")]
    assert talk.normaliser.connections[1].refused == {"liquidation-orders": f"60018: {message}"}
    assert talk.normaliser.connections[1].covered == (("okx", SYMBOL, "snapshots"),)


# --- states ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", name="entries")
def _entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    """A recording of all exchanges with faults of every kind."""
    folder = tmp_path_factory.mktemp("recorded")
    with ExchangeServer(fillers=0, live={"scale": SCALE, "seed": 5}) as server:
        steps = schedule(5, 60.0, EXCHANGES, between=6.0)
        run(stream(server, folder), 0.2, lambda: play(server, steps, 60.0))
    segments = read_segments(folder / "frames")
    entries = [entry for segment in segments for entry in segment.entries()]
    return [entry for entry in entries if entry.event != "state"]


def all_rows(normaliser: Normaliser) -> tuple[list[Any], dict[Any, ListeningRow]]:
    rows = normaliser.take_rows()
    normaliser.note_listening()
    listening = {(row.series, row.start): row for row in normaliser.listening.take()}
    return [*rows.liquidations, *rows.candles, *rows.snapshots], listening


def test_a_state_is_as_good_as_what_came_before_it(entries: list[Entry]) -> None:
    whole = Normaliser()
    for entry in entries:
        whole.take(entry)
    rows, listening = all_rows(whole)
    assert len(rows) > 100
    rng = random.Random(0)
    for _ in range(15):
        place = rng.randrange(len(entries))
        before, after = Normaliser(), Normaliser()
        for entry in entries[:place]:
            before.take(entry)
        state = before.state()
        first, heard = all_rows(before)
        after.take(Entry(0, "state", 0, state))
        for entry in entries[place:]:
            after.take(entry)
        second, later = all_rows(after)
        assert sorted(map(repr, first + second)) == sorted(map(repr, rows))
        assert {**heard, **later} == listening


def test_a_recording_is_read_from_any_of_its_segments(tmp_path: Path) -> None:
    with ExchangeServer(fillers=0, live={"scale": SCALE}) as server:
        one = stream(server, tmp_path, ["bybit"])
        run(one, 5.0)
    segments = read_segments(tmp_path / "frames")
    assert len(segments) >= 2
    whole, last = Normaliser(), Normaliser()
    for segment in segments:
        for entry in segment.entries():
            whole.take(entry)
    for entry in segments[-1].entries():
        last.take(entry)
    whole_rows, whole_listening = all_rows(whole)
    last_rows, last_listening = all_rows(last)
    assert [row for row in whole_rows if row in last_rows] == last_rows
    assert last_listening.items() <= whole_listening.items()
