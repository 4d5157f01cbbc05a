"""Run tools that are called as functions, on any thread or event loop."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from fact_magics.bridge import Uninterrupted, explain, refuse_fork
from fact_magics.core.echo import Echo
from fact_magics.core.in_progress import LeadingRun
from fact_magics.core.outputs import of_call, read_answer, value_of
from fact_magics.core.plan import plan_run
from fact_magics.core.running import import_again
from fact_magics.errors import FactError, Interrupted, InvalidInput
from fact_magics.text import printable
from fact_magics.tool import Status, ToolInput, ToolOutput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from fact_magics.core.cache import AnswerCache
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.plan import Plan
    from fact_magics.core.quick import QuickRuns
    from fact_magics.core.recording import Recorder
    from fact_magics.core.rows import RowRunner
    from fact_magics.core.running import Runner
    from fact_magics.events import Listener
    from fact_magics.store import CacheEntry


class Caller:
    """Gives callers the values of tools, without waiting if the answer is in memory.

    Parameters
    ----------
    emit : callable
        Called with the events of the runs.
    rows : RowRunner
        Runs the rows of maps.
    quick : QuickRuns
        Runs short calls on the calling thread.
    """

    def __init__(
        self,
        runner: Runner,
        answers: AnswerCache,
        recorder: Recorder,
        emit: Listener,
        rows: RowRunner,
        quick: QuickRuns,
    ) -> None:
        self.rows = rows
        self._runner = runner
        self._answers = answers
        self._recorder = recorder
        self._emit = emit
        self._quick = quick

    def call(self, tool: LoadedTool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a tool and return its value; blocks the calling thread."""
        planned = self._bound(tool, args, kwargs)
        entry = self._answers.recall(planned)
        if entry is not None:
            return self._value_of(planned, entry)
        with suppress(RuntimeError):
            if asyncio.get_running_loop() is self._runner.loop:
                raise FactError(
                    f"{tool.metadata.name} can't be called here without await: "
                    "the call would block the event loop that it needs.",
                    hint=f"Write: await {tool.metadata.name}.acall(…)",
                )
        refuse_fork(self._runner.process)
        own = LeadingRun(planned.key, in_no_hurry=True)
        ended = None
        try:
            with Uninterrupted() as interrupts:
                ended = self._quick.run(planned, own, interrupts)
                if ended is None:
                    return self._wait(planned, own, interrupts)
        except Interrupted:
            raise
        except KeyboardInterrupt:
            if ended is None and not own.ended.done():  # nothing had begun
                raise
            name = tool.metadata.name
            done = f"The cell was stopped after {name} had ended; that run is recorded."
            raise Interrupted(self._runner.stopped(tool) if ended is None else done) from None
        output, entry = ended
        if printed := output.metadata["printed"]:
            sys.stdout.write(printable(printed))
        return (
            value_of(output, tool.metadata.name) if entry is None else read_answer(entry, tool.metadata.name)
        )

    def _wait(self, planned: Plan, own: LeadingRun, interrupts: Uninterrupted) -> Any:
        """Let the loop do a run, or the rest of it, and return the tool's value."""
        tool = planned.tool
        echo = Echo(self._emit)
        with self._runner.job(self._runner.execute(planned, echo.put, own)) as job:

            def release(ended: Future[CacheEntry | None]) -> None:
                # The end of the cell waits for the commit of the row; the caller does not.
                if ended.result() is not None:
                    job.abandon()

            own.ended.add_done_callback(release)
            try:
                job.wait_for_end(echo.pump, interrupts.end)
                if own.ended.done() and (entry := own.ended.result()) is not None:
                    return read_answer(entry, tool.metadata.name)
                return value_of(job.result(), tool.metadata.name)
            except KeyboardInterrupt:
                raise Interrupted(self._runner.stopped(tool)) from None
            except asyncio.CancelledError:
                raise FactError(self._runner.stopped(tool), hint=import_again(tool)) from None
            finally:
                if job.finished and not own.reached_loop:  # it was stopped before its first step
                    took = 0.0 if own.began is None else (time.perf_counter() - own.began) * 1000
                    self._recorder.add_ended(planned, Status.INTERRUPTED, "interrupted", took)
                    self._runner.end(own, None)

    async def acall(self, tool: LoadedTool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a tool and return its value; can be awaited on any event loop of asyncio."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise FactError(
                f"{tool.metadata.name}.acall can only be awaited on an event loop of asyncio.",
                hint=f"Call {tool.metadata.name}(…) in a thread; in trio, use trio.to_thread.run_sync.",
            ) from None
        if tool.takes_paths:  # reading files would block the loop
            planned = await asyncio.to_thread(self._bound, tool, args, kwargs)
        else:
            planned = self._bound(tool, args, kwargs)
        entry = self._answers.recall(planned)
        if entry is not None:
            return self._value_of(planned, entry)
        refuse_fork(self._runner.process)
        echo = Echo(self._emit, loop)
        try:
            found = await self._runner.shared(planned, partial(self._lead_anywhere, planned, echo))
        except asyncio.CancelledError as stopped:
            task = asyncio.current_task()
            if self._runner.is_closed and task is not None and not task.cancelling():
                raise FactError(self._runner.stopped(tool), hint=import_again(tool)) from None
            explain(stopped, self._runner.stopped(tool))
            raise
        finally:
            echo.pump()
        if not isinstance(found, ToolOutput):
            return self._value_of(planned, found)
        return value_of(found, tool.metadata.name)

    async def _lead_anywhere(self, planned: Plan, echo: Echo, run: LeadingRun) -> ToolOutput:
        """Run the tool for this caller and for equal calls that wait; works on any event loop."""
        self._runner.refuse_if_closed(planned.tool)  # the session may have ended since the call
        leading = self._runner.lead(planned, echo.put, run)
        if asyncio.get_running_loop() is self._runner.loop:
            return await leading
        with self._runner.job(leading) as job:
            return await job.outcome()

    def _value_of(self, planned: Plan, entry: CacheEntry) -> Any:
        """Return the value directly, because building a `ToolOutput` would double the time of a call."""
        started = time.perf_counter()
        value = read_answer(entry, planned.tool.metadata.name)
        self._recorder.add_cached(planned, entry, (time.perf_counter() - started) * 1000)
        if entry.printed:
            sys.stdout.write(printable(entry.printed))
        return value

    def _bound(self, tool: LoadedTool, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Plan:
        self._runner.refuse_if_closed(tool)
        parameters: Mapping[str, Any] = kwargs
        try:
            parameters = tool.signature.bind(args, kwargs)
            if tool.reaches_out:
                return self._runner.plan(tool, ToolInput(tool.metadata.name, parameters))
            return plan_run(tool, parameters)
        except InvalidInput as refused:
            self._runner.refuse(tool, parameters, refused)
            raise of_call(self._runner.masked(refused), tool.metadata.name) from None
