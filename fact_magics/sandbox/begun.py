"""A call that has a child. The calling thread can send the request, and await the answer for a moment."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from fact_magics.sandbox import frames
from fact_magics.sandbox.meter import is_alone
from fact_magics.sandbox.threads import outlast
from fact_magics.sandbox.watch import Printed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor

    from fact_magics.sandbox.frames import Ending
    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call, Outcome
    from fact_magics.sandbox.prepared import Prepared

END_SECONDS = 0.6
"""How long the end of a call is awaited before its zygote is given up."""

QUICK_SECONDS = 0.005
"""How long a call is followed in the simplest way; most calls end before this."""

_READ_SIZE = 1 << 16
_SHORT_REQUEST = 1 << 16  # bytes that fit into an empty pipe


class _Zygote(Protocol):
    """The part of a `Warden` that its calls use."""

    limits: Limits
    files: Executor
    pid: int
    layers: tuple[str, ...]

    def order(self, **order: object) -> None: ...
    def expect(self, kind: str, value: object) -> asyncio.Future[dict[str, Any]]: ...
    def is_unused(self) -> bool: ...
    def abandon(self) -> None: ...
    def finish(self, begun: Begun, end: Coroutine[Any, Any, None]) -> None: ...
    async def run(self, call: Call, on_printed: Callable[[str], None] | None, begun: Begun) -> Ending: ...


class Begun:
    """A call on a prepared child. It is `clean` if it ended by itself and left no process behind.

    Attributes
    ----------
    ended : asyncio.Future
        Gets the zygote's report of the end.
    unsent : list of memoryview
        The parts of the request that the child did not get yet.
    frame, printed : bytearray
        What `answer` has read.
    started : float
        The value of `time.perf_counter` when the request was sent; 0 before.
    is_followed : bool
        Whether something on the loop awaits the end.
    """

    def __init__(self, zygote: _Zygote, call: Call, prepared: Prepared, *, is_quick: bool) -> None:
        self.zygote = zygote
        self.call = call
        self.prepared = prepared
        self.ended = zygote.expect("ended", prepared.number)
        request = frames.request(call, zygote.limits, prepared.taken, stays=is_quick)
        self.unsent = [memoryview(part) for part in request]
        self.frame = bytearray()
        self.printed = bytearray()
        self.started = 0.0
        self.is_followed = False
        self.clean = False
        self._stays = is_quick

    def answer(self) -> Outcome | None:
        """Send the request, and wait a moment for the result; works on any thread.

        Returns
        -------
        Outcome or None
            The outcome, if the whole result has arrived, and the call has written no file and has no other
            process or thread. `finish` must follow then: the call's process may need a moment to end.
        """
        if len(self.unsent) > 1 or len(self.unsent[0]) > _SHORT_REQUEST:
            return None
        self.started = time.perf_counter()
        try:
            self.sent(os.write(self.prepared.requests, self.unsent[0]))
            if not (self._await_result() and self._has_left_nothing()):
                return None
            self._read(self.prepared.printed, self.printed)
        except OSError:
            return None
        limits = self.zygote.limits
        if len(self.printed) > limits.printed_bytes:
            return None
        duration_ms = (time.perf_counter() - self.started) * 1e3
        text = Printed(limits.printed_kept)
        text.feed(bytes(self.printed))
        ending = frames.Ending(self.frame, 0, 0.0, None, text.close(), duration_ms)
        return frames.judge(self.call, ending, limits, self.zygote.layers)

    def sent(self, size: int) -> None:
        """Drop the `size` bytes that were sent from the first unsent part."""
        rest = self.unsent[0][size:]
        self.unsent[:1] = [rest] if rest else []

    def _await_result(self) -> bool:
        poll = select.poll()
        poll.register(self.prepared.results, select.POLLIN)
        end = self.started + QUICK_SECONDS
        while (left := end - time.perf_counter()) > 0 and poll.poll(left * 1e3):
            if not self._read(self.prepared.results, self.frame):
                return False
            if frames.is_result(self.frame):
                return len(self.frame) <= self.zygote.limits.most_bytes(self.call) + frames.PREFIX
        return False

    @staticmethod
    def _read(descriptor: int, buffer: bytearray) -> int:
        try:
            data = os.read(descriptor, _READ_SIZE)
        except BlockingIOError:
            return 0
        buffer += data
        return len(data)

    def _has_left_nothing(self) -> bool:
        if not self.zygote.is_unused():
            return False
        report = self.report(None)
        if report is not None:  # it has ended already
            return self.clean and report.get("status") == 0
        return is_alone(self.zygote.pid, self.prepared.pid)

    def finish(self) -> None:
        """Account for the end of a call that was answered, on the sandbox's loop."""
        self.zygote.finish(self, self.end())

    def drop(self) -> None:
        """Stop a call, unless its end is awaited already; on the sandbox's loop."""
        if not self.is_followed:
            self.zygote.finish(self, self.kill())

    def let_go(self) -> None:
        """Let the child end once it has sent its result, if it would wait."""
        if self._stays:
            self._stays = False
            with suppress(OSError):
                os.write(self.prepared.requests, b"\0")

    async def end(self) -> None:
        """Wait until a call that was answered has ended; kill it if that takes long."""
        self.let_go()
        try:
            await asyncio.wait((self.ended,), timeout=END_SECONDS)
        finally:
            if not self.ended.done():
                await self.kill()
        self.report(None)

    def report(self, stopped: str | None) -> dict[str, Any] | None:
        """Return the report of the end, if there is one, and note whether the call was clean."""
        if not self.ended.done() or self.ended.exception() is not None:
            return None
        report = self.ended.result()
        self.clean = stopped is None and report.get("clean") is True
        return report

    async def kill(self) -> None:
        """Kill every process that the call started, even if this task is cancelled meanwhile."""
        with suppress(OSError):
            signal.pidfd_send_signal(self.prepared.handle, signal.SIGKILL)
        self.zygote.order(kill=self.prepared.number)
        try:
            await outlast(self.ended, END_SECONDS)
        finally:
            if not self.ended.done():
                self.zygote.abandon()
