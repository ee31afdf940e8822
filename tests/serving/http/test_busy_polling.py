"""Busy polling: for a moment after an answer the loop doesn't wait, and then it does again."""

from __future__ import annotations

import asyncio
import time

import pytest

from serving.http.busy_polling import BusyPolling


async def _waits(polling: BusyPolling, begins: int) -> tuple[float, float]:
    """Processor and wall seconds of a tenth of a second in which nothing comes."""
    loop = asyncio.get_running_loop()
    wall, processor = time.perf_counter(), time.thread_time()
    for _ in range(begins):
        polling.begin(loop)
    await asyncio.sleep(0.1)
    return time.thread_time() - processor, time.perf_counter() - wall


@pytest.mark.parametrize("uvloop", [False, True])
def test_the_loop_is_awake_for_the_moment_and_sleeps_then(uvloop: bool) -> None:
    factory = None
    if uvloop:
        factory = pytest.importorskip("uvloop", reason="it is there on Linux alone").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        for seconds, least, most in ((0.0, 0.0, 0.02), (0.02, 0.005, 0.06)):
            busy, wall = runner.run(_waits(BusyPolling(seconds), begins=3))
            assert least <= busy <= most
            assert wall >= 0.1


def test_an_answer_meanwhile_begins_it_anew() -> None:
    async def work() -> bool:
        loop, polling = asyncio.get_running_loop(), BusyPolling(0.05)
        polling.begin(loop)
        await asyncio.sleep(0.03)
        polling.begin(loop)
        await asyncio.sleep(0.03)
        return polling._polls

    assert asyncio.run(work())
