"""Short replays of simulated bars, and all that they leave, for comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.replay.folder import ReplayFolder
from analysis.replay.nights import Replay
from brain.series.bars import Bars
from brain.series.past import PastBars
from brain.settings import Settings, load_settings
from engine.data.market_series import MarketReader, MarketSeries
from registry.library import BrainLibrary
from tests.engine.markets import market_of
from tests.engine.simulate import simulate

__all__ = ["EXPERIMENT", "MOMENTS", "SYMBOLS", "left", "market", "replay", "settings", "whole"]

SYMBOLS = ("AAA/USD", "BBB/USD")
EXPERIMENT = "short"
_DAYS = 52
#: The bars begin on 2020-01-01.
MOMENTS = list(pd.date_range("2020-02-16", periods=5, freq="1D", tz="UTC"))


def settings(**others: Any) -> Settings:
    """Three fits in the replay of :data:`MOMENTS`, at every second night."""
    brief = {
        "families": "lightgbm,xgboost", "trials": 1, "folds": 1, "seeds": 1, "jobs": 1,
        "refit": "2d", "columns": "mood", "exchanges": "binance,bybit,okx", "bars": "no-folder",
        "product": "perpetual", "cost_bps": 1, "explain_rows": 100, "drift_columns": 2,
    }  # fmt: skip
    return load_settings(brief | others)


def whole(symbol: str) -> Bars:
    """A symbol's hourly bars with the column ``mood``, which knows something of the next one."""
    number = SYMBOLS.index(symbol)
    simulation = simulate(24 * _DAYS, strength=0.5, seed=number + 5, symbol=symbol)
    noise = np.random.default_rng(number).normal(size=24 * _DAYS)
    bars = simulation.bars
    return replace(bars, frame=bars.frame.assign(mood=simulation.signal + noise))


def market(symbol: str) -> MarketSeries:
    """A symbol's funding and open interest on three exchanges."""
    return market_of(whole(symbol), SYMBOLS.index(symbol))


def replay(
    folder: Path,
    nights: int,
    *,
    bars: Mapping[str, Bars] | None = None,
    reader: MarketReader = market,
    **others: Any,
) -> tuple[BrainLibrary, list[dict[str, Any]]]:
    """Do the first nights of :data:`MOMENTS`, as many as are missing in the folder."""
    place, of_nights = ReplayFolder(folder), settings(**others)
    bars = bars or {symbol: whole(symbol) for symbol in SYMBOLS}
    past = PastBars(bars, of_nights.columns)
    with place.held():
        return Replay(place, of_nights, past, reader, EXPERIMENT).run(
            MOMENTS[:nights], lambda *_: None
        )


def left(library: BrainLibrary) -> dict[str, Any]:
    """All that nights decide, to the last digit: tables, champions, versions and their scores."""
    store = library.series
    tables = {kind: store.read(kind) for kind in ("shadows", "evidence", "contests")}
    champions = {
        (champion.symbol, champion.regime): {
            name: value
            for name, value in json.loads(champion.record.to_json()).items()
            if name != "digest"  # of files that name their run
        }
        for champion in library.champions()
    }
    versions = {}
    for key, lines in library.lines().items():
        for line in lines:
            for version in library.line_versions(key, line.id):
                run = library.client.get_run(version.run_id).data
                metrics = {k: v for k, v in run.metrics.items() if not k.startswith("seconds/")}
                said = (version.recipe, version.made, version.trained_until, version.refit)
                versions[version.id] = (*said, repr(metrics))
    aliases = {key: dict(library.model(key).aliases) for key in library.lines()}
    return {**tables, "champions": champions, "versions": versions, "aliases": aliases}
