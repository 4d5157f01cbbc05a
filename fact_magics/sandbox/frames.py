"""The bytes between parent and child: the request, and the one frame that comes back.

The tool can write any frame. So its size is limited, it is parsed and never unpickled, and the value is
checked against the tool's signature.
"""

from __future__ import annotations

import json
import marshal
import re
import signal
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fact_magics.sandbox.child.worker import ERROR, RESULT
from fact_magics.sandbox.limits import describe, megabytes
from fact_magics.sandbox.outcome import Call, Outcome, ToolError
from fact_magics.text import inert
from fact_magics.tool import Status
from fact_magics.values.attachments import ALIGNED, LARGE, START, memory

if TYPE_CHECKING:
    from fact_magics.sandbox.limits import Limits
    from fact_magics.values import Wire

    _Reached = tuple[str, str]  # a kind of limit, and how much was used where that is known

PREFIX = 9
"""Number of bytes before a frame's payload: one for the kind, and eight for the payload's length."""

_TEXT_LIMIT = 25_000
_NAMES_LIMIT = 50
_ERROR_LIMIT = 1 << 20
_TARGET_LIMIT = 1_000
_DENIED_KINDS = ("net", "read", "write", "env", "host", "program", "listen", "udp", "semaphore")

# Words in a source that may use files, hosts or programs. Without them, a tool runs without the audit hook
# that finds out what was denied, because the hook doubles the time of a deep copy.
_ACTING = re.compile(
    r"\b(?:open|os|io|pathlib|Path|shutil|tempfile|glob|fileinput|linecache|mmap|codecs|sqlite3|dbm|shelve"
    r"|zipfile|tarfile|gzip|bz2|lzma|csv|configparser|logging|xml|wave|socket|socketserver|ssl|select|selectors"
    r"|asyncio|urllib|http|ftplib|smtplib|imaplib|poplib|nntplib|telnetlib|xmlrpc|subprocess|multiprocessing"
    r"|concurrent|pty|__import__|importlib|exec|eval)\b"
)


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a call, as the parent saw it.

    Attributes
    ----------
    frame : bytes, bytearray or memoryview
        All bytes from the call's pipe for results. `judge` takes the frame of a result with tables.
    wait_status : int or None
        Status of the call's process, as ``waitpid`` returns it; None if the parent lost track of the process.
    stopped : str or None
        The limit for which the parent stopped the call: ``time``, ``result``, ``printed``, ``scratch``,
        ``memory`` or ``threads``.
    """

    frame: bytes | bytearray | memoryview
    wait_status: int | None
    cpu_seconds: float
    stopped: str | None
    printed: str
    duration_ms: float


def request(call: Call, limits: Limits, taken: int | None, *, stays: bool = False) -> tuple[Wire, ...]:
    """Build the parts of the request that a child reads; arguments with tables follow, to save a copy.

    Parameters
    ----------
    taken : int or None
        The child's address space in bytes before the tool starts; if None, the child measures it.
    stays : bool
        Whether the child waits for one more byte, or for a moment, before it ends.
    """
    follows = call.arguments[:1] == START
    body = marshal.dumps(
        {
            "function": call.function,
            "source": call.source,
            "arguments": len(call.arguments) if follows else call.arguments,
            "memory": call.memory_bytes,
            "taken": taken,
            "cpu_seconds": call.cpu_seconds,
            "tables": call.tables,
            "result_bytes": limits.most_bytes(call),
            "watched": bool(call.imports) or _acts(call.source),
            "stays": stays,
            **call.batch,
        }
    )
    head = len(body).to_bytes(8, "big") + body
    return (head, call.arguments) if follows else (head,)


@lru_cache(maxsize=256)
def _acts(source: str) -> bool:
    return _ACTING.search(source) is not None


def judge(call: Call, ending: Ending, limits: Limits, isolation: tuple[str, ...]) -> Outcome:
    """Turn a call's end into its outcome."""
    result, error, reached = _verdict(call, ending)
    status = Status.ERROR if result is None else Status.OK
    limit, hint, used = None, "", ""
    if reached is not None:
        kind, used = reached
        limit, hint = describe(kind, call, limits)
        status = Status.TIMEOUT if kind == "time" else Status.LIMIT
    return Outcome(
        status, result, error, ending.printed, ending.duration_ms, limit, isolation, used=used, hint=hint
    )


def is_result(frame: bytes | bytearray | memoryview) -> bool:
    """Tell whether these bytes are the whole frame of a result."""
    return frame[:1] == RESULT and _is_whole(frame)


