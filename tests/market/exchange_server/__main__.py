"""The server as a process: ``python -m tests.market.exchange_server --port-file F``."""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path

from tests.market.exchange_server.catalogue import NOW
from tests.market.exchange_server.faults import Faults
from tests.market.exchange_server.server import ExchangeServer

__all__ = ["main"]


def main() -> None:
    """Serve until SIGTERM or SIGINT; the port file is written once all exchanges answer."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port-file", type=Path, required=True, help="gets {exchange: base URL}")
    parser.add_argument("--now", default=str(NOW), help="the time at which the exchanges stand")
    parser.add_argument("--scale", type=float, default=1.0, help="speed of the limits' clock")
    parser.add_argument("--budget", type=float, default=1.0, help="share of the limits granted")
    parser.add_argument("--faults", type=json.loads, default={}, help='as {"timeout": 0.02}')
    options = parser.parse_args()
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    faults = Faults(**options.faults)
    with ExchangeServer(
        options.now, scale=options.scale, budget=options.budget, faults=faults
    ) as server:
        file = options.port_file.with_suffix(".new")
        file.write_text(json.dumps(server.urls))
        os.replace(file, options.port_file)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
