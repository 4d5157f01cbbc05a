"""Limits end a call well: the status, which limit, and what was printed until then."""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest

from fact_magics.sandbox import Limits
from fact_magics.sandbox.limits import read_limits
from fact_magics.tool import Status

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("body", ["while True: pass", "time.sleep(60)", "signal.pause()"])
async def test_wall_time(bench: Bench, body: str) -> None:
    """A tool that computes, sleeps or waits too long is stopped, and what it printed is kept."""
    source = f"import time, signal\ndef tool():\n    print('begun')\n    {body}"
    outcome = await bench.run(source, timeout_seconds=1)
    assert (outcome.status, outcome.limit, outcome.printed) == (Status.TIMEOUT, "time 1 s", "begun\n")
    assert outcome.result is None


async def test_a_tool_that_stops_itself_is_stopped(bench: Bench) -> None:
    """SIGSTOP and ignored signals don't keep a process."""
    source = """
        import os, signal
        def tool():
            for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(one, signal.SIG_IGN)
            os.kill(os.getpid(), signal.SIGSTOP)
        """
    assert (await bench.run(source, timeout_seconds=0.5)).status is Status.TIMEOUT


async def test_processor_time(bench: Bench) -> None:
    """Threads that burn several processors meet the CPU limit before the wall time."""
    source = """
        import signal, resource
        def tool():
            soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (1, hard))
            print('burning')
            while True: pass
        """
    outcome = await bench.run(source, timeout_seconds=20)
    assert (outcome.status, outcome.limit, outcome.printed) == (Status.LIMIT, "CPU 21 s", "burning\n")


@pytest.mark.parametrize(
    "body", ["bytearray(300 << 20)", "[bytearray(1 << 20) for _ in range(300)]", "'x' * (1 << 40)"]
)
async def test_memory(bench: Bench, body: str) -> None:
    """Memory is limited above what the interpreter takes, and the limit is named with its value."""
    outcome = await bench.run(f"def tool():\n    print('begun')\n    return {body}", memory_mb=200)
    assert (outcome.status, outcome.limit, outcome.printed) == (Status.LIMIT, "memory 200 MB", "begun\n")
    assert await bench.value("def tool():\n    return len(bytearray(150 << 20))", memory_mb=200) == 150 << 20


async def test_buffers_of_sockets_and_pipes(bench: Bench) -> None:
    """Sockets and pipes hold no more than the system's default each, which the memory limit counts."""
    source = """
        import fcntl, os, socket, time
        def tool(count: int):
            ends = socket.socketpair()
            before = [end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) for end in ends]
            for end in ends:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
            assert before == [end.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) for end in ends]
            try:
                fcntl.fcntl(os.pipe()[1], fcntl.F_SETPIPE_SZ, 1 << 20)
            except PermissionError:
                print('refused')
            held = [socket.socketpair() for _ in range(count)]
            time.sleep(60 if count > 1 else 0)
        """
    outcome = await bench.run(source, 1)
    assert (outcome.status, outcome.printed) == (Status.OK, "refused\n")
    outcome = await bench.run(source, 100, memory_mb=32, timeout_seconds=60)
    assert (outcome.status, outcome.limit) == (Status.LIMIT, "memory 32 MB")


async def test_memory_in_numpy(bench: Bench) -> None:
    """A preloaded library does not count against the limit, what it allocates does."""
    source = "import numpy as np\ndef tool(n):\n    return float(np.ones(n << 17).sum())"
    assert await bench.value(source, 50, memory_mb=100, imports=("numpy",)) == 50 << 17
    outcome = await bench.run(source, 200, memory_mb=100, imports=("numpy",))
    assert (outcome.status, outcome.limit) == (Status.LIMIT, "memory 100 MB")


async def test_the_result(bench: Bench) -> None:
    """A result beyond the limit is no result."""
    outcome = await bench.run("def tool():\n    return 'x' * (33 << 20)")
    assert (outcome.status, outcome.limit, outcome.result) == (Status.LIMIT, "result 32 MB", None)


async def test_printed_text_is_cut_with_a_note(bench: Bench) -> None:
    """What exceeds the bound is counted, not kept, and the tool goes on."""
    pieces: list[str] = []
    outcome = await bench.run("def tool():\n    print('é' * 100_000)\n    return 1", on_printed=pieces.append)
    assert outcome.status is Status.OK
    assert outcome.printed.startswith("é" * 10_000 + "\n… ")
    assert "180,001 more bytes" in outcome.printed
    assert "".join(pieces) == outcome.printed


