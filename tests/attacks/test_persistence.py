"""What one call leaves for the next one to find: in a process that serves both it is found, in the sandbox not."""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Careless, Walled, World

SHARED = Path("/dev/shm")  # noqa: S108 - what is left there is found and removed
pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

# What is left, by the body of one tool; and by that of another, whether it is found.
LEFT = {
    "a module's variable": ("import json; json.planted = 1", "import json; return hasattr(json, 'planted')"),
    "a built-in name": ("import builtins; builtins.planted = 1", "return planted"),
    "a patched function": (
        "import string; string.capwords = lambda text: 'patched'",
        "import string; return string.capwords('x') == 'patched'",
    ),
    "a module of its own": ("import sys; sys.modules['planted'] = sys", "import planted; return True"),
    "an import hook": (
        "import sys\n    class Hook:\n        find_spec = lambda *a: None\n    sys.meta_path.insert(0, Hook)",
        "import sys; return sys.meta_path[0].__name__ == 'Hook'",
    ),
    "an entry of the path": (
        "import sys; sys.path.insert(0, '/planted')",
        "import sys; return '/planted' in sys.path",
    ),
    "an audit hook": (
        "import sys; sys.addaudithook(lambda event, args: event == 'ask' and args[0].append(1))",
        "import sys; found = []; sys.audit('ask', found); return found",
    ),
    "a codec's error handler": (
        "import codecs; codecs.register_error('planted', print)",
        "import codecs; return codecs.lookup_error('planted') is print",
    ),
    "a registered class": (
        "from collections.abc import Sized; Sized.register(int)",
        "from collections.abc import Sized; return isinstance(1, Sized)",
    ),
    "a variable of the environment": (
        "import os; os.environ['PLANTED'] = '1'",
        "import os; return 'PLANTED' in os.environ",
    ),
    "a time zone": (
        "import os, time; os.environ['TZ'] = 'XYZ-3'; time.tzset()",
        "import time; return time.tzname[0] == 'XYZ'",
    ),
    "a signal's handler": (
        "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "import signal; return signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN",
    ),
    "a decimal precision": (
        "import decimal; decimal.getcontext().prec = 3",
        "import decimal; return decimal.getcontext().prec == 3",
    ),
    "a random state": (
        "import random; random.seed(1)",
        "import random; return round(random.random(), 6) == 0.134364",
    ),
    "a file mask": ("import os; os.umask(0o077)", "import os; return os.umask(0o022) == 0o077"),
    "a recursion limit": (
        "import sys; sys.setrecursionlimit(77777)",
        "import sys; return sys.getrecursionlimit() == 77777",
    ),
    "a filter of warnings": (
        "import warnings; warnings.simplefilter('error', UserWarning)",
        "import warnings; return ('error', None, UserWarning, None, 0) in warnings.filters",
    ),
    "a handler of logs": (
        "import logging; logging.getLogger().addHandler(logging.NullHandler())",
        "import logging; return len(logging.getLogger().handlers)",
    ),
    "a default timeout": (
        "import socket; socket.setdefaulttimeout(9)",
        "import socket; return socket.getdefaulttimeout() == 9",
    ),
    "a lower limit": (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (50, 50))",
        "import resource as r; return r.getrlimit(r.RLIMIT_NOFILE)[0] == 50",
    ),
    "a lower priority": ("import os; os.nice(3)", "import os; return os.nice(0) == 3 + START"),
    "an open descriptor": (
        "import os; os.dup2(os.open('/dev/null', 0), 77)",
        "import os; return os.fstat(77).st_mode",
    ),
    "a thread": (
        "import threading, time; threading.Thread(target=time.sleep, args=(10,), daemon=True).start()",
        "import threading; return threading.active_count() > 1",
    ),
    "a process": (
        """import os, socket, time
    ready = os.pipe()
    if os.fork(): return os.close(ready[1]) or os.read(ready[0], 1)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind('\\0left-' + world['name'])
    os.write(ready[1], b'x')
    time.sleep(10)
    os._exit(0)""",
        "import socket; return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0left-' + world['name'])",
    ),
    "a file in the working directory": (
        "open('planted', 'w').close()",
        "import os; return os.path.exists('planted')",
    ),
    "a file at home": (
        "import os; open(os.path.expanduser('~/.planted'), 'w').close()",
        "import os; return os.path.exists(os.path.expanduser('~/.planted'))",
    ),
    "a temporary file": (
        "import tempfile; open(tempfile.gettempdir() + '/planted', 'w').close()",
        "import os, tempfile; return os.path.exists(tempfile.gettempdir() + '/planted')",
    ),
    "a file in the parent directory": (
        "open('../planted-' + world['name'], 'w').close()",
        "import os; return os.path.exists('../planted-' + world['name'])",
    ),
    "what the other one was given": (
        "global kept; kept = 'given-' + world['name']; import sys; sys.modules['kept'] = globals()",
        "import gc; return any(d.get('kept') == 'given-' + world['name'] for d in gc.get_objects() if type(d) is dict)",
    ),
}

