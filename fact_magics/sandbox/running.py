"""One call on a child that a zygote prepared, from its request to its end."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fact_magics.sandbox import frames
from fact_magics.sandbox.meter import Meter
from fact_magics.sandbox.printed import Printed
from fact_magics.sandbox.watch import first_limit

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from fact_magics.sandbox.outcome import Call
    from fact_magics.sandbox.policy import Limits

_END_SECONDS = 0.6
_FLUSH_SECONDS = 0.05
_READ_SIZE = 1 << 16
_PIPE_SIZE = 1 << 20
_MOST_LEFT = 64  # reads: more than a pipe holds, should something be writing still


class Zygote(Protocol):
    """What a call needs of the zygote that it runs on."""

    limits: Limits
    files: Executor

    @property
    def pid(self) -> int:
        """Its process."""

    def order(self, **order: object) -> None:
        """Send the zygote one order."""

    def expect_end(self, number: int) -> asyncio.Future[dict[str, Any]]:
        """Wait for the report that nothing of call `number` is left."""

    def abandon(self) -> None:
        """Give up a zygote that no longer answers, and kill all that it started."""


@dataclass(slots=True)
class Prepared:
    """A child that waits for its request, and the parent's ends of its pipes."""

    number: int
    scratch: Path
    requests: int = -1
    results: int = -1
    printed: int = -1
    pid: int = 0
    handle: int = -1
    taken: int | None = None

    def open(self) -> None:
        """Make the scratch directory and the pipes, and open what `close` closes, even if one fails."""
        self.scratch.mkdir(mode=0o700)
        # Opened for both, the request's end needs no reader yet; the other two don't wait for a writer.
        self.requests = self._open_pipe("request", os.O_RDWR)
        self.results = self._open_pipe("result", os.O_RDONLY)
        self.printed = self._open_pipe("printed", os.O_RDONLY)

    def _open_pipe(self, name: str, mode: int) -> int:
        path = self.scratch.with_name(f"{self.number}.{name}")
        os.mkfifo(path, 0o600)
        end = os.open(path, mode | os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):
            fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        return end

    def close(self) -> None:
        """Close the parent's ends."""
        for descriptor in (self.requests, self.results, self.printed, self.handle):
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)
        self.requests = self.results = self.printed = self.handle = -1

    def take_over(self, pid: int) -> None:
        """Note the child that holds the other ends, and unlink the pipes: nobody else can open them."""
        self.pid = pid
        self.handle = os.pidfd_open(pid)
        self.taken = _address_space(pid)
        for name in ("request", "result", "printed"):
            self.scratch.with_name(f"{self.number}.{name}").unlink()


class Run:
    """Follow one call on a prepared child.

    Attributes
    ----------
    clean : bool
        Whether the call ended by itself and left no process behind.
    """

    def __init__(
        self, zygote: Zygote, call: Call, prepared: Prepared, on_printed: Callable[[str], None] | None
    ) -> None:
        self._zygote = zygote
        self._call = call
        self._prepared = prepared
        self._limits = zygote.limits
        self._printed = Printed(self._limits.printed_kept, on_printed)
        self._frame = bytearray()
        self._unsent = memoryview(b"")
        self._stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self.clean = False

    async def follow(self) -> frames.Ending:
        """Send the request and wait: when this returns, or is cancelled, nothing of the call is left."""
        prepared = self._prepared
        started = time.perf_counter()
        ended = self._zygote.expect_end(prepared.number)
        self._unsent = memoryview(frames.request(self._call, self._limits, prepared.taken))
        self._loop.add_reader(prepared.results, self._read_results)
        self._loop.add_reader(prepared.printed, self._read_printed)
        self._send()
        report: dict[str, Any] | None = None
        stopped: str | None = None
        memory = frames.memory_limit(self._call)
        try:
            try:
                stopped = await first_limit(
                    ended,
                    self._stopped,
                    seconds=self._call.timeout_seconds,
                    measure=Meter(self._zygote.pid, prepared.scratch, memory, self._limits).exceeded,
                    files=self._zygote.files,
                )
                if stopped is not None:
                    await self._let_flush(ended)
            finally:
                if not ended.done():
                    await self._kill(ended)
        finally:
            self._forget()
        if ended.done() and ended.exception() is None:
            report = ended.result()
            self.clean = stopped is None and report.get("clean") is True
        duration = (time.perf_counter() - started) * 1e3
        for read in (self._read_results, self._read_printed):
            for _ in range(_MOST_LEFT):
                if not read():
                    break
        if stopped is None and self._stopped.done():
            stopped = self._stopped.result()
        return frames.Ending(
            frame=self._frame,
            wait_status=None if report is None else int(report["status"]),
            cpu_seconds=0.0 if report is None else float(report["cpu"]),
            stopped=stopped,
            printed=self._printed.close(),
            duration_ms=duration,
        )

    async def _let_flush(self, ended: asyncio.Future[dict[str, Any]]) -> None:
        """Give the call a moment in which to print half a line that waits for its end."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._prepared.handle, signal.SIGTERM)
        await asyncio.wait((ended,), timeout=_FLUSH_SECONDS)

    async def _kill(self, ended: asyncio.Future[dict[str, Any]]) -> None:
        """End all that the call started, even while this task is being cancelled again and again."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._prepared.handle, signal.SIGKILL)
        self._zygote.order(kill=self._prepared.number)
        deadline = self._loop.time() + _END_SECONDS
        cancelled: asyncio.CancelledError | None = None
        while not ended.done() and self._loop.time() < deadline:
            try:
                await asyncio.wait((ended,), timeout=deadline - self._loop.time())
            except asyncio.CancelledError as request:
                cancelled = request
        if not ended.done():
            self._zygote.abandon()
        if cancelled is not None:
            raise cancelled

    def _send(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._prepared.requests, self._unsent) :]
        except BlockingIOError:
            self._loop.add_writer(self._prepared.requests, self._send)
            return
        except OSError:
            self._unsent = memoryview(b"")
        self._loop.remove_writer(self._prepared.requests)

    def _read_results(self) -> bool:
        data = _read_some(self._prepared.results)
        if data is None:
            return False
        if not data:
            self._loop.remove_reader(self._prepared.results)
            return False
        if len(self._frame) <= self._limits.result_bytes + frames.PREFIX:
            self._frame += data
        elif not self._stopped.done():
            self._stopped.set_result("result")
        return True

    def _read_printed(self) -> bool:
        data = _read_some(self._prepared.printed)
        if data is None:
            return False
        if not data:
            self._loop.remove_reader(self._prepared.printed)
            return False
        self._printed.feed(data)
        if self._printed.total > self._limits.printed_bytes and not self._stopped.done():
            self._stopped.set_result("printed")
        return True

    def _forget(self) -> None:
        for descriptor in (self._prepared.results, self._prepared.printed):
            self._loop.remove_reader(descriptor)
        self._loop.remove_writer(self._prepared.requests)


def _read_some(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, _READ_SIZE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _address_space(pid: int) -> int | None:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
