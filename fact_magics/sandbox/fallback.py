"""Fresh processes with limits, for systems where files and network can't be enforced.

It works wherever Python starts a process: three pipes, and threads that read them.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fact_magics.sandbox import boot, frames, scratch
from fact_magics.sandbox.family import kill_descendants
from fact_magics.sandbox.meter import Meter
from fact_magics.sandbox.policy import Grants, Limits, module_path, zygote_environment
from fact_magics.sandbox.printed import Printed
from fact_magics.sandbox.watch import first_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.sandbox.outcome import Call

_THREADS_A_CALL = 4
_MOST_CALLS = 64
_END_SECONDS = 0.7
_READ_SIZE = 1 << 16


class ProcessRunner:
    """Run each call in a new interpreter."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(_THREADS_A_CALL * _MOST_CALLS, thread_name_prefix="fact-process")
        self.layers: tuple[str, ...] = ("process", "rlimits") if os.name == "posix" else ("process",)

    async def start(self) -> None:
        """Do nothing: no process is started ahead."""

    async def aclose(self) -> None:
        """Let the threads end; no process outlives its call."""
        self._threads.shutdown(wait=False)

    async def run(self, call: Call, on_printed: Callable[[str], None] | None) -> frames.Ending:
        """Run one call to its end."""
        loop = asyncio.get_running_loop()
        grants = Grants.parse(call.permissions)
        directory = Path(await loop.run_in_executor(self._threads, _make_directory))
        try:
            process = await loop.run_in_executor(self._threads, _spawn, directory, grants)
            try:
                return await _Run(self._limits, call, process, self._threads, directory, on_printed).follow()
            finally:
                await _surely(loop.run_in_executor(self._threads, _end, process))
        finally:
            await _surely(loop.run_in_executor(self._threads, scratch.remove, directory))


class _Run:
    """One call in one process, from its request to its end."""

    def __init__(
        self,
        limits: Limits,
        call: Call,
        process: subprocess.Popen[bytes],
        threads: ThreadPoolExecutor,
        directory: Path,
        on_printed: Callable[[str], None] | None,
    ) -> None:
        self._limits = limits
        self._call = call
        self._process = process
        self._threads = threads
        self._directory = directory
        self._printed = Printed(limits.printed_kept, on_printed)
        self._frame = bytearray()
        self._loop = asyncio.get_running_loop()
        self._stopped: asyncio.Future[str] = self._loop.create_future()

    async def follow(self) -> frames.Ending:
        started = time.perf_counter()
        assert self._process.stdout is not None  # noqa: S101
        assert self._process.stderr is not None  # noqa: S101
        work = [
            self._loop.run_in_executor(self._threads, self._send),
            self._loop.run_in_executor(
                self._threads, self._read, self._process.stdout.fileno(), self._take_printed
            ),
            self._loop.run_in_executor(
                self._threads, self._read, self._process.stderr.fileno(), self._take_result
            ),
        ]
        ended = self._loop.run_in_executor(self._threads, self._process.wait)
        stopped = await first_limit(
            ended,
            self._stopped,
            seconds=self._call.timeout_seconds,
            measure=Meter(
                self._process.pid, self._directory, frames.memory_limit(self._call), self._limits
            ).exceeded,
            files=self._threads,
        )
        await self._loop.run_in_executor(self._threads, _end, self._process)
        code = await ended
        await asyncio.gather(*work, return_exceptions=True)
        await asyncio.sleep(0)  # what the readers handed over last
        if stopped is None and self._stopped.done():
            stopped = self._stopped.result()
        return frames.Ending(
            frame=self._frame,
            wait_status=-code if code < 0 else code << 8,
            cpu_seconds=0.0,
            stopped=stopped,
            printed=self._printed.close(),
            duration_ms=(time.perf_counter() - started) * 1e3,
        )

    def _send(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101
        settings = {
            "parent": os.getpid(),
            "path": module_path(),
            "file_bytes": self._limits.file_bytes,
            "open_files": self._limits.open_files,
        }
        with suppress(OSError, ValueError):
            boot.write_all(stdin.fileno(), boot.payload("once", settings))
            boot.write_all(stdin.fileno(), frames.request(self._call, self._limits, None))

    def _read(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        while data := os.read(descriptor, _READ_SIZE):
            # One piece at a time: a thread that reads faster than the loop takes would fill the memory.
            done = asyncio.run_coroutine_threadsafe(_hand_over(take, data), self._loop)
            done.result()

    def _take_printed(self, data: bytes) -> None:
        self._printed.feed(data)
        if self._printed.total > self._limits.printed_bytes and not self._stopped.done():
            self._stopped.set_result("printed")

    def _take_result(self, data: bytes) -> None:
        if len(self._frame) <= self._limits.result_bytes + frames.PREFIX:
            self._frame += data
        elif not self._stopped.done():
            self._stopped.set_result("result")


async def _hand_over(take: Callable[[bytes], None], data: bytes) -> None:
    take(data)


async def _surely(work: asyncio.Future[None]) -> None:
    """Wait for `work` even while this task is being cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as request:
            cancelled = request
    if cancelled is not None:
        raise cancelled


def _make_directory() -> str:
    return tempfile.mkdtemp(prefix=f"fact_magics-{os.getpid()}-")


def _spawn(directory: Path, grants: Grants) -> subprocess.Popen[bytes]:
    environment = {**zygote_environment(grants, str(directory)), **dict(grants.env)}
    if os.name == "nt":
        # Without it the interpreter has no source of randomness and no sockets.
        environment["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
    return subprocess.Popen(
        boot.command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=directory,
        env=environment,
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it started, as far as this system can find it."""
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
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
