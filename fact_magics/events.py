"""Events that the core emits while it works, for views, logs and scripts.

While several candidates are written at the same time, `attempt` is the number of the one that an event is
about; otherwise it is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fact_magics.attempt import Attempt, Verdict
    from fact_magics.tool import Example, Status, ToolOutput, ToolVersion

PhaseName = Literal[
    "waiting",
    "thinking",
    "writing",
    "checking",
    "proving",
    "comparing",
    "probing",
    "repairing",
    "queued",
    "running",
]


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """The work entered another phase; `detail` may name a part of the phase, such as ``3/5``."""

    name: PhaseName
    detail: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Noticed:
    """One line that a person should see, such as a retry or the provider that was chosen."""

    text: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """An attempt starts: a provider writes candidate `number` of at most `of`.

    `beside` is the number of candidates that are asked for together; it is 1 if there is only this one.
    """

    number: int
    of: int
    provider: str
    model: str
    beside: int = 1


@dataclass(frozen=True, slots=True)
class TextArrived:
    """The model wrote `text`."""

    text: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class ExampleProven:
    """The candidate was run on an example, which is `number` of `of`."""

    number: int
    of: int
    verdict: Verdict
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """A candidate was accepted, or was rejected because of `failures`."""

    number: int
    status: Status
    failures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Printed:
    """The running tool printed `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class GenerationEnded:
    """A generation ended. Its rows are committed, unless `warning` says that they wait.

    `version` is the one that was accepted or reused. `attempts` is empty if no provider was used. `notice`
    is a remark for the user, such as ``from the shelf, no model was called``. `examples` are the request's.
    `changes` says what the version replaces, a line for each: an earlier example that has another value now,
    the version that was current.
    """

    tool: str
    status: Status
    version: ToolVersion | None
    attempts: tuple[Attempt, ...]
    reused: bool
    notice: str
    duration_ms: float
    examples: tuple[Example, ...] = ()
    changes: tuple[str, ...] = ()
    warning: str = ""


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run ended. Its row is committed, unless the output has a warning that it waits."""

    tool: str
    output: ToolOutput


@dataclass(frozen=True, slots=True)
class MapAdvanced:
    """Rows of a map have ended since the last such event.

    `counts` are as those of a `MapResult`, without rows that are not run yet. `total` is None if the number
    of rows is not known. `seconds` is the time since the map began. `where` says where the rows run, if that
    is not this machine's own sandbox.
    """

    tool: str
    total: int | None
    counts: Mapping[str, int]
    seconds: float
    where: str = ""

    @property
    def done(self) -> int:
        """The number of rows that have ended."""
        return sum(self.counts.values())

    @property
    def rate(self) -> float:
        """Rows in a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the remaining rows take at this rate; None if it is not known."""
        return None if self.total is None or not self.rate else (self.total - self.done) / self.rate


Event = (
    PhaseChanged
    | Noticed
    | AttemptStarted
    | TextArrived
    | ExampleProven
    | AttemptEnded
    | Printed
    | GenerationEnded
    | RunEnded
    | MapAdvanced
)
Listener = Callable[[Event], None]
