"""What has changed in a registry: every change is found, and an unchanged one costs a row."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest

from serving.remote.changes import Changes
from serving.remote.entries import ModelEntry


@dataclass
class Registry:
    """A registry as MLflow orders and pages it, whose clock is set by the test.

    Attributes:
        rows, answers: how many were read.
        meanwhile: a name and its moment, which are written after an answer, by its number.
    """

    models: dict[str, ModelEntry] = field(default_factory=dict)
    rows: int = 0
    revision: int = 0
    answers: int = 0
    meanwhile: dict[int, tuple[str, int]] = field(default_factory=dict)

    def write(self, name: str, updated: int | None) -> None:
        """A description's update at a moment, or a tag's, which moves no time."""
        self.revision += 1
        before = self.models.get(name)
        moment = updated if updated is not None else before.updated if before else 0
        self.models[name] = ModelEntry(name, moment, {}, {}, f"digest {self.revision}")

    def newest(self, *, limit: int = 1, token: str = "") -> tuple[list[ModelEntry], str]:
        return self._page(sorted(self.models.values(), key=lambda e: (-e.updated, e.name)),
                          limit, token)  # fmt: skip

    def page(self, token: str = "", *, size: int = 25) -> tuple[list[ModelEntry], str]:
        return self._page(sorted(self.models.values(), key=lambda e: e.name), size, token)

    def _page(self, rows: list[ModelEntry], limit: int, token: str) -> tuple[list[ModelEntry], str]:
        begin = int(token or 0)
        page = rows[begin : begin + limit]
        self.rows += len(page)
        end = begin + limit
        self.answers += 1
        if self.answers in self.meanwhile:
            self.write(*self.meanwhile[self.answers])
        return page, str(end) if end < len(rows) else ""


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def registry() -> Registry:
    return registry_of(60)


def registry_of(models: int) -> Registry:
    registry = Registry()
    for number in range(models):
        registry.write(f"COIN{number:02}-USD.1h.6", 1_000_000 + number)
    return registry


def settled(registry: Registry, clock: Clock) -> Changes:
    changes = Changes(registry, clock=clock)
    changes.look()
    list(changes.sweep())
    clock.now += 10
    changes.look()
    registry.rows = registry.answers = 0
    return changes


def names(entries: list[ModelEntry]) -> list[str]:
    return [entry.name[:6] for entry in entries]


def test_an_unchanged_registry_costs_a_row(registry: Registry) -> None:
    changes = settled(registry, clock := Clock())
    for _ in range(5):
        clock.now += 1
        assert changes.look() == []
    assert registry.rows == 5


def test_a_first_sweep_finds_everything_and_a_second_nothing(registry: Registry) -> None:
    changes = Changes(registry, clock=Clock())
    assert sum(len(page) for page in changes.sweep()) == 60
    assert [len(page) for page in changes.sweep()] == [0, 0, 0]


def test_equal_times_are_all_found_whichever_comes_first(registry: Registry) -> None:
    changes = settled(registry, clock := Clock())
    for number in (7, 3, 40, 41):
        registry.write(f"COIN{number:02}-USD.1h.6", 2_000_000)
    assert names(changes.look()) == ["COIN03", "COIN07", "COIN40", "COIN41"]
    # In the same millisecond, after it was read, and behind the head by its name.
    registry.write("COIN50-USD.1h.6", 2_000_000)
    clock.now += 1
    assert names(changes.look()) == ["COIN50"]
    clock.now += 10
    changes.look()
    registry.rows = 0
    assert changes.look() == []
    assert registry.rows == 1


@pytest.mark.parametrize("writes", [3, 25, 30, 60])
def test_what_is_written_between_two_answers_goes_to_the_front_and_is_found(writes: int) -> None:
    again, answers = f"COIN{writes // 2:02}-USD.1h.6", 0
    while True:
        answers += 1
        changes = settled(registry := registry_of(60), clock := Clock())
        for number in range(writes):
            registry.write(f"COIN{number:02}-USD.1h.6", 2_000_000 + number)
        registry.meanwhile = {answers: (again, 2_000_100)}
        found = changes.look()
        assert {entry.name for entry in found} >= set(list(registry.models)[:writes])
        if registry.answers <= answers:  # it came after the last one
            break
        assert registry.models[again] in found
    assert answers > 1
    clock.now += 1
    assert registry.models[again] in [*found, *changes.look()]


def test_a_write_that_becomes_visible_late_is_found(registry: Registry) -> None:
    """Its time is that of the transaction's begin, on a server whose clock is a second behind."""
    changes = settled(registry, clock := Clock())
    registry.write("COIN01-USD.1h.6", 2_000_000)
    assert names(changes.look()) == ["COIN01"]
    clock.now += 1
    registry.write("COIN02-USD.1h.6", 1_999_000)
    assert names(changes.look()) == ["COIN02"]


def test_an_alias_moved_by_hand_is_found_by_a_sweep_alone(registry: Registry) -> None:
    changes = settled(registry, Clock())
    registry.write("COIN33-USD.1h.6", None)
    assert changes.look() == []
    assert names([entry for page in changes.sweep() for entry in page]) == ["COIN33"]


def test_what_is_gone_counts_as_changed_when_it_is_back(registry: Registry) -> None:
    changes = settled(registry, Clock())
    assert changes.absent(["COIN05-USD.1h.6"]) == set()
    gone = registry.models.pop("COIN05-USD.1h.6")
    assert not any(changes.sweep())
    assert changes.absent(["COIN05-USD.1h.6", "COIN06-USD.1h.6"]) == {"COIN05-USD.1h.6"}
    registry.models[gone.name] = gone
    assert names([entry for page in changes.sweep() for entry in page]) == ["COIN05"]
    assert changes.absent(["COIN05-USD.1h.6"]) == set()


def test_what_a_deletion_draws_past_a_page_is_not_gone(registry: Registry) -> None:
    changes = settled(registry, Clock())
    pages = changes.sweep()
    next(pages)
    del registry.models["COIN03-USD.1h.6"]  # and COIN25 is on the first page now
    assert not any(pages)
    assert changes.absent(registry.models) == set()
    assert not any(changes.sweep())
    assert changes.absent([*registry.models, "COIN03-USD.1h.6"]) == {"COIN03-USD.1h.6"}
    registry.answers = 0
    assert not any(changes.sweep())
    assert registry.answers == 3


@pytest.mark.parametrize("seed", range(20))
def test_every_update_is_found_by_the_second_look_after_it(registry: Registry, seed: int) -> None:
    """Updates at random moments, many at once, some of them visible up to three seconds late."""
    source = random.Random(seed)
    changes = settled(registry, clock := Clock())
    late: list[tuple[float, str, int]] = []
    seen: dict[str, str] = {name: entry.digest for name, entry in registry.models.items()}
    quiet = 0
    for _ in range(200):
        clock.now += 1.0
        moment = int(clock.now * 1000) + 2_000_000
        for _ in range(source.choice([0, 0, 0, 1, 2, 30])):
            name = f"COIN{source.randrange(60):02}-USD.1h.6"
            if source.random() < 0.3:
                late.append((clock.now + 3 * source.random(), name, moment))
            else:
                registry.write(name, moment + source.randrange(3))
        for each in [each for each in late if each[0] <= clock.now]:
            late.remove(each)
            registry.write(each[1], each[2])
        before = registry.rows
        seen |= {entry.name: entry.digest for entry in changes.look()}
        quiet += registry.rows - before == 1
        assert seen == {name: entry.digest for name, entry in registry.models.items()}
    assert late == [] or late[0][0] > clock.now
