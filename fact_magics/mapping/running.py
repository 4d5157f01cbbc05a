"""`RowMap` runs the rows of one map: in isolated processes, unless the cache has their answers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from fact_magics.core.rows import kept_key
from fact_magics.errors import FactError, InvalidInput, ToolFailed
from fact_magics.events import Listener, MapAdvanced
from fact_magics.mapping.batching import BatchSize, Row, Sample, chunk_of, end_of
from fact_magics.mapping.executor import LocalPool
from fact_magics.mapping.result import KINDS, MapResult
from fact_magics.sandbox.batch import outcome_of
from fact_magics.store import MapRow
from fact_magics.text import plural, utc_now
from fact_magics.tool import Status, ToolInput
from fact_magics.values import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.rows import Answered, RowRunner
    from fact_magics.mapping.executor import Executor
    from fact_magics.mapping.table import Table
    from fact_magics.sandbox.batch import RowAnswer

_PART = 500  # rows that are planned and looked up together
_SLICE = 50  # rows that are planned before the loop may do other work
_MOST_WAITING = 8_000  # planned rows that wait for a process
_MOST_UNSAVED = 4_000
_SAVE_SECONDS = 0.3
_TELL_SECONDS = 0.1
_SKIPPED = object()


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How the rows of a map run; the limits are those of each row, as in `ToolInput`.

    Attributes
    ----------
    isolate : str
        ``row`` gives each row a process of its own; ``auto`` shares them where the tool allows it.
    stop_on_error : bool
        End at the first row that fails.
    """

    isolate: str = "auto"
    stop_on_error: bool = False
    timeout_seconds: float = 30.0
    memory_mb: int = 1024
    permissions: tuple[str, ...] = ()
    yes_really: bool = False
    fresh: bool = False
    ttl_seconds: float | None = None


