"""Many calls leave nothing behind; alone in its file, as it counts what this whole process has open."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from fact_magics.sandbox import Call, Sandbox

pytestmark = pytest.mark.slow

NOTHING = b'{"args":[],"kwargs":{}}'


def open_descriptors() -> list[str]:
    """Tell what this process's descriptors are."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was the one that lists them
            found.append(f"{descriptor.name} {descriptor.readlink()}")
    return found


async def until(condition: object, seconds: float = 5.0) -> bool:
    """Wait until a condition holds; what is expected is that it does, not when."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


async def test_many_calls_leave_nothing_behind() -> None:
    """Three hundred calls, some of which leave processes, leave no process, descriptor, directory nor thread."""
    descriptors, threads = open_descriptors(), threading.active_count()
    sandbox = Sandbox(mode="require", size=2)
    await sandbox.start()
    clean = Call("def tool():\n    open('f', 'w').close()\n    return 1", "tool", NOTHING)
    stray = Call(
        "import os, time\ndef tool():\n    if not os.fork(): time.sleep(60)\n    return 1", "tool", NOTHING
    )
    for number in range(150):
        outcomes = await asyncio.gather(
            *(sandbox.run(stray if number % 15 == 0 else clean) for _ in range(2))
        )
        assert [outcome.result for outcome in outcomes] == [b"1", b"1"], outcomes
    assert await until(lambda: sandbox.inspect().at_rest)
    held = sandbox.inspect()
    assert held.directory is not None
    zygotes = len(held.zygotes)
    assert zygotes <= 6
    assert len(held.processes()) == 2 * zygotes
    assert len(list(held.directory.iterdir())) == zygotes
    assert len(list(held.directory.rglob("*"))) == 2 * zygotes
    assert len(open_descriptors()) - len(descriptors) <= 20 * zygotes
    await sandbox.aclose()
    assert not held.directory.exists()
    assert await until(lambda: not held.processes())
    assert await until(lambda: len(open_descriptors()) <= len(descriptors)), (descriptors, open_descriptors())
    assert await until(lambda: threading.active_count() <= threads)
