"""Where the rows of a map run: the interface of an executor, and the isolated processes of this machine."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.core.rows import RowRunner
    from fact_magics.sandbox.batch import Batch, RowAnswer
    from fact_magics.sandbox.outcome import Call, Outcome

    Take = Callable[[Sequence[RowAnswer]], None]


class Executor(Protocol):
    """Runs prepared rows in isolated processes; used on the core's loop.

    An executor knows nothing of the cache and the history: the map gives it rows that have to run, and
    validates, keeps and records their answers.

    Attributes
    ----------
    slots : int
        How many calls of `together` and `alone` the map makes at a time.
    rows_alone : int
        How many rows the map gives to one call of `alone`.
    where : str
        A few words for the view about what `start` does, and then about where the rows run; may be empty.
    note : str
        The line of the record about where the rows ran; may be empty.
    """

    slots: int
    rows_alone: int
    where: str
    note: str

    async def start(self) -> None:
        """Get ready before the first row that has to run; a `FactError` says why rows can't run here."""

    async def together(self, chunk: Batch, take: Take) -> Outcome:
        """Run the rows of a chunk in one process, and return how the process ended.

        Parameters
        ----------
        chunk : Batch
            One tool, and the encoded arguments of each row.
        take : callable
            Gets the answers in the order of the rows, each once: some at a time, or all at the end. Rows
            without an answer run again.

        Raises
        ------
        FactError
            The rows can't be isolated, or this executor can't run any more. It ends the map.
        """

    async def alone(self, calls: Sequence[Call]) -> list[Outcome]:
        """Run each call in a process of its own, and return the outcomes in the order of the calls."""

    async def aclose(self) -> None:
        """End what `start` began, if it was called. All calls have ended or were cancelled by then."""


class LocalPool:
    """The core's own sandbox, with a chunk at a time for each core."""

    rows_alone = 1
    where = note = ""

    def __init__(self, rows: RowRunner) -> None:
        self._rows = rows
        self.slots = self.cores()

    @staticmethod
    def cores() -> int:
        """Return the number of cores that this process may use."""
        try:
            return len(os.sched_getaffinity(0))
        except AttributeError:
            return os.cpu_count() or 1

    async def start(self) -> None:
        """Do nothing, because the core has started the sandbox."""

    async def together(self, chunk: Batch, take: Take) -> Outcome:
        """Run the rows of a chunk in one process of the sandbox."""
        return await self._rows.run(replace(chunk, on_rows=take))

    async def alone(self, calls: Sequence[Call]) -> list[Outcome]:
        """Run each call in a process of its own, one after the other."""
        return [await self._rows.run(call) for call in calls]

    async def aclose(self) -> None:
        """Do nothing, because the core closes the sandbox."""
