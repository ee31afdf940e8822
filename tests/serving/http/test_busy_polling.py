"""Busy polling: for a moment after an answer the loop doesn't wait, and then it does again."""

from __future__ import annotations

import asyncio
import time

import pytest

from serving.http.busy_polling import BusyPolling

_WHOLE = 60.0  # seconds, more than a test takes


class _Counted(BusyPolling):
    """Knows how many turns of the loop it did not let wait."""

    turns = 0

    def _poll(self, loop: asyncio.AbstractEventLoop) -> None:
        self.turns += 1
        super()._poll(loop)


async def _turns(seconds: float) -> int:
    """Turns that didn't wait, of a hundred of the loop."""
    polling = _Counted(seconds)
    for _ in range(3):
        polling.begin(asyncio.get_running_loop())
    for _ in range(100):
        await asyncio.sleep(0)
    return polling.turns


async def _processor_seconds() -> float:
    """Of a fifth of a second in which nothing comes, and a hundredth of which is polled."""
    begin = time.thread_time()
    BusyPolling(0.01).begin(asyncio.get_running_loop())
    await asyncio.sleep(0.2)
    return time.thread_time() - begin


@pytest.mark.parametrize("uvloop", [False, True])
def test_the_loop_is_awake_for_the_moment_and_sleeps_then(uvloop: bool) -> None:
    factory = None
    if uvloop:
        factory = pytest.importorskip("uvloop", reason="it is there on Linux alone").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(_processor_seconds()) < 0.1
        assert runner.run(_turns(0.0)) == 0
        assert 99 <= runner.run(_turns(_WHOLE)) <= 101  # one at a time, however often it begins


def test_an_answer_meanwhile_begins_it_anew() -> None:
    async def work() -> float:
        loop, polling = asyncio.get_running_loop(), BusyPolling(_WHOLE)
        polling.begin(loop)
        former = polling._until
        polling.begin(loop)
        return polling._until - former

    assert asyncio.run(work()) > 0
