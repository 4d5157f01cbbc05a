"""The end of a call is the end of all that it started, however it ends; and of the sandbox likewise."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fact_magics.errors import IsolationError
from fact_magics.sandbox import Call, Limits, Sandbox, scratch
from fact_magics.tool import Status

if TYPE_CHECKING:
    from conftest import Bench

    from fact_magics.sandbox import Outcome

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

NOTHING = b'{"args":[],"kwargs":{}}'
SLEEP = "import time\ndef tool():\n    print('begun')\n    time.sleep(60)"

# A name that ps shows, so that a test can count its processes from outside, and no other run's.
MARK = f"STRAY{os.getpid()}"
STRAYS = """
import ctypes, os, signal, time
def name(): ctypes.CDLL(None).prctl(15, b'STRAY', 0, 0, 0)
ready = os.pipe()
def stray(act):
    if os.fork():
        os.read(ready[0], 1)
    else:
        try: os.setsid()
        except PermissionError: pass
        if os.fork() == 0:
            name()
            for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(one, signal.SIG_IGN)
            os.write(1, b'up ')
            os.write(ready[1], b'x')
            act()
            while True: time.sleep(60)
        os._exit(0)
def stop(): os.kill(os.getpid(), signal.SIGSTOP)
def burn():
    while True: pass
def chain():
    while True:
        if os.fork(): os._exit(0)
def start():
    for act in (int, stop, burn, chain): stray(act)
""".replace("STRAY", MARK)


def named(mark: str) -> int:
    """Count the living processes of that name."""
    count = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().partition(") ")
            except OSError:
                continue
            count += name.endswith(f"({mark}") and rest[0] not in "ZX"
    return count


def state(pid: int) -> str:
    """Tell a process's state by its letter; X where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "X"


async def until(condition: object, seconds: float = 5.0) -> bool:
    """Wait until a condition holds; what is expected is that it does, not when."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


@pytest.fixture(scope="module")
def limits(limits: Limits) -> Limits:
    """Limits of which a chain of forks, whose ended processes count as threads, reaches none."""
    return replace(limits, threads=1 << 24)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("return 1", Status.OK),
        ("raise ValueError", Status.ERROR),
        ("os._exit(3)", Status.ERROR),
        ("time.sleep(60)", Status.TIMEOUT),
        ("os.kill(os.getpid(), signal.SIGSTOP)", Status.TIMEOUT),
    ],
)
async def test_strays_end_with_their_call(bench: Bench, end: str, status: Status) -> None:
    """Daemons that are deaf, stopped, busy or forking for ever, are gone with the outcome."""
    seconds = 5 if status is Status.TIMEOUT else 60
    outcome = await bench.run(f"{STRAYS}\ndef tool():\n    start()\n    {end}", timeout_seconds=seconds)
    assert outcome.status is status
    assert outcome.printed.count("up") == 4
    assert named(MARK) == 0
    assert await bench.value("def tool():\n    return 1") == 1


# Started in ways of which libraries know nothing; each says that it is up before its call goes on.
RARE = {
    "clone with the caller's parent": "clone(0x8000 | 17)",
    "clone with no signal at its end": "clone(0)",
    "clone with another signal at its end": "clone(10)",
    "a reaper of its own": "libc.prctl(36, 1, 0, 0, 0); stray(int)",
    "a child that blocks every signal": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); stray(int)",
    "a child that is not to end with its parent": "libc.prctl(1, 0, 0, 0, 0); stray(int)",
    "another program": "execute()",
    "as many as there may be": "fill()",
}
BY_RARE_CALLS = """
import sys
libc = ctypes.CDLL(None)
def clone(flags):
    if libc.syscall(56 if os.uname().machine == "x86_64" else 220, flags, 0, 0, 0, 0):
        os.read(ready[0], 1)
    else:
        name()
        os.write(1, b"up ")
        os.write(ready[1], b"x")
        while True: time.sleep(60)
def execute():
    program = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'STRAY', 0, 0, 0); print('up', flush=True); time.sleep(60)"
    if os.fork() == 0:
        os.dup2(ready[1], 1)
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", program])
    os.write(1, os.read(ready[0], 2))
def fill():
    try:
        while True:
            if os.fork() == 0:
                name()
                os.write(1, b"up ")
                while True: time.sleep(60)
    except BlockingIOError: pass
