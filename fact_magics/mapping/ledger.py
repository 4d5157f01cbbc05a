"""`Ledger`: how the rows of a map ended so far, and the rows that wait for a process."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from fact_magics.mapping.result import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.core.outputs import Answered
    from fact_magics.core.plan import Plan
    from fact_magics.core.rows import RowRunner

SKIPPED: Any = object()
"""The value of a row that has not ended."""


class Ledger:
    """Counts each row once. It is used on the core's loop only.

    Attributes
    ----------
    values : list
        The values by the rows' numbers; `SKIPPED` where a row has not ended, None where it failed.
    errors : dict of int to str
        The error of each failed row, in one line.
    counts : Counter
        The rows that have ended, by `KINDS`.
    queue : deque of Plan
        Rows that wait for a process.
    held : int
        Rows that were planned and have not ended: in the queue, in a process, or equal to such a row.
    failed : tuple or None
        The number and the error of the first row that failed, if it ends the map.
    refused : tuple or None
        The number of the row with invalid input that ends the map when the rows before it have ended, and a
        function that records it and returns its error.
    stop : asyncio.Event
        Set when a row ends the map, and the rows before it have ended.
    """

    def __init__(self, rows: RowRunner, total: int | None, *, stop_on_error: bool, joins_equal: bool) -> None:
        self._rows = rows
        self._stop_on_error = stop_on_error
        self._joins_equal = joins_equal
        self.values: list[Any] = [SKIPPED] * (total or 0)
        self.errors: dict[int, str] = {}
        self.counts: Counter[str] = Counter()
        self.queue: deque[Plan] = deque()
        self.held = 0
        self.failed: tuple[int, str] | None = None
        self.refused: tuple[int, Callable[[], str]] | None = None
        self.stop = asyncio.Event()
        self._twins: dict[str, list[Plan] | None] = {}  # rows that wait for the answer of an equal one

    @property
    def ended(self) -> int:
        """How many rows have ended."""
        return self.counts.total()

    @property
    def summed(self) -> dict[str, int]:
        """How many rows ended in each way; rows that have not ended count as skipped."""
        counts = {kind: self.counts[kind] for kind in KINDS}
        counts["skipped"] = len(self.values) - sum(counts.values())
        return counts

    def extend_to(self, length: int) -> None:
        """Note that the table has at least so many rows."""
        self.values += [SKIPPED] * (length - len(self.values))

    def hold(self, rows: Sequence[Plan]) -> None:
        """Put rows into the queue, except those equal to one in work and those after the end."""
        if self.failed is not None:
            rows = [row for row in rows if row.position < self.failed[0]]
        self.held += len(rows)
        if not self._joins_equal:
            self.queue.extend(rows)
            return
        twins = self._twins
        for row in rows:
            if row.key in twins:
                twins[row.key] = [*(twins[row.key] or ()), row]
            else:
                twins[row.key] = None
                self.queue.append(row)

    def put_back(self, rows: Sequence[Plan]) -> None:
        """Put rows that were taken from the queue back to its head, unless a row before them ends the map."""
        self.held -= len(rows)
        if self.failed is not None:
            rows = [row for row in rows if row.position < self.failed[0]]
        self.held += len(rows)
        self.queue.extendleft(reversed(rows))

    def know(self, rows: Sequence[Plan], values: Sequence[Any]) -> None:
        """Take the values of rows that the cache answered."""
        for row, value in zip(rows, values, strict=True):
            self.values[row.position] = value
        self.counts["cached"] += len(rows)

    def take(self, row: Plan, answered: Answered) -> None:
        """Take the answer of a row that has run."""
        if answered.error:
            self.held -= 1
            self.fail(row.position, answered.error)
            if twins := self._twins.pop(row.key, None):
                # Another run on an equal input may succeed, because failures are not cached.
                self.held -= len(twins)
                self.hold(twins)
            return
        self.take_all([row], [answered])

    def take_all(self, rows: Sequence[Plan], answers: Sequence[Answered]) -> None:
        """Take the answers of rows that have run, and went well."""
        self.held -= len(rows)
        self.counts["ok"] += len(rows)
        for row, answered in zip(rows, answers, strict=True):
            self.values[row.position] = answered.value
            if twins := self._twins.pop(row.key, None):
                self.held -= len(twins)
                self.know(twins, [self._rows.twin(twin, answered) for twin in twins])
        self._stop_if_due()

    def close(self) -> None:
        """Let the refused row end the map, unless a row before it did."""
        if self.refused is not None and self.failed is None:
            position, refuse = self.refused
            self.fail(position, refuse())

    def fail(self, position: int, error: str) -> None:
        """Note that a row failed."""
        self.errors[position] = error
        self.counts["failed"] += 1
        self.values[position] = None
        if self._stop_on_error and (self.failed is None or position < self.failed[0]):
            self.failed = position, error
            waiting = [*self.queue]
            self.queue.clear()
            self.put_back(waiting)
        self._stop_if_due()

    def _stop_if_due(self) -> None:
        if self.failed is not None and not any(value is SKIPPED for value in self.values[: self.failed[0]]):
            self.stop.set()