async def test_a_flood_of_printed_text_is_stopped(bench: Bench) -> None:
    """A tool that never stops printing is stopped, long before its time is up."""
    outcome = await bench.run("def tool():\n    while True: print('x' * 1000)", timeout_seconds=60)
    assert (outcome.status, outcome.limit) == (Status.LIMIT, "printed output 4 MB")
    assert len(outcome.printed) < 11_000


async def test_one_large_file(bench: Bench) -> None:
    """A file beyond the limit can't be written."""
    source = (
        "def tool():\n    with open('big', 'wb') as f:\n        for _ in range(12): f.write(bytes(1 << 20))"
    )
    outcome = await bench.run(source)
    assert (outcome.status, outcome.limit) == (Status.LIMIT, "file size 8 MB")


async def test_many_files(bench: Bench) -> None:
    """All of the scratch directory has a limit too, whatever the files' names and depth."""
    source = """
        import os, time
        def tool():
            for n in range(6):
                os.makedirs(f'{n}/.deep', exist_ok=True)
                open(f'{n}/.deep/file', 'wb').write(os.urandom(4 << 20))
            time.sleep(60)
        """
    outcome = await bench.run(source, timeout_seconds=60)
    assert (outcome.status, outcome.limit) == (Status.LIMIT, "scratch directory 16 MB")


async def test_a_file_deeper_than_any_path(bench: Bench) -> None:
    """Disk counts where no path leads, too."""
    source = """
        import os, time
        def tool():
            for _ in range(40):
                os.mkdir('d' * 200)
                os.chdir('d' * 200)
            for n in range(6):
                open(str(n), 'wb').write(os.urandom(4 << 20))
            time.sleep(60)
        """
    outcome = await bench.run(source, timeout_seconds=60)
    assert (outcome.status, outcome.limit) == (Status.LIMIT, "scratch directory 16 MB")


async def test_processes(bench: Bench) -> None:
    """A fork bomb runs into the cap on processes, says so, and leaves nothing behind."""
    source = """
        import os, time
        def tool():
            for _ in range(100):
                if os.fork() == 0:
                    time.sleep(60)
        """
    outcome = await bench.run(source)
    assert (outcome.status, outcome.limit) == (Status.LIMIT, "processes 16")


@pytest.mark.parametrize("kind", ["AS", "CPU", "FSIZE", "NOFILE", "CORE"])
async def test_limits_cant_be_raised(bench: Bench, kind: str) -> None:
    """Hard limits hold for root as well: its powers are gone."""
    source = f"""
        import resource as r
        def tool():
            r.setrlimit(r.RLIMIT_{kind}, (r.RLIM_INFINITY, r.RLIM_INFINITY))
        """
    assert await bench.error(source) == "ValueError: not allowed to raise maximum limit"


async def test_descriptors(bench: Bench) -> None:
    """Open files are limited, and what was printed until then is kept."""
    outcome = await bench.run(
        "def tool():\n    print('begun')\n    return len([open('/dev/null') for _ in range(1000)])"
    )
    assert (outcome.status, outcome.limit, outcome.printed) == (Status.LIMIT, "open files 256", "begun\n")


async def test_threads_that_find_no_room(bench: Bench) -> None:
    """Each thread's stack is address space: what ends a call with too many of them is its memory."""
    source = """
        import threading, time
        def tool():
            for _ in range(200): threading.Thread(target=time.sleep, args=(30,)).start()
        """
    outcome = await bench.run(source, memory_mb=100)
    assert (outcome.status, outcome.limit) == (Status.LIMIT, "memory 100 MB")


