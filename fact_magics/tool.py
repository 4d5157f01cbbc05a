"""The nouns: what is asked for, what is kept, what goes into a run and what comes out."""

from __future__ import annotations

import hashlib
import keyword
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fact_magics.errors import CellError
from fact_magics.text import utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping


SHELF = "shelf"
"""The provider of the tools that ship with fact_magics."""

HAND = "hand"
"""The provider of what a person wrote in a cell."""

IMPORTED = "import"
"""The provider of what came out of a file; its model is what the file claims, and nobody checked that."""


class Status(StrEnum):
    """How a generation or a run ended, as the database and the history say it."""

    OK = "ok"
    ERROR = "error"
    INVALID = "invalid"
    TIMEOUT = "timeout"
    LIMIT = "limit"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Returned:
    """An example's expected value and how the user wrote it."""

    value: object
    source: str


@dataclass(frozen=True, slots=True)
class Raised:
    """An example's expected exception: its type's name, and its message where the user gave one."""

    type_name: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One line of a tool's contract.

    Attributes
    ----------
    source : str
        The call, as written: ``slugify("Hi")``.
    args, kwargs
        Its literal arguments, evaluated.
    expected : Returned or Raised
        What the call must do.
    line : int
        The line of the cell's body that it starts on, counted from 1.
    """

    source: str
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    expected: Returned | Raised
    line: int

    @property
    def text(self) -> str:
        """The example in the grammar it was read from."""
        if isinstance(self.expected, Returned):
            outcome = self.expected.source
        else:
            message = f": {self.expected.message}" if self.expected.message is not None else ""
            outcome = f"Traceback (most recent call last):\n{self.expected.type_name}{message}"
        first, *rest = self.source.splitlines()
        return "\n".join([f">>> {first}", *(f"... {line}" for line in rest), outcome])


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A request for a tool: what a cell, or a script, asks for.

    Attributes
    ----------
    name : str
        The function to be written.
    description : str
        Plain language, without the examples, with ``{{name}}`` filled in.
    examples : tuple of Example
        The contract; empty means that the tool will be unproven.
    permissions : tuple of str
        What it is granted, such as ``net:api.github.com``; the core writes them in canonical form and sorted.
    model : str or None
        The model that was named, or None for the one in the settings.
    attempts : int
        How many candidates may be asked for.
    timeout_seconds : float
        Wall-clock limit of each example.
    tags : tuple of str
        Words to find the tool by.
    fresh : bool
        Ask for a new candidate even if this request has an accepted tool.
    examples_read : bool
        What looks like an example in the description is none: it came out of a variable.
    yes_really : bool
        Dangerous permissions are meant; no part of the request's identity.
    """

    name: str
    description: str
    examples: tuple[Example, ...] = ()
    permissions: tuple[str, ...] = ()
    model: str | None = None
    attempts: int = 3
    timeout_seconds: float = 30.0
    tags: tuple[str, ...] = ()
    fresh: bool = False
    examples_read: bool = False
    yes_really: bool = False

    @property
    def contract(self) -> str:
        """The examples as text, one blank line apart."""
        return "\n\n".join(example.text for example in self.examples)

    @property
    def request_hash(self) -> str:
        """Identity of the request: name, text, examples, permissions, and the model if one was named."""
        parts = (self.name, self.description, self.contract, *self.permissions, self.model or "")
        return _digest(parts)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an example.

    Attributes
    ----------
    holds : bool
        Whether the tool did what it says.
    expected, got : str
        Both sides on a line each, bounded.
    example : Example
        The example.
    """

    holds: bool
    expected: str
    got: str
    example: Example


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request; None where the provider did not say.

    Attributes
    ----------
    input_tokens : int or None
        Read at full price: without those of the cache.
    output_tokens : int or None
        Written, thinking included.
    cache_read_tokens, cache_creation_tokens : int or None
        Read from, and written to, the provider's prompt cache.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None


@dataclass(slots=True)
class Attempt:
    """One candidate: what was written, and what became of it.

    Attributes
    ----------
    status : Status
        ``ok`` for an accepted candidate, ``interrupted`` until it has ended, ``error`` otherwise.
    reason : str
        Why it was not accepted, for people; empty for an accepted one.
    text, source : str
        What the model wrote, and the module that was found in it.
    """

    number: int
    provider: str
    model: str
    started_at: str
    status: Status = Status.INTERRUPTED
    reason: str = ""
    text: str = ""
    source: str = ""
    usage: Usage = field(default_factory=Usage)
    verdicts: list[Verdict] = field(default_factory=list)
    failures: tuple[str, ...] = ()
    duration_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ToolMetadata:
    """A version of a tool without its source.

    The names of the fields are the names of the columns in the database.

    Attributes
    ----------
    id : str
        Unique over all databases.
    version : str
        Semantic: patch for another body on the same contract, minor for another contract, major for
        another signature.
    contract : str
        The examples it was proven on, in the grammar of a cell; empty for an unproven tool.
    provider, model : str
        Who wrote it: ``anthropic``, ``shelf``, ``hand``, ``import``, and the model's name.
    proven : bool
        Every example of a contract that is not empty held.
    varies : bool
        Its answers may differ for equal input, so they are not cached unless asked.
    created_at : str
        UTC, ISO 8601.
    """

    id: str
    name: str
    version: str
    description: str
    contract: str = ""
    permissions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    provider: str = ""
    model: str = ""
    proven: bool = False
    varies: bool = False
    request_hash: str = ""
    created_at: str = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True)
class ToolVersion:
    """A stored version of a tool: its source and what is known about it."""

    metadata: ToolMetadata
    source: str

    @property
    def content_hash(self) -> str:
        """Identity of what runs: source and permissions."""
        return content_hash(self.source, self.metadata.permissions)

    @property
    def reference(self) -> str:
        """``NAME@VERSION``, as the cells write it."""
        return f"{self.metadata.name}@{self.metadata.version}"


@dataclass(frozen=True, slots=True)
class ToolInput:
    """A run to be made.

    Attributes
    ----------
    operation : str
        ``NAME`` or ``NAME@VERSION``.
    parameters : mapping of str to object
        The tool's arguments by name.
    timeout_seconds : float
        Wall-clock limit.
    memory_mb : int
        Limit of the tool's address space, in MiB, above what the interpreter uses.
    fresh : bool
        Run even if the answer is cached, and replace the entry.
    permissions : tuple of str
        What this run is granted beside what its tool is; its answer neither comes from the cache nor is kept.
    yes_really : bool
        Dangerous permissions among them are meant.
    """

    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    timeout_seconds: float = 30.0
    memory_mb: int = 1024
    fresh: bool = False
    permissions: tuple[str, ...] = ()
    yes_really: bool = False


@dataclass(slots=True)
class ToolOutput:
    """What a run came to.

    Not frozen, because one is made for every answer from memory, and a frozen one costs a microsecond more.

    Attributes
    ----------
    success : bool
        Whether the tool returned a value that fits its annotation.
    result : object
        That value, as plain Python data; None on failure.
    execution_time_ms : float
        What this answer took to get, in milliseconds; of a cached one, the look-up.
    metadata : dict
        ``status``, ``tool``, ``version``, ``cached``, ``permissions``, ``printed``, ``isolation``, and on
        failure ``error``, ``details`` and ``limit``.
    """

    success: bool
    result: Any
    execution_time_ms: float
    metadata: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        from fact_magics.text import one_line
        from fact_magics.values.showing import brief

        known = self.metadata
        facts = (
            f"{known.get('tool', '')} {known.get('version', '')}".strip(),
            str(known.get("status", "ok" if self.success else "error")),
            "cached" if known.get("cached") else "",
            brief(self.result) if self.success else one_line(str(known.get("error", ""))),
        )
        return f"<ToolOutput {' · '.join(fact for fact in facts if fact)}>"


def identifier(text: str) -> str:
    """Read a Python name that is free to be bound."""
    if not text.isidentifier():
        raise ValueError("is no Python identifier")
    if keyword.iskeyword(text) or keyword.issoftkeyword(text):
        raise ValueError("is a Python keyword")
    return text


def tool_name(text: str) -> str:
    """Check the name of a tool to be written.

    Raises
    ------
    CellError
        It is no identifier, a keyword or private.
    """
    try:
        identifier(text)
    except ValueError as error:
        raise CellError(
            f"{text!r} {error}.", hint="Name the tool as you would a function: slugify, parse_date."
        ) from None
    if text.startswith("_"):
        raise CellError(
            f"{text!r} begins with an underscore, which notebooks keep for themselves.", hint="Drop it."
        )
    return text


def split_reference(text: str) -> tuple[str, str | None]:
    """Split ``NAME@VERSION`` into its name and its version (None where there is none).

    Raises
    ------
    CellError
        The name is no identifier or the version is not ``1``, ``1.2`` or ``1.2.3``.
    """
    name, at, version = text.partition("@")
    if not name.isidentifier():
        raise CellError(f"{name!r} is no tool's name.", hint="Write NAME or NAME@VERSION.")
    parts = version.split(".")
    if at and not (len(parts) <= 3 and all(part.isascii() and part.isdigit() for part in parts)):
        raise CellError(f"{version!r} is no version.", hint=f"Write {name}@1, {name}@1.2 or {name}@1.2.3.")
    return name, version or None


def content_hash(source: str, permissions: tuple[str, ...]) -> str:
    """Identity of what runs: a tool's source and its permissions."""
    return _digest((source, *sorted(permissions)))


def _digest(parts: tuple[str, ...]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()
