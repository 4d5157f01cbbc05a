"""Run one call of one tool inside its own process: read the request, run it, write one frame, and end.

The parent does not trust this process, because the tool can change everything in it.
"""

from __future__ import annotations

import errno
import io
import json
import linecache
import marshal
import os
import re
import select
import signal
import sys
import time
import traceback
from contextlib import suppress
from functools import lru_cache
from itertools import repeat
from types import CoroutineType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.machinery import ModuleSpec
    from types import CodeType

    from fact_magics.sandbox.child.denied import Witness

set_handler: Any = sys.modules["_signal"].signal
"""`signal.signal` without its search for an enum member, which takes longer than the system call."""

RESULT, ERROR = b"R", b"E"
_TEXT_LIMIT = 20_000
_MESSAGE_LIMIT = 4_000
_NAME_LIMIT = 300
_BASES_LIMIT = 50
_CHAIN_LIMIT = 50
_READ_SIZE = 1 << 20
_STAY_MILLISECONDS = 5
_OWN_MODULES = "_fact_"
_PACKAGE = "fact_magics"
_NOT_FROM_INSIDE = (
    "a tool can't call another stored tool from inside its isolation; call the other tool in the notebook, "
    "and pass its result to this tool as an input"
)

_LIMITS_BY_ERROR = {errno.EFBIG: "file", errno.EMFILE: "open files", errno.ENOMEM: "memory"}

# Built before the tool runs, because later there may not be enough memory to build it.
_NO_MEMORY = json.dumps(
    {"type": "MemoryError", "message": "", "traceback": "", "mro": ["MemoryError"], "limit": "memory"}
).encode()


_WARM_REQUEST = marshal.dumps({"function": "warm", "source": "", "arguments": b"", "memory": 1 << 30})
_WARM_CODE = compile('"""."""\n\ndef warm(text: str = "") -> str:\n    return text\n', "<warm>", "exec")

compiled: dict[tuple[str, str], CodeType] = {}
"""Code of tools that ship with fact_magics, by source and file name; the module `ahead` compiled it."""

# Kept here because the tool may replace these functions in their modules.
_dumps = json.dumps
_fork, _leave, _wait, _write = getattr(os, "fork", None), os._exit, os.waitpid, os.write
_getpid, _kill, _signal = os.getpid, os.kill, signal.signal
_poll: Any = getattr(select, "poll", None)
_STOPPING = [getattr(signal, name) for name in ("SIGTERM", "SIGXCPU") if hasattr(signal, name)]
_TracebackException, _StackSummary = traceback.TracebackException, traceback.StackSummary
# Read from `type` itself, because a metaclass may give false answers.
_module_of, _name_of, _bases_of = (
    type.__dict__[attribute].__get__ for attribute in ("__module__", "__qualname__", "__mro__")
)


