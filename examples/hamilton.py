"""Hamilton in small: the regime of the last bars, its champion, a prediction, a position.

    python -m examples.hamilton ETH/USD --using ETH-USD/1

A live executor does this at every bar's close. Where anything is unknown it stays flat and says
why. MLFLOW_TRACKING_URI names the Brain Library; make nightly fills it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np

from brain import BrainError, NoChampionError, Regime, Selection, position_size
from brain.manifest import check_folder
from brain.series import Bars, read_folder, sample_folder
from engine.data.frames import feature_frame
from engine.kernels.features import LOOK_BACK
from engine.kernels.regimes import RegimeDefinition, RegimeState, catch_up
from registry import BrainLibrary, ModelSelector, load_settings

RECENT = LOOK_BACK + 512  # the features' look-back, a model's own, the bars since last night


def recent_bars(symbol: str, folder: Path) -> Bars:
    """The symbol's last bars; "now" is the close of the last one."""
    read = read_folder(folder, [symbol])
    for failure in read.failures:
        raise failure.error
    (bars,) = read.bars.values()
    return replace(bars, frame=bars.frame.tail(RECENT))


def present_regime(library: BrainLibrary, bars: Bars) -> Regime | None:
    """The last bar's regime, told on from where the newest champion's training stopped."""
    records = [c.record for c in library.champions() if c.symbol == bars.symbol]
    if not (known := [r for r in records if r.regimes]):  # where an alias was moved by hand
        which = " that tells its regimes" if records else ""
        raise NoChampionError(f"{bars.symbol} has no champion{which}; run the nightly job for it")
    stored = max(known, key=lambda record: record.trained_until).regimes
    o, h, lo, c = bars.frame[["open", "high", "low", "close"]].to_numpy().T
    definition = RegimeDefinition.from_json(json.dumps(stored["definition"]))
    state = RegimeState.from_json(json.dumps(stored["state"]))
    return catch_up(o, h, lo, c, bars.close_time.as_unit("ns").asi8, definition, state)[1].present


def predict(library: BrainLibrary, selection: Selection, bars: Bars, models: Path) -> float:
    """The prediction at the last bar's close; NaN is unknown. A version is downloaded once."""
    folder = models / selection.digest
    if not folder.exists():
        models.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=models) as scratch:
            version = library.version(selection.symbol, selection.version)
            library.fetch(version, Path(scratch)).rename(folder)
    check_folder(folder, selection.digest)  # always, before anything reads the files
    model = mlflow.pyfunc.load_model(str(folder))
    rows = feature_frame(bars).reindex(columns=model.metadata.signature.inputs.input_names())
    return float(np.asarray(model.predict(rows)).reshape(-1)[-1])  # what bars don't tell is NaN


def decide(library: BrainLibrary, bars: Bars, options: argparse.Namespace) -> tuple[float, str]:
    """The position to hold now, from -limit to limit, and why."""
    regime = present_regime(library, bars)
    print(f"{bars.symbol} at {bars.close_time[-1]}: regime {regime or 'unknown'}")
    if regime is None:
        return 0.0, "the regime is unknown"
    selector = ModelSelector(library)
    chosen = selector.select_model_for_symbol(bars.symbol, regime)
    print(f"champion {chosen.model_id} ({chosen.family}, {chosen.uri}): {chosen.reason}")
    if options.using:
        advice = selector.should_switch_model(bars.symbol, options.using, regime)
        print(f"{f'switch to {advice.to}' if advice.switch else 'no switch'}: {advice.reason}")
    prediction = predict(library, chosen, bars, options.models)
    print(f"prediction {prediction:+.4f}, in units of the volatility to expect")
    if np.isnan(prediction):
        return 0.0, "the prediction is unknown"
    sure = chosen.confidence
    known = "" if sure.probability is None else f"{sure.probability:.2f}, "
    position = float(np.sign(prediction)) * position_size(sure, options.limit)
    return position, f"confidence {known}{sure.reason}"


def main() -> int:
    """Decide once. With a fault that we know the position is none and the exit code 2."""
    parser = argparse.ArgumentParser(description="One decision of a live executor.")
    add = parser.add_argument
    add("symbol", help="as in BTC/USD")
    add("--bars", type=Path, default=sample_folder(), help="folder of files of bars")
    add("--models", type=Path, default=Path.home() / ".cache/hamilton", help="downloads")
    add("--limit", type=float, default=0.1, help="largest position, a share of the capital")
    add("--using", metavar="MODEL_ID", help="the model in use, for example BTC-USD/1")
    options = parser.parse_args()
    try:
        library = BrainLibrary(load_settings().tracking_uri)
        position, why = decide(library, recent_bars(options.symbol, options.bars), options)
    except BrainError as error:
        print("flat, by an error:", error, file=sys.stderr)
        return 2
    print(f"position {position:+.4f}: {why}" if position else f"flat: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
