from __future__ import annotations

import json
import math
from bisect import bisect_left, insort
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from brain.errors import InputError, NotEnoughBarsError
from brain.naming import Regime
from engine.kernels.regime_state import UNKNOWN, RegimeDefinition, RegimeState
from engine.kernels.regimes import catch_up, classify, volatility
from tests.engine.paths import HOUR, Path, random_path

QUICK = RegimeDefinition(min_bars=50)
LOW, NORMAL, HIGH, EXTREME = range(4)


def bar_volatility(path: Path, definition: RegimeDefinition = QUICK) -> np.ndarray:
    return volatility(*path.prices(), definition.window)


def classified(path: Path, definition: RegimeDefinition = QUICK) -> tuple[np.ndarray, RegimeState]:
    return classify(bar_volatility(path, definition), path.close_time_ns, definition)


# Volatility


def test_without_gaps_the_volatility_is_garman_klass() -> None:
    o, h, lo, c = (np.array(x) for x in ([100.0, 101], [102.0, 103], [99.0, 100], [101.0, 100.5]))
    textbook = 0.5 * np.log(h / lo) ** 2 - (2 * math.log(2) - 1) * np.log(c / o) ** 2
    assert volatility(o, h, lo, c, 2)[1] == pytest.approx(math.sqrt(textbook.mean()))


def test_an_opening_gap_adds_its_square() -> None:
    flat = np.array([100.0, 100.0, 110.0])
    assert volatility(flat, flat, flat, flat, 2)[2] == pytest.approx(math.log(1.1) / math.sqrt(2))


def test_it_finds_the_volatility_of_a_random_walk() -> None:
    rng = np.random.default_rng(0)
    ticks = np.cumsum(0.01 / math.sqrt(1000) * rng.standard_normal((2000, 1000)), axis=1)
    steps = np.concatenate([np.zeros((2000, 1)), ticks], axis=1)
    start = np.concatenate([[0.0], np.cumsum(ticks[:-1, -1])])
    prices = np.exp(steps + start[:, None])
    sigma = volatility(
        prices[:, 0], prices.max(axis=1), prices.min(axis=1), prices[:, -1], window=2000
    )
    # Extremes of a walk in 1000 steps fall short of those of a continuous one by some 2 %.
    assert sigma[-1] == pytest.approx(0.01, rel=0.05)


def test_half_of_the_window_must_be_there() -> None:
    path = random_path(1, 100)
    # 12 bars missing in a row take 13 gaps with them: 11 are left.
    assert np.isfinite(bar_volatility(path.without(slice(80, 91)))[99])
    assert np.isnan(bar_volatility(path.without(slice(80, 92)))[99])


def test_a_price_that_stands_still_has_no_volatility() -> None:
    still = np.full(60, 3.3)
    assert (volatility(still, still, still, still, 24)[24:] == 0.0).all()


def test_a_bar_whose_close_lies_outside_its_range_has_no_variance() -> None:
    o, c = np.array([100.0, 120.0]), np.array([120.0, 150.0])
    assert np.isnan(volatility(o, o, o, c, 2)).all()  # high and low both at the open


# Codes


def plain_twin(volatility: np.ndarray, definition: RegimeDefinition) -> list[int]:
    """The documented rule, bar by bar, with a dictionary for the histogram."""
    counts: Counter[int] = Counter()
    regime, stay, codes = UNKNOWN, 0, []
    for value in volatility:
        if math.isnan(value):
            codes.append(UNKNOWN)
            continue
        position = math.log2(value) * definition.bins_per_octave if value else -64.0 * 32
        at = math.floor(position)
        code = UNKNOWN
        if counts.total() >= definition.min_bars:
            below = sum(n for b, n in counts.items() if b < at) + (position - at) * counts[at]
            code = plain_next(regime, stay, below / counts.total(), definition)
            stay = stay + 1 if code == regime else 1
            regime = code
        counts[at] += 1
        codes.append(code)
    return codes


