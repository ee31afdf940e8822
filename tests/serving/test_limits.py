"""Limits: each that binds takes positions away, and says so."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from brain.confidence import position_size
from brain.errors import InputError
from brain.naming import Family, Regime
from brain.sizing import age_factor
from engine.data.dataset import make_dataset
from serving import Decision, Hamilton, Limits
from serving.champions import Cell, as_json
from serving.entries import cells_of
from serving.limits import Board
from serving.replay import journals, replay
from tests.serving.conftest import TRAINED
from tests.serving.desk import HORIZON, Models, bars_of, fit, give, head, rule_of, sample

SYMBOL = "ETH/USD"
NEW = bars_of(sample(), TRAINED)
OFF = Limits.off()


class Clock:
    """The present is so long after the close of the bar that is given."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.close = 0

    def __call__(self) -> int:
        return self.close + int(self.seconds * 1e9)


def decide(
    models: Models, limits: Limits, bars: int = len(NEW), clock: Callable[[], int] = lambda: 0
) -> list[Decision]:
    hamilton = Hamilton(models, [SYMBOL], limits=limits, clock=clock)
    return give(hamilton, SYMBOL, NEW[:bars])


@pytest.fixture(scope="module")
def free(models: Models) -> list[Decision]:
    return decide(models, OFF)


@pytest.mark.parametrize(
    ("name", "value"),
    [("symbol", 1.5), ("symbol", -0.1), ("gross", math.nan), ("daily_loss", "5"), ("dwell", -1),
     ("stale_after", True)],
)  # fmt: skip
def test_a_limit_out_of_its_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"limit {name}="):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_positions_are_of_the_size_that_the_confidence_justifies(
    models: Models, free: list[Decision]
) -> None:
    sized = decide(models, replace(OFF, symbol=0.25, by_confidence=True))
    size = position_size(0.8, 0.25)
    assert [d.position for d in sized] == [size * d.position for d in free]
    whole = decide(models, replace(OFF, symbol=0.25))
    assert [d.position for d in whole] == [0.25 * d.position for d in free]
    assert max(abs(d.exposure) for d in whole) <= 0.25 + 1e-12
    none = decide(models, replace(OFF, symbol=0.0))
    assert {d.position for d in none} == {0.0}
    assert "the limit on the symbol's positions is 0" in {d.reason for d in none}


@pytest.mark.parametrize(
    ("confidence", "reason"),
    [(None, "the confidence in the version is unknown"),
     (0.4, "the confidence in the version is 0.40, at most a half")],
)  # fmt: skip
def test_without_confidence_nothing_is_held(
    tmp_path: Path, confidence: float | None, reason: str
) -> None:
    models = Models(tmp_path)
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    models.add(fit(Family.LIGHTGBM, dataset), dataset, confidence=confidence)
    decisions = decide(models, replace(OFF, by_confidence=True), 60)
    assert {d.position for d in decisions} == {0.0}
    # What the rule would do again and again is never kept as if it had been done.
    assert reason in {d.reason for d in decisions if abs(d.expected_bp) > 60.0}


def test_a_champion_of_size_0_takes_no_position_and_a_replay_says_the_same(
    tmp_path: Path,
) -> None:
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    fitted, limits = fit(Family.LIGHTGBM, dataset), replace(OFF, by_size=True)
    decisions = {}
    for size in (None, 0.0):
        models = Models(tmp_path / str(size))
        models.add(fitted, dataset, size=size)
        with Hamilton(
            models, [SYMBOL], limits=limits, journal=tmp_path / f"j{size}", clock=lambda: 0
        ) as hamilton:
            decisions[size] = give(hamilton, SYMBOL, NEW)
        (journal,) = journals(tmp_path / f"j{size}")
        assert not replay(journal, models).differences
    assert {d.position for d in decisions[None]} > {0.0}
    assert {d.position for d in decisions[0.0]} == {0.0}
    assert "the champion's size is 0: abstain: for a test" in {d.reason for d in decisions[0.0]}
    free = decide(models, OFF)
    assert [d.position for d in free] == [d.position for d in decisions[None]]