""".replace("STRAY", MARK)


@pytest.mark.parametrize("how", RARE)
async def test_strays_end_however_they_were_started(bench: Bench, how: str) -> None:
    """Neither a parent, a signal at its end nor a reaper that it chose keeps a process alive."""
    source = f"{STRAYS}{BY_RARE_CALLS}\ndef tool():\n    {RARE[how]}\n    return 1"
    outcome = await bench.run(source, timeout_seconds=60)
    assert outcome.status is Status.OK, outcome
    assert "up" in outcome.printed
    assert named(MARK) == 0
    assert await bench.value("def tool():\n    return 1") == 1


async def test_a_process_that_waits_for_its_child_in_the_kernel_ends(bench: Bench) -> None:
    """After vfork(2) the caller can't even be interrupted until its child is gone."""
    source = f"{STRAYS}\ndef tool():\n    name()\n    print('up')\n    ctypes.CDLL(None).vfork()\n    time.sleep(60)"
    outcome = await bench.run(source, timeout_seconds=1)
    assert (outcome.status, outcome.printed) == (Status.TIMEOUT, "up\n")
    assert named(MARK) == 0


async def test_strays_end_without_walls_too(unwalled: Bench) -> None:
    """Fresh processes adopt and end what their call leaves behind; a chain of forks is beyond them."""
    source = f"{STRAYS}\ndef tool():\n    for act in (int, stop, burn): stray(act)\n    "
    for end, status in (("return 1", Status.OK), ("time.sleep(60)", Status.TIMEOUT)):
        outcome = await unwalled.run(source + end, timeout_seconds=5 if status is Status.TIMEOUT else 60)
        assert outcome.status is status
        assert outcome.printed.count("up") == 3
        assert named(MARK) == 0


async def test_what_escapes_a_plain_process_holds_nothing_up(unwalled: Bench) -> None:
    """It may end who would have ended it, and keep the pipes of its call; its outcome comes nevertheless."""
    source = f"""{STRAYS}
def tool():
    stray(lambda: print(os.getpid(), flush=True))
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
"""
    outcome = await asyncio.wait_for(unwalled.run(source, timeout_seconds=60), 30)
    assert outcome.status is Status.ERROR
    (escaped,) = (int(line) for line in outcome.printed.removeprefix("up ").split())
    assert state(escaped) not in "ZX"
    os.kill(escaped, signal.SIGKILL)
    assert await unwalled.value("def tool():\n    return 1") == 1


@pytest.mark.parametrize("mode", ["require", "process"])
async def test_cancelling_ends_everything(bench: Bench, unwalled: Bench, mode: str) -> None:
    """A cancelled run kills what the call started before it raises."""
    using = bench if mode == "require" else unwalled
    up = asyncio.Event()
    source = f"{STRAYS}\ndef tool():\n    stray(int)\n    stray(stop)\n    print('begun')\n    burn()"
    running = asyncio.create_task(
        using.run(source, on_printed=lambda text: "begun" in text and up.set(), timeout_seconds=60)
    )
    await up.wait()
    assert named(MARK) == 2
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert named(MARK) == 0
    assert await using.value("def tool():\n    return 1") == 1


async def test_cancelling_while_waiting_for_a_turn(bench: Bench) -> None:
    """A call that waits in the queue, or for its zygote, can be cancelled; those that run go on."""
    places: asyncio.Queue[str] = asyncio.Queue()
    source = """
        import os, time
        def tool():
            print(os.getcwd(), end='', flush=True)
            while not os.path.exists('go'): time.sleep(.01)
            return 1
        """
    running = [asyncio.create_task(bench.value(source, on_printed=places.put_nowait)) for _ in range(2)]
    scratches = [await places.get() for _ in running]
    queued = asyncio.create_task(bench.run("def tool(): pass"))
    await asyncio.sleep(0.05)
    queued.cancel()
    with pytest.raises(asyncio.CancelledError):
        await queued
    for scratch_directory in scratches:
        Path(scratch_directory, "go").touch()
    assert await asyncio.gather(*running) == [1, 1]
    turn = asyncio.Event()
    call = Call("def tool(): pass", "tool", NOTHING, imports=("wave",))
    starting = asyncio.create_task(bench.sandbox.run(call, on_turn=turn.set))
    await turn.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert await bench.value("import wave\ndef tool():\n    return 1", imports=("wave",)) == 1


