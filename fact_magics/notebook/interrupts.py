"""What an interrupt does while a cell runs code of its own on the kernel's loop."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]


@contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Have `handler` take interrupts; only the main thread gets any."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let an interrupt reach the user's own expressions.

    While a kernel awaits a cell, its SIGINT handler only sets a future, which code that keeps the loop
    busy never sees.
    """
    with handled_by(signal.default_int_handler):
        yield
