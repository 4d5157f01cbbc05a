"""What a tool breaks on its side is an error that says so in one clear line, and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fact_magics.sandbox import Call
from fact_magics.tool import Status

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

# As a hostile tool would find it: the pipe's descriptor, whatever its number.
FIND_PIPE = """
import os, stat, sys
def pipes():
    found = []
    for fd in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode): found.append(fd)
        except OSError: pass
    return found
"""


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("os._exit(0)", "ended its process before it returned"),
        ("os._exit(7)", "ended its process (exit code 7)"),
        ("import ctypes; ctypes.string_at(0)", "crashed its process (SIGSEGV)"),
        ("os.abort()", "crashed its process (SIGABRT)"),
        ("os.kill(os.getpid(), 9)", "was killed (SIGKILL)"),
        ("os.closerange(3, 256)", "ended its process"),
        ("os.closerange(0, 256)", "ended its process"),
        ("os.execv(sys.executable, [sys.executable, '-c', 'pass'])", "ended its process before it returned"),
        ("os.write(pipes()[-1], b'garbage'); os._exit(0)", "sent back bytes that are no result"),
        ("os.write(pipes()[-1], b'garbage')", "sent back bytes that are no result"),
        ("os.write(pipes()[-1], b'R' + b'\\xff' * 8)", "sent back bytes that are no result"),
        (
            "os.write(pipes()[-1], b'R' + bytes(7) + b'\\x09x'); os._exit(0)",
            "sent back bytes that are no result",
        ),
        (
            "os.write(pipes()[-1], b'E' + (200000).to_bytes(8, 'big') + b'[' * 200000); os._exit(0)",
            "could not say how",
        ),
        ("os.write(pipes()[-1], b'E' + bytes(7) + b'\\x02{}'); os._exit(0)", "could not say how"),
        ("os.write(pipes()[-1], b'E' + bytes(7) + b'\\x02\\xff\\xfe'); os._exit(0)", "could not say how"),
    ],
)
async def test_broken_workers(bench: Bench, body: str, message: str) -> None:
    """Exits, crashes, closed descriptors and garbage each say what happened, and the next call works."""
    outcome = await bench.run(f"{FIND_PIPE}\ndef tool():\n    {body}")
    assert outcome.status is Status.ERROR
    assert outcome.error is not None
    assert message in outcome.error.message
    assert "\n" not in outcome.error.message
    assert outcome.result is None
    assert await bench.value("def tool():\n    return 1") == 1


async def test_a_forged_frame_is_no_more_than_a_claim(bench: Bench) -> None:
    """A tool that writes its own frame and exits has returned that: bytes, not yet believed."""
    outcome = await bench.run(
        f"{FIND_PIPE}\ndef tool():\n    os.write(pipes()[-1], b'R' + bytes(7) + b'\\x01' + b'7'); os._exit(0)"
    )
    assert (outcome.status, outcome.result) == (Status.OK, b"7")


async def test_an_endless_frame_is_cut(bench: Bench) -> None:
    """The parent's memory does not grow with what comes through the pipe."""
    source = f"{FIND_PIPE}\ndef tool():\n    while True: os.write(pipes()[-1], bytes(1 << 16))"
    outcome = await bench.run(source, timeout_seconds=60)
    assert (outcome.status, outcome.limit) == (Status.LIMIT, "result 32 MB")


@pytest.mark.parametrize(
    "breaking",
    [
        "import json; json.dumps = json.loads = None",
        "import builtins; builtins.len = builtins.isinstance = None",
        "import sys; sys.modules.clear()",
        "import sys; sys.stdout = sys.stderr = None",
        "import os; os.write = os._exit = None",
        "import traceback; traceback.TracebackException = None",
    ],
)
async def test_monkeypatching_hurts_the_tool_alone(bench: Bench, breaking: str) -> None:
    """Broken libraries give an answer or an error, and the next call finds them whole."""
    outcome = await bench.run(f"def tool():\n    {breaking}\n    raise ValueError('x')", timeout_seconds=5)
    assert outcome.status is Status.ERROR
    assert await bench.value("import json\ndef tool():\n    return json.loads('[1]')") == [1]


async def test_hostile_exceptions(bench: Bench) -> None:
    """An exception whose text can't be made, or is endless, is told as far as it goes."""
    source = """
        class Bad(Exception):
            def __str__(self): raise RuntimeError
        def tool(): raise Bad
        """
    assert await bench.error(source) == "Bad: <its message can't be shown>"
    assert len(await bench.error("def tool(): raise ValueError('x' * 10_000_000)")) < 10_000


@pytest.mark.parametrize(
    "source",
    [
        "def tool(:",
        "raise RuntimeError('at import')",
        "other = 1",
        "import nothing_of_this_name\ndef tool(): pass",
        "tool = 3",
    ],
)
async def test_sources_that_dont_run(bench: Bench, source: str) -> None:
    """A source that can't be executed, or lacks the function, is an error of the tool."""
    assert (await bench.run(source)).status is Status.ERROR


async def test_arguments_that_are_no_wire(bench: Bench) -> None:
    """Bytes that are no canonical form never reach the tool."""
    outcome = await bench.sandbox.run(Call("def tool():\n    print('ran')", "tool", b'{"args":['))
    assert (outcome.status, outcome.printed) == (Status.ERROR, "")


async def test_nothing_runs_after_the_result(bench: Bench) -> None:
    """No atexit, no __del__, no thread goes on when the result is out."""
    source = """
        import atexit, threading, time, sys
        class Late:
            def __del__(self): print('deleted')
        keep = Late()
        def tool():
            atexit.register(print, 'atexit')
            def go_on():
                time.sleep(.3)
                print('thread')
            threading.Thread(target=go_on).start()
            return 1
        """
    outcome = await bench.run(source)
    assert (outcome.status, outcome.printed) == (Status.OK, "")
