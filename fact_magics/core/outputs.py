"""Build the output of a run: from a cached answer, a finished run or a refused input."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.errors import FactError, InvalidInput, InvalidResult, LimitReached, ToolFailed, ToolTimedOut
from fact_magics.pictures import may_hold_pictures, with_pictures
from fact_magics.sandbox.failure import failure
from fact_magics.tool import Status, ToolOutput
from fact_magics.values import decode, encode
from fact_magics.values.attachments import head_of
from fact_magics.values.tables import opened

if TYPE_CHECKING:
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.plan import Plan
    from fact_magics.permissions import Protected
    from fact_magics.sandbox.outcome import Outcome
    from fact_magics.store.rows import CacheEntry

_SHORT_BYTES = 1024
_REMEMBERED = 256


def checked_entry(tool: LoadedTool, entry: CacheEntry) -> CacheEntry | None:
    """Check an entry from outside this process; None if its result does not fit the return annotation."""
    try:
        wire = encode(tool.signature.read_result(entry.result))
    except InvalidResult:
        return None
    return entry if wire == entry.result else replace(entry, result=wire)


def read_answer(entry: CacheEntry, tool_name: str) -> Any:
    """Decode the value of a checked cache entry. Only immutable objects are shared between callers."""
    wire = entry.result
    if len(wire) > _SHORT_BYTES or wire[0] in b"\0[{":
        return shown(decode(wire), wire, tool_name)
    return _read_scalar(wire, tool_name)


def shown(value: Any, wire: bytes, tool_name: str) -> Any:
    """Return a decoded value as its caller gets it: with the objects of tables, and with pictures."""
    head = head_of(wire)
    value = value if head is wire else opened(value)
    return with_pictures(value, tool_name) if may_hold_pictures(head) else value


@lru_cache(maxsize=_REMEMBERED)
def _read_scalar(wire: bytes, tool_name: str) -> Any:
    return with_pictures(decode(wire), tool_name)


def cached_output(plan: Plan, entry: CacheEntry, started: float) -> ToolOutput:
    """Build the output of a run from a cache entry, which was found at `started` (`time.perf_counter`)."""
    result = read_answer(entry, plan.tool.metadata.name)
    age = time.time() - _timestamp(entry.created_at)
    metadata = {
        **plan.tool.about,
        "status": "ok",
        "cached": True,
        "cached_at": entry.created_at,
        "age_seconds": age if age > 0 else 0.0,  # a clock may be set back
        "saved_ms": entry.duration_ms,
        "permissions": plan.permissions,
        "printed": entry.printed,
        "isolation": (),
    }
    return ToolOutput.known(True, result, (time.perf_counter() - started) * 1000, metadata)


@lru_cache(maxsize=1024)
def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run: the output for the caller, and the encoded result (None on failure)."""

    output: ToolOutput
    wire: bytes | None


class Answered(NamedTuple):
    """How a row ended.

    Attributes
    ----------
    value : object
        What the tool returned; None if the row failed.
    error : str
        Why it failed, in one line; empty if it went well.
    wire : bytes or None
        The value in its canonical form.
    """

    value: Any
    error: str
    wire: bytes | None
    printed: str
    duration_ms: float


def finished_output(plan: Plan, outcome: Outcome, protected: Protected) -> Result:
    """Build the output of a finished run. A result that does not fit the return annotation is an error.

    Parameters
    ----------
    protected : Protected
        Places for which the hint of an error must not suggest a permission.
    """
    status, value, wire = outcome.status, None, None
    error = ""
    details: tuple[str, ...] = ()
    name = plan.tool.metadata.name
    if status is Status.OK and outcome.result is not None:
        try:
            value = plan.tool.signature.read_result(outcome.result)
            wire = encode(value)
            value = shown(value, wire, name)
        except InvalidResult as refused:
            status, error, details = Status.ERROR, refused.line, refused.details
    else:
        error, details = failure(name, outcome, plan.call.permissions, protected)
    metadata: dict[str, Any] = {
        **plan.tool.about,
        "status": status.value,
        "cached": False,
        "permissions": plan.permissions,
        "printed": outcome.printed,
        "isolation": outcome.isolation,
    }
    if status is not Status.OK:
        metadata |= {"error": error, "details": details, "limit": outcome.limit}
        if outcome.error is not None:
            metadata["error_type"] = outcome.error.type_name
    return Result(ToolOutput.known(status is Status.OK, value, outcome.duration_ms, metadata), wire)


def invalid_output(tool: LoadedTool, refused: InvalidInput) -> ToolOutput:
    """Build the output of a run that was refused because of its input."""
    metadata = {
        **tool.about,
        "status": Status.INVALID.value,
        "cached": False,
        "printed": "",
        "isolation": (),
        "error": refused.line,
        "details": refused.lines[1:],
        "error_type": "InvalidInput",
    }
    return ToolOutput.known(False, None, 0.0, metadata)


_ERRORS: dict[str, type[FactError]] = {
    Status.INVALID: InvalidInput,
    Status.TIMEOUT: ToolTimedOut,
    Status.LIMIT: LimitReached,
}


def error_of(output: ToolOutput) -> FactError:
    """Build the exception for a failed output."""
    known = output.metadata
    kind = _ERRORS.get(known.get("status", ""), ToolFailed)
    return kind(str(known.get("error", "The run failed.")), details=known.get("details", ()))


def value_of(output: ToolOutput, name: str) -> Any:
    """Return the result of a call of the tool `name`, or raise the exception for its failure."""
    if output.success:
        return output.result
    raise of_call(error_of(output), name)


def of_call(error: FactError, name: str) -> FactError:
    """Say where to grant a permission, if the error suggests one, because a call has no options."""
    if "--allow" not in str(error):
        return error
    hint = f"A call takes no --allow: add it to a %%fact_run {name} cell, or generate {name} again with it."
    named = next((at for at, line in enumerate(error.lines) if "--allow" in line), 0)
    details = (*error.details[:named], hint, *error.details[named:])
    return type(error)(error.message, hint=error.hint, details=details)