class _ToolImports:
    """Import finder for this package: it finds the modules that tools may import, and refuses all others."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name != _PACKAGE and not name.startswith(f"{_PACKAGE}."):
            return None
        if name != _PACKAGE and name not in self._sources:
            raise ImportError(_NOT_FROM_INSIDE, name=name)
        from importlib.machinery import ModuleSpec

        loader: Any = self
        return ModuleSpec(name, loader, is_package=name == _PACKAGE)

    def create_module(self, _: ModuleSpec) -> None:
        """Let Python create the module."""

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        if name == _PACKAGE:  # it stays empty
            vars(module)["__getattr__"] = _refuse
        else:
            code = compile(self._sources[name], f"<{name}>", "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - source code of this package


def set_environment(variables: Mapping[str, str]) -> None:
    """Set the variables that a tool was granted; one of them may be the time zone."""
    os.environ.update(variables)
    if "TZ" in variables and hasattr(time, "tzset"):
        time.tzset()


def set_imports(settings: Mapping[str, Any]) -> None:
    """Let this process import installed packages, and the modules of this package that tools may import."""
    sys.path.extend(entry for entry in settings["path"] if entry not in sys.path)
    sys.meta_path.insert(0, _ToolImports(settings["importable"]))


def _refuse(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(_NOT_FROM_INSIDE, name=f"{_PACKAGE}.{name}")


def serve(requests: int, results: int, codec: ModuleType, witness: Witness) -> NoReturn:
    """Read one request, run it, write its result as one frame, and end this process.

    `requests` and `results` are file descriptors. `codec` is the module `fact_magics.values.wire`, and
    `witness` finds out which access the call was denied.
    """
    _warm_up(codec)
    size = int.from_bytes(_read(requests, 8), "big")
    request = marshal.loads(_read(requests, size))  # noqa: S302 - from the parent, which this process may trust
    if isinstance(request["arguments"], int):  # with tables, which the tool may change where they are
        memory = sys.modules["_fact_values.attachments"].memory
        request["arguments"] = _receive(requests, memory(request["arguments"]))
    set_call_limits(request)
    if request["watched"]:
        witness.watch()
    if "rows" in request:
        sys.modules["_fact_batch"].serve(request, results, codec, witness, sys.modules)
    source, function, arguments = (request[part] for part in ("source", "function", "arguments"))
    tables, most = request["tables"], request["result_bytes"]
    kind, parts = run(source, function, arguments, codec, witness, most, tables=tables)
    _flush()
    for part in (kind + sum(map(len, parts)).to_bytes(8, "big"), *parts):
        rest = memoryview(part)
        while rest:
            rest = rest[_write(results, rest) :]
    if request["stays"] and kind == RESULT:
        # The parent still looks at this process. If it ended now, the parent's threads would compete.
        poll = _poll()
        poll.register(requests, select.POLLIN)
        poll.poll(_STAY_MILLISECONDS)
    _leave(0)


def _warm_up(codec: ModuleType) -> None:
    """Do once what every call does, so that no call waits for copies of the memory that it changes.

    The tool that was compiled last will probably run again. It ships with fact_magics, so that loading it is
    safe.
    """
    marshal.loads(_WARM_REQUEST)  # noqa: S302
    for code in (_WARM_CODE, *[*compiled.values()][-1:]):
        exec(code, ModuleType("warm").__dict__)  # noqa: S102
    codec.encode(codec.decode(b'{"args":["a"],"kwargs":{}}', classes={}))


def run(
    source: str,
    function: str,
    arguments: bytes | memoryview,
    codec: ModuleType,
    witness: Witness,
    result_bytes: int,
    *,
    tables: bool = False,
) -> tuple[bytes, list[bytes | memoryview]]:
    """Execute `source`, call its `function`, and return the value or the exception as parts of bytes.

    `tables` says whether tables in the value stay tables. Joining them would take time and memory.

    A value gives `RESULT` and the wire form of the value. An exception gives `ERROR` and a JSON object, which
    may have ``type``, ``message``, ``traceback``, ``mro``, ``limit``, ``used`` (the size of a result that is
    too large) and ``denied``.
    """
    filename = f"<{function}>"
    try:
        module, classes = load(source, f"{_OWN_MODULES}tool", filename)
        given: Any = codec.decode(arguments, classes=classes)
        value = getattr(module, function)(*given["args"], **given["kwargs"])
        if isinstance(value, CoroutineType):
            import asyncio

            value = asyncio.run(value)
        parts = codec.encode_parts(value, tables=tables)
        if (size := sum(map(len, parts))) > result_bytes:
            return ERROR, [_dumps({"limit": "result", "used": size}).encode()]
    except BaseException as raised:  # noqa: BLE001 - any exception is an outcome of the tool, even SystemExit
        return ERROR, [_describe(raised, filename, witness)]
    return RESULT, parts


def load(source: str, name: str, filename: str) -> tuple[ModuleType, dict[str, type]]:
    """Execute a tool's source as a module; return the module and the classes that it defines, by name."""
    linecache.cache[filename] = (len(source), None, _lines_of(source), filename)
    module = ModuleType(name)
    module.__file__ = filename
    sys.modules[name] = module  # `dataclasses` looks up annotations there
    exec(_code_of(source, filename), module.__dict__)  # noqa: S102 - this runs the tool
    names = vars(module)
    if not any(map(isinstance, names.values(), repeat(type))):
        return module, {}
    return module, {
        key: value for key, value in names.items() if isinstance(value, type) and value.__module__ == name
    }


@lru_cache(maxsize=1)
def _lines_of(source: str) -> Any:  # a tuple, because the tool must not change it
    return (*source.splitlines(keepends=True),)


def _code_of(source: str, filename: str) -> CodeType:
    code = compiled.get((source, filename))
    if code is None:
        if compiled:
            re.purge()
        code = compile(source, filename, "exec", dont_inherit=True)
    compiled.clear()  # no other tool can find out which tools ran before it
    return code


def describe(raised: BaseException, filename: str) -> dict[str, Any]:
    """Represent an exception by ``type``, ``message``, and a ``traceback`` with frames of `filename` only."""
    report = {"type": _name(type(raised)), "message": _text(raised), "traceback": ""}
    with suppress(BaseException):  # it fails for some exceptions, or if memory is short
        report["traceback"] = _own_frames(raised, filename)
    return report


def _describe(raised: BaseException, filename: str, witness: Witness) -> bytes:
    try:
        denied = None
        with suppress(BaseException):  # before the traceback, which opens files itself
            denied = witness.claim(_chain(raised, _CHAIN_LIMIT))
        bases = _bases_of(type(raised))[:_BASES_LIMIT]
        report = {
            "mro": [_name(base) for base in bases if base is not object],
            "limit": _limit(raised),
            "denied": denied,
            **describe(raised, filename),
        }
        return _dumps(report).encode()
    except BaseException:  # noqa: BLE001 - no memory is left, or the tool broke this process
        return _NO_MEMORY if isinstance(raised, MemoryError) else b"{}"


def set_call_limits(request: Mapping[str, Any]) -> None:
    """Apply the limits of a request: bytes of memory beyond those in use, and seconds of CPU time."""
    if os.name != "posix":
        return
    import resource

    taken = request["taken"] or address_space("self")
    if taken:
        _limit_to(resource.RLIMIT_AS, taken + request["memory"], taken + request["memory"])
    # At the soft limit the kernel sends SIGXCPU, at the hard limit SIGKILL.
    _limit_to(resource.RLIMIT_CPU, request["cpu_seconds"], request["cpu_seconds"] + 1)


