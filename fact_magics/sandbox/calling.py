"""Follow one call on a child process that a zygote prepared, from the request to the end."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from fact_magics.sandbox import frames
from fact_magics.sandbox.batch import watch_for
from fact_magics.sandbox.child.confine import take_descriptor
from fact_magics.sandbox.child.worker import address_space
from fact_magics.sandbox.meter import is_alone
from fact_magics.sandbox.threads import outlast

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call

    _Pipes = tuple[tuple[int, Callable[[bytes], None]], ...]

_END_SECONDS = 0.6
_QUICK_SECONDS = 0.005
_FLUSH_SECONDS = 0.05
_READ_SIZE = 1 << 16
_PIPE_SIZE = 1 << 20
_MOST_LEFT = 64  # enough reads to empty a full pipe; limited, because a process may keep writing


class _Zygote(Protocol):
    """The part of a `Warden` that its calls use."""

    limits: Limits
    files: Executor
    pid: int

    def order(self, **order: object) -> None: ...
    def expect(self, kind: str, value: object) -> asyncio.Future[dict[str, Any]]: ...
    def is_unused(self) -> bool: ...
    def abandon(self) -> None: ...


@dataclass(slots=True)
class Prepared:
    """A child that waits for its request, and the parent's ends of its pipes."""

    number: int
    scratch: Path
    taken: int | None = None
    requests: int = -1
    results: int = -1
    printed: int = -1
    pid: int = 0
    handle: int = -1

    def take_over(self, zygote: int, handle: int, ready: dict[str, Any]) -> None:
        """Take the pipes that the zygote reports. After an error, call `close`.

        Parameters
        ----------
        zygote, handle : int
            The zygote's pid and pidfd.

        Raises
        ------
        OSError
            The system does not let this process take descriptors of its children, or has none left.
        """
        requests, results, printed = ready["pipes"]
        self.requests = _taken(zygote, handle, requests, os.O_WRONLY)
        self.results = _taken(zygote, handle, results, os.O_RDONLY)
        self.printed = _taken(zygote, handle, printed, os.O_RDONLY)
        for end in (self.requests, self.results, self.printed):
            os.set_blocking(end, False)
        self.pid = int(ready["pid"])
        self.handle = os.pidfd_open(self.pid)
        if self.taken is None:
            self.taken = address_space(self.pid)

    def close(self) -> None:
        """Close the parent's ends of the pipes."""
        for descriptor in (self.requests, self.results, self.printed, self.handle):
            if descriptor >= 0:
                with suppress(OSError):
                    os.close(descriptor)
        self.requests = self.results = self.printed = self.handle = -1


