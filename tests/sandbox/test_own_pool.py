"""A busy sandbox moves into a process of its own; calls, limits, interrupts and ends stay as they were."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from fact_magics.errors import IsolationError
from fact_magics.sandbox import Call, Limits, Sandbox, moving, remote
from fact_magics.sandbox.child.family import descendants
from fact_magics.sandbox.lost import ZygoteLostError
from fact_magics.sandbox.moving import MovingPool
from fact_magics.sandbox.remote import RemotePool
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow

NOTHING = b'{"args":[],"kwargs":{}}'
GOOD = Call("def tool():\n    print('said')\n    return 1", "tool", NOTHING)
SLEEP = "import time\ndef tool():\n    print('begun', flush=True)\n    time.sleep(60)"


async def until(condition: object, seconds: float = 10.0) -> bool:
    """Wait until a condition holds; what is expected is that it does, not when."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def new_processes(before: list[int]) -> list[int]:
    """List the descendants of this process that were not there before."""
    return [pid for pid in descendants(os.getpid()) if pid not in before and is_alive(pid)]


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def pool() -> AsyncIterator[RemotePool]:
    """A pool in a process of its own."""
    limits = Limits(result_bytes=1 << 20, printed_bytes=1 << 20, scratch_bytes=1 << 20)
    pool = RemotePool(2, limits, strict=True)
    await pool.start()
    yield pool
    await pool.aclose()


