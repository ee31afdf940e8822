"""A process that decides on bars and says each decision that was returned, until it is killed.

    python -m tests.serving.decider MODELS JOURNAL

``MODELS`` is a pickle of the test's own; the bars are those of the sample after the training. It
begins where the journal ends.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from serving import Hamilton, Limits
from tests.serving.conftest import TRAINED
from tests.serving.desk import bars_of, sample


def main() -> None:
    models, journal = sys.argv[1:]
    with Path(models).open("rb") as file:
        source = pickle.load(file)
    hamilton = Hamilton(
        source, ["ETH/USD"], limits=Limits.off(), journal=Path(journal), clock=lambda: 0
    )
    hamilton._all[0]._journal._rotate_bytes = 30_000  # type: ignore[union-attr]
    print("ready", flush=True)
    sys.stdin.readline()
    last = hamilton.last_close("ETH/USD")
    for bar in bars_of(sample(), TRAINED):
        if bar.close_time > last:
            decision = hamilton.bar("ETH/USD", *bar[1:], bar.close_time)
            print(repr(decision), flush=True)
    print("end", flush=True)


if __name__ == "__main__":
    main()