def _is_whole(frame: bytes | bytearray | memoryview) -> bool:
    size = len(frame) - PREFIX
    return size >= 0 and int.from_bytes(frame[1:PREFIX], "big") == size


def large_frame(begin: bytes | bytearray, most: int) -> memoryview | None:
    """Return memory for a frame that begins like a large result with tables; `most` limits its bytes."""
    size = int.from_bytes(begin[1:PREFIX], "big")
    if begin[:1] != RESULT or begin[PREFIX : PREFIX + 1] != START or not LARGE <= size <= most:
        return None
    before = -PREFIX % ALIGNED  # then the payload, which tables use in place, is aligned as the memory is
    return memory(before + PREFIX + size)[before:]


def _verdict(call: Call, ending: Ending) -> tuple[Wire | None, ToolError | None, _Reached | None]:
    """Find the result, the error, or the limit that ended a call; an error may come with a limit."""
    if ending.stopped is not None:
        waited = ending.stopped == "time" and ending.cpu_seconds
        return None, None, (ending.stopped, f"{ending.cpu_seconds:.1f} s of processor time" if waited else "")
    if ending.wait_status != 0:
        if _ended_by_cpu(call, ending):
            return None, None, ("cpu", "")
        return None, _broke(f"{call.function} {_how_it_ended(ending.wait_status)}"), None
    kind, size = ending.frame[:1], len(ending.frame) - PREFIX
    if not _is_whole(ending.frame) or kind not in (RESULT, ERROR):
        sent = "sent back bytes that are not a result"
        what = sent if ending.frame else "ended its process before it returned"
        return None, _broke(f"{call.function} {what}"), None
    if kind == RESULT and ending.frame[PREFIX : PREFIX + 1] == START:
        large: Any = ending.frame
        if isinstance(large, memoryview):
            return large[PREFIX:], None, None
        del large[:PREFIX]  # in a bytearray, this copies nothing
        return large, None, None
    with memoryview(ending.frame) as frame:  # slicing the bytes themselves would make one more copy
        if kind == RESULT:
            return bytes(frame[PREFIX:]), None, None
        error, limit = read_error(bytes(frame[PREFIX:])) if size <= _ERROR_LIMIT else (None, None)
    if error is None and limit is None:
        error = _broke(f"{call.function} failed, and its process could not report the error")
    return None, error, limit


def read_error(payload: bytes) -> tuple[ToolError | None, _Reached | None]:
    """Read a child's report of an exception, which may be any bytes."""
    try:
        claim: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return None, None
    limit: _Reached | None = None
    match claim:
        case {"limit": "result", "used": int(used)} if 1 < used < 1 << 50:
            limit = ("result", megabytes(used))
        case {"limit": "memory" | "result" | "file" | "processes" | "open files" as kind}:
            limit = (kind, "")
    match claim:
        case {"type": str(type_name), "message": str(message), "traceback": str(traceback), "mro": list(mro)}:
            name, text, frames = (part[:_TEXT_LIMIT] for part in (type_name, message, traceback))
            bases = tuple(base[:_TEXT_LIMIT] for base in mro[:_NAMES_LIMIT] if isinstance(base, str))
            return ToolError(name, text, frames, bases, _read_denied(claim.get("denied"))), limit
    return None, limit


def _read_denied(claim: Any) -> tuple[str, str] | None:
    match claim:
        case [str(kind), str(target)] if kind in _DENIED_KINDS and 0 < len(target) <= _TARGET_LIMIT:
            return (kind, target) if "\n" not in target and inert(target) == target else None
    return None


def _broke(message: str) -> ToolError:
    return ToolError("ProcessBroke", f"{message}.", "", ("ProcessBroke",))


def _ended_by_cpu(call: Call, ending: Ending) -> bool:
    number = (ending.wait_status or 0) & 0x7F
    if number == getattr(signal, "SIGXCPU", -1):
        return True
    return number == getattr(signal, "SIGKILL", -1) and ending.cpu_seconds >= call.cpu_seconds


def _how_it_ended(wait_status: int | None) -> str:
    if wait_status is None:
        return "was lost: the process that isolates it ended unexpectedly"
    number = wait_status & 0x7F
    if not number:
        return f"ended its process (exit code {wait_status >> 8}) before it returned"
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if name == "SIGKILL":
        return "was killed (SIGKILL), by itself or by a system that ran out of memory"
    return f"crashed its process ({name})"
