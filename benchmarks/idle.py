"""A command that gets what others leave of the processors, as if it ran on another machine.

python -m benchmarks.idle COMMAND ...
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

__all__ = ["idle"]


def idle(*command: str) -> list[str]:
    """The command, in Linux's idle class; elsewhere as it is."""
    return [sys.executable, "-m", __name__, *command] if sys.platform == "linux" else [*command]


if __name__ == "__main__":
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if os.getsid(0) == os.getpid():  # a session of its own may be a group that is scheduled
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text("19")
    os.execvp(sys.argv[1], sys.argv[1:])
