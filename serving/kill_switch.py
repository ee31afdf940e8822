"""A switch that stops all trading: by a call, or by a file that anyone can make.

The decision path reads an attribute; a thread looks for the file.
"""

from __future__ import annotations

import threading
from pathlib import Path

__all__ = ["KillSwitch"]

_SECONDS = 0.2


class KillSwitch:
    """Why nothing may be held.

    Args:
        file: nothing may be held while it exists, or can't be looked for.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._by_call = ""
        self._by_file = ""
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        if file is not None:
            self.look()
            self._thread = threading.Thread(target=self._watch, name="kill-file", daemon=True)
            self._thread.start()

    @property
    def reason(self) -> str:
        """Empty if positions may be held."""
        return self._by_call or self._by_file

    def kill(self, reason: str) -> None:
        """Hold nothing from now on."""
        self._by_call = reason or "killed"

    def revive(self) -> None:
        """End the effect of :meth:`kill`; that of a file ends with the file."""
        self._by_call = ""

    def look(self) -> None:
        """Look for the file now."""
        if self._file is None:
            return
        try:
            self._file.stat()
        except FileNotFoundError:
            self._by_file = ""
        except OSError as error:
            self._by_file = f"{self._file} can't be looked for ({error.strerror})"
        else:
            self._by_file = f"{self._file} exists"

    def close(self) -> None:
        """Look no longer."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_SECONDS):
            self.look()
