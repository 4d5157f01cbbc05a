"""The modules of the standard library that a zygote imports in advance, and their byte code.

Inside the sandbox, opening a file or listing a directory waits for the supervisor. A zygote starts in a third
of the time if it gets the byte code of its imports on stdin.
"""

from __future__ import annotations

import os
import struct
from functools import cache, lru_cache
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Small tools import these. A module costs a call microseconds if the zygote has imported it, else
# milliseconds. `datetime.strptime` imports `_strptime` when it is first called.
_LIGHT = """
    __future__ _strptime abc base64 binascii bisect calendar collections collections.abc contextlib copy csv
    dataclasses datetime decimal enum errno fractions functools heapq io itertools json keyword math numbers
    operator os pathlib random re resource statistics string struct sys textwrap time traceback types typing
    unicodedata urllib urllib.parse uuid warnings zlib
"""
LIGHT_MODULES = frozenset(_LIGHT.split())

# These take megabytes of memory, mostly for OpenSSL.
_STANDARD = """
    asyncio concurrent concurrent.futures difflib email glob hashlib hmac html html.parser inspect locale
    logging pickle pprint secrets shutil sqlite3 tempfile threading xml xml.etree.ElementTree zoneinfo
"""
STANDARD_MODULES = frozenset(_STANDARD.split())

# Modules that a package imports only when they are needed, which would be in each call anew.
_PILLOW = tuple(f"PIL.{kind}ImagePlugin" for kind in ("Bmp", "Gif", "Jpeg", "Png", "Ppm"))
_PARTS = {
    "matplotlib": ("matplotlib.pyplot", "matplotlib.backends.backend_agg", *_PILLOW),
    "PIL": _PILLOW,
}

# The imports of these modules and of the child itself, on Python 3.11 to 3.13. A module missing from this
# list only costs time.
_BELOW_LIGHT = """
    _colorize _opcode_metadata _weakrefset ast copyreg ctypes ctypes._endian dis encodings.idna fnmatch glob
    importlib inspect ipaddress json.decoder json.encoder json.scanner linecache locale opcode pathlib._abc
    pathlib._local platform re._casefix re._compiler re._constants re._parser reprlib signal stringprep token
    tokenize weakref
"""
_BELOW_STANDARD = """
    _compat_pickle _compression _markupbase asyncio.base_events asyncio.base_futures asyncio.base_subprocess
    asyncio.base_tasks asyncio.constants asyncio.coroutines asyncio.events asyncio.exceptions
    asyncio.format_helpers asyncio.futures asyncio.locks asyncio.log asyncio.mixins asyncio.protocols
    asyncio.queues asyncio.runners asyncio.selector_events asyncio.sslproto asyncio.staggered asyncio.streams
    asyncio.subprocess asyncio.taskgroups asyncio.tasks asyncio.threads asyncio.timeouts asyncio.transports
    asyncio.trsock asyncio.unix_events bz2 concurrent.futures._base contextvars html.entities lzma selectors
    socket sqlite3.dbapi2 ssl subprocess sysconfig xml.etree xml.etree.ElementPath zoneinfo._common
    zoneinfo._tzpath
"""
FOLDER = Path(os.__file__).parent
_WORD = 0xFFFF_FFFF


@lru_cache(maxsize=256)
def preload_for(imports: tuple[str, ...], source: str) -> tuple[str, ...]:
    """Choose the modules that a zygote preloads beside the light ones, so that few zygotes serve many tools.

    `imports` are the top-level packages that the tool imports. A source with ``async def`` needs asyncio too.
    """
    needed = set(imports) - LIGHT_MODULES
    if "async def" in source:
        needed.add("asyncio")
    if not needed:
        return ()
    if needed <= STANDARD_MODULES:
        return tuple(sorted(STANDARD_MODULES))
    return tuple(sorted(needed.union(*(_PARTS.get(name, ()) for name in needed))))


def library_modules(preload: Iterable[str]) -> tuple[str, ...]:
    """List all modules of the standard library that a zygote with this preload loads."""
    light = (*LIGHT_MODULES, *_BELOW_LIGHT.split())
    if STANDARD_MODULES.isdisjoint(preload):
        return light
    return (*light, *STANDARD_MODULES, *_BELOW_STANDARD.split())


@cache
def byte_code(modules: tuple[str, ...]) -> dict[str, tuple[str, bytes]]:
    """Read the source's path and the marshalled code of standard library modules from their cached byte code.

    Modules without source or without up-to-date byte code are left out.
    """
    return {name: found for name in modules if (found := _find(name)) is not None}


def _find(name: str) -> tuple[str, bytes] | None:
    for end in (".py", "/__init__.py"):
        source = FOLDER / f"{name.replace('.', '/')}{end}"
        try:
            data = Path(cache_from_source(source)).read_bytes()
            status = source.stat()
        except (OSError, NotImplementedError):
            continue
        head = MAGIC_NUMBER + struct.pack("<III", 0, int(status.st_mtime) & _WORD, status.st_size & _WORD)
        if data.startswith(head):
            return str(source), data[len(head) :]
    return None
