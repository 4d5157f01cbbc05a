"""The bytes between parent and child: the request, and the one frame that comes back.

The frame is the tool's claim. It is bounded, parsed, and never unpickled; what it says beyond its form is
for the signature to validate.
"""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fact_magics.sandbox.outcome import Call, Outcome, ToolError
from fact_magics.sandbox.worker import ERROR, RESULT
from fact_magics.tool import Status

if TYPE_CHECKING:
    from fact_magics.sandbox.policy import Limits

PREFIX = 9
"""Bytes before a frame's payload: its kind, and eight for its length."""

_MIB = 1 << 20
_TEXT_LIMIT = 25_000
_NAMES_LIMIT = 50


@dataclass(frozen=True, slots=True)
class Ending:
    """What the parent itself saw of a call's end.

    Attributes
    ----------
    frame : bytes
        All that came through the call's pipe.
    wait_status : int or None
        Of the call's process, as ``waitpid`` tells it; None where the process was lost sight of.
    cpu_seconds : float
        What that process used.
    stopped : str or None
        The limit for which the parent stopped it: ``time``, ``result``, ``printed`` or ``scratch``.
    printed : str
        What it printed.
    duration_ms : float
        From the request to the end.
    """

    frame: bytes
    wait_status: int | None
    cpu_seconds: float
    stopped: str | None
    printed: str
    duration_ms: float


def cpu_limit(call: Call) -> int:
    """Processor seconds for a call: its wall time rounded up, and one more."""
    return max(1, -int(-call.timeout_seconds // 1) + 1)


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
            "memory": call.memory_mb * _MIB,
            "taken": taken,
            "cpu_seconds": cpu_limit(call),
            "result_bytes": limits.result_bytes,
        }
    ).encode()
    return b"".join((len(header).to_bytes(8, "big"), header, source, call.arguments))


def judge(call: Call, ending: Ending, limits: Limits, isolation: tuple[str, ...]) -> Outcome:
    """Turn a call's end into its outcome."""
    status, result, error, limit = _verdict(call, ending)
    if limit is not None:
        status = Status.TIMEOUT if limit == "time" else Status.LIMIT
        result = None
    return Outcome(
        status=status,
        result=result,
        error=error,
        printed=ending.printed,
        duration_ms=ending.duration_ms,
        limit=None if limit is None else _limit_text(limit, call, limits),
        isolation=isolation,
    )


def _verdict(call: Call, ending: Ending) -> tuple[Status, bytes | None, ToolError | None, str | None]:
    if ending.stopped is not None:
        return Status.LIMIT, None, None, ending.stopped
    if ending.wait_status != 0:
        if _ended_by_cpu(call, ending):
            return Status.LIMIT, None, None, "cpu"
        return Status.ERROR, None, _broke(f"{call.function} {_how_it_ended(ending.wait_status)}"), None
    kind, payload = ending.frame[:1], ending.frame[PREFIX:]
    whole = len(ending.frame) >= PREFIX and int.from_bytes(ending.frame[1:PREFIX], "big") == len(payload)
    if not whole or kind not in (RESULT, ERROR):
        what = (
            "sent back bytes that are no result" if ending.frame else "ended its process before it returned"
        )
        return Status.ERROR, None, _broke(f"{call.function} {what}"), None
    if kind == RESULT:
        return Status.OK, payload, None, None
    error, limit = _read_error(payload)
    if error is None and limit is None:
        error = _broke(f"{call.function} failed, and its process could not say how")
    return Status.ERROR, None, error, limit


def _read_error(payload: bytes) -> tuple[ToolError | None, str | None]:
    try:
        told: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(told, dict):
        return None, None
    limit = told.get("limit")
    limit = limit if limit in ("memory", "result", "file", "processes") else None
    texts = [told.get(key) for key in ("type", "message", "traceback")]
    mro = told.get("mro")
    if not all(isinstance(text, str) for text in texts) or not isinstance(mro, list):
        return None, limit
    type_name, message, traceback = (str(text)[:_TEXT_LIMIT] for text in texts)
    names = tuple(name[:_TEXT_LIMIT] for name in mro[:_NAMES_LIMIT] if isinstance(name, str))
    return ToolError(type_name, message, traceback, names), limit


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


def _limit_text(limit: str, call: Call, limits: Limits) -> str:
    return {
        "time": f"time {call.timeout_seconds:g} s",
        "cpu": f"CPU {cpu_limit(call)} s",
        "memory": f"memory {call.memory_mb} MB",
        "result": f"result {limits.result_bytes // _MIB} MB",
        "printed": f"printed output {limits.printed_bytes // _MIB} MB",
        "file": f"file size {limits.file_bytes // _MIB} MB",
        "scratch": f"scratch directory {limits.scratch_bytes // _MIB} MB",
        "processes": f"processes {limits.processes}",
    }[limit]
