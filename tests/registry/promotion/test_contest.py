"""The contest: nights one by one, all at once, through its document, late, missing and refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.promotion_markets import Market, simulate
from benchmarks.promotion_trials import groups_of, try_lines
from brain.errors import InputError, LibraryError
from registry.promotion.contest import Contest
from registry.promotion.decisions import Decision, Outcome
from registry.promotion.groups import Groups
from registry.promotion.state import from_json, to_json
from tests.registry.promotion.evidence import Array, evidence

GROUPS = Groups(("A", "B", "C"))
NONE = np.zeros((3, 4), dtype=np.int64)
FIRST = 100


def contest(lines: Sequence[str] = ("new", "other"), **keywords: object) -> Contest:
    start = Contest(GROUPS, ("old",), NONE, FIRST)
    return start.start(lines, **keywords)  # type: ignore[arg-type]


def days(count: int) -> list[int]:
    return list(range(FIRST + 1, FIRST + 1 + count))


def bad_later() -> Array:
    """Line 1 is better by far for 90 nights, and then worse."""
    values = evidence(nights=300, edge=1.0, seed=1)
    values[90:, :, :, 1] -= 2.0
    return values


def changes(decisions: Sequence[Decision]) -> list[tuple[int, str, str, str]]:
    which = (Outcome.PROMOTED, Outcome.ROLLED_BACK)
    return [(d.day, d.outcome, d.line, d.group) for d in decisions if d.outcome in which]


def one_by_one(
    start: Contest, values: Array, killed: Iterator[bool]
) -> tuple[Contest, list[Decision]]:
    """Each night by itself; after a kill, through its document."""
    now, decisions = start, list[Decision]()
    for day, night in zip(days(len(values)), values, strict=True):
        if next(killed):
            now = from_json(to_json(now))
        now, made = now.add(day, night)
        decisions += made
    return now, decisions


def test_a_line_is_promoted_and_rolled_back_when_it_turns_bad() -> None:
    now, decisions, late = contest().add_all(days(300), bad_later())
    (promoted, back) = changes(decisions)
    assert promoted[1:] == ("promoted", "new", "all")
    assert back[1:] == ("rolled back", "new", "all")
    assert FIRST + 90 < back[0] < FIRST + 190
    assert (now.champions == 0).all()
    assert late == 0
    assert not now.trials
    assert not now.posts


def test_one_by_one_and_killed_at_random_equals_all_at_once() -> None:
    values = bad_later()[:200]
    values[60] = np.nan
    rng = np.random.default_rng(8)
    together, decisions, _ = contest().add_all(days(200), values)
    for share in (1.0, 0.2, 0.0):
        alone, made = one_by_one(contest(), values, iter(rng.random(200) < share))
        assert to_json(alone) == to_json(together)
        assert [d.to_json() for d in made] == [d.to_json() for d in decisions]
    assert changes(decisions)


def test_rows_that_come_late_never_enter() -> None:
    values = bad_later()[:60]
    now, _, _ = contest().add_all(days(50), values[:50])
    other = values.copy()
    other[:50] += 100.0
    after, _, late = now.add_all(days(60), other)
    assert late == 50
    assert to_json(after) == to_json(now.add_all(days(60)[50:], values[50:])[0])
    with pytest.raises(InputError, match="night 150 can't be added after night 150; late rows"):
        now.add(150, values[49])


def test_a_missing_night_is_an_unknown_one() -> None:
    values = bad_later()[:60]
    values[20:30] = np.nan
    here = [k for k in range(60) if not 20 <= k < 30]
    gap, _, _ = contest().add_all([days(60)[k] for k in here], values[here])
    assert to_json(gap) == to_json(contest().add_all(days(60), values)[0])
    assert gap.trials[0].live.nights == 60


def test_a_contest_equals_the_paths_of_a_simulation() -> None:
    nights = simulate(Market(symbols=3, edge=5.0, edge_regimes=(1, 2)), 5, np.random.default_rng(4))
    outcome = try_lines(nights)
    groups, takes = groups_of(nights), 0
    for path in range(5):
        start = Contest(groups, ("old",), NONE, 0).start(("new", "other"))
        _, decisions, _ = start.add_all(
            range(1, 181), np.array([nights.night(k)[path] for k in range(180)])
        )
        made = [d for d in decisions if d.outcome is Outcome.PROMOTED]
        back = [d.day for d in decisions if d.outcome is Outcome.ROLLED_BACK]
        expected = [
            (k + 1, groups.names[outcome.group[k, path]])
            for k in range(180)
            if outcome.group[k, path] >= 0
        ]
        assert not back
        assert [(d.day, d.group) for d in made] == expected
        takes += len(expected)
    assert takes >= 5


def test_every_number_of_a_decision_is_in_its_document() -> None:
    back = evidence(nights=400, edge=0.1, seed=9)
    now = contest(recipes={"new": 3.0}, backtests=back)
    _, decisions, _ = now.add_all(days(200), bad_later()[:200])
    assert {d.outcome for d in decisions} >= {Outcome.PROMOTED, Outcome.ON_TRIAL, Outcome.DISMISSED}
    for decision in decisions:
        assert Decision.from_json(decision.to_json()) == decision
    first = decisions[0]
    assert (first.line, first.recipes, first.against) == ("new", 3.0, ("old",))
    assert first.level == pytest.approx(0.02)
    figures = first.figures[0]
    assert figures.score == pytest.approx(figures.live + 0.5 * (figures.backtest or 0.0))
    assert first.weight == 0.5
    promoted = next(d for d in decisions if d.outcome is Outcome.PROMOTED)
    assert promoted.figures[0].score >= promoted.figures[0].boundary
    assert f"at night {promoted.night} of 180" in promoted.reason
    dismissed = next(d for d in decisions if d.outcome is Outcome.DISMISSED)
    assert dismissed.night == 180
    assert "no boundary was crossed in 180 nights" in dismissed.reason


def test_a_new_line_is_appended_and_gets_of_what_is_left() -> None:
    now = contest()
    assert now.lines == ("old", "new", "other")
    later = now.start(["third"])
    assert later.lines == ("old", "new", "other", "third")
    assert [t.level for t in later.trials] == pytest.approx([0.02, 0.02, 0.008])
    later = later.start(["fourth"])
    with pytest.raises(InputError, match=r"level 0\.00032 can't start"):
        later.start(["fifth"])


def test_what_does_not_fit_is_refused_and_nothing_changes() -> None:
    now = contest()
    before = to_json(now)
    night = np.zeros((3, 4, 3))
    for values, message in (
        (night[:, :, :2], r"shape \(3, 4, 2\) doesn't fit 3 symbols × 4 regimes × 3 lines"),
        (night[:2], r"shape \(2, 4, 3\)"),
        (np.where(night == 0, np.inf, night), "evidence is infinite"),
    ):
        with pytest.raises(InputError, match=message):
            now.add(FIRST + 1, values)
    with pytest.raises(InputError, match="line new is on trial"):
        now.start(["new"])
    with pytest.raises(InputError, match="line old is champion of all cells"):
        now.start(["old"])
    with pytest.raises(InputError, match=r"shape \(9, 3, 4, 2\)"):
        contest(backtests=np.zeros((9, 3, 4, 2)))
    assert to_json(now) == before


def test_a_contest_that_can_not_be_is_refused() -> None:
    with pytest.raises(InputError, match="a changed line is another line"):
        Contest(GROUPS, ("a", "a"), NONE, 0)
    with pytest.raises(InputError, match="indices of 1 lines"):
        Contest(GROUPS, ("a",), NONE + 1, 0)
    with pytest.raises(InputError, match=r"shape \(2, 4\)"):
        Contest(GROUPS, ("a",), NONE[:2], 0)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"layout":2}', '{"layout":1,"symbols":["A"]}'])
def test_a_document_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(LibraryError, match="state of a contest can't be read"):
        from_json(text)
    with pytest.raises(LibraryError, match="decision can't be read"):
        Decision.from_json(text)


def test_nothing_known_decides_nothing() -> None:
    now, decisions, _ = contest().add_all(days(180), np.full((180, 3, 4, 3), np.nan))
    assert {d.outcome for d in decisions} == {Outcome.ON_TRIAL, Outcome.DISMISSED}
    assert (now.champions == 0).all()


def with_two(lines: Sequence[str] = ("new", "other")) -> Contest:
    """The contest before its third symbol."""
    return Contest(Groups(("A", "B")), ("old",), NONE[:2], FIRST).start(lines)


def test_a_symbol_from_the_first_night_on_is_like_the_others() -> None:
    assert to_json(with_two().extended(["C"], NONE[:1])) == to_json(contest())
    with pytest.raises(InputError, match="each once"):
        contest().extended(["B"], NONE[:1])


def test_sums_go_on_where_a_symbol_comes_later_and_its_own_begin_empty() -> None:
    values = evidence(nights=90, seed=3)
    values[:50, 2] = np.nan
    always, _, _ = contest().add_all(days(90), values)
    now, _, _ = with_two().add_all(days(50), values[:50, :2])
    now = from_json(to_json(now)).extended(["C"], NONE[:1])
    later, _, _ = now.add_all(days(90), values)
    own = [name == "C" for name in later.groups.names]
    for trial, other in zip(later.trials, always.trials, strict=True):
        np.testing.assert_array_equal(trial.z, other.z)
        assert trial.live.before.tolist() == [50.0 * c for c in own]
        same = replace(trial.live, before=other.live.before)
        for name in ("squares", "count", "total", "variance", "active"):
            np.testing.assert_array_equal(getattr(same, name), getattr(other.live, name))
    names = later.groups.names
    shares = later.groups.shares(later.rule.weights)
    assert shares.sum() == pytest.approx(1.0)
    assert names[-1] == "C"


def test_what_won_all_cells_is_champion_of_a_symbol_that_comes_later() -> None:
    values = bad_later()
    now, decisions, _ = with_two().add_all(days(70), values[:70, :2])
    assert [c[3] for c in changes(decisions)] == ["all"]
    prior = np.full((1, 4), 2)
    now = now.extended(["C"], prior)
    assert (now.champions == 1).all()
    term = now.term("C", "high")
    assert term is not None
    assert "had won these cells" in term.reason
    assert term.day == now.day
    now, decisions, _ = from_json(to_json(now)).add_all(days(250), values[:250])
    assert [c[1] for c in changes(decisions)] == ["rolled back"]
    assert now.champions.tolist() == [[0] * 4, [0] * 4, [2] * 4]


def test_a_term_says_since_when_and_why_a_cell_has_its_champion() -> None:
    now, decisions, _ = contest().add_all(days(300), bad_later())
    promoted, back = changes(decisions)
    term = now.term("A", "low")
    assert term is not None
    assert (term.day, len(now.terms)) == (back[0], 1)
    assert term.reason.startswith("new was rolled back in all: its fall against")
    before, _, _ = contest().add_all(days(promoted[0] - FIRST), bad_later())
    (taken,) = before.terms
    assert taken.reason.startswith("takes all: its score")
    assert taken.day == promoted[0]
    assert contest().term("A", "low") is None


def test_the_nearest_challenger_of_a_cell_is_by_a_group_with_the_cell() -> None:
    values = evidence(nights=40, seed=5)
    values[:, 1, :, 2] += 1.2
    now, decisions, _ = contest().add_all(days(40), values)
    figures = {d.line: {g.group: g for g in d.figures} for d in decisions[-2:]}
    for symbol, regime in (("A", "low"), ("B", "high"), ("C", "extreme")):
        nearest = now.nearest()[symbol, regime]
        shares = {
            (line, g): of[g].score / of[g].boundary
            for line, of in figures.items()
            for g in ("all", regime, symbol)
        }
        line, group = max(shares, key=lambda key: shares[key])
        assert (nearest.line, nearest.group, nearest.night) == (line, group, 40)
        assert nearest.score == figures[line][group].score
    best = now.nearest()["B", "high"]
    assert (best.line, best.group) == ("other", "B")
    assert Contest(GROUPS, ("old",), NONE, FIRST).nearest() == {}
