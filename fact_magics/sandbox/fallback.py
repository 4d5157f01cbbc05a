"""Run calls in fresh processes with limits, on systems that can't enforce files and network.

This works wherever Python can start a process: it needs three pipes, and threads that read them.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fact_magics.errors import IsolationError
from fact_magics.packages import module_path
from fact_magics.sandbox import boot, frames, scratch
from fact_magics.sandbox.batch import watch_for
from fact_magics.sandbox.child.family import kill_descendants
from fact_magics.sandbox.inspection import Inspection
from fact_magics.sandbox.lost import closed, shortage_hint
from fact_magics.sandbox.policy import Grants, zygote_environment
from fact_magics.sandbox.threads import outlast, run_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call, Surroundings

_THREADS_A_CALL = 5
_MOST_CALLS = 64
_END_SECONDS = 0.7
_LOOK_MILLISECONDS = 100
_READ_SIZE = 1 << 16
_LOST = "lost"


class ProcessRunner:
    """Run each call in a new interpreter."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(_THREADS_A_CALL * _MOST_CALLS, thread_name_prefix="fact-process")
        self._calls: set[_Calling] = set()
        self._closed = False
        self.layers: tuple[str, ...] = ("process", "rlimits") if os.name == "posix" else ("process",)

    async def start(self) -> None:
        """Do nothing: each call starts its own process."""

    def inspect(self) -> Inspection:
        """Report that there are no zygotes."""
        return Inspection()

    async def aclose(self) -> None:
        """End the calls that run, and the threads."""
        self._closed = True
        calls = list(self._calls)
        for calling in calls:
            calling.lose()
        await asyncio.gather(*(calling.over.wait() for calling in calls))
        self._threads.shutdown(wait=False)

    def begin(self, call: Call) -> None:
        """Return None, because no process is prepared."""

    async def settle(self) -> None:
        """Return at once, because threads begin no calls here."""

    async def run(self, call: Call, on_printed: Callable[[str], None] | None) -> frames.Ending:
        """Run one call to its end."""
        if self._closed:
            raise closed()
        grants = Grants.parse(call.permissions)
        calling = _Calling(self._limits, call, self._threads, on_printed)
        self._calls.add(calling)
        try:
            async with self._process(grants, call.surroundings) as (process, directory):
                return await calling.follow(process, directory, grants)
        finally:
            self._calls.discard(calling)
            calling.over.set()

    @asynccontextmanager
    async def _process(
        self, grants: Grants, surroundings: Surroundings
    ) -> AsyncIterator[tuple[subprocess.Popen[bytes], Path]]:
        """Start a process, and end it whatever happens, even while this task is being cancelled."""
        starting = asyncio.ensure_future(run_in(self._threads, _start, grants, surroundings))
        try:
            await outlast(starting)
            yield starting.result()
        finally:
            if starting.exception() is None:
                await outlast(asyncio.ensure_future(run_in(self._threads, _clean_up, *starting.result())))


class _Calling:
    """One call in one process, from its request to its end."""

    def __init__(
        self,
        limits: Limits,
        call: Call,
        threads: ThreadPoolExecutor,
        on_printed: Callable[[str], None] | None,
    ) -> None:
        self._limits = limits
        self._call = call
        self._threads = threads
        self._watch = watch_for(call, limits, on_printed, may_hide=True)
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self.over = asyncio.Event()

    def lose(self) -> None:
        """End the call because its sandbox is being closed."""
        self._watch.stop(_LOST)

    async def follow(
        self, process: subprocess.Popen[bytes], directory: Path, grants: Grants
    ) -> frames.Ending:
        """Send the request, and wait for the end or a limit."""
        stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
        assert stdin and stdout and stderr  # noqa: S101, PT018 - `_start` asks for three pipes
        in_thread = partial(self._loop.run_in_executor, self._threads)
        try:
            transfers = asyncio.gather(
                in_thread(self._send, stdin, grants),
                in_thread(self._read, stdout, self._watch.take_printed),
                in_thread(self._read, stderr, self._watch.take_result),
                return_exceptions=True,
            )
            ended = in_thread(process.wait)
            self._watch.begin(time.perf_counter())
            stopped = await self._watch.first_limit(ended, process.pid, directory, self._threads)
            await run_in(self._threads, _end, process)
            code = await ended
            # A process that `_end` did not find may keep the pipes open, or write to them, indefinitely.
            await asyncio.wait((transfers,), timeout=_END_SECONDS)
        finally:
            self._ended = True
        ending = self._watch.ending(stopped, -code if code < 0 else code << 8)
        return replace(ending, stopped=None, wait_status=None) if ending.stopped == _LOST else ending

    # A thread keeps its pipe, and so its descriptor, until it ends. A process that escaped may hold up a
    # thread for a moment after the call; with a closed descriptor, it could read the pipe of the next call.

    def _send(self, stdin: IO[bytes], grants: Grants) -> None:
        settings = {
            "parent": os.getpid(),
            "environment": dict(grants.env),
            "path": module_path(),
            "file_bytes": self._limits.file_bytes,
            "open_files": self._limits.open_files,
        }
        with suppress(OSError, ValueError), open(stdin.fileno(), "wb", closefd=False) as pipe:
            pipe.write(boot.payload("once", settings))
            pipe.writelines(frames.request(self._call, self._limits, None))

    def _read(self, pipe: IO[bytes], take: Callable[[bytes], None]) -> None:
        descriptor = pipe.fileno()
        while self._waits_for(descriptor) and (data := os.read(descriptor, _READ_SIZE)):
            # Wait for the loop; otherwise unprocessed pieces could fill the memory.
            asyncio.run_coroutine_threadsafe(self._hand_over(take, data), self._loop).result()

    def _waits_for(self, descriptor: int) -> bool:
        """Wait for data or the end of the pipe; False once the call has ended."""
        if not hasattr(select, "poll"):
            return True  # here, `os.read` waits
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while not self._ended:
            if poll.poll(_LOOK_MILLISECONDS):
                return True
        return False

    async def _hand_over(self, take: Callable[[bytes], None], data: bytes) -> None:
        if not self._ended:
            take(data)


def _start(grants: Grants, surroundings: Surroundings) -> tuple[subprocess.Popen[bytes], Path]:
    directory: Path | None = None
    try:
        directory = Path(tempfile.mkdtemp(prefix=f"fact_magics-{os.getpid()}-"))
        environment = zygote_environment(grants, str(directory), surroundings)
        if os.name == "nt":
            # Without SYSTEMROOT, the interpreter has no source of randomness and no sockets.
            environment["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
        process = subprocess.Popen(
            boot.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )
    except OSError as cause:
        if directory is not None:
            scratch.remove(directory)
        raise IsolationError(
            f"No process can be started for the tool: {cause}.", hint=shortage_hint(cause) or "Try again."
        ) from cause
    return process, directory


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started, as far as this system can find it."""
    if process.poll() is None:
        with suppress(OSError):
            process.terminate()  # on Linux the outer process ends the call's family, then itself
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
    if process.poll() is None:
        if sys.platform == "linux":
            kill_descendants(process.pid)
        with suppress(OSError):
            process.kill()
    if os.name == "posix":
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _clean_up(process: subprocess.Popen[bytes], directory: Path) -> None:
    _end(process)
    scratch.remove(directory)
