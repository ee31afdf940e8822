"""The journal: what is in it, what survives, and what goes on from it to the last bit."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings, strategies as st

from brain.errors import InputError, LibraryError, StorageFullError
from brain.model_keys import ModelKey
from brain.naming import Family, Regime
from engine.data.dataset import make_dataset
from serving import Decision, Hamilton, Limits
from serving.arrays import from_json, to_json
from serving.journal import SymbolJournal, line, number, value
from tests.serving.conftest import TRAINED
from tests.serving.desk import HORIZON, Models, arrays_of, bars_of, fit, give, head, sample

SYMBOL = "ETH/USD"
NEW = bars_of(sample(), TRAINED)
LIMITS = replace(Limits.off(), daily_loss=0.05, dwell=3)


def start(models: Models, folder: Path | None, limits: Limits = LIMITS) -> Hamilton:
    return Hamilton(models, [SYMBOL], limits=limits, journal=folder, clock=lambda: 0)


def lines_of(folder: Path) -> list[dict[str, object]]:
    files = sorted((folder / "ETH-USD.1d.6").glob("*.jsonl"))
    return [json.loads(text) for file in files for text in file.read_text().splitlines()]


# --- lines --------------------------------------------------------------------------------------


@given(st.floats())
def test_floats_are_read_back_to_the_last_bit(x: float) -> None:
    if math.isinf(x):
        return
    back = value(json.loads(number(x)))
    assert (math.isnan(x) and math.isnan(back)) or (back, math.copysign(1, back)) == (
        x, math.copysign(1, x)
    )  # fmt: skip


def test_arrays_are_read_back_to_the_last_bit() -> None:
    arrays = {
        "floats": np.array([[0.1, math.nan], [-0.0, 5e-324]]),
        "times": np.array([2**62, -1]),
        "text": np.array("worked"),
        "none": np.zeros((0, 3)),
    }
    back = from_json(json.loads(json.dumps(to_json(arrays))))
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes()


def test_a_journal_is_json_that_says_inputs_versions_and_outcomes(
    models: Models, tmp_path: Path
) -> None:
    with start(models, tmp_path) as hamilton:
        decisions = give(hamilton, SYMBOL, [*NEW[:3], NEW[5]])
    first, champions, *bars = lines_of(tmp_path)
    assert all(entry["v"] == 1 for entry in (first, champions, *bars))
    assert first["open"]["model"] == "ETH-USD.1d.6"  # type: ignore[index]
    cells = champions["champions"]["cells"]  # type: ignore[index]
    for regime in Regime:
        record = models.cells[sample_key(models)][regime]
        assert cells[regime]["digest"] == record.record.digest
        assert cells[regime]["version"] == record.model_id
    entries = [entry["bar"] for entry in bars]
    assert [entry["given"] for entry in entries] == [True] * 3 + [False] * 2 + [True]  # type: ignore[index]
    assert entries[-1]["bar"] == list(NEW[5][:1]) + list(NEW[5][1:])  # type: ignore[index]
    assert entries[3]["bar"][1:] == [None] * 5  # type: ignore[index]
    assert entries[-1]["decision"]["reason"] == decisions[-1].reason  # type: ignore[index]
    assert entries[-1]["decision"]["prediction"] == decisions[-1].prediction  # type: ignore[index]


def sample_key(models: Models) -> ModelKey:
    (key,) = models.cells
    return key


# --- restarts -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def steady(models: Models) -> list[Decision]:
    """The decisions of a process that is never restarted."""
    return give(start(models, None), SYMBOL, NEW)


def test_the_last_decision_is_known_after_a_restart(models: Models, tmp_path: Path) -> None:
    with start(models, tmp_path) as hamilton:
        assert hamilton.last_decision(SYMBOL) is None
        assert hamilton.warm_up(SYMBOL, arrays_of(NEW[:3])) == 3
        assert hamilton.last_decision(SYMBOL) is None
        decisions = give(hamilton, SYMBOL, NEW[3:9])
        assert hamilton.last_decision(SYMBOL) == decisions[-1]
    with start(models, tmp_path) as hamilton:
        assert hamilton.last_decision("ETH-USD.1d.6") == decisions[-1]


@settings(max_examples=6, phases=[Phase.generate])
@given(data=st.data())
def test_restarts_go_on_to_the_last_bit(
    data: st.DataObject,
    models: Models,
    steady: list[Decision],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """At random bars, with files so small that they rotate now and then."""
    folder = tmp_path_factory.mktemp("journal")
    places = data.draw(st.lists(st.integers(0, len(NEW)), max_size=5).map(sorted))
    rotate = data.draw(st.sampled_from([1, 3_000, 20_000, 10**9]))
    decisions: list[Decision] = []
    for begin, end in zip([0, *places], [*places, len(NEW)], strict=True):
        hamilton = start(models, folder)
        hamilton._all[0]._journal._rotate_bytes = rotate  # type: ignore[union-attr]
        if begin:
            again = hamilton.bar(SYMBOL, *NEW[begin - 1][1:], NEW[begin - 1].close_time)
            assert again == replace(steady[begin - 1], cached=True)
        decisions += give(hamilton, SYMBOL, NEW[begin:end])
        hamilton.close()
    assert list(map(repr, decisions)) == list(map(repr, steady))
    whole = start(models, None)
    give(whole, SYMBOL, NEW)
    assert start(models, folder).profit(SYMBOL) == whole.profit(SYMBOL)


def test_a_restart_with_newer_champions_is_a_reload(tmp_path: Path) -> None:
    models = Models(tmp_path / "models")
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    models.add(fit(Family.LIGHTGBM, dataset), dataset)
    running = start(models, None)
    with start(models, tmp_path / "journal") as hamilton:
        give(hamilton, SYMBOL, NEW[:30])
    give(running, SYMBOL, NEW[:30])
    newer = make_dataset(head(sample(), TRAINED + 20), horizon=HORIZON)
    models.add(fit(Family.LSTM, newer), newer)
    running.reload(SYMBOL)
    with start(models, tmp_path / "journal") as hamilton:
        assert give(hamilton, SYMBOL, NEW[30:]) == give(running, SYMBOL, NEW[30:])
        assert hamilton.profit(SYMBOL) == running.profit(SYMBOL)
    champions = [entry for entry in lines_of(tmp_path / "journal") if "champions" in entry]
    assert len(champions) == 2


def test_champions_that_are_newer_than_the_journal_settle_the_bars_between(
    tmp_path: Path,
) -> None:
    models = Models(tmp_path / "models")
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    models.add(fit(Family.LIGHTGBM, dataset), dataset)
    with start(models, tmp_path / "journal", Limits.off()) as hamilton:
        assert give(hamilton, SYMBOL, NEW[:10])[-1].exposure == 1.0
    newer = make_dataset(head(sample(), TRAINED + 20), horizon=HORIZON)
    models.add(fit(Family.XGBOOST, newer), newer)
    for _ in range(2):  # the second start reads what the first wrote
        with start(models, tmp_path / "journal", Limits.off()) as hamilton:
            (executor,) = hamilton._all
            assert executor.book.close == NEW[19].close_time
            assert executor.book.exposure == 0.0
    with start(models, tmp_path / "journal") as hamilton:
        (decision,) = give(hamilton, SYMBOL, NEW[20:21])
        assert decision.exposure == decision.position / HORIZON
        assert hamilton.profit(SYMBOL)[0] != 0.0  # what was held until it could be closed


def test_a_restart_after_a_warm_up_has_its_bars(models: Models, tmp_path: Path) -> None:
    plain = start(models, None)
    plain.warm_up(SYMBOL, arrays_of(NEW[:20]))
    expected = give(plain, SYMBOL, NEW[20:40])
    with start(models, tmp_path) as hamilton:
        hamilton.warm_up(SYMBOL, arrays_of(NEW[:20]))
    with start(models, tmp_path) as hamilton:
        decisions = give(hamilton, SYMBOL, NEW[20:30])
    with start(models, tmp_path) as hamilton:
        decisions += give(hamilton, SYMBOL, NEW[30:40])
    assert decisions == expected


def test_a_warm_up_after_newer_champions_settles_what_was_held(tmp_path: Path) -> None:
    models = Models(tmp_path / "models")
    dataset = make_dataset(head(sample(), TRAINED), horizon=HORIZON)
    models.add(fit(Family.LIGHTGBM, dataset), dataset)
    with start(models, tmp_path / "journal", Limits.off()) as hamilton:
        assert give(hamilton, SYMBOL, NEW[:8])[-1].exposure == 1.0
    newer = make_dataset(head(sample(), TRAINED + 20), horizon=HORIZON)
    models.add(fit(Family.XGBOOST, newer), newer)
    profits = []
    for _ in range(2):
        with start(models, tmp_path / "journal", Limits.off()) as hamilton:
            assert hamilton.warm_up(SYMBOL, arrays_of([*NEW[20:25], *NEW[27:30]])) in (8, 0)
            profits.append(hamilton.profit(SYMBOL))
            (executor,) = hamilton._all
            assert executor.book.close == hamilton.last_close(SYMBOL) == NEW[29].close_time
    assert profits[0] == profits[1]
    with start(models, tmp_path / "journal", Limits.off()) as hamilton:
        (decision,) = give(hamilton, SYMBOL, NEW[30:31])
        assert decision.exposure == decision.position / HORIZON


# --- faults -------------------------------------------------------------------------------------


def test_a_line_that_was_cut_off_is_cut_off(models: Models, tmp_path: Path) -> None:
    with start(models, tmp_path) as hamilton:
        decisions = give(hamilton, SYMBOL, NEW[:5])
    (file,) = (tmp_path / "ETH-USD.1d.6").glob("*.jsonl")
    whole = file.read_bytes()
    last = whole[:-1].rindex(b"\n") + 1
    for cut in (last + 1, last + 50, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with start(models, tmp_path) as hamilton:
            # The fifth decision was not returned, so its bar comes again.
            assert give(hamilton, SYMBOL, NEW[4:5]) == decisions[4:]
        assert file.read_bytes() == whole


def test_a_journal_has_one_writer(models: Models, tmp_path: Path) -> None:
    with start(models, tmp_path), pytest.raises(InputError, match="another process writes"):
        start(models, tmp_path)
    start(models, tmp_path).close()


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [("nonsense\n", LibraryError, "line 3 is no line of a journal"),
     ('{"v":2,"bar":{}}\n', InputError, "line 3 has format 2, not 1"),
     ('{"v":1}\n', LibraryError, "line 3 is no line")],
)  # fmt: skip
def test_lines_of_other_programs_are_refused(
    models: Models, tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    start(models, tmp_path).close()
    (file,) = (tmp_path / "ETH-USD.1d.6").glob("*.jsonl")
    file.write_text(file.read_text() + text)
    with pytest.raises(error, match=message):
        start(models, tmp_path)


def test_a_rotation_that_was_killed_leaves_the_files_before(
    models: Models, tmp_path: Path, steady: list[Decision]
) -> None:
    with start(models, tmp_path) as hamilton:
        give(hamilton, SYMBOL, NEW[:10])
    (tmp_path / "ETH-USD.1d.6" / "000002.part").write_text('{"v":1,"open":')
    with start(models, tmp_path) as hamilton:
        assert give(hamilton, SYMBOL, NEW[10:20]) == steady[10:20]
    assert not list((tmp_path / "ETH-USD.1d.6").glob("*.part"))


FULL = """
import resource, sys
from pathlib import Path
from brain.errors import LibraryError
from serving.journal import SymbolJournal, line
journal = SymbolJournal(Path(sys.argv[1]))
journal.rotate(line("open", "{}"))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = journal.files[0].stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 25, size + 1000))
for text in ("a" * 5, "b" * 40):
    try:
        journal.write(line("switch", '"' + text + '"'))
    except LibraryError as error:
        print(type(error).__name__, str(error)[-60:])
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, size + 1000))
journal.write(line("switch", '"c"'))
print(journal.files[0].read_text())
"""


def test_what_could_not_be_written_is_written_by_the_next_call(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    failure, first, *lines = done.stdout.splitlines()
    assert failure.startswith("StorageFullError")
    assert json.loads(first) == {"v": 1, "open": {}}
    assert [json.loads(text)["switch"] for text in lines if text] == ["a" * 5, "b" * 40, "c"]


def test_a_decision_that_could_not_be_written_is_not_returned_and_not_lost(
    models: Models, tmp_path: Path, steady: list[Decision]
) -> None:
    hamilton = start(models, tmp_path)
    give(hamilton, SYMBOL, NEW[:5])
    journal = hamilton._all[0]._journal
    assert journal is not None
    descriptor = journal._descriptor
    journal._descriptor = os.open("/dev/full", os.O_WRONLY)
    bar = NEW[5]
    for _ in range(2):
        with pytest.raises(StorageFullError, match="nothing is to be traded"):
            hamilton.bar(SYMBOL, *bar[1:], bar.close_time)
    os.close(journal._descriptor)
    journal._descriptor = descriptor
    assert hamilton.bar(SYMBOL, *bar[1:], bar.close_time) == replace(steady[5], cached=True)
    assert give(hamilton, SYMBOL, NEW[6:10]) == steady[6:10]
    hamilton.close()
    with start(models, tmp_path) as again:
        assert give(again, SYMBOL, NEW[10:20]) == steady[10:20]
    assert len([entry for entry in lines_of(tmp_path) if "bar" in entry]) == 20


def test_files_after_a_close_are_those_that_have_its_bars(tmp_path: Path) -> None:
    journal = SymbolJournal(tmp_path / "X.1d.6")
    for after in (None, 10, 20):
        journal.rotate(line("open", json.dumps({"after": after})))
    first, second, third = journal.files
    assert journal.files_after(None) == [first, second, third]
    assert journal.files_after(9) == [first, second, third]
    assert journal.files_after(10) == [second, third]
    assert journal.files_after(25) == [third]
