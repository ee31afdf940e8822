"""A version proven in a process of its own, before the executor's own libraries see a byte of it.

A digest says that the bytes are those that were registered, and not that a parser survives them:
libraries of model families end the process on some (measured: a truncated LightGBM file 18 of 18
times). So a process that may end loads them first, and scores the golden rows. The very bytes that
it was given are loaded afterwards.

The process stays for the next versions, and ends when none came for a while, or with its parent. It
proves each version in a copy of itself, so that none is proven in what another has left behind, and
a copy can't take more time or memory than a limit. (Without ``fork`` it proves them itself.)
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from brain.artifacts import LIGHTGBM, LSTM_WINDOW, XGBOOST
from brain.errors import BrainError, InputError, LibraryError, ModelIntegrityError
from brain.naming import Family, parse_regime
from serving.champions import Cell, LoadedVersion, as_json

if TYPE_CHECKING:
    from io import BufferedReader, BufferedRWPair, BufferedWriter
    from subprocess import Popen

    _Process: TypeAlias = "Popen[bytes] | _Copy"
    _Stream: TypeAlias = BufferedReader | BufferedWriter | BufferedRWPair

__all__ = ["Prover", "main"]

_SECONDS = 60.0
_IDLE_SECONDS = 120.0
_MEMORY_BYTES = 8 * 2**30
_NICENESS = 10  # decisions come first
_LONGEST_LINE, _LONGEST_ANSWER = 2**20, 2**14
# The process ends a copy that takes too long; a process that does so itself is ended after that.
_GRACE_SECONDS = 10.0
_TASKS = "/proc/self/task"
_MODELS = {Family.LIGHTGBM: LIGHTGBM, Family.XGBOOST: XGBOOST, Family.LSTM: LSTM_WINDOW}
_PROGRAM = "import sys; sys.path[:] = {path!r}; from serving.proving import main; main()"


class Prover:
    """Loads versions in a process that may end. Safe from many threads, one version at a time.

    Args:
        seconds: that a version may take.
        idle_seconds: after which the process ends if no version came.
    """

    def __init__(self, seconds: float = _SECONDS, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._seconds, self._idle_seconds = seconds, idle_seconds
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._used = time.monotonic()
        self._closed = False

    def start(self) -> None:
        """Start the process, if it isn't running, and don't wait for it."""
        with self._lock:
            self._running()

    def expect(self, families: Iterable[Family]) -> None:
        """Have the process, if it runs, load the libraries of families, and don't wait for it."""
        models = sorted({_MODELS[family] for family in families})
        if self._lock.acquire(blocking=False):  # else it is proving, and has begun to load
            try:
                with suppress(OSError):  # if it has ended, the next version starts another
                    if self._process is not None:
                        _tell(self._process, {"expect": models})
            finally:
                self._lock.release()

    def prove(self, cell: Cell, files: Mapping[str, bytes]) -> None:
        """Prove that a version can be loaded, and predicts on its golden rows as MLflow does.

        The libraries that read it are loaded here as well meanwhile, which see no byte of it.

        Args:
            cell: of the version.
            files: its files, checked or not: they are in the process, too.

        Raises:
            ModelIntegrityError: it can't, or ends the process, or takes too long or too much
                memory.
            LibraryError: the process can't be started, or lacks a library.
        """
        with self._lock:
            process = self._running()
            timer = threading.Timer(self._seconds + _GRACE_SECONDS, process.kill)
            timer.daemon = True
            timer.start()
            try:
                answer = _ask(process, cell, files, self._seconds)
            finally:
                timer.cancel()
                self._used = time.monotonic()
            if answer is not None:
                _raise(answer)
                return
            code = process.wait()
            self._end()  # its pipes are open yet
        raise ModelIntegrityError(f"{cell.version} {_ended(code)}; register the version anew")

    def rest(self) -> None:
        """End the process if no version came for a while."""
        if time.monotonic() - self._used > self._idle_seconds and self._lock.acquire(False):
            try:
                self._end()
            finally:
                self._lock.release()

    def close(self) -> None:
        """End the process; nothing is proven any more."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()  # a version may be in work, under the lock
        with self._lock:
            self._end()

    def _running(self) -> _Process:
        if self._closed:
            raise InputError("the prover is closed; open Hamilton again")
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = _start()
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        process.wait()


class _Copy:
    """A copy of this process that proves versions, by the surface of a started one."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self.pid = os.fork()
            if self.pid == 0:
                _become_prover(theirs.fileno())
            self.stdin = self.stdout = ours.makefile("rwb")
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._wait(os.WNOHANG)

    def wait(self) -> int:
        """The exit code, when it has ended."""
        code = self._wait(0)
        assert code is not None
        return code

    def kill(self) -> None:
        """End it."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _wait(self, options: int) -> int | None:
        if self._code is None:
            with suppress(ChildProcessError):  # somebody else has waited for it
                ended, status = os.waitpid(self.pid, options)
                if ended == 0:
                    return None
                self._code = os.waitstatus_to_exitcode(status)
                return self._code
            self._code = -signal.SIGKILL
        return self._code


def _start() -> _Process:
    """A process that proves: a copy of this one where it can be copied, else one started anew.

    A copy is there at once. A process of one thread alone can be copied: what other threads hold at
    the moment stays held for ever in a copy. So it is looked for threads of any kind.
    """
    if hasattr(os, "fork") and _is_of_one_thread():
        with suppress(OSError):  # of too many processes the other way tells
            return _Copy()
    import subprocess  # where it can't be a copy

    program = _PROGRAM.format(path=[entry or os.getcwd() for entry in sys.path])
    try:
        return subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError as error:
        raise LibraryError(
            f"no process can be started to prove versions in ({error.strerror}); free memory or "
            "processes"
        ) from error


def _is_of_one_thread() -> bool:
    try:
        return os.listdir(_TASKS) == [str(os.getpid())]
    except OSError:  # no Linux
        return False


def _ask(
    process: _Process, cell: Cell, files: Mapping[str, bytes], seconds: float
) -> Mapping[str, str] | None:
    """The process' answer; None if it ended."""
    assert process.stdout is not None
    sizes = {name: len(content) for name, content in files.items()}
    of_cell = {"regime": str(cell.regime), **as_json(cell)}
    head = {"cell": of_cell, "sizes": sizes, "seconds": seconds}
    try:
        _tell(process, head, *files.values())
    except OSError:
        return None
    _load_libraries(files)  # while it proves
    try:
        line = process.stdout.readline(_LONGEST_LINE)
        answer: Mapping[str, str] = json.loads(line)
    except (OSError, ValueError):
        return None
    return answer


