"""`Reader` reads the rows of a map, plans them, and answers those that are known."""

from __future__ import annotations

import asyncio
import sqlite3
from asyncio import Queue, Semaphore
from contextlib import aclosing, suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from fact_magics.core.rows import kept_by
from fact_magics.errors import FactError, InvalidInput
from fact_magics.tool import ToolInput

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from fact_magics.core.bulk import BulkRows
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.plan import Plan
    from fact_magics.core.rows import RowRunner
    from fact_magics.mapping.ledger import Ledger
    from fact_magics.mapping.options import MapOptions
    from fact_magics.mapping.table import Table
    from fact_magics.store import MapRow

_FIRST_PART = 64  # so that a sample of rows can begin soon
_PART = 1_000  # rows that are planned and looked up together
_MOST_COMING = 8  # parts that are planned before their answers are searched
_SLICE = 50  # rows that are planned by themselves before the loop may do other work


class Reader:
    """Reads a table a part at a time. Rows that have to run go to the ledger's queue."""

    def __init__(
        self, rows: RowRunner, tool: LoadedTool, table: Table, options: MapOptions, ledger: Ledger
    ) -> None:
        self._rows = rows
        self._tool = tool
        self._table = table
        self._options = options
        self._ledger = ledger
        self._keeps = options.keeps_answers(tool)

    def begin(self, map_row: MapRow) -> BulkRows | None:
        """Begin to read for a map; returns what may keep its answers in bulk."""
        self._map = map_row
        request = ToolInput.known(self._tool.stored.reference, {}, **self._options.request)
        self._bulk = self._rows.bulk(self._tool, request, map_row.id)
        return self._bulk

    async def read(self, on_part: Callable[[], Awaitable[None]]) -> None:
        """Read all rows; `on_part` is awaited after each part that the ledger has got.

        Raises
        ------
        FactError
            The table can't be read. The ledger has the rows before that.
        """
        coming: Queue[list[Plan] | None] = Queue()
        room = Semaphore(1)
        planning = asyncio.create_task(self._plan_all(coming, room))
        planning.add_done_callback(lambda _: coming.put_nowait(None))
        try:
            parts = 0
            while (part := await coming.get()) is not None:
                await self._admit(part)
                room.release()
                await on_part()
                parts += 1
                if 1 < parts <= _MOST_COMING:  # planning far ahead would delay the sample
                    room.release()
            await planning
        finally:
            planning.cancel()
            await asyncio.gather(planning, return_exceptions=True)

    async def _plan_all(self, coming: Queue[list[Plan] | None], room: Semaphore) -> None:
        """Plan all rows, a part at a time, while the answers of earlier parts are searched."""
        position = 0
        async with aclosing(self._parts()) as parts:
            async for part in parts:
                self._ledger.extend_to(position + len(part))
                planned = await self._planned(position, part)
                position += len(part)
                await room.acquire()
                coming.put_nowait(planned)
                if self._ledger.refused is not None:
                    break

    async def _parts(self) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Yield parts of the rows; a user's iterator runs on a thread, not on the core's loop."""
        parts = self._table.parts(_FIRST_PART, _PART)
        if not self._table.is_lazy:
            for part in parts:
                yield part
                await asyncio.sleep(0)
            return
        puller = _Puller(partial(_next, parts, self._tool.metadata.name))
        try:
            while part := await puller.pull():
                yield part
        finally:
            puller.close()

    async def _planned(self, start: int, part: list[dict[str, Any]]) -> list[Plan]:
        if self._bulk is not None and (plans := self._bulk.plan(start, part)) is not None:
            return plans
        tool, rows = self._tool, self._rows
        waiting = []
        for position, parameters in enumerate(part, start):
            if position % _SLICE == 0:
                await asyncio.sleep(0)
            request = ToolInput.known(tool.stored.reference, parameters, **self._options.request)
            asked = (tool, request, self._map.id, position)
            try:
                planned = (
                    await asyncio.to_thread(rows.plan, *asked) if tool.takes_paths else rows.plan(*asked)
                )
            except InvalidInput as refused:
                refuse = partial(rows.refuse, tool, parameters, refused, self._map.id, position)
                if self._options.stop_on_error:
                    self._ledger.refused = position, refuse
                    break
                self._ledger.fail(position, refuse())
                continue
            waiting.append(planned if self._keeps else kept_by(self._map, planned))
        return waiting

    async def _admit(self, rows: list[Plan]) -> None:
        """Answer the rows that are known, and give the others to the ledger."""
        known = await self._rows.known(rows, self._bulk)
        if self._bulk is not None:
            # Equal rows may have got their answers during the search.
            recalled = enumerate(self._bulk.recall(rows))
            known |= {place: entry for place, entry in recalled if entry is not None}
        answered = [rows[place] for place in known]
        entries = [*known.values()]
        values = None
        if self._bulk is not None and answered:
            values = self._bulk.recalled(answered, entries)
        if values is None:
            values = [self._rows.recall(row, entry) for row, entry in zip(answered, entries, strict=True)]
        self._ledger.know(answered, values)
        self._ledger.hold([row for place, row in enumerate(rows) if place not in known])


class _Puller:
    """Calls a function on one thread of its own, for which nothing waits: an iterator may wait for ever."""

    def __init__(self, work: Callable[[], list[dict[str, Any]]]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._asked: SimpleQueue[asyncio.Future[list[dict[str, Any]]] | None] = SimpleQueue()
        Thread(target=self._pull_all, name="fact-rows", daemon=True).start()

    async def pull(self) -> list[dict[str, Any]]:
        """Call the function, and wait for what it returns."""
        asked: asyncio.Future[list[dict[str, Any]]] = self._loop.create_future()
        self._asked.put(asked)
        return await asked

    def close(self) -> None:
        """Let the thread end after a call that is under way."""
        self._asked.put(None)

    def _pull_all(self) -> None:
        while (asked := self._asked.get()) is not None:
            try:
                settle = partial(asked.set_result, self._work())
            except BaseException as error:  # noqa: BLE001 - the map fails with it
                settle = partial(asked.set_exception, error)
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(_settle, asked, settle)


def _settle(asked: asyncio.Future[Any], settle: Callable[[], None]) -> None:
    if not asked.done():  # the map was stopped
        settle()


def _next(parts: Iterator[list[dict[str, Any]]], name: str) -> list[dict[str, Any]]:
    try:
        return next(parts, [])
    except FactError:
        raise
    except Exception as error:
        hint = "The rows before it have answers. Correct the source of the rows, and run the map again."
        if isinstance(error, sqlite3.ProgrammingError):  # a cursor can be read on its own thread only
            hint = "A map reads an iterator on a thread of its own. Pass list(…) of it."
        raise InvalidInput(
            f"The rows for {name} can't be read: {type(error).__name__}: {error}", hint=hint
        ) from error
