"""A job's processes look for garbage seldom; who set it otherwise is left alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.brain.test_processes import ROOT

PROGRAM = """
import gc, sys
before = {before}
gc.disable() if before is None else gc.set_threshold(*before)
import mlproject
code = mlproject.main(["--help"])
print(gc.isenabled(), *gc.get_threshold())
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((700, 10, 10), "True 10000 10 10"),
        ((50_000, 20, 20), "True 50000 20 20"),
        ((0, 10, 10), "True 0 10 10"),  # never
        (None, "False 700 10 10"),
    ],
)
def test_a_command_looks_for_garbage_seldom(before: tuple[int, ...] | None, after: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == after