def plain_next(regime: int, stay: int, percentile: float, definition: RegimeDefinition) -> int:
    cuts, margins = definition.cuts, definition.margins
    if regime == UNKNOWN:
        return len([level for level in cuts if percentile >= level])
    candidate = regime
    while candidate < EXTREME and percentile >= cuts[candidate] + margins[candidate]:
        candidate += 1
    while candidate > LOW and percentile < cuts[candidate - 1] - margins[candidate - 1]:
        candidate -= 1
    if stay < definition.dwell and candidate != EXTREME:
        return regime
    return candidate


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.05, 0.4]))
def test_codes_agree_with_a_plain_twin(seed: int, missing: float) -> None:
    path = random_path(seed, 400, missing)
    assert classified(path)[0].tolist() == plain_twin(bar_volatility(path), QUICK)


def test_the_histogram_classifies_as_the_exact_percentile_does() -> None:
    path = random_path(3, 4000)
    definition, exact = RegimeDefinition(), []
    history: list[float] = []
    regime, stay = UNKNOWN, 0
    for value in bar_volatility(path, definition).tolist():
        code = UNKNOWN
        if not math.isnan(value):
            if len(history) >= definition.min_bars:
                share = bisect_left(history, value) / len(history)
                code = plain_next(regime, stay, share, definition)
                stay = stay + 1 if code == regime else 1
                regime = code
            insort(history, value)
        exact.append(code)
    codes, _ = classified(path, definition)
    assert len(set(exact)) == 5
    assert (codes == exact).mean() > 0.99


@given(st.integers(0, 10_000), st.lists(st.integers(0, 400), max_size=5))
def test_resuming_anywhere_gives_the_same_codes_and_the_same_state(
    seed: int, cuts: list[int]
) -> None:
    path = random_path(seed, 400, 0.1)
    whole, end = classified(path)
    values, pieces, state = bar_volatility(path), [], None
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), 400], strict=True):
        codes, state = classify(values[start:stop], path.close_time_ns[start:stop], QUICK, state)
        state = RegimeState.from_json(state.to_json())
        pieces.append(codes)
    assert np.concatenate(pieces).tolist() == whole.tolist()
    assert state == end


@given(st.integers(0, 10_000), st.integers(0, 400))
def test_cutting_the_tail_off_changes_no_code(seed: int, end: int) -> None:
    path = random_path(seed, 400, 0.1)
    assert classified(path[:end])[0].tolist() == classified(path)[0][:end].tolist()


def test_nothing_is_classified_before_enough_volatilities_are_counted() -> None:
    path = random_path(5, 400).without(slice(100, 140))
    codes, state = classified(path, RegimeDefinition())
    first = int(np.flatnonzero(~np.isnan(bar_volatility(path)))[RegimeDefinition().min_bars])
    assert (codes[:first] == UNKNOWN).all()
    assert codes[first] != UNKNOWN
    assert state.n == np.isfinite(bar_volatility(path)).sum()


def test_codes_are_int8() -> None:
    assert classified(random_path(5, 100))[0].dtype == np.int8


# The rule, on a history of 100,000 volatilities in which 2**q has percentile q


DENSE = RegimeDefinition(min_bars=10, bins_per_octave=1000)
_, HISTORY = classify(2.0 ** (np.arange(100_000) / 1e5), HOUR * np.arange(1, 100_001), DENSE)


def walk(*percentiles: float, start: int = NORMAL, stay: int = 99) -> list[int]:
    """Codes of bars at those percentiles, after ``stay`` bars in the regime ``start``."""
    state = replace(HISTORY, regime=start, code=start, bars_in_regime=stay)
    n = len(percentiles)
    times = HOUR * (100_001 + np.arange(n))
    return classify(2.0 ** np.array(percentiles), times, DENSE, state)[0].tolist()


