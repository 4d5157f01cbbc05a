"""A system without room or descriptors is an error in one clear line, for as long as it lasts."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.errors import IsolationError
from fact_magics.sandbox import Call, Sandbox, scratch
from fact_magics.sandbox.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

NOTHING = b'{"args":[],"kwargs":{}}'
CALL = Call("def tool():\n    return 1", "tool", NOTHING)
WRITES = Call("def tool():\n    open('f', 'w').close()\n    return 1", "tool", NOTHING)


def failing(number: int) -> Callable[..., Any]:
    """Make a function that finds the system short of something."""

    def fail(*_: object, **__: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


async def run_some(sandbox: Sandbox) -> None:
    """Use up what was prepared ahead, and run one more."""
    for _ in range(5):
        await sandbox.run(WRITES)


async def test_a_call_that_cant_be_prepared_costs_the_zygote_and_not_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The refusal names its cause and what helps, not less isolation; it leaves nothing, and is over with its cause."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    sandbox = Sandbox(mode="auto", size=1)
    await sandbox.run(WRITES)
    with monkeypatch.context() as patched:
        patched.setattr(scratch, "Scratch", failing(errno.ENOSPC))
        with pytest.raises(IsolationError, match="No space left on device") as refused:
            await run_some(sandbox)
        assert "\n" not in refused.value.line
        assert "TMPDIR" in refused.value.hint
        assert "isolation" not in refused.value.hint
        while sandbox.inspect().pending:
            await asyncio.sleep(0.01)
        assert not sandbox.inspect().zygotes
    assert (await sandbox.run(CALL)).result == b"1"
    await sandbox.aclose()
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors


async def test_zygotes_that_can_prepare_no_call_are_not_started_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What keeps one from it would keep the next one too; the reason that it gives is told."""
    real = Prepared.take_over
    started: list[Path] = []

    def take_none(prepared: Prepared, zygote: int, handle: int, ready: dict[str, Any]) -> None:
        started.append(prepared.scratch.parent)
        real(prepared, zygote, handle, {**ready, "pipes": [-1, -1, -1]})

    monkeypatch.setattr(Prepared, "take_over", take_none)
    sandbox = Sandbox(mode="require", size=1)
    await sandbox.start()
    while sandbox.inspect().pending and len(started) < 5:
        await asyncio.sleep(0.01)
    assert len(started) < 5
    with pytest.raises(IsolationError, match=r"no call can be prepared: .*Bad file descriptor"):
        await sandbox.run(CALL)
    await sandbox.aclose()


async def test_no_room_for_a_directory_is_told_with_a_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own error does not get out raw."""
    monkeypatch.setattr(tempfile, "mkdtemp", failing(errno.ENOSPC))
    with pytest.raises(IsolationError, match="No space left on device") as refused:
        await Sandbox(mode="require", size=1).start()
    assert "TMPDIR" in refused.value.hint
    with pytest.raises(IsolationError, match="No space left on device") as refused:
        await Sandbox(mode="process", size=1).run(CALL)
    assert "TMPDIR" in refused.value.hint


async def test_no_descriptor_for_a_plain_process_is_told_and_leaves_no_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(subprocess, "Popen", failing(errno.EMFILE))
    with pytest.raises(IsolationError, match="Too many open files") as refused:
        await Sandbox(mode="process", size=1).run(CALL)
    assert "Close files" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


async def at_rest(sandbox: Sandbox) -> Path:
    """Wait until nothing is started or prepared any more, and give the directory of the zygotes."""
    while not sandbox.inspect().at_rest:
        await asyncio.sleep(0.01)
    directory = sandbox.inspect().directory
    assert directory is not None
    return directory


async def test_no_descriptor_for_sandlock_is_told_though_it_does_not_say_so() -> None:
    """To settle for less isolation would help nothing, and is not proposed."""
    sandbox = Sandbox(mode="require", size=1)
    await sandbox.run(CALL)
    await at_rest(sandbox)  # nothing gives a descriptor back once they are counted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(lowest := os.open(os.devnull, os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 3, hard))
    try:
        with pytest.raises(IsolationError, match="Too many open files") as refused:
            await sandbox.run(Call(CALL.source, "tool", NOTHING, imports=("wave",)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "Close files" in refused.value.hint
    assert (await sandbox.run(CALL)).result == b"1"
    await sandbox.aclose()


@pytest.mark.parametrize("what", ["all", "scratch"])
async def test_what_the_system_cleared_away_is_made_again(what: str) -> None:
    """A kernel may live longer than what lies in its directory for temporary files."""
    sandbox = Sandbox(mode="require", size=1)
    await sandbox.run(CALL)
    base = await at_rest(sandbox)
    for directory in [base] if what == "all" else base.glob("*/*"):
        shutil.rmtree(directory)
    assert [(await sandbox.run(WRITES)).result for _ in range(3)] == [b"1"] * 3
    again = sandbox.inspect().directory
    assert again is not None
    await sandbox.aclose()
    assert not base.exists()
    assert not again.exists()
