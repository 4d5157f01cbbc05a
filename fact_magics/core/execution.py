"""A run, from validated input to an output: what is run, under which key, and what came of it.

Nothing here waits: these functions run on the thread that calls them.
"""

from __future__ import annotations

import hashlib
import re
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.errors import (
    FactError,
    InvalidInput,
    InvalidResult,
    LimitReached,
    SignatureError,
    ToolFailed,
    ToolTimedOut,
)
from fact_magics.sandbox.boot import CONNECTOR, connector_source
from fact_magics.sandbox.failure import failure
from fact_magics.sandbox.outcome import Call, Outcome
from fact_magics.shelf.entry import is_shipped
from fact_magics.signature import Signature, read_signature
from fact_magics.tool import SHELF, Status, ToolOutput, ToolVersion
from fact_magics.values import decode, encode
from fact_magics.writing.checks import imports_of
from fact_magics.writing.purity import is_self_contained

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fact_magics.core.files import InputFile, InputFiles
    from fact_magics.permissions import Protected
    from fact_magics.store.rows import CacheEntry

# An unproven tool's answer is trusted once this many runs agreed on it.
_AGREEING_RUNS = 2
# Values that compare by what they are, once their types are compared too; zeros of two signs don't.
_COMPARABLE = frozenset({str, int, bool, float, type(None)})
_SHORT_BYTES = 1024
_REMEMBERED = 256
# What a tool may learn of a file that its content does not decide.
_MORE_THAN_CONTENT = re.compile(r"\b(?:st_(?!size\b)\w+|get[acm]time|samefile|owner)\b")


class LoadedTool:
    """A stored version that is ready to be run: its signature read, its key's constant part computed.

    Parameters
    ----------
    stored : ToolVersion
        Source and metadata.

    Raises
    ------
    SignatureError
        The stored source can't be read by this version of the package.
    """

    def __init__(self, stored: ToolVersion) -> None:
        self.stored = stored
        self.metadata = stored.metadata
        self.signature: Signature = read_signature(stored.source, stored.metadata.name)
        self._identities: dict[object, tuple[bytes, str]] = {}

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """Top-level packages outside the standard library."""
        return imports_of(self.stored.source)

    def identify(self, validated: Mapping[str, object], files: Sequence[InputFile] = ()) -> tuple[bytes, str]:
        """Write a validated input in its canonical form, and hash it.

        A short input that was met before is not written and hashed again: for an answer from memory, that
        would be most of the work.

        Returns
        -------
        (bytes, str)
            The canonical input, and the run's key; an empty one where answers are not kept.
        """
        values = validated.values()
        kinds = (*map(type, values),)
        if not _COMPARABLE.issuperset(kinds) or (float in kinds and 0.0 in values):
            return self._identity(validated, files)
        seen = (kinds, *validated.items())
        identity = self._identities.get(seen)
        if identity is None:
            identity = self._identity(validated)
            if len(identity[0]) <= _SHORT_BYTES:
                if len(self._identities) >= _REMEMBERED:
                    self._identities.clear()
                self._identities[seen] = identity
        return identity

    def _identity(
        self, validated: Mapping[str, object], files: Sequence[InputFile] = ()
    ) -> tuple[bytes, str]:
        arguments = self.signature.wire(validated)
        if not self.cacheable:
            return arguments, ""
        digest = self._key_prefix.copy()
        digest.update(arguments)
        for file in files:  # the input names them; what they lead to, and hold, it does not
            digest.update(b"\0%b\0%b" % (file.real.encode("utf-8", "surrogateescape"), file.digest))
        return arguments, digest.hexdigest()

    @cached_property
    def _key_prefix(self) -> Any:
        """The part of every key that does not depend on the input: name, content, Python, packages."""
        digest = hashlib.blake2b(digest_size=20)
        for part in (self.metadata.name, self.stored.content_hash, sys.version, *_versions(self.imports)):
            digest.update(part.encode() + b"\0")
        return digest

    @cached_property
    def cacheable(self) -> bool:
        """Whether equal input promises an equal answer."""
        if self.metadata.varies or self.metadata.permissions:
            return False
        return not (self.takes_paths and _MORE_THAN_CONTENT.search(self.stored.source))

    @cached_property
    def takes_paths(self) -> bool:
        """Whether an input may name files, which its runs are then granted to read."""
        return self.signature.takes_paths

    @cached_property
    def reaches_out(self) -> bool:
        """Whether its runs are granted more than their input."""
        return bool(self.metadata.permissions) or self.takes_paths

    def keeps(self, outcome: Outcome) -> bool:
        """Tell whether an outcome may answer later runs: nothing but the input can have decided it."""
        return "landlock" in outcome.isolation or self.verified or is_self_contained(self.stored.source)

    @cached_property
    def verified(self) -> bool:
        """Whether the source is one that ships with fact_magics, whatever its row says."""
        metadata = self.metadata
        return metadata.provider == SHELF and is_shipped(self.stored.source, metadata.model, metadata.name)

    @cached_property
    def about(self) -> dict[str, Any]:
        """The part of an output's metadata that names the tool; copied into each."""
        metadata = self.metadata
        return {
            "tool": metadata.name,
            "version": metadata.version,
            "tool_id": metadata.id,
            "unproven": not metadata.proven,
            "permissions": metadata.permissions,
        }

    def answers(self, entry: CacheEntry) -> bool:
        """Tell whether a cache entry may answer for a run."""
        return self.metadata.proven or entry.confirmations >= _AGREEING_RUNS


