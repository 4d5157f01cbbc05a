"""A system that lacks a layer: what is told, what still holds, and what is refused."""

from __future__ import annotations

import marshal
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.errors import IsolationError
from fact_magics.sandbox import Call, Sandbox, boot, process
from fact_magics.sandbox.child import seccomp
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING = b'{"args":[],"kwargs":{}}'
STRAY = """
import os, time
def tool():
    if os.fork() == 0:
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
    os.wait()
    return 1
"""


@pytest.fixture
def without_scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Linux before 6.12: sandlock leaves out what those kernels can't enforce."""
    from sandlock import Protection

    real = process.sandlock_policy

    def degraded(*args: Any, **options: Any) -> Mapping[str, Any]:
        left_out = [Protection.SIGNAL_SCOPE, Protection.ABSTRACT_UNIX_SOCKET_SCOPE]
        return {**real(*args, **options), "disable": left_out, "allow_degraded": []}

    monkeypatch.setattr(process, "sandlock_policy", degraded)


@pytest.fixture
def without_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor whose system calls have other numbers: the filter says that it can't be installed."""
    real = boot.module_code
    source = Path(seccomp.__file__).read_text(encoding="utf-8")
    changed = source.replace('"x86_64"', '"other"').replace('"aarch64"', '"another"')
    assert changed != source
    code = marshal.dumps(compile(changed, "seccomp", "exec", dont_inherit=True))
    monkeypatch.setattr(boot, "module_code", lambda name: code if name == "seccomp" else real(name))


def sleepers() -> list[int]:
    """List the processes that work in a directory of this process that is gone, as strays of past calls do."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"fact_magics-{os.getpid()}-" in str(
                where := (entry / "cwd").readlink()
            ):
                found += [int(entry.name)] if str(where).endswith("(deleted)") else []
        except OSError:
            continue
    return found


@pytest.mark.usefixtures("without_scopes")
async def test_without_scopes_calls_run_and_say_so() -> None:
    """What the missing layer would have done is done otherwise: the notebook ends what a call leaves."""
    sandbox = Sandbox(mode="auto", size=1)
    try:
        for _ in range(3):
            outcome = await sandbox.run(Call(STRAY, "tool", NOTHING))
            assert (outcome.status, outcome.result) == (Status.OK, b"1")
            assert outcome.isolation == sandbox.layers() == ("landlock", "seccomp", "rlimits", "fork")
            assert not sleepers()
        refused = await sandbox.run(Call("def tool():\n    open('/etc/passwd')", "tool", NOTHING))
        assert refused.status is Status.ERROR
        late = await sandbox.run(
            Call("def tool():\n    while True: pass", "tool", NOTHING, timeout_seconds=0.3)
        )
        assert late.status is Status.TIMEOUT
    finally:
        await sandbox.aclose()


@pytest.mark.usefixtures("without_scopes")
async def test_require_refuses_a_system_without_scopes() -> None:
    sandbox = Sandbox(mode="require", size=1)
    with pytest.raises(IsolationError, match=r"'require'.* lacks .*6\.12") as refused:
        await sandbox.start()
    assert "isolation" in str(refused.value.hint)
    assert sandbox.layers() == ()
    await sandbox.aclose()


@pytest.mark.usefixtures("without_filter")
@pytest.mark.parametrize("mode", ["auto", "require"])
async def test_a_system_that_can_be_walked_around_is_refused(mode: Any) -> None:
    """Without the filter of system calls, Landlock's rules for files and network have gaps."""
    sandbox = Sandbox(mode=mode, size=1)
    with pytest.raises(IsolationError, match="seccomp can't be used here, so tools could reach") as refused:
        await sandbox.start()
    assert '"process"' in str(refused.value.hint)
    await sandbox.aclose()
    assert not [pid for pid in sleepers() if os.getpgid(pid)]


@pytest.mark.usefixtures("without_filter")
async def test_what_ships_runs_there_nevertheless() -> None:
    """A verified source runs in a process of its own, and says so; no other does."""
    sandbox = Sandbox(mode="auto", size=1)
    source = "def tool():\n    return 1"
    outcome = await sandbox.run(Call(source, "tool", NOTHING, verified=True))
    assert (outcome.result, outcome.isolation) == (b"1", ("process", "rlimits"))
    with pytest.raises(IsolationError):
        await sandbox.run(Call(source, "tool", NOTHING))
    await sandbox.aclose()
