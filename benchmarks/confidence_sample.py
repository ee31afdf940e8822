"""The next block's sign on the packaged sample, forecast from the nights before it.

Walk-forwards of the default recipes, whose nights are those that a contest freezes. Every 60 days
the posteriors are those of the nights until then, and the block that follows answers them. The
position rule holds little on these bars, so the same predictions are judged as signs too, always in
the market.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.choice_bars import sample_series
from brain.confidence import BLOCK_DAYS, Posterior
from brain.naming import REGIMES, Family
from engine.data.dataset import Dataset, make_dataset
from engine.evaluation.nights import NightTable, night_evidence
from engine.evaluation.trading import always_in, trading_of
from engine.evaluation.walk_forward import TrainingPlan
from engine.night.training import Task, TrainingResult, train
from registry.promotion.cell_posteriors import cell_posteriors
from registry.promotion.history import History

__all__ = ["RULE", "SIGNS", "Block", "blocks", "calibrated_outcomes", "sample_histories"]

Floats = NDArray[np.float64]

#: What is held: by the position rule, or by the sign of every prediction.
RULE, SIGNS = "the position rule", "the sign of every prediction"

_FOLDS, _HORIZON = 20, 6
_ARRAYS = ("profit", "turnover", "missing", "tried", "bars", "live", "stored")
_Tables = dict[tuple[str, str], NightTable]


@dataclass(frozen=True)
class Block:
    """The cells that held anything in a block, (C,).

    Attributes:
        posteriors: from the nights before.
        gained: whether the block did; one that held nothing is no answer.
        alike: (C, C) correlation of their profits, over all nights.
    """

    posteriors: tuple[Posterior, ...]
    gained: Floats
    alike: Floats


def sample_histories(families: Iterable[Family]) -> dict[str, list[History]]:
    """The evidence of the sample by what is held, one history a timeframe.

    Raises:
        BrainError: a series can't be read or a model can't be fitted.
    """
    tables: dict[tuple[str, str], _Tables] = {}
    plan, names = TrainingPlan(folds=_FOLDS, trials=1), list(families)
    for series in sample_series():
        dataset = make_dataset(series.bars, horizon=_HORIZON)
        for family in names:
            with tempfile.TemporaryDirectory() as folder:
                result = train(Task(dataset, family, None, plan, Path(folder) / "model"))
            for held, nights in ((RULE, result.nights), (SIGNS, _signs(dataset, result))):
                of_timeframe = tables.setdefault((held, dataset.timeframe), {})
                of_timeframe[dataset.symbol, str(family)] = nights
    histories: dict[str, list[History]] = {}
    for (held, _), of_timeframe in tables.items():
        histories.setdefault(held, []).append(history_of_tables(of_timeframe))
    return histories


def _signs(dataset: Dataset, result: TrainingResult) -> NightTable:
    """The same nights, always in the market."""
    trading, position = trading_of(dataset, result.decisions.cost), always_in(result.prediction)
    table = night_evidence(
        result.prediction, position, trading, dataset.volatility, dataset.close_ns
    )
    return table.nights(np.isin(table.days, result.nights.days))


def history_of_tables(tables: Mapping[tuple[str, str], NightTable]) -> History:
    """A history of live nights.

    Args:
        tables: by symbol and line.
    """
    symbols, lines = (tuple(sorted({key[axis] for key in tables})) for axis in (0, 1))
    first = min(int(table.days[0]) for table in tables.values())
    last = max(int(table.days[-1]) for table in tables.values())
    shape = (last - first + 1, len(symbols), len(REGIMES), len(lines))
    arrays = {name: np.full(shape, np.nan) for name in ("profit", "turnover", "missing", "bars")}
    for (symbol, line), table in tables.items():
        i, k, rows = symbols.index(symbol), lines.index(line), table.days - first
        for name, array in arrays.items():
            values = np.asarray(getattr(table, name), dtype=float)
            array[rows, i, :, k] = values if values.ndim == 2 else values[:, None]
    tried, live = np.ones(shape), np.ones(shape, dtype=bool)
    stored = np.zeros(shape, dtype=np.int64)
    return History(first, symbols, lines, tried=tried, live=live, stored=stored, **arrays)


def blocks(history: History) -> Iterator[Block]:
    """Block after block, those in which any cell held anything."""
    names = [
        (symbol, str(regime), line)
        for symbol in history.symbols
        for regime in REGIMES
        for line in history.lines
    ]
    profit = np.nan_to_num(history.profit).reshape(len(history.profit), -1)
    length = np.sqrt((profit**2).sum(axis=0))
    units = profit / np.where(length > 0.0, length, 1.0)
    for start in range(BLOCK_DAYS, len(profit) - BLOCK_DAYS + 1, BLOCK_DAYS):
        until = {name: getattr(history, name)[:start] for name in _ARRAYS}
        found = cell_posteriors(replace(history, **until)).cells
        total = profit[start : start + BLOCK_DAYS].sum(axis=0)
        cells = [c for c, name in enumerate(names) if name in found and total[c] != 0.0]
        if cells:
            yield Block(
                tuple(found[names[c]] for c in cells),
                (total[cells] > 0.0).astype(float),
                units[:, cells].T @ units[:, cells],
            )


def calibrated_outcomes(block: Block, probabilities: Floats, rng: np.random.Generator) -> Floats:
    """What might have come of a block where forecasts are right.

    Cells are as alike as their nights (a Gaussian copula).

    Args:
        block: whose cells are forecast.
        probabilities: (C,) that they gain.
        rng: of the draw.
    """
    values, vectors = np.linalg.eigh(block.alike)
    draws = (vectors * np.sqrt(np.maximum(values, 0.0))) @ rng.standard_normal(len(values))
    return (draws < ndtri(np.clip(probabilities, 1e-12, 1.0 - 1e-12))).astype(float)