def test_positions_are_of_the_champions_size_and_shrink_as_it_ages(tmp_path: Path) -> None:
    """Daily bars go on for weeks after the training, and nobody refits."""
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    fitted = fit(Family.LIGHTGBM, dataset)
    models = Models(tmp_path / "models")
    # The confidence has a part in the size, and none beside it.
    models.add(fitted, dataset, confidence=0.9, size=0.4)
    free = decide(models, OFF)
    limits = replace(OFF, symbol=0.5, by_size=True, by_confidence=True)
    with Hamilton(
        models, [SYMBOL], limits=limits, journal=tmp_path / "journal", clock=lambda: 0
    ) as hamilton:
        sized = give(hamilton, SYMBOL, NEW)
    (journal,) = journals(tmp_path / "journal")
    assert not replay(journal, models).differences
    ages = [decision.age or 0.0 for decision in sized]
    assert min(ages) < 14 < 44 < max(ages)
    expected = [
        0.5 * 0.4 * age_factor(age).value * d.position for age, d in zip(ages, free, strict=True)
    ]
    assert [d.position for d in sized] == pytest.approx(expected, abs=1e-12)
    late = [abs(d.position) for age, d in zip(ages, sized, strict=True) if age > 44 and d.position]
    assert late
    assert max(late) < 0.1


def test_a_journal_from_before_sizes_aged_means_what_it_meant() -> None:
    """A size of 1 said that positions are to be taken, and the confidence how large."""
    cell = {"version": "BTC-USD.1h.6/1", "digest": "d", "confidence": 0.8}
    old = [
        cells_of({"cells": {"low": cell | size}})[0].size
        for size in ({}, {"size": None}, {"size": 1.0}, {"size": 0.0})
    ]
    assert old == [None, None, None, 0.0]
    new = Cell(Regime.LOW, "BTC-USD.1h.6/1", "d", 0.8, 0.3, "", 0.5)
    assert cells_of({"cells": {"low": as_json(new)}}) == [new]
    assert new.size_at(44.0) == 0.3
    assert new.size_at(0.0) == pytest.approx(0.6)
    assert replace(new, size=None).size_at(44.0) is None


def test_the_age_of_a_bar_is_told_by_the_clock(models: Models, free: list[Decision]) -> None:
    clock = Clock()
    hamilton = Hamilton(models, [SYMBOL], limits=replace(OFF, stale_after=None), clock=clock)
    for bar, expected in zip(NEW[:10], free, strict=False):
        clock.close = bar.close_time
        clock.seconds = 90_000.0 if bar is NEW[4] else -90_000.0 if bar is NEW[6] else 86_400.0
        decision = hamilton.bar(SYMBOL, *bar[1:], bar.close_time)
        late = bar in (NEW[4], NEW[6])
        assert decision.position == (0.0 if late else expected.position)
        if late:
            word = "the bar closed 25h ago" if bar is NEW[4] else "the bar closes in 25h"
            assert decision.reason == word
            assert decision.prediction == expected.prediction


def test_bars_that_nobody_gave_are_stale_when_they_are_decided(models: Models) -> None:
    clock = Clock()
    hamilton = Hamilton(models, [SYMBOL], limits=replace(OFF, stale_after=None), clock=clock)
    clock.close = NEW[0].close_time
    give(hamilton, SYMBOL, NEW[:1])
    clock.close = NEW[8].close_time
    (decision,) = give(hamilton, SYMBOL, NEW[8:9])
    assert decision.exposure == decision.position / HORIZON


def test_the_gross_limit_is_on_all_symbols_together(tmp_path: Path) -> None:
    """A second symbol is the same market under another name."""
    models = Models(tmp_path)
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    other = replace(dataset, symbol="ETC/USD")
    for each in (dataset, other):
        models.add(fit(Family.XGBOOST, each), each, rule_of(each, threshold=1.0))
    limits = replace(OFF, gross=1.2)
    hamilton = Hamilton(models, [SYMBOL, "ETC/USD"], limits=limits)
    reasons, most = set(), 0.0
    for bar in NEW:
        if math.isfinite(bar.close):
            both = [hamilton.bar(s, *bar[1:], bar.close_time) for s in (SYMBOL, "ETC/USD")]
            most = max(most, sum(abs(d.exposure) for d in both))
            reasons |= {d.reason for d in both}
    assert most == pytest.approx(1.2, abs=1e-9)
    assert any(r.startswith("the limit of 1.2 on all symbols' exposures leaves") for r in reasons)


def test_two_that_claim_at_once_never_hold_more_than_both_may() -> None:
    board = Board(2)
    board.claim(0, 0.8)
    board.claim(1, -0.7)  # before the first has looked
    rooms = [1.0 - board.others_gross(place) for place in (0, 1)]
    assert sum(min(want, room) for want, room in zip((0.8, 0.7), rooms, strict=True)) <= 1.0


