"""Hamilton in small: the regime of the last bars, its champion, a prediction, a position.

    python -m examples.hamilton ETH/USD --using ETH-USD.1d.6/1

A live executor does this at every bar's close. Where anything is unknown the position is flat, with
the reason. MLFLOW_TRACKING_URI names the Brain Library; make nightly fills it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

from brain import (
    BrainError,
    InputError,
    NoChampionError,
    Regime,
    Selection,
    own_columns,
    position_size,
)
from brain.artifacts import POSITION, RECIPE, REGIMES
from brain.manifest import check_folder
from brain.model_keys import ModelKey
from brain.naming import REGIMES as ALL_REGIMES
from brain.series import Bars, read_folder, sample_folder
from engine import kernels
from registry import BrainLibrary, ModelSelector, load_settings

# Bars for the features' look-back, a model's own, and those since last night.
RECENT = kernels.LOOK_BACK + 512


def recent_bars(
    symbol: str, folder: Path, timeframe: str | None = None, own: Sequence[str] = ()
) -> Bars:
    """The symbol's last bars with own columns; "now" is the close of the last one."""
    calendars = load_settings().calendar
    bar_set = read_folder(folder, [symbol], calendars, own, timeframe=timeframe)
    for failure in bar_set.failures:
        raise failure.error
    (bars,) = bar_set.bars.values()
    return replace(bars, frame=bars.frame.tail(RECENT))


def model_key(library: BrainLibrary, bars: Bars, horizon: int | None = None) -> ModelKey:
    """What the models of these bars are of: a model of other bars is of no use on them."""
    return library.model(bars.symbol, timeframe=bars.timeframe, horizon=horizon).key


def present_regime(library: BrainLibrary, key: ModelKey, bars: Bars) -> Regime | None:
    """The last bar's regime, from the state at the end of the newest champion's training on."""
    records = [champion.record for champion in library.champions(key)]
    newest = max((r for r in records if r.regimes), key=lambda r: r.trained_until, default=None)
    if newest is None:  # without a champion, or where aliases were moved by hand
        which = " that tells its regimes" if records else ""
        raise NoChampionError(f"{key} has no champion{which}; run the nightly job for it")
    calendar = newest.regimes.get("calendar", bars.calendar)
    if calendar != bars.calendar:
        raise InputError(f"{key} is of calendar {calendar}; set BRAIN_CALENDAR={calendar}")
    definition = kernels.RegimeDefinition.from_json(json.dumps(newest.regimes["definition"]))
    state = kernels.RegimeState.from_json(json.dumps(newest.regimes["state"]))
    open_, high, low, close, _, times = columns(bars)
    return kernels.catch_up(open_, high, low, close, times, definition, state)[1].present


def columns(bars: Bars) -> tuple[np.ndarray, ...]:
    """Open, high, low, close and volume of every bar, and its close in nanoseconds since 1970."""
    values = bars.frame[["open", "high", "low", "close", "volume"]].to_numpy().T
    return (*values, bars.close_time.as_unit("ns").asi8)


def verified_folder(library: BrainLibrary, selection: Selection, models: Path) -> Path:
    """The version's files, downloaded once and checked always, before anything reads them."""
    folder = models / selection.digest
    if not folder.exists():
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=models) as scratch:
            version = library.version_of(selection.model_id)
            library.fetch(version, Path(scratch)).rename(folder)
    check_folder(folder, selection.digest)
    return folder


def predict(folder: Path, bars: Bars, files: Path) -> np.ndarray:
    """The prediction at the last bar's close, (1,); NaN is unknown."""
    model = mlflow.pyfunc.load_model(str(folder))
    own = list(own_columns(json.loads((folder / RECIPE).read_text())["feature_set"]))
    rows = pd.DataFrame(kernels.bar_features(*columns(bars)), bars.frame.index, kernels.FEATURES)
    # The model's own columns of the files are joined; features of other data than bars are missing.
    rows = rows.join(recent_bars(bars.symbol, files, bars.timeframe, own).frame[own])
    rows = rows.reindex(columns=model.metadata.signature.inputs.input_names())
    return np.asarray(model.predict(rows), dtype=np.float64).reshape(-1)[-1:]


def decide(library: BrainLibrary, bars: Bars, options: argparse.Namespace) -> tuple[float, str]:
    """The position from now on, between -limit and limit, and the reason."""
    key = model_key(library, bars, options.horizon)
    regime = present_regime(library, key, bars)
    print(f"{key} at {bars.close_time[-1]}: regime {regime or 'unknown'}")
    if regime is None:
        return 0.0, "the regime is unknown"
    selector = ModelSelector(library)
    champion = selector.select_model_for_symbol(key, regime)
    print(f"champion {champion.model_id} ({champion.family}, {champion.uri}): {champion.reason}")
    if options.using:
        advice = selector.should_switch_model(key, options.using, regime)
        print(f"{f'switch to {advice.to}' if advice.switch else 'no switch'}: {advice.reason}")
    folder = verified_folder(library, champion, options.models)
    rule = kernels.PositionRule.from_json((folder / POSITION).read_text())
    definition = json.loads((folder / REGIMES).read_text())["definition"]
    open_, high, low, close, _, _ = columns(bars)
    volatility = kernels.volatility(open_, high, low, close, definition["window"])[-1:]
    prediction, code = predict(folder, bars, options.bars), np.array([ALL_REGIMES.index(regime)])
    gain = rule.gain(prediction, volatility, code)
    print(f"prediction {prediction[0]:+.4f} in units of volatility, {gain[0]:+.1f} bp expected")
    at = rule.fill.describe(bars.timeframe)
    print(f"a position needs {rule.threshold:.1f} bp, and is {at} and held for {rule.horizon} bars")
    if np.isnan(gain[0]):
        return 0.0, "the expected gain is unknown"
    confidence = champion.confidence
    probability = "" if confidence.probability is None else f"{confidence.probability:.2f}, "
    direction = float(rule.decide(prediction, volatility, code)[0])
    if direction == 0.0:
        return 0.0, "it is not expected to be worth its cost"
    position = direction * position_size(confidence, options.limit)
    return position, f"confidence {probability}{confidence.reason}"


def main() -> int:
    """Decide once. After one of our own errors there is no position, and the exit code is 2."""
    parser = argparse.ArgumentParser(description="One decision of a live executor.")
    add = parser.add_argument
    add("symbol", help="as in BTC/USD")
    add("--bars", type=Path, default=sample_folder(), help="folder of files of bars")
    add("--timeframe", help="of the bars, where the folder has several: 4h")
    add("--horizon", type=int, help="of the model, where there are several: bars ahead")
    add("--models", type=Path, default=Path.home() / ".cache/hamilton", help="downloads")
    add("--limit", type=float, default=0.1, help="largest position, a share of a slot's capital")
    add("--using", metavar="MODEL_ID", help="the model in use, for example BTC-USD.1h.6/1")
    options = parser.parse_args()
    try:
        library = BrainLibrary(load_settings().tracking_uri)
        bars = recent_bars(options.symbol, options.bars, options.timeframe)
        position, reason = decide(library, bars, options)
    except BrainError as error:
        print("flat, by an error:", error, file=sys.stderr)
        return 2
    print(f"position {position:+.4f}: {reason}" if position else f"flat: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
