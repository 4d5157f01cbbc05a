"""One call of one tool, inside its own process: read the request, run it, write one frame, end.

This runs in the sandbox on the standard library alone; its source is sent there. Nothing that it does is
trusted by the parent: the tool shares this process and can change all of it.
"""

from __future__ import annotations

import errno
import io
import json
import linecache
import os
import signal
import sys
import traceback
from contextlib import suppress
from types import CoroutineType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec

    _Names = tuple[str, ...]

RESULT, ERROR = b"R", b"E"
_TEXT_LIMIT = 20_000
_MESSAGE_LIMIT = 4_000
_NAME_LIMIT = 300
_BASES_LIMIT = 50
_READ_SIZE = 1 << 20
_OWN_MODULES = "_fact_"
_PACKAGE = "fact_magics"
_NOT_FROM_INSIDE = (
    "a tool can't call another stored tool from inside its isolation; call both from the notebook and pass "
    "the first one's result in"
)

_LIMITS_BY_ERROR = {errno.EFBIG: "file", errno.EMFILE: "open files", errno.ENOMEM: "memory"}

# Built before the tool runs: there may be no memory left to build it with when it is needed.
_NO_MEMORY = json.dumps(
    {"type": "MemoryError", "message": "", "traceback": "", "mro": ["MemoryError"], "limit": "memory"}
).encode()


# Taken before the tool runs, which may put others in their places.
_dumps = json.dumps
_fork, _leave, _wait, _write = getattr(os, "fork", None), os._exit, os.waitpid, os.write
_getpid, _kill, _signal = os.getpid, os.kill, signal.signal
_TracebackException, _StackSummary = traceback.TracebackException, traceback.StackSummary
# As a class's metaclass can't tell them.
_module_of, _name_of, _bases_of = (
    type.__dict__[attribute].__get__ for attribute in ("__module__", "__qualname__", "__mro__")
)


class Witness(Protocol):
    """What the worker needs of `fact_magics.sandbox.child.denied`."""

    def watch(self) -> None:
        """Remember from now on what the call tries."""

    def claim(self, raised: BaseException) -> tuple[str, str] | None:
        """Name what was denied, if an error comes from that."""


class Codec(Protocol):
    """What the worker needs of `fact_magics.values.wire`."""

    def encode(self, value: object) -> bytes:
        """Canonical wire form of `value`."""

    def decode(self, wire: bytes, *, classes: Mapping[str, type] | None = None) -> object:
        """Inverse of `encode`."""


