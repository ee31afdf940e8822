"""A process that serves the tests' champions until it is ended.

    python -m tests.serving.http.process MODELS [NAME=VALUE ...]

``MODELS`` is a pickle of the test's own; the others are settings.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from serving.http.command import serve
from tests.serving.desk import Models


def main() -> int:
    path, *settings = sys.argv[1:]
    with Path(path).open("rb") as file:
        models = pickle.load(file)
    given = dict(one.split("=", 1) for one in settings)
    return serve({"port": "0", **given}, lambda: models, partial(print, flush=True))


@contextmanager
def process(
    models: Models, folder: Path, *settings: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and its port; it is killed in the end, if it is still there."""
    (folder / "models").write_bytes(pickle.dumps(models))
    command = [sys.executable, "-m", "tests.serving.http.process", str(folder / "models")]
    with subprocess.Popen(
        [*command, *settings], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        watchdog = threading.Timer(60.0, started.kill)
        watchdog.start()
        try:
            line = started.stdout.readline()
            assert line.startswith("Serving "), started.communicate()
            yield started, int(line.partition("127.0.0.1:")[2].partition(";")[0])
        finally:
            watchdog.cancel()
            started.kill()


if __name__ == "__main__":
    sys.exit(main())
