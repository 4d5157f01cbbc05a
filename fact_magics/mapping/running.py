"""`RowMap` runs one map: its parts read the rows, run them, and keep count of how they end."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from fact_magics.errors import FactError, ToolFailed
from fact_magics.events import Listener, MapAdvanced
from fact_magics.mapping.dask.executor import DaskExecutor
from fact_magics.mapping.executor import LocalPool
from fact_magics.mapping.ledger import SKIPPED, Ledger
from fact_magics.mapping.options import content_key
from fact_magics.mapping.reading import Reader
from fact_magics.mapping.result import MapResult
from fact_magics.mapping.working import Workers, first_error
from fact_magics.store import MapRow
from fact_magics.text import plural, utc_now
from fact_magics.tool import Status

if TYPE_CHECKING:
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.rows import RowRunner
    from fact_magics.mapping.executor import Executor
    from fact_magics.mapping.options import MapOptions
    from fact_magics.mapping.table import Table

_MOST_UNSAVED = 24_000
_SAVED_AT_ONCE = 16_000
_SAVE_SECONDS = 0.4
_MOST_AWAITED = 2_000  # rows that are committed before the map returns; more are committed meanwhile
_TELL_SECONDS = 0.1


class RowMap:
    """Runs one map with `run`; `result` returns the values so far, at any time.

    Parameters
    ----------
    executor : Executor, optional
        Runs the rows; by default that for the place that the options name.

    Raises
    ------
    InvalidInput
        The rows can't run where the options say.
    """

    def __init__(
        self,
        rows: RowRunner,
        tool: LoadedTool,
        table: Table,
        options: MapOptions,
        executor: Executor | None = None,
    ) -> None:
        self._rows = rows
        self._tool = tool
        self._table = table
        self._options = options
        if executor is None:
            executor = DaskExecutor(options.on, rows, tool) if options.on else LocalPool(rows)
        self._executor = executor
        self._keeps_answers = options.keeps_answers(tool)
        self._listeners: list[Listener] = []
        self._ledger = Ledger(
            rows,
            table.total,
            stop_on_error=options.stop_on_error,
            joins_equal=self._keeps_answers and not options.fresh,
        )
        self._reader = Reader(rows, tool, table, options, self._ledger)
        self._workers = Workers(
            rows, tool, options, self._executor, self._ledger, on_answers=self._take_note, note=self._note
        )
        self._unread: FactError | None = None  # why reading the rows ended early
        self._notes: list[str] = []
        self._enough = asyncio.Event()  # rows wait to be saved
        self._is_over = False
        self._saving = 0  # rows, by a commit that has not ended
        self._began = time.perf_counter()
        self._told = 0.0
        self.row = MapRow(
            session_id=rows.session_id,
            tool_id=tool.metadata.id,
            tool_name=tool.metadata.name,
            tool_version=tool.metadata.version,
            content_key=content_key(tool, table, options),
            total=table.total,
        )

    @property
    def name(self) -> str:
        """The tool's name."""
        return self._tool.metadata.name

    def listen(self, listener: Listener) -> None:
        """Call a listener with the events of this map, on the core's loop."""
        self._listeners.append(listener)

    def result(self) -> MapResult:
        """Return the values so far; rows that were not run count as skipped."""
        ledger = self._ledger
        return MapResult(
            self._tool.stored.reference,
            [None if value is SKIPPED else value for value in ledger.values],
            dict(sorted(ledger.errors.items())),
            ledger.summed,
            self.row.id,
            index=self._table.index,
            left_out=self._table.left_out,
            notes=tuple(self._notes),
            duration_ms=(time.perf_counter() - self._began) * 1000,
            library=self._table.library,
        )

    async def run(self) -> MapResult:
        """Run all rows.

        Raises
        ------
        ToolFailed
            A row failed, and `stop_on_error` is set.
        FactError
            The rows can't be read or isolated. The answers so far are kept.
        """
        with self._rows.opened(self._tool):
            return await self._run()

    async def _run(self) -> MapResult:
        if not self._keeps_answers and not self._options.fresh:
            unfinished = await self._rows.maps.unfinished(self.row.content_key)
            if unfinished is not None:
                self.row = replace(self.row, id=unfinished.id)
        await self._rows.maps.put(self.row)
        self._began = time.perf_counter()
        status, error = Status.INTERRUPTED, "interrupted"
        saving = asyncio.create_task(self._save_often())
        tasks = [asyncio.create_task(work) for work in (self._read(), self._workers.run())]
        try:
            await first_error(tasks, self._ledger.stop)
            if self._unread is not None:
                raise self._unread
            self._ledger.close()
            if self._ledger.failed is None:
                status, error = Status.OK, ""
            else:
                status, error = Status.ERROR, self._stopped_line(*self._ledger.failed)
        except FactError as raised:
            status, error = Status.ERROR, raised.line
            raise
        finally:
            self._is_over = True
            self._enough.set()
            if status is not Status.OK:  # else a commit may go on after the map has returned
                tasks.append(saving)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._executor.aclose()
            await self._end(status, error)
        if self._ledger.failed is not None:
            raise ToolFailed(error)
        return self.result()

    async def _read(self) -> None:
        self._workers.bulk = self._reader.begin(self.row)
        try:
            await self._reader.read(self._after_part)
        except FactError as error:  # raised when the rows before it are answered
            self._unread = error
        await self._workers.tell(is_read=True)

    async def _after_part(self) -> None:
        """Wake the workers, and wait until they and the database have room for more rows."""
        self._take_note()
        await self._workers.tell()
        await self._workers.wait_for_room()
        if self._rows.waiting > _MOST_UNSAVED:
            await self._rows.save()

    def _take_note(self) -> None:
        """Show the progress, and let rows be saved if many wait for it."""
        if self._rows.waiting > _SAVED_AT_ONCE:
            self._enough.set()
        self._tell()

    def _stopped_line(self, position: int, error: str) -> str:
        rest = self._ledger.summed["skipped"]
        told = f" {plural(rest, 'row')} {'was' if rest == 1 else 'were'} not run." if rest else ""
        return f"Row {position} failed: {error.rstrip('.')}.{told}"

    async def _end(self, status: Status, error: str) -> None:
        counts = self._ledger.summed
        is_whole = self._workers.is_read and self._unread is None
        ended = replace(
            self.row.counted(counts),
            total=len(self._ledger.values) if is_whole else self.row.total,
            status=status,
            error=error or None,
            duration_ms=(time.perf_counter() - self._began) * 1000,
            ended_at=utc_now(),
        )
        self._rows.note_map(ended)
        unsaved = self._rows.waiting + self._saving
        if status is Status.OK and self._keeps_answers and unsaved > _MOST_AWAITED:
            self._rows.save_soon()
        elif await self._save() and status is Status.OK and not self._keeps_answers and not counts["failed"]:
            with suppress(FactError):
                await self._rows.maps.forget_answers(ended)
        self.row = ended
        self._tell()

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    def _tell(self) -> None:
        now = time.perf_counter()
        if now - self._told >= _TELL_SECONDS or self.row.ended_at is not None:
            self._told = now
            counts = dict(self._ledger.counts)
            told = MapAdvanced(self.name, self._table.total, counts, now - self._began, self._executor.where)
            for listener in self._listeners:
                listener(told)

    async def _save_often(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_SAVE_SECONDS):
                    await self._enough.wait()
            if self._is_over:
                return
            self._enough.clear()
            self._rows.note_map(self.row.counted(self._ledger.summed | {"skipped": 0}))
            if await self._save() and self._workers.bulk is not None:
                self._workers.bulk.note_saved()

    async def _save(self) -> bool:
        """Commit the rows so far; return whether that went well."""
        self._saving = self._rows.waiting
        warning = await self._rows.save()
        self._saving = 0
        if warning:
            self._note(f"Some rows are not recorded yet: {warning}")
        return not warning
