"""Watch one call from the parent: collect its output, and notice the first limit that it reaches."""

from __future__ import annotations

import asyncio
import codecs
import time
from io import StringIO
from typing import TYPE_CHECKING, Any

from fact_magics.sandbox import frames
from fact_magics.sandbox.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from fact_magics.sandbox.limits import Limits
    from fact_magics.sandbox.outcome import Call

# All figures are measured this often. The memory of a call that has forked is measured more often,
# because its processes together fill memory fast.
_MEASURE_SECONDS = 0.25
_GLANCE_SECONDS = 0.02
# An exact measurement pauses the call. So the next one waits this many times as long as the last one took.
_REST = 9
_NEW_DECODER = codecs.getincrementaldecoder("utf-8")


class Watch:
    """The output of one call so far. The future `stopped` gets the name of the limit that it reaches.

    `may_hide` says that the call may have processes that this user can't measure, such as an SSH agent.
    """

    def __init__(
        self, call: Call, limits: Limits, on_printed: Callable[[str], None] | None, *, may_hide: bool = False
    ) -> None:
        self._call = call
        self._may_hide = may_hide
        self._limits = limits
        self._printed = Printed(limits.printed_kept, on_printed)
        self._frame = bytearray()
        self._large: memoryview | None = None  # the whole of a large frame
        self._filled = 0
        self._loop = asyncio.get_running_loop()
        self._started = self._deadline = 0.0
        self.stopped: asyncio.Future[str] = self._loop.create_future()

    def begin(self, started: float) -> None:
        """Note when the call began (`time.perf_counter`)."""
        self._started = started
        self._rearm()

    def stop(self, limit: str | None) -> None:
        """Note the first limit that was reached; later ones are ignored."""
        if limit is not None and not self.stopped.done():
            self.stopped.set_result(limit)

    def take_printed(self, data: bytes) -> None:
        """Take bytes that the call printed."""
        self._printed.feed(data)
        if self._printed.total > self._limits.printed_bytes:
            self.stop("printed")

    def take_result(self, data: bytes) -> None:
        """Take bytes of the call's frame."""
        most = self._limits.most_bytes(self._call)
        if self._large is not None:
            taken = min(len(data), len(self.room))
            self.room[:taken] = data[:taken]
            self._filled += len(data)  # if this is too much, the frame is not whole
            if self._filled > most + frames.PREFIX:
                self.stop("result")
        elif len(self._frame) > most + frames.PREFIX:
            self.stop("result")
        else:
            is_begin = len(self._frame) <= frames.PREFIX
            self._frame += data
            if is_begin and (large := frames.large_frame(self._frame, most)) is not None:
                self._large = large
                self.take_result(bytes(self._frame))

    @property
    def room(self) -> memoryview:
        """The memory for the rest of a large frame, to read into; empty for other frames."""
        return memoryview(b"") if self._large is None else self._large[self._filled :]

    def filled(self, size: int) -> None:
        """Note that bytes of the call's frame were read into `room`."""
        self._filled += size

    def _rearm(self) -> None:
        self._deadline = self._loop.time() + self._call.timeout_seconds

    async def first_limit(
        self, ended: asyncio.Future[Any], root: int, directory: Path, files: Executor
    ) -> str | None:
        """Wait until a call that began ends or reaches a limit; return the name of that limit, or None.

        The call consists of the descendants of the process `root`, and writes to `directory`. A thread of
        `files` measures both a few times per second.
        """
        looks: _Looks | None = None
        while not ended.done() and not self.stopped.done():
            left = self._deadline - self._loop.time()
            if left <= 0:
                return "time"
            await asyncio.wait(
                (ended, self.stopped),
                timeout=min(left, _GLANCE_SECONDS),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not ended.done():
                if looks is None:
                    meter = Meter(root, directory, self._call.memory_bytes, self._limits, self._may_hide)
                    looks = _Looks(meter, files, lambda limit: None if ended.done() else self.stop(limit))
                looks.begin()
        return None if ended.done() else self.stopped.result()

    def ending(self, stopped: str | None, wait_status: int | None, cpu_seconds: float = 0.0) -> frames.Ending:
        """Report the end of the call, once all its output was read."""
        if stopped is None and self.stopped.done():
            stopped = self.stopped.result()
        return frames.Ending(
            frame=self._frame if self._large is None or self._filled != len(self._large) else self._large,
            wait_status=wait_status,
            cpu_seconds=cpu_seconds,
            stopped=stopped,
            printed=self._printed.close(),
            duration_ms=(time.perf_counter() - self._started) * 1e3,
        )


class _Looks:
    """Measure a call on threads of `files`, and report the limits that it exceeds.

    Its disk is measured beside its processes, because measuring many files takes long.
    """

    def __init__(self, meter: Meter, files: Executor, report: Callable[[str | None], None]) -> None:
        self._meter = meter
        self._files = files
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._due = self._disk_due = self._loop.time() + _MEASURE_SECONDS
        self._began = self._rested = 0.0
        self._looks_at_disk = self._looks_at_processes = False

    def begin(self) -> None:
        """Begin to measure what is due, unless the last measurement is still under way."""
        now = self._loop.time()
        if now >= self._disk_due and not self._looks_at_disk:
            self._looks_at_disk, self._disk_due = True, now + _MEASURE_SECONDS
            self._start(self._meter.disk_exceeded, self._end_disk)
        if self._looks_at_processes:
            return
        if now >= self._due:
            self._due, measure = now + _MEASURE_SECONDS, self._meter.exceeded
        elif now >= self._rested and self._meter.has_forked():
            measure = self._meter.memory_exceeded
        else:
            return
        self._looks_at_processes, self._began = True, now
        self._start(measure, self._end_processes)

    def _start(
        self, measure: Callable[[], str | None], end: Callable[[asyncio.Future[str | None]], None]
    ) -> None:
        try:
            measuring = self._loop.run_in_executor(self._files, measure)
        except RuntimeError:  # the interpreter exits: end the call like an interrupt
            raise asyncio.CancelledError from None
        measuring.add_done_callback(end)

    def _end_disk(self, measuring: asyncio.Future[str | None]) -> None:
        self._looks_at_disk = False
        self._report(measuring.result())

    def _end_processes(self, measuring: asyncio.Future[str | None]) -> None:
        now = self._loop.time()
        self._looks_at_processes = False
        self._rested = now + min(_MEASURE_SECONDS, _REST * (now - self._began))
        self._report(measuring.result())


class Printed:
    """Collect bytes from a tool's stdout and stderr.

    The first `kept` characters are kept, and passed to `on_text` as they arrive. The rest is only counted.
    """

    def __init__(self, kept: int, on_text: Callable[[str], None] | None = None) -> None:
        self._room = kept
        self._on_text = on_text
        self._decoder = _NEW_DECODER("replace")
        # A single buffer, because a tool may print single characters, and each would be a string
        # of fifty bytes.
        self._kept = StringIO(newline="")
        self._cut = 0
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Take bytes that arrived."""
        self.total += len(data)
        if self._room:
            self._take(self._decoder.decode(data))
        elif data:
            self._count(len(data))

    def close(self) -> str:
        """Add a note if something was cut, and return all the text that is kept."""
        if self._room:
            self._take(self._decoder.decode(b"", final=True))
        if self._cut:
            self._show(f" {self._cut:,} more bytes were printed, but are not shown.\n")
            self._cut = 0
        return self._kept.getvalue()

    def _take(self, text: str) -> None:
        shown = text[: self._room]
        self._room -= len(shown)
        self._show(shown)
        if len(shown) < len(text):
            self._count(len(text[len(shown) :].encode("utf-8", "replace")))

    def _count(self, size: int) -> None:
        if not self._cut:
            self._show("\n…")  # now, so that the user knows why the output stops
        self._cut += size

    def _show(self, text: str) -> None:
        if not text:
            return
        self._kept.write(text)
        if self._on_text is not None:
            self._on_text(text)
