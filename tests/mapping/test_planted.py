"""Tools that leave something behind in their process never change the answer of another row.

Each tool here answers what it finds, then changes it. Alone, it always answers the same. `Batch` must deliver
this answer for each row, or none. These tests go around the check of the source, which refuses most of them.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from fact_magics.sandbox import Sandbox
from fact_magics.sandbox.batch import Batch, BatchWatch, RowAnswer
from fact_magics.sandbox.child.batch import ANSWERS, BLOCK
from fact_magics.sandbox.limits import Limits
from fact_magics.values import encode, encode_call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

ROWS = 12
# What each tool answers alone, its imports and top level, and the lines of the function.
PLANTED = {
    "a global counter": (1, "count = 0", "global count; count += 1; return count"),
    "a list of the module": (1, "seen = []", "seen.append(1); return len(seen)"),
    "a dict of the module": (0, "seen = {}", "known = len(seen); seen[n] = n; return known"),
    "a function's attribute": (1, "", "f.n = getattr(f, 'n', 0) + 1; return f.n"),
    "a class's attribute": (1, "class C:\n    n = 0", "C.n += 1; return C.n"),
    "a cache of results": (
        1,
        "import functools\ncount = []\n@functools.lru_cache\ndef g(n):\n    count.append(n); return len(count)",
        "return g(n)",
    ),
    "an iterator": (0, "import itertools\nids = itertools.count()", "return next(ids)"),
    "a generator": (0, "ids = (i for i in range(99))", "return next(ids)"),
    "a closure": (
        1,
        "def make():\n    n = 0\n    def g():\n        nonlocal n; n += 1; return n\n    return g\ng = make()",
        "return g()",
    ),
    "a patched function": (False, "import textwrap", "was = textwrap.fill is len; textwrap.fill = len; return was"),
    "a patched class": (
        False,
        "import textwrap",
        "was = textwrap.TextWrapper.wrap is len; textwrap.TextWrapper.wrap = len; return was",
    ),
    "a patched object": (
        False,
        "import json",
        "was = hasattr(json._default_decoder, 'mine'); json._default_decoder.mine = 1; return was",
    ),
    "a module behind another": (
        False,
        "import textwrap",
        "was = hasattr(textwrap.re.enum, 'mine'); textwrap.re.enum.mine = 1; return was",
    ),
    "a module that is not imported": (
        False,
        "import __main__",
        "was = hasattr(__main__.__builtins__, 'mine'); __main__.__builtins__.mine = 1; return was",
    ),
    "a patched builtin": (
        False,
        "import builtins",
        "was = hasattr(builtins, 'mine'); builtins.mine = n; return was",
    ),
    "a changed default": (
        None,
        "import textwrap",
        "was = textwrap.dedent.__defaults__; textwrap.dedent.__defaults__ = ('x',); return was",
    ),
    "a changed table": (False, "import json", "t = json.encoder.ESCAPE_DCT; was = 'é' in t; t['é'] = 1; return was"),
    "a module of its own": (
        False,
        "import sys, types",
        "was = 'ghost' in sys.modules; sys.modules['ghost'] = types.ModuleType('ghost'); return was",
    ),
    "a module taken away": (
        True,
        "import sys, colorsys",
        "was = 'textwrap' in sys.modules; sys.modules.pop('textwrap', None); return was",
    ),
    "the environment": (None, "import os", "was = os.environ.get('MINE'); os.environ['MINE'] = 'x'; return was"),
    "the working directory": (False, "import os", "was = os.getcwd() == '/'; os.chdir('/'); return was"),
    "a file": (False, "import os", "was = os.path.exists('x'); open('x', 'w').close(); return was"),
    "a directory": (False, "import os", "was = os.path.exists('d'); os.makedirs('d', exist_ok=True); return was"),
    "the file mode mask": (False, "import os", "return os.umask(0o77) == 0o77"),
    "the locale": (
        False,
        "import locale",
        "was = locale.setlocale(locale.LC_ALL) == 'C'; locale.setlocale(locale.LC_ALL, 'C'); return was",
    ),
    "the random state": (
        False,
        "import random",
        "was = random.getstate() == random.Random(5).getstate(); random.seed(5); return was",
    ),
    "a filter of warnings": (
        False,
        "import warnings",
        "was = warnings.filters[0][0] == 'ignore'; warnings.simplefilter('ignore'); return was",
    ),
    "a signal handler": (
        True,
        "import signal",
        "was = signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL; signal.signal(signal.SIGUSR1, print); return was",
    ),
    "a timer": (
        0.0,
        "import signal",
        "return signal.setitimer(signal.ITIMER_VIRTUAL, 900)[0]",
    ),
    "a thread": (
        1,
        "import threading",
        ("was = threading.active_count(); "
        "threading.Thread(target=threading.Event().wait, args=(9,), daemon=True).start(); return was"),
    ),
    "a child process": (
        False,
        "import os, time",
        ("was = seen(); os.fork() or time.sleep(9) or os._exit(0); return was\n"
        "def seen():\n    try:\n        os.waitpid(-1, os.WNOHANG)\n    except ChildProcessError:\n        return False\n"
        "    return True"),
    ),
    "an open file": (True, "import os", "first = os.dup(0); return first == 3 or first == 12"),
    "the path of imports": (False, "import sys", "was = 'mine' in sys.path; sys.path.append('mine'); return was"),
    "the recursion limit": (False, "import sys", "was = sys.getrecursionlimit() == 5000; sys.setrecursionlimit(5000); return was"),
    "the switch interval": (False, "import sys", "was = sys.getswitchinterval() > 1; sys.setswitchinterval(2); return was"),
    "a trace function": (False, "import sys", "was = sys.getprofile() is not None; sys.setprofile(lambda *a: None); return was"),
    "the precision of decimals": (28, "import decimal", "c = decimal.getcontext(); was = c.prec; c.prec = 5; return was"),
    "the precision of all decimals": (
        28,
        "import decimal",
        "was = decimal.Context().prec; decimal.DefaultContext.prec = 5; return was",
    ),
    "a handler of logs": (0, "import logging", "r = logging.getLogger(); was = len(r.handlers); r.addHandler(logging.NullHandler()); return was"),
    "a level of logs": (0, "import logging", "r = logging.getLogger('mine'); was = r.level; r.setLevel(10); return was"),
    "an exit function": (False, "import atexit", "was = atexit._ncallbacks() > 50; [atexit.register(len, '') for _ in range(60)]; return was"),
    "a dialect of CSV": (False, "import csv", "was = 'mine' in csv.list_dialects(); csv.register_dialect('mine'); return was"),
    "the first day of the week": (0, "import calendar", "was = calendar.firstweekday(); calendar.setfirstweekday(6); return was"),
    "the timeout of sockets": (None, "import socket", "was = socket.getdefaulttimeout(); socket.setdefaulttimeout(3); return was"),
    "garbage collection": (True, "import gc", "was = gc.isenabled(); gc.disable(); return was"),
    "the output": (False, "import io, sys", "was = hasattr(sys.stdout, 'mine'); sys.stdout = io.StringIO(); sys.stdout.mine = 1; return was"),
    "the priority": (False, "import os", "was = os.getpriority(os.PRIO_PROCESS, 0) >= 19; os.nice(19); return was"),
    "a limit of the system": (
        False,
        "import resource",
        ("was = resource.getrlimit(resource.RLIMIT_CORE)[1] == 0 and resource.getrlimit(resource.RLIMIT_STACK)[0] == 9 << 20; "
        "resource.setrlimit(resource.RLIMIT_STACK, (9 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1])); return was"),
    ),
}  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    running = Sandbox()
    await running.start()
    yield running
    await running.aclose()


def source(top: str, lines: str) -> str:
    first, *others = lines.split("\n")
    return "\n".join([top, "def f(n):", *(f"    {part.strip()}" for part in first.split("; ")), *others])


async def delivered(
    sandbox: Sandbox, text: str, rows: int = ROWS, **options: object
) -> tuple[list[RowAnswer], bytes]:
    answers: list[RowAnswer] = []
    arguments = tuple(encode_call((), {"n": number}) for number in range(rows))
    batch = Batch(text, "f", b"", 30.0, rows=arguments, on_rows=answers.extend, **options)  # type: ignore[arg-type]
    outcome = await sandbox.run(batch)
    return answers, outcome.result or b""


@pytest.mark.parametrize("kind", PLANTED)
async def test_no_row_notices_another(sandbox, kind):
    alone, top, lines = PLANTED[kind]
    answers, _ = await delivered(sandbox, source(top, lines), eager=True)
    assert {answer.payload for answer in answers} <= {encode(alone)}
    assert {answer.kind for answer in answers} <= {b"r"}


async def test_a_change_is_named_and_no_answer_after_it_is_delivered(sandbox):
    answers, end = await delivered(sandbox, source("import os", "os.environ['A'] = 'b'; return n"))
    assert answers == []
    assert b"environ" in end


async def test_rows_that_leave_nothing_are_all_delivered_with_what_they_print(sandbox):
    answers, end = await delivered(
        sandbox, source("import json", "print('row', n); return json.dumps([n])"), 300
    )
    assert [answer.payload for answer in answers] == [encode(f"[{number}]") for number in range(300)]
    assert [answer.printed for answer in answers[:2]] == ["row 0\n", "row 1\n"]
    assert end == b'{"changed": ""}'


@pytest.mark.parametrize(
    ("top", "lines"),
    [
        ("from datetime import datetime", "return datetime.strptime('2020-01-02', '%Y-%m-%d').isoformat()"),
        ("import re", "return re.sub('a' * (n % 7), 'b', 'c')"),
        ("from urllib.parse import unquote", "return unquote('a%20%c3%bc')"),
        ("import enum, dataclasses\n@dataclasses.dataclass\nclass A:\n    n: int", "return A(n).n"),
        ("", "import colorsys, html; return html.unescape('&amp;')"),
        ("import decimal", "return str(decimal.Decimal(1) / 3)"),
        ("", "raise ValueError(n)"),
    ],
)
async def test_what_ordinary_tools_do_is_no_change(sandbox, top, lines):
    answers, _ = await delivered(sandbox, source(top, lines), 200)
    assert len(answers) == 200


async def test_a_row_that_prints_much_is_left_to_a_process_of_its_own(sandbox):
    answers, _ = await delivered(sandbox, source("", "print('x' * 100_000 * (n == 1)); return n"), 3)
    assert [answer.kind for answer in answers] == [b"r", b"a", b"r"]


def block(first: int, sizes: list[int], payloads: bytes, *, kinds: bytes = b"rr", ms: float = 1.0) -> bytes:
    head = BLOCK.pack(ANSWERS, first, len(sizes), len(payloads), 0)
    columns = array("I", sizes), array("I", [0] * len(sizes)), array("d", [ms] * len(sizes))
    return b"".join((head, kinds, *(column.tobytes() for column in columns), payloads))


@pytest.mark.parametrize(
    "forged",
    [
        b"r" + bytes(24),
        block(7, [1, 1], b"55"),
        block(0, [1] * 99, b"5" * 99, kinds=b"r" * 99),
        block(0, [1, 2], b"55"),
        block(0, [1, 1], b"55", kinds=b"rx"),
        BLOCK.pack(ANSWERS, 0, 2, 1 << 62, 0),
    ],
    ids=["no block", "another row", "too many rows", "another size", "an unknown kind", "no end"],
)
async def test_forged_answers_stop_the_batch(sandbox, forged):
    lines = f"n or os.write(11, {forged!r}); return n"
    answers, end = await delivered(sandbox, source("import os", lines))
    assert answers == []
    assert end == b""


async def test_nothing_is_taken_after_a_forged_block():
    answers: list[RowAnswer] = []
    batch = Batch("", "f", b"", 1.0, 64, rows=(b"", b""), on_rows=answers.extend)
    watch = BatchWatch(batch, Limits(), None)
    watch.take_result(block(0, [1, 2], b"55"))
    watch.take_result(block(0, [1, 1], b"55"))
    assert answers == []
    assert watch.stopped.result() == "result"


async def test_a_forged_time_is_not_taken(sandbox):
    forged = block(0, [1, 1], b"55", ms=float("inf"))
    answers, _ = await delivered(sandbox, source("import os", f"n or os.write(11, {forged!r}); return n"))
    assert [answer.duration_ms for answer in answers] == [0.0, 0.0]
