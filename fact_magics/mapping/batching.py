"""How many rows share a process, and the sample that decides whether they may."""

from __future__ import annotations

import json
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from fact_magics.sandbox.batch import Batch, outcome_of
from fact_magics.text import one_line

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from fact_magics.core.outputs import Answered
    from fact_magics.core.plan import Plan
    from fact_magics.core.rows import RowRunner
    from fact_magics.mapping.executor import Executor
    from fact_magics.sandbox.batch import RowAnswer
    from fact_magics.sandbox.outcome import Outcome

_TARGET_MS = 250.0
_LEAST_SHARE = 0.2  # of the size; smaller batches would cost more time than they save
_FIRST = 2_000  # at most, because only a few rows have told how long one takes
_MOST = 10_000
_MOST_BYTES = 4 * 1024 * 1024
# A row that takes longer is not run again for a comparison, because sharing would save little of its time.
_SLOW_MS = 200.0
_QUICK_MS = 50.0
_SHOWN = 200
_MOST_STOPS = 16


class Sample:
    """Rows that ran by themselves, for a comparison with the same rows in one process."""

    ROWS = 8
    WORTH = 24
    """With fewer rows, a process for each row takes less time than testing whether rows can share one."""

    def __init__(self, plans: list[Plan], answers: list[Answered]) -> None:
        self._plans = plans
        self._answers = answers
        self.shared_ms = 0.0
        """How long a row took in the process that the rows shared."""

    @property
    def is_slow(self) -> bool:
        """Whether a row takes far longer than its process."""
        return self._median_ms > _SLOW_MS

    @property
    def _median_ms(self) -> float:
        return median(answer.duration_ms for answer in self._answers)

    async def differs(self, rows: RowRunner, executor: Executor) -> str:
        """Run the rows in one process, forward and backward; return why rows can't share one, if so."""
        order = range(len(self._plans))
        numbers = [*order, *(reversed(order) if self._median_ms < _QUICK_MS else ())]
        plans = [self._plans[number] for number in numbers]
        got: list[Answered] = []
        alone = False

        def take(answers: Sequence[RowAnswer]) -> None:
            nonlocal alone
            self.shared_ms += sum(answer.duration_ms for answer in answers) / len(plans)
            for answer in answers:
                outcome = outcome_of(answer, ())
                alone |= outcome is None
                if outcome is not None:
                    got.append(rows.read(plans[answer.row], outcome))

        ended = end_of(await executor.together(chunk_of(plans, stall_seconds=1.0), take))
        if ended.changed:
            return f"a row changed {ended.changed}"
        if ended.limit or alone or len(got) != len(plans):
            return "its rows could not share one"
        if any(_told(one) != _told(self._answers[number]) for one, number in zip(got, numbers, strict=True)):
            return "some rows gave other answers in a shared process"
        return ""


class ChunkEnd(NamedTuple):
    """How the process of a chunk ended, as it claims.

    Attributes
    ----------
    changed : str
        What a row left behind in the process; empty if nothing was found.
    limit : str
        The limit, or another reason, that ended the process early; empty if the chunk was completed.
    """

    changed: str
    limit: str


def end_of(outcome: Outcome) -> ChunkEnd:
    """Read how the process of a chunk ended."""
    limit = outcome.limit or (outcome.error.message if outcome.error is not None else "")
    if outcome.printed:
        return ChunkEnd("what it prints", limit)
    try:
        claim: object = json.loads(bytes(outcome.result or b"{}"))
    except (ValueError, RecursionError):
        claim = None
    match claim:
        case {"changed": str(changed)}:
            return ChunkEnd(one_line(changed, _SHOWN), limit)
    return ChunkEnd("", limit or "its process sent no end")


def chunk_of(plans: Sequence[Plan], *, stall_seconds: float, eager: bool = False) -> Batch:
    """Make a chunk of planned rows of one tool.

    Parameters
    ----------
    stall_seconds : float
        The longest time without an answer before the process is stopped.
    eager : bool
        Send each answer at once, so that the row that stops the process is known.
    """
    first = plans[0].call
    return Batch(
        first.source,
        first.function,
        b"",
        stall_seconds,
        first.memory_mb,
        imports=first.imports,
        verified=first.verified,
        tables=first.tables,
        rows=tuple(planned.arguments for planned in plans),
        eager=eager,
    )


def _told(answer: Answered) -> tuple[Any, ...]:
    return answer.wire, answer.error, answer.printed


class BatchSize:
    """How many rows go to a process at once: as many as it answers in a quarter of a second."""

    EAGER = 64
    """The most rows in a batch that looks for the row that stopped another batch."""

    stall_seconds = 2.0
    """How long a process may go without an answer before its rows are looked at one by one."""

    def __init__(self) -> None:
        self._size = 1.0
        self._stops = 0

    def begin(self, row_ms: float) -> None:
        """Choose the first size by the time that a row of the sample took."""
        self._size = max(1.0, min(_TARGET_MS / max(row_ms, 0.001), _FIRST))

    def take(self, queue: deque[Plan], processes: int, most: int | None = None) -> list[Plan]:
        """Take the next batch from a queue; the last batches are small, so that no process is idle.

        Parameters
        ----------
        most : int, optional
            A largest number of rows to use instead of the one that was learned.
        """
        fair = -(-len(queue) // processes)
        if most is None:
            most = max(1, min(int(self._size), max(fair, int(self._size * _LEAST_SHARE))))
        else:
            most = min(most, fair)
        taken: list[Plan] = []
        size = 0
        while queue and len(taken) < most and size < _MOST_BYTES:
            taken.append(queue.popleft())
            size += len(taken[-1].arguments)
        return taken

    def learn(self, rows: int, busy_ms: float) -> None:
        """Adapt the size to the time that a batch took, not counting the start of its process."""
        fitting = rows * _TARGET_MS / max(busy_ms, 0.1)
        self._size = min(max(fitting, self._size / 4, 1.0), self._size * 8, _MOST)

    def note_stop(self) -> None:
        """Count a row that stopped its process."""
        self._stops += 1
        self._size = max(1.0, self._size / 2)

    @property
    def stops_often(self) -> bool:
        """Whether so many rows stop their processes that sharing a process takes longer."""
        return self._stops >= _MOST_STOPS
