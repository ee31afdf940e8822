"""Evidence that begins with bars: simulated hours, predictions, the position rule, and a contest.

Hourly bars of an autoregressive log volatility and Student's t shocks with 3 degrees of freedom,
common to all symbols in part; a line's predictions are noise that lasts some bars, part of it
common to all lines, and with an edge a little of the return to come. All else is the library's own:
regimes, fills, slots, costs, the evidence of nights, and the contest that adds night by night.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from benchmarks.promotion_cases import JUDGED, NIGHTS
from brain.naming import Fill
from engine.evaluation.nights import night_evidence
from engine.evaluation.trading import Trading
from engine.kernels.fills import fill_prices
from engine.kernels.position import PositionRule
from engine.kernels.regime_state import RegimeDefinition
from engine.kernels.regimes import classify, volatility
from engine.kernels.targets import forward_return
from registry.promotion.contest import Contest
from registry.promotion.decisions import Outcome
from registry.promotion.groups import Groups

__all__ = ["BarCase", "BarResult", "bar_cases", "measure_bars"]

Floats = NDArray[np.float64]

_HOUR_NS = 3_600_000_000_000
_HORIZON = 6
_WARM_UP = 20  # days, for the regimes
_STEPS = 4  # prices in an hour
_LINES = 3
_MEMORY = 0.95 ** (1 / 24)  # of log volatility, an hour, as in the simulated nights
_SPREAD = 0.5
_COMMON = 0.65  # of the variance, to all symbols
_LASTING = 0.7  # of a prediction, from bar to bar
_ALIKE = 0.85  # of the variance of lines' predictions
_RULE = PositionRule(_HORIZON, slope=0.1, slopes={}, cost=2.0, threshold=4.0, fill=Fill.WORKED)


@dataclass(frozen=True)
class BarCase:
    """A market of bars.

    Attributes:
        name: unique; it is part of the seed.
        skill: correlation of line 1's own prediction with the return to come, beyond the others'.
        symbols: of a path.
    """

    name: str
    skill: float
    symbols: int = 10


@dataclass(frozen=True)
class BarResult:
    """What the paths of a case came to.

    Attributes:
        case: the case.
        wrong: share of paths with any promotion, or with an edge of a line without one.
        power: share of paths in which line 1 was promoted.
        paths: their number.
        edge: mean annual Sharpe ratio of a symbol's difference of line 1 and the champion, in units
            of the champion's deviation.
        lines, symbols: mean correlation of nightly profits.
    """

    case: BarCase
    wrong: float
    power: float
    paths: int
    edge: float
    lines: float
    symbols: float


def bar_cases() -> Iterator[BarCase]:
    """Without an edge, and with one."""
    yield BarCase("10 symbols from bars, no edge", 0.0)
    yield BarCase("10 symbols from bars, an edge", _SKILL)


# About +2 a year, measured on other seeds than those that judge; each run tells its own edge.
_SKILL = 0.047


def measure_bars(case: BarCase, paths: int) -> BarResult:
    """Put the two challengers of so many paths on trial."""
    wrong, power, figures = 0, 0, []
    for path in range(paths):
        rng = np.random.default_rng([JUDGED, crc32(case.name.encode()), path])
        days, values = _evidence(case, rng)
        promoted = _promoted(case, days, values)
        wrong += bool(promoted - ({"line 1"} if case.skill else set()))
        power += "line 1" in promoted
        figures.append(_figures(values))
    edge, lines, symbols = np.mean(figures, axis=0)
    return BarResult(case, wrong / paths, power / paths, paths, edge, lines, symbols)


def _evidence(case: BarCase, rng: np.random.Generator) -> tuple[NDArray[np.int64], Floats]:
    """The nights of a path: their numbers, and (nights, symbols, regimes, lines)."""
    hours = 24 * (_WARM_UP + NIGHTS)
    shocks = _common(rng, hours)
    symbols = [_symbol(case, rng, shocks, k) for k in range(case.symbols)]
    days = np.arange(_WARM_UP, _WARM_UP + NIGHTS)
    return days, np.stack(symbols, axis=1)


def _bars(
    rng: np.random.Generator, hours: int, common: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Open, high, low and close of hours without a gap.

    Args:
        rng: of the symbol's own draws.
        hours: number of bars.
        common: (hours, steps + 2) of all symbols: draws of prices, of the log volatility, and the
            hour's scale, one for all symbols, so that pooling doesn't take the tails away.
    """
    own = rng.standard_normal((hours, _STEPS + 1))
    draws = math.sqrt(_COMMON) * common[:, :-1] + math.sqrt(1.0 - _COMMON) * own
    level = _lasting(draws[:, -1], _MEMORY)
    scale = 0.003 * np.exp(_SPREAD * level) * common[:, -1] / math.sqrt(_STEPS)
    prices = 100.0 * np.exp(np.cumsum(scale[:, None] * draws[:, :-1])).reshape(hours, _STEPS)
    open_ = np.concatenate([[100.0], prices[:-1, -1]])
    high, low = (f(open_, edge) for f, edge in ((np.maximum, prices.max(1)),
                                                (np.minimum, prices.min(1))))  # fmt: skip
    return open_, high, low, prices[:, -1]


