"""A night that was stopped: which start continues it, and what is complete."""

from __future__ import annotations

import time

import pytest

from brain.naming import Role, Tag
from brain.processes import ProcessIdentity
from registry.library import BrainLibrary
from registry.nights import StoppedNight
from registry.runs import Run

SETTINGS = "a" * 64


@pytest.fixture
def library(sqlite_dsn: str, monkeypatch: pytest.MonkeyPatch) -> BrainLibrary:
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)
    return BrainLibrary(sqlite_dsn)


def night(library: BrainLibrary, continues: StoppedNight | None = None) -> Run:
    tags: dict[str, str] = {Tag.ROLE: Role.NIGHT, Tag.SETTINGS: SETTINGS}
    return library.start("nightly", "night", tags=tags, note="", continues=continues)


def symbol(parent: Run, name: str, *, complete: bool = True) -> Run:
    tags: dict[str, str] = {
        Tag.ROLE: Role.SYMBOL,
        Tag.SYMBOL: name,
        Tag.BARS: "b",
        Tag.TRAINED_UNTIL: "t",
    }
    with parent.child(name, tags=tags, note="") as run:
        run.document({"symbol": name}, "summary.json")
        if complete:
            run.complete()
    return run


def stopped(library: BrainLibrary, settings: str = SETTINGS) -> StoppedNight | None:
    return library.stopped_night("nightly", settings)


def stop(run: Run) -> None:
    run.client.set_terminated(run.id, "KILLED")


def test_a_stopped_nights_complete_symbols_are_told(library: BrainLibrary) -> None:
    first = night(library)
    done = symbol(first, "AAA/USD")
    symbol(first, "BBB/USD", complete=False)
    stop(first)
    found = stopped(library)
    assert found is not None
    assert (found.run_id, found.number, found.day) == (first.id, first.number, first.day)
    assert {name: part.run_id for name, part in found.symbols.items()} == {"AAA/USD": done.id}
    assert str(found) == "Continues the night, which was stopped: complete there, AAA/USD."
    assert library.document(done.id, "summary.json") == {"symbol": "AAA/USD"}


def test_a_start_that_continues_has_number_and_day_of_the_first(library: BrainLibrary) -> None:
    first = night(library)
    one = symbol(first, "AAA/USD")
    stop(first)
    second = night(library, stopped(library))
    assert (second.number, second.day) == (first.number, first.day)
    two = symbol(second, "BBB/USD")
    stop(second)
    found = stopped(library)
    assert found is not None
    assert found.run_id == first.id
    assert {part.run_id for part in found.symbols.values()} == {one.id, two.id}
    with night(library, found) as third:
        third.complete()
    assert stopped(library) is None
    assert night(library).number == first.number + 1


@pytest.mark.parametrize("ended", ["FINISHED", "FAILED"])
def test_a_complete_night_is_not_continued_whatever_failed_in_it(
    ended: str, library: BrainLibrary
) -> None:
    with night(library) as run:
        symbol(run, "AAA/USD")
        if ended == "FAILED":
            run.fail()
        run.complete()
    assert library.client.get_run(run.id).info.status == ended
    assert stopped(library) is None


def test_a_night_that_an_error_ended_is_continued(library: BrainLibrary) -> None:
    run = night(library)
    symbol(run, "AAA/USD")
    run.__exit__(RuntimeError, RuntimeError("the store is gone"), None)
    assert library.client.get_run(run.id).info.status == "FAILED"
    found = stopped(library)
    assert found is not None
    assert set(found.symbols) == {"AAA/USD"}


def test_a_night_that_runs_or_has_other_settings_is_left_alone(library: BrainLibrary) -> None:
    run = night(library)
    symbol(run, "AAA/USD")
    assert stopped(library) is None
    stop(run)
    assert stopped(library, "other") is None
    assert stopped(library) is not None


def test_half_a_day_later_it_is_another_night(
    library: BrainLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop(night(library))
    now = time.time()
    monkeypatch.setattr("registry.nights.time.time", lambda: now + 11.9 * 3600)
    assert stopped(library) is not None
    monkeypatch.setattr("registry.nights.time.time", lambda: now + 12.1 * 3600)
    assert stopped(library) is None


def test_a_symbol_of_another_job_of_the_same_number_does_not_count(library: BrainLibrary) -> None:
    first = night(library)
    symbol(first, "AAA/USD")
    other = Run.create(
        library.client, first.experiment_id, "other", tags={}, note="", number=first.number
    )
    symbol(other, "BBB/USD")
    stop(first)
    found = stopped(library)
    assert found is not None
    assert set(found.symbols) == {"AAA/USD"}


def test_a_complete_run_of_a_dead_process_ends_as_what_it_was(library: BrainLibrary) -> None:
    nobody: dict[str, str] = {Tag.PROCESS: str(ProcessIdentity("another-host", 1, "x"))}
    for failed in (False, True):
        run = Run.create(library.client, library.experiment("nightly"), "x", tags=nobody, note="")
        if failed:
            run.fail()
        run.complete()
        assert library.reap(after_hours=-1) == [run.id]
        status = library.client.get_run(run.id).info.status
        assert status == ("FAILED" if failed else "FINISHED")