@pytest.mark.parametrize(
    ("start", "inside", "beyond", "then"),
    [
        (LOW, 0.29, 0.31, NORMAL),
        (NORMAL, 0.79, 0.81, HIGH),
        (HIGH, 0.96, 0.98, EXTREME),
        (NORMAL, 0.21, 0.19, LOW),
        (HIGH, 0.71, 0.69, NORMAL),
        (EXTREME, 0.94, 0.92, HIGH),
        (LOW, 0.29, 0.81, HIGH),
        (LOW, 0.29, 0.99, EXTREME),
        (EXTREME, 0.94, 0.5, NORMAL),
        (EXTREME, 0.94, 0.1, LOW),
    ],
)
def test_a_regime_is_left_beyond_the_margin_only(
    start: int, inside: float, beyond: float, then: int
) -> None:
    assert walk(inside, beyond, start=start) == [start, then]


def test_a_regime_lasts_its_dwell() -> None:
    assert walk(0.1, *[0.5] * 6) == [LOW] * 5 + [NORMAL] * 2


def test_into_extreme_there_is_no_waiting_but_out_of_it_there_is() -> None:
    assert walk(0.1, 0.99, *[0.5] * 6) == [LOW, *[EXTREME] * 5, NORMAL, NORMAL]


def test_an_unknown_bar_has_no_regime_and_leaves_the_dwell_as_it_was() -> None:
    nan = math.nan
    assert walk(0.1, 0.5, nan, nan, 0.5, 0.5, 0.5, 0.5) == [
        *[LOW, LOW, UNKNOWN, UNKNOWN],
        *[LOW, LOW, LOW, NORMAL],
    ]


@pytest.mark.parametrize(("percentile", "code"), [(0.26, NORMAL), (0.76, HIGH), (0.96, EXTREME)])
def test_the_first_code_needs_no_margin(percentile: float, code: int) -> None:
    assert walk(percentile, start=UNKNOWN, stay=0) == [code]


def test_no_volatility_at_all_is_low_and_is_counted() -> None:
    state = replace(HISTORY, regime=NORMAL, code=NORMAL, bars_in_regime=9)
    codes, after = classify(np.zeros(3), HOUR * (100_001 + np.arange(3)), DENSE, state)
    assert codes.tolist() == [LOW] * 3
    assert (after.bins[0], after.counts[0]) == (-64_000, 3)


def test_margins_and_dwell_calm_the_regimes() -> None:
    path = random_path(6, 5000)
    restless = RegimeDefinition(margins=(0.0, 0.0, 0.0), dwell=1)

    def switches(definition: RegimeDefinition) -> int:
        codes, _ = classified(path, definition)
        return int((np.diff(codes[codes != UNKNOWN]) != 0).sum())

    assert switches(RegimeDefinition()) < 0.7 * switches(restless)


@pytest.mark.parametrize("value", [-0.1, math.inf])
def test_an_impossible_volatility_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="impossible"):
        classify(np.array([0.1, value]), HOUR * np.arange(2), QUICK)


@pytest.mark.parametrize("times", [[1, 2, 4], [1, 1, 1], [3, 2, 1]])
def test_times_must_be_a_full_grid(times: list[int]) -> None:
    with pytest.raises(InputError, match="consecutive bars"):
        classify(np.full(3, 0.1), HOUR * np.array(times), QUICK)


@pytest.mark.parametrize("late", [0, 2, 5])
def test_classifying_goes_on_with_the_very_next_bar(late: int) -> None:
    path = random_path(7, 100)
    _, state = classified(path)
    with pytest.raises(InputError, match="consecutive bars"):
        classify(np.array([0.1]), path.close_time_ns[-1:] + late * HOUR, QUICK, state)


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        classify(np.full(3, 0.1), HOUR * np.arange(2), QUICK)


def test_a_state_goes_with_its_definition() -> None:
    path = random_path(7, 100)
    _, state = classified(path)
    with pytest.raises(InputError, match="stored with it"):
        classify(np.array([0.1]), path.close_time_ns[-1:] + HOUR, replace(QUICK, dwell=6), state)


# The executor


