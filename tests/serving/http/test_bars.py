"""Decisions over HTTP are Hamilton's own, and so are refusals."""

from __future__ import annotations

import threading
import time
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serving import Decision, Hamilton, Limits
from serving.bars import missing_bar
from serving.http.schemas import DecisionAnswer
from tests.serving.desk import Models, arrays_of, bars_of, give, quick_models, sample
from tests.serving.http.served import NEW, PATH, SYMBOL, as_json, bar_body, null, serving

PRESENT = [bar for bar in NEW if bar.close == bar.close]


def test_each_decision_is_hamiltons_to_the_last_bit(models: Models) -> None:
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    with serving(models) as served:
        for bar in PRESENT[:80]:
            answer = served.bar(bar)
            (decision,) = give(steady, SYMBOL, [bar])
            assert answer.status == 200, answer.body
            assert answer.json == as_json(decision)
            assert decision.version is not None
            champion = steady.champion(SYMBOL, decision.regime)  # type: ignore[arg-type]
            assert answer.headers["x-model-version"] == decision.version
            assert answer.headers["x-model-digest"] == champion.cell.digest
        assert {name for name, value in answer.json.items() if value is not None} >= {"version"}
        again = served.bar(bar)
        assert again.json == {**as_json(decision), "cached": True}


def test_the_answers_type_has_the_decisions_fields() -> None:
    ours = [field.name for field in msgspec.structs.fields(DecisionAnswer)]
    assert ours == [field.name for field in fields(Decision)]


def test_a_missing_bar_and_an_unknown_volume_are_null(models: Models) -> None:
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    first, second = PRESENT[:2]
    with serving(models) as served:
        empty = missing_bar(first.close_time)
        for bar in (empty, second._replace(volume=float("nan"))):
            answer = served.bar(bar)
            expected = steady.bar(SYMBOL, *bar[1:], bar.close_time)
            assert answer.json == as_json(expected)
        assert expected.reason


def test_unknown_numbers_are_null(models: Models, tmp_path: Path) -> None:
    early = quick_models(tmp_path, 1100)
    for cells in early.cells.values():
        cells.pop(next(iter(cells)))  # no champion of one regime
    steady = Hamilton(early, [SYMBOL], limits=Limits.off())
    nulls = 0
    with serving(early) as served:
        for bar in PRESENT[:60]:
            answer, (decision,) = served.bar(bar), give(steady, SYMBOL, [bar])
            assert answer.json == as_json(decision)
            if decision.version is None:
                assert answer.json["prediction"] is None
                assert "x-model-version" not in answer.headers
                nulls += 1
    assert nulls


