"""The rows of the database as frozen dataclasses; every time is UTC ISO 8601 (`fact_magics.text.utc_now`)."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field, fields

from fact_magics.text import utc_now
from fact_magics.tool import Status, ToolMetadata, ToolVersion

# What an entry costs besides its payload: the row or object, its key, its place in the index.
_ENTRY_OVERHEAD = 256


def new_id() -> str:
    """Make an id that is unique over all databases: 16 random hexadecimal digits.

    A person may type its beginning, as with a commit: `History.find_run` takes a prefix.
    """
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One kernel, or script, from its first use of fact_magics to its end.

    Attributes
    ----------
    notebook : str
        The notebook's path, empty where there is none or it is not known.
    kernel, python : str
        ``ipykernel 7.4.0``, ``3.11.7``.
    ended_at : str or None
        None while it lives, and for one that was killed.
    """

    id: str
    notebook: str = ""
    kernel: str = ""
    python: str = ""
    started_at: str
    ended_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A source that was accepted and has no version number yet.

    Attributes
    ----------
    signature_id : str
        Identity of what a caller sees; another one makes the next version a major one.
    id : str
        The id that the tool will have, so that rows of the same transaction can name it.
    """

    name: str
    source: str
    signature_id: str
    description: str
    contract: str = ""
    permissions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    provider: str = ""
    model: str = ""
    proven: bool = False
    varies: bool = False
    request_hash: str = ""
    id: str = field(default_factory=new_id)
    created_at: str = field(default_factory=utc_now)

    def numbered(self, version: str) -> ToolVersion:
        """Make the tool that this becomes under a version number."""
        known = {
            each.name: getattr(self, each.name) for each in fields(ToolMetadata) if each.name != "version"
        }
        return ToolVersion(ToolMetadata(version=version, **known), self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRow:
    """One attempt of a generation: what was asked, what came back, what became of it.

    Attributes
    ----------
    generation_id : str
        Shared by the attempts of one cell; `attempt` counts them from 1.
    description, contract : str
        The request, with variables filled in, and its examples.
    reason : str
        Why it was not accepted, in a sentence; empty for an accepted one.
    text, source : str
        The model's text as it came, and the code that was read from it.
    input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens : int or None
        None where the provider did not say.
    cost_usd : float or None
        None where no price is known.
    tool_id : str or None
        The version that this attempt became.
    """

    generation_id: str
    attempt: int
    tool_name: str
    status: Status
    session_id: str | None = None
    request_hash: str = ""
    description: str = ""
    contract: str = ""
    permissions: tuple[str, ...] = ()
    provider: str = ""
    model: str = ""
    reason: str = ""
    text: str = ""
    source: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cost_usd: float | None = None
    started_at: str = field(default_factory=utc_now)
    duration_ms: float = 0.0
    tool_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRow:
    """One run of a tool, answered by its process or by the cache.

    Attributes
    ----------
    tool_id, tool_version : str or None
        None where the run was refused before a version was found.
    input_data, output_data : str or None
        JSON in the form for people; `output_data` is None on failure.
    error, details : str or None
        The failure in one line, and the tool's own frames.
    printed : str
        What the tool printed.
    cached : bool
        The answer came from the cache stored under `cache_key`.
    isolation : str
        The layers in force, joined by a comma and a space.
    permissions : tuple of str
        All that the run was granted, by its tool and by its cell.
    """

    id: str = field(default_factory=new_id)
    session_id: str | None = None
    tool_id: str | None = None
    tool_name: str
    tool_version: str | None = None
    input_data: str | None = None
    output_data: str | None = None
    status: Status
    error: str | None = None
    details: str | None = None
    printed: str = ""
    cached: bool = False
    cache_key: str | None = None
    isolation: str = ""
    permissions: tuple[str, ...] = ()
    duration_ms: float = 0.0
    executed_at: str = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """An answer that a run may be given again.

    Attributes
    ----------
    key : str
        The run's identity, hexadecimal.
    result : bytes
        The result's canonical wire.
    duration_ms : float
        What the original run took.
    expires_at : str or None
        None for an answer that stays good.
    confirmations : int
        How many runs in a row gave this result. Putting an entry adds to those of an entry with the
        same result, and starts over where the result differs.
    """

    key: str
    tool_id: str
    result: bytes
    printed: str = ""
    duration_ms: float = 0.0
    created_at: str = field(default_factory=utc_now)
    expires_at: str | None = None
    confirmations: int = 1

    @property
    def result_hash(self) -> str:
        """Identity of the result alone."""
        return hashlib.blake2b(self.result, digest_size=16).hexdigest()

    @property
    def size(self) -> int:
        """What keeping it costs, in bytes."""
        # Four bytes a character: counting costs no copy, and an estimate that is too high only evicts early.
        printed = len(self.printed) * (1 if self.printed.isascii() else 4)
        return _ENTRY_OVERHEAD + len(self.result) + printed

    def expired(self, now: str) -> bool:
        """Whether its time is over at `now`."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What a cache holds: entries, their bytes, the bound; and what was asked of it since it was opened."""

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    misses: int
    evictions: int
