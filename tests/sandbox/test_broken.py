"""What a tool breaks on its side is an error that says so in one clear line, and nothing more."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from fact_magics.sandbox import Call
from fact_magics.tool import Status

if TYPE_CHECKING:
    from conftest import Bench

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

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
def frame(payload, kind=b'R'):
    return kind + len(payload).to_bytes(8, 'big') + payload
def send(data):
    while data: data = data[os.write(pipes()[-1], data):]
def by_thread():
    import threading
    thread = threading.Thread(target=send, args=(frame(b'7'),))
    thread.start()
    thread.join()
def by_child():
    if os.fork() == 0:
        send(frame(b'7'))
        os._exit(0)
    os.wait()
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
        ("os.write(pipes()[-1], b'garbage'); os._exit(0)", "sent back bytes that are not a result"),
        ("os.write(pipes()[-1], b'garbage')", "sent back bytes that are not a result"),
        ("os.write(pipes()[-1], b'R' + b'\\xff' * 8)", "sent back bytes that are not a result"),
        (
            "os.write(pipes()[-1], b'R' + bytes(7) + b'\\x09x'); os._exit(0)",
            "sent back bytes that are not a result",
        ),
        (
            "os.write(pipes()[-1], b'E' + (200000).to_bytes(8, 'big') + b'[' * 200000); os._exit(0)",
            "could not report the error",
        ),
        ("os.write(pipes()[-1], b'E' + bytes(7) + b'\\x02{}'); os._exit(0)", "could not report the error"),
        (
            "os.write(pipes()[-1], b'E' + bytes(7) + b'\\x02\\xff\\xfe'); os._exit(0)",
            "could not report the error",
        ),
        # Ahead of the function's end, by whomever it is written: two frames are none.
        ("os.write(pipes()[-1], frame(b'7')); return 8", "sent back bytes that are not a result"),
        ("os.write(pipes()[-1], frame(b'7')); raise ValueError", "sent back bytes that are not a result"),
        ("os.write(pipes()[-1], frame(b'7') * 2); os._exit(0)", "sent back bytes that are not a result"),
        ("os.write(pipes()[-1], frame(b'7')[:-1]); os._exit(0)", "sent back bytes that are not a result"),
        ("os.write(pipes()[-1], frame(b'7', b'r')); os._exit(0)", "sent back bytes that are not a result"),
        ("by_thread(); return 8", "sent back bytes that are not a result"),
        ("by_child(); return 8", "sent back bytes that are not a result"),
        ("by_child(); os._exit(4)", "ended its process (exit code 4)"),
        ("by_child(); os.kill(os.getpid(), 9)", "was killed (SIGKILL)"),
        (
            """os.write(pipes()[-1], frame(b'{"type": "E", "message": [1]}', b'E')); os._exit(0)""",
            "could not report the error",
        ),
        (
            "big = frame(b'[' + b'[],' * 400_000 + b'0]', b'E'); send(big); os._exit(0)",
            "could not report the error",
        ),
        *(
            (
                f"big = frame(bytes(3_000_000)); send({sent}); os._exit(0)",
                "sent back bytes that are not a result",
            )
            for sent in ("big[:-1]", "big[:2_000_000]", "big + b'x'", "big * 2")
        ),
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


@pytest.mark.parametrize("begin", ["", "R" + "\0" * 5 + "\x10" + "\0" * 3], ids=["any", "of a large table"])
async def test_an_endless_frame_is_cut(bench: Bench, begin: str) -> None:
    """The parent's memory does not grow with what comes through the pipe."""
    source = f"""{FIND_PIPE}
def tool(begin):
    os.write(pipes()[-1], begin.encode())
    while True: os.write(pipes()[-1], bytes(1 << 16))
"""
    outcome = await bench.run(source, begin, timeout_seconds=60)
    assert (outcome.status, outcome.limit) == (Status.LIMIT, "result 32 MB")


async def test_an_error_that_is_too_long_to_be_one_does_not_fill_the_notebook(bench: Bench) -> None:
    """What is parsed of a claim is bounded before it is parsed: a list of lists takes twenty times its text."""
    source = (
        f"{FIND_PIPE}\ndef tool():\n    send(frame(b'[' + b'[],' * 8_000_000 + b'0]', b'E')); os._exit(0)"
    )
    tracemalloc.start()
    try:
        outcome = await bench.run(source, timeout_seconds=60)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcome.error is not None
    assert "could not report the error" in outcome.error.message
    assert most < 128 << 20


@pytest.mark.parametrize(
    "breaking",
    [
        "import json; json.dumps = json.loads = None",
        "import json; json.dumps = lambda *a, **k: b'[]'",
        "import json.encoder; json.encoder.c_make_encoder = json.encoder.encode_basestring = None",
        "import sys; sys.modules.clear()",
        "import sys; sys.meta_path.clear(); sys.path.clear()",
        "import sys; sys.stdout = sys.stderr = None",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "import sys; sys.setrecursionlimit(60)",
        "import os; os.write = os._exit = os.fork = None",
        "import os; os.environ.clear()",
        "import traceback; traceback.TracebackException = traceback.StackSummary = None",
        "import linecache; linecache.cache = None",
        "import gc; gc.disable(); gc.freeze()",
        "import signal; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 13, 15)]",
        "import sys; sys.excepthook = sys.unraisablehook = None",
    ],
)
async def test_monkeypatching_hurts_the_tool_alone(bench: Bench, breaking: str) -> None:
    """What is replaced in its own process keeps neither a value nor an error from being the right one."""
    assert await bench.value(f"def tool():\n    {breaking}\n    return {{'x': [1, None, 'y']}}") == {
        "x": [1, None, "y"]
    }
    error = await bench.error(f"def tool():\n    {breaking}\n    raise ValueError('x')")
    assert error == "ValueError: x"
    assert await bench.value("import json\ndef tool():\n    return json.loads('[1]')") == [1]


