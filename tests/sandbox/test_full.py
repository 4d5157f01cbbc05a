"""A system without room or descriptors is an error in one clear line, for as long as it lasts."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from fact_magics.errors import IsolationError
from fact_magics.sandbox import Call, Sandbox

CALL = Call("def tool():\n    return 1", "tool", b'{"args":[],"kwargs":{}}')


def fail(*_: object, **__: object) -> Any:
    """Find the disk full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def run_some(sandbox: Sandbox) -> None:
    """Use up what was prepared ahead, and run one more."""
    for _ in range(5):
        await sandbox.run(CALL)


async def test_a_call_that_cant_be_prepared_costs_the_zygote_and_not_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The refusal names its cause and a next step, leaves no descriptor, and is over when its cause is."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    make = os.mkfifo

    def make_some(path: Path, mode: int) -> None:
        if path.suffix == ".printed":
            fail()
        make(path, mode)

    sandbox = Sandbox(mode="auto", size=1)
    await sandbox.run(CALL)
    pool: Any = sandbox._engine
    with monkeypatch.context() as patched:
        patched.setattr(os, "mkfifo", make_some)
        with pytest.raises(IsolationError, match="No space left on device") as refused:
            await run_some(sandbox)
        assert "\n" not in refused.value.line
        assert "FactMagics.isolation" in refused.value.hint
        while pool._tasks:
            await asyncio.gather(*pool._tasks, return_exceptions=True)
        assert not pool._wardens
    assert (await sandbox.run(CALL)).result == b"1"
    await sandbox.aclose()
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors


async def test_no_room_for_a_directory_is_told_with_a_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own error does not get out raw."""
    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    with pytest.raises(IsolationError, match="No space left on device") as refused:
        await Sandbox(mode="require", size=1).start()
    assert "TMPDIR" in refused.value.hint
