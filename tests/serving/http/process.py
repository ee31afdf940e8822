"""A process that serves the tests' champions until it is ended.

    python -m tests.serving.http.process MODELS [NAME=VALUE ...]

``MODELS`` is a pickle of the test's own; ``files`` is how many the process may have open, and the
others are settings.
"""

from __future__ import annotations

import pickle
import resource
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
    if files := int(given.pop("files", 0)):
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    return serve({"port": "0", **given}, lambda: models, partial(print, flush=True))


def command(models: Models, folder: Path, *settings: str) -> list[str]:
    """What starts it."""
    (folder / "models").write_bytes(pickle.dumps(models))
    module = "tests.serving.http.process"
    return [sys.executable, "-m", module, str(folder / "models"), *settings]


@contextmanager
def process(
    models: Models, folder: Path, *settings: str
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and its port; it is killed in the end, if it is still there."""
    with subprocess.Popen(
        command(models, folder, *settings),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as started:  # fmt: skip
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
