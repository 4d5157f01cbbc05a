"""The rows of the database as frozen data classes.

The fields have the names of the columns. All times are UTC in ISO 8601, in the format of
`fact_magics.text.utc_now`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from fact_magics.complexity import complexity
from fact_magics.text import utc_now
from fact_magics.tool import Status, ToolMetadata, ToolVersion, new_id

if TYPE_CHECKING:
    from collections.abc import Mapping

# Estimated bytes of an entry besides its payload: the row or object, its key, its place in the index.
ENTRY_OVERHEAD = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One kernel or script, from its first use of fact_magics until it ends.

    Attributes
    ----------
    notebook : str
        The path of the notebook; empty if there is no notebook or the path is unknown.
    kernel, python : str
        The versions, such as ``ipykernel 7.4.0`` and ``3.11.7``.
    ended_at : str or None
        None for a session that is still running or was killed.
    """

    id: str
    notebook: str = ""
    kernel: str = ""
    python: str = ""
    started_at: str
    ended_at: str | None = None


class Candidate(ToolMetadata, frozen=True):
    """An accepted source, with the metadata of the version that it will become.

    Attributes
    ----------
    signature_id : str
        Identity of the signature. If the current version has another signature, the major number goes up.
    id : str
        The id of the future version, so that rows of the same transaction can refer to it.
    complexity_score : float
        If it is not given, `numbered` measures it from the source.
    """

    source: str
    signature_id: str

    def numbered(self, version: str) -> ToolVersion:
        """Make a tool version from the candidate, with the number `version`."""
        known = {name: getattr(self, name) for name in ToolMetadata.model_fields} | {"version": version}
        if "complexity_score" not in self.model_fields_set:
            known["complexity_score"] = complexity(self.source)
        return ToolVersion(ToolMetadata(**known), self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRow:
    """One attempt of a generation: the request, the answer and its outcome.

    Attributes
    ----------
    generation_id : str
        The same for all attempts of one cell; `attempt` counts these attempts from 1.
    description, contract : str
        The request, with its variables filled in, and the examples.
    reason : str
        Why the attempt was not accepted, in one sentence; empty for an accepted attempt.
    text, source : str
        The model's text as it arrived, and the code found in it.
    input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens : int or None
        None if the provider did not report the number.
    cache_creation_1h_tokens : int or None
        The part of `cache_creation_tokens` that the provider keeps for an hour.
    cost_usd : float or None
        None if no price is known.
    saved_usd : float or None
        The price that reading tokens from the provider's prompt cache saved.
    tool_id : str or None
        The version that this attempt became.
    group_number : int or None
        Of accepted candidates that were asked for together: the group that gives the same answers, 1 for that
        of the version. None if there was nothing to compare.
    parting_call : str
        A call to which this candidate gives another answer than the version.
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
    cache_creation_1h_tokens: int | None = None
    saved_usd: float | None = None
    group_number: int | None = None
    parting_call: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRow:
    """One run of a tool; its answer came from the tool's process or from the cache.

    Attributes
    ----------
    tool_id, tool_version : str or None
        None if the run was refused before a version was found.
    input_data, output_data : str or None
        JSON, written for people to read; `output_data` is None on failure.
    error, details : str or None
        The failure in one line, and the part of the traceback in the tool's own code.
    cached : bool
        Whether the answer came from the cache; its key there is `cache_key`.
    isolation : str
        The layers of isolation in force, separated by ``", "``.
    permissions : tuple of str
        All permissions that the tool and the cell granted to the run.
    saved_ms : float or None
        For an answer of the cache: the duration of the run that computed it.
    parent_id : str or None
        The map that the run belongs to.
    position : int or None
        The number of the run's row in the map, from 0.
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
    saved_ms: float | None = None
    parent_id: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRow:
    """One run of a tool on the rows of a table; the runs of its rows name it as their parent.

    Attributes
    ----------
    content_key : str
        Identity of the map: its tool, its fixed input, and the shape of the table.
    total : int or None
        The number of rows; None if it was never known.
    ok, cached, failed, skipped : int
        How many rows ended in each way. A map that was killed has the numbers of its last commit.
    status : Status
        ``interrupted`` until the map ends.
    error : str or None
        Why it ended early, in one line.
    ended_at : str or None
        None if the map is running or was killed.
    """

    id: str = field(default_factory=new_id)
    session_id: str | None = None
    tool_id: str | None = None
    tool_name: str
    tool_version: str
    content_key: str
    total: int | None = None
    ok: int = 0
    cached: int = 0
    failed: int = 0
    skipped: int = 0
    status: Status = Status.INTERRUPTED
    error: str | None = None
    duration_ms: float = 0.0
    started_at: str = field(default_factory=utc_now)
    ended_at: str | None = None

    def counted(self, counts: Mapping[str, int]) -> MapRow:
        """Return the row with other numbers of rows."""
        ok, cached, failed, skipped = (counts[kind] for kind in ("ok", "cached", "failed", "skipped"))
        return replace(self, ok=ok, cached=cached, failed=failed, skipped=skipped)

    @property
    def answers(self) -> str:
        """The beginning of the cache keys of answers that the map keeps until it ends."""
        return f"{self.id}:"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """An answer that later runs with the same key may receive.

    Attributes
    ----------
    key : str
        Identity of the run, hexadecimal.
    result : bytes
        The result in the canonical form of `fact_magics.values.wire`.
    duration_ms : float
        Duration of the original run.
    expires_at : str or None
        None for an answer that never expires.
    confirmations : int
        How many runs in a row gave this result. If the stored entry with the same key has the same
        result, the counts are added up; otherwise the count starts again.
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
        """Estimated number of bytes that storing the entry takes."""
        # Four bytes per character is an upper bound that needs no encoding; it only makes evictions earlier.
        printed = len(self.printed) * (1 if self.printed.isascii() else 4)
        return ENTRY_OVERHEAD + len(self.result) + printed

    def expired(self, now: str) -> bool:
        """Whether the entry has expired at `now`."""
        return self.expires_at is not None and self.expires_at <= now
