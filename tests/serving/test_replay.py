"""Replay: every journaled decision again, and whatever came out otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from brain.errors import InputError, LibraryError
from brain.naming import Family
from engine.data.dataset import make_dataset
from serving import Hamilton, Limits
from serving.bars import Bar
from serving.replay import Replay, StoredBars, journals, replay
from tests.serving.conftest import TRAINED
from tests.serving.desk import HORIZON, Models, arrays_of, bars_of, fit, give, head, sample

SYMBOL = "ETH/USD"
NEW = bars_of(sample(), TRAINED)
LIMITS = replace(Limits.off(), daily_loss=0.05, dwell=3, stale_after=86_400.0, gross=0.9)


def now(bar: Bar) -> int:
    """Most bars are decided in time."""
    return bar.close_time + (10**9 if bar.close_time % 7 else 10**15)


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> tuple[Models, Path]:
    """A journal with warm-up, gaps, reloads, restarts, kills and rotations."""
    folder = tmp_path_factory.mktemp("eventful")
    models = Models(folder / "models")
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    models.add(fit(Family.LIGHTGBM, dataset), dataset)
    present = [0]

    def start(limits: Limits = LIMITS) -> Hamilton:
        hamilton = Hamilton(
            models, [SYMBOL], limits=limits, journal=folder / "journal", clock=lambda: present[0]
        )
        hamilton._all[0]._journal._rotate_bytes = 20_000  # type: ignore[union-attr]
        return hamilton

    def decide(hamilton: Hamilton, bars: list[Bar]) -> None:
        for bar in bars:
            present[0] = now(bar)
            give(hamilton, SYMBOL, [bar])

    with start() as hamilton:
        hamilton.warm_up(SYMBOL, arrays_of(NEW[:10]))
        decide(hamilton, NEW[10:40])
        decide(hamilton, NEW[44:60])
        newer = make_dataset(head(sample(), TRAINED + 50), horizon=HORIZON)
        models.add(fit(Family.LSTM, newer), newer)
        hamilton.reload(SYMBOL)
        decide(hamilton, NEW[60:80])
        hamilton.kill("by hand")
        decide(hamilton, NEW[80:90])
        hamilton.revive()
    with start(replace(LIMITS, symbol=0.5)) as hamilton:
        decide(hamilton, NEW[90:150])
    newest = make_dataset(head(sample(), TRAINED + 140), horizon=HORIZON)
    models.add(fit(Family.XGBOOST, newest), newest)
    with start() as hamilton:
        decide(hamilton, NEW[150:])
    return models, folder / "journal"


def again(eventful: tuple[Models, Path], stored: StoredBars | None = None) -> Replay:
    models, folder = eventful
    (journal,) = journals(folder)
    return replay(journal, models, stored=stored)


def test_every_decision_comes_out_again(eventful: tuple[Models, Path]) -> None:
    result = again(eventful)
    assert result.model == "ETH-USD.1d.6"
    assert result.decisions == len(NEW) - 10
    assert result.differences == ()
    (journal,) = journals(eventful[1])
    assert len(journal.files) > 3
    reasons = {
        entry["decision"]["reason"].split(" of ")[0].split(" at ")[0]
        for name, entry in journal.entries(journal.files) if name == "bar"
    }  # fmt: skip
    assert {"killed: by hand", "the limit", "long", "short"} <= reasons


def test_a_planted_difference_is_shown(eventful: tuple[Models, Path], tmp_path: Path) -> None:
    models, folder = eventful
    target = tmp_path / "ETH-USD.1d.6"
    target.mkdir()
    for file in (folder / "ETH-USD.1d.6").iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    file = sorted(target.iterdir())[1]
    lines = file.read_text().splitlines()
    entry = json.loads(lines[5])
    decision = entry["bar"]["decision"]
    position = decision["position"]
    decision["position"] = -1.0 if position != -1.0 else 1.0
    lines[5] = json.dumps(entry)
    file.write_text("\n".join(lines) + "\n")
    (difference,) = replay(journals(tmp_path)[0], models).differences
    assert (difference.time, difference.name) == (entry["bar"]["bar"][0], "position")
    assert (difference.journaled, difference.replayed) == (decision["position"], position)


def test_a_bar_that_is_stored_otherwise_is_shown_with_what_follows(
    eventful: tuple[Models, Path],
) -> None:
    stored = {bar.close_time: bar for bar in NEW}
    gap = {bar.close_time for bar in NEW[40:44]}
    assert again(eventful, lambda t: None if t in gap else stored.get(t)).differences == ()
    changed = NEW[100]._replace(high=NEW[100].high * 1.2)
    stored[changed.close_time] = changed
    differences = again(eventful, lambda t: None if t in gap else stored.get(t)).differences
    assert differences[0].time == changed.close_time
    assert differences[0].name == "bar"
    assert "prediction" in {difference.name for difference in differences}


def test_what_can_not_be_replayed_is_told(eventful: tuple[Models, Path], tmp_path: Path) -> None:
    models, folder = eventful
    with pytest.raises(InputError, match="holds no journal"):
        journals(tmp_path)
    lost = Models(tmp_path, models.cells, {})
    with pytest.raises((LibraryError, KeyError)):
        replay(journals(folder)[0], lost)
