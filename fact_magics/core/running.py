"""Run tools, or answer from the cache.

Answers in memory are found on any thread; everything else happens on the core's loop.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fact_magics.bridge import Job, Waiting, explain
from fact_magics.core.cache import entry_of, may_keep
from fact_magics.core.in_progress import LeadingRun, RunsInProgress
from fact_magics.core.outputs import (
    cached_output,
    finished_output,
    invalid_output,
)
from fact_magics.core.plan import plan_run
from fact_magics.core.run_log import RunLog
from fact_magics.errors import FactError, InvalidInput, StoreError
from fact_magics.events import Listener, PhaseChanged, Printed, RunEnded
from fact_magics.permissions import granted, refuse_dangerous
from fact_magics.tool import Status, ToolInput, ToolOutput

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping

    from fact_magics.core.cache import AnswerCache
    from fact_magics.core.files import InputFiles
    from fact_magics.core.leases import Lease, Leases
    from fact_magics.core.loaded import LoadedTool
    from fact_magics.core.masking import MaskedSandbox
    from fact_magics.core.outputs import Result
    from fact_magics.core.plan import Plan
    from fact_magics.core.recording import Recorder
    from fact_magics.logs import Log
    from fact_magics.sandbox.outcome import Outcome
    from fact_magics.store import CacheEntry

T = TypeVar("T")

NOT_RECORDED = "Not recorded yet: "
"""How the warning begins about a run whose row waits."""

# How many calls on one event loop may begin before one has ended. A commit that includes the rows of several
# runs must not keep the sandbox waiting, so this is much larger than the number of cores.
_BEGUN = 128
# How long the runs may take to record themselves and end their processes when the session is closed.
_GRACE_SECONDS = 1.0


class Runner:
    """Runs tools.

    `answer` does all steps of a run: plan it, refuse an input that does not fit, look for an answer in the
    cache, execute the tool if there is no answer, and record the run.

    A notebook's cell does these steps in two calls: `begin` on the cell's own thread, then `execute` on the
    core's loop. Changing threads first would take longer than an answer from memory.

    Attributes
    ----------
    loop : asyncio.AbstractEventLoop
        The core's loop.
    process : int
        The process that has the core's threads.
    log : RunLog
        The lines of the log about runs.
    """

    def __init__(
        self,
        answers: AnswerCache,
        recorder: Recorder,
        sandbox: MaskedSandbox,
        files: InputFiles,
        leases: Leases,
        log: Log,
    ) -> None:
        self._answers = answers
        self._recorder = recorder
        self._sandbox = sandbox
        self._files = files
        self._leases = leases
        self.log = RunLog(log)
        self._mask = log.redactor.mask
        self.loop = asyncio.get_running_loop()
        self._in_progress = RunsInProgress()
        self._waiting = Waiting(_BEGUN)
        self._queued = 0  # runs that wait for the sandbox
        self._running: set[asyncio.Task[Any]] = set()
        self._jobs: set[Job[Any]] = set()
        self.is_closed = False
        self.process = os.getpid()

    async def aclose(self) -> None:
        """Stop and record the current runs, and refuse later calls to tools that outlive the core."""
        self.is_closed = True
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=_GRACE_SECONDS)
        for job in list(self._jobs):  # their runs may wait for the database, for longer than the loop exists
            job.abandon()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work in the background, on this loop, until the session is closed."""
        task = self.loop.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def answer(self, tool: LoadedTool, request: ToolInput, emit: Listener) -> ToolOutput:
        """Do all steps of a run and commit its row; see `FactCore.execute_tool` for the errors."""
        if tool.takes_paths:  # reading files would block the loop
            begun = await asyncio.to_thread(self.begin, tool, request)
        else:
            begun = self.begin(tool, request)
        if not isinstance(begun, ToolOutput):
            return await self.execute(begun, emit)
        await self._settle(begun)
        return begun

    def begin(self, tool: LoadedTool, request: ToolInput) -> Plan | ToolOutput:
        """Plan a run, or return its output if the input is refused or the answer is in memory.

        This is fast unless it must read files that the input names. The next commit includes the row of an
        output.
        """
        try:
            planned = self.plan(tool, request)
        except InvalidInput as refused:
            return self.refuse(tool, request.parameters, refused)
        started = time.perf_counter()
        entry = self._answers.recall(planned)
        if entry is None:
            return planned
        return self._cached(planned, entry, started)

    def plan(self, tool: LoadedTool, request: ToolInput) -> Plan:
        """Check a run's permissions, validate its input and compute its key; reads the files in the input.

        Raises
        ------
        InvalidInput
            The input does not fit the signature, or a file can't be passed. Each field has a detail line.
        CellError
            A permission is malformed, dangerous, or grants nothing.
        """
        own: tuple[str, ...] = ()
        files: InputFiles | None = None
        if request.permissions or tool.reaches_out:
            files, protected = self._files, self._files.protected
            own = granted(request.permissions, protected, confirmed=request.yes_really)
            # The user confirmed dangerous permissions when the tool was accepted. This refuses only those
            # that now cover a place that is never granted.
            refuse_dangerous(tool.metadata.permissions, protected, confirmed=True)
        return plan_run(
            tool,
            request.parameters,
            timeout_seconds=request.timeout_seconds,
            memory_mb=request.memory_mb,
            fresh=request.fresh,
            permissions=own,
            files=files,
            ttl_seconds=request.ttl_seconds,
        )

    def refuse(self, tool: LoadedTool, parameters: Mapping[str, Any], refused: InvalidInput) -> ToolOutput:
        """Record a run whose input does not fit, and build its output."""
        output = invalid_output(tool, self.masked(refused))
        self._recorder.add_invalid(tool, parameters, output)
        return output

    def masked(self, refused: InvalidInput) -> InvalidInput:
        """Mask the keys in an error about input, which shows the values that don't fit."""
        details = tuple(map(self._mask, refused.details))
        return InvalidInput(self._mask(refused.message), hint=refused.hint, details=details)

    def _cached(self, planned: Plan, entry: CacheEntry, started: float) -> ToolOutput:
        output = cached_output(planned, entry, started)
        self._recorder.add_cached(planned, entry, output.execution_time_ms)
        return output

    async def execute(self, planned: Plan, emit: Listener, own: LeadingRun | None = None) -> ToolOutput:
        """Get the output of a planned run from an identical run in progress, a cache tier, or the sandbox.

        The run's row is committed when this returns or raises. The answer of `own` is known a little earlier.
        """

        def say_queued() -> None:
            emit(PhaseChanged("queued", "an identical run is in progress"))

        with self.stopped_by_close():
            try:
                found = await self.shared(planned, partial(self.lead, planned, emit), say_queued, own)
            except asyncio.CancelledError as stopped:
                with suppress(StoreError):
                    await self._recorder.flush()
                explain(stopped, self.stopped(planned.tool))
                raise
        if isinstance(found, ToolOutput):
            return found
        return await self.conclude_run(planned, self._cached_late(planned, found, emit), emit)

    @contextmanager
    def stopped_by_close(self) -> Iterator[None]:
        """Let the end of the session cancel the task that is in this context."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in a task here
        self._running.add(task)
        try:
            yield
        finally:
            self._running.discard(task)

    def claim(self, own: LeadingRun) -> bool:
        """Lead a run on the calling thread, unless it or others must wait; then `end` it."""
        return not self._queued and self._in_progress.claim(own) is own

    def end(self, own: LeadingRun, answer: CacheEntry | None) -> None:
        """Give the answer of a run to the runs that wait for it."""
        own.stopped = answer is None
        self._in_progress.end(own, answer)

    async def shared(
        self,
        planned: Plan,
        lead: Callable[[LeadingRun], Awaitable[ToolOutput]],
        on_wait: Callable[[], None] = lambda: None,
        own: LeadingRun | None = None,
    ) -> ToolOutput | CacheEntry:
        """Get the answer of an identical run in progress, or `lead` a run when its turn comes.

        The failure of another run is not shared, because that run may have had less time or memory. If the
        other run was stopped, one of the waiting runs takes its place.
        """
        own, alone = own or LeadingRun(planned.key), planned.fresh
        own.reached_loop = True
        try:
            with self._waiting.here() as turns:
                while True:
                    waits = turns.locked()
                    # Claimed only in its turn, so that the run ends even if its caller's loop is blocked.
                    async with turns:
                        leading = self._in_progress.claim(own)
                        if leading is own or alone:
                            with self._in_progress.lead(own):
                                # An identical run may have ended while this one waited for its turn.
                                entry = None
                                if waits and not own.begun:
                                    entry = self._answers.recall(planned, counts=False)
                                if entry is not None:
                                    self.end(own, entry)
                                    return entry
                                return await lead(own)
                    on_wait()
                    answer = await asyncio.wrap_future(leading.ended)
                    if answer is not None:
                        return answer
                    alone = not leading.stopped
        except asyncio.CancelledError:
            if not own.entered:
                self._recorder.add_ended(planned, Status.INTERRUPTED, "interrupted", 0.0)
                self.end(own, None)
            raise

    async def lead(self, planned: Plan, emit: Listener, run: LeadingRun) -> ToolOutput:
        """Find the answer in a cache tier, or execute the tool; commit the run's row in any case."""
        self.refuse_if_closed(planned.tool)  # the session may have ended while the call was on its way here
        run.entered = True
        with self._leases.ask(planned.key) as lease:
            try:
                with self.stopped_by_close():
                    output, entry = await self._led(planned, emit, run, lease)
            except (asyncio.CancelledError, FactError) as ended:
                status = Status.INTERRUPTED if isinstance(ended, asyncio.CancelledError) else Status.ERROR
                took = 0.0 if run.began is None else (time.perf_counter() - run.began) * 1000
                self._recorder.add_ended(planned, status, str(ended) or "interrupted", took)
                with suppress(StoreError):
                    await self._recorder.flush()
                raise
            # The kernels that wait for the lease then find the answer in the database.
            in_no_hurry = entry is not None and run.in_no_hurry
            return await self.conclude_run(planned, output, emit, in_no_hurry=in_no_hurry)

    async def _led(
        self, planned: Plan, emit: Listener, run: LeadingRun, lease: Lease
    ) -> tuple[ToolOutput, CacheEntry | None]:
        """Find or make the output of a run; and its answer, which identical runs then have."""
        with self._in_progress.lead(run):
            # An identical run may have ended since the call was planned.
            entry = self._answers.recall(planned, counts=False) or await self._answers.get(planned)
            if entry is None and not (lease.is_held or planned.fresh):
                emit(PhaseChanged("queued", "an identical run is in progress in another kernel"))
                entry = await self._answers.awaited(planned, lease)
            if entry is None:
                output, entry = await self._run(planned, emit, run)
            else:
                output = self._cached_late(planned, entry, emit)
            self._in_progress.end(run, entry)
        return output, entry

    async def conclude_run(
        self, planned: Plan, output: ToolOutput, emit: Listener, *, in_no_hurry: bool = False
    ) -> ToolOutput:
        """Commit the row of a run, and say that the run has ended."""
        name = planned.tool.metadata.name
        try:
            await self._settle(output, in_no_hurry=in_no_hurry)
        except asyncio.CancelledError as stopped:
            output.metadata["warning"] = f"{NOT_RECORDED}the wait for the database was ended."
            explain(stopped, f"{name} had ended; its row is recorded later.")
            raise
        finally:
            emit(RunEnded(name, output))
        return output

    def _cached_late(self, planned: Plan, entry: CacheEntry, emit: Listener) -> ToolOutput:
        output = self._cached(planned, entry, time.perf_counter())
        if entry.printed:
            emit(Printed(entry.printed))
        return output

    async def _settle(self, output: ToolOutput, *, in_no_hurry: bool = False) -> None:
        """Commit the waiting rows; if that fails, add a warning to the output.

        While other runs wait for their turn, or if nobody waits for this one, the commit waits for a moment
        too, to include their rows.
        """
        waits = self._queued or in_no_hurry
        try:
            await (self._recorder.flush_soon() if waits else self._recorder.flush())
        except StoreError as error:
            output.metadata["warning"] = f"{NOT_RECORDED}{error.line}"

    async def _run(
        self, planned: Plan, emit: Listener, run: LeadingRun
    ) -> tuple[ToolOutput, CacheEntry | None]:
        """Execute the tool, and return its output with the answer for identical runs, if there is one."""
        outcome = await self._executed(planned, emit, run)
        result = finished_output(planned, outcome, self._files.protected)
        unchanged = True
        if result.wire is not None and planned.key and planned.files:
            unchanged = await asyncio.to_thread(self._files.are_unchanged, planned.files)
        if not unchanged:
            self._recorder.add_run(planned, result)  # after the last await, so that a run has one row
            result.output.metadata["warning"] = "a file changed during the run, so the answer is not cached"
            return result.output, None
        return self._keep(planned, outcome, result)

    def finish(self, planned: Plan, outcome: Outcome) -> tuple[ToolOutput, CacheEntry | None]:
        """Build and record the output of a run that read no files; works on any thread.

        Returns the output, and the answer for identical runs, if there is one.
        """
        return self._keep(planned, outcome, finished_output(planned, outcome, self._files.protected))

    def _keep(self, planned: Plan, outcome: Outcome, result: Result) -> tuple[ToolOutput, CacheEntry | None]:
        self._recorder.add_run(planned, result)
        if result.wire is None:
            return result.output, None
        entry = entry_of(planned, outcome, result.wire)
        if planned.key and may_keep(planned, outcome):
            self._answers.put(planned, entry)
        return result.output, entry

    def conclude(self, planned: Plan, outcome: Outcome) -> ToolOutput:
        """Build and record the output of a run in the notebook's kernel; the answer is not cached."""
        result = finished_output(planned, outcome, self._files.protected)
        if outcome.status is Status.INTERRUPTED:
            result.output.metadata["error"] = "interrupted"
        self._recorder.add_run(planned, result)
        self.log.ended(planned, outcome)
        return result.output

    async def _executed(self, planned: Plan, emit: Listener, run: LeadingRun) -> Outcome:
        """Wait for a turn, and run the tool in the sandbox."""

        def begin() -> None:
            self._queued -= 1
            run.began = time.perf_counter()
            emit(PhaseChanged("running"))

        self._queued += 1
        # Lines of the log are written while the loop would wait, so that the run does not wait for them.
        self.loop.call_soon(self.log.started, planned)
        outcome = None
        try:
            outcome = await self._sandbox.run(
                planned.call, lambda text: emit(Printed(text)), begin, run.begun
            )
        finally:
            if run.began is None:
                self._queued -= 1
            if outcome is None:
                self.loop.call_soon(self.log.stopped, planned)
        self.loop.call_soon(self.log.ended, planned, outcome)
        if outcome.status is not Status.OK and not threading.main_thread().is_alive():
            # The interpreter exits, and isolated processes end with the threads that started them.
            raise asyncio.CancelledError
        return outcome

    @contextmanager
    def job(self, run: Coroutine[Any, Any, T]) -> Iterator[Job[T]]:
        """Start a run for a caller on another thread, who does not wait longer than this core exists."""
        job = Job(self.loop, run)
        self._jobs.add(job)
        try:
            yield job
        finally:
            self._jobs.discard(job)

    def stopped(self, tool: LoadedTool) -> str:
        """Say why a run that was cancelled has ended."""
        if self.is_closed:
            return f"{tool.metadata.name} was stopped, because its session was closed."
        if self._recorder.is_locked:
            return f"{tool.metadata.name} was stopped, and is not recorded yet: the database is locked."
        return f"{tool.metadata.name} was stopped and recorded as interrupted."

    def refuse_if_closed(self, tool: LoadedTool) -> None:
        """Raise `FactError` for a tool that outlived its session."""
        if self.is_closed:
            raise FactError(
                f"{tool.metadata.name} belongs to a session that was closed.",
                hint=import_again(tool),
            )


def import_again(tool: LoadedTool) -> str:
    """Say how to go on with a tool that outlived its session."""
    return f"Import it again: from fact_magics.tools import {tool.metadata.name}"
