"""Calls at the same time get one zygote more than can run, so that no core waits while a child is prepared."""

from __future__ import annotations

import asyncio

import pytest

from fact_magics.sandbox import Call, Sandbox

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
