"""How a child process gets its code: from stdin, so that no file of this package need be readable to it."""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Reads eight hexadecimal digits and as many bytes of JSON: the modules, which of them to run, its settings.
_PROGRAM = """
import json, os, sys, types
from importlib.machinery import ModuleSpec
def read(size):
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data
job = json.loads(read(int(read(8), 16)))
modules = {}
for name, source in job["modules"].items():
    module = modules[name] = sys.modules["_fact_" + name] = types.ModuleType("_fact_" + name)
    module.__spec__ = ModuleSpec(module.__name__, None)
    exec(compile(source, "<fact_magics " + name + ">", "exec", dont_inherit=True), module.__dict__)
del read
modules[job["main"]].main(job["settings"], modules)
"""

_REPLACE = "import json, os, sys; os.execve(sys.argv[2], sys.argv[2:], json.loads(sys.argv[1]))"

ENV_PROGRAM = shutil.which("env", path=os.defpath)
"""The system's ``env``, in which a command gets an environment; it starts sooner than an interpreter."""

# What a child needs of `fact_magics.values`, each after what it imports.
_CODEC = ("values.forms", "values.foreign", "values.wire")
_PACKAGE = Path(__file__).parent.parent

CONNECTOR = "fact_magics.http"
"""The one module of this package that a tool may import: its source is sent, and executed if a tool asks."""

# What small tools import. Each costs a call microseconds in fork and exit where it is there, and milliseconds
# inside the sandbox where it is not. `_strptime` is what `datetime.strptime` imports when it is first called.
_LIGHT = """
    __future__ _strptime abc base64 binascii bisect calendar collections collections.abc contextlib copy csv
    dataclasses datetime decimal enum errno fractions functools heapq io itertools json keyword math numbers
    operator os pathlib random re resource statistics string struct sys textwrap time traceback types typing
    unicodedata urllib urllib.parse uuid warnings zlib
"""
LIGHT_MODULES = frozenset(_LIGHT.split())

# Of megabytes each, most of it OpenSSL.
_STANDARD = """
    asyncio concurrent concurrent.futures difflib email glob hashlib hmac html html.parser inspect locale
    logging pickle pprint secrets shutil sqlite3 tempfile threading xml xml.etree.ElementTree zoneinfo
"""
STANDARD_MODULES = frozenset(_STANDARD.split())


def preload_for(imports: Iterable[str], source: str) -> tuple[str, ...]:
    """Choose what a zygote preloads beside the light modules, so that few kinds of zygotes serve many tools.

    Parameters
    ----------
    imports : iterable of str
        Top-level packages that the tool imports.
    source : str
        The tool; an ``async def`` in it needs asyncio, imported or not.
    """
    needed = set(imports) - LIGHT_MODULES
    if "async def" in source:
        needed.add("asyncio")
    if not needed:
        return ()
    if needed <= STANDARD_MODULES:
        return tuple(sorted(STANDARD_MODULES))
    return tuple(sorted(needed))


def command() -> list[str]:
    """Build the command line of a child: this interpreter, isolated from environment and user."""
    return [sys.executable, "-I", "-c", _PROGRAM]


def scrubbed(command: list[str], environment: Mapping[str, str]) -> list[str]:
    """Build a command line that starts `command` with this environment alone.

    An environment can't be changed safely between a fork and its exec, where sandlock would do it: a thread
    that was changing `os.environ` when the fork came leaves the C library's lock taken in the child for good.
    """
    if ENV_PROGRAM and "=" not in command[0]:
        return [ENV_PROGRAM, "-i", *(f"{name}={value}" for name, value in environment.items()), *command]
    return [sys.executable, "-I", "-S", "-c", _REPLACE, json.dumps(dict(environment)), *command]


def payload(main: str, settings: Mapping[str, Any]) -> bytes:
    """Build what such a child reads first.

    Parameters
    ----------
    main : str
        The module whose ``main(settings, modules)`` is to run: ``zygote`` or ``once``.
    settings : mapping
        JSON data.
    """
    system = ("confine", "seccomp", "connecting", "family") if sys.platform == "linux" else ()
    names = [*_CODEC, "worker", "denied", *system, main]
    job = {
        "modules": {name: _source(name) for name in names},
        "main": main,
        "settings": {**settings, "importable": {CONNECTOR: connector_source()}},
    }
    data = json.dumps(job).encode()
    return b"%08x" % len(data) + data


@cache
def connector_source() -> str:
    """Read the source of `CONNECTOR`, which is a part of every tool that imports it."""
    return (_PACKAGE / "http.py").read_text(encoding="utf-8")


@cache
def _source(name: str) -> str:
    folder = _PACKAGE if name in _CODEC else _PACKAGE / "sandbox"
    return (folder / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")


def write_all(descriptor: int, data: bytes) -> None:
    """Write `data` to a descriptor that may take it in parts."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_in_time(descriptor: int, data: bytes, seconds: float) -> None:
    """Write `data` to a non-blocking descriptor.

    Raises
    ------
    TimeoutError
        It was not taken in time.
    """
    end = time.monotonic() + seconds
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    rest = memoryview(data)
    while rest:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise TimeoutError("a process did not take what it was sent")
        with suppress(BlockingIOError):
            rest = rest[os.write(descriptor, rest) :]
