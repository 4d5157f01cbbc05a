"""`Echo` shows the caller of a tool the text that the tool prints."""

from __future__ import annotations

import sys
from contextlib import suppress
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from fact_magics.events import Listener, Printed
from fact_magics.text import printable

if TYPE_CHECKING:
    import asyncio

    from fact_magics.events import Event


class Echo:
    """Passes a tool's printed text to the calling thread, so that it appears under the right cell.

    A caller that blocks its thread must `pump`. If the caller awaits the tool instead, `loop` is the caller's
    event loop.
    """

    def __init__(self, emit: Listener, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._emit = emit
        self._loop = loop
        self._context = copy_context()  # a kernel reads from the context which cell a text belongs to
        self._printed: SimpleQueue[str] = SimpleQueue()

    def put(self, event: Event) -> None:
        """Take an event of the run, on the core's thread."""
        self._emit(event)
        if isinstance(event, Printed):
            self._printed.put(event.text)
            if self._loop is not None:
                with suppress(RuntimeError):  # the caller's loop is closed
                    self._loop.call_soon_threadsafe(self.pump, context=self._context)

    def pump(self) -> None:
        """Write what was printed since the last call, on the caller's thread."""
        with suppress(Empty):
            while True:
                sys.stdout.write(printable(self._printed.get_nowait()))