class ToolImports:
    """Finder that answers for this package: what a tool may import of it, and why the rest is not there.

    Parameters
    ----------
    sources : mapping of str to str
        The modules that a tool may import, by their whole names.
    """

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> ModuleSpec | None:
        """Find a module of this package; leave every other one to the finders that follow."""
        del path, target
        if name != _PACKAGE and not name.startswith(f"{_PACKAGE}."):
            return None
        if name != _PACKAGE and name not in self._sources:
            raise ImportError(_NOT_FROM_INSIDE, name=name)
        from importlib.machinery import ModuleSpec

        loader: Any = self
        return ModuleSpec(name, loader, is_package=name == _PACKAGE)

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """Leave it to Python to make the module."""
        del spec

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module; the package itself is empty, and says so to whoever looks for more in it."""
        name = module.__name__
        if name == _PACKAGE:
            vars(module)["__getattr__"] = _refuse
        else:
            code = compile(self._sources[name], f"<{name}>", "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - a source of this package


def _refuse(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ImportError(_NOT_FROM_INSIDE, name=f"{_PACKAGE}.{name}")


def serve(
    requests: int, results: int, codec: Codec, witness: Witness, end: Callable[[int], NoReturn] = os._exit
) -> NoReturn:
    """Read one request, run it, write one frame, and end this process.

    Parameters
    ----------
    requests, results : int
        Descriptors: the request comes from the first, the frame goes to the second.
    codec : Codec
        The module `fact_magics.values.wire`, loaded from its source.
    witness : Witness
        Names what the call was denied.
    """
    header = json.loads(_read(requests, int.from_bytes(_read(requests, 8), "big")))
    source = _read(requests, header["source"]).decode("utf-8", "surrogatepass")
    arguments = _read(requests, header["arguments"])
    set_call_limits(header)
    if header["watched"]:
        witness.watch()
    kind, payload = run(source, header["function"], arguments, codec, witness, header["result_bytes"])
    _flush()
    for part in (kind + len(payload).to_bytes(8, "big"), payload):  # apart: a copy might find no memory
        rest = memoryview(part)
        while rest:
            rest = rest[_write(results, rest) :]
    end(0)


def run(
    source: str, function: str, arguments: bytes, codec: Codec, witness: Witness, result_bytes: int
) -> tuple[bytes, bytes]:
    """Execute `source`, call `function` in it, and represent what came of it.

    Returns
    -------
    tuple of bytes
        `RESULT` and the wire form of the value, or `ERROR` and a JSON object with ``type``, ``message``,
        ``traceback``, ``mro``, ``limit``, ``used`` (bytes of a result beyond its limit) and ``denied``.
    """
    filename = f"<{function}>"
    try:
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        module = ModuleType(f"{_OWN_MODULES}tool")
        module.__file__ = filename
        sys.modules[module.__name__] = module
        exec(compile(source, filename, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
        value = _call(module, function, arguments, codec)
        payload = codec.encode(value)
        if len(payload) > result_bytes:
            return ERROR, _dumps({"limit": "result", "used": len(payload)}).encode()
    except BaseException as raised:  # noqa: BLE001 - whatever it raises is its answer, SystemExit too
        return ERROR, describe(raised, filename, witness)
    return RESULT, payload


def _call(module: ModuleType, function: str, arguments: bytes, codec: Codec) -> object:
    classes = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }
    given: Any = codec.decode(arguments, classes=classes)
    value = getattr(module, function)(*given["args"], **given["kwargs"])
    if isinstance(value, CoroutineType):
        import asyncio

        return asyncio.run(value)
    return value


def describe(raised: BaseException, filename: str, witness: Witness) -> bytes:
    """Represent an exception as JSON: bounded, and with the frames of `filename` only."""
    try:
        kind = type(raised)
        told: dict[str, Any] = {
            "type": _name(kind),
            "message": _text(raised),
            "traceback": "",
            "mro": [_name(base) for base in _bases_of(kind)[:_BASES_LIMIT] if base is not object],
            "limit": _limit(raised),
        }
        # What fails on an odd exception, or for want of memory, is left out.
        with suppress(BaseException):
            told["denied"] = witness.claim(raised)  # first: a traceback is written with a look into files
        with suppress(BaseException):
            told["traceback"] = _own_frames(raised, filename)
        return _dumps(told).encode()
    except BaseException:  # noqa: BLE001 - no memory, or nothing works any more in this process
        return _NO_MEMORY if isinstance(raised, MemoryError) else b"{}"


def set_call_limits(header: Mapping[str, Any]) -> None:
    """Apply the limits that a request names: memory above what is taken, in bytes; CPU in seconds."""
    if os.name != "posix":
        return
    import resource

    taken = header["taken"] or _address_space()
    if taken:
        _limit_to(resource.RLIMIT_AS, taken + header["memory"], taken + header["memory"])
    # At the soft limit the kernel says so by SIGXCPU, at the hard one it kills.
    _limit_to(resource.RLIMIT_CPU, header["cpu_seconds"], header["cpu_seconds"] + 1)


def _address_space() -> int | None:
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 - pathlib is one import more in each child
            return int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def set_process_limits(file_bytes: int, open_files: int) -> None:
    """Apply the limits that are the same for every call; no core is dumped."""
    if os.name != "posix":
        return
    import resource

    _limit_to(resource.RLIMIT_CORE, 0, 0)
    _limit_to(resource.RLIMIT_FSIZE, file_bytes, file_bytes)
    _limit_to(resource.RLIMIT_NOFILE, open_files, open_files)


def _limit_to(kind: int, soft: int, hard: int) -> None:
    import resource

    _, ceiling = resource.getrlimit(kind)
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    try:
        resource.setrlimit(kind, (soft, hard))
    except (ValueError, OSError):
        return  # macOS has no RLIMIT_AS that it honours


def open_standard_streams(printed: int) -> None:
    """Make `printed` stdout and stderr, and nothing stdin, for Python and for C."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.close(nothing)
    sys.stdin = _stream(0, "r")
    sys.stdout = _stream(1, "w")
    sys.stderr = _stream(2, "w")


def _stream(descriptor: int, mode: str) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, mode, closefd=False)
    buffer: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, "utf-8", errors="backslashreplace", line_buffering=True)


def flush_before_the_end() -> None:
    """Have half a line printed that waits for its end when this process is stopped at a limit.

    Code that Python does not get a word in is killed a moment later, and keeps it.
    """
    for name in ("SIGTERM", "SIGXCPU"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _flush_and_end)


def _flush_and_end(number: int, _: object) -> None:
    _flush()
    _signal(number, signal.SIG_DFL)
    _kill(_getpid(), number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):  # what it prints is lost with the stream that it broke
            stream.flush()


def _read(descriptor: int, size: int) -> bytes:
    buffer = bytearray()
    while len(buffer) < size:
        part = os.read(descriptor, min(size - len(buffer), _READ_SIZE))
        if not part:
            os._exit(0)  # the parent went away, or needs this process no more
        buffer += part
    return bytes(buffer)


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
    waiting, seen = [report], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        one.stack = _StackSummary.from_list([f for f in one.stack if f.filename == filename])
        waiting += [other for other in (one.__cause__, one.__context__, *(one.exceptions or ())) if other]
    text = "".join(report.format())
    if len(text) > _TEXT_LIMIT:
        text = f"{text[: _TEXT_LIMIT // 2]}\n...\n{text[-_TEXT_LIMIT // 2 :]}"
    return text.rstrip("\n")
