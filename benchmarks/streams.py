"""A cascade on three exchanges at once: is all of it stored, how soon, and at what cost?

The same bursts go to our stream, with its defaults (rows committed to the series store, raw frames
recorded), and to ``watch_liquidations`` of ccxt.pro, which stores nothing. Each side has exchanges
of its own, in a process beside it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import click
import numpy as np

from benchmarks.frame import Benchmark, Metric, Report, Target, interleave
from benchmarks.stream_sides import Taken, ccxt_side, our_side, take_in
from brain.console import console
from market.streams.pace import Pace

__all__ = ["BENCHMARK", "measure", "report"]

_MORE_SECONDS = 1.0
_CORES = 1.0
_GROWTH = 1.1


def measure(runs: int, frames: float, seconds: float) -> Report:
    """Let both sides take in bursts, in turn."""
    out = console()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        ours, theirs = interleave(
            lambda: take_in(our_side, frames, seconds, folder),
            lambda: take_in(ccxt_side, frames, seconds, folder),
            runs,
            lambda line: out.print(f"  {line}", markup=False),
        )
    return report(ours, theirs, frames, seconds)


def report(ours: Sequence[Taken], theirs: Sequence[Taken], frames: float, seconds: float) -> Report:
    """What both sides took in, as metrics."""
    commit = Pace().commit

    def quantile(share: float) -> list[float]:
        return [float(np.quantile(one.latencies, share)) for one in ours]

    kept = [_kept(one) for one in ours]
    metrics = [
        Metric(
            "liquidations kept, of those sent",
            "",
            kept,
            [_kept(one) for one in theirs],
            better="higher",
            target=Target(1.0, of="ours"),
        ),
        Metric(
            "from receiving to durable, 99 %",
            "s",
            quantile(0.99),
            target=Target(commit + _MORE_SECONDS, "at most", of="ours"),
        ),
        Metric("from receiving to durable, median", "s", quantile(0.5)),
        Metric(
            "cores in use",
            "",
            [one.cores for one in ours],
            [one.cores for one in theirs],
            target=Target(_CORES, "at most", of="ours"),
        ),
        Metric(
            "memory of the last third, in that of the second",
            "",
            [_growth(one) for one in ours],
            [_growth(one) for one in theirs],
            target=Target(_GROWTH, "at most", of="ours"),
        ),
        Metric(
            "most memory",
            "MB",
            [max(one.megabytes) for one in ours],
            [max(one.megabytes) for one in theirs],
        ),
        Metric(
            "share of the burst that counts as listened",
            "",
            [one.listened for one in ours],
            better="higher",
        ),
    ]
    sent = ours[0].sent
    return Report(
        metrics=metrics,
        runs=len(ours),
        ours="brain stream, rows and raw frames stored",
        theirs="ccxt.pro's watch_liquidations, nothing stored",
        notes=[
            f"{sent.frames:,} frames in {seconds:g} s ({frames:,.0f} a second wanted) over three "
            f"exchanges, a tenth of them twice, with {sum(sent.events.values()):,} liquidations "
            f"of three symbols; commits every {commit:g} s.",
            "Kept by exchange: "
            + "; ".join(
                f"{name} {_share(ours[0], name):.4f} beside {_share(theirs[0], name):.4f}"
                for name in sorted(sent.events)
            ),
        ],
        records=[
            {
                "side": side,
                "run": run,
                "sent": dict(one.sent.events),
                "kept": dict(one.events),
                "megabytes": [round(value, 1) for value in one.megabytes],
            }
            for side, takens in (("ours", ours), ("theirs", theirs))
            for run, one in enumerate(takens, start=1)
        ],
    )


def _kept(taken: Taken) -> float:
    return sum(taken.events.values()) / sum(taken.sent.events.values())


def _share(taken: Taken, exchange: str) -> float:
    return taken.events.get(exchange, 0) / max(1, taken.sent.events[exchange])


def _growth(taken: Taken) -> float:
    third = len(taken.megabytes) // 3
    return median(taken.megabytes[-third:]) / median(taken.megabytes[third : 2 * third])


BENCHMARK = Benchmark(
    measure,
    runs=3,
    options=(
        click.Option(
            ["--frames"],
            type=click.FloatRange(min=100),
            default=5000.0,
            show_default=True,
            help="a second, over all exchanges",
        ),
        click.Option(
            ["--seconds"],
            type=click.FloatRange(min=3),
            default=60.0,
            show_default=True,
            help="of a burst",
        ),
    ),
    versions=("aiohttp", "ccxt", "deltalake", "pandas", "pyarrow"),
)