async def test_a_call_is_told_when_its_turn_comes(bench: Bench) -> None:
    """More calls than the sandbox has places for wait, and only then begin."""
    turns: list[int] = []
    up = [asyncio.Event() for _ in range(2)]
    source = "import time\ndef tool():\n    print('up', flush=True)\n    time.sleep(60)"

    def call(number: int) -> asyncio.Task[Outcome]:
        made = Call(source, "tool", b'{"args":[],"kwargs":{}}', timeout_seconds=60)
        run = bench.sandbox.run(made, lambda _: up[number % 2].set(), lambda: turns.append(number))
        return asyncio.create_task(run)

    first, second = call(0), call(1)
    await asyncio.gather(*(event.wait() for event in up))
    third = call(2)
    up[0].clear()
    await asyncio.sleep(0.05)
    assert turns == [0, 1]
    first.cancel()
    await up[0].wait()
    assert turns == [0, 1, 2]
    for running in (second, third):
        running.cancel()
    await asyncio.gather(first, second, third, return_exceptions=True)


async def test_a_host_that_does_not_answer_holds_nothing_up(bench: Bench) -> None:
    """A call that waits for a connection ends with its time; neither it nor its zygote keeps the next ones."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    port = full.getsockname()[1]
    waiting = [socket.socket() for _ in range(3)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
    source = f"import socket\ndef tool():\n    socket.socket().connect(('127.0.0.1', {port}))"
    for _ in range(2):
        call = bench.run(source, permissions=(f"net:127.0.0.1:{port}",), timeout_seconds=0.5)
        outcome = await asyncio.wait_for(call, 30)
        assert outcome.status is Status.TIMEOUT
        assert await asyncio.wait_for(bench.value("import wave\ndef tool():\n    return 1"), 30) == 1
    for one in (*waiting, full):
        one.close()


async def test_a_thread_that_waits_for_a_host_holds_no_other_up(bench: Bench) -> None:
    """One of several hosts that does not answer costs what comes from it, and nothing else."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    answering = socket.create_server(("127.0.0.1", 0))
    waiting = [socket.socket() for _ in range(3)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(full.getsockname())
    source = """
        import socket, threading, time
        def tool(dead, alive):
            def connect():
                socket.socket().connect(('127.0.0.1', dead))
            threading.Thread(target=connect, daemon=True).start()
            time.sleep(0.2)
            connection = socket.create_connection(('127.0.0.1', alive))
            open('file', 'w').close()
            codes = [socket.socket().connect_ex(('127.0.0.1', 1))]
            try: socket.socket().connect(('127.0.0.1', 1))
            except ConnectionRefusedError as error: codes.append(error.errno)
            return [connection.gettimeout(), codes[0] == codes[1] > 0]
        """
    ports = [one.getsockname()[1] for one in (full, answering)]
    permissions = tuple(f"net:127.0.0.1:{port}" for port in (*ports, 1))
    assert await bench.value(source, *ports, permissions=permissions, timeout_seconds=30) == [None, True]
    for one in (*waiting, full, answering):
        one.close()


async def test_calls_at_a_time_are_bounded(bench: Bench) -> None:
    """A sandbox of two runs two calls at a time; the third begins when one of them ends."""

    def start() -> tuple[asyncio.Task[object], asyncio.Event]:
        begun = asyncio.Event()
        return asyncio.create_task(
            bench.run(SLEEP, on_printed=lambda _: begun.set(), timeout_seconds=60)
        ), begun

    calls = [start() for _ in range(3)]
    await asyncio.gather(calls[0][1].wait(), calls[1][1].wait())
    await asyncio.sleep(0.3)
    assert not calls[2][1].is_set()
    calls[0][0].cancel()
    await calls[2][1].wait()
    for running, _ in calls:
        running.cancel()
    await asyncio.wait([running for running, _ in calls])
    source = "def tool(n):\n    return n"
    assert await asyncio.gather(*(bench.value(source, n) for n in range(20))) == list(range(20))


async def test_a_zygote_that_dies_is_replaced() -> None:
    """Killed from outside while it is idle, or while it works, it is replaced, and the next call works."""
    sandbox = Sandbox(mode="require", size=1)
    await sandbox.start()
    good = Call("def tool():\n    return 1", "tool", NOTHING)
    assert (await sandbox.run(good)).status is Status.OK

    def kill_zygotes() -> None:
        pids = [zygote.pid for zygote in sandbox.inspect().zygotes]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        while any(state(pid) not in "ZX" for pid in pids):
            time.sleep(0.001)  # the loop is not to notice before the call does

    kill_zygotes()
    assert (await sandbox.run(good)).status is Status.OK

    begun = asyncio.Event()
    running = asyncio.create_task(sandbox.run(Call(SLEEP, "tool", NOTHING), lambda _: begun.set()))
    await begun.wait()
    kill_zygotes()
    outcome = await running
    assert outcome.status is Status.ERROR
    assert outcome.error is not None
    assert "was lost" in outcome.error.message
    assert outcome.printed == "begun\n"
    assert (await sandbox.run(good)).status is Status.OK
    held = sandbox.inspect()
    await sandbox.aclose()
    assert await until(lambda: not held.processes())


@pytest.mark.parametrize("mode", ["require", "process"])
async def test_closing_ends_what_runs(mode: Any) -> None:
    """A sandbox that is closed while a call runs ends it, and can be used again afterwards."""
    sandbox = Sandbox(mode=mode, size=2)
    begun = asyncio.Event()
    running = asyncio.create_task(sandbox.run(Call(SLEEP, "tool", NOTHING), lambda _: begun.set()))
    await begun.wait()
    await sandbox.aclose()
    outcome = await asyncio.wait_for(running, 5)
    assert outcome.status is Status.ERROR
    assert outcome.error is not None
    assert "was lost" in outcome.error.message
    assert (await sandbox.run(Call("def tool():\n    return 1", "tool", NOTHING))).result == b"1"
    await sandbox.aclose()
    await sandbox.aclose()


async def test_closing_ends_what_is_being_started() -> None:
    """A call whose zygote is still on its way is refused in one line, and the zygote does not arrive."""
    sandbox = Sandbox(mode="require", size=2)
    await sandbox.start()
    call = Call("def tool():\n    return 1", "tool", NOTHING, imports=("wave",))
    turn = asyncio.Event()
    starting = asyncio.create_task(sandbox.run(call, on_turn=turn.set))
    await turn.wait()
    held = sandbox.inspect()
    await sandbox.aclose()
    with pytest.raises(IsolationError, match="its sandbox was closed"):
        await starting
    assert await until(lambda: not held.processes())
    assert not sandbox.inspect().zygotes


@pytest.mark.parametrize("mode", ["require", "process"])
async def test_changed_settings_hold_from_the_next_call_on(mode: Any) -> None:
    """A call that runs, and one that waits for its turn, end as they began; then their zygotes go."""
    sandbox = Sandbox(mode=mode, size=1)
    begun = asyncio.Event()
    source = "import time\ndef tool():\n    print('begun', flush=True)\n    time.sleep(.2)\n    return 1"
    call = Call(source, "tool", NOTHING)
    running = asyncio.create_task(sandbox.run(call, lambda _: begun.set()))
    await begun.wait()
    waiting = asyncio.create_task(sandbox.run(call))
    await asyncio.sleep(0)
    before, held = sandbox.layers(), sandbox.inspect()
    await sandbox.reconfigure("process", Limits(result_bytes=3))
    changed = await sandbox.run(Call("def tool():\n    return 'long'", "tool", NOTHING))
    assert (changed.status, changed.isolation) == (Status.LIMIT, ("process", "rlimits"))
    for outcome in await asyncio.gather(running, waiting):
        assert (outcome.result, outcome.isolation) == (b"1", before)
    if mode == "require":
        assert await until(lambda: not held.processes())
    await sandbox.aclose()
    assert not sandbox.inspect().retiring


async def test_what_takes_long_to_remove_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that leave millions of files cost the next ones neither their zygotes nor their limits."""
    removed = threading.Event()
    real = scratch.remove

    def remove_late(root: Path) -> None:
        removed.wait()
        real(root)

    sandbox = Sandbox(mode="require", size=1, limits=Limits(scratch_bytes=1 << 20))
    await sandbox.start()
    monkeypatch.setattr("fact_magics.sandbox.warden.END_SECONDS", 0.05)
    monkeypatch.setattr(scratch, "remove", remove_late)
    try:
        leaves = Call("def tool():\n    open('f', 'w').close()\n    return 1", "tool", NOTHING)
        for _ in range(2):
            assert (await asyncio.wait_for(sandbox.run(leaves), 20)).result == b"1"
        fills = "import time\ndef tool():\n    open('f', 'wb').write(bytes(2 << 20))\n    time.sleep(20)"
        outcome = await sandbox.run(Call(fills, "tool", NOTHING, timeout_seconds=10))
        assert outcome.limit == "scratch directory 1 MB"
    finally:
        removed.set()
        await sandbox.aclose()


async def test_least_recently_used_zygotes_are_closed() -> None:
    """Many kinds of tools don't keep a process each."""
    sandbox = Sandbox(mode="require", size=1, limits=Limits())
    for module in ("wave", "shelve", "mailbox", "sched", "cmd", "code", "colorsys"):
        source = f"import {module}\ndef tool():\n    return 1"
        assert (await sandbox.run(Call(source, "tool", NOTHING, imports=(module,)))).result == b"1"
    assert len(sandbox.inspect().zygotes) <= 3
    await sandbox.aclose()


OWNER = """
import asyncio, os, sys, time
from fact_magics.sandbox import Call, Sandbox
from fact_magics.sandbox.child.family import descendants
async def main():
    sandbox = Sandbox(mode="require", size=2)
    call = Call('''STRAYS
def tool():
    stray(int)
    stray(burn)
    print("begun")
    time.sleep(60)''', "tool", b'{"args":[],"kwargs":{}}')
    begun = asyncio.Event()
    running = asyncio.create_task(sandbox.run(call, lambda text: "begun" in text and begun.set()))
    await begun.wait()
    print(*descendants(os.getpid()), flush=True)
    END
asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["await asyncio.sleep(60)", "sys.exit(0)", "os._exit(0)"])
async def test_nothing_survives_an_owner_that_does_not_close(end: str, tmp_path: Path) -> None:
    """Killed by SIGKILL, gone in the midst of it, or leaving in good order: its end is the zygotes' end."""
    program = OWNER.replace("STRAYS", STRAYS).replace("END", end)
    owner = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert owner.stdout is not None
    pids = [int(pid) for pid in (await asyncio.to_thread(owner.stdout.readline)).split()]
    assert len(pids) >= 4
    if "sleep" in end:
        owner.kill()
    await asyncio.to_thread(owner.wait, 10)
    owner.stdout.close()
    assert await until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()])
    assert named(MARK) == 0