def address_space(pid: int | str) -> int | None:
    """Read how many bytes of address space a process has; None if the system does not report it."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123 - pathlib would be one more import in each child
            return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def _limit_to(kind: int, soft: int, hard: int) -> None:
    import resource

    _, ceiling = resource.getrlimit(kind)
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    try:
        resource.setrlimit(kind, (soft, hard))
    except (ValueError, OSError):
        return  # macOS refuses RLIMIT_AS


def open_streams() -> None:
    """Make Python's three streams. Their descriptors must be pipes now, and may become other pipes later."""
    sys.stdin = _stream(0, "r")
    sys.stdout = _stream(1, "w")
    sys.stderr = _stream(2, "w")


def prepare(empty: int, printed: int) -> None:
    """Prepare this process for a call: its signal handlers and its descriptors.

    The descriptor `empty` becomes stdin, and `printed` becomes stdout and stderr, for C code and for the
    streams of `open_streams`. If a limit stops this process, an incomplete last line is still printed, unless
    C code does not return to Python in time.
    """
    for number in _STOPPING:
        set_handler(number, _flush_and_end)
    os.dup2(empty, 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)


def set_file_limits(settings: Mapping[str, Any]) -> None:
    """Apply the limits that all calls share, in this process and in those that it forks."""
    if os.name == "posix":
        import resource

        _limit_to(resource.RLIMIT_CORE, 0, 0)
        _limit_to(resource.RLIMIT_FSIZE, settings["file_bytes"], settings["file_bytes"])
        _limit_to(resource.RLIMIT_NOFILE, settings["open_files"], settings["open_files"])


def _stream(descriptor: int, mode: str) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, mode, closefd=False)
    buffer: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, "utf-8", errors="backslashreplace", line_buffering=True)


def _flush_and_end(number: int, _: object) -> None:
    _flush()
    _signal(number, signal.SIG_DFL)
    _kill(_getpid(), number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # the tool may have broken the stream
            stream.flush()


def _read(descriptor: int, size: int) -> bytes:
    buffer = bytearray()
    while len(buffer) < size:
        part = os.read(descriptor, min(size - len(buffer), _READ_SIZE))
        if not part:
            os._exit(0)  # the parent has ended, or does not need this process any more
        buffer += part
    return bytes(buffer)


def _receive(descriptor: int, whole: memoryview) -> memoryview:
    pipe = io.FileIO(descriptor, closefd=False)
    rest = whole
    while rest:
        rest = rest[pipe.readinto(rest) or os._exit(0) :]
    return whole


def _name(kind: type) -> str:
    module, name = _module_of(kind), str(_name_of(kind))
    if isinstance(module, str) and module != "builtins" and not module.startswith(_OWN_MODULES):
        name = f"{module}.{name}"
    return name[:_NAME_LIMIT]


def _text(raised: BaseException) -> str:
    try:
        return str(raised)[:_MESSAGE_LIMIT]
    except BaseException:  # noqa: BLE001 - the tool's own __str__
        return "<its message can't be shown>"


def _limit(raised: BaseException) -> str | None:
    if isinstance(raised, MemoryError):
        return "memory"
    if isinstance(raised, OSError):
        if raised.errno == errno.EAGAIN and not _can_fork():
            return "processes"
        return _LIMITS_BY_ERROR.get(raised.errno or 0)
    if isinstance(raised, RuntimeError) and raised.args == ("can't start new thread",):
        return "memory" if _can_fork() else "processes"  # each thread takes address space for its stack
    return None


def _can_fork() -> bool:
    if _fork is None:
        return True
    try:
        child = _fork()
    except OSError:
        return False
    if child == 0:
        _leave(0)
    _wait(child, 0)
    return True


def _own_frames(raised: BaseException, filename: str) -> str:
    report = _TracebackException.from_exception(raised)
    chained = list(_chain(report, sys.maxsize))
    for one in chained:
        one.stack = _StackSummary.from_list([frame for frame in one.stack if frame.filename == filename])
    for one in chained:
        one.__cause__, one.__context__ = _of_the_tool(one.__cause__), _of_the_tool(one.__context__)
    text = "".join(report.format())
    if len(text) > _TEXT_LIMIT:
        text = f"{text[: _TEXT_LIMIT // 2]}\n...\n{text[-_TEXT_LIMIT // 2 :]}"
    return text.rstrip("\n")


def _of_the_tool(report: Any) -> Any:
    """Skip exceptions that a library raised and handled itself; the tool's author can't do anything there."""
    while report is not None and not report.stack and not report.exceptions:
        report = report.__cause__ or report.__context__
    return report


def _chain(first: Any, most: int) -> Iterator[Any]:
    """Yield an exception (or its report), its causes, contexts and grouped exceptions, outermost first."""
    waiting, seen = [first], set[int]()
    while waiting and len(seen) < most:
        one = waiting.pop(0)
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += (one.__cause__, one.__context__, *(getattr(one, "exceptions", None) or ()))
