"""An executor as it is installed: ``python executor.py ADDRESS SYMBOL < bars.json``.

Run by the base environment's own Python, in which nothing of the tests is installed. It prints its
decisions and, of each champion, the scores of the version's golden rows.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec

from brain.naming import Regime
from serving import Hamilton, Limits, RemoteRegistry

#: What an executor does without, and what MLflow's client would bring.
ABSENT = (
    *("mlflow", "pandas", "torch", "boto3", "botocore", "requests", "urllib3", "sqlalchemy"),
    *("pyarrow", "sklearn", "onnx", "joblib", "pydantic", "psutil", "rich", "click"),
)


def main(address: str, symbol: str) -> None:
    """Decide on the bars that are given, by the champions of a registry."""
    assert not [name for name in ABSENT if find_spec(name)]
    remote = RemoteRegistry(address)
    with Hamilton(remote, [symbol], limits=Limits.off()) as hamilton:
        for close_time, o, high, low, close, volume in json.load(sys.stdin):
            print(repr(hamilton.bar(symbol, o, high, low, close, volume, close_time)))
        for regime in Regime:
            champion = hamilton.champion(symbol, regime)
            rows = champion.version.data.golden_rows
            scores = [champion.predict(row).hex() for row in rows]
            print(regime, champion.version.family, *scores)
    remote.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