_SHARED = "import ctypes; libc = ctypes.CDLL(None); key = int(world['name'][:7], 16)\n    "
if SHARED.is_dir() and os.access(SHARED, os.W_OK):
    LEFT["a file in shared memory"] = (
        "open('/dev/shm/' + world['name'], 'w').close()",
        "import os; return os.path.exists('/dev/shm/' + world['name'])",
    )
if Path("/proc/sysvipc").exists():
    for what, make, find in (
        ("shared memory", "shmget(key, 4096, 0o1600)", "shmget(key, 0, 0)"),
        ("a semaphore", "semget(key, 1, 0o1600)", "semget(key, 0, 0)"),
        ("a message queue", "msgget(key, 0o1600)", "msgget(key, 0)"),
    ):
        LEFT[what] = (f"{_SHARED}libc.{make}", f"{_SHARED}return libc.{find} >= 0")
if Path("/proc/sys/fs/mqueue").exists():
    LEFT["a queue with a name"] = (
        f"{_SHARED}libc.mq_open(b'/' + world['name'].encode(), 0o102, 0o600, None)",
        f"{_SHARED}return libc.mq_open(b'/' + world['name'].encode(), 2) >= 0",
    )
_NUMBERS = {"x86_64": (248, 250), "aarch64": (217, 219)}.get(os.uname().machine)
if _NUMBERS and Path("/proc/keys").exists():
    _ADD_KEY, _KEYCTL = _NUMBERS
    LEFT["a key in the kernel's keyring"] = (
        f"{_SHARED}libc.syscall({_ADD_KEY}, b'user', world['name'].encode(), b'x', 1, -4)",
        f"{_SHARED}return libc.syscall({_KEYCTL}, 10, -4, b'user', world['name'].encode(), 0) > 0",
    )


def tool(body: str) -> str:
    return f"def tool(world):\n    {body}\n".replace("START", str(os.getpriority(os.PRIO_PROCESS, 0)))


@pytest.fixture
def name(world: World) -> Iterator[str]:
    """The name under which things are left, which are removed before the sandbox's turn and at the end."""
    given = str(world.facts(patience=0)["name"])
    yield given
    remove(given)


def remove(name: str) -> None:
    libc, key = ctypes.CDLL(None), int(name[:7], 16)
    libc.shmctl(libc.shmget(key, 0, 0), 0, None)
    libc.semctl(libc.semget(key, 0, 0), 0, 0)
    libc.msgctl(libc.msgget(key, 0), 0, None)
    libc.mq_unlink(f"/{name}".encode())
    (SHARED / name).unlink(missing_ok=True)
    Path(tempfile.gettempdir(), f"planted-{name}").unlink(missing_ok=True)
    if _NUMBERS:
        found = libc.syscall(_KEYCTL, 10, -4, b"user", name.encode(), 0)
        if found > 0:
            libc.syscall(_KEYCTL, 9, found, -4)


@pytest.mark.parametrize("what", LEFT)
async def test_what_is_left_is_found_by_a_careless_program_and_not_in_the_sandbox(
    what: str, world: World, careless: Careless, walled: Walled, name: str
) -> None:
    leave, find = (tool(body) for body in LEFT[what])
    seen = careless.run(leave, find, args=[world.facts(patience=0)])
    assert seen.value, seen
    remove(name)

    left = await walled.run(leave, world.facts(patience=0))
    found = await walled.run(find, world.facts(patience=0))
    assert not found.value, (left, found)
    assert (await walled.run("def tool():\n    return 1")).value == 1