@given(
    st.integers(0, 10_000),
    st.integers(100, 399),
    st.integers(100, 400),
    st.integers(0, 80),
    st.sampled_from([0.0, 0.1]),
)
def test_the_executor_classifies_the_present_as_training_would(
    seed: int, one: int, other: int, more: int, missing: float
) -> None:
    trained, now = sorted((one, other))
    path = random_path(seed, 400, missing)
    _, stored = classified(path[:trained])
    recent = path[max(0, trained - QUICK.window - more) : now]
    codes, state = catch_up(
        *recent.prices(), recent.close_time_ns, QUICK, RegimeState.from_json(stored.to_json())
    )
    whole, end = classified(path[:now])
    assert codes.tolist() == whole[trained:].tolist()
    assert state == end
    assert state.code == whole[-1]


def test_the_present_regime_has_a_name() -> None:
    _, state = classified(random_path(8, 400))
    assert state.present is list(Regime)[state.code]
    assert replace(state, code=UNKNOWN).present is None


def behind(path: Path, trained: int, bars: int) -> RegimeState:
    _, state = classified(path[:trained])
    recent = path[len(path) - bars :]
    return catch_up(*recent.prices(), recent.close_time_ns, QUICK, state)[1]


def test_an_executor_too_far_behind_is_told_how_many_bars_it_needs() -> None:
    path = random_path(9, 400)
    needed = 50 + QUICK.window
    for bars in (1, 2, 49, 51, needed - 1):
        with pytest.raises(NotEnoughBarsError, match=f"last {needed} bars"):
            behind(path, 350, bars)
    assert behind(path, 350, needed) == classified(path)[1]


def test_no_bars_are_not_enough() -> None:
    path = random_path(9, 400)
    with pytest.raises(NotEnoughBarsError, match="at least 24"):
        behind(path, 350, 0)


def test_a_state_newer_than_the_bars_is_refused() -> None:
    path = random_path(9, 400)
    _, state = classified(path)
    recent = path[:390]
    with pytest.raises(InputError, match="after the newest bar"):
        catch_up(*recent.prices(), recent.close_time_ns, QUICK, state)


