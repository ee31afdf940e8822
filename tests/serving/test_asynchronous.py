"""Hamilton for asyncio: the same answers in the same order, and a loop that never waits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from brain.errors import InputError
from serving import AsyncHamilton, Hamilton, Limits
from tests.serving.conftest import TRAINED
from tests.serving.desk import Models, arrays_of, bars_of, give, sample

SYMBOL = "ETH/USD"
NEW = bars_of(sample(), TRAINED)


def test_awaited_decisions_are_the_same_and_in_order(models: Models, tmp_path: Path) -> None:
    plain = Hamilton(models, [SYMBOL], limits=Limits.off())
    plain.warm_up(SYMBOL, arrays_of(NEW[:10]))
    expected = give(plain, SYMBOL, NEW[10:60])

    async def run() -> None:
        opened = AsyncHamilton.open(models, [SYMBOL], limits=Limits.off(), journal=tmp_path)
        async with await opened as hamilton:
            assert await hamilton.warm_up(SYMBOL, arrays_of(NEW[:10])) == 10
            calls = [hamilton.bar(SYMBOL, *bar[1:], bar.close_time) for bar in NEW[10:60]]
            assert await asyncio.gather(*calls) == expected
            assert hamilton.last_decision(SYMBOL) == expected[-1]
            assert hamilton.last_close(SYMBOL) == expected[-1].time
            await hamilton.reload(SYMBOL)
            with pytest.raises(InputError, match="order of time"):
                await hamilton.bar(SYMBOL, *NEW[5][1:], NEW[5].close_time)
            champion = hamilton.champion(SYMBOL, "low")
            assert champion.cell.version == plain.champion(SYMBOL, "low").cell.version
            time = NEW[60].close_time
            values = {"rate": 0.0001, "interval_hours": 8.0}
            await hamilton.row("funding", SYMBOL, "binance", time, time, values)
            await hamilton.kill("by hand")
            killed = await hamilton.bar(SYMBOL, *NEW[60][1:], time)
            assert killed.reason == "killed: by hand"
            await hamilton.revive()

    asyncio.run(run())


def test_the_loop_goes_on_while_a_decision_is_made(models: Models) -> None:
    async def run() -> int:
        turns = 0
        opened = AsyncHamilton.open(models, [SYMBOL], limits=Limits.off())
        async with await opened as hamilton:
            task = asyncio.ensure_future(hamilton.warm_up(SYMBOL, arrays_of(NEW)))
            while not task.done():
                turns += 1
                await asyncio.sleep(0)
            assert task.result() == len(NEW)
        return turns

    assert asyncio.run(run()) > 1
