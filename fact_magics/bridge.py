"""`LoopThread` runs the event loop of the core in a thread; a `Job` is a coroutine on that loop.

A kernel's own loop is busy while a cell runs, so the core has a loop in a daemon thread. A cell waits for a
job in one of two ways: it blocks its thread, or it awaits the job on the kernel's loop, where clicks and
interrupts still arrive.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from weakref import WeakSet

from fact_magics.errors import FactError
from fact_magics.quiet import begin_work, quieten

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import FrameType

T = TypeVar("T")

STOPPED = (KeyboardInterrupt, asyncio.CancelledError)
"""The exceptions that waiting for a job raises when the user interrupts the cell."""

# A waiting thread or loop wakes up this often to notice an interrupt: ipykernel's SIGINT handler does not
# wake an idle selector, and on some systems an interrupt does not end a wait for a lock.
_HEARTBEAT_SECONDS = 0.1
# Views are updated this often while a cell waits, so that the first text appears at once.
_PUMP_SECONDS = 0.04
# How long a cancelled job may take to record itself and end its processes before the cell ends without it.
_GRACE_SECONDS = 1.5


def explain(stopped: asyncio.CancelledError, line: str) -> None:
    """Let a cancellation say what it stopped, if it says nothing; IPython shows the line alone.

    The exception must stay the same one: `asyncio.timeout` recognises no subclass of `CancelledError`.
    """
    if not stopped.args:
        stopped.args = (line,)
        stopped._render_traceback_ = lambda: [f"Interrupted: {line}"]  # type: ignore[attr-defined]


def refuse_fork(process: int) -> None:
    """Raise `FactError` if this process was forked from `process`, because threads don't survive a fork."""
    if os.getpid() != process:
        raise FactError(
            "A tool was called in a forked process, where the threads that run tools are missing.",
            hint="Use threads (each run has a process of its own anyway), or processes that are spawned: "
            'multiprocessing.get_context("spawn").',
        )


class Uninterrupted:
    """Let an interrupt wait until steps that belong together are done; they may take a few milliseconds."""

    def __init__(self) -> None:
        self._handler: Callable[[int, FrameType | None], object] | None = None
        self._caught: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # the only one that is interrupted
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):
                self._handler = handler
                signal.signal(signal.SIGINT, self._catch)
        return self

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self._caught = number, frame

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Let the interrupt have its effect, and later ones too."""
        handler, self._handler = self._handler, None
        if handler is not None:
            signal.signal(signal.SIGINT, handler)
            caught, self._caught = self._caught, None
            if caught is not None:
                handler(*caught)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let interrupts have their effect in this context."""
        self.end()
        try:
            yield
        finally:
            self.__enter__()


class Job(Generic[T]):
    """A coroutine that starts at once on a loop in another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._task: asyncio.Task[T] | None = None
        self._cancel_wanted = False
        self._ended: Future[None] = Future()
        self._ended.set_running_or_notify_cancel()  # a waiting caller can't cancel it
        loop.call_soon_threadsafe(self._start, coroutine)

    def _start(self, coroutine: Coroutine[Any, Any, T]) -> None:
        begin_work()  # in a copy of the caller's context, which the task inherits
        self._task = self._loop.create_task(coroutine)
        self._task.add_done_callback(self._end)
        if self._cancel_wanted:
            self._task.cancel()

    def _end(self, task: asyncio.Task[T]) -> None:
        # If nobody waits for this job and retrieves its error, asyncio prints a warning in a later cell.
        if not task.cancelled():
            task.exception()
        self.abandon()

    @property
    def finished(self) -> bool:
        """Whether the coroutine returned, raised or was cancelled."""
        return self._ended.done()

    def abandon(self) -> None:
        """Let callers wait no longer: if the coroutine has not ended, they get `CancelledError`."""
        if not self._ended.done():
            self._ended.set_result(None)

    def cancel(self) -> None:
        """Ask the coroutine to stop. It may still record what it did."""

        def cancel() -> None:
            self._cancel_wanted = True
            if self._task is not None:
                self._task.cancel()

        with suppress(RuntimeError):  # the loop is closed, so there is nothing to cancel
            self._loop.call_soon_threadsafe(cancel)

    def join(self, timeout_seconds: float) -> bool:
        """Block this thread until the job ends or the time is up; return whether it ended."""
        with suppress(TimeoutError):
            self._ended.result(timeout_seconds)
        return self.finished

    def result(self) -> T:
        """Return the result of a finished job, or raise its error."""
        if self._task is None or not self.finished:
            raise asyncio.InvalidStateError("The job is not finished.")
        if not self._task.done():
            raise asyncio.CancelledError
        return self._task.result()

    def wait(self, pump: Callable[[], None]) -> T:
        """Wait as `wait_for_end` does, and return the job's result."""
        self.wait_for_end(pump)
        return self.result()

    def wait_for_end(self, pump: Callable[[], None], begin: Callable[[], None] = lambda: None) -> None:
        """Block this thread until the job ends or is abandoned; call `pump` 25 times a second and at the end.

        An error of `begin`, which is called first, stops the job as an interrupt does.

        Raises
        ------
        KeyboardInterrupt
            The user interrupted. The job was cancelled and had time to record the interruption.
        """
        try:
            begin()
            while not self.join(_PUMP_SECONDS):
                pump()
        except BaseException:
            self.cancel()
            self.join(_GRACE_SECONDS)
            raise
        finally:
            pump()

    async def wait_awaited(self, pump: Callable[[], None]) -> T:
        """Do the same as `wait`, but await the job on the loop that is running.

        Raises
        ------
        asyncio.CancelledError
            The cell was cancelled; a kernel does this on an interrupt. The job was cancelled and had time to
            record the interruption.
        """
        ended = [asyncio.wrap_future(self._ended)]
        try:
            while not self.finished:
                await asyncio.wait(ended, timeout=_PUMP_SECONDS)
                pump()
        except BaseException:
            self.cancel()
            await asyncio.wait(ended, timeout=_GRACE_SECONDS)
            raise
        finally:
            pump()
        return self.result()

    async def outcome(self) -> T:
        """Await the job on the loop that is running, which something else must wake: see `Waiting`.

        Raises
        ------
        asyncio.CancelledError
            The caller was cancelled. The job was cancelled and had time to record that.
        """
        ended = asyncio.wrap_future(self._ended)
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            self.cancel()
            await asyncio.wait((ended,), timeout=_GRACE_SECONDS)
            raise
        return self.result()


