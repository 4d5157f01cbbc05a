"""The bytes between parent and child: the request, and the one frame that comes back.

The frame is the tool's claim. It is bounded, parsed, and never unpickled; what it says beyond its form is
for the signature to validate.
"""

from __future__ import annotations

import json
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

if TYPE_CHECKING:
    from fact_magics.sandbox.policy import Limits

PREFIX = 9
"""Bytes before a frame's payload: its kind, and eight for its length."""

_MIB = 1 << 20
_TEXT_LIMIT = 25_000
_NAMES_LIMIT = 50
_ERROR_LIMIT = 1 << 20
_TARGET_LIMIT = 1_000
_DENIED_KINDS = ("net", "read", "write", "env", "host", "program", "listen", "udp", "semaphore")

# What leads to files, hosts and programs in the standard library. Where nothing does, the call goes without
# the audit hook that names what was denied, and that would double the time of a deep copy.
_ACTING = re.compile(
    r"\b(?:open|os|io|pathlib|Path|shutil|tempfile|glob|fileinput|linecache|mmap|codecs|sqlite3|dbm|shelve"
    r"|zipfile|tarfile|gzip|bz2|lzma|csv|configparser|logging|xml|wave|socket|socketserver|ssl|select|selectors"
    r"|asyncio|urllib|http|ftplib|smtplib|imaplib|poplib|nntplib|telnetlib|xmlrpc|subprocess|multiprocessing"
    r"|concurrent|pty|__import__|importlib|exec|eval)\b"
)


@dataclass(frozen=True, slots=True)
class Ending:
    """What the parent itself saw of a call's end.

    Attributes
    ----------
    frame : bytes or bytearray
        All that came through the call's pipe.
    wait_status : int or None
        Of the call's process, as ``waitpid`` tells it; None where the process was lost sight of.
    cpu_seconds : float
        What that process used.
    stopped : str or None
        The limit for which the parent stopped it: ``time``, ``result``, ``printed``, ``scratch``, ``memory``
        or ``threads``.
    printed : str
        What it printed.
    duration_ms : float
        From the request to the end.
    """

    frame: bytes | bytearray
    wait_status: int | None
    cpu_seconds: float
    stopped: str | None
    printed: str
    duration_ms: float


def cpu_limit(call: Call) -> int:
    """Processor seconds for a call: its wall time rounded up, and one more."""
    return max(1, -int(-call.timeout_seconds // 1) + 1)


def memory_limit(call: Call) -> int:
    """Bytes that a call may take, above what the interpreter uses."""
    return call.memory_mb * _MIB


def request(call: Call, limits: Limits, taken: int | None) -> bytes:
    """Build what a child reads.

    Parameters
    ----------
    taken : int or None
        The address space of the child before the tool starts, in bytes; None where the child looks itself.
    """
    source = call.source.encode("utf-8", "surrogatepass")
    header = json.dumps(
        {
            "function": call.function,
            "source": len(source),
            "arguments": len(call.arguments),
            "memory": memory_limit(call),
            "taken": taken,
            "cpu_seconds": cpu_limit(call),
            "result_bytes": limits.result_bytes,
            "watched": bool(call.imports) or _acts(call.source),
        }
    ).encode()
    return b"".join((len(header).to_bytes(8, "big"), header, source, call.arguments))


@lru_cache(maxsize=256)
def _acts(source: str) -> bool:
    return _ACTING.search(source) is not None


def judge(call: Call, ending: Ending, limits: Limits, isolation: tuple[str, ...]) -> Outcome:
    """Turn a call's end into its outcome."""
    status, result, error, limit = _verdict(call, ending)
    if limit is None:
        return Outcome(status, result, error, ending.printed, ending.duration_ms, None, isolation)
    text, hint = describe(limit.kind, call, limits, cpu_limit(call))
    return Outcome(
        Status.TIMEOUT if limit.kind == "time" else Status.LIMIT,
        None,
        error,
        ending.printed,
        ending.duration_ms,
        text,
        isolation,
        used=limit.used,
        hint=hint,
    )


@dataclass(frozen=True, slots=True)
class _Reached:
    """A limit that ended a call, and how much was used where that is known."""

    kind: str
    used: str = ""


def _verdict(call: Call, ending: Ending) -> tuple[Status, bytes | None, ToolError | None, _Reached | None]:
    if ending.stopped is not None:
        waited = ending.stopped == "time" and ending.cpu_seconds
        used = f"{ending.cpu_seconds:.1f} s of processor time" if waited else ""
        return Status.LIMIT, None, None, _Reached(ending.stopped, used)
    if ending.wait_status != 0:
        if _ended_by_cpu(call, ending):
            return Status.LIMIT, None, None, _Reached("cpu")
        return Status.ERROR, None, _broke(f"{call.function} {_how_it_ended(ending.wait_status)}"), None
    kind, size = ending.frame[:1], len(ending.frame) - PREFIX
    whole = size >= 0 and int.from_bytes(ending.frame[1:PREFIX], "big") == size
    if not whole or kind not in (RESULT, ERROR):
        what = (
            "sent back bytes that are no result" if ending.frame else "ended its process before it returned"
        )
        return Status.ERROR, None, _broke(f"{call.function} {what}"), None
    with memoryview(ending.frame) as frame:  # a slice of the bytes themselves would be one copy more
        if kind == RESULT:
            return Status.OK, bytes(frame[PREFIX:]), None, None
        error, limit = _read_error(bytes(frame[PREFIX:])) if size <= _ERROR_LIMIT else (None, None)
    if error is None and limit is None:
        error = _broke(f"{call.function} failed, and its process could not say how")
    return Status.ERROR, None, error, limit


def _read_error(payload: bytes) -> tuple[ToolError | None, _Reached | None]:
    try:
        told: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(told, dict):
        return None, None
    limit = _read_limit(told)
    texts = [told.get(key) for key in ("type", "message", "traceback")]
    mro = told.get("mro")
    if not all(isinstance(text, str) for text in texts) or not isinstance(mro, list):
        return None, limit
    type_name, message, traceback = (str(text)[:_TEXT_LIMIT] for text in texts)
    names = tuple(name[:_TEXT_LIMIT] for name in mro[:_NAMES_LIMIT] if isinstance(name, str))
    return ToolError(type_name, message, traceback, names, _read_denied(told)), limit


def _read_limit(told: dict[Any, Any]) -> _Reached | None:
    kind: Any = told.get("limit")
    used: Any = told.get("used")
    if kind not in ("memory", "result", "file", "processes", "open files"):
        return None
    known = kind == "result" and type(used) is int and 0 < used < 1 << 50
    return _Reached(kind, megabytes(used) if known else "")


def _read_denied(told: dict[Any, Any]) -> tuple[str, str] | None:
    match told.get("denied"):
        case [str(kind), str(target)] if (
            kind in _DENIED_KINDS
            and 0 < len(target) <= _TARGET_LIMIT
            and "\n" not in target
            and inert(target) == target
        ):
            return kind, target
    return None


def _broke(message: str) -> ToolError:
    return ToolError("ProcessBroke", f"{message}.", "", ("ProcessBroke",))


def _ended_by_cpu(call: Call, ending: Ending) -> bool:
    if ending.wait_status is None:
        return False
    if ending.wait_status & 0x7F == getattr(signal, "SIGXCPU", -1):
        return True
    return ending.wait_status & 0x7F == getattr(signal, "SIGKILL", -1) and ending.cpu_seconds >= cpu_limit(
        call
    )


def _how_it_ended(wait_status: int | None) -> str:
    if wait_status is None:
        return "was lost: the process that isolates it came to an end"
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