def _common(rng: np.random.Generator, hours: int) -> tuple[Floats, Floats]:
    """What symbols share: shocks of prices, and of each line's predictions."""
    tails = np.sqrt(1.0 / rng.chisquare(3, (hours, 1)))
    shocks = np.hstack([rng.standard_normal((hours, _STEPS + 1)), tails])
    return shocks, rng.standard_normal((_LINES + 1, hours))


def _symbol(
    case: BarCase, rng: np.random.Generator, shocks: tuple[Floats, Floats], number: int
) -> Floats:
    """A symbol's evidence of all lines, (nights, regimes, lines)."""
    hours = len(shocks[0])
    open_, high, low, close = _bars(rng, hours, shocks[0])
    close_ns = _HOUR_NS * np.arange(1, hours + 1)
    definition = RegimeDefinition()
    known = volatility(open_, high, low, close, definition.window)
    regimes, _ = classify(known, close_ns, definition)
    fill = fill_prices(open_, high, low, close, Fill.WORKED)
    trading = Trading(close, fill, regimes, _HORIZON, _RULE.cost / 1e4, 8766.0)
    ahead = forward_return(fill, _HORIZON) / (known * math.sqrt(_HORIZON))
    lines = []
    for prediction in _predictions(case, rng, shocks[1], np.clip(np.nan_to_num(ahead), -2.0, 2.0)):
        prediction[: 24 * _WARM_UP] = np.nan
        position = _RULE.decide(prediction, known, regimes)
        table = night_evidence(prediction, position, trading, known, close_ns)
        lines.append(table.profit[_WARM_UP:])
    return np.stack(lines, axis=-1)


def _predictions(
    case: BarCase, rng: np.random.Generator, common: Floats, ahead: Floats
) -> Iterator[Floats]:
    """Each line's, (hours,), of unit variance."""
    own = rng.standard_normal(common.shape)
    draws = math.sqrt(_COMMON) * common + math.sqrt(1.0 - _COMMON) * own
    noise = np.array([_lasting(draw, _LASTING) for draw in draws])
    for line in range(_LINES):
        prediction = math.sqrt(_ALIKE) * noise[-1] + math.sqrt(1.0 - _ALIKE) * noise[line]
        yield prediction + (case.skill * ahead if line == 1 else 0.0)


def _lasting(draws: Floats, memory: float) -> Floats:
    """An autoregression of unit variance, (N,)."""
    from scipy.signal import lfilter

    inputs = draws * math.sqrt(1.0 - memory**2)
    inputs[0] = draws[0]
    return np.asarray(lfilter([1.0], [1.0, -memory], inputs))


def _promoted(case: BarCase, days: NDArray[np.int64], values: Floats) -> set[str]:
    """The lines that are promoted in a path."""
    groups = Groups(tuple(f"S{k}" for k in range(case.symbols)))
    names = tuple(f"line {k}" for k in range(_LINES))
    champions = np.zeros((case.symbols, values.shape[2]), dtype=np.int64)
    contest = Contest(groups, names, champions, int(days[0]) - 1).start(names[1:])
    _, decisions, _ = contest.add_all(days.tolist(), values)
    return {d.line for d in decisions if d.outcome is Outcome.PROMOTED}


def _figures(values: Floats) -> tuple[float, float, float]:
    """Edge, and correlations of lines and of symbols, of the nights' sums over regimes."""
    nights = np.nansum(values, axis=2)  # (nights, symbols, lines)
    champion, challenger = nights[..., 0], nights[..., 1]
    edge = (challenger - champion).mean() / champion.std() * math.sqrt(365.0)
    pairs = [np.corrcoef(champion[:, k], challenger[:, k])[0, 1] for k in range(nights.shape[1])]
    across = np.corrcoef(champion, rowvar=False)
    others = across[~np.eye(len(across), dtype=bool)]
    return float(edge), float(np.mean(pairs)), float(others.mean())