def _versions(packages: Sequence[str]) -> list[str]:
    if not packages:
        return []
    names = packages_distributions()
    found = []
    if CONNECTOR in packages:
        found.append(hashlib.blake2b(connector_source().encode(), digest_size=20).hexdigest())
    for package in packages:
        for name in sorted(set(names.get(package, ()))):
            try:
                found.append(f"{name}=={version(name)}")
            except PackageNotFoundError:
                found.append(name)
    return found


class Plan(NamedTuple):
    """A run that was validated and may be made.

    A tuple, because one is made for every answer from memory: a frozen dataclass costs 1 µs more.

    Attributes
    ----------
    arguments : bytes
        The canonical input: what is hashed is what the tool receives.
    key : str
        The run's identity in the caches; empty for a tool whose answers are not kept.
    fresh : bool
        Run even if the answer is cached, and replace it.
    permissions : tuple of str
        What it is granted, sorted: the tool's own and this run's.
    files : tuple of InputFile
        What it may read besides, because it was passed.
    """

    tool: LoadedTool
    arguments: bytes
    key: str
    timeout_seconds: float = 30.0
    memory_mb: int = 1024
    fresh: bool = False
    permissions: tuple[str, ...] = ()
    files: tuple[InputFile, ...] = ()

    @property
    def call(self) -> Call:
        """What the sandbox is asked."""
        tool = self.tool
        return Call(
            tool.stored.source,
            tool.metadata.name,
            self.arguments,
            self.timeout_seconds,
            self.memory_mb,
            (*self.permissions, *(file.permission for file in self.files)),
            tool.imports,
            verified=tool.verified,
        )


def plan(
    tool: LoadedTool,
    parameters: Mapping[str, Any],
    *,
    timeout_seconds: float = 30.0,
    memory_mb: int = 1024,
    fresh: bool = False,
    permissions: tuple[str, ...] = (),
    files: InputFiles | None = None,
) -> Plan:
    """Validate a run's input and compute its key.

    Parameters
    ----------
    permissions : tuple of str
        What this run alone is granted, checked and in canonical form.
    files : InputFiles, optional
        Finds the files that the input names, and reads them; without it, none is granted.

    Raises
    ------
    InvalidInput
        The input does not fit the signature, or a file can't be passed; one detail line a field.
    """
    validated = tool.signature.validate(parameters)
    if not permissions and not tool.reaches_out:
        arguments, key = tool.identify(validated)
        return Plan(tool, arguments, key, timeout_seconds, memory_mb, fresh)
    own = tool.metadata.permissions
    granted = tuple(sorted({*own, *permissions})) if permissions else own
    keyed = tool.cacheable and not permissions and (files is not None or not tool.takes_paths)
    taken: tuple[InputFile, ...] = ()
    if tool.takes_paths and files is not None:
        validated, taken = files.take(tool.metadata.name, validated, parameters, granted, digests=keyed)
    arguments, key = tool.identify(validated, taken)
    return Plan(tool, arguments, key if keyed else "", timeout_seconds, memory_mb, fresh, granted, taken)