@pytest.mark.parametrize(
    ("body", "limit", "hint"),
    [
        ("while True: pass", "time 0.5 s", "Raise it with --timeout."),
        ("bytearray(300 << 20)", "memory 200 MB", "Raise it with --memory."),
        ("print('x' * (5 << 20))", "printed output 4 MB", '"printed_mb": 8'),
        ("return 'x' * (33 << 20)", "result 32 MB", '"result_mb": 64'),
        ("open('big', 'wb').write(bytes(9 << 20))", "file size 8 MB", '"file_mb": 16'),
        ("[open('/dev/null') for _ in range(300)]", "open files 256", '"open_files": 512'),
        ("while True: os.fork() or time.sleep(9)", "processes 16", '"processes": 32'),
    ],
)
async def test_each_limit_says_how_to_raise_it(
    bench: Bench, limits: Limits, body: str, limit: str, hint: str
) -> None:
    """By an option where there is one, else by the setting, beside those that were set already."""
    seconds = 0.5 if "pass" in body else 60
    outcome = await bench.run(
        f"import os, time\ndef tool():\n    {body}", timeout_seconds=seconds, memory_mb=200
    )
    assert outcome.limit == limit
    assert hint in outcome.hint
    if "limits" in outcome.hint:
        given = json.loads(outcome.hint.partition(" = ")[2].rstrip("."))
        raised = read_limits(given)
        kept = replace(raised, printed_kept=limits.printed_kept)  # which is no setting
        assert sum(getattr(kept, f.name) != getattr(limits, f.name) for f in fields(Limits)) == 1


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ("while True: pass", "time 3 s"),
        ("bytearray(300 << 20)", "memory 200 MB"),
        ("print('x' * (5 << 20))", "printed output 4 MB"),
        ("return 'x' * (33 << 20)", "result 32 MB"),
        ("open('big', 'wb').write(bytes(9 << 20))", "file size 8 MB"),
        ("[open('/dev/null') for _ in range(300)]", "open files 256"),
    ],
)
async def test_limits_hold_without_walls_as_well(unwalled: Bench, body: str, limit: str) -> None:
    """A plain process has them too, and what it printed until then is kept."""
    seconds = 3 if "pass" in body else 60
    source = f"def tool():\n    print('begun')\n    {body}"
    outcome = await unwalled.run(source, timeout_seconds=seconds, memory_mb=200)
    assert (outcome.limit, outcome.printed[:6]) == (limit, "begun\n")
    assert outcome.hint


async def test_what_was_used_is_said_where_it_is_known(bench: Bench) -> None:
    """The size of a result that was too large; of a time limit, how much of it was computed."""
    large = await bench.run("def tool():\n    return 'x' * (40 << 20)")
    assert large.used == "40 MB"
    slept = await bench.run("import time\ndef tool():\n    time.sleep(9)", timeout_seconds=0.5)
    assert slept.used == "0.0 s of processor time"
    burned = await bench.run("def tool():\n    while True: pass", timeout_seconds=1)
    assert 0.0 < float(burned.used.partition(" ")[0]) <= 3  # where the kernel would have stopped it


@pytest.mark.parametrize(
    "body", ["while True: pass", "time.sleep(60)", "open('big', 'wb').write(bytes(9 << 20))"]
)
async def test_half_a_line_is_shown_too(bench: Bench, body: str) -> None:
    """What was printed without a line's end is not lost with the process that is stopped."""
    source = f"import time\ndef tool():\n    print('50 %', end=' ')\n    {body}"
    assert (await bench.run(source, timeout_seconds=1)).printed == "50 % "


async def test_half_a_line_survives_the_processor_limit(bench: Bench) -> None:
    """There the kernel stops the process, which has a second for it."""
    source = """
        import resource
        def tool():
            print('50 %', end='')
            resource.setrlimit(resource.RLIMIT_CPU, (1, 2))
            while True: pass
        """
    outcome = await bench.run(source, timeout_seconds=20)
    assert (outcome.limit, outcome.printed) == ("CPU 21 s", "50 %")


async def test_tiny_writes_and_endless_lines_stay_within_bounds(bench: Bench) -> None:
    """However it is printed, as much is kept, the rest is counted, and the note says so at once."""
    tiny = "import os\ndef tool():\n    for _ in range(20_000): os.write(1, b'x')\n    return 1"
    pieces: list[str] = []
    outcome = await bench.run(tiny, on_printed=pieces.append)
    assert outcome.printed == "x" * 10_000 + "\n… 10,000 more bytes were printed, but are not shown.\n"
    assert "".join(pieces) == outcome.printed
    seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def watch(text: str) -> None:
        if "…" in text and not seen.done():
            seen.set_result(None)

    waiting = "import sys, time\ndef tool():\n    sys.stdout.write('x' * 20_000)\n    time.sleep(60)"
    running = asyncio.create_task(bench.run(waiting, on_printed=watch, timeout_seconds=60))
    await asyncio.wait_for(seen, 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
