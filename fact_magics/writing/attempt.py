"""One candidate: what was written, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fact_magics.providers.base import Usage
from fact_magics.tool import Status

if TYPE_CHECKING:
    from fact_magics.writing.verdict import Verdict


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