def test_a_state_between_the_bars_is_refused() -> None:
    path = random_path(9, 400)
    _, state = classified(path[:350])
    with pytest.raises(InputError, match="not among the bars"):
        catch_up(*path.prices(), path.close_time_ns + HOUR // 2, QUICK, state)


def test_recent_bars_with_a_hole_in_time_are_refused() -> None:
    path = random_path(9, 400)
    _, state = classified(path[:350])
    holed = Path(*(np.delete(column, 380) for column in path.columns()))
    with pytest.raises(InputError, match="consecutive bars"):
        catch_up(*holed.prices(), holed.close_time_ns, QUICK, state)


def test_a_state_that_has_seen_nothing_cannot_be_caught_up() -> None:
    path = random_path(9, 400)
    with pytest.raises(InputError, match="classify the history"):
        catch_up(*path.prices(), path.close_time_ns, QUICK, RegimeState.start(QUICK))


def test_prices_and_times_of_unequal_length_are_refused() -> None:
    path = random_path(9, 400)
    _, state = classified(path[:350])
    with pytest.raises(InputError, match="open has shape"):
        catch_up(*path.prices(), path.close_time_ns[:-1], QUICK, state)


# What travels


def test_definition_and_state_survive_json_in_a_few_kilobytes() -> None:
    definition = RegimeDefinition()
    _, state = classified(random_path(10, 20_000), definition)
    assert RegimeDefinition.from_json(definition.to_json()) == definition
    assert RegimeState.from_json(state.to_json()) == state
    assert len(definition.to_json()) + len(state.to_json()) < 5_000


def test_years_of_wild_bars_fit_a_tag_of_the_registered_model() -> None:
    random = np.random.default_rng(0)
    wild = np.exp(2.0 * random.standard_normal(300_000))  # thirteen octaves of volatility
    wild[::1000] = 0.0
    filled, counts = np.unique(np.floor(32 * np.log2(wild[wild > 0])), return_counts=True)
    state = replace(
        RegimeState.start(RegimeDefinition()),
        bins=(-2048, *(int(index) for index in filled)),
        counts=(300, *counts.tolist()),
    )
    assert len(state.bins) > 500
    assert RegimeState.from_json(state.to_json()) == state
    assert len(state.to_json()) < 4_000  # the record's other entries take some 900


def test_the_id_tells_definitions_apart() -> None:
    assert RegimeDefinition().id == RegimeDefinition().id
    assert len({RegimeDefinition(dwell=d).id for d in range(1, 10)}) == 9


_, STATE = classified(random_path(11, 200))


@pytest.mark.parametrize("kind", [RegimeDefinition, RegimeState])
@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"x"', "{}", "[" * 100_000])
def test_garbage_is_no_definition_and_no_state(kind: Any, text: str) -> None:
    with pytest.raises(InputError, match="to_json"):
        kind.from_json(text)


def test_a_state_is_no_definition() -> None:
    with pytest.raises(InputError, match="not a RegimeDefinition"):
        RegimeDefinition.from_json(STATE.to_json())


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("format", 1),
        ("extra", 1),
        ("definition_id", ""),
        ("definition_id", None),
        ("regime", 4),
        ("regime", "low"),
        ("regime", True),
        ("code", (STATE.regime + 1) % 4),
        ("bars_in_regime", 0),
        ("bars_in_regime", 1.5),
        ("close_time_ns", 1e18),
        ("close_time_ns", 2**63),
        ("step_ns", -1),
        ("bins", [[3, 1], [2, len(STATE.counts) - 1]]),
        ("bins", [[3, len(STATE.counts) - 1]]),
        ("bins", [[3, 2**40]]),
        ("bins", [[3, 0], [3, len(STATE.counts)]]),
        ("bins", [[3.5, len(STATE.counts)]]),
        ("bins", [[3]]),
        ("bins", STATE.bins),
        ("bins", "12"),
        ("bins", None),
        ("counts", [0, *STATE.counts[1:]]),
        ("counts", [2**62, *STATE.counts[1:]]),
        ("counts", [None, *STATE.counts[1:]]),
    ],
)
def test_a_damaged_state_is_refused(entry: str, value: object) -> None:
    content = json.loads(STATE.to_json()) | {entry: value}
    with pytest.raises(InputError):
        RegimeState.from_json(json.dumps(content))


@pytest.mark.parametrize("entry", sorted(json.loads(STATE.to_json())))
def test_a_state_with_an_entry_missing_is_refused(entry: str) -> None:
    content = json.loads(STATE.to_json())
    del content[entry]
    with pytest.raises(InputError):
        RegimeState.from_json(json.dumps(content))


def test_a_histogram_out_of_this_world_is_refused() -> None:
    wild = replace(STATE, bins=(-(2**40), *STATE.bins[1:]))
    with pytest.raises(InputError, match="leave"):
        classify(np.array([0.1]), np.array([STATE.close_time_ns or 0]) + HOUR, QUICK, wild)


@pytest.mark.parametrize(
    "change",
    [
        {"window": 1},
        {"window": 24.0},
        {"dwell": 0},
        {"min_bars": 0},
        {"min_bars": True},
        {"bins_per_octave": 0},
        {"bins_per_octave": 10**9},
        {"method": "garch"},
        {"cuts": (0.25, 0.75)},
        {"cuts": [0.25, 0.75, 0.95]},
        {"cuts": (0.75, 0.25, 0.95)},
        {"cuts": (0.25, 0.75, 0.99)},
        {"cuts": (0.25, 0.75, math.nan)},
        {"cuts": (0.25, 0.75, 1)},
        {"margins": (0.05, 0.2, 0.02)},
        {"margins": (-0.05, 0.05, 0.02)},
        {"margins": (0.25, 0.05, 0.02)},
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        RegimeDefinition(**change)
