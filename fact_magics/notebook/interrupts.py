"""Interrupts while a cell runs its own code on the kernel's loop."""

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
    """Let `handler` handle interrupts; without effect outside the main thread, which alone gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def interruptible() -> AbstractContextManager[None]:
    """Let an interrupt stop the user's own expressions.

    While a kernel awaits a cell, its SIGINT handler only sets a future, which code that keeps the loop busy
    never sees.
    """
    return handled_by(signal.default_int_handler)
