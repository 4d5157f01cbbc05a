"""`Workers` run the rows that wait in the ledger's queue."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from fact_magics.mapping.batching import BatchSize, Sample, chunk_of, end_of
from fact_magics.sandbox.batch import outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fact_magics.core.bulk import BulkRows
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.outputs import Answered
    from fact_magics.core.plan import Plan
    from fact_magics.core.rows import RowRunner
    from fact_magics.mapping.executor import Executor
    from fact_magics.mapping.ledger import Ledger
    from fact_magics.mapping.options import MapOptions
    from fact_magics.sandbox.batch import RowAnswer

_MOST_WAITING = 16_000  # planned rows that wait for a process
_PATIENCE_SECONDS = 0.2  # how long a few rows wait for others before they run alone
# Planning more rows would delay the sample, for which all processes wait.
_MOST_BEFORE_SAMPLE = 64


class Workers:
    """Take rows from the queue, a chunk or a row at a time, until all rows are read and have ended.

    Parameters
    ----------
    on_answers : callable
        Called after answers have arrived.
    note : callable
        Gets facts for the record, such as why each row had a process of its own.
    """

    def __init__(
        self,
        rows: RowRunner,
        tool: LoadedTool,
        options: MapOptions,
        executor: Executor,
        ledger: Ledger,
        *,
        on_answers: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:
        self._rows = rows
        self._tool = tool
        self._options = options
        self._executor = executor
        self._ledger = ledger
        self._on_answers = on_answers
        self._note = note
        self._size = BatchSize()
        self._alone = options.isolate == "row"
        self._busy = 0  # processes
        self._layers: tuple[str, ...] = ()  # of the last row that ran alone; the sample does
        self._most_waiting = _MOST_BEFORE_SAMPLE
        self.bulk: BulkRows | None = None
        self.is_read = False
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Run all rows that wait, if any; raises `FactError` if they can't be isolated."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.is_read or self._ledger.queue)
        if not self._ledger.queue:
            return
        self._on_answers()  # the view shows that the executor starts
        await self._executor.start()
        if self._executor.note:
            self._note(self._executor.note)
        why = "the map has permissions" if self._options.permissions else self._tool.alone_because
        if why:
            self._be_alone(why)
        if not self._alone:
            await self._try_sample()
        self._most_waiting = _MOST_WAITING
        await self.tell()
        workers = [asyncio.create_task(self._work()) for _ in range(self._executor.slots)]
        try:
            await first_error(workers, self._ledger.stop)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def tell(self, *, is_read: bool = False) -> None:
        """Wake the workers: rows were added, or all rows are read."""
        async with self._changed:
            self.is_read |= is_read
            self._changed.notify_all()

    async def wait_for_room(self) -> None:
        """Wait until more rows may wait."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._is_full)

    @property
    def _is_full(self) -> bool:
        return self._ledger.held >= self._most_waiting

    def _be_alone(self, why: str) -> None:
        """Give each row a process of its own from now on."""
        if not self._alone:
            self._alone = True
            self._note(f"Each row had a process of its own: {why}.")

    async def _try_sample(self) -> None:
        """Run some rows alone, then in one process; if their answers differ, no rows share a process."""
        queue = self._ledger.queue
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self.is_read or queue)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        await self._changed.wait_for(
                            lambda: self.is_read or len(queue) >= Sample.WORTH or self._is_full
                        )
            if len(queue) >= Sample.WORTH:
                break
            if self.is_read:
                self._alone = True
                return
            # The rows come slowly, or most of them are equal and wait for this one.
            await self._run_alone([queue.popleft()])
            await self.tell()
        rows = [queue.popleft() for _ in range(Sample.ROWS)]
        size = self._executor.rows_alone
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        answers: list[list[Answered]] = []
        if self._options.stop_on_error:
            for part in parts:
                answers.append(await self._run_alone(part))
                if self._ledger.failed is not None:
                    return
        else:
            answers += await asyncio.gather(*(self._run_alone(part) for part in parts))
        sample = Sample(rows, [answer for part in answers for answer in part])
        if sample.is_slow:  # starting a process takes a small part of the time of a row
            self._alone = True
        elif why := await sample.differs(self._rows, self._executor):
            self._be_alone(why)
        else:
            self._size.begin(sample.shared_ms)

    async def _work(self) -> None:
        ledger = self._ledger
        while True:
            async with self._changed:
                await self._changed.wait_for(
                    lambda: (
                        (ledger.queue and self._busy < self._share()) or (self.is_read and not ledger.held)
                    )
                )
                if not ledger.queue:
                    return
                most = self._executor.rows_alone if self._alone else None
                rows = self._size.take(ledger.queue, self._executor.slots, most)
                share = max(1, self._share() // self._executor.slots)
                ledger.queue.extendleft(reversed(rows[share:]))
                del rows[share:]
                self._busy += 1
            if most is not None or len(rows) == 1:
                await self._run_alone(rows)
            else:
                await self._run_together(rows)
            self._busy -= 1
            await self.tell()

    def _share(self) -> int:
        """How many processes may run now, and how many rows in all of them.

        If the first error ends the map, rows that come after it should not run. So a map begins with a row
        at a time, and goes faster as more rows have ended.
        """
        if not self._options.stop_on_error:
            return sys.maxsize
        return max(1, self._ledger.ended // 4)

    async def _run_alone(self, rows: list[Plan]) -> list[Answered]:
        """Run each row in a process of its own, and keep the answers."""
        began = time.perf_counter()
        try:
            outcomes = await self._executor.alone([row.call for row in rows])
        except asyncio.CancelledError:
            took_ms = (time.perf_counter() - began) * 1000
            for row in rows:
                self._rows.interrupted(row, took_ms)
            raise
        answers = []
        self._layers = outcomes[-1].isolation
        for row, outcome in zip(rows, outcomes, strict=True):
            unchanged = await self._rows.are_unchanged(row)
            answers.append(self._rows.keep(row, outcome, unchanged=unchanged))
            self._ledger.take(row, answers[-1])
        self._on_answers()
        return answers

    async def _run_together(self, rows: list[Plan], *, eager: bool = False) -> None:
        chunk = chunk_of(
            rows,
            stall_seconds=min(self._options.timeout_seconds, self._size.stall_seconds),
            eager=eager,
        )
        answered, busy_ms, alone = 0, 0.0, []

        def take(answers: Sequence[RowAnswer]) -> None:
            nonlocal answered, busy_ms
            taken = rows[answered : answered + len(answers)]
            answered += len(answers)
            busy_ms += sum(answer.duration_ms for answer in answers)
            alone.extend(self._keep(taken, answers))
            self._on_answers()

        ended = end_of(await self._executor.together(chunk, take))
        for row in alone:
            await self._run_alone([row])
        rest = rows[answered:]
        if not rest:
            self._size.learn(len(rows), busy_ms)
            return
        if ended.changed:
            self._be_alone(f"a row changed {ended.changed}")
        elif eager or len(rest) == 1:
            self._size.note_stop()
            await self._run_alone([rest.pop(0)])
            if self._size.stops_often:
                self._be_alone("many rows reached a limit")
        else:  # find the row that stopped the process: it is the first without an answer
            found, rest = rest[: self._size.EAGER], rest[self._size.EAGER :]
            await self._run_together(found, eager=True)
        self._ledger.put_back(rest)

    def _keep(self, rows: Sequence[Plan], answers: Sequence[RowAnswer]) -> list[Plan]:
        """Keep the answers of rows, and return the rows that have to run alone."""
        kept: Sequence[Answered] | None = None
        if self.bulk is not None:
            kept = self.bulk.keep(rows, answers, self._layers)
        if kept is not None:
            self._ledger.take_all(rows, kept)
            return []
        alone = []
        for row, answer in zip(rows, answers, strict=True):
            outcome = outcome_of(answer, self._layers)
            if outcome is None:
                alone.append(row)
            else:
                self._ledger.take(row, self._rows.keep(row, outcome))
        return alone


async def first_error(tasks: list[asyncio.Task[None]], stop: asyncio.Event) -> None:
    """Wait until all tasks have ended, or `stop` is set; raise the first error of a task."""
    stopping = asyncio.create_task(stop.wait())
    pending: set[asyncio.Task[Any]] = {*tasks}
    try:
        while pending and not stop.is_set():
            done, pending = await asyncio.wait({*pending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            pending.discard(stopping)
            for task in done - {stopping}:
                task.result()
    finally:
        stopping.cancel()
