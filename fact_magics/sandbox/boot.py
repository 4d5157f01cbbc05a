"""Send a child process its code on stdin. The child does not read any file of this package."""

from __future__ import annotations

import json
import marshal
import os
import select
import shutil
import sys
import time
from contextlib import suppress
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, cast

from fact_magics.sandbox.library import byte_code

if TYPE_CHECKING:
    from collections.abc import Mapping

# This program reads two parts. Each part is eight hexadecimal digits, which give the length, and that many
# bytes written by `marshal`. The first part maps the names of modules, of the standard library and of this
# package, to their byte code. The second part holds the name of the module to run, and its settings.
_PROGRAM = """
import marshal, os, sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
def receive():
    parts, size = [], 8
    while size:
        parts.append(os.read(0, size))
        size -= len(parts[-1])
        if not parts[-1]:
            os._exit(0)
        if len(parts) == 1:
            size, parts[0] = int(parts[0], 16), b""
    return marshal.loads(b"".join(parts))
class Sent(SourceFileLoader):
    def get_code(self, name):
        return marshal.loads(library[name][1])
class Library:
    def find_spec(self, name, path=None, target=None):
        if name in library:
            return spec_from_file_location(name, library[name][0], loader=Sent(name, library[name][0]))
library, package = receive()
sys.meta_path.insert(sys.meta_path.index(PathFinder), Library())
modules = {}
for name, code in package.items():
    module = modules[name] = sys.modules["_fact_" + name] = type(sys)("_fact_" + name)
    module.__spec__ = ModuleSpec(module.__name__, None)
    exec(marshal.loads(code), module.__dict__)
main, settings = receive()
modules[main].main(settings, modules)
"""

_REPLACE = "import json, os, sys; os.execve(sys.argv[2], sys.argv[2:], json.loads(sys.argv[1]))"

ENV_PROGRAM = shutil.which("env", path=os.defpath)
"""The system's ``env``, which sets the environment of a command and starts faster than an interpreter."""

CODEC = (
    *("values.forms", "values.columnar", "values.rendering", "values.foreign", "values.buffers"),
    *("values.arrow_tables", "values.texts", "values.columns", "values.tables", "values.attachments"),
    "values.wire",
)
"""The modules of `fact_magics.values` that a child needs, each after those that it imports."""

_PACKAGE = Path(__file__).parent.parent

CONNECTOR = "fact_magics.http"
"""The only module of this package that a tool may import. The child gets its source."""


def command() -> list[str]:
    """Build the command line of a child: this interpreter, without the user's packages and directories.

    The option ``-I`` would also ignore ``PYTHONHASHSEED``. So the environment of the child, which
    `fact_magics.sandbox.policy.zygote_environment` builds, must hold no other variable that Python reads.
    """
    return [sys.executable, "-s", "-P", "-c", _PROGRAM]


def scrubbed(command: list[str], environment: Mapping[str, str]) -> list[str]:
    """Build a command line that starts `command` with only this environment.

    Sandlock would set the environment between fork and exec, which is not safe: if another thread changes
    `os.environ` during the fork, the child waits for the C library's lock forever.
    """
    if ENV_PROGRAM and "=" not in command[0]:
        return [ENV_PROGRAM, "-i", *(f"{name}={value}" for name, value in environment.items()), *command]
    return [sys.executable, "-I", "-S", "-c", _REPLACE, json.dumps(dict(environment)), *command]


def payload(main: str, settings: Mapping[str, Any], library: tuple[str, ...] = ()) -> bytes:
    """Build the code and settings that a child reads first.

    The child runs ``main(settings, modules)`` of the module `main`. It also gets the code of the standard
    library modules in `library`, because opening files is slow inside a sandbox.
    """
    system = ("ahead", "confine", "seccomp", "connecting", "family") if sys.platform == "linux" else ()
    package = {
        name: module_code(name) for name in (*CODEC, "worker", "residue", "batch", "denied", *system, main)
    }
    settings = {**settings, "importable": {CONNECTOR: connector_source()}}
    parts = (marshal.dumps(part) for part in ((byte_code(library), package), (main, settings)))
    return b"".join(b"%08x" % len(part) + part for part in parts)


@cache
def module_code(name: str) -> bytes:
    """Read the marshalled byte code of one module of this package."""
    folder = _PACKAGE if name in CODEC else _PACKAGE / "sandbox" / "child"
    source = str(folder / f"{name.replace('.', '/')}.py")
    code = cast("CodeType", SourceFileLoader(name, source).get_code(name))
    return marshal.dumps(_renamed(code, f"<fact_magics {name}>"))


def _renamed(code: CodeType, filename: str) -> CodeType:
    """Replace the file name, so that tracebacks don't try to open the file."""
    inner = (_renamed(held, filename) if isinstance(held, CodeType) else held for held in code.co_consts)
    return code.replace(co_filename=filename, co_consts=tuple(inner))


@cache
def connector_source() -> str:
    """Read the source of `CONNECTOR`, which is part of the key of every tool that imports it."""
    return (_PACKAGE / "http.py").read_text(encoding="utf-8")


def write_in_time(descriptor: int, data: bytes, seconds: float) -> None:
    """Write `data` to a non-blocking descriptor.

    Raises `TimeoutError` if the reader does not take the data in time.
    """
    end = time.monotonic() + seconds
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    rest = memoryview(data)
    while rest:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise TimeoutError("a process did not read its input in time")
        with suppress(BlockingIOError):
            rest = rest[os.write(descriptor, rest) :]
