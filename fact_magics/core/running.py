"""Runs: answered from memory on the calling thread, else on the core's loop, at last by the sandbox."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from fact_magics.bridge import Job, refuse_fork
from fact_magics.core.outputs import cached_output, error_of, finished_output, invalid_output, read_answer
from fact_magics.core.plan import plan
from fact_magics.errors import FactError, Interrupted, InvalidInput, StoreError
from fact_magics.events import Listener, PhaseChanged, Printed, RunEnded
from fact_magics.permissions import granted, refuse_dangerous
from fact_magics.store import CacheEntry
from fact_magics.text import printable
from fact_magics.tool import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fact_magics.core.files import InputFiles
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.plan import Plan
    from fact_magics.core.recording import History
    from fact_magics.events import Event
    from fact_magics.logs import Log
    from fact_magics.sandbox import Sandbox
    from fact_magics.sandbox.outcome import Outcome
    from fact_magics.store import MemoryCache, Store
    from fact_magics.tool import ToolOutput


class Runner:
    """Makes runs.

    Parameters
    ----------
    store, memory, history, sandbox, files, log
        Those of the core that owns this.
    loop : asyncio.AbstractEventLoop
        The core's.
    emit : callable
        Gets the events of tools that are called as functions.
    """

    def __init__(
        self,
        store: Store,
        memory: MemoryCache,
        history: History,
        sandbox: Sandbox,
        files: InputFiles,
        log: Log,
        loop: asyncio.AbstractEventLoop,
        emit: Listener,
    ) -> None:
        self._store = store
        self._memory = memory
        self._history = history
        self._sandbox = sandbox
        self._files = files
        self._log = log
        self._loop = loop
        self._emit = emit
        self._in_flight: dict[str, asyncio.Future[Outcome | None]] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._process = os.getpid()

    async def aclose(self) -> None:
        """Stop and record what runs, and refuse what is called from now on: handles outlive their core."""
        self._closed = True
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def plan(
        self,
        tool: LoadedTool,
        parameters: Mapping[str, Any],
        *,
        permissions: Iterable[str] = (),
        yes_really: bool = False,
        **options: Any,
    ) -> Plan:
        """Validate a run's input, see what it is granted, and compute its key; files that it names are read.

        Parameters
        ----------
        permissions : iterable of str
            What this run alone is granted, as it was written.
        yes_really : bool
            Whether dangerous ones among them were confirmed.
        **options
            Those of `plan`: ``timeout_seconds``, ``memory_mb``, ``fresh``.

        Raises
        ------
        InvalidInput
            The input does not fit the signature, or a file can't be passed; one detail line a field.
        CellError
            A permission is malformed, dangerous, or grants nothing.
        """
        protected = self._files.protected
        own = granted(permissions, protected, confirmed=yes_really) if permissions else ()
        if tool.metadata.permissions:
            # Confirmed when it was accepted; but what is never granted may have moved to such a place since.
            refuse_dangerous(tool.metadata.permissions, protected, confirmed=True)
        return plan(tool, parameters, permissions=own, files=self._files, **options)

    def refuse(self, tool: LoadedTool, parameters: Mapping[str, Any], refused: InvalidInput) -> ToolOutput:
        """Remember a run whose input does not fit, and build its output."""
        output = invalid_output(tool, refused)
        self._history.add_invalid(tool, parameters, output)
        return output

    def recall(self, planned: Plan) -> ToolOutput | None:
        """Answer a run from memory, on the calling thread; its row waits for the next flush."""
        started = time.perf_counter()
        entry = self._in_memory(planned)
        if entry is None:
            return None
        output = cached_output(planned, entry, started)
        self._history.add_cached(planned, entry, output.execution_time_ms)
        return output

    def _in_memory(self, planned: Plan) -> CacheEntry | None:
        if not planned.key or planned.fresh:
            return None
        entry = self._memory.get(planned.key)
        return entry if entry is not None and planned.tool.answers(entry) else None

    async def execute(self, planned: Plan, emit: Listener) -> ToolOutput:
        """Make a run: from the database, from an identical run in flight, or in the sandbox."""
        started = time.perf_counter()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs on a loop is in one
        self._running.add(task)
        try:
            output = await self._from_database(planned, started)
            if output is None:
                output = await self._run(planned, emit, started)
            elif output.metadata["printed"]:
                emit(Printed(output.metadata["printed"]))
        except (asyncio.CancelledError, FactError) as ended:
            status = Status.INTERRUPTED if isinstance(ended, asyncio.CancelledError) else Status.ERROR
            took = (time.perf_counter() - started) * 1000
            self._history.add_ended(planned, status, str(ended) or "interrupted", took)
            with suppress(StoreError):
                await asyncio.shield(self._history.flush())
            raise
        finally:
            self._running.discard(task)
        await self.settle(output)
        emit(RunEnded(planned.tool.metadata.name, output))
        return output

    async def settle(self, output: ToolOutput) -> None:
        """Commit what waits; an answer is not lost because its row is."""
        try:
            await asyncio.shield(self._history.flush())
        except StoreError as unkept:
            output.metadata["warning"] = f"Not recorded yet: {unkept.line}"

    async def _from_database(self, planned: Plan, started: float) -> ToolOutput | None:
        if not planned.key or planned.fresh:
            return None
        entry = await self._store.cache.get(planned.key)
        if entry is None or not planned.tool.answers(entry):
            return None
        self._memory.put(entry)
        output = cached_output(planned, entry, started)
        self._history.add_cached(planned, entry, output.execution_time_ms)
        return output

    async def _run(self, planned: Plan, emit: Listener, started: float) -> ToolOutput:
        joined = await self._join(planned, emit)
        outcome = joined or await self._lead(planned, emit)
        result = finished_output(planned, outcome, started, self._files.protected)
        entry = None
        # One run confirms an answer once, however many waited for it.
        keeps = bool(planned.key) and joined is None and planned.tool.keeps(outcome)
        if keeps and planned.files and not await asyncio.to_thread(self._files.are_unchanged, planned.files):
            keeps = False
            result.output.metadata["warning"] = "a file changed during the run, so its answer is not kept"
        if keeps and result.wire is not None:
            entry = CacheEntry(
                key=planned.key,
                tool_id=planned.tool.metadata.id,
                result=result.wire,
                printed=outcome.printed,
                duration_ms=outcome.duration_ms,
            )
            if planned.tool.answers(entry):
                self._memory.put(entry)
            else:
                self._memory.discard(planned.key)
        self._history.add_run(planned, result, entry)
        return result.output

    async def _join(self, planned: Plan, emit: Listener) -> Outcome | None:
        """Wait for an identical run in flight; None where there is none, or it ended in no answer.

        Its failure is its own: it may have had less time or memory.
        """
        if not planned.key or planned.fresh:
            return None
        while (leader := self._in_flight.get(planned.key)) is not None:
            emit(PhaseChanged("queued", "an identical run is in flight"))
            outcome = await asyncio.shield(leader)
            if outcome is not None:
                if outcome.status is not Status.OK:
                    return None
                if outcome.printed:
                    emit(Printed(outcome.printed))
                return outcome
        return None

    async def _lead(self, planned: Plan, emit: Listener) -> Outcome:
        """Run in the sandbox; identical runs that come meanwhile get the same outcome."""
        done: asyncio.Future[Outcome | None] = self._loop.create_future()
        leads = bool(planned.key) and planned.key not in self._in_flight
        if leads:
            self._in_flight[planned.key] = done
        metadata = planned.tool.metadata
        log = self._log.bind(operation="run", tool=metadata.name, tool_id=metadata.id)
        log.info("run started", input_bytes=len(planned.arguments))
        outcome = None
        try:
            outcome = await self._sandbox.run(
                planned.call,
                on_printed=lambda text: emit(Printed(text)),
                on_turn=lambda: emit(PhaseChanged("running")),
            )
        finally:
            if leads:
                del self._in_flight[planned.key]
            done.set_result(outcome)
            if outcome is None:
                log.warning("run ended", status="not run to its end")
        log.info(
            "run ended",
            status=outcome.status.value,
            output_bytes=len(outcome.result or b""),
            duration_ms=round(outcome.duration_ms, 2),
        )
        return outcome

    # A tool as a function: the same run, from any thread or event loop.

    def call(self, tool: LoadedTool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a tool for its value, blocking a thread that is not the core's."""
        planned = self._planned(tool, args, kwargs)
        entry = self._in_memory(planned)
        if entry is not None:
            return self._answer(planned, entry)
        with suppress(RuntimeError):
            if asyncio.get_running_loop() is self._loop:
                raise FactError(
                    f"{tool.metadata.name} can't be called here without await: it would block its own loop.",
                    hint=f"Write: await {tool.metadata.name}.acall(…)",
                )
        refuse_fork(self._process)
        echo = _Echo(self._emit)
        job = Job(self._loop, self.execute(planned, echo.put))
        try:
            return _value(job.wait(echo.pump))
        except KeyboardInterrupt:
            raise Interrupted(f"{tool.metadata.name} was stopped and recorded as interrupted.") from None

    async def acall(self, tool: LoadedTool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a tool for its value, awaited on any event loop."""
        if tool.takes_paths:
            # Reading them would keep the loop from everything else.
            planned = await asyncio.to_thread(self._planned, tool, args, kwargs)
        else:
            planned = self._planned(tool, args, kwargs)
        entry = self._in_memory(planned)
        if entry is not None:
            return self._answer(planned, entry)
        refuse_fork(self._process)
        echo = _Echo(self._emit)
        if asyncio.get_running_loop() is self._loop:
            output = await self.execute(planned, echo.put)
            echo.pump()
            return _value(output)
        return _value(await Job(self._loop, self.execute(planned, echo.put)).wait_awaited(echo.pump))

    def _answer(self, planned: Plan, entry: CacheEntry) -> Any:
        """Give the value alone: for a call in a loop, a `ToolOutput` would cost as much as all the rest."""
        started = time.perf_counter()
        value = read_answer(entry)
        self._history.add_cached(planned, entry, (time.perf_counter() - started) * 1000)
        if entry.printed:
            sys.stdout.write(printable(entry.printed))
        return value

    def _planned(self, tool: LoadedTool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan:
        if self._closed:
            raise FactError(
                f"This {tool.metadata.name} belongs to a workshop that was closed.",
                hint=f"Bind it anew: from fact_magics.tools import {tool.metadata.name}",
            )
        parameters: Mapping[str, Any] = kwargs
        try:
            parameters = tool.signature.bind(args, kwargs)
            return self.plan(tool, parameters) if tool.reaches_out else plan(tool, parameters)
        except InvalidInput as refused:
            self.refuse(tool, parameters, refused)
            raise


class _Echo:
    """Carries what a tool prints to the thread that called it, where it belongs to the right cell."""

    def __init__(self, emit: Listener) -> None:
        self._emit = emit
        self._printed: SimpleQueue[str] = SimpleQueue()

    def put(self, event: Event) -> None:
        self._emit(event)
        if isinstance(event, Printed):
            self._printed.put(event.text)

    def pump(self) -> None:
        with suppress(Empty):
            while True:
                sys.stdout.write(printable(self._printed.get_nowait()))


def _value(output: ToolOutput) -> Any:
    if output.success:
        return output.result
    raise error_of(output)
