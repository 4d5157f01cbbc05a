"""Follow one call on a child process that a zygote prepared, from the request to the end."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fact_magics.sandbox.batch import watch_for
from fact_magics.sandbox.begun import QUICK_SECONDS, Begun
from fact_magics.sandbox.child.confine import take_descriptor
from fact_magics.sandbox.child.worker import address_space

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fact_magics.sandbox import frames

    _Pipes = tuple[tuple[int, Callable[[bytes], None]], ...]

_FLUSH_SECONDS = 0.05
_READ_SIZE = 1 << 16
_PIPE_SIZE = 1 << 20
_MOST_LEFT = 64  # enough reads to empty a full pipe; limited, because a process may keep writing


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
        _widen(self.results)
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


def _widen(pipe: int) -> None:
    """Let a pipe hold more, so that large data take fewer steps."""
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)


class Calling:
    """Follows a call on the loop until it ends."""

    def __init__(self, begun: Begun, on_printed: Callable[[str], None] | None) -> None:
        self._begun = begun
        self._zygote = begun.zygote
        self._prepared = begun.prepared
        self._watch = watch_for(begun.call, begun.zygote.limits, on_printed)
        self._pipes: _Pipes = (
            (begun.prepared.results, self._watch.take_result),
            (begun.prepared.printed, self._watch.take_printed),
        )
        self._loop = asyncio.get_running_loop()
        self._settled = self._loop.create_future()  # once the call has ended, or is not quick
        self._listens = False

    async def follow(self) -> frames.Ending:
        """Send the request and wait for the end. Even if cancelled, this leaves no process of the call."""
        ended, stopped = self._begun.ended, None
        self._watch.begin(self._begun.started or time.perf_counter())
        if self._begun.frame:
            self._watch.take_result(bytes(self._begun.frame))
        if self._begun.printed:
            self._watch.take_printed(bytes(self._begun.printed))
        # Most calls end before this, and the pipes hold all that such a call sends.
        slow = self._loop.call_later(0 if self._begun.started else QUICK_SECONDS, self._settle)
        ended.add_done_callback(self._settle)
        self._send()
        try:
            await self._settled
            if not ended.done():
                self._listen()
                stopped = await self._watch.first_limit(
                    ended, self._zygote.pid, self._prepared.scratch, self._zygote.files
                )
                if stopped is not None:
                    await self._let_flush()
        finally:
            if not ended.done():
                await self._begun.kill()
            slow.cancel()
            self._deafen()
        report = self._begun.report(stopped)
        for pipe in self._pipes:
            for _ in range(_MOST_LEFT):
                if not self._read(*pipe):
                    break
        if report is None:
            return self._watch.ending(stopped, None)
        return self._watch.ending(stopped, int(report["status"]), float(report["cpu"]))

    def _settle(self, *_: object) -> None:
        if not self._settled.done():
            self._settled.set_result(None)

    def _listen(self) -> None:
        """Read what the call sends as soon as it arrives."""
        self._listens = True
        for pipe in self._pipes:
            _widen(pipe[0])
            self._loop.add_reader(pipe[0], self._read, *pipe)

    def _deafen(self) -> None:
        if self._listens:
            for descriptor, _ in self._pipes:
                self._loop.remove_reader(descriptor)
        if self._begun.unsent:
            self._loop.remove_writer(self._prepared.requests)

    async def _let_flush(self) -> None:
        """Give the call a moment to print its last, incomplete line."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._prepared.handle, signal.SIGTERM)
        await asyncio.wait((self._begun.ended,), timeout=_FLUSH_SECONDS)

    def _send(self, *, is_waiting: bool = False) -> None:
        begun, requests = self._begun, self._prepared.requests
        try:
            while begun.unsent:
                begun.unsent = begun.unsent[os.write(requests, begun.unsent) :]
        except BlockingIOError:
            if not is_waiting:
                _widen(requests)
                self._loop.add_writer(requests, partial(self._send, is_waiting=True))
            return
        except OSError:
            begun.unsent = memoryview(b"")
        if is_waiting:
            self._loop.remove_writer(requests)

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
