"""The data that all parts of fact_magics share: requests, examples, attempts, versions and runs.

What users build themselves is a Pydantic model: `ToolSpec`, `ToolInput`, `ToolOutput`, `ToolMetadata`.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping  # noqa: TC003 - Pydantic reads the annotations
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, Field, field_serializer, field_validator

from fact_magics.checked import Checked, fill
from fact_magics.text import now, one_line, plural, utc_text, without_surrogates
from fact_magics.values import brief, plain

REPLAY = "replay"
"""The provider of attempts that were answered from a recording."""

SHELF = "shelf"
"""The provider of the tools that ship with fact_magics."""

HAND = "hand"
"""The provider of source that a person wrote in a cell."""

IMPORTED = "import"
"""The provider of a tool imported from a file. The model named in the file is not verified."""

NO_MODELS = frozenset({REPLAY, SHELF, HAND, IMPORTED})
"""The providers of attempts that ask no model."""

_TEN_YEARS = 315_360_000


class Status(StrEnum):
    """How a generation or a run ended. The database stores these values."""

    OK = "ok"
    ERROR = "error"
    INVALID = "invalid"
    TIMEOUT = "timeout"
    LIMIT = "limit"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Returned:
    """An example's expected value, and how the user wrote it."""

    value: object
    source: str


