"""The volatility regime of a bar, classified from that bar and the bars before it.

1. :func:`volatility`: Garman-Klass with Yang and Zhang's term for opening gaps, over a window.
2. Its percentile among all earlier bars' volatilities, from a histogram of their logarithms.
3. Three cuts divide the percentiles into low, normal, high and extreme; margins around the cuts
   (hysteresis) and a least stay (dwell) keep the regime from flickering. The step into extreme does
   not wait.

The memory between two bars is a few hundred counts. So a live executor without the history
classifies the present exactly as training does: the definition and the state travel as small JSON
with the models, and :func:`catch_up` goes on from there. One pass or any number of resumed ones
give the same codes and the same state.

A kernel on NumPy arrays. Codes are int8 positions in :data:`brain.naming.REGIMES`, -1 is unknown.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from brain.errors import InputError, NotEnoughBarsError
from brain.naming import REGIMES, Regime
from brain.text import duration, moment
from engine.kernels.columns import Floats, Times, check_shapes, valid_prices
from engine.kernels.regime_state import SESSIONS, UNKNOWN, RegimeDefinition, RegimeState
from engine.kernels.windows import lag, positive_log, rolling_mean

__all__ = ["OCTAVES", "Codes", "catch_up", "classify", "following", "volatility"]

Codes = NDArray[np.int8]

_EXTREME = REGIMES.index(Regime.EXTREME)
#: The histogram reaches from 2**-64 to 2**64; a constant price's volatility, 0, counts at its foot.
OCTAVES = 64.0


def volatility(open_: Floats, high: Floats, low: Floats, close: Floats, window: int) -> Floats:
    """Volatility of one bar's log return, from the last ``window`` bars, (N,).

    ``sqrt(mean(½ ln(H/L)² - (2 ln 2 - 1) ln(C/O)²) + mean(gap²))`` with ``gap = ln(O/C₋₁)``:
    Garman and Klass (1980), "On the Estimation of Security Price Volatilities from Historical
    Data", and the opening gap as in Yang and Zhang (2000), "Drift-Independent Volatility
    Estimation". Where bars open at the last close, as in markets that never close, the gap is
    zero and this is plain Garman-Klass.

    Args:
        open_, high, low, close: (N,) prices on the full time grid; a bar without four positive
            numbers is missing.
        window: bars, the current one included. The first gap needs one bar more.

    Returns:
        (N,), at least 0. NaN unless half of the window's bars, and half of its gaps, are there.
    """
    valid = valid_prices(open_, high, low, close)
    o, h, lo, c = (positive_log(np.where(valid, x, np.nan)) for x in (open_, high, low, close))
    within = 0.5 * (h - lo) ** 2 - (2.0 * math.log(2.0) - 1.0) * (c - o) ** 2
    gap = o - lag(c, 1)
    variance = rolling_mean(within, window) + rolling_mean(gap**2, window)
    # Below zero only if a bar's open or close lies outside its high and low: no variance at all.
    valid = variance >= 0.0
    root: Floats = np.where(valid, np.sqrt(np.where(valid, variance, 0.0)), np.nan)
    return root


def classify(
    volatility: Floats,
    close_time_ns: Times,
    definition: RegimeDefinition,
    state: RegimeState | None = None,
    *,
    sessions: bool = False,
) -> tuple[Codes, RegimeState]:
    """Classify consecutive bars; with a state, go on after its last bar.

    A bar's percentile is the share of *earlier* volatilities below its own, linear within the
    histogram's bin; only then is the bar counted. A bar is -1 while fewer than
    ``definition.min_bars`` are counted, and where its volatility is NaN: that bar is not counted,
    and the regime, with its dwell, waits for the next bar with a volatility.

    Args:
        volatility: (N,), at least 0; NaN is unknown.
        close_time_ns: (N,) closes of the bars, nanoseconds since 1970 UTC, equally spaced unless
            the market has sessions.
        definition: what the regimes are.
        state: as an earlier call returned it; None starts afresh.
        sessions: whether the market closes between bars, so that they are only in order; a state
            knows that itself.

    Returns:
        The (N,) codes, and the state after the last bar.

    Raises:
        InputError: a volatility is negative or infinite; the times have gaps, or don't go on from
            the state's; the state was made by another definition.
    """
    state = state or RegimeState.start(definition, sessions=sessions)
    step_ns = _check(volatility, close_time_ns, definition, state)
    bins, within = _positions(volatility, definition)
    lowest, counts = _counts(bins, state)
    codes = np.full(len(volatility), UNKNOWN, dtype=np.int8)
    regime, stay, n = state.regime, state.bars_in_regime, state.n
    for t, at, share in zip(
        np.flatnonzero(~np.isnan(volatility)),
        (bins - lowest).tolist(),
        within,
        strict=True,
    ):
        if n >= definition.min_bars:
            below = int(counts[:at].sum()) + float(share) * int(counts[at])
            new = following(regime, stay, below / n, definition)
            stay = stay + 1 if new == regime else 1
            regime = codes[t] = new
        counts[at] += 1
        n += 1
    filled = np.flatnonzero(counts)
    return codes, RegimeState(
        definition_id=definition.id,
        bins=tuple((filled + lowest).tolist()),
        counts=tuple(counts[filled].tolist()),
        regime=regime,
        bars_in_regime=stay,
        code=int(codes[-1]) if len(codes) else state.code,
        close_time_ns=int(close_time_ns[-1]) if len(codes) else state.close_time_ns,
        step_ns=step_ns,
    )


def catch_up(
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    close_time_ns: Times,
    definition: RegimeDefinition,
    state: RegimeState,
) -> tuple[Codes, RegimeState]:
    """Classify the bars after the state's last one, from an executor's recent bars.

    The present regime is the returned state's ``code``. The next call may start from the state that
    is stored with the models or from the returned one, with the same answer.

    Args:
        open_, high, low, close: (N,) prices on the full time grid, up to the present.
        close_time_ns: (N,) their closes. ``definition.window`` bars up to and including the
            state's last one must be among them.
        definition, state: as stored with the models.

    Returns:
        The codes of the bars after the state's last one, oldest first (none if it is the last
        bar), and the state after the last bar.

    Raises:
        NotEnoughBarsError: the bars don't reach back far enough; the message says how many are
            needed.
        InputError: the state is newer than the bars or lies between them, or see :func:`classify`.
    """
    last = state.close_time_ns
    if last is None:
        raise InputError(
            "the state has seen no bar yet; classify the history with classify() first"
        )
    check_shapes(close_time_ns, open=open_, high=high, low=low, close=close)
    if not len(close_time_ns):
        raise NotEnoughBarsError(f"no bars were given; give at least {definition.window}")
    step_ns = _check_steps(np.diff(close_time_ns), state.step_ns)
    present = int(close_time_ns[-1])
    if last > present:
        raise InputError(
            f"the state's last bar closes at {moment(last)}, after the newest bar given, "
            f"{moment(present)}; "
            "give newer bars or an older state"
        )
    at = int(np.searchsorted(close_time_ns, last))
    if at < definition.window - 1:
        needed = f"the {definition.window} bars up to that one"
        if step_ns:
            needed = f"the last {definition.window + (present - last) // step_ns} bars"
        raise NotEnoughBarsError(
            f"{len(close_time_ns)} bars are too few to go on from the state's last bar, which "
            f"closes at {moment(last)}; give {needed} or a newer state"
        )
    if close_time_ns[at] != last:
        raise InputError(
            f"the state's last bar, closing at {moment(last)}, is not among the bars given; "
            "give bars on the grid that the state was made on"
        )
    recent = volatility(open_, high, low, close, definition.window)
    return classify(recent[at + 1 :], close_time_ns[at + 1 :], definition, state)


def following(regime: int, stay: int, percentile: float, definition: RegimeDefinition) -> int:
    """The regime after a bar at that percentile.

    Args:
        regime: before the bar; -1 is unknown.
        stay: bars that it has lasted.
        percentile: 0 to 1, of the bar's volatility among the earlier ones.
        definition: of the regimes.
    """
    cuts = definition.cuts
    if regime == UNKNOWN:
        return sum(percentile >= level for level in cuts)
    bands = list(zip(cuts, definition.margins, strict=True))
    floor = sum(percentile >= level + margin for level, margin in bands)
    ceiling = sum(percentile >= level - margin for level, margin in bands)
    # Margins never overlap, so floor <= ceiling: between them the regime stays.
    candidate = min(max(regime, floor), ceiling)
    if candidate != regime and stay < definition.dwell and candidate != _EXTREME:
        return regime
    return candidate


def _positions(volatility: Floats, definition: RegimeDefinition) -> tuple[Times, Floats]:
    """The histogram's bin of every volatility that is no NaN, and its share of the bin (0 to 1)."""
    values = volatility[~np.isnan(volatility)]
    octave = np.where(values > 0.0, np.log2(np.where(values > 0.0, values, 1.0)), -OCTAVES)
    position = np.clip(octave, -OCTAVES, OCTAVES) * definition.bins_per_octave
    bins = np.floor(position)
    return bins.astype(np.int64), position - bins