FORKING_OWNER = """
import asyncio, atexit, os
from fact_magics.sandbox import Sandbox
async def main():
    sandbox = Sandbox(mode="require", size=1)
    await sandbox.start()
    child = os.fork()
    if child == 0:
        try:
            atexit._run_exitfuncs()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    directory = sandbox.inspect().directory
    print(directory.is_dir())
    await sandbox.aclose()
    print(directory.exists())
asyncio.run(main())
"""


async def test_a_fork_of_the_owner_that_ends_leaves_its_directory() -> None:
    """What a process does at its end, a fork of it does at its own."""
    owner = [sys.executable, "-c", FORKING_OWNER]
    done = await asyncio.to_thread(subprocess.run, owner, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "False"], done.stderr


async def test_what_a_killed_owner_left_on_disk_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directories of processes that live stay, those of dead ones go."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    dead, alive, other = (
        tmp_path / f"fact_magics-{name}" for name in (f"{done.pid}-a", f"{os.getpid()}-b", "mine")
    )
    for path in (dead, alive, other):
        (path / "sub").mkdir(parents=True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sandbox = Sandbox(mode="require", size=1)
    await sandbox.start()
    await sandbox.aclose()
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()


async def test_an_unprivileged_user_gets_the_same(tmp_path: Path) -> None:
    """As ``nobody`` the same layers are in force, and a stray ends with its call."""
    if os.getuid():
        pytest.skip("only root can become another user; the whole suite runs unprivileged already")
    python = "/usr/bin/python3"
    version = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True, text=True
    )
    if version.stdout.strip() != "True":
        pytest.skip("no interpreter here that nobody may run and that is new enough")
    program = (
        textwrap.dedent("""
        import asyncio, sys
        sys.path[:0] = PATH
        from fact_magics.sandbox import Call, Sandbox
        async def main():
            sandbox = Sandbox(mode="require", size=1)
            stray = Call('''STRAYS
        def tool():
            start()
            return open("/etc/passwd").read()''', "tool", b'{"args":[],"kwargs":{}}')
            outcome = await sandbox.run(stray)
            print(outcome.error.type_name, outcome.printed.count("up"), *outcome.isolation)
            await sandbox.aclose()
        asyncio.run(main())
        """)
        .replace("STRAYS", STRAYS.replace("\n", "\n"))
        .replace(
            "PATH",
            repr(
                [str(Path(__file__).parents[2]), *(entry for entry in sys.path if "site-packages" in entry)]
            ),
        )
    )
    (tmp_path / "home").mkdir()
    done = await asyncio.to_thread(
        subprocess.run,
        [python, "-c", program],
        user="nobody",
        group="nogroup",
        extra_groups=[],
        env={"HOME": "/", "PATH": os.defpath},
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert done.stdout.split() == [
        "PermissionError",
        "4",
        "landlock",
        "seccomp",
        "scopes",
        "rlimits",
        "fork",
    ], done.stderr
    assert named(MARK) == 0