def test_a_close_may_be_written_as_a_date(models: Models) -> None:
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    bar = PRESENT[0]
    moment = datetime.fromtimestamp(bar.close_time / 1e9, UTC)
    with serving(models) as served:
        body = bar_body(bar) | {"close_time": moment.isoformat()}
        answer = served.ask("POST", f"/bars/{PATH}", body)
        assert answer.json == as_json(give(steady, SYMBOL, [bar])[0])
        naive = bar_body(bar) | {"close_time": moment.replace(tzinfo=None).isoformat()}
        assert served.ask("POST", f"/bars/{PATH}", naive).status == 400


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a later bar came": ({"close_time": PRESENT[3].close_time}, "in the order of time"),
    "no bar is due": ({"close_time": PRESENT[6].close_time + 1}, "closes"),
    "no number": ({"open": "7990"}, "got `str`"),
    "no truth": ({"volume": True}, "got `bool`"),
    "impossible prices": ({"high": 1.0}, "no bar has"),
    "a negative volume": ({"volume": -1.0}, "the volume -1.0 is impossible"),
    "some prices are missing": ({"open": None}, "no bar has"),
    "in seconds": ({"close_time": PRESENT[6].close_time // 10**9}, "give nanoseconds since 1970"),
    "after all time": ({"close_time": 10**40}, "can't be read"),
    "in the year 9000": ({"close_time": "9000-01-01T00:00:00Z"}, "close_time"),
    "no date": ({"close_time": "tomorrow"}, "can't be read"),
    "another field": ({"vwap": 1.0}, "unknown field `vwap`"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_bar_that_hamilton_refuses_is_an_error_and_changes_nothing(
    fault: str, models: Models
) -> None:
    changes, message = REFUSED[fault]
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    give(steady, SYMBOL, PRESENT[:6])
    with serving(models) as served:
        for bar in PRESENT[:6]:
            served.bar(bar)
        answer = served.ask("POST", f"/bars/{PATH}", bar_body(PRESENT[6]) | changes)
        assert (answer.status, answer.json["error_code"]) == (400, "BAD_REQUEST")
        assert message in answer.json["message"]
        assert served.bar(PRESENT[6]).json == as_json(give(steady, SYMBOL, [PRESENT[6]])[0])


def test_a_bar_needs_all_fields(models: Models) -> None:
    with serving(models) as served:
        for name in ("open", "volume", "close_time"):
            body = bar_body(PRESENT[0])
            del body[name]
            answer = served.ask("POST", f"/bars/{PATH}", body)
            assert answer.status == 400
            assert f"missing required field `{name}`" in answer.json["message"]


def test_rows_and_warm_up_are_hamiltons(models: Models) -> None:
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    steady.warm_up(SYMBOL, arrays_of(NEW[:10]))
    with serving(models) as served:
        columns = {
            name: [null(value) for value in column.tolist()]
            for name, column in arrays_of(NEW[:10]).items()
        }
        answer = served.ask("POST", f"/bars/{PATH}/warm-up", columns)
        assert (answer.status, answer.json) == (200, {"bars": 10})
        assert served.ask("POST", f"/bars/{PATH}/warm-up", columns).json == {"bars": 0}
        decided = served.bar(PRESENT[10])
        assert decided.json == as_json(give(steady, SYMBOL, [PRESENT[10]])[0])
        close = PRESENT[10].close_time
        fill = {"kind": "fill", "time": close, "available": close + 1, "values": {"price": 241.5}}
        steady.row("fill", SYMBOL, "", close, close + 1, {"price": 241.5})
        answer = served.ask("POST", f"/rows/{PATH}", fill)
        assert (answer.status, answer.json) == (200, {})
        for bar in PRESENT[11:20]:
            assert served.bar(bar).json == as_json(give(steady, SYMBOL, [bar])[0])
        assert served.hamilton.profit(SYMBOL) == steady.profit(SYMBOL)
        for change, message in (
            ({"kind": "fills"}, "did you mean 'fill'?"),
            ({"values": {"prize": 1.0}}, "did you mean 'price'?"),
            ({"values": {}}, "a mapping of names to numbers"),
            ({"values": {"price": None}, "exchange": 3}, "Expected `str`"),
        ):
            answer = served.ask("POST", f"/rows/{PATH}", fill | change)
            assert answer.status == 400
            assert message in answer.json["message"]
        funding = {
            "kind": "funding",
            "exchange": "binance",
            "time": "2019-06-28T02:00:00+02:00",
            "available": "2019-06-28T00:00:01Z",
            "values": {"rate": 0.0001, "interval_hours": 8},
        }
        assert served.ask("POST", f"/rows/{PATH}", funding).status == 200
        late = served.ask("POST", f"/rows/{PATH}", fill | {"time": "2019-06-01T00:00:00Z"})
        assert (late.status, "give it after its bar" in late.json["message"]) == (400, True)


def test_a_journal_that_cant_be_written_is_no_decision(models: Models, tmp_path: Path) -> None:
    with serving(models, journal=tmp_path / "journal") as served:
        assert served.bar(PRESENT[0]).status == 200
        (executor,) = served.hamilton._all
        journal = executor._journal
        assert journal is not None
        journal.close()  # as if its disk were gone
        answer = served.bar(PRESENT[1])
        assert (answer.status, answer.json["error_code"]) == (503, "TEMPORARILY_UNAVAILABLE")
        assert served.get("/health").status == 200


def test_other_requests_are_answered_while_a_long_gap_is_decided(
    models: Models, tmp_path: Path
) -> None:
    steady = Hamilton(models, [SYMBOL], limits=Limits.off())
    last = NEW[-1].close_time + int(timedelta(days=3000) / timedelta(microseconds=1)) * 1000
    body = bar_body(NEW[0]._replace(close_time=last))
    following = bar_body(NEW[0]._replace(close_time=last + 86_400 * 10**9))
    expected = [steady.bar(SYMBOL, *NEW[0][1:], one["close_time"]) for one in (body, following)]
    answers: dict[int, object] = {}

    def post(place: int, body: object) -> None:
        answers[place] = served.ask("POST", f"/bars/{PATH}", body).json

    with serving(models) as served:
        threads = [
            threading.Thread(target=post, args=given) for given in enumerate((body, following))
        ]
        threads[0].start()
        time.sleep(0.1)
        threads[1].start()  # which comes after, and has to wait
        taken = []
        while threads[0].is_alive():
            begin = time.monotonic()
            assert served.get("/health").status == 200
            taken.append(time.monotonic() - begin)
        for thread in threads:
            thread.join()
    assert taken
    assert max(taken) < 1.0
    assert answers == dict(enumerate(map(as_json, expected)))


def test_bars_of_many_symbols_at_once_are_those_of_each_alone(
    models: Models, tmp_path: Path
) -> None:
    both = Models(tmp_path, dict(models.cells), dict(models.folders))
    other = quick_models(tmp_path, 1100, "LTC/USD")
    for key, cells in other.cells.items():
        both.cells[key] = cells
    both.folders |= other.folders
    symbols = ("ETH/USD", "LTC/USD")
    bars = {s: [b for b in bars_of(sample(s), 1100) if b.close == b.close][:60] for s in symbols}
    expected = {}
    for symbol in symbols:
        alone = Hamilton(both, [symbol], limits=Limits.off())
        expected[symbol] = [as_json(one) for one in give(alone, symbol, bars[symbol])]
    given: dict[str, list[object]] = {symbol: [] for symbol in symbols}
    with serving(both, symbols=symbols) as served:

        def post(symbol: str) -> None:
            for bar in bars[symbol]:
                path = f"/bars/{symbol.replace('/', '-')}"
                given[symbol].append(served.ask("POST", path, bar_body(bar)).json)

        threads = [threading.Thread(target=post, args=(symbol,)) for symbol in symbols]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert served.ask("POST", "/invocations?regime=low", {"inputs": {}}).status == 400
        assert len(served.get("/champions").json["champions"]) == 8
    assert given == expected