def _counts(bins: Times, state: RegimeState) -> tuple[int, Times]:
    """The lowest bin of the state and of these bars, and the state's counts from there upwards."""
    filled = np.array(state.bins, dtype=np.int64)
    union = np.concatenate([filled, bins])
    lowest = int(union.min()) if len(union) else 0
    counts = np.zeros(int(union.max()) - lowest + 1 if len(union) else 1, dtype=np.int64)
    counts[filled - lowest] = state.counts
    return lowest, counts


def _check(
    volatility: Floats,
    close_time_ns: Times,
    definition: RegimeDefinition,
    state: RegimeState,
) -> int | None:
    """The bars' length; None before the second bar.

    Raises:
        InputError: see :func:`classify`.
    """
    if state.definition_id != definition.id:
        raise InputError(
            f"the state was made by definition {state.definition_id}, not by {definition.id}; "
            "give the definition that was stored with it"
        )
    check_shapes(close_time_ns, volatility=volatility)
    if impossible := volatility[(volatility < 0.0) | np.isinf(volatility)].tolist():
        raise InputError(f"volatility {impossible[0]} is impossible; write NaN where it is unknown")
    edge = int(OCTAVES) * definition.bins_per_octave
    if state.bins and (state.bins[0] < -edge or state.bins[-1] > edge):
        raise InputError(
            f"the state's bins {state.bins[0]} to {state.bins[-1]} leave {-edge} to {edge}; "
            "give a state that classify() returned"
        )
    last = [] if state.close_time_ns is None else [state.close_time_ns]
    times = np.concatenate([np.array(last, dtype=np.int64), close_time_ns])
    return _check_steps(np.diff(times), state.step_ns)


def _check_steps(steps: Times, expected: int | None) -> int | None:
    """The bars' length; None without a step and an expectation.

    Raises:
        InputError: the steps differ, or aren't positive; in a market with sessions (0 is expected)
            they may differ.
    """
    if expected == SESSIONS:
        if (steps <= 0).any():
            raise InputError("the bars' closes are not in the order of time; sort the bars")
        return expected
    step = expected if expected is not None else int(steps[0]) if len(steps) else None
    if step is not None and (step <= 0 or (steps != step).any()):
        lengths = ", ".join(duration(length) for length in sorted(set(steps.tolist()))[:5])
        raise InputError(
            f"bars close {lengths} apart, expected {duration(step) if step > 0 else 'later ones'}; "
            "give consecutive bars on the full time grid, with NaN where one is missing"
        )
    return step