def test_a_days_loss_closes_everything_until_the_day_is_over(tmp_path: Path) -> None:
    """Hourly bars, as a day has to have several."""
    bars = bars_of(sample("BTC/USD"), 3000, 4200)
    dataset = make_dataset(head(sample("BTC/USD"), 3000), horizon=HORIZON)
    models = Models(tmp_path)
    rule = rule_of(dataset, slope=1.0, threshold=2.0)
    models.add(fit(Family.LIGHTGBM, dataset), dataset, rule)
    hamilton = Hamilton(models, ["BTC/USD"], limits=replace(OFF, daily_loss=0.01))
    stopped: dict[int, list[Decision]] = {}
    for bar in filter(lambda bar: math.isfinite(bar.close), bars):
        (decision,) = give(hamilton, "BTC/USD", [bar])
        day = bar.close_time // (86_400 * 10**9)
        loss = hamilton.profit("BTC/USD")[1]
        if decision.reason == "the day's loss reached the limit of 0.01":
            assert stopped.get(day) or loss <= -0.01
            assert (decision.position, decision.exposure) == (0.0, 0.0)
            stopped.setdefault(day, []).append(decision)
        else:
            assert day not in stopped
            assert loss > -0.01
    assert len(stopped) >= 2
    assert max(map(len, stopped.values())) > 1


def test_a_call_closes_everything_until_it_is_revoked(models: Models) -> None:
    hamilton = Hamilton(models, [SYMBOL], limits=OFF)
    held = give(hamilton, SYMBOL, NEW[:20])[-1]
    assert held.exposure != 0.0
    hamilton.kill("the exchange is down")
    killed = give(hamilton, SYMBOL, NEW[20:22])
    assert {(d.position, d.exposure, d.reason) for d in killed} == {
        (0.0, 0.0, "killed: the exchange is down")
    }
    closing, after = killed[1], give(hamilton, SYMBOL, NEW[22:23])[0]
    assert closing.exposure == after.exposure == 0.0
    assert hamilton.profit(SYMBOL)[0] == 0.0  # nothing is held any more
    hamilton.revive()
    (again,) = give(hamilton, SYMBOL, NEW[23:24])
    assert again.reason != "killed: the exchange is down"
    assert again.exposure == again.position / HORIZON


def test_a_file_closes_everything_while_it_exists(models: Models, tmp_path: Path) -> None:
    file = tmp_path / "kill"
    with Hamilton(models, [SYMBOL], limits=replace(OFF, kill_file=file)) as hamilton:
        assert give(hamilton, SYMBOL, NEW[:20])[-1].exposure != 0.0
        file.touch()
        wait_for(lambda: hamilton._switch.reason != "")
        (killed,) = give(hamilton, SYMBOL, NEW[20:21])
        assert (killed.exposure, killed.reason) == (0.0, f"killed: {file} exists")
        file.unlink()
        wait_for(lambda: hamilton._switch.reason == "")
        assert "killed" not in give(hamilton, SYMBOL, NEW[21:22])[0].reason
    file.touch()
    with Hamilton(models, [SYMBOL], limits=replace(OFF, kill_file=file)) as hamilton:
        assert give(hamilton, SYMBOL, NEW[:1])[0].reason == f"killed: {file} exists"


def test_a_kill_outlives_a_restart_with_the_journal(models: Models, tmp_path: Path) -> None:
    with Hamilton(models, [SYMBOL], limits=OFF, journal=tmp_path) as hamilton:
        give(hamilton, SYMBOL, NEW[:5])
        hamilton.kill("by hand")
    with Hamilton(models, [SYMBOL], limits=OFF, journal=tmp_path) as hamilton:
        assert give(hamilton, SYMBOL, NEW[5:6])[0].reason == "killed: by hand"
        hamilton.revive()
    with Hamilton(models, [SYMBOL], limits=OFF, journal=tmp_path) as hamilton:
        assert "killed" not in give(hamilton, SYMBOL, NEW[6:7])[0].reason


def test_a_version_decides_for_the_dwell_before_another_may(
    models: Models, free: list[Decision]
) -> None:
    decisions = decide(models, replace(OFF, dwell=15))
    waiting = [d for d in decisions if "has to wait" in d.reason]
    assert waiting
    assert {d.position for d in waiting} == {0.0}
    deciding = [d.version for d in decisions if d.version and "has to wait" not in d.reason]
    runs = [1]
    for version, before in zip(deciding[1:], deciding, strict=False):
        runs = [*runs[:-1], runs[-1] + 1] if version == before else [*runs, 1]
    assert min(runs[:-1]) >= 15
    assert max(runs) > 15
    assert waiting[0].reason.startswith(f"{waiting[0].version} has to wait: ETH-USD.1d.6/")


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_default_limits_are_small() -> None:
    limits = Limits()
    assert (limits.symbol, limits.gross, limits.daily_loss) == (0.1, 1.0, 0.02)
    assert limits.by_confidence