@pytest.mark.parametrize(
    "breaking",
    [
        "import builtins; builtins.len = builtins.isinstance = builtins.str = None",
        "import builtins; builtins.__dict__.clear()",
        "import sys; [vars(m).clear() for m in list(sys.modules.values()) if m is not sys]",
        "import gc; [setattr(f, '__code__', idle.__code__) for f in gc.get_objects() if suits(f)]",
        "import sys; sys.settrace(lambda *a: 1 / 0)",
        "import ctypes; ctypes.memset(id(int), 0, 64)",
        "import ctypes; ctypes.memset(id(type), 0, 400)",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1, 1))",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))",
    ],
)
@pytest.mark.parametrize("end", ["raise ValueError('x')", "return 1"])
async def test_a_process_that_is_broken_for_good_ends_as_an_error_or_as_it_says(
    bench: Bench, breaking: str, end: str
) -> None:
    """Whatever is left of it, an outcome comes in time, of one line, and the next call is whole."""
    helpers = (
        "def idle(*a, **k): pass\n"
        "def suits(f): return type(f).__name__ == 'function' and not f.__closure__ and f is not tool\n"
    )
    outcome = await bench.run(f"{helpers}def tool():\n    {breaking}\n    {end}", timeout_seconds=5)
    assert outcome.status in (Status.ERROR, Status.LIMIT, Status.OK)
    if outcome.status is Status.OK:
        assert (end, outcome.result) == ("return 1", b"1")
    elif outcome.status is Status.ERROR:
        assert outcome.error is not None
        assert "\n" not in outcome.error.message
    assert await bench.value("def tool():\n    return len([1])") == 1


async def test_hostile_exceptions(bench: Bench) -> None:
    """An exception whose text can't be made, or is endless, is told as far as it goes."""
    for text in (
        "raise RuntimeError",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "return 3",
        "return str(self)",
    ):
        source = f"class Bad(Exception):\n    def __str__(self): {text}\ndef tool(): raise Bad"
        assert await bench.error(source) == "Bad: <its message can't be shown>"
    assert len(await bench.error("def tool(): raise ValueError('x' * 10_000_000)")) < 10_000
    long = "class Bad(Exception):\n    def __str__(self): return 'x' * 100_000_000\ndef tool(): raise Bad"
    for memory_mb in (150, 1024):
        error = await bench.error(long, memory_mb=memory_mb)
        assert error.startswith("Bad: x" if memory_mb > 150 else "Bad: ")
        assert len(error) < 10_000
    endless = "class Bad(Exception):\n    def __str__(self):\n        while True: pass\ndef tool(): raise Bad"
    outcome = await bench.run(endless, timeout_seconds=0.5)
    assert (outcome.status, outcome.limit) == (Status.TIMEOUT, "time 0.5 s")


@pytest.mark.parametrize(
    ("making", "name"),
    [
        ("type('Two\\nLines', (Exception,), {})", "Two\nLines"),
        ("type('x' * 10_000_000, (Exception,), {})", "x" * 300),
        ("type('\\x1b[2JClear', (Exception,), {})", "\x1b[2JClear"),
        ("type('N', (Exception,), {'__module__': 3})", "N"),
        ("type('N', (Exception,), {'__module__': 'a.b'})", "a.b.N"),
        ("Sly('N', (Exception,), {})", "N"),
        ("type('N', (Liar,), {})", "N"),
    ],
)
async def test_hostile_classes(bench: Bench, making: str, name: str) -> None:
    """A class is named by what the interpreter knows of it, whatever it says itself; the name is bounded."""
    source = f"""
        class Sly(type):
            def __getattribute__(cls, name): raise SystemExit
        class Liar(Exception):
            __cause__ = __context__ = __traceback__ = property(lambda self: 1 / 0)
        Liar.__module__ = 'builtins'
        def tool(): raise {making}('said')
        """
    outcome = await bench.run(source)
    assert outcome.error is not None
    assert (outcome.error.type_name, outcome.error.message) == (name, "said")
    assert "Exception" in outcome.error.mro
    assert len(outcome.error.mro) < 10


async def test_chains_of_exceptions_are_followed_a_little(bench: Bench) -> None:
    """Ten thousand causes, or a circle of them, are told in bounded text and time."""
    source = """
        def tool(circle):
            error = first = ValueError('first')
            for number in range(10_000):
                error.__cause__ = ValueError(number)
                error = error.__cause__
            if circle: error.__context__ = first
            raise first
        """
    for circle in (False, True):
        assert await bench.error(source, circle) == "ValueError: first"


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


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
async def test_a_size_that_is_only_claimed_takes_no_memory() -> None:
    """Not even where NumPy is not imported; a process that is forked later has its own copy."""
    program = """
import os, sys
from fact_magics.sandbox.frames import large_frame
def held():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
before, size = held(), 256 << 20
frame = large_frame(b"R" + size.to_bytes(8, "big") + bytes(1), size)
assert len(frame) == 9 + size
assert held() - before < 32 << 20
if os.fork() == 0:
    frame[0] = 1
    os._exit(0)
os.wait()
assert frame[0] == 0
assert "numpy" not in sys.modules
"""
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=True)
