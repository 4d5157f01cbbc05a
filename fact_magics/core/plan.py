"""Plan a run: validate its input, and compute its permissions and its cache key."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.sandbox.outcome import Call

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fact_magics.core.files import InputFile, InputFiles
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.values import Wire


class Plan(NamedTuple):
    """A run whose input was validated.

    A plan is a tuple because even an answer from memory needs one, and a frozen dataclass would take 1 µs
    longer to build.

    Attributes
    ----------
    arguments : bytes, bytearray or memoryview
        The canonical input, which is both hashed and passed to the tool.
    key : str
        The run's identity in the cache; empty if its answer is not kept.
    fresh : bool
        Run even if the answer is cached, and replace the cached answer.
    permissions : tuple of str
        The permissions of this run, sorted: those of the tool and those granted to the run.
    files : tuple of InputFile
        The files that were passed as input, which the run may read.
    ttl_seconds : float or None
        How long the answer is good; None if it does not end.
    parent_id : str or None
        The map that the run belongs to.
    position : int
        The number of the run's row in the map.
    keep_as : str
        The key under which the map keeps the answer until it ends; empty if the cache keeps it.
    """

    tool: LoadedTool
    arguments: Wire
    key: str
    timeout_seconds: float = 30.0
    memory_mb: int = 1024
    fresh: bool = False
    permissions: tuple[str, ...] = ()
    files: tuple[InputFile, ...] = ()
    ttl_seconds: float | None = None
    parent_id: str | None = None
    position: int = 0
    keep_as: str = ""

    @property
    def call(self) -> Call:
        """The call for the sandbox."""
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
            tables=tool.signature.returns_tables,
        )


def plan_run(
    tool: LoadedTool,
    parameters: Mapping[str, Any],
    *,
    timeout_seconds: float = 30.0,
    memory_mb: int = 1024,
    fresh: bool = False,
    permissions: tuple[str, ...] = (),
    files: InputFiles | None = None,
    ttl_seconds: float | None = None,
) -> Plan:
    """Validate the input of a run, and compute the run's key.

    Parameters
    ----------
    permissions : tuple of str
        Permissions granted to this run alone, checked and in canonical form.
    files : InputFiles, optional
        Finds and reads the files that the input names. If None, the run gets no permission for them.
    ttl_seconds : float, optional
        How long the answer is good; by default as long as the tool says. Then it is kept even if the tool
        varies or has permissions.

    Raises
    ------
    InvalidInput
        The input does not fit the signature, or a file can't be passed. Each field has a detail line.
    """
    validated = tool.signature.validate(parameters)
    if ttl_seconds is None:
        ttl_seconds = tool.metadata.ttl_seconds
    if not permissions and not tool.reaches_out and ttl_seconds is None:
        arguments, key = tool.identify(validated)
        return Plan(tool, arguments, key, timeout_seconds, memory_mb, fresh)
    own = tool.metadata.permissions
    granted = tuple(sorted({*own, *permissions})) if permissions else own
    keyed = ttl_seconds is not None or (tool.cacheable and not permissions)
    keyed = keyed and (files is not None or not tool.takes_paths)
    taken: tuple[InputFile, ...] = ()
    if tool.takes_paths and files is not None:
        validated, taken = files.take(tool.metadata.name, validated, parameters, granted, digests=keyed)
    arguments, key = tool.identify(validated, taken)
    if keyed and ttl_seconds is not None:
        key = _limited(tool.key(arguments, taken), ttl_seconds, granted)
    key = key if keyed else ""
    return Plan(tool, arguments, key, timeout_seconds, memory_mb, fresh, granted, taken, ttl_seconds)


def _limited(key: str, ttl_seconds: float, permissions: tuple[str, ...]) -> str:
    """Make the key of an answer that is good for a limited time; it serves no other runs.

    The values of granted variables belong to the input.
    """
    names = [permission.removeprefix("env:") for permission in permissions if permission.startswith("env:")]
    values = (repr(os.environ.get(name)) for name in names)
    parts = (key, repr(float(ttl_seconds)), *permissions, *values)
    return blake2b("\0".join(parts).encode("utf-8", "surrogateescape"), digest_size=20).hexdigest()