def load(stored: ToolVersion) -> LoadedTool:
    """Make a stored version ready, or say why it can't be.

    Raises
    ------
    SignatureError
        The stored source does not fit what this version reads.
    """
    try:
        return LoadedTool(stored)
    except SignatureError as error:
        raise SignatureError(
            f"The stored {stored.reference} can't be used: {error.message}",
            hint=f"Generate {stored.metadata.name} again with --fresh.",
        ) from None


def read_answer(entry: CacheEntry) -> Any:
    """Read the value of a cache entry; only one that can't be changed is the same object for everyone."""
    wire = entry.result
    if len(wire) > _SHORT_BYTES or wire[0] in b"[{":
        return decode(wire)
    return _read_scalar(wire)


@lru_cache(maxsize=_REMEMBERED)
def _read_scalar(wire: bytes) -> Any:
    return decode(wire)


def cached_output(plan: Plan, entry: CacheEntry, started: float) -> ToolOutput:
    """Answer a run from a cache entry; `started` is the `time.perf_counter` of its start."""
    result = read_answer(entry)
    told = {
        **plan.tool.about,
        "status": "ok",
        "cached": True,
        "cached_at": entry.created_at,
        "age_seconds": max(0.0, time.time() - _timestamp(entry.created_at)),
        "saved_ms": entry.duration_ms,
        "printed": entry.printed,
        "isolation": (),
    }
    return ToolOutput(True, result, (time.perf_counter() - started) * 1000, told)


@lru_cache(maxsize=1024)
def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run: what is given to the caller, and the validated result's wire (None on failure)."""

    output: ToolOutput
    wire: bytes | None


def finished_output(plan: Plan, outcome: Outcome, started: float, protected: Protected) -> Result:
    """Judge what the sandbox reported: a result is only what fits the return annotation.

    Parameters
    ----------
    started : float
        The `time.perf_counter` of the run's start.
    protected : Protected
        What no hint at a permission may call harmless.
    """
    status, value, wire = outcome.status, None, None
    error = ""
    details: tuple[str, ...] = ()
    name = plan.tool.metadata.name
    if status is Status.OK and outcome.result is not None:
        try:
            value = plan.tool.signature.read_result(outcome.result)
            wire = encode(value)
        except InvalidResult as refused:
            status, error, details = Status.ERROR, f"{name} {refused.line}", refused.details
    else:
        error, details = failure(name, outcome, plan.call.permissions, protected)
    told: dict[str, Any] = {
        **plan.tool.about,
        "status": status.value,
        "cached": False,
        "permissions": plan.permissions,
        "printed": outcome.printed,
        "isolation": outcome.isolation,
    }
    if status is not Status.OK:
        told |= {"error": error, "details": details, "limit": outcome.limit}
        if outcome.error is not None:
            told["error_type"] = outcome.error.type_name
    took = (time.perf_counter() - started) * 1000
    return Result(ToolOutput(status is Status.OK, value, took, told), wire)


def invalid_output(tool: LoadedTool, refused: InvalidInput) -> ToolOutput:
    """Say of a run that was never made why it was not."""
    told = {
        **tool.about,
        "status": Status.INVALID.value,
        "cached": False,
        "printed": "",
        "isolation": (),
        "error": refused.line,
        "details": refused.details,
        "error_type": "InvalidInput",
    }
    return ToolOutput(False, None, 0.0, told)


_ERRORS: dict[str, type[FactError]] = {
    Status.INVALID: InvalidInput,
    Status.TIMEOUT: ToolTimedOut,
    Status.LIMIT: LimitReached,
}


def error_of(output: ToolOutput) -> FactError:
    """Build the error that a failed output stands for."""
    kind = _ERRORS.get(output.metadata.get("status", ""), ToolFailed)
    return kind(
        str(output.metadata.get("error", "The run failed.")), details=output.metadata.get("details", ())
    )