@pytest.mark.asyncio(loop_scope="module")
class TestCalls:
    """Calls in a process of its own."""

    async def test_results_and_texts_come_back_as_they_are(self, pool: RemotePool) -> None:
        """Also large ones, and characters that are not valid text."""
        text = "x" * 900_000
        ending = await pool.run(Call(f"def tool():\n    return {text!r}", "tool", NOTHING), None)
        assert text.encode() in ending.frame
        assert ending.wait_status == 0
        pieces: list[str] = []
        source = "def tool():\n    print('a', flush=True)\n    print('\\udc80é')\n    return '\\ud800'"
        ending = await pool.run(Call(source, "tool", NOTHING), pieces.append)
        assert "".join(pieces) == ending.printed
        assert ending.printed.startswith("a\n")

    async def test_text_arrives_while_the_call_runs_and_a_cancelled_call_leaves_nothing(
        self, pool: RemotePool
    ) -> None:
        """When the cancelled task has ended, so has the tool's process, and what that started."""
        begun = asyncio.Event()
        source = SLEEP.replace("    print", "    import os\n    os.fork()\n    print")
        running = asyncio.create_task(pool.run(Call(source, "tool", NOTHING), lambda _: begun.set()))
        await asyncio.wait_for(begun.wait(), 20)
        before = set(descendants(os.getpid()))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(before - set(descendants(os.getpid()))) >= 2
        assert (await pool.run(GOOD, None)).printed == "said\n"

    @pytest.mark.parametrize(
        ("source", "stopped"),
        [
            ("def tool():\n    while True: pass", "time"),
            ("def tool():\n    while True: print('x' * 9999)", "printed"),
            (
                "import time\ndef tool():\n    open('f', 'wb').write(bytes(2 << 20))\n    time.sleep(20)",
                "scratch",
            ),
        ],
    )
    async def test_limits_hold(self, pool: RemotePool, source: str, stopped: str) -> None:
        """The other process measures them."""
        seconds = 1.0 if stopped == "time" else 30.0
        ending = await pool.run(Call(source, "tool", NOTHING, timeout_seconds=seconds), None)
        assert ending.stopped == stopped

    async def test_permissions_are_those_of_the_moment(
        self, pool: RemotePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Variables come from this process at the time of the call; the other one never has them."""
        source = "import os\ndef tool(name: str):\n    return os.environ.get(name)"
        arguments = b'{"args":["GIVEN_KEY"],"kwargs":{}}'
        for value in ("first-secret", "second-secret"):
            monkeypatch.setenv("GIVEN_KEY", value)
            ending = await pool.run(Call(source, "tool", arguments, permissions=("env:GIVEN_KEY",)), None)
            assert value.encode() in ending.frame
        assert b"null" in (await pool.run(Call(source, "tool", arguments), None)).frame
        assert pool.process is not None
        environment = Path(f"/proc/{pool.process.pid}/environ").read_bytes()
        assert b"secret" not in environment
        (tmp_path / "f").write_text("content")
        read = f"def tool():\n    return open({str(tmp_path / 'f')!r}).read()"
        granted = Call(read, "tool", NOTHING, permissions=(f"read:{tmp_path / 'f'}",))
        assert b"content" in (await pool.run(granted, None)).frame
        assert b"PermissionError" in (await pool.run(Call(read, "tool", NOTHING), None)).frame
        missing = Call(read, "tool", NOTHING, permissions=("net:host.invalid:80",))
        with pytest.raises(IsolationError, match="has no address"):
            await pool.run(missing, None)

    async def test_packages_are_those_of_this_process(
        self, pool: RemotePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A directory of packages that was added later is found too."""
        packages = tmp_path / "site-packages"
        packages.mkdir()
        (packages / "found_here.py").write_text("X = 41\n")
        monkeypatch.syspath_prepend(str(packages))
        source = "import found_here\ndef tool():\n    return found_here.X + 1"
        ending = await pool.run(Call(source, "tool", NOTHING, imports=("found_here",)), None)
        assert b"42" in ending.frame


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a sandbox move after three calls."""
    monkeypatch.setattr(moving, "_FEW_CALLS", 3)


async def moved(sandbox: Sandbox) -> MovingPool:
    """Run calls until the sandbox has moved and nothing of it is left in this process."""
    for _ in range(3):
        assert (await sandbox.run(GOOD)).printed == "said\n"
    pool: Any = sandbox._engines.main
    assert isinstance(pool, MovingPool)
    assert await until(lambda: pool.process is not None and not pool.is_here, 30)
    return pool


@pytest.mark.usefixtures("soon")
async def test_a_sandbox_moves_while_calls_run() -> None:
    """A call that began here ends here; the layers stay the same; closing ends every process."""
    others = descendants(os.getpid())
    sandbox = Sandbox(mode="require", size=2, moves_out=True)
    await sandbox.start()
    layers, before = sandbox.layers(), sandbox.inspect().directory
    begun, end = asyncio.Event(), "import time\ndef tool():\n    print(1, flush=True)\n    time.sleep(2)"
    running = asyncio.create_task(sandbox.run(Call(end, "tool", NOTHING), lambda _: begun.set()))
    await begun.wait()
    pool = await moved(sandbox)
    assert (await running).status is Status.OK
    assert (await sandbox.run(GOOD)).isolation == layers
    after = sandbox.inspect().directory
    assert before is not None
    assert after is not None
    assert await until(lambda: not before.exists())
    assert sandbox.inspect().processes()
    assert pool.process in new_processes(others)
    await sandbox.aclose()
    assert await until(lambda: not new_processes(others))
    assert not after.exists()
    assert (await sandbox.run(GOOD)).printed == "said\n"
    await sandbox.aclose()


@pytest.mark.usefixtures("soon")
async def test_a_process_that_is_killed_is_replaced() -> None:
    """The call that it ran is lost, with its text, and all that the process had; the next one works."""
    others = descendants(os.getpid())
    sandbox = Sandbox(mode="require", size=2, moves_out=True)
    try:
        pool = await moved(sandbox)
        begun = asyncio.Event()
        running = asyncio.create_task(sandbox.run(Call(SLEEP, "tool", NOTHING), lambda _: begun.set()))
        await begun.wait()
        pids = new_processes(others)
        assert pool.process is not None
        os.kill(pool.process, signal.SIGKILL)
        outcome = await running
        assert outcome.status is Status.ERROR
        assert outcome.error is not None
        assert "was lost" in outcome.error.message
        assert outcome.printed == "begun\n"
        assert await until(lambda: not any(map(is_alive, pids)))
        outcomes = await asyncio.gather(*(sandbox.run(GOOD) for _ in range(4)))
        assert [outcome.printed for outcome in outcomes] == ["said\n"] * 4
    finally:
        await sandbox.aclose()


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("failure", [OSError(11, "no more processes"), ZygoteLostError("too little memory")])
async def test_calls_stay_here_if_no_process_can_be_started(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user does not notice."""

    def fail(_: int) -> None:
        raise failure

    monkeypatch.setattr(remote, "_spawn", fail)
    others = descendants(os.getpid())
    sandbox = Sandbox(mode="require", size=1, moves_out=True)
    for _ in range(6):
        assert (await sandbox.run(GOOD)).printed == "said\n"
    pool: Any = sandbox._engines.main
    assert pool.is_here
    assert pool.process is None
    await sandbox.aclose()
    assert await until(lambda: not new_processes(others))


OWNER = """
import asyncio, os, sys
from fact_magics.sandbox import Call, Sandbox, moving
from fact_magics.sandbox.child.family import descendants
moving._FEW_CALLS = 1
async def main():
    sandbox = Sandbox(mode="require", size=2, moves_out=True)
    nothing = b'{"args":[],"kwargs":{}}'
    while sandbox._engines.main is None or sandbox._engines.main.is_here:
        await sandbox.run(Call("def tool():\\n    return 1", "tool", nothing))
    while len(os.listdir(os.environ["TMPDIR"])) > 1:
        await asyncio.sleep(0.01)  # the pool here is being closed
    call = Call('''import os, time
def tool():
    os.fork()
    print("begun", flush=True)
    time.sleep(60)''', "tool", nothing)
    begun = asyncio.Event()
    running = asyncio.create_task(sandbox.run(call, lambda _: begun.set()))
    await begun.wait()
    if os.fork():
        print(*descendants(os.getpid()), flush=True)
        END
    else:
        os.closerange(0, 3)
        import time
        time.sleep(8)  # a fork holds the connection open
        os._exit(0)
asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["await asyncio.sleep(60)", "sys.exit(0)", "os._exit(0)"])
async def test_nothing_survives_the_owner(end: str, tmp_path: Path) -> None:
    """Killed by SIGKILL or leaving: its end is the end of all, although a fork holds the connection."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.replace("END", end)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert owner.stdout is not None
    pids = [int(pid) for pid in (await asyncio.to_thread(owner.stdout.readline)).split()]
    assert len(pids) >= 6
    if "sleep" in end:
        owner.kill()
    await asyncio.to_thread(owner.wait, 10)
    owner.stdout.close()
    # All but the fork.
    assert await until(lambda: sum(map(is_alive, pids)) <= 1)
    assert await until(lambda: not list(tmp_path.glob("fact_magics-*")))