class Waiting:
    """The event loops on which calls wait for jobs. All calls of a loop share one heartbeat and one queue.

    Parameters
    ----------
    begun : int
        How many calls of one loop may begin before one of them has ended. The others wait in the loop's
        queue, where they cost next to nothing.
    """

    def __init__(self, begun: int) -> None:
        self._begun = begun
        self._loops: dict[asyncio.AbstractEventLoop, _WaitingLoop] = {}

    @contextmanager
    def here(self) -> Iterator[asyncio.Semaphore]:
        """Wake the running loop regularly while a call waits on it; gives the queue of that loop."""
        loop = asyncio.get_running_loop()
        waiting = self._loops.get(loop)
        if waiting is None:
            waiting = self._loops[loop] = _WaitingLoop(loop, self._begun)
        waiting.calls += 1
        try:
            yield waiting.turns
        finally:
            waiting.calls -= 1
            if not waiting.calls:  # an entry that stayed would keep a closed loop alive
                waiting.stop()
                del self._loops[loop]


class _WaitingLoop:
    def __init__(self, loop: asyncio.AbstractEventLoop, begun: int) -> None:
        self.calls = 0
        self.turns = asyncio.Semaphore(begun)
        self._loop = loop
        self._beat()

    def _beat(self) -> None:
        self._timer = self._loop.call_later(_HEARTBEAT_SECONDS, self._beat)

    def stop(self) -> None:
        self._timer.cancel()


class LoopThread:
    """A daemon thread that runs one event loop, started on its first use."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._jobs: WeakSet[Job[Any]] = WeakSet()
        self._process = os.getpid()
        self._lock = threading.Lock()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        with self._lock:
            if self._loop is None:
                quieten("asyncio")
                self._loop = copy_context().run(_new_loop)
                run = partial(_run, self._loop)
                self._thread = threading.Thread(target=run, name="fact_magics", daemon=True)
                self._thread.start()
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Job[T]:
        """Start a coroutine on the loop."""
        try:
            refuse_fork(self._process)
        except FactError:
            coroutine.close()
            raise
        job = Job(self.loop, coroutine)
        with self._lock:
            self._jobs.add(job)
        return job

    def close(self, last: Coroutine[Any, Any, None] | None = None, *, timeout_seconds: float = 2.0) -> None:
        """Cancel the jobs, run `last`, stop the loop and end the thread.

        After a bounded time this returns, and what is left of it goes on in the thread.
        """
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            unfinished = [job for job in self._jobs if not job.finished]
        if loop is None or thread is None:
            if last is not None:
                last.close()
            return
        for job in unfinished:
            job.cancel()
        for job in unfinished:
            job.join(_GRACE_SECONDS)
        future = asyncio.run_coroutine_threadsafe(_wind_down(last), loop)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
        with suppress(TimeoutError):
            future.result(timeout_seconds)
            thread.join(timeout_seconds)


def _new_loop() -> asyncio.AbstractEventLoop:
    begin_work()
    return asyncio.new_event_loop()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


async def _wind_down(last: Coroutine[Any, Any, None] | None) -> None:
    # This has no `finally`, because it may be collected unfinished while another loop runs on that thread.
    ending = asyncio.ensure_future(last) if last is not None else None
    if ending is not None:
        await asyncio.wait((ending,))
    here = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not here]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    if ending is not None and not ending.cancelled():
        ending.result()
