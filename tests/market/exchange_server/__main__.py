"""The exchanges as a process of their own: ``python -m tests.market.exchange_server --port-file F``."""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path

from tests.market.exchange_server.catalogue import NOW
from tests.market.exchange_server.faults import Faults
from tests.market.exchange_server.server import Exchanges

__all__ = ["main"]


def main() -> None:
    """Serve until SIGTERM or SIGINT; the port file is written once all exchanges answer."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port-file", type=Path, required=True, help="gets {exchange: base URL}")
    parser.add_argument("--now", default=str(NOW), help="the moment at which the exchanges stand")
    parser.add_argument("--scale", type=float, default=1.0, help="speed of the limits' clock")
    parser.add_argument("--budget", type=float, default=1.0, help="share of the limits granted")
    parser.add_argument("--faults", type=json.loads, default={}, help='as {"timeout": 0.02}')
    given = parser.parse_args()
    stopping = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    faults = Faults(**given.faults)
    with Exchanges(given.now, scale=given.scale, budget=given.budget, faults=faults) as exchanges:
        made = given.port_file.with_suffix(".new")
        made.write_text(json.dumps(exchanges.urls))
        os.replace(made, given.port_file)
        signal.sigwait(stopping)


if __name__ == "__main__":
    main()
