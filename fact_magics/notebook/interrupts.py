"""Handle interrupts while code of the user runs on the kernel's loop."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]


@contextmanager
def handled_by(handler: Handler) -> Iterator[None]:
    """Handle SIGINT with `handler`. Only the main thread handles signals; elsewhere this has no effect."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def interruptible() -> AbstractContextManager[None]:
    """Make an interrupt raise KeyboardInterrupt in the user's expressions.

    While a kernel awaits a cell, its own SIGINT handler only sets a future, which has no effect on code that
    keeps the loop busy.
    """
    return handled_by(signal.default_int_handler)
