"""Follow one call on the event loop until it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from fact_magics.sandbox.batch import watch_for
from fact_magics.sandbox.begun import QUICK_SECONDS, Begun
from fact_magics.sandbox.prepared import widen

if TYPE_CHECKING:
    from collections.abc import Callable

    from fact_magics.sandbox import frames

    _Pipes = tuple[tuple[int, Callable[[bytes], None]], ...]

_FLUSH_SECONDS = 0.05
_READ_SIZE = 1 << 16
_MOST_LEFT = 64  # enough reads to empty a full pipe; limited, because a process may keep writing


class Calling:
    """Sends the request of a call, reads what it sends back, and stops it at a limit."""

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
            widen(pipe[0])
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
                begun.sent(os.write(requests, begun.unsent[0]))
        except BlockingIOError:
            if not is_waiting:
                widen(requests)
                self._loop.add_writer(requests, partial(self._send, is_waiting=True))
            return
        except OSError:
            begun.unsent.clear()
        if is_waiting:
            self._loop.remove_writer(requests)
        begun.let_go()

    def _read(self, descriptor: int, take: Callable[[bytes], None]) -> bool:
        """Read once from a pipe without waiting; False if it is empty now or has ended."""
        try:
            if (room := self._watch.room) and descriptor == self._prepared.results:
                size = os.readv(descriptor, [room])
                self._watch.filled(size)
                if not size:
                    self._loop.remove_reader(descriptor)
                return size > 0
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
