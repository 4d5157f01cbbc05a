"""Tools that break the process that runs them: a program that runs them in its own is gone, the notebook is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fact_magics.tool import Status

if TYPE_CHECKING:
    from conftest import Careless, Walled, World

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

PIPES = """
import fcntl, os, stat
def pipes():
    found = []
    for fd in range(3, 64):
        try:
            writable = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
            if writable and stat.S_ISFIFO(os.fstat(fd).st_mode): found.append(fd)
        except OSError: pass
    return found
"""

# What the tool does, and what the sandbox says of it.
BREAKING = {
    "leaves": ("os._exit(0)", "ended its process before it returned"),
    "leaves with a code": ("os._exit(7)", "ended its process (exit code 7)"),
    "asks to leave": ("raise SystemExit('bye')", "bye"),
    "plays the user's interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "reads where nothing is": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "writes where nothing is": ("import ctypes; ctypes.memset(8, 0, 8)", "SIGSEGV"),
    "gives up": ("os.abort()", "SIGABRT"),
    "kills itself": ("os.kill(os.getpid(), 9)", "SIGKILL"),
    "sets an alarm": ("import signal, time; signal.alarm(1); time.sleep(30)", "SIGALRM"),
    "becomes another program": (
        "import sys; os.execv(sys.executable, [sys.executable, '-S', '-c', ''])",
        "ended its process before it returned",
    ),
    "destroys None": (
        "import ctypes; ctypes.memset(id(None), 0, 16); return [None] * 1000",
        "crashed its process",
    ),
    "closes every descriptor": ("os.closerange(3, 256)", "ended its process"),
    "writes garbage where the result goes": (
        "for fd in pipes(): os.write(fd, b'garbage')",
        "sent back bytes that are not a result",
    ),
    "breaks what writes the result": (
        "import json\n    def bad(*a, **k): raise OSError\n    json.dump = json.dumps = bad\n    return object()",
        "ValueTypeError",
    ),
    "breaks the built-in functions": (
        "import builtins; builtins.isinstance = builtins.len = builtins.open = None; return object()",
        "",
    ),
    "returns what has no end": ("value = []; value.append(value); return value", ""),
    "returns what is too deep": (
        "value = []\n    for _ in range(100_000): value = [value]\n    return value",
        "",
    ),
    "returns what acts when it is shown": (
        "class Value:\n        def __repr__(self): os._exit(3)\n    return Value()",
        "ValueTypeError",
    ),
    "raises what acts when it is shown": (
        "class Bad(Exception):\n        def __str__(self): os._exit(3)\n    raise Bad",
        "",
    ),
    "raises what can't be shown": (
        "class Bad(Exception):\n        def __str__(self): raise KeyError\n    raise Bad",
        "Bad: <its message can't be shown>",
    ),
    "raises what no one expects": ("class Bad(BaseException): pass\n    raise Bad('odd')", "Bad: odd"),
}


@pytest.mark.parametrize("what", BREAKING)
async def test_a_tool_that_breaks_its_process_breaks_nothing_else(
    what: str, world: World, careless: Careless, walled: Walled
) -> None:
    body, said = BREAKING[what]
    source = f"{PIPES}\ndef tool():\n    {body}\n"
    seen = careless.run(source, seconds=3)
    assert seen.host_ended, seen

    seen = await walled.run(source, timeout_seconds=30)
    assert seen.outcome is not None
    assert seen.outcome.status is Status.ERROR, seen
    assert said in seen.said
    assert seen.said
    assert (await walled.run("import json\ndef tool():\n    return json.loads(json.dumps([1]))")).value == [1]


async def test_a_message_that_takes_for_ever_ends_with_the_time(careless: Careless, walled: Walled) -> None:
    source = """
class Bad(Exception):
    def __str__(self):
        while True: pass
def tool():
    raise Bad
"""
    assert careless.run(source, seconds=0.3).host_ended
    seen = await walled.run(source, timeout_seconds=0.3)
    assert seen.outcome is not None
    assert seen.outcome.status is Status.TIMEOUT
