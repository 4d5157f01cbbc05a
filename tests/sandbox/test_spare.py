"""Calls at the same time get one zygote more than can run, so that no core waits while a child is prepared."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from fact_magics.sandbox import Call, Sandbox
from fact_magics.sandbox.outcome import Surroundings

pytestmark = pytest.mark.slow

CALL = Call("def tool():\n    return 1", "tool", b'{"args":[],"kwargs":{}}')


@pytest.mark.parametrize(("size", "zygotes"), [(1, 1), (2, 3)])
async def test_many_calls_at_once_use_one_spare_zygote_if_several_can_run(size: int, zygotes: int) -> None:
    sandbox = Sandbox(mode="require", size=size)
    await sandbox.start()
    try:
        for _ in range(5):
            outcomes = await asyncio.gather(*(sandbox.run(CALL) for _ in range(40)))
            assert [outcome.result for outcome in outcomes] == [b"1"] * 40
        while not sandbox.inspect().at_rest:
            await asyncio.sleep(0.02)
        assert len(sandbox.inspect().zygotes) == zygotes
    finally:
        await sandbox.aclose()


async def test_calls_one_after_the_other_use_no_spare_zygote() -> None:
    sandbox = Sandbox(mode="require", size=2)
    await sandbox.start()
    try:
        for _ in range(40):
            assert (await sandbox.run(CALL)).result == b"1"
        while not sandbox.inspect().at_rest:
            await asyncio.sleep(0.02)
        assert len(sandbox.inspect().zygotes) == 2
    finally:
        await sandbox.aclose()


async def test_calls_that_are_cancelled_while_their_zygote_starts_leave_one_for_the_next() -> None:
    """An impatient user interrupts again and again; each zygote holds the modules that it has imported."""
    call = replace(CALL, surroundings=Surroundings(hash_seed=1))  # no zygote is ready for these
    sandbox = Sandbox(mode="require", size=1)
    await sandbox.start()
    try:
        while not sandbox.inspect().at_rest:
            await asyncio.sleep(0.01)
        before = len(sandbox.inspect().zygotes)
        for _ in range(8):
            running = asyncio.create_task(sandbox.run(call))
            await asyncio.sleep(0.01)  # less than a zygote takes
            running.cancel()
            await asyncio.wait((running,))
        outcomes = await asyncio.gather(*(sandbox.run(call) for _ in range(2)))
        assert [outcome.result for outcome in outcomes] == [b"1", b"1"]
        while not sandbox.inspect().at_rest:
            await asyncio.sleep(0.01)
        assert len(sandbox.inspect().zygotes) <= before + 2
    finally:
        await sandbox.aclose()