def _taken(zygote: int, handle: int, number: int, mode: int) -> int:
    """Take an end of a pipe from the zygote, for writing or for reading as `mode` says."""
    try:
        return take_descriptor(handle, number)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS):
            raise
    # Many containers forbid that call. The number comes from the zygote, so it must not be trusted: a file
    # that the zygote may only read could be opened for writing here.
    found = os.open(f"/proc/{zygote}/fd/{int(number)}", os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISFIFO(os.fstat(found).st_mode):
            raise OSError(errno.EBADF, "the zygote reported something other than a pipe")
        return os.open(f"/proc/self/fd/{found}", mode | os.O_NONBLOCK | os.O_CLOEXEC)
    finally:
        os.close(found)


class Calling:
    """One call on a prepared child. It is `clean` if it ended by itself and left no process behind.

    If `early`, its answer is taken as soon as it is complete. The child may then need a moment to end: it
    has not ended until `end` was awaited.
    """

    def __init__(
        self,
        zygote: _Zygote,
        call: Call,
        prepared: Prepared,
        on_printed: Callable[[str], None] | None,
        *,
        early: bool = False,
    ) -> None:
        self._zygote = zygote
        self._prepared = prepared
        self._unsent = memoryview(frames.request(call, zygote.limits, prepared.taken))
        self._watch = watch_for(call, zygote.limits, on_printed)
        self._pipes: _Pipes = (
            (prepared.results, self._take_result),
            (prepared.printed, self._watch.take_printed),
        )
        self._loop = asyncio.get_running_loop()
        self._ended = zygote.expect("ended", prepared.number)
        self._settled = self._loop.create_future()  # once it ended, was answered, or is no quick call
        self._early = early
        self._listens = False
        self.answered = False
        self.clean = False

    async def follow(self) -> frames.Ending:
        """Send the request, and wait for the end or for an early answer.

        Even if cancelled, this leaves no process of a call that was not answered early.
        """
        ended, stopped = self._ended, None
        self._watch.begin()
        # Most calls end before this, and the pipes hold all that such a call sends.
        slow = self._loop.call_later(_QUICK_SECONDS, self._settle)
        ended.add_done_callback(self._settle)
        if self._early:
            self._loop.add_reader(self._prepared.results, self._read, *self._pipes[0])
        self._send()
        try:
            await self._settled
            if not (ended.done() or self.answered):
                self._listen()
                stopped = await self._watch.first_limit(
                    ended, self._zygote.pid, self._prepared.scratch, self._zygote.files
                )
                if stopped is not None:
                    await self._let_flush()
        finally:
            if not (ended.done() or self.answered):
                await self._kill()
            slow.cancel()
            self._deafen()
        self._read_rest()
        if self.answered:
            return self._watch.ending(None, 0)
        report = self._conclude(stopped)
        if report is None:
            return self._watch.ending(stopped, None)
        return self._watch.ending(stopped, int(report["status"]), float(report["cpu"]))

    async def end(self) -> None:
        """Wait until a call that was answered early has ended; kill it if that takes long."""
        try:
            await asyncio.wait((self._ended,), timeout=_END_SECONDS)
        finally:
            if not self._ended.done():
                await self._kill()
        self._conclude(None)

    def _conclude(self, stopped: str | None) -> dict[str, Any] | None:
        """Return the report of the end, if there is one, and note whether the call was clean."""
        if not self._ended.done() or self._ended.exception() is not None:
            return None
        report = self._ended.result()
        self.clean = stopped is None and report.get("clean") is True
        return report

    def _settle(self, *_: object) -> None:
        if not self._settled.done():
            self._settled.set_result(None)

    def _take_result(self, data: bytes) -> None:
        self._watch.take_result(data)
        if self._early and not self._settled.done() and self._watch.has_result and self._is_alone():
            self.answered = True
            self._settle()

    def _is_alone(self) -> bool:
        """Tell whether the call has left nothing that must be gone before its answer is taken."""
        return self._zygote.is_unused() and is_alone(self._zygote.pid, self._prepared.pid)

    def _listen(self) -> None:
        """Read what the call sends as soon as it arrives."""
        self._listens = True
        for pipe in self._pipes:
            with suppress(OSError):
                fcntl.fcntl(pipe[0], fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
            self._loop.add_reader(pipe[0], self._read, *pipe)

    def _deafen(self) -> None:
        if self._listens or self._early:
            for descriptor, _ in self._pipes:
                self._loop.remove_reader(descriptor)
        if self._unsent:
            self._loop.remove_writer(self._prepared.requests)

    def _read_rest(self) -> None:
        for pipe in self._pipes:
            for _ in range(_MOST_LEFT):
                if not self._read(*pipe):
                    break

    async def _let_flush(self) -> None:
        """Give the call a moment to print its last, incomplete line."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._prepared.handle, signal.SIGTERM)
        await asyncio.wait((self._ended,), timeout=_FLUSH_SECONDS)

    async def _kill(self) -> None:
        """Kill every process that the call started, even if this task is cancelled meanwhile."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._prepared.handle, signal.SIGKILL)
        self._zygote.order(kill=self._prepared.number)
        try:
            await outlast(self._ended, _END_SECONDS)
        finally:
            if not self._ended.done():
                self._zygote.abandon()

    def _send(self, *, is_waiting: bool = False) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._prepared.requests, self._unsent) :]
        except BlockingIOError:
            if not is_waiting:
                with suppress(OSError):
                    fcntl.fcntl(self._prepared.requests, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
                self._loop.add_writer(self._prepared.requests, partial(self._send, is_waiting=True))
            return
        except OSError:
            self._unsent = memoryview(b"")
        if is_waiting:
            self._loop.remove_writer(self._prepared.requests)

    def _read(self, descriptor: int, take: Callable[[bytes], None]) -> bool:
        """Read once from a pipe without waiting; False if it is empty now or has ended."""
        try:
            data = os.read(descriptor, _READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            take(data)
        else:
            self._loop.remove_reader(descriptor)
        return len(data) == _READ_SIZE