def _tell(process: _Process, head: Mapping[str, object], *contents: bytes) -> None:
    """Write a line to the process, and contents after it."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(head).encode() + b"\n")
    for content in contents:
        process.stdin.write(content)
    process.stdin.flush()


def _raise(answer: Mapping[str, str]) -> None:
    if text := answer.get("error"):
        raise ModelIntegrityError(text)


# --- in the process -----------------------------------------------------------------------------


def main() -> None:
    """Prove the versions of standard input, one after the other, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # which is for the executor
    _give_way()
    _limit_memory()
    source, answers = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _answer(source, answers)


def _become_prover(channel: int) -> NoReturn:
    """Go on as a process that proves, with nothing of the one that it is a copy of."""
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
        quiet = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(quiet, standard)
        os.closerange(3, channel)
        os.closerange(channel + 1, os.sysconf("SC_OPEN_MAX"))
        _give_way()
        _limit_memory()
        stream = socket.socket(fileno=channel).makefile("rwb")
        _answer(stream, stream)
    finally:
        os._exit(0)


def _answer(source: _Stream, answers: _Stream) -> None:
    prove = _prove_aside if hasattr(os, "fork") else _fault
    while line := source.readline():
        head = json.loads(line)
        if "expect" in head:
            _load_libraries(head["expect"])
            continue
        files = {name: source.read(size) for name, size in head["sizes"].items()}
        cell = Cell(parse_regime(head["cell"].pop("regime")), **head["cell"])
        answers.write(json.dumps({"error": prove(cell, files, head["seconds"])}).encode() + b"\n")
        answers.flush()


def _prove_aside(cell: Cell, files: Mapping[str, bytes], seconds: float) -> str:
    """As :func:`_fault`, in a copy of this process, which never sees a model itself."""
    _load_libraries(files)
    reader, writer = os.pipe()
    copy = os.fork()
    if copy == 0:
        signal.alarm(math.ceil(seconds))
        os.write(writer, _fault(cell, files, seconds).encode()[:_LONGEST_ANSWER])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    if code == 0:
        return answer
    what = f"took more than {seconds:g} seconds" if code == -signal.SIGALRM else _ended(code)
    return f"{cell.version} {what}; register the version anew"


def _ended(code: int) -> str:
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"ended the process that was to prove it ({how})"


def _fault(cell: Cell, files: Mapping[str, bytes], seconds: float) -> str:
    """Why a version can't be used; empty if it can."""
    del seconds
    try:
        LoadedVersion(cell, files)
    except BrainError as error:
        return str(error)
    except MemoryError:
        return f"{cell.version} takes more memory than there is; register the version anew"
    return ""


def _load_libraries(files: Collection[str]) -> None:
    """Load what reads the model among files of these names: once, and not in every copy."""
    with suppress(BrainError, ImportError):  # which the copy will tell of
        if LIGHTGBM in files:
            from serving.predictors.lightgbm import shared_library

            shared_library()
        if XGBOOST in files:
            import serving.predictors.xgboost  # noqa: F401
        if LSTM_WINDOW in files:
            import onnxruntime  # noqa: F401


def _give_way() -> None:
    """Take the processor after the executor, whose decisions go on meanwhile."""
    if hasattr(os, "nice"):
        os.nice(_NICENESS)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # on Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = _MEMORY_BYTES if most == resource.RLIM_INFINITY else min(most, _MEMORY_BYTES)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