class RowMap:
    """Runs one map with `run`; `result` returns the values so far, at any time."""

    def __init__(
        self,
        rows: RowRunner,
        tool: LoadedTool,
        table: Table,
        options: MapOptions,
        executor: Executor | None = None,
    ) -> None:
        self._rows = rows
        self._executor = executor or LocalPool(rows)
        self._tool = tool
        self._table = table
        self._options = options
        self._listeners: list[Listener] = []
        self._values: list[Any] = [_SKIPPED] * (table.total or 0)
        self._errors: dict[int, str] = {}
        self._counts: Counter[str] = Counter()
        self._queue: deque[Row] = deque()
        self._twins: dict[str, list[Row]] = {}  # rows that wait for the answer of an equal one
        self._held = 0  # planned rows without an answer
        self._changed = asyncio.Condition()
        self._is_read = False
        self._unread: FactError | None = None  # why reading the rows ended early
        self._failed: tuple[int, str] | None = None
        self._stop = asyncio.Event()
        self._notes: list[str] = []
        self._alone = options.isolate == "row"
        self._size = BatchSize()
        self._layers: tuple[str, ...] = ()  # of the last row that ran alone; the sample does
        self._began = time.perf_counter()
        self._told = 0.0
        self.row = MapRow(
            session_id=rows.session_id,
            tool_id=tool.metadata.id,
            tool_name=tool.metadata.name,
            tool_version=tool.metadata.version,
            content_key=_content_key(tool, table, options),
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
        values = [None if value is _SKIPPED else value for value in self._values]
        counts = {kind: self._counts[kind] for kind in KINDS}
        counts["skipped"] = len(values) - sum(counts.values())
        return MapResult(
            self._tool.stored.reference,
            values,
            dict(sorted(self._errors.items())),
            counts,
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
        await self._executor.start()
        await self._rows.maps.put(self.row)
        self._began = time.perf_counter()
        status, error = Status.INTERRUPTED, "interrupted"
        tasks = [asyncio.create_task(work) for work in (self._save_often(), self._read(), self._work_all())]
        try:
            await _first_error(tasks[1:], self._stop)
            if self._unread is not None:
                raise self._unread
            if self._failed is None:
                status, error = Status.OK, ""
            else:
                status, error = Status.ERROR, self._stopped_line(*self._failed)
        except FactError as raised:
            status, error = Status.ERROR, raised.line
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._executor.aclose()
            await self._end(status, error)
        if self._failed is not None:
            raise ToolFailed(error)
        return self.result()

    @property
    def _keeps_answers(self) -> bool:
        """Whether the cache keeps the answers, so that they need not be kept for this map alone."""
        metadata = self._tool.metadata
        if self._options.ttl_seconds is not None:
            return True
        return metadata.proven and self._tool.cacheable and not self._options.permissions

    def _stopped_line(self, position: int, error: str) -> str:
        rest = self.result().counts["skipped"]
        told = f" {plural(rest, 'row')} {'was' if rest == 1 else 'were'} not run." if rest else ""
        return f"Row {position} failed: {error.rstrip('.')}.{told}"

    async def _end(self, status: Status, error: str) -> None:
        counts = self.result().counts
        if warning := await self._rows.save():
            self._note(f"Some rows are not recorded yet: {warning}")
        ended = replace(
            self.row.counted(counts),
            total=len(self._values) if self._is_read and self._unread is None else self.row.total,
            status=status,
            error=error or None,
            duration_ms=(time.perf_counter() - self._began) * 1000,
            ended_at=utc_now(),
        )
        with suppress(FactError):
            await self._rows.maps.put(ended)
            if not self._keeps_answers and status is Status.OK and not counts["failed"]:
                await self._rows.maps.forget_answers(ended)
        self.row = ended
        self._tell()

    def _note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.append(text)

    # Reading: plan the rows, and answer those that are known

    async def _read(self) -> None:
        try:
            await self._read_parts()
        except FactError as error:  # raised when the rows before it are answered
            self._unread = error
        async with self._changed:
            self._is_read = True
            self._changed.notify_all()

    async def _read_parts(self) -> None:
        position = 0
        async for part in self._parts():
            self._values += [_SKIPPED] * (position + len(part) - len(self._values))
            waiting = await self._planned(position, part)
            await self._answer_known(waiting)
            position += len(part)
            self._tell()
            async with self._changed:
                self._changed.notify_all()
                await self._changed.wait_for(lambda: self._held < _MOST_WAITING)
            if self._rows.waiting > _MOST_UNSAVED:
                await self._rows.save()

    async def _parts(self) -> Any:
        """Yield parts of the rows; a user's iterator runs on a thread, not on the core's loop."""
        parts: Iterator[list[dict[str, Any]]] = self._table.parts(_PART)
        if not self._table.is_lazy:
            for part in parts:
                yield part
            return
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="fact-rows") as thread:
            while part := await loop.run_in_executor(thread, _next, parts, self.name):
                yield part

    async def _planned(self, start: int, part: list[dict[str, Any]]) -> list[Row]:
        options, tool = self._options, self._tool
        fields = {
            "timeout_seconds": options.timeout_seconds,
            "memory_mb": options.memory_mb,
            "permissions": options.permissions,
            "yes_really": options.yes_really,
            "fresh": options.fresh,
            "ttl_seconds": options.ttl_seconds,
        }
        reference, keeps = tool.stored.reference, self._keeps_answers
        waiting = []
        for position, parameters in enumerate(part, start):
            if position % _SLICE == 0:
                await asyncio.sleep(0)
            request = ToolInput.known(reference, parameters, **fields)
            try:
                if tool.takes_paths:
                    planned = await asyncio.to_thread(self._rows.plan, tool, request, self.row.id)
                else:
                    planned = self._rows.plan(tool, request, self.row.id)
            except InvalidInput as refused:
                self._fail(position, self._rows.refuse(tool, parameters, refused, self.row.id))
                continue
            keep_as = "" if keeps else kept_key(self.row, position, planned)
            waiting.append(Row(position, planned, keep_as))
        return waiting

    async def _answer_known(self, waiting: list[Row]) -> None:
        plans = [row.planned for row in waiting]
        checkpoint = None if self._keeps_answers else lambda place: waiting[place].keep_as
        known = await self._rows.known(plans, checkpoint)
        for place, row in enumerate(waiting):
            entry = known.get(place)
            if entry is not None:
                self._values[row.position] = self._rows.recall(row.planned, entry)
                self._counts["cached"] += 1
                continue
            self._held += 1
            key = row.planned.key if self._keeps_answers and not self._options.fresh else ""
            if key and key in self._twins:
                self._twins[key].append(row)
                continue
            if key:
                self._twins[key] = []
            self._queue.append(row)

    # Working: run the rows that are not known

    async def _work_all(self) -> None:
        why = "the map has permissions" if self._options.permissions else self._tool.alone_because
        if why:
            self._be_alone(why)
        if not self._alone:
            await self._try_sample()
        workers = [asyncio.create_task(self._work()) for _ in range(self._executor.slots)]
        try:
            await _first_error(workers, self._stop)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def _be_alone(self, why: str) -> None:
        """Give each row a process of its own from now on."""
        if not self._alone:
            self._alone = True
            self._note(f"Each row had a process of its own: {why}.")

    async def _try_sample(self) -> None:
        """Run some rows alone, then in one process; if their answers differ, no rows share a process."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_read or len(self._queue) >= Sample.WORTH)
        if len(self._queue) < Sample.WORTH:
            self._alone = True
            return
        rows = [self._queue.popleft() for _ in range(Sample.ROWS)]
        size = self._executor.rows_alone
        parts = [rows[start : start + size] for start in range(0, len(rows), size)]
        answers = await asyncio.gather(*(self._run_alone(part) for part in parts))
        sample = Sample([row.planned for row in rows], [answer for part in answers for answer in part])
        if sample.is_slow:  # starting a process takes a small part of the time of a row
            self._alone = True
        elif why := await sample.differs(self._rows, self._executor):
            self._be_alone(why)

    async def _work(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._queue or (self._is_read and not self._held))
                if not self._queue:
                    return
                most = self._executor.rows_alone if self._alone else None
                rows = self._size.take(self._queue, self._executor.slots, most)
            if most is not None or len(rows) == 1:
                await self._run_alone(rows)
            else:
                await self._run_together(rows)
            async with self._changed:
                self._changed.notify_all()

    async def _run_alone(self, rows: list[Row]) -> list[Answered]:
        """Run each row in a process of its own, and keep the answers."""
        began = time.perf_counter()
        try:
            outcomes = await self._executor.alone([row.planned.call for row in rows])
        except asyncio.CancelledError:
            took_ms = (time.perf_counter() - began) * 1000
            for row in rows:
                self._rows.interrupted(row.planned, took_ms)
            raise
        answers = []
        self._layers = outcomes[-1].isolation
        for row, outcome in zip(rows, outcomes, strict=True):
            unchanged = await self._rows.are_unchanged(row.planned)
            answers.append(self._rows.keep(row.planned, outcome, row.keep_as, unchanged=unchanged))
            self._take(row, answers[-1])
        return answers

    async def _run_together(self, rows: list[Row], *, eager: bool = False) -> None:
        chunk = chunk_of(
            [row.planned for row in rows],
            stall_seconds=min(self._options.timeout_seconds, self._size.stall_seconds),
            eager=eager,
        )
        answered, busy_ms, alone = 0, 0.0, []

        def take(answers: Sequence[RowAnswer]) -> None:
            nonlocal answered, busy_ms
            for answer in answers:
                row = rows[answered]
                answered += 1
                busy_ms += answer.duration_ms
                outcome = outcome_of(answer, self._layers)
                if outcome is None:
                    alone.append(row)
                else:
                    self._take(row, self._rows.keep(row.planned, outcome, row.keep_as))

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
        self._queue.extendleft(reversed(rest))

    # Ends of rows

    def _take(self, row: Row, answered: Answered) -> None:
        self._held -= 1
        twins = self._twins.pop(row.planned.key, []) if row.planned.key else []
        if answered.error:
            self._fail(row.position, answered.error)
            # Another run on an equal input may succeed, because failures are not cached.
            self._queue.extendleft(reversed(twins))
        else:
            self._values[row.position] = answered.value
            self._counts["ok"] += 1
            for twin in twins:
                self._held -= 1
                self._values[twin.position] = self._rows.twin(twin.planned, answered)
                self._counts["cached"] += 1
        self._tell()

    def _fail(self, position: int, error: str) -> None:
        self._errors[position] = error
        self._counts["failed"] += 1
        self._values[position] = None
        if self._options.stop_on_error and self._failed is None:
            self._failed = position, error
            self._stop.set()

    def _tell(self) -> None:
        now = time.perf_counter()
        if now - self._told >= _TELL_SECONDS or self.row.ended_at is not None:
            self._told = now
            told = MapAdvanced(self.name, self._table.total, dict(self._counts), now - self._began)
            for listener in self._listeners:
                listener(told)

    async def _save_often(self) -> None:
        while True:
            await asyncio.sleep(_SAVE_SECONDS)
            if warning := await self._rows.save():
                self._note(f"Some rows are not recorded yet: {warning}")
            counts = {kind: self._counts[kind] for kind in KINDS}
            with suppress(FactError):
                await self._rows.maps.put(self.row.counted(counts))


async def _first_error(tasks: list[asyncio.Task[None]], stop: asyncio.Event) -> None:
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


def _next(parts: Iterator[list[dict[str, Any]]], name: str) -> list[dict[str, Any]]:
    try:
        return next(parts, [])
    except FactError:
        raise
    except Exception as error:
        raise InvalidInput(
            f"The rows for {name} can't be read: {type(error).__name__}: {error}",
            hint="The rows before it have answers. Correct the source of the rows, and run the map again.",
        ) from error


def _content_key(tool: LoadedTool, table: Table, options: MapOptions) -> str:
    """Return a key of the map's content; a later map with the same key goes on where this one stopped."""
    digest = blake2b(digest_size=20)
    try:
        same = encode(dict(table.fixed))
    except Exception:  # noqa: BLE001 - a value without canonical form fails in each row, with its reason
        same = b"?"
    parts = (tool.stored.content_hash, *sorted(table.columns), str(table.total), *options.permissions)
    for part in (*parts, repr(options.ttl_seconds)):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(same)
    return digest.hexdigest()
