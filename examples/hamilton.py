"""Hamilton, the live executor: a decision at every bar's close, and why.

    python -m examples.hamilton ETH/USD --journal journal           # bars from stdin, one a line
    python -m examples.hamilton ETH/USD --replay --last 100         # stored bars instead

A line from stdin is JSON: [close_time, open, high, low, close, volume], the time in nanoseconds.
Where anything is unknown the position is 0, with the reason. MLFLOW_TRACKING_URI names the Brain
Library; make nightly fills it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from brain import BrainError, load_settings
from brain.naming import parse_symbol
from brain.series import Bars, read_folder, sample_folder
from registry import BrainLibrary, ModelSelector
from serving import Decision, Hamilton, Limits

NAMES = ("close_time", "open", "high", "low", "close", "volume")
Bar = tuple[int, float, float, float, float, float]


def stored_bars(options: argparse.Namespace) -> Bars:
    """The symbol's bars of a folder, on their calendar's grid."""
    calendars = load_settings().calendar
    symbol = parse_symbol(options.symbol)
    found = read_folder(options.bars, [symbol], calendars, timeframe=options.timeframe)
    for failure in found.failures:
        raise failure.error
    (bars,) = found.bars.values()
    return bars


def columns(bars: Bars) -> dict[str, np.ndarray]:
    """The bars that exist, as a warm-up takes them."""
    frame = bars.frame.dropna(subset=["close"])
    times = bars.close_time[bars.frame["close"].notna()].as_unit("ns").asi8
    return {name: frame[name].to_numpy() for name in frame.columns[:5]} | {"close_time": times}


def from_stdin() -> Iterator[Bar]:
    """Bars as they come; a real desk has its exchange's stream here."""
    for line in sys.stdin:
        close_time, *values = json.loads(line)
        yield close_time, *(float("nan") if x is None else float(x) for x in values)


def describe(decision: Decision) -> str:
    """A decision in a line."""
    at = np.datetime64(decision.time, "ns").astype("datetime64[m]")
    version = "no version"
    if decision.version is not None:
        version = f"{decision.version} ({decision.family}, {decision.age:.1f} days old)"
    expected = f"{decision.prediction:+.4f}, {decision.expected_bp:+.1f} bp"
    return (
        f"{at} {decision.regime or 'unknown':<7} {version} "
        f"{expected}: position {decision.position:+.4f}, hold {decision.exposure:+.4f}: "
        f"{decision.reason}"
    )


def run(options: argparse.Namespace) -> None:
    """Warm up on stored bars, then decide on each that comes."""
    library = BrainLibrary(load_settings().tracking_uri)
    model = library.model(options.symbol, timeframe=options.timeframe, horizon=options.horizon).key
    history, now = columns(stored_bars(options)), [0]
    end = len(history["close"]) - (options.last if options.replay else 0)
    clock: Callable[[], int] = (lambda: now[0]) if options.replay else time.time_ns
    limits = Limits(symbol=options.limit, kill_file=options.kill_file)
    with Hamilton(library, [model], limits=limits, journal=options.journal, clock=clock) as desk:
        desk.warm_up(model, {name: column[: max(end, 1)] for name, column in history.items()})
        rows = zip(*(history[name].tolist() for name in NAMES), strict=True)
        stored = (row for row in rows if row[0] > desk.last_close(model))
        decision = None
        for bar in stored if options.replay else from_stdin():
            close_time, open_, high, low, close, volume = bar
            now[0] = close_time
            decision = desk.bar(model, open_, high, low, close, volume, close_time)
            print(describe(decision), flush=True)
        if decision is None:
            last = np.datetime64(desk.last_close(model), "ns").astype("datetime64[m]")
            print(f"no bar came that closes after {last}, where the champions' training ended")
        elif options.using and decision.regime:
            advice = ModelSelector(library).should_switch_model(
                model, options.using, decision.regime
            )
            words = f"switch to {advice.to}" if advice.switch else "no switch"
            print(f"{words}: {advice.reason}")


def main() -> int:
    """Decide until the bars end. After one of our own errors the exit code is 2."""
    parser = argparse.ArgumentParser(description="A live executor, on bars from stdin.")
    add = parser.add_argument
    add("symbol", help="as in BTC/USD")
    add("--bars", type=Path, default=sample_folder(), help="folder of files of bars up to now")
    add("--replay", action="store_true", help="decide on the last of these bars")
    add("--last", type=int, default=100, help="how many bars to decide on again")
    add("--timeframe", help="of the bars, where the folder has several: 4h")
    add("--horizon", type=int, help="of the model, where there are several: bars ahead")
    add("--journal", type=Path, help="folder of the journal, from which a restart goes on")
    add("--kill-file", type=Path, help="nothing is held while it exists")
    add("--limit", type=float, default=0.1, help="largest position, a share of a slot's capital")
    add("--using", metavar="MODEL_ID", help="the model in use, for example BTC-USD.1h.6/1")
    try:
        run(parser.parse_args())
    except BrainError as error:
        print("flat, by an error:", error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
