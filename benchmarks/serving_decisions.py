"""From a bar's close to a decision: Hamilton, beside tutorials' way with a model in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.frame import Metric, Target, interleave
from benchmarks.serving_champions import fit_champion
from benchmarks.tutorial_hamilton import RECENT, TutorialHamilton
from brain.manifest import write_manifest
from brain.model_keys import ModelKey
from brain.naming import REGIMES, Family
from brain.records import CellRecord, Champion as CellChampion
from brain.series import Bars, read_folder, sample_folder
from engine.data.dataset import Dataset, make_dataset
from engine.data.market_series import MarketSeries
from serving import Hamilton, Limits

__all__ = ["decision_metrics"]

_SYMBOL, _HORIZON = "BTC/USD", 6
_LEAST = 20
#: Bars that are decided on in a run, ours and theirs.
_OURS, _THEIRS = 500, 60
_TOLERANCE = {Family.LIGHTGBM: 0.0, Family.XGBOOST: 0.0, Family.LSTM: 1e-6}


@dataclass(frozen=True)
class _Models:
    """One version, champion of every regime."""

    folder: Path
    dataset: Dataset
    family: Family

    def champions(
        self,
        symbol: str | ModelKey | None = None,
        *,
        timeframe: str | None = None,
        horizon: int | None = None,
    ) -> Sequence[CellChampion]:
        del symbol, timeframe, horizon
        until, digest = self.dataset.trained_until, write_manifest(self.folder)
        record = CellRecord(
            version=1, digest=digest, family=self.family, recipe="", trained_until=until,
            provisional=False, reason="", bars=None, episodes=None, decided=until,
        )  # fmt: skip
        key = self.dataset.key
        return [CellChampion(key.name, key, regime, 1, record) for regime in REGIMES]

    def files(self, model_id: str) -> Mapping[str, bytes]:
        del model_id
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}


def decision_metrics(
    folder: Path, runs: int, progress: Callable[[str], object]
) -> tuple[list[Metric], int]:
    """The microseconds of a decision by family and size, with a market too; and how many differ."""
    (bars,) = read_folder(sample_folder(), [_SYMBOL]).bars.values()
    needed = runs * _OURS + RECENT
    past = replace(bars, frame=bars.frame[: len(bars.frame) - needed])
    market = _market(bars)
    metrics, differ = [], 0
    plain, rich = (make_dataset(past, horizon=_HORIZON, market=m) for m in (None, market))
    cases = [(name, large, plain) for large in (False, True) for name in Family]
    for name, large, dataset in [*cases, (Family.LIGHTGBM, False, rich)]:
        with_market = dataset is rich
        place = folder / f"decisions-{name}-{large}-{with_market}"
        fit_champion(name, dataset, place, large=large)
        title = f"{name}{', largest' if large else ''}{', with a market' if with_market else ''}"
        case = _Case(place, dataset, name, bars, market if with_market else None)
        ours, theirs = interleave(case.ours, case.theirs, runs, partial(_say, progress, title))
        target = None if large else Target(_LEAST)
        metrics.append(Metric(f"{title}: bar to decision, p50", "µs", ours, theirs, target=target))
        differ += case.differ
    return metrics, differ


def _say(progress: Callable[[str], object], title: str, line: str) -> None:
    progress(f"{title}, {line}")


class _Case:
    def __init__(
        self,
        folder: Path,
        dataset: Dataset,
        name: Family,
        bars: Bars,
        market: MarketSeries | None,
    ) -> None:
        self.bars, self.name, self.differ = bars, name, 0
        models = _Models(folder, dataset, name)
        self.hamilton = Hamilton(
            models, [_SYMBOL], limits=Limits.off(), journal=folder.with_suffix(".journal")
        )
        rows: Any = None
        if market is not None:
            rows = (
                tuple(market.funding_rows().values()),
                tuple(market.open_interest_rows().values()),
            )
        self.tutorial = TutorialHamilton(folder, rows)
        self.market = _rows_by_bar(market, bars) if market is not None else {}
        self.first = len(dataset)
        self.at, self.their_at = count(self.first), self.first
        self.predictions: dict[int, float] = {}
        self.columns = bars.frame[["open", "high", "low", "close", "volume"]].to_numpy().tolist()
        self.closes = bars.close_time.as_unit("ns").asi8.tolist()

    def ours(self) -> float:
        """The median of one run's bars."""
        taken = []
        for _ in range(_OURS):
            row = next(self.at)
            for given in self.market.get(row, ()):
                self.hamilton.row(*given)
            (o, h, lo, c, v), close = self.columns[row], self.closes[row]
            begin = time.thread_time_ns()
            decision = self.hamilton.bar(_SYMBOL, o, h, lo, c, v, close)
            taken.append(time.thread_time_ns() - begin)
            self.predictions[row] = decision.prediction
        return float(np.median(taken)) / 1e3

    def theirs(self) -> float:
        """The median of some of the bars that ours has decided on."""
        taken = []
        for row in range(self.their_at, self.their_at + _THEIRS):
            recent = replace(self.bars, frame=self.bars.frame[: row + 1])
            begin = time.thread_time_ns()
            prediction, _ = self.tutorial.decide(recent)
            taken.append(time.thread_time_ns() - begin)
            far = abs(prediction - self.predictions[row]) > _TOLERANCE[self.name]
            self.differ += bool(far)
        self.their_at += _THEIRS
        return float(np.median(taken)) / 1e3


def _market(bars: Bars) -> MarketSeries:
    """Made-up settlements every eight hours, and open interest every hour."""
    rng = np.random.default_rng(1)
    times = bars.close_time
    funding = pd.DataFrame({"exchange": "binance", "time": times[::8]})
    funding = funding.assign(
        rate=rng.normal(1e-4, 5e-5, len(funding)), interval_hours=8.0, available=funding["time"]
    )
    interest = pd.DataFrame({"exchange": "binance", "time": times - bars.step})
    base = 1e4 * np.exp(np.cumsum(rng.normal(0.0, 0.01, len(interest))))
    interest = interest.assign(base=base, usd=np.nan, available=times)
    return MarketSeries(bars.symbol, funding, interest)


Given = tuple[str, str, str, int, int, dict[str, float]]


def _rows_by_bar(market: MarketSeries, bars: Bars) -> dict[int, list[Given]]:
    """The rows that are public at each bar's close, since the one before."""
    closes = bars.close_time.as_unit("ns").asi8
    rows: dict[int, list[Given]] = {}

    def add(kind: str, columns: Iterator[tuple[int, int, dict[str, float]]]) -> None:
        for at, available, values in columns:
            place = int(np.searchsorted(closes, available))
            rows.setdefault(place, []).append((kind, bars.symbol, "binance", at, available, values))

    (funding,) = market.funding_rows().values()
    (interest,) = market.open_interest_rows().values()
    add(
        "funding",
        (
            (int(t), int(a), {"rate": float(r), "interval_hours": float(h)})
            for t, a, r, h in zip(
                funding.time_ns, funding.available_ns, funding.rate, funding.interval_hours,
                strict=True,
            )
        ),
    )  # fmt: skip
    add(
        "open_interest",
        (
            (int(t), int(a), {"base": float(b)})
            for t, a, b in zip(interest.time_ns, interest.available_ns, interest.base, strict=True)
        ),
    )
    return rows