@dataclass(frozen=True, slots=True)
class Raised:
    """An example's expected exception: the name of its type, and its message if the user wrote one."""

    type_name: str
    message: str | None = None

    @property
    def text(self) -> str:
        """The exception as Python shows it: ``ValueError: no words``, or the type alone."""
        return self.type_name if self.message is None else f"{self.type_name}: {self.message}"


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a tool's contract.

    Attributes
    ----------
    source : str
        The call, as written: ``slugify("Hi")``.
    args, kwargs
        The call's literal arguments, evaluated.
    line : int
        The line of the cell's body on which the example starts, counted from 1.
    """

    source: str
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    expected: Returned | Raised
    line: int

    @property
    def text(self) -> str:
        """The example, as it is written in a cell."""
        if isinstance(self.expected, Returned):
            outcome = self.expected.source
        else:
            outcome = f"Traceback (most recent call last):\n{self.expected.text}"
        first, *rest = self.source.splitlines()
        return "\n".join([f">>> {first}", *(f"... {line}" for line in rest), outcome])


def new_id() -> str:
    """Make an id that is unique across all databases: 16 random hexadecimal digits."""
    return secrets.token_hex(8)


def new_ids(count: int) -> list[str]:
    """Make several ids at once, which takes hardly longer than one."""
    digits = secrets.token_hex(8 * count)
    return [digits[at : at + 16] for at in range(0, len(digits), 16)]


def _searchable(tags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(filter(None, (tag.strip().lower() for tag in tags)))


def _written(value: object) -> Any:
    """Write a value for people, as JSON that can be encoded in UTF-8."""
    shown = plain(value)
    text = json.dumps(shown, ensure_ascii=False)
    return shown if text.isascii() else json.loads(without_surrogates(text))


class ToolSpec(Checked, frozen=True):
    """A request for a tool. Its fields can also be given in this order, without their names.

    Its JSON is for people: it contains the examples as texts and the types of the variables, and
    ``model_validate_json`` does not read them.

    Attributes
    ----------
    name : str
        The name of the function to write.
    description : str
        Plain language, without the examples, with each ``{{name}}`` replaced by its value.
    examples : tuple of Example
        The contract; without examples the tool will be unproven.
    permissions : tuple of str
        Granted permissions, such as ``net:api.github.com``, in any order and form.
    model : str or None
        The model to ask; None for the one in the settings.
    attempts : int
        How often to ask: for the candidates, and then for repairs while none of them is accepted.
    escalate : str or None
        The model that writes the last candidate; None for the same one. Not part of the request's identity.
    timeout_seconds : float
        Wall-clock limit of each example.
    tags : tuple of str
        Words for the search; they are stripped and made lower case, and empty ones are dropped.
    fresh : bool
        Ask for a new candidate even if an equal request already has an accepted tool.
    examples_read : bool
        The examples were already taken out of the description; a ``>>>`` left in it came from a variable.
    yes_really : bool
        Grant dangerous permissions; not part of the request's identity.
    replace : bool
        Replace even a proven version by one without examples; not part of the request's identity.
    fenced : str
        The description with a fence around each value that a ``{{name}}`` inserted; empty if there is none.
        Not part of the request's identity.
    budget_usd : float or None
        The most that all attempts together may cost, in US dollars. Not part of the request's identity.
    max_tokens : int or None
        The longest answer of the model, in tokens. Not part of the request's identity.
    ttl_seconds : float, optional
        How long the tool's answers are good, even if it varies or has permissions; at most ten years. Not
        part of the request's identity.
    variables : mapping of str to object
        The values for the ``{{name}}`` in the description. Without any, braces have no meaning.
    samples : bool
        Whether the model reads the first rows of the tables, Series and arrays among the variables, and the
        items of lists and dicts. If not, it reads only their columns, types and sizes.
    candidates : int
        How many candidates to ask for at once, at most 10. Not part of the request's identity.
    """

    name: str
    description: str
    examples: tuple[Example, ...] = ()
    permissions: tuple[str, ...] = ()
    model: str | None = None
    attempts: int = Field(3, ge=1)
    escalate: str | None = None
    timeout_seconds: float = Field(30.0, gt=0)
    tags: tuple[str, ...] = ()
    fresh: bool = False
    examples_read: bool = False
    yes_really: bool = False
    replace: bool = False
    fenced: str = ""
    budget_usd: float | None = Field(None, ge=0, allow_inf_nan=False)
    max_tokens: int | None = Field(None, ge=1)
    ttl_seconds: float | None = Field(None, gt=0, le=_TEN_YEARS)
    variables: Mapping[str, Any] = Field(default_factory=dict, repr=False)
    samples: bool = True
    candidates: int = Field(1, ge=1, le=10)

    if TYPE_CHECKING:

        def __init__(
            self, name: str, description: str, examples: tuple[Example, ...] = (), **fields: Any
        ) -> None: ...

    _tags = field_validator("tags")(_searchable)
    _texts = field_serializer("description", "fenced", when_used="json")(without_surrogates)

    @field_serializer("examples", when_used="json")
    def _as_written(self, examples: tuple[Example, ...]) -> list[str]:
        return [without_surrogates(example.text) for example in examples]

    @field_serializer("variables", when_used="json")
    def _by_type(self, variables: Mapping[str, Any]) -> dict[str, str]:
        return {without_surrogates(name): type(value).__name__ for name, value in variables.items()}

    @property
    def asked(self) -> str:
        """The description as the model reads it."""
        return self.fenced or self.description

    @property
    def contract(self) -> str:
        """The examples as text, one blank line apart."""
        return "\n\n".join(example.text for example in self.examples)

    @property
    def request_hash(self) -> str:
        """Hash of the name, description, examples and permissions, and of the model if it is set."""
        parts = (self.name, self.description, self.contract, *self.permissions, self.model or "")
        return _digest(parts)


class ToolMetadata(Checked, frozen=True):
    """A version of a tool without its source. The database's columns have the same names.

    Attributes
    ----------
    id : str
        Unique across all databases.
    name : str
        1 to 100 characters.
    version : str
        Semantic version. A new signature raises the major number, a new contract the minor number, and any
        other change the patch number.
    contract : str
        The examples that the version was proven on, as in a cell; empty for an unproven tool.
    tags : tuple of str
        Words for the search; they are stripped and made lower case, and empty ones are dropped.
    provider, model : str
        The author: a provider (``anthropic``, ``shelf``, ``hand``, ``import`` …) and the model's name.
    proven : bool
        Whether there are examples and the version passed all of them.
    varies : bool
        Whether equal inputs may give different answers. Such answers are not cached.
    created_at : datetime
        In UTC. Another time zone is converted; a time without a zone is refused.
    strength : str
        The result of the newest probe: ``pinned 31/31`` or ``2 open``; empty if there was none.
    complexity_score : float
        From 0 to 1, measured from the source as `fact_magics.complexity.complexity` describes. 0 if there
        was no source to measure.
    ttl_seconds : float, optional
        How long answers are good if a run does not say it.
    """

    id: str = Field(default_factory=new_id)
    name: str = Field(min_length=1, max_length=100)
    version: str = Field("1.0.0", pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")
    description: str = ""
    contract: str = ""
    permissions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    provider: str = ""
    model: str = ""
    proven: bool = False
    varies: bool = False
    request_hash: str = ""
    created_at: AwareDatetime = Field(default_factory=now)
    complexity_score: float = Field(0.0, ge=0, le=1)
    ttl_seconds: float | None = Field(None, gt=0, le=_TEN_YEARS)
    strength: str = Field("", pattern=r"^(?:pinned [0-9]+/[0-9]+|[0-9]+ open)?$")

    _tags = field_validator("tags")(_searchable)
    _texts = field_serializer("description", "contract", when_used="json")(without_surrogates)

    @field_validator("created_at")
    @classmethod
    def _in_utc(cls, moment: datetime) -> datetime:
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            raise ValueError("must be a time that UTC can express") from None

    @field_serializer("created_at", when_used="json")
    def _as_stored(self, moment: datetime) -> str:
        return utc_text(moment)

    @property
    def proof(self) -> str:
        """``proven on 2 examples``, or ``unproven``."""
        if not self.proven:
            return "unproven"
        return f"proven on {plural(self.example_count, 'example')}"

    @property
    def example_count(self) -> int:
        """The number of examples in the contract."""
        return sum(line.startswith(">>> ") for line in self.contract.split("\n"))


@dataclass(frozen=True, slots=True)
class ToolVersion:
    """A stored version of a tool."""

    metadata: ToolMetadata
    source: str

    @property
    def content_hash(self) -> str:
        """Hash of the source and the permissions."""
        return _digest((self.source, *sorted(self.metadata.permissions)))

    @property
    def reference(self) -> str:
        """``NAME@VERSION``, as in a cell."""
        return f"{self.metadata.name}@{self.metadata.version}"


class ToolInput(Checked, frozen=True):
    """A request to run a tool. Its fields can also be given in this order, without their names.

    Attributes
    ----------
    operation : str
        ``NAME`` or ``NAME@VERSION``.
    parameters : dict of str to object
        The tool's arguments by name; any mapping is accepted.
    timeout_seconds : float
        Wall-clock limit.
    memory_mb : int
        Limit of the tool's address space in MiB, not counting the interpreter's own.
    fresh : bool
        Run even if the answer is cached, and replace the cached answer.
    permissions : tuple of str
        Granted to this run in addition to the tool's own. If there are any, and no `ttl_seconds`, the cache
        is not used.
    yes_really : bool
        Grant dangerous permissions too.
    ttl_seconds : float, optional
        How long the answer is good, also that of a tool that varies or has permissions; at most ten years. It
        serves only runs with the same `ttl_seconds` and permissions. The default is that of the tool, if any.
    """

    operation: str = Field(min_length=1)
    parameters: dict[str, Any] = Field(default_factory=dict)
    timeout_seconds: float = Field(30.0, gt=0)
    memory_mb: int = Field(1024, gt=0)
    fresh: bool = False
    permissions: tuple[str, ...] = ()
    yes_really: bool = False
    ttl_seconds: float | None = Field(None, gt=0, le=_TEN_YEARS)

    if TYPE_CHECKING:

        def __init__(
            self,
            operation: str,
            parameters: Mapping[str, Any] = ...,
            timeout_seconds: float = 30.0,
            **fields: Any,
        ) -> None: ...

    @staticmethod
    def known(operation: str, parameters: dict[str, Any], **fields: Any) -> ToolInput:
        """Build the request of a cell, whose options were checked when its line was read."""
        request = object.__new__(ToolInput)
        fill(request, {**_UNSET, "operation": operation, "parameters": parameters, **fields})
        return request

    _for_people = field_serializer("parameters", when_used="json")(_written)


_UNSET = {name: field.default for name, field in ToolInput.model_fields.items()}


class ToolOutput(Checked):
    """The result of a run. Its fields can also be given in this order, without their names.

    Attributes
    ----------
    success : bool
        Whether the tool returned a value that fits its annotation.
    result : object
        The value as plain Python data; None on failure. In JSON it is written for people, as in the history.
    execution_time_ms : float
        The tool's own time in milliseconds, without the time in the queue; for a cached answer, the time of
        the look-up.
    metadata : dict
        ``status``, ``tool``, ``version``, ``cached``, ``permissions``, ``printed``, ``isolation``, and on
        failure ``error``, ``details`` and ``limit``.
    """

    success: bool
    result: Any = None
    execution_time_ms: float = Field(0.0, ge=0)
    metadata: dict[str, Any] = Field(default_factory=dict)

    if TYPE_CHECKING:

        def __init__(
            self,
            success: bool,
            result: Any = None,
            execution_time_ms: float = 0.0,
            metadata: Mapping[str, Any] = ...,
        ) -> None: ...

    @staticmethod
    def known(success: bool, result: Any, execution_time_ms: float, metadata: dict[str, Any]) -> ToolOutput:
        """Build the output of a run of this package, whose values are right.

        A cached answer needs an output, and Pydantic's own ways to build one take several microseconds.
        """
        output = object.__new__(ToolOutput)
        fill(
            output,
            {
                "success": success,
                "result": result,
                "execution_time_ms": execution_time_ms,
                "metadata": metadata,
            },
        )
        return output

    _for_people = field_serializer("result", "metadata", when_used="json")(_written)

    def __repr__(self) -> str:
        known = self.metadata
        facts = (
            f"{known.get('tool', '')} {known.get('version', '')}".strip(),
            str(known.get("status", "ok" if self.success else "error")),
            "cached" if known.get("cached") else "",
            brief(self.result) if self.success else self._told(),
        )
        return f"<ToolOutput {' · '.join(fact for fact in facts if fact)}>"

    __str__ = __repr__

    def _told(self) -> str:
        """Write the error with its details on one line."""
        known = self.metadata
        return one_line("\n".join((str(known.get("error", "")), *known.get("details", ()))), 500)


def _digest(parts: tuple[str, ...]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()
